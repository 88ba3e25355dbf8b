"""One row as a query, and what the lookup says about its text and its key: for ``explain``.

Texts are compared as resolving compares them (``sql.resolution``), and probed by whatever index the lookup has: it must
never read a whole lookup to explain one row, but for the lists of aliases, which have no index.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from ..core.model import Lookup, Reference
from . import compare
from .quote import column, conjunction, raw, table
from .shapes import alias_rows, lookup_rows, path_of, scope_array, scope_names

SQL = sql.SQL


def row_query(reference: Reference, key: Sequence[str]) -> sql.Composed:
    """Return a query of one row: (place, identity text[], scope text[], text, qualifier, key, xmin, now).

    ``xmin`` is the transaction that wrote the row, in 64 bits; columns that the table has not are NULL.

    Args:
        reference: the reference.
        key: the primary key's values as text; the row's place (ctid) where the table has no primary key.
    """
    here = reference.table
    if reference.identity:
        # Without a cast: one to varchar(n) would cut the value, and find another row.
        pairs = zip(reference.identity, key, strict=True)
        where = conjunction([SQL("{} = {}").format(column("t", c), sql.Literal(v)) for c, v in pairs])
    else:
        where = SQL("t.ctid = {}::tid").format(sql.Literal(key[0]))

    def value(name: str | None) -> sql.Composable:
        there = name is not None and here.column(name) is not None
        return SQL("{}::text").format(column("t", name)) if there and name else SQL("NULL::text")

    # Of a transaction number the row has the lower half; the upper one is the latest that lies not in the future.
    return SQL(
        "SELECT r.place, r.identity, r.scope, r.x, r.q, r.k, CASE WHEN r.xmin > r.next & 4294967295 "
        "THEN (r.next >> 32 << 32) + r.xmin - 4294967296 ELSE (r.next >> 32 << 32) + r.xmin END FROM ("
        "SELECT t.ctid AS place, ARRAY[{identity}]::text[] AS identity, ARRAY[{scope}]::text[] AS scope, {x} AS x, "
        "{q} AS q, {k} AS k, t.xmin::text::bigint AS xmin, "
        "pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next FROM {table} t WHERE {where}) r"
    ).format(
        identity=SQL(", ").join([value(c) for c in reference.identity]),
        scope=SQL(", ").join([value(c.name) for c in reference.scope]),
        x=value(reference.text.name),
        q=value(reference.qualifier.name if reference.qualifier else None),
        k=value(reference.key),
        table=table(here.name),
        where=where,
    )


def named(reference: Reference, text: str) -> sql.Composed:
    """Return a query (key, scope text[], text, path) of the lookup rows that a reference's text means by itself."""
    lookup = reference.lookup
    value = SQL("{}::text").format(sql.Literal(text))
    return _rows(lookup, compare.matches(reference, column("l", lookup.text.name), value))


def keyed(lookup: Lookup, key: str) -> sql.Composed:
    """Return the same query of the lookup row of a key given as text."""
    typed = SQL("{}::{}").format(sql.Literal(key), raw(lookup.key.type))
    return _rows(lookup, SQL("{} = {}").format(column("l", lookup.key.name), typed))


def listing(lookup: Lookup, text: str) -> sql.Composed:
    """Return a query (key, scope text[]) of the lookup rows that list a text as an alias."""
    return SQL('SELECT DISTINCT r.id::text, {} FROM ({}) r WHERE r.x COLLATE pg_catalog."C" = {}').format(
        scope_array("r", len(lookup.scope)), alias_rows(lookup), sql.Literal(text)
    )


def _rows(lookup: Lookup, where: sql.Composable) -> sql.Composed:
    names = SQL(", ").join(
        [SQL("b.{}").format(sql.Identifier(n)) for n in ["id", *scope_names(len(lookup.scope)), "x"]]
    )
    path: sql.Composable = SQL("b.own") if lookup.path is None else path_of(lookup.path, SQL("b.cid"))
    return SQL(
        "SELECT r.id::text, {scope}, r.x::text, r.path FROM (SELECT {names}, {path} AS path FROM ({rows}) b) r"
    ).format(scope=scope_array("r", len(lookup.scope)), names=names, path=path, rows=lookup_rows(lookup, where=where))
