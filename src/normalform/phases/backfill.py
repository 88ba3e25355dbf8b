"""Backfill: every row that stood when the phase began gets its key, in batches, from the live lookup and the decisions.

Rows written since have theirs from sync, so it ends whatever the insert rate. It never touches a row that has a key,
and never guesses: what nothing decides stays without a key, and where the reference is required the phase then stays
open, says so with numbers, and can be run again when it has been decided.
"""

from __future__ import annotations

import psycopg

from ..core.mapping import Entry
from ..core.model import Reference
from ..core.plan import Lock, Mode, Step
from ..core.retry import RETRYABLE, waits
from ..db.batch import vacuum
from ..db.blocks import Swept, forget, sweep
from ..db.carry import carry_as_asked, carry_at_once, carry_pending
from ..db.execute import Handlers, do_steps, lock_holders, undo_steps
from ..db.mapping_store import Left, Undecided, lately_refreshed, left, newcomers, refresh_mapping
from ..db.work import Context, run_sql
from ..errors import GateClosed, ProofFailed
from ..sql.fill import clear_work, fill_work, uncleared
from ..sql.quote import render, table

PHASE = "backfill"
#: Sweeps of one reference: values that become decided meanwhile are given another, but not for ever.
SWEEPS = 5
ANALYZE_LOCK_MS = 2_000
ANALYZE_TRIES = 5
NEXT = (
    "normalform audit, normalform resolve export decisions.csv, decide, normalform resolve apply decisions.csv, "
    "then normalform backfill again"
)


def gate(ctx: Context) -> None:
    """Backfill may start when the refreshed mapping leaves nothing undecided in the required references.

    Raises:
        GateClosed: newcomers, with their numbers and the largest of them.
    """
    carry_pending(ctx)
    for reference in ctx.model.references:
        # Expand's last step has just done this, behind sync; what came since is found when all is filled.
        if not lately_refreshed(ctx, reference):
            refresh_mapping(ctx, reference)
    found = newcomers(ctx)
    if found:  # decided since, perhaps
        for undecided in found:
            refresh_mapping(ctx, ctx.model.reference(undecided.reference))
        found = newcomers(ctx)
    if found:
        raise GateClosed("newcomers", [describe(ctx, f) for f in found], hint=NEXT)


def steps_for(ctx: Context) -> list[Step]:
    """Return the plan: one step for each reference."""
    return [_step(reference) for reference in ctx.model.references]


def do(ctx: Context) -> None:
    """Fill every reference from where it stands.

    Raises:
        GateClosed: rows are held by somebody who is named.
        ProofFailed: rows of a required reference are left that nothing decides.
        Interrupted: Ctrl-C; the batches in hand have committed.
    """
    do_steps(ctx, steps_for(ctx), HANDLERS)


def undo(ctx: Context, *, clear_rows: bool) -> None:
    """Take the keys away again, in batches; or only forget where it stood, when the columns will be dropped anyway."""
    undo_steps(ctx, PHASE, HANDLERS, skip=frozenset() if clear_rows else frozenset({"clear"}))
    for reference in ctx.model.references:
        forget(ctx, fill_work(reference).name)


def describe(ctx: Context, undecided: Undecided) -> str:
    """Say what is undecided in one reference, with the largest values unless values are masked."""
    text = f"{undecided.reference}: {undecided.rows:,} rows of {undecided.values:,} values are undecided"
    if ctx.options.get("mask") or not undecided.samples:
        return text
    return f"{text}, such as {', '.join(_value(s) for s in undecided.samples)}"


def _value(entry: Entry) -> str:
    within = [v for v in (*entry.scope, entry.qualifier) if v is not None]
    where = f" ({', '.join(within)})" if within else ""
    return f"{entry.text!r}{where} {entry.how}, {entry.rows:,} rows"


def _step(reference: Reference) -> Step:
    return Step(
        id=f"{PHASE}/{reference.name}/fill",
        phase=PHASE,
        object=f"keys of {reference.table.name}",
        do=(fill_work(reference).example(),),
        mode=Mode.BATCHES,
        undo_mode=Mode.BATCHES,
        work=f"fill:{reference.name}",
        undo_work=f"clear:{reference.name}",
        lock=Lock.ROW_EXCLUSIVE,
        undo_lock=Lock.ROW_EXCLUSIVE,
        table=render(table(reference.table.name)),
        reason="every row that stood before sync did gets its key",
    )


