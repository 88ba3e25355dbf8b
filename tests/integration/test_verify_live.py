"""Verify beside writers: no row escapes by moving, no snapshot is held long, and continuity tells when proof ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from filled import FILLED
from fix_servers import Database
from normalform.core.certificate import Certificate
from normalform.core.events import Event
from normalform.db import snapshots, survey
from normalform.db.certificates import broken_sync, continuity, latest, seal, unproven
from normalform.db.snapshots import Pace
from normalform.db.work import Context
from normalform.errors import Interrupted, ProofFailed
from normalform.phases import verify

Engine = Callable[..., Context]
BEHIND = "SET session_replication_role = replica; "
OURS = "application_name LIKE 'normalform/%/verify%'"


class Listener:
    """A sink that does something at chosen events, each once."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.todo: list[tuple[str, str, Callable[[], object]]] = []

    def at(self, kind: str, name: str, do: Callable[[], object]) -> None:
        """Do it at the first event of that kind and name."""
        self.todo.append((kind, name, do))

    def __call__(self, event: Event) -> None:
        """Take an event."""
        self.events.append(event)
        for entry in list(self.todo):
            kind, name, do = entry
            if event.kind == kind and event.name == name:
                self.todo.remove(entry)
                do()

    def read(self, reference: str) -> int:
        """How many pieces of a reference were read."""
        return sum(e.kind == "progress" and e.name == f"verify:{reference}" for e in self.events)


@pytest.fixture
def filled(database: Callable[..., Database]) -> Database:
    return database(FILLED)


@pytest.fixture
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """One block at a time, so that much can happen in between."""

    def one_block() -> Pace:
        return Pace(blocks=1, least=1, most=1)

    monkeypatch.setattr(survey.Job.__dataclass_fields__["pace"], "default_factory", one_block)
    init = survey.Job.__init__

    def patched(self: survey.Job, *args: object, **kwargs: object) -> None:
        init(self, *args, **{"pace": one_block(), **kwargs})  # type: ignore[arg-type]

    monkeypatch.setattr(survey.Job, "__init__", patched)


def by_name(ctx: Context) -> dict[str, Certificate]:
    return {c.reference: c for c in verify.verify(ctx)}


@contextmanager
def superuser(db: Database) -> Iterator[psycopg.Connection]:
    with db.connect("admin") as conn:
        conn.execute(BEHIND.rstrip("; "))
        yield conn


@pytest.mark.usefixtures("small_ranges")
def test_a_wrong_row_that_moves_behind_the_reader_is_found(filled: Database, engine: Engine) -> None:
    """The row stands in the last block; once the first has been read, and is emptied, an update moves it there."""
    sink = Listener()
    find = b"SELECT ctid::text FROM public.machine_tags WHERE id = %s"
    with superuser(filled) as admin:
        median = "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY id) FROM public.machine_tags"
        [(wrong,)] = admin.execute(median).fetchall()
        admin.execute(b"UPDATE public.machine_tags SET keyword_id = 4 WHERE id = %s", (wrong,))
        admin.execute("CLUSTER public.machine_tags USING machine_tags_pkey")  # in the middle, and its page is full

        def move() -> None:
            # The only room for a new version is in the first page, which has been read.
            admin.execute("DELETE FROM public.machine_tags WHERE ctid < '(1,0)'")
            admin.execute("ALTER TABLE public.machine_tags SET (fillfactor = 10)")
            admin.execute("VACUUM public.machine_tags")
            admin.execute(b"UPDATE public.machine_tags SET confidence = confidence + 1 WHERE id = %s", (wrong,))
            [(now,)] = admin.execute(find, (wrong,)).fetchall()
            assert now.startswith("(0,")

        sink.at("progress", "verify:machine_tags", move)
        found = by_name(engine(filled.url, sink=sink, workers=1))["machine_tags"]
    assert sink.read("machine_tags") > 2
    assert [o.identity for o in found.offences] == [(str(wrong),)] and found.differing == 1
    assert not found.passed


@pytest.mark.usefixtures("small_ranges")
def test_every_row_counts_once_however_small_the_pieces(filled: Database, engine: Engine) -> None:
    sink = Listener()
    small = by_name(engine(filled.url, sink=sink, workers=3))
    assert sink.read("machine_tags") > 5
    with filled.connect() as conn:
        rows = conn.execute("SELECT count(*) FROM public.machine_tags").fetchone()
    assert rows is not None and small["machine_tags"].rows == rows[0] and small["machine_tags"].passed


