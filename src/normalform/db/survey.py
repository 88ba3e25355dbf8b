"""Surveying references: workers read ranges of blocks, class the rows, add them up, and see every row version once.

Decides who reads what next, when a pass is complete and when a table has to be read again. What a row's class is, is
``sql.proof``'s. It must never let a row escape by moving: see ``db.snapshots``.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psycopg
from psycopg import sql

from ..core.certificate import PENDING, WRONG, Offence, Tally
from ..core.checksum import Checksum
from ..core.events import Event
from ..core.model import Reference
from ..core.retry import waits
from ..errors import ProofFailed
from ..sql.sums import sample_query, tally_query
from .snapshots import STATEMENT_MS, BlockRange, Pace, extent, horizon, lock_for_reading, reading, versions
from .work import Context, run_sql

SQL = sql.SQL
OFFENDING = (*WRONG, PENDING)
#: Sample rows of each kind that a certificate keeps.
SAMPLES = 10
#: How often a table is read again because it was rewritten, or because its last look took too long.
ROUNDS = 4
#: Types whose values are numbers and no texts: shown even when values are masked.
PLAIN = ("int2", "int4", "int8", "uuid")


@dataclass
class Job:
    """One reference being read. Its fields are changed under the survey's lock."""

    reference: Reference
    pace: Pace = field(default_factory=Pace)
    tally: Tally = field(default_factory=Tally)
    offences: list[Offence] = field(default_factory=list)
    file: int = 0
    blocks: int = 0
    next: int = 0
    read: int = 0
    since: int | None = None
    before: int | None = None
    rewritten: bool = False
    settled: bool = False

    def begin(self, conn: psycopg.Connection, *, live: bool) -> None:
        """Start a round, in a transaction: from the beginning, or with what is newer than the round before."""
        # The horizon comes before the size: what had ended by then lies within the blocks counted afterwards.
        limit = horizon(conn) if live else None
        found = extent(conn, self.reference.table.name)
        if self.rewritten:
            self.tally, self.offences, self.since, self.before, self.rewritten = Tally(), [], None, None, False
        self.since, self.before = self.before, limit
        self.file, self.blocks, self.next, self.read = found.file, found.blocks, 0, 0

    def take(self) -> BlockRange | None:
        """Return the next range, or None when all are given out."""
        if self.rewritten or self.next >= self.blocks:
            return None
        first, self.next = self.next, min(self.blocks, self.next + self.pace.blocks)
        return BlockRange(first, self.next)

    def add(self, tally: Tally, offences: Sequence[Offence], blocks: int) -> None:
        """Add what a piece came to."""
        self.tally += tally
        self.offences += offences
        self.read += blocks

    def wanted(self, tally: Tally) -> list[str]:
        """Return the kinds of offending rows in a piece of which there are not enough samples yet."""
        have = Counter(o.kind for o in self.offences)
        return [k for k in OFFENDING if tally.count(k) and have[k] < SAMPLES]


Task = Callable[[psycopg.Connection], None]


def survey(ctx: Context, jobs: Sequence[Job], shared: str | None) -> None:
    """Read every job's reference; afterwards its tally holds every row.

    Args:
        ctx: the run; ``ctx.workers`` sessions read.
        jobs: what to read.
        shared: an exported snapshot to read everything in, or None for short snapshots beside writers.

    Raises:
        ProofFailed: a table could not be read in short enough pieces.
        Interrupted: Ctrl-C between two pieces.
    """
    _Survey(ctx, shared).run(jobs)


