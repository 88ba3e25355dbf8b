"""What the demo prints. Decides nothing; takes reports and shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from ..cli import show_audit
from ..core.findings import AuditReport
from ..db.status import Status
from .load import LoadReport
from .runbook import RunbookReport

#: What the issue of the runbook's join was measured to lie between, if one category wins for each keyword.
EXPECTED_WRONG = (219_195, 372_665)
DECISIONS_SHOWN = 12
#: What follows the name of an act that is done a second time.
AGAIN = " again"


def act(out: Console, name: str, text: str) -> None:
    """Announce a step."""
    out.print()
    out.rule(f"[bold]{escape(name)}[/bold] [dim]{escape(text)}[/dim]", align="left")


def loaded(out: Console, report: LoadReport) -> None:
    """Show what was loaded."""
    parts = [f"{table} {rows:,}" for table, rows in report.rows.items()]
    out.print(f"{sum(report.rows.values()):,} rows in {report.seconds:.0f} s: " + ", ".join(parts), highlight=False)


def findings(out: Console, report: AuditReport) -> None:
    """Show the findings."""
    show_audit.summary(out, report, report.findings)


def decisions(out: Console, path: Path) -> None:
    """Show the head of the decision file."""
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(islice(file, DECISIONS_SHOWN + 1))
    out.print(Panel(escape("".join(lines).rstrip()), title=str(path), box=box.ASCII, expand=False))


def runbook(out: Console, report: RunbookReport, *, whole: bool) -> None:
    """Show what the runbook's own join does."""
    low, high = EXPECTED_WRONG
    between = f" (between {low:,} and {high:,} is what one category for each keyword can give)" if whole else ""
    out.print(
        f"UPDATE … WHERE k.keyword = mt.keyword: of {report.rows:,} tags [red]{report.wrong:,} wrong[/red], "
        f"no error; {report.null:,} without key{between}",
        highlight=False,
    )


def proof(out: Console, text: str) -> None:
    """Show that a proof held."""
    out.print(f"[green]✓ proven[/green] {escape(text)}", highlight=False)


def ending(
    out: Console,
    status: Status,
    seconds: Mapping[str, float],
    sizes: Mapping[str, int],
    proofs: Sequence[str],
    wrong: RunbookReport,
) -> None:
    """Show the last screen: how each value was decided, seconds, sizes, proofs, where to look next.

    Args:
        out: where to.
        status: how the values were decided, from the ledger.
        seconds: wall seconds by act; the second time of an act is named ``… again``.
        sizes: bytes of the database by moment.
        proofs: what was proven.
        wrong: what the runbook's own join does to the same rows.
    """
    out.print()
    out.rule("[bold]done[/bold]", align="left")
    decided = _table(("reference", "decided"), ("distinct values", "rows"))
    last = ""
    for reference, how, values, rows in status.tally:
        decided.add_row(reference if reference != last else "", how, f"{values:,}", f"{rows:,}")
        last = reference
    out.print(decided)
    out.print()
    times = _table(("step",), ("seconds", "again"))
    for name, value in seconds.items():
        if not name.endswith(AGAIN):
            again = seconds.get(f"{name}{AGAIN}")
            times.add_row(name, f"{value:.1f}", "" if again is None else f"{again:.1f}")
    times.add_row("in all", f"{sum(seconds.values()):.1f}")
    out.print(times)
    out.print()
    lines = [
        "size: " + ", ".join(f"{name} {size / 1e6:,.0f} MB" for name, size in sizes.items()),
        f"the runbook's own join: {wrong.wrong:,} of {wrong.rows:,} tags wrong, {wrong.null:,} without key",
    ]
    for line in lines:
        out.print(line, highlight=False)
    for text in proofs:
        proof(out, text)
    out.print("Next: README.md, “Look at your own database”; `normalform plan --sql` on it shows every statement.")


def _table(left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in left:
        table.add_column(title)
    for title in right:
        table.add_column(title, justify="right")
    return table
