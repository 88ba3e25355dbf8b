"""How many blocks a heap takes: as it is, after an UPDATE of its rows in batches, and once it has been rewritten.

A pure model of what the server does with space: new versions go into their own page while it has room, then into space
that VACUUM has given back, then to the end of the table. Where slices are filled by shares of their rows, the server
gives a page's own rows the room of the shares before. Units are bytes unless it says blocks. It must never count space
as given to other pages before a VACUUM that the batches run.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from .batches import VACUUM_LEAST_ROWS, VACUUM_SHARE, Mark, cut, shares
from .spec import Vacuum

PAGE = 8192
#: What a page has for line pointers and tuples.
USABLE = PAGE - 24
#: What a version that has gone leaves in its page.
_POINTER = 4
#: Blocks that one page of each map is about.
_BLOCKS_FREE, _BLOCKS_VISIBLE = 4000, 32_672
#: Rows that the other workers change while one of them runs VACUUM, as a share of those between two VACUUMs.
_MEANWHILE = 0.15
#: Rows that a VACUUM leaves because a batch of another worker may still see them: those of one batch, so many at most.
_SEEN = 5_000


@dataclass(frozen=True)
class Block:
    """What was read of one block.

    Args:
        rows: rows in it.
        bytes: what they take, aligned, with their line pointers.
        filled: rows of them that get a new version.
    """

    rows: int
    bytes: int
    filled: int


@dataclass(frozen=True)
class Rows:
    """A table's rows, as a sample of its blocks has them.

    Args:
        count: rows of the whole table.
        blocks: blocks of the whole table.
        now, keyed, final: mean bytes of a row (aligned, with its line pointer) as it is, with the added columns, and
            rewritten without the dropped ones.
        sample: the blocks that were read, empty ones too.
    """

    count: int
    blocks: int
    now: float
    keyed: float
    final: float
    sample: Sequence[Block]

    @property
    def filled_share(self) -> float:
        """How many of the rows get a new version, 0 to 1."""
        rows = sum(b.rows for b in self.sample)
        return sum(b.filled for b in self.sample) / rows if rows else 0.0


@dataclass(frozen=True)
class Grown:
    """A heap after its rows got new versions.

    Args:
        blocks: its blocks then.
        elsewhere: new versions that went to another page, for each row of the table: what every index has to take.
        intervals: VACUUMs that ran, the last one included.
    """

    blocks: int
    elsewhere: float
    intervals: int


def rewritten_blocks(rows: float, row_bytes: float, fillfactor: int = 100) -> int:
    """Return the blocks of a table that has just been written anew, such as by VACUUM FULL."""
    if rows < 1:
        return 0
    # On average half a row does not fit any more at a page's end.
    room = USABLE - PAGE * (100 - fillfactor) // 100
    return math.ceil(rows / max(1.0, room / row_bytes - 0.5))


def maps_bytes(blocks: int) -> int:
    """Return the bytes of the maps of free and visible space that VACUUM makes for so many blocks."""
    if not blocks:
        return 0
    return (2 + math.ceil(blocks / _BLOCKS_FREE) + math.ceil(blocks / _BLOCKS_VISIBLE)) * PAGE


def vacuum_rows(rows: Rows, workers: int, vacuum: Vacuum) -> float:
    """Return how many rows change between two VACUUMs, as the batches run them."""
    total = rows.count * rows.filled_share
    if vacuum != "between" or not rows.blocks:
        return max(total, 1.0)
    due = max(rows.count * VACUUM_SHARE, VACUUM_LEAST_ROWS)
    # VACUUM comes at the next end of a slice, whichever worker gets there, and the others go on meanwhile.
    late = _of_slice(rows, workers) / (2 * workers)
    return min(total, (due + late) * (1 + _MEANWHILE * (workers - 1))) or 1.0


def _of_slice(rows: Rows, workers: int) -> float:
    """Return how many rows change in a slice."""
    first = cut(rows.blocks, workers)[0]
    return rows.count * rows.filled_share * (first.end - first.first) / rows.blocks


def filled(rows: Rows, workers: int, vacuum: Vacuum, *, mapped: bool = True) -> Grown:
    """Return what becomes of a heap whose rows all get a key in batches.

    Args:
        rows: the table's rows.
        workers: sessions that work at once.
        vacuum: when VACUUM runs.
        mapped: whether room in other pages is known before the first VACUUM.
    """
    changed = rows.count * rows.filled_share
    if not changed or not rows.sample:
        return Grown(rows.blocks, 0.0, 0)
    scale = rows.blocks / len(rows.sample)
    stayed = spare = again = 0.0
    first = cut(rows.blocks, workers)[0]
    of, _ = shares(Mark(first, first.first))
    chance = random.Random(of)  # noqa: S311 - which share a row falls into; the same for every reader
    for block in rows.sample:
        free = USABLE - block.bytes
        own = min(block.filled, max(0, math.floor(free / rows.keyed)))
        stayed += own
        spare += max(0, math.floor(free / rows.keyed) - own)
        again += max(0, _by_shares(block, rows, of, chance) - own)
    stayed, spare, again = stayed * scale, spare * scale, again * scale
    moved = max(0.0, changed - stayed - again)
    per_interval = vacuum_rows(rows, workers, vacuum)
    intervals = max(1, math.ceil(changed / per_interval))
    seen = min(_SEEN, _of_slice(rows, workers)) if workers > 1 else 0.0
    room, extended, left = spare if mapped else 0.0, 0.0, changed
    for number in range(intervals):
        now = min(per_interval, left)
        need = now * moved / changed
        used = min(need, room)
        extended += need - used
        # VACUUM: the old versions' room may be used again, but for the last ones', and whatever room nobody knew of.
        freed = now - seen if number == 0 else now
        room += freed * rows.now / rows.keyed - now * again / changed - used
        room = max(0.0, room + (spare if number == 0 and not mapped else 0.0))
        left -= now
    blocks = rows.blocks + math.ceil(extended / max(1.0, USABLE / rows.keyed - 0.5))
    return Grown(blocks, moved / rows.count, intervals)


def _by_shares(block: Block, rows: Rows, of: int, chance: random.Random) -> int:
    """Return how many new versions stay in their page when it is filled by so many shares."""
    parts = [0] * of
    for _ in range(block.filled):
        parts[chance.randrange(of)] += 1
    free, stayed = float(USABLE - block.bytes), 0
    for part in parts:
        own = min(part, max(0, math.floor(free / rows.keyed)))
        stayed += own
        # What stood there before goes when the page is next looked at, whether its new version stayed or not.
        free += part * (rows.now - _POINTER) - own * rows.keyed
    return stayed
