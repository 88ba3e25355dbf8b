"""Which transitions are legal, and the ways forward and back."""

from __future__ import annotations

import pytest

from normalform.core.phases import (
    ORDER,
    START,
    State,
    Transition,
    backward,
    begin,
    clears_rows,
    finish,
    forward,
    missing,
)

R, E, B, V, C, T = ORDER


def do(*phases: str) -> tuple[Transition, ...]:
    return tuple(Transition(p, "do") for p in phases)


def undo(*phases: str) -> tuple[Transition, ...]:
    return tuple(Transition(p, "undo") for p in phases)


@pytest.mark.parametrize(
    ("done", "half"),
    [
        ((E,), None),
        ((R, B), None),
        ((E, R), None),
        ((R,), (B, "do")),
        ((R,), (R, "do")),
        (ORDER, (T, "do")),
        ((), (R, "undo")),
        ((R, E), (R, "undo")),
    ],
)
def test_states_that_cannot_be(done: tuple[str, ...], half: tuple[str, str] | None) -> None:
    with pytest.raises(ValueError, match=r"is no prefix|cannot be half"):
        State(done, half)  # type: ignore[arg-type]


def test_the_last_phase_done() -> None:
    assert State().last == START
    assert State((R, E)).last == E
    assert State((R, E), (B, "do")).last == E


@pytest.mark.parametrize(
    ("state", "target", "expected"),
    [
        (State(), C, do(R, E, B, V, C)),
        (State((R, E)), E, ()),
        (State((R, E, B)), E, ()),
        (State((R, E)), B, do(B)),
        (State((R,), (E, "do")), B, do(E, B)),
        (State((R, E), (E, "undo")), B, (*undo(E), *do(E, B))),
        (State((R, E, B), (B, "undo")), E, undo(B)),
    ],
)
def test_forward(state: State, target: str, expected: tuple[Transition, ...]) -> None:
    assert forward(state, target) == expected


@pytest.mark.parametrize(
    ("state", "target", "expected"),
    [
        (State(), START, ()),
        (State(ORDER), START, undo(T, C, V, B, E, R)),
        (State(ORDER), E, undo(T, C, V, B)),
        (State((R, E)), E, ()),
        (State((R, E), (B, "do")), E, undo(B)),
        (State((R, E), (B, "do")), START, undo(B, E, R)),
        (State((R, E, B), (B, "undo")), R, undo(B, E)),
        (State((R, E, B), (B, "undo")), B, undo(B)),  # what is half gone is never left so
        (State((R, E), (B, "do")), C, ()),  # not reached yet: nothing of it to undo
    ],
)
def test_backward(state: State, target: str, expected: tuple[Transition, ...]) -> None:
    assert backward(state, target) == expected


@pytest.mark.parametrize(
    ("done", "phase", "needed"),
    [
        ((), E, ()),
        ((), B, (E,)),
        ((), T, (E, B, C, V)),
        ((R, E), B, ()),
        ((R, E, B), V, ()),
        ((R, E, B), C, (V,)),
        ((R, E, B, V), T, (C,)),
        (ORDER, T, ()),
    ],
)
def test_what_is_missing_before_a_phase_alone(done: tuple[str, ...], phase: str, needed: tuple[str, ...]) -> None:
    assert missing(State(done), phase) == needed


def test_a_half_done_phase_is_undone_from_where_it_stopped() -> None:
    state = begin(State((R,), (E, "do")), Transition(E, "undo"))
    assert state == State((R, E), (E, "undo"))
    assert finish(state) == State((R,))


@pytest.mark.parametrize(
    ("state", "transition"),
    [
        (State(), Transition(E, "do")),
        (State((R,)), Transition(R, "do")),
        (State((R, E)), Transition(R, "undo")),
        (State(), Transition(R, "undo")),
        (State((R,), (E, "do")), Transition(R, "undo")),
        (State((R, E), (E, "undo")), Transition(B, "do")),
    ],
)
def test_transitions_that_are_not_legal(state: State, transition: Transition) -> None:
    with pytest.raises(ValueError, match="cannot"):
        begin(state, transition)


def test_nothing_ends_that_has_not_begun() -> None:
    with pytest.raises(ValueError, match="no transition is under way"):
        finish(State((R,)))


@pytest.mark.parametrize(
    ("transitions", "expected"),
    [
        (undo(B), True),
        (undo(C, V, B), True),
        (undo(B, E), False),  # the column goes next: clearing it first would rewrite every row for nothing
        (undo(C), False),
        (do(B), False),
        ((), False),
        ((*undo(E), *do(E, B)), False),
    ],
)
def test_whether_rows_are_cleared(transitions: tuple[Transition, ...], expected: bool) -> None:
    assert clears_rows(transitions) is expected
