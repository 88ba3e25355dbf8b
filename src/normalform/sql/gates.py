"""Gates: the advisory locks by which batches and renames of a lookup pass one after the other.

Decides the numbers of the locks. A trigger of sync that changes a lookup row's text, scope or qualifier, or deletes the
row, takes **all** slots of that lookup in share mode; worker i's batch tries slot i alone, in exclusive mode, in a
statement of its own before the batch. Under READ COMMITTED the batch's next statement then sees every committed rename,
no rename can carry its text until the batch has committed, and the rename's carrying statement, which begins after the
wait, sees what the batch wrote. A batch must never wait for a gate: it holds nothing yet and tries again later. So a
rename waits for one batch at most and can never deadlock with one.
"""

from __future__ import annotations

import zlib

from psycopg import sql

from .quote import render

#: How many batches of one lookup can run at once.
SLOTS = 8
#: First half of the advisory locks' number: the letters NORM.
CLASS = 0x4E4F524D


def number(lookup_name: str, slot: int) -> int:
    """Return the second half of a lock's number, as a signed 32-bit integer.

    Args:
        lookup_name: the lookup's name in the spec. Two names may share a number; they then wait more often.
        slot: 0 to SLOTS - 1.

    Raises:
        ValueError: there is no such slot.
    """
    if not 0 <= slot < SLOTS:
        raise ValueError(f"slot {slot} is not one of {SLOTS}")
    unsigned = (zlib.crc32(lookup_name.encode()) & ~(SLOTS - 1)) | slot
    return unsigned - (1 << 32) if unsigned >= 1 << 31 else unsigned


def shared(lookup_name: str) -> sql.Composable:
    """Return plpgsql statements that wait for the batches under way on a lookup and keep out new ones."""
    return sql.SQL(" ").join(
        sql.SQL("PERFORM pg_catalog.pg_advisory_xact_lock_shared({}, {});").format(
            sql.Literal(CLASS), sql.Literal(number(lookup_name, slot))
        )
        for slot in range(SLOTS)
    )


def held(lookup_name: str) -> sql.Composable:
    """Return a query that waits until no rename of a lookup is under way, and keeps out new ones.

    Only for short transactions under a lock_timeout, which is what ends the wait.
    """
    return sql.SQL("SELECT pg_catalog.pg_advisory_xact_lock({}, {})").format(
        sql.Literal(CLASS), sql.Literal(number(lookup_name, 0))
    )


def exclusive(lookup_name: str, slot: int) -> str:
    """Return a query of one boolean: whether the transaction now holds its slot. It never waits.

    Raises:
        ValueError: there is no such slot.
    """
    return render(
        sql.SQL("SELECT pg_catalog.pg_try_advisory_xact_lock({}, {})").format(
            sql.Literal(CLASS), sql.Literal(number(lookup_name, slot))
        )
    )
