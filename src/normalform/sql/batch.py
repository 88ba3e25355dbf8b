"""What a batch is: one statement over a range of a table's blocks, with its checkpoint inside (CORRECTNESS 12).

Decides the shape that every kind of block-range work shares: which rows of a range are still to do, how they are
locked, and how the checkpoint moves together with them. What is done to the rows is the builders' part (``sql.fill``).
Never locks in a subselect of a WHERE, which can run again (CORRECTNESS 13): rows are locked in a CTE.

A *unit* is what work is cut by: a block of a heap. :class:`Ground` is the one place that knows it, so that partitions
(one ground for each leaf) and distributed tables (units that are no blocks) can bring another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from psycopg import sql

from ..core.names import QName
from .quote import ledger, render, table

SQL = sql.SQL

#: ``skip``: pass over rows that somebody holds; ``wait``: wait for them, until the statement's timeout;
#: ``none``: lock by updating, for a window in which nobody else writes.
Rows = Literal["skip", "wait", "none"]

#: Settings that every batch runs under: a parallel plan would only wait for workers, and a batch's values fit in this.
SETTINGS = {"max_parallel_workers_per_gather": "0", "work_mem": "32MB"}


@dataclass(frozen=True)
class Share:
    """A part of a span's rows, spread over all its units: the one of that number, from 0, of so many."""

    number: int
    of: int


@dataclass(frozen=True)
class Span:
    """A range of units of one table: ``first`` is in it, ``end`` is not; of its rows, all or a share."""

    first: int
    end: int
    share: Share | None = None


class Ground(Protocol):
    """What work is cut by."""

    @property
    def name(self) -> QName:
        """The table that is locked and whose rows are worked on."""
        ...

    def measure(self) -> sql.Composed:
        """Return a query (identity of the relation, identity of its storage, number of units); no row when it is gone.

        Another storage than before means that units no longer name the same rows.
        """
        ...

    def within(self, alias: str, span: Span) -> sql.Composable:
        """Return the condition that a row of the table, under that alias, lies in the span."""
        ...


@dataclass(frozen=True)
class Heap:
    """An ordinary table, by its blocks."""

    name: QName

    def measure(self) -> sql.Composed:
        """Return a query (oid, relfilenode, blocks)."""
        return SQL(
            "SELECT c.oid::bigint, pg_relation_filenode(c.oid)::bigint, "
            "pg_relation_size(c.oid) / current_setting('block_size')::bigint "
            "FROM pg_class c WHERE c.oid = to_regclass({})"
        ).format(sql.Literal(render(table(self.name))))

    def within(self, alias: str, span: Span) -> sql.Composable:
        """Return a condition that the planner reads as a TID range scan."""
        return SQL("{0}.ctid >= {1}::tid AND {0}.ctid < {2}::tid").format(
            sql.Identifier(alias), sql.Literal(f"({span.first},0)"), sql.Literal(f"({span.end},0)")
        )


Body = Callable[[Ground, Span, Rows], sql.Composable]


