"""Rows of references beside the rows of a lookup that have their text: what every reading of a lookup starts from.

Decides what "the same text" is, and which rows of a lookup a row of a reference means under a scope. Never chooses a
scope itself: that is ``core.fit_scope``'s.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .candidates import Owner, Repeater
from .samples import OwnerSample, Row, RowSample

#: A column with its sampled rows.
Sampled = tuple[Repeater, RowSample]
#: For each part of the scope the reference's column that must agree with it; None where it has none.
Partners = Sequence[str | None]


@dataclass(frozen=True)
class Scope:
    """A part of the scope: its name, type family, how a lookup row's value is had, and where a foreign key points."""

    name: str
    family: str
    of: Callable[[Row], str | None]
    target: object


class Matching:
    """A lookup's sampled rows by text, beside the references' sampled rows."""

    def __init__(self, owner: Owner, sample: OwnerSample, references: Sequence[Sampled]) -> None:
        self.owner, self.sample, self.references = owner, sample, references
        self.at = {name: i for i, name in enumerate(sample.columns)}
        # Case is ignored only where both sides say so; beside any other type the server compares as text.
        self.folds = owner.text.base == "citext" and any(r.text.base == "citext" for r, _ in references)
        self._found: dict[object, list[tuple[Row, list[Row]]]] = {}
        self.by_text: defaultdict[str, list[Row]] = defaultdict(list)
        for row in sample.rows:
            text = row[self.at[owner.text.name]]
            if text is not None:
                self.by_text[self.fold(text)].append(row)

    def fold(self, text: str) -> str:
        """Return a text as it is compared."""
        return text.lower() if self.folds else text

    def pairs(self, repeater: Repeater, sample: RowSample, name: str) -> Iterator[tuple[str, str | None]]:
        """Yield text and another column of each of a reference's rows that has text."""
        text, other = sample.columns.index(repeater.text.name), sample.columns.index(name)
        for row in sample.rows:
            value = row[text]
            if value is not None:
                yield self.fold(value), row[other]

    def found(
        self, repeater: Repeater, sample: RowSample, scopes: Sequence[Scope], partners: Partners
    ) -> list[tuple[Row, list[Row]]]:
        """Return each of a reference's rows that has text, with the lookup rows that it means within its scope."""
        known = repeater.name, tuple(s.name for s in scopes)
        if known not in self._found:
            self._found[known] = list(self._find(repeater, sample, scopes, partners))
        return self._found[known]

    def _find(
        self, repeater: Repeater, sample: RowSample, scopes: Sequence[Scope], partners: Partners
    ) -> Iterator[tuple[Row, list[Row]]]:
        index: defaultdict[tuple[str | None, ...], list[Row]] = defaultdict(list)
        for text, rows in self.by_text.items():
            for row in rows:
                index[text, *(s.of(row) for s in scopes)].append(row)
        at = sample.columns.index(repeater.text.name)
        scoping = [sample.columns.index(p) if p is not None else None for p in partners]
        for row in sample.rows:
            value = row[at]
            if value is not None:
                scope = [row[i] if i is not None else None for i in scoping]
                # NULL is in no scope.
                yield row, [] if None in scope else index.get((self.fold(value), *scope), [])

    def texts(self, repeater: Repeater, sample: RowSample) -> list[int]:
        """Return the positions of a reference's other text columns."""
        return [
            i for i, name in enumerate(sample.columns)
            if name != repeater.text.name and (c := repeater.table.column(name)) is not None and c.is_text
        ]  # fmt: skip
