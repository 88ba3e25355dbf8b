"""The ledger's tables as functions: install, state, runs, steps, baseline, events.

Decides nothing. Every write of a batch or a step goes through a transaction that holds the fencing token
(:func:`fence_token`), so that a runner that lost its lock cannot write.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

import psycopg
from psycopg.rows import dict_row

from ..core.catalog import Table, table_from_json, to_json
from ..core.names import QName
from ..core.phases import ORDER, State
from ..core.plan import Lock, Mode, Step
from ..errors import DatabaseRefused, FencedOut

VERSION = 1


def installed(conn: psycopg.Connection) -> bool:
    """Return whether the ledger stands in this database.

    Raises:
        DatabaseRefused: it does, and our role may not read it.
    """
    row = conn.execute(
        "SELECT has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE'), "
        "pg_get_userbyid(c.relowner), current_user FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = 'normalform' AND c.relname = 'control'"
    ).fetchone()
    if row is not None and not row[0]:
        raise DatabaseRefused(
            f"the ledger in this database belongs to role {row[1]}, and role {row[2]} may not read it",
            hint=f"connect as {row[1]}, or as a member of it",
        )
    return row is not None


def ddl() -> str:
    """Return the statements that make the ledger."""
    return resources.files("normalform").joinpath("sql/ledger.sql").read_text("utf-8")


def install(conn: psycopg.Connection) -> None:
    """Make the ledger; one transaction, so that it is there whole or not at all.

    Raises:
        DatabaseRefused: a schema of that name stands, and is not a ledger.
    """
    try:
        with conn.transaction():
            conn.execute(ddl())
    except psycopg.errors.DuplicateSchema as error:
        raise DatabaseRefused(
            "schema normalform exists and holds no ledger of ours", hint="ALTER SCHEMA normalform RENAME TO …"
        ) from error


def uninstall_sql() -> str:
    """Return the statement that removes the ledger. The schema holds nothing but ours, so CASCADE reaches only ours."""
    return "DROP SCHEMA IF EXISTS normalform CASCADE"


def start_run(conn: psycopg.Connection, command: str, spec: str) -> int:
    """Record a run and take the fencing token for it.

    Waits for batches of an earlier run that hold the token in share mode: they last below a second.
    """
    with conn.transaction():
        row = conn.execute(
            "INSERT INTO normalform.run (command, person, host, pid) VALUES (%s, %s, %s, %s) RETURNING id",
            (command, person(), socket.gethostname(), os.getpid()),
        ).fetchone()
        assert row is not None
        conn.execute("UPDATE normalform.control SET token = %s, spec = %s", (row[0], spec))
    return int(row[0])


def end_run(conn: psycopg.Connection, run: int, outcome: str, detail: str | None = None) -> None:
    """Record how a run ended."""
    conn.execute(
        "UPDATE normalform.run SET ended_at = clock_timestamp(), outcome = %s, detail = %s WHERE id = %s",
        (outcome, detail, run),
    )


def person() -> str:
    """Return the operating-system user, or ``unknown`` where there is no name for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def fence_token(conn: psycopg.Connection, run: int) -> None:
    """Hold the fencing token in share mode until the transaction ends.

    Raises:
        FencedOut: another run has taken it.
    """
    row = conn.execute("SELECT token FROM normalform.control FOR SHARE").fetchone()
    if row is None or row[0] != run:
        raise FencedOut(
            f"run {run} is no longer the one in charge: run {row[0] if row else '?'} has taken over",
            hint="normalform status",
        )


def stored_spec(conn: psycopg.Connection) -> str:
    """Return the text of the spec as of the last command that wrote."""
    row = conn.execute("SELECT spec FROM normalform.control").fetchone()
    return str(row[0]) if row else ""


def state(conn: psycopg.Connection) -> State:
    """Read which phases are done and which one is half-way; none where there is no ledger yet."""
    if not installed(conn):
        return State()
    rows = conn.execute("SELECT name, state FROM normalform.phase ORDER BY position").fetchall()
    done = tuple(name for name, s in rows if s != "doing")
    doing = [name for name, s in rows if s == "doing"]
    undoing = [name for name, s in rows if s == "undoing"]
    if doing:
        return State(done, (doing[0], "do"))
    return State(done, (undoing[0], "undo") if undoing else None)


def begin_phase(conn: psycopg.Connection, run: int, phase: str, doing: str) -> None:
    """Record that a phase is ``doing`` or ``undoing``."""
    with conn.transaction():
        fence_token(conn, run)
        conn.execute(
            "INSERT INTO normalform.phase (name, position, state, run) VALUES (%s, %s, %s, %s) "
            "ON CONFLICT (name) DO UPDATE SET state = excluded.state, run = excluded.run",
            (phase, ORDER.index(phase), doing, run),
        )
        note(conn, run, "phase", phase, doing)


