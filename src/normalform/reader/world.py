"""What the reader knows of a database, and what it says of a text.

The types, and how a table's name is found along a search path. Decides nothing about statements.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from ..core.names import QName


@dataclass(frozen=True)
class Watched:
    """A table of the migration.

    Args:
        name: its name.
        columns: all its columns, in order.
        texts: those that contract drops; empty where none is.
        constraints: unique constraints that go with them (``ON CONFLICT ON CONSTRAINT`` names one).
        grows: whether expand adds a column to it.
    """

    name: QName
    columns: tuple[str, ...]
    texts: frozenset[str]
    constraints: frozenset[str] = frozenset()
    grows: bool = True


@dataclass(frozen=True)
class World:
    """What is known of the database that a text runs in.

    Args:
        watched: the migration's tables.
        relations: every relation there is, each with those of its columns that are named like a watched table's.
        path: schemas for names without one, in order.
        makers: functions that return rows of a watched table, with the table.
    """

    watched: tuple[Watched, ...]
    relations: Mapping[QName, frozenset[str]]
    path: tuple[str, ...] = ("public",)
    makers: Mapping[QName, QName] = field(default_factory=dict)

    def along(self, path: Iterable[str] | None) -> World:
        """Return the same world with another search path; None leaves it."""
        return self if path is None else replace(self, path=tuple(path))

    def find(self, schema: str, name: str) -> tuple[Watched | None, frozenset[str] | None, bool]:
        """Say what a relation's name means.

        Returns:
            The watched table that it is or None; the columns known of another relation, or None where nothing is
            known of it; whether that is certain. A bare name that leads nowhere along this path, and that a watched
            table has, is that table's, uncertainly: who runs the text may have another path.
        """
        candidates = [QName(schema, name)] if schema else [QName(s, name) for s in ("pg_catalog", *self.path)]
        for candidate in candidates:
            own = next((w for w in self.watched if w.name == candidate), None)
            if own is not None:
                return own, None, True
            if candidate in self.relations:
                return None, self.relations[candidate], True
        if not schema:
            same = [w for w in self.watched if w.name.name == name]
            if len(same) == 1:
                return same[0], None, False
        return None, None, True

    def made(self, schema: str, function: str) -> Watched | None:
        """Return the watched table of whose rows a function's result consists, or None."""
        candidates = [QName(schema, function)] if schema else [QName(s, function) for s in self.path]
        table = next((self.makers[c] for c in candidates if c in self.makers), None)
        return next((w for w in self.watched if w.name == table), None)

    @property
    def words(self) -> frozenset[str]:
        """Names without any of which a text has nothing to do with the migration."""
        tables = {w.name.name for w in self.watched}
        return frozenset(tables | {t for w in self.watched for t in w.texts} | {f.name for f in self.makers})


class Kind(StrEnum):
    """How a table or its text is used."""

    READS = "reads"  # the text is named where a value is wanted
    WRITES = "writes"  # the text is assigned
    POSITION = "by position"  # columns are taken by their order: a dropped one shifts the others
    STAR = "all columns"  # the result is whatever columns the table has
    BREAKS = "breaks"  # one more column than today is an error
    ROW = "whole row"  # the row is handed on as one value
    UNREAD = "cannot be read"


@dataclass(frozen=True, order=True)
class Use:
    """One use of a watched table.

    Args:
        table: the table.
        kind: how it is used.
        column: the text column, or empty.
        certain: False where it may be another table's, or where the text could not be read.
        line: the line of the text, from 1; 0 where it is not known.
        why: more, for people.
    """

    table: QName
    kind: Kind
    column: str = ""
    certain: bool = True
    line: int = 0
    why: str = ""


@dataclass
class Reading:
    """What a text was found to do.

    Args:
        uses: the uses, as they were met.
        unread: lines of statements that could not be parsed and that name something of the migration.
        opaque: lines of statements that are put together at run time out of parts that name nothing of it.
    """

    uses: list[Use] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)
    opaque: list[int] = field(default_factory=list)

    def of(self, *kinds: Kind, certain: bool | None = None) -> list[Use]:
        """Return the uses of these kinds, each once."""
        found = [u for u in self.uses if u.kind in kinds and certain in (None, u.certain)]
        return sorted(set(found))

    @property
    def touches(self) -> bool:
        """Whether it certainly reads or writes a text, by name or by position."""
        return bool(self.of(Kind.READS, Kind.WRITES, Kind.POSITION, certain=True))

    @property
    def may_touch(self) -> bool:
        """Whether it reads or writes a text, perhaps."""
        return bool(self.unread or self.of(Kind.READS, Kind.WRITES, Kind.POSITION, Kind.UNREAD))
