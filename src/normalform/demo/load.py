"""Loads the demo's database: PhotoCat's legacy schema, the whole data file, and what follows from both.

It decides the order (tables, rows by COPY, then indexes and constraints) so that a million tags load in seconds,
and does all in one transaction, so that a load that was interrupted leaves nothing. It must never change what
`rules` and `planted` say, nor hold more than one tenant's rows in memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import sql

from normalform.demo.planted import write_planted
from normalform.demo.rules import COLUMNS, Lines, write_tenant
from normalform.demo.source import TOTAL_ROWS, read_pictures, read_tags

Progress = Callable[[str, int, int], None]
"""Called with the stage (`rows`, `indexes`, `analyze`), how much of it is done, and of how much."""

_COPY_LINES = 2000
_INDEX_MEMORY = "128MB"


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load wrote.

    Attributes:
        rows: rows by table, planted ones included.
        seconds: wall-clock seconds of the whole load.
        tag_rows: rows of the data file that were loaded, all into machine_tags.
        tenants: tenants of the data file among them.
    """

    rows: dict[str, int]
    seconds: float
    tag_rows: int
    tenants: int


def legacy_statements() -> tuple[list[bytes], list[bytes]]:
    """The statements of legacy.sql: those that make the tables, and those that make indexes and constraints."""
    text = files("normalform.demo").joinpath("legacy.sql").read_text(encoding="utf-8")
    tables, indexes = text.split("-- section: tables\n")[1].split("-- section: indexes\n")

    def split(section: str) -> list[bytes]:
        return [part.strip().encode() for part in section.split(";\n") if part.strip()]

    return split(tables), split(indexes)


def load(conn_url: str, *, rows: int | None = None, progress: Progress | None = None) -> LoadReport:
    """Fill an empty database with the demo's legacy schema and data.

    Args:
        conn_url: connection string of a role that may create tables in the database's `public` schema; no
            superuser is needed. The tables must not exist yet.
        rows: how many rows of the data file to load (None: all 1,080,986); the planted tenants come with any
            number. Which rows these are says `source.read_tags`.
        progress: called as the load goes on.

    Returns:
        Row counts and the time taken.

    Raises:
        ValueError: `rows` is below 1.
        psycopg.Error: the server refused, for example since a table exists already; nothing was changed.
    """
    began = time.monotonic()
    tell = progress or _silent
    with psycopg.connect(conn_url) as connection:
        tables, indexes = legacy_statements()
        with connection.transaction():
            for statement in tables:
                connection.execute(statement)
            out = Lines()
            tag_rows, tenants, written = _copy_all(connection, out, rows, tell)
            _set_sequences(connection, out)
            connection.execute(sql.SQL("SET LOCAL maintenance_work_mem = {}").format(sql.Literal(_INDEX_MEMORY)))
            for done, statement in enumerate(indexes):
                tell("indexes", done, len(indexes))
                connection.execute(statement)
            tell("indexes", len(indexes), len(indexes))
        for done, table in enumerate(COLUMNS):
            tell("analyze", done, len(COLUMNS))
            connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table)))
            connection.commit()
        tell("analyze", len(COLUMNS), len(COLUMNS))
    return LoadReport(written, time.monotonic() - began, tag_rows, tenants)


def _silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody asked for."""


def _copy_all(
    connection: psycopg.Connection[Any], out: Lines, rows: int | None, tell: Progress
) -> tuple[int, int, dict[str, int]]:
    """Copy every row; returns rows of the file, tenants of the file, and rows by table."""
    pictures = read_pictures()
    written = dict.fromkeys(COLUMNS, 0)
    total = TOTAL_ROWS if rows is None else min(rows, TOTAL_ROWS)
    done = tenants = 0
    for block in read_tags(rows):
        write_tenant(block, pictures, out)
        _copy(connection, out.take(), written)
        done, tenants = done + len(block.rows), tenants + 1
        tell("rows", done, total)
    write_planted(out)
    _copy(connection, out.take(), written)
    return done, tenants, written


def _copy(connection: psycopg.Connection[Any], by_table: dict[str, list[str]], written: dict[str, int]) -> None:
    """Copy the lines, parents first."""
    for table, columns in COLUMNS.items():
        lines = by_table[table]
        if not lines:
            continue
        # FREEZE: the tables are this transaction's own, so no row need ever be visited again to settle its
        # visibility, and nothing that is measured afterwards pays for that.
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FREEZE)").format(
            sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for part in _parts(lines):
                copy.write(part)
        written[table] += len(lines)


def _parts(lines: list[str]) -> Iterator[str]:
    """The lines, joined to pieces that are neither many nor large."""
    for start in range(0, len(lines), _COPY_LINES):
        yield "".join(lines[start : start + _COPY_LINES])


def _set_sequences(connection: psycopg.Connection[Any], out: Lines) -> None:
    """Let the sequences go on after the ids that the load gave."""
    for table, last in out.last.items():
        connection.execute("SELECT pg_catalog.setval(pg_catalog.pg_get_serial_sequence(%s, 'id'), %s)", (table, last))
