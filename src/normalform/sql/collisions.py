"""Queries that find the rows which a unique index to be built would refuse (CORRECTNESS 20, 32).

They read the whole table once and must run before the build: a unique index that fails half-way refuses application
writes until it is dropped.
"""

from __future__ import annotations

from psycopg import sql

from ..core.catalog import Index
from .quote import conjunction, raw

SQL = sql.SQL


def groups(source: sql.Composable, index: Index) -> sql.Composed:
    """Return a query (k1 …, n): each combination of key values that several rows have, and how many.

    Args:
        source: what to select from: a table, or a subquery with an alias, whose columns have the names that the
            index uses.
        index: the unique index; its predicate and its way with NULL count.
    """
    keys = [sql.Identifier(c.column) if c.column is not None else SQL("({})").format(raw(c.expression or ""))
            for c in index.columns]  # fmt: skip
    names = [sql.Identifier(f"k{n}") for n in range(1, len(keys) + 1)]
    conditions = [] if index.nulls_not_distinct else [SQL("{} IS NOT NULL").format(k) for k in keys]
    if index.predicate is not None:
        conditions.append(SQL("({})").format(raw(index.predicate)))
    return SQL(
        "SELECT {picked}, count(*) AS n FROM {source} WHERE {where} GROUP BY {group} HAVING count(*) > 1"
    ).format(
        picked=SQL(", ").join([SQL("{} AS {}").format(k, n) for k, n in zip(keys, names, strict=True)]),
        source=source,
        where=conjunction(conditions),
        group=SQL(", ").join([SQL("{}").format(sql.Literal(n)) for n in range(1, len(keys) + 1)]),
    )


def summary(source: sql.Composable, index: Index) -> sql.Composed:
    """Return a query (groups, rows, up to three samples as text) of the same."""
    return SQL(
        "WITH g AS MATERIALIZED ({groups}) SELECT count(*), coalesce(sum(g.n), 0)::bigint, "
        "ARRAY(SELECT g::text FROM g ORDER BY g.n DESC, g::text LIMIT 3) FROM g"
    ).format(groups=groups(source, index))
