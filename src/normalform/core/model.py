"""The model: a spec fitted to a catalog, every name resolved to a real column.

The types, and what follows from them alone; ``core.bind`` does the fitting. After contract the text columns are gone:
their definitions then come from the *baseline*, the tables as they stood before the first change, which the ledger
keeps.
"""

from __future__ import annotations

from dataclasses import dataclass

from .catalog import Catalog, Column, Table
from .names import QName
from .spec import LookupSpec, ReferenceSpec, Spec


@dataclass(frozen=True)
class PathTable:
    """Where a qualifier's path comes from: walk ``parent`` upward from the row with ``key`` = lookup.join."""

    table: Table
    key: str
    name: str
    join: str
    parent: str | None
    separator: str

    @property
    def name_column(self) -> Column | None:
        """The column with the names."""
        return self.table.column(self.name)


@dataclass(frozen=True)
class ScopeCopy:
    """Where an added scope column comes from: ``lookup.join = table.key``, then ``table.column``."""

    table: Table
    key: str
    column: Column
    join: str


@dataclass(frozen=True)
class Lookup:
    """A table that owns a text, with its columns found."""

    spec: LookupSpec
    table: Table
    key: Column
    text: Column
    aliases: Column | None
    scope: tuple[str, ...]  # the scope columns' names on the lookup, the added one included
    scope_types: tuple[str, ...]
    scope_ready: bool  # they exist now and are filled; while False the scope is read through ``scope_copy``
    scope_copy: ScopeCopy | None
    qualifier_column: str | None
    path: PathTable | None
    planned: bool = False  # the table does not exist yet: what it will be is described, and no row can be read
    made_as: Table | None = None  # what expand makes, whether it stands or not; only with ``create``

    @property
    def name(self) -> str:
        """The lookup's name in the spec."""
        return self.spec.name

    @property
    def qualifier_text(self) -> Column | None:
        """The lookup's own column, or the path table's, that qualifiers are read from."""
        if self.path is not None:
            return self.path.table.column(self.path.name)
        return self.table.column(self.qualifier_column) if self.qualifier_column is not None else None

    @property
    def scope_columns(self) -> tuple[Column, ...]:
        """The scope's columns; one that expand adds is described by what it is copied from."""
        if self.scope_copy is not None:
            return (self.scope_copy.column,)
        found = [self.table.column(name) for name in self.scope]
        return tuple(c for c in found if c is not None)

    @property
    def has_qualifier(self) -> bool:
        """Whether equal names can be told apart."""
        return self.qualifier_column is not None or self.path is not None

    @property
    def text_in_unique(self) -> bool:
        """Whether the text stands in a plain unique index, so that a rename is a key update (CORRECTNESS 2)."""
        return any(
            i.unique
            and i.valid
            and i.predicate is None
            and any(c.column == self.text.name for c in i.columns)
            and all(c.column is not None for c in i.columns)
            for i in self.table.indexes
        )


@dataclass(frozen=True)
class Reference:
    """A text column that should point at a lookup, with its columns found."""

    spec: ReferenceSpec
    table: Table
    lookup: Lookup
    text: Column
    qualifier: Column | None
    scope: tuple[Column, ...]
    key_present: bool  # the key column exists now
    text_present: bool  # the text column exists now (False after contract)

    @property
    def name(self) -> str:
        """The reference's name in the spec."""
        return self.spec.name

    @property
    def key(self) -> str:
        """The key column's name."""
        return self.spec.add

    @property
    def key_type(self) -> str:
        """The key column's type: that of the lookup's key; a domain's own rules are the lookup's to keep."""
        return self.lookup.key.plain_type

    @property
    def identity(self) -> tuple[str, ...]:
        """The primary key's columns; empty when the table has none."""
        return self.table.primary_key

    @property
    def nullable_scope(self) -> tuple[Column, ...]:
        """Scope columns that may be NULL, under which MATCH SIMPLE would accept any key (CORRECTNESS 9)."""
        return tuple(c for c in self.scope if not c.not_null)


@dataclass(frozen=True)
class Model:
    """Everything the planners need."""

    spec: Spec
    catalog: Catalog
    lookups: tuple[Lookup, ...]
    references: tuple[Reference, ...]
    absent: tuple[ReferenceSpec, ...] = ()  # optional references whose table does not exist

    def lookup(self, name: str) -> Lookup:
        """Return the lookup of that name. Raises StopIteration when there is none."""
        return next(entry for entry in self.lookups if entry.name == name)

    def reference(self, name: str) -> Reference:
        """Return the reference of that name. Raises StopIteration when there is none."""
        return next(entry for entry in self.references if entry.name == name)

    def references_of(self, lookup: Lookup) -> tuple[Reference, ...]:
        """Return the references that point at a lookup."""
        return tuple(r for r in self.references if r.lookup.name == lookup.name)


def tables_of(spec: Spec) -> tuple[QName, ...]:
    """Return every table that a spec names, each once, for the inspector."""
    names: list[QName] = []
    for lookup in spec.lookups:
        names.append(lookup.table)
        if lookup.scope is not None and lookup.scope.copy_table is not None:
            names.append(lookup.scope.copy_table)
        if lookup.qualifier is not None and lookup.qualifier.path_table is not None:
            names.append(lookup.qualifier.path_table)
    names.extend(reference.table for reference in spec.references)
    return tuple(dict.fromkeys(names))
