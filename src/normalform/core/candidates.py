"""Which columns may repeat a text and which may own one, as far as the catalog and the statistics say.

Decides whom to look at, so that few values need be looked for in few places. Never compares values: that is
``core.fit``'s, with samples in hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .bind import FAMILIES, KEY_TYPES
from .catalog import Column, Index, Table
from .column_stats import ColumnStats
from .likeness import words
from .names import QName, display

#: Columns beside the text in the unique that makes a table a lookup; with more of them the table is about something
#: else (one row for each picture, tag and model).
MOST_OTHERS = 3
#: Bytes of an average value beyond which a column holds texts and no names.
WIDEST = 256

ColumnName = tuple[QName, str]


def spoken(name: ColumnName) -> str:
    """Return ``table.column`` for people."""
    return f"{name[0]}.{display(name[1])}"


@dataclass(frozen=True)
class Owner:
    """A text column that may own its values.

    Args:
        table: its table.
        text: the column.
        key: what references would hold instead; None where the text itself is the only key, or there is none.
        others: the other columns of the unique that the text stands in; None where it stands in none.
        rows: rows of the table, estimated.
        distinct: different values, estimated.
        natural: whether the text is the table's key itself, so that columns with it are keys already.
    """

    table: Table
    text: Column
    key: Column | None
    others: tuple[str, ...] | None
    rows: float
    distinct: float
    natural: bool = False

    @property
    def name(self) -> ColumnName:
        """Table and column."""
        return self.table.name, self.text.name


@dataclass(frozen=True)
class Repeater:
    """A text column that may repeat what a lookup owns."""

    table: Table
    text: Column
    stats: ColumnStats
    rows: float

    @property
    def name(self) -> ColumnName:
        """Table and column."""
        return self.table.name, self.text.name

    @property
    def distinct(self) -> float:
        """Different values, estimated."""
        return self.stats.distinct(self.rows)


def text_columns(tables: Iterable[Table]) -> list[ColumnName]:
    """Return every text column of ordinary tables."""
    return [(t.name, c.name) for t in tables if t.kind == "r" for c in t.columns if c.is_text]


def uniques(table: Table) -> list[Index]:
    """Return the uniques that hold for every row of a table."""
    return [i for i in table.indexes if i.unique and i.valid and i.predicate is None]


def unique_alone(table: Table, column: str) -> bool:
    """Tell whether a column is unique by itself."""
    return any(len(i.columns) == 1 and i.columns[0].column == column for i in uniques(table))


def key_of(table: Table, text: str) -> Column | None:
    """Return the column that references to a table would hold: its primary key, else another not NULL unique one.

    Args:
        table: the lookup's table.
        text: the column that shall no longer be repeated, and so is no choice.
    """
    choices = [*table.primary_key] if len(table.primary_key) == 1 else []
    choices += [c.name for c in table.columns if unique_alone(table, c.name)]
    for name in choices:
        column = table.column(name)
        if column is not None and name != text and column.base in KEY_TYPES and column.not_null:
            return column
    return None


def unique_with(table: Table, text: str) -> tuple[str, ...] | None:
    """Return the other columns of the smallest unique that a text stands in, as a column or as lower(column)."""
    found: list[tuple[str, ...]] = []
    for index in uniques(table):
        plain = [c.column for c in index.columns if c.column is not None]
        folded = [c.expression or "" for c in index.columns if c.column is None]
        if text in plain and not folded:
            found.append(tuple(c for c in plain if c != text))
        elif text not in plain and len(folded) == 1 and _folds(folded[0], text):
            found.append(tuple(plain))
    return min(found, key=lambda others: (len(others), others)) if found else None


def _folds(expression: str, column: str) -> bool:
    """Tell whether an index expression, as the server prints it, is lower(column)."""
    spelled = display(column)
    inner = re.fullmatch(r"(?:pg_catalog\.)?lower\((.*)\)", expression)
    return inner is not None and inner.group(1) in (spelled, f"({spelled})::text")


def owner(table: Table, text: Column, stats: ColumnStats | None, rows: float) -> Owner | str:
    """Return a text column as one that may own its values, or why it cannot.

    Args:
        table: its table.
        text: the column.
        stats: what is known of it.
        rows: rows of the table.
    """
    key, others = key_of(table, text.name), unique_with(table, text.name)
    distinct = stats.distinct(rows) if stats is not None else rows
    if key is None:
        if unique_alone(table, text.name):
            return Owner(table, text, None, (), rows, distinct, natural=True)
        return "its table has no key of one column (an integer, uuid or text that is unique and not NULL)"
    if table.primary_key == (text.name,):
        return Owner(table, text, key, (), rows, distinct, natural=True)
    return Owner(table, text, key, others, rows, distinct)


def owners(
    tables: Iterable[Table], stats: Mapping[ColumnName, ColumnStats], rows: Mapping[QName, float]
) -> list[Owner]:
    """Return the columns that may own their values: unique by an index, or as far as the statistics know.

    Of the text columns of one unique it is the one with most different values: the others say whose text, or which.
    """
    result: list[Owner] = []
    for name, column in _texts(tables):
        known = stats.get((name.name, column.name))
        found = owner(name, column, known, rows.get(name.name, 0.0))
        if isinstance(found, str) or known is None or found.rows < 1:
            continue
        by_index = found.others is not None and len(found.others) <= MOST_OTHERS
        by_values = found.others is None and found.key is not None and known.all_differ and known.looks_like() is None
        if by_index or by_values:
            result.append(found)
    return [o for o in result if not any(_says_more(other, o) for other in result)]


def _says_more(other: Owner, than: Owner) -> bool:
    """Whether another text column of the same unique has more different values; of equal ones the last stands last."""
    if other.table.name != than.table.name or not other.others or not than.others or other.name == than.name:
        return False
    same = {other.text.name, *other.others} == {than.text.name, *than.others}
    return same and (other.distinct, other.text.attnum) > (than.distinct, than.text.attnum)


def repeaters(
    tables: Iterable[Table], stats: Mapping[ColumnName, ColumnStats], rows: Mapping[QName, float]
) -> tuple[list[Repeater], dict[ColumnName, str]]:
    """Return the columns whose values may be another table's, and why each of the others cannot be."""
    result: list[Repeater] = []
    left: dict[ColumnName, str] = {}
    for table, column in _texts(tables):
        name = (table.name, column.name)
        known = stats.get(name)
        why = None
        if any(k.kind == "f" and column.name in k.columns for k in table.constraints):
            why = "a foreign key stands on it"
        elif column.generated:
            why = "its values are computed"
        elif unique_alone(table, column.name):
            why = "no value stands in it twice"
        elif known is None:
            why = "it could not be read"
        elif known.null_frac >= 1 or rows.get(table.name, 0.0) < 1 or not known.probes():
            why = "it has no values"
        elif known.width > WIDEST:
            why = f"its values are texts of {known.width:,.0f} bytes on average"
        elif known.all_differ and known.looks_like() is not None:
            why = f"its values all differ and look like {known.looks_like()}"
        if why is not None or known is None:
            left[name] = why or ""
        else:
            result.append(Repeater(table, column, known, rows[table.name]))
    return result, left


