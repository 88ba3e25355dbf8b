"""Turns queries of offenders into findings: counts them, takes samples, and notes what could not be looked at.

Decides nothing about what is wrong (the SQL does) nor how much it matters (the registry and the caller do). A question
that the server would not answer becomes "unchecked", with the reason: never silence, never a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from ..core.events import Event, Sink, silent
from ..core.finding_codes import CODES
from ..core.findings import Finding, Severity, Unchecked, mask
from ..core.model import Model
from ..sql.quote import render
from .ranges import limited

SQL = sql.SQL
#: Offenders shown with a finding.
SAMPLES = 5


@dataclass(frozen=True)
class Asked:
    """What a query of offenders gave: how many, and the first few."""

    count: int
    sample: tuple[Mapping[str, Any], ...]


class Finder:
    """Collects findings about one database.

    Args:
        conn: a session in autocommit mode.
        model: the spec fitted to the database.
        stored: whether the ledger is there, so that decisions count.
        hide: whether values of rows are hidden.
        longest: seconds that one statement may take.
        first_blocks: blocks of a table's first range.
        sink: hears of each finding as soon as it is there: reading everything takes a while.
    """

    def __init__(
        self,
        conn: psycopg.Connection,
        model: Model,
        *,
        stored: bool,
        hide: bool,
        longest: float,
        first_blocks: int,
        sink: Sink = silent,
    ) -> None:
        self.first_blocks, self.sink = first_blocks, sink
        self.conn, self.model, self.stored, self.hide, self.longest = conn, model, stored, hide, longest
        self.findings: list[Finding] = []
        self.unchecked: list[Unchecked] = []

    def on(self, conn: psycopg.Connection) -> Finder:
        """Return another finder that asks in another session, and keeps what it finds to itself."""
        return Finder(
            conn,
            self.model,
            stored=self.stored,
            hide=self.hide,
            longest=self.longest,
            first_blocks=self.first_blocks,
            sink=self.sink,
        )

    def take(self, other: Finder) -> None:
        """Take over what another finder has found."""
        self.findings += other.findings
        self.unchecked += other.unchecked

    def ask(self, subject: str, what: str, query: sql.Composable) -> Asked | None:
        """Run a query of offenders; None when the server would not answer, which is noted."""
        counted = SQL("SELECT count(*) OVER () AS nf_count, z.* FROM ({}) z LIMIT {}").format(
            query, sql.Literal(SAMPLES)
        )
        rows = self.rows(subject, what, counted)
        if rows is None:
            return None
        sample = tuple({k: v for k, v in row.items() if k != "nf_count"} for row in rows)
        return Asked(rows[0]["nf_count"] if rows else 0, sample)

    def rows(self, subject: str, what: str, query: sql.Composable) -> list[dict[str, Any]] | None:
        """Run a query; None when the server would not answer, which is noted."""
        try:
            with limited(self.conn, self.longest), self.conn.cursor(row_factory=dict_row) as cursor:
                return cursor.execute(render(query).encode()).fetchall()
        except psycopg.errors.InsufficientPrivilege as error:
            self.unknown(subject, what, f"{error.diag.message_primary}; grant {self.model.catalog.user} that right")
        except psycopg.errors.QueryCanceled:
            self.unknown(subject, what, f"the server needs more than {self.longest:g} s for it")
        return None

    def unknown(self, subject: str, what: str, why: str) -> None:
        """Note something that was not looked at."""
        self.unchecked.append(Unchecked(subject, what, why))

    def add(
        self,
        code: str,
        subject: str,
        title: str,
        query: sql.Composable,
        count: int,
        *,
        severity: Severity | None = None,
        sample: Sequence[Mapping[str, Any]] = (),
        open_columns: Sequence[str] | None = None,
        holds_values: bool = False,
        numbers: Mapping[str, int] | None = None,
        more: int = 0,
        relation: int | None = None,
        ranged: Callable[[int, int], sql.Composable] | None = None,
    ) -> None:
        """Add a finding, unless it has no offender.

        Args:
            code: its code.
            subject: reference, lookup or ``server``.
            title: what is wrong, with the numbers.
            query: finds every offender.
            count: how many there are.
            severity: if not the registry's.
            sample: a few of them.
            open_columns: columns of the sample that may be shown where values are hidden; None for all of them.
            holds_values: whether the query itself names values of rows.
            numbers: further numbers.
            more: values beyond those that were looked at.
            relation: OID of the table that ``ranged`` reads.
            ranged: makes the query of one block range.
        """
        if count == 0:
            return
        kind = CODES[code]
        self.sink(Event("note", code, f"{subject}: {kind.slug}, {count:,} {kind.unit}"))
        shown = tuple(sample)
        if self.hide and open_columns is not None:
            shown = mask(shown, open_columns)
        self.findings.append(
            Finding(
                code=code,
                slug=kind.slug,
                severity=severity or kind.severity,
                title=title,
                subject=subject,
                count=count,
                unit=kind.unit,
                remedy=kind.remedy,
                sql="" if self.hide and holds_values else render(query),
                sample=shown,
                numbers=dict(numbers or {}),
                more=more,
                relation=relation if ranged is not None else None,
                ranged=None if ranged is None else lambda first, end: render(ranged(first, end)),
                before=kind.before,
            )
        )


def several(count: int, one: str, many: str | None = None) -> str:
    """Return ``1 row``, ``2,000 rows``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
