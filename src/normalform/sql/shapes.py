"""The shapes that everything is made of: the live lookup as a relation, a qualifier's path, a reference's values.

One definition serves audit, backfill, verify and decisions, so that they cannot disagree. How values resolve is
``sql.resolution``'s. Relations use fixed column names:

======== =====================================================================
``s1`` … the scope columns, in the spec's order
``x``    the text
``q``    the qualifier (NULL where the reference has none)
``id``   the lookup's key
``path`` the qualifier that the lookup row has now (NULL where it has none)
======== =====================================================================
"""

from __future__ import annotations

from psycopg import sql

from ..core.model import Lookup, PathTable, Reference
from . import compare
from .quote import column, conjunction, raw, table

SQL = sql.SQL
#: Depth at which a chain of parents is taken for a cycle.
MAX_DEPTH = 64
#: Decisions of an operator that decide a value before the live lookup is asked.
STORED = ("chosen", "merged", "folded", "null", "split")


def scope_names(count: int) -> list[str]:
    """Return the fixed names of the scope columns: s1, s2 …"""
    return [f"s{i + 1}" for i in range(count)]


def all_paths(path: PathTable) -> sql.Composable:
    """Return a query (cid, path) with the path of every row of the path table, from the roots down."""
    if path.parent is None:
        return SQL("SELECT c.{key} AS cid, {name} AS path FROM {table} c").format(
            key=sql.Identifier(path.key),
            name=compare.label(path.name_column, column("c", path.name)),
            table=table(path.table.name),
        )
    return SQL(
        "WITH RECURSIVE down(cid, path, depth) AS ("
        "SELECT c.{key}, {name}, 1 FROM {table} c WHERE c.{parent} IS NULL "
        "UNION ALL SELECT c.{key}, d.path || {sep} || {name}, d.depth + 1 "
        # One row each, which a tree has by itself: said by GROUP BY, the planner believes it too, and does not take a
        # join of the lookup's rows to their paths for a hundred times as many.
        "FROM {table} c JOIN down d ON c.{parent} = d.cid WHERE d.depth < {max}) "
        "SELECT cid, min(path) AS path FROM down GROUP BY cid"
    ).format(
        key=sql.Identifier(path.key),
        name=compare.label(path.name_column, column("c", path.name)),
        parent=sql.Identifier(path.parent),
        table=table(path.table.name),
        sep=sql.Literal(path.separator),
        max=sql.Literal(MAX_DEPTH),
    )


def path_of(path: PathTable, start: sql.Composable) -> sql.Composable:
    """Return a scalar subquery: the path of the row whose key is ``start``, walked from that row upward."""
    if path.parent is None:
        return SQL("(SELECT {name} FROM {table} c WHERE c.{key} = {start})").format(
            key=sql.Identifier(path.key),
            name=compare.label(path.name_column, column("c", path.name)),
            table=table(path.table.name),
            start=start,
        )
    return SQL(
        "(WITH RECURSIVE up(parent, path, depth) AS ("
        "SELECT c.{parent}, {name}, 1 FROM {table} c WHERE c.{key} = {start} "
        "UNION ALL SELECT c.{parent}, {name} || {sep} || u.path, u.depth + 1 "
        "FROM {table} c JOIN up u ON c.{key} = u.parent WHERE u.depth < {max}) "
        "SELECT u.path FROM up u WHERE u.parent IS NULL)"
    ).format(
        key=sql.Identifier(path.key),
        name=compare.label(path.name_column, column("c", path.name)),
        parent=sql.Identifier(path.parent),
        table=table(path.table.name),
        sep=sql.Literal(path.separator),
        start=start,
        max=sql.Literal(MAX_DEPTH),
    )


