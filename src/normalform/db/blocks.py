"""The engine of every work on ranges of blocks: fill, clear, carry, sweep, refill. Slices, workers, passes, VACUUM.

Decides nothing about rows (``sql.fill`` and the like do) nor about sizes (``core.batches`` does); it carries decisions
out: cuts or resumes, hands slices to workers, visits skipped rows again until none is left or their holder is named
(CORRECTNESS 15), and starts again when the table was rewritten (CORRECTNESS 14). Ctrl-C ends the batches in hand.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ..core import batches
from ..core.batches import Finished, Held, Mark, Restart, Slice, Storage, Terms, Visit
from ..core.events import Event
from ..core.retry import waits
from ..errors import DatabaseRefused, Interrupted
from ..sql.batch import Span, Work
from ..sql.gates import SLOTS
from .batch import StorageChanged
from .signals import lowest_deadlock_timeout, row_holders
from .work import Context, transaction
from .workers import Pool

#: Seconds between two looks at the workers, and between two progress events.
POLL = 0.05
TICK = 0.25


@dataclass(frozen=True)
class Swept:
    """How a sweep ended.

    Args:
        rows: rows changed, over all runs that worked on these slices.
        skipped: rows that are still to do because somebody holds them; 0 means that everything was visited.
        holders: who holds them, as far as our role may see.
    """

    rows: int
    skipped: int = 0
    holders: str = ""


def sweep(ctx: Context, work: Work) -> Swept:
    """Do a work on every block that its table has now, from where an earlier run left it.

    Args:
        ctx: the run. ``options["patience"]``: seconds without progress on held rows until the sweep gives up on them.
        work: the work.

    Returns:
        What was done, and who holds what could not be.

    Raises:
        Interrupted: Ctrl-C; the batches in hand have committed.
        FencedOut: another run has taken over.
        GateClosed: a batch of one block is refused again and again, or application triggers cannot be silenced.
        DatabaseRefused: the table is gone.
        psycopg.OperationalError: a connection was lost.
    """
    while True:
        ctx.check_stop()
        storage, marks = _open(ctx, work)
        if not marks:
            return Swept(0)
        try:
            return _Sweep(ctx, work, storage, marks).run()
        except StorageChanged:
            ctx.say("note", work.name, f"{work.ground.name} was rewritten meanwhile: the scan starts again")


def forget(ctx: Context, name: str) -> None:
    """Drop a work's checkpoints, so that its next sweep begins anew."""
    with transaction(ctx, ctx.conn, f"{name}:forget"):
        ctx.conn.execute("DELETE FROM normalform.checkpoint WHERE work = %s", (name,))


def _open(ctx: Context, work: Work) -> tuple[Storage, list[Mark]]:
    """Resume the work's slices, or cut them and keep them."""
    row = ctx.conn.execute(work.ground.measure()).fetchone()
    if row is None:
        raise DatabaseRefused(f"table {work.ground.name} is gone", hint="normalform status")
    now, units = Storage(row[0], row[1]), int(row[2])
    kept = ctx.conn.execute(
        "SELECT slice, first_block, end_block, next_block, skipped, rows, relation::bigint, relfilenode::bigint "
        "FROM normalform.checkpoint WHERE work = %s ORDER BY slice",
        (work.name,),
    ).fetchall()
    marks = [Mark(Slice(r[0], r[1], r[2]), r[3], r[4], r[5]) for r in kept]
    storage = Storage(kept[0][6], kept[0][7]) if kept else None
    decision = batches.opening(marks, storage, now, units, ctx.workers)
    if isinstance(decision, Restart):
        marks = [Mark(s, s.first) for s in decision.slices]
        with transaction(ctx, ctx.conn, f"{work.name}:cut"), ctx.conn.cursor() as cursor:
            cursor.execute("DELETE FROM normalform.checkpoint WHERE work = %s", (work.name,))
            cursor.executemany(
                "INSERT INTO normalform.checkpoint (work, slice, relation, relfilenode, first_block, end_block, "
                "next_block) VALUES (%s, %s, %s, %s, %s, %s, %s)",
                [(work.name, s.number, now.relation, now.file, s.first, s.end, s.first) for s in decision.slices],
            )
    ctx.say("note", work.name, f"{len(marks)} slices, {units} blocks: {decision.reason}")
    return now, marks


