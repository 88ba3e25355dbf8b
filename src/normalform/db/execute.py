"""Carrying out steps: intent first, then the change under its lock policy, then the mark. And the way back.

The catalog says what exists, the ledger says what is ours. A step whose object exists without our intent is a clash,
never adopted: nor is one that exists beside an intent alone, where the mark would have been committed with it. A step
that a killed run left half done is cleaned and done again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import psycopg

from ..core.plan import Mode, Step
from ..core.retry import METADATA_TIMEOUT_MS, RETRYABLE, waits
from ..errors import GateClosed
from . import ledger
from .work import Context, run_sql, transaction

#: Handlers of work in batches: key of ``Step.work`` up to the colon → function of (context, rest).
Handlers = Mapping[str, Callable[[Context, str], None]]

#: Where the mark is made in the transaction of the change, an intent without a mark means that nothing of it stands.
_MARKED_WITHIN = (Mode.TRANSACTION, Mode.REWRITE)


def do_steps(ctx: Context, steps: Sequence[Step], handlers: Handlers) -> None:
    """Carry out a plan from where it stands.

    Args:
        ctx: the run.
        steps: the phase's plan, complete and in order; steps that are recorded as done and still stand are passed over.
        handlers: for steps in batches.

    Raises:
        GateClosed: an object of that name exists and is not ours.
        Interrupted: Ctrl-C between two steps or batches.
    """
    states = ledger.step_states(ctx.conn)
    for position, step in enumerate(steps):
        ctx.check_stop()
        ctx.say("step", step.id, step.object, position, len(steps), "steps")
        known = states.get(step.id)
        if known == "done" and step.mode is not Mode.BATCHES and probe(ctx.conn, step.done):
            continue
        unmade = known is None or (known == "intended" and step.mode in _MARKED_WITHIN)
        if unmade and step.claims and step.done and probe(ctx.conn, step.done):
            raise GateClosed(
                "name-taken",
                [f"{step.object} exists already and is not ours (step {step.id})"],
                hint="rename or drop it, then run the same command again",
            )
        if known is None:
            ctx.point(f"{step.id}:intend")
            ledger.intend(ctx.conn, ctx.run, step)
            ctx.point(f"{step.id}:intended")
        _do(ctx, step, handlers)
    ctx.say("step", "", "", len(steps), len(steps), "steps")


def undo_steps(ctx: Context, phase: str, handlers: Handlers, *, skip: frozenset[str] = frozenset()) -> None:
    """Take back every recorded step of a phase, last first.

    Args:
        ctx: the run.
        phase: the phase.
        handlers: for undo in batches.
        skip: kinds of undo work that need not be done, because what they would clear is dropped next.
    """
    steps = ledger.recorded_steps(ctx.conn, phase)
    for position, step in enumerate(steps):
        ctx.check_stop()
        ctx.say("step", step.id, f"undo {step.object}", position, len(steps), "steps")
        _undo(ctx, step, handlers, skip)
    ctx.say("step", "", "", len(steps), len(steps), "steps")


def undo_one(ctx: Context, step: Step) -> None:
    """Take back one recorded step that needs no handler."""
    _undo(ctx, step, {}, frozenset())


def probe(conn: psycopg.Connection, query: str) -> bool:
    """Run a step's probe: a query of one boolean."""
    row = conn.execute(query).fetchone()
    return bool(row and row[0])


def _gone(conn: psycopg.Connection, step: Step) -> bool:
    if step.gone:
        return probe(conn, step.gone)
    return bool(step.done) and not probe(conn, step.done)


def _do(ctx: Context, step: Step, handlers: Handlers) -> None:
    if step.mode is Mode.BATCHES:
        key, _, argument = step.work.partition(":")
        handlers[key](ctx, argument)
        with transaction(ctx, ctx.conn, step.id):
            ledger.mark_step(ctx.conn, step.id, "done")
        return
    if step.done and probe(ctx.conn, step.done):
        # Ours by its intent: the run before us was stopped after the change and before the mark.
        with transaction(ctx, ctx.conn, step.id):
            ledger.mark_step(ctx.conn, step.id, "done")
        return
    _change(ctx, step, step.mode, step.do, lambda: ledger.mark_step(ctx.conn, step.id, "done"))


