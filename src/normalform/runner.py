"""The one road: lock → gate → phase → record. Every command that writes goes through here, and so does its undo.

Decides nothing about phases (``core.phases`` does) and nothing about tables (the phases do).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from types import ModuleType
from typing import Any

from .core import phases as order
from .core.events import Event, Sink, silent
from .core.phases import State, Transition
from .db import ledger
from .db.carry import carry_pending
from .db.connect import Connector
from .db.execute import do_steps, undo_steps
from .db.session import open_run, read_model
from .db.work import Context, Strategy
from .errors import GateClosed
from .phases import backfill, constrain, contract, expand, resolve, verify
from .sql.fence import fence_steps

PHASES: Mapping[str, ModuleType] = {
    "resolve": resolve,
    "expand": expand,
    "backfill": backfill,
    "verify": verify,
    "constrain": constrain,
    "contract": contract,
}


class Runner:
    """Carries phases out and takes them back.

    Args:
        url: the database, as libpq reads it.
        spec_text: the spec file's text; None takes the one that the ledger keeps.
        sink: where events go.
        strategy: ``live`` or ``window``.
        workers: sessions that fill at once; None takes the spec's.
        options: further options by name (``mask``, ``decisions`` …).
        stop: set it to end after the batch in hand.
    """

    def __init__(
        self,
        url: str,
        spec_text: str | None,
        *,
        sink: Sink = silent,
        strategy: Strategy = "live",
        workers: int | None = None,
        options: Mapping[str, Any] | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self.url, self.spec_text = url, spec_text
        self.sink, self.strategy, self.workers = sink, strategy, workers
        self.options = dict(options or {})
        self.stop = stop or threading.Event()

    def session(self, command: str) -> AbstractContextManager[Context]:
        """Open a run; see :func:`db.session.open_run`."""
        return open_run(
            self.url,
            self.spec_text,
            command,
            sink=self.sink,
            strategy=self.strategy,
            workers=self.workers,
            options=self.options,
            stop=self.stop,
        )

    def advance(self, target: str) -> None:
        """Carry out every phase up to and including the target that is not done yet."""
        with self.session(f"run --until {target}") as ctx:
            self.forward(ctx, target)

    def forward(self, ctx: Context, target: str) -> None:
        """The same within a session."""
        for transition in order.forward(ledger.state(ctx.conn), target):
            self.perform(ctx, transition, clear_rows=True)

    def only(self, phase: str) -> None:
        """Carry out one phase; the ones before it must be done.

        Raises:
            GateClosed: an earlier phase is not done.
        """
        with Connector(self.url).open("read") as conn:
            _refuse_out_of_order(ledger.state(conn), phase)  # before a ledger is made for nothing
        with self.session(phase) as ctx:
            state = ledger.state(ctx.conn)
            _refuse_out_of_order(state, phase)
            if phase == "verify" and phase in state.done:
                _carry_renames(ctx)
                verify.do(ctx)  # a proof can be asked for again at any time
                return
            with self.fenced(ctx):
                self.forward(ctx, phase)

    def rollback(self, target: str) -> None:
        """Undo every phase after the target (``start``: every phase, decisions included)."""
        with self.session(f"rollback --to {target}") as ctx:
            transitions = order.backward(ledger.state(ctx.conn), target)
            clear = order.clears_rows(transitions)
            with self.fenced(ctx):
                for transition in transitions:
                    self.perform(ctx, transition, clear_rows=clear)
            if not ledger.state(ctx.conn).done:
                ledger.forget_baseline(ctx.conn)

    def ask(self, ctx: Context, target: str) -> None:
        """Ask the gate of the first phase on the way, before a window begins: the application is not stopped in vain.

        Raises:
            GateClosed: it is closed.
        """
        transitions = order.forward(ledger.state(ctx.conn), target)
        if transitions and transitions[0].direction == "do":
            _carry_renames(ctx)
            PHASES[transitions[0].phase].gate(ctx)

    @contextmanager
    def fenced(self, ctx: Context) -> Iterator[None]:
        """In a window: the fence is up inside the block. It stays up on an error, and falls when a run succeeds."""
        if self.strategy == "window":
            raise_fence(ctx)
        yield
        lower_fence(ctx)

    def perform(self, ctx: Context, transition: Transition, *, clear_rows: bool) -> None:
        """Do or undo one phase, with its record before and after."""
        module = PHASES[transition.phase]
        undo = transition.direction == "undo"
        ctx.check_stop()
        if not undo:
            _refuse_another_spec(ctx)
        _carry_renames(ctx)
        # Either way before the record: a closed gate leaves the phase as it was, neither half done nor half undone.
        gate = getattr(module, "undo_gate", None) if undo else module.gate
        if gate is not None:
            gate(ctx)
        ctx.sink(Event("phase", transition.phase, "undo" if undo else "do"))
        began = time.monotonic()
        _check_legal(ledger.state(ctx.conn), transition)
        ledger.begin_phase(ctx.conn, ctx.run, transition.phase, "undoing" if undo else "doing")
        ctx.point(f"{transition.phase}:begun")
        if undo:
            module.undo(ctx, clear_rows=clear_rows)
        else:
            module.do(ctx)
        seconds = time.monotonic() - began
        ledger.finish_phase(ctx.conn, ctx.run, transition.phase, undone=undo, seconds=seconds)
        ctx.point(f"{transition.phase}:finished")
        ctx.sink(Event("phase", transition.phase, "undone" if undo else "done", data={"seconds": seconds}))
        ctx.model = read_model(ctx.conn, ctx.model.spec)


def _refuse_another_spec(ctx: Context) -> None:
    """Refuse to go on from expand with a spec that names other key columns than expand made."""
    if "expand" not in ledger.state(ctx.conn).done:
        return
    missing = [f"{r.table.name} has no column {r.key} (reference {r.name})" for r in ctx.model.references
               if not r.key_present]  # fmt: skip
    if missing:
        raise GateClosed(
            "spec",
            [*missing, "expand was done with another spec"],
            hint="the former spec, or normalform rollback --to resolve with it and then expand with this one",
        )


def _carry_renames(ctx: Context) -> None:
    """Carry what sync has queued while texts and keys stand side by side: proofs and undos both need it done."""
    done = ledger.state(ctx.conn).done
    if "expand" in done and "contract" not in done:
        carry_pending(ctx)


def _check_legal(state: State, transition: Transition) -> None:
    if state.half == (transition.phase, transition.direction):
        return
    order.begin(state, transition)


def raise_fence(ctx: Context) -> None:
    """Refuse every write but ours."""
    do_steps(ctx, fence_steps(ctx.model), {})


def lower_fence(ctx: Context) -> None:
    """Let writes pass again; nothing happens when no fence stands."""
    undo_steps(ctx, "fence", {})


def _refuse_out_of_order(state: State, phase: str) -> None:
    needed = order.missing(state, phase)
    if needed:
        raise GateClosed("order", [f"{phase} needs {needed[0]} first"], hint=f"normalform {needed[0]}")
