"""The SQL of what an audit finds in the data: how values are read in block ranges, and every finding's offenders.

One definition of each condition serves the count (over the mapping) and the statement that a person runs by hand
(``--sql``), so that both give the same number. Statements here only read, and name every table with its schema. They
resolve by ``sql.resolution`` and decide nothing about values themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from ..core.catalog import Index
from ..core.model import Lookup, Reference
from . import compare, shapes
from .quote import column, columns, conjunction, raw, table
from .resolution import resolve_all

SQL = sql.SQL
#: Block behind the last one that a table can have.
LAST_BLOCK = 4294967295
#: One distinct value with how it was decided: what :func:`entries` gives, in this order.
ENTRY = ("scope", "text", "qualifier", "rows", "how", "key", "path", "note", "found")


def in_blocks(alias: str, first: int, end: int) -> sql.Composable:
    """Return the condition that a row stands in the blocks from ``first`` up to, not with, ``end``."""
    return SQL("{a}.ctid >= {first}::tid AND {a}.ctid < {end}::tid").format(
        a=sql.Identifier(alias), first=sql.Literal(f"({first},0)"), end=sql.Literal(f"({end},0)")
    )


def known_scopes(lookup: Lookup) -> sql.Composable:
    """Return a query of every scope that exists: of the lookup's rows, or of the table that it is copied from."""
    names = shapes.scope_names(len(lookup.scope))
    rows: sql.Composable
    if lookup.scope_copy is not None:
        copy = lookup.scope_copy
        rows = SQL("SELECT {} AS s1 FROM {} sc").format(column("sc", copy.column.name), table(copy.table.name))
    else:
        rows = shapes.lookup_rows(lookup)
    return SQL("SELECT {cols} FROM ({rows}) k WHERE {known}").format(
        cols=columns("k", names),
        rows=rows,
        known=conjunction([SQL("{} IS NOT NULL").format(column("k", n)) for n in names]),
    )


def known_qualifiers(lookup: Lookup) -> sql.Composable:
    """Return a query (s1 …, path) of every qualifier that exists, in its scope."""
    names = shapes.scope_names(len(lookup.scope))
    copy, path = lookup.scope_copy, lookup.path
    if path is not None and copy is not None and copy.table.name == path.table.name:
        return SQL("SELECT {s} AS s1, p.path FROM {t} c JOIN ({paths}) p ON p.cid = {k} WHERE {s} IS NOT NULL").format(
            s=column("c", copy.column.name),
            t=table(copy.table.name),
            paths=shapes.all_paths(path),
            k=column("c", copy.key),
        )
    if path is not None and not names:
        return SQL("SELECT p.path FROM ({}) p WHERE p.path IS NOT NULL").format(shapes.all_paths(path))
    return SQL("SELECT {} FROM ({}) k WHERE {}").format(
        columns("k", [*names, "path"]),
        shapes.candidates(lookup),
        conjunction([SQL("{} IS NOT NULL").format(column("k", n)) for n in [*names, "path"]]),
    )


def note(reference: Reference) -> sql.Composable:
    """Return what is to be said of a resolved value ``z`` beyond how it was decided; NULL for nothing.

    ``text-null``, ``scope-null``, ``scope-unknown``, ``qualifier-disagrees``, ``qualifier-unknown``. A value has one:
    the first that holds. The subqueries do not depend on the row, so the server hashes each once, and only if it asks.
    """
    lookup = reference.lookup
    names = shapes.scope_names(len(reference.scope))
    cases: list[sql.Composable] = [SQL("WHEN z.x IS NULL THEN 'text-null'")]
    if names:
        cases += [
            SQL("WHEN z.how = 'orphan' AND ({}) THEN 'scope-null'").format(
                SQL(" OR ").join([SQL("{} IS NULL").format(column("z", n)) for n in names])
            ),
            SQL("WHEN z.how = 'orphan' AND ({}) NOT IN ({}) THEN 'scope-unknown'").format(
                columns("z", names), known_scopes(lookup)
            ),
        ]
    if reference.qualifier is not None:
        cases.append(
            SQL(
                "WHEN z.how IN ('exact', 'alias') AND z.q IS NOT NULL AND z.path IS DISTINCT FROM z.q THEN "
                "CASE WHEN ({}) IN ({}) THEN 'qualifier-disagrees' ELSE 'qualifier-unknown' END"
            ).format(columns("z", [*names, "q"]), known_qualifiers(lookup))
        )
    return SQL("CASE {} END").format(SQL(" ").join(cases))


