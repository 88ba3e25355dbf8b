"""The runbook's mistakes about locks, rollback and checks (7 to 9 of DESIGN.md): each as it has them, then caught.

No test asserts a time: who waits for whom is asked of the server, and locks are read at the engine's own points, at
which it stands still.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest

from acceptance import runbook
from acceptance.migration import Migration
from acceptance.scenes import BOOK
from compare import checksums, dump_schema
from fix_servers import Database
from fix_sessions import Sessions, wait_for
from normalform import api
from normalform.core.events import Event
from normalform.db.work import Context
from normalform.errors import ProofFailed
from normalform.runner import Runner

Make = Callable[..., Database]
MakeSessions = Callable[[Database], Sessions]

LOCKS = """
SELECT c.relname, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND c.relkind = 'r' AND n.nspname = 'public' AND a.application_name LIKE 'normalform/%'
"""
STRONG = {"ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"}


class LockWatch:
    """A sink that reads, at each point of the engine, which locks its sessions hold on the application's tables."""

    def __init__(self, db: Database) -> None:
        self.connection = db.connect("admin")
        self.seen: list[tuple[str, dict[str, set[str]]]] = []
        self.one_at_a_time = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Takes an event."""
        if event.kind != "point":
            return
        with self.one_at_a_time:
            held: dict[str, set[str]] = {}
            for table, mode in self.connection.execute(LOCKS).fetchall():
                held.setdefault(table, set()).add(mode)
            self.seen.append((event.name, held))

    def close(self) -> None:
        """Ends its session."""
        self.connection.close()


@contextmanager
def open_transaction(db: Database, statement: str) -> Iterator[None]:
    """An application's transaction that has run a statement and stays open inside the block."""
    with db.connect("app", autocommit=False) as connection:
        connection.execute(statement.encode())
        yield
        connection.commit()


@pytest.fixture
def book(database: Make) -> Database:
    """A small PhotoCat on which the runbook's SQL runs."""
    return database(BOOK)


def test_7_one_transaction_for_all_phases_keeps_readers_out(book: Database, sessions: MakeSessions) -> None:
    alembic, reader, other = sessions(book).open("alembic", "reader", "other", role="owner")
    alembic.run("BEGIN")
    alembic.run(runbook.PHASE_1)
    alembic.run(runbook.PHASE_2)
    reader.start("SELECT count(*) FROM machine_tags").wait_until_blocked(by=alembic)
    other.start("SELECT count(*) FROM permatags").wait_until_blocked(by=alembic)
    alembic.run("ROLLBACK")
    assert reader.wait().error is None
    assert other.wait().error is None


def test_7_our_exclusive_locks_are_one_table_and_one_short_transaction_each(book: Database, tmp_path: Path) -> None:
    with closing(LockWatch(book)) as watch:
        Migration(book, tmp_path, sink=watch).to("contract")
    assert len(watch.seen) > 200
    exclusive = 0
    for name, held in watch.seen:
        tables = {table for table, modes in held.items() if "AccessExclusiveLock" in modes}
        assert len(tables) <= 1, f"{name} holds {tables}"
        exclusive += bool(tables)
        if name.endswith((":after-commit", ":intend", ":intended", ":begun", ":finished")):
            assert not tables, f"{name} still holds {tables}"
    assert exclusive > 10, "the watch has seen what it is here to see"
    # Rows are only ever written, and constraints only checked, under locks that let readers and writers pass.
    steps = {"fill:", "backfill"}
    batches = [(name, held) for name, held in watch.seen if any(s in name for s in steps)]
    assert batches
    for name, held in batches:
        assert not any(modes & STRONG for modes in held.values()), f"{name} holds {held}"


def test_7_a_reader_never_waits_behind_our_waiting_ddl(
    book: Database, sessions: MakeSessions, tmp_path: Path, database: Make
) -> None:
    # As the runbook has it: DDL without a timeout waits for a report that reads, and everybody queues behind the DDL.
    theirs = database(BOOK)
    report, alembic, reader = sessions(theirs).open("report", "alembic", "reader", role="owner")
    report.run("BEGIN")
    report.run("SELECT count(*) FROM machine_tags")
    alembic.start(runbook.PHASE_1).wait_until_blocked(by=report)
    reader.start("SELECT count(*) FROM machine_tags").wait_until_blocked(by=alembic)
    report.run("COMMIT")
    assert alembic.wait().error is None and reader.wait().error is None

    waits: list[Event] = []
    migration = Migration(book, tmp_path, sink=lambda e: waits.append(e) if e.kind == "wait" else None)
    ours = sessions(book)
    report, reader = ours.open("report", "reader")
    report.run("BEGIN")
    report.run("SELECT count(*) FROM machine_tags")
    run = ours.background(lambda: migration.to("expand"), "expand")

    def gave_up(times: int) -> bool:
        return len(waits) >= times or run.done

    for tries in (1, 2, 3):
        wait_for(partial(gave_up, tries), f"the run to give up {tries} times")
        assert not run.done, run.wait().error
        # It has let go of its place in the queue each time; the reader and a writer come through while it stands.
        assert reader.attempt("SELECT count(*) FROM machine_tags").error is None
        assert reader.attempt("UPDATE machine_tags SET confidence = 0.5 WHERE id = 1").error is None
        assert not run.done
    assert all("machine_tags" in e.text and "report" in e.text for e in waits), "it says on what it waits, and for whom"
    report.run("COMMIT")
    assert run.wait().error is None


