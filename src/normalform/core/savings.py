"""Savings: the bytes of each table and its indexes before and after, the room that each phase needs, and how long.

Decides what the figures of a sample say about the whole, by the server's own rules (``core.heap``, ``core.btree``).
Pure. It must never take an estimate for a measurement: sizes before are the server's, all others are foretold, and the
report says so. WAL is no part of any figure, nor are temporary files, which have one of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from . import btree, heap
from .btree import Group
from .spec import Vacuum

#: Rows, and bytes of index, that a second does; see bench/savings.md. What comes of it holds within the factors.
_FILLED, _SCANNED, _PROVEN, _BUILT = 26_000.0, 250_000.0, 90_000.0, 7_000_000.0
_FIXED = 1.0
_FASTER, _SLOWER = 0.4, 2.5
#: What the ledger takes when it is made, and what each phase writes into it.
_LEDGER = {"resolve": 700_000, "expand": 350_000, "backfill": 100_000, "verify": 0, "constrain": 100_000}
#: Bytes of a row of the archive beside its values.
_ARCHIVED = 250
PHASES = ("resolve", "expand", "backfill", "verify", "constrain", "contract")


@dataclass(frozen=True)
class IndexRead:
    """An index that stands or will, as a sample of the table's rows has it.

    Args:
        name: its name.
        bytes: its size now; 0 where it is yet to be built.
        groups: its entries by how many rows have the same key.
        key_bytes: mean bytes of an index tuple, aligned, header included.
        constant: whether all have that size.
        shared: whether equal keys share posting lists.
        together: how much of a leaf gets new entries before the old ones can go, 0 to 1.
        known: False for what is no btree: it is taken to be as large when built anew.
        fillfactor: of its leaves.
        phase: who builds it; None for one that stands.
        again: contract builds it once more and drops the first one.
        goes: it goes with the columns at contract.
    """

    name: str
    bytes: int
    groups: Sequence[Group] = ()
    key_bytes: float = 16.0
    constant: bool = False
    shared: bool = False
    together: float = 1.0
    known: bool = True
    fillfactor: int = btree.FILLFACTOR
    phase: str | None = None
    again: bool = False
    goes: bool = False

    @property
    def fresh(self) -> int:
        """Its bytes if it were built now."""
        if not self.known:
            return self.bytes
        return btree.built_bytes(
            self.groups, self.key_bytes, shared=self.shared, fillfactor=self.fillfactor, constant=self.constant
        )

    def grown(self, updated: float) -> int:
        """Its bytes after so many new entries for each that it has."""
        if not self.known:
            return round(self.bytes * (1 + updated))
        keys = sum(g.keys for g in self.groups)
        alike = sum(g.rows * g.keys for g in self.groups) / keys if keys else 1.0
        return btree.grown_bytes(self.bytes, self.fresh, updated, self.together, alike if self.shared else 1.0)


@dataclass(frozen=True)
class TableRead:
    """One table as it was read.

    Args:
        table: its name.
        rows: its rows, their sizes, and a sample of its blocks.
        heap: bytes of its main file.
        toast: bytes of its TOAST table, with the index of that.
        maps: bytes of the maps of free and visible space, which VACUUM makes.
        mapped: whether there is a map of free space, so that room in other pages is found before the first VACUUM.
        fillfactor: of the heap.
        indexes: those that stand, then those to come, in the order in which they are built.
        filled_by: the phase that gives every row a new version: ``expand`` or ``backfill``; None for neither.
        reference: whether it has a reference, so that rows are proven and archived.
        made: expand makes the table.
    """

    table: str
    rows: heap.Rows
    heap: int
    toast: int = 0
    maps: int = 0
    mapped: bool = True
    fillfactor: int = 100
    indexes: Sequence[IndexRead] = ()
    filled_by: str | None = None
    reference: bool = True
    made: bool = False


@dataclass(frozen=True)
class Size:
    """Bytes of a table: main file, indexes, and the rest (TOAST and maps)."""

    heap: int
    indexes: int
    other: int = 0

    @property
    def total(self) -> int:
        """All together: what pg_total_relation_size says."""
        return self.heap + self.indexes + self.other

    def __add__(self, other: Size) -> Size:
        return Size(self.heap + other.heap, self.indexes + other.indexes, self.other + other.other)

    def to_json(self) -> dict[str, int]:
        """Return it as plain data."""
        return {"heap": self.heap, "indexes": self.indexes, "other": self.other, "total": self.total}


@dataclass(frozen=True)
class TableSavings:
    """Sizes of one table: measured before, foretold after.

    Args:
        table: its name.
        before: now.
        after: by phase, once it has been done.
        rewritten: once contract is done and the table has been rewritten (VACUUM FULL, pg_repack).
        peak: by phase, bytes that it needs beyond what the table had when the phase began, at its worst moment.
        sort: bytes of the largest index that is built, which a sort may need in temporary files as well, by phase.
    """

    table: str
    before: Size
    after: dict[str, Size]
    rewritten: Size
    peak: dict[str, int] = field(default_factory=dict)
    sort: dict[str, int] = field(default_factory=dict)

    @property
    def contracted(self) -> Size:
        """As contract leaves it."""
        return self.after["contract"]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "table": self.table,
            "before": self.before.to_json(),
            "contracted": self.contracted.to_json(),
            "rewritten": self.rewritten.to_json(),
            "saved": {
                "contracted": self.before.total - self.contracted.total,
                "rewritten": self.before.total - self.rewritten.total,
            },
        }


@dataclass(frozen=True)
class PhaseRoom:
    """What a phase needs.

    Args:
        phase: its name.
        grows: bytes by which the database is larger when it has ended; less than 0 where it shrinks.
        peak: bytes of free room that it needs at its worst moment.
        sort: bytes of temporary files that building its largest index may need besides.
        seconds: between these it is likely to take; rough.
    """

    phase: str
    grows: int
    peak: int
    sort: int
    seconds: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "phase": self.phase, "grows": self.grows, "peak": self.peak, "temporary": self.sort,
            "seconds": [round(s, 1) for s in self.seconds],
        }  # fmt: skip


@dataclass(frozen=True)
class Savings:
    """What the migration changes in bytes and how long it takes, foretold from a sample."""

    tables: tuple[TableSavings, ...]
    phases: tuple[PhaseRoom, ...]

    @property
    def total(self) -> TableSavings:
        """All tables together."""
        zero = Size(0, 0)
        after = {p: sum((t.after[p] for t in self.tables), zero) for p in PHASES}
        return TableSavings(
            "total", sum((t.before for t in self.tables), zero), after, sum((t.rewritten for t in self.tables), zero)
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "tables": [t.to_json() for t in self.tables],
            "total": {k: v for k, v in self.total.to_json().items() if k != "table"},
            "phases": [p.to_json() for p in self.phases],
        }


def foretell(tables: Sequence[TableRead], *, workers: int, vacuum: Vacuum, archived: int, undecided: int) -> Savings:
    """Foretell sizes, room and time.

    Args:
        tables: every table that the spec's references and lookups name.
        workers: sessions that fill at once.
        vacuum: when VACUUM runs.
        archived: rows whose text the key does not give, which contract archives.
        undecided: rows that decisions have yet to settle, which resolve may archive.
    """
    found = tuple(table_savings(t, workers=workers, vacuum=vacuum) for t in tables)
    extra = {**_LEDGER, "contract": 100_000}
    extra["resolve"] += undecided * _ARCHIVED
    extra["contract"] += archived * _ARCHIVED
    phases = []
    for n, phase in enumerate(PHASES):
        peak = at = 0
        for table in found:
            before = table.before if n == 0 else table.after[PHASES[n - 1]]
            # Contract builds its uniques table by table before it drops anything; the others never give room back.
            peak = max(peak, (0 if phase == "contract" else at) + table.peak.get(phase, 0))
            at += table.after[phase].total - before.total
        grows = at + extra[phase]
        phases.append(
            PhaseRoom(
                phase, grows, max(peak, at) + extra[phase], max((t.sort.get(phase, 0) for t in found), default=0),
                _seconds(phase, tables, workers, undecided),
            )
        )  # fmt: skip
    return Savings(found, tuple(phases))


def table_savings(read: TableRead, *, workers: int, vacuum: Vacuum) -> TableSavings:
    """Foretell one table's sizes after each phase."""
    standing = [i for i in read.indexes if i.phase is None]
    sizes = {i.name: i.bytes for i in standing}
    before = now = Size(read.heap, sum(sizes.values()), read.toast + read.maps)
    after: dict[str, Size] = {}
    peak: dict[str, int] = {}
    sort: dict[str, int] = {}
    for phase in PHASES:
        start = now
        if read.filled_by == phase:
            grown = heap.filled(read.rows, workers, vacuum, mapped=read.mapped)
            sizes = {i.name: i.grown(grown.elsewhere) if i.name in sizes else 0 for i in standing}
            maps = read.maps if vacuum == "never" else max(read.maps, heap.maps_bytes(grown.blocks))
            now = replace(now, heap=grown.blocks * heap.PAGE, other=read.toast + maps)
        if read.made and phase == "expand":
            now = replace(now, heap=heap.rewritten_blocks(read.rows.count, read.rows.final) * heap.PAGE)
        coming = [i for i in read.indexes if i.phase == phase]
        for index in coming:
            sizes[index.name] = index.fresh
        built = [i.fresh for i in coming]
        worst = 0
        if phase == "contract":
            again = [i.fresh for i in read.indexes if i.again]
            worst, built = max(again, default=0), again  # each is built beside the one that it replaces
            for index in read.indexes:
                if index.goes:
                    sizes.pop(index.name, None)
        now = replace(now, indexes=sum(sizes.values()))
        after[phase] = now
        peak[phase] = max(worst, now.total - start.total)
        sort[phase] = max(built, default=0)
    blocks = heap.rewritten_blocks(read.rows.count, read.rows.final, read.fillfactor)
    staying = sum(i.fresh for i in read.indexes if not i.goes)
    return TableSavings(read.table, before, after, Size(blocks * heap.PAGE, staying, read.toast), peak, sort)


def _seconds(phase: str, tables: Sequence[TableRead], workers: int, undecided: int) -> tuple[float, float]:
    references = sum(t.rows.count for t in tables if t.reference)
    filled = sum(t.rows.count * t.rows.filled_share for t in tables if t.filled_by == phase)
    built = sum(i.fresh for t in tables for i in t.indexes if i.phase == phase)
    seconds = _FIXED + filled / (_FILLED * min(workers, 2)) + built / _BUILT
    if phase == "resolve":
        seconds += undecided / _FILLED
    elif phase == "expand":
        seconds += references / _SCANNED  # the mapping is read once more, behind sync
    elif phase == "verify":
        seconds += references / _PROVEN
    elif phase == "constrain":
        seconds += 2 * references / _SCANNED  # the foreign key and NOT NULL are validated
    elif phase == "contract":
        seconds += references / _SCANNED + sum(i.fresh for t in tables for i in t.indexes if i.again) / _BUILT
    return seconds * _FASTER, seconds * _SLOWER
