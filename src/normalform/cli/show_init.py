"""How `init` looks: each guess with its hit rate, what is left out and why, and where the spec went."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..core.candidates import spoken
from ..core.draft import Draft
from ..core.init_report import InitReport, size, spoken_guess
from ..core.names import display


def as_json(report: InitReport, written: Path | None) -> None:
    """Print the report as JSON, the spec included."""
    print(json.dumps({**report.to_json(), "written": str(written) if written is not None else None}, default=str))


def summary(out: Console, report: InitReport, *, asked: bool, everything: bool, written: Path | None) -> None:
    """Print everything that was guessed.

    Args:
        out: where to.
        report: what was found.
        asked: whether columns were asked for, so that each that is left out is one not found.
        everything: also every column that was left out.
        written: the file that the spec went to.
    """
    looked = f"{report.tables:,} tables with {report.columns:,} text columns of {display(report.database)}"
    _say(out, f"looked at {looked}, in {report.seconds:.1f} s")
    if report.draft.references:
        out.print(_ranked(report.draft))
    for lookup in report.draft.lookups:
        what = "lookup to be made" if lookup.spec.create else "lookup"
        _say(out, f"\n{what} {lookup.spec.name}: {lookup.table}, about {lookup.rows:,} rows")
        for guess in lookup.guesses:
            _say(out, f"  {spoken_guess(guess)}")
        for reference in report.draft.references:
            if reference.spec.lookup != lookup.spec.name:
                continue
            _say(out, f"  reference {reference.spec.name}: {reference.table}.{display(reference.spec.text)}")
            for guess in reference.guesses:
                _say(out, f"    {spoken_guess(guess)}")
            if reference.missing:
                _say(out, f"    not found, for example: {', '.join(map(repr, reference.missing))}")
    if asked or everything:
        for left in report.left_out:
            _say(out, f"  {'not found' if asked else 'left out'}: {spoken(left.column)}: {left.why}")
    elif report.left_out:
        _say(out, f"\n{len(report.left_out):,} text columns are left out; init --all says why of each")
    for subject, why in report.unread:
        out.print(f"  [yellow]not looked at[/yellow]: {escape(subject)}: {escape(why)}", highlight=False)
    if not report.text:
        out.print("[yellow]nothing found[/yellow]: no text column repeats what a lookup owns", highlight=False)
    elif written is not None:
        out.print(f"[green]✓[/green] wrote {escape(str(written))}: read it through, then", highlight=False)
        option = "" if str(written) == "normalform.toml" else f"--spec {written} "
        _say(out, f"  → normalform {option}audit")


def _ranked(draft: Draft) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("reference", "lookup", "rows", "values", "found", "saves about"):
        table.add_column(title, justify="left" if title in ("reference", "lookup") else "right", overflow="fold")
    made = {d.spec.name for d in draft.lookups if d.spec.create}
    for d in draft.references:
        share = str(d.found).partition(" (")[0] if d.found.looked else "no rows"
        found = "to be made" if d.spec.lookup in made else share
        column = f"{d.table}.{display(d.spec.text)}"
        numbers = (f"{d.rows:,}", f"{d.distinct:,}", found, size(d.bytes))
        table.add_row(escape(column), escape(d.spec.lookup), *numbers)
    return table


def _say(out: Console, text: str) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True)
