"""Expand: key columns, the lookup's scope column, the index that sync looks values up by, and the sync triggers.

Nothing that an application reads or writes today changes: columns are added, never altered but for being widened.
The order matters: a lookup's triggers stand before its scope is filled (no row slips by), its index stands before the
references' triggers probe it, their functions all stand before the first of their triggers, and the mapping is stored
last, when every newcomer passes through sync.
"""

from __future__ import annotations

from dataclasses import replace

import psycopg
from psycopg import sql

from ..core import widths
from ..core.catalog import Table
from ..core.events import Event
from ..core.model import Lookup, Model, Reference
from ..core.names import shorten
from ..core.plan import Lock, Mode, Step
from ..core.widths import Widening
from ..db import ledger
from ..db.blocks import forget, sweep
from ..db.carry import carry_at_once, carry_pending
from ..db.execute import Handlers, do_steps, undo_steps
from ..db.mapping_store import refresh_mapping
from ..db.session import read_model
from ..db.work import Context, run_sql
from ..errors import ProofFailed
from ..sql import gates, probes
from ..sql.batch import Work
from ..sql.created_lookup import added_by_others, create_table, drop_table, forget_created, values_work
from ..sql.ddl import analyze
from ..sql.fill import scope_work
from ..sql.quote import names, raw, render, table
from ..sql.shapes import longest_path
from ..sql.sync import STILL_QUEUED, nothing_queued, sync_lookup_steps, sync_reference_steps

PHASE = "expand"
SQL = sql.SQL


def gate(ctx: Context) -> None:
    """Expand may start once resolve is done; the runner's order sees to that. Nothing else closes it here."""
    ctx.sink(Event("note", PHASE, "nothing required is unresolved"))


def plan(model: Model, longest_paths: dict[str, int]) -> list[Step]:
    """Return the steps of expand.

    Args:
        model: the model.
        longest_paths: by lookup name, the characters of its longest qualifier path now; 0 where it has none.
    """
    steps: list[Step] = []
    for lookup in model.lookups:
        steps += _create_lookup(model, lookup)
    for lookup in model.lookups:
        steps += [_widen(w) for w in widths.of_lookup(model, lookup)]
        steps += _scope_column(lookup)
    for reference in model.references:
        longest = longest_paths.get(reference.lookup.name, 0)
        steps += [_widen(w) for w in widths.of_reference(reference, longest)]
        steps.append(_key_column(reference))
    for lookup in model.lookups:
        if lookup.qualifier_column is not None:
            # Beside one row alone of its text, sync would take a text for that row, whatever its qualifier.
            steps += _values(model, lookup, "values-before")
        steps += sync_lookup_steps(model, lookup)
        steps += _fill_scope(lookup)
        steps += _lookup_index(lookup)
    synced = [sync_reference_steps(model, reference) for reference in model.references]
    # All functions before the first trigger: once a row can have a key, renames reach every reference.
    for reference, (functions, *_) in zip(model.references, synced, strict=True):
        steps.append(_functions(reference, functions))
    for _, *triggers in synced:
        steps += triggers
    for lookup in model.lookups:
        steps += _values(model, lookup, "values")
    steps += [_mapping(reference) for reference in model.references]
    return steps


def _functions(reference: Reference, made: Step) -> Step:
    """The functions' step, whose undo waits for the renames that may be calling them and keeps out new ones.

    It does not begin while one of them is still queued: without the functions nobody could carry it.
    """
    ready = (render(gates.held(reference.lookup.name)), nothing_queued(reference.lookup))
    return replace(made, undo=(*ready, *made.undo))


def read_longest_paths(ctx: Context) -> dict[str, int]:
    """Return, by lookup name, how many characters its longest qualifier has now."""
    result = {}
    for lookup in ctx.model.lookups:
        if lookup.has_qualifier:
            row = ctx.conn.execute(longest_path(lookup)).fetchone()
            result[lookup.name] = int(row[0]) if row else 0
    return result


def steps_for(ctx: Context) -> list[Step]:
    """Read what the plan depends on and return the plan."""
    return plan(ctx.model, read_longest_paths(ctx))


def do(ctx: Context) -> None:
    """Carry the phase out from where it stands."""
    do_steps(ctx, steps_for(ctx), HANDLERS)


def undo(ctx: Context, *, clear_rows: bool) -> None:
    """Take back everything that the ledger says expand made.

    Renames that were queued since the runner last carried are carried before sync goes, in batches; its undo finds them
    behind the gates, where there can be no further ones. From the first that it finds, whoever renames carries at once:
    otherwise frequent renames would always leave one in the queue.

    Raises:
        GateClosed: a queued rename cannot be carried; see :func:`db.carry.carry_pending`.
    """
    del clear_rows
    at_once = False
    while True:
        try:
            undo_steps(ctx, PHASE, HANDLERS)
            return
        except psycopg.Error as error:
            if error.sqlstate != STILL_QUEUED:
                raise
        ctx.check_stop()
        if not at_once:
            carry_at_once(ctx, PHASE)
            at_once = True
        carry_pending(ctx)


