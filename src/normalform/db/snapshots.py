"""Reading a table range by range, each in a short transaction with a snapshot of its own, or all through one snapshot.

Decides how large a range is, how long a transaction may last (CORRECTNESS 28) and which row versions a pass looks at.
Reads only, and is resumable by nothing: a reader that stopped starts again. It must never hold a snapshot longer than
30 s beside writers, nor wait long in a lock queue.

Block ranges alone would miss rows: an update moves a row to another block, perhaps to one that was read already. So a
live reader takes a *horizon* first, reads the versions older than it range by range, and then, in one statement and so
in one snapshot, all versions that are newer. A row that stood at the start is then either still the version that its
range showed, or a newer one that the last statement shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from ..core.names import QName
from ..sql.quote import raw, render, table

SQL = sql.SQL
#: Two statements of this length and their small change stay below 30 s.
STATEMENT_MS = 12_000
LOCK_MS = 2_000
#: Planner settings of a reading transaction: sets are joined by hashing, and misjudged sizes must not turn a join into
#: a probe for each row; workers share the machine by themselves.
SETTINGS = {
    "work_mem": "64MB",
    "enable_nestloop": "off",
    "enable_mergejoin": "off",
    "max_parallel_workers_per_gather": "0",
}


@dataclass(frozen=True)
class BlockRange:
    """Blocks ``first`` (inclusive) to ``end`` (exclusive) of a table."""

    first: int
    end: int

    @property
    def blocks(self) -> int:
        """How many blocks it has."""
        return self.end - self.first

    def halves(self) -> tuple[BlockRange, BlockRange]:
        """Return its two halves; the first is empty when it has one block."""
        middle = (self.first + self.end) // 2
        return BlockRange(self.first, middle), BlockRange(middle, self.end)

    def condition(self, alias: str = "t") -> sql.Composable:
        """Return the condition that a row of the table lies in the range; a TID range scan reads it."""
        return SQL("{a}.ctid >= {first}::tid AND {a}.ctid < {end}::tid").format(
            a=sql.Identifier(alias), first=sql.Literal(f"({self.first},0)"), end=sql.Literal(f"({self.end},0)")
        )


@dataclass
class Pace:
    """How many blocks the next range has.

    A range costs a fixed part too (the lookup is read for each), so ranges never shrink below ``least`` by pace alone;
    only a range that the server gave up on is cut in half, down to a block.

    Args:
        target: seconds that a range should take.
        blocks: blocks of the first range.
        least, most: bounds, in blocks of 8 kB.
    """

    target: float = 4.0
    blocks: int = 8192
    least: int = 4096
    most: int = 131_072

    def took(self, seconds: float) -> None:
        """Adapt to how long a full range took: at most twice or half as many blocks."""
        factor = min(2.0, max(0.5, self.target / max(seconds, 0.001)))
        floor = min(self.least, self.blocks)
        self.blocks = max(1, floor, min(self.most, int(self.blocks * factor)))

    def halve(self) -> None:
        """Cut the next range in half."""
        self.blocks = max(1, self.blocks // 2)


@dataclass(frozen=True)
class Extent:
    """A table's file as it stands: another file means that every row may have moved."""

    file: int
    blocks: int


def extent(conn: psycopg.Connection, name: QName) -> Extent:
    """Return the table's file and its number of blocks."""
    row = conn.execute(
        "SELECT pg_relation_filenode(c.oid), pg_relation_size(c.oid) / current_setting('block_size')::bigint "
        "FROM pg_class c WHERE c.oid = to_regclass(%s)",
        (render(table(name)),),
    ).fetchone()
    assert row is not None, f"{name} is gone"
    return Extent(int(row[0]), int(row[1]))


@contextmanager
def reading(conn: psycopg.Connection, *, shared: str | None = None) -> Iterator[None]:
    """A reading transaction with one snapshot, taken by its first query.

    Args:
        conn: an autocommit session.
        shared: an exported snapshot to read through; the timeouts are off then, for nobody writes. None takes one of
            its own under the live limits.
    """
    limits = {} if shared else {"statement_timeout": f"{STATEMENT_MS}ms", "lock_timeout": f"{LOCK_MS}ms"}
    begin = [SQL("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").format()]
    if shared is not None:
        begin.append(SQL("SET TRANSACTION SNAPSHOT {}").format(shared))
    # SET, not set_config: a query would take the snapshot before the table is locked.
    begin += [SQL("SET LOCAL {} = {}").format(raw(name), value) for name, value in {**SETTINGS, **limits}.items()]
    try:
        conn.execute(SQL("; ").join(begin))
        yield
        # Inside the block: a statement_timeout that is due as the last statement ends cancels the COMMIT instead.
        conn.execute("COMMIT")
    except BaseException:
        if not conn.closed and not conn.broken:
            conn.execute("ROLLBACK")
        raise


def lock_for_reading(conn: psycopg.Connection, name: QName) -> None:
    """Lock the table against being rewritten or truncated while this transaction reads; no reader or writer waits.

    It comes before the snapshot: TRUNCATE and rewrites are not undone for an older one.
    """
    conn.execute(SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(table(name)))


@contextmanager
def exported(conn: psycopg.Connection) -> Iterator[str]:
    """Hold one snapshot for all readers, and yield its name. For windows and backups: it holds vacuum back."""
    conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        row = conn.execute("SELECT pg_export_snapshot()").fetchone()
        assert row is not None
        yield str(row[0])
    finally:
        if not conn.closed and not conn.broken:
            conn.execute("ROLLBACK")


def horizon(conn: psycopg.Connection) -> int:
    """Return the transaction number below which everything has ended: 32 bits, as ``xmin`` holds it."""
    row = conn.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint & 4294967295").fetchone()
    assert row is not None
    return int(row[0])


def versions(since: int | None, before: int | None, alias: str = "t") -> sql.Composable:
    """Return the condition that a row version was made in [since, before), by horizons.

    Ages are compared, which is right across the wrap-around of transaction numbers. A version so old that its age
    wraps passes for a new one, and is then seen by the last pass: every version meets the conditions of one pass at
    least.
    """
    age = SQL("age({}.xmin)").format(sql.Identifier(alias))
    parts: list[sql.Composable] = []
    if since is not None:
        parts.append(SQL("{} <= age({}::xid)").format(age, sql.Literal(str(since))))
    if before is not None:
        parts.append(SQL("{} > age({}::xid)").format(age, sql.Literal(str(before))))
    return SQL(" AND ").join(parts) if parts else SQL("true")