def _fill(ctx: Context, name: str) -> None:
    """Fill one reference, and make sure of it by counting what is left."""
    reference = ctx.model.reference(name)
    work = fill_work(reference)
    swept, remaining = Swept(0), None
    for _ in range(SWEEPS):
        swept = sweep(ctx, work)
        carry_pending(ctx)
        remaining = left(ctx, reference)
        # A row may have become fillable behind the sweep: its lookup row was written meanwhile. Or it will be as soon
        # as a rename has been carried that came behind the last carrying.
        if swept.skipped or not (remaining.fillable or remaining.waiting):
            break
    assert remaining is not None
    if ctx.model.spec.backfill.vacuum != "never":
        vacuum(ctx, ctx.conn, work)
    analyze(ctx, reference)
    _judge(ctx, reference, swept, remaining)


def _judge(ctx: Context, reference: Reference, swept: Swept, remaining: Left) -> None:
    name = reference.name
    if remaining.fillable:
        by = swept.holders or "nobody now: they were written behind the last pass"
        raise GateClosed(
            "held-rows",
            [f"{name}: {remaining.fillable:,} rows could not be filled; held by {by}"],
            hint="end that transaction, then normalform backfill again",
        )
    if remaining.waiting and reference.spec.required:
        raise GateClosed(
            "renames",
            [f"{name}: {remaining.waiting:,} rows wait for a rename of {reference.lookup.table.name} to be carried"],
            hint="normalform backfill again, when its names change less often",
        )
    if not remaining.undecided.rows:
        return
    text = describe(ctx, remaining.undecided)
    if reference.spec.required:
        raise ProofFailed(f"{text}; everything else has its key", hint=NEXT)
    ctx.say("note", name, f"{text}; the reference is not required, and they stay without a key")


def _clear(ctx: Context, name: str) -> None:
    reference = ctx.model.reference(name)
    # First of all: what is cleared now must be filled again by a later run, wherever this one is stopped.
    forget(ctx, fill_work(reference).name)
    # Where renames come without end, the queue would never be empty of those whose rows are to be cleared.
    carry_at_once(ctx, "expand")
    waiting = 0
    for _ in range(SWEEPS):
        swept = sweep(ctx, clear_work(reference))
        if swept.skipped:
            raise GateClosed(
                "held-rows",
                [f"{name}: {swept.skipped:,} keys could not be cleared; held by {swept.holders or 'nobody now'}"],
                hint="end that transaction, then run the same command again",
            )
        row = run_sql(ctx, ctx.conn, f"clear:{name}:left", uncleared(reference)).fetchone()
        waiting = row[0] if row is not None else 0
        if not waiting:
            break
        carry_pending(ctx)
    carry_as_asked(ctx, "expand")
    forget(ctx, clear_work(reference).name)
    if waiting:
        raise GateClosed(
            "renames",
            [f"{name}: {waiting:,} rows wait for a rename of {reference.lookup.table.name} to be carried"],
            hint="run the same command again, when its names change less often",
        )


def analyze(ctx: Context, reference: Reference) -> None:
    """Let the planner know what was filled, before anyone plans with it (CORRECTNESS 17).

    A table that somebody keeps locked is analyzed without us sooner or later: that is said and does not stop the phase.
    """
    name = render(table(reference.table.name))
    pauses = waits()
    for _ in range(ANALYZE_TRIES):
        ctx.check_stop()
        try:
            ctx.conn.execute("SELECT set_config('lock_timeout', %s, false)", (f"{ANALYZE_LOCK_MS}ms",))
            run_sql(ctx, ctx.conn, f"fill:{reference.name}:analyze", f"ANALYZE {name}")
            return
        except psycopg.Error as error:
            if error.sqlstate not in RETRYABLE or ctx.conn.closed or ctx.conn.broken:
                raise
            holders = lock_holders(ctx.conn, name)
            ctx.say("wait", f"fill:{reference.name}", f"ANALYZE waits for {holders}")
            ctx.stop.wait(next(pauses))
        finally:
            if not ctx.conn.closed and not ctx.conn.broken:
                ctx.conn.execute("SELECT set_config('lock_timeout', '0', false)")
    ctx.say("note", f"fill:{reference.name}", f"{name} was not analyzed; run ANALYZE {name} before constrain")


HANDLERS: Handlers = {"fill": _fill, "clear": _clear}
