"""The SQL of what an audit finds in the lookups' own rows. Each statement returns every offender and only reads."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from psycopg import sql

from ..core.model import Lookup, Reference
from . import shapes
from .quote import column, columns, conjunction, table

SQL = sql.SQL
#: Types of which equal values are the same value.
_EXACT = ("text", "varchar", "int2", "int4", "int8", "uuid")


def _scope_columns(lookup: Lookup, alias: str) -> list[sql.Composable]:
    """Return the scope under the names that the lookup's columns have, or will have."""
    return [
        SQL("{} AS {}").format(column(alias, fixed), sql.Identifier(name))
        for fixed, name in zip(shapes.scope_names(len(lookup.scope)), lookup.scope, strict=True)
    ]


def _rows(lookup: Lookup, alias: str, *, path: bool = True) -> sql.Composable:
    parts = [
        SQL("{} AS {}").format(column(alias, "id"), sql.Identifier(lookup.key.name)),
        *_scope_columns(lookup, alias),
    ]
    parts.append(SQL("{} AS {}").format(column(alias, "x"), sql.Identifier(lookup.text.name)))
    if path and lookup.has_qualifier:
        parts.append(SQL("{} AS qualifier").format(column(alias, "path")))
    return SQL(", ").join(parts)


def _reachable(lookup: Lookup, alias: str) -> sql.Composable:
    names = [*shapes.scope_names(len(lookup.scope)), "x"]
    return conjunction([SQL("{} IS NOT NULL").format(column(alias, n)) for n in names])


def duplicates(lookup: Lookup) -> sql.Composable:
    """Rows that share scope, text and qualifier with another one."""
    return _duplicates(lookup)


def duplicates_by_path(lookup: Lookup) -> sql.Composable:
    """The same where :func:`kept_apart` holds and every row has a path: only rows of equal paths can be among them."""
    assert lookup.path is not None
    few = SQL("{} IN (SELECT nf_e.{} FROM ({}) nf_e)").format(
        column("l", lookup.path.join), sql.Identifier(lookup.path.key), equal_paths(lookup)
    )
    return _duplicates(lookup, where=few)


def _duplicates(lookup: Lookup, *, where: sql.Composable | None = None) -> sql.Composable:
    names = shapes.scope_names(len(lookup.scope))
    return SQL(
        "WITH c AS MATERIALIZED (SELECT * FROM ({all}) c WHERE {known}), "
        "g AS (SELECT {group} FROM c GROUP BY {group} HAVING count(*) > 1) "
        "SELECT {rows} FROM g JOIN c ON {same} AND c.path IS NOT DISTINCT FROM g.path ORDER BY {order}"
    ).format(
        all=shapes.candidates(lookup, where=where),
        known=_reachable(lookup, "c"),
        group=columns("c", [*names, "x", "path"]),
        rows=_rows(lookup, "c"),
        same=conjunction([SQL("{} = {}").format(column("c", n), column("g", n)) for n in [*names, "x"]]),
        order=columns("c", [*names, "x", "path", "id"]),
    )


def several(lookup: Lookup) -> sql.Composable:
    """Names that stand under several qualifiers of one scope, with the qualifiers. Only for lookups that have some."""
    names = shapes.scope_names(len(lookup.scope))
    head = SQL("").join([SQL("{}, ").format(part) for part in _scope_columns(lookup, "g")])
    # Least and greatest instead of count(DISTINCT): that would sort every row of the lookup.
    return SQL(
        "SELECT {head}g.x AS {text}, g.rows, (SELECT array_agg(p ORDER BY p) FROM unnest(g.paths) p) AS qualifiers "
        "FROM (SELECT {group}, count(*) AS rows, array_agg(c.path) AS paths FROM ({all}) c WHERE {known} "
        "GROUP BY {group} HAVING min(c.path) < max(c.path)) g"
    ).format(
        head=head,
        text=sql.Identifier(lookup.text.name),
        all=shapes.candidates(lookup),
        known=_reachable(lookup, "c"),
        group=columns("c", [*names, "x"]),
    )


