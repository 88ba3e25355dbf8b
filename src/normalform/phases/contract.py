"""Contract: drops the texts. Before that, uniques get their final form and what keys cannot give back is archived.

Decides the order, and above all the order of the way back, which is the same list from its end: columns, the lookups'
sync, the references' sync, texts, then NOT NULL, indexes, uniques and the rest as they were. It must never write
CASCADE (CORRECTNESS 24), drop a text that could not be given back, nor touch a reference that keeps its text.
"""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg import sql

from ..core.catalog import Constraint, Table
from ..core.conservation import Conserved, conserve
from ..core.index_successor import DEFERRABLE, LATE, Successor
from ..core.model import Model, Reference
from ..core.names import QName
from ..core.plan import Lock, Mode, Step
from ..db.blocks import forget, sweep
from ..db.certificates import broken_sync
from ..db.conservation import (
    collisions,
    dependents,
    finding,
    interim_plain,
    legacy_collisions,
    lost_lines,
    plain_ones,
    splits,
    unkept,
    waived,
)
from ..db.execute import Handlers, do_steps, probe, undo_steps
from ..db.find_bodies import hidden_readers
from ..db.ledger import recorded_steps, step_states
from ..db.work import Context, run_sql
from ..errors import GateClosed
from ..sql import columns, probes
from ..sql.archive import archive_work, refill_work
from ..sql.archive_trigger import create_triggers, drop_triggers, trigger_names
from ..sql.batch import Work
from ..sql.constraint_steps import either, negated
from ..sql.quote import LEDGER, render, table
from ..sql.residue import forget_residue
from ..sql.splitting import make_copies, remember_copies, withdraw_copies
from ..sql.successor_steps import primary_steps, switch_steps
from ..sql.sync_away import Recorded, drop_reference_sync, sync_away_steps
from ..sql.way_back import columns_back, columns_gone, marks_back, way_back

PHASE, BEFORE = "contract", "constrain"
#: What ends a rollback beside new code that keeps writing what the legacy schema forbids.
FENCED = "--strategy window keeps new ones out"
SQL = sql.SQL


def gate(ctx: Context) -> None:
    """Close unless nothing would be lost that cannot be given back, and nothing hangs on the columns.

    Raises:
        GateClosed: ``sync``, ``renames``, ``conservation``, ``dependents``, ``archive`` or ``collisions``.
    """
    tables = _contracted(ctx.model, ctx.baseline)
    # Once contract has begun, sync is being taken down. (Constrain hardens it, so no certificate from before holds
    # to the letter; and whatever text a key does not give is archived, whatever the reason.)
    if not step_states(ctx.conn, PHASE):
        broken = broken_sync(ctx.conn, ctx.model)
        if broken:
            raise GateClosed("sync", broken, hint="normalform rollback --to resolve makes sync anew")
    row = ctx.conn.execute("SELECT count(*) FROM normalform.pending").fetchone()
    if row and row[0]:
        raise GateClosed("renames", [f"{row[0]:,} renames are still to be carried"], hint="normalform verify")
    tables = [t for t in tables if all(t.current.column(c) is not None for c in t.dropped)]
    lost = lost_lines(tables, waived(ctx))
    if lost:
        raise GateClosed("conservation", lost, hint="settle each, or waive it with its reason")
    blocking = [line for t in tables for line in dependents(ctx.conn, t)]
    if blocking:
        raise GateClosed("dependents", blocking, hint="change or drop them first: contract never cascades")
    readers = hidden_readers(ctx, waived(ctx)) if tables else []
    if readers:
        hint = "change them first, or waive each by its name: the server would let the columns go, and calls would fail"
        raise GateClosed("dependents", readers, hint=hint)
    unkeepable = [line for t in tables for line in unkept(ctx.conn, t)]
    if unkeepable:
        raise GateClosed("archive", unkeepable, hint="give the table a primary key, or keep_text = true")
    found = collisions(ctx.conn, ctx.model, tables, mask=bool(ctx.options.get("mask")))
    if found:
        raise GateClosed("collisions", found, hint="settle the rows named, then the same command again")


