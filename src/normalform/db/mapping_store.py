"""The mapping as the ledger keeps it: refreshed from the tables, and asked what is still undecided.

Decides nothing about values: ``sql.resolution`` does, here over whole references. Exact and qualified ones are counted
and not kept, since they always come from the live lookup; kept are aliases, what is unresolved, and the operator's
decisions with their counts. A row that an application moves between two of the reader's snapshots may be counted in
neither place or in both: so counts inform and gate, and verify proves.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from ..core.mapping import UNRESOLVED, Entry, How
from ..core.model import Reference
from ..errors import ProofFailed
from ..sql.shapes import STORED
from .mapping_read import RESOLVED, resolved
from .work import Context, run_sql, transaction

SQL = sql.SQL
OPEN = [h.value for h in UNRESOLVED]
#: What a refresh owns: an operator's decision is never taken away by one.
REFRESHED = [How.ALIAS.value, *OPEN]
SAMPLES = 5
#: Seconds for which backfill's gate believes what expand's last step has read.
LATELY = 600.0


@dataclass(frozen=True)
class Undecided:
    """What nothing decides in one reference: how many distinct values and rows, and the largest few of them."""

    reference: str
    values: int
    rows: int
    samples: tuple[Entry, ...]


@dataclass(frozen=True)
class Left:
    """Rows of one reference that have text and no key.

    Args:
        undecided: those that nothing decides.
        allowed: rows that an operator's decision leaves without a key.
        fillable: rows that would get a key now.
        waiting: rows that nothing decides until a rename has been carried that is queued.
    """

    undecided: Undecided
    allowed: int
    fillable: int
    waiting: int


def refresh_mapping(ctx: Context, reference: Reference) -> None:
    """Read a reference again and store what the live lookup does not decide, with a tally of everything.

    An operator's decision whose lookup row is gone has lapsed: its value becomes unresolved again, and says so.

    Raises:
        DatabaseRefused: our role may not make temporary tables.
        Interrupted: Ctrl-C between two ranges.
    """
    with resolved(ctx, reference, only_unfilled=False) as conn:
        _store(ctx, conn, reference)


def lately_refreshed(ctx: Context, reference: Reference) -> bool:
    """Whether the reference's mapping was refreshed by this very run, or less than :data:`LATELY` seconds ago."""
    row = ctx.conn.execute(
        "SELECT EXISTS (SELECT FROM normalform.tally t JOIN normalform.run r ON r.id = %s "
        "WHERE t.reference = %s AND t.at >= least(r.started_at, clock_timestamp() - make_interval(secs => %s)))",
        (ctx.run, reference.name, LATELY),
    ).fetchone()
    return bool(row and row[0])


def newcomers(ctx: Context) -> list[Undecided]:
    """Return what the stored mapping shows as undecided in each required reference, references without any left out."""
    found = [_stored_open(ctx.conn, r) for r in ctx.model.references if r.spec.required]
    return [f for f in found if f.rows]


def left(ctx: Context, reference: Reference) -> Left:
    """Count the rows that have text and no key, and say why.

    Raises:
        DatabaseRefused: our role may not make temporary tables.
        Interrupted: Ctrl-C between two ranges.
    """
    with resolved(ctx, reference, only_unfilled=True) as conn:
        counts = conn.execute(
            SQL(
                "SELECT coalesce(sum(m.rows) FILTER (WHERE {open}), 0)::bigint, count(*) FILTER (WHERE {open}), "
                "coalesce(sum(m.rows) FILTER (WHERE m.how = 'null'), 0)::bigint, "
                "coalesce(sum(m.rows) FILTER (WHERE m.key IS NOT NULL), 0)::bigint, "
                "coalesce(sum(m.rows) FILTER (WHERE m.how = ANY({unresolved})), 0)::bigint FROM {resolved} m"
            ).format(open=_undecided(reference), unresolved=sql.Literal(OPEN), resolved=RESOLVED)
        ).fetchone()
        assert counts is not None
        samples = _samples(conn, reference, SQL("SELECT * FROM {}").format(RESOLVED))
        undecided = Undecided(reference.name, counts[1], counts[0], samples)
        return Left(undecided, allowed=counts[2], fillable=counts[3], waiting=counts[4] - counts[0])


def _undecided(reference: Reference) -> sql.Composable:
    """Return the condition that entry ``m`` is unresolved, and not merely by a rename that is still to be carried.

    A row that waits for one has a text, or a qualifier, that its lookup row had before.
    """
    return SQL(
        "m.how = ANY({open}) AND m.rows > 0 AND NOT EXISTS (SELECT FROM normalform.pending p WHERE p.lookup = {lookup} "
        "AND (p.kind = 'text' AND p.old_text = m.value OR p.kind = 'path' AND p.old_text = m.qualifier))"
    ).format(open=sql.Literal(OPEN), lookup=sql.Literal(reference.lookup.name))


