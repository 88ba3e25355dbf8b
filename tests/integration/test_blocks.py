"""Batches on real servers: coverage, writers beside them, rewrites, lost tokens, kills. Rules 12 to 16."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql

import mini
from expanded import BIG, ROWS, SMALL, UNFILLED, WRONG, Told, run
from fix_servers import Cluster, Database
from fix_sessions import Sessions, wait_for
from normalform.core import batches
from normalform.db import ledger
from normalform.db.blocks import Swept, forget, sweep
from normalform.db.signals import lowest_deadlock_timeout
from normalform.db.work import Context
from normalform.errors import FencedOut, GateClosed, Interrupted
from normalform.sql import gates
from normalform.sql.batch import Span, Work
from normalform.sql.fill import clear_work, fill_work

MakeSessions = Callable[[Database], Sessions]
BATCH = "fill:machine_tags:batch"
COMMITTED = "fill:machine_tags:after-commit"
WORKERS_LEFT = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'normalform/%/worker-%'"
#: Every update of a row is written down, so that a row that was done twice is found.
WRITTEN_DOWN = """
CREATE TABLE public.touched (id integer);
CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN INSERT INTO public.touched VALUES (NEW.id); RETURN NULL; END';
CREATE TRIGGER touch AFTER UPDATE ON public.machine_tags FOR EACH ROW EXECUTE FUNCTION public.touch();
"""
TWICE = "SELECT count(*) FROM (SELECT id FROM public.touched GROUP BY id HAVING count(*) > 1) x"
#: The one thing of sync without which rows that writers move would be out of a sweep's sight.
ON_THE_WAY_PAST = """
CREATE FUNCTION public.past() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
    NEW.keyword_id := CASE WHEN NEW.tenant_id = 'u' THEN 5 WHEN NEW.keyword = 'tree' THEN 1
        WHEN NEW.keyword = 'sea' THEN 4 WHEN NEW.category = 'travel' THEN 2 WHEN NEW.category = 'games' THEN 3 END;
    RETURN NEW; END$$;
CREATE TRIGGER past BEFORE UPDATE ON public.machine_tags FOR EACH ROW
    WHEN (current_setting('normalform.batch', true) IS DISTINCT FROM 'on') EXECUTE FUNCTION public.past();