def entries(reference: Reference, first: int, end: int, *, stored: bool) -> sql.Composable:
    """Return a query of the distinct values in a block range, resolved: the columns of :data:`ENTRY`, key as text.

    ``path`` is NULL where it is the row's own qualifier, which it nearly always is. Instead of ``scope`` there are the
    scope's columns, s1 and so on; and ``vn`` numbers the values.
    """
    n = len(reference.scope)
    grouped: sql.Composable = columns(
        "t", dict.fromkeys(c.name for c in [*reference.scope, reference.text, reference.qualifier] if c is not None)
    )
    if not compare.plain(reference):  # two spellings are two values, whatever the column calls equal
        grouped = SQL(", ").join([sql.Literal(number) for number in range(1, n + 3)])
    values = SQL("SELECT {values}, count(*) AS rows FROM {table} t WHERE {blocks} GROUP BY {grouped}").format(
        values=shapes.reference_values(reference),
        table=table(reference.table.name),
        blocks=in_blocks("t", first, end),
        grouped=grouped,
    )
    return SQL(
        "SELECT {scope}z.x AS text, z.q AS qualifier, z.rows, z.how, z.id AS key, "
        "CASE WHEN z.path IS DISTINCT FROM z.q THEN z.path END AS path, {note} AS note, z.found, z.vn "
        "FROM ({resolved}) z"
    ).format(scope=_scope("z", n), note=note(reference), resolved=resolve_all(reference, values, stored=stored))


def lookup_entries(lookup: Lookup, first: int, end: int) -> sql.Composable:
    """Return a query (s1 …, text, key, path) of the lookup rows in a block range that a reference can reach."""
    n = len(lookup.scope)
    rows = shapes.lookup_rows(lookup, where=in_blocks("l", first, end))
    path = SQL("l.own") if lookup.path is None else SQL("p.path")
    paths = (
        SQL("")
        if lookup.path is None
        else SQL(" LEFT JOIN ({}) p ON p.cid = l.cid").format(shapes.all_paths(lookup.path))
    )
    known = [SQL("{} IS NOT NULL").format(column("l", c)) for c in [*shapes.scope_names(n), "x"]]
    return SQL("SELECT {scope}l.x AS text, l.id AS key, {path} AS path FROM ({rows}) l{paths} WHERE {known}").format(
        scope=_scope("l", n), path=path, rows=rows, paths=paths, known=conjunction(known)
    )


def alias_entries(lookup: Lookup) -> sql.Composable:
    """Return a query (scope, alias, key, text) of every alias and its row. Only for lookups that have aliases."""
    return SQL("SELECT {scope}, a.x, a.id::text, {text}::text FROM ({rows}) a JOIN {table} l ON {key} = a.id").format(
        scope=json_scope("a", len(lookup.scope)),
        text=column("l", lookup.text.name),
        rows=shapes.alias_rows(lookup),
        table=table(lookup.table.name),
        key=column("l", lookup.key.name),
    )


def _scope(alias: str, count: int) -> sql.Composable:
    """Return ``alias.s1, `` …"""
    return SQL("").join([SQL("{}, ").format(column(alias, n)) for n in shapes.scope_names(count)])


def json_scope(alias: str, count: int) -> sql.Composable:
    """Return the scope as a JSON array of texts: the form in which the local mapping file holds it."""
    parts = [SQL("{}::text").format(column(alias, n)) for n in shapes.scope_names(count)]
    return SQL("json_build_array({})::text").format(SQL(", ").join(parts))


# ------------------------------------------------------------------------------------------- a reference's rows


