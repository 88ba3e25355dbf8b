"""The audit: reads the tables once, builds the mapping, reports findings. **Changes nothing.**

Decides the order of reading and what is left out when something cannot be read. SELECT rights are enough and a standby
will do: every session is read-only, nothing is made on the server, no lock beyond a reader's is taken, and no
transaction lasts longer than half a minute (CORRECTNESS 28). The ledger need not exist; where it does, decisions count.
"""

from __future__ import annotations

import hashlib
import pickle
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg.rows import dict_row

from ..core.bind import bind
from ..core.catalog import Table
from ..core.events import Event, Sink, silent
from ..core.findings import AuditReport, Finding, ReferenceRead, Unchecked, in_order
from ..core.mapping import Tally
from ..core.model import Lookup, Reference, tables_of
from ..core.names import QName
from ..core.spec import Spec
from ..db import (
    find_bodies,
    find_created,
    find_data,
    find_dependents,
    find_server,
    find_signals,
    find_statements,
    ledger,
    mapping_file,
    ranges,
    sizes,
    world,
)
from ..db import mapping_questions as questions
from ..db.audit_read import read_lookup, read_reference
from ..db.beside import Beside, beside, one_at_a_time
from ..db.connect import MARK, Connector, refuse_transaction_pooler
from ..db.finder import Asked, Finder
from ..db.inspect import inspect
from ..db.mapping_file import Building
from ..db.suggestions import suggest
from ..errors import BehindPooler, DatabaseRefused
from ..sql import server_findings

__all__ = ["AuditReport", "audit", "iter_rows"]

SETTINGS = {"default_transaction_read_only": "on", "work_mem": "96MB"}
#: Only while tables are read; the small questions to the catalogs want the server's own.
READING = {
    "enable_nestloop": "off",  # a misjudged size must not turn a join into a probe for each row
    "enable_mergejoin": "off",  # sorting a million texts by their collation takes longer than all the rest
    "enable_sort": "off",
}
#: Rows fetched at once where every offender is listed.
FETCHED = 2_000


