"""The fence: during a maintenance window it refuses every write but ours (SQLSTATE 25006).

Decides which tables it stands on: every reference, every lookup, and the tables that lookups read beside themselves.
It fires for each statement, before it, so that nothing is half done. All sessions of ours pass it, by a setting that
they are opened with: not only batches write in a window, so do decisions and their undo, and their sync must not pass.
Undoing its steps lowers it.
"""

from __future__ import annotations

from psycopg import sql

from ..core.model import Model
from ..core.names import QName
from ..core.plan import Lock, Step
from .plpgsql import Function, Trigger, functions_stand, triggers_stand
from .quote import render, table
from .sync_parts import FIRST

PHASE = "fence"
SQL = sql.SQL
NAME = f"{FIRST}fence"

_FUNCTION = Function(
    "fence",
    SQL("""
BEGIN
    RAISE EXCEPTION USING ERRCODE = '25006',
        MESSAGE = concat('writes to ', TG_TABLE_SCHEMA, '.', TG_TABLE_NAME, ' are refused during maintenance'),
        HINT = 'Try again when the maintenance window is over.', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME;
END
"""),
)


def fenced_tables(model: Model) -> tuple[QName, ...]:
    """Return every table that the fence stands on, each once."""
    names: list[QName] = []
    for lookup in model.lookups:
        if lookup.planned:
            continue  # there is nothing to write to yet, and nobody knows of it
        names.append(lookup.table.name)
        if lookup.path is not None:
            names.append(lookup.path.table.name)
        if lookup.scope_copy is not None:
            names.append(lookup.scope_copy.table.name)
    names.extend(reference.table.name for reference in model.references)
    return tuple(dict.fromkeys(names))


def fence_steps(model: Model) -> list[Step]:
    """Return the steps that raise the fence; undone, they lower it."""
    steps = [
        Step(
            id=f"{PHASE}/function",
            phase=PHASE,
            object="the fence's function",
            do=_FUNCTION.create(),
            done=functions_stand([_FUNCTION]),
            undo=(_FUNCTION.drop(),),
            reason="one function for every table",
        )
    ]
    for name in fenced_tables(model):
        events = "BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE"
        trigger = Trigger(NAME, name, _FUNCTION.name, events, row=False, stray=True)
        steps.append(
            Step(
                id=f"{PHASE}/{name}",
                phase=PHASE,
                object=f"fence around {name}",
                do=trigger.create(),
                done=triggers_stand([trigger]),
                undo=(trigger.drop(),),
                lock=Lock.SHARE_ROW_EXCLUSIVE,
                undo_lock=Lock.ACCESS_EXCLUSIVE,
                table=render(table(name)),
                reason="a stray write during the window would not be seen",
            )
        )
    return steps