def lookup_index_name(lookup: Lookup) -> str:
    """Return the name of the index that sync probes on a lookup."""
    return shorten(f"normalform_{lookup.table.name.name}_{lookup.text.name}")


def _create_lookup(model: Model, lookup: Lookup) -> list[Step]:
    if not lookup.spec.create:
        return []
    name = lookup.table.name
    stands = SQL("SELECT {} IS NOT NULL").format(probes.regclass(name))
    return [
        Step(
            id=f"{PHASE}/{lookup.name}/create",
            phase=PHASE,
            object=f"table {name}",
            do=create_table(model, lookup),
            done=render(stands),
            undo=(drop_table(name), forget_created(lookup)),
            undo_work=f"added:{lookup.name}",
            undo_lock=Lock.ACCESS_EXCLUSIVE,
            table=render(table(name)),
            reason="the spec says that it is to be made of the texts that there are",
        )
    ]


def _values(model: Model, lookup: Lookup, part: str) -> list[Step]:
    """The rows of a lookup that we make. With sync standing, new texts come by themselves, and these are the others."""
    if not lookup.spec.create:
        return []
    works = [work for bare in (False, True) for work in _value_works(model, lookup, bare=bare)]
    return [
        Step(
            id=f"{PHASE}/{lookup.name}/{part}",
            phase=PHASE,
            object=f"rows of {lookup.table.name}",
            do=tuple(work.example() for work in works),
            mode=Mode.BATCHES,
            work=f"values:{lookup.name}",
            lock=Lock.ROW_EXCLUSIVE,
            table=render(table(lookup.table.name)),
            reason="one for each distinct text of its references",
        )
    ]


def _value_works(model: Model, lookup: Lookup, *, bare: bool) -> list[Work]:
    if bare and lookup.qualifier_column is None:
        return []
    return [values_work(reference, bare=bare) for reference in model.references_of(lookup)]


def _column_step(step_id: str, target: Table, column: str, type_text: str, reason: str) -> Step:
    name = table(target.name)
    return Step(
        id=step_id,
        phase=PHASE,
        object=f"column {target.name}.{column}",
        do=(render(SQL("ALTER TABLE {} ADD COLUMN {} {}").format(name, sql.Identifier(column), raw(type_text))),),
        done=probes.column(target.name, column),
        undo=(render(SQL("ALTER TABLE {} DROP COLUMN {}").format(name, sql.Identifier(column))),),
        lock=Lock.ACCESS_EXCLUSIVE,
        undo_lock=Lock.ACCESS_EXCLUSIVE,
        table=render(name),
        reason=reason,
    )


def _key_column(reference: Reference) -> Step:
    return _column_step(
        f"{PHASE}/{reference.name}/key",
        reference.table,
        reference.key,
        reference.key_type,
        "the foreign key to be; NULL until backfill and sync fill it",
    )


def _scope_column(lookup: Lookup) -> list[Step]:
    if lookup.scope_copy is None:
        return []
    return [
        _column_step(
            f"{PHASE}/{lookup.name}/scope",
            lookup.table,
            lookup.scope[0],
            lookup.scope_types[0],
            "the scope that a composite foreign key needs on the lookup",
        )
    ]


def _fill_scope(lookup: Lookup) -> list[Step]:
    if lookup.scope_copy is None:
        return []
    work = scope_work(lookup)
    return [
        Step(
            id=f"{PHASE}/{lookup.name}/scope-fill",
            phase=PHASE,
            object=f"scope of every row of {lookup.table.name}",
            do=(work.example(),),
            mode=Mode.BATCHES,
            work=f"scope:{lookup.name}",
            lock=Lock.ROW_EXCLUSIVE,
            table=render(table(lookup.table.name)),
            reason="rows that stood before the trigger did",
        )
    ]