"""


def fill(ctx: Context, name: str = "machine_tags") -> Work:
    return fill_work(ctx.model.reference(name))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["live", "window"])
@pytest.mark.parametrize("workers", [1, 2])
def test_every_row_gets_the_key_of_its_own_category(
    database: Callable[[str], Database], strategy: str, workers: int
) -> None:
    db = database(BIG)
    with run(db, strategy=strategy, workers=workers) as ctx:
        assert sweep(ctx, fill(ctx)) == Swept(ROWS)
    assert db.value(UNFILLED) == 0
    assert db.value(WRONG) == 0
    slices = db.rows("SELECT first_block, end_block, next_block FROM normalform.checkpoint ORDER BY slice")
    assert len(slices) > 3
    assert all(end == passed for _, end, passed in slices)
    recorded = db.rows("SELECT sum(rows), count(DISTINCT xid), count(*), count(DISTINCT run) FROM normalform.batch")
    assert recorded[0][0] == ROWS and recorded[0][1] == recorded[0][2] and recorded[0][3] == 1


def test_a_table_without_a_primary_key(database: Callable[[str], Database]) -> None:
    db = database(BIG)
    db.run("ALTER TABLE public.machine_tags DROP CONSTRAINT machine_tags_pkey; DROP INDEX public.uq_machine_tags")
    with run(db) as ctx:
        assert sweep(ctx, fill(ctx)).rows == ROWS
    assert db.value(WRONG) == 0


def test_a_batch_reads_its_blocks_alone(database: Callable[[str], Database]) -> None:
    """No scan of the whole table or of the whole lookup, and no join that nests loops over values."""
    db = database(BIG)
    db.run(
        "INSERT INTO public.keywords (category_id, keyword, tenant_id) "
        "SELECT 1, 'k' || g, 't' FROM generate_series(1, 50000) g; ANALYZE public.keywords"
    )
    with run(db) as ctx, ctx.conn.transaction():
        statement = fill(ctx).statement(Span(10, 40), "skip", 0)
        plan = "\n".join(r[0] for r in ctx.conn.execute(sql.SQL("EXPLAIN (VERBOSE) {}").format(statement)))
    assert "Tid Range Scan on public.machine_tags" in plan
    assert "Seq Scan on public.machine_tags" not in plan
    assert "Seq Scan on public.keywords" not in plan
    assert "LockRows" in plan


@pytest.mark.slow
def test_held_rows_are_visited_again_and_their_holder_is_named(
    database: Callable[[str], Database], sessions: MakeSessions
) -> None:
    """Rule 15: the holder rolls back, and no trigger of his fills the key."""
    db = database(BIG)
    made = sessions(db)
    holder = made.one("holder")
    holder.run("BEGIN; UPDATE public.machine_tags SET confidence = 9 WHERE id IN (5, 20000)")
    told = Told()

    def work() -> Swept:
        with run(db, told) as ctx:
            return sweep(ctx, fill(ctx))

    sweeping = made.background(work)
    _until(lambda: told.said("application holder"))
    assert not sweeping.done
    assert db.value(UNFILLED) == 2
    holder.run("ROLLBACK")
    result = sweeping.wait()
    assert result.error is None
    assert result.value == Swept(ROWS)
    assert db.value(WRONG) == 0


@pytest.mark.slow
def test_a_holder_who_stays_ends_the_sweep_with_his_name(
    database: Callable[[str], Database], sessions: MakeSessions
) -> None:
    db = database(BIG)
    holder = sessions(db).one("holder")
    holder.run("BEGIN; UPDATE public.machine_tags SET confidence = 9 WHERE id = 20000")
    with run(db, options={"patience": 0.2}) as ctx:
        swept = sweep(ctx, fill(ctx))
        assert (swept.rows, swept.skipped) == (ROWS - 1, 1)
        assert "application holder" in swept.holders
        holder.run("ROLLBACK")
        assert sweep(ctx, fill(ctx)).skipped == 0
    assert db.value(WRONG) == 0


@pytest.mark.slow
def test_in_a_window_a_stray_writer_is_waited_for_and_named(
    database: Callable[[str], Database], sessions: MakeSessions
) -> None:
    db = database(SMALL)
    holder = sessions(db).one("stray")
    holder.run("BEGIN; UPDATE public.machine_tags SET confidence = 9 WHERE id = 5")
    with run(db, strategy="window", options={"patience": 0.1}) as ctx:
        swept = sweep(ctx, fill(ctx))
        assert swept.skipped == 1
        assert "application stray" in swept.holders
        holder.run("COMMIT")
        assert sweep(ctx, fill(ctx)).skipped == 0
    assert db.value(WRONG) == 0


def test_in_a_window_a_row_that_changed_while_we_waited_is_resolved_anew(
    database: Callable[[str], Database], sessions: MakeSessions
) -> None:
    db = database(SMALL)
    made = sessions(db)
    writer = made.one("writer")
    writer.run("BEGIN; UPDATE public.machine_tags SET keyword = 'sea' WHERE id = 5")

    def work() -> Swept:
        with run(db, strategy="window", workers=1) as ctx:
            return sweep(ctx, fill(ctx))

    sweeping = made.background(work)
    made.monitor.wait_until_blocked("normalform/%/worker-0")
    writer.run("COMMIT")
    assert sweeping.wait().value.skipped == 0
    assert db.value("SELECT keyword_id FROM public.machine_tags WHERE id = 5") == 4


@pytest.mark.slow
@pytest.mark.parametrize("rewrite", ["VACUUM FULL public.machine_tags", "CLUSTER public.machine_tags USING backwards"])
def test_a_rewrite_between_two_batches_starts_the_scan_again(database: Callable[[str], Database], rewrite: str) -> None:
    """Rule 14: rows of blocks still to come would otherwise lie in blocks that were passed."""
    db = database(BIG)
    db.run("CREATE INDEX backwards ON public.machine_tags (id DESC)")
    told = Told().at(COMMITTED, 4, lambda: db.run(rewrite))
    with run(db, told, workers=1) as ctx:
        before = _storage(db)
        assert sweep(ctx, fill(ctx)).skipped == 0
        assert _storage(db) != before
    assert told.said("was rewritten meanwhile")
    assert db.value(UNFILLED) == 0
    assert db.value(WRONG) == 0


@pytest.mark.slow
def test_a_rewrite_between_two_runs_starts_the_scan_again(database: Callable[[str], Database]) -> None:
    db = database(BIG)
    db.run("CREATE INDEX backwards ON public.machine_tags (id DESC)")
    _stopped_after(db, 4)
    db.run("CLUSTER public.machine_tags USING backwards")
    told = Told()
    with run(db, told) as ctx:
        sweep(ctx, fill(ctx))
    assert told.said("the table was rewritten")
    assert db.value(WRONG) == 0


def test_a_lost_token_ends_every_worker(database: Callable[[str], Database]) -> None:
    """Rule 27: another run has taken over while our workers are under way."""
    db = database(BIG)

    def take_over() -> None:
        with db.connect() as other:
            ledger.start_run(other, "somebody else", "")

    told = Told().at(COMMITTED, 3, take_over)
    with run(db, told, workers=2) as ctx:
        with pytest.raises(FencedOut):
            sweep(ctx, fill(ctx))
        left = db.value(UNFILLED)
        assert 0 < left < ROWS
        assert db.value(WORKERS_LEFT) == 0
        with pytest.raises(FencedOut):
            sweep(ctx, fill(ctx))
        assert db.value(UNFILLED) == left


def test_two_sessions_cannot_move_one_checkpoint(database: Callable[[str], Database]) -> None:
    db = database(BIG)
    told = Told().at(BATCH + ":before", 3, lambda: db.run("UPDATE normalform.checkpoint SET next_block = end_block"))
    with run(db, told, workers=1) as ctx, pytest.raises(FencedOut, match="was moved by another session"):
        sweep(ctx, fill(ctx))


@pytest.mark.slow
def test_a_slow_trigger_halves_the_batch(database: Callable[[str], Database]) -> None:
    db = database(BIG)
    db.run("DELETE FROM public.machine_tags WHERE image_id BETWEEN 2001 AND 7500")
    with _deadlock_timeout(db, "200ms"):
        _slow(db, "0.001", every=4)
        told = Told()
        with run(db, told, workers=1) as ctx:
            assert sweep(ctx, fill(ctx)).skipped == 0
        assert told.said("halved after a timeout")
    assert db.value(WRONG) == 0


@pytest.mark.slow
def test_a_block_that_never_fits_is_given_up_with_a_way_out(database: Callable[[str], Database]) -> None:
    db = database(SMALL)
    with _deadlock_timeout(db, "20ms"):
        _slow(db, "0.05")
        with run(db) as ctx, pytest.raises(GateClosed, match="one block of machine_tags alone was refused") as error:
            sweep(ctx, fill(ctx))
    assert "app_triggers" in str(error.value)
    assert db.value(UNFILLED) == 80


def test_the_lowest_deadlock_timeout_counts(database: Callable[[str], Database]) -> None:
    db = database(SMALL)
    with db.connect() as conn:
        assert lowest_deadlock_timeout(conn) == 1000
    with _deadlock_timeout(db, "250ms"), db.connect() as conn:
        conn.execute("SELECT 1")
        assert lowest_deadlock_timeout(conn) == 250


@pytest.mark.slow
def test_a_deadlock_never_hits_the_application(database: Callable[[str], Database], sessions: MakeSessions) -> None:
    """Rule 12: the application waits for our rows first, then we come to wait for its lookup row.

    Its detector would fire before ours. With a timeout below, the batch is gone by then.
    """
    db = database(SMALL)
    db.run(
        "ALTER TABLE public.machine_tags ADD FOREIGN KEY (keyword_id) REFERENCES public.keywords;"
        "CREATE FUNCTION public.pause() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN IF NEW.id = 1 THEN PERFORM pg_sleep(0.25); END IF; RETURN NEW; END';"
        "CREATE TRIGGER pause BEFORE UPDATE ON public.machine_tags FOR EACH ROW WHEN (NEW.keyword_id IS NOT NULL) "
        "EXECUTE FUNCTION public.pause()"
    )
    made = sessions(db)
    app = made.one("app")
    app.run("BEGIN; UPDATE public.keywords SET id = id + 0, keyword = 'arbre' WHERE id = 1")
    app.run("SELECT 1 FROM public.keywords WHERE id = 1 FOR UPDATE")
    told = Told()

    def work() -> Swept:
        with run(db, told, workers=1, options={"patience": 30.0}) as ctx:
            return sweep(ctx, fill(ctx))

    sweeping = made.background(work)
    asleep = (
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name LIKE 'normalform/%/worker-0' "
        "AND wait_event = 'PgSleep'"
    )
    for _ in range(4):
        made.monitor.wait_for(asleep)
        assert app.attempt("UPDATE public.machine_tags SET confidence = 2 WHERE id BETWEEN 1 AND 40").error is None
        app.run("ROLLBACK")
        app.run("BEGIN; SELECT 1 FROM public.keywords WHERE id = 1 FOR UPDATE")
    app.run("ROLLBACK")
    assert sweeping.wait().error is None
    assert db.value(WRONG) == 0


@pytest.mark.slow
def test_a_batch_waits_outside_until_a_rename_has_committed(
    database: Callable[[str], Database], sessions: MakeSessions
) -> None:
    """The gates: a rename under way keeps batches of its lookup from beginning, and names itself."""
    db = database(SMALL)
    made = sessions(db)
    rename = made.one("renamer", role="owner")
    shared = "; ".join(
        f"SELECT pg_advisory_xact_lock_shared({gates.CLASS}, {gates.number('keyword', slot)})"
        for slot in range(gates.SLOTS)
    )
    rename.run(f"BEGIN; {shared}; UPDATE public.keywords SET keyword = 'arbre' WHERE id = 1")
    told = Told()

    def work() -> Swept:
        with run(db, told) as ctx:
            return sweep(ctx, fill(ctx))

    sweeping = made.background(work)
    _until(lambda: told.said("an uncommitted rename in lookup keyword is waited for: process"))
    assert BATCH + ":before" not in told.points
    carry = (
        "UPDATE public.machine_tags SET keyword = 'arbre', keyword_id = 1 WHERE keyword = 'tree' AND tenant_id = 't'"
    )
    rename.run(carry)
    rename.run("COMMIT")
    assert sweeping.wait().value == Swept(40)
    assert db.value(UNFILLED) == 0
    assert db.value("SELECT count(*) FROM public.machine_tags WHERE keyword = 'arbre' AND keyword_id = 1") == 40


def test_a_rename_waits_for_the_batch_under_way(database: Callable[[str], Database], sessions: MakeSessions) -> None:
    db = database(SMALL)
    rename = sessions(db).one("renamer")
    shared = f"SELECT pg_advisory_xact_lock_shared({gates.CLASS}, {gates.number('keyword', 0)})"
    waited: list[bool] = []

    def look() -> None:
        rename.start(shared).wait_until_blocked()
        waited.append(rename.blocked)

    told = Told().at(BATCH + ":after", 1, look)
    with run(db, told, workers=1) as ctx:
        sweep(ctx, fill(ctx))
    rename.wait()
    assert waited == [True]


@pytest.mark.slow
def test_a_failing_worker_ends_the_others_and_is_raised(database: Callable[[str], Database]) -> None:
    db = database(BIG)
    db.run(WRITTEN_DOWN)

    def fail() -> None:
        raise RuntimeError("a worker's own")

    told = Told().at(BATCH + ":after", 3, fail)
    with run(db, told, workers=2) as ctx:
        with pytest.raises(RuntimeError, match="a worker's own"):
            sweep(ctx, fill(ctx))
        assert db.value(WORKERS_LEFT) == 0
        assert not [t for t in threading.enumerate() if t.name.startswith("normalform-worker")]
        _consistent(db)
        assert sweep(ctx, fill(ctx)) == Swept(ROWS)
    assert db.value(WRONG) == 0
    assert db.value(TWICE) == 0


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_ends_the_batch_in_hand_and_the_next_run_resumes(
    database: Callable[[str], Database], workers: int
) -> None:
    db = database(BIG)
    db.run(WRITTEN_DOWN)
    _stopped_after(db, 3, workers=workers)
    done = ROWS - db.value(UNFILLED)
    assert 0 < done < ROWS
    _consistent(db)
    told = Told()
    with run(db, told) as ctx:
        assert sweep(ctx, fill(ctx)) == Swept(ROWS)
    assert told.said("an earlier run was stopped on the way")
    assert db.value(WRONG) == 0
    assert db.value(TWICE) == 0


@pytest.mark.slow
@pytest.mark.parametrize("point", [BATCH + ":before", BATCH + ":after", "fill:machine_tags:before-commit", COMMITTED])
def test_a_killed_backend_loses_its_batch_alone(database: Callable[[str], Database], point: str) -> None:
    """Rule 12: the checkpoint is part of the statement, so that neither is ever there without the other."""
    db = database(BIG)
    db.run(WRITTEN_DOWN)
    kill = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name LIKE '%/worker-%'"
    told = Told().at(point, 3, lambda: db.rows(kill))
    with run(db, told, workers=1) as ctx, pytest.raises(psycopg.OperationalError):
        sweep(ctx, fill(ctx))
    assert 0 < db.value(UNFILLED) < ROWS
    _consistent(db)
    with run(db) as ctx:
        assert sweep(ctx, fill(ctx)) == Swept(ROWS)
    assert db.value(WRONG) == 0
    assert db.value(TWICE) == 0


def test_a_sweep_that_has_ended_begins_anew(database: Callable[[str], Database]) -> None:
    """Running again is safe, and finds rows that have become decided since."""
    db = database(SMALL)
    with run(db) as ctx:
        sweep(ctx, fill(ctx))
        db.run("UPDATE public.machine_tags SET keyword_id = NULL WHERE id < 10")
        assert sweep(ctx, fill(ctx)) == Swept(9)
        assert sweep(ctx, fill(ctx)) == Swept(0)
        forget(ctx, "fill:machine_tags")
    assert db.value("SELECT count(*) FROM normalform.checkpoint") == 0


def test_an_empty_table(database: Callable[[str], Database]) -> None:
    db = database(SMALL)
    db.run("TRUNCATE public.machine_tags")
    with run(db) as ctx:
        assert sweep(ctx, fill(ctx)) == Swept(0)


@pytest.mark.slow
def test_vacuum_between_slices_bounds_the_growth(
    database: Callable[[str], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 16."""
    monkeypatch.setattr(batches, "VACUUM_LEAST_ROWS", 1)
    sizes = {}
    for vacuum in ("between", "never"):
        db = database(BIG)
        told = Told()
        text = mini.SPEC_TEXT + f'\n[backfill]\nvacuum = "{vacuum}"\n'
        with run(db, told, text=text, workers=1) as ctx:
            sweep(ctx, fill(ctx))
        assert ("fill:machine_tags:vacuum:after" in told.points) is (vacuum == "between")
        sizes[vacuum] = db.value("SELECT pg_relation_size('public.machine_tags')")
    assert sizes["between"] < sizes["never"] * 0.8


