"""Before and after: what a database looks like, found out without the engine.

Used to prove that an undo gives back what was there, so nothing here may share code with what is proven.
"""

from __future__ import annotations

import re

import psycopg
from psycopg import sql

from fix_servers import Database

LEDGER = "normalform"

# Whatever role or server reads: the same value gives the same text.
_PINNED = (
    "-c datestyle=ISO,YMD -c timezone=UTC -c intervalstyle=postgres -c bytea_output=hex "
    "-c extra_float_digits=1 -c search_path=pg_catalog"
)
# Lines that differ between two dumps of one schema.
_NOISE = re.compile(r"--.*|\\(un)?restrict .*|SELECT pg_catalog\.set_config\('search_path', .*")


def dump_schema(db: Database, *, ledger: bool = True, column_order: bool = True) -> str:
    """Gives the schema as `pg_dump` writes it, without comments of the dump and version lines.

    Args:
        db: the database; owners and rights are part of the result.
        ledger: whether our own schema is part of it too.
        column_order: whether the order of a table's columns matters; otherwise they stand sorted.
    """
    options = [] if ledger else [f"--exclude-schema={LEDGER}"]
    text = db.server.run_tool("pg_dump", "--schema-only", *options, db.name).stdout
    lines = [line.rstrip() for line in text.splitlines()]
    kept = [line for line in lines if line and not _NOISE.fullmatch(line)]
    return "\n".join(kept if column_order else _sorted_columns(kept)) + "\n"


def checksums(db: Database, *, ledger: bool = False) -> dict[str, str]:
    """Gives count and checksum of every user table, over all rows and all columns.

    Neither the order of rows nor that of columns matters; the number of equal rows does.

    Returns:
        By ``schema.table``.
    """
    with psycopg.connect(db.admin_url, options=_PINNED, autocommit=True) as connection:
        tables = connection.execute(_TABLES, [[] if ledger else [LEDGER]]).fetchall()
        return {f"{schema}.{table}": _checksum(connection, schema, table, columns) for schema, table, columns in tables}


_TABLES = """
    SELECT n.nspname, c.relname,
           array(SELECT a.attname::text FROM pg_attribute a
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname <> ALL (%s)
    ORDER BY 1, 2
"""


def _checksum(connection: psycopg.Connection, schema: str, table: str, columns: list[str]) -> str:
    # Sums, not XOR: two equal rows must not cancel each other out.
    query = sql.SQL(
        "SELECT format('%s rows, %s/%s', count(*),"
        " coalesce(sum(('x' || left(h, 16))::bit(64)::bigint::numeric), 0),"
        " coalesce(sum(('x' || right(h, 16))::bit(64)::bigint::numeric), 0))"
        " FROM (SELECT md5(ROW({})::text) AS h FROM {}) AS r"
    )
    row = sql.SQL(", ").join(map(sql.Identifier, columns))
    found = connection.execute(query.format(row, sql.Identifier(schema, table))).fetchone()
    assert found is not None
    return f"{','.join(columns)}: {found[0]}"


def _sorted_columns(lines: list[str]) -> list[str]:
    result: list[str] = []
    columns: list[str] | None = None
    for line in lines:
        if columns is None:
            result.append(line)
            if re.match(r"CREATE (UNLOGGED )?TABLE .*\($", line):
                columns = []
        elif line.startswith(")"):
            result += [*sorted(columns), line]
            columns = None
        else:
            columns.append(line.removesuffix(","))
    return result
