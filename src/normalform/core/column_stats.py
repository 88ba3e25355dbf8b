"""What is known of a text column before its table is read: how often its values repeat, and a few of them.

The server's own statistics say it where they stand (``pg_stats``); else a sample of rows does, by the estimate that
ANALYZE makes of one. Decides what values look like (hashes, prose …). Never reads anything itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: Values of a column that are looked for elsewhere before any of its rows is read.
PROBES = 60
#: The share of values that must look alike for a column to be called after it.
_MOST = 0.8
_FORMS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("e-mail addresses", re.compile(r"[^\s@]+@[^\s@]+\.[^\s@.]+")),
    ("JSON", re.compile(r"\s*(\{.*\}|\[.*\])\s*", re.DOTALL)),
    ("URLs", re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+|www\.\S+")),
    ("UUIDs", re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")),
    ("hashes", re.compile(r"(?=.*[0-9])(?:[0-9A-Fa-f]{16,}|(?=.*[A-Z])(?=.*[a-z])[A-Za-z0-9+/_-]{20,}={0,2})")),
    ("numbers", re.compile(r"\s*[+-]?[0-9][0-9.,'_ ]*\s*")),
    ("dates or times", re.compile(r"[0-9]{4}-[0-9]{2}(-[0-9]{2}.*)?|[0-9]{1,2}[:/.][0-9]{1,2}[:/.][0-9]{2,4}.*")),
    ("file names or paths", re.compile(r".*\.[A-Za-z][A-Za-z0-9]{1,4}|/.*|[A-Za-z]:\\.*")),
    ("prose", re.compile(r".*\n.*|\S+(?:\s+\S+){7,}\s*|.{121,}", re.DOTALL)),
)


@dataclass(frozen=True)
class ColumnStats:
    """What is known of a text column.

    Args:
        null_frac: share of rows without a value.
        width: bytes of a value on average.
        n_distinct: as in pg_stats: how many different values there are, or minus their share of all rows.
        common: the most frequent values with their share of all rows.
        others: values that stand for all the rest.
        sampled: whether a sample of ours says so, since the server keeps no statistics.
    """

    null_frac: float
    width: float
    n_distinct: float
    common: tuple[tuple[str, float], ...] = ()
    others: tuple[str, ...] = ()
    sampled: bool = False

    def distinct(self, rows: float) -> float:
        """Return how many different values a table of so many rows holds."""
        if self.n_distinct >= 0:
            return self.n_distinct
        return max(1.0, -self.n_distinct * rows)

    def repeats(self, rows: float) -> float:
        """Return how many rows share a value on average."""
        filled = rows * (1 - self.null_frac)
        return filled / max(self.distinct(rows), 1.0)

    @property
    def all_differ(self) -> bool:
        """Whether every value stands once only, as far as the statistics know."""
        return self.n_distinct <= -0.999 * (1 - self.null_frac) and not self.common

    def probes(self, limit: int = PROBES) -> dict[str, float]:
        """Return values to look for elsewhere, each with the share of the filled rows that it stands for."""
        filled = 1 - self.null_frac
        if filled <= 0:
            return {}
        common = dict(self.common[: limit // 2])
        rest = max(0.0, filled - sum(common.values()))
        others = list(dict.fromkeys([*(v for v, _ in self.common[limit // 2 :]), *self.others]))
        others = [v for v in _thinned(others, limit - len(common)) if v not in common]
        if not common and not others:
            return {}
        weights = {**common, **dict.fromkeys(others, rest / len(others))} if others else common
        total = sum(weights.values())
        return {v: w / total if total > 0 else 1 / len(weights) for v, w in weights.items()}

    def looks_like(self) -> str | None:
        """Return what most of the values look like, when they are not names of things: ``hashes``, ``prose`` …"""
        return looks_like(self.probes())


def looks_like(values: Iterable[str]) -> str | None:
    """Return what most of the values look like, or None where they may be names."""
    listed = [v for v in values if v.strip()]
    if not listed:
        return None
    counted: Counter[str] = Counter()
    for value in listed:
        counted.update(name for name, form in _FORMS if form.fullmatch(value))
    best = max(_FORMS, key=lambda form: counted[form[0]])[0]
    return best if counted[best] >= _MOST * len(listed) else None


def of_sample(values: Sequence[str | None], rows: float) -> ColumnStats:
    """Estimate a column's statistics from a sample of its rows.

    Args:
        values: the column's value in each sampled row.
        rows: how many rows the table has.

    Returns:
        The statistics; ``n_distinct`` by the estimator of Haas and Stokes that ANALYZE uses.
    """
    filled = [v for v in values if v is not None]
    if not filled:
        return ColumnStats(1.0 if values else 0.0, 0.0, 0.0, sampled=True)
    null_frac = 1 - len(filled) / len(values)
    counts = Counter(filled)
    n, d = len(filled), len(counts)
    total = max(float(n), rows * (1 - null_frac))
    once = sum(1 for c in counts.values() if c == 1)
    estimate = n * d / (n - once + once * n / total)
    estimate = min(max(estimate, float(d)), total)
    # Like ANALYZE: what grows with the table is a share of its rows.
    n_distinct = -estimate / max(rows, float(len(values))) if estimate > 0.1 * total else estimate
    width = sum(len(v.encode()) for v in filled) / n + 1
    often = [(v, c / len(values)) for v, c in counts.most_common(PROBES) if c > 1]
    known = {v for v, _ in often}
    others = tuple(_thinned([v for v in counts if v not in known], PROBES))
    return ColumnStats(null_frac, width, n_distinct, tuple(often), others, sampled=True)


def _thinned(values: Sequence[str], limit: int) -> list[str]:
    """Return at most so many of the values, spread evenly over all of them."""
    if len(values) <= limit:
        return list(values)
    return [values[i * len(values) // limit] for i in range(limit)]
