"""Connections: how every session of ours is set up, and what it refuses to work through.

Every session pins what would otherwise change how values print or which object a name means, and asks the server to
notice a dead client (CORRECTNESS 26). A proxy that hands transactions to different server sessions is refused
(CORRECTNESS 27): advisory locks and session settings would belong to somebody else.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import psycopg
from psycopg import conninfo, sql

from ..errors import BehindPooler, DatabaseRefused, UsageError
from ..sql.plpgsql import OURS

APPLICATION = "normalform"
#: Stands behind every statement of ours, so that whoever reads the server's statistics knows whose it is; an audit then
#: does not take it for the application's.
MARK = "\n/* normalform */"
#: Sessions are pinned to these; they decide the bytes that checksums see (CORRECTNESS 29).
PINNED = {
    "search_path": "pg_catalog, pg_temp",
    "datestyle": "ISO, YMD",
    "timezone": "UTC",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "jit": "off",
    # A policy must stop us with an error; rows that it hides would silently keep no key.
    "row_security": "off",
    "client_connection_check_interval": "1s",
    # A runner whose machine is gone must not hold the lock for the two hours that TCP waits by itself.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    # From PostgreSQL 17 on; a build of an index may take hours.
    "transaction_timeout": "0",
    # The fence of a window lets our sessions write, batches or not; sync treats what is no batch as any writer's.
    OURS: "on",
}
#: What of this decides how values print and which rows are seen, for scripts that run without us.
PRINTING = tuple(
    (name, PINNED[name])
    for name in (
        "search_path", "datestyle", "timezone", "intervalstyle", "bytea_output", "extra_float_digits",
        "client_encoding", "row_security",
    )
)  # fmt: skip
#: UNIQUE NULLS NOT DISTINCT, which the ledger uses.
OLDEST_SERVER = 150000


class Marked(psycopg.Cursor[Any]):
    """A cursor that marks its statements as ours."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        """Execute a statement with our mark behind it."""
        return super().execute(marked(query), params, **options)

    def stream(self, query: Any, params: Any = None, **options: Any) -> Iterator[Any]:
        """Yield the rows of a statement with our mark behind it."""
        return super().stream(marked(query), params, **options)


def marked(query: str | bytes | sql.Composable) -> str | bytes | sql.Composed:
    """Return the statement with our mark behind it."""
    if isinstance(query, str):
        return query + MARK
    if isinstance(query, bytes):
        return query + MARK.encode()
    return sql.Composed([query, sql.SQL(MARK)])


@dataclass(frozen=True)
class Connector:
    """Makes sessions to one database.

    Args:
        url: a libpq connection string or URL. Never printed: see :attr:`display`.
        run: number of the run, shown in application_name so that a later run finds what an earlier one left.
    """

    url: str
    run: int = 0

    @property
    def display(self) -> str:
        """Where this goes, without user, password or options."""
        try:
            parts = conninfo.conninfo_to_dict(self.url)
        except psycopg.ProgrammingError:
            return "the database"
        return f"{parts.get('dbname') or 'default database'} on {parts.get('host') or 'the local socket'}"

    def open(self, role: str = "main") -> psycopg.Connection:
        """Open a session in autocommit mode with everything pinned.

        Args:
            role: what the session is for; part of its application_name.

        Raises:
            UsageError: the connection string cannot be read.
            DatabaseRefused: the server refuses, or cannot be reached.
        """
        refuse_unreadable(self.url)
        try:
            conn = psycopg.connect(
                self.url,
                autocommit=True,
                application_name=f"{APPLICATION}/{self.run}/{role}",
                connect_timeout=10,
                prepare_threshold=None,
                cursor_factory=Marked,
            )
        except psycopg.OperationalError as error:
            first = str(error).strip().splitlines()[0] if str(error).strip() else "no answer"
            raise DatabaseRefused(f"cannot connect to {self.display}: {first}") from error
        try:
            if conn.info.server_version < OLDEST_SERVER:
                version = conn.info.parameter_status("server_version")
                raise DatabaseRefused(f"{self.display} is PostgreSQL {version}; 15 or later is needed")
            pin(conn)
        except BaseException:
            conn.close()
            raise
        return conn


def refuse_unreadable(url: str) -> None:
    """Refuse a connection string that cannot be read, or not as it was meant.

    Raises:
        UsageError: without a word of the string, for it may hold a password; nor is the parser's message passed on.
    """
    try:
        parts = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise UsageError("the database URL cannot be read; it is postgresql://user@host/database") from None
    # An @ or / within a password ends it too early: the rest would be taken for a host's name, and shown as one.
    misread = any("@" in str(parts.get(key) or "")[1:] for key in ("host", "port", "dbname"))
    if url.startswith(("postgresql://", "postgres://")) and misread:
        raise UsageError(
            "the database URL has an @ in its host or database",
            hint="write @ within a password as %40, / as %2F and : as %3A",
        )


def pin(conn: psycopg.Connection) -> None:
    """Set the session up as every session of ours is, as far as the server knows the settings."""
    # Everything is qualified: until this has run, the search path is the role's own.
    conn.execute(
        "SELECT pg_catalog.set_config(name, value, false) "
        "FROM ROWS FROM (pg_catalog.unnest(%s::pg_catalog.text[]), pg_catalog.unnest(%s::pg_catalog.text[])) "
        "AS wanted (name, value) WHERE name = %s OR pg_catalog.current_setting(name, true) IS NOT NULL",
        (list(PINNED), list(PINNED.values()), OURS),
    )


def refuse_transaction_pooler(connector: Connector) -> None:
    """Refuse a proxy that gives a session's transactions to different server sessions.

    One of our sessions leaves a mark. Behind such a proxy another session of ours finds it in its own place, or the
    mark is gone while the other one keeps a server session busy with a transaction.

    Raises:
        BehindPooler: such a proxy was found.
        DatabaseRefused: no connection.
    """
    mark = secrets.token_hex(8)
    with connector.open("probe") as first, connector.open("probe-other") as second:
        first.execute("SELECT set_config('normalform.probe', %s, false)", (mark,))
        # Before any transaction stays open: with one server session for all, ours would wait for each other.
        good = _mark(second)[1] != mark
        seen = {_mark(first)} if good else set()
        for _ in range(3):
            if not good:
                break
            with second.transaction():
                second.execute("SELECT 1")
                seen.add(_mark(first))
            good = _mark(second)[1] != mark and len(seen) == 1 and next(iter(seen))[1] == mark
        if not good:
            raise BehindPooler(
                f"{connector.display} is behind a proxy that pools transactions: "
                "a session's settings and locks do not stay",
                hint="give a URL that reaches the server itself, or a session-pooling port",
            )


def _mark(conn: psycopg.Connection) -> tuple[int, str | None]:
    """Return the server session's process and the mark that it carries."""
    row = conn.execute("SELECT pg_backend_pid(), current_setting('normalform.probe', true)").fetchone()
    assert row is not None
    return row[0], row[1]
