"""Constrain: successors of every index and unique, the foreign key, NOT NULL, and the lookup's own unique.

Decides the order. A unique on the lookup comes before the foreign key that refers to it; the indexes come before it
too, so that its own checks find their rows; what reads whole tables does so beside writers. Legacy objects stay as they
are until contract. It must never build a unique whose collisions it has not asked for, nor adopt an object of others.

By default a unique successor comes *late*: a plain index stands in its place, the legacy unique guards on, and contract
makes it unique, so that no statement of old or of new code meets a unique that it does not know. Which way a run chose
is kept by what it built: a resumed run goes on with it.
"""

from __future__ import annotations

from collections.abc import Mapping

import psycopg

from ..core.catalog import Table
from ..core.conservation import Conserved, conserve
from ..core.index_successor import DEFERRABLE, LATE
from ..core.model import Lookup, Model, Reference
from ..core.names import QName
from ..core.plan import Lock, Mode, Step
from ..db.certificates import broken_sync, unproven
from ..db.conservation import collisions, finding, lookup_uniques, lost_lines, waived
from ..db.execute import Handlers, do_steps, undo_steps
from ..db.ledger import recorded_steps, step_states
from ..db.work import Context, run_sql
from ..errors import GateClosed
from ..sql import constraint_steps as build
from ..sql import ddl
from ..sql.quote import render, table
from ..sql.successor_steps import successor_steps
from ..sql.sync import harden_steps

PHASE = "constrain"


def gate(ctx: Context) -> None:
    """Close unless text and key are proven to say the same now, everything has a successor, and no unique collides.

    Raises:
        GateClosed: ``proof``, ``conservation`` or ``collisions``.
    """
    # Once constrain has begun, it has hardened sync itself: no certificate from before holds to the letter.
    begun = step_states(ctx.conn, PHASE)
    doubts = broken_sync(ctx.conn, ctx.model) if begun else unproven(ctx.conn, ctx.model)
    if doubts:
        raise GateClosed("proof", doubts, hint="normalform verify")
    tables = conserve(ctx.model, ctx.baseline)
    lost = lost_lines(tables, waived(ctx))
    if lost:
        raise GateClosed("conservation", lost, hint="settle each, or waive it with its reason")
    found = collisions(ctx.conn, ctx.model, tables, mask=bool(ctx.options.get("mask")))
    if found:
        raise GateClosed("collisions", found, hint="normalform audit, then normalform resolve export decisions.csv")


def plan(model: Model, baseline: Mapping[QName, Table], *, deferrable: bool = False) -> list[Step]:
    """Return the steps of constrain.

    Args:
        model: the model.
        baseline: the tables before the first change; every decision about names and about what exists is made on it,
            so that a resumed run makes the same plan.
        deferrable: whether a unique successor stands as a DEFERRABLE constraint until contract (CORRECTNESS 21). When
            False, a plain index stands in its place and contract makes it unique: a deferrable constraint makes every
            ``ON CONFLICT DO NOTHING`` without target on its table fail (SQLSTATE 55000), and while its index is built
            it refuses what an immediate unique refuses.
    """
    tables = conserve(model, baseline)
    steps = [_analyze(t) for t in tables]
    for lookup in model.lookups:
        steps += _lookup(model, lookup, baseline.get(lookup.table.name, lookup.table))
    for conserved in tables:
        for successor in conserved.succession.successors:
            steps += successor_steps(PHASE, conserved.name, successor, deferrable=deferrable)
    for conserved in tables:
        for reference in conserved.references:
            steps += _reference(model, reference)
    return steps


def steps_for(ctx: Context) -> list[Step]:
    """Return the plan of this run: as it was begun, else as ``options["uniques"]`` says, else ``late``."""
    wanted = ctx.options.get("uniques", LATE) == DEFERRABLE
    begun = _begun(ctx)
    if begun is not None and begun is not wanted:
        ctx.say("note", PHASE, f"begun with --uniques {DEFERRABLE if begun else LATE}, and goes on so")
    return plan(ctx.model, ctx.baseline, deferrable=wanted if begun is None else begun)


