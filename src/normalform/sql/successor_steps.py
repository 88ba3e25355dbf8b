"""Steps of one successor: how it stands while old code writes text, and how contract gives it its final form.

Decides what stands between: beside an immediate unique on the key, legacy ``ON CONFLICT (text)`` upserts fail with
23505 (CORRECTNESS 21), and beside a DEFERRABLE one ``ON CONFLICT DO NOTHING`` fails with 55000. So until contract a
plain index stands in its place while the legacy unique guards, or a DEFERRABLE constraint where the operator wants that
and a constraint can express it. The final form is built beside it under another name and takes its place in one short
transaction, so that at no moment nothing stands. It must never leave a table without the guard that it had.
"""

from __future__ import annotations

from dataclasses import replace

from psycopg import sql

from ..core.catalog import Constraint, Index
from ..core.index_successor import Successor
from ..core.names import QName, shorten
from ..core.plan import Lock, Mode, Step
from . import constraint_steps as build
from . import ddl, probes
from .quote import render, table

SQL = sql.SQL


def successor_steps(phase: str, on: QName, successor: Successor, *, deferrable: bool) -> list[Step]:
    """Return the steps of constrain for one successor: its form while text-writers exist.

    Args:
        phase: constrain.
        on: the table.
        successor: what to build.
        deferrable: see :func:`interim`.
    """
    step_id = f"{phase}/successor/{on}/{successor.name}"
    reason = _reason(successor)
    index, constraint = successor.index, successor.constraint
    if index is None:
        assert constraint is not None
        return build.check(step_id, phase, on, constraint, reason=reason)
    if successor.kind == "exclusion":
        assert constraint is not None
        return [
            Step(
                id=step_id,
                phase=phase,
                object=f"exclusion constraint {successor.name}",
                do=(ddl.add_constraint(on, constraint, index),),
                done=probes.constraint(on, successor.name),
                undo=(ddl.drop_constraint(on, successor.name),),
                mode=Mode.REWRITE,
                lock=Lock.ACCESS_EXCLUSIVE,
                undo_lock=Lock.ACCESS_EXCLUSIVE,
                table=render(table(on)),
                reason=f"{reason}; PostgreSQL can only build it under its lock",
            )
        ]
    form = interim(successor, deferrable=deferrable)
    if form == "plain":
        reason = f"{reason}; not unique yet: contract makes it so, {', '.join(successor.sources)} guards until then"
        return [build.build_index(step_id, phase, on, plain(index), reason=reason)]
    steps = [build.build_index(step_id, phase, on, unmarked(index), reason=reason)]
    if form == "deferrable" or constraint is not None:
        steps.append(
            build.attach_unique(
                f"{step_id}-attach",
                phase,
                on,
                successor.name,
                reason=reason,
                deferrable=form == "deferrable" or bool(constraint and constraint.deferrable),
                deferred=form == "final" and bool(constraint and constraint.deferred),
            )
        )
    return steps


def interim(successor: Successor, *, deferrable: bool) -> str:
    """Return how a successor stands until contract.

    Args:
        successor: the successor.
        deferrable: whether uniques may stand as DEFERRABLE constraints.

    Returns:
        ``final`` (as it will stay), ``deferrable`` (a constraint), or ``plain`` (an index that is not unique yet).
    """
    if successor.late:
        return "plain"
    # Until contract the legacy primary key is the table's only one.
    if successor.deferrable or successor.kind == "primary":
        return "deferrable" if deferrable else "plain"
    return "final"


