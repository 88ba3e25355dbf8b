"""Verify: proves that every row's text and key say the same, and writes a certificate for each reference.

Decides what is compared and what is said when the proof fails; the class of a row is ``sql.proof``'s, reading is
``db.survey``'s, passing is ``core.certificate``'s. Live, each range of blocks is compared in a snapshot of its own and
continuity of sync completes the proof; in a window one snapshot covers everything. It must never change a row, nor
resolve a text by the code that backfill resolves with.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from ..core.certificate import WRONG, Certificate, compare, judge
from ..core.plan import Lock, Mode, Step
from ..db import certificates as store
from ..db.certificates import continuity, latest, unproven
from ..db.execute import Handlers
from ..db.snapshots import exported
from ..db.survey import Job, survey
from ..db.work import Context, transaction
from ..errors import GateClosed, ProofFailed
from ..sql.quote import render, table
from ..sql.sums import tally_query

PHASE = "verify"
HANDLERS: Handlers = {}
__all__ = ["compare", "continuity", "do", "gate", "latest", "plan", "steps_for", "undo", "unproven", "verify"]


def gate(ctx: Context) -> None:
    """Raise GateClosed unless every reference has both its text and its key."""
    reasons = []
    for reference in ctx.model.references:
        if not reference.key_present:
            reasons.append(f"{reference.table.name} has no column {reference.key}")
        if not reference.text_present:
            reasons.append(f"{reference.table.name} has no column {reference.text.name} any more: nothing to compare")
    if reasons:
        raise GateClosed("text-and-key", reasons, hint="normalform status")


def plan(ctx: Context) -> list[Step]:
    """Return what is compared, a step for each reference, for people: nothing is changed and nothing is recorded."""
    return [
        Step(
            id=f"{PHASE}/{reference.name}/compare",
            phase=PHASE,
            object=f"text and key of {reference.table.name}",
            do=(render(tally_query(reference)),),
            mode=Mode.BATCHES,
            work=f"verify:{reference.name}",
            lock=Lock.ACCESS_SHARE,
            table=render(table(reference.table.name)),
            reason="rows by class, and the checksums of what is stored and of what the keys give",
        )
        for reference in ctx.model.references
    ]


steps_for = plan


def do(ctx: Context) -> None:
    """Verify, store the certificates, and raise unless all pass.

    Raises:
        ProofFailed: with every count that is not zero, sample rows and what to run next.
    """
    gate(ctx)
    certificates = verify(ctx)
    if not all(c.passed for c in certificates):
        raise ProofFailed(explain(certificates), hint=remedy(certificates))


def undo(ctx: Context, *, clear_rows: bool) -> None:
    """Delete the certificates; verify has made nothing else."""
    del clear_rows
    with transaction(ctx, ctx.conn, f"{PHASE}:forget"):
        store.forget(ctx.conn)


def verify(ctx: Context) -> list[Certificate]:
    """Read every reference, and store and return a certificate for each, whether it passes or not.

    Options of the context: ``mask`` hides values of rows; ``all`` sends every offending row to the sink as an event
    ``offence``, not just the first ones of each kind; ``residue`` also sends rows whose text alone decides.

    Raises:
        ProofFailed: the tables could not be read in pieces short enough for a live database.
        Interrupted: Ctrl-C between two pieces; nothing is stored then.
    """
    live = ctx.strategy == "live"
    started, before = _now(ctx), store.seal(ctx.conn, ctx.model)
    problems = store.broken_sync(ctx.conn, ctx.model)
    jobs = [Job(reference) for reference in ctx.model.references]
    if live:
        survey(ctx, jobs, None)
    else:
        with ctx.connector.open("verify-snapshot") as holder, exported(holder) as shared:
            survey(ctx, jobs, shared)
    if store.seal(ctx.conn, ctx.model) != before:
        problems.append("sync was changed while verify read: rows written meanwhile are not proven")
    queued, ended = _queued(ctx), _now(ctx)
    certificates = [
        judge(
            job.reference.name,
            job.tally,
            mode="live" if live else "snapshot",
            sync_digest=before,
            queued=queued.get(job.reference.lookup.name, 0),
            problems=problems,
            offences=job.offences,
            started_at=started,
            at=ended,
        )
        for job in jobs
    ]
    with transaction(ctx, ctx.conn, f"{PHASE}:certificates"):
        store.save(ctx.conn, ctx.run, certificates)
    for certificate in certificates:
        ctx.say("note", f"{PHASE}:{certificate.reference}", _summary(certificate))
    return certificates


def explain(certificates: Sequence[Certificate]) -> str:
    """Return what did not hold: every count with its meaning, and the sample rows."""
    failed = [c for c in certificates if not c.passed]
    lines = [f"{len(failed)} of {len(certificates)} references are not proven"]
    shared = tuple(dict.fromkeys(problem for c in failed for problem in c.problems))
    for certificate in failed:
        own = [f for f in certificate.failures if f not in shared]
        if own:
            lines.append(f"  {certificate.reference}: {certificate.rows} rows, of which {'; '.join(own)}")
            lines += [f"    {offence}" for offence in certificate.offences]
    lines += [f"  {problem}" for problem in shared]
    return "\n".join(lines)


def remedy(certificates: Sequence[Certificate]) -> str:
    """Return what to run next after a failed proof."""
    failed = [c for c in certificates if not c.passed]
    kinds = {kind for c in failed for kind, count in c.kinds.items() if count}
    if any(c.problems for c in failed):
        return "normalform rollback --to resolve, then normalform run --until verify: sync is made anew"
    if "ambiguous" in kinds:
        return "normalform audit, then normalform resolve export decisions.csv: decide what the ambiguous texts mean"
    if kinds & set(WRONG):
        return "normalform rollback --to expand, then normalform run --until verify: every key is filled anew"
    return "normalform status shows the queue of renames; normalform verify again when it is empty"


def _summary(certificate: Certificate) -> str:
    kinds = ", ".join(f"{n} {kind}" for kind, n in certificate.kinds.items() if n) or "no rows"
    return f"{certificate.rows} rows: {kinds}; {'proven' if certificate.passed else 'NOT proven'}"


def _queued(ctx: Context) -> dict[str, int]:
    rows = ctx.conn.execute("SELECT lookup, count(*) FROM normalform.pending GROUP BY lookup").fetchall()
    return {name: int(count) for name, count in rows}


def _now(ctx: Context) -> datetime:
    """The server's clock: continuity compares it with the ledger's."""
    row = ctx.conn.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    return cast("datetime", row[0])
