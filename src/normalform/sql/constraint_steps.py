"""Steps that build an index or a constraint so that nobody waits for it, each with its undo and its probes.

Decides the way to the object: indexes CONCURRENTLY, checks and foreign keys NOT VALID and then VALIDATE, NOT NULL by
way of a check, so that no table is scanned under a lock that stops writers (CORRECTNESS 18 to 20). What is built is the
callers' part. An invalid index goes at once: its remains are each such step's ``clean``.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from ..core.catalog import Constraint, Index
from ..core.names import QName, shorten
from ..core.plan import Lock, Mode, Step
from . import columns, ddl, probes
from .quote import conjunction, render, table

SQL = sql.SQL


def build_index(
    step_id: str, phase: str, on: QName, index: Index, *, reason: str, name: str | None = None, done: str = ""
) -> Step:
    """Return the step that builds an index CONCURRENTLY.

    Args:
        step_id, phase, reason: of the step.
        on: the table.
        index: the definition.
        name: another name for it.
        done: another probe than that a valid index of the name stands.
    """
    wanted = name or index.name
    drop = ddl.drop_index(index.schema, wanted, concurrently=True)
    return Step(
        id=step_id,
        phase=phase,
        object=f"{'unique ' if index.unique else ''}index {wanted}",
        do=(ddl.create_index(on, index, name=wanted, concurrently=True),),
        done=done or probes.index(index.schema, wanted),
        undo=(drop,),
        gone=probes.no_index(index.schema, wanted),
        clean=(drop,),
        mode=Mode.CONCURRENT,
        undo_mode=Mode.CONCURRENT,
        lock=Lock.SHARE_UPDATE_EXCLUSIVE,
        undo_lock=Lock.SHARE_UPDATE_EXCLUSIVE,
        table=render(table(on)),
        reason=reason,
    )


def attach_unique(
    step_id: str,
    phase: str,
    on: QName,
    name: str,
    *,
    reason: str,
    deferrable: bool = False,
    deferred: bool = False,
) -> Step:
    """Return the step that makes a unique constraint of the index that has its name."""
    return Step(
        id=step_id,
        phase=phase,
        object=f"unique constraint {name}",
        do=(ddl.attach_unique(on, name, name, deferrable=deferrable, deferred=deferred),),
        done=probes.constraint(on, name),
        undo=(ddl.drop_constraint(on, name),),
        lock=Lock.ACCESS_EXCLUSIVE,
        undo_lock=Lock.ACCESS_EXCLUSIVE,
        table=render(table(on)),
        reason=reason,
    )


def not_null(step_id: str, phase: str, on: QName, column: str, *, reason: str) -> list[Step]:
    """Return the steps to NOT NULL: a check, NOT VALID; its validation; SET NOT NULL, which the check spares a scan.

    The check goes in the same transaction as it has done its work, so each step also counts as done once the column is
    NOT NULL.
    """
    check = shorten(f"normalform_{on.name}_{column}_not_null")
    condition = SQL("{} IS NOT NULL").format(sql.Identifier(column))
    reached = probes.not_null(on, column)
    return [
        Step(
            id=f"{step_id}-check",
            phase=phase,
            object=f"check {check}",
            do=(ddl.add_check(on, check, condition),),
            done=either(probes.constraint(on, check), reached),
            undo=(ddl.drop_constraint(on, check),),
            gone=negated(probes.constraint(on, check)),
            lock=Lock.ACCESS_EXCLUSIVE,
            undo_lock=Lock.ACCESS_EXCLUSIVE,
            table=render(table(on)),
            reason=f"{reason}: no further NULL from here on",
            claims=False,
        ),
        Step(
            id=f"{step_id}-validate",
            phase=phase,
            object=f"validation of {check}",
            do=(ddl.validate_constraint(on, check),),
            done=either(probes.constraint(on, check, validated=True), reached),
            mode=Mode.CONCURRENT,
            lock=Lock.SHARE_UPDATE_EXCLUSIVE,
            table=render(table(on)),
            reason=f"{reason}: the rows that exist, read beside writers",
            claims=False,
        ),
        Step(
            id=f"{step_id}-set",
            phase=phase,
            object=f"NOT NULL on {on}.{column}",
            do=(columns.set_not_null(on, column), ddl.drop_constraint(on, check)),
            done=reached,
            undo=(columns.drop_not_null(on, column),),
            lock=Lock.ACCESS_EXCLUSIVE,
            undo_lock=Lock.ACCESS_EXCLUSIVE,
            table=render(table(on)),
            reason=f"{reason}: the validated check spares the scan",
        ),
    ]


def check(step_id: str, phase: str, on: QName, constraint: Constraint, *, reason: str) -> list[Step]:
    """Return the steps of a check or foreign key that the catalog's form describes: NOT VALID, then VALIDATE."""
    return validated(
        step_id,
        phase,
        on,
        constraint.name,
        ddl.add_constraint(on, constraint, not_valid=True),
        what="check" if constraint.kind == "c" else "foreign key",
        lock=Lock.ACCESS_EXCLUSIVE if constraint.kind == "c" else Lock.SHARE_ROW_EXCLUSIVE,
        reason=reason,
        validate=constraint.validated,
    )


