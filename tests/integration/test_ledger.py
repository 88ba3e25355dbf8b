"""The ledger on real servers: whole or absent, explained, closed to others, and written by the run in charge alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import psycopg
import pytest

import mini
from fix_servers import APP, OWNER, Database
from fix_sessions import Sessions
from normalform.core.catalog import to_json
from normalform.core.model import tables_of
from normalform.core.phases import ORDER, State, Transition, backward, begin, finish, forward
from normalform.core.plan import Lock, Mode, Step
from normalform.db import ledger
from normalform.db.connect import Connector
from normalform.db.inspect import inspect
from normalform.db.session import open_run
from normalform.db.work import Context, transaction
from normalform.errors import DatabaseRefused, FencedOut, GateClosed, Interrupted, ProofFailed
from normalform.phases import expand

Databases = Callable[..., Database]
Engine = Callable[..., Context]
MINI = mini.SCHEMA + mini.DATA


@pytest.fixture
def db(database: Databases) -> Database:
    return database("mini", MINI)


# ---------------------------------------------------------------------------------------------- the tables


def test_it_is_there_whole_or_not_at_all(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ledger.ddl()
    monkeypatch.setattr(ledger, "ddl", lambda: whole + "; SELECT 1/0")
    with Connector(db.url).open() as conn:
        with pytest.raises(psycopg.errors.DivisionByZero):
            ledger.install(conn)
        assert not ledger.installed(conn)
        assert conn.execute("SELECT to_regnamespace('normalform')").fetchone() == (None,)
        monkeypatch.undo()
        ledger.install(conn)
        assert ledger.installed(conn)


def test_a_schema_of_its_name_that_is_somebody_elses_is_left_alone(db: Database) -> None:
    db.run("CREATE SCHEMA normalform; CREATE TABLE normalform.theirs (id int)")
    with Connector(db.url).open() as conn, pytest.raises(DatabaseRefused, match="holds no ledger of ours"):
        ledger.install(conn)
    assert db.rows("SELECT relname FROM pg_class WHERE relnamespace = 'normalform'::regnamespace") == [("theirs",)]


def test_it_goes_without_a_trace(db: Database) -> None:
    with Connector(db.url).open() as conn:
        ledger.install(conn)
        conn.execute(ledger.uninstall_sql().encode())
        assert not ledger.installed(conn)
        conn.execute(ledger.uninstall_sql().encode())  # again: nothing happens
        ledger.install(conn)


def test_every_table_and_column_says_what_it_is(db: Database, engine: Engine) -> None:
    expand.do(engine(db.url))  # phases make nothing in there that is not explained either
    silent = db.rows(
        "SELECT c.relname, a.attname FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 "
        "AND NOT a.attisdropped WHERE c.relnamespace = 'normalform'::regnamespace AND c.relkind IN ('r', 'v') "
        "AND (obj_description(c.oid, 'pg_class') IS NULL OR col_description(c.oid, a.attnum) IS NULL)"
    )
    assert silent == []
    assert db.value("SELECT obj_description('normalform'::regnamespace, 'pg_namespace') IS NOT NULL")


RIGHTS = f"""
    SELECT 'schema', nspname::text FROM pg_namespace WHERE nspname = 'normalform'
       AND (has_schema_privilege('{APP}', oid, 'USAGE') OR has_schema_privilege('{APP}', oid, 'CREATE'))
    UNION ALL
    SELECT 'relation', relname::text FROM pg_class
     WHERE relnamespace = 'normalform'::regnamespace
       AND CASE WHEN relkind = 'S' THEN has_sequence_privilege('{APP}', oid, 'USAGE, SELECT, UPDATE')
                WHEN relkind IN ('r', 'v', 'p')
                THEN has_table_privilege('{APP}', oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
                     OR has_any_column_privilege('{APP}', oid, 'SELECT, INSERT, UPDATE, REFERENCES') END
    UNION ALL
    SELECT 'function', proname::text FROM pg_proc
     WHERE pronamespace = 'normalform'::regnamespace AND has_function_privilege('{APP}', oid, 'EXECUTE')
"""


@pytest.mark.parametrize("generous", [False, True], ids=["usual", "default-privileges"])
def test_the_application_has_no_right_in_it(db: Database, engine: Engine, generous: bool) -> None:
    if generous:
        with db.connect("owner") as owner:
            for what in ("ALL ON TABLES", "ALL ON SEQUENCES", "ALL ON SCHEMAS"):
                owner.execute(f"ALTER DEFAULT PRIVILEGES GRANT {what} TO {APP}".encode())
    expand.do(engine(db.url))
    assert db.rows(RIGHTS) == []
    with db.connect("app") as app:
        for statement in (
            "SELECT * FROM normalform.control",
            "UPDATE normalform.control SET token = 0",
            "INSERT INTO normalform.event (kind, name, text) VALUES ('a', 'b', 'c')",
            "CREATE TABLE normalform.mine (x int)",
            "SELECT nextval('normalform.run_id_seq')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(statement.encode())


def test_a_role_that_may_not_read_it_is_told_so(db: Database) -> None:
    with Connector(db.url).open() as conn:
        ledger.install(conn)
    with (
        Connector(db.app_url).open() as app,
        pytest.raises(DatabaseRefused, match=f"belongs to role {OWNER}, and role {APP} may not read it"),
    ):
        ledger.installed(app)


def test_what_only_looks_like_one_is_none(db: Database) -> None:
    db.run("CREATE SCHEMA normalform; CREATE TABLE normalform.other (x int)")
    with Connector(db.url).open() as conn:
        assert not ledger.installed(conn)
        with pytest.raises(DatabaseRefused, match="holds no ledger of ours"):
            ledger.install(conn)
        assert conn.execute("SELECT count(*) FROM normalform.other").fetchone() == (0,)


# --------------------------------------------------------------------------------------------- runs, token


def test_a_run_says_who_and_takes_the_token(db: Database) -> None:
    with Connector(db.url).open() as conn:
        ledger.install(conn)
        run = ledger.start_run(conn, "expand", "the spec")
        assert conn.execute("SELECT token, spec FROM normalform.control").fetchone() == (run, "the spec")
        row = conn.execute(
            "SELECT command, role, person, host IS NOT NULL, pid IS NOT NULL, ended_at, outcome FROM normalform.run"
        ).fetchone()
        assert row == ("expand", OWNER, ledger.person(), True, True, None, None)
        ledger.fence_token(conn, run)


def test_a_run_that_was_superseded_changes_nothing_more(db: Database, engine: Engine) -> None:
    ctx = engine(db.url)
    with Connector(db.url).open() as other:
        newer = ledger.start_run(other, "another", mini.SPEC_TEXT)
    superseded = f"run {ctx.run} is no longer the one in charge: run {newer} has taken over"
    with pytest.raises(FencedOut, match=superseded), transaction(ctx, ctx.conn, "x"):
        ctx.conn.execute("UPDATE public.keywords SET sort_order = 99")
    assert db.value("SELECT count(*) FROM public.keywords WHERE sort_order = 99") == 0
    step = Step("a", "expand", "a", ("CREATE TABLE public.a ()",))
    writes: tuple[Callable[[], None], ...] = (
        lambda: ledger.intend(ctx.conn, ctx.run, step),
        lambda: ledger.begin_phase(ctx.conn, ctx.run, "expand", "doing"),
        lambda: ledger.finish_phase(ctx.conn, ctx.run, "expand", undone=False, seconds=1.0),
    )
    for write in writes:
        with pytest.raises(FencedOut):
            write()


def test_a_new_run_waits_for_the_batch_in_hand_and_stops_the_next(
    db: Database, engine: Engine, sessions: Callable[[Database], Sessions]
) -> None:
    ctx = engine(db.url)
    all_sessions = sessions(db)
    with transaction(ctx, ctx.conn, "batch"):
        ctx.conn.execute("UPDATE public.keywords SET sort_order = 99")
        other = all_sessions.one("newer", role="owner")
        other.call(lambda conn: ledger.start_run(conn, "newer", mini.SPEC_TEXT))
        other.wait_until_blocked(by=ctx.conn.info.backend_pid)
    assert other.wait().error is None
    assert db.value("SELECT count(*) FROM public.keywords WHERE sort_order = 99") == 6, "the batch in hand went through"
    with pytest.raises(FencedOut), transaction(ctx, ctx.conn, "batch"):
        pytest.fail("the next one does not begin")


def test_without_a_ledger_nobody_is_in_charge(db: Database, engine: Engine) -> None:
    ctx = engine(db.url)
    db.run("DELETE FROM normalform.control")
    with pytest.raises(FencedOut, match=r"run \? has taken over"):
        ledger.fence_token(ctx.conn, ctx.run)


@pytest.mark.parametrize(
    ("error", "outcome", "detail"),
    [
        (None, "done", None),
        (ProofFailed("2 rows differ\nsecond line"), "findings", "2 rows differ"),
        (GateClosed("order", ["expand first"]), "gate", "gate order is closed"),
        (Interrupted("stopped", hint="again"), "interrupted", "stopped"),
        (KeyboardInterrupt(), "interrupted", "KeyboardInterrupt"),
        (FencedOut("superseded"), "refused", "superseded"),
        (psycopg.errors.UniqueViolation("Key (keyword)=(secret) exists"), "refused", "UniqueViolation"),
        (ValueError("a row's value"), "refused", "ValueError"),
    ],
)
def test_how_a_run_ended(db: Database, error: BaseException | None, outcome: str, detail: str | None) -> None:
    """The first line of our own errors; of others the kind alone, for they may quote rows."""

    def run() -> None:
        with open_run(db.url, mini.SPEC_TEXT, "test"):
            if error is not None:
                raise error

    if error is None:
        run()
    else:
        with pytest.raises(type(error)):
            run()
    assert db.rows("SELECT outcome, detail, ended_at IS NOT NULL FROM normalform.run") == [(outcome, detail, True)]


# ----------------------------------------------------------------------------------- phases, steps, baseline


def carry(ctx: Context, transition: Transition, *, to_the_end: bool) -> None:
    """What the runner records of a transition."""
    undo = transition.direction == "undo"
    ledger.begin_phase(ctx.conn, ctx.run, transition.phase, "undoing" if undo else "doing")
    if to_the_end:
        ledger.finish_phase(ctx.conn, ctx.run, transition.phase, undone=undo, seconds=0.5)


def test_the_recorded_state_is_the_planners(db: Database, engine: Engine) -> None:
    """Forward to the end and back, with an interruption after every begin: the rows say what the planner says."""
    ctx = engine(db.url)
    state = State()
    ways: list[Callable[[State], tuple[Transition, ...]]] = []
    for target in ("start", *ORDER):
        ways += [partial(forward, target=ORDER[-1]), partial(backward, target=target)]
    for way in ways:
        while transitions := way(state):
            for to_the_end in (False, True):
                assert ledger.state(ctx.conn) == state
                carry(ctx, transitions[0], to_the_end=to_the_end)
                state = finish(begin(state, transitions[0])) if to_the_end else begin(state, transitions[0])
        assert ledger.state(ctx.conn) == state


def test_a_half_done_phase_is_recorded_as_half_undone(db: Database, engine: Engine) -> None:
    ctx = engine(db.url)
    carry(ctx, Transition("resolve", "do"), to_the_end=True)
    carry(ctx, Transition("expand", "do"), to_the_end=False)
    assert ledger.state(ctx.conn) == State(("resolve",), ("expand", "do"))
    carry(ctx, Transition("expand", "undo"), to_the_end=False)
    assert ledger.state(ctx.conn) == State(("resolve", "expand"), ("expand", "undo"))
    carry(ctx, Transition("expand", "undo"), to_the_end=True)
    assert ledger.state(ctx.conn) == State(("resolve",))


def test_the_history_has_every_transition(db: Database, engine: Engine) -> None:
    ctx = engine(db.url)
    carry(ctx, Transition("resolve", "do"), to_the_end=True)
    carry(ctx, Transition("resolve", "undo"), to_the_end=True)
    assert [r[0] for r in db.rows("SELECT text FROM normalform.event WHERE kind = 'phase' ORDER BY id")] == [
        "doing",
        "done",
        "undoing",
        "undone",
    ]


STEP = Step(
    id="expand/x/column",
    phase="expand",
    object="column x",
    do=("ALTER TABLE public.keywords ADD COLUMN \"100%\" text DEFAULT '%s'", "SELECT 1"),
    done="SELECT false",
    undo=('ALTER TABLE public.keywords DROP COLUMN "100%"',),
    gone="SELECT true",
    lock=Lock.ACCESS_EXCLUSIVE,
    undo_lock=Lock.ACCESS_EXCLUSIVE,
    mode=Mode.REWRITE,
    undo_mode=Mode.BATCHES,
    table="public.keywords",
    reason="why",
    work="fill:x",
    undo_work="clear:x",
    clean=("SELECT 2",),
    claims=False,
)


def test_a_step_is_recorded_with_its_way_back(db: Database, engine: Engine) -> None:
    ctx = engine(db.url)
    ledger.intend(ctx.conn, ctx.run, STEP)
    [kept] = ledger.recorded_steps(ctx.conn, "expand")
    for name in ("id", "phase", "object", "do", "done", "undo", "gone", "undo_lock", "mode", "undo_mode", "table"):
        assert getattr(kept, name) == getattr(STEP, name), name
    assert (kept.undo_work, kept.clean) == (STEP.undo_work, STEP.clean)


def test_steps_are_undone_in_reverse(db: Database, engine: Engine) -> None:
    ctx = engine(db.url)
    for name in ("c", "a", "b"):
        ledger.intend(ctx.conn, ctx.run, Step(name, "expand", name, ()))
    ledger.intend(ctx.conn, ctx.run, Step("z", "backfill", "z", ()))
    ledger.intend(ctx.conn, ctx.run, Step("c", "expand", "c", ()))  # a resumed run: it keeps its place
    assert [s.id for s in ledger.recorded_steps(ctx.conn, "expand")] == ["b", "a", "c"]
    assert ledger.step_states(ctx.conn, "expand") == {"c": "intended", "a": "intended", "b": "intended"}
    assert list(ledger.step_states(ctx.conn)) == ["c", "a", "b", "z"]
    ledger.mark_step(ctx.conn, "a", "done")
    ledger.forget_step(ctx.conn, "b")
    assert ledger.step_states(ctx.conn, "expand") == {"c": "intended", "a": "done"}


def test_the_baseline_reads_back(db: Database, engine: Engine) -> None:
    ctx = engine(db.url)
    assert {name: to_json(t) for name, t in ctx.baseline.items()} == {
        t.name: to_json(t) for t in inspect(ctx.conn, tables_of(mini.spec()))
    }
    ledger.save_baseline(ctx.conn, ctx.model.catalog, "contract")
    assert ledger.baseline(ctx.conn, "contract") == ledger.baseline(ctx.conn)
    ledger.forget_baseline(ctx.conn, "contract")
    assert ledger.baseline(ctx.conn, "contract") == {}
    assert ledger.baseline(ctx.conn)


def test_a_table_is_kept_as_it_was_first_seen(db: Database, engine: Engine) -> None:
    ctx = engine(db.url)
    before = ledger.baseline(ctx.conn)
    db.run("ALTER TABLE public.keywords ADD COLUMN later int")
    ledger.save_baseline(ctx.conn, inspect(ctx.conn, tables_of(mini.spec())))
    assert ledger.baseline(ctx.conn) == before