def lookup_rows(lookup: Lookup, *, where: sql.Composable | None = None) -> sql.Composable:
    """Return a query (id, s1 …, x, cid, own): the lookup's rows; the scope is read through its copy while it is absent.

    ``cid`` is what the path starts from (NULL without a path), ``own`` the qualifier column's text (NULL without one).

    Args:
        lookup: the lookup.
        where: a condition on alias ``l`` (the lookup's table).
    """
    if lookup.planned:
        return _no_rows(lookup)
    scope: list[sql.Composable]
    join: sql.Composable = SQL("")
    if lookup.scope_ready or lookup.scope_copy is None:
        scope = [column("l", name) for name in lookup.scope]
    else:
        copy = lookup.scope_copy
        scope = [column("sc", copy.column.name)]
        join = SQL(" LEFT JOIN {} sc ON {} = {}").format(
            table(copy.table.name), column("sc", copy.key), column("l", copy.join)
        )
    picked = [SQL("{} AS id").format(column("l", lookup.key.name))]
    picked += [
        SQL("{} AS {}").format(s, sql.Identifier(n)) for s, n in zip(scope, scope_names(len(scope)), strict=True)
    ]
    picked.append(SQL("{} AS x").format(column("l", lookup.text.name)))
    cid = column("l", lookup.path.join) if lookup.path else SQL("NULL::integer")
    own = (
        compare.label(lookup.qualifier_text, column("l", lookup.qualifier_column))
        if lookup.qualifier_column
        else SQL("NULL::text")
    )
    picked += [SQL("{} AS cid").format(cid), SQL("{} AS own").format(own)]
    return SQL("SELECT {} FROM {} l{}{}").format(
        SQL(", ").join(picked), table(lookup.table.name), join, SQL(" WHERE {}").format(where) if where else SQL("")
    )


def _no_rows(lookup: Lookup) -> sql.Composable:
    """The rows of a table that does not exist yet."""
    typed = [(lookup.key.plain_type, "id"), *zip(lookup.scope_types, scope_names(len(lookup.scope)), strict=True)]
    typed += [(lookup.text.plain_type, "x"), ("integer", "cid"), ("text", "own")]
    picked = [SQL("NULL::{} AS {}").format(raw(kind), sql.Identifier(name)) for kind, name in typed]
    return SQL("SELECT {} WHERE false").format(SQL(", ").join(picked))


def candidates(lookup: Lookup, *, where: sql.Composable | None = None) -> sql.Composable:
    """Return a query (id, s1 …, x, path) of the whole lookup with every row's path, for set-wise work.

    Args:
        lookup: the lookup.
        where: a condition on alias ``l`` (the lookup's table).
    """
    cols = SQL(", ").join([SQL("l.{}").format(sql.Identifier(n)) for n in ["id", *scope_names(len(lookup.scope)), "x"]])
    if lookup.path is None:
        return SQL("SELECT {}, l.own AS path FROM ({}) l").format(cols, lookup_rows(lookup, where=where))
    return SQL("SELECT {}, p.path FROM ({}) l LEFT JOIN ({}) p ON p.cid = l.cid").format(
        cols, lookup_rows(lookup, where=where), all_paths(lookup.path)
    )


def longest_path(lookup: Lookup) -> sql.Composed:
    """One row: how many characters (``longest``) the lookup's longest qualifier has now."""
    return SQL("SELECT coalesce(max(length(c.path)), 0) AS longest FROM ({}) c").format(candidates(lookup))


def aliases_of(lookup: Lookup, row: str = "l") -> sql.Composable:
    """Return a set-returning subquery (a) of the aliases of the row with the given alias name.

    Anything that is not an array of strings counts as no alias.
    """
    assert lookup.aliases is not None
    col = column(row, lookup.aliases.name)
    if lookup.aliases.base in ("_text", "_varchar"):
        return SQL("SELECT {} AS a FROM unnest({}) u(a)").format(compare.same_aliases(lookup, SQL("u.a::text")), col)
    return SQL(
        "SELECT {1} AS a FROM jsonb_array_elements("
        "CASE WHEN jsonb_typeof({0}::jsonb) = 'array' THEN {0}::jsonb ELSE '[]'::jsonb END) e(v) "
        "WHERE jsonb_typeof(e.v) = 'string'"
    ).format(col, compare.same_aliases(lookup, SQL("(e.v #>> '{{}}')").format()))


