"""Reading a reference's distinct values, counted and resolved, into a temporary table.

Decides how much is read in one snapshot. Values are resolved in the snapshot that they were read in: a rename carries
its text in its own transaction, so that no snapshot shows a text that has just been renamed away as unknown. Groups of
ranges share a snapshot for some seconds only (CORRECTNESS 28). Writes nothing but its session's temporary tables.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from ..core.batches import Pace, Refused, Storage, Took
from ..core.model import Reference
from ..core.retry import LOCK_NOT_AVAILABLE, RETRYABLE, waits
from ..errors import DatabaseRefused
from ..sql.batch import Heap, Span
from ..sql.fill import unfilled
from ..sql.quote import column, render, table
from ..sql.resolution import resolve_all, resolve_few
from ..sql.shapes import reference_values, scope_array, scope_names
from .execute import lock_holders
from .work import Context, run_sql

SQL = sql.SQL
#: (part, scope, value, qualifier, rows, how, key): what :func:`resolved` leaves in its session.
RESOLVED = sql.Identifier("pg_temp", "nf_resolved")
_VALUES = sql.Identifier("pg_temp", "nf_values")
_PARTS = sql.Identifier("pg_temp", "nf_parts")
#: Seconds of reading after which a snapshot's values are resolved and it is let go; seconds that one range should take.
GROUP_SECONDS, RANGE_SECONDS = 6.0, 4.0
STATEMENT_MS, LOCK_MS = 20_000, 2_000
RANGE_BLOCKS, LARGEST_RANGE = 4_096, 131_072
LONGEST_WAIT = 2.0
#: So many values are resolved by probing the lookup's index; more by reading the whole lookup once.
FEW = 50_000
SETTINGS = {
    "work_mem": "128MB",
    "enable_nestloop": "off",  # a misjudged size must not turn a join into a probe for each row
    "enable_mergejoin": "off",  # sorting a million texts by their collation takes longer than all the rest
    "max_parallel_workers_per_gather": "0",
    "statement_timeout": f"{STATEMENT_MS}ms",
    "lock_timeout": f"{LOCK_MS}ms",
}


@contextmanager
def resolved(ctx: Context, reference: Reference, *, only_unfilled: bool) -> Iterator[psycopg.Connection]:
    """A session with every distinct value of a reference, counted and resolved, in its table ``nf_resolved``.

    Args:
        ctx: the run.
        reference: the reference.
        only_unfilled: whether only rows with text and without a key count; expand's index must stand then.

    Raises:
        DatabaseRefused: our role may not make temporary tables, or the table is gone.
        Interrupted: Ctrl-C between two groups of ranges.
    """
    with ctx.connector.open("mapping") as conn:
        for name, value in SETTINGS.items():
            conn.execute("SELECT set_config(%s, %s, false)", (name, value))
        _make_tables(conn, reference)
        reader = _Reader(ctx, conn, reference, only_unfilled)
        reader.read()
        conn.execute("SELECT set_config('statement_timeout', '0', false)")
        if reader.part <= 1:
            conn.execute(SQL("ALTER TABLE {} RENAME TO nf_resolved").format(_PARTS))
        else:
            conn.execute(
                SQL(
                    "CREATE TEMPORARY TABLE nf_resolved AS SELECT p.scope, p.value, p.qualifier, "
                    "sum(p.rows)::bigint AS rows, (array_agg(p.how ORDER BY p.part DESC))[1] AS how, "
                    "(array_agg(p.key ORDER BY p.part DESC))[1] AS key FROM {} p GROUP BY 1, 2, 3"
                ).format(_PARTS)
            )
        conn.execute(SQL("ANALYZE {}").format(RESOLVED))
        yield conn


def _make_tables(conn: psycopg.Connection, reference: Reference) -> None:
    shape = SQL("SELECT {}, 0::bigint AS rows FROM ONLY {} t WHERE false").format(
        reference_values(reference), table(reference.table.name)
    )
    try:
        conn.execute(SQL("CREATE TEMPORARY TABLE nf_values AS {}").format(shape))
    except psycopg.errors.InsufficientPrivilege as error:
        raise DatabaseRefused(
            "our role may not make temporary tables in this database",
            hint="GRANT TEMPORARY ON DATABASE … TO our role",
        ) from error
    conn.execute(
        "CREATE TEMPORARY TABLE nf_parts "
        "(part integer, scope text[], value text, qualifier text, rows bigint, how text, key text)"
    )


class _Reader:
    """Where reading stands.

    Attributes:
        part: how many groups have been resolved.
    """

    def __init__(self, ctx: Context, conn: psycopg.Connection, reference: Reference, only_unfilled: bool) -> None:
        self.ctx, self.conn, self.reference = ctx, conn, reference
        self.few = only_unfilled
        self.wanted = (
            unfilled(reference) if only_unfilled else SQL("{} IS NOT NULL").format(column("t", reference.text.name))
        )
        self.heap = Heap(reference.table.name)
        self.name = f"mapping:{reference.name}"
        self.pace = Pace(RANGE_SECONDS, RANGE_BLOCKS, LARGEST_RANGE)
        self.storage: Storage | None = None
        self.blocks = 0
        self.first = 0
        self.part = 0
        self.pauses = waits()

    def read(self) -> None:
        """Read all ranges, group by group."""
        self.conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        while self.storage is None or self.first < self.blocks:
            self.ctx.check_stop()
            before = self.storage, self.blocks, self.first, self.part
            try:
                with self.conn.transaction():
                    self._group()
            except psycopg.Error as error:
                if error.sqlstate not in RETRYABLE or self.conn.closed or self.conn.broken:
                    raise
                # The temporary tables have been rolled back, and so is this.
                self.storage, self.blocks, self.first, self.part = before
                self._refused(error)
                continue
            self.ctx.say("progress", self.name, "", self.first, self.blocks, "blocks")

    def _refused(self, error: psycopg.Error) -> None:
        self.pace = self.pace.after(Refused("lock" if error.sqlstate == LOCK_NOT_AVAILABLE else "timeout"))
        name = render(table(self.reference.table.name))
        self.ctx.say("wait", self.name, f"{name} is held by {lock_holders(self.ctx.conn, name)}")
        self.ctx.stop.wait(min(next(self.pauses), LONGEST_WAIT))

    def _group(self) -> None:
        """Read ranges for some seconds and resolve what they hold, in one snapshot."""
        # Before the snapshot: a rewrite or TRUNCATE is not undone for an older one.
        self.conn.execute(SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(table(self.heap.name)))
        row = self.conn.execute(self.heap.measure()).fetchone()
        if row is None:
            raise DatabaseRefused(f"table {self.heap.name} is gone", hint="normalform status")
        now = Storage(row[0], row[1])
        if now != self.storage:  # rewritten meanwhile: its blocks hold other rows than before
            self.conn.execute(SQL("TRUNCATE {}").format(_PARTS))
            self.storage, self.blocks, self.first, self.part = now, int(row[2]), 0, 0
        until = time.monotonic() + GROUP_SECONDS
        while self.first < self.blocks:
            self._range()
            if time.monotonic() >= until:
                break
        self._resolve()
        self.part += 1

    def _range(self) -> None:
        end = min(self.first + self.pace.size, self.blocks)
        began = time.monotonic()
        query = SQL("INSERT INTO {} SELECT {}, count(*) FROM ONLY {} t WHERE {} AND {} GROUP BY {}").format(
            _VALUES,
            reference_values(self.reference),
            table(self.heap.name),
            self.heap.within("t", Span(self.first, end)),
            self.wanted,
            SQL(", ").join([sql.Literal(n + 1) for n in range(len(self.reference.scope) + 2)]),
        )
        run_sql(self.ctx, self.conn, f"{self.name}:read", query)
        self.pace = self.pace.after(Took(time.monotonic() - began, end - self.first, 0))
        self.first = end

    def _resolve(self) -> None:
        count = len(self.reference.scope)
        names = SQL(", ").join([sql.Identifier(n) for n in [*scope_names(count), "x", "q"]])
        values = SQL("SELECT {names}, sum(rows)::bigint AS rows FROM {values} GROUP BY {names}").format(
            names=names, values=_VALUES
        )
        self.conn.execute(SQL("ANALYZE {}").format(_VALUES))
        number = self.conn.execute(SQL("SELECT count(*) FROM ({}) v").format(values)).fetchone()
        picked = SQL("{}, {}, r.x::text, r.q, r.rows, r.how, r.id::text").format(
            sql.Literal(self.part), scope_array("r", count)
        )
        if self.few and number is not None and number[0] <= FEW:
            # The probes are loops by nature: without them each would hash whatever its lookup row is joined to.
            self.conn.execute("SELECT set_config('enable_nestloop', 'on', true)")
            query = SQL("WITH nf_w AS MATERIALIZED ({values}){resolved} SELECT {picked} FROM resolved r").format(
                values=values, resolved=resolve_few(self.reference, "nf_w"), picked=picked
            )
        else:
            query = SQL("SELECT {} FROM ({}) r").format(picked, resolve_all(self.reference, values, stored=True))
        run_sql(self.ctx, self.conn, f"{self.name}:resolve", SQL("INSERT INTO {} {}").format(_PARTS, query))
        self.conn.execute(SQL("TRUNCATE {}").format(_VALUES))
