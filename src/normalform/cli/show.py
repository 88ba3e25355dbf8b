"""How results look: tables for people, JSON for programs. Decides nothing; never prints a connection string."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..core.events import Event
from ..core.plan import Mode, Step, after
from ..core.squawk import marked
from ..db.status import Status
from ..errors import NormalformError
from .settings import Settings

STATES = {
    "done": "[green]done[/green]",
    "doing": "[yellow]half done[/yellow]",
    "undoing": "[yellow]half undone[/yellow]",
}


def as_data(value: Any) -> Any:
    """Return a report as plain data."""
    if hasattr(value, "to_json"):
        return value.to_json()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value


def result(settings: Settings, value: Any, text: str, *, next_command: str | None = None) -> None:
    """Show that a command has done its work, what it reports, and what comes next."""
    data = as_data(value)
    if settings.as_json:
        print(json.dumps(data, default=str))
        return
    settings.out.print(f"[green]✓[/green] {escape(text)}", highlight=False)
    if isinstance(data, dict):
        for key, entry in data.items():
            if entry is not False and entry not in (None, [], (), {}, "") and key != "last":
                settings.out.print(f"  {key.replace('_', ' ')}: {escape(_brief(entry))}", highlight=False)
    if next_command:
        settings.out.print(f"  → {escape(next_command)}", highlight=False)


def _brief(entry: Any) -> str:
    if isinstance(entry, dict):
        return ", ".join(f"{_brief(value)} {key}" for key, value in entry.items())
    if isinstance(entry, list | tuple):
        shown = [str(e) for e in entry[:20]]
        more = len(entry) - len(shown)
        return "\n    ".join(["", *shown, *([f"… and {more} more"] if more > 0 else [])]) if entry else "none"
    return f"{entry:,}" if isinstance(entry, int) and not isinstance(entry, bool) else str(entry)


def offence(event: Event) -> None:
    """Print a row that keeps a certificate from passing; a sink for `verify --all`."""
    if event.kind == "offence":
        print(event.text)


def error(settings: Settings, problem: NormalformError) -> int:
    """Show an error and return its exit status."""
    if settings.as_json:
        print(
            json.dumps(
                {"error": type(problem).__name__, "message": problem.message, "hint": problem.hint,
                 "exit_status": problem.exit_status}
            )
        )  # fmt: skip
    else:
        settings.err.print(f"[red]✗[/red] {escape(problem.message)}", highlight=False, soft_wrap=True)
        if problem.hint:
            settings.err.print(f"  → {escape(problem.hint)}", highlight=False, soft_wrap=True)
    return problem.exit_status


def plan(settings: Settings, steps: Sequence[Step], *, sql: bool) -> None:
    """Show steps with their locks, or their SQL, and what must be done by hand after each phase."""
    notes = after(steps)
    if settings.as_json:
        rows = [{**asdict(s), "lock": s.lock.value, "undo_lock": s.undo_lock.value, "mode": s.mode.value,
                 "undo_mode": s.undo_mode.value} for s in steps]  # fmt: skip
        print(json.dumps({"steps": rows, "after": notes}))
        return
    if sql:
        for step, following in zip(steps, [*steps[1:], None], strict=True):
            print(sql_of(step))
            if step.phase in notes and (following is None or following.phase != step.phase):
                print(f"-- after {step.phase}: {notes[step.phase]}\n")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("step", "does", "lock", "how", "why"):
        table.add_column(title, overflow="fold")
    for step in steps:
        lock = "" if step.lock.value == "none" else f"{step.lock.value} on {step.table}"
        table.add_row(escape(step.id), escape(step.object), escape(lock), step.mode.value, escape(step.reason))
    settings.out.print(table)
    for phase, note in notes.items():
        settings.out.print(f"after {phase}: {escape(note)}", highlight=False)
    settings.out.print("  → normalform plan --sql prints the statements", highlight=False)


def sql_of(step: Step) -> str:
    """Return a step as a psql script: a comment, the timeouts that it runs under, its statements."""
    lines = [f"-- {step.id}: {step.object}", f"--   {step.reason}; lock: {step.lock.value}; {step.mode.value}"]
    statements = [f"{marked(s)};" for s in step.do]
    if step.mode is Mode.BATCHES:
        lines.append("--   the shape of one batch; it is repeated over the table's blocks")
        return "\n".join([*lines, *statements, ""])
    if step.mode is Mode.CONCURRENT:
        return "\n".join([*lines, "SET lock_timeout = 0;", "SET statement_timeout = 0;", *statements, ""])
    timeout = "0" if step.mode is Mode.REWRITE else "'700ms'"
    head = ["BEGIN;", "SET LOCAL lock_timeout = '700ms';", f"SET LOCAL statement_timeout = {timeout};"]
    return "\n".join([*lines, *head, *statements, "COMMIT;", ""])


def status(settings: Settings, state: Status) -> None:
    """Show the status."""
    if settings.as_json:
        print(json.dumps(as_data(state), default=str))
    else:
        settings.out.print(status_table(state))


def status_table(state: Status) -> RenderableType:
    """Return the status for people."""
    phases = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("phase", "state", "seconds of work", "ended"):
        phases.add_column(title)
    for phase in state.phases:
        seconds = f"{phase.seconds:,.1f}" if phase.seconds else ""
        ended = f"{phase.ended_at:%F %T}" if phase.ended_at and phase.state == "done" else ""
        phases.add_row(phase.name, STATES.get(phase.state, "[dim]open[/dim]"), seconds, ended)
    parts: list[RenderableType] = [phases]
    if not state.installed:
        return Group(
            phases, Text("nothing of Normalform is in this database; `normalform audit` looks and changes nothing")
        )
    for work in state.works:
        share = work.blocks_done / work.blocks if work.blocks else 1.0
        skipped = f", {work.skipped:,} rows to visit again" if work.skipped else ""
        parts.append(Text(f"{work.work}: {share:.0%} of {work.blocks:,} blocks, {work.rows:,} rows{skipped}"))
    for waiting in state.waiting:
        who = "; ".join(waiting.holders) or "unknown (granting pg_monitor shows whom)"
        parts.append(Text(f"{waiting.role} (process {waiting.pid}) waits for {who}", style="yellow"))
    if state.pending:
        parts.append(Text(f"{state.pending:,} renames still to carry", style="yellow"))
    for reference, values, rows in state.unresolved:
        parts.append(Text(f"{reference}: {values:,} values on {rows:,} rows are unresolved", style="yellow"))
    stops = "contract" if state.last == "constrain" else "rollback"
    parts.extend(Text(f"{stops} would stop: {collision}", style="yellow") for collision in state.collisions)
    if state.fenced:
        parts.append(Text("the fence is up: the application's writes are refused (SQLSTATE 25006)", style="yellow"))
        down = f"normalform run --strategy window, or normalform rollback --to {state.last}"
        parts.append(Text(f"  → it falls at the end of {down}"))
    if state.runs:
        run = state.runs[0]
        outcome = run.outcome or "running, or killed"
        detail = f": {run.detail}" if run.detail else ""
        parts.append(Text(f"last run {run.id}: `{run.command}` by {run.person} on {run.host}, {outcome}{detail}"))
    if not state.sees_all:
        parts.append(Text("other roles' sessions show as unknown; GRANT pg_monitor shows them", style="dim"))
    return Group(*parts)
