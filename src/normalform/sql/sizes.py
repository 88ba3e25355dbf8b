"""The queries behind the savings: what the catalog says of sizes, and a sample of a table's blocks.

They only read, take no lock beyond a reader's, and a standby will do. Blocks are read in parts, so that a sample of
a table of any size reads so many blocks and no more. A row's size is that of the same row made by ROW(): the server
forms it as it forms a tuple.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from ..core.names import QName
from .findings import in_blocks
from .quote import raw, table

SQL = sql.SQL
#: From this size on a value is taken to stand outside its row (TOAST), where a pointer stands for it.
_OUTSIDE, _TOAST_POINTER = 2000, 18

FACTS = """
SELECT c.oid::bigint AS oid, pg_catalog.current_setting('block_size')::int AS page,
       pg_catalog.pg_relation_size(c.oid) AS heap,
       pg_catalog.pg_relation_size(c.oid, 'fsm') + pg_catalog.pg_relation_size(c.oid, 'vm') AS maps,
       pg_catalog.pg_relation_size(c.oid, 'fsm') > 0 AS mapped,
       coalesce(pg_catalog.pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0) AS toast,
       coalesce((SELECT option_value::int FROM pg_catalog.pg_options_to_table(c.reloptions)
                  WHERE option_name = 'fillfactor'), 100) AS fillfactor
  FROM pg_catalog.pg_class AS c
 WHERE c.oid = ANY (%(oids)s::oid[])
"""

#: Every attribute in its place, dropped ones too: a tuple has a bit for each.
ATTRIBUTES = """
SELECT a.attrelid::bigint AS oid, a.attname AS name, a.attisdropped AS dropped, a.attlen AS length,
       a.attlen = -1 AND a.attstorage <> 'p' AND (a.atttypmod < 0 OR a.atttypmod > 500) AS long
  FROM pg_catalog.pg_attribute AS a
 WHERE a.attrelid = ANY (%(oids)s::oid[]) AND a.attnum > 0
 ORDER BY a.attrelid, a.attnum
"""

#: Distinct values by column as ANALYZE left them; less than 0 is a share of the rows.
DISTINCT = """
SELECT c.oid::bigint AS oid, s.attname AS name, s.n_distinct AS found
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_stats AS s ON s.schemaname = n.nspname AND s.tablename = c.relname AND NOT s.inherited
 WHERE c.oid = ANY (%(oids)s::oid[]) AND s.n_distinct <> 0
