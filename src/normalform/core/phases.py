"""The phases, their order, and which transitions are legal. Pure: a state in, the next transitions out.

The state is what the ledger records: the phases that are done, and at most one that was begun and not finished,
in either direction. Undo always goes from the last phase downward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: Phases that change the database, in order. `resolve` may be run again while it is the last; `verify` is a proof.
ORDER = ("resolve", "expand", "backfill", "verify", "constrain", "contract")
#: `rollback --to start` undoes everything.
START = "start"

Direction = Literal["do", "undo"]


@dataclass(frozen=True)
class State:
    """Which phases are done, and which one is half-way.

    Args:
        done: done phases, always a prefix of ORDER (a phase that was not needed counts as done).
        half: the phase that was begun, with its direction, or None.
    """

    done: tuple[str, ...] = ()
    half: tuple[str, Direction] | None = None

    def __post_init__(self) -> None:
        if self.done != ORDER[: len(self.done)]:
            raise ValueError(f"{self.done} is no prefix of the phases")
        if self.half is not None:
            phase, direction = self.half
            expected = ORDER[len(self.done)] if direction == "do" and len(self.done) < len(ORDER) else None
            if direction == "do" and phase != expected:
                raise ValueError(f"{phase} cannot be half done after {self.done}")
            if direction == "undo" and (not self.done or phase != self.done[-1]):
                raise ValueError(f"{phase} cannot be half undone after {self.done}")

    @property
    def last(self) -> str:
        """The last phase that is done, or ``start``."""
        return self.done[-1] if self.done else START


@dataclass(frozen=True)
class Transition:
    """Do or undo one phase."""

    phase: str
    direction: Direction


def begin(state: State, transition: Transition) -> State:
    """Return the state in which the transition is under way; one that is under way already goes on.

    Raises:
        ValueError: it is not legal: out of order, or another phase is half-way.
    """
    phase, direction = transition.phase, transition.direction
    if state.half == (phase, direction):
        return state
    if state.half == (phase, "do"):
        # A half-done phase is undone from where it stopped.
        return State((*state.done, phase), (phase, "undo"))
    if state.half is not None:
        raise ValueError(f"{phase} cannot begin while {state.half[0]} is half-way")
    return State(state.done, (phase, direction))


def finish(state: State) -> State:
    """Return the state after the transition under way has ended. Raises ValueError when none is."""
    if state.half is None:
        raise ValueError("no transition is under way")
    phase, direction = state.half
    return State((*state.done, phase)) if direction == "do" else State(state.done[:-1])


def missing(state: State, phase: str) -> tuple[str, ...]:
    """Return the phases that must be done by commands of their own before one phase alone, in order.

    ``resolve`` is done on the way (it only looks), and so is ``verify``, but for constrain and contract: no unproven
    key may become a constraint.
    """
    before = [p for p in ORDER[: ORDER.index(phase)] if p not in state.done and p not in ("resolve", "verify")]
    if phase in ("constrain", "contract") and "verify" not in state.done:
        before.append("verify")
    return tuple(before)


def forward(state: State, target: str) -> tuple[Transition, ...]:
    """Return the transitions that lead up to the target phase.

    A phase that was half undone is first undone to its end: its objects are partly gone, and doing again starts clean.
    """
    goal = ORDER.index(target)
    result: list[Transition] = []
    done = len(state.done)
    if state.half is not None and state.half[1] == "undo":
        result.append(Transition(state.half[0], "undo"))
        done -= 1
    result.extend(Transition(phase, "do") for phase in ORDER[done : goal + 1])
    return tuple(result)


def backward(state: State, target: str) -> tuple[Transition, ...]:
    """Return the transitions that leave the target as the last phase done (``start`` undoes everything).

    A target that is not done yet leaves nothing to undo. One that is half undone itself is undone to its end, for no
    way back leaves a phase half gone.
    """
    keep = 0 if target == START else ORDER.index(target) + 1
    if state.half is not None and state.half[1] == "undo":
        keep = min(keep, len(state.done) - 1)
    result: list[Transition] = []
    if state.half is not None and state.half[1] == "do" and len(state.done) >= keep:
        result.append(Transition(state.half[0], "undo"))
    result.extend(Transition(phase, "undo") for phase in reversed(state.done[keep:]))
    return tuple(result)


def clears_rows(transitions: tuple[Transition, ...]) -> bool:
    """Whether undoing backfill must clear the key column row by row.

    Not when the same rollback goes on to undo expand, which drops the column: clearing first would rewrite every
    row for nothing.
    """
    undone = {t.phase for t in transitions if t.direction == "undo"}
    return "backfill" in undone and "expand" not in undone
