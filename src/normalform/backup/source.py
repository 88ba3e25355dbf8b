"""The database to back up: what it is, whether it can be read whole, and one snapshot for all who read it.

Decides when a snapshot is good: taken after every table was locked against TRUNCATE and rewriting, which snapshots do
not see. It must never wait long in a lock queue, where writers would queue behind it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import errors, sql

from ..core.backup_manifest import Locale, Range
from ..core.backup_needs import Needs
from ..core.events import Event, Sink
from ..core.names import QName
from ..errors import DatabaseRefused, Interrupted
from ..sql import backup as queries

#: Milliseconds that the locks are waited for at once, seconds between two tries, and seconds in all.
LOCK_MS = 1_000
PAUSE = 0.5
PATIENCE = 60.0


@dataclass(frozen=True)
class Table:
    """A table with rows of its own: name, columns in order, pages as the planner knows them."""

    name: QName
    columns: tuple[str, ...]
    pages: int


@dataclass(frozen=True)
class Source:
    """What a database is.

    Args:
        database: its name.
        system: the server's own identifier.
        version: the server's version.
        major: its major version.
        locale: encoding and locale.
        extensions: versions by name.
        roles: whether a policy names the role, by every role that is needed.
        unreadable: everything that this role cannot read whole, one line each.
    """

    database: str
    system: str
    version: str
    major: int
    locale: Locale
    extensions: Mapping[str, str]
    roles: Mapping[str, bool]
    unreadable: tuple[str, ...]

    def needs(self, *, owners: bool) -> Needs:
        """Return what a restore needs.

        Args:
            owners: whether it gives objects their owners and rights.
        """
        policies = frozenset(r for r, policy in self.roles.items() if policy)
        return Needs(self.extensions, frozenset(self.roles), policies, owners)


def look(conn: psycopg.Connection) -> Source:
    """Read what the database is."""
    row = conn.execute(queries.DATABASE).fetchone()
    assert row is not None
    database, system, version, major, encoding, collate, ctype, provider, name = row
    return Source(
        database,
        system,
        version,
        major,
        Locale(encoding, collate, ctype, provider, name),
        dict(conn.execute(queries.EXTENSIONS).fetchall()),
        dict(conn.execute(queries.ROLES).fetchall()),
        tuple(f"{kind} {QName(s, n)}: {why}" for kind, s, n, why in conn.execute(queries.UNREADABLE).fetchall()),
    )


def tables(conn: psycopg.Connection) -> list[Table]:
    """Return the tables with rows of their own."""
    rows = conn.execute(queries.TABLES).fetchall()
    return [Table(QName(schema, name), tuple(names), pages) for schema, name, names, pages in rows]


def positions(conn: psycopg.Connection) -> dict[QName, int]:
    """Return the value that each sequence has given out last."""
    found = [(QName(s, n), step) for s, n, step in conn.execute(queries.SEQUENCES).fetchall()]
    result: dict[QName, int] = {}
    for first in range(0, len(found), 200):
        rows = conn.execute(queries.sequence_positions(found[first : first + 200])).fetchall()
        result |= {QName(schema, name): int(position) for schema, name, position in rows}
    return result


def ranges(before: Mapping[QName, int], after: Mapping[QName, int]) -> dict[QName, Range]:
    """Return between what each sequence stood; what was dropped or made meanwhile is not in the snapshot's dump."""
    pairs = {name: (value, after.get(name, value)) for name, value in before.items()}
    return {name: Range(min(pair), max(pair)) for name, pair in pairs.items()}


@contextmanager
def held(conn: psycopg.Connection, stop: threading.Event, sink: Sink) -> Iterator[tuple[str, list[Table]]]:
    """Hold one snapshot of a database whose tables nobody truncates or rewrites meanwhile.

    Yields:
        The snapshot's name and the tables in it.

    Raises:
        DatabaseRefused: a table stays locked by somebody else, or tables keep being made and dropped.
        Interrupted: stopped while it waited.
    """
    began = time.monotonic()
    while True:
        found, reason = _try(conn, tables(conn))
        if found is not None:
            break
        conn.execute("ROLLBACK")
        if stop.is_set():
            raise Interrupted("stopped before the backup had a snapshot")
        if time.monotonic() - began > PATIENCE:
            raise DatabaseRefused(f"no snapshot could be had for {PATIENCE:.0f} s: {reason}", hint="try again later")
        sink(Event("wait", "backup", reason))
        stop.wait(PAUSE)
    try:
        yield found
        # Had this session gone, the snapshot had gone with it, and others might have read later ones.
        conn.execute("COMMIT")
    finally:
        if not conn.closed and not conn.broken:
            conn.execute("ROLLBACK")


def _try(conn: psycopg.Connection, wanted: Sequence[Table]) -> tuple[tuple[str, list[Table]] | None, str]:
    names = [t.name for t in wanted]
    conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        # Before the first query, which takes the snapshot.
        conn.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(LOCK_MS))
        for first in range(0, len(names), 200):
            conn.execute(queries.lock_tables(names[first : first + 200]))
        conn.execute("SET LOCAL lock_timeout = 0")
        row = conn.execute("SELECT pg_export_snapshot()").fetchone()
        there = tables(conn)
    except errors.LockNotAvailable:
        return None, "a table is locked by somebody else"
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        return None, "tables were dropped or renamed"
    assert row is not None
    if [t.name for t in there] != names:
        return None, "tables were made, dropped or renamed"
    return (str(row[0]), there), ""
