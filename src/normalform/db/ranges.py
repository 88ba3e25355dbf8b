"""Reading a table in block ranges, so that no transaction of ours lasts long (CORRECTNESS 28).

Decides how many blocks one range has: from how long the last one took. A range that the server cannot read within the
limit is cut and read again. Must never hold a transaction open between two ranges, nor write.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from ..errors import DatabaseRefused

#: Blocks of the first range: 256 MB, which no disk in use needs half a minute for.
FIRST_BLOCKS = 32768
#: Seconds that a range should take: many, since each range reads the whole lookup too.
TARGET = 12.0
#: Seconds after which the server ends a range's statement.
LONGEST = 25.0


def blocks(conn: psycopg.Connection, relation: int) -> int:
    """Return how many blocks a table has now; 0 when it is gone."""
    row = conn.execute(
        "SELECT coalesce(pg_relation_size(%s::oid::regclass) / current_setting('block_size')::bigint, 0)", (relation,)
    ).fetchone()
    assert row is not None
    return int(row[0])


def each(
    conn: psycopg.Connection,
    relation: int,
    read: Callable[[int, int], None],
    forget: Callable[[], None],
    *,
    longest: float = LONGEST,
    target: float = TARGET,
    first_blocks: int = FIRST_BLOCKS,
) -> Iterator[tuple[int, int]]:
    """Read every block of a table once, range by range.

    Args:
        conn: a session in autocommit mode.
        relation: the table's OID.
        read: reads one range (first block, block behind the last) with one statement.
        forget: forgets what ``read`` kept of a range that the server ended half-way.
        longest: seconds that one statement may take.
        target: seconds that one should take.
        first_blocks: blocks of the first range.

    Yields:
        (blocks done, blocks in all) after each range; the last time both are equal. An empty table yields (0, 0).

    Raises:
        DatabaseRefused: even one block takes longer than the limit.
    """
    total = blocks(conn, relation)
    at, size = 0, first_blocks
    while at < total:
        end = min(at + size, total)
        began = time.monotonic()
        try:
            with limited(conn, longest):
                read(at, end)
        except psycopg.errors.QueryCanceled as error:
            forget()
            if end - at == 1:
                raise DatabaseRefused(
                    f"one block takes longer than {longest:g} s to read and resolve: the lookup is too large for that"
                ) from error
            size = max(1, (end - at) // 4)
            continue
        seconds = time.monotonic() - began
        at = end
        # Never more than twice as many: the next range may hold rows that this one did not.
        size = max(1, min(size * 2, int(size * target / max(seconds, 0.001))))
        yield at, total
    if total == 0:
        yield 0, 0


def stream(
    conn: psycopg.Connection, query: str, *, row_factory: Any = tuple_row, together: int = 1000
) -> Iterator[Any]:
    """Yield a query's rows as they come, some at a time: neither side keeps them all.

    Unlike a server-side cursor this lets the server plan for all the rows, in parallel, and its time limit covers them.

    Args:
        conn: the session.
        query: one statement; a ``%`` in it means itself.
        row_factory: psycopg's, what a row is.
        together: rows that are in memory at once; few where a row is large.
    """
    size = together if psycopg.capabilities.has_stream_chunked() else 1
    with conn.cursor(row_factory=row_factory) as cursor:
        yield from cursor.stream(query.encode(), size=size)


class limited:  # noqa: N801 - reads as what it is: with limited(conn, 25)
    """A block in which every statement of a session ends after so many seconds."""

    def __init__(self, conn: psycopg.Connection, seconds: float) -> None:
        self.conn, self.seconds = conn, seconds

    def __enter__(self) -> None:
        self._set(f"{int(self.seconds * 1000)}ms")

    def __exit__(self, *failure: object) -> None:
        if not self.conn.closed:
            self._set("0")

    def _set(self, value: str) -> None:
        self.conn.execute(sql.SQL("SET statement_timeout = {}").format(sql.Literal(value)))
