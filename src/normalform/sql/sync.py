"""Sync: the triggers that keep text and key in step, as steps of a plan, and how to tell that they still stand.

Decides names, order of firing and what belongs together in one step; what each function does is decided by its own
module (``sync_reference``, ``sync_resolve``, ``sync_create``, ``sync_carry``, ``sync_lookup``, ``sync_path``,
``sync_delete``). A step holds one table's lock. Expand installs a lookup's triggers before it fills the lookup's scope,
and a reference's after: a lookup row without its scope is invisible to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from ..core.catalog import Table
from ..core.model import Lookup, Model, Reference
from ..core.names import QName
from ..core.plan import Lock, Step
from ..core.spec import OnUnknown
from .plpgsql import Function, Trigger, functions_stand, triggers_stand
from .quote import LEDGER, ledger, render, table
from .sync_carry import carry_function, hangs_function
from .sync_create import create_function
from .sync_delete import delete_function, no_action_function, truncate_function
from .sync_lookup import update_function
from .sync_parts import FIRST, LAST, trigger_name
from .sync_path import copy_update_function, hold_function, path_update_function
from .sync_reference import key_function, text_function
from .sync_resolve import path_function, resolve_function
from .sync_row import row_function

SQL = sql.SQL
ROW = "BEFORE INSERT OR UPDATE"
#: SQLSTATE of our own: sync cannot go yet, since renames wait in the queue.
STILL_QUEUED = "NF001"


@dataclass(frozen=True)
class Installed:
    """What one reference or lookup needs: functions, and triggers of possibly several tables."""

    functions: tuple[Function, ...]
    triggers: tuple[Trigger, ...]


def sync_reference_steps(
    model: Model, reference: Reference, *, phase: str = "expand", on_unknown: OnUnknown | None = None
) -> list[Step]:
    """Return the steps that keep a reference's text and key in step.

    Args:
        model: the model.
        reference: the reference; its key column is there, its lookup's scope is filled.
        phase: the phase that the steps belong to; part of their ids.
        on_unknown: instead of what the spec says about unknown text.
    """
    del model
    made = of_reference(reference, on_unknown)
    return _steps(f"{phase}/{reference.name}/sync", phase, f"of {reference.name}", made, "text and key stay in step")


def sync_lookup_steps(model: Model, lookup: Lookup, *, phase: str = "expand") -> list[Step]:
    """Return the steps that carry what happens to a lookup, its path table and its scope's table to the references.

    Args:
        model: the model.
        lookup: the lookup; its added scope column is there, filled or not.
        phase: the phase that the steps belong to; part of their ids.
    """
    made = of_lookup(model, lookup)
    reason = "renames, deletes and new rows of the lookup reach the references"
    return _steps(f"{phase}/{lookup.name}/lookup-sync", phase, f"of lookup {lookup.name}", made, reason)


def harden_steps(model: Model, reference: Reference, *, phase: str = "constrain") -> list[Step]:
    """Return the step that lets no given text pass without a key: what NOT NULL will say, said better.

    Args:
        model: the model.
        reference: the reference.
        phase: the phase that the step belongs to; part of its id.

    Returns:
        One step that swaps the last trigger's function, and back; none where the reference is not required, or
        rejects already.
    """
    del model
    wanted = reference.spec.on_unknown
    if not reference.spec.required or wanted == "reject":
        return []
    soft = key_function(reference, wanted)
    hard = key_function(reference, wanted, hard=True)
    return [
        Step(
            id=f"{phase}/{reference.name}/sync-hard",
            phase=phase,
            object=f"function {LEDGER}.{hard.name}: unknown text is refused",
            do=hard.create(),
            done=hard.stands(),
            undo=soft.create(),
            gone=soft.stands(),
            table=render(table(reference.table.name)),
            reason="the key is about to be NOT NULL; a writer is told which text is unknown",
            claims=False,
        )
    ]


def nothing_queued(lookup: Lookup) -> str:
    """Return a statement that refuses to go on while renames of a lookup's rows have yet to be carried.

    For the moment from which renames mean nothing to the references any more, and only behind ``gates.held``: what is
    not in the queue then will never be.
    """
    body = SQL(
        "BEGIN IF EXISTS (SELECT FROM {pending} WHERE lookup = {name}) THEN "
        "RAISE EXCEPTION USING ERRCODE = {code}, MESSAGE = {message}; END IF; END"
    ).format(
        pending=ledger("pending"),
        name=sql.Literal(lookup.name),
        code=sql.Literal(STILL_QUEUED),
        message=sql.Literal(f"renames of lookup {lookup.name} are still to be carried"),
    )
    return render(SQL("DO {}").format(sql.Literal(render(body))))


def of_reference(reference: Reference, on_unknown: OnUnknown | None = None, *, hard: bool = False) -> Installed:
    """Return a reference's functions and triggers."""
    wanted = on_unknown or reference.spec.on_unknown
    text, key = text_function(reference), key_function(reference, wanted, hard=hard)
    helpers = [resolve_function(reference), carry_function(reference), hangs_function(reference)]
    if wanted == "create":
        helpers.append(create_function(reference))
    name = reference.table.name
    return Installed(
        (*helpers, text, key),
        (
            Trigger(trigger_name(FIRST, "text", reference.name), name, text.name, ROW),
            Trigger(trigger_name(LAST, "key", reference.name), name, key.name, ROW),
        ),
    )


