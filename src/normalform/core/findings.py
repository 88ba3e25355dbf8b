"""Findings: what an audit reports, and which of them keep a phase from starting.

The types and the gate, pure. Which findings exist is ``core.finding_codes``, how each is found is ``sql.findings`` and
``sql.server_findings``. A finding never decides anything: it names the decision or the command that would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, get_args

from .mapping import Tally
from .phases import ORDER
from .savings import Savings

#: What stands for a value of a row where values are hidden.
MASKED = "•••"
#: Which findings make an audit fail: errors, warnings too, or none.
FailOn = Literal["error", "warning", "never"]
FAIL_ON: tuple[FailOn, ...] = get_args(FailOn)


class Severity(StrEnum):
    """How much a finding matters: an error keeps a phase from starting, expand unless it says another."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True)
class Finding:
    """One thing that an audit found.

    Args:
        code: stable code, such as ``NF201``; its hundred is the area.
        slug: stable name, such as ``orphan``.
        severity: how much it matters here; it can depend on the spec (``required``).
        title: what is wrong, in one line with the numbers.
        subject: the reference or lookup that it is about, or ``server``.
        count: how many ``unit`` there are: exactly as many rows as ``sql`` returns.
        unit: what is counted: ``rows``, ``names``, ``columns`` …
        remedy: the decision or the command that settles it.
        sql: finds every offender when run by hand; empty where values are hidden and the SQL holds some.
        sample: a few of the offenders, as column → value.
        numbers: further numbers by name, such as distinct ``values``.
        more: how many values beyond the ones that ``sql`` and ``count`` are about were not looked at; 0 nearly always.
        relation: OID of the table that is read in block ranges for all offenders; None when ``sql`` is run as it is.
        ranged: makes the SQL of one block range (first block, block behind the last); None together with ``relation``.
        before: the phase before which it must be settled; empty where nothing must be.
    """

    code: str
    slug: str
    severity: Severity
    title: str
    subject: str
    count: int
    unit: str
    remedy: str
    sql: str
    sample: tuple[Mapping[str, Any], ...] = ()
    numbers: Mapping[str, int] = field(default_factory=dict)
    more: int = 0
    relation: int | None = field(default=None, repr=False, compare=False)
    ranged: Callable[[int, int], str] | None = field(default=None, repr=False, compare=False)
    before: str = ""

    @property
    def closes(self) -> str | None:
        """The first phase that it keeps from starting; None where it keeps none."""
        return (self.before or "expand") if self.severity is Severity.ERROR else None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data, without what only this process can use."""
        return {
            "code": self.code,
            "slug": self.slug,
            "severity": self.severity.value,
            "before": self.before or None,
            "title": self.title,
            "subject": self.subject,
            "count": self.count,
            "unit": self.unit,
            "remedy": self.remedy,
            "sql": self.sql,
            "sample": [dict(row) for row in self.sample],
            "numbers": dict(self.numbers),
            "more": self.more,
        }


@dataclass(frozen=True)
class Unchecked:
    """Something that could not be looked at: it is unknown, not good.

    Args:
        subject: the reference, the lookup, or ``server``.
        what: what was not looked at, such as a finding's code.
        why: the reason, and the right that would change it.
    """

    subject: str
    what: str
    why: str


@dataclass(frozen=True)
class ReferenceRead:
    """What was read of one reference: rows, those without text, distinct values, block ranges, seconds."""

    reference: str
    table: str
    lookup: str
    required: bool
    rows: int
    null_texts: int
    values: int
    ranges: int
    seconds: float


@dataclass(frozen=True)
class AuditReport:
    """What an audit found.

    Args:
        database: name of the database.
        role: the role that looked.
        server_version: server_version_num.
        standby: whether the server is one.
        read: what was read, by reference, in the spec's order.
        tallies: distinct values and rows by reference and how they are decided.
        findings: errors first, then by code and subject.
        unchecked: what could not be looked at.
        mapping: the local file of the mapping; None when none was kept.
        seconds: wall seconds.
        masked: whether values of rows are hidden.
        savings: bytes before and after, room and time by phase; None where that cannot be foretold.
    """

    database: str
    role: str
    server_version: int
    standby: bool
    read: tuple[ReferenceRead, ...]
    tallies: tuple[Tally, ...]
    findings: tuple[Finding, ...]
    unchecked: tuple[Unchecked, ...] = ()
    mapping: str | None = None
    seconds: float = 0.0
    masked: bool = False
    savings: Savings | None = None

    def find(self, code: str, subject: str | None = None) -> Finding | None:
        """Return the finding of that code (about that subject), or None."""
        return next((f for f in self.findings if f.code == code and subject in (None, f.subject)), None)

    def to_json(self) -> dict[str, Any]:
        """Return the whole report as plain data."""
        return {
            "database": self.database,
            "role": self.role,
            "server_version": self.server_version,
            "standby": self.standby,
            "seconds": round(self.seconds, 3),
            "mapping": self.mapping,
            "masked": self.masked,
            "references": [
                {
                    "reference": r.reference, "table": r.table, "lookup": r.lookup, "required": r.required,
                    "rows": r.rows, "null_texts": r.null_texts, "values": r.values, "ranges": r.ranges,
                    "seconds": round(r.seconds, 3),
                }
                for r in self.read
            ],
            "mapping_summary": [
                {"reference": t.reference, "how": t.how.value, "values": t.values, "rows": t.rows} for t in self.tallies
            ],
            "savings": self.savings.to_json() if self.savings is not None else None,
            "findings": [f.to_json() for f in self.findings],
            "unchecked": [{"subject": u.subject, "what": u.what, "why": u.why} for u in self.unchecked],
        }  # fmt: skip


def gate(report: AuditReport, phase: str = "expand") -> tuple[Finding, ...]:
    """Return the findings that keep a phase from starting: the errors that must be settled before it, or earlier.

    Unresolved values of a required reference are errors; what could not be checked is shown but closes no gate here.

    Args:
        report: what an audit found.
        phase: ``expand``, or a later one: a view on the text closes contract's gate and not expand's.
    """
    until = ORDER.index(phase)
    return tuple(f for f in report.findings if f.closes is not None and ORDER.index(f.closes) <= until)


def fails(report: AuditReport, on: FailOn = "error") -> bool:
    """Tell whether an audit counts as failed. This is its exit status alone: the gate stays what :func:`gate` says.

    Args:
        report: the report, all of its findings whatever is shown of them.
        on: ``error`` for an error that keeps expand from starting, ``warning`` for a warning or an error before
            contract too, ``never`` for none.
    """
    if on == "never":
        return False
    return bool(gate(report)) or (on == "warning" and any(f.severity is not Severity.INFO for f in report.findings))


def reasons(report: AuditReport, phase: str = "expand") -> list[str]:
    """Return why a phase's gate is closed, one line each; empty when it is open."""
    return [f"{f.code} {f.subject}: {f.title}" for f in gate(report, phase)]


def in_order(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return findings as people read them: errors first, those of an earlier phase before others, then by code."""
    rank = list(Severity)

    def place(f: Finding) -> tuple[int, int, str, str]:
        return rank.index(f.severity), ORDER.index(f.closes) if f.closes else 0, f.code, f.subject

    return tuple(sorted(findings, key=place))


def mask(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> tuple[Mapping[str, Any], ...]:
    """Return rows with every value hidden, except those of the named columns (counts, names of objects)."""
    return tuple({k: v if k in names or v is None else MASKED for k, v in row.items()} for row in rows)
