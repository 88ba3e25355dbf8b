"""Batches: how a table's blocks are cut into slices and batches, how large a batch is, and what to do next.

A pure planner: what the ledger holds and what a batch reported go in, a decision with its reason comes out. It never
waits, reads a clock or speaks to a database. Units are blocks of a heap, or whatever else the work is cut by.

Two promises, kept whatever the timings and wherever a run is stopped: every unit that stood at the start is covered by
exactly one batch of a pass, and every pass ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

#: Units of the first batch, and of the largest: growth doubles, so the largest is reached after seven good ones.
FIRST_SIZE = 16
LARGEST_SIZE = 2048
#: A slice is what one worker takes, what is visited again when rows were skipped, and between two of which VACUUM runs.
SMALLEST_SLICE, LARGEST_SLICE = 64, 8192
SLICES_PER_WORKER = 16
#: A slice of several times so many units is worked on by shares of its rows, as many as that, and no more than these.
#: A share's batch is no longer than such a part of the slice: see :func:`shares`.
SHARE_LEAST, MOST_SHARES, SHARE_PARTS = 64, 8, 3
#: How many refusals in a row one unit alone may meet before somebody has to look.
STUCK_AFTER = 12
#: Seconds without any progress on held rows after which their holder is named and the work ends.
PATIENCE = 60.0
#: VACUUM after each such share of the rows, and not for fewer rows than that: see docs of ``spec.backfill.vacuum``.
VACUUM_SHARE = 0.1
VACUUM_LEAST_ROWS = 10_000


@dataclass(frozen=True)
class Slice:
    """A range of units: ``first`` is in it, ``end`` is not."""

    number: int
    first: int
    end: int


@dataclass(frozen=True)
class Mark:
    """Where a slice stands, as the ledger keeps it.

    Args:
        slice: the slice.
        next: the unit where the next batch begins; ``slice.end`` when the slice has been passed.
        skipped: rows passed over in this pass because somebody held them.
        rows: rows changed in all passes.
    """

    slice: Slice
    next: int
    skipped: int = 0
    rows: int = 0

    @property
    def passed(self) -> bool:
        """Whether the pass has reached the slice's end."""
        return self.next >= self.slice.end

    def moved(self, end: int, changed: int, skipped: int) -> Mark:
        """Return the mark after a batch up to ``end``."""
        return replace(self, next=end, skipped=self.skipped + skipped, rows=self.rows + changed)

    def again(self) -> Mark:
        """Return the mark at the start of another pass over the slice."""
        return replace(self, next=self.slice.first, skipped=0)


@dataclass(frozen=True)
class Storage:
    """Which relation, and which file of it, the units count in."""

    relation: int
    file: int


@dataclass(frozen=True)
class Resume:
    """Go on from the marks."""

    marks: tuple[Mark, ...]
    reason: str


@dataclass(frozen=True)
class Restart:
    """Forget what marks there are and begin with these slices."""

    slices: tuple[Slice, ...]
    reason: str