class _Survey:
    def __init__(self, ctx: Context, shared: str | None) -> None:
        self.ctx, self.shared = ctx, shared
        self.lock = threading.Lock()
        self.failed = threading.Event()

    def run(self, jobs: Sequence[Job]) -> None:
        with ExitStack() as stack:
            count = max(1, self.ctx.workers)
            conns = [stack.enter_context(self.ctx.connector.open(f"verify-{i}")) for i in range(count)]
            todo = list(jobs)
            for _ in range(ROUNDS):
                for job in todo:
                    self.patiently(job, f"verify:{job.reference.name}:begin", partial(self.begin, job))
                # Largest first, so that the workers end together.
                todo.sort(key=lambda job: -job.blocks)
                self.spread(conns, partial(self.next_range, todo))
                if self.shared is None:
                    self.spread(conns, partial(self.next_last, [job for job in todo if not job.rewritten]))
                todo = [job for job in todo if job.rewritten or not (job.settled or self.shared)]
                if not todo:
                    return
        names = ", ".join(str(job.reference.table.name) for job in todo)
        raise ProofFailed(
            f"{names} cannot be read to the end beside writers: rewritten or changed too fast {ROUNDS} times",
            hint="normalform verify again, or in a window: --strategy window",
        )

    def begin(self, job: Job) -> None:
        with reading(self.ctx.conn):
            job.begin(self.ctx.conn, live=self.shared is None)

    def next_range(self, jobs: Sequence[Job]) -> Task | None:
        with self.lock:
            for job in jobs:
                piece = job.take()
                if piece is not None:
                    return lambda conn: self.range(conn, job, piece)
        return None

    def next_last(self, jobs: list[Job]) -> Task | None:
        with self.lock:
            job = jobs.pop() if jobs else None
        return None if job is None else lambda conn: self.last(conn, job)

    def spread(self, conns: Sequence[psycopg.Connection], take: Callable[[], Task | None]) -> None:
        """Let the sessions work until nothing is left to take; the first error ends them all after their piece."""
        errors: list[BaseException] = []

        def work(conn: psycopg.Connection) -> None:
            try:
                while not self.failed.is_set():
                    self.ctx.check_stop()
                    task = take()
                    if task is None:
                        return
                    task(conn)
            except BaseException as error:  # noqa: BLE001  (raised again below, in the caller's thread)
                self.failed.set()
                errors.append(error)

        threads = [threading.Thread(target=work, args=(conn,), name="verify") for conn in conns[1:]]
        for thread in threads:
            thread.start()
        work(conns[0])
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    def range(self, conn: psycopg.Connection, job: Job, piece: BlockRange) -> None:
        """Read one range; a range that takes too long is read as two halves."""
        condition = SQL("{} AND {}").format(piece.condition(), versions(job.since, job.before))
        began = time.monotonic()
        try:
            self.piece(conn, job, condition, f"verify:{job.reference.name}:{piece.first}", piece.blocks)
        except psycopg.errors.QueryCanceled as error:
            if piece.blocks == 1:
                raise ProofFailed(
                    f"{job.reference.table.name}: one block takes longer than {STATEMENT_MS // 1000} s to compare",
                    hint="verify in a window, where no limit holds: --strategy window",
                ) from error
            with self.lock:
                job.pace.halve()
            for half in piece.halves():
                self.ctx.check_stop()
                self.range(conn, job, half)
            return
        with self.lock:
            if piece.blocks == job.pace.blocks:
                job.pace.took(time.monotonic() - began)

    def last(self, conn: psycopg.Connection, job: Job) -> None:
        """Look once at everything that is newer than the round's horizon, wherever it has moved, in one snapshot."""
        try:
            self.piece(conn, job, versions(job.before, None), f"verify:{job.reference.name}:last", 0)
        except psycopg.errors.QueryCanceled:
            return  # too much of it: another round reads it by ranges, and leaves less for the next last look
        job.settled = not job.rewritten

    def piece(self, conn: psycopg.Connection, job: Job, where: sql.Composable, name: str, blocks: int) -> None:
        """Class and sum the rows that a condition picks, in one short transaction."""
        self.patiently(job, name, lambda: self.once(conn, job, where, name, blocks))

    def patiently(self, job: Job, name: str, attempt: Callable[[], None]) -> None:
        """Try again while the table is locked; in between nobody stands in a queue behind us."""
        for seconds in waits():
            try:
                return attempt()
            except psycopg.errors.LockNotAvailable:
                table = job.reference.table.name
                self.say(Event("wait", name, f"{table} or its lookup is locked; again in {seconds:.1f} s"))
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                self.ctx.check_stop()
                time.sleep(min(0.1, seconds))
        raise AssertionError("waits() never ends")

    def once(self, conn: psycopg.Connection, job: Job, where: sql.Composable, name: str, blocks: int) -> None:
        offences: list[Offence] = []
        with reading(conn, shared=self.shared):
            lock_for_reading(conn, job.reference.table.name)
            if extent(conn, job.reference.table.name).file != job.file:
                job.rewritten = True
                return
            tally = read_tally(run_sql(self.ctx, conn, name, tally_query(job.reference, where)))
            offences = self.samples(conn, job, tally, where)
        with self.lock:
            job.add(tally, offences, blocks)
            done, total = job.read, job.blocks
        self.say(Event("progress", f"verify:{job.reference.name}", "", done, total, "blocks"))

    def samples(self, conn: psycopg.Connection, job: Job, tally: Tally, where: sql.Composable) -> list[Offence]:
        """Return new sample rows of a piece; with the option ``all`` every row goes to the sink, and few are kept."""
        everything = bool(self.ctx.options.get("all"))
        with self.lock:
            kinds = [k for k in OFFENDING if tally.count(k)] if everything else job.wanted(tally)
        if self.ctx.options.get("residue") and tally.count("residue"):
            kinds.append("residue")
        if not kinds:
            return []
        kept: list[Offence] = []
        have = Counter(o.kind for o in job.offences)
        with conn.cursor("normalform_offences") as cursor:
            cursor.itersize = 1000
            cursor.execute(sample_query(job.reference, kinds, None if everything else SAMPLES, where))
            for row in cursor:
                offence = self.offence(job.reference, row)
                if have[offence.kind] < SAMPLES:
                    have[offence.kind] += 1
                    if offence.kind in OFFENDING:
                        kept.append(offence)
                elif not everything:
                    continue
                data = {"kind": offence.kind, "identity": offence.identity, "key": offence.key}
                self.say(Event("offence", offence.reference, str(offence), data=data))
        return kept

    def offence(self, reference: Reference, row: Sequence[Any]) -> Offence:
        kind, identity, scope, text, qualifier, key, gives_scope, gives_text, gives_qualifier = row
        offence = Offence(
            reference.name, kind, tuple(identity), tuple(scope), text, qualifier, key,
            tuple(gives_scope), gives_text, gives_qualifier,
        )  # fmt: skip
        if not self.ctx.options.get("mask"):
            return offence
        plain = [c is not None and c.base in PLAIN for c in map(reference.table.column, reference.identity)] or [True]
        return offence.masked(identity=plain, key=reference.lookup.key.base in PLAIN)

    def say(self, event: Event) -> None:
        with self.lock:
            self.ctx.sink(event)


def read_tally(cursor: psycopg.Cursor[Any]) -> Tally:
    """Return the tally that a ``tally_query`` gives."""
    result = Tally()
    for kind, count, *halves in cursor:
        s_high, s_low, g_high, g_low = map(int, halves)
        stored, keyed = Checksum.of_halves(count, s_high, s_low), Checksum.of_halves(count, g_high, g_low)
        result += Tally({kind: count}, stored, keyed)
    return result
