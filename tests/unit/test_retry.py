"""When the same statement may be tried again."""

from __future__ import annotations

from itertools import islice

import pytest

from normalform.core.retry import FIRST_WAIT, LONGEST_WAIT, METADATA_TIMEOUT_MS, RETRYABLE, waits


@pytest.mark.parametrize("state", ["55P03", "57014", "40P01", "40001"])
def test_nothing_has_happened_after_these(state: str) -> None:
    assert state in RETRYABLE


@pytest.mark.parametrize("state", ["23505", "23503", "42P07", "57P01", "08006", "25006", None])
def test_these_are_answers_and_not_accidents(state: str | None) -> None:
    assert state not in RETRYABLE


def test_a_queue_behind_metadata_ddl_waits_below_the_deadlock_timeout() -> None:
    assert 0 < METADATA_TIMEOUT_MS < 1000


def test_waits_grow_to_the_longest() -> None:
    seconds = list(islice(waits(1), 40))
    assert FIRST_WAIT / 2 <= seconds[0] <= FIRST_WAIT
    assert all(LONGEST_WAIT / 2 <= s <= LONGEST_WAIT for s in seconds[10:])