def audit(
    connector: Connector,
    spec: Spec,
    *,
    mapping_path: Path | None,
    sink: Sink = silent,
    mask: bool = False,
    longest: float = ranges.LONGEST,
    first_blocks: int = ranges.FIRST_BLOCKS,
) -> AuditReport:
    """Read everything that a spec names and report what stands in the way. Changes nothing.

    Args:
        connector: makes sessions to the database, a standby's too, by a role with SELECT on the tables.
        spec: the spec.
        mapping_path: where the mapping is kept; None keeps none.
        sink: gets progress events, ``audit/<lookup or reference>`` in blocks, and a note of each finding once found.
        mask: hide values of rows in the report (the mapping file holds them all the same).
        longest: seconds that one statement may take.
        first_blocks: blocks of a table's first range; the next ones have as many as take some seconds.

    Raises:
        SpecError: the spec does not fit the database.
        DatabaseRefused: a table may not be read, or is not readable in ranges of that length.
        UsageError: the mapping file cannot be written.
    """
    began, sink = time.monotonic(), one_at_a_time(sink)
    pooled = _behind_pooler(connector)
    if pooled is not None:
        return pooled
    with _session(connector, "audit") as conn:
        stored = _ledger_readable(conn)
        baseline = ledger.baseline(conn) if stored else {}
        model = bind(spec, inspect(conn, tables_of(spec)), baseline)
        finder = Finder(conn, model, stored=stored, hide=mask, longest=longest, first_blocks=first_blocks, sink=sink)
        sink(Event("phase", "audit", "server and catalogs"))
        find_server.find(finder)
        find_signals.find(finder)
        _find_dependents(finder, baseline)
        about = {
            "database": model.catalog.database,
            "spec": hashlib.sha256(spec.source.encode()).hexdigest(),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        with mapping_file.building(mapping_path, **about) as building:
            try:
                _set(conn, READING)
                read, tallies = _read(finder, building, connector)
                saved = sizes.savings(finder, building, read, tallies)
            except psycopg.errors.InsufficientPrivilege as error:
                what = error.diag.message_primary
                raise DatabaseRefused(
                    f"role {model.catalog.user} may not read everything that the spec names: {what}",
                    hint=f"GRANT SELECT ON … TO {model.catalog.user}",
                ) from error
        return AuditReport(
            database=model.catalog.database,
            role=model.catalog.user,
            server_version=model.catalog.server_version,
            standby=any(f.code == "NF403" for f in finder.findings),
            read=tuple(read),
            tallies=tuple(tallies),
            findings=in_order(finder.findings),
            unchecked=tuple(finder.unchecked),
            mapping=str(mapping_path) if mapping_path is not None else None,
            seconds=time.monotonic() - began,
            masked=mask,
            savings=saved,
        )


def iter_rows(connector: Connector, finding: Finding) -> Iterator[dict[str, Any]]:
    """Yield every row that a finding is about, as column → value; reads in block ranges where the finding can.

    Args:
        connector: makes the session.
        finding: from a report of this process, not from JSON.

    Raises:
        ValueError: the finding's SQL is hidden (``mask``).
    """
    if not finding.sql:
        raise ValueError(f"the rows of {finding.code} are hidden")
    with _session(connector, "rows") as conn:
        if finding.ranged is None or finding.relation is None:
            yield from _stream(conn, finding.sql)
            return
        ranged = finding.ranged
        # A range's rows wait on disk: none may be handed out before the server has given the last one, and there may
        # be more of them than memory holds.
        with tempfile.TemporaryFile() as kept:

            def read(first: int, end: int) -> None:
                for row in ranges.stream(conn, ranged(first, end), row_factory=dict_row):
                    pickle.dump(row, kept)

            def forget() -> None:
                kept.seek(0)
                kept.truncate()

            for _ in ranges.each(conn, finding.relation, read, forget):
                kept.seek(0)
                yield from _unpickled(kept)
                forget()


def _unpickled(kept: IO[bytes]) -> Iterator[dict[str, Any]]:
    while True:
        try:
            yield pickle.load(kept)  # noqa: S301 - a nameless file that this process has just written
        except EOFError:
            return


def _stream(conn: psycopg.Connection, query: str) -> Iterator[dict[str, Any]]:
    with conn.transaction(), conn.cursor("nf_rows", row_factory=dict_row) as cursor:
        cursor.itersize = FETCHED
        cursor.execute((query + MARK).encode())  # a server-side cursor, which does not mark by itself
        yield from cursor


def _find_dependents(finder: Finder, baseline: Mapping[QName, Table]) -> None:
    find_dependents.find_widening(finder)
    tables = world.tables_of(finder.model, baseline)
    if tables.watched:
        known = world.read_world(finder.conn, finder.model, tables)
        find_dependents.find(finder, tables)
        find_bodies.find(finder, tables, known)
        find_statements.find(finder, tables, known)


def _behind_pooler(connector: Connector) -> AuditReport | None:
    """Return a report of this alone where a proxy pools transactions.

    Nothing more is asked there: what our sessions set would stay behind in server sessions of the application.
    """
    try:
        refuse_transaction_pooler(connector)
    except BehindPooler as error:
        finding = find_server.pooled(error.message)
        unread = Unchecked("server", "everything else", "nothing is read through such a proxy")
        return AuditReport(connector.display, "", 0, standby=False, read=(), tallies=(), findings=(finding,),
                           unchecked=(unread,))  # fmt: skip
    return None


@contextmanager
def _session(connector: Connector, role: str) -> Iterator[psycopg.Connection]:
    with connector.open(role) as conn:
        _set(conn, SETTINGS)
        yield conn


def _set(conn: psycopg.Connection, settings: Mapping[str, str]) -> None:
    for name, value in settings.items():
        conn.execute("SELECT set_config(%s, %s, false)", (name, value))


def _ledger_readable(conn: psycopg.Connection) -> bool:
    """Whether there are decisions to count. Those in a ledger that may not be read would be left out in silence."""
    if not ledger.installed(conn):
        return False
    row = conn.execute("SELECT has_schema_privilege('normalform', 'USAGE')").fetchone()
    if row is None or not row[0]:
        raise DatabaseRefused(
            "the ledger stands, and this role may not read it: its decisions would be left out",
            hint="audit as the role that owns the ledger",
        )
    return True


def _read(finder: Finder, building: Building, connector: Connector) -> tuple[list[ReferenceRead], list[Tally]]:
    """Read lookups in one session and references in another: while the server resolves, the client folds."""
    model = finder.model
    hidden = _hidden_tables(finder)
    lookups = [x for x in model.lookups if not x.planned and not _reads(x) & hidden]
    numbers, ranges_read, seconds = dict[str, int](), dict[str, int](), dict[str, float]()
    several: dict[str, Asked | None] = {}
    with _session(connector, "audit-lookups") as conn, building.beside() as aside:
        _set(conn, READING)
        other = finder.on(conn)

        def read_lookups(work: Beside) -> None:
            for lookup in lookups:
                read_lookup(other, aside, lookup, check=work.check)
            aside.end_lookups()
            for lookup in lookups:
                work.check()
                find_data.find_in_lookup(other, aside, lookup)
                several[lookup.name] = find_data.ask_several(other, lookup)

        with beside(conn, read_lookups) as work:
            for reference in model.references:
                if _left_out(finder, reference, hidden):
                    continue
                began = time.monotonic()
                numbers[reference.name] = building.begin_reference(reference.name)
                read_reference(finder, building, reference, check=work.raise_failure)
                ranges_read[reference.name] = building.end_reference()
                seconds[reference.name] = time.monotonic() - began
    finder.take(other)
    read, tallies = [], list[Tally]()
    for reference in (r for r in model.references if r.name in numbers):
        began, number = time.monotonic(), numbers[reference.name]
        skipped = suggest(building, number, reference)
        if skipped:
            what = f"{skipped:,} values were not compared with {reference.lookup.table.name}"
            finder.unknown(reference.name, "suggestions", f"{what}: those with most rows came first")
        reading = questions.Reading(building, number)
        find_data.find_in_reference(finder, reading, reference)
        tallies += reading.tallies(reference.name)
        rows, nulls, values = reading.totals
        read.append(
            ReferenceRead(
                reference.name, str(reference.table.name), reference.lookup.name, reference.spec.required,
                rows, nulls, values, ranges_read[reference.name],
                seconds[reference.name] + time.monotonic() - began,
            )
        )  # fmt: skip
    for lookup in lookups:
        find_data.find_across(finder, building, lookup, numbers, several[lookup.name])
    for lookup in (x for x in model.lookups if x.planned):
        find_created.find(finder, building, lookup, numbers)
    return read, tallies


def _hidden_tables(finder: Finder) -> set[QName]:
    """Tables of which row-level security hides rows from this role: reading them would be refused."""
    hidden = set()
    for table in finder.model.catalog:
        rows = finder.rows(str(table.name), "row security", server_findings.hidden_from_us(table.name))
        if rows and next(iter(rows[0].values())):
            hidden.add(table.name)
            finder.unknown(
                str(table.name), "all rows", "row-level security hides some from this role; audit as the owner"
            )
    return hidden


def _reads(lookup: Lookup) -> set[QName]:
    names = {lookup.table.name}
    if lookup.path is not None:
        names.add(lookup.path.table.name)
    if lookup.scope_copy is not None:
        names.add(lookup.scope_copy.table.name)
    return names


def _left_out(finder: Finder, reference: Reference, hidden: set[QName]) -> bool:
    if reference.table.name in hidden or any(name in hidden for name in _reads(reference.lookup)):
        finder.unknown(reference.name, "all values", "a table that it needs is hidden by row-level security")
        return True
    if not reference.text_present:
        finder.unknown(reference.name, "all values", "its text column is gone: the migration stands contracted")
        return True
    return False