def alias_rows(lookup: Lookup) -> sql.Composable:
    """Return a query (id, s1 …, x): every alias of every lookup row. Only for lookups that have aliases."""
    names = scope_names(len(lookup.scope))
    cols = SQL(", ").join([SQL("r.{}").format(sql.Identifier(n)) for n in ["id", *names]])
    return SQL("SELECT {}, al.a AS x FROM ({}) r JOIN {} l ON {} = r.id CROSS JOIN LATERAL ({}) al").format(
        cols, lookup_rows(lookup), table(lookup.table.name), column("l", lookup.key.name), aliases_of(lookup)
    )


def reference_values(reference: Reference, alias: str = "t") -> sql.Composable:
    """Return the select list ``s1 …, x, q`` of a reference's row."""
    parts = [
        SQL("{} AS {}").format(value, sql.Identifier(n))
        for value, n in zip(scope_values(reference, alias), scope_names(len(reference.scope)), strict=True)
    ]
    parts.append(SQL("{} AS x").format(compare.reading(reference, column(alias, reference.text.name))))
    q = (
        compare.label(reference.qualifier, column(alias, reference.qualifier.name))
        if reference.qualifier
        else SQL("NULL::text")
    )
    parts.append(SQL("{} AS q").format(q))
    return SQL(", ").join(parts)


def scope_values(reference: Reference, alias: str) -> list[sql.Composable]:
    """Return the scope of a reference's row, fit to be compared with the lookup's."""
    own = reference.lookup.scope_columns
    return [
        compare.in_collation(o, column(alias, c.name)) if c.is_text and o.is_text else column(alias, c.name)
        for c, o in zip(reference.scope, own, strict=True)
    ]


def smallest(lookup: Lookup, argument: sql.Composable) -> sql.Composable:
    """Return an aggregate that picks one key; it only ever runs over equal keys or to show a candidate."""
    if lookup.key.base == "uuid":  # min(uuid) is new in PostgreSQL 18
        return SQL("min(({})::text)::uuid").format(argument)
    return SQL("min({})").format(argument)


def smallest_where(lookup: Lookup, argument: sql.Composable, condition: sql.Composable) -> sql.Composable:
    """The same, over the rows that meet a condition."""
    if lookup.key.base == "uuid":
        return SQL("(min(({})::text) FILTER (WHERE {}))::uuid").format(argument, condition)
    return SQL("min({}) FILTER (WHERE {})").format(argument, condition)


def same_scope(left: str, right: str, count: int) -> sql.Composable:
    """Return ``left.s1 = right.s1 AND …``."""
    return conjunction([SQL("{} = {}").format(column(left, n), column(right, n)) for n in scope_names(count)])


def scope_array(alias: str, count: int) -> sql.Composable:
    """Return the scope as text[], the form in which mapping and decisions hold it."""
    if count == 0:
        return SQL("'{{}}'::text[]").format()
    return SQL("ARRAY[{}]").format(
        SQL(", ").join([SQL("{}::text").format(column(alias, n)) for n in scope_names(count)])
    )


def decided(reference: Reference, alias: str, *, how: tuple[str, ...] = STORED) -> sql.Composable:
    """Return the join condition of mapping ``m`` to a values relation: the operator's decision for its value."""
    return SQL(
        "m.reference = {ref} AND m.how = ANY({how}) AND m.scope = {scope} AND m.value = {value} "
        "AND m.qualifier IS NOT DISTINCT FROM {a}.q"
    ).format(
        ref=sql.Literal(reference.name),
        how=sql.Literal(list(how)),
        scope=scope_array(alias, len(reference.scope)),
        value=compare.as_default(reference, column(alias, "x")),
        a=sql.Identifier(alias),
    )


def key_cast(reference: Reference, expression: sql.Composable) -> sql.Composable:
    """Return the text form of a key cast to the key's type."""
    return SQL("({})::{}").format(expression, raw(reference.key_type))
