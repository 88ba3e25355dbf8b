"""How a sampled audit looks: intervals, and at every turn that it is a sample."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..core.sampling import Interval, SampleReport
from .show_audit import COLOURS


def summary(out: Console, report: SampleReport) -> None:
    """Print the report for people."""
    out.print(
        f"{escape(report.database)}, as {escape(report.role)}: a SAMPLE of {report.share:.2%} of the blocks (seed "
        f"{report.seed}), read in {report.seconds:.1f} s; bounds hold in 95 of 100 samples",
        highlight=False,
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("reference", "blocks read", "rows", "decided"):
        table.add_column(title, justify="right" if title in ("blocks read", "rows") else "left", overflow="fold")
    for read in report.references:
        how = ", ".join(f"{name} {_bounds(interval)}" for name, interval in read.how.items())
        blocks = f"{read.blocks_read:,} of {read.blocks:,}"
        table.add_row(escape(read.reference), blocks, _bounds(read.rows), escape(how))
    out.print(table)
    out.print()
    for finding in report.findings:
        head = Text(
            f"{finding.severity.value} {finding.code} {finding.slug}", style=f"bold {COLOURS[finding.severity]}"
        )
        out.print(head.append(f"  {finding.subject}: {_bounds(finding.rows)} rows", style="not bold default"))
        out.print(f"    {finding.remedy}", style="dim", highlight=False)
    for unseen in report.unchecked:
        out.print(f"not looked at: {escape(unseen)}", highlight=False)
    out.print(
        "a sample opens no gate and writes no mapping; what it has not seen may be there all the same\n"
        "  → normalform audit",
        highlight=False,
    )


def _bounds(interval: Interval) -> str:
    if interval.low == interval.high:
        return f"{interval.estimate:,}"
    return f"{interval.estimate:,} ({interval.low:,} to {interval.high:,})"
