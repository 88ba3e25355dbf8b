"""Steps stopped at every point: resumed they come to the same, turned back nothing stays."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

import mini
from fix_servers import Database
from fix_sessions import Sessions
from normalform.core.events import Event
from normalform.core.plan import Mode, Step
from normalform.db.execute import do_steps, undo_steps
from normalform.db.work import Context
from normalform.errors import Interrupted
from steps import Ear, Stopped, column, index, outcome, states

Databases = Callable[..., Database]
Engine = Callable[..., Context]
SessionsOf = Callable[[Database], Sessions]


@pytest.fixture
def db(database: Databases) -> Database:
    return database("mini", mini.SCHEMA + mini.DATA)


PLAN = [
    column("a"),
    index("ix_a", "(a)"),
    column("b", mode=Mode.REWRITE, undo_mode=Mode.REWRITE),
    index("uq_b", "(id, b)", "UNIQUE"),
]


def test_ctrl_c_between_two_steps_and_again(db: Database, engine: Engine) -> None:
    ear = Ear()
    ctx = engine(db.url, sink=ear)
    ear.at["expand/ix_a:after-commit"] = ctx.stop.set
    with pytest.raises(Interrupted) as caught:
        do_steps(ctx, PLAN, {})
    assert caught.value.exit_status == 4
    assert states(db) == {"expand/a": "done", "expand/ix_a": "done"}
    ctx.stop.clear()
    do_steps(ctx, PLAN, {})
    assert set(states(db).values()) == {"done"}
    ear.at["expand/uq_b:undo:after-commit"] = ctx.stop.set
    with pytest.raises(Interrupted):
        undo_steps(ctx, "expand", {})
    assert len(states(db)) == 3
    ctx.stop.clear()
    undo_steps(ctx, "expand", {})
    assert states(db) == {}


def stopped_everywhere(ctx: Context, do: Callable[[], None]) -> set[str]:
    """Do it, stopped at its first point; again, stopped at the next one that has not been; until it ends.

    Returns:
        The points at which it was stopped.
    """
    passed: set[str] = set()
    while True:

        def sink(event: Event) -> None:
            if event.kind == "point" and event.name not in passed:
                passed.add(event.name)
                raise Stopped

        ctx.sink = sink
        try:
            do()
        except Stopped:
            continue
        return passed


@pytest.mark.slow
def test_stopped_at_every_point_and_resumed_it_comes_to_the_same(db: Database, engine: Engine) -> None:
    """All of one plan, there and back, on one database: every point stops it once."""
    ear = Ear()
    ctx = engine(db.url, sink=ear)
    before = outcome(db)
    ear.heard.clear()
    do_steps(ctx, PLAN, {})
    whole, points_there = outcome(db), set(ear.points)
    ear.heard.clear()
    undo_steps(ctx, "expand", {})
    points_back = set(ear.points)
    assert outcome(db) == before

    there = stopped_everywhere(ctx, lambda: do_steps(ctx, PLAN, {}))
    assert outcome(db) == whole
    assert there >= points_there
    back = stopped_everywhere(ctx, lambda: undo_steps(ctx, "expand", {}))
    assert outcome(db) == before
    # An index that is gone is only forgotten when it resumes: its last commit has another name.
    assert {p for p in points_back - back if ":undo:" not in p} == set()
    assert len(back) > 5 * len(PLAN)


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", range(0, 40, 3))
def test_turned_back_halfway_nothing_stays(db: Database, engine: Engine, stop_at: int) -> None:
    """Stopped on the way there, and undone from where it stopped."""
    ear = Ear()
    ctx = engine(db.url, sink=ear)
    before = outcome(db)
    numbers = iter(range(1000))

    def sink(event: Event) -> None:
        if event.kind == "point" and next(numbers) == stop_at:
            raise Stopped

    ctx.sink = sink
    stopped = _stopped(ctx, PLAN)
    ctx.sink = ear
    undo_steps(ctx, "expand", {})
    assert outcome(db) == before
    assert stopped or stop_at > 20


def _stopped(ctx: Context, plan: Sequence[Step]) -> bool:
    try:
        do_steps(ctx, plan, {})
    except Stopped:
        return True
    return False
