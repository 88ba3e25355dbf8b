"""What the server said, as an error for people. Decides the next command; never repeats a row's values when masked."""

from __future__ import annotations

import psycopg

from ..errors import DatabaseRefused

#: What to do where the same command would be refused again, by SQLSTATE.
HINTS = {
    "42501": "connect as the role that owns the tables, with CREATE on the database; the same command then resumes",
    "25006": "this session is read-only, as on a standby: give the URL of the primary",
}


def refused(error: psycopg.Error, *, mask: bool) -> DatabaseRefused:
    """Say what the server said.

    Args:
        error: the server's, or the driver's when the connection is gone.
        mask: leave out the DETAIL, which may quote a row's values.
    """
    text = error.diag.message_primary or (str(error).strip().splitlines() or ["the connection is gone"])[0]
    if error.sqlstate:
        text = f"{text} (SQLSTATE {error.sqlstate})"
    if error.diag.message_detail and not mask:
        text = f"{text}\n  {error.diag.message_detail}"
    hint = HINTS.get(error.sqlstate or "", "normalform status; the same command resumes")
    return DatabaseRefused(f"the database refused: {text}", hint=hint)
