"""The block-range works of contract: keeping what is a row's own, and giving rows their text back.

Both are :class:`~normalform.sql.batch.Work`: any block can be done again, and nothing that is right already is written.
"""

from __future__ import annotations

from psycopg import sql

from ..core.catalog import Column
from ..core.conservation import Conserved
from ..core.model import Reference
from . import compare
from .batch import Ground, Heap, Rows, Span, Work, done, locked
from .quote import column, ledger, table
from .residue import entry, given, identity, keys_given, own, own_of

SQL = sql.SQL


def archive_work(conserved: Conserved, reference: Reference) -> Work:
    """Return the work that keeps what is a row's own; every block can be done again."""
    qualifier = conserved.qualifier(reference)
    own_value, own_qualifier = own("r.key", "r.x", "r.q", "f", qualifier is not None)

    def body(ground: Ground, span: Span, rows: Rows) -> sql.Composable:
        return SQL(
            "nf_rows AS MATERIALIZED (SELECT t.ctid AS tid, {key} AS key, {text}::text AS x, {q} AS q, {identity} AS i "
            "FROM ONLY {table} t WHERE {within}), "
            "{keys}, "
            "nf_own AS MATERIALIZED (SELECT r.*, {own_value} AS own_value, {own_qualifier} AS own_qualifier "
            "FROM nf_rows r LEFT JOIN nf_keys f ON f.key = r.key), "
            # What the archive has right already is not written again.
            "nf_todo AS MATERIALIZED (SELECT o.* FROM nf_own o LEFT JOIN LATERAL (SELECT e.* FROM {residue} e "
            "WHERE e.reference = {name} AND e.identity = o.i OFFSET 0) e ON true "
            "WHERE (o.own_value OR o.own_qualifier) AND (e.reference IS NULL "
            "OR (e.key, e.own_value, e.value, e.own_qualifier, e.qualifier) IS DISTINCT FROM "
            "(o.key::text, o.own_value, CASE WHEN o.own_value THEN o.x END, o.own_qualifier, "
            "CASE WHEN o.own_qualifier THEN o.q END))), "
            "{locked}, "
            "nf_changed AS (INSERT INTO {residue} "
            "(reference, identity, key, own_value, value, own_qualifier, qualifier) "
            "SELECT {name}, g.i, g.key::text, g.own_value, CASE WHEN g.own_value THEN g.x END, g.own_qualifier, "
            "CASE WHEN g.own_qualifier THEN g.q END FROM nf_locked g "
            "ON CONFLICT (reference, identity) DO UPDATE SET key = excluded.key, own_value = excluded.own_value, "
            "value = excluded.value, own_qualifier = excluded.own_qualifier, qualifier = excluded.qualifier, "
            "at = now() RETURNING 1), {done}"
        ).format(
            key=column("t", reference.key),
            text=column("t", reference.text.name),
            q=compare.label(qualifier, column("t", qualifier.name)) if qualifier else SQL("NULL::text"),
            identity=identity(conserved, "t"),
            table=table(ground.name),
            within=ground.within("t", span),
            keys=keys_given(reference.lookup, "nf_rows"),
            own_value=own_value,
            own_qualifier=own_qualifier,
            residue=ledger("residue"),
            name=sql.Literal(reference.name),
            locked=locked(ground, span, "nf_todo", rows),
            done=done("nf_todo"),
        )

    return Work(
        name=f"archive:{reference.name}",
        ground=Heap(conserved.name),
        body=body,
        pending=SQL("{} IS NOT NULL").format(column("t", reference.text.name)),
        gates=(reference.lookup.name,),
    )


