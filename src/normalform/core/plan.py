"""The plan: ordered steps, each with its SQL, its lock class, how to tell that it is done, and how to undo it.

Decides nothing about a database: phases build steps from the model, ``db.execute`` carries them out, ``plan`` prints
them, the documentation of locks is made from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum


class Lock(Enum):
    """The strongest lock that a step takes on its table, weakest first, as PostgreSQL names them."""

    NONE = "none"
    ACCESS_SHARE = "ACCESS SHARE"
    ROW_SHARE = "ROW SHARE"
    ROW_EXCLUSIVE = "ROW EXCLUSIVE"
    SHARE_UPDATE_EXCLUSIVE = "SHARE UPDATE EXCLUSIVE"
    SHARE = "SHARE"
    SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
    ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"


class Mode(Enum):
    """How a step runs.

    TRANSACTION: one short transaction under lock_timeout and statement_timeout, tried again (CORRECTNESS 18).
    REWRITE: one transaction that reads or rewrites the table under its lock; lock_timeout only, shown in the plan.
    CONCURRENT: autocommit with both timeouts 0: no DML queues behind it (CORRECTNESS 19).
    BATCHES: work of many short transactions, done by the phase's own handler (`Step.work`).
    """

    TRANSACTION = "transaction"
    REWRITE = "rewrite"
    CONCURRENT = "concurrent"
    BATCHES = "batches"


@dataclass(frozen=True)
class Step:
    """One step of a plan.

    Args:
        id: stable and unique within the plan, such as ``expand/machine_tags/key-column``; it is the ledger's key.
        phase: the phase that it belongs to.
        object: what it makes or changes, for people.
        do: rendered SQL statements, in order.
        done: SQL that returns one boolean: is it there (whoever made it)? Empty for BATCHES.
        undo: rendered SQL statements that take it back; kept in the ledger when the step's intent is recorded.
        gone: SQL that returns one boolean: is it gone? Defaults to NOT done.
        lock: strongest lock on ``table`` while doing it.
        undo_lock: the same for the undo.
        mode, undo_mode: how each runs.
        table: the table that is locked, for people.
        reason: why the step exists.
        work: for BATCHES, the handler's key and its argument, such as ``fill:machine_tags``; ``do`` then shows the
            shape of one batch for ``plan --sql``.
        undo_work: the same for the undo.
        clean: SQL that removes what a failed or killed try left (an invalid index); run before a new try. Each
            statement must be harmless when there is nothing to remove.
        claims: whether ``done`` before we ever intended the step is a clash: an object of that name is not ours
            (CORRECTNESS 25). False for steps that only assert a state.
    """

    id: str
    phase: str
    object: str
    do: tuple[str, ...]
    done: str = ""
    undo: tuple[str, ...] = ()
    gone: str = ""
    lock: Lock = Lock.NONE
    undo_lock: Lock = Lock.NONE
    mode: Mode = Mode.TRANSACTION
    undo_mode: Mode = Mode.TRANSACTION
    table: str = ""
    reason: str = ""
    work: str = ""
    undo_work: str = ""
    clean: tuple[str, ...] = ()
    claims: bool = True


_RESTART = (
    "restart the application's processes one after another; a session that prepared SELECT * or INSERT … RETURNING * "
    "gets SQLSTATE 0A000 at every execution until it reconnects or deallocates the statement"
)
#: What must be done by hand when a phase has ended, by phase: the set of a table's columns has changed under sessions
#: that are connected (CORRECTNESS 22). The same holds after the phase's undo.
AFTER: Mapping[str, str] = {
    "expand": f"{_RESTART}; COPY and INSERT without a column list must name their columns from here on",
    "contract": f"{_RESTART}; whatever still names the dropped columns fails with 42703",
}


def after(steps: Iterable[Step]) -> dict[str, str]:
    """Return the closing notes of the phases to which steps belong, in the order of the steps.

    Args:
        steps: a plan, of one phase or of several.

    Returns:
        What must be done by hand once each phase has ended, by phase; phases without such a note are left out.
    """
    phases = dict.fromkeys(step.phase for step in steps)
    return {phase: AFTER[phase] for phase in phases if phase in AFTER}