def switch_steps(phase: str, on: QName, successor: Successor, *, deferrable: bool) -> list[Step]:
    """Return the steps of contract that give a unique successor its final form; none when it has it.

    A primary key is swapped by :func:`primary_steps`.
    """
    form = interim(successor, deferrable=deferrable)
    index, constraint = successor.index, successor.constraint
    if index is None or form == "final" or successor.kind == "primary":
        return []
    beside = replace(unmarked(index), name=shorten(f"{index.name}_new", {index.name}))
    reached = unique_index(index.schema, index.name, immediate=True)
    step_id = f"{phase}/successor/{on}/{successor.name}"
    steps = [
        build.build_index(
            f"{step_id}-build",
            phase,
            on,
            beside,
            reason="the unique in its final, immediate form: nobody writes text any more",
            done=build.either(probes.index(index.schema, beside.name), reached),
        )
    ]
    if form == "plain":
        steps.append(_plain_away(f"{step_id}-plain", phase, on, index, reached))
    do, undo = (
        _deferrable_switch(on, index, beside, constraint)
        if form == "deferrable"
        else _late_switch(on, index, beside, constraint)
    )
    lock = Lock.SHARE_UPDATE_EXCLUSIVE if form == "plain" and constraint is None else Lock.ACCESS_EXCLUSIVE
    steps.append(
        Step(
            id=f"{step_id}-switch",
            phase=phase,
            object=f"unique {successor.name} in its final form",
            do=do,
            done=reached,
            undo=undo,
            lock=lock,
            undo_lock=lock,
            table=render(table(on)),
            reason="one short transaction, so that a guard stands at every moment",
            claims=False,
        )
    )
    # A constraint goes with its index: what stood before it is built beside it first.
    if constraint is not None:
        steps.append(build_back(f"{step_id}-back", phase, on, plain(beside) if form == "plain" else beside))
    return steps


