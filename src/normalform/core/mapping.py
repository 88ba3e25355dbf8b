"""The mapping: for every distinct (scope, text, qualifier) of a reference, which lookup row it means, and how we know.

The types, and the few decisions that follow from them alone. Reading values is ``phases.audit``, keeping them is
``db.mapping_file``. A suggestion is never a decision: nothing here, and nothing that reads this, applies one by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class How(StrEnum):
    """How a value was decided. The first two always come from the live lookup, the last two are unresolved."""

    EXACT = "exact"  # one lookup row in scope has this text
    QUALIFIED = "qualified"  # several have it; the row's own qualifier picks one
    ALIAS = "alias"  # the lookup row lists this text as an alias
    CHOSEN = "chosen"
    CREATED = "created"
    RENAMED = "renamed"
    MERGED = "merged"
    FOLDED = "folded"  # equal after NFKC, case folding and trimming
    SPLIT = "split"
    DROPPED = "dropped"
    NULL = "null"
    AMBIGUOUS = "ambiguous"  # several have it and nothing picks one
    ORPHAN = "orphan"  # no lookup row in scope has it

    @property
    def resolved(self) -> bool:
        """Whether a row with this value gets a key, or goes without one by an operator's decision."""
        return self not in UNRESOLVED

    @property
    def literal(self) -> bool:
        """Whether the lookup row has this very text, so that two different texts cannot mean the same row."""
        return self in (How.EXACT, How.QUALIFIED)


UNRESOLVED = (How.AMBIGUOUS, How.ORPHAN)


@dataclass(frozen=True, order=True, slots=True)
class Candidate:
    """A lookup row that a value may mean.

    Args:
        key: the row's key, as text.
        text: the row's text.
        path: its qualifier, None where it has none.
    """

    key: str
    text: str
    path: str | None = None


@dataclass(frozen=True)
class Suggestion:
    """What an operator may want to decide for an unresolved value.

    Args:
        decision: the word of a decision file: ``fold``, ``choose``, ``merge``, ``create``, ``drop`` or ``null``.
        target: key of the candidate that is meant, as text; None where the decision needs none.
        score: likeness from 0 to 100; 100 only for texts that fold to the same.
        why: the reason, for people.
    """

    decision: str
    target: str | None
    score: float
    why: str


@dataclass(frozen=True)
class Entry:
    """One distinct value of a reference.

    Args:
        reference: the reference's name.
        scope: the scope's values as text, in the spec's order; None stands for NULL.
        text: the text.
        qualifier: the row's qualifier; None where the row, or the reference, has none.
        rows: how many rows hold this value.
        how: how it was decided.
        key: the lookup row's key as text; None while unresolved, and for ``null``.
        path: the qualifier that the lookup row has; None without a key or a qualifier.
        candidates: lookup rows that it may mean, best first; only for unresolved values.
        suggestion: what may be decided; only for unresolved values.
    """

    reference: str
    scope: tuple[str | None, ...]
    text: str
    qualifier: str | None
    rows: int
    how: How
    key: str | None = None
    path: str | None = None
    candidates: tuple[Candidate, ...] = ()
    suggestion: Suggestion | None = None


@dataclass(frozen=True)
class Tally:
    """How many distinct values and rows of a reference were decided in one way."""

    reference: str
    how: How
    values: int
    rows: int


def unresolved_total(tallies: Iterable[Tally], reference: str) -> tuple[int, int]:
    """Return (distinct values, rows) of a reference that nothing decides yet."""
    open_ones = [t for t in tallies if t.reference == reference and not t.how.resolved]
    return sum(t.values for t in open_ones), sum(t.rows for t in open_ones)
