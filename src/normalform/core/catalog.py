"""What a database looks like: frozen copies of the catalog rows that the planners read.

Filled by ``db.inspect``, stored in the ledger as the *baseline* (so that contract can be undone), compared by gates.
Decides nothing and never holds an OID across sessions for anything but display.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .names import QName


@dataclass(frozen=True)
class Column:
    """A column. ``type`` is what format_type prints; ``width`` the n of varchar(n), None when unbounded.

    A domain counts as what it rests on: ``base``, ``base_type``, ``width``, ``collated`` and ``deterministic``.
    """

    name: str
    type: str
    attnum: int
    base: str  # pg_type.typname of the base type: varchar, text, int4, uuid, citext …
    width: int | None = None
    not_null: bool = False
    default: str | None = None  # the generation expression when ``generated`` is set
    identity: str = ""  # 'a', 'd' or ''
    generated: str = ""  # 's', 'v' or ''
    collation: str | None = None  # qualified and quoted, only when not the type's default
    storage: str | None = None  # plain, external, extended, main; only when not the type's default
    compression: str = ""  # pglz, lz4 or ''
    statistics: int | None = None
    comment: str | None = None
    acl: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    base_type: str = ""  # what format_type prints of the base type; empty means that it is ``type``
    collated: str | None = None  # qualified and quoted, unless it is the database's default
    deterministic: bool = True  # whether equal means equal bytes

    @property
    def plain_type(self) -> str:
        """The type without the domain: what a column of ours has that is to hold the same values, or NULL."""
        return self.base_type or self.type

    @property
    def is_text(self) -> bool:
        """Whether the base type is one of the character types."""
        return self.base in ("text", "varchar", "bpchar", "citext", "name")


@dataclass(frozen=True)
class IndexColumn:
    """One key column of an index: a column's name, or an expression's text."""

    column: str | None
    expression: str | None = None
    opclass: str | None = None  # qualified, with its options; only when not the default of the type
    collation: str | None = None  # qualified, only when not the column's own
    descending: bool = False
    nulls_first: bool = False


@dataclass(frozen=True)
class Index:
    """An index; ``constraint`` names the constraint that it serves, if any."""

    name: str
    schema: str
    method: str
    columns: tuple[IndexColumn, ...]
    include: tuple[str, ...]
    unique: bool
    primary: bool
    valid: bool
    immediate: bool
    nulls_not_distinct: bool
    predicate: str | None
    constraint: str | None
    definition: str
    uses: tuple[str, ...]  # every column of the table that it reads, in keys, INCLUDE, expressions or predicate
    options: tuple[str, ...] = ()
    tablespace: str | None = None
    clustered: bool = False
    replica_identity: bool = False
    comment: str | None = None
    bytes: int = 0
    statistics: tuple[tuple[int, int], ...] = ()  # (key position, target) of expression columns

    @classmethod
    def planned(cls, schema: str, columns: Iterable[str], *, name: str = "", unique: bool = False) -> Index:
        """Return a plain btree over columns, as one that is yet to be built."""
        listed = tuple(columns)
        return cls(
            name=name,
            schema=schema,
            method="btree",
            columns=tuple(IndexColumn(c) for c in listed),
            include=(),
            unique=unique,
            primary=False,
            valid=True,
            immediate=True,
            nulls_not_distinct=False,
            predicate=None,
            constraint=None,
            definition="",
            uses=listed,
        )


@dataclass(frozen=True)
class Constraint:
    """A constraint. ``kind``: p primary, u unique, f foreign, c check, x exclusion, n not null (PostgreSQL 18)."""

    name: str
    kind: str
    columns: tuple[str, ...]
    definition: str
    validated: bool = True
    deferrable: bool = False
    deferred: bool = False
    references: QName | None = None
    reference_columns: tuple[str, ...] = ()
    on_delete: str = "a"  # pg_constraint.confdeltype
    on_update: str = "a"
    index: str | None = None  # of p, u and x
    comment: str | None = None
    expression: str | None = None  # of c
    operators: tuple[str, ...] = ()  # of x, as SQL writes them: OPERATOR(pg_catalog.=)
    period: bool = False  # WITHOUT OVERLAPS or PERIOD (PostgreSQL 18)


@dataclass(frozen=True)
class Statistics:
    """An extended statistics object; dropping a column takes it along in silence."""

    name: QName
    columns: tuple[str, ...]  # every column that it reads, those in expressions too
    definition: str
    target: int | None = None
    comment: str | None = None


@dataclass(frozen=True)
class InboundKey:
    """A foreign key of another table that points at this one."""

    name: str
    table: QName
    columns: tuple[str, ...]
    target_columns: tuple[str, ...]
    on_delete: str


@dataclass(frozen=True)
class Trigger:
    """A user-level trigger.

    ``events`` holds insert, update, delete, truncate; ``timing`` is before, after or instead.
    """

    name: str
    function: str
    timing: str
    row: bool
    events: tuple[str, ...]
    enabled: str  # pg_trigger.tgenabled: O, D, R, A
    definition: str


@dataclass(frozen=True)
class Table:
    """A table with everything that hangs on it."""

    oid: int
    name: QName
    kind: str  # pg_class.relkind: r, p, f, v, m
    owner: str
    columns: tuple[Column, ...]
    indexes: tuple[Index, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    inbound: tuple[InboundKey, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    persistence: str = "p"
    row_security: bool = False
    force_row_security: bool = False
    replica_identity: str = "d"
    relfilenode: int = 0
    pages: int = 0
    rows_estimate: float = 0.0
    bytes: int = 0  # pg_total_relation_size
    acl: tuple[str, ...] = ()
    statistics: tuple[Statistics, ...] = ()

    def column(self, name: str) -> Column | None:
        """Return the column of that name, or None."""
        return next((c for c in self.columns if c.name == name), None)

    def index(self, name: str) -> Index | None:
        """Return the index of that name, or None."""
        return next((i for i in self.indexes if i.name == name), None)

    def constraint(self, name: str) -> Constraint | None:
        """Return the constraint of that name, or None."""
        return next((c for c in self.constraints if c.name == name), None)

    @property
    def primary_key(self) -> tuple[str, ...]:
        """Columns of the primary key in order, or an empty tuple."""
        return next((c.columns for c in self.constraints if c.kind == "p"), ())


@dataclass(frozen=True)
class Catalog:
    """The part of a database that a spec touches."""

    server_version: int  # server_version_num, e.g. 180000
    database: str
    user: str
    tables: Mapping[QName, Table] = field(default_factory=dict)
    names: tuple[str, ...] = ()  # every table visible to us, as people write it, for "nearest name" hints
    search_path: tuple[str, ...] = ("public",)

    def find(self, name: QName) -> Table | None:
        """Return the table by name; a name without schema is looked for along the search path."""
        if name.schema:
            return self.tables.get(name)
        for schema in self.search_path:
            table = self.tables.get(QName(schema, name.name))
            if table is not None:
                return table
        return None

    def __iter__(self) -> Iterator[Table]:
        return iter(self.tables.values())


def to_json(value: Any) -> Any:
    """Turn catalog values into what ``json`` can write. Inverse: :func:`table_from_json`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [to_json(v) for v in value]
    return value


def table_from_json(data: Mapping[str, Any]) -> Table:
    """Rebuild a :class:`Table` from what :func:`to_json` made of it."""
    result = _build(Table, data)
    assert isinstance(result, Table)
    return result


@functools.cache
def _hints(kind: type) -> Mapping[str, Any]:
    return typing.get_type_hints(kind)  # compiles every annotation: a third of a small run's time without the cache


def _build(kind: Any, data: Any) -> Any:
    if data is None:
        return None
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        inner = [a for a in typing.get_args(kind) if a is not type(None)]
        return _build(inner[0], data)
    if origin is tuple:
        args = typing.get_args(kind)
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(_build(args[0], v) for v in data)
        return tuple(_build(a, v) for a, v in zip(args, data, strict=True))
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = _hints(kind)
        return kind(**{k: _build(hints[k], v) for k, v in data.items() if k in hints})
    return data
