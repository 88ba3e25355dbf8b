"""How steps wait for locks: never long before metadata, as long as it takes for builds that block nobody."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

import mini
from fix_servers import Database
from fix_sessions import Sessions, wait_for
from normalform.core.events import Event
from normalform.core.plan import Mode
from normalform.db.execute import do_steps, undo_steps
from normalform.db.session import open_run
from normalform.db.work import Context
from normalform.errors import Interrupted
from steps import Ear, Stopped, column, columns_of, index, leftovers, states, stop

Databases = Callable[..., Database]
Engine = Callable[..., Context]
SessionsOf = Callable[[Database], Sessions]


@pytest.fixture
def db(database: Databases) -> Database:
    return database("mini", mini.SCHEMA + mini.DATA)


@pytest.mark.slow
@pytest.mark.parametrize("monitor", [False, True])
def test_it_waits_for_who_holds_the_table_and_says_who(
    db: Database, sessions: SessionsOf, monitor: bool, monitor_right: Callable[[], None]
) -> None:
    """As far as our role may see: without pg_monitor the state of another role's session is unknown."""
    shown = "idle in transaction for " if monitor else "state unknown)"
    if monitor:
        monitor_right()
    all_sessions = sessions(db)
    app = all_sessions.one("photocat-web")
    app.run("BEGIN; SELECT count(*) FROM public.machine_tags")
    ear = Ear()

    def run() -> None:
        with open_run(db.url, mini.SPEC_TEXT, "test", sink=ear) as ctx:
            do_steps(ctx, [column("a")], {})

    running = all_sessions.background(run)
    wait_for(lambda: len(ear.waits) >= 2, "two tries to give up")
    assert "a" not in columns_of(db)
    app.run("COMMIT")
    assert running.wait().error is None
    assert "a" in columns_of(db)
    who = f'"public"."machine_tags" is held by process {app.pid} (photocat-web, {shown}'
    assert all(who in text for text in ear.waits), ear.waits
    assert [text.split(":")[0] for text in ear.waits] == [f"try {n + 1}" for n in range(len(ear.waits))]


@pytest.mark.slow
def test_readers_pass_between_two_tries(db: Database, sessions: SessionsOf) -> None:
    """The queue behind us is let go: a reader that came after our try is answered while the table is still held."""
    all_sessions = sessions(db)
    app, reader = all_sessions.open("holder", "reader")
    app.run("BEGIN; SELECT count(*) FROM public.machine_tags")
    ear = Ear()

    def run() -> None:
        with open_run(db.url, mini.SPEC_TEXT, "test", sink=ear) as ctx:
            do_steps(ctx, [column("a")], {})

    running = all_sessions.background(run)
    engine_pid = all_sessions.monitor.wait_until_blocked("normalform/%/main")
    assert engine_pid != app.pid
    assert reader.run("SELECT count(*) FROM public.machine_tags") == [(80,)]
    assert not running.done
    app.run("COMMIT")
    assert running.wait().error is None


SEEN = "INSERT INTO public.seen SELECT {name}, current_setting('lock_timeout'), current_setting('statement_timeout')"


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (Mode.TRANSACTION, ("700ms", "700ms")),
        (Mode.REWRITE, ("700ms", "0")),
        (Mode.CONCURRENT, ("0", "0")),
    ],
)
def test_every_statement_runs_under_its_policy(
    db: Database, engine: Engine, mode: Mode, expected: tuple[str, str]
) -> None:
    """CORRECTNESS 18 and 19: metadata never without both timeouts, concurrent builds with neither."""
    db.run("CREATE TABLE public.seen (what text, lock_timeout text, statement_timeout text)")
    ctx = engine(db.url)
    step = column(
        "x",
        do=(SEEN.format(name="'do 1'"), SEEN.format(name="'do 2'")),
        undo=(SEEN.format(name="'undo'"),),
        done="SELECT EXISTS (SELECT FROM public.seen WHERE what = 'do 2')",
        gone="SELECT EXISTS (SELECT FROM public.seen WHERE what = 'undo')",
        mode=mode,
        undo_mode=mode,
    )
    do_steps(ctx, [step], {})
    undo_steps(ctx, "expand", {})
    assert db.rows("SELECT * FROM public.seen") == [(what, *expected) for what in ("do 1", "do 2", "undo")]
    shown = ctx.conn.execute("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')").fetchone()
    assert shown == ("0", "0"), "nothing of it stays with the session"


def test_metadata_that_takes_too_long_gives_up_and_comes_again(db: Database, engine: Engine) -> None:
    """The second lock of ADD FOREIGN KEY is waited for while the first is held: statement_timeout bounds both."""
    ear = Ear()
    ctx = engine(db.url, sink=ear)

    def sink(event: Event) -> None:
        ear(event)
        if event.kind == "wait":
            ctx.stop.set()

    ctx.sink = sink
    slow = column("a", do=("LOCK TABLE public.machine_tags IN ACCESS EXCLUSIVE MODE", "SELECT pg_sleep(600)"))
    with pytest.raises(Interrupted):
        do_steps(ctx, [slow], {})
    assert len(ear.waits) == 1
    assert db.value("SELECT count(*) FROM pg_locks WHERE relation = 'public.machine_tags'::regclass") == 0