def plan(
    model: Model,
    baseline: Mapping[QName, Table],
    interim: Mapping[QName, frozenset[str]] | None = None,
    recorded: Recorded | None = None,
    split: frozenset[str] = frozenset(),
) -> list[Step]:
    """Return the steps of contract.

    Args:
        model: the model.
        baseline: the tables before the first change.
        interim: by table, the successors that constrain leaves as plain indexes; all others of the uniques stand as
            deferrable constraints. Without it, what constrain leaves by default.
        recorded: what expand and constrain made of sync, from the ledger; what the model would make where it is absent.
        split: the references of which a value is split, so that rows are copied when their text goes.
    """
    tables = _contracted(model, baseline)
    steps: list[Step] = []
    for conserved in tables:
        steps += _uniques(conserved, (interim or {}).get(conserved.name, plain_ones(conserved, deferrable=False)))
    for conserved in tables:
        for reference in conserved.going():
            steps += _archive(conserved, reference)
    # Undone between the columns' coming back and the refill: from then on nobody writes a row without its text.
    going = [reference for conserved in tables for reference in conserved.going()]
    steps += sync_away_steps(PHASE, model, going, recorded or {})
    return steps + [_drop(model, conserved, split) for conserved in tables]


def steps_for(ctx: Context) -> list[Step]:
    """Read how constrain left the uniques, or would leave them, and what sync was made of, and return the plan."""
    states = step_states(ctx.conn, BEFORE)
    deferrable = ctx.options.get("uniques", LATE) == DEFERRABLE
    interim = {
        t.name: interim_plain(states, BEFORE, t, deferrable=deferrable) for t in _contracted(ctx.model, ctx.baseline)
    }
    recorded = {s.id: s.do for phase in ("expand", BEFORE) for s in recorded_steps(ctx.conn, phase)}
    return plan(ctx.model, ctx.baseline, interim, recorded, splits(ctx.conn))


def do(ctx: Context) -> None:
    """Carry the phase out from where it stands.

    Raises:
        GateClosed: rows could not be archived, because somebody holds them.
        ProofFailed: a unique build met duplicates.
    """
    try:
        do_steps(ctx, steps_for(ctx), HANDLERS)
    except psycopg.errors.IntegrityError as error:
        raise finding(ctx, error) from error


def undo_gate(ctx: Context) -> None:
    """Close the way back while the legacy schema could not hold what new code has written; nothing has changed yet.

    Raises:
        GateClosed: a legacy unique would refuse rows that new code has written (CORRECTNESS 32).
    """
    found = legacy_collisions(ctx.conn, _contracted(ctx.model, ctx.baseline), mask=bool(ctx.options.get("mask")))
    if found:
        raise GateClosed(
            "legacy-collisions", found, hint=f"decide which of the rows stays, then roll back again; {FENCED}"
        )


def undo(ctx: Context, *, clear_rows: bool) -> None:
    """Give the texts back, and everything that stood on them.

    Raises:
        GateClosed: rows are held.
        ProofFailed: what the legacy schema demands does not hold any more; the rows are named.
    """
    del clear_rows
    try:
        undo_steps(ctx, PHASE, HANDLERS)
    except psycopg.errors.IntegrityError as error:
        hint = f"the same command again names all such rows: decide which of them stays; {FENCED}"
        raise finding(ctx, error, hint=hint) from error


def _contracted(model: Model, baseline: Mapping[QName, Table]) -> list[Conserved]:
    return [t for t in conserve(model, baseline) if t.dropped]