def _texts(tables: Iterable[Table]) -> list[tuple[Table, Column]]:
    return [(t, c) for t in tables if t.kind == "r" for c in t.columns if c.is_text]


def foreign_key(table: Table, column: str) -> tuple[QName, str] | None:
    """Return table and column that a foreign key of this column alone points at."""
    for key in table.constraints:
        if key.kind == "f" and key.columns == (column,) and key.references is not None:
            return key.references, key.reference_columns[0]
    return None


@dataclass(frozen=True)
class Join:
    """A column by which a lookup's rows hang on rows of another table, its parent.

    Args:
        column: the lookup's column.
        parent: the table with the single key that it points at.
        up: the parent's column that points at a row above, if any.
        declared: whether a foreign key says so; else the names do, and the values have to.
    """

    column: str
    parent: Table
    up: str | None
    declared: bool


def joins(table: Table, tables: Mapping[QName, Table], columns: Iterable[str] | None = None) -> list[Join]:
    """Return the joins of a lookup's table: by foreign key, or by a column's name (``category_id``).

    Args:
        table: the lookup's table.
        tables: every table by name.
        columns: the columns to look at; None for all.
    """
    result = []
    for column in table.columns if columns is None else [c for c in table.columns if c.name in set(columns)]:
        target = foreign_key(table, column.name)
        if target is not None:
            parent = tables.get(target[0])
            if parent is not None and parent.kind == "r" and parent.primary_key == (target[1],):
                result.append(Join(column.name, parent, _up(parent), True))
            continue
        named = _parent_by_name(table, column, tables)
        if named is not None:
            result.append(Join(column.name, named, _up(named), False))
    return result


def _parent_by_name(table: Table, column: Column, tables: Mapping[QName, Table]) -> Table | None:
    said = words(column.name)
    if column.name in table.primary_key or column.base not in KEY_TYPES or len(said) < 2 or said[-1] != "id":
        return None
    found = [
        t
        for t in tables.values()
        if t.kind == "r"
        and t.name.schema == table.name.schema
        and t.name != table.name
        and len(t.primary_key) == 1
        and words(t.name.name)[-1:] == said[-2:-1]
        and family(t.column(t.primary_key[0])) == family(column)
    ]
    exact = [t for t in found if words(t.name.name) == said[:-1]]
    return (exact or found)[0] if len(exact or found) == 1 else None


def _up(table: Table) -> str | None:
    """Return the column by which a table's rows hang on other rows of it: by foreign key, else by its name."""
    for key in table.constraints:
        own = key.kind == "f" and key.references == table.name and len(key.columns) == 1
        if own and key.reference_columns == table.primary_key:
            return key.columns[0]
    pointing = {c for k in table.constraints if k.kind == "f" for c in k.columns}
    key_column = table.column(table.primary_key[0]) if len(table.primary_key) == 1 else None
    for column in table.columns:
        named = words(column.name) in (["parent", "id"], ["parent"])
        if named and column.name not in pointing and family(column) == family(key_column):
            return column.name
    return None


def family(column: Column | None) -> str:
    """Return what a column's values can be compared with; empty for no column."""
    return FAMILIES.get(column.base, column.base) if column is not None else ""
