"""Connections: how every session of ours is set up, and what it refuses to work through.

Every session pins what would otherwise change how values print or which object a name means, and asks the server to
notice a dead client (CORRECTNESS 26). A proxy that hands transactions to different server sessions is refused
(CORRECTNESS 27): advisory locks and session settings would belong to somebody else.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import psycopg
from psycopg import conninfo

from ..errors import DatabaseRefused, UsageError

APPLICATION = "normalform"
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
}


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
        try:
            conninfo.conninfo_to_dict(self.url)
        except psycopg.ProgrammingError as error:
            # The parser's message may quote the string, and the string may hold a password.
            raise UsageError("the database URL cannot be read; it is postgresql://user@host/database") from error
        try:
            conn = psycopg.connect(
                self.url,
                autocommit=True,
                application_name=f"{APPLICATION}/{self.run}/{role}",
                connect_timeout=10,
                prepare_threshold=None,
            )
        except psycopg.OperationalError as error:
            first = str(error).strip().splitlines()[0] if str(error).strip() else "no answer"
            raise DatabaseRefused(f"cannot connect to {self.display}: {first}") from error
        pin(conn)
        return conn


def pin(conn: psycopg.Connection) -> None:
    """Set the session up as every session of ours is."""
    for name, value in PINNED.items():
        conn.execute("SELECT set_config(%s, %s, false)", (name, value))


def refuse_transaction_pooler(connector: Connector) -> None:
    """Refuse a proxy that gives a session's transactions to different server sessions.

    A session setting is made, then other sessions keep the proxy's server connections busy; behind a
    transaction-pooling proxy the setting is gone, or the process differs, in one of the next transactions.

    Raises:
        DatabaseRefused: such a proxy was found.
    """
    mark = secrets.token_hex(8)
    with connector.open("probe") as first, connector.open("probe-other") as second:
        first.execute("SELECT set_config('normalform.probe', %s, false)", (mark,))
        seen: set[tuple[object, ...]] = set()
        for _ in range(3):
            with second.transaction():
                second.execute("SELECT 1")
                row = first.execute("SELECT pg_backend_pid(), current_setting('normalform.probe', true)").fetchone()
                assert row is not None
                seen.add(tuple(row))
            row = second.execute("SELECT pg_backend_pid(), current_setting('normalform.probe', true)").fetchone()
            assert row is not None
            if row[1] == mark:
                seen.add(("shared", row[0]))
        if len(seen) != 1 or next(iter(seen))[1] != mark:
            raise DatabaseRefused(
                f"{connector.display} is behind a proxy that pools transactions: "
                "a session's settings and locks do not stay",
                hint="give a URL that reaches the server itself, or a session-pooling port",
            )
