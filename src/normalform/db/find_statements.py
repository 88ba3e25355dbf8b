"""Findings from pg_stat_statements: what the application reads and writes today, and what would break.

Decides nothing about a statement (the reader does). Where the statistics are absent, or other roles' texts are hidden,
that is said with the right that is needed: silence would pass for "nothing uses the text". Our own statements are left
out by the mark that they carry, which is also our ledger's name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from ..core.names import QName
from ..reader.statement import read
from ..reader.world import Kind, Reading, Use, World
from ..sql import bodies as sources
from ..sql import dependent_findings as queries
from ..sql.quote import LEDGER, render, table
from .find_bodies import SERVER, TEXT, told
from .finder import SAMPLES, Finder, several
from .ranges import limited
from .world import Tables, words_of

SQL = sql.SQL
#: Characters of a statement that a sample shows.
SHOWN = 240
HIDDEN = "<insufficient privilege>"
_BREAKS = (Kind.STAR, Kind.BREAKS, Kind.POSITION)


def find(finder: Finder, tables: Tables, world: World) -> None:
    """Read the statements that the server has counted."""
    rows = _read(finder, world)
    if rows is None:
        return
    texts: defaultdict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    breaks: defaultdict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    unread: list[tuple[int, str]] = []
    known: dict[int, dict[str, Any]] = {}
    for row in rows:
        known[row["queryid"]] = row
        reading = read(row["query"], world)
        if reading.unread:
            unread.append((row["queryid"], "cannot be parsed"))
        for name, uses in judged(reading).items():
            for kinds, found in (((*TEXT[:2],), texts), (_BREAKS, breaks)):
                chosen = [u for u in uses if u.kind in kinds]
                if chosen:
                    subject = tables.on(name, next((u.column for u in chosen if u.column), ""))
                    found[subject, str(name)].append((row["queryid"], told(chosen)))
    for (subject, on), listed in sorted(texts.items()):
        title = f"{several(len(listed), 'statement')} in pg_stat_statements with a text of {on}"
        _add(finder, "NF325", subject, title, listed, known)
    for (subject, on), listed in sorted(breaks.items()):
        title = f"{several(len(listed), 'statement')} in pg_stat_statements with whatever columns {on} has"
        _add(finder, "NF326", subject, title, listed, known)
    title = f"{several(len(unread), 'statement')} in pg_stat_statements that could not be parsed"
    _add(finder, "NF327", SERVER, title, unread, known)


def judged(reading: Reading) -> dict[QName, list[Use]]:
    """Return the uses that matter in a statement, by table; doubt is told by a word of its own."""
    result: defaultdict[QName, list[Use]] = defaultdict(list)
    for use in reading.of(*TEXT, *_BREAKS):
        why = "; ".join(w for w in (use.why, "" if use.certain else "perhaps") if w)
        result[use.table].append(Use(use.table, use.kind, use.column, use.certain, 0, why))
    return dict(sorted(result.items()))


def _at(finder: Finder) -> str | None:
    row = finder.conn.execute(sources.STATEMENTS_AT).fetchone()
    return row[0] if row else None


def _read(finder: Finder, world: World) -> list[dict[str, Any]] | None:
    """Return the statements that name something of the migration; None where they cannot be read, which is noted."""
    schema, user = _at(finder), finder.model.catalog.user
    what = "statements of the application (NF325, NF326)"
    if schema is None:
        why = "pg_stat_statements is not installed here; CREATE EXTENSION pg_stat_statements, with it in "
        finder.unknown(SERVER, what, why + "shared_preload_libraries")
        return None
    query = SQL(
        "SELECT s.queryid, sum(s.calls)::bigint AS calls, min(s.query) AS query FROM {stats} s "
        "WHERE s.dbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database()) "
        "AND s.queryid IS NOT NULL AND pg_catalog.strpos(s.query, {mark}) = 0 AND EXISTS (SELECT FROM unnest({words}"
        "::text[]) AS w(word) WHERE pg_catalog.strpos(pg_catalog.lower(s.query), pg_catalog.lower(w.word)) > 0) "
        "GROUP BY s.queryid ORDER BY 2 DESC, 1"
    ).format(
        stats=table(QName(schema, "pg_stat_statements")),
        mark=sql.Literal(LEDGER),
        words=sql.Literal(words_of(world)),
    )
    hidden = SQL("SELECT count(*) AS hidden FROM {} s WHERE s.query = {}").format(
        table(QName(schema, "pg_stat_statements")), sql.Literal(HIDDEN)
    )
    try:
        with limited(finder.conn, finder.longest), finder.conn.cursor(row_factory=dict_row) as cursor:
            count = cursor.execute(render(hidden).encode()).fetchone()
            rows = cursor.execute(render(query).encode()).fetchall()
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState) as error:
        right = f"GRANT pg_read_all_stats TO {user}"
        finder.unknown(SERVER, what, f"{error.diag.message_primary}; {error.diag.message_hint or right}")
        return None
    if count is not None and count["hidden"]:
        why = f"{count['hidden']:,} statements of other roles are hidden; GRANT pg_read_all_stats TO {user}"
        finder.unknown(SERVER, what, why)
    return rows


def _add(
    finder: Finder,
    code: str,
    subject: str,
    title: str,
    rows: Sequence[tuple[int, str]],
    known: dict[int, dict[str, Any]],
) -> None:
    if not rows:
        return
    schema = _at(finder) or ""
    query = queries.listed(
        ("queryid", "uses"), rows,
        "SELECT v.queryid, v.uses, s.calls, s.query FROM v CROSS JOIN LATERAL (SELECT sum(p.calls)::bigint AS calls, "
        "min(p.query) AS query FROM {stats} p WHERE p.queryid = v.queryid AND p.dbid = (SELECT d.oid "
        "FROM pg_catalog.pg_database d WHERE d.datname = current_database()) HAVING count(*) > 0) s ORDER BY 3 DESC, 1",
        stats=table(QName(schema, "pg_stat_statements")),
    )  # fmt: skip
    sample = [
        {"queryid": i, "uses": uses, "calls": known[i]["calls"], "query": _short(str(known[i]["query"]))}
        for i, uses in rows[:SAMPLES]
    ]
    finder.add(code, subject, title, query, len(rows), sample=sample, open_columns=("queryid", "uses", "calls"))


def _short(query: str) -> str:
    flat = " ".join(query.split())
    return flat if len(flat) <= SHOWN else flat[: SHOWN - 1] + "…"