def test_a_vacuum_that_cannot_be_had_is_harmless(
    database: Callable[[str], Database], sessions: MakeSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "VACUUM_LEAST_ROWS", 1)
    db = database(BIG)
    other = sessions(db).one("other", role="owner")
    other.run("BEGIN; LOCK TABLE public.machine_tags IN SHARE UPDATE EXCLUSIVE MODE")
    with run(db, workers=1) as ctx:
        assert sweep(ctx, fill(ctx)) == Swept(ROWS)
    other.run("ROLLBACK")


@pytest.mark.slow
def test_a_locked_table_is_waited_for_and_its_holder_named(
    database: Callable[[str], Database], sessions: MakeSessions
) -> None:
    db = database(SMALL)
    made = sessions(db)
    other = made.one("migration", role="owner")
    other.run("BEGIN; LOCK TABLE public.machine_tags IN SHARE MODE")
    told = Told()

    def work() -> Swept:
        with run(db, told, workers=1) as ctx:
            return sweep(ctx, fill(ctx))

    sweeping = made.background(work)
    _until(lambda: told.said("is locked by process"))
    other.run("ROLLBACK")
    assert sweeping.wait().value == Swept(80)


@pytest.mark.slow
def test_keys_are_cleared_in_batches(database: Callable[[str], Database]) -> None:
    db = database(BIG)
    with run(db) as ctx:
        sweep(ctx, fill(ctx))
        assert sweep(ctx, clear_work(ctx.model.reference("machine_tags"))) == Swept(ROWS)
    assert db.value(UNFILLED) == ROWS