def _late_switch(
    on: QName, index: Index, beside: Index, constraint: Constraint | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Statements by which the index built beside takes the name that the plain one had, and back."""
    given_back = ddl.rename_index(index.schema, beside.name, index.name)
    if constraint is None:
        return (given_back,), (ddl.rename_index(index.schema, index.name, beside.name),)
    return (ddl.attach_unique(on, index.name, beside.name),), (ddl.drop_constraint(on, index.name), given_back)


def _deferrable_switch(
    on: QName, index: Index, beside: Index, constraint: Constraint | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Statements that replace a DEFERRABLE constraint by what was built beside it, and back."""
    drop = ddl.drop_constraint(on, index.name)
    if constraint is None:
        # An immediate index becomes a deferrable constraint by its catalog row alone.
        back = ddl.attach_unique(on, index.name, index.name, deferrable=True)
        return (drop, ddl.rename_index(index.schema, beside.name, index.name)), (back,)
    back = ddl.attach_unique(on, index.name, beside.name, deferrable=True)
    return (drop, ddl.attach_unique(on, index.name, beside.name)), (drop, back)


def _plain_away(step_id: str, phase: str, on: QName, index: Index, reached: str) -> Step:
    """Return the step that drops the plain index which stood in a unique's place, once that is built beside it."""
    drop = ddl.drop_index(index.schema, index.name, concurrently=True)
    return Step(
        id=step_id,
        phase=phase,
        object=f"index {index.name}, whose work the unique does now",
        do=(drop,),
        done=build.either(probes.no_index(index.schema, index.name), reached),
        undo=(ddl.create_index(on, plain(index), concurrently=True),),
        gone=probes.index(index.schema, index.name),
        clean=(drop,),
        mode=Mode.CONCURRENT,
        undo_mode=Mode.CONCURRENT,
        lock=Lock.SHARE_UPDATE_EXCLUSIVE,
        undo_lock=Lock.SHARE_UPDATE_EXCLUSIVE,
        table=render(table(on)),
        reason="its name is the unique's",
        claims=False,
    )


def primary_steps(phase: str, on: QName, successor: Successor, legacy: Constraint, *, deferrable: bool) -> list[Step]:
    """Return the steps that make a successor the primary key in the place of the legacy one.

    Its undo needs the legacy key's index and the interim index beside it: :func:`build_back` steps after this one
    build them.

    Args:
        phase, on: of the steps.
        successor: the successor, of kind ``primary``.
        legacy: the legacy primary key.
        deferrable: as for constrain.
    """
    index = successor.index
    assert index is not None
    form = interim(successor, deferrable=deferrable)
    deferral = {"deferrable": legacy.deferrable, "deferred": legacy.deferred}
    beside = replace(unmarked(index), name=shorten(f"{index.name}_new", {index.name}))
    reached = primary_index(index.schema, index.name)
    interim_back = (
        ddl.attach_unique(on, index.name, beside.name, deferrable=True)
        if form == "deferrable"
        else ddl.rename_index(index.schema, beside.name, index.name)
    )
    drop_interim = [ddl.drop_constraint(on, index.name)] if form == "deferrable" else []
    step_id = f"{phase}/successor/{on}/{successor.name}"
    return [
        build.build_index(
            f"{step_id}-build",
            phase,
            on,
            beside,
            reason="the primary key in its final form",
            done=build.either(probes.index(index.schema, beside.name), reached),
        ),
        *([_plain_away(f"{step_id}-plain", phase, on, index, reached)] if form == "plain" else []),
        Step(
            id=f"{step_id}-switch",
            phase=phase,
            object=f"primary key {successor.name}",
            do=(
                ddl.drop_constraint(on, legacy.name),
                *drop_interim,
                ddl.attach_unique(on, index.name, beside.name, primary=True, **deferral),
            ),
            done=reached,
            undo=(
                ddl.drop_constraint(on, index.name),
                ddl.attach_unique(on, legacy.name, legacy.index or legacy.name, primary=True, **deferral),
                interim_back,
            ),
            lock=Lock.ACCESS_EXCLUSIVE,
            undo_lock=Lock.ACCESS_EXCLUSIVE,
            table=render(table(on)),
            reason="one short transaction, so that a primary key stands at every moment",
            claims=False,
        ),
        build_back(f"{step_id}-back", phase, on, plain(beside) if form == "plain" else beside),
    ]


def build_back(step_id: str, phase: str, on: QName, index: Index) -> Step:
    """Return a step that does nothing, and whose undo builds an index CONCURRENTLY.

    Undo goes last step first: such a step stands after the one whose undo needs the index.
    """
    drop = ddl.drop_index(index.schema, index.name, concurrently=True)
    return Step(
        id=step_id,
        phase=phase,
        object=f"the way back to index {index.name}",
        do=(),
        done="SELECT true",
        undo=(ddl.create_index(on, index, concurrently=True),),
        gone=probes.index(index.schema, index.name),
        clean=(drop,),
        undo_mode=Mode.CONCURRENT,
        undo_lock=Lock.SHARE_UPDATE_EXCLUSIVE,
        table=render(table(on)),
        reason="the undo builds it before it needs it",
        claims=False,
    )


def plain(index: Index) -> Index:
    """Return the same index, not unique."""
    return replace(unmarked(index), unique=False, nulls_not_distinct=False)


def unmarked(index: Index) -> Index:
    """Return the same index as it is built: no constraint, no mark of the table on it."""
    return replace(index, constraint=None, primary=False, clustered=False, replica_identity=False)


def unique_index(schema: str, name: str, *, immediate: bool) -> str:
    """Tell whether a valid unique index of that name stands, and is checked at once."""
    return render(
        SQL(
            "SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = {} AND indisvalid AND indisunique "
            "AND indimmediate = {})"
        ).format(probes.regclass(QName(schema, name)), sql.Literal(immediate))
    )


def primary_index(schema: str, name: str) -> str:
    """Tell whether the index of that name is the table's primary key."""
    return render(
        SQL("SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = {} AND indisprimary)").format(
            probes.regclass(QName(schema, name))
        )
    )


def _reason(successor: Successor) -> str:
    reason = f"takes the place of {', '.join(successor.sources)}" if successor.sources else successor.note
    return f"{reason} ({successor.note})" if successor.sources and successor.note else reason
