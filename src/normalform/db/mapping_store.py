"""The mapping as the ledger keeps it: refreshed from the tables, and asked what is still undecided.

Decides nothing about values: ``sql.shapes`` does, here over whole references. Exact and qualified values are counted
and not kept, since they always come from the live lookup; kept are aliases, what is unresolved, and the operator's
decisions with their counts. The reference is read in ranges, so that no snapshot lasts long (CORRECTNESS 28); a row
that an application moves meanwhile may be counted in neither place or in both. So counts inform and gate, and verify
proves.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from ..core.batches import Pace, Refused, Storage, Took
from ..core.mapping import UNRESOLVED, Entry, How
from ..core.model import Reference
from ..core.retry import LOCK_NOT_AVAILABLE, RETRYABLE, waits
from ..errors import DatabaseRefused
from ..sql.batch import Heap, Span
from ..sql.fill import unfilled
from ..sql.quote import column, render, table
from ..sql.shapes import STORED, reference_values, resolve_all, resolve_few, scope_array, scope_names
from .execute import lock_holders
from .work import Context, run_sql, transaction

SQL = sql.SQL
VALUES, RESOLVED = sql.Identifier("pg_temp", "nf_values"), sql.Identifier("pg_temp", "nf_resolved")
OPEN = [h.value for h in UNRESOLVED]
#: What a refresh owns: an operator's decision is never taken away by one.
REFRESHED = [How.ALIAS.value, *OPEN]
SAMPLES = 5
LONGEST_WAIT = 2.0
#: A range should take so many seconds, and is given up after so many milliseconds.
RANGE_SECONDS, RANGE_MS, LOCK_MS = 4.0, 12_000, 2_000
RANGE_BLOCKS, LARGEST_RANGE = 4_096, 131_072
#: So many values are resolved by probing the lookup's index; more by reading the whole lookup once.
FEW = 50_000
#: Sets are joined by hashing: a misjudged size must not turn a join into a probe for each row.
SETTINGS = {"work_mem": "64MB", "enable_nestloop": "off", "max_parallel_workers_per_gather": "0"}


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
    """

    undecided: Undecided
    allowed: int
    fillable: int


def refresh_mapping(ctx: Context, reference: Reference) -> None:
    """Read a reference again and store what the live lookup does not decide, with a tally of everything.

    An operator's decision whose lookup row is gone has lapsed: its value becomes unresolved again, and says so.

    Raises:
        DatabaseRefused: our role may not make temporary tables.
        Interrupted: Ctrl-C between two ranges.
    """
    with _resolved(ctx, reference, only_unfilled=False) as conn:
        _store(ctx, conn, reference)