def census(lookup: Lookup) -> sql.Composable:
    """One row: lookup rows without scope, without text, without path."""
    names = shapes.scope_names(len(lookup.scope))
    no_scope = SQL(" OR ").join([SQL("{} IS NULL").format(column("c", n)) for n in names]) if names else SQL("false")
    return SQL(
        "SELECT count(*) FILTER (WHERE {no_scope}) AS no_scope, count(*) FILTER (WHERE c.x IS NULL) AS no_text, "
        "count(*) FILTER (WHERE c.path IS NULL) AS no_path FROM ({all}) c"
    ).format(no_scope=no_scope, all=shapes.candidates(lookup))


def proves_unique(lookup: Lookup) -> bool:
    """Whether an index that stands already keeps rows from being equal in the columns of the spec's ``unique``."""
    return _some_unique_within(lookup, lookup.spec.unique)


def kept_apart(lookup: Lookup) -> bool:
    """Whether an index that stands already keeps reachable rows from sharing scope, text and qualifier.

    Where the qualifier is a path, that is said of rows which stand under one row of the path table. It is true of all
    if every row has a path (NF107) and none is that of two rows of the path table in one scope (NF108). Only columns
    count whose values are the same if they are equal, so that the index means what the question means.
    """
    apart = {lookup.text.name}
    if lookup.path is not None:
        copy = lookup.scope_copy
        # Equal paths are asked for in the path table's scope, or else in the rows' own: see equal_paths.
        by_path_table = copy is not None and copy.table.name == lookup.path.table.name
        if by_path_table and (lookup.scope_ready or copy is None or copy.join != lookup.path.join):
            return False
        apart.add(lookup.path.join)
    elif lookup.qualifier_column is not None:
        qualifier = lookup.table.column(lookup.qualifier_column)
        if qualifier is not None and qualifier.not_null:
            apart.add(qualifier.name)
    if lookup.scope_ready or lookup.scope_copy is None:
        apart |= set(lookup.scope)
    found = {name: lookup.table.column(name) for name in apart}
    exact = {name for name, c in found.items() if c is not None and c.base in _EXACT and c.deterministic}
    return _some_unique_within(lookup, exact)


def _some_unique_within(lookup: Lookup, names: Collection[str]) -> bool:
    return any(
        i.unique
        and i.valid
        and i.predicate is None
        and i.columns
        and all(c.column is not None and c.column in names for c in i.columns)
        for i in lookup.table.indexes
    )


def without_scope(lookup: Lookup) -> sql.Composable:
    """Rows whose scope is NULL."""
    names = shapes.scope_names(len(lookup.scope))
    return SQL("SELECT {} FROM ({}) c WHERE {}").format(
        _rows(lookup, "c", path=False),
        shapes.lookup_rows(lookup),
        SQL(" OR ").join([SQL("{} IS NULL").format(column("c", n)) for n in names]) if names else SQL("false"),
    )


def without_text(lookup: Lookup) -> sql.Composable:
    """Rows whose text is NULL."""
    return SQL("SELECT {} FROM ({}) c WHERE c.x IS NULL").format(
        _rows(lookup, "c", path=False), shapes.lookup_rows(lookup)
    )


def without_path(lookup: Lookup) -> sql.Composable:
    """Rows whose qualifier is not reached from a root. Only for lookups whose qualifier is a path."""
    return SQL("SELECT {} FROM ({}) c WHERE c.path IS NULL").format(_rows(lookup, "c"), shapes.candidates(lookup))


def same_unique(lookup: Lookup) -> sql.Composable:
    """Rows that are equal in the columns of the spec's ``unique``; NULLs are distinct, as an index has them."""
    fixed = dict(zip(lookup.scope, shapes.scope_names(len(lookup.scope)), strict=True))
    picked, group = [], []
    for name in lookup.spec.unique:
        copied = not lookup.scope_ready and name in fixed
        expression = column("c", fixed[name]) if copied else column("l", name)
        group.append(expression)
        picked.append(SQL("{} AS {}").format(expression, sql.Identifier(name)))
    if lookup.key.name not in lookup.spec.unique:
        picked.insert(0, SQL("{} AS {}").format(column("l", lookup.key.name), sql.Identifier(lookup.key.name)))
    names = list(dict.fromkeys([lookup.key.name, *lookup.spec.unique]))
    return SQL(
        "SELECT {names} FROM (SELECT {picked}, count(*) OVER (PARTITION BY {group}) AS nf_together FROM {table} l "
        "JOIN ({rows}) c ON c.id = {key} WHERE {known}) z WHERE z.nf_together > 1 ORDER BY {order}"
    ).format(
        names=columns("z", names),
        picked=SQL(", ").join(picked),
        group=SQL(", ").join(group),
        table=table(lookup.table.name),
        rows=shapes.lookup_rows(lookup),
        key=column("l", lookup.key.name),
        known=conjunction([SQL("{} IS NOT NULL").format(g) for g in group]),
        order=columns("z", [*lookup.spec.unique, lookup.key.name]),
    )