def _undo(ctx: Context, step: Step, handlers: Handlers, skip: frozenset[str]) -> None:
    if ledger.step_states(ctx.conn, step.phase).get(step.id) == "intended" and step.mode in _MARKED_WITHIN:
        with transaction(ctx, ctx.conn, f"{step.id}:unmade"):
            ledger.forget_step(ctx.conn, step.id)
        return
    ctx.point(f"{step.id}:undo-intend")
    with transaction(ctx, ctx.conn, f"{step.id}:undoing"):
        ledger.mark_step(ctx.conn, step.id, "undoing")
    if step.undo_work:
        key, _, argument = step.undo_work.partition(":")
        if key not in skip:
            handlers[key](ctx, argument)
    if step.undo and not _gone(ctx.conn, step):
        _change(ctx, step, step.undo_mode, step.undo, lambda: ledger.forget_step(ctx.conn, step.id), undo=True)
        return
    with transaction(ctx, ctx.conn, f"{step.id}:undone"):
        ledger.forget_step(ctx.conn, step.id)


def _change(
    ctx: Context, step: Step, mode: Mode, statements: Sequence[str], mark: Callable[[], None], *, undo: bool = False
) -> None:
    name = f"{step.id}:undo" if undo else step.id
    if mode is Mode.CONCURRENT:
        retrying(ctx, step, lambda: _concurrently(ctx, step, name, statements))
        with transaction(ctx, ctx.conn, name):
            mark()
        return
    rewrite = mode is Mode.REWRITE

    def once() -> None:
        with transaction(ctx, ctx.conn, name):
            # Both timeouts: ADD FOREIGN KEY waits for a second lock while it holds the first (CORRECTNESS 18).
            ctx.conn.execute(
                "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)",
                (f"{METADATA_TIMEOUT_MS}ms", "0" if rewrite else f"{METADATA_TIMEOUT_MS}ms"),
            )
            for number, statement in enumerate(statements):
                run_sql(ctx, ctx.conn, f"{name}:{number}", statement)
            mark()

    retrying(ctx, step, once)


def _concurrently(ctx: Context, step: Step, name: str, statements: Sequence[str]) -> None:
    # With a lock_timeout these never end beside a longer transaction, and no DML queues behind them (CORRECTNESS 19).
    ledger_token_check(ctx)
    for number, statement in enumerate(step.clean):
        run_sql(ctx, ctx.conn, f"{name}:clean{number}", statement)
    try:
        for number, statement in enumerate(statements):
            run_sql(ctx, ctx.conn, f"{name}:{number}", statement)
    except (psycopg.Error, KeyboardInterrupt):
        # An invalid unique index keeps refusing application writes: it goes at once (CORRECTNESS 20).
        if not ctx.conn.closed and not ctx.conn.broken:
            for number, statement in enumerate(step.clean):
                run_sql(ctx, ctx.conn, f"{name}:clean{number}", statement)
        raise


def ledger_token_check(ctx: Context) -> None:
    """Refuse to go on when another run has taken over, where no transaction can hold the token."""
    with ctx.conn.transaction():
        ledger.fence_token(ctx.conn, ctx.run)


def retrying(ctx: Context, step: Step, attempt: Callable[[], None]) -> None:
    """Try until it succeeds, waiting with jitter; says whom it waits for. Other errors go through."""
    for number, seconds in enumerate(waits()):
        try:
            attempt()
            return
        except psycopg.Error as error:
            if error.sqlstate not in RETRYABLE or ctx.conn.closed:
                raise
            holders = lock_holders(ctx.conn, step.table)
            what = step.table or step.object
            ctx.say("wait", step.id, f"try {number + 1}: {what} is held by {holders}; again in {seconds:.1f} s")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            ctx.check_stop()
            time.sleep(min(0.1, seconds))


def lock_holders(conn: psycopg.Connection, table: str) -> str:
    """Say who holds locks on a table, as far as our role may see.

    Args:
        conn: a session outside a transaction.
        table: the table's name as a step displays it; empty where a step locks none, and waits for renames under way.
    """
    if not table:
        return "a rename that has not committed"
    rows = conn.execute(
        "SELECT a.pid, coalesce(nullif(a.application_name, ''), '?'), coalesce(a.state, 'state unknown'), "
        "extract(epoch FROM clock_timestamp() - a.xact_start)::int "
        "FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
        "WHERE l.locktype = 'relation' AND l.granted AND l.pid <> pg_backend_pid() "
        "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND l.relation = to_regclass(%s) GROUP BY 1, 2, 3, 4 ORDER BY 4 DESC NULLS LAST LIMIT 3",
        (table,),
    ).fetchall()
    if not rows:
        return "a session that has ended since, or that our role may not see (pg_monitor shows it)"
    parts = []
    for pid, application, session_state, age in rows:
        since = f" for {age} s" if age is not None else ""
        parts.append(f"process {pid} ({application}, {session_state}{since})")
    return ", ".join(parts)
