"""Queries of ``init``: which tables there are, what the server knows of their texts, and small samples of both sides.

Each reads a bounded number of rows and fits under a short time limit; none writes or locks beyond a reader's lock. What
a value means is not decided here: that is ``sql.resolution``'s, whose aliases these follow.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from ..core.candidates import ColumnName, Join, Owner
from ..core.catalog import Column
from ..core.names import QName
from .quote import column, columns, table

SQL = sql.SQL
#: Characters of a value that are read; hardly a name is longer.
LONGEST_VALUE = 1_000
#: Values that are taken from the server's statistics for each column.
STATISTICS = 60

#: Ordinary tables that the role may read, and whether somebody keeps readers out; no partitions, which their parent
#: stands for, and nothing of an extension.
TABLES = """
SELECT n.nspname AS schema, c.relname AS name,
       EXISTS (SELECT FROM pg_catalog.pg_locks AS k
                WHERE k.locktype = 'relation' AND k.relation = c.oid AND k.mode = 'AccessExclusiveLock' AND k.granted
                  AND k.database = (SELECT oid FROM pg_catalog.pg_database
                                     WHERE datname = pg_catalog.current_database())) AS locked
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND NOT c.relispartition AND c.relpersistence <> 't'
   AND (c.relpersistence = 'p' OR NOT pg_catalog.pg_is_in_recovery())
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'normalform')
   AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
   AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
                      AND d.deptype = 'e')
 ORDER BY n.nspname, c.relname
"""

#: What the server knows of text columns. Only of these: arrays of arrays could not be read as texts.
COLUMN_STATISTICS = """
SELECT s.schemaname AS schema, s.tablename AS "table", s.attname AS "column",
       s.null_frac::float8 AS null_frac, s.avg_width::float8 AS width, s.n_distinct::float8 AS n_distinct,
       (s.most_common_vals::text::text[])[1:%(limit)s] AS common,
       (s.most_common_freqs::float8[])[1:%(limit)s] AS shares,
       s.histogram_bounds::text::text[] AS others
  FROM unnest(%(schemas)s::text[], %(tables)s::text[], %(columns)s::text[]) AS w (schema, "table", "column")
  JOIN pg_catalog.pg_stats AS s
    ON s.schemaname = w.schema AND s.tablename = w."table" AND s.attname = w."column" AND NOT s.inherited
"""


def statistics(names: Sequence[ColumnName]) -> tuple[str, dict[str, object]]:
    """Return the query of the server's statistics of text columns, and its parameters."""
    return COLUMN_STATISTICS, {
        "limit": STATISTICS,
        "schemas": [t.schema for t, _ in names],
        "tables": [t.name for t, _ in names],
        "columns": [c for _, c in names],
    }


def sample(name: QName, wanted: Sequence[str], percent: float | None, limit: int) -> sql.Composable:
    """Return some rows of a table as texts.

    Args:
        name: the table.
        wanted: its columns.
        percent: how many of its blocks are read, chosen by the server; None for all of them.
        limit: rows at most.
    """
    method = SQL("") if percent is None else SQL(" TABLESAMPLE SYSTEM ({}) REPEATABLE (7)").format(sql.Literal(percent))
    return SQL("SELECT {} FROM {} t{} LIMIT {}").format(_texts("t", wanted), table(name), method, sql.Literal(limit))


def probe(owner: Owner, values: Sequence[str]) -> sql.Composable:
    """Return which of some values a text column has, each once."""
    return SQL("SELECT DISTINCT {text} FROM {table} l WHERE {condition}").format(
        text=_text("l", owner.text.name), table=table(owner.table.name), condition=_among(owner, values)
    )


def owner_rows(owner: Owner, wanted: Sequence[str], values: Sequence[str], limit: int) -> sql.Composable:
    """Return the rows of a lookup that have one of the texts, as texts."""
    return SQL("SELECT {} FROM {} l WHERE {} LIMIT {}").format(
        _texts("l", wanted), table(owner.table.name), _among(owner, values), sql.Literal(limit)
    )


def alias_rows(
    owner: Owner, aliases: Column, wanted: Sequence[str], values: Sequence[str], limit: int
) -> sql.Composable:
    """Return each alias that is one of the values, followed by its row, as texts.

    As everywhere, what is not an array of strings is no alias (``sql.shapes.aliases_of``).
    """
    col = column("l", aliases.name)
    if aliases.base in ("_text", "_varchar"):
        each = SQL("SELECT u.a::text AS a FROM unnest({}) u(a)").format(col)
    else:
        each = SQL(
            "SELECT e.v #>> '{{}}' AS a FROM jsonb_array_elements("
            "CASE WHEN jsonb_typeof({0}::jsonb) = 'array' THEN {0}::jsonb ELSE '[]'::jsonb END) e(v) "
            "WHERE jsonb_typeof(e.v) = 'string'"
        ).format(col)
    return SQL("SELECT al.a, {} FROM {} l CROSS JOIN LATERAL ({}) al WHERE al.a = ANY ({}::text[]) LIMIT {}").format(
        _texts("l", wanted), table(owner.table.name), each, sql.Literal(list(values)), sql.Literal(limit)
    )


def parent_rows(join: Join, wanted: Sequence[str], keys: Sequence[str], limit: int) -> sql.Composable:
    """Return the rows of a parent table with the given keys, and the rows above them, as texts, each once."""
    name, key = table(join.parent.name), join.parent.primary_key[0]
    kind = next(c.type for c in join.parent.columns if c.name == key)
    start = SQL("SELECT {} FROM {} p WHERE {} = ANY ({}::{}[])").format(
        columns("p", wanted), name, column("p", key), sql.Literal(list(keys)), SQL(kind)
    )
    if join.up is None:
        return SQL("SELECT {} FROM ({}) p LIMIT {}").format(_texts("p", wanted), start, sql.Literal(limit))
    above = SQL("SELECT {} FROM {} p JOIN nf_up u ON {} = {}").format(
        columns("p", wanted), name, column("p", key), column("u", join.up)
    )
    return SQL("WITH RECURSIVE nf_up AS ({} UNION {}) SELECT {} FROM nf_up u LIMIT {}").format(
        start, above, _texts("u", wanted), sql.Literal(limit)
    )


def _among(owner: Owner, values: Sequence[str]) -> sql.Composable:
    col = column("l", owner.text.name)
    if owner.text.base == "citext":
        return SQL("lower({}::text) = ANY ({}::text[])").format(col, sql.Literal([v.lower() for v in values]))
    # Of texts among themselves no cast is needed, and an index can be used.
    return SQL("{} = ANY ({}::text[])").format(col, sql.Literal(list(values)))


def _text(alias: str, name: str) -> sql.Composable:
    return SQL("left({}::text, {})").format(column(alias, name), sql.Literal(LONGEST_VALUE))


def _texts(alias: str, names: Sequence[str]) -> sql.Composable:
    return SQL(", ").join([_text(alias, name) for name in names])