def equal_paths(lookup: Lookup) -> sql.Composable:
    """Rows of the path table that share scope and path with another one. Only for lookups whose qualifier is a path.

    Where the path table itself has the scope, all its rows count, used or not; else those that lookup rows stand under.
    """
    assert lookup.path is not None
    path, copy = lookup.path, lookup.scope_copy
    names = shapes.scope_names(len(lookup.scope))
    if copy is not None and copy.table.name == path.table.name:
        rows = SQL(
            "SELECT {s} AS s1, p.cid, p.path FROM {t} c JOIN ({paths}) p ON p.cid = {k} WHERE {s} IS NOT NULL"
        ).format(
            s=column("c", copy.column.name),
            t=table(copy.table.name),
            paths=shapes.all_paths(path),
            k=column("c", copy.key),
        )
    else:
        rows = SQL("SELECT DISTINCT {} FROM ({}) r JOIN ({}) p ON p.cid = r.cid").format(
            SQL("").join([*[SQL("{}, ").format(column("r", n)) for n in names], SQL("p.cid, p.path")]),
            shapes.lookup_rows(lookup),
            shapes.all_paths(path),
        )
    return SQL(
        "SELECT z.cid AS {key}, {head}z.path FROM (SELECT c.*, count(*) OVER (PARTITION BY {group}) AS together "
        "FROM ({rows}) c) z WHERE z.together > 1 ORDER BY {order}"
    ).format(
        key=sql.Identifier(path.key),
        head=SQL("").join([SQL("{}, ").format(part) for part in _scope_columns(lookup, "z")]),
        group=columns("c", [*names, "path"]),
        rows=rows,
        order=columns("z", [*names, "path", "cid"]),
    )


def near_duplicates(lookup: Lookup, values: Sequence[tuple[tuple[str | None, ...], str]]) -> sql.Composable:
    """Rows with one of the (scope, text) values, which differ from another one only by form, case or spaces."""
    names = shapes.scope_names(len(lookup.scope))
    lists = [[v[0][i] for v in values] for i in range(len(names))] + [[v[1] for v in values]]
    return SQL(
        "SELECT {rows} FROM ({all}) c WHERE ({cols}) IN (SELECT {picked} FROM unnest({lists}) f({fields}))"
    ).format(
        rows=_rows(lookup, "c"),
        all=shapes.candidates(lookup),
        cols=SQL(", ").join([SQL("{}::text").format(column("c", n)) for n in [*names, "x"]]),
        picked=columns("f", [*names, "x"]),
        lists=SQL(", ").join([SQL("{}::text[]").format(sql.Literal(x)) for x in lists]),
        fields=SQL(", ").join([sql.Identifier(n) for n in [*names, "x"]]),
    )


def too_long_for(reference: Reference) -> sql.Composable:
    """Lookup rows whose text, or path, does not fit the reference's column for it."""
    parts = []
    if reference.text.width is not None:
        parts.append(SQL("char_length(c.x) > {}").format(sql.Literal(reference.text.width)))
    if reference.qualifier is not None and reference.qualifier.width is not None:
        parts.append(SQL("char_length(c.path) > {}").format(sql.Literal(reference.qualifier.width)))
    return SQL("SELECT {} FROM ({}) c WHERE ({}) AND {}").format(
        _rows(reference.lookup, "c"),
        shapes.candidates(reference.lookup),
        SQL(" OR ").join(parts) if parts else SQL("false"),
        _reachable(reference.lookup, "c"),
    )
