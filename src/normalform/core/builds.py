"""Which indexes the phases will build and drop, table by table, before anything has been done.

Decides nothing: the successors are ``core.conservation``'s, the lookups' indexes those of the plans of expand and
constrain, with which a test compares this. It is for whoever wants to know what will stand, not for whoever builds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .catalog import Index, Table
from .conservation import conserve
from .model import Lookup, Model, Reference
from .names import QName


@dataclass(frozen=True)
class Built:
    """An index to be built.

    Args:
        index: as it is in the end; its name may be empty.
        phase: who builds it.
        source: name of the legacy index that it follows, whose predicate says which rows it has.
        again: whether contract builds it once more, as a unique, and drops the first one then.
    """

    index: Index
    phase: Literal["expand", "constrain"]
    source: str | None = None
    again: bool = False


@dataclass(frozen=True)
class TableBuilds:
    """What happens to one table.

    Args:
        table: as it is.
        references: the references on it.
        lookups: the lookups that it is.
        built: indexes to come, in the order in which they are built.
        gone: names of the indexes that go with the columns at contract.
        dropped: names of those columns.
    """

    table: Table
    references: tuple[Reference, ...]
    lookups: tuple[Lookup, ...]
    built: tuple[Built, ...]
    gone: frozenset[str]
    dropped: tuple[str, ...]


def table_builds(model: Model) -> list[TableBuilds]:
    """Return what happens to each table of a model of which nothing has been done yet."""
    tables: dict[QName, Table] = {}
    for table in (*(x.table for x in model.lookups), *(r.table for r in model.references)):
        tables.setdefault(table.name, table)
    conserved = {c.name: c for c in conserve(model, {})}
    result = []
    for name, table in tables.items():
        lookups = tuple(x for x in model.lookups if x.table.name == name)
        built = [b for lookup in lookups for b in _of_lookup(model, lookup)]
        own = conserved.get(name)
        gone: frozenset[str] = frozenset()
        if own is not None:
            for s in own.succession.successors:
                if s.index is not None:
                    again = s.late or s.deferrable or s.kind == "primary"
                    built.append(Built(s.index, "constrain", next(iter(s.sources), None), again))
            of_constraints = (i.name for _, i in own.legacy.constraints if i is not None)
            gone = frozenset([*(i.name for i in own.legacy.indexes), *of_constraints])
        result.append(
            TableBuilds(
                table=table,
                references=own.references if own is not None else (),
                lookups=lookups,
                built=tuple(built),
                gone=gone,
                dropped=own.dropped if own is not None else (),
            )
        )
    return result


def _of_lookup(model: Model, lookup: Lookup) -> list[Built]:
    schema, indexes = lookup.table.name.schema, lookup.table.indexes
    searched = (*lookup.scope, lookup.text.name)
    found = []
    if not any(_leads(i, searched) for i in indexes):
        found.append(Built(Index.planned(schema, searched), "expand"))
    uniques: list[Sequence[str]] = []
    if lookup.scope and model.references_of(lookup):
        uniques.append((*lookup.scope, lookup.key.name))
    if lookup.spec.unique:
        uniques.append(lookup.spec.unique)
    missing = [c for c in uniques if not any(_same_unique(i, c) for i in indexes)]
    return found + [Built(Index.planned(schema, c, unique=True), "constrain") for c in missing]


def _leads(index: Index, columns: Sequence[str]) -> bool:
    """Whether sync can look values up by an index that stands."""
    leading = {c.column for c in index.columns[: len(columns)]}
    return index.valid and index.predicate is None and index.method == "btree" and leading == set(columns)


def _same_unique(index: Index, columns: Sequence[str]) -> bool:
    """Whether a foreign key can refer to these columns by an index that stands."""
    plain = index.unique and index.valid and index.immediate and index.predicate is None
    same = len(index.columns) == len(columns) and {c.column for c in index.columns} == set(columns)
    return plain and same and not index.nulls_not_distinct
