"""Which way a page runs: as most of its tenant's words do.

The words themselves carry `dir="auto"` each; this decides the frame around them. It must never look at a tenant's name.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Literal

Direction = Literal["ltr", "rtl"]


def direction_of(texts: Iterable[str]) -> Direction:
    """The direction that most of these texts begin in; of as many, and of none, left to right."""
    balance = sum(_sign(text) for text in texts)
    return "rtl" if balance < 0 else "ltr"


def _sign(text: str) -> int:
    """1 for a text whose first letter with a direction runs to the right, -1 to the left, 0 without any."""
    for char in text:
        kind = unicodedata.bidirectional(char)
        if kind == "L":
            return 1
        if kind in ("R", "AL"):
            return -1
    return 0
