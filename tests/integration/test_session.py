"""Opening a run on real servers: one at a time, after any death, and nothing is left by one that may not begin."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest

import mini
from fix_proxy import PassThrough, TransactionPool
from fix_servers import OWNER, Database
from fix_sessions import Sessions, wait_for
from normalform.core.events import Event
from normalform.db import ledger
from normalform.db.connect import Connector
from normalform.db.session import LOCK_CLASS, LOCK_RUNNER, open_run, read_model
from normalform.db.work import Context, transaction
from normalform.errors import DatabaseRefused, FencedOut, Interrupted, LockHeld, NormalformError, SpecError, UsageError
from steps import Ear

Databases = Callable[..., Database]
Engine = Callable[..., Context]
SessionsOf = Callable[[Database], Sessions]
BROKEN = mini.SPEC_TEXT.replace('text = "keyword"', 'text = "keywrod"')


@pytest.fixture
def db(database: Databases) -> Database:
    return database("mini", mini.SCHEMA + mini.DATA)


def begin(db: Database, ear: Ear | None = None, spec: str | None = mini.SPEC_TEXT) -> None:
    """One run that does nothing."""
    with open_run(db.url, spec, "test", sink=ear or Ear()):
        pass


CHILD = """
import sys
from normalform.db.execute import do_steps
from normalform.db.session import open_run
import mini, steps
with open_run(sys.argv[1], mini.SPEC_TEXT, "child") as ctx:
    print(ctx.run, ctx.conn.info.backend_pid, flush=True)
    if sys.argv[2] == "build":
        do_steps(ctx, [steps.index("ix_child")], {})
    sys.stdin.read()
"""


@contextmanager
def child(db: Database, what: str) -> Iterator[tuple[subprocess.Popen[str], int, int]]:
    """A runner in a process of its own: (process, run, backend). Killed in the end if it still lives."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, db.url, what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert process.stdout is not None
        run, pid = process.stdout.readline().split()
        yield process, int(run), int(pid)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


# ----------------------------------------------------------------------------------------------- one at a time


@pytest.mark.slow
def test_a_second_runner_is_told_who_holds_the_database(db: Database, engine: Engine) -> None:
    ctx = engine(db.url)
    with pytest.raises(LockHeld) as caught:
        begin(db)
    error = caught.value
    assert error.exit_status == 5
    assert error.hint == "normalform status"
    assert f"run {ctx.run}, `test`, {ledger.person()} on " in error.message
    assert f"process {os.getpid()} there" in error.message
    assert f"(role {OWNER}, from the local socket, since " in error.message
    assert db.value("SELECT count(*) FROM normalform.run") == 1, "it left nothing"


@pytest.mark.slow
def test_the_lock_is_told_before_there_is_a_ledger(db: Database) -> None:
    with Connector(db.url).open("lock") as other:
        other.execute("SELECT pg_advisory_lock(%s, %s)", (LOCK_CLASS, LOCK_RUNNER))
        with pytest.raises(LockHeld, match=f"process {other.info.backend_pid} "):
            begin(db)
    assert db.value("SELECT to_regnamespace('normalform') IS NULL")


@pytest.mark.slow
def test_of_many_runners_one_goes(db: Database) -> None:
    ready, go_on = threading.Barrier(4), threading.Event()
    outcomes: list[str] = []

    def run() -> None:
        ready.wait()
        try:
            with open_run(db.url, mini.SPEC_TEXT, "test"):
                outcomes.append("went")
                go_on.wait(60)
        except LockHeld:
            outcomes.append("held")
            if outcomes.count("held") == 3:
                go_on.set()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert sorted(outcomes) == ["held", "held", "held", "went"]


def test_runners_of_different_databases_do_not_meet(db: Database, engine: Engine) -> None:
    other = db.cluster.create("mini")
    engine(db.url)
    engine(other.url)


def test_the_lock_is_held_outside_every_transaction(db: Database, engine: Engine) -> None:
    """CORRECTNESS 27: a lock that waits in a transaction deadlocks with CREATE INDEX CONCURRENTLY."""
    engine(db.url)
    rows = db.rows(
        "SELECT a.application_name, a.state, a.xact_start FROM pg_stat_activity a JOIN pg_locks l USING (pid) "
        f"WHERE l.locktype = 'advisory' AND l.classid = {LOCK_CLASS} AND l.granted"
    )
    assert rows == [("normalform/0/lock", "idle", None)]


@pytest.mark.slow
def test_a_second_runner_never_waits_in_the_server(db: Database, engine: Engine, sessions: SessionsOf) -> None:
    """It asks again and again instead; while it does, nothing of it waits for a lock."""
    engine(db.url)
    all_sessions = sessions(db)
    running = all_sessions.background(lambda: begin(db))
    seen: list[object] = []

    def look() -> bool:
        seen.extend(all_sessions.monitor.rows("SELECT pid FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"))
        return running.done

    wait_for(look, "the second runner to give up")
    assert seen == []
    assert isinstance(running.wait().error, LockHeld)


