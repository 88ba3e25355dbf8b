"""The workers of one pass: threads, each with a session of its own, taking slices from one queue.

Decides only when a worker ends: no slice left, Ctrl-C, or another one's failure. A worker never raises out of its
thread: the first error is kept for whoever waits, the others end after the batch in hand.
"""

from __future__ import annotations

import queue
import threading
import time
from types import TracebackType
from typing import Self

import psycopg

from ..core import batches
from ..core.batches import Mark, Pace, Refused, Storage, Terms, Took, Visit
from ..core.events import Event
from ..core.retry import waits
from ..errors import GateClosed
from ..sql.batch import Rows, Share, Work
from .batch import BatchSession, Busy, vacuum
from .execute import lock_holders
from .signals import gate_holders
from .work import Context

#: Seconds after which a wait for a table or a gate is spoken of, and between two tries at a gate.
SPEAK_AFTER = 1.0
GATE_STEP = 0.02
#: Longest pause between two tries at a locked table: DDL of others is short or long, and nobody waits for us.
LONGEST_TABLE_WAIT = 2.0


class Pool:
    """Workers under way; a context manager that starts them, and has ended them all when it is left.

    Attributes:
        news: marks as they move, and events, for the thread that owns the pool.
        error: the first failure.
    """

    def __init__(
        self, ctx: Context, work: Work, storage: Storage, limits: Terms, visit: Visit, count: int, *, vacuum: bool
    ) -> None:
        self.ctx, self.work, self.storage, self.limits, self.visit = ctx, work, storage, limits, visit
        self.news: queue.SimpleQueue[Mark | Event] = queue.SimpleQueue()
        self.error: BaseException | None = None
        self.halt = threading.Event()
        self.vacuum = vacuum
        self.vacuuming = threading.Lock()
        self.vacuumer: psycopg.Connection | None = None
        self.changed = 0
        self._lock = threading.Lock()
        self._slices: queue.SimpleQueue[Mark] = queue.SimpleQueue()
        for mark in visit.marks:
            self._slices.put(mark)
        self._threads = [
            threading.Thread(target=self._run, args=(slot,), name=f"normalform-worker-{slot}") for slot in range(count)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.halt.set()
        for thread in self._threads:
            thread.join()

    @property
    def running(self) -> bool:
        """Whether a worker is still at it."""
        return any(t.is_alive() for t in self._threads)

    @property
    def ending(self) -> bool:
        """Whether workers are to end after the batch in hand."""
        return self.halt.is_set() or self.ctx.stop.is_set()

    def wait(self, seconds: float) -> None:
        """Wait for a worker to end, so long at most."""
        for thread in self._threads:
            if thread.is_alive():
                thread.join(seconds)
                return

    def take(self) -> Mark | None:
        """Return the next slice, None when there is none."""
        try:
            return self._slices.get_nowait()
        except queue.Empty:
            return None

    def fail(self, error: BaseException) -> None:
        """Keep the first failure and let the others end."""
        with self._lock:
            if self.error is None:
                self.error = error
        self.halt.set()

    def count(self, changed: int) -> None:
        """Count rows towards the next VACUUM."""
        with self._lock:
            self.changed += changed

    def cancel_vacuum(self) -> None:
        """Cut a VACUUM short: unlike a batch it loses nothing, and it may last long."""
        conn = self.vacuumer
        if conn is not None:
            conn.cancel_safe(timeout=5)

    def _run(self, slot: int) -> None:
        try:
            with self.ctx.connector.open(f"worker-{slot}") as conn:
                worker = _Worker(self, conn, slot)
                while not self.ending and (mark := self.take()) is not None:
                    worker.slice(mark)
        except BaseException as error:  # noqa: BLE001 - handed to the thread that owns the pool
            self.fail(error)


class _Worker:
    """One worker: a session and its pace."""

    def __init__(self, pool: Pool, conn: psycopg.Connection, slot: int) -> None:
        self.pool, self.ctx, self.work, self.conn = pool, pool.ctx, pool.work, conn
        self.session = BatchSession(pool.ctx, conn, pool.work, pool.storage, pool.limits, slot)
        self.pace = Pace(pool.limits.target)

    def slice(self, mark: Mark) -> None:
        """Pass over a slice, or as much of it as the pool's end lets; where that pays, by shares of its rows first."""
        if self.work.by_shares and not self.pool.visit.again:
            mark = self._shares(mark)
        while not mark.passed:
            if self.pool.ending:
                return
            end = batches.next_end(mark, self.pace)
            outcome = self._batch(mark, end)
            if isinstance(outcome, Took):
                mark = mark.moved(end, outcome.changed, outcome.skipped)
                self.pool.news.put(mark)
                self.pool.count(outcome.changed)
        self._vacuum()

    def _shares(self, mark: Mark) -> Mark:
        """Do all shares but the last, which is left to the pass over the whole slice with whatever else is.

        The slice's checkpoint stays: a run that is stopped here begins the slice anew and finds less to do.
        """
        of, most = batches.shares(mark)
        before = mark
        for number in range(of - 1):
            if number and mark.rows == before.rows:
                break  # a share without work: hardly any is left, and the whole pass will meet it
            at, before = mark.next, mark
            while at < mark.slice.end and not self.pool.ending:
                end = min(at + min(self.pace.size, most), mark.slice.end)
                outcome = self._batch(mark, end, at, Share(number, of))
                if isinstance(outcome, Took):
                    at, mark = end, mark.moved(mark.next, outcome.changed, 0)
                    self.pool.news.put(mark)
                    self.pool.count(outcome.changed)
        return mark

    def _batch(self, mark: Mark, end: int, first: int = 0, share: Share | None = None) -> Took | Refused | None:
        """Try one batch; None when the pool ended while it waited to begin."""
        rows: Rows = "wait" if self.pool.visit.wait else self.pool.limits.rows
        outcome = self._begin(mark, end, rows, first, share)
        if isinstance(outcome, Refused) and rows != "skip" and outcome.kind == "lock":
            # Somebody holds a row for longer than we wait: the others of the batch need not.
            outcome = self._begin(mark, end, "skip", first, share)
        if outcome is None:
            return None
        self.pace = self.pace.after(outcome)
        if isinstance(outcome, Refused):
            self._refused(outcome)
        return outcome

    def _refused(self, outcome: Refused) -> None:
        if self.pace.stuck:
            reason = (
                f"{self.work.name}: one block of {self.work.ground.name} alone was refused "
                f"{batches.STUCK_AFTER} times ({outcome.kind} within {self.pool.limits.statement_ms} ms)"
            )
            raise GateClosed(
                "batch",
                [reason],
                hint='application triggers may be slow: app_triggers = "skip" in the spec, or --strategy window',
            )
        self.pool.news.put(Event("note", self.work.name, f"batch of {self.pace.size} blocks next: {self.pace.reason}"))
        if self.pace.refusals:
            self._sleep(0.1 * self.pace.refusals)

    def _begin(self, mark: Mark, end: int, rows: Rows, first: int, share: Share | None) -> Took | Refused | None:
        """Run the batch as soon as its table and gates are free."""
        began, spoke, pauses = time.monotonic(), False, waits()
        while True:
            outcome = self.session.run(mark, end, rows, first=first, share=share)
            if not isinstance(outcome, Busy):
                return outcome
            if not spoke and time.monotonic() - began >= SPEAK_AFTER:
                spoke = True
                self.pool.news.put(Event("wait", self.work.name, self._who(outcome)))
            seconds = GATE_STEP if outcome.lookup is not None else min(next(pauses), LONGEST_TABLE_WAIT)
            self._sleep(seconds)
            if self.pool.ending:
                return None

    def _who(self, busy: Busy) -> str:
        if busy.lookup is not None:
            who = gate_holders(self.conn, busy.lookup)
            return f"an uncommitted rename in lookup {busy.lookup} is waited for: {who}"
        return f"{self.work.ground.name} is locked by {lock_holders(self.conn, self.work.table)}"

    def _sleep(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self.pool.ending and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))

    def _vacuum(self) -> None:
        """VACUUM when enough has gathered and no other worker is at it; between batches, so in no snapshot of ours."""
        pool = self.pool
        table = self.ctx.model.catalog.find(self.work.ground.name)
        total = table.rows_estimate if table is not None else 0.0
        if not pool.vacuum or pool.ending or not batches.vacuum_due(pool.changed, total):
            return
        if not pool.vacuuming.acquire(blocking=False):
            return
        try:
            pool.count(-pool.changed)
            pool.vacuumer = self.conn
            vacuum(self.ctx, self.conn, self.work)
        except psycopg.errors.QueryCanceled:
            if not pool.ending:
                raise
        finally:
            pool.vacuumer = None
            pool.vacuuming.release()
