"""A scratch database, made on a server for one restore and dropped after it.

Decides which of a server's databases are scratch of dead runs. It must never touch a database that it did not make: a
name of ours is not enough: the role must own it, it must have been made from the same database, where its lock is, and
nobody may hold that.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import conninfo, errors, sql

from ..core.backup_manifest import Locale
from ..core.backup_needs import Host
from ..core.events import Event, Sink
from ..db.connect import Connector
from ..sql import backup as queries

PREFIX = "normalform_scratch_"
_NO_SUCH_LOCALE = (
    errors.WrongObjectType,
    errors.FeatureNotSupported,
    errors.InvalidParameterValue,
    errors.InvalidObjectDefinition,
    errors.UndefinedObject,
)


def look(conn: psycopg.Connection, name: str, *, ours: bool) -> tuple[int, Host]:
    """Return a server's major version, and what it offers to us.

    Args:
        conn: a session there.
        name: what to call it.
        ours: whether we started it.
    """
    row = conn.execute(queries.HOST_SELF).fetchone()
    assert row is not None
    role, superuser, createdb, major = row
    available: dict[str, bool] = dict(conn.execute(queries.AVAILABLE).fetchall())
    roles: dict[str, bool] = dict(conn.execute(queries.HOST_ROLES).fetchall())
    return major, Host(name, ours, superuser, createdb, role, available, roles)


@contextmanager
def database(url: str, locale: Locale, roles: Sequence[str], sink: Sink) -> Iterator[str]:
    """Make a scratch database and drop it when the block ends.

    Args:
        url: a database of the server; the new one is made beside it.
        locale: what it should have; where the server lacks it, C.UTF-8 or C, and the sink hears of it.
        roles: roles to make first where they do not exist; only for servers of ours.
        sink: hears what is worth knowing.

    Yields:
        The new database's URL.
    """
    with Connector(url).open("scratch") as conn:
        _drop_dead(conn)
        there = {str(r[0]) for r in conn.execute("SELECT rolname FROM pg_roles").fetchall()}
        for role in roles:
            if role not in there:
                conn.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
        name = _prefix(conn) + secrets.token_hex(8)
        # Before it exists: whoever can take this lock knows that nobody uses the database any more.
        conn.execute("SELECT pg_advisory_lock(%s)", (_key(name),))
        try:
            _create(conn, name, locale, sink)
            yield conninfo.make_conninfo(url, dbname=name)
        finally:
            if not conn.closed and not conn.broken:
                _drop(conn, name)


def _create(conn: psycopg.Connection, name: str, locale: Locale, sink: Sink) -> None:
    attempts = [(_options(locale), ""), ([("LOCALE", "C")], "C")]
    if locale.encoding == "UTF8":
        attempts.insert(1, ([("LOCALE_PROVIDER", "libc"), ("LOCALE", "C.UTF-8")], "C.UTF-8"))
    for number, (options, instead) in enumerate(attempts):
        try:
            conn.execute(queries.create_database(name, locale.encoding, options))
        except _NO_SUCH_LOCALE:
            if number == len(attempts) - 1:
                raise
            continue
        if instead:
            sink(Event("note", "backup", f"the scratch server lacks locale {locale.collate}; restored under {instead}"))
        return


def _options(locale: Locale) -> list[tuple[str, str]]:
    libc = [("LC_COLLATE", locale.collate), ("LC_CTYPE", locale.ctype)]
    if locale.provider == "i":
        return [("LOCALE_PROVIDER", "icu"), ("ICU_LOCALE", locale.name), *libc]
    if locale.provider == "b":
        return [("LOCALE_PROVIDER", "builtin"), ("BUILTIN_LOCALE", locale.name), *libc]
    return [("LOCALE_PROVIDER", "libc"), *libc]


def _prefix(conn: psycopg.Connection) -> str:
    """What the names of scratch databases begin with that were made from this session's database.

    Advisory locks belong to one database: of those made from another it could not be told whether they are in use.
    """
    row = conn.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()
    assert row is not None
    return f"{PREFIX}{row[0]}_"


def _drop_dead(conn: psycopg.Connection) -> None:
    """Drop the scratch databases of runs that are gone."""
    rows = conn.execute(
        "SELECT d.datname FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba "
        "WHERE d.datname LIKE %s AND r.rolname = current_user",
        (_prefix(conn).replace("_", r"\_") + "%",),
    ).fetchall()
    for (name,) in rows:
        if _got(conn, name):
            try:
                _drop(conn, name)
            finally:
                conn.execute("SELECT pg_advisory_unlock(%s)", (_key(name),))


def _got(conn: psycopg.Connection, name: str) -> bool:
    row = conn.execute("SELECT pg_try_advisory_lock(%s)", (_key(name),)).fetchone()
    return row is not None and bool(row[0])


def _drop(conn: psycopg.Connection, name: str) -> None:
    # By force: a client that was killed may have a session there for a moment longer.
    conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