def test_application_triggers_are_skipped_where_the_role_may(database: Callable[[str], Database], pg: Cluster) -> None:
    """Rule 7: the spec's choice; without the right it is said, and nothing is touched."""
    db = database(SMALL)
    db.run(WRITTEN_DOWN)
    text = mini.SPEC_TEXT.replace("[reference.machine_tags]\n", '[reference.machine_tags]\napp_triggers = "skip"\n')
    with run(db, text=text) as ctx:
        with pytest.raises(GateClosed, match="application-triggers"):
            sweep(ctx, fill(ctx))
        assert db.value(UNFILLED) == 80
        with _granted(pg, "session_replication_role"):
            assert sweep(ctx, fill(ctx)) == Swept(80)
    assert db.value("SELECT count(*) FROM public.touched") == 0
    assert db.value(WRONG) == 0


def test_a_batch_marks_itself_for_sync_and_fence(database: Callable[[str], Database]) -> None:
    """Rule 7: sync's triggers stand aside by this setting, and it ends with the transaction."""
    db = database(SMALL)
    db.run(
        "CREATE TABLE public.seen (batch text);"
        "CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN INSERT INTO public.seen VALUES (current_setting('normalform.batch', true)); RETURN NULL; END$$;"
        "CREATE TRIGGER see AFTER UPDATE ON public.machine_tags FOR EACH ROW EXECUTE FUNCTION public.see()"
    )
    with run(db) as ctx:
        sweep(ctx, fill(ctx))
        assert ctx.conn.execute("SELECT current_setting('normalform.batch', true)").fetchone() in [(None,), ("",)]
    assert db.rows("SELECT DISTINCT batch FROM public.seen") == [("on",)]