def of_lookup(model: Model, lookup: Lookup) -> Installed:
    """Return the functions and triggers of a lookup and of the tables that it reads beside itself."""
    functions: list[Function] = []
    triggers: list[Trigger] = []
    walk = path_function(lookup)
    if walk is not None:
        functions.append(walk)

    def add(function: Function, prefix: str, part: str, on: QName, events: str, **kind: bool) -> None:
        functions.append(function)
        triggers.append(Trigger(trigger_name(prefix, part, lookup.name), on, function.name, events, **kind))

    name = lookup.table.name
    after = {"row": False, "old": True}
    add(row_function(model, lookup), LAST, "row", name, ROW)
    add(update_function(model, lookup), LAST, "update", name, "AFTER UPDATE", **after, new=True)
    add(delete_function(model, lookup), LAST, "delete", name, "AFTER DELETE", **after)
    add(truncate_function(model, lookup), LAST, "truncate", name, "AFTER TRUNCATE", row=False)
    late = no_action_function(model, lookup)
    if late is not None:
        add(late, LAST, "no_action", name, "AFTER DELETE", deferred=True)
    if lookup.path is not None:
        on = lookup.path.table.name
        add(hold_function(lookup, "path"), LAST, "path_hold", on, "BEFORE UPDATE")
        add(path_update_function(model, lookup), LAST, "path_update", on, "AFTER UPDATE", **after, new=True)
    if lookup.scope_copy is not None:
        on = lookup.scope_copy.table.name
        add(hold_function(lookup, "copy"), LAST, "copy_hold", on, "BEFORE UPDATE")
        add(copy_update_function(lookup), LAST, "copy_update", on, "AFTER UPDATE", **after, new=True)
    return Installed(tuple(functions), tuple(triggers))


def everything(model: Model) -> list[Installed]:
    """Return the functions and triggers of all lookups and references."""
    return [*(of_lookup(model, lookup) for lookup in model.lookups), *map(of_reference, model.references)]


def sync_intact(conn: psycopg.Connection, model: Model) -> list[str]:
    """Return what is missing, disabled, changed or replaced of sync; empty when all of it stands.

    A function may have any body that a recorded step gave it, or the one that the model gives it now.
    """
    problems: list[str] = []
    made = everything(model)
    expected = [f for one in made for f in one.functions]
    found = _functions(conn, [f.name for f in expected])
    recorded = _recorded(conn)
    for function in expected:
        row = found.get(function.name)
        if row is None:
            problems.append(f"function {LEDGER}.{function.name} is missing")
            continue
        source, config, definer, public = row
        if source != function.source and not any(source in statement for statement in recorded):
            problems.append(f"function {LEDGER}.{function.name} was changed")
        elif definer != function.definer or config != ["search_path=pg_catalog, pg_temp"] or public:
            problems.append(f"function {LEDGER}.{function.name} has lost its guards")
    for trigger, row2 in _triggers(conn, [t for one in made for t in one.triggers]):
        where = f"trigger {trigger.name} on {trigger.on}"
        if row2 is None:
            problems.append(f"{where} is missing")
            continue
        enabled, definition, function_name, subscribed = row2
        if enabled in ("D", "R"):
            problems.append(f"{where} is disabled")
        elif subscribed and enabled != "A":
            problems.append(f"{where} does not fire for replication, and the table is a subscription's target")
        events = trigger.events.upper()
        if function_name != trigger.function or events not in definition or "normalform.batch" not in definition:
            problems.append(f"{where} was replaced")
    return problems