def _uniques(conserved: Conserved, plain: frozenset[str]) -> list[Step]:
    """The successors' final forms, and the way back to all that goes with the columns."""
    on = conserved.name
    successors = conserved.succession.successors
    legacy_key = next((c for c, _ in conserved.legacy.constraints if c.kind == "p"), None)
    primary = next((s for s in successors if s.kind == "primary"), None)
    steps = marks_back(PHASE, conserved)
    for successor in successors:
        steps += switch_steps(PHASE, on, successor, deferrable=successor.name not in plain)
    if primary is not None and legacy_key is not None:
        steps += primary_steps(PHASE, on, primary, legacy_key, deferrable=primary.name not in plain)
    steps += [s for successor in successors for s in _marks(conserved, successor, legacy_key)]
    return steps + way_back(PHASE, conserved, primary_done=primary is not None)


def _marks(conserved: Conserved, successor: Successor, legacy_key: Constraint | None) -> list[Step]:
    """Replica identity and CLUSTER go over to the successor; the way back gives them to the legacy index again."""
    del legacy_key
    index, on = successor.index, conserved.name
    if index is None or not (index.replica_identity or index.clustered):
        return []
    name = sql.Identifier(index.name)
    steps = []
    marks = [
        ("identity", index.replica_identity, SQL("ALTER TABLE {} REPLICA IDENTITY USING INDEX {}"), "indisreplident"),
        ("cluster", index.clustered, SQL("ALTER TABLE {} CLUSTER ON {}"), "indisclustered"),
    ]
    for what, wanted, statement, flag in marks:
        if not wanted:
            continue
        done = SQL("SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = {} AND {})").format(
            probes.regclass(QName(index.schema, index.name)), sql.Identifier(flag)
        )
        steps.append(
            Step(
                id=f"{PHASE}/successor/{on}/{successor.name}-{what}",
                phase=PHASE,
                object=f"{what} of {on} by {index.name}",
                do=(render(statement.format(table(on), name)),),
                done=render(done),
                lock=Lock.ACCESS_EXCLUSIVE,
                table=render(table(on)),
                reason="the legacy index that had it goes with the columns",
                claims=False,
            )
        )
    return steps


def _archive(conserved: Conserved, reference: Reference) -> list[Step]:
    """The trigger first, then the sweep: no row that changes in between slips by."""
    prefix, there = f"{PHASE}/{reference.name}", render(table(conserved.name))
    last = trigger_names(reference)[-1]
    gone = columns_gone(conserved)
    steps = [
        Step(
            id=f"{prefix}/archive-trigger",
            phase=PHASE,
            object=f"trigger that keeps the archive of {reference.name} right",
            do=create_triggers(conserved, reference),
            done=either(probes.trigger(conserved.name, last), gone),
            undo=drop_triggers(conserved, reference),
            gone=negated(probes.trigger(conserved.name, last)),
            lock=Lock.SHARE_ROW_EXCLUSIVE,
            undo_lock=Lock.ACCESS_EXCLUSIVE,
            table=there,
            reason="rows change between the sweep and the drop",
        )
    ]
    kept = bool(conserved.identity)
    work = archive_work(conserved, reference) if kept else None
    steps.append(
        Step(
            id=f"{prefix}/archive",
            phase=PHASE,
            object=f"archive of {reference.name}: texts that keys do not give",
            do=(work.example(),) if work is not None else (),
            undo=(forget_residue(reference),),
            mode=Mode.BATCHES,
            undo_mode=Mode.REWRITE,  # one statement over our own table, as long as it takes
            work=f"archive:{reference.name}",
            undo_work=f"refill:{reference.name}",
            lock=Lock.ROW_EXCLUSIVE,
            undo_lock=Lock.ROW_EXCLUSIVE,
            table=there,
            reason="the way back gives each row its own bytes again",
        )
    )
    return steps