class _Sweep:
    """The passes over one set of slices."""

    def __init__(self, ctx: Context, work: Work, storage: Storage, marks: Sequence[Mark]) -> None:
        self.ctx, self.work, self.storage = ctx, work, storage
        self.marks = {m.slice.number: m for m in marks}
        self.limits = self._terms()
        self.patience = float(ctx.options.get("patience", batches.PATIENCE))
        self.began = time.monotonic()
        self.rows_before = self.rows

    @property
    def rows(self) -> int:
        return sum(m.rows for m in self.marks.values())

    @property
    def skipped(self) -> int:
        return sum(m.skipped for m in self.marks.values())

    def run(self) -> Swept:
        visits, fewest, since = 0, None, time.monotonic()
        pauses = waits()
        while True:
            ordered = [self.marks[n] for n in sorted(self.marks)]
            if all(m.passed for m in ordered) and (fewest is None or self.skipped < fewest):
                fewest, since, pauses = self.skipped, time.monotonic(), waits()
            decision = batches.after_pass(ordered, visits, time.monotonic() - since, self.patience)
            if isinstance(decision, Finished):
                return Swept(self.rows)
            if isinstance(decision, Held):
                return Swept(self.rows, decision.rows, self._holders(decision.marks))
            if decision.again:
                if visits:
                    self._pause(decision, next(pauses))
                self._set_back(decision)
                visits += 1
            self._pass(decision)

    def _terms(self) -> Terms:
        fill = self.ctx.model.spec.backfill
        return batches.terms(
            live=self.ctx.strategy == "live",
            target=fill.target,
            window_target=fill.window_target,
            deadlock_ms=lowest_deadlock_timeout(self.ctx.conn),
        )

    def _pause(self, visit: Visit, seconds: float) -> None:
        """Find out who holds the skipped rows, say so, and give him a moment."""
        holders = self._holders(visit.marks)
        by = f" by {holders}" if holders else ""
        self.ctx.say("wait", self.work.name, f"{visit.reason}, held{by}; again in {seconds:.1f} s")
        self.ctx.stop.wait(seconds)
        self.ctx.check_stop()

    def _holders(self, marks: Sequence[Mark]) -> str:
        """Say who holds rows of these slices now; empty when nobody does any more."""
        for mark in marks:
            span = Span(mark.slice.first, mark.slice.end)
            found = row_holders(self.ctx.connector, self.ctx.conn, self.work, span)
            if found:
                return found
        return ""

    def _set_back(self, visit: Visit) -> None:
        with transaction(self.ctx, self.ctx.conn, f"{self.work.name}:again"):
            self.ctx.conn.execute(
                "UPDATE normalform.checkpoint SET next_block = first_block, skipped = 0 "
                "WHERE work = %s AND slice = ANY(%s)",
                (self.work.name, [m.slice.number for m in visit.marks]),
            )

    def _pass(self, visit: Visit) -> None:
        """Let workers pass over the slices; returns when all have ended, whatever the reason.

        Raises:
            Interrupted: Ctrl-C came before the pass had ended.
        """
        for mark in visit.marks:
            self.marks[mark.slice.number] = mark
        vacuum = self.ctx.model.spec.backfill.vacuum == "between"
        count = max(1, min(self.ctx.workers, SLOTS, len(visit.marks)))
        pool = Pool(self.ctx, self.work, self.storage, self.limits, visit, count, vacuum=vacuum)
        spoken = 0.0
        with pool:
            while pool.running:
                pool.wait(POLL)
                if self.ctx.stop.is_set():
                    pool.cancel_vacuum()
                self._take(pool.news)
                if time.monotonic() - spoken >= TICK:
                    spoken = time.monotonic()
                    self._progress()
        self._take(pool.news)
        self._progress()
        if pool.error is not None:
            raise pool.error
        if any(not self.marks[m.slice.number].passed for m in visit.marks):
            raise Interrupted("stopped after the batch in hand", hint="run the same command again to resume")

    def _take(self, news: queue.SimpleQueue[Mark | Event]) -> None:
        while True:
            try:
                item = news.get_nowait()
            except queue.Empty:
                return
            if isinstance(item, Mark):
                self.marks[item.slice.number] = item
            else:
                self.ctx.sink(item)

    def _progress(self) -> None:
        done = sum(m.next - m.slice.first for m in self.marks.values())
        total = sum(m.slice.end - m.slice.first for m in self.marks.values())
        seconds = max(time.monotonic() - self.began, 1e-6)
        rate = (self.rows - self.rows_before) / seconds
        text = f"{self.rows:,} rows, {rate:,.0f}/s"
        data = {"rows": self.rows, "rate": round(rate), "skipped": self.skipped}
        self.ctx.sink(Event("progress", self.work.name, text, done, total, "blocks", data))