def scope_check(step_id: str, phase: str, on: QName, key: str, scope: Sequence[str]) -> list[Step]:
    """Return the steps of CHECK (key IS NULL OR scope IS NOT NULL) (CORRECTNESS 9)."""
    name = shorten(f"ck_{on.name}_{key}_scope")
    known = conjunction([SQL("{} IS NOT NULL").format(sql.Identifier(s)) for s in scope])
    condition = SQL("{} IS NULL OR {}").format(sql.Identifier(key), known)
    return validated(
        step_id,
        phase,
        on,
        name,
        ddl.add_check(on, name, condition),
        what="check",
        lock=Lock.ACCESS_EXCLUSIVE,
        reason="with an unknown scope the composite foreign key would accept any key",
    )


def foreign_key(
    step_id: str,
    phase: str,
    on: QName,
    key: str,
    columns_: Sequence[str],
    references: QName,
    target: Sequence[str],
    on_delete: str,
) -> list[Step]:
    """Return the steps of the foreign key, with the action that the spec's ``on_delete`` names."""
    name = shorten(f"fk_{on.name}_{key}")
    action = {"restrict": "RESTRICT", "no_action": "NO ACTION", "cascade": "CASCADE", "set_null": "SET NULL"}[on_delete]
    statement = ddl.add_foreign_key(
        on,
        name,
        columns_,
        references,
        target,
        on_delete=action,
        # The scope stays: only the key loses its row.
        set_null=(key,) if on_delete == "set_null" else (),
        deferred=on_delete == "no_action",
    )
    return validated(
        step_id,
        phase,
        on,
        name,
        statement,
        what="foreign key",
        lock=Lock.SHARE_ROW_EXCLUSIVE,
        reason=f"every key names a row of {references}",
    )


def validated(
    step_id: str,
    phase: str,
    on: QName,
    name: str,
    statement: str,
    *,
    what: str,
    lock: Lock,
    reason: str,
    validate: bool = True,
) -> list[Step]:
    """Return the step that adds a constraint NOT VALID, and the one that validates it beside writers."""
    steps = [
        Step(
            id=step_id,
            phase=phase,
            object=f"{what} {name}",
            do=(statement,),
            done=probes.constraint(on, name),
            undo=(ddl.drop_constraint(on, name),),
            lock=lock,
            undo_lock=Lock.ACCESS_EXCLUSIVE,
            table=render(table(on)),
            reason=reason,
        )
    ]
    if validate:
        steps.append(
            Step(
                id=f"{step_id}-validate",
                phase=phase,
                object=f"validation of {name}",
                do=(ddl.validate_constraint(on, name),),
                done=probes.constraint(on, name, validated=True),
                mode=Mode.CONCURRENT,
                lock=Lock.SHARE_UPDATE_EXCLUSIVE,
                table=render(table(on)),
                reason=f"{reason}: the rows that exist, read beside writers",
                claims=False,
            )
        )
    return steps


def either(first: str, second: str) -> str:
    """Return the probe that holds when one of two does."""
    return f"SELECT ({first}) OR ({second})"


def negated(probe: str) -> str:
    """Return the probe that holds when the given one does not."""
    return f"SELECT NOT ({probe})"
