"""Which text tells equal names of one scope apart: a column of the lookup, or the path of a row of a parent.

Decides by counting in how many rows a reference's column says what a row of the lookup with its text says, for every
column and every possible path, with every separator that the values show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .candidates import ColumnName, Repeater, unique_with
from .matching import Matching, Partners, Scope
from .samples import NOTHING, ParentRows, Rate, Row, RowSample
from .shape import AGREES, AGREES_HERE, Path

#: Gives the names of a lookup row's path from the root down; None where it has none.
NamesOf = Callable[[Row], tuple[str, ...] | None]


#: Rows with several candidates from which on they alone may show that a column is the qualifier.
ENOUGH = 10


@dataclass(frozen=True)
class Said:
    """How often a column says what a row that is meant says: in all rows, and in those that may mean several."""

    every: Rate = NOTHING
    several: Rate = NOTHING

    @property
    def share(self) -> float:
        """The better of both shares: where there is one candidate only, nobody need have kept the qualifier right."""
        return max(self.every.share, self.several.share if self.several.looked >= ENOUGH else 0.0)


class QualifierFinder:
    """Finds the qualifier in a matching under a scope."""

    def __init__(self, matching: Matching, scopes: Sequence[Scope], partners: Mapping[ColumnName, Partners]) -> None:
        self.m, self.scopes, self.partners = matching, scopes, partners

    def find(self) -> tuple[str | Path | None, dict[ColumnName, str]]:
        """Return what tells equal names of one scope apart, and each reference's column that says it."""
        groups = Counter(
            (t, tuple(s.of(row) for s in self.scopes)) for t, rows in self.m.by_text.items() for row in rows
        )
        taken = {s.name for s in self.scopes}
        left = [c for c in self.m.owner.others or () if c not in taken]
        if not left and not any(count > 1 for count in groups.values()):
            return None, {}
        best: tuple[float, int, str | Path, dict[ColumnName, str]] | None = None
        for reading, names_of in self.readings(left, taken):
            total, columns, chosen = 0, dict[ColumnName, str](), reading
            if isinstance(reading, Path) and reading.up is not None:
                chosen = Path(reading.join, reading.column, reading.up, self.separator(names_of))
            separator = chosen.separator if isinstance(chosen, Path) else ""
            top = 0.0
            for repeater, sample in self.m.references:
                rates = self.rates(repeater, sample, names_of, separator)
                name, said = max(rates.items(), key=lambda x: (x[1].share, x[1].every.found), default=("", Said()))
                if said.every.found and said.share >= AGREES_HERE:
                    columns[repeater.name] = name
                    total += said.every.found
                    top = max(top, said.share)
            if top >= AGREES and (best is None or total > best[1]):
                best = top, total, chosen, columns
        return (best[2], best[3]) if best is not None else (None, {})

    def readings(self, left: Sequence[str], taken: set[str]) -> Iterator[tuple[str | Path, NamesOf]]:
        """Yield every possible qualifier, with how the names of a lookup row's path are had under it."""
        table = self.m.owner.table
        plain = left or [c.name for c in table.columns if c.name not in taken]
        for name in plain:
            column, at = table.column(name), self.m.at.get(name)
            if column is not None and column.is_text and name != self.m.owner.text.name and at is not None:
                yield name, self.own(at)
        for join, parent in self.m.sample.parents.items():
            if join in taken or (left and join not in left):
                continue
            texts = [c.name for c in parent.join.parent.columns if c.is_text and c.name in parent.columns]
            # Names that a unique holds come first: of two equal readings the first one is kept.
            texts.sort(key=lambda c: unique_with(parent.join.parent, c) is None)
            for name in texts:
                for up in dict.fromkeys((parent.join.up, None)):
                    yield Path(join, name, up), self.chained(parent, self.m.at[join], name, up)

    def own(self, at: int) -> NamesOf:
        return lambda row: (value,) if (value := row[at]) is not None else None

    def chained(self, parent: ParentRows, at: int, name: str, up: str | None) -> NamesOf:
        known: dict[str | None, tuple[str, ...] | None] = {}

        def names(row: Row) -> tuple[str, ...] | None:
            key = row[at]
            if key not in known:
                known[key] = parent.chain(key, name, up)
            return known[key]

        return names

    def separator(self, names_of: NamesOf) -> str:
        """Return what stands between the names of a path in most of the references' values."""
        seen: Counter[str] = Counter()
        for repeater, sample in self.m.references:
            texts = self.m.texts(repeater, sample)
            for row, rows in self.m.found(repeater, sample, self.scopes, self.partners[repeater.name]):
                for value in (row[at] for at in texts):
                    if value is not None:
                        seen.update({s for r in rows if (s := between(value, names_of(r) or ()))})
        return seen.most_common(1)[0][0] if seen else "/"

    def rates(self, repeater: Repeater, sample: RowSample, names_of: NamesOf, separator: str) -> dict[str, Said]:
        """Return, for each text column of a reference, in how many rows it is the path of a row that is meant."""
        partners = self.partners[repeater.name]
        looked: Counter[tuple[int, bool]] = Counter()
        agreed: Counter[tuple[int, bool]] = Counter()
        texts = [i for i in self.m.texts(repeater, sample) if sample.columns[i] not in partners]
        for row, rows in self.m.found(repeater, sample, self.scopes, partners):
            if not rows:
                continue
            paths = {separator.join(names) for r in rows if (names := names_of(r)) is not None}
            for at in texts:
                if row[at] is not None:
                    looked[at, len(rows) > 1] += 1
                    agreed[at, len(rows) > 1] += row[at] in paths
        result = {}
        for at in texts:
            one, several = (Rate(agreed[at, more], looked[at, more]) for more in (False, True))
            if one.looked or several.looked:
                result[sample.columns[at]] = Said(one + several, several)
        return result

    def reading(self, qualifier: str | Path) -> tuple[NamesOf, str]:
        """Return how a lookup row's path is had under a qualifier, and what stands between its names."""
        if isinstance(qualifier, str):
            return self.own(self.m.at[qualifier]), ""
        parent = self.m.sample.parents[qualifier.join]
        names = self.chained(parent, self.m.at[qualifier.join], qualifier.column, qualifier.up)
        return names, qualifier.separator


def between(value: str, names: Sequence[str]) -> str | None:
    """Return the separator under which a value is exactly these names in order; None where there is none.

    Args:
        value: such as ``Photography > Landscapes``.
        names: such as ``Photography``, ``Landscapes``; two or more.
    """
    room = len(value) - sum(map(len, names))
    if len(names) < 2 or room <= 0 or room % (len(names) - 1):
        return None
    start = len(names[0])
    separator = value[start : start + room // (len(names) - 1)]
    return separator if separator.join(names) == value and not any(c.isalnum() for c in separator) else None
