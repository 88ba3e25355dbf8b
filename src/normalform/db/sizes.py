"""Reads what the savings are foretold from: sizes in the catalog, and a sample of each table's blocks.

Decides which blocks are read (so many, evenly spread, all of a small table) and which values stand for a key that is
not there yet. Only reads, with SELECT rights, on a standby too; the time is bounded by the sample. What cannot be read
stays unknown, and the right that it needs is said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from psycopg import sql
from psycopg.rows import dict_row

from ..core import heap
from ..core.btree import Group, even_groups
from ..core.builds import TableBuilds, table_builds
from ..core.catalog import Column, Index, Table
from ..core.findings import ReferenceRead
from ..core.mapping import How, Tally
from ..core.model import Lookup, Model, Reference
from ..core.savings import IndexRead, Savings, TableRead, foretell
from ..sql import sizes as queries
from ..sql.quote import column, raw, table
from ..sql.sheets import lists_of
from .finder import Finder
from .mapping_file import Building

SQL = sql.SQL
#: Blocks of a table that are read: 2 MB.
SAMPLE_BLOCKS = 250
#: Parts in which they are read, evenly spread over the table.
_PARTS = 25
#: Percent of a leaf that is filled where keys come in any order.
_SPLIT_FILL = 69
#: Sheets of the mapping that are looked at, and which of a sheet's lists has the rows.
_SHEETS, _ROWS = 64, -3
#: Types whose equal values may differ in bytes, so that an index on them has no posting lists.
_NOT_SHARED = ("numeric", "float4", "float8", "jsonb", "interval")
#: A value of each type that a key may have, of the size that all of them have.
_KEY_TYPES = {"int2": "0::int2", "int4": "0::int4", "int8": "0::int8", "uuid": "md5('')::uuid"}
_TEXT_KEY = "'normalform-key'::text"
_KEPT_BY_KEY = (How.EXACT, How.QUALIFIED)


@dataclass(frozen=True)
class _Facts:
    """What the catalog says of one table beside the model."""

    heap: int
    toast: int
    maps: int
    mapped: bool
    fillfactor: int
    page: int
    attributes: Sequence[Mapping[str, Any]]
    distinct: Mapping[str, float]


def savings(
    finder: Finder,
    building: Building,
    read: Sequence[ReferenceRead],
    tallies: Sequence[Tally],
    sample: int = SAMPLE_BLOCKS,
) -> Savings | None:
    """Foretell what the migration changes in bytes, what room each phase needs, and how long it takes.

    Args:
        finder: the audit's, with its session.
        building: the mapping as it was read: its lookup rows give their number.
        read: what was read of each reference.
        tallies: how its values are decided.
        sample: blocks of a table that are read.

    Returns:
        None where it cannot be said, which is noted as unchecked.
    """
    model = finder.model
    problem = _problem(model, read)
    if problem is not None:
        finder.unknown("savings", "sizes after the migration", problem)
        return None
    builds = table_builds(model)
    made = [b for b in builds if any(x.planned for x in b.lookups)]
    builds = [b for b in builds if b not in made]
    facts = _facts(finder, [b.table for b in builds])
    if any(f.page != heap.PAGE for f in facts.values()):
        finder.unknown("savings", "sizes after the migration", f"they are known for blocks of {heap.PAGE} bytes alone")
        return None
    rows = {r.reference: r.rows for r in read}
    tables = [_to_make(model, building, b) for b in made]
    for one in builds:
        count = rows[one.references[0].name] if one.references else _lookup_rows(building, one.lookups[0])
        groups = {r.name: _group_sizes(building, r) for r in one.references}
        reader = _TableReader(finder, one, facts[one.table.oid], count, groups, sample)
        found = reader.read()
        if found is None:
            return None
        tables.append(found)
    undecided = sum(t.rows for t in tallies if not t.how.resolved)
    archived = sum(t.rows for t in tallies if t.how not in _KEPT_BY_KEY)
    fill = model.spec.backfill
    return foretell(tables, workers=fill.workers, vacuum=fill.vacuum, archived=archived, undecided=undecided)


def _problem(model: Model, read: Sequence[ReferenceRead]) -> str | None:
    """Say why nothing can be foretold, if so."""
    if any(r.key_present for r in model.references) or any(x.scope_copy and x.scope_ready for x in model.lookups):
        return "the migration has begun; `normalform status` has the sizes"
    unread = {r.name for r in model.references} - {r.reference for r in read}
    if unread:
        return f"{', '.join(sorted(unread))} could not be read"
    lookups = [x for x in model.lookups if not x.planned]
    kinds = {t.name: t.kind for t in [*(r.table for r in model.references), *(x.table for x in lookups)]}
    odd = [str(name) for name, kind in kinds.items() if kind != "r"]
    return f"{', '.join(odd)} is no plain table" if odd else None


def _facts(finder: Finder, tables: Sequence[Table]) -> dict[int, _Facts]:
    oids = {"oids": [t.oid for t in tables]}
    with finder.conn.cursor(row_factory=dict_row) as cursor:
        facts = cursor.execute(queries.FACTS, oids).fetchall()
        attributes = cursor.execute(queries.ATTRIBUTES, oids).fetchall()
        distinct = cursor.execute(queries.DISTINCT, oids).fetchall()
    return {
        f["oid"]: _Facts(
            heap=f["heap"],
            toast=f["toast"],
            maps=f["maps"],
            mapped=f["mapped"],
            fillfactor=f["fillfactor"],
            page=f["page"],
            # Where nothing stands outside the rows, ROW() may hold every value.
            attributes=[{**a, "long": a["long"] and f["toast"] > 0} for a in attributes if a["oid"] == f["oid"]],
            distinct={d["name"]: d["found"] for d in distinct if d["oid"] == f["oid"]},
        )
        for f in facts
    }


def _lookup_rows(building: Building, lookup: Lookup) -> int:
    [(rows,)] = building.db.execute("SELECT count(*) FROM scratch.lookup_row WHERE lookup = ?", (lookup.name,))
    return int(rows)


def _to_make(model: Model, building: Building, builds: TableBuilds) -> TableRead:
    """A lookup that expand makes: one row for each text of a scope, as the references have them."""
    names = [r.name for x in builds.lookups for r in model.references_of(x)]
    marks = ", ".join("?" * len(names))
    [(count, length)] = building.db.execute(
        "SELECT count(*), coalesce(avg(length(CAST(text AS BLOB))), 0) FROM (SELECT DISTINCT v.scope, v.text "  # noqa: S608
        f"FROM value v JOIN reference r ON r.id = v.reference WHERE r.name IN ({marks}) AND v.text IS NOT NULL)",
        names,
    )
    texts = {c.name for c in builds.table.columns if c.is_text}

    def width(columns: Iterable[str | None], header: int) -> float:
        return (header + sum(length + 1 if name in texts else 8 for name in columns) + 7) // 8 * 8

    row = width([c.name for c in builds.table.columns], 24) + 4
    groups = (Group(1, count),)
    coming = [(i.name, i, "expand") for i in builds.table.indexes]
    coming += [(b.index.name or f"({n})", b.index, b.phase) for n, b in enumerate(builds.built)]
    indexes = [
        IndexRead(
            name,
            0,
            groups,
            width([c.column for c in index.columns], 8),
            phase=phase,
            # What stands when the rows come in any order is filled as splits leave it.
            fillfactor=_SPLIT_FILL if index in builds.table.indexes and index.columns[0].column in texts else 90,
        )
        for name, index, phase in coming
    ]
    rows = heap.Rows(count, 0, row, row, row, ())
    return TableRead(str(builds.table.name), rows, 0, indexes=indexes, reference=False, made=True)


def _group_sizes(building: Building, reference: Reference) -> tuple[Group, ...]:
    """How many values of a reference stand in how many rows: nearly what its keys will."""
    [(number,)] = building.db.execute("SELECT id FROM reference WHERE name = ?", (reference.name,))
    found = Counter[float](
        dict(
            building.db.execute(
                "SELECT rows, count(*) FROM value WHERE id BETWEEN ? AND ? AND text IS NOT NULL GROUP BY rows",
                building.span(number),
            )
        )
    )
    [(whole,)] = building.db.execute("SELECT coalesce(sum(n), 0) FROM sheet WHERE reference = ?", (number,))
    # Values stand on sheets by a hash of their text: some sheets are a sample of all.
    some = Counter[float]()
    for _, _, scopes, body in islice(building.sheets(number), _SHEETS):
        some.update(float(rows) for rows in lists_of(body, scopes)[_ROWS])
    scale = whole / some.total() if some else 0.0
    return (
        *(Group(rows, keys) for rows, keys in found.items()),
        *(Group(rows, keys * scale) for rows, keys in some.items()),
    )


class _TableReader:
    """Reads one table's sample and turns it into what :mod:`core.savings` wants."""

    def __init__(
        self,
        finder: Finder,
        builds: TableBuilds,
        facts: _Facts,
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
