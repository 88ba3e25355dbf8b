"""Which scope a lookup has: columns of its unique that the references have too, or one that a parent can lend.

Decides by names first and by agreement of the sampled rows always. Must never take a column for the scope that agrees
by chance alone, such as a constant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from .candidates import Repeater, family, foreign_key, uniques
from .likeness import words
from .matching import Matching, Scope
from .samples import ParentRows, Row, RowSample
from .shape import AGREES, AGREES_HERE, Added

#: Rows that a column of another name must have told apart before it is taken for the scope.
TOLD_APART = 20
#: Words for whoever owns a row.
WHOSE = frozenset(
    {
        "tenant", "org", "organization", "organisation", "account", "workspace", "realm", "client", "site", "shop",
        "store", "company", "locale",
    }
)  # fmt: skip
#: Types that a scope may have.
TYPES = ("int2", "int4", "int8", "uuid", "text", "varchar", "bpchar", "citext")


class ScopeFinder:
    """Finds the scope in a matching."""

    def __init__(self, matching: Matching) -> None:
        self.m = matching

    def find(self) -> tuple[list[Scope], Added | None]:
        """Return the lookup's scope: columns of the unique that the references have too, else one that is copied."""
        ambiguous = any(len(rows) > 1 for rows in self.m.by_text.values())
        others = self.m.owner.others
        if others is None:
            others = tuple(self.pointing(self.m.owner.table.columns)) if ambiguous else ()
        direct = [s for name in others if (s := self.direct(name)) is not None and self.is_scope(s)]
        if direct or not others:
            return direct, None
        best: tuple[float, Scope, Added] | None = None
        for scope, added in self.copies(others):
            shares = [x for r, s in self.m.references if (x := self.agreement(r, s, scope)) is not None]
            share = max(shares, default=0.0)
            if share >= AGREES and (best is None or share > best[0]):
                best = share, scope, added
        return ([best[1]], best[2]) if best is not None else ([], None)

    def partners(self, repeater: Repeater, sample: RowSample, scopes: Sequence[Scope]) -> list[str | None]:
        """Return, for each part of the scope, the reference's column that it must agree with."""
        return [self.named(repeater, sample, s) or self.unnamed(repeater, sample, s) for s in scopes]

    def direct(self, name: str) -> Scope | None:
        column, at = self.m.owner.table.column(name), self.m.at.get(name)
        if column is None or at is None or column.base not in TYPES:
            return None
        return Scope(name, family(column), lambda row: row[at], foreign_key(self.m.owner.table, name))

    def copies(self, others: Sequence[str]) -> Iterator[tuple[Scope, Added]]:
        """Yield what parents could lend: columns that point somewhere, or that tell the parent's own names apart."""
        for join, parent in self.m.sample.parents.items():
            if join not in others and self.m.owner.others is not None:
                continue
            table = parent.join.parent
            inside = {x.column for i in uniques(table) for x in i.columns}
            for column in table.columns:
                name = column.name
                if name in (*table.primary_key, parent.join.up) or name not in parent.columns:
                    continue
                if column.base not in TYPES or self.m.owner.table.column(name) is not None:
                    continue
                if name not in inside and name not in self.pointing([column]) and not foreign_key(table, name):
                    continue
                if self.shared(name):
                    target = foreign_key(table, name)
                    yield Scope(name, family(column), self.copied(parent, join, name), target), Added(join, name)

    def copied(self, parent: ParentRows, join: str, name: str) -> Callable[[Row], str | None]:
        at = self.m.at[join]
        return lambda row: parent.value(row[at], name)

    def shared(self, name: str) -> bool:
        """A scope to be added must be one in the application's own words: a column of that name in every reference."""
        return any(name in s.columns for _, s in self.m.references)

    def pointing(self, columns: Iterable[object]) -> list[str]:
        names = [str(getattr(c, "name", "")) for c in columns]
        own = self.m.owner.key.name if self.m.owner.key is not None else None
        return [n for n in names if words(n)[-1:] == ["id"] and len(words(n)) > 1 and n != own]

    def is_scope(self, scope: Scope) -> bool:
        """Whether a column of the lookup's unique is its scope: a reference has its like, and the two agree.

        What points somewhere, or is named for who owns the row, says whose it is, also where data are poor. Any other
        text is the scope only if every reference has it in every row; else it is left to be the qualifier, which a row
        may lack.
        """
        points = scope.target is not None or words(scope.name)[-1:] == ["id"] or WHOSE & set(words(scope.name))
        if not points and scope.family == "a text":
            serious = [(r, s) for r, s in self.m.references if self.known(r, s) >= AGREES_HERE]
            return bool(serious) and all(self.filled(r, s, scope) for r, s in serious)
        for repeater, sample in self.m.references:
            named = self.named(repeater, sample, scope)
            share = self.agreement(repeater, sample, scope)
            if named is not None and (share is None or share >= (AGREES_HERE if points else AGREES)):
                return True
            if named is None and self.unnamed(repeater, sample, scope) is not None:
                return True
        return False

    def known(self, repeater: Repeater, sample: RowSample) -> float:
        """Return the share of a reference's rows whose text the lookup has in any scope."""
        texts = [text for text, _ in self.m.pairs(repeater, sample, repeater.text.name)]
        return sum(text in self.m.by_text for text in texts) / len(texts) if texts else 0.0

    def filled(self, repeater: Repeater, sample: RowSample, scope: Scope) -> bool:
        """Whether a reference has the like of a scope column, in every row, and they agree."""
        name = self.named(repeater, sample, scope)
        if name is None:
            return self.unnamed(repeater, sample, scope) is not None
        share = self.share(repeater, sample, name, scope)
        return share is not None and share >= AGREES and None not in sample.values(name)

    def named(self, repeater: Repeater, sample: RowSample, scope: Scope) -> str | None:
        """Return the reference's column of the scope's name, or that points where it does, or of a like name."""
        best: tuple[int, str] | None = None
        for name in sample.columns:
            if name == repeater.text.name or family(repeater.table.column(name)) != scope.family:
                continue
            target = foreign_key(repeater.table, name)
            same = (name == scope.name, target is not None and target == scope.target, words(name) == words(scope.name))
            if any(same):
                best = min(best or (len(same), ""), (same.index(True), name))
        return best[1] if best is not None else None

    def unnamed(self, repeater: Repeater, sample: RowSample, scope: Scope) -> str | None:
        """Return a column of another name that tells equal texts of different scopes apart, rightly."""
        best: tuple[float, str] | None = None
        every = {scope.of(row) for rows in self.m.by_text.values() for row in rows}
        for name in sample.columns:
            if name == repeater.text.name or family(repeater.table.column(name)) != scope.family:
                continue
            told, right = 0, 0
            for text, value in self.m.pairs(repeater, sample, name):
                values = {scope.of(row) for row in self.m.by_text.get(text, ())}
                if values and values != every:  # else any value of the scope would do
                    told, right = told + 1, right + (value in values)
            share = self.share(repeater, sample, name, scope)
            if told >= TOLD_APART and right >= AGREES * told and share is not None and share >= AGREES:
                best = max(best or (0.0, ""), (share, name))
        return best[1] if best is not None else None

    def agreement(self, repeater: Repeater, sample: RowSample, scope: Scope) -> float | None:
        name = self.named(repeater, sample, scope)
        return self.share(repeater, sample, name, scope) if name is not None else None

    def share(self, repeater: Repeater, sample: RowSample, name: str, scope: Scope) -> float | None:
        """Of the rows whose text the lookup has in any scope, the share that agrees; None where there are none."""
        looked = agreed = 0
        for text, value in self.m.pairs(repeater, sample, name):
            rows = self.m.by_text.get(text)
            if rows:
                looked += 1
                agreed += value is not None and any(scope.of(row) == value for row in rows)
        return agreed / looked if looked else None