def identity(reference: Reference) -> list[tuple[str, sql.Composable]]:
    """Return what names a row to a person, as (column, expression on ``t``): the primary key, or the row's place."""
    if not reference.identity:
        return [("ctid", SQL("t.ctid::text"))]
    return [(name, column("t", name)) for name in reference.identity]


def shown(reference: Reference) -> list[tuple[str, str]]:
    """Return (fixed name, column) of the scope, text and qualifier."""
    pairs = list(zip(shapes.scope_names(len(reference.scope)), [c.name for c in reference.scope], strict=True))
    pairs.append(("x", reference.text.name))
    return [*pairs, ("q", reference.qualifier.name)] if reference.qualifier else pairs


def rows_where(
    reference: Reference, condition: sql.Composable, *, stored: bool, first: int = 0, end: int = LAST_BLOCK
) -> sql.Composable:
    """Return a query of every row whose resolved value ``z`` meets a condition on how, note, x, q …: identity, then
    scope, text and qualifier under the columns' own names."""
    keys = identity(reference)
    values = SQL("SELECT {}, {} FROM {} t WHERE {}").format(
        shapes.reference_values(reference),
        SQL(", ").join([SQL("{} AS {}").format(e, sql.Identifier(f"k{i}")) for i, (_, e) in enumerate(keys)]),
        table(reference.table.name),
        in_blocks("t", first, end),
    )
    picked = [(f"k{i}", name) for i, (name, _) in enumerate(keys)]
    taken = {name for _, name in picked}
    picked += [(fixed, name) for fixed, name in shown(reference) if name not in taken]
    noted = SQL("SELECT z.*, {} AS note FROM ({}) z").format(
        note(reference), resolve_all(reference, values, stored=stored)
    )
    return SQL("SELECT {} FROM ({}) z WHERE {}").format(
        SQL(", ").join([SQL("{} AS {}").format(column("z", f), sql.Identifier(n)) for f, n in picked]), noted, condition
    )


def rows_with(
    reference: Reference, condition: sql.Composable, *, first: int = 0, end: int = LAST_BLOCK
) -> sql.Composable:
    """Return a query of every row ``t`` that meets a condition on its own columns: identity, scope, text, qualifier."""
    picked = dict(identity(reference))
    for _, name in shown(reference):
        picked.setdefault(name, column("t", name))
    return SQL("SELECT {} FROM {} t WHERE {} AND {}").format(
        SQL(", ").join([SQL("{} AS {}").format(e, sql.Identifier(n)) for n, e in picked.items()]),
        table(reference.table.name),
        in_blocks("t", first, end),
        condition,
    )


def listed(
    reference: Reference, rows: Sequence[tuple[tuple[str | None, ...], str, str | None, str, str]]
) -> sql.Composable:
    """Return a relation (s1 …, x, q, target, key) that holds the given values, all as text."""
    n = len(reference.scope)
    lists: list[list[str | None]] = [[r[0][i] for r in rows] for i in range(n)]
    lists += [[r[1] for r in rows], [r[2] for r in rows], [r[3] for r in rows], [r[4] for r in rows]]
    return SQL("unnest({}) f({})").format(
        SQL(", ").join([SQL("{}::text[]").format(sql.Literal(x)) for x in lists]),
        SQL(", ").join([sql.Identifier(c) for c in [*shapes.scope_names(n), "x", "q", "target", "key"]]),
    )


def _is_listed(reference: Reference) -> sql.Composable:
    """Return the join condition of a row ``t`` to :func:`listed`. Listed scopes are never NULL."""
    parts = [
        SQL("{}::text = {}").format(column("t", name), column("f", fixed))
        for fixed, name in shown(reference)
        if fixed != "q"
    ]
    if reference.qualifier is not None:
        parts.append(
            SQL("{} IS NOT DISTINCT FROM f.q").format(
                compare.label(reference.qualifier, column("t", reference.qualifier.name))
            )
        )
    return conjunction(parts)