def _begun(ctx: Context) -> bool | None:
    """Whether an earlier run has built unique successors as DEFERRABLE constraints; None when it has built none."""
    recorded = {step.id: step.do for step in recorded_steps(ctx.conn, PHASE)}
    forms = {d: {s.id: s.do for s in plan(ctx.model, ctx.baseline, deferrable=d)} for d in (False, True)}
    for deferrable, statements in forms.items():
        telling = {i: do for i, do in statements.items() if forms[not deferrable].get(i) != do}
        if any(recorded.get(i) == do for i, do in telling.items()):
            return deferrable
    return None


def do(ctx: Context) -> None:
    """Carry the phase out from where it stands.

    Raises:
        ProofFailed: a unique build met duplicates that came in while it ran, or a validation met a row.
    """
    try:
        do_steps(ctx, steps_for(ctx), HANDLERS)
    except psycopg.errors.IntegrityError as error:
        raise finding(ctx, error) from error


def undo(ctx: Context, *, clear_rows: bool) -> None:
    """Take back everything that the ledger says constrain made."""
    del clear_rows
    undo_steps(ctx, PHASE, HANDLERS)


def _stands(before: Table, columns: tuple[str, ...]) -> bool:
    """Whether the table had a unique on these columns, in any order, that a foreign key can refer to."""
    return any(
        i.unique
        and i.valid
        and i.immediate
        and i.predicate is None
        and not i.nulls_not_distinct
        and len(i.columns) == len(columns)
        and {c.column for c in i.columns} == set(columns)
        for i in before.indexes
    )


def _lookup(model: Model, lookup: Lookup, before: Table) -> list[Step]:
    name = lookup.table.name
    steps: list[Step] = []
    if lookup.scope_copy is not None:
        reason = "every row of the lookup has a scope"
        steps += build.not_null(f"{PHASE}/lookup/{lookup.name}/scope", PHASE, name, lookup.scope[0], reason=reason)
    for n, index in enumerate(lookup_uniques(lookup)):
        columns = tuple(c.column for c in index.columns if c.column is not None)
        own = columns == lookup.spec.unique
        needed = own or model.references_of(lookup)
        if not needed or _stands(before, columns):
            continue
        reason = "the lookup's own unique, from the spec" if own else "what the composite foreign keys refer to"
        step_id = f"{PHASE}/lookup/{lookup.name}/unique-{n}"
        steps.append(build.build_index(step_id, PHASE, name, index, reason=reason))
        if own:
            steps.append(build.attach_unique(f"{step_id}-attach", PHASE, name, index.name, reason=reason))
    return steps


def _reference(model: Model, reference: Reference) -> list[Step]:
    name, key = reference.table.name, reference.key
    scope = [c.name for c in reference.scope]
    prefix = f"{PHASE}/{reference.name}"
    steps: list[Step] = []
    nullable = [c.name for c in reference.nullable_scope]
    if nullable:
        steps += build.scope_check(f"{prefix}/scope", PHASE, name, key, nullable)
    lookup = reference.lookup
    steps += build.foreign_key(
        f"{prefix}/foreign-key",
        PHASE,
        name,
        key,
        [*scope, key],
        lookup.table.name,
        [*lookup.scope, lookup.key.name],
        reference.spec.on_delete,
    )
    steps += harden_steps(model, reference, phase=PHASE)
    if reference.spec.required:
        steps += build.not_null(f"{prefix}/not-null", PHASE, name, key, reason="every row has its key")
    return steps


def _analyze(conserved: Conserved) -> Step:
    first = conserved.references[0]
    return Step(
        id=f"{PHASE}/{first.name}/analyze",
        phase=PHASE,
        object=f"statistics of {conserved.name}",
        do=(ddl.analyze(conserved.name),),
        mode=Mode.BATCHES,
        work=f"analyze:{first.name}",
        lock=Lock.SHARE_UPDATE_EXCLUSIVE,
        table=render(table(conserved.name)),
        reason="plans must know the key before anybody plans with it",
    )


def _do_analyze(ctx: Context, reference: str) -> None:
    name = ctx.model.reference(reference).table.name
    run_sql(ctx, ctx.conn, f"analyze:{reference}", ddl.analyze(name))


HANDLERS: Handlers = {"analyze": _do_analyze}