def refreshed_in_run(ctx: Context, reference: Reference) -> bool:
    """Whether this very run has refreshed the reference's mapping already."""
    row = ctx.conn.execute(
        "SELECT EXISTS (SELECT FROM normalform.tally t JOIN normalform.run r ON r.id = %s "
        "WHERE t.reference = %s AND t.at >= r.started_at)",
        (ctx.run, reference.name),
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
    with _resolved(ctx, reference, only_unfilled=True) as conn:
        counts = conn.execute(
            SQL(
                "SELECT coalesce(sum(rows) FILTER (WHERE how = ANY({open})), 0)::bigint, "
                "count(*) FILTER (WHERE how = ANY({open})), "
                "coalesce(sum(rows) FILTER (WHERE how = 'null'), 0)::bigint, "
                "coalesce(sum(rows) FILTER (WHERE key IS NOT NULL), 0)::bigint FROM {resolved}"
            ).format(open=sql.Literal(OPEN), resolved=RESOLVED)
        ).fetchone()
        assert counts is not None
        samples = _samples(conn, reference, SQL("SELECT scope, value, qualifier, rows, how FROM {}").format(RESOLVED))
        return Left(Undecided(reference.name, counts[1], counts[0], samples), counts[2], counts[3])


def _stored_open(conn: psycopg.Connection, reference: Reference) -> Undecided:
    source = SQL("SELECT scope, value, qualifier, rows, how FROM normalform.mapping WHERE reference = {}").format(
        sql.Literal(reference.name)
    )
    counts = conn.execute(
        SQL("SELECT count(*), coalesce(sum(rows), 0)::bigint FROM ({}) m WHERE how = ANY({}) AND rows > 0").format(
            source, sql.Literal(OPEN)
        )
    ).fetchone()
    assert counts is not None
    return Undecided(reference.name, counts[0], counts[1], _samples(conn, reference, source))


def _samples(conn: psycopg.Connection, reference: Reference, source: sql.Composable) -> tuple[Entry, ...]:
    rows = conn.execute(
        SQL(
            "SELECT scope, value, qualifier, rows, how FROM ({}) m WHERE how = ANY({}) AND rows > 0 "
            "ORDER BY rows DESC, scope, value, qualifier LIMIT {}"
        ).format(source, sql.Literal(OPEN), sql.Literal(SAMPLES))
    ).fetchall()
    return tuple(Entry(reference.name, tuple(r[0]), r[1], r[2], r[3], How(r[4])) for r in rows)


@contextmanager
def _resolved(ctx: Context, reference: Reference, *, only_unfilled: bool) -> Iterator[psycopg.Connection]:
    """A session with every distinct value of a reference, counted and resolved, in its table ``nf_resolved``."""
    with ctx.connector.open("mapping") as conn:
        for name, value in {**SETTINGS, "lock_timeout": f"{LOCK_MS}ms"}.items():
            conn.execute("SELECT set_config(%s, %s, false)", (name, value))
        _gather(ctx, conn, reference, only_unfilled=only_unfilled)
        _resolve(conn, reference, few=only_unfilled)
        yield conn


def _resolve(conn: psycopg.Connection, reference: Reference, *, few: bool) -> None:
    """Resolve the collected values into table ``nf_resolved`` of the session.

    Args:
        conn: the session.
        reference: the reference.
        few: whether expand's index stands, so that a small number of values need not read the whole lookup.
    """
    count = len(reference.scope)
    names = SQL(", ").join([sql.Identifier(n) for n in [*scope_names(count), "x", "q"]])
    values = SQL("SELECT {names}, sum(rows)::bigint AS rows FROM {values} GROUP BY {names}").format(
        names=names, values=VALUES
    )
    number = conn.execute(SQL("SELECT count(*) FROM ({}) v").format(values)).fetchone()
    picked = SQL("{} AS scope, r.x::text AS value, r.q AS qualifier, r.rows, r.how, r.id::text AS key").format(
        scope_array("r", count)
    )
    if few and number is not None and number[0] <= FEW:
        query = SQL("WITH nf_w AS MATERIALIZED ({values}){resolved} SELECT {picked} FROM resolved r").format(
            values=values, resolved=resolve_few(reference, "nf_w"), picked=picked
        )
    else:
        query = SQL("SELECT {} FROM ({}) r").format(picked, resolve_all(reference, values, stored=True))
    conn.execute(SQL("CREATE TEMPORARY TABLE nf_resolved AS {}").format(query))
    conn.execute(SQL("ANALYZE {}").format(RESOLVED))


def _gather(ctx: Context, conn: psycopg.Connection, reference: Reference, *, only_unfilled: bool) -> None:
    """Collect the reference's values, counted for each range, in table ``nf_values`` of the session."""
    picked = reference_values(reference)
    rows_of = SQL("SELECT {}, count(*) AS rows FROM ONLY {} t WHERE {}").format(
        picked, table(reference.table.name), SQL("false")
    )
    grouped = SQL(", ").join([sql.Literal(n + 1) for n in range(len(reference.scope) + 2)])
    try:
        conn.execute(SQL("CREATE TEMPORARY TABLE nf_values AS {} GROUP BY {}").format(rows_of, grouped))
    except psycopg.errors.InsufficientPrivilege as error:
        raise DatabaseRefused(
            "our role may not make temporary tables in this database",
            hint="GRANT TEMPORARY ON DATABASE … TO our role",
        ) from error
    conn.execute("SELECT set_config('statement_timeout', %s, false)", (f"{RANGE_MS}ms",))
    wanted = unfilled(reference) if only_unfilled else SQL("{} IS NOT NULL").format(column("t", reference.text.name))
    heap = Heap(reference.table.name)
    pace, first = Pace(RANGE_SECONDS, RANGE_BLOCKS, LARGEST_RANGE), 0
    storage, blocks = _measure(conn, heap)
    while first < blocks:
        ctx.check_stop()
        now, _ = _measure(conn, heap)
        if now != storage:  # rewritten meanwhile: its blocks hold other rows than before
            conn.execute(SQL("TRUNCATE {}").format(VALUES))
            first, (storage, blocks) = 0, _measure(conn, heap)
            continue
        end = min(first + pace.size, blocks)
        query = SQL("INSERT INTO {} SELECT {}, count(*) FROM ONLY {} t WHERE {} AND {} GROUP BY {}").format(
            VALUES, picked, table(reference.table.name), heap.within("t", Span(first, end)), wanted, grouped
        )
        outcome = _read_range(ctx, conn, reference, query, end - first)
        pace = pace.after(outcome)
        if isinstance(outcome, Took):
            first = end
            ctx.say("progress", f"mapping:{reference.name}", "", first, blocks, "blocks")
    conn.execute("SELECT set_config('statement_timeout', '0', false)")
    conn.execute(SQL("ANALYZE {}").format(VALUES))


def _measure(conn: psycopg.Connection, heap: Heap) -> tuple[Storage, int]:
    row = conn.execute(heap.measure()).fetchone()
    if row is None:
        raise DatabaseRefused(f"table {heap.name} is gone", hint="normalform status")
    return Storage(row[0], row[1]), int(row[2])


def _read_range(
    ctx: Context, conn: psycopg.Connection, reference: Reference, query: sql.Composed, blocks: int
) -> Took | Refused:
    """Read one range; a refusal means that the next try is to be smaller and later."""
    began = time.monotonic()
    try:
        run_sql(ctx, conn, f"mapping:{reference.name}:read", query)
    except psycopg.Error as error:
        if error.sqlstate not in RETRYABLE or conn.closed or conn.broken:
            raise
        name = render(table(reference.table.name))
        ctx.say("wait", f"mapping:{reference.name}", f"{name} is held by {lock_holders(ctx.conn, name)}")
        ctx.stop.wait(min(next(waits()), LONGEST_WAIT))
        return Refused("lock" if error.sqlstate == LOCK_NOT_AVAILABLE else "timeout")
    return Took(time.monotonic() - began, blocks, 0)


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
    with transaction(ctx, conn, name):
        lapsed = run_sql(ctx, conn, f"{name}:lapsed", SQL(_LAPSED).format(**parts)).rowcount
        for number, statement in enumerate(_STATEMENTS):
            run_sql(ctx, conn, f"{name}:{number}", SQL(statement).format(**parts))
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
    "UPDATE normalform.mapping m SET rows = coalesce((SELECT r.rows FROM {resolved} r WHERE {same}), 0) "
    "WHERE m.reference = {ref} AND NOT m.how = ANY({refreshed})"
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
