"""Carrying the queue: renames, moves and deletes of lookup rows that sync has left to the runner (CORRECTNESS 11).

Decides when an entry is done: when a look at the whole table finds no row that still waits for it. A sweep alone does
not show that, for a writer may have moved a row to blocks that the sweep had passed. Entries that come while this runs
are taken along; their transactions have committed when they are seen. Never removes an entry that was not looked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import psycopg

from ..core.model import Lookup, Model, Reference
from ..errors import GateClosed
from ..sql.carry import FORGET_SETTLED, KINDS, SETTLED, Kind, carry_work, open_rows
from ..sql.plpgsql import Function
from ..sql.sync import of_lookup
from . import ledger
from .blocks import forget, sweep
from .work import Context, run_sql, transaction


def pending_count(conn: psycopg.Connection) -> int:
    """Return how many renames, moves and deletes of lookup rows have yet to be carried."""
    row = conn.execute("SELECT count(*) FROM normalform.pending").fetchone()
    assert row is not None
    return int(row[0])


def carry_pending(ctx: Context) -> None:
    """Carry everything that is queued now, in batches beside the application.

    What is queued while this runs is taken along, but not waited for, nor are older renames of the same lookup row:
    where renames come faster than one look at every reference takes, waiting for an empty queue would never end.

    Raises:
        GateClosed: ``held-rows``: somebody holds rows and does not let go; he is named. ``collisions``: a row cannot
            have its new text, since another one has it and a unique index forbids both.
        Interrupted: Ctrl-C; the batches in hand have committed, the entries stay.
        FencedOut: another run has taken over.
    """
    row = ctx.conn.execute("SELECT coalesce(max(id), 0) FROM normalform.pending").fetchone()
    assert row is not None
    last = int(row[0])
    while True:
        ctx.check_stop()
        waiting = [row[0] for row in ctx.conn.execute(SETTLED, {"last": last})]
        if not waiting:
            return
        ctx.say("note", "carry", f"{len(waiting):,} renames to carry")
        entries = ctx.conn.execute("SELECT DISTINCT lookup, kind FROM normalform.pending").fetchall()
        wanted = {(lookup, kind) for lookup, kind in entries}
        jobs = [(r, kind) for kind in KINDS for r in ctx.model.references if (r.lookup.name, kind) in wanted]
        for reference, kind in jobs:
            _carry(ctx, reference, kind)
        # Text first, then paths: a row that waits for both is found by its new text in a second look.
        if not _anything_open(ctx, jobs, last):
            with transaction(ctx, ctx.conn, "carry:done"):
                # Asked again here: an entry that came between the looks may have hidden a row from the second one.
                run_sql(ctx, ctx.conn, "carry:forget", FORGET_SETTLED, {"last": last, "looked": waiting})


def carry_at_once(ctx: Context, phase: str) -> None:
    """Let every rename of a lookup whose sync still stands be carried by its own transaction, and not be queued.

    For when keys or sync go away: frequent renames would always leave one more in the queue. Where sync stays,
    :func:`carry_as_asked` comes after it; what was killed between the two is gone on with before anything else.

    Args:
        ctx: the run.
        phase: the phase whose steps made the functions.
    """
    for lookup, name in _standing(ctx, phase):
        with transaction(ctx, ctx.conn, f"{name}/carry-at-once"):
            for function in _eager(ctx.model, lookup):
                for statement in function.create():
                    run_sql(ctx, ctx.conn, f"{name}/carry-at-once", statement)


def carry_as_asked(ctx: Context, phase: str) -> None:
    """Let renames be carried or queued as the spec has it, where :func:`carry_at_once` has changed that.

    A function that somebody else has changed stays as it is, for verify to find. Arguments as of that.
    """
    for lookup, name in _standing(ctx, phase):
        theirs = {function.name: function.source for function in _eager(ctx.model, lookup)}
        found = ctx.conn.execute(
            "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'normalform'::regnamespace AND proname = ANY(%s)",
            (list(theirs),),
        )
        changed = {proname for proname, source in found if theirs[proname] == source}
        ours = [f for f in of_lookup(ctx.model, lookup).functions if f.name in changed and f.source != theirs[f.name]]
        with transaction(ctx, ctx.conn, f"{name}/carry-as-asked"):
            for function in ours:
                for statement in function.create():
                    run_sql(ctx, ctx.conn, f"{name}/carry-as-asked", statement)


def _standing(ctx: Context, phase: str) -> list[tuple[Lookup, str]]:
    """The lookups whose sync functions stand, each with a name for its points."""
    states = ledger.step_states(ctx.conn, phase)
    names = [(lookup, f"{phase}/{lookup.name}") for lookup in ctx.model.lookups]
    return [(lookup, name) for lookup, name in names if f"{name}/lookup-sync-functions" in states]


def _eager(model: Model, lookup: Lookup) -> tuple[Function, ...]:
    """The lookup's functions with every rename carried at once."""
    return of_lookup(model, replace(lookup, spec=replace(lookup.spec, rename="carry"))).functions


def _carry(ctx: Context, reference: Reference, kind: Kind) -> None:
    work = carry_work(reference, kind)
    if work is None:
        return
    # What an earlier run has passed may be open again by an entry that came since.
    forget(ctx, work.name)
    try:
        swept = sweep(ctx, work)
    except psycopg.errors.UniqueViolation as error:
        # No try will do better. The message of the server shows values, its constraint does not.
        name = reference.table.name
        raise GateClosed(
            "collisions",
            [f"{name}: a rename gives a row what another row has already ({error.diag.constraint_name})"],
            hint=f"delete one of the two rows of {name}, or rename the row of {reference.lookup.table.name} back",
        ) from error
    if swept.skipped:
        raise GateClosed(
            "held-rows",
            [f"{reference.name}: {swept.skipped:,} rows wait for a rename; held by {swept.holders or 'nobody now'}"],
            hint="end that transaction, then run the same command again",
        )
    forget(ctx, work.name)


def _anything_open(ctx: Context, jobs: Iterable[tuple[Reference, Kind]], last: int) -> bool:
    for reference, kind in jobs:
        query = open_rows(reference, kind, last)
        if query is None:
            continue
        row = run_sql(ctx, ctx.conn, f"carry-{kind}:{reference.name}:left", query).fetchone()
        if row is not None and row[0]:
            return True
    return False
