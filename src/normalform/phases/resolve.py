"""Resolve: what each unresolved value means is decided in a file, checked whole, applied with an archive.

As a phase it does nothing but look: expand may not start while a required value is unresolved. Decisions are applied by
``resolve apply``, before it. It must never decide a value by itself.
"""

from __future__ import annotations

from pathlib import Path

from ..core.decisions import Checked
from ..core.events import Event
from ..core.plan import Step
from ..core.spec import Spec
from ..db import ledger
from ..db.connect import Connector
from ..db.execute import Handlers
from ..db.mapping_store import newcomers, refresh_mapping
from ..db.session import read_model
from ..db.work import Context
from ..errors import GateClosed
from ..resolve.apply import ApplyReport, apply_file, digest
from ..resolve.check import CheckReport, check_file, read_file, report
from ..resolve.export import ExportReport, export_file
from ..resolve.record import in_state, unfinished_file
from ..resolve.undo import Left, UndoReport, undo_all

__all__ = [
    "ApplyReport", "CheckReport", "ExportReport", "Left", "UndoReport",
    "apply", "check", "do", "export", "gate", "steps_for", "undo", "undo_decisions",
]  # fmt: skip

PHASE = "resolve"
HANDLERS: Handlers = {}


def export(connector: Connector, spec: Spec, mapping_path: Path, out: Path, *, collisions: bool) -> ExportReport:
    """Write every value that needs a decision to a file; see :func:`resolve.export.export_file`."""
    with connector.open("export") as conn:
        return export_file(conn, read_model(conn, spec), mapping_path, out, collisions=collisions)


def check(connector: Connector, spec: Spec, path: Path) -> CheckReport:
    """Check a decision file whole; nothing is changed.

    A file that an earlier run left half applied was checked then, and is not checked again.

    Raises:
        DecisionError: with every bad line.
    """
    with connector.open("check") as conn:
        lines, _ = read_file(path)
        if ledger.installed(conn) and unfinished_file(conn) == digest(path):
            return CheckReport({}, {}, resuming=True)
        return report(check_file(conn, read_model(conn, spec), path), lines)


def apply(ctx: Context, path: Path) -> ApplyReport:
    """Apply a decision file whole, or not at all; see :func:`resolve.apply.apply_file`."""

    def checked() -> Checked:
        return check_file(ctx.conn, ctx.model, path)

    return apply_file(ctx, path, checked)


def undo_decisions(ctx: Context) -> UndoReport:
    """Undo every decision; rows that no longer equal what a decision left are listed and left alone."""
    return undo_all(ctx)


def gate(ctx: Context) -> None:
    """Closed while a required reference has unresolved values, or a decision file is half applied.

    Raises:
        GateClosed: gate ``unresolved``, with counts by reference.
    """
    half = in_state(ctx.conn, "checked", "undoing")
    if half:
        raise GateClosed(
            "unresolved",
            [f"{len(half)} decisions were left half applied, or half undone"],
            hint="normalform resolve apply with the same file, or normalform resolve undo",
        )
    for reference in ctx.model.references:
        refresh_mapping(ctx, reference)
    found = newcomers(ctx)
    if found:
        reasons = [f"{u.reference}: {u.values} values on {u.rows} rows have no decision" for u in found]
        raise GateClosed("unresolved", reasons, hint="normalform audit, then normalform resolve export decisions.csv")


def steps_for(ctx: Context) -> list[Step]:
    """Return the steps of the phase: none, decisions come from a file."""
    del ctx
    return []


def do(ctx: Context) -> None:
    """Nothing is left to do once the gate is open: what was decided has been applied."""
    ctx.sink(Event("note", PHASE, f"{len(in_state(ctx.conn, 'applied'))} decisions stand"))


def undo(ctx: Context, *, clear_rows: bool) -> None:
    """Undo every decision, and say what did not come back."""
    del clear_rows
    result = undo_all(ctx)
    for left in result.left:
        ctx.sink(Event("note", PHASE, f"{left.table} {left.identity} stays as it is: {left.why}"))
    for text in result.notes:
        ctx.sink(Event("note", PHASE, text))
