"""The way back from contract: steps that do nothing, and whose undo builds again what went with the columns.

DROP COLUMN takes indexes and constraints along in one short transaction; each of them has a step here that holds its
definition. Undo goes last step first, so the steps stand in the reverse of the order in which things come back:
domains, NOT NULL, indexes, uniques, checks, foreign keys, statistics, marks and comments. Nothing is built under a lock
that stops writers where PostgreSQL knows another way. It must never change a name or a definition.
"""

from __future__ import annotations

from psycopg import sql

from ..core.catalog import Constraint, Index
from ..core.conservation import Conserved
from ..core.names import QName, shorten
from ..core.plan import Lock, Mode, Step
from . import columns, ddl, probes
from .constraint_steps import either
from .quote import render, table
from .successor_steps import build_back

SQL = sql.SQL


def way_back(phase: str, conserved: Conserved, *, primary_done: bool) -> list[Step]:
    """Return the steps that hold everything which contract takes along on one table, in the order of the plan.

    Args:
        phase: contract.
        conserved: the table.
        primary_done: whether the legacy primary key comes back by the undo of the step that swapped it, so that only
            its index must be built here.
    """
    legacy, on = conserved.legacy, conserved.name
    prefix = f"{phase}/back/{on}"
    steps: list[Step] = []
    for statistics in legacy.statistics:
        step_id = f"{prefix}/statistics/{statistics.name}"
        gone = statistics_exist(statistics.name)
        undo = ddl.create_statistics(statistics)
        steps.append(_back(step_id, phase, on, f"statistics {statistics.name}", undo, gone=gone))
    by_kind = {kind: [pair for pair in legacy.constraints if pair[0].kind == kind] for kind in "fcxup"}
    for kind in "fc":
        for constraint, _ in reversed(by_kind[kind]):
            steps += _checked(f"{prefix}/{constraint.name}", phase, on, constraint)
    for constraint, index in reversed(by_kind["x"]):
        steps.append(_under_lock(f"{prefix}/{constraint.name}", phase, on, constraint, index))
    for kind in "up":
        for constraint, index in reversed(by_kind[kind]):
            attach = not (kind == "p" and primary_done)
            steps += _unique(f"{prefix}/{constraint.name}", phase, on, constraint, index, attach=attach)
    steps += [build_back(f"{prefix}/{i.name}", phase, on, i) for i in reversed(legacy.indexes)]
    for column, name in reversed(legacy.not_null):
        steps += _not_null(f"{prefix}/not-null/{column}", phase, on, column, name)
    for domain in [c for c in reversed(legacy.columns) if columns.is_domain(c)]:
        what, undo = f"{domain.type} of {domain.name}", columns.domain_back(on, domain)
        gone = probes.column_type(on, domain.name, domain.type)
        steps.append(_back(f"{prefix}/domain/{domain.name}", phase, on, what, undo, gone=gone, mode=Mode.REWRITE))
    return steps


def marks_back(phase: str, conserved: Conserved) -> list[Step]:
    """Return the step that holds comments, CLUSTER and replica identity; it comes back after everything else."""
    on, legacy = conserved.name, conserved.legacy
    statements: list[str] = []
    for constraint, index in legacy.constraints:
        statements += ddl.constraint_comment(on, constraint)
        if index is not None:
            statements += ddl.index_extras(on, index)
    for index in legacy.indexes:
        statements += ddl.index_extras(on, index)
    if not statements:
        return []
    return [_back(f"{phase}/back/{on}/marks", phase, on, f"comments and marks of {on}", tuple(statements), gone="")]


def columns_gone(conserved: Conserved) -> str:
    """Tell whether none of the dropped columns stands."""
    return render(
        SQL(
            "SELECT NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = {} AND attname = ANY ({}::text[]) "
            "AND NOT attisdropped)"
        ).format(probes.regclass(conserved.name), sql.Literal(list(conserved.dropped)))
    )


def columns_back(conserved: Conserved) -> str:
    """Tell whether all of the dropped columns stand."""
    return render(
        SQL(
            "SELECT count(*) = {} FROM pg_attribute WHERE attrelid = {} AND attname = ANY ({}::text[]) "
            "AND NOT attisdropped"
        ).format(
            sql.Literal(len(conserved.dropped)),
            probes.regclass(conserved.name),
            sql.Literal(list(conserved.dropped)),
        )
    )


