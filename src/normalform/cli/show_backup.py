"""How a backup looks: made, or checked. Decides nothing; never prints a connection string."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.markup import escape

from ..phases.backup import BackupReport
from .settings import Settings


def made(settings: Settings, report: BackupReport) -> None:
    """Show a backup that has just been made and verified."""
    _show(settings, report, f"{report.path} is verified: restored on {report.verified_on}, and equal")


def checked(settings: Settings, report: BackupReport) -> None:
    """Show a backup that was looked at again."""
    how = f"it restores on {report.verified_on}, and is equal" if report.verified_on else "every file is as written"
    _show(settings, report, f"{report.path} holds: {how}")


def _show(settings: Settings, report: BackupReport, text: str) -> None:
    if settings.as_json:
        print(json.dumps(asdict(report), default=str))
        return
    out = settings.out
    out.print(f"[green]✓[/green] {escape(text)}", highlight=False, soft_wrap=True)
    out.print(
        f"  {escape(report.database)} (PostgreSQL {report.server}) as of {report.made_at}: {report.tables:,} tables, "
        f"{report.rows:,} rows, {report.sequences:,} sequences, the schema",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    took = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in report.seconds.items())
    out.print(f"  {report.files:,} files, {report.size:,} bytes; {took}", highlight=False, soft_wrap=True)
    for word, names in (("pruned", report.pruned), ("cleared what a dead run left", report.cleared)):
        for name in names:
            out.print(f"  {word}: {escape(name)}", highlight=False, soft_wrap=True)
    if not report.pruned and report.verified_on:
        out.print(f"  → normalform backup --check {escape(str(report.path))}", highlight=False, soft_wrap=True)
