"""How explanations of rows look: a few lines for people, JSON for programs. Decides nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.markup import escape
from rich.table import Table

from ..core.decisions import Scope
from ..core.explanation import Explanation
from ..core.names import display
from .settings import Settings


def show(settings: Settings, found: Sequence[Explanation]) -> None:
    """Show the explanations of one row."""
    if settings.as_json:
        print(json.dumps([asdict(e) for e in found], default=str))
        return
    for explanation in found:
        settings.out.print(_table(explanation))


def _table(e: Explanation) -> Table:
    row = ", ".join(f"{display(c)} = {v}" for c, v in e.identity.items())
    table = Table(
        box=None, pad_edge=False, show_header=False, title_justify="left",
        title=escape(f"{e.table} {row} (reference {e.reference})"),
    )  # fmt: skip
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, text in _lines(e):
        table.add_row(name, escape(text))
    return table


def _lines(e: Explanation) -> list[tuple[str, str]]:
    sources = {
        "column": "", "archive": " (from the archive)", "key": " (as its key gives it)",
        "deleted row": " (from the archive: a decision deleted the row)",
    }  # fmt: skip
    lines = [("text", _value(e.scope, e.text, e.qualifier) + sources[e.text_from])]
    if e.before is not None:
        lines.append(("before", _value(e.scope, *e.before)))
    if e.key is None:
        lines.append(("key", f"{display(e.key_column)} is NULL"))
    elif e.row is None:
        lines.append(("key", f"{display(e.key_column)} = {e.key}: {e.lookup} has no such row"))
    else:
        means = _value(e.row_scope, e.row.text, e.row.path)
        lines.append(("key", f"{display(e.key_column)} = {e.key}: in {e.lookup} {means}"))
    how = e.rule.how or "no rule accounts for it"
    other = f" (key {e.rule.key})" if e.rule.key not in (None, e.key) else ""
    lines.append(("how", f"{how}: {e.rule.why}{other}"))
    for d in e.decisions:
        target = f" {d.target!r}" if d.target else ""
        note = f", note {d.note!r}" if d.note else ""
        by = f"by {d.person or 'unknown'} at {d.at:%F %T}" if d.at else f"by {d.person or 'unknown'}"
        lines.append(
            ("decision", f"{d.id}: {d.word}{target} {by}, run {d.run}, line {d.line} of file {d.file[:12]}{note}")
        )
    lines.append(("moved", e.moved))
    if e.batch is not None:
        b, run = e.batch, e.batch.run
        place = f"blocks {b.first_block:,} to {b.end_block - 1:,}, slice {b.slice}, worker {b.worker}"
        by = f"as {run.role} by {run.person or 'unknown'} on {run.host}"
        lines.append(("batch", f"{b.work}: {place}, {b.at:%F %T}"))
        lines.append(("run", f"{run.id}: `{run.command}` {by}, {run.started_at:%F %T}"))
    return lines


def _value(scope: Scope, text: str | None, qualifier: str | None) -> str:
    shown = "NULL" if text is None else repr(text)
    within = [f"in {qualifier!r}"] if qualifier is not None else []
    within += [f"scope ({', '.join('NULL' if v is None else v for v in scope)})"] if scope else []
    return ", ".join([shown, *within])
