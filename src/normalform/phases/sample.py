"""The sampled audit: reads some blocks of each reference and says, as intervals, what the rest is likely to hold.

A first look at tables that are too large for a whole one. **Changes nothing**, writes no mapping, opens no gate. What
only a whole reading can tell (collisions, near-duplicates, what hangs on a column) it does not look at, and says so.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Mapping

import psycopg

from ..core.bind import bind
from ..core.events import Event, Sink, silent
from ..core.finding_codes import CODES
from ..core.findings import Severity
from ..core.mapping import How
from ..core.model import Model, Reference, tables_of
from ..core.sampling import Chosen, Interval, SampledFinding, SampledReference, SampleReport, choose, estimate
from ..core.spec import Spec
from ..db import ledger, ranges
from ..db.connect import Connector, refuse_transaction_pooler
from ..db.inspect import inspect
from ..errors import DatabaseRefused, UsageError
from ..sql.quote import render
from ..sql.sampled import counts

SETTINGS = {"default_transaction_read_only": "on", "work_mem": "64MB"}
#: Clusters that one statement reads: each statement reads the whole lookup as well.
_AT_ONCE = 250
#: Which rows a finding is about, by how they are decided and what is noted of them; None is any.
_ABOUT: Mapping[str, tuple[How | None, str | None]] = {
    "NF201": (How.ORPHAN, None),
    "NF202": (How.AMBIGUOUS, None),
    "NF203": (None, "scope-null"),
    "NF204": (None, "scope-unknown"),
    "NF205": (None, "qualifier-disagrees"),
    "NF206": (None, "qualifier-unknown"),
    "NF211": (None, "text-null"),
}
_UNRESOLVED = ("NF201", "NF202", "NF203", "NF204")
UNSEEN = (
    "the lookups' own rows",
    "collisions, near-duplicates and widths",
    "the server, the application's statements, and what hangs on the columns",
)
_Seen = Mapping[tuple[str, str | None], Mapping[int, int]]  # (how, note) -> cluster -> rows


def sample(connector: Connector, spec: Spec, *, share: float, seed: int, sink: Sink = silent) -> SampleReport:
    """Read a random part of each reference's blocks and estimate the counts of a whole audit.

    Args:
        connector: makes sessions to the database, a standby's too, by a role with SELECT on the tables.
        spec: the spec.
        share: what part of each table, above 0 and up to 1.
        seed: draws the blocks; the same seed draws the same ones while a table has as many.
        sink: gets progress events in blocks.

    Raises:
        SpecError: the spec does not fit the database.
        DatabaseRefused: a table may not be read, or the part is too large for one statement.
        UsageError: a text is gone: the migration stands contracted.
    """
    began = time.monotonic()
    refuse_transaction_pooler(connector)
    with connector.open("sample") as conn:
        for name, value in SETTINGS.items():
            conn.execute("SELECT set_config(%s, %s, false)", (name, value))
        stored = ledger.installed(conn)
        model = bind(spec, inspect(conn, tables_of(spec)), ledger.baseline(conn) if stored else {})
        _refuse(model)
        chance = random.Random(seed)  # noqa: S311 - draws blocks, no secret
        references, findings = [], list[SampledFinding]()
        for reference in model.references:
            chosen = choose(ranges.blocks(conn, reference.table.oid), share, chance)
            seen = _read(conn, reference, chosen, sink, stored=stored)
            found, more = _said(reference, chosen, seen)
            references.append(found)
            findings += more
        rank = list(Severity)
        findings.sort(key=lambda f: (rank.index(f.severity), f.code, f.subject))
        return SampleReport(
            database=model.catalog.database,
            role=model.catalog.user,
            share=share,
            seed=seed,
            references=tuple(references),
            findings=tuple(findings),
            unchecked=UNSEEN,
            seconds=time.monotonic() - began,
        )


def _refuse(model: Model) -> None:
    gone = [r.name for r in model.references if not r.text_present]
    if gone:
        raise UsageError(
            f"{', '.join(gone)} has no text any more: there is nothing to sample", hint="normalform status"
        )


def _read(conn: psycopg.Connection, reference: Reference, chosen: Chosen, sink: Sink, *, stored: bool) -> _Seen:
    seen: defaultdict[tuple[str, str | None], defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    done = 0
    for at in range(0, len(chosen.parts), _AT_ONCE):
        parts = chosen.parts[at : at + _AT_ONCE]
        query = render(counts(reference, parts, chosen.length, stored=stored))
        try:
            with ranges.limited(conn, ranges.LONGEST):
                rows = conn.execute(query.encode()).fetchall()
        except psycopg.errors.QueryCanceled as error:
            raise DatabaseRefused(
                f"{reference.table.name}: {sum(e - f for f, e in parts):,} blocks take more than {ranges.LONGEST:g} s",
                hint="a smaller --sample",
            ) from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise DatabaseRefused(
                f"the role may not read everything that the spec names: {error.diag.message_primary}",
                hint="GRANT SELECT ON … TO the role",
            ) from error
        for cluster, how, note, count in rows:
            seen[how, note][cluster] += count
        done += sum(end - first for first, end in parts)
        sink(Event("progress", f"sample/{reference.name}", done=done, total=chosen.read, unit="blocks"))
    return seen


def _said(reference: Reference, chosen: Chosen, seen: _Seen) -> tuple[SampledReference, list[SampledFinding]]:
    clusters = [first // chosen.length for first, _ in chosen.parts]
    totals = [sum(by[c] for by in seen.values() if c in by) for c in clusters]
    most = max(totals, default=0)

    def interval(keys: list[tuple[str, str | None]]) -> Interval:
        return estimate([sum(seen[k].get(c, 0) for k in keys) for c in clusters], chosen.clusters, most)

    texts = [k for k in seen if k[1] != "text-null"]
    how = {h.value: interval([k for k in texts if k[0] == h.value]) for h in How if any(k[0] == h.value for k in texts)}
    read = SampledReference(
        reference.name, str(reference.table.name), chosen.blocks, chosen.read,
        estimate(totals, chosen.clusters, most), how,
    )  # fmt: skip
    findings = []
    for code, (decided, note) in _ABOUT.items():
        keys = [k for k in seen if k[0] == decided and k[1] is None] if decided else [k for k in seen if k[1] == note]
        if keys and (code != "NF211" or reference.spec.required):
            kind = CODES[code]
            lenient = code in _UNRESOLVED and not reference.spec.required
            severity = Severity.WARNING if lenient else kind.severity
            findings.append(SampledFinding(code, kind.slug, severity, reference.name, interval(keys), kind.remedy))
    return read, findings