def statistics_exist(name: QName) -> str:
    """Tell whether the extended statistics object stands."""
    return render(
        SQL(
            "SELECT EXISTS (SELECT FROM pg_statistic_ext WHERE stxname = {} AND stxnamespace = to_regnamespace({}))"
        ).format(sql.Literal(name.name), sql.Literal(render(sql.Identifier(name.schema))))
    )


def _back(
    step_id: str,
    phase: str,
    on: QName,
    what: str,
    undo: tuple[str, ...],
    *,
    gone: str,
    mode: Mode = Mode.TRANSACTION,
    lock: Lock = Lock.ACCESS_EXCLUSIVE,
    clean: tuple[str, ...] = (),
) -> Step:
    return Step(
        id=step_id,
        phase=phase,
        object=f"the way back to {what}",
        do=(),
        done="SELECT true",
        undo=undo,
        gone=gone,
        undo_mode=mode,
        undo_lock=lock,
        table=render(table(on)),
        reason="it goes with the columns, and comes back with them",
        clean=clean,
        claims=False,
    )


def _checked(step_id: str, phase: str, on: QName, constraint: Constraint) -> list[Step]:
    """A check or foreign key: NOT VALID first, validated after."""
    lock = Lock.ACCESS_EXCLUSIVE if constraint.kind == "c" else Lock.SHARE_ROW_EXCLUSIVE
    what = f"{'check' if constraint.kind == 'c' else 'foreign key'} {constraint.name}"
    add = _back(
        f"{step_id}/add",
        phase,
        on,
        what,
        (ddl.add_constraint(on, constraint, not_valid=True),),
        gone=probes.constraint(on, constraint.name),
        lock=lock,
    )
    if not constraint.validated:
        return [add]
    validate = _back(
        f"{step_id}/validate",
        phase,
        on,
        f"{what}, validated",
        (ddl.validate_constraint(on, constraint.name),),
        gone=probes.constraint(on, constraint.name, validated=True),
        mode=Mode.CONCURRENT,
        lock=Lock.SHARE_UPDATE_EXCLUSIVE,
    )
    return [validate, add]


def _under_lock(step_id: str, phase: str, on: QName, constraint: Constraint, index: Index | None) -> Step:
    """What PostgreSQL can only build under its lock: exclusion constraints, and uniques WITHOUT OVERLAPS."""
    return _back(
        step_id,
        phase,
        on,
        f"constraint {constraint.name}",
        (ddl.add_constraint(on, constraint, index),),
        gone=probes.constraint(on, constraint.name),
        mode=Mode.REWRITE,
    )


def _unique(
    step_id: str, phase: str, on: QName, constraint: Constraint, index: Index | None, *, attach: bool
) -> list[Step]:
    if index is None or constraint.period:
        return [_under_lock(step_id, phase, on, constraint, index)]
    built = build_back(f"{step_id}/build", phase, on, index)
    if not attach:
        return [built]
    statement = ddl.attach_unique(
        on,
        constraint.name,
        index.name,
        primary=constraint.kind == "p",
        deferrable=constraint.deferrable,
        deferred=constraint.deferred,
    )
    gone = probes.constraint(on, constraint.name)
    return [_back(f"{step_id}/attach", phase, on, f"constraint {constraint.name}", (statement,), gone=gone), built]


def _not_null(step_id: str, phase: str, on: QName, column: str, name: str | None) -> list[Step]:
    """NOT NULL by way of a check; PostgreSQL 18 keeps the constraint's own name."""
    check = shorten(f"normalform_{on.name}_{column}_not_null")
    reached = probes.not_null(on, column)
    if name is None:
        final = columns.set_not_null(on, column)
    else:
        final = render(
            SQL("ALTER TABLE {} ADD CONSTRAINT {} NOT NULL {}").format(
                table(on), sql.Identifier(name), sql.Identifier(column)
            )
        )
    condition = SQL("{} IS NOT NULL").format(sql.Identifier(column))
    return [
        _back(
            f"{step_id}/set", phase, on, f"NOT NULL on {column}", (final, ddl.drop_constraint(on, check)), gone=reached
        ),
        _back(
            f"{step_id}/validate",
            phase,
            on,
            f"validation of {check}",
            (ddl.validate_constraint(on, check),),
            gone=either(probes.constraint(on, check, validated=True), reached),
            mode=Mode.CONCURRENT,
            lock=Lock.SHARE_UPDATE_EXCLUSIVE,
        ),
        _back(
            f"{step_id}/check",
            phase,
            on,
            f"check {check}",
            (ddl.add_check(on, check, condition),),
            gone=either(probes.constraint(on, check), reached),
        ),
    ]