def finish_phase(conn: psycopg.Connection, run: int, phase: str, *, undone: bool, seconds: float) -> None:
    """Record that a phase is done, or that it is undone and so has no row any more."""
    with conn.transaction():
        fence_token(conn, run)
        if undone:
            conn.execute("DELETE FROM normalform.phase WHERE name = %s", (phase,))
        else:
            conn.execute(
                "UPDATE normalform.phase SET state = 'done', ended_at = clock_timestamp(), seconds = seconds + %s "
                "WHERE name = %s",
                (seconds, phase),
            )
        note(conn, run, "phase", phase, "undone" if undone else "done")


def note(conn: psycopg.Connection, run: int | None, kind: str, name: str, text: str) -> None:
    """Add a line to the history. Never pass values of rows."""
    conn.execute(
        "INSERT INTO normalform.event (run, kind, name, text) VALUES (%s, %s, %s, %s)", (run, kind, name, text)
    )


def save_baseline(conn: psycopg.Connection, tables: Iterable[Table], taken: str = "start") -> None:
    """Keep the tables as they stand; a table that is kept already stays as it was first seen.

    Args:
        conn: the run's session.
        tables: what to keep.
        taken: ``start`` for the state before the first change, or the phase before which they are kept.
    """
    for table in tables:
        conn.execute(
            "INSERT INTO normalform.baseline (taken, schema_name, table_name, definition) VALUES (%s, %s, %s, %s) "
            "ON CONFLICT DO NOTHING",
            (taken, table.name.schema, table.name.name, json.dumps(to_json(table))),
        )


def forget_baseline(conn: psycopg.Connection, taken: str = "start") -> None:
    """Forget the tables kept under that name; for when what came after has been undone."""
    conn.execute("DELETE FROM normalform.baseline WHERE taken = %s", (taken,))


def baseline(conn: psycopg.Connection, taken: str = "start") -> dict[QName, Table]:
    """Read the kept tables by name."""
    rows = conn.execute("SELECT definition FROM normalform.baseline WHERE taken = %s", (taken,)).fetchall()
    tables = [table_from_json(r[0]) for r in rows]
    return {t.name: t for t in tables}


def intend(conn: psycopg.Connection, run: int, step: Step) -> None:
    """Commit the intent to carry out a step, before it is carried out (CORRECTNESS 25).

    Positions are those of the first intent: a later run may plan fewer steps, and undo goes the way that do came.
    """
    with conn.transaction():
        fence_token(conn, run)
        conn.execute(
            "INSERT INTO normalform.step (id, phase, position, object, table_name, do_sql, undo_sql, do_mode, "
            "undo_mode, undo_work, undo_lock, done_sql, gone_sql, clean_sql, state, run) "
            "VALUES (%s, %s, (SELECT coalesce(max(position), 0) + 1 FROM normalform.step), "
            "%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'intended', %s) "
            "ON CONFLICT (id) DO UPDATE SET state = 'intended', run = excluded.run",
            (
                step.id, step.phase, step.object, step.table, list(step.do), list(step.undo), step.mode.value,
                step.undo_mode.value, step.undo_work, step.undo_lock.value, step.done, step.gone, list(step.clean), run,
            ),
        )  # fmt: skip


def mark_step(conn: psycopg.Connection, step_id: str, state_now: str) -> None:
    """Record a step as ``done`` or ``undoing``. Call inside the transaction that makes it so, where there is one."""
    conn.execute(
        "UPDATE normalform.step SET state = %s, "
        "done_at = CASE WHEN %s = 'done' THEN clock_timestamp() ELSE done_at END WHERE id = %s",
        (state_now, state_now, step_id),
    )


def forget_step(conn: psycopg.Connection, step_id: str) -> None:
    """Forget a step that has been undone."""
    conn.execute("DELETE FROM normalform.step WHERE id = %s", (step_id,))


def step_states(conn: psycopg.Connection, phase: str | None = None) -> dict[str, str]:
    """Return the recorded steps' states by id, of one phase or of all; none where there is no ledger yet."""
    if not installed(conn):
        return {}
    rows = conn.execute(
        "SELECT id, state FROM normalform.step WHERE %s::text IS NULL OR phase = %s ORDER BY position", (phase, phase)
    ).fetchall()
    return {r[0]: r[1] for r in rows}


def recorded_steps(conn: psycopg.Connection, phase: str) -> list[Step]:
    """Return the recorded steps of a phase as they were intended, last first: the order of undoing.

    None where there is no ledger yet: a plan can be asked for before anything was done.
    """
    if not installed(conn):
        return []
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "SELECT * FROM normalform.step WHERE phase = %s ORDER BY position DESC", (phase,)
        ).fetchall()
    return [_step(r) for r in rows]


def _step(row: Mapping[str, Any]) -> Step:
    return Step(
        id=row["id"],
        phase=row["phase"],
        object=row["object"],
        do=tuple(row["do_sql"]),
        done=row["done_sql"],
        undo=tuple(row["undo_sql"]),
        gone=row["gone_sql"],
        undo_lock=Lock(row["undo_lock"]),
        mode=Mode(row["do_mode"]),
        undo_mode=Mode(row["undo_mode"]),
        table=row["table_name"],
        undo_work=row["undo_work"],
        clean=tuple(row["clean_sql"]),
    )
