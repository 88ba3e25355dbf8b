"""How an audit looks: its findings by kind, one finding whole, its SQL, or every offending row as CSV."""

from __future__ import annotations

import csv as csv_module
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..core.findings import AuditReport, Finding, Severity
from . import show_savings

COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "dim"}
Rows = Callable[[Finding], Iterator[Mapping[str, Any]]]


def chosen(report: AuditReport, codes: Iterable[str] | None) -> tuple[Finding, ...]:
    """Return the report's findings, or those with the given codes or slugs."""
    wanted = {c.lower() for c in codes or ()}
    return tuple(f for f in report.findings if not wanted or f.code.lower() in wanted or f.slug in wanted)


def as_json(report: AuditReport, findings: Iterable[Finding]) -> None:
    """Print the report as JSON, with the chosen findings."""
    print(json.dumps({**report.to_json(), "findings": [f.to_json() for f in findings]}, default=str))


def as_sql(findings: Iterable[Finding]) -> None:
    """Print the query behind each finding as a psql script."""
    for finding in findings:
        print(f"-- {finding.code} {finding.slug}, {finding.subject}: {finding.title}")
        print(f"{finding.sql.rstrip().rstrip(';')};\n" if finding.sql else "-- hidden: it holds values (--mask)\n")


def as_csv(findings: Iterable[Finding], rows: Rows) -> None:
    """Print every offending row: code, slug, subject, then the row as JSON."""
    writer = csv_module.writer(sys.stdout, lineterminator="\r\n")
    writer.writerow(("code", "slug", "subject", "row"))
    for finding in findings:
        for row in rows(finding):
            writer.writerow(
                (finding.code, finding.slug, finding.subject, json.dumps(dict(row), default=str, ensure_ascii=False))
            )


def every_row(out: Console, findings: Iterable[Finding], rows: Rows) -> None:
    """Print every offending row for people."""
    for finding in findings:
        out.print(f"[bold]{finding.code} {escape(finding.slug)}[/bold] {escape(finding.subject)}", highlight=False)
        for row in rows(finding):
            out.print("  " + escape(_row(row)), highlight=False, soft_wrap=True)


def mapping_table(report: AuditReport) -> Table:
    """Return how every distinct value is decided, by reference."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("reference", "rows", "distinct values", "decided"):
        table.add_column(title, justify="right" if title in ("rows", "distinct values") else "left", overflow="fold")
    for read in report.read:
        parts = [
            f"{t.how.value} {t.rows:,}" if t.how.resolved else f"[red]{t.how.value} {t.rows:,}[/red]"
            for t in report.tallies
            if t.reference == read.reference
        ]
        table.add_row(escape(read.reference), f"{read.rows:,}", f"{read.values:,}", ", ".join(parts))
    return table


def finding_lines(findings: Iterable[Finding]) -> Iterator[Text]:
    """Yield the findings for people: a heading for each kind, below it a line for each subject, and one of its rows."""
    for (severity, code), group in groupby(findings, lambda f: (f.severity, f.code)):
        same = list(group)
        when = f" before {same[0].before}" if same[0].before else ""
        head = Text(f"{severity.value}{when} {code} {same[0].slug}", style=f"bold {COLOURS[severity]}")
        yield head.append(f"  {same[0].remedy}", style="not bold default")
        for finding in same:
            # A title says its numbers; the subject is said where the title does not name it.
            about = "" if finding.subject in finding.title else f"{finding.subject}: "
            yield Text(f"  {about}{finding.title}")
            if finding.sample:
                yield Text(f"    {_row(finding.sample[0])}", style="dim", overflow="ellipsis", no_wrap=True)


def summary(out: Console, report: AuditReport, findings: tuple[Finding, ...]) -> None:
    """Print the audit for people."""
    where = "standby" if report.standby else "primary"
    major = report.server_version // 10000
    out.print(
        f"{escape(report.database)} on PostgreSQL {major} ({where}), as {escape(report.role)}: "
        f"{sum(r.rows for r in report.read):,} rows read in {report.seconds:.1f} s; nothing was changed",
        highlight=False,
    )
    out.print(mapping_table(report))
    out.print()
    for text in finding_lines(findings):
        out.print(text)
    for unknown in report.unchecked:
        out.print(f"unknown: {escape(unknown.subject)}: {escape(unknown.what)}: {escape(unknown.why)}", highlight=False)
    if report.savings is not None:
        show_savings.show(out, report.savings)
    counts = {s: sum(f.severity is s for f in findings) for s in Severity}
    later = sum(f.closes == "contract" for f in findings)
    errors = f"{counts[Severity.ERROR] - later} errors" + (f", {later} before contract" if later else "")
    out.print(
        f"{errors}, {counts[Severity.WARNING]} warnings, {counts[Severity.INFO]} notes",
        highlight=False,
    )


def _row(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} {v!r}" if isinstance(v, str) else f"{k} {v}" for k, v in row.items())