def refill_work(conserved: Conserved, reference: Reference, *, kept: bool = False) -> Work:
    """Return the work that gives rows their text and qualifier back: their own from the archive, else the key's.

    Sync, which is at work again, fills a row that somebody touches on the way past, and it knows no archive. So a row
    with exactly what its key gives takes its own too. (Old code cannot have written that: it starts after rollback.)

    Args:
        conserved: the table.
        reference: the reference.
        kept: the text was never dropped, and the archive has everything that is a row's own. Whatever else a text
            differs in from what its key gives is then a rename that came when contract had taken the carrying away.
    """
    qualifier = conserved.qualifier(reference)
    pending = _unfilled(conserved, reference)
    if kept:
        pending = SQL("({} OR {})").format(pending, _unlike(conserved, reference))
    follows = SQL("r.now_x IS NULL")
    if kept:
        follows = SQL("(r.now_x IS NULL OR (f.key IS NOT NULL AND NOT coalesce({}, false)))")
    assignments = [_assignment(reference.text, "x")]
    differs = [SQL('n.x COLLATE pg_catalog."C" IS DISTINCT FROM n.now_x')]
    if qualifier is not None:
        assignments.append(_assignment(qualifier, "q"))
        differs.append(SQL("n.q IS DISTINCT FROM n.now_q"))

    def body(ground: Ground, span: Span, rows: Rows) -> sql.Composable:
        return SQL(
            "nf_rows AS MATERIALIZED (SELECT t.ctid AS tid, {key} AS key, "
            '{text}::text COLLATE pg_catalog."C" AS now_x, {now_q} AS now_q, '
            "{identity} AS i FROM ONLY {table} t WHERE {within} AND {pending}), "
            "{keys}, "
            "nf_new AS MATERIALIZED (SELECT r.*, "
            'CASE WHEN e.own_value AND (r.now_x IS NULL OR r.now_x = f.x COLLATE pg_catalog."C") THEN e.value '
            "WHEN {x_follows} THEN f.x ELSE r.now_x END AS x, "
            "CASE WHEN e.own_qualifier AND (r.now_x IS NULL OR r.now_q IS NOT DISTINCT FROM f.q) THEN e.qualifier "
            "WHEN {q_follows} THEN f.q ELSE r.now_q END AS q "
            "FROM nf_rows r LEFT JOIN nf_keys f ON f.key = r.key LEFT JOIN LATERAL ({entry}) e ON true), "
            "nf_todo AS MATERIALIZED (SELECT n.* FROM nf_new n WHERE {differs}), {locked}, "
            "nf_changed AS (UPDATE ONLY {table} t SET {assignments} FROM nf_locked g WHERE t.ctid = g.tid AND {within} "
            'AND {key} IS NOT DISTINCT FROM g.key AND {text}::text COLLATE pg_catalog."C" IS NOT DISTINCT FROM g.now_x '
            "AND {now_q} IS NOT DISTINCT FROM g.now_q RETURNING 1), {done}"
        ).format(
            key=column("t", reference.key),
            text=column("t", reference.text.name),
            now_q=compare.label(qualifier, column("t", qualifier.name)) if qualifier else SQL("NULL::text"),
            identity=identity(conserved, "t") if conserved.identity else SQL("NULL::jsonb"),
            table=table(ground.name),
            within=ground.within("t", span),
            pending=pending,
            keys=keys_given(reference.lookup, "nf_rows"),
            entry=entry(reference, SQL("r.i"), SQL("r.key")),
            x_follows=follows.format(SQL("e.own_value")),
            q_follows=follows.format(SQL("e.own_qualifier")),
            differs=SQL("({})").format(SQL(" OR ").join(differs)),
            locked=locked(ground, span, "nf_todo", rows),
            assignments=SQL(", ").join(assignments),
            done=done("nf_todo"),
        )

    return Work(
        name=f"refill:{reference.name}",
        ground=Heap(conserved.name),
        body=body,
        pending=pending,
        gates=(reference.lookup.name,),
        skip_triggers=reference.spec.app_triggers == "skip",
    )


def _unfilled(conserved: Conserved, reference: Reference) -> sql.Composable:
    """Rows without text that have a key, and rows that the archive has something for which they do not have."""
    text, key = column("t", reference.text.name), column("t", reference.key)
    missing = SQL("({} IS NULL AND {} IS NOT NULL)").format(text, key)
    if not conserved.identity:
        return missing
    qualifier = conserved.qualifier(reference)
    other = SQL('e.own_value AND {}::text COLLATE pg_catalog."C" IS DISTINCT FROM e.value').format(text)
    if qualifier is not None:
        other = SQL("({}) OR (e.own_qualifier AND {} IS DISTINCT FROM e.qualifier)").format(
            other, compare.label(qualifier, column("t", qualifier.name))
        )
    kept = SQL("EXISTS (SELECT FROM ({}) e WHERE {})").format(entry(reference, identity(conserved, "t"), key), other)
    return SQL("({} OR {})").format(missing, kept)


def _unlike(conserved: Conserved, reference: Reference) -> sql.Composable:
    """Rows whose text or qualifier is not what their key gives, whatever the reason."""
    qualifier = conserved.qualifier(reference)
    key = column("t", reference.key)
    text = SQL("{}::text").format(column("t", reference.text.name))
    q = compare.label(qualifier, column("t", qualifier.name)) if qualifier else SQL("NULL::text")
    own_value, own_qualifier = own_of(key, text, q, "f", qualifier is not None)
    return SQL("({} IS NOT NULL AND EXISTS (SELECT FROM ({}) f WHERE {} OR {}))").format(
        key, given(reference.lookup, key), own_value, own_qualifier
    )


def _assignment(target: Column, value: str) -> sql.Composable:
    # No explicit cast: to a narrower column it would cut the text off, where an assignment refuses.
    return SQL("{} = {}").format(sql.Identifier(target.name), column("g", value))