def _drop(model: Model, conserved: Conserved, split: frozenset[str]) -> Step:
    """One short transaction: triggers first, since they read the columns; then the columns and all that is on them.

    Where a value is split, the rows are copied in it too: no reader sees the one without the other. That reads the
    table under its lock, as long as it takes.
    """
    statements: list[str] = []
    for reference in conserved.going():
        statements += drop_triggers(conserved, reference)
        statements += drop_reference_sync(model, reference)
    copied = [reference for reference in conserved.going() if reference.name in split]
    statements += [remember_copies(reference) for reference in copied]
    statements += [columns.drop_column(conserved.name, c) for c in conserved.dropped]
    statements += [make_copies(conserved, reference) for reference in copied]
    back = [withdraw_copies(conserved, reference) for reference in copied]
    if copied:
        # ALTER TABLE refuses a table on which deferred foreign keys of others have a deletion still to check.
        back.append("SET CONSTRAINTS ALL IMMEDIATE")
    # As they are now, widened columns included; expand's own undo narrows them again.
    back += [statement for c in conserved.legacy.columns for statement in columns.add_base(conserved.name, c)]
    return Step(
        id=f"{PHASE}/drop/{conserved.name}",
        phase=PHASE,
        object=f"columns {', '.join(conserved.dropped)} of {conserved.name}",
        do=tuple(statements),
        done=columns_gone(conserved),
        undo=tuple(back),
        gone=columns_back(conserved),
        lock=Lock.ACCESS_EXCLUSIVE,
        undo_lock=Lock.ACCESS_EXCLUSIVE,
        mode=Mode.REWRITE if copied else Mode.TRANSACTION,
        undo_mode=Mode.REWRITE if copied else Mode.TRANSACTION,
        table=render(table(conserved.name)),
        reason="the keys say it all, and the archive the rest" + ("; split rows are copied" if copied else ""),
        claims=False,
    )


def _conserved(ctx: Context, name: str) -> tuple[Conserved, Reference]:
    for conserved in conserve(ctx.model, ctx.baseline):
        for reference in conserved.references:
            if reference.name == name:
                return conserved, reference
    raise KeyError(name)


def _do_archive(ctx: Context, name: str) -> None:
    conserved, reference = _conserved(ctx, name)
    if conserved.current.column(reference.text.name) is None:
        return  # dropped by the run before us, when everything was in the archive
    if conserved.identity:
        _sweep(ctx, archive_work(conserved, reference), "archived")
        # The way back probes it row by row.
        run_sql(ctx, ctx.conn, f"archive:{name}:analyze", f"ANALYZE {LEDGER}.residue")
        return
    lines = unkept(ctx.conn, conserved)
    if lines:
        raise GateClosed("archive", lines, hint="give the table a primary key, or keep_text = true")


def _do_refill(ctx: Context, name: str) -> None:
    conserved, reference = _conserved(ctx, name)
    _sweep(ctx, refill_work(conserved, reference, kept=_kept(ctx, conserved, reference)), "given their text back")


def _kept(ctx: Context, conserved: Conserved, reference: Reference) -> bool:
    """Whether the text was never dropped and its archive was finished: its trigger has kept it right ever since."""
    row = ctx.conn.execute(
        "SELECT done_at IS NOT NULL FROM normalform.step WHERE id = %s", (f"{PHASE}/{reference.name}/archive",)
    ).fetchone()
    return bool(row and row[0]) and probe(ctx.conn, probes.trigger(conserved.name, trigger_names(reference)[-1]))


def _sweep(ctx: Context, work: Work, what: str) -> None:
    swept = sweep(ctx, work)
    if swept.skipped:
        by = swept.holders or "nobody now"
        line = f"{work.ground.name}: {swept.skipped:,} rows could not be {what}; held by {by}"
        raise GateClosed("held-rows", [line], hint="end that transaction, then run the same command again")
    # Forgotten at once: what is done a second time, after a rollback, must look at every block again.
    forget(ctx, work.name)


HANDLERS: Handlers = {"archive": _do_archive, "refill": _do_refill}