@pytest.mark.slow
def test_pieces_workers_and_windows_give_the_same_sums(
    filled: Database, engine: Engine, request: pytest.FixtureRequest
) -> None:
    ctx = engine(filled.url, workers=1)
    whole = by_name(ctx)
    ctx.strategy = "window"
    window = by_name(ctx)
    ctx.strategy, ctx.workers = "live", 4
    request.getfixturevalue("small_ranges")
    parts = by_name(ctx)
    for name, one in whole.items():
        assert one.passed and one.mode == "live" and window[name].mode == "snapshot"
        for other in (window[name], parts[name]):
            assert (one.rows, one.stored_checksum, one.keyed_checksum) == (
                other.rows, other.stored_checksum, other.keyed_checksum,
            )  # fmt: skip


@pytest.mark.usefixtures("small_ranges")
def test_between_two_pieces_no_transaction_is_open(filled: Database, engine: Engine) -> None:
    sink = Listener()
    seen: list[object] = []

    def look() -> None:
        seen.append(filled.value(f"SELECT count(*) FROM pg_stat_activity WHERE {OURS} AND xact_start IS NOT NULL"))
        seen.append(filled.value(f"SELECT count(*) FROM pg_stat_activity WHERE {OURS}"))

    sink.at("progress", "verify:machine_tags", look)
    assert by_name(engine(filled.url, sink=sink, workers=1))["machine_tags"].passed
    assert seen == [0, 1]


@pytest.mark.slow
def test_a_window_is_one_snapshot(filled: Database, engine: Engine) -> None:
    """What is written once the first table is being read shows in no certificate."""
    sink = Listener()
    sink.at(
        "progress",
        "verify:machine_tags",
        lambda: filled.run(BEHIND + "UPDATE permatags SET keyword_id = NULL", role="admin"),
    )
    ctx = engine(filled.url, sink=sink, workers=1, strategy="window")
    assert by_name(ctx)["permatags"].passed
    assert not by_name(ctx)["permatags"].passed


@pytest.mark.usefixtures("small_ranges")
def test_a_rewritten_table_is_read_again(filled: Database, engine: Engine) -> None:
    sink = Listener()
    rows = filled.value("SELECT count(*) FROM machine_tags")
    sink.at("progress", "verify:machine_tags", lambda: filled.run("VACUUM FULL machine_tags"))
    found = by_name(engine(filled.url, sink=sink, workers=1))["machine_tags"]
    assert found.passed and found.rows == rows


@pytest.mark.usefixtures("small_ranges")
def test_a_table_that_never_stands_still_is_no_proof(filled: Database, engine: Engine) -> None:
    def rewrite(event: Event) -> None:
        if event.kind == "progress" and event.name == "verify:machine_tags" and event.done == 1:
            filled.run("VACUUM FULL machine_tags")

    with pytest.raises(ProofFailed, match="machine_tags cannot be read to the end"):
        verify.verify(engine(filled.url, sink=rewrite, workers=1))


@pytest.mark.slow
def test_a_locked_table_is_waited_for_without_standing_in_its_queue(
    filled: Database, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "LOCK_MS", 50)
    waited: list[str] = []
    with filled.connect("owner", autocommit=False) as holder:

        def listen(event: Event) -> None:
            if event.kind == "progress" and event.name == "verify:machine_tags" and not waited:
                holder.execute("LOCK TABLE public.detected_faces")
            if event.kind == "wait":
                waited.append(event.name)
                if len(waited) == 3:
                    holder.rollback()

        found = by_name(engine(filled.url, sink=listen, workers=1))
    assert found["faces"].passed and waited == ["verify:faces:0"] * 3


@pytest.mark.slow
def test_a_range_that_takes_too_long_is_read_in_halves(filled: Database, engine: Engine) -> None:
    """The server's timeout is played by the listener: it cancels the first two pieces."""
    sink = Listener()

    def cancel() -> None:
        raise psycopg.errors.QueryCanceled("canceling statement due to statement timeout")

    sink.at("point", "verify:machine_tags:0:before", cancel)
    sink.at("point", "verify:machine_tags:0:before", cancel)
    rows = filled.value("SELECT count(*) FROM machine_tags")
    found = by_name(engine(filled.url, sink=sink, workers=1))["machine_tags"]
    assert found.passed and found.rows == rows and sink.read("machine_tags") >= 4