def sorting_conflicts(target: Table) -> list[str]:
    """Return the application's BEFORE row triggers that would fire before our first or after our last one.

    Args:
        target: a reference's table or a lookup's.
    """
    return [
        trigger.name
        for trigger in target.triggers
        if trigger.row
        and trigger.timing == "before"
        and trigger.enabled != "D"
        and {"insert", "update"} & set(trigger.events)
        and not trigger.name.startswith((FIRST, LAST))
        and not FIRST.encode() < trigger.name.encode() < LAST.encode()
    ]


def _steps(step_id: str, phase: str, what: str, made: Installed, reason: str) -> list[Step]:
    steps = [
        Step(
            id=f"{step_id}-functions",
            phase=phase,
            object=f"sync functions {what}",
            do=tuple(s for f in made.functions for s in f.create()),
            done=functions_stand(made.functions),
            undo=tuple(f.drop() for f in reversed(made.functions)),
            reason=reason,
        )
    ]
    for on in dict.fromkeys(t.on for t in made.triggers):
        here = [t for t in made.triggers if t.on == on]
        steps.append(
            Step(
                id=f"{step_id}-triggers/{on}",
                phase=phase,
                object=f"sync triggers {what} on {on}",
                do=tuple(s for t in here for s in t.create()),
                done=triggers_stand(here),
                undo=tuple(t.drop() for t in reversed(here)),
                lock=Lock.SHARE_ROW_EXCLUSIVE,
                undo_lock=Lock.ACCESS_EXCLUSIVE,
                table=render(table(on)),
                reason=reason,
            )
        )
    return steps


def _functions(conn: psycopg.Connection, names: Sequence[str]) -> dict[str, tuple[str, list[str] | None, bool, bool]]:
    """Those of ours that stand, by name: source, settings, whether SECURITY DEFINER, whether PUBLIC may call it."""
    rows = conn.execute(
        "SELECT p.proname, p.prosrc, p.proconfig, p.prosecdef, p.proacl IS NULL OR EXISTS ("
        "SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0) FROM pg_proc p "
        "WHERE p.pronamespace = to_regnamespace(%s) AND p.proname = ANY(%s) ORDER BY p.proname",
        (LEDGER, list(names)),
    ).fetchall()
    return {r[0]: (r[1], r[2], r[3], r[4]) for r in rows}


def _triggers(
    conn: psycopg.Connection, triggers: Iterable[Trigger]
) -> list[tuple[Trigger, tuple[str, str, str, bool] | None]]:
    """Each trigger that must stand: how it is enabled, its definition and function, whether its table is subscribed."""
    result: list[tuple[Trigger, tuple[str, str, str, bool] | None]] = []
    for trigger in triggers:
        row = conn.execute(
            "SELECT t.tgenabled, pg_get_triggerdef(t.oid), p.proname, "
            "EXISTS (SELECT FROM pg_subscription_rel s WHERE s.srrelid = t.tgrelid) "
            "FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
            "WHERE t.tgrelid = to_regclass(%s) AND t.tgname = %s AND p.pronamespace = to_regnamespace(%s)",
            (render(table(trigger.on)), trigger.name, LEDGER),
        ).fetchone()
        result.append((trigger, None if row is None else (_char(row[0]), row[1], row[2], row[3])))
    return result


def _char(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _recorded(conn: psycopg.Connection) -> Sequence[str]:
    """The statements that the ledger's standing steps have run."""
    row = conn.execute("SELECT to_regclass('normalform.step') IS NOT NULL").fetchone()
    if row is None or not row[0]:
        return ()
    return [r[0] for r in conn.execute("SELECT unnest(do_sql) FROM normalform.step").fetchall()]
