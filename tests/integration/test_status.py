"""Status on real servers: who works, who waits for whom, and what our role may not see."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import mini
from fix_servers import Database
from fix_sessions import Sessions, wait_for
from normalform.db import ledger, status
from normalform.db.connect import Connector
from normalform.db.execute import do_steps
from normalform.db.session import open_run
from normalform.db.status import Status
from normalform.errors import GateClosed
from normalform.runner import Runner
from steps import index

Databases = Callable[..., Database]
SessionsOf = Callable[[Database], Sessions]


@pytest.fixture
def db(database: Databases) -> Database:
    return database("mini", mini.SCHEMA + mini.DATA)


def read(db: Database) -> Status:
    with Connector(db.url).open("status") as conn:
        return status.read(conn)


def test_nothing_is_there(db: Database) -> None:
    found = read(db)
    assert (found.installed, found.last, found.runs, found.running) == (False, "start", (), None)
    assert {p.state for p in found.phases} == {"open"}


@pytest.mark.slow
def test_phases_runs_and_works(db: Database) -> None:
    runner = Runner(db.url, mini.SPEC_TEXT)
    runner.advance("expand")
    runner.advance("backfill")
    found = read(db)
    assert found.last == "backfill"
    states = {p.name: p.state for p in found.phases}
    assert states == dict.fromkeys(states, "open") | dict.fromkeys(("resolve", "expand", "backfill"), "done")
    assert all(p.ended_at is not None and p.seconds is not None for p in found.phases if p.state == "done")
    assert [r.command for r in found.runs] == ["run --until backfill", "run --until expand"]
    assert found.running is None
    filled = {w.work: w for w in found.works if w.work.startswith("fill:")}
    assert filled
    assert all(w.blocks_done == w.blocks for w in filled.values())
    assert {t[0]: t[3] for t in found.tally if t[1] == "qualified"}["machine_tags"] > 0
    assert not found.fenced


def test_a_run_that_was_killed_shows_as_running(db: Database) -> None:
    with open_run(db.url, mini.SPEC_TEXT, "the one"):
        running = read(db).running
        assert running is not None
        assert (running.command, running.person) == ("the one", ledger.person())
    assert read(db).running is None


def test_how_a_run_ended_is_shown(db: Database) -> None:
    def run() -> None:
        with open_run(db.url, mini.SPEC_TEXT, "the one"):
            raise GateClosed("order", ["not yet"])

    with pytest.raises(GateClosed):
        run()
    [shown] = read(db).runs
    assert (shown.outcome, shown.detail) == ("gate", "gate order is closed")


@pytest.mark.parametrize("monitor", [False, True])
def test_it_names_whom_a_build_waits_for(
    db: Database, sessions: SessionsOf, monitor: bool, monitor_right: Callable[[], None]
) -> None:
    """CORRECTNESS 19: a build may wait for hours, so it must be seen for whom. What we may not see is unknown (28)."""
    if monitor:
        monitor_right()
    all_sessions = sessions(db)
    report = all_sessions.one("nightly-report")
    report.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")

    def run() -> None:
        with open_run(db.url, mini.SPEC_TEXT, "test") as ctx:
            do_steps(ctx, [index("ix")], {})

    running = all_sessions.background(run)
    wait_for(lambda: read(db).waiting, "the build to wait")
    [waiting] = read(db).waiting
    assert waiting.role == "main"
    assert waiting.query.startswith("CREATE  INDEX CONCURRENTLY ix")
    [holder] = waiting.holders
    seen = "idle in transaction for " if monitor else "state unknown"
    assert holder.startswith(f"process {report.pid} (nightly-report, {seen}")
    assert read(db).sees_all is monitor
    report.run("COMMIT")
    assert running.wait().error is None
    assert read(db).waiting == ()
