"""What the server says about others: their deadlock_timeout, and who holds what we cannot have.

Read only. Nobody is ever ended from here: a holder is named, and what to do about him is a person's decision. Without
``pg_monitor`` some of it is hidden; it then shows as unknown, never as nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import sql

from ..core.batches import milliseconds
from ..sql import gates
from ..sql.batch import Span, Work
from ..sql.quote import table
from .connect import Connector

SQL = sql.SQL
#: Milliseconds that the probe waits for a held row, and seconds between two looks at it.
PROBE_MS = 400
PROBE_STEP = 0.02
HIDDEN = "a session that has ended since, or that our role may not see (pg_monitor shows it)"


def lowest_deadlock_timeout(conn: psycopg.Connection) -> int:
    """Return the lowest deadlock_timeout that a session of this database may run under, in milliseconds.

    The server's own, and what is set for roles and databases. A superuser may still set a lower one in his session.
    """
    row = conn.execute("SELECT setting::integer FROM pg_settings WHERE name = 'deadlock_timeout'").fetchone()
    found = [int(row[0])] if row else [1000]
    settings = conn.execute(
        "SELECT split_part(c, '=', 2) FROM pg_db_role_setting s, unnest(s.setconfig) c "
        "WHERE c LIKE 'deadlock\\_timeout=%' "
        "AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))"
    ).fetchall()
    found += [ms for (text,) in settings if (ms := milliseconds(text)) is not None]
    return max(1, min(found))


def describe(conn: psycopg.Connection, pids: Sequence[int]) -> str:
    """Say who these backends are; 0 stands for a prepared transaction.

    Args:
        conn: a session outside a transaction.
        pids: process ids as pg_blocking_pids gives them.
    """
    rows = conn.execute(
        "SELECT a.pid, coalesce(a.usename, '?'), coalesce(nullif(a.application_name, ''), '?'), "
        "coalesce(a.state, 'unknown'), extract(epoch FROM clock_timestamp() - a.xact_start)::int "
        "FROM pg_stat_activity a WHERE a.pid = ANY(%s) ORDER BY 5 DESC NULLS LAST LIMIT 3",
        (list(pids),),
    ).fetchall()
    parts = [_one(row) for row in rows]
    if 0 in pids:
        prepared = conn.execute(
            "SELECT gid, extract(epoch FROM clock_timestamp() - prepared)::int FROM pg_prepared_xacts "
            "WHERE database = current_database() ORDER BY prepared LIMIT 1"
        ).fetchone()
        parts.append(f"prepared transaction {prepared[0]!r} for {prepared[1]} s" if prepared else HIDDEN)
    return ", ".join(parts) or HIDDEN


def _one(row: tuple[Any, ...]) -> str:
    pid, role, application, state, age = row
    since = f" for {age} s" if age is not None else ""
    return f"process {pid} (role {role}, application {application}, {state}{since})"


def gate_holders(conn: psycopg.Connection, lookup: str) -> str:
    """Say whose uncommitted rename or delete of a lookup's row keeps batches waiting."""
    numbers = [gates.number(lookup, slot) & 0xFFFFFFFF for slot in range(gates.SLOTS)]
    rows = conn.execute(
        "SELECT DISTINCT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid::bigint = %s "
        "AND objid::bigint = ANY(%s) AND mode = 'ShareLock' AND pid <> pg_backend_pid() "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        (gates.CLASS, numbers),
    ).fetchall()
    return describe(conn, [r[0] for r in rows])


def row_holders(connector: Connector, conn: psycopg.Connection, work: Work, span: Span) -> str:
    """Say who holds rows of a span that are still to do; empty when nobody does any more.

    A probe session finds one row that cannot be locked at once, and then waits for that row alone and shortly, while
    this session asks the server whom it waits for. The probe holds nothing else meanwhile.

    Args:
        connector: makes the probe's session.
        conn: a session outside a transaction.
        work: the work.
        span: where its rows were skipped.
    """
    with connector.open("probe") as probe:
        row = _held_row(probe, work, span)
        if row is None:
            return ""
        return _waited_for(probe, conn, work, row)


def _held_row(probe: psycopg.Connection, work: Work, span: Span) -> str | None:
    with probe.transaction(force_rollback=True):
        found = probe.execute(
            SQL(
                "WITH free AS MATERIALIZED (SELECT t.ctid FROM ONLY {table} t WHERE {within} AND {pending} "
                "FOR NO KEY UPDATE SKIP LOCKED) SELECT t.ctid::text FROM ONLY {table} t "
                "WHERE {within} AND {pending} AND t.ctid NOT IN (SELECT f.ctid FROM free f) LIMIT 1"
            ).format(table=table(work.ground.name), within=work.ground.within("t", span), pending=work.pending)
        ).fetchone()
    return str(found[0]) if found else None


def _waited_for(probe: psycopg.Connection, conn: psycopg.Connection, work: Work, row: str) -> str:
    pid = probe.info.backend_pid
    probe.execute("SELECT set_config('lock_timeout', %s, false)", (f"{PROBE_MS}ms",))
    statement = SQL("SELECT FROM ONLY {} t WHERE t.ctid = {}::tid FOR NO KEY UPDATE").format(
        table(work.ground.name), sql.Literal(row)
    )

    def wait() -> None:
        with suppress(psycopg.Error):  # the timeout is what it is meant to end by
            probe.execute(statement)

    waiting = threading.Thread(target=wait, name="normalform-probe")
    waiting.start()
    pids: list[int] = []
    try:
        while not pids and waiting.is_alive():
            answer = conn.execute("SELECT pg_blocking_pids(%s)", (pid,)).fetchone()
            pids = list(answer[0]) if answer else []
            waiting.join(PROBE_STEP)
        return describe(conn, pids) if pids else ""
    finally:
        waiting.join()
