"""How many bytes a btree takes: when CREATE INDEX has just built it, and once an UPDATE of every row has gone through.

Decides nothing about what is built. The rules are the server's own (nbtsort.c, nbtdedup.c) for pages of 8192 bytes:
leaves are filled up to the fillfactor, the last tuple of a full leaf goes over to the next one, equal keys of an index
that is not unique share posting lists. It must never take a page for fuller than the server fills it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

PAGE = 8192
FILLFACTOR = 90
#: What a leaf has for tuples: a page without its header, the btree's special space and the high key's line pointer,
#: and without the pointer that the server keeps free for the next tuple.
_LEAF = PAGE - 24 - 16 - 4 - 4
_POINTER, _TID = 4, 6
#: A tuple with a posting list has at most a tenth of the page, less a line pointer, aligned.
_POSTING = (PAGE // 10 // 8 * 8 - _POINTER) // 8 * 8
#: Inner pages are filled to 70 percent.
_INNER_FREE = PAGE * 30 // 100
#: From so many equal keys on, a page holds one key alone, and splits leave more room behind than elsewhere.
_ONE_KEY = 60
_ONE_KEY_GROWTH = 0.4
#: Leaves vary: when the mean one is overfull by this much, all of them have split.
_ALL_SPLIT = 0.3


@dataclass(frozen=True)
class Group:
    """So many keys that stand in so many rows each."""

    rows: float
    keys: float


def even_groups(entries: float, keys: float) -> tuple[Group, ...]:
    """Return groups of two neighbouring sizes that give so many entries under so many different keys."""
    if keys <= 0 or entries <= 0:
        return ()
    keys = min(keys, entries)
    size = math.floor(entries / keys)
    larger = entries - size * keys
    return tuple(g for g in (Group(size, keys - larger), Group(size + 1, larger)) if g.keys > 0)


def built_bytes(
    groups: Sequence[Group], key_bytes: float, *, shared: bool, fillfactor: int = FILLFACTOR, constant: bool = False
) -> int:
    """Return the bytes of an index that has just been built.

    Args:
        groups: its entries by how many rows have the same key.
        key_bytes: mean bytes of one index tuple, header included, aligned, without its line pointer.
        shared: whether equal keys share posting lists: never in an index that is unique.
        fillfactor: of the leaves.
        constant: whether all tuples have that size.
    """
    entries = sum(g.rows * g.keys for g in groups)
    if entries < 1:
        return PAGE  # the meta page
    free = PAGE * (100 - fillfactor) // 100
    leaves = 0.0
    if not shared:
        leaves = entries / _kept(key_bytes + _POINTER, free, 0.0, constant)
    else:
        room = max(2, (_POSTING - key_bytes) // _TID)
        for group in groups:
            alone = group.rows < 2
            lists = 1 if alone else math.ceil(group.rows / room)
            posting = 0.0 if alone else _aligned(key_bytes + _TID * group.rows / lists) - key_bytes
            leaves += group.keys * lists / _kept(key_bytes + posting + _POINTER, free, posting, constant)
    pages = max(1, math.ceil(leaves))
    total, level = pages, pages
    fanout = max(2.0, (_LEAF - _INNER_FREE) / (key_bytes + _POINTER))
    while level > 1:
        level = math.ceil(level / fanout)
        total += level
    return (total + 1) * PAGE


def _kept(item: float, free: int, posting: float, constant: bool) -> float:
    """How many tuples stay on a leaf that is full: the last one that fitted goes over to the next leaf."""
    # A posting list in the last place does not count towards fullness: the high key will not have it.
    limit = min(_LEAF - free + min(posting, free), _LEAF - (8 if posting else 0))
    if limit + item > _LEAF:
        limit = max(limit, _LEAF - item)
    added = limit / item
    added = math.floor(added) + 1 if constant else added + 0.5
    return max(1.0, min(added, _LEAF / item) - 1)


def _aligned(size: float) -> float:
    return math.ceil(size / 8) * 8


def grown_bytes(now: int, fresh: int, updated: float, together: float, alike: float) -> int:
    """Return the bytes of an index after rows got new versions elsewhere in the table.

    A leaf splits where the new entries come before VACUUM, or the server's own clean-up, has taken the old ones away.

    Args:
        now: its bytes before.
        fresh: its bytes if it were built now.
        updated: new entries for each one that it has, 0 to 1.
        together: how much of a leaf's entries get their new ones before the old ones can go, 0 to 1.
        alike: entries with the same key, on average; 1 for a unique index.
    """
    if now <= 2 * PAGE or not updated:
        return now
    fullness = min(0.95, FILLFACTOR / 100 * fresh / now)
    peak = fullness * (1 + updated * together)
    split = min(1.0, max(0.0, (peak - 1) / _ALL_SPLIT))
    growth = 1 + _ONE_KEY_GROWTH * updated if alike >= _ONE_KEY else 1.0
    return round((now - PAGE) * (1 + split * growth) / PAGE + 1) * PAGE