def test_writers_beside_batches_lose_nothing(database: Callable[[str], Database], sessions: MakeSessions) -> None:
    """Rows are changed and rolled back all the time; every one of them has its key in the end."""
    db = database(BIG)
    db.run(ON_THE_WAY_PAST)
    made = sessions(db)
    stop = threading.Event()

    def write(name: str) -> Callable[[psycopg.Connection[Any]], int]:
        def loop(conn: psycopg.Connection[Any]) -> int:
            committed = 0
            while not stop.is_set():
                with conn.transaction(force_rollback=committed % 3 == 2):
                    conn.execute(
                        "UPDATE public.machine_tags SET confidence = confidence + 1 WHERE id IN "
                        "(SELECT (random() * 30000)::int FROM generate_series(1, 5)) AND tag_type = %s",
                        (name,),
                    )
                committed += 1
            return committed

        return loop

    writers = made.open("w1", "w2")
    for writer, kind in zip(writers, ("m", "x"), strict=True):
        writer.call(write(kind))
    with run(db, options={"patience": 60.0}) as ctx:
        swept = sweep(ctx, fill(ctx))
    stop.set()
    results = [w.wait() for w in writers]
    assert [r.error for r in results] == [None, None]
    assert swept.skipped == 0
    assert db.value(UNFILLED) == 0
    assert db.value(WRONG) == 0