def _lookup_index(lookup: Lookup) -> list[Step]:
    """The (scope, text) index, unless the lookup has one that starts with these columns in any order."""
    wanted = {*lookup.scope, lookup.text.name}
    for existing in lookup.table.indexes:
        leading = {c.column for c in existing.columns[: len(wanted)]}
        usable = existing.valid and existing.predicate is None and existing.method == "btree"
        ours = existing.name == lookup_index_name(lookup)
        if usable and not ours and leading == wanted:
            return []
    name = lookup_index_name(lookup)
    schema = lookup.table.name.schema
    index = sql.Identifier(schema, name)
    return [
        Step(
            id=f"{PHASE}/{lookup.name}/index",
            phase=PHASE,
            object=f"index {name}",
            do=(
                render(
                    SQL("CREATE INDEX CONCURRENTLY {} ON {} ({})").format(
                        sql.Identifier(name), table(lookup.table.name), names([*lookup.scope, lookup.text.name])
                    )
                ),
                render(SQL("ANALYZE {}").format(table(lookup.table.name))),
            ),
            done=probes.index(schema, name),
            undo=(render(SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(index)),),
            gone=probes.no_index(schema, name),
            clean=(render(SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(index)),),
            mode=Mode.CONCURRENT,
            undo_mode=Mode.CONCURRENT,
            lock=Lock.SHARE_UPDATE_EXCLUSIVE,
            undo_lock=Lock.SHARE_UPDATE_EXCLUSIVE,
            table=render(table(lookup.table.name)),
            reason="sync and backfill find a text's row by it",
        )
    ]


def _mapping(reference: Reference) -> Step:
    return Step(
        id=f"{PHASE}/{reference.name}/mapping",
        phase=PHASE,
        object=f"mapping of {reference.name}",
        do=(),
        mode=Mode.BATCHES,
        work=f"mapping:{reference.name}",
        lock=Lock.ACCESS_SHARE,
        table=render(table(reference.table.name)),
        reason="what the live lookup does not decide by itself, counted once sync stands",
    )


def _widen(wanted: Widening) -> Step:
    """Widen a varchar column (catalog only) and narrow it again on undo, when every value still fits."""
    target, column, width = wanted.table, wanted.column, wanted.width
    name, col = table(target.name), sql.Identifier(column.name)
    collate = SQL(" COLLATE {}").format(raw(column.collation)) if column.collation else SQL("")
    wide = "character varying" if width is None else f"character varying({width})"
    alter = SQL("ALTER TABLE {} ALTER COLUMN {} TYPE {}{}")
    narrow = render(alter.format(name, col, raw(column.type), collate))
    # Narrowing rewrites the table, and is left out when a value written since needs the width.
    undo = SQL("DO {}").format(
        sql.Literal(
            "BEGIN IF NOT EXISTS (SELECT FROM "
            + render(SQL("{} WHERE length({}) > {}").format(name, col, sql.Literal(column.width)))
            + f") THEN {narrow}; END IF; END"
        )
    )
    return Step(
        id=f"{PHASE}/{wanted.owner}/{wanted.step}",
        phase=PHASE,
        object=f"width of {target.name}.{column.name}: {column.width} to {width if width is not None else 'any'}",
        do=(render(alter.format(name, col, raw(wide), collate)),),
        done=probes.column_type(target.name, column.name, wide),
        undo=(render(undo),),
        gone=probes.column_type(target.name, column.name, column.type),
        undo_mode=Mode.REWRITE,
        lock=Lock.ACCESS_EXCLUSIVE,
        undo_lock=Lock.ACCESS_EXCLUSIVE,
        table=render(name),
        reason=wanted.reason,
        claims=False,
    )


def _do_scope(ctx: Context, lookup: str) -> None:
    sweep(ctx, scope_work(ctx.model.lookup(lookup)))


def _do_values(ctx: Context, name: str) -> None:
    """Give every text its row. Done again from the start whenever it is asked for: what stands is passed over."""
    lookup = ctx.model.lookup(name)
    works = [work for bare in (False, True) for work in _value_works(ctx.model, lookup, bare=bare)]
    try:
        made = sum(sweep(ctx, work).rows for work in works)
    except psycopg.errors.ProgramLimitExceeded as error:
        raise ProofFailed(
            f"{lookup.table.name}: a text is too long for an index: {error.diag.message_primary}",
            hint="normalform audit --code NF114 --all, shorten the texts, then normalform expand again",
        ) from error
    for work in works:
        forget(ctx, work.name)
    ctx.say("note", name, f"{made:,} rows of {lookup.table.name} were made")
    run_sql(ctx, ctx.conn, f"values:{name}:analyze", analyze(lookup.table.name))
    ctx.model = read_model(ctx.conn, ctx.model.spec)  # the table stands: from here on it is read like any other


def _say_added(ctx: Context, name: str) -> None:
    """Say what an application loses with a table of ours, before it is dropped."""
    lookup = ctx.model.lookup(name)
    if lookup.planned:
        return
    row = ctx.conn.execute(added_by_others(lookup)).fetchone()
    text = f"{row[0] if row else 0:,} rows that applications have added to {lookup.table.name}, or renamed, go with it"
    ctx.say("note", name, text)
    ledger.note(ctx.conn, ctx.run, "created", name, text)


def _do_mapping(ctx: Context, reference: str) -> None:
    refresh_mapping(ctx, ctx.model.reference(reference))


HANDLERS: Handlers = {"scope": _do_scope, "mapping": _do_mapping, "values": _do_values, "added": _say_added}