def cut(units: int, workers: int) -> tuple[Slice, ...]:
    """Cut a table into slices that cover every unit once.

    Args:
        units: how many there are now; 0 gives no slice.
        workers: how many work at once, at least 1.
    """
    wanted = -(-units // (max(1, workers) * SLICES_PER_WORKER))
    length = min(max(wanted, SMALLEST_SLICE), LARGEST_SLICE)
    firsts = range(0, units, length)
    return tuple(Slice(number, first, min(first + length, units)) for number, first in enumerate(firsts))


def opening(marks: Sequence[Mark], kept: Storage | None, now: Storage, units: int, workers: int) -> Resume | Restart:
    """Decide how a sweep begins.

    Args:
        marks: what the ledger keeps, in order.
        kept: the storage that the marks were cut from; None without marks.
        now: the storage as it is.
        units: how many units it has.
        workers: how many work at once.
    """
    if not marks or kept is None:
        return Restart(cut(units, workers), "nothing was begun")
    if kept != now:
        return Restart(cut(units, workers), "the table was rewritten: its blocks hold other rows than before")
    if all(m.passed and not m.skipped for m in marks):
        return Restart(cut(units, workers), "an earlier pass had ended")
    return Resume(tuple(marks), "an earlier run was stopped on the way")


@dataclass(frozen=True)
class Finished:
    """Nothing is left to visit."""

    reason: str


@dataclass(frozen=True)
class Visit:
    """Pass over these slices.

    Args:
        marks: the slices with where to begin.
        wait: whether batches may wait for held rows this time.
        again: whether the slices were passed before and are set back to their start.
        reason: why.
    """

    marks: tuple[Mark, ...]
    wait: bool
    again: bool
    reason: str


@dataclass(frozen=True)
class Held:
    """Rows are left that somebody holds, and patience is over."""

    marks: tuple[Mark, ...]
    rows: int
    reason: str


def after_pass(marks: Sequence[Mark], visits: int, idle: float, patience: float = PATIENCE) -> Finished | Visit | Held:
    """Decide what follows a pass, or the opening.

    Args:
        marks: all slices as they stand.
        visits: how many times skipped rows have been visited again already.
        idle: seconds since the number of skipped rows last went down.
        patience: seconds after which idleness ends the work.
    """
    begun = tuple(m for m in marks if not m.passed)
    if begun:
        return Visit(begun, wait=visits > 0, again=False, reason="not passed yet")
    held = tuple(m for m in marks if m.skipped)
    if not held:
        return Finished("every block was passed and no row was skipped")
    rows = sum(m.skipped for m in held)
    # The first visit does not wait: most holders are gone by the time that the pass has ended.
    if visits and idle >= patience:
        return Held(held, rows, f"{rows} rows have been held for {idle:.0f} s")
    return Visit(tuple(m.again() for m in held), wait=visits > 0, again=True, reason=f"{rows} rows were skipped")


def shares(mark: Mark) -> tuple[int, int]:
    """Decide by how many shares of its rows a slice is worked on.

    A page that is full has no room for the new version of a row, which then goes to another page, and into every index
    anew. Where a share of a page's rows has gone that way, the next share finds its room, once nobody can see the old
    versions any more, and no index is touched; and so on. Meanwhile other batches must have come and gone, also those
    of other workers: so each share is done over the whole slice, in several batches, before the next.

    Returns:
        How many shares, 1 where the rest of the slice is too short for that; and the most units of a share's batch.
    """
    left = mark.slice.end - mark.next
    of = min(MOST_SHARES, left // SHARE_LEAST)
    return (of, -(-left // SHARE_PARTS)) if of > 2 else (1, left)


Kind = Literal["timeout", "deadlock", "lock"]


@dataclass(frozen=True)
class Took:
    """A batch has committed, after so many seconds."""

    seconds: float
    units: int
    changed: int
    skipped: int = 0


@dataclass(frozen=True)
class Refused:
    """A batch was rolled back: statement_timeout, a deadlock, or a row that could not be had."""

    kind: Kind


@dataclass(frozen=True)
class Pace:
    """How many units the next batch takes.

    Args:
        target: seconds that a batch should take.
        size: units of the next batch, 1 to ``largest``.
        largest: the most that a batch may take.
        density: most rows that one unit has lately had to change; what an empty stretch may be followed by.
        row_seconds: seconds that a changed row has lately taken; 0 while unknown.
        refusals: batches refused in a row at the smallest size.
        reason: why this size.
    """

    target: float
    size: int = FIRST_SIZE
    largest: int = LARGEST_SIZE
    density: float = 0.0
    row_seconds: float = 0.0
    refusals: int = 0
    reason: str = "the first batch"

    @property
    def stuck(self) -> bool:
        """Whether even one unit alone is refused again and again."""
        return self.refusals >= STUCK_AFTER

    def after(self, outcome: Took | Refused) -> Pace:
        """Return the pace after a batch: at most doubled, at least halved, never 0."""
        if isinstance(outcome, Refused):
            at_bottom = self.size == 1
            return replace(
                self,
                size=max(1, self.size // 2),
                refusals=self.refusals + 1 if at_bottom else 0,
                reason=f"halved after a {outcome.kind}",
            )
        return self._took(outcome)

    def _took(self, took: Took) -> Pace:
        density, row_seconds = self.density, self.row_seconds
        if took.changed:
            density = max(density * 0.95, took.changed / took.units)
            measured = took.seconds / took.changed
            row_seconds = measured if row_seconds == 0 else 0.7 * row_seconds + 0.3 * measured
        size, reason = self.size, "a short batch at a slice's end says nothing"
        if took.units * 2 >= self.size:
            wanted = took.units * self.target / max(took.seconds, 1e-6)
            size = round(min(max(wanted, self.size / 2), self.size * 2))
            reason = f"{took.units} blocks took {took.seconds:.2f} s of {self.target:.2f} s"
        if density and row_seconds and size > self.size:
            # A stretch with nothing to do runs fast and may end in a full one: grow only to what that would take.
            full = self.target / (density * row_seconds)
            if size > full:
                size, reason = max(self.size, int(full)), "no larger than full blocks allow"
        return replace(
            self,
            size=min(max(size, 1), self.largest),
            density=density,
            row_seconds=row_seconds,
            refusals=0,
            reason=reason,
        )


def next_end(mark: Mark, pace: Pace) -> int:
    """Return the end of the next batch of a slice that has not been passed: beyond ``mark.next``, within the slice.

    Raises:
        ValueError: the slice has been passed.
    """
    if mark.passed:
        raise ValueError(f"slice {mark.slice.number} has been passed")
    return min(mark.next + pace.size, mark.slice.end)


@dataclass(frozen=True)
class Terms:
    """Under which limits batches run.

    Args:
        target: seconds that a batch should take.
        statement_ms: statement_timeout of the batch, in milliseconds.
        lock_ms: lock_timeout.
        rows: how rows are locked: ``skip`` those that somebody holds, or ``none`` (lock by updating).
        reason: why.
    """

    target: float
    statement_ms: int
    lock_ms: int
    rows: Literal["skip", "none"]
    reason: str


def terms(*, live: bool, target: float, window_target: float, deadlock_ms: int) -> Terms:
    """Decide the limits of batches.

    Live, everything from the first lock to the commit must fit below the deadlock_timeout of whoever may come to wait
    for us: then we give up before the detector can choose an application's transaction (CORRECTNESS 12).

    Args:
        live: whether the application writes beside us.
        target: seconds of a live batch, as the spec wants them.
        window_target: seconds of a batch in a window.
        deadlock_ms: the lowest deadlock_timeout in force, in milliseconds.
    """
    if not live:
        statement = max(60_000, int(window_target * 20_000))
        return Terms(window_target, statement, 2_000, "none", "a window: nobody else writes")
    statement = max(5, min(deadlock_ms * 7 // 10, 2_000))
    return Terms(
        target=min(target, statement * 0.6 / 1000),
        statement_ms=statement,
        lock_ms=max(2, statement // 2),
        rows="skip",
        reason=f"below the lowest deadlock_timeout, {deadlock_ms} ms",
    )


def milliseconds(text: str) -> int | None:
    """Read a time setting as PostgreSQL writes it (``1s``, ``500ms``, ``500``, ``2min``); None when it is none."""
    factors = {"us": 0.001, "ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000, "": 1}
    digits = text.strip().strip("'\"").strip()
    number = digits.rstrip("abcdefghijklmnopqrstuvwxyz ")
    factor = factors.get(digits[len(number) :].strip())
    try:
        return None if factor is None else round(float(number) * factor)
    except ValueError:
        return None


def vacuum_due(rows_since: int, total_rows: float) -> bool:
    """Decide whether VACUUM should run now, between two slices.

    Args:
        rows_since: rows changed since the last one, or since the start.
        total_rows: the table's rows, as the catalog estimates them.
    """
    return rows_since >= max(total_rows * VACUUM_SHARE, VACUUM_LEAST_ROWS)