def test_a_table_that_our_role_may_not_see_into(db: Database, engine: Engine) -> None:
    """Nobody holds it any more when we ask: it says so and does not guess."""
    ear = Ear()
    ctx = engine(db.url, sink=ear)
    tries: list[int] = []

    def refuse_once() -> None:
        if not tries:
            tries.append(1)
            raise psycopg.errors.LockNotAvailable

    ear.at["expand/a:0:before"] = refuse_once
    do_steps(ctx, [column("a")], {})
    [text] = ear.waits
    assert "a session that has ended since, or that our role may not see (pg_monitor shows it)" in text


def test_a_unique_that_does_not_hold_leaves_nothing_that_refuses_writes(db: Database, engine: Engine) -> None:
    """CORRECTNESS 20: 23505 is an answer and no retry, and the invalid index goes at once."""
    ear = Ear()
    ctx = engine(db.url, sink=ear)
    with pytest.raises(psycopg.errors.UniqueViolation):
        do_steps(ctx, [index("uq", "(tenant_id, keyword)", "UNIQUE")], {})
    assert ear.waits == []
    assert leftovers(db) == []
    with db.connect("app") as app:
        app.execute(
            "INSERT INTO public.machine_tags (image_id, tenant_id, keyword, tag_type) VALUES (1, 't', 'tree', 'n')"
        )
    undo_steps(ctx, "expand", {})
    assert states(db) == {}


def test_a_cancelled_build_is_cleared_away_and_comes_again(db: Database, sessions: SessionsOf) -> None:
    all_sessions = sessions(db)
    writer = all_sessions.one("writer")
    writer.run("BEGIN; UPDATE public.machine_tags SET confidence = 0.5 WHERE id = 1")
    ear = Ear()
    left_at_retry: list[list[str]] = []

    def sink(event: Event) -> None:
        ear(event)
        if event.kind == "wait":
            left_at_retry.append(leftovers(db))

    def run() -> None:
        with open_run(db.url, mini.SPEC_TEXT, "test", sink=sink) as ctx:
            do_steps(ctx, [index("uq", "(id, confidence)", "UNIQUE")], {})

    running = all_sessions.background(run)
    pid = all_sessions.monitor.wait_until_blocked("normalform/%/main")
    assert leftovers(db) == ["uq"], "being built"
    all_sessions.monitor.rows("SELECT pg_cancel_backend(%s)", [pid])
    all_sessions.monitor.wait_for("SELECT query LIKE 'DROP INDEX%%' FROM pg_stat_activity WHERE pid = %s", [pid])
    writer.run("COMMIT")
    assert running.wait().error is None
    assert left_at_retry == [[]]
    assert states(db) == {"expand/uq": "done"}
    assert db.value("SELECT indisvalid FROM pg_index WHERE indexrelid = 'public.uq'::regclass")


@pytest.mark.slow
def test_a_build_waits_for_an_older_transaction_as_long_as_it_takes(db: Database, sessions: SessionsOf) -> None:
    """CORRECTNESS 19: with a timeout it would never end beside a longer transaction; nobody queues behind it."""
    all_sessions = sessions(db)
    old, other = all_sessions.open("old", "other")
    old.run("BEGIN; UPDATE public.machine_tags SET confidence = 0.5 WHERE id = 1")
    ear = Ear()

    def run() -> None:
        with open_run(db.url, mini.SPEC_TEXT, "test", sink=ear) as ctx:
            do_steps(ctx, [index("ix")], {})

    running = all_sessions.background(run)
    all_sessions.monitor.wait_until_blocked("normalform/%/main")
    other.run("UPDATE public.machine_tags SET confidence = 0.7 WHERE id = 2; SELECT pg_sleep(1.5)")
    assert not running.done
    old.run("COMMIT")
    assert running.wait().error is None
    assert ear.waits == [], "it never gave up"


def test_what_a_killed_build_left_is_cleared_away_first(db: Database, engine: Engine) -> None:
    """The runner was stopped between the build and its cleaning: an invalid index stands under our intent."""
    ear = Ear()
    ctx = engine(db.url, sink=ear)
    ear.at["expand/uq:clean0:before"] = lambda: stop() if "expand/uq:0:before" in ear.points else None
    with pytest.raises(Stopped):
        do_steps(ctx, [index("uq", "(tenant_id, keyword)", "UNIQUE")], {})
    assert leftovers(db) == ["uq"]
    ear.at.clear()
    do_steps(ctx, [index("uq", "(id)", "UNIQUE")], {})
    assert leftovers(db) == []
    assert states(db) == {"expand/uq": "done"}


def test_a_build_that_ended_before_its_mark_is_not_built_again(db: Database, engine: Engine) -> None:
    ear = Ear()
    ctx = engine(db.url, sink=ear)
    ear.at["expand/ix:0:after"] = stop
    with pytest.raises(Stopped):
        do_steps(ctx, [index("ix")], {})
    assert states(db) == {"expand/ix": "intended"}
    built = db.value("SELECT 'public.ix'::regclass::oid")
    ear.at.clear()
    do_steps(ctx, [index("ix")], {})
    assert states(db) == {"expand/ix": "done"}
    assert db.value("SELECT 'public.ix'::regclass::oid") == built
