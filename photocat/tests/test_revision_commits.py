"""Each revision is committed by itself, beside no transaction of Alembic's; one that stops can be resumed or undone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import create_engine, pool

import normalform
from compare import checksums, dump_schema
from fix_alembic import Alembic, revision_of
from fix_servers import Database
from normalform import api
from normalform.core.events import Event
from normalform.errors import Interrupted
from normalform.log_sink import LogSink
from photocat import sample
from photocat.database import driver_url
from sample_data import DECIDED, options
from test_revisions import BACKFILL, CONSTRAIN, CONTRACT, EXPAND, LEGACY

Make = Callable[..., Database]


@pytest.mark.slow
def test_what_went_before_stays_when_a_later_revision_stops(database: Make, alembic: Alembic) -> None:
    db = database(DECIDED)
    db.run("CREATE VIEW tagged AS SELECT image_id, keyword FROM image_tags")
    ended = alembic(db, "upgrade", "head")
    assert (ended.status, revision_of(db)) == (1, [CONSTRAIN]), ended.log
    assert "gate dependents is closed" in ended.printed
    assert "tagged" in ended.log
    assert api.status(options(db.url), collisions=False).last == "constrain"
    db.run("DROP VIEW tagged")
    ended = alembic(db, "upgrade", "head")
    assert (ended.status, revision_of(db)) == (0, [CONTRACT]), ended.log
    assert ended.log.count("Running upgrade") == 1


def test_alembics_own_session_is_idle_while_a_phase_runs(
    db: Database, alembic: Alembic, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = """
        SELECT state, xact_start IS NULL, backend_xmin IS NULL,
               (SELECT count(*) FROM pg_locks l WHERE l.pid = a.pid),
               (SELECT version_num FROM alembic_version)
        FROM pg_stat_activity a WHERE application_name = 'photocat-alembic' AND datname = current_database()"""
    seen: dict[str, Any] = {}
    carry_out = api.phase

    def watched(given: api.Options, name: str) -> None:
        carry_out(given, name)
        seen[name] = db.rows(query)

    monkeypatch.setattr(api, "phase", watched)
    # One by one: only the first revision of a command finds that Alembic has read its table before.
    for revision in (LEGACY, EXPAND, BACKFILL, CONSTRAIN, CONTRACT):
        assert alembic(db, "upgrade", revision).status == 0
    assert seen == {
        "expand": [("idle", True, True, 0, LEGACY)],
        "backfill": [("idle", True, True, 0, EXPAND)],
        "verify": [("idle", True, True, 0, BACKFILL)],
        "constrain": [("idle", True, True, 0, BACKFILL)],
        "contract": [("idle", True, True, 0, CONSTRAIN)],
    }


def test_a_transaction_around_the_revisions_is_refused(db: Database, alembic: Alembic) -> None:
    assert alembic(db, "upgrade", LEGACY).status == 0
    config = Config(sample.FOLDER / "alembic.ini")
    script = ScriptDirectory.from_config(config)
    engine = create_engine(driver_url(db.url), poolclass=pool.NullPool)

    def upgrade(rev: Any, context: Any) -> Any:
        return script._upgrade_revs("head", rev)

    with EnvironmentContext(config, script, fn=upgrade) as environment, engine.begin() as connection:
        environment.configure(connection=connection)
        with pytest.raises(CommandError, match="holds a transaction around the migrations"):
            environment.run_migrations()
    assert api.status(api.Options(db.url), collisions=False).last == "start"
    assert revision_of(db) == [LEGACY]


def test_what_stands_is_said_where_alembic_has_nothing_to_do(db: Database, alembic: Alembic) -> None:
    """Phases may have been taken back by the command line, which no revision knows of."""
    assert alembic(db, "upgrade", "head").status == 0
    assert "the last phase that stands is contract" in alembic(db, "upgrade", "head").log
    api.rollback(options(db.url), "backfill")
    ended = alembic(db, "upgrade", "head")
    assert (ended.status, revision_of(db)) == (0, [CONTRACT])
    assert "the last phase that stands is backfill" in ended.log


def test_a_url_that_leads_elsewhere_is_refused(database: Make, alembic: Alembic) -> None:
    """An engine that makes its connections itself, and whose URL names another database."""
    here, there = database(), database()
    for db in (here, there):
        assert alembic(db, "upgrade", LEGACY).status == 0
    config = Config(str(sample.FOLDER / "alembic.ini"))
    script = ScriptDirectory.from_config(config)
    engine = create_engine(driver_url(there.url), poolclass=pool.NullPool, creator=lambda: psycopg.connect(here.url))

    def upgrade(rev: Any, context: Any) -> Any:
        return script._upgrade_revs("head", rev)

    with EnvironmentContext(config, script, fn=upgrade) as environment, engine.connect() as connection:
        environment.configure(connection=connection, transaction_per_migration=True)
        with environment.begin_transaction(), pytest.raises(CommandError, match="is not in the database that its URL"):
            environment.run_migrations()
        config.attributes["normalform_url"] = here.url
        environment.configure(connection=connection, transaction_per_migration=True)
        with environment.begin_transaction():
            environment.run_migrations()
    assert (revision_of(here), revision_of(there)) == ([CONTRACT], [LEGACY])


def stop_at(monkeypatch: pytest.MonkeyPatch, phase: str, step: int) -> pytest.MonkeyPatch:
    """Let the phase end as if somebody had pressed Ctrl-C before one of its steps."""

    def sink(self: LogSink, event: Event) -> None:
        if event.kind == "step" and event.name.startswith(f"{phase}/") and event.done == step:
            raise Interrupted("stopped", hint="run the same command again")

    monkeypatch.setattr(LogSink, "__call__", sink)
    return monkeypatch


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phase", "step", "before"),
    [("expand", 9, LEGACY), ("backfill", 3, EXPAND), ("constrain", 20, BACKFILL), ("contract", 53, CONSTRAIN)],
)
def test_a_failed_phase_is_taken_back_by_the_runbooks_downgrade_and_done_by_the_next_upgrade(
    database: Make, alembic: Alembic, monkeypatch: pytest.MonkeyPatch, phase: str, step: int, before: str
) -> None:
    """Alembic alone would find nothing to do: the revision that failed was never recorded."""
    db = database(DECIDED)
    assert alembic(db, "upgrade", before).status == 0
    schema, sums = dump_schema(db, ledger=False, column_order=False), checksums(db)
    for _ in range(2):
        with monkeypatch.context() as patch:
            stop_at(patch, phase, step)
            ended = alembic(db, "upgrade", "head")
        assert (ended.status, "stopped" in ended.printed) == (1, True), ended
        assert revision_of(db) == [before]
        assert api.status(options(db.url), collisions=False).last != phase
        if phase != "backfill":
            assert dump_schema(db, ledger=False, column_order=False) != schema
        ended = alembic(db, "downgrade", before)
        assert (ended.status, f"{phase} was left half-way" in ended.log) == (0, True), ended.log
        assert dump_schema(db, ledger=False, column_order=False) == schema
        assert checksums(db) == sums
    stop_at(monkeypatch, phase, step)
    assert alembic(db, "upgrade", "head").status == 1
    monkeypatch.undo()
    ended = alembic(db, "upgrade", "head")
    assert (ended.status, revision_of(db)) == (0, [CONTRACT]), ended.log


def test_a_target_that_alembic_does_not_know_takes_nothing_back(
    db: Database, alembic: Alembic, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert alembic(db, "upgrade", LEGACY).status == 0
    with monkeypatch.context() as patch:
        stop_at(patch, "expand", 9)
        assert alembic(db, "upgrade", EXPAND).status == 1
    schema = dump_schema(db)
    ended = alembic(db, "downgrade", "20260120080x")
    assert ended.status == 1
    assert "Can't locate revision" in " ".join(ended.printed.split())
    assert dump_schema(db) == schema
    assert "taken back" not in ended.log


def test_a_downgrade_that_stopped_is_not_taken_for_the_head(
    db: Database, alembic: Alembic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alembic has contract recorded until its downgrade has ended: `upgrade head` alone would find nothing to do."""
    assert alembic(db, "upgrade", "head").status == 0
    with monkeypatch.context() as patch:
        stop_at(patch, "contract", 3)
        assert alembic(db, "downgrade", CONSTRAIN).status == 1
    assert revision_of(db) == [CONTRACT]
    ended = alembic(db, "upgrade", "head")
    assert ended.status == 1
    assert "contract was being taken back and stopped half-way" in " ".join(ended.printed.split())
    assert alembic(db, "downgrade", CONSTRAIN).status == 0
    assert alembic(db, "upgrade", "head").status == 0
    assert revision_of(db) == [CONTRACT]