@dataclass(frozen=True)
class Work:
    """One piece of block-range work, resumable under its name.

    Args:
        name: key of its checkpoints, such as ``fill:machine_tags``.
        ground: the table, and what it is cut by.
        body: builder of the CTEs (without WITH) that do a span's rows; the last is ``nf_done (changed, skipped)``:
            rows changed, and rows that are still to do because somebody held or changed them.
        pending: condition, on alias ``t``, of rows that are still to do, for finding who holds them.
        gates: lookups whose renames must not pass while a batch runs (``sql.gates``).
        skip_triggers: whether the application's triggers stay silent; needs the right to set
            ``session_replication_role``.
        by_shares: whether ``body`` heeds a span's share (:func:`in_share`), so that slices may be worked on by shares
            first.
    """

    name: str
    ground: Ground
    body: Body
    pending: sql.Composable
    gates: tuple[str, ...] = ()
    skip_triggers: bool = False
    by_shares: bool = False

    @property
    def table(self) -> str:
        """The table as SQL writes it."""
        return render(table(self.ground.name))

    def statement(
        self, span: Span, rows: Rows, slice_number: int, run: int = 0, worker: int = 0, *, stands: int | None = None
    ) -> sql.Composed:
        """Return the batch: a query of (changed, skipped, checkpoints moved).

        The checkpoint moves in the same statement, and only from where the batch began: two sessions that do the same
        span cannot both move it. A batch of a share leaves the checkpoint where it stands, and skipped rows uncounted:
        whatever it did not do is done when the span is passed whole. A batch that changes rows leaves its record, by
        which ``explain`` finds it.

        Args:
            span: the blocks.
            rows: how rows are locked.
            slice_number: the slice that they belong to.
            run, worker: who does it, for the record.
            stands: where the checkpoint stands; None where the span begins.
        """
        stands = span.first if stands is None else stands
        return SQL(
            "WITH {body}, nf_mark AS (UPDATE {checkpoint} k SET next_block = {next}, rows = k.rows + d.changed, "
            "skipped = k.skipped + {skipped}, at = clock_timestamp() FROM nf_done d "
            "WHERE k.work = {work} AND k.slice = {slice} AND k.next_block = {stands} RETURNING 1), "
            "nf_batch AS (INSERT INTO {batch} (work, slice, first_block, end_block, run, worker, rows) "
            "SELECT {work}, {slice}, {first}, {end}, {run}, {worker}, d.changed FROM nf_done d WHERE d.changed > 0) "
            "SELECT d.changed, d.skipped, (SELECT count(*) FROM nf_mark) FROM nf_done d"
        ).format(
            body=self.body(self.ground, span, rows),
            checkpoint=ledger("checkpoint"),
            batch=ledger("batch"),
            run=sql.Literal(run),
            worker=sql.Literal(worker),
            next=sql.Literal(span.end if span.share is None else stands),
            skipped=SQL("d.skipped") if span.share is None else SQL("0"),
            stands=sql.Literal(stands),
            first=sql.Literal(span.first),
            end=sql.Literal(span.end),
            work=sql.Literal(self.name),
            slice=sql.Literal(slice_number),
        )

    def example(self) -> str:
        """Return what one batch looks like, for ``plan --sql``."""
        return render(self.statement(Span(0, 64), "skip", 0))


def in_share(alias: str, span: Span) -> sql.Composable:
    """Return `` AND …``: that a row, under that alias, is in the span's share; nothing where the span has all rows.

    A row's place decides. So the shares of one span have no row in common as long as it stands where it stood, and
    each unit has about as many rows of each.
    """
    if span.share is None:
        return SQL("")
    # As CASE: the planner takes it for one half of the rows, and would take the bare condition for a 200th.
    return SQL(" AND CASE WHEN (hashtid({}.ctid) & 2147483647) % {} = {} THEN true ELSE false END").format(
        sql.Identifier(alias), sql.Literal(span.share.of), sql.Literal(span.share.number)
    )


def locked(ground: Ground, span: Span, source: str, rows: Rows) -> sql.Composable:
    """Return the CTE ``nf_locked``: the rows of CTE ``source`` (with column ``tid``) that could be locked.

    Args:
        ground: the table.
        span: the span that the rows lie in.
        source: a CTE with the columns tid and whatever the update needs.
        rows: how to lock; ``none`` passes all rows on.
    """
    if rows == "none":
        return SQL("nf_locked AS (SELECT g.* FROM {} g)").format(sql.Identifier(source))
    return SQL(
        "nf_locked AS MATERIALIZED (SELECT g.* FROM {source} g JOIN ONLY {table} t ON t.ctid = g.tid "
        "WHERE {within}{share} FOR NO KEY UPDATE OF t{skip})"
    ).format(
        source=sql.Identifier(source),
        table=table(ground.name),
        within=ground.within("t", span),
        share=in_share("t", span),
        skip=SQL(" SKIP LOCKED") if rows == "skip" else SQL(""),
    )


def done(source: str) -> sql.Composable:
    """Return the CTE ``nf_done``: of the rows in CTE ``source``, how many ``nf_changed`` changed and how many not."""
    return SQL(
        "nf_done AS (SELECT c.n AS changed, (SELECT count(*) FROM {}) - c.n AS skipped "
        "FROM (SELECT count(*) AS n FROM nf_changed) c)"
    ).format(sql.Identifier(source))