# ------------------------------------------------------------------------------------------- what the tests share


def _until(probe: Callable[[], bool]) -> None:
    wait_for(probe, "the event")


def _storage(db: Database) -> Any:
    return db.value("SELECT pg_relation_filenode('public.machine_tags')")


def _stopped_after(db: Database, batches_done: int, workers: int = 1) -> None:
    stop = threading.Event()
    told = Told().at(COMMITTED, batches_done, stop.set)
    with run(db, told, stop=stop, workers=workers) as ctx, pytest.raises(Interrupted):
        sweep(ctx, fill(ctx))


def _consistent(db: Database) -> None:
    """What the checkpoints say is what the table has."""
    assert db.value("SELECT sum(rows) FROM normalform.checkpoint") == ROWS - db.value(UNFILLED)


def _slow(db: Database, seconds: str, every: int = 1) -> None:
    db.run(
        f"CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS "
        f"'BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END';"
        "CREATE TRIGGER slow BEFORE UPDATE ON public.machine_tags FOR EACH ROW "
        f"WHEN (NEW.id % {every} = 0) EXECUTE FUNCTION public.slow()"
    )


@contextmanager
def _deadlock_timeout(db: Database, value: str) -> Iterator[None]:
    name = sql.Identifier(db.name)
    db.cluster.admin(sql.SQL("ALTER DATABASE {} SET deadlock_timeout = {}").format(name, sql.Literal(value)))
    yield
    db.cluster.admin(sql.SQL("ALTER DATABASE {} RESET deadlock_timeout").format(name))


@contextmanager
def _granted(pg: Cluster, parameter: str) -> Iterator[None]:
    name, role = sql.Identifier(parameter), sql.Identifier("nf_owner")
    pg.admin(sql.SQL("GRANT SET ON PARAMETER {} TO {}").format(name, role))
    try:
        yield
    finally:
        pg.admin(sql.SQL("REVOKE SET ON PARAMETER {} FROM {}").format(name, role))
