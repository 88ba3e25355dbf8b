"""What several commands let one choose, as options of Typer, and what their words mean."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..core.findings import FAIL_ON, FailOn
from ..core.index_successor import DEFERRABLE, LATE
from ..errors import UsageError

Strategy = Annotated[str, typer.Option(help="live: beside writers; window: application stopped, writes fenced off.")]
Workers = Annotated[int | None, typer.Option(min=1, max=8, help="Sessions that work at once; default: the spec's.")]
Mapping = Annotated[Path, typer.Option("--mapping", help="Local file that keeps the mapping between commands.")]
Uniques = Annotated[
    str,
    typer.Option(
        help="late: contract makes the key unique, the legacy uniques guard until then; "
        "deferrable: constrain does, by DEFERRABLE constraints, and ON CONFLICT DO NOTHING fails beside them."
    ),
]
DEFAULT_MAPPING = Path("normalform-mapping.sqlite")


def strategy_of(text: str) -> Any:
    """Return the strategy of that name."""
    if text not in ("live", "window"):
        raise UsageError(f"no strategy {text!r}; one of live, window")
    return text


def kind_of(text: str | None) -> Any:
    """Return the kind of backup of that name; None for none given."""
    if text not in (None, "directory", "plain"):
        raise UsageError(f"no format {text!r}; one of directory, plain")
    return text


def uniques_of(text: str) -> Any:
    """Return when unique successors come."""
    if text not in (LATE, DEFERRABLE):
        raise UsageError(f"no such uniques {text!r}; one of {LATE}, {DEFERRABLE}")
    return text


def fail_on_of(text: str) -> FailOn:
    """Return what makes a command exit with 1."""
    wanted = next((level for level in FAIL_ON if level == text), None)
    if wanted is None:
        raise UsageError(f"--fail-on {text!r} is none of {', '.join(FAIL_ON)}")
    return wanted
