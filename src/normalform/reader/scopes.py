"""Whose column is it? Sources of a query, and the rule by which a name finds one.

Decides as the server does: the innermost query that has such a column wins, and only then the one around it, and only
where none has it a variable. It never guesses in silence: where an unknown source may have the column, the answer is
uncertain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from .world import Watched, World


class Place(Enum):
    """Where the columns of a query go, which says what ``*`` means there."""

    RESULT = "the result of the statement"
    INNER = "a query around it, or a row variable: whatever columns there are"
    FIXED = "something with as many columns as there are today"
    ORDER = "variables, by position"
    NONE = "nowhere"


@dataclass(frozen=True)
class Hit:
    """A column of a watched table."""

    table: Watched
    column: str
    certain: bool


@dataclass(frozen=True)
class Shape:
    """The columns of a source.

    Args:
        fields: columns by name; with the watched table's column that one is, or None for any other value.
        rows: watched tables all of whose columns are among them, each with whether that is certain.
        open: whether it may have columns that are not known.
    """

    fields: Mapping[str, Hit | None] = field(default_factory=dict)
    rows: tuple[tuple[Watched, bool], ...] = ()
    open: bool = False

    def has(self, name: str) -> Hit | bool | None:
        """Return the watched column of that name, True for another column, None for no column, False for unknown."""
        if name in self.fields:
            return self.fields[name] or True
        for table, certain in self.rows:
            if name in table.columns:
                return Hit(table, name, certain)
        return False if self.open else None

    def with_doubt(self) -> Shape:
        """Return it with nothing certain."""
        fields = {n: replace(h, certain=False) if h else None for n, h in self.fields.items()}
        return Shape(fields, tuple((t, False) for t, _ in self.rows), self.open)

    def renamed(self, names: Sequence[str]) -> Shape:
        """Return it with its first columns under other names, as ``AS alias (names)`` has it."""
        if not names:
            return self
        if len(self.rows) == 1 and not self.fields:
            table, certain = self.rows[0]
            fields: dict[str, Hit | None] = {c: Hit(table, c, certain) for c in table.columns}
        elif not self.rows:
            fields = dict(self.fields)
        else:
            return Shape(dict.fromkeys(names), self.rows, open=True)
        old = list(fields)
        result = {new: fields[old[i]] if i < len(old) else None for i, new in enumerate(names)}
        result.update({n: fields[n] for n in old[len(names) :]})
        return Shape(result, (), self.open)


NOTHING = Shape()
UNKNOWN = Shape(open=True)


def together(shapes: Iterable[Shape]) -> Shape:
    """Return the columns of several sources side by side; the first of a name counts."""
    fields: dict[str, Hit | None] = {}
    rows: list[tuple[Watched, bool]] = []
    is_open = False
    for shape in shapes:
        for name, hit in shape.fields.items():
            fields.setdefault(name, hit)
        rows += [r for r in shape.rows if r not in rows]
        is_open = is_open or shape.open
    return Shape(fields, tuple(rows), is_open)


@dataclass
class Scope:
    """The sources of one query, by the name that it gives them."""

    sources: dict[str, Shape] = field(default_factory=dict)


@dataclass(frozen=True)
class Names:
    """Everything that a text may name besides tables: variables of a function, its arguments, NEW and OLD.

    Args:
        variables: by name, an argument by its place too (``$1``); None for one that is no row.
        tables: relations that only this text knows, such as transition tables.
        column_wins: whether a column goes before a variable of its name (SQL functions, ``use_column``).
        variable_wins: whether a variable does (``use_variable``). With neither the server refuses.
    """

    variables: Mapping[str, Shape | None] = field(default_factory=dict)
    tables: Mapping[str, Shape] = field(default_factory=dict)
    column_wins: bool = False
    variable_wins: bool = False


def column(scopes: Sequence[Scope], names: Names, name: str) -> Hit | None:
    """Find a bare column name; None where it is no column of a watched table.

    Args:
        scopes: the queries around it, outermost first.
        names: the variables.
        name: the column.
    """
    doubt = False
    if name in names.variables:
        if names.variable_wins:
            return None
        doubt = not names.column_wins
    for scope in reversed(scopes):
        answers = [shape.has(name) for shape in scope.sources.values()]
        hits = [a for a in answers if isinstance(a, Hit)]
        if hits:
            return replace(hits[0], certain=hits[0].certain and not doubt)
        if True in answers:
            return None
        doubt = doubt or False in answers
    return None


def qualified(scopes: Sequence[Scope], names: Names, source: str, name: str) -> Hit | None:
    """Find ``source.name``: a column of a source, or a field of a row variable."""
    shape = row(scopes, names, source)
    answer = shape.has(name) if shape is not None else None
    return answer if isinstance(answer, Hit) else None


def row(scopes: Sequence[Scope], names: Names, source: str) -> Shape | None:
    """Return the columns of the source or row variable of that name; None where there is neither."""
    for scope in reversed(scopes):
        if source in scope.sources:
            return scope.sources[source]
    return names.variables.get(source)


def relation(world: World, names: Names, schema: str, name: str) -> Shape:
    """Return the columns of a relation as a source."""
    if not schema and name in names.tables:
        return names.tables[name]
    own, known, certain = world.find(schema, name)
    if own is not None:
        return Shape(rows=((own, certain),))
    return UNKNOWN if known is None else Shape(dict.fromkeys(known))
