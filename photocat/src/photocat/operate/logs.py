"""Logs that are searched for errors of constraints, as the runbook greps for them.

It decides which lines are such errors. It must never take lines into account that stood there before.
"""

from __future__ import annotations

import re
from pathlib import Path

#: The runbook's own search, and the word that PostgreSQL uses for all of them.
SEARCHED = re.compile(r"foreign key|constraint|violates", re.IGNORECASE)


def end_of(path: Path) -> int:
    """Where a log ends now, in bytes; 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def lines_from(path: Path, begin: int) -> list[str]:
    """The lines that were added since `end_of` gave `begin`."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(begin)
        return file.read().decode("utf-8", "replace").splitlines()


def constraint_errors(lines: list[str]) -> list[str]:
    """Those among lines that are errors of constraints."""
    return [line for line in lines if SEARCHED.search(line)]
