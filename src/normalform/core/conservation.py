"""What constrain and contract have to do with each table: its references, what contract drops, what hangs on that.

Decides what belongs together (several references can share a table, a qualifier, an index) and what is new since the
baseline. Reads nothing but the model and the baseline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .catalog import Column, Constraint, Index, Statistics, Table
from .model import Model, Reference
from .names import QName
from .successors import Succession, carried, dropped_columns, succession


@dataclass(frozen=True)
class Legacy:
    """What contract takes along with the columns, and its undo builds again.

    Args:
        columns: the dropped columns, in the table's order.
        indexes: indexes that read one of them and serve no constraint.
        constraints: primary, unique, exclusion, check and foreign key constraints that read one of them, each with
            the index that it rests on, or None.
        not_null: dropped columns that may not be NULL, each with the name of its constraint where it has one.
        statistics: extended statistics objects that read one of them.
    """

    columns: tuple[Column, ...] = ()
    indexes: tuple[Index, ...] = ()
    constraints: tuple[tuple[Constraint, Index | None], ...] = ()
    not_null: tuple[tuple[str, str | None], ...] = ()
    statistics: tuple[Statistics, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """Names of the indexes and constraints."""
        return frozenset([*(i.name for i in self.indexes), *(c.name for c, _ in self.constraints)])


@dataclass(frozen=True)
class Conserved:
    """One table with its references.

    Args:
        baseline: the table before the first change.
        current: the table now.
        references: the references on it, in the spec's order.
        succession: what takes the place of what.
        dropped: names of the columns that contract drops.
        legacy: what goes with them: as it is now, or, once they are gone, as the baseline has it.
        new: names of indexes and constraints on them that the baseline does not know.
    """

    baseline: Table
    current: Table
    references: tuple[Reference, ...]
    succession: Succession
    dropped: tuple[str, ...]
    legacy: Legacy
    new: tuple[str, ...] = ()

    @property
    def name(self) -> QName:
        """The table's name."""
        return self.current.name

    @property
    def identity(self) -> tuple[str, ...]:
        """Columns that tell a row after contract: the primary key's, with keys in the place of texts."""
        keys = {r.text.name: r.key for r in self.references if r.text.name in self.dropped}
        gone = set(self.dropped) - set(keys)
        return tuple(dict.fromkeys(keys.get(c, c) for c in self.baseline.primary_key if c not in gone))

    def qualifier(self, reference: Reference) -> Column | None:
        """Return the qualifier column that this reference drops and gives back; one that two share is the first's."""
        if reference.qualifier is None or reference.qualifier.name not in self.dropped:
            return None
        name = reference.qualifier.name
        owner = next(r for r in self.references if r.qualifier is not None and r.qualifier.name == name)
        return reference.qualifier if owner is reference else None

    def going(self) -> tuple[Reference, ...]:
        """Return the references whose text contract drops."""
        return tuple(r for r in self.references if r.text.name in self.dropped)


def conserve(model: Model, baseline: Mapping[QName, Table]) -> list[Conserved]:
    """Return every table that has a reference, in the spec's order."""
    by_table: dict[QName, list[Reference]] = {}
    for reference in model.references:
        by_table.setdefault(reference.table.name, []).append(reference)
    relations = [t.name for t in baseline.values()]
    result = []
    for name, references in by_table.items():
        current = references[0].table
        before = baseline.get(name, current)
        columns = [carried(r) for r in references]
        dropped = dropped_columns(columns)
        taken = [r.name for r in relations if r.schema == name.schema]
        present = all(current.column(c) is not None for c in dropped)
        legacy = _with_key(legacy_of(current, dropped), before, dropped) if present else legacy_of(before, dropped)
        known = legacy_of(before, dropped).names
        result.append(
            Conserved(
                baseline=before,
                current=current,
                references=tuple(references),
                succession=succession(before, columns, taken),
                dropped=dropped,
                legacy=legacy,
                new=tuple(sorted(legacy.names - known)),
            )
        )
    return result


def _with_key(legacy: Legacy, before: Table, dropped: tuple[str, ...]) -> Legacy:
    """The legacy primary key goes before the columns do, and a resumed run must still know it."""
    known = legacy_of(before, dropped).constraints
    missing = tuple((c, i) for c, i in known if c.kind == "p" and c.name not in legacy.names)
    return replace(legacy, constraints=legacy.constraints + missing)


def legacy_of(table: Table, dropped: tuple[str, ...]) -> Legacy:
    """Return what goes with the dropped columns of a table."""
    gone = set(dropped)
    constraints = []
    for constraint in table.constraints:
        index = table.index(constraint.index) if constraint.index else None
        reads = set(index.uses) if index is not None else set(constraint.columns)
        if constraint.kind != "n" and gone & reads:
            constraints.append((constraint, index))
    named = {c.columns[0]: c.name for c in table.constraints if c.kind == "n"}
    columns = tuple(c for c in table.columns if c.name in gone)
    return Legacy(
        columns=columns,
        indexes=tuple(i for i in table.indexes if i.constraint is None and i.valid and gone & set(i.uses)),
        constraints=tuple(constraints),
        not_null=tuple((c.name, named.get(c.name)) for c in columns if c.not_null),
        statistics=tuple(s for s in table.statistics if gone & set(s.columns)),
    )