def near_rows(
    reference: Reference,
    values: Sequence[tuple[tuple[str | None, ...], str, str | None, str, str]],
    *,
    first: int = 0,
    end: int = LAST_BLOCK,
) -> sql.Composable:
    """Return a query of every row with one of the values, and the lookup text (``folds_to``) that it folds to."""
    picked = dict(identity(reference))
    for _, name in shown(reference):
        picked.setdefault(name, column("t", name))
    return SQL("SELECT {}, f.target AS folds_to FROM {} t JOIN {} ON {} WHERE {}").format(
        SQL(", ").join([SQL("{} AS {}").format(e, sql.Identifier(n)) for n, e in picked.items()]),
        table(reference.table.name),
        listed(reference, values),
        _is_listed(reference),
        in_blocks("t", first, end),
    )


# ---------------------------------------------------------------------------------------------------- collisions


def collidable(reference: Reference, index: Index) -> bool:
    """Whether a unique index has a successor on the key that can collide: its columns hold the text, and are plain."""
    return (
        index.unique
        and index.valid
        and all(c.column is not None for c in index.columns)
        and any(c.column == reference.text.name for c in index.columns)
    )


def others(reference: Reference, index: Index) -> list[str]:
    """Return the index's columns that its successor keeps: all but text and qualifier."""
    gone = {reference.text.name} | ({reference.qualifier.name} if reference.qualifier else set())
    return [c.column for c in index.columns if c.column is not None and c.column not in gone]


def _bound(reference: Reference, index: Index) -> sql.Composable:
    """Return the condition that a row ``t`` takes part in the index."""
    parts: list[sql.Composable] = []
    if not index.nulls_not_distinct:
        parts += [SQL("{} IS NOT NULL").format(column("t", name)) for name in others(reference, index)]
    if index.predicate is not None:
        # The predicate names columns without a table; only the row itself is in its sight.
        parts.append(SQL("EXISTS (SELECT FROM (SELECT t.*) nf_row WHERE {})").format(raw(index.predicate)))
    return conjunction(parts)


def collision_groups(
    reference: Reference,
    index: Index,
    values: Sequence[tuple[tuple[str | None, ...], str, str | None, str, str]],
    first: int,
    end: int,
) -> sql.Composable:
    """Return a query (group, rows) of a block range: the successor's columns with the key, as JSON, for the rows that
    have one of the values. Groups of several ranges are added up by the caller; those above one row collide."""
    kept = columns("t", others(reference, index))
    kept = SQL("{}, ").format(kept) if others(reference, index) else SQL("")
    return SQL("SELECT g.key, count(*) FROM (SELECT json_build_array({kept}f.key)::text AS key FROM {table} t "
               "JOIN {values} ON {on} WHERE {blocks} AND {bound}) g GROUP BY g.key").format(
        kept=kept,
        table=table(reference.table.name),
        values=listed(reference, values),
        on=_is_listed(reference),
        blocks=in_blocks("t", first, end),
        bound=_bound(reference, index),
    )  # fmt: skip


def collisions(
    reference: Reference,
    index: Index,
    values: Sequence[tuple[tuple[str | None, ...], str, str | None, str, str]],
) -> sql.Composable:
    """Return a query of every row that would collide in the index's successor: identity, the index's other columns,
    scope, text, qualifier, and the lookup row's ``key`` as ``means``. Colliding rows stand together."""
    keys = identity(reference)
    picked = dict(keys)
    for name in [*others(reference, index), *[name for _, name in shown(reference)]]:
        picked.setdefault(name, column("t", name))
    group = [column("t", name) for name in others(reference, index)]
    outer = [*picked, "means"]
    return SQL(
        "SELECT {outer} FROM (SELECT {picked}, f.key AS means, count(*) OVER (PARTITION BY {group}) AS nf_together "
        "FROM {table} t JOIN {values} ON {on} WHERE {bound}) z WHERE z.nf_together > 1 ORDER BY {order}"
    ).format(
        outer=columns("z", outer),
        picked=SQL(", ").join([SQL("{} AS {}").format(e, sql.Identifier(n)) for n, e in picked.items()]),
        group=SQL(", ").join([*group, SQL("f.key")]),
        table=table(reference.table.name),
        values=listed(reference, values),
        on=_is_listed(reference),
        bound=_bound(reference, index),
        order=columns("z", dict.fromkeys([*others(reference, index), "means", *[n for n, _ in keys]])),
    )
