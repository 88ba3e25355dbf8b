"""Opening a run: the advisory lock, the ledger, the fencing token, the wait for what an earlier run left.

The lock lives on a session of its own, outside any transaction: a blocked advisory lock would deadlock with
CREATE INDEX CONCURRENTLY (CORRECTNESS 27). Decides nothing about phases.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg

from ..core.bind import bind
from ..core.events import Event, Sink, silent
from ..core.model import Model, tables_of
from ..core.spec import Spec
from ..core.spec_file import parse
from ..errors import GateClosed, Interrupted, LockHeld, NormalformError, ProofFailed, UsageError
from . import ledger
from .connect import APPLICATION, Connector, refuse_transaction_pooler
from .inspect import inspect
from .work import Context, Strategy

#: Key of the runner's advisory lock: "nf" as two bytes of ASCII, then 1.
LOCK_CLASS, LOCK_RUNNER = 0x6E66, 1
#: Seconds that a runner waits for the lock: the session of one that was just killed needs an instant to end.
WAIT_FOR_LOCK = 2.0
#: Seconds between two looks at the sessions that an earlier run left.
WAIT_FOR_OLD_BACKENDS = 0.2


def read_model(conn: psycopg.Connection, spec: Spec) -> Model:
    """Inspect the tables that a spec names and fit it to them, with the baseline where the ledger keeps one."""
    baseline = ledger.baseline(conn) if ledger.installed(conn) else {}
    return bind(spec, inspect(conn, tables_of(spec)), baseline)


@contextmanager
def open_run(
    url: str,
    spec_text: str | None,
    command: str,
    *,
    sink: Sink = silent,
    strategy: Strategy = "live",
    workers: int | None = None,
    options: Mapping[str, Any] | None = None,
    stop: threading.Event | None = None,
) -> Iterator[Context]:
    """Take the lock, install the ledger when it is absent, record the run, and hand out its context.

    Args:
        url: the database, as libpq reads it.
        spec_text: the spec file's text; None takes the one that the ledger keeps.
        command: the command as the history shows it.
        sink: where events go.
        strategy: ``live`` or ``window``.
        workers: sessions that fill at once; None takes the spec's.
        options: further options by name (``mask`` …).
        stop: set it to end after the batch in hand.

    Raises:
        LockHeld: another runner holds the database.
        DatabaseRefused: no connection, or a transaction-pooling proxy.
        SpecError: the spec cannot be read, or does not fit; no ledger is left behind.
    """
    plain = Connector(url)
    refuse_transaction_pooler(plain)
    with plain.open("lock") as lock, plain.open("main") as conn:
        take_lock(lock)
        ready = ledger.installed(conn)
        if spec_text is None:
            spec_text = ledger.stored_spec(conn) if ready else ""
        if not spec_text:
            raise UsageError(
                "there is no spec: none was given and the database keeps none",
                hint="normalform init looks around and writes one; or --spec FILE",
            )
        spec = parse(spec_text)
        read_model(conn, spec)  # a spec that does not fit leaves no ledger and no run behind, nor replaces the old one
        if not ready:
            sink(Event("point", "ledger:install"))
            ledger.install(conn)
            sink(Event("point", "ledger:installed"))
        run = ledger.start_run(conn, command, spec_text)
        sink(Event("point", "run:started"))
        try:
            # A later run knows by the name which sessions to wait for, should this one be killed.
            conn.execute("SELECT set_config('application_name', %s, false)", (f"{APPLICATION}/{run}/main",))
            stop = stop or threading.Event()
            wait_for_old_backends(conn, run, sink, stop)
            ctx = Context(
                connector=Connector(url, run),
                conn=conn,
                run=run,
                model=read_model(conn, spec),  # again: an earlier run's last statement may have ended since
                sink=sink,
                stop=stop,
                strategy=strategy,
                workers=workers or spec.backfill.workers,
                options=dict(options or {}),
            )
            keep_baseline(ctx)
            yield ctx
        except BaseException as error:
            _end(conn, run, error)
            raise
        _end(conn, run, None)


def keep_baseline(ctx: Context) -> None:
    """Keep the tables as they stand, when nothing has been done yet; later those that a changed spec has added.

    From expand's first step on no table is added: it may have columns of ours.
    """
    if not ledger.state(ctx.conn).done and ledger.state(ctx.conn).half is None and not ledger.step_states(ctx.conn):
        with ctx.conn.transaction():
            ledger.forget_baseline(ctx.conn)
            ledger.save_baseline(ctx.conn, ctx.model.catalog)
    elif not ledger.step_states(ctx.conn, "expand"):
        known = ledger.baseline(ctx.conn)
        with ctx.conn.transaction():
            ledger.save_baseline(ctx.conn, [t for t in ctx.model.catalog if t.name not in known])
    ctx.baseline = ledger.baseline(ctx.conn)


def take_lock(conn: psycopg.Connection) -> None:
    """Take the runner's advisory lock on this session, or say who has it.

    Never by a call that waits in the server: that would deadlock with CREATE INDEX CONCURRENTLY.

    Raises:
        LockHeld: another runner has it.
    """
    deadline = time.monotonic() + WAIT_FOR_LOCK
    while True:
        row = conn.execute("SELECT pg_try_advisory_lock(%s, %s)", (LOCK_CLASS, LOCK_RUNNER)).fetchone()
        if row and row[0]:
            return
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    holder = conn.execute(
        "SELECT a.pid, a.usename, a.application_name, a.client_addr, a.backend_start FROM pg_locks l "
        "JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND l.classid = %s AND l.objid = %s "
        "AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        (LOCK_CLASS, LOCK_RUNNER),
    ).fetchone()
    who = "another session"
    if holder is not None:
        who = f"process {holder[0]} (role {holder[1]}, from {holder[3] or 'the local socket'}, since {holder[4]:%F %T})"
        if ledger.installed(conn):
            run = conn.execute(
                "SELECT id, command, person, host, pid FROM normalform.run WHERE ended_at IS NULL "
                "ORDER BY id DESC LIMIT 1"
            ).fetchone()
            if run is not None:
                who += f": run {run[0]}, `{run[1]}`, {run[2]} on {run[3]}, process {run[4]} there"
    raise LockHeld(f"another runner holds this database: {who}", hint="normalform status")


def wait_for_old_backends(conn: psycopg.Connection, run: int, sink: Sink, stop: threading.Event) -> None:
    """Wait until sessions of earlier runs are gone: a killed runner's backend may still be building an index.

    They see that their client is gone within client_connection_check_interval (CORRECTNESS 26).

    Raises:
        Interrupted: Ctrl-C meanwhile.
    """
    said = ""
    while True:
        rows = conn.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE %s "
            "AND split_part(application_name, '/', 2) NOT IN ('0', %s) AND usename = session_user ORDER BY pid",
            (f"{APPLICATION}/%/%", str(run)),
        ).fetchall()
        if not rows:
            return
        processes = ", ".join(str(r[0]) for r in rows)
        if processes != said:
            sink(Event("wait", "old-backends", f"waiting for processes {processes} of an earlier run"))
            said = processes
        if stop.wait(WAIT_FOR_OLD_BACKENDS):
            raise Interrupted("stopped while an earlier run's sessions end", hint="run the same command again")


def _end(conn: psycopg.Connection, run: int, error: BaseException | None) -> None:
    """Record how a run ended, where there is still a session and a ledger to record it in."""
    outcome = "done"
    if isinstance(error, ProofFailed):
        outcome = "findings"
    elif isinstance(error, GateClosed):
        outcome = "gate"
    elif isinstance(error, Interrupted | KeyboardInterrupt):
        outcome = "interrupted"
    elif error is not None:
        outcome = "refused"
    detail = None if error is None else type(error).__name__
    if isinstance(error, NormalformError):
        detail = error.message.splitlines()[0]
    try:
        if not conn.closed and ledger.installed(conn):
            ledger.end_run(conn, run, outcome, detail)
    except psycopg.OperationalError:
        if error is None:
            raise  # the server went away at the very end; else what happened first is what counts
