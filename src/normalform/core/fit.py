"""How columns fit a lookup: which scope, qualifier, aliases and join make their sampled values mean its rows.

Decides by counting in samples: of several readings the one under which most rows are found. Never reads, and never
settles whether a fit is good enough: that is ``core.guess``'s.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .candidates import ColumnName, Join, Owner, Repeater
from .fit_qualifier import QualifierFinder
from .fit_scope import ScopeFinder
from .likeness import words
from .matching import Matching, Partners, Sampled, Scope
from .samples import OwnerSample, Rate, Row, RowSample
from .shape import Path, Shape

#: Values not found that are kept as examples.
EXAMPLES = 5


@dataclass(frozen=True)
class ReferenceFit:
    """How one column fits.

    Args:
        repeater: the column.
        scope: its table's scope columns, in the order of the lookup's.
        qualifier: its table's qualifier column.
        rows: sampled rows with text, and how many mean a row of the lookup.
        values: the same for different values.
        unscoped: rows found where the scope is not asked for.
        qualified: rows with a qualifier, and how many of them agree with a row of the lookup.
        aliased: rows found by an alias alone.
        several: rows found that mean more than one row of the lookup, whatever the qualifier says.
        missing: values that were not found, the most frequent first.
        nulls: whether sampled rows have no text.
        lacks: the scope column of the lookup for which its table has none.
    """

    repeater: Repeater
    scope: tuple[str, ...]
    qualifier: str | None
    rows: Rate
    values: Rate
    unscoped: Rate
    qualified: Rate
    aliased: int
    several: int
    missing: tuple[str, ...]
    nulls: bool
    lacks: str | None = None


@dataclass(frozen=True)
class Fit:
    """How a lookup fits the columns that may refer to it.

    Args:
        owner: the lookup's text.
        shape: how it is to be read.
        references: how each column fits.
        apart: rows of the lookup in the sample, and how many of them scope, text and qualifier tell apart.
        joins: the joins that the shape uses, each with how many of the values looked for its parent has.
    """

    owner: Owner
    shape: Shape
    references: tuple[ReferenceFit, ...]
    apart: Rate
    joins: tuple[tuple[Join, Rate], ...]


def fit(owner: Owner, sample: OwnerSample, references: Sequence[Sampled]) -> Fit:
    """Find the reading of a lookup under which most of the references' rows mean one of its rows.

    Args:
        owner: the lookup's text.
        sample: rows of the lookup with the texts that the references' samples hold.
        references: the columns that may refer to it, each with sampled rows.
    """
    return _Fitting(owner, sample, references).fit()


class _Fitting(Matching):
    def fit(self) -> Fit:
        finder = ScopeFinder(self)
        scopes, added = finder.find()
        partners = {r.name: finder.partners(r, s, scopes) for r, s in self.references}
        self.qualifiers = QualifierFinder(self, scopes, partners)
        qualifier, columns = self.qualifiers.find()
        aliases = self.aliases(scopes, partners)
        shape = Shape(tuple(s.name for s in scopes) if added is None else (), added, qualifier, aliases)
        fits = tuple(
            self.measure(r, s, scopes, partners[r.name], columns.get(r.name), shape) for r, s in self.references
        )
        used = [added.join] if added is not None else []
        used += [qualifier.join] if isinstance(qualifier, Path) else []
        parents = [self.sample.parents[join] for join in dict.fromkeys(used)]
        joins = tuple((parent.join, parent.found) for parent in parents)
        return Fit(self.owner, shape, fits, self.apart(scopes, qualifier), joins)

    def aliases(self, scopes: Sequence[Scope], partners: Mapping[ColumnName, Partners]) -> str | None:
        """Return the aliases column by which most different texts are found that no row has as its text."""
        best: tuple[int, str] | None = None
        for name, entries in self.sample.aliases.items():
            index = self.by_alias(entries)
            values = {
                text
                for repeater, sample in self.references
                for text in self.only_aliased(repeater, sample, scopes, partners[repeater.name], index)
            }
            telling = set(words(name)) & {"alias", "synonym", "aka", "alternative", "variant", "nickname", "spelling"}
            if len(values) >= (1 if telling else 2) and (best is None or len(values) > best[0]):
                best = len(values), name
        return best[1] if best is not None else None

    def by_alias(self, entries: Iterable[tuple[str, Row]]) -> dict[str, list[Row]]:
        index: defaultdict[str, list[Row]] = defaultdict(list)
        for alias, row in entries:
            index[self.fold(alias)].append(row)
        return index

    def only_aliased(
        self,
        repeater: Repeater,
        sample: RowSample,
        scopes: Sequence[Scope],
        partners: Partners,
        index: Mapping[str, Sequence[Row]],
    ) -> Iterator[str]:
        """Yield the text of each row that is found by an alias alone."""
        at = sample.columns.index(repeater.text.name)
        for row, rows in self.found(repeater, sample, scopes, partners):
            text = row[at]
            if text is None or rows:
                continue
            values = [row[sample.columns.index(p)] if p is not None else None for p in partners]
            for found in index.get(self.fold(text), ()):
                if all(v is not None and s.of(found) == v for s, v in zip(scopes, values, strict=True)):
                    yield text
                    break

    def measure(
        self,
        repeater: Repeater,
        sample: RowSample,
        scopes: Sequence[Scope],
        partners: Partners,
        qualifier: str | None,
        shape: Shape,
    ) -> ReferenceFit:
        """Count what one reference comes to under the shape."""
        index = self.by_alias(self.sample.aliases[shape.aliases]) if shape.aliases is not None else {}
        aliased = Counter(self.only_aliased(repeater, sample, scopes, partners, index))
        at = sample.columns.index(repeater.text.name)
        texts: Counter[str] = Counter()
        missing: Counter[str] = Counter()
        hits: set[str] = set(aliased)
        found = several = unscoped = 0
        for row, rows in self.found(repeater, sample, scopes, partners):
            text = row[at] or ""
            texts[text] += 1
            unscoped += self.fold(text) in self.by_text
            found += bool(rows)
            several += len(rows) > 1
            if rows:
                hits.add(text)
            elif text not in aliased:
                missing[text] += 1
        looked = texts.total()
        qualified = Rate(0, 0)
        if qualifier is not None and shape.qualifier is not None:
            names_of, separator = self.qualifiers.reading(shape.qualifier)
            qualified = self.qualifiers.rates(repeater, sample, names_of, separator)[qualifier].every
        lacks = next((s.name for s, p in zip(scopes, partners, strict=True) if p is None), None)
        return ReferenceFit(
            repeater,
            tuple(p for p in partners if p is not None),
            qualifier,
            Rate(found + aliased.total(), looked),
            Rate(len(hits), len(texts)),
            Rate(unscoped, looked),
            qualified,
            aliased.total(),
            several,
            tuple(v for v, _ in missing.most_common(EXAMPLES)),
            looked < len(sample.rows),
            lacks,
        )

    def apart(self, scopes: Sequence[Scope], qualifier: str | Path | None) -> Rate:
        """Return how many of the lookup's sampled rows no other row equals in scope, text and qualifier."""
        names_of, _ = self.qualifiers.reading(qualifier) if qualifier is not None else ((lambda _row: None), "")
        groups = Counter(
            (text, tuple(s.of(row) for s in scopes), names_of(row))
            for text, rows in self.by_text.items()
            for row in rows
        )
        return Rate(sum(1 for count in groups.values() if count == 1), groups.total())
