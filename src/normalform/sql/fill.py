"""Block-range works on the tables' own columns: filling keys, clearing them, filling a lookup's added scope.

Decides which rows of a span get which value; how they are locked and checkpointed is ``sql.batch``. Values are resolved
as a set, once for each distinct value of the span, by the one definition in ``sql.resolution``. Never writes a row that
has its value already, so that every span can be done again.
"""

from __future__ import annotations

from psycopg import sql

from ..core.model import Lookup, Reference
from . import compare
from .batch import Ground, Heap, Rows, Span, Work, done, in_share, locked
from .quote import column, columns, conjunction, ledger, table
from .resolution import resolve_few
from .shapes import reference_values, scope_names, scope_values

SQL = sql.SQL


def fill_work(reference: Reference) -> Work:
    """Return the work that gives a reference's rows their keys, where something decides."""
    pending = unfilled(reference)
    count = len(reference.scope)
    names = [*scope_names(count), "x", "q"]
    picked = columns("r", names)

    def body(ground: Ground, span: Span, rows: Rows) -> sql.Composable:
        return SQL(
            "nf_values AS MATERIALIZED (SELECT {picked}, array_agg(r.tid) AS tids FROM "
            "(SELECT t.ctid AS tid, {values} FROM ONLY {table} t WHERE {within} AND {pending}{share}) r "
            "GROUP BY {picked}){resolved}, "
            "nf_good AS MATERIALIZED (SELECT unnest(v.tids) AS tid, {picked_v}, v.id FROM resolved v "
            "WHERE v.id IS NOT NULL ORDER BY 1), "
            "{locked}, "
            "nf_changed AS (UPDATE ONLY {table} t SET {key} = g.id FROM nf_locked g "
            "WHERE t.ctid = g.tid AND {within}{share} AND {unchanged} RETURNING 1), {done}"
        ).format(
            values=reference_values(reference),
            table=table(ground.name),
            within=ground.within("t", span),
            pending=pending,
            share=in_share("t", span),
            picked=picked,
            resolved=resolve_few(reference, "nf_values"),
            picked_v=columns("v", names),
            locked=locked(ground, span, "nf_good", rows),
            key=sql.Identifier(reference.key),
            unchanged=_unchanged(reference),
            done=done("nf_good"),
        )

    return Work(
        name=f"fill:{reference.name}",
        ground=Heap(reference.table.name),
        body=body,
        pending=pending,
        gates=(reference.lookup.name,),
        skip_triggers=reference.spec.app_triggers == "skip",
        by_shares=True,
    )


def clear_work(reference: Reference) -> Work:
    """Return the work that takes a reference's keys away again.

    Not from rows that may wait for a queued rename: without its key a row would mean whatever has its former text now.
    """
    return _assign(
        f"clear:{reference.name}",
        Heap(reference.table.name),
        SQL("{} = NULL").format(sql.Identifier(reference.key)),
        SQL("{} IS NOT NULL AND NOT {}").format(column("t", reference.key), _queued(reference)),
        gates=(reference.lookup.name,),
        skip_triggers=reference.spec.app_triggers == "skip",
    )


def uncleared(reference: Reference) -> sql.Composed:
    """Return a query of one number: the rows that keep their keys until what is queued has been carried."""
    return SQL("SELECT count(*) FROM ONLY {} t WHERE {}").format(table(reference.table.name), _queued(reference))


def _queued(reference: Reference) -> sql.Composable:
    return SQL("EXISTS (SELECT FROM {} p WHERE p.lookup = {} AND p.key = {}::text)").format(
        ledger("pending"), sql.Literal(reference.lookup.name), column("t", reference.key)
    )


def scope_work(lookup: Lookup) -> Work:
    """Return the work that fills the scope column that expand added to a lookup, from where it is copied.

    Raises:
        ValueError: the lookup's scope is its own.
    """
    copy = lookup.scope_copy
    if copy is None:
        raise ValueError(f"lookup {lookup.name} copies no scope")
    target = sql.Identifier(lookup.scope[0])
    value = SQL("(SELECT {} FROM {} c WHERE {} = {})").format(
        column("c", copy.column.name), table(copy.table.name), column("c", copy.key), column("t", copy.join)
    )
    # A row whose source has no scope either stays NULL: it must not look as if it were still to do.
    pending = SQL("{} IS NULL AND {} IS NOT NULL").format(column("t", lookup.scope[0]), value)
    return _assign(f"scope:{lookup.name}", Heap(lookup.table.name), SQL("{} = {}").format(target, value), pending)


def _assign(
    name: str,
    ground: Heap,
    assignment: sql.Composable,
    pending: sql.Composable,
    *,
    gates: tuple[str, ...] = (),
    skip_triggers: bool = False,
) -> Work:
    """Return work that needs nothing but the row itself: one assignment to every pending row."""

    def body(ground: Ground, span: Span, rows: Rows) -> sql.Composable:
        return SQL(
            "nf_rows AS MATERIALIZED (SELECT t.ctid AS tid FROM ONLY {table} t WHERE {within} AND {pending}{share}), "
            "{locked}, nf_changed AS (UPDATE ONLY {table} t SET {assignment} FROM nf_locked g "
            "WHERE t.ctid = g.tid AND {within}{share} AND {pending} RETURNING 1), {done}"
        ).format(
            table=table(ground.name),
            within=ground.within("t", span),
            pending=pending,
            locked=locked(ground, span, "nf_rows", rows),
            share=in_share("t", span),
            assignment=assignment,
            done=done("nf_rows"),
        )

    return Work(
        name=name, ground=ground, body=body, pending=pending, gates=gates, skip_triggers=skip_triggers, by_shares=True
    )


def unfilled(reference: Reference) -> sql.Composable:
    """Return the condition, on alias ``t``, of rows with text and without a key.

    The planner knows nothing of a column that was just added and would take ``key IS NULL`` for one row in two hundred,
    and then join a batch's values by nested loops; the CASE makes it count with half of the rows.
    """
    return SQL("CASE WHEN {} IS NULL THEN {} IS NOT NULL ELSE false END").format(
        column("t", reference.key), column("t", reference.text.name)
    )


def _unchanged(reference: Reference) -> sql.Composable:
    """Return the condition that row ``t`` still is what it was when ``g`` was resolved.

    Where rows are not locked beforehand the update may have waited for a writer and then sees his version of the row.
    """
    parts = [SQL("{} IS NULL").format(column("t", reference.key))]
    parts += [
        SQL("{} = {}").format(value, column("g", n))
        for value, n in zip(scope_values(reference, "t"), scope_names(len(reference.scope)), strict=True)
    ]
    parts.append(SQL("{} = g.x").format(compare.reading(reference, column("t", reference.text.name))))
    if reference.qualifier is not None:
        parts.append(
            SQL("{} IS NOT DISTINCT FROM g.q").format(
                compare.label(reference.qualifier, column("t", reference.qualifier.name))
            )
        )
    return conjunction(parts)
