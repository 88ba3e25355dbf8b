"""Slices by shares of their rows: what batches promise holds there too, and rows find room on their own page."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psycopg
import pytest

from expanded import BIG, ROWS, UNFILLED, WRONG, Told, run
from fix_servers import Database
from fix_sessions import Sessions, wait_for
from normalform.core import batches
from normalform.db.blocks import Swept, sweep
from normalform.errors import Interrupted
from normalform.sql.fill import clear_work, fill_work

MakeSessions = Callable[[Database], Sessions]
COMMITTED = "fill:machine_tags:after-commit"
BATCH = "fill:machine_tags:batch:after"
#: Every update of a row is written down, so that a row that was done twice is found.
WRITTEN_DOWN = """
CREATE TABLE public.touched (id integer);
CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN INSERT INTO public.touched VALUES (NEW.id); RETURN NULL; END';
CREATE TRIGGER touch AFTER UPDATE ON public.machine_tags FOR EACH ROW EXECUTE FUNCTION public.touch();
"""
TWICE = "SELECT count(*) FROM (SELECT id FROM public.touched GROUP BY id HAVING count(*) > 1) x"
UNDER_WAY = "SELECT count(*) FROM normalform.checkpoint WHERE next_block = first_block AND rows > 0"
INDEXES = "SELECT pg_indexes_size('public.machine_tags')"
UPDATES = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_all_tables WHERE relid = 'public.machine_tags'::regclass"


@pytest.fixture(autouse=True)
def short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let slices of the tests' tables, of 64 blocks, have eight shares each."""
    monkeypatch.setattr(batches, "SHARE_LEAST", 8)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["live", "window"])
@pytest.mark.parametrize("workers", [1, 2])
def test_every_row_gets_its_key_once(database: Callable[[str], Database], strategy: str, workers: int) -> None:
    db = database(BIG)
    db.run(WRITTEN_DOWN)
    with run(db, strategy=strategy, workers=workers) as ctx:
        work = fill_work(ctx.model.reference("machine_tags"))
        assert sweep(ctx, work) == Swept(ROWS)
    assert (db.value(UNFILLED), db.value(WRONG), db.value(TWICE)) == (0, 0, 0)
    slices = db.rows("SELECT slice, end_block, next_block FROM normalform.checkpoint")
    assert all(end == passed for _, end, passed in slices)
    # A batch's record tells where its rows lay; several passed over the same blocks.
    [(batches_done, rows, sets_out)] = db.rows(
        "SELECT count(*), sum(b.rows), count(*) FILTER (WHERE b.first_block = c.first_block) "
        "FROM normalform.batch b JOIN normalform.checkpoint c USING (work, slice)"
    )
    assert rows == ROWS
    assert batches_done > sets_out > 5 * len(slices)


@pytest.mark.slow
def test_rows_stay_on_their_page(database: Callable[[str], Database], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without shares each row of a full page goes elsewhere, and into every index anew."""
    stayed, growth = {}, {}
    for most in (1, 8):
        monkeypatch.setattr(batches, "MOST_SHARES", most)
        db = database(BIG)
        before = db.value(INDEXES)
        with run(db, workers=1) as ctx:
            sweep(ctx, fill_work(ctx.model.reference("machine_tags")))
        stayed[most] = _in_place(db)
        growth[most] = db.value(INDEXES) - before
    assert stayed[1] < ROWS / 10
    assert stayed[8] > ROWS / 2
    assert growth[8] < growth[1] * 0.7


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_is_stopped_on_the_way_is_resumed(database: Callable[[str], Database], workers: int) -> None:
    db = database(BIG)
    db.run(WRITTEN_DOWN)
    stop = threading.Event()
    told = Told().at(COMMITTED, 7, stop.set)
    with run(db, told, stop=stop, workers=workers) as ctx, pytest.raises(Interrupted):
        sweep(ctx, fill_work(ctx.model.reference("machine_tags")))
    assert db.value(UNDER_WAY) >= 1
    assert db.value("SELECT sum(rows) FROM normalform.checkpoint") == ROWS - db.value(UNFILLED) < ROWS
    with run(db, workers=workers) as ctx:
        assert sweep(ctx, fill_work(ctx.model.reference("machine_tags"))) == Swept(ROWS)
    assert (db.value(UNFILLED), db.value(WRONG), db.value(TWICE)) == (0, 0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("point", [BATCH, COMMITTED])
def test_a_killed_backend_loses_its_batch_alone(database: Callable[[str], Database], point: str) -> None:
    db = database(BIG)
    db.run(WRITTEN_DOWN)
    kill = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name LIKE '%/worker-%'"
    told = Told().at(point, 4, lambda: db.rows(kill))
    with run(db, told, workers=1) as ctx, pytest.raises(psycopg.OperationalError):
        sweep(ctx, fill_work(ctx.model.reference("machine_tags")))
    assert db.value("SELECT sum(rows) FROM normalform.checkpoint") == ROWS - db.value(UNFILLED) < ROWS
    with run(db) as ctx:
        assert sweep(ctx, fill_work(ctx.model.reference("machine_tags"))) == Swept(ROWS)
    assert (db.value(UNFILLED), db.value(WRONG), db.value(TWICE)) == (0, 0, 0)


@pytest.mark.slow
def test_rows_that_a_share_passed_over_are_done_with_the_slice(
    database: Callable[[str], Database], sessions: MakeSessions
) -> None:
    """Held while the shares are done, let go before the slice is passed over: nothing is skipped in the end."""
    db = database(BIG)
    holder = sessions(db).one("holder")
    holder.run("BEGIN; UPDATE public.machine_tags SET confidence = 9 WHERE ctid < '(64,0)'")
    told = Told().at(COMMITTED, 5, lambda: holder.run("ROLLBACK"))
    with run(db, told, workers=1) as ctx:
        assert sweep(ctx, fill_work(ctx.model.reference("machine_tags"))) == Swept(ROWS)
    assert not any(e.kind == "wait" for e in told.events)
    assert (db.value(UNFILLED), db.value(WRONG)) == (0, 0)


def test_a_run_that_was_fenced_out_ends_in_a_share_too(database: Callable[[str], Database]) -> None:
    db = database(BIG)
    moved = "UPDATE normalform.checkpoint SET next_block = next_block + 1 WHERE slice = 0"
    told = Told().at(COMMITTED, 3, lambda: db.run(moved))
    with run(db, told, workers=1) as ctx, pytest.raises(Exception, match="moved by another session"):
        sweep(ctx, fill_work(ctx.model.reference("machine_tags")))


@pytest.mark.slow
def test_keys_are_cleared_by_shares(database: Callable[[str], Database]) -> None:
    db = database(BIG)
    with run(db) as ctx:
        sweep(ctx, fill_work(ctx.model.reference("machine_tags")))
        db.run(WRITTEN_DOWN)
        assert sweep(ctx, clear_work(ctx.model.reference("machine_tags"))) == Swept(ROWS)
    assert (db.value(UNFILLED), db.value(TWICE)) == (ROWS, 0)


def _in_place(db: Database) -> int:
    """Return how many updates found room on their own page, once the server has counted all."""
    counted: list[tuple[int, int]] = []

    def all_counted() -> bool:
        counted[:] = db.rows(UPDATES)
        return counted[0][0] >= ROWS

    wait_for(all_counted, "the statistics")
    return counted[0][1]