def _stored_open(conn: psycopg.Connection, reference: Reference) -> Undecided:
    source = SQL("SELECT * FROM normalform.mapping WHERE reference = {}").format(sql.Literal(reference.name))
    counts = conn.execute(
        SQL("SELECT count(*), coalesce(sum(m.rows), 0)::bigint FROM ({}) m WHERE {}").format(
            source, _undecided(reference)
        )
    ).fetchone()
    assert counts is not None
    return Undecided(reference.name, counts[0], counts[1], _samples(conn, reference, source))


def _samples(conn: psycopg.Connection, reference: Reference, source: sql.Composable) -> tuple[Entry, ...]:
    rows = conn.execute(
        SQL(
            "SELECT m.scope, m.value, m.qualifier, m.rows, m.how FROM ({}) m WHERE {} "
            "ORDER BY m.rows DESC, m.scope, m.value, m.qualifier LIMIT {}"
        ).format(source, _undecided(reference), sql.Literal(SAMPLES))
    ).fetchall()
    return tuple(Entry(reference.name, tuple(r[0]), r[1], r[2], r[3], How(r[4])) for r in rows)


def _store(ctx: Context, conn: psycopg.Connection, reference: Reference) -> None:
    """Bring the ledger's mapping and tally of one reference in line with ``nf_resolved``."""
    same = SQL(
        "m.reference = {} AND m.value = r.value AND m.scope = r.scope AND m.qualifier IS NOT DISTINCT FROM r.qualifier"
    ).format(sql.Literal(reference.name))
    parts = {
        "resolved": RESOLVED,
        "same": same,
        "ref": sql.Literal(reference.name),
        "open": sql.Literal(OPEN),
        "refreshed": sql.Literal(REFRESHED),
        "stored": sql.Literal(list(STORED)),
    }
    name = f"mapping:{reference.name}"
    conn.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    try:
        with transaction(ctx, conn, name):
            lapsed = run_sql(ctx, conn, f"{name}:lapsed", SQL(_LAPSED).format(**parts)).rowcount
            for number, statement in enumerate(_STATEMENTS):
                run_sql(ctx, conn, f"{name}:{number}", SQL(statement).format(**parts))
    except psycopg.errors.ProgramLimitExceeded as error:
        text = f"{reference.table.name}.{reference.text.name}"
        raise ProofFailed(
            f"{text} holds a text that no lookup row has and that is too long to be decided: "
            f"{error.diag.message_primary}",
            hint=f"find it by octet_length({reference.text.name}) > 2600, and shorten it or set it to NULL",
        ) from error
    if lapsed:
        text = f"{lapsed} decisions have lapsed: the lookup rows that they name are gone"
        ctx.say("note", name, text)


# A decision that no longer holds leaves its value unresolved; the decision stays on record.
_LAPSED = (
    "UPDATE normalform.mapping m SET how = r.how, key = NULL, rows = r.rows, at = now() FROM {resolved} r "
    "WHERE {same} AND m.how = ANY({stored}) AND r.how = ANY({open})"
)
_FORGET = (
    "DELETE FROM normalform.mapping m WHERE m.reference = {ref} AND m.how = ANY({refreshed}) "
    "AND NOT EXISTS (SELECT FROM {resolved} r WHERE {same} AND r.how = ANY({refreshed}))"
)
_COUNT = (
    "UPDATE normalform.mapping m SET rows = coalesce(c.rows, 0) FROM (SELECT m.id, r.rows FROM normalform.mapping m "
    "LEFT JOIN {resolved} r ON {same} WHERE m.reference = {ref} AND NOT m.how = ANY({refreshed})) c WHERE c.id = m.id"
)
_KEEP = (
    "INSERT INTO normalform.mapping AS m (reference, scope, value, qualifier, how, key, rows) "
    "SELECT {ref}, r.scope, r.value, r.qualifier, r.how, r.key, r.rows FROM {resolved} r "
    "WHERE r.how = ANY({refreshed}) "
    "ON CONFLICT (reference, value, scope, qualifier) DO UPDATE SET how = excluded.how, key = excluded.key, "
    "rows = excluded.rows, at = now() WHERE m.how = ANY({refreshed})"
)
_CLEAR_TALLY = "DELETE FROM normalform.tally WHERE reference = {ref}"
_TALLY = (
    "INSERT INTO normalform.tally (reference, how, entries, rows) "
    "SELECT {ref}, r.how, count(*), sum(r.rows) FROM {resolved} r GROUP BY r.how"
)
_STATEMENTS = (_FORGET, _COUNT, _KEEP, _CLEAR_TALLY, _TALLY)
