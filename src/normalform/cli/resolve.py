"""`resolve`: decisions as a file that people edit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import api
from . import show
from .choices import DEFAULT_MAPPING, Mapping
from .settings import SETTINGS

app = typer.Typer(help="Decide what each unresolved value means: export, edit, check, apply, undo.")


@app.command("export")
def export(
    out: Annotated[Path, typer.Argument(help="Decision file to write (CSV).")],
    mapping: Mapping = DEFAULT_MAPPING,
    collisions: Annotated[bool, typer.Option(help="Also write groups of rows that would collide.")] = True,
) -> None:
    """Write every value that needs a decision, with candidates and suggestions, to a CSV file."""
    with SETTINGS.options() as opts:
        report = api.resolve_export(opts, mapping, out, collisions=collisions)
    show.result(SETTINGS, report, f"wrote {out}", next_command=f"edit it, then: normalform resolve check {out}")


@app.command("check")
def check(path: Annotated[Path, typer.Argument(help="Decision file.")]) -> None:
    """Check a decision file whole; every bad line is listed, nothing is changed."""
    with SETTINGS.options() as opts:
        report = api.resolve_check(opts, path)
    show.result(SETTINGS, report, f"{path} holds", next_command=f"normalform resolve apply {path}")


@app.command("apply")
def apply(path: Annotated[Path, typer.Argument(help="Decision file.")]) -> None:
    """Apply a decision file; what it changes or deletes is kept in the archive first."""
    with SETTINGS.options() as opts:
        report = api.resolve_apply(opts, path)
    show.result(SETTINGS, report, f"applied {path}", next_command="normalform audit")


@app.command("undo")
def undo() -> None:
    """Undo every decision: each row that still equals what the decision left comes back; others are listed."""
    with SETTINGS.options() as opts:
        report = api.resolve_undo(opts)
    show.result(SETTINGS, report, "decisions undone", next_command="normalform audit")
