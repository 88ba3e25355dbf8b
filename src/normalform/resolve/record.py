"""The ledger's record of decisions: checked, applied one by one, undoing, undone.

Decides nothing. A file's decisions are recorded together before the first of them is applied, so that a run that was
killed goes on where it stopped, without asking the file again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import psycopg

from ..core.decisions import Decision, target_json
from ..db import ledger
from .recorded import Recorded

_IN_STATE = (
    "SELECT id, line, reference, scope, value, qualifier, decision, target, state FROM normalform.decision "
    "WHERE state = ANY(%s) AND (%s::text IS NULL OR file = %s) ORDER BY id"
)


def record(conn: psycopg.Connection, run: int, file: str, decisions: Sequence[Decision]) -> None:
    """Record checked decisions, in the order of applying. Call inside a transaction."""
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO normalform.decision (file, line, reference, scope, value, qualifier, decision, target, note, "
            "state, rows, person, run) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 'checked', %s, %s, %s)",
            [
                (
                    file, d.line.number, d.line.reference, list(d.line.scope), d.line.text, d.line.qualifier, d.word,
                    target_json(d), d.line.note or None, d.rows, ledger.person(), run,
                )
                for d in decisions
            ],
        )  # fmt: skip


def in_state(conn: psycopg.Connection, *states: str, file: str | None = None) -> list[Recorded]:
    """Return the decisions in these states, of one file or of all, in the order of applying."""
    rows = conn.execute(_IN_STATE, (list(states), file, file)).fetchall()
    return [Recorded(r[0], r[1], r[2], tuple(r[3]), r[4], r[5], r[6], json.loads(r[7]), r[8]) for r in rows]


def unfinished_file(conn: psycopg.Connection) -> str | None:
    """Return the digest of a file whose decisions are recorded and not all applied, or None."""
    row = conn.execute("SELECT file FROM normalform.decision WHERE state = 'checked' ORDER BY id LIMIT 1").fetchone()
    return str(row[0]) if row else None


def mark_applied(conn: psycopg.Connection, run: int, decisions: Sequence[Recorded], *, count: bool) -> None:
    """Mark decisions as applied, in the transaction that applied them.

    Args:
        conn: the session.
        run: the run.
        decisions: which.
        count: whether their rows are what the archive holds; else what was counted before.
    """
    conn.execute(
        "UPDATE normalform.decision d SET state = 'applied', applied_at = clock_timestamp(), run = %s, "
        "rows = CASE WHEN %s THEN (SELECT count(*) FROM normalform.archive a WHERE a.decision = d.id) "
        "ELSE d.rows END WHERE d.id = ANY(%s)",
        (run, count, [d.id for d in decisions]),
    )


def begin_undo(conn: psycopg.Connection, run: int, ids: Sequence[int]) -> None:
    """Mark applied decisions as undoing and forget those that were only checked. Call inside a transaction."""
    conn.execute("DELETE FROM normalform.decision WHERE state = 'checked'")
    conn.execute("UPDATE normalform.decision SET state = 'undoing' WHERE id = ANY(%s)", (list(ids),))
    ledger.note(conn, run, "resolve", "undo", f"{len(ids)} decisions")


def mark_undone(conn: psycopg.Connection, ids: Sequence[int]) -> None:
    """Mark decisions as undone, in the transaction that undid them."""
    conn.execute(
        "UPDATE normalform.decision SET state = 'undone', undone_at = clock_timestamp() WHERE id = ANY(%s)",
        (list(ids),),
    )
