"""Uninstall: the ledger goes, and what only the migration needed with it.

Decides when that may be: never while anything of a migration is half-way, nor, unless told so, while it could still be
undone. Key columns, keys and constraints are the new schema by then, and stay.
"""

from __future__ import annotations

from psycopg.sql import SQL, Identifier

from ..core.names import QName
from ..core.phases import State
from ..core.plan import Lock, Step
from ..db import ledger
from ..db.execute import do_steps, undo_one, undo_steps
from ..db.work import Context, run_sql
from ..errors import GateClosed
from ..sql import probes
from ..sql.quote import render, table


def uninstall(ctx: Context, *, give_up_undo: bool) -> list[str]:
    """Remove the ledger and every object of ours.

    Args:
        ctx: the run, which ends with its ledger.
        give_up_undo: also while phases are done that could then no longer be undone.

    Returns:
        What was removed, for people.

    Raises:
        GateClosed: something is half-way, or undo would be given up unasked.
    """
    state = ledger.state(ctx.conn)
    if state.half is not None or state.last not in ("start", "constrain", "contract"):
        raise GateClosed("order", [_unfinished(state)], hint="normalform rollback --to start, or go on to contract")
    if state.done and not give_up_undo:
        raise GateClosed(
            "order",
            [f"the last phase done is {state.last}; without the ledger it can no longer be undone"],
            hint="normalform rollback --to start, or normalform uninstall --give-up-undo",
        )
    undo_steps(ctx, "fence", {})  # writes pass again; nothing happens where no fence stands
    removed = _drop_ours(ctx)
    run_sql(ctx, ctx.conn, "uninstall:ledger", ledger.uninstall_sql())
    return [*removed, "schema normalform"]


def _unfinished(state: State) -> str:
    """Say why the ledger must not go yet."""
    if state.half is not None:
        return f"{state.half[0]} is half {'done' if state.half[1] == 'do' else 'undone'}"
    if state.last == "resolve":
        return "decisions stand, and without the ledger they can no longer be undone"
    return f"the last phase done is {state.last}; sync must not go while text and key both matter"


def _drop_ours(ctx: Context) -> list[str]:
    """Drop what only the migration needed: triggers that still stand, and the index that sync probed.

    Key columns, keys and constraints are the new schema by now, and stay.
    """
    rows = ctx.conn.execute(
        "SELECT t.tgname, n.nspname, c.relname FROM pg_trigger t "
        "JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace pn ON pn.oid = p.pronamespace "
        "WHERE pn.nspname = 'normalform' AND NOT t.tgisinternal ORDER BY 2, 3, 1"
    ).fetchall()
    steps = []
    for trigger, schema, name in rows:
        target = QName(schema, name)
        standing = probes.trigger(target, trigger)
        steps.append(
            Step(
                id=f"uninstall/{target}/{trigger}",
                phase="uninstall",
                object=f"trigger {trigger} on {target}",
                do=(render(SQL("DROP TRIGGER {} ON {}").format(Identifier(trigger), table(target))),),
                done=standing.replace("SELECT EXISTS", "SELECT NOT EXISTS", 1),
                lock=Lock.ACCESS_EXCLUSIVE,
                table=render(table(target)),
                claims=False,
            )
        )
    do_steps(ctx, steps, {})
    indexes = [s for s in ledger.recorded_steps(ctx.conn, "expand") if s.id.endswith("/index")]
    for step in indexes:
        undo_one(ctx, step)
    return [f"dropped {s.object}" for s in [*steps, *indexes]]
