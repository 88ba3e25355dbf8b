"""How the savings look: a table's bytes before and after, and what each phase needs."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..core.savings import Savings, Size

_UNITS = ("B", "kB", "MB", "GB", "TB")


def show(out: Console, savings: Savings) -> None:
    """Print the savings for people."""
    out.print()
    out.print("[bold]Savings[/bold], foretold from a sample; before: as the server says", highlight=False)
    sizes = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("table", "before", "heap + indexes", "after contract", "heap + indexes", "saved",
                  "rewritten*", "heap + indexes", "saved"):  # fmt: skip
        sizes.add_column(title, justify="left" if title == "table" else "right", overflow="fold")
    for table in (*savings.tables, savings.total):
        before, contracted, rewritten = table.before, table.contracted, table.rewritten
        sizes.add_row(
            escape(table.table), amount(before.total), _parts(before), amount(contracted.total), _parts(contracted),
            amount(before.total - contracted.total), amount(rewritten.total), _parts(rewritten),
            amount(before.total - rewritten.total),
        )  # fmt: skip
    out.print(sizes)
    out.print("* by VACUUM FULL or pg_repack: contract leaves the dropped columns' bytes in the rows", highlight=False)
    phases = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("phase", "needs at most", "stays", "sorting may need", "takes about"):
        phases.add_column(title, justify="left" if title == "phase" else "right")
    for phase in savings.phases:
        low, high = phase.seconds
        phases.add_row(
            phase.phase, amount(phase.peak), amount(phase.grows), amount(phase.sort), f"{_time(low)} to {_time(high)}"
        )
    out.print(phases)
    out.print("room on disk without WAL; times are rough, from rates of one machine\n", highlight=False)


def amount(size: int) -> str:
    """Return ``1.2 GB``, ``-340 MB``: three figures at most, units of 1000."""
    value, unit = float(abs(size)), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    text = f"{value:.1f}" if unit and value < 99.95 else f"{value:.0f}"
    return f"{'-' if size < 0 else ''}{text} {_UNITS[unit]}"


def _parts(size: Size) -> str:
    return f"{amount(size.heap)} + {amount(size.indexes)}"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
