"""Steps on real servers: intent first, then the change with its mark; and only what is ours goes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest

import mini
from compare import dump_schema
from fix_servers import Database
from fix_sessions import Sessions
from normalform.core.plan import Mode
from normalform.db import ledger
from normalform.db.execute import do_steps, undo_one, undo_steps
from normalform.db.work import Context
from normalform.errors import FencedOut, GateClosed
from steps import Ear, Stopped, column, columns_of, index, states, stop

Databases = Callable[..., Database]
Engine = Callable[..., Context]
SessionsOf = Callable[[Database], Sessions]


@pytest.fixture
def db(database: Databases) -> Database:
    return database("mini", mini.SCHEMA + mini.DATA)


def test_steps_are_done_in_order_and_once(db: Database, engine: Engine) -> None:
    ear = Ear()
    ctx = engine(db.url, sink=ear)
    plan = [column("a"), index("ix_a", "(a)"), column("b")]
    do_steps(ctx, plan, {})
    assert {"a", "b"} <= columns_of(db)
    assert states(db) == {"expand/a": "done", "expand/ix_a": "done", "expand/b": "done"}
    assert db.value("SELECT bool_and(done_at >= intended_at) FROM normalform.step")
    ear.heard.clear()
    do_steps(ctx, plan, {})
    assert ear.points == [], "the second time nothing is done"
    assert [(e.done, e.total) for e in ear.heard if e.kind == "step"] == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_the_intent_is_committed_before_the_change_and_the_mark_with_it(db: Database, engine: Engine) -> None:
    """CORRECTNESS 25, as another session sees it at every point."""
    ear = Ear()
    ctx = engine(db.url, sink=ear)
    seen: dict[str, tuple[dict[str, str], bool]] = {}

    def look(name: str) -> Callable[[], None]:
        return lambda: seen.__setitem__(name, (states(db), "a" in columns_of(db)))

    # The catalog is read with a fresh snapshot; the step's own lock blocks no reader of pg_attribute.
    for name in ("intend", "intended", "0:before", "0:after", "before-commit", "after-commit"):
        ear.at[f"expand/a:{name}"] = look(name)
    do_steps(ctx, [column("a")], {})
    intended = {"expand/a": "intended"}
    assert seen == {
        "intend": ({}, False),
        "intended": (intended, False),
        "0:before": (intended, False),
        "0:after": (intended, False),
        "before-commit": (intended, False),
        "after-commit": ({"expand/a": "done"}, True),
    }


def test_an_object_of_that_name_is_a_clash_and_is_not_touched(db: Database, engine: Engine) -> None:
    db.run("ALTER TABLE public.machine_tags ADD COLUMN b text DEFAULT 'theirs'")
    ctx = engine(db.url)
    before = dump_schema(db, ledger=False)
    with pytest.raises(GateClosed, match=r"column b exists already and is not ours \(step expand/b\)") as caught:
        do_steps(ctx, [column("b")], {})
    assert caught.value.exit_status == 3
    assert caught.value.hint is not None
    assert states(db) == {}
    undo_steps(ctx, "expand", {})
    assert dump_schema(db, ledger=False) == before


def test_an_intent_alone_does_not_make_it_ours(db: Database, engine: Engine) -> None:
    """The mark commits with the change: where there is an intent alone, somebody else made what stands there."""
    ear = Ear()
    ctx = engine(db.url, sink=ear)
    ear.at["expand/b:intended"] = stop
    with pytest.raises(Stopped):
        do_steps(ctx, [column("b")], {})
    ear.at.clear()
    db.run("ALTER TABLE public.machine_tags ADD COLUMN b text DEFAULT 'theirs'")
    before = dump_schema(db, ledger=False)
    with pytest.raises(GateClosed, match="not ours"):
        do_steps(ctx, [column("b")], {})
    undo_steps(ctx, "expand", {})
    assert states(db) == {}
    assert dump_schema(db, ledger=False) == before


def test_a_step_that_only_asserts_a_state_takes_what_is_there(db: Database, engine: Engine) -> None:
    db.run("ALTER TABLE public.machine_tags ADD COLUMN b text")
    do_steps(engine(db.url), [column("b", claims=False)], {})
    assert states(db) == {"expand/b": "done"}


def test_what_was_dropped_since_is_made_again(db: Database, engine: Engine) -> None:
    ctx = engine(db.url)
    do_steps(ctx, [column("a")], {})
    db.run("ALTER TABLE public.machine_tags DROP COLUMN a")
    do_steps(ctx, [column("a")], {})
    assert "a" in columns_of(db)


def test_identifiers_may_hold_anything(db: Database, engine: Engine) -> None:
    ctx = engine(db.url)
    names = ["100%", "%s", 'say "hi"', "a'b", "ü {x}"]
    do_steps(ctx, [column(n) for n in names], {})
    assert set(names) <= columns_of(db)
    undo_steps(ctx, "expand", {})
    assert not set(names) & columns_of(db)


def test_a_statement_that_fails_takes_its_step_back(db: Database, engine: Engine) -> None:
    ctx = engine(db.url)
    good = column("a")
    with pytest.raises(psycopg.errors.DivisionByZero):
        do_steps(ctx, [replace(good, do=(*good.do, "SELECT 1/0"))], {})
    assert "a" not in columns_of(db)
    assert states(db) == {"expand/a": "intended"}
    do_steps(ctx, [good], {})
    assert states(db) == {"expand/a": "done"}


def test_a_superseded_run_does_nothing(db: Database, engine: Engine) -> None:
    ctx = engine(db.url)
    ear = Ear()
    ctx.sink = ear
    with db.connect() as other:

        def take_over() -> None:
            ledger.start_run(other, "newer", "")

        ear.at["expand/a:intended"] = take_over
        with pytest.raises(FencedOut):
            do_steps(ctx, [column("a")], {})
    with pytest.raises(FencedOut):
        do_steps(ctx, [index("ix_a")], {})
    assert "a" not in columns_of(db)
    assert db.value("SELECT to_regclass('public.ix_a') IS NULL")


def test_only_what_is_recorded_is_undone(db: Database, engine: Engine) -> None:
    ctx = engine(db.url)
    before = dump_schema(db, ledger=False)
    do_steps(ctx, [column("a"), index("ix_a", "(a)"), column("b"), column("c", phase="backfill")], {})
    db.run(
        "ALTER TABLE public.machine_tags ADD COLUMN theirs int; CREATE INDEX ix_theirs ON public.machine_tags (theirs)"
    )
    undo_steps(ctx, "expand", {})
    assert columns_of(db) & {"a", "b", "c", "theirs"} == {"c", "theirs"}
    assert db.value("SELECT to_regclass('public.ix_theirs') IS NOT NULL AND to_regclass('public.ix_a') IS NULL")
    assert states(db) == {"expand/c": "done"}
    undo_steps(ctx, "backfill", {})
    db.run("ALTER TABLE public.machine_tags DROP COLUMN theirs")
    assert dump_schema(db, ledger=False) == before


def test_what_is_gone_already_is_only_forgotten(db: Database, engine: Engine) -> None:
    ctx = engine(db.url)
    do_steps(ctx, [column("a")], {})
    db.run("ALTER TABLE public.machine_tags DROP COLUMN a")
    undo_steps(ctx, "expand", {})
    assert states(db) == {}


def test_one_step_alone(db: Database, engine: Engine) -> None:
    ctx = engine(db.url)
    do_steps(ctx, [column("a"), column("b")], {})
    undo_one(ctx, next(s for s in ledger.recorded_steps(ctx.conn, "expand") if s.id == "expand/a"))
    assert states(db) == {"expand/b": "done"}
    assert "a" not in columns_of(db)


def test_work_in_batches_is_done_and_undone_by_its_handlers(db: Database, engine: Engine) -> None:
    ctx = engine(db.url)
    done: list[str] = []
    handlers = {
        "fill": lambda _, rest: done.append(f"fill {rest}"),
        "clear": lambda _, rest: done.append(f"clear {rest}"),
    }
    step = column("w", do=(), done="", undo=(), mode=Mode.BATCHES, work="fill:a:b", undo_work="clear:a")
    do_steps(ctx, [step], handlers)
    do_steps(ctx, [step], handlers)
    assert done == ["fill a:b", "fill a:b"], "batches know themselves what is left"
    assert states(db) == {"expand/w": "done"}
    undo_steps(ctx, "expand", handlers)
    assert done[2:] == ["clear a"]
    do_steps(ctx, [step], handlers)
    undo_steps(ctx, "expand", handlers, skip=frozenset({"clear"}))
    assert done[3:] == ["fill a:b"], "what is dropped next need not be cleared"
    assert states(db) == {}
