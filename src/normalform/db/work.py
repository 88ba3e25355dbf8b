"""What a phase works with: the session, the model, where events go, and the points between statements.

A *point* is an instant before or after a statement or a commit. In production points are silent; the crash harness
listens to them and stops the world there, which is how it can enumerate every interruption.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import psycopg
from psycopg import sql

from ..core.catalog import Table
from ..core.events import Event, Sink, silent
from ..core.model import Model
from ..core.names import QName
from ..errors import Interrupted
from . import ledger
from .connect import Connector

Strategy = Literal["live", "window"]


@dataclass
class Context:
    """One run's world, handed to every phase.

    Args:
        connector: makes further sessions (workers, verify's chunks).
        conn: the run's main session, in autocommit mode; DDL and ledger writes go through it.
        run: number of the run, the fencing token.
        model: the spec fitted to the database as it is now; refreshed by the runner between phases.
        baseline: the tables as they stood before the first change.
        sink: where events go.
        stop: set by Ctrl-C; work ends after the batch in hand.
        strategy: ``live`` beside writers, ``window`` with the application stopped and fenced off.
        workers: how many sessions fill at once.
        options: further options of the command line, by name.
    """

    connector: Connector
    conn: psycopg.Connection
    run: int
    model: Model
    baseline: Mapping[QName, Table] = field(default_factory=dict)
    sink: Sink = silent
    stop: threading.Event = field(default_factory=threading.Event)
    strategy: Strategy = "live"
    workers: int = 2
    options: Mapping[str, Any] = field(default_factory=dict)

    def point(self, name: str) -> None:
        """Announce an interruption point."""
        self.sink(Event("point", name))

    def say(self, kind: str, name: str, text: str = "", done: int = 0, total: int = 0, unit: str = "") -> None:
        """Send an event."""
        self.sink(Event(kind, name, text, done, total, unit))

    def check_stop(self) -> None:
        """Raise :class:`Interrupted` when somebody pressed Ctrl-C. Call between batches only."""
        if self.stop.is_set():
            raise Interrupted("stopped after the batch in hand", hint="run the same command again to resume")


def run_sql(
    ctx: Context, conn: psycopg.Connection, name: str, statement: str | sql.Composable, params: Any = None
) -> psycopg.Cursor[Any]:
    """Execute one statement with a point before and after it."""
    ctx.point(f"{name}:before")
    cursor = conn.execute(statement, params)  # type: ignore[arg-type]
    ctx.point(f"{name}:after")
    return cursor


@contextmanager
def transaction(ctx: Context, conn: psycopg.Connection, name: str, *, token: bool = True) -> Iterator[None]:
    """A transaction that holds the fencing token, with points around its commit.

    Args:
        ctx: the run.
        conn: an autocommit session.
        name: the points' name.
        token: False only where the ledger itself does not stand any more.
    """
    conn.execute("BEGIN")
    try:
        if token:
            ledger.fence_token(conn, ctx.run)
        yield
        ctx.point(f"{name}:before-commit")
        # A COMMIT can be refused too: the statement_timeout of the transaction counts for it.
        conn.execute("COMMIT")
    except BaseException:
        if not conn.closed and conn.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            try:
                conn.execute("ROLLBACK")
            except psycopg.Error:
                conn.close()  # the session is beyond use; the first error is the one to show
        raise
    ctx.point(f"{name}:after-commit")
