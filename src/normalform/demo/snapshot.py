"""Before and after: the demo's own look at the database, to prove that a rollback gave everything back.

Shares nothing with the engine: checksums by plain SQL over every column of every table, the schema by pg_dump.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import psycopg
from psycopg import sql

from ..embedded import Server

# Lines of a dump that differ between two dumps of one schema.
_NOISE = re.compile(r"--.*|\\(un)?restrict .*")


@dataclass(frozen=True)
class Snapshot:
    """What a database holds.

    Args:
        schema: `pg_dump --schema-only` without our own schema; each table's columns sorted by name, since a column that
            was dropped and came back stands last.
        tables: rows and checksum of every table.
    """

    schema: str
    tables: dict[str, tuple[int, str]]

    def differences(self, other: Snapshot) -> list[str]:
        """Return what differs, one line each; empty when the two are equal."""
        found = [
            f"{name}: {self.tables.get(name)} before, {other.tables.get(name)} after"
            for name in sorted({*self.tables, *other.tables})
            if self.tables.get(name) != other.tables.get(name)
        ]
        if self.schema != other.schema:
            before, after = set(self.schema.splitlines()), set(other.schema.splitlines())
            found += [f"schema, gone: {line}" for line in sorted(before - after)]
            found += [f"schema, new: {line}" for line in sorted(after - before)]
        return found


def take(server: Server, url: str, database: str) -> Snapshot:
    """Take a snapshot of the demo's database."""
    dump = server.run_tool("pg_dump", "--schema-only", "--exclude-schema=normalform", database).stdout
    with psycopg.connect(url, options="-c timezone=UTC -c extra_float_digits=1 -c search_path=pg_catalog") as conn:
        names = conn.execute(
            "SELECT c.relname, array(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid "
            "AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attname) FROM pg_class c "
            "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' ORDER BY 1"
        ).fetchall()
        return Snapshot(_sorted(dump), {name: _checksum(conn, name, columns) for name, columns in names})


def _checksum(conn: psycopg.Connection, name: str, columns: list[str]) -> tuple[int, str]:
    """Sum a 64-bit hash of each row's text: neither order nor a pair of equal rows can hide a change."""
    row = sql.SQL("ROW({})::text").format(sql.SQL(", ").join([sql.Identifier("t", c) for c in columns]))
    query = sql.SQL("SELECT count(*), coalesce(sum(hashtextextended({}, 0)::numeric), 0)::text FROM {} t").format(
        row, sql.Identifier("public", name)
    )
    found = conn.execute(query).fetchone()
    assert found is not None
    return int(found[0]), str(found[1])


def _sorted(dump: str) -> str:
    """Drop noise, and sort the lines between ``CREATE TABLE … (`` and ``);`` without their commas."""
    lines: list[str] = []
    block: list[str] | None = None
    for line in dump.splitlines():
        if not line.strip() or _NOISE.fullmatch(line):
            continue
        if block is not None and line.startswith(")"):
            lines += [*sorted(block), line]
            block = None
        elif block is not None:
            block.append(line.rstrip(","))
        else:
            lines.append(line)
            if line.startswith("CREATE TABLE "):
                block = []
    return "\n".join(lines)
