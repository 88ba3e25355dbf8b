"""Samples: rows of a reference, the rows of a lookup that they may mean, and rates of what was found.

The types, as ``db.discover`` fills them and ``core.fit`` reads them. Every value is its text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .candidates import Join

Row = tuple[str | None, ...]


@dataclass(frozen=True)
class Rate:
    """So many of so many.

    Args:
        found: how many of those looked at.
        looked: how many were looked at.
    """

    found: int
    looked: int

    @property
    def share(self) -> float:
        """Their share, 0 to 1; 0 where none was looked at."""
        return self.found / self.looked if self.looked else 0.0

    def __add__(self, other: Rate) -> Rate:
        return Rate(self.found + other.found, self.looked + other.looked)

    def __str__(self) -> str:
        """For people: ``98.7 percent (2,804 of 2,841)``, never rounded up to all or down to none."""
        if not self.looked:
            return "nothing to look at"
        percent = 100 * self.share
        if 0 < self.found < self.looked:
            percent = min(max(percent, 0.1), 99.9)
        return f"{percent:.1f}".removesuffix(".0") + f" percent ({self.found:,} of {self.looked:,})"


#: Where nothing was looked at.
NOTHING = Rate(0, 0)


@dataclass(frozen=True)
class RowSample:
    """Some rows of a table, or all of them.

    Args:
        columns: the columns read.
        rows: their values.
        whole: whether these are all the table's rows.
    """

    columns: tuple[str, ...]
    rows: Sequence[Row]
    whole: bool = False

    def values(self, column: str) -> list[str | None]:
        """Return one column's value in each row."""
        at = self.columns.index(column)
        return [row[at] for row in self.rows]


@dataclass(frozen=True)
class ParentRows:
    """Rows of a lookup's parent table, those above them included.

    Args:
        join: how the lookup's rows hang on them.
        columns: the columns read.
        rows: by key.
        found: of the join's values that were looked for, how many the parent has.
    """

    join: Join
    columns: tuple[str, ...]
    rows: Mapping[str, Row]
    found: Rate = NOTHING

    def value(self, key: str | None, column: str) -> str | None:
        """Return a column of the row with that key; None where there is no such row."""
        row = self.rows.get(key) if key is not None else None
        return row[self.columns.index(column)] if row is not None else None

    def chain(self, key: str | None, column: str, up: str | None) -> tuple[str, ...] | None:
        """Return a column's values from the root down to the row with that key, or None where one of them is NULL.

        Args:
            key: the row's key.
            column: the column with the names.
            up: the column that points at the row above; None for that row's own name alone.
        """
        names: list[str] = []
        seen: set[str] = set()
        while key is not None:
            name = self.value(key, column)
            if name is None or key in seen:
                return None
            seen.add(key)
            names.append(name)
            key = self.value(key, up) if up is not None else None
        return tuple(reversed(names)) or None


@dataclass(frozen=True)
class OwnerSample:
    """The rows of a lookup whose text, or alias, is among the texts that were asked for.

    Args:
        columns: the columns read.
        rows: rows by text.
        aliases: by aliases column, each alias with its row.
        parents: by joining column.
    """

    columns: tuple[str, ...]
    rows: Sequence[Row]
    aliases: Mapping[str, Sequence[tuple[str, Row]]] = field(default_factory=dict)
    parents: Mapping[str, ParentRows] = field(default_factory=dict)
