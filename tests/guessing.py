"""Small catalogs and samples for what `init` guesses, without a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from normalform.core.candidates import Owner, Repeater, joins, owner
from normalform.core.catalog import Catalog, Column, Constraint, Index, IndexColumn, Table
from normalform.core.column_stats import ColumnStats, of_sample
from normalform.core.fit import Fit, fit
from normalform.core.names import QName
from normalform.core.samples import OwnerSample, ParentRows, Rate, Row, RowSample

Rows = Sequence[Mapping[str, object]]


def index(name: str, *columns: str, primary: bool = False, unique: bool = True, predicate: str | None = None) -> Index:
    """An index on plain columns, or on expressions where a column has parentheses."""
    keys = tuple(IndexColumn(None, c) if "(" in c else IndexColumn(c) for c in columns)
    uses = tuple(c for c in columns if "(" not in c)
    return Index(name, "public", "btree", keys, (), unique, primary, True, True, False, predicate, None, "", uses)


def table(
    name: str,
    columns: str,
    *uniques: tuple[str, ...],
    pk: str | None = "id",
    fks: Mapping[str, Table] | None = None,
    self_fk: str | None = None,
) -> Table:
    """A table. Columns are ``name:type``, with ``!`` behind the type for NOT NULL, apart by spaces."""
    made = []
    for number, entry in enumerate(columns.split(), 1):
        column, _, kind = entry.partition(":")
        base = kind.rstrip("!")
        made.append(Column(column, base, number, base, not_null=kind.endswith("!") or column == pk))
    indexes = [index(f"u{i}", *columns) for i, columns in enumerate(uniques)]
    constraints = []
    if pk is not None:
        indexes.append(index("pk", pk, primary=True))
        constraints.append(Constraint("pk", "p", (pk,), "", index="pk"))
    for column, target in (fks or {}).items():
        key = target.primary_key
        constraints.append(
            Constraint(f"fk_{column}", "f", (column,), "", references=target.name, reference_columns=key)
        )
    if self_fk is not None:
        constraints.append(
            Constraint("fk_self", "f", (self_fk,), "", references=QName("public", name), reference_columns=(pk or "",))
        )
    return Table(1, QName("public", name), "r", "me", tuple(made), tuple(indexes), tuple(constraints))


def catalog(*tables: Table) -> Catalog:
    """A catalog of these tables."""
    return Catalog(180000, "d", "me", {t.name: t for t in tables}, tuple(str(t.name) for t in tables))


def values(rows: Rows, column: str) -> list[str | None]:
    """A column's values as texts."""
    return [None if row.get(column) is None else str(row[column]) for row in rows]


def row_of(columns: Sequence[str], row: Mapping[str, object]) -> Row:
    """A row as texts."""
    return tuple(None if row.get(c) is None else str(row[c]) for c in columns)


def repeater(of: Table, text: str, rows: Rows, *, times: int = 1000) -> Repeater:
    """A column that may refer to a lookup; its table has so many times the rows."""
    column = of.column(text)
    assert column is not None
    count = float(len(rows) * times)
    return Repeater(of, column, of_sample(values(rows, text), count), count)


def own(of: Table, text: str, rows: float = 100, distinct: float | None = None) -> Owner:
    """A column that may own its text."""
    column = of.column(text)
    assert column is not None
    found = owner(of, column, ColumnStats(0, 8, distinct or rows), rows)
    assert isinstance(found, Owner), found
    return found


def fitted(
    lookup: tuple[Table, str, Rows],
    references: Sequence[tuple[Table, str, Rows]],
    parents: Mapping[str, tuple[Table, Rows]] | None = None,
    aliases: Mapping[str, Sequence[tuple[str, Mapping[str, object]]]] | None = None,
    *,
    distinct: float | None = None,
) -> Fit:
    """Fit a lookup to references, with every row of all of them as the sample."""
    of, text, rows = lookup
    columns = tuple(c.name for c in of.columns)
    tables = {t.name: t for t in (of, *(p for p, _ in (parents or {}).values()))}
    above = {}
    for join in joins(of, tables):
        if join.column in (parents or {}):
            parent, parent_rows = (parents or {})[join.column]
            names = tuple(c.name for c in parent.columns)
            by_key = {str(r[parent.primary_key[0]]): row_of(names, r) for r in parent_rows}
            above[join.column] = ParentRows(join, names, by_key, Rate(len(by_key), len(by_key)))
    asked = {v for t, c, r in references for v in values(r, c)}
    sample = OwnerSample(
        columns,
        [row_of(columns, r) for r in rows if str(r[text]) in asked or of.column(text).base == "citext"],  # type: ignore[union-attr]
        {n: [(a, row_of(columns, r)) for a, r in entries if a in asked] for n, entries in (aliases or {}).items()},
        above,
    )
    sampled = []
    for t, c, r in references:
        names = tuple(x.name for x in t.columns)
        sampled.append((repeater(t, c, r), RowSample(names, [row_of(names, x) for x in r])))
    return fit(own(of, text, len(rows), distinct), sample, sampled)