def test_when_a_run_ends_the_next_begins(db: Database) -> None:
    begin(db)
    begin(db)
    assert db.rows("SELECT id, outcome FROM normalform.run ORDER BY id") == [(1, "done"), (2, "done")]
    assert db.value("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'normalform/%'") == 0


# ------------------------------------------------------------------------------------------------- after a death


@pytest.mark.slow
def test_after_a_killed_runner_the_next_goes_on(db: Database) -> None:
    with child(db, "idle") as (process, run, _):
        assert db.value(f"SELECT token = {run} FROM normalform.control")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        begin(db)
    assert db.rows("SELECT id, outcome FROM normalform.run ORDER BY id") == [(run, None), (run + 1, "done")]


@pytest.mark.slow
def test_a_resumed_run_waits_for_the_backend_that_still_builds(db: Database, sessions: SessionsOf) -> None:
    """CORRECTNESS 26: it probes only when what the killed one had begun has ended."""
    all_sessions = sessions(db)
    holder = all_sessions.one("photocat")
    holder.run("BEGIN; UPDATE public.machine_tags SET confidence = 0.1 WHERE id = 1")
    with child(db, "build") as (process, _, backend):
        wait_for(lambda: holder.pid in all_sessions.monitor.blockers(backend), "the build to wait")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with open_run(db.url, mini.SPEC_TEXT, "test") as ctx:
            gone = ctx.conn.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", (backend,)).fetchone()
            assert gone == (0,)
            assert ledger.step_states(ctx.conn) == {"expand/ix_child": "intended"}
    holder.run("COMMIT")


@pytest.mark.parametrize("role", ["main", "worker-1"])
def test_it_says_for_which_sessions_it_waits(db: Database, sessions: SessionsOf, role: str) -> None:
    begin(db)
    ear = Ear()
    all_sessions = sessions(db)
    with Connector(db.url, run=1).open(role) as old:
        running = all_sessions.background(lambda: begin(db, ear))
        wait_for(lambda: ear.waits, "the wait to be told")
        assert not running.done
        pid = old.info.backend_pid
    assert running.wait().error is None
    assert ear.waits == [f"waiting for processes {pid} of an earlier run"], "once, and not at every look"


def test_the_main_session_is_known_by_its_run(db: Database, engine: Engine) -> None:
    """Else nobody could tell a killed runner's main session from one that only looks."""
    ctx = engine(db.url)
    assert ctx.conn.execute("SHOW application_name").fetchone() == (f"normalform/{ctx.run}/main",)


def test_sessions_that_only_look_are_not_waited_for(db: Database) -> None:
    ear = Ear()
    with Connector(db.url).open("status"), Connector(db.url).open("plan"):
        begin(db, ear)
    assert ear.waits == []


def test_an_application_cannot_keep_us_waiting_by_its_name(db: Database) -> None:
    ear = Ear()
    with db.connect("app", application_name="normalform/1/main"):
        begin(db, ear)
    assert ear.waits == []


def test_ctrl_c_while_waiting(db: Database) -> None:
    begin(db)
    stop = threading.Event()

    def sink(event: Event) -> None:
        if event.kind == "wait":
            stop.set()

    def run() -> None:
        with open_run(db.url, mini.SPEC_TEXT, "test", sink=sink, stop=stop):
            pytest.fail("it must not begin")

    with Connector(db.url, run=1).open("worker-1"), pytest.raises(Interrupted):
        run()
    assert db.rows("SELECT outcome FROM normalform.run WHERE id = 2") == [("interrupted",)]


def test_a_run_that_lost_its_lock_changes_nothing_more(db: Database, engine: Engine, sessions: SessionsOf) -> None:
    """The session with the lock died; somebody else begins; our next transaction is refused."""
    ctx = engine(db.url)
    monitor = sessions(db).monitor
    [(pid,)] = monitor.rows("SELECT pid FROM pg_stat_activity WHERE application_name = 'normalform/0/lock'")
    monitor.terminate(pid)
    background = sessions(db).background(lambda: begin(db))
    monitor.wait_for("SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory'")

    def fenced() -> bool:
        try:
            with transaction(ctx, ctx.conn, "x"):
                ctx.conn.execute("SELECT 1")
        except FencedOut:
            return True
        return False

    wait_for(fenced, "the token to be taken")
    ctx.conn.close()  # the newer run waits for our session
    assert background.wait().error is None


