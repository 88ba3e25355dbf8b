"""Which old backups go.

Decides by the dates and states that it is given. It must never let go the newest verified backup, nor one that is not
whole: that one is evidence, and counts for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Kept:
    """A backup that lies in the folder.

    Args:
        name: its name there.
        made_at: the instant of its snapshot.
        whole: whether its manifest holds and every file has its size; it has been verified then.
    """

    name: str
    made_at: datetime
    whole: bool


def to_prune(
    backups: Iterable[Kept], now: datetime, *, keep: int | None, keep_days: float | None, made: str = ""
) -> list[Kept]:
    """Return those that go, oldest first.

    A backup stays when it is among the newest ``keep``, or younger than ``keep_days``, or the newest of all.

    Args:
        backups: those of one database.
        now: the present.
        keep: how many stay; None: their number keeps none.
        keep_days: for how many days; None: their age keeps none.
        made: name of the one just made: the newest, whatever dates clocks that run ahead have given to others.
    """
    if keep is None and keep_days is None:
        return []
    whole = (b for b in backups if b.whole)
    newest_first = sorted(whole, key=lambda b: (b.name == made, b.made_at, b.name), reverse=True)
    staying = max(1, keep or 0)
    young = None if keep_days is None else now - timedelta(days=keep_days)
    going = [b for b in newest_first[staying:] if young is None or b.made_at < young]
    return going[::-1]