"""


def sampled(name: QName, parts: Sequence[tuple[int, int]]) -> sql.Composable:
    """Return the FROM item ``t``: rows of these parts (first block, block behind the last), with ``nf_block``."""
    # Each part is a TID range scan of its own; the server makes none of a join with block numbers.
    selects = [
        SQL("SELECT y.*, (y.ctid::text::point)[0]::bigint AS nf_block FROM ONLY {} y WHERE {}").format(
            table(name), in_blocks("y", first, end)
        )
        for first, end in parts
    ]
    return SQL("({}) t").format(SQL(" UNION ALL ").join(selects))


def row_bytes(values: Sequence[sql.Composable], long: Sequence[sql.Composable]) -> sql.Composable:
    """Return the bytes of a tuple of these values, aligned, with its line pointer.

    Args:
        values: one for each attribute in order; NULL for those in ``long``.
        long: values that may stand outside the row; only the size that they have within it counts.
    """
    inside = [
        SQL(
            "coalesce(CASE WHEN pg_column_size({v}) > {outside} THEN {pointer} ELSE pg_column_size({v}) END, 0)"
        ).format(v=v, outside=sql.Literal(_OUTSIDE), pointer=sql.Literal(_TOAST_POINTER))
        for v in long
    ]
    size: sql.Composable = SQL("pg_column_size(ROW({}))").format(SQL(", ").join(values))
    return SQL("(({} + 7) / 8 * 8 + 4)").format(SQL(" + ").join([size, *inside]))


def block_sums(
    source: sql.Composable, now: sql.Composable, keyed: sql.Composable, final: sql.Composable, filled: sql.Composable
) -> sql.Composable:
    """Return a query (block, rows, bytes now, with the added columns, rewritten, rows that will be filled)."""
    return SQL(
        "SELECT t.nf_block, count(*) AS rows, sum({now})::bigint AS now, sum({keyed})::bigint AS keyed, "
        "sum({final})::bigint AS final, count(*) FILTER (WHERE {filled}) AS filled FROM {source} GROUP BY 1 ORDER BY 1"
    ).format(now=now, keyed=keyed, final=final, filled=filled, source=source)


def index_sums(
    source: sql.Composable,
    sizes: Sequence[sql.Composable],
    grouping: Sequence[sql.Composable],
    *,
    predicate: str | None = None,
    near: int | None = None,
    groups: bool = False,
    distinct: bool = False,
) -> sql.Composable:
    """Return a query of one row about an index.

    Its columns: ``entries``; mean, smallest and largest bytes of an index tuple; ``near``, the share of neighbours in
    the index whose rows stand near each other in the table; groups as arrays, ``rows`` and ``keys``; the distinct
    values of each column of ``grouping``. What is not asked for is 1, or NULL.

    Args:
        source: the sample.
        sizes: what the index holds, as values of the same size.
        grouping: what tells its keys apart.
        predicate: of a partial index, as the server printed it.
        near: blocks within which rows are near each other; None where nobody asks.
        groups, distinct: whether they are asked for.
    """
    # A ROW has a header of 24 bytes, an index tuple one of 8, and 8 more with a NULL in it.
    size = SQL(
        "((pg_column_size(ROW({sizes})) - 16 + CASE WHEN num_nulls({sizes}) > 0 THEN 8 ELSE 0 END + 7) / 8 * 8)"
    ).format(sizes=SQL(", ").join(sizes))
    numbers = [raw(str(n)) for n in range(len(grouping))]
    picked: list[sql.Composable] = [SQL("{} AS size").format(size)]
    near_share: sql.Composable = SQL("1::float8")
    if near is not None:
        order = SQL("t.nf_block - lag(t.nf_block) OVER (ORDER BY {}) AS far").format(SQL(", ").join(grouping))
        picked.append(order)
        near_share = SQL("coalesce(avg(CASE WHEN abs(k.far) <= {} THEN 1.0 ELSE 0.0 END), 1)::float8").format(
            sql.Literal(near)
        )
    if groups or distinct:
        picked += [SQL("{} AS k{}").format(g, n) for g, n in zip(grouping, numbers, strict=True)]
    grouped: sql.Composable = SQL("")
    arrays: sql.Composable = SQL("NULL::bigint[] AS rows, NULL::bigint[] AS keys")
    if groups:
        grouped = SQL(
            ", g AS (SELECT n, count(*) AS keys FROM (SELECT count(*) AS n FROM k GROUP BY {}) c GROUP BY n)"
        ).format(SQL(", ").join([SQL("k.k{}").format(n) for n in numbers]))
        arrays = SQL(
            "(SELECT array_agg(n ORDER BY n) FROM g) AS rows, (SELECT array_agg(keys ORDER BY n) FROM g) AS keys"
        )
    counts = [SQL("(SELECT count(*) FROM (SELECT DISTINCT k.k{} FROM k) d)").format(n) for n in numbers]
    return SQL(
        "WITH k AS MATERIALIZED (SELECT {picked} FROM {source}{where}){grouped} SELECT count(*) AS entries, "
        "avg(k.size)::float8 AS size, min(k.size) AS least, max(k.size) AS most, {near} AS near, {arrays}, "
        "ARRAY[{counts}]::bigint[] AS found FROM k"
    ).format(
        picked=SQL(", ").join(picked), source=source, grouped=grouped, near=near_share, arrays=arrays,
        where=SQL(" WHERE {}").format(raw(predicate)) if predicate is not None else SQL(""),
        counts=SQL(", ").join(counts if distinct else []),
    )  # fmt: skip
