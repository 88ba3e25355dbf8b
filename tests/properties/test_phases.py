"""From every state, by every way, with an interruption after every transition: the target is reached."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normalform.core.phases import ORDER, START, State, Transition, backward, begin, clears_rows, finish, forward

STATES = [
    *(State(ORDER[:n]) for n in range(len(ORDER) + 1)),
    *(State(ORDER[:n], (ORDER[n], "do")) for n in range(len(ORDER))),
    *(State(ORDER[:n], (ORDER[n - 1], "undo")) for n in range(1, len(ORDER) + 1)),
]
WAYS = [*(("forward", t) for t in ORDER), *(("backward", t) for t in (START, *ORDER))]


def ways(state: State, way: str, target: str) -> tuple[Transition, ...]:
    return forward(state, target) if way == "forward" else backward(state, target)


def under_way(state: State, transition: Transition) -> State:
    """What the runner does: a transition that was begun already goes on."""
    return state if state.half == (transition.phase, transition.direction) else begin(state, transition)


def depth(state: State) -> int:
    """How much stands, in half phases."""
    if state.half is None:
        return 2 * len(state.done)
    return 2 * len(state.done) + (1 if state.half[1] == "do" else -1)


def reached(state: State, before: State, way: str, target: str) -> bool:
    """Whether the target is reached, or had been passed (forward) or not been reached (backward) before."""
    wanted = 0 if target == START else ORDER.index(target) + 1
    if state.half is not None:
        # Only what lies beyond the goal may stay half-way: forward has nothing to do with a phase after it.
        return len(before.done) >= wanted if way == "forward" else len(before.done) < wanted
    return len(state.done) >= wanted if way == "forward" else len(state.done) <= wanted


@pytest.mark.parametrize("state", STATES, ids=str)
@pytest.mark.parametrize(("way", "target"), WAYS)
def test_whatever_the_interruptions(state: State, way: str, target: str) -> None:
    """Interrupted after every begin and every finish, and planned again each time."""
    before, seen = state, set()
    while transitions := ways(state, way, target):
        assert state not in seen, "the same state twice: it would never end"
        seen.add(state)
        following = under_way(state, transitions[0])
        state = finish(following) if following == state else following
        assert state.done == ORDER[: len(state.done)]
    assert reached(state, before, way, target)


@pytest.mark.parametrize("state", STATES, ids=str)
@pytest.mark.parametrize(("way", "target"), WAYS)
def test_a_plan_runs_to_its_end(state: State, way: str, target: str) -> None:
    """Uninterrupted: every transition is legal where it comes, and nothing is left to plan."""
    for transition in ways(state, way, target):
        begun = under_way(state, transition)
        assert begun.half == (transition.phase, transition.direction)
        state = finish(begun)
    assert ways(state, way, target) == ()


@pytest.mark.parametrize("state", STATES, ids=str)
@pytest.mark.parametrize("target", [START, *ORDER])
def test_undo_goes_strictly_downward(state: State, target: str) -> None:
    transitions = backward(state, target)
    places = [ORDER.index(t.phase) for t in transitions]
    assert all(t.direction == "undo" for t in transitions)
    assert places == sorted(places, reverse=True)
    assert len(set(places)) == len(places)
    for transition in transitions:
        before = depth(state)
        state = finish(under_way(state, transition))
        assert depth(state) < before


@pytest.mark.parametrize("state", STATES, ids=str)
@pytest.mark.parametrize("target", ORDER)
def test_forward_undoes_only_what_was_half_undone(state: State, target: str) -> None:
    transitions = forward(state, target)
    undone = [t.phase for t in transitions if t.direction == "undo"]
    assert undone == ([state.half[0]] if state.half is not None and state.half[1] == "undo" else [])
    places = [ORDER.index(t.phase) for t in transitions if t.direction == "do"]
    assert places == sorted(set(places))


@given(st.data())
def test_any_history_of_commands_and_interruptions(data: st.DataObject) -> None:
    """Commands one after another, each broken off anywhere: the state is legal, and every command can still end."""
    state = State()
    for _ in range(data.draw(st.integers(1, 12))):
        way, target = data.draw(st.sampled_from(WAYS))
        for transition in ways(state, way, target):
            state = under_way(state, transition)
            if data.draw(st.booleans()):
                break
            state = finish(state)
        assert state in STATES
    for transition in backward(state, START):
        state = finish(under_way(state, transition))
    assert state == State()


@pytest.mark.parametrize("state", STATES, ids=str)
@pytest.mark.parametrize("target", [START, *ORDER])
def test_rows_are_cleared_only_when_the_column_stays(state: State, target: str) -> None:
    transitions = backward(state, target)
    undone = {t.phase for t in transitions}
    assert clears_rows(transitions) == ("backfill" in undone and "expand" not in undone)
    for stop in range(len(transitions)):
        # A plan made anew after an interruption never clears what the whole plan would have dropped.
        left = transitions[stop:]
        if "expand" in undone and "expand" in {t.phase for t in left}:
            assert not clears_rows(left)
