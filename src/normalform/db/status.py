"""Status: where a migration stands, who works on it and whom it waits for. Reads only.

What our role may not see is shown as unknown, with the right that would show it (CORRECTNESS 28).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg

from ..core.phases import ORDER, START
from . import ledger
from .connect import APPLICATION


@dataclass(frozen=True)
class PhaseStatus:
    """One phase: ``state`` is ``open``, ``doing``, ``done`` or ``undoing``; ``seconds`` of work so far."""

    name: str
    state: str
    seconds: float | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True)
class WorkStatus:
    """Batch work under way or finished, in blocks of 8 kB."""

    work: str
    blocks_done: int
    blocks: int
    rows: int
    skipped: int
    at: datetime


@dataclass(frozen=True)
class RunStatus:
    """One run of the history."""

    id: int
    command: str
    person: str
    host: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    detail: str | None


@dataclass(frozen=True)
class Waiting:
    """A session of ours that waits, and the sessions that it waits for."""

    pid: int
    role: str
    query: str
    holders: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """Everything that `status` shows.

    ``last`` is the last phase that is done, or ``start``; ``pending`` counts renames that the runner has yet to carry;
    ``collisions`` has a line for each unique that the rows of now could not stand under: constrained, those that
    contract makes on the key; contracted, the legacy ones that a rollback builds again.
    """

    installed: bool
    last: str = START
    phases: tuple[PhaseStatus, ...] = ()
    runs: tuple[RunStatus, ...] = ()
    works: tuple[WorkStatus, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    pending: int = 0
    fenced: bool = False
    tally: tuple[tuple[str, str, int, int], ...] = ()
    unresolved: tuple[tuple[str, int, int], ...] = ()
    sees_all: bool = True
    collisions: tuple[str, ...] = ()

    @property
    def running(self) -> RunStatus | None:
        """The run that has not ended, if any (it may have been killed)."""
        return next((r for r in self.runs if r.ended_at is None), None)


def read(conn: psycopg.Connection) -> Status:
    """Read the status of the database behind a session."""
    if not ledger.installed(conn):
        return Status(installed=False, phases=tuple(PhaseStatus(p, "open") for p in ORDER))
    known = {
        r[0]: PhaseStatus(r[0], r[1], r[2], r[3])
        for r in conn.execute("SELECT name, state, seconds, ended_at FROM normalform.phase").fetchall()
    }
    return Status(
        installed=True,
        last=ledger.state(conn).last,
        phases=tuple(known.get(p, PhaseStatus(p, "open")) for p in ORDER),
        runs=_runs(conn),
        works=_works(conn),
        waiting=_waiting(conn),
        pending=_count(conn, "SELECT count(*) FROM normalform.pending"),
        fenced=_count(conn, "SELECT count(*) FROM normalform.step WHERE phase = 'fence' AND state = 'done'") > 0,
        tally=tuple(
            (r[0], r[1], r[2], r[3])
            for r in conn.execute(
                "SELECT reference, how, entries, rows FROM normalform.tally ORDER BY reference, rows DESC"
            ).fetchall()
        ),
        unresolved=tuple(
            (r[0], r[1], r[2])
            for r in conn.execute(
                "SELECT reference, count(*), coalesce(sum(rows), 0)::bigint FROM normalform.mapping "
                "WHERE how IN ('orphan', 'ambiguous') GROUP BY 1 ORDER BY 1"
            ).fetchall()
        ),
        sees_all=bool(_count(conn, "SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')::int")),
    )


def _count(conn: psycopg.Connection, query: str) -> int:
    row = conn.execute(query).fetchone()
    return int(row[0]) if row else 0


def _runs(conn: psycopg.Connection) -> tuple[RunStatus, ...]:
    rows = conn.execute(
        "SELECT id, command, coalesce(person, '?'), coalesce(host, '?'), started_at, ended_at, outcome, detail "
        "FROM normalform.run ORDER BY id DESC LIMIT 10"
    ).fetchall()
    return tuple(RunStatus(*r) for r in rows)


def _works(conn: psycopg.Connection) -> tuple[WorkStatus, ...]:
    rows = conn.execute(
        "SELECT work, sum(next_block - first_block)::bigint, sum(end_block - first_block)::bigint, sum(rows)::bigint, "
        "sum(skipped)::bigint, max(at) FROM normalform.checkpoint GROUP BY work ORDER BY max(at)"
    ).fetchall()
    return tuple(WorkStatus(*r) for r in rows)


def _waiting(conn: psycopg.Connection) -> tuple[Waiting, ...]:
    rows = conn.execute(
        "SELECT a.pid, a.application_name, left(coalesce(a.query, ''), 100), "
        "(SELECT array_agg(format('process %%s (%%s, %%s%%s)', b.pid, coalesce(nullif(b.application_name, ''), '?'), "
        "coalesce(b.state, 'state unknown'), "
        "coalesce(format(' for %%s s', extract(epoch FROM now() - b.xact_start)::int), ''))) "
        "FROM pg_stat_activity b WHERE b.pid = ANY(pg_blocking_pids(a.pid))) "
        "FROM pg_stat_activity a WHERE a.datname = current_database() AND a.application_name LIKE %s "
        "AND a.pid <> pg_backend_pid() AND cardinality(pg_blocking_pids(a.pid)) > 0",
        (f"{APPLICATION}/%",),
    ).fetchall()
    return tuple(Waiting(r[0], str(r[1]).rpartition("/")[2], r[2], tuple(r[3] or ())) for r in rows)
