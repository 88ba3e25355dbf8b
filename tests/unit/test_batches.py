"""The planner of batches as tables: what goes in, what is decided, and why."""

from __future__ import annotations

import pytest

from normalform.core import batches
from normalform.core.batches import (
    Finished,
    Held,
    Mark,
    Pace,
    Refused,
    Restart,
    Resume,
    Slice,
    Storage,
    Took,
    Visit,
    after_pass,
    cut,
    milliseconds,
    next_end,
    opening,
    shares,
    terms,
    vacuum_due,
)

HERE, ELSEWHERE = Storage(1, 1), Storage(1, 2)
A, B = Slice(0, 0, 64), Slice(1, 64, 100)


@pytest.mark.parametrize(
    ("units", "workers", "count", "length"),
    [(0, 2, 0, 0), (1, 2, 1, 1), (64, 2, 1, 64), (65, 2, 2, 64), (21_011, 2, 32, 657), (10_000_000, 1, 1221, 8192)],
)
def test_slices_are_neither_tiny_nor_endless(units: int, workers: int, count: int, length: int) -> None:
    slices = cut(units, workers)
    assert len(slices) == count
    assert all(s.end - s.first == length for s in slices[:-1])


@pytest.mark.parametrize(
    ("marks", "kept", "expected"),
    [
        ((), None, Restart),
        ((Mark(A, 10), Mark(B, 64)), HERE, Resume),
        ((Mark(A, 64), Mark(B, 64)), HERE, Resume),
        ((Mark(A, 64, skipped=1), Mark(B, 100)), HERE, Resume),
        ((Mark(A, 64), Mark(B, 100)), HERE, Restart),  # it had ended: this is another sweep
        ((Mark(A, 10), Mark(B, 64)), ELSEWHERE, Restart),  # VACUUM FULL, CLUSTER, TRUNCATE
    ],
)
def test_opening(marks: tuple[Mark, ...], kept: Storage | None, expected: type) -> None:
    decision = opening(marks, kept, HERE, 100, 1)
    assert type(decision) is expected
    if isinstance(decision, Resume):
        assert decision.marks == marks
    else:
        assert decision.slices == cut(100, 1)
    assert decision.reason


@pytest.mark.parametrize(
    ("marks", "visits", "idle", "expected"),
    [
        ((Mark(A, 64), Mark(B, 100)), 0, 0.0, Finished("every block was passed and no row was skipped")),
        ((Mark(A, 64), Mark(B, 70)), 0, 0.0, Visit((Mark(B, 70),), False, False, "not passed yet")),
        # What was begun goes first; skipped rows of other slices wait for the end of the pass.
        ((Mark(A, 64, 3), Mark(B, 70)), 0, 99.0, Visit((Mark(B, 70),), False, False, "not passed yet")),
        ((Mark(A, 64, 3, 7), Mark(B, 100)), 0, 99.0, Visit((Mark(A, 0, 0, 7),), False, True, "3 rows were skipped")),
        ((Mark(A, 64, 3), Mark(B, 100)), 1, 59.0, Visit((Mark(A, 0),), True, True, "3 rows were skipped")),
        ((Mark(A, 64, 3), Mark(B, 100)), 1, 60.0, Held((Mark(A, 64, 3),), 3, "3 rows have been held for 60 s")),
    ],
)
def test_after_a_pass(marks: tuple[Mark, ...], visits: int, idle: float, expected: object) -> None:
    assert after_pass(marks, visits, idle) == expected