def test_the_server_goes_away(db: Database, proxies: ExitStack) -> None:
    """What went wrong first is what is said, whatever cannot be recorded any more."""
    proxy = proxies.enter_context(PassThrough(db))

    def cut_off() -> None:
        with open_run(proxy.url(), mini.SPEC_TEXT, "test") as ctx:
            proxy.cut()
            ctx.conn.execute("SELECT 1")

    def failing_first() -> None:
        with open_run(db.url, mini.SPEC_TEXT, "test") as ctx:
            ctx.conn.close()
            raise NormalformError("what happened first")

    with pytest.raises(psycopg.OperationalError):
        cut_off()
    with pytest.raises(NormalformError, match="what happened first"):
        failing_first()
    begin(db)
    assert [r[0] for r in db.rows("SELECT outcome FROM normalform.run ORDER BY id")] == [None, None, "done"]


def test_a_pooling_proxy_is_refused_before_anything_is_made(db: Database, proxies: ExitStack) -> None:
    proxy = proxies.enter_context(TransactionPool(db, 2))
    with pytest.raises(DatabaseRefused, match="pools transactions"), open_run(proxy.url(), mini.SPEC_TEXT, "test"):
        pytest.fail("it must not begin")
    assert db.value("SELECT to_regnamespace('normalform') IS NULL")


# --------------------------------------------------------------------------------------------- spec and baseline


@pytest.mark.parametrize("spec", [BROKEN, "version = 2", "not TOML", mini.SPEC_TEXT.replace("public.people", "peple")])
def test_a_spec_that_does_not_fit_leaves_no_ledger(db: Database, spec: str) -> None:
    with pytest.raises(SpecError):
        begin(db, spec=spec)
    assert db.value("SELECT to_regnamespace('normalform') IS NULL")


def test_nor_does_it_replace_the_one_that_is_kept(db: Database) -> None:
    begin(db)
    with pytest.raises(SpecError, match="has no column keywrod; did you mean keyword"):
        begin(db, spec=BROKEN)
    assert db.rows("SELECT spec, token FROM normalform.control") == [(mini.SPEC_TEXT, 1)]
    assert db.value("SELECT count(*) FROM normalform.run") == 1


def test_without_a_spec_the_kept_one_is_taken(db: Database) -> None:
    begin(db)
    with open_run(db.url, None, "test") as ctx:
        assert ctx.model.spec.source == mini.SPEC_TEXT


@pytest.mark.parametrize("spec", [None, ""])
def test_no_spec_at_all(db: Database, spec: str | None) -> None:
    with pytest.raises(UsageError, match="none was given and the database keeps none"):
        begin(db, spec=spec)
    assert db.value("SELECT to_regnamespace('normalform') IS NULL")


def test_the_tables_are_kept_as_they_are_until_something_is_done(db: Database) -> None:
    begin(db)
    db.run("ALTER TABLE public.keywords ADD COLUMN newer int")
    with open_run(db.url, mini.SPEC_TEXT, "test") as ctx:
        assert "newer" in {c.name for t in ctx.baseline.values() for c in t.columns}, "nothing was done yet"
        ledger.begin_phase(ctx.conn, ctx.run, "resolve", "doing")
    db.run("ALTER TABLE public.keywords ADD COLUMN newest int")
    with open_run(db.url, mini.SPEC_TEXT, "test") as ctx:
        assert "newest" not in {c.name for t in ctx.baseline.values() for c in t.columns}
        assert "newest" in {c.name for t in ctx.model.catalog for c in t.columns}


def test_options_reach_the_context(db: Database) -> None:
    stop = threading.Event()
    with open_run(db.url, mini.SPEC_TEXT, "x", strategy="window", workers=3, options={"mask": True}, stop=stop) as ctx:
        assert (ctx.strategy, ctx.workers, ctx.options, ctx.stop) == ("window", 3, {"mask": True}, stop)
        assert ctx.connector == Connector(db.url, ctx.run)
    with open_run(db.url, mini.SPEC_TEXT + "[backfill]\nworkers = 5\n", "x") as ctx:
        assert ctx.workers == 5, "the spec's, unless said otherwise"


def test_a_column_that_is_ours_is_known_by_the_baseline(db: Database) -> None:
    """Added since, by us: the spec fits. There before: it does not."""
    begin(db)
    with open_run(db.url, mini.SPEC_TEXT, "test") as ctx:
        ledger.begin_phase(ctx.conn, ctx.run, "expand", "doing")
        ctx.conn.execute("ALTER TABLE public.machine_tags ADD COLUMN keyword_id int")
        assert read_model(ctx.conn, mini.spec()).reference("machine_tags").key_present
    other = db.cluster.create("mini")
    other.run("ALTER TABLE public.machine_tags ADD COLUMN keyword_id int")
    with pytest.raises(SpecError, match=r"machine_tags\.keyword_id exists already and is not ours"):
        begin(other)
