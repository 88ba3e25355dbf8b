"""One batch on one session: its transaction, its limits, and what its end means.

Decides which errors are a refusal (nothing has happened, try smaller or later) and which are not. The order inside is
the rule: token, ROW EXCLUSIVE on the table, then the look at its storage (CORRECTNESS 14), then the gates, then the one
statement with its checkpoint. Never waits for a gate, and never holds a lock beyond its statement's timeout.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from ..core.batches import Mark, Refused, Storage, Terms, Took
from ..core.retry import DEADLOCK, LOCK_NOT_AVAILABLE, QUERY_CANCELED, SERIALIZATION
from ..errors import FencedOut, GateClosed
from ..sql import gates
from ..sql.batch import SETTINGS, Rows, Share, Span, Work
from .work import Context, run_sql, transaction

SQL = sql.SQL
INSUFFICIENT_PRIVILEGE = "42501"


@dataclass(frozen=True)
class Busy:
    """The batch never began: the table, or the gate of ``lookup``, is somebody else's for now."""

    lookup: str | None = None


class StorageChanged(Exception):
    """The table's units name other rows than when the slices were cut; the scan must start again."""


class _GateBusy(Exception):
    """Leaves the transaction when a gate cannot be had."""

    def __init__(self, lookup: str) -> None:
        self.lookup = lookup


class BatchSession:
    """A worker's session.

    Args:
        ctx: the run.
        conn: a session of its own, in autocommit mode.
        work: what to do.
        storage: the storage that the marks count in.
        terms: limits.
        slot: the worker's number, its slot at every gate.
    """

    def __init__(
        self, ctx: Context, conn: psycopg.Connection, work: Work, storage: Storage, terms: Terms, slot: int
    ) -> None:
        self.ctx, self.conn, self.work = ctx, conn, work
        self.storage, self.terms, self.slot = storage, terms, slot
        self._settings = self._set_up()

    def run(
        self, mark: Mark, end: int, rows: Rows, *, first: int = 0, share: Share | None = None
    ) -> Took | Refused | Busy:
        """Do one batch, from ``mark.next`` up to ``end``; or a share's, which leaves the checkpoint where it is.

        Args:
            mark: where the slice stands.
            end: where the batch ends.
            rows: how rows are locked.
            first: where a share's batch begins.
            share: which share of the rows; None for all of them.

        Returns:
            What became of it; unless it is :class:`Took`, nothing has changed.

        Raises:
            StorageChanged: the table was rewritten since the slices were cut.
            FencedOut: another run has taken over, or another session has moved the checkpoint.
            GateClosed: application triggers are to stay silent and our role may not silence them.
            psycopg.Error: what no further try would change, or the connection is gone.
        """
        began = time.monotonic()
        name = self.work.name
        in_statement = False
        try:
            with transaction(self.ctx, self.conn, name):
                self._limit()
                run_sql(self.ctx, self.conn, f"{name}:lock", f"LOCK TABLE ONLY {self.work.table} IN ROW EXCLUSIVE MODE")
                self._check_storage()
                self._pass_gates()
                in_statement = True
                span = Span(mark.next if share is None else first, end, share)
                statement = self.work.statement(
                    span, rows, mark.slice.number, self.ctx.run, self.slot, stands=mark.next
                )
                changed, skipped, moved = self._row(run_sql(self.ctx, self.conn, f"{name}:batch", statement))
                if moved != 1:
                    raise FencedOut(
                        f"the checkpoint of {name}, slice {mark.slice.number}, was moved by another session",
                        hint="normalform status",
                    )
        except _GateBusy as busy:
            return Busy(busy.lookup)
        except psycopg.Error as error:
            return self._judge(error, in_statement)
        return Took(time.monotonic() - began, end - span.first, int(changed), int(skipped))

    def _judge(self, error: psycopg.Error, in_statement: bool) -> Refused | Busy:
        if self.conn.closed or self.conn.broken:
            raise error
        if error.sqlstate in (LOCK_NOT_AVAILABLE, QUERY_CANCELED) and not in_statement:
            return Busy()
        if error.sqlstate == LOCK_NOT_AVAILABLE:
            return Refused("lock")
        if error.sqlstate == QUERY_CANCELED:
            return Refused("timeout")
        if error.sqlstate in (DEADLOCK, SERIALIZATION):
            return Refused("deadlock")
        raise error

    def _set_up(self) -> sql.Composed:
        settings = {
            "normalform.batch": "on",
            "statement_timeout": f"{self.terms.statement_ms}ms",
            "lock_timeout": f"{self.terms.lock_ms}ms",
            **SETTINGS,
        }
        if self.work.skip_triggers:
            settings["session_replication_role"] = "replica"
        calls = [SQL("set_config({}, {}, true)").format(sql.Literal(k), sql.Literal(v)) for k, v in settings.items()]
        return SQL("SELECT {}").format(SQL(", ").join(calls))

    def _limit(self) -> None:
        try:
            self.conn.execute(self._settings)
        except psycopg.errors.InsufficientPrivilege as error:
            raise GateClosed(
                "application-triggers",
                [f"{self.work.name}: our role may not silence the application's triggers (session_replication_role)"],
                hint="GRANT SET ON PARAMETER session_replication_role TO our role, as a superuser, "
                'or app_triggers = "fire" in the spec',
            ) from error
        # Deferred checks would otherwise run in the COMMIT, which no timeout bounds.
        self.conn.execute("SET CONSTRAINTS ALL IMMEDIATE")

    def _check_storage(self) -> None:
        row = self.conn.execute(self.work.ground.measure()).fetchone()
        if row is None or Storage(row[0], row[1]) != self.storage:
            raise StorageChanged

    def _pass_gates(self) -> None:
        for lookup in self.work.gates:
            query = gates.exclusive(lookup, self.slot)
            (free,) = self._row(run_sql(self.ctx, self.conn, f"{self.work.name}:gate", query))
            if not free:
                raise _GateBusy(lookup)

    @staticmethod
    def _row(cursor: psycopg.Cursor[Any]) -> tuple[Any, ...]:
        row = cursor.fetchone()
        assert row is not None
        return tuple(row)


def vacuum(ctx: Context, conn: psycopg.Connection, work: Work) -> None:
    """Let a table's dead rows be used again; where somebody else holds its lock it harmlessly does nothing.

    Args:
        ctx: the run.
        conn: a session outside a transaction.
        work: the work whose table is meant.
    """
    run_sql(ctx, conn, f"{work.name}:vacuum", f"VACUUM (SKIP_LOCKED) {work.table}")
