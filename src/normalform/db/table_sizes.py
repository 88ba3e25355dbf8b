"""Reads one table for the savings: a sample of its blocks, and what its indexes hold of them.

Decides which blocks are read (so many, evenly spread, all of a small table) and which values stand for a key that is
not there yet. Calls no function of somebody else's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from psycopg import sql

from ..core import heap
from ..core.btree import Group, even_groups
from ..core.builds import TableBuilds
from ..core.catalog import Column, Index
from ..core.savings import IndexRead, TableRead
from ..sql import sizes as queries
from ..sql.quote import column, raw, table
from .finder import Finder

SQL = sql.SQL
#: Parts in which they are read, evenly spread over the table.
_PARTS = 25
#: Types whose equal values may differ in bytes, so that an index on them has no posting lists.
_NOT_SHARED = ("numeric", "float4", "float8", "jsonb", "interval")
#: A value of each type that a key may have, of the size that all of them have.
_KEY_TYPES = {"int2": "0::int2", "int4": "0::int4", "int8": "0::int8", "uuid": "md5('')::uuid"}
_TEXT_KEY = "'normalform-key'::text"


@dataclass(frozen=True)
class Facts:
    """What the catalog says of one table beside the model."""

    heap: int
    toast: int
    maps: int
    mapped: bool
    fillfactor: int
    page: int
    attributes: Sequence[Mapping[str, Any]]
    distinct: Mapping[str, float]


class TableReader:
    """Reads one table's sample and turns it into what :mod:`core.savings` wants."""

    def __init__(
        self,
        finder: Finder,
        builds: TableBuilds,
        facts: Facts,
        count: int,
        groups: Mapping[str, Sequence[Group]],
        sample: int,
    ) -> None:
        self.finder, self.builds, self.facts, self.count, self.groups = finder, builds, facts, count, groups
        self.table = builds.table
        self.added = _added(builds)
        self.blocks = facts.heap // heap.PAGE
        self.parts = _parts(self.blocks, sample)
        self.taken = sum(end - first for first, end in self.parts)
        self.source = queries.sampled(self.table.name, self.parts)
        self.whole = self.taken == self.blocks
        self.sampled = 1

    def read(self) -> TableRead | None:
        """Return what was read; None where it may not be, which is noted."""
        rows = self._rows()
        if rows is None:
            return None
        lookups, references = self.builds.lookups, self.builds.references
        by = "backfill" if references else None
        if any(x.scope_copy is not None for x in lookups):
            by = "expand"
        read = TableRead(
            table=str(self.table.name),
            rows=rows,
            heap=self.facts.heap,
            toast=self.facts.toast,
            maps=self.facts.maps,
            mapped=self.facts.mapped,
            fillfactor=self.facts.fillfactor,
            filled_by=by,
            reference=bool(references),
        )
        near = self._near(rows)
        indexes = [self._index(i, near=near, goes=i.name in self.builds.gone) for i in self.table.indexes]
        for n, built in enumerate(self.builds.built):
            source = self.table.index(built.source) if built.source is not None else None
            predicate = source.predicate if source is not None else None
            # What is no btree, or cannot be read, is taken to be as large as what it follows.
            index = replace(
                built.index, name=built.index.name or f"({n})", predicate=predicate, bytes=source.bytes if source else 0
            )
            found = self._index(index, near=None, goes=False)
            if found is not None:
                found = replace(found, phase=built.phase, again=built.again)
            indexes.append(found)
        return None if None in indexes else replace(read, indexes=tuple(i for i in indexes if i is not None))

    def _rows(self) -> heap.Rows | None:
        if not self.taken:
            return heap.Rows(self.count, 0, 1.0, 1.0, 1.0, ())
        query = queries.block_sums(
            self.source, self._row(added=False), self._row(), self._row(rewritten=True), self._filled()
        )
        found = self.finder.rows(str(self.table.name), "sizes after the migration", query)
        if found is None:
            return None
        sums = [tuple(row.values()) for row in found]
        read = sum(s[1] for s in sums)
        if not read:
            return heap.Rows(self.count, self.blocks, 1.0, 1.0, 1.0, ())
        self.sampled = read
        now, keyed, final = (sum(s[n] for s in sums) / read for n in (2, 3, 4))
        sample = [heap.Block(s[1], s[2], s[5]) for s in sums]
        sample += [heap.Block(0, 0, 0)] * (self.taken - len(sample))
        return heap.Rows(self.count, self.blocks, float(now), float(keyed), float(final), sample)

    def _row(self, *, added: bool = True, rewritten: bool = False) -> sql.Composable:
        values: list[sql.Composable] = []
        long: list[sql.Composable] = []
        for attribute in self.facts.attributes:
            gone = attribute["dropped"] or (rewritten and attribute["name"] in self.builds.dropped)
            if gone or attribute["long"]:
                values.append(SQL("NULL::int4"))
                if not gone:
                    long.append(column("t", attribute["name"]))
            else:
                values.append(column("t", attribute["name"]))
        return queries.row_bytes([*values, *(self.added.values() if added else ())], long)

    def _filled(self) -> sql.Composable:
        conditions: list[sql.Composable] = [
            SQL("{} IS NOT NULL").format(column("t", r.text.name)) for r in self.builds.references
        ]
        if any(x.scope_copy is not None for x in self.builds.lookups):
            conditions.append(SQL("true"))
        return SQL("({})").format(SQL(" OR ").join(conditions)) if conditions else SQL("false")

    def _near(self, rows: heap.Rows) -> int:
        """Blocks that are filled between two VACUUMs."""
        fill = self.finder.model.spec.backfill
        changed = rows.count * rows.filled_share
        share = heap.vacuum_rows(rows, fill.workers, fill.vacuum) / changed if changed else 1.0
        return max(1, int(self.blocks * share / 2))

    def _index(self, index: Index, *, near: int | None, goes: bool) -> IndexRead | None:
        """Return an index as the sample has it; None where it may not be read."""
        read = IndexRead(
            index.name,
            index.bytes,
            known=index.method == "btree" and index.valid and _harmless(index),
            fillfactor=_fillfactor(index),
            goes=goes,
        )
        if not read.known:
            return read
        if not self.taken:
            return read
        names = [c.column for c in index.columns if c.column is not None]
        sizes = [self._value(name) for name in (*names, *index.include)]
        grouping: list[sql.Composable] = []
        named: list[str | None] = []
        for name in names:
            parts = self._grouping(name)
            grouping += parts
            named += [name] + [None] * (len(parts) - 1)
        shared = not index.unique and not index.include and self._can_share(index)
        shared = shared and "deduplicate_items=off" not in index.options
        query = queries.index_sums(
            self.source, sizes, grouping, predicate=index.predicate, near=near, groups=shared,
            distinct=shared and not self.whole,
        )  # fmt: skip
        found = self.finder.rows(str(self.table.name), f"the size of index {index.name}", query)
        if found is None:
            return None
        entries, mean, least, most, together, sizes_of, keys, distinct = found[0].values()
        if not entries:
            return replace(read, groups=())
        total = self.count * min(1.0, entries / self.sampled)  # a predicate leaves some out
        if shared:
            sampled = list(zip(sizes_of, keys, strict=True))
            groups = self._groups(index, total, entries, sampled, named, distinct)
        else:
            groups = (Group(1, total),)
        return replace(read, groups=groups, key_bytes=mean, constant=least == most, shared=shared, together=together)

    def _groups(
        self,
        index: Index,
        total: float,
        entries: int,
        sampled: Sequence[tuple[int, int]],
        named: Sequence[str | None],
        distinct: Sequence[int],
    ) -> tuple[Group, ...]:
        """How many keys stand in how many rows, in the whole table."""
        if self.whole:
            return tuple(Group(rows, keys) for rows, keys in sampled)
        columns = {c.column for c in index.columns}
        for reference in self.builds.references:
            # A key stands in the rows that its text and qualifier stand in, and says the scope.
            if reference.key in columns and columns <= {reference.key, *(c.name for c in reference.scope)}:
                return tuple(self.groups[reference.name])
        # The column with most values says how many there are; the sample says how many more the others make of them.
        of_sample = sum(keys for _, keys in sampled)
        best = even_groups(total, of_sample * total / entries)
        known = []
        for name, seen in zip(named, distinct, strict=True):
            whole = self._distinct(name, total)
            if whole is not None and seen:
                known.append((whole, whole * of_sample / seen))
        if known:
            best = even_groups(total, min(total, max(known)[1]))
        return best

    def _distinct(self, name: str | None, total: float) -> float | None:
        if name is None:
            return None
        for reference in self.builds.references:
            if name == reference.key:
                return sum(g.keys for g in self.groups[reference.name])
        found = self.facts.distinct.get(name)
        return None if found is None else (found if found > 0 else -found * total)

    def _value(self, name: str) -> sql.Composable:
        return self.added.get(name, column("t", name))

    def _grouping(self, name: str) -> list[sql.Composable]:
        """What tells the values of an index's column apart: for a key, what decides it."""
        for reference in self.builds.references:
            if name == reference.key:
                own = [reference.text, *([reference.qualifier] if reference.qualifier else [])]
                return [column("t", c.name) for c in own]
        return [self._value(name)]

    def _can_share(self, index: Index) -> bool:
        found = [self.table.column(c.column) for c in index.columns if c.column is not None]
        return all(c is None or _bytewise(c) for c in found)


