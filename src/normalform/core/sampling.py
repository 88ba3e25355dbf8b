"""Sampling: which blocks a sampled audit reads, and what the counts in them say of the whole table, as intervals.

Blocks are drawn in clusters without replacement; rows of one block are alike, so that the cluster and not the row is
what is counted. An interval of 95 percent is put together from two: Wilson's, of the share of clusters in which
something was seen, and Student's, of how much there is in such a cluster. Pure; chance is passed in. It must never give
an interval that leaves out what was seen, nor call a count exact unless every block was read.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .findings import FailOn, Severity

#: Clusters that a sample has at least, where the table has as many, and about as many as it has at most.
LEAST, MOST = 30, 2_000
_NORMAL = 1.96
#: Student's two-sided 97.5 percent points by degrees of freedom, 1 to 10; beyond them near enough by a formula.
_STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)


@dataclass(frozen=True)
class Chosen:
    """The clusters to be read.

    Args:
        parts: (first block, block behind the last), in order.
        clusters: how many clusters the table has.
        length: blocks of a cluster; the last one may be shorter.
        blocks: blocks of the table.
    """

    parts: tuple[tuple[int, int], ...]
    clusters: int
    length: int
    blocks: int

    @property
    def read(self) -> int:
        """How many blocks are read."""
        return sum(end - first for first, end in self.parts)


@dataclass(frozen=True)
class Interval:
    """How many rows there are in the whole table: what was seen of them, an estimate, and within which bounds."""

    seen: int
    estimate: int
    low: int
    high: int

    def to_json(self) -> dict[str, int]:
        """Return it as plain data."""
        return {"seen": self.seen, "estimate": self.estimate, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class SampledFinding:
    """A finding of which a sample has seen something."""

    code: str
    slug: str
    severity: Severity
    subject: str
    rows: Interval
    remedy: str

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "code": self.code, "slug": self.slug, "severity": self.severity.value, "subject": self.subject,
            "rows": self.rows.to_json(), "remedy": self.remedy,
        }  # fmt: skip


@dataclass(frozen=True)
class SampledReference:
    """What a sample says of one reference: its rows, and how they are decided."""

    reference: str
    table: str
    blocks: int
    blocks_read: int
    rows: Interval
    how: Mapping[str, Interval]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "reference": self.reference, "table": self.table, "blocks": self.blocks, "blocks_read": self.blocks_read,
            "rows": self.rows.to_json(), "how": {k: v.to_json() for k, v in self.how.items()},
        }  # fmt: skip


@dataclass(frozen=True)
class SampleReport:
    """What a sampled audit found. It is no audit: it opens no gate, and there is no mapping of it.

    Args:
        database: name of the database.
        role: the role that looked.
        share: what part of each table was to be read, 0 to 1.
        seed: chooses the same blocks again.
        references: by reference, in the spec's order.
        findings: errors first, then by code and subject.
        unchecked: what a sample does not look at.
        seconds: wall seconds.
    """

    database: str
    role: str
    share: float
    seed: int
    references: tuple[SampledReference, ...]
    findings: tuple[SampledFinding, ...]
    unchecked: tuple[str, ...] = ()
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the whole report as plain data."""
        return {
            "sample": {"share": self.share, "seed": self.seed, "confidence": 0.95},
            "database": self.database, "role": self.role, "seconds": round(self.seconds, 3), "mapping": None,
            "references": [r.to_json() for r in self.references],
            "findings": [f.to_json() for f in self.findings],
            "unchecked": list(self.unchecked),
        }  # fmt: skip


def fails(report: SampleReport, on: FailOn = "error") -> bool:
    """Tell whether what was seen counts as failed, as ``core.findings.fails`` tells of a whole audit."""
    failing = {"error": {Severity.ERROR}, "warning": {Severity.ERROR, Severity.WARNING}, "never": set[Severity]()}[on]
    return any(f.severity in failing for f in report.findings)


def share_of(text: str) -> float:
    """Read a share as people write it: ``1%``, ``0.5 %``, ``0.01``.

    Raises:
        ValueError: it is none, or not above 0 and up to all.
    """
    stripped = text.strip()
    percent = stripped.endswith("%")
    value = float(stripped.rstrip("% ")) / (100 if percent else 1)
    if not 0 < value <= 1:
        raise ValueError(text)
    return value


def choose(blocks: int, share: float, chance: random.Random) -> Chosen:
    """Draw the blocks to be read.

    Args:
        blocks: of the table.
        share: what part of them, above 0 and up to 1; more where that would be fewer than :data:`LEAST` clusters.
        chance: draws.
    """
    if not blocks:
        return Chosen((), 0, 1, 0)
    length = max(1, int(blocks * share) // MOST)
    clusters = math.ceil(blocks / length)
    wanted = min(clusters, max(LEAST, round(clusters * share)))
    drawn = sorted(chance.sample(range(clusters), wanted))
    return Chosen(tuple((n * length, min((n + 1) * length, blocks)) for n in drawn), clusters, length, blocks)


def estimate(counts: Sequence[int], clusters: int, most: int) -> Interval:
    """Say how many there are in the whole table.

    Args:
        counts: how many were seen in each cluster that was read, 0 where there were none.
        clusters: how many the table has.
        most: how many there can be in one cluster, such as the most rows that one was seen to have.
    """
    seen, read = sum(counts), len(counts)
    if read >= clusters:
        return Interval(seen, seen, seen, seen)
    if not read:
        return Interval(0, 0, 0, clusters * most)
    rest = math.sqrt(1 - read / clusters)  # what was read is certain
    met = [c for c in counts if c]
    if not met:
        share = 1 - 0.025 ** (1 / read)
        return Interval(0, 0, 0, math.ceil((clusters - read) * share * most))
    total = seen * clusters / read
    share, mean = len(met) / read, seen / len(met)
    low, high = _wilson(len(met), read)
    spread = _spread(met, mean) / mean
    down = rest * math.hypot((share - low) / share, spread)
    up = rest * math.hypot((high - share) / share, spread)
    highest = seen + (clusters - read) * most
    return Interval(
        seen,
        round(total),
        max(seen, math.floor(total * (1 - down))),
        max(seen, min(math.ceil(total * (1 + up)), highest)),
    )


def _spread(met: Sequence[int], mean: float) -> float:
    """Half of Student's interval of the mean; where one cluster alone speaks, as much as the mean itself."""
    n = len(met)
    if n == 1:
        return mean
    deviation = math.sqrt(sum((c - mean) ** 2 for c in met) / (n - 1))
    point = _STUDENT[n - 2] if n - 1 <= len(_STUDENT) else _NORMAL * (1 + 1.2 / (n - 1))
    # Few clusters that happen to be equal say little: counts vary at least as chance would have them.
    return point * max(deviation, math.sqrt(mean) if n < LEAST else 0.0) / math.sqrt(n)


def _wilson(met: int, read: int) -> tuple[float, float]:
    z2 = _NORMAL**2
    centre = (met + z2 / 2) / (read + z2)
    half = _NORMAL * math.sqrt(met * (read - met) / read + z2 / 4) / (read + z2)
    return max(0.0, centre - half), min(1.0, centre + half)