@pytest.mark.parametrize(
    ("pace", "outcome", "size"),
    [
        (Pace(0.4, 16), Took(0.01, 16, 100), 32),  # at most doubled
        (Pace(0.4, 16), Took(0.4, 16, 100), 16),
        (Pace(0.4, 16), Took(0.3, 16, 100), 21),
        (Pace(0.4, 16), Took(60.0, 16, 100), 8),  # at most halved
        (Pace(0.4, 1), Took(60.0, 1, 100), 1),  # never 0
        (Pace(0.4, 2048), Took(0.01, 2048, 0), 2048),  # bounded
        (Pace(0.4, 64), Took(0.9, 3, 10), 64),  # the rest of a slice says nothing
        (Pace(0.4, 16), Refused("timeout"), 8),
        (Pace(0.4, 17), Refused("deadlock"), 8),
        (Pace(0.4, 1), Refused("lock"), 1),
        # 60 rows a block at 0.1 ms a row: an empty stretch must not let it grow beyond what full blocks allow.
        (Pace(0.4, 60, density=60, row_seconds=0.0001), Took(0.001, 60, 0), 66),
        (Pace(0.4, 100, density=60, row_seconds=0.0001), Took(0.001, 100, 0), 100),
    ],
)
def test_pace(pace: Pace, outcome: Took | Refused, size: int) -> None:
    after = pace.after(outcome)
    assert after.size == size
    assert after.reason != pace.reason


def test_one_block_refused_again_and_again_is_stuck() -> None:
    pace = Pace(0.4, 4)
    for _ in range(2 + batches.STUCK_AFTER - 1):
        pace = pace.after(Refused("timeout"))
        assert not pace.stuck
    assert pace.after(Refused("timeout")).stuck
    assert pace.after(Took(0.1, 1, 1)).refusals == 0


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        (Mark(Slice(0, 0, 64), 0), (1, 64)),  # too short: shares would be batches of a few rows
        (Mark(Slice(0, 0, 191), 0), (1, 191)),
        (Mark(Slice(0, 0, 192), 0), (3, 64)),
        (Mark(Slice(5, 3_285, 3_942), 3_285), (8, 219)),  # of a million rows
        (Mark(Slice(5, 3_285, 3_942), 3_742), (3, 67)),  # resumed: of the rest
        (Mark(Slice(0, 0, 8_192), 0), (8, 2_731)),
        (Mark(Slice(0, 0, 64), 64), (1, 0)),  # passed
    ],
)
def test_shares_are_for_long_slices(mark: Mark, expected: tuple[int, int]) -> None:
    assert shares(mark) == expected


def test_a_batch_ends_with_its_slice() -> None:
    assert next_end(Mark(B, 64), Pace(0.4, 16)) == 80
    assert next_end(Mark(B, 90), Pace(0.4, 16)) == 100
    with pytest.raises(ValueError, match="slice 1 has been passed"):
        next_end(Mark(B, 100), Pace(0.4, 16))


@pytest.mark.parametrize(
    ("deadlock_ms", "statement_ms", "target"),
    [(1000, 700, 0.4), (100, 70, 0.042), (10, 7, 0.0042), (1, 5, 0.003), (60_000, 2000, 0.4)],
)
def test_live_batches_give_up_before_any_deadlock_timeout(deadlock_ms: int, statement_ms: int, target: float) -> None:
    limits = terms(live=True, target=0.4, window_target=2.0, deadlock_ms=deadlock_ms)
    assert (limits.statement_ms, limits.rows) == (statement_ms, "skip")
    assert limits.target == pytest.approx(target)
    assert limits.lock_ms < limits.statement_ms


def test_in_a_window_nobody_is_passed_over() -> None:
    limits = terms(live=False, target=0.4, window_target=2.0, deadlock_ms=1000)
    assert (limits.rows, limits.target, limits.statement_ms) == ("none", 2.0, 60_000)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1s", 1000),
        ("500ms", 500),
        ("250", 250),
        ("2min", 120_000),
        ("'1 s'", 1000),
        ("0.5s", 500),
        ("", None),
        ("fast", None),
    ],
)
def test_time_settings(text: str, ms: int | None) -> None:
    assert milliseconds(text) == ms


def test_vacuum_waits_for_a_tenth_of_the_table() -> None:
    assert not vacuum_due(99_999, 1_000_000)
    assert vacuum_due(100_000, 1_000_000)
    assert not vacuum_due(9_999, 100)
    assert vacuum_due(10_000, -1)  # the catalog knows nothing of the table yet