def _parts(blocks: int, sample: int) -> list[tuple[int, int]]:
    """Return which blocks are read: (first, behind the last)."""
    if blocks <= sample:
        return [(0, blocks)] if blocks else []
    length = max(1, sample // _PARTS)
    return [(n * blocks // _PARTS, n * blocks // _PARTS + length) for n in range(_PARTS)]


def _harmless(index: Index) -> bool:
    """Whether its size can be read without calling a function of somebody else's as our role."""
    # With pg_catalog alone on the path, operators of others are printed as OPERATOR(schema.name).
    calls = index.predicate is not None and re.search(r"[\w\"]\(", index.predicate) is not None
    return all(c.column is not None for c in index.columns) and not calls


def _bytewise(one: Column) -> bool:
    return one.base not in _NOT_SHARED and one.deterministic and not one.base.startswith("_")


def _fillfactor(index: Index) -> int:
    return next((int(o.partition("=")[2]) for o in index.options if o.startswith("fillfactor=")), 90)


def _added(builds: TableBuilds) -> dict[str, sql.Composable]:
    """The columns that expand adds, each as a value of the size that it will have."""
    result: dict[str, sql.Composable] = {}
    for lookup in builds.lookups:
        copy = lookup.scope_copy
        if copy is not None:
            result[lookup.scope[0]] = SQL("(SELECT {} FROM {} sc WHERE {} = {})").format(
                column("sc", copy.column.name), table(copy.table.name), column("sc", copy.key), column("t", copy.join)
            )
    for reference in builds.references:
        value = raw(_KEY_TYPES.get(reference.lookup.key.base, _TEXT_KEY))
        result[reference.key] = SQL("CASE WHEN {} IS NOT NULL THEN {} END").format(
            column("t", reference.text.name), value
        )
    return result
