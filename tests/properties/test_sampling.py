"""Intervals from samples: on known populations they hold what is true at least nine times in ten."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normalform.core.sampling import LEAST, choose, estimate, share_of

CLUSTERS, ROWS = 3_000, 50
TRIALS = 400


def scattered(share: float, chance: random.Random) -> list[int]:
    return [sum(chance.random() < share for _ in range(ROWS)) for _ in range(CLUSTERS)]


def lumped(share: float, chance: random.Random) -> list[int]:
    """Whole clusters or nothing, as where a tenant's rows were written together."""
    return [ROWS if chance.random() < share else 0 for _ in range(CLUSTERS)]


def mixed(share: float, chance: random.Random) -> list[int]:
    return [chance.randrange(ROWS) if chance.random() < share else 0 for _ in range(CLUSTERS)]


def rising(share: float, chance: random.Random) -> list[int]:
    return [round(ROWS * share * n / CLUSTERS) for n in range(CLUSTERS)]


@pytest.mark.parametrize("read", [30, 100, 600])
@pytest.mark.parametrize(
    ("population", "share"),
    [
        (scattered, 0.0005), (scattered, 0.02), (scattered, 0.7), (lumped, 0.002), (lumped, 0.02), (lumped, 0.5),
        (mixed, 0.01), (mixed, 0.1), (mixed, 0.9), (rising, 0.3), (rising, 1.0),
    ],
)  # fmt: skip
def test_an_interval_holds_the_truth_nine_times_in_ten(
    population: Callable[[float, random.Random], list[int]], share: float, read: int
) -> None:
    chance = random.Random(f"{population.__name__} {share} {read}")
    counts = population(share, chance)
    truth = sum(counts)
    intervals = [estimate(chance.sample(counts, read), CLUSTERS, ROWS) for _ in range(TRIALS)]
    assert sum(i.low <= truth <= i.high for i in intervals) >= 0.9 * TRIALS


def test_an_interval_narrows_with_what_was_read() -> None:
    chance = random.Random(5)
    counts = scattered(0.2, chance)
    widths = [
        sum(i.high - i.low for i in (estimate(chance.sample(counts, n), CLUSTERS, ROWS) for _ in range(50)))
        for n in (30, 300, 2_900)
    ]
    assert widths[0] > 2 * widths[1] > 4 * widths[2]


@given(st.lists(st.integers(0, 40), max_size=60), st.integers(0, 100))
def test_an_interval_never_leaves_out_what_was_seen(counts: list[int], more: int) -> None:
    found = estimate(counts, len(counts) + more, 40)
    assert found.seen == sum(counts) <= found.low <= found.high
    assert found.high <= sum(counts) + more * 40
    if not more:
        assert found.low == found.high == found.estimate == sum(counts), "all was read"


@given(st.integers(0, 10**7), st.floats(1e-6, 1.0), st.integers(0, 9))
def test_blocks_are_drawn_once_and_of_the_table(blocks: int, share: float, seed: int) -> None:
    chosen = choose(blocks, share, random.Random(seed))
    assert all(0 <= first < end <= blocks for first, end in chosen.parts)
    assert all(a[1] <= b[0] for a, b in zip(chosen.parts, chosen.parts[1:], strict=False))
    assert len(chosen.parts) >= min(LEAST, chosen.clusters)
    assert chosen.read <= max(blocks * share * 1.2 + 2, LEAST * chosen.length)


def test_shares_are_read_as_people_write_them() -> None:
    assert [share_of(t) for t in ("1%", "0.5 %", "0.25", "100%", "1")] == [0.01, 0.005, 0.25, 1.0, 1.0]
    for wrong in ("0", "-1%", "101%", "many", "", "nan", "2"):
        with pytest.raises(ValueError, match=r".*"):
            share_of(wrong)
