"""Waits between tries: bounded, without end, and never in step with another waiter."""

from __future__ import annotations

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from normalform.core.retry import FIRST_WAIT, LONGEST_WAIT, waits


@given(st.integers(), st.integers(1, 500))
def test_every_wait_is_within_its_bounds(seed: int, count: int) -> None:
    seconds = list(islice(waits(seed), count))
    assert len(seconds) == count, "for ever"
    for number, wait in enumerate(seconds):
        ceiling = min(FIRST_WAIT * 2 ** min(number, 60), LONGEST_WAIT)
        assert ceiling / 2 <= wait <= ceiling


@given(st.integers())
def test_a_seed_gives_the_same_waits(seed: int) -> None:
    assert list(islice(waits(seed), 20)) == list(islice(waits(seed), 20))


def test_two_waiters_part() -> None:
    assert list(islice(waits(), 20)) != list(islice(waits(), 20))
