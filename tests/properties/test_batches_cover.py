"""Every unit of a table is covered exactly once a pass, whatever the timings and wherever the run is killed.

The simulation plays the engine: it keeps what the ledger would keep, goes from transition to transition, and is killed
after any of them; what was only in memory is then gone. Which unit was done is written down by the simulated batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normalform.core.batches import (
    LARGEST_SIZE,
    Finished,
    Held,
    Mark,
    Pace,
    Refused,
    Restart,
    Storage,
    Took,
    after_pass,
    cut,
    next_end,
    opening,
)

#: A batch that commits (seconds, how full its blocks were, rows skipped), or one that is refused.
Fate = tuple[float, float, int] | Refused
outcomes: st.SearchStrategy[Fate] = st.one_of(
    st.tuples(st.floats(0.0, 5.0), st.floats(0.0, 1.0), st.integers(0, 3)),
    st.sampled_from([Refused("timeout"), Refused("deadlock"), Refused("lock")]),
)
KILL, REWRITE = "kill", "rewrite"


@dataclass
class World:
    """What outlives a kill: the table, and the ledger's marks."""

    units: int
    storage: Storage = field(default_factory=lambda: Storage(1, 1))
    kept: Storage | None = None
    marks: list[Mark] = field(default_factory=list)
    covered: Counter[int] = field(default_factory=Counter)  # in the file as it is


@pytest.mark.slow
@given(
    units=st.integers(0, 20_000),
    workers=st.integers(1, 8),
    fates=st.lists(outcomes, max_size=200),
    disturbances=st.dictionaries(st.integers(0, 120), st.sampled_from([KILL, REWRITE]), max_size=8),
    data=st.data(),
)
@settings(deadline=None, max_examples=150)
def test_every_unit_once(
    units: int,
    workers: int,
    fates: list[Fate],
    disturbances: dict[int, str],
    data: st.DataObject,
) -> None:
    world = World(units)
    fate = iter(fates)
    transitions = 0
    for _run in range(len(disturbances) + 1):
        ended, transitions = _run_once(world, workers, fate, disturbances, transitions, data)
        if ended:
            break
    else:
        raise AssertionError("the sweep never ended")
    assert set(world.covered) == set(range(units))
    assert all(n == 1 for n in world.covered.values())
    assert not sum(m.skipped for m in world.marks)
    assert sum(m.slice.end - m.slice.first for m in world.marks) == units


def _run_once(
    world: World,
    workers: int,
    fate: Iterator[Fate],
    disturbances: dict[int, str],
    transitions: int,
    data: st.DataObject,
) -> tuple[bool, int]:
    """Run until the end, or until the world is stopped; returns whether it has ended, and the transitions so far."""
    decision = opening(world.marks, world.kept, world.storage, world.units, workers)
    if isinstance(decision, Restart):
        world.marks = [Mark(s, s.first) for s in decision.slices]
        world.kept = world.storage
        world.covered.clear()
    paces = [Pace(0.4) for _ in range(workers)]
    visits = 0
    for _step in range(100_000):
        verdict = after_pass(world.marks, visits, 0.0)
        if isinstance(verdict, Finished):
            return True, transitions
        assert not isinstance(verdict, Held)
        if verdict.again:
            visits += 1
            for mark in verdict.marks:  # set back in the ledger, and so to be covered again
                world.marks[mark.slice.number] = mark
                for unit in range(mark.slice.first, mark.slice.end):
                    del world.covered[unit]
            continue
        mark = verdict.marks[min(data.draw(st.integers(0, workers - 1)), len(verdict.marks) - 1)]
        worker = mark.slice.number % workers
        paces[worker] = _batch(world, mark, paces[worker], fate)
        transitions += 1
        disturbance = disturbances.get(transitions)
        if disturbance == REWRITE:
            world.storage = Storage(1, world.storage.file + 1)
            world.covered.clear()
        if disturbance is not None:
            return False, transitions
    raise AssertionError("the sweep does not end")


def _batch(world: World, mark: Mark, pace: Pace, fate: Iterator[Fate]) -> Pace:
    end = next_end(mark, pace)
    assert mark.next < end <= mark.slice.end
    outcome = next(fate, (0.1, 0.5, 0))
    if isinstance(outcome, Refused):
        after = pace.after(outcome)
    else:
        seconds, full, skipped = outcome
        world.covered.update(range(mark.next, end))
        world.marks[mark.slice.number] = mark.moved(end, round(full * 60 * (end - mark.next)), skipped)
        after = pace.after(Took(seconds, end - mark.next, round(full * 60 * (end - mark.next)), skipped))
    assert 1 <= after.size <= LARGEST_SIZE
    assert pace.size // 2 <= after.size <= pace.size * 2
    return after


@given(units=st.integers(0, 1_000_000), workers=st.integers(1, 64))
def test_slices_lie_end_to_end(units: int, workers: int) -> None:
    slices = cut(units, workers)
    assert [s.number for s in slices] == list(range(len(slices)))
    assert all(s.first < s.end for s in slices)
    assert [s.first for s in slices] == [0, *(s.end for s in slices)][: len(slices)]
    assert (slices[-1].end if slices else 0) == units