def test_8_the_downgrade_of_phase_4_brings_nothing_back(book: Database, tmp_path: Path, database: Make) -> None:
    indexes = "SELECT indexname FROM pg_indexes WHERE tablename = 'machine_tags' ORDER BY 1"
    before = book.rows(indexes)
    book.run(runbook.PHASE_4)
    book.run(runbook.PHASE_4_DOWNGRADE)
    assert book.rows("SELECT count(*), count(keyword), count(category) FROM machine_tags") == [(80, 0, 0)]
    assert [i for i in before if i not in book.rows(indexes)] == [("ix_machine_tags_type",), ("uq_machine_tags",)]

    ours = Migration(database(BOOK), tmp_path)
    ours.to("constrain")
    kept = checksums(ours.db), dump_schema(ours.db, ledger=False, column_order=False)
    ours.to("contract")
    gone = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'machine_tags'::regclass AND attname = 'keyword'"
    assert ours.db.value(gone) == 0
    ours.back("constrain")
    assert (checksums(ours.db), dump_schema(ours.db, ledger=False, column_order=False)) == kept
    assert set(before) <= set(ours.db.rows(indexes))


def test_9_not_null_scans_under_an_exclusive_lock(
    book: Database, engine: Callable[..., Context], database: Make
) -> None:
    scan, proven = "verifying table", "are sufficient to prove that it does not contain nulls"
    book.run(runbook.PHASE_1)
    book.run(runbook.PHASE_2)
    with book.connect() as connection:
        told = _notices(connection)
        connection.execute("BEGIN")
        connection.execute(runbook.PHASE_3_NOT_NULL.encode())
        modes = connection.execute(
            "SELECT mode FROM pg_locks WHERE relation = 'machine_tags'::regclass AND pid = pg_backend_pid()"
        ).fetchall()
        connection.execute("ROLLBACK")
    assert ("AccessExclusiveLock",) in modes
    assert any(scan in t for t in told), "every row is read while nobody else may read one"

    db = database(BOOK)
    points: list[str] = []
    ctx = engine(db.url, sink=lambda e: points.append(e.name) if e.kind == "point" else None)
    told = _notices(ctx.conn, lambda: points[-1])
    Runner(db.url, ctx.model.spec.source).forward(ctx, "constrain")
    tables = ("machine_tags", "permatags", "image_tags", "keyword_models", "keywords")
    not_null = "SELECT c.relname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE a.attnotnull AND {}"
    required = db.rows(not_null.format("a.attname = 'keyword_id' AND c.relkind = 'r'"))
    assert {r[0] for r in required} == set(tables) - {"keywords"}
    for table in tables:
        proofs = [t for t in told if proven in t and table in t]
        assert proofs, f"NOT NULL of {table} was not taken from its validated CHECK"
    # Rows are read by VALIDATE alone, which lets readers and writers pass: see the next test.
    scans = [t for t in told if scan in t and any(table in t for table in tables)]
    assert len(scans) == len(tables) + 1 and all("-validate" in t for t in scans), scans


def test_9_validate_lets_writers_pass(book: Database, tmp_path: Path) -> None:
    migration = Migration(book, tmp_path)
    migration.to("verify")
    validations = 0
    for step in api.plan(migration.options, "constrain"):
        with book.connect() as connection:
            connection.execute(
                "SET lock_timeout = '30s'"
            )  # a VALIDATE that waits for the writer fails, and does not hang
            for statement in step.do:
                if "VALIDATE" not in statement:
                    connection.execute(statement.encode())
                    continue
                validations += 1
                with open_transaction(book, "UPDATE machine_tags SET confidence = 0.25 WHERE id = 2"):
                    connection.execute("BEGIN")
                    connection.execute(statement.encode())
                    held = connection.execute(
                        "SELECT c.relname, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation "
                        "JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public' "
                        "WHERE l.pid = pg_backend_pid() AND c.relkind = 'r'"
                    ).fetchall()
                    connection.execute("COMMIT")
                assert not [h for h in held if h[1] in STRONG], f"{step.id} holds {held}"
    assert validations >= 8, "a CHECK for each required key, a foreign key for each reference"


def test_9_the_final_checks_find_nothing_and_measure_nothing(book: Database, tmp_path: Path, database: Make) -> None:
    book.run(runbook.PHASE_1)
    book.run(runbook.PHASE_2)
    book.run("UPDATE image_tags SET keyword_id = CASE keyword_id WHEN 1 THEN 4 ELSE 1 END")  # every key is wrong
    assert all(count == 1 for _, _, count in book.rows(runbook.FINAL_CHECK)), "grouped by row id: always 1"
    assert book.value(runbook.FINAL_ORPHANS) == 0
    [(uptime, same)] = book.rows(f"{runbook.QUERY_TIME.rstrip(';')}, now() - pg_postmaster_start_time() AS same")
    assert uptime == same, "`query execution time` is the server's uptime"

    ours = Migration(database(BOOK), tmp_path)
    ours.to("backfill")
    ours.db.run("ALTER TABLE image_tags DISABLE TRIGGER USER")
    ours.db.run("UPDATE image_tags SET keyword_id = CASE keyword_id WHEN 1 THEN 4 ELSE 1 END WHERE tenant_id = 't'")
    ours.db.run("ALTER TABLE image_tags ENABLE TRIGGER USER")
    with pytest.raises(ProofFailed) as failed:
        ours.to("verify")
    assert "image_tags" in str(failed.value) and "10" in str(failed.value), "every wrong row is counted"


def _notices(connection: psycopg.Connection, when: Callable[[], str] = lambda: "") -> list[str]:
    """Listens to what the server tells a session, each with the engine's point after which it was told."""
    told: list[str] = []
    connection.add_notice_handler(lambda d: told.append(f"{d.message_primary} ({when()})"))
    connection.execute("SET client_min_messages = debug1")
    return told