def test_ctrl_c_ends_a_phase_between_two_steps(db: Database, alembic: Alembic, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = LogSink.__call__

    def pressing(self: LogSink, event: Event) -> None:
        usual(self, event)
        if event.name == "expand/permatags/key":
            os.kill(os.getpid(), signal.SIGINT)

    assert alembic(db, "upgrade", LEGACY).status == 0
    with monkeypatch.context() as patch:
        patch.setattr(LogSink, "__call__", pressing)
        ended = alembic(db, "upgrade", EXPAND)
    assert (ended.status, revision_of(db)) == (1, [LEGACY])
    assert "FAILED: stopped" in ended.printed
    assert alembic(db, "upgrade", EXPAND).status == 0


def test_a_phase_that_the_command_line_did_is_recorded_and_not_done_twice(db: Database, alembic: Alembic) -> None:
    assert alembic(db, "upgrade", LEGACY).status == 0
    api.run(options(db.url), until="backfill")
    ended = alembic(db, "upgrade", BACKFILL)
    assert (ended.status, revision_of(db)) == (0, [BACKFILL])
    assert "expand: done before; nothing to do" in ended.log
    assert "backfill: done before; nothing to do" in ended.log
    api.rollback(options(db.url), "resolve")
    ended = alembic(db, "downgrade", LEGACY)
    assert (ended.status, revision_of(db)) == (0, [LEGACY])
    assert "expand: nothing of it stands" in ended.log


def test_the_downgrade_to_base_leaves_nothing(database: Make, alembic: Alembic) -> None:
    db = database()
    before = dump_schema(db)
    assert alembic(db, "upgrade", "head").status == 0
    ended = alembic(db, "downgrade", "base")
    assert (ended.status, revision_of(db)) == (0, []), ended.log
    db.run("DROP TABLE alembic_version")
    assert dump_schema(db) == before


@pytest.mark.slow
def test_decisions_outlast_a_downgrade_and_go_with_the_tables(database: Make, alembic: Alembic) -> None:
    db = database(DECIDED)
    sums = checksums(db)
    for revision in (LEGACY, EXPAND, LEGACY):
        command = "upgrade" if revision == EXPAND else "downgrade"
        assert alembic(db, command, revision).status == 0
    assert checksums(db) == sums
    assert db.value("SELECT count(*) FROM normalform.decision") > 0
    ended = alembic(db, "downgrade", "base")
    assert (ended.status, revision_of(db)) == (0, []), ended.log
    assert db.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'normalform'") == 0


def test_a_refusal_of_the_server_is_said_and_no_traceback(database: Make, alembic: Alembic) -> None:
    db = database()
    assert alembic(db, "upgrade", LEGACY).status == 0
    refuse = "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'not today'; END$$"
    db.run(f"{refuse}; CREATE EVENT TRIGGER no ON ddl_command_start WHEN TAG IN ('ALTER TABLE') "
           "EXECUTE FUNCTION refuse()", role="admin")  # fmt: skip
    ended = alembic(db, "upgrade", EXPAND)
    assert (ended.status, revision_of(db)) == (1, [LEGACY])
    assert "FAILED: the database refused: not today (SQLSTATE P0001)" in " ".join(ended.printed.split())
    assert "the same command resumes" in ended.log
    db.run("DROP EVENT TRIGGER no", role="admin")
    assert alembic(db, "upgrade", EXPAND).status == 0


@pytest.mark.parametrize(
    ("command", "range_", "instead"),
    [
        ("upgrade", f"{LEGACY}:{EXPAND}", "normalform plan expand --sql"),
        ("downgrade", f"{CONTRACT}:{CONSTRAIN}", "normalform rollback --to constrain"),
    ],
)
def test_sql_is_refused_with_the_command_that_prints_it(
    db: Database, alembic: Alembic, command: str, range_: str, instead: str
) -> None:
    ended = alembic(db, command, range_, "--sql")
    assert ended.status == 1
    assert "works in many transactions" in " ".join(ended.printed.split())
    assert instead in " ".join(ended.printed.split())


def test_a_window_is_asked_for_by_x(db: Database, alembic: Alembic, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[api.Options] = []
    carry_out = api.phase

    def watched(given_options: api.Options, name: str) -> None:
        given.append(given_options)
        carry_out(given_options, name)

    monkeypatch.setattr(api, "phase", watched)
    arguments = ("-x", "strategy=window", "-x", "workers=2", "-x", "waive=a", "-x", "waive=b", "-x", "theirs=1")
    assert alembic(db, *arguments, "upgrade", EXPAND).status == 0
    [one] = given
    assert (one.strategy, one.workers, one.waive, one.uniques, one.mask) == ("window", 2, ("a", "b"), "late", False)


@pytest.mark.parametrize(
    ("argument", "said"),
    [("strategy=later", "none of live, window"), ("workers=9", "no number from 1 to 8"), ("mask=1", "none of true")],
)
def test_a_wrong_x_is_said(db: Database, alembic: Alembic, argument: str, said: str) -> None:
    assert alembic(db, "upgrade", LEGACY).status == 0
    ended = alembic(db, "-x", argument, "upgrade", EXPAND)
    assert (ended.status, revision_of(db)) == (1, [LEGACY])
    assert said in " ".join(ended.printed.split())


def test_the_command_in_the_folder_speaks_to_the_terminal_and_keeps_its_log(db: Database, tmp_path: Path) -> None:
    for name in ("alembic.ini", "normalform.toml"):
        shutil.copy(sample.FOLDER / name, tmp_path)
    shutil.copytree(sample.FOLDER / "alembic", tmp_path / "alembic", ignore=shutil.ignore_patterns("*.log"))
    path = ":".join(str(Path(module.__file__ or "").parents[1]) for module in (normalform, sample))
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=tmp_path,
        env={"PHOTOCAT_DATABASE_URL": db.url, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    log = (tmp_path / "alembic" / "alembic.log").read_text("utf-8")
    for text in ("columns added: keywords.tenant_id", "contract: done in"):
        assert text in done.stderr
        assert text in log
    assert revision_of(db) == [CONTRACT]
