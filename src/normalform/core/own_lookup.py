"""Which columns deserve a lookup that does not exist yet, and about what a key instead of a text saves.

Decides by the statistics alone: few names on many rows, that save more than they cost. Must never propose what is no
name of anything (hashes, prose …), nor a handful of states that a check or an enum serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .candidates import ColumnName, Repeater
from .likeness import meaning
from .spec import KeyType

#: A column deserves a lookup of its own from so many values on, each on so many rows, that save so many bytes.
VALUES, ROWS, BYTES = 20, 20.0, 1_000_000
#: The share of values that two columns of one meaning must have in common to share a lookup.
SHARED = 0.5
#: Different values up to which an integer key has room enough for ever.
INTEGER = 1_000_000
#: Bytes of a row of the new lookup and of its two index entries, beside its text.
LOOKUP_ROW = 64
KEY_BYTES = {"int2": 2, "int4": 4, "int8": 8, "uuid": 16}


@dataclass(frozen=True)
class Proposal:
    """A lookup to be made.

    Args:
        repeaters: the columns that would refer to it, the one that saves most first.
        bytes: about what it saves, its own size taken off.
        why: the reason, for people.
    """

    repeaters: tuple[Repeater, ...]
    bytes: int
    why: str

    @property
    def key_type(self) -> KeyType:
        """The type of its key."""
        return "integer" if sum(r.distinct for r in self.repeaters) <= INTEGER else "bigint"


def saved(repeater: Repeater, key_bytes: float) -> int:
    """Return about how many bytes a key instead of the text saves, in the table and in each index on the text."""
    filled = repeater.rows * (1 - repeater.stats.null_frac)
    copies = 1 + sum(repeater.text.name in i.uses for i in repeater.table.indexes)
    return max(0, int(filled * (repeater.stats.width - key_bytes) * copies))


def own_lookups(some: Sequence[Repeater]) -> tuple[list[Proposal], dict[ColumnName, str]]:
    """Return the lookups that columns deserve which no lookup has, and why the other columns deserve none.

    Args:
        some: the columns that are no references.
    """
    why = {r.name: _doubt(r) for r in some}
    deserving = sorted((r for r in some if why[r.name] is None), key=lambda r: (-saved(r, 4), r.name))
    groups: list[list[Repeater]] = []
    for repeater in [*deserving, *(r for r in some if why[r.name] is not None)]:
        alike = next((g for g in groups if _same(g[0], repeater)), None)
        if alike is not None:
            alike.append(repeater)
        elif why[repeater.name] is None:
            groups.append([repeater])
    proposals = [_proposal(g) for g in groups]
    taken = {r.name for p in proposals for r in p.repeaters}
    return sorted(proposals, key=lambda p: -p.bytes), {n: w for n, w in why.items() if n not in taken and w is not None}


def _proposal(group: Sequence[Repeater]) -> Proposal:
    first = group[0]
    distinct = max(r.distinct for r in group)
    size = sum(saved(r, 4) for r in group) - int(distinct * (first.stats.width + LOOKUP_ROW))
    each = first.stats.repeats(first.rows)
    return Proposal(tuple(group), size, f"{first.distinct:,.0f} values, each on {each:,.0f} rows, that no lookup has")


def _same(one: Repeater, other: Repeater) -> bool:
    """Whether two columns are named for the same thing and have values in common."""
    if not meaning(one.text.name) or meaning(one.text.name) != meaning(other.text.name) or other.stats.looks_like():
        return False
    mine, theirs = set(one.stats.probes()), set(other.stats.probes())
    return len(mine & theirs) >= SHARED * min(len(mine), len(theirs))


def _doubt(repeater: Repeater) -> str | None:
    """Return why a column deserves no lookup of its own, or None where it does."""
    stats, distinct = repeater.stats, repeater.distinct
    form = stats.looks_like()
    if form is not None:
        return f"nothing has its values; they look like {form}"
    if distinct < VALUES:
        return f"nothing has its values; it has {distinct:,.0f} of them, a check or an enum serves so few"
    each = stats.repeats(repeater.rows)
    if each < ROWS:
        return f"nothing has its values; one stands on {each:,.1f} rows only"
    if saved(repeater, 4) - distinct * (stats.width + LOOKUP_ROW) < BYTES:
        return "nothing has its values; a lookup of its own would save less than a megabyte"
    return None