def test_a_last_look_that_takes_too_long_is_prepared_by_another_round(filled: Database, engine: Engine) -> None:
    sink = Listener()

    def cancel() -> None:
        filled.run(BEHIND + "UPDATE machine_tags SET keyword_id = NULL WHERE id = 7", role="admin")
        raise psycopg.errors.QueryCanceled("canceling statement due to statement timeout")

    sink.at("point", "verify:machine_tags:last:before", cancel)
    rows = filled.value("SELECT count(*) FROM machine_tags")
    found = by_name(engine(filled.url, sink=sink, workers=1))["machine_tags"]
    assert found.null_keys == 1 and not found.passed
    assert found.rows == rows + 1, "the row was right when its range was read, and wrong in the next round"


def test_a_single_block_that_takes_too_long_is_said(
    filled: Database, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "STATEMENT_MS", 1)
    ctx = engine(filled.url, workers=1)
    with pytest.raises(ProofFailed, match="one block takes longer"):
        verify.verify(ctx)


def test_ctrl_c_ends_it_between_two_pieces_and_stores_nothing(filled: Database, engine: Engine) -> None:
    sink = Listener()
    ctx = engine(filled.url, sink=sink, workers=2)
    sink.at("progress", "verify:machine_tags", ctx.stop.set)
    with pytest.raises(Interrupted):
        verify.do(ctx)
    assert latest(ctx.conn) == {}


@pytest.mark.slow
def test_a_queued_rename_is_counted_and_does_not_pass(filled: Database, engine: Engine) -> None:
    ctx = engine(filled.url)
    queue = "INSERT INTO normalform.pending (lookup, kind, key, old_text, new_text) VALUES "
    filled.run(
        BEHIND + "UPDATE keywords SET keyword = 'ocean' WHERE id = 4; UPDATE keyword_categories SET name = 'trips' "
        "WHERE id = 3; DELETE FROM people WHERE id = 3;"
        + queue + "('keyword', 'text', '4', 'sea', 'ocean'), ('keyword', 'path', '2', 'travel', 'trips'), "
        "('person', 'delete', '3', 'Grace', NULL)",
        role="admin",
    )  # fmt: skip
    found = by_name(ctx)
    assert {n: (c.pending, c.differing, c.dangling, c.passed) for n, c in found.items()} == {
        "machine_tags": (15, 0, 0, False),
        "permatags": (20, 0, 0, False),
        "image_tags": (2, 0, 0, False),
        "keyword_models": (2, 0, 0, False),
        "faces": (1, 0, 0, False),
    }
    with pytest.raises(ProofFailed) as failed:
        verify.do(ctx)
    assert "15 pending" in failed.value.message and "queue" in (failed.value.hint or "")


@pytest.mark.slow
def test_continuity_ends_with_the_slightest_change_of_sync(filled: Database, engine: Engine) -> None:
    ctx = engine(filled.url)
    verify.do(ctx)
    kept = latest(ctx.conn)
    assert unproven(ctx.conn, ctx.model) == []
    triggers = filled.rows(
        "SELECT c.relname, quote_ident(t.tgname) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p "
        "ON p.oid = t.tgfoid WHERE p.pronamespace = 'normalform'::regnamespace AND NOT t.tgisinternal ORDER BY 1, 2"
    )
    assert triggers
    for table, trigger in triggers:
        before = seal(ctx.conn, ctx.model)
        filled.run(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")
        [broken] = broken_sync(ctx.conn, ctx.model)
        assert trigger.strip('"') in broken and "is disabled" in broken
        # Enabled again, it stands as before; rows written meanwhile do not.
        filled.run(f"ALTER TABLE {table} ENABLE TRIGGER {trigger}")
        assert broken_sync(ctx.conn, ctx.model) == [] and seal(ctx.conn, ctx.model) != before
    [doubt] = continuity(ctx.conn, kept["machine_tags"], seal(ctx.conn, ctx.model))
    assert "machine_tags: sync was changed after certificate" in doubt
    verify.do(ctx)
    assert unproven(ctx.conn, ctx.model) == []


def test_sync_that_changes_while_verify_reads_spoils_the_proof(filled: Database, engine: Engine) -> None:
    sink = Listener()
    [(table, trigger)] = filled.rows(
        "SELECT c.relname, quote_ident(t.tgname) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p "
        "ON p.oid = t.tgfoid WHERE p.pronamespace = 'normalform'::regnamespace AND NOT t.tgisinternal LIMIT 1"
    )
    sink.at(
        "progress",
        "verify:machine_tags",
        lambda: filled.run(
            f"ALTER TABLE {table} DISABLE TRIGGER {trigger}; ALTER TABLE {table} ENABLE TRIGGER {trigger}"
        ),
    )
    ctx = engine(filled.url, sink=sink, workers=1)
    with pytest.raises(ProofFailed, match="sync was changed while verify read"):
        verify.do(ctx)
    verify.do(ctx)
