"""The shape in which a lookup is to be read, as samples suggest it.

The types, and the shares from which on samples are said to agree.
"""

from __future__ import annotations

from dataclasses import dataclass

#: The share of rows in which a column must agree to be taken for the lookup's scope, or for its qualifier.
AGREES = 0.8
#: The same where only one of several references has to show it, and for a column of the scope's own name.
AGREES_HERE = 0.5


@dataclass(frozen=True)
class Added:
    """A scope that the lookup lacks and a parent has: ``add`` copied from the parent's ``column`` over ``join``."""

    join: str
    column: str


@dataclass(frozen=True)
class Path:
    """A qualifier that is the path of a parent's row; ``up`` is None where its own name alone is the qualifier."""

    join: str
    column: str
    up: str | None
    separator: str = "/"


@dataclass(frozen=True)
class Shape:
    """How a lookup is to be read: its scope (columns, or one to be added), its qualifier, its aliases."""

    scope: tuple[str, ...] = ()
    added: Added | None = None
    qualifier: str | Path | None = None
    aliases: str | None = None
