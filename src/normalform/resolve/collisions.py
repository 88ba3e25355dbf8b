"""Rows that would have one key where a unique wants one row: found before anything changes, settled by `keep`.

The uniques are those that conservation makes on the key (``core.successors``), and the keys are those of
``sql.resolution``: the same as constrain will build and backfill will store. A unique on the keys of two references at
once is left to constrain's own query.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from ..core.catalog import Index, Table
from ..core.mapping import Entry
from ..core.model import Model, Reference
from ..core.successors import carried, succession
from ..sql import decisions as shapes
from ..sql.quote import column, conjunction, raw, table
from ..sql.resolution import resolve_all
from ..sql.shapes import candidates, reference_values, scope_array

SQL = sql.SQL


@dataclass(frozen=True)
class Unique:
    """A unique that is to be: its columns but the key, as SQL on the table's columns, and what the legacy one says."""

    name: str
    others: tuple[sql.Composable, ...]
    predicate: str | None
    nulls_equal: bool
    by_qualifier: bool  # the legacy one lets one text stand twice under two qualifiers


@dataclass(frozen=True)
class Collision:
    """The rows of a reference that would stand twice under one lookup row.

    Args:
        scope: the scope.
        key, text, path: the lookup row.
        texts: the spellings that meet there.
        rows: how many rows stand in groups of two or more.
    """

    scope: tuple[str | None, ...]
    key: str
    text: str
    path: str | None
    texts: tuple[str, ...]
    rows: int


def uniques(model: Model, reference: Reference, baseline: Mapping[Any, Table]) -> Iterator[Unique]:
    """Return the uniques that the key will have to bear."""
    stood = baseline.get(reference.table.name, reference.table)
    beside = [r for r in model.references if r.table.name == reference.table.name]
    for successor in succession(stood, [carried(r) for r in beside]).successors:
        index = successor.index
        if successor.kind not in ("unique", "primary") or index is None:
            continue
        legacy = next((i for i in stood.indexes if i.name in successor.sources), None)
        others = _others(reference, index)
        if legacy is not None and others is not None:
            by_qualifier = reference.qualifier is not None and reference.qualifier.name in legacy.uses
            yield Unique(successor.name, others, legacy.predicate, index.nulls_not_distinct, by_qualifier)


def _others(reference: Reference, index: Index) -> tuple[sql.Composable, ...] | None:
    names = [c.column for c in index.columns if c.column is not None]
    known = {c.name for c in reference.table.columns}
    if reference.key not in names or any(n not in known for n in names if n != reference.key):
        return None
    return tuple(
        sql.Identifier(c.column) if c.column is not None else raw(c.expression or "NULL")
        for c in index.columns
        if c.column != reference.key
    )


def resolved_rows(
    reference: Reference, unique: Unique, *, stored: bool, only: sql.Composable | None = None
) -> sql.Composable:
    """Return a query of the rows that the unique covers, or of those that meet a condition on ``t``, resolved.

    Its columns: s1 …, x, q, how, id, path, nf_c (the tid), nf_id (the identity's image), nf_k1 … (the primary key's
    columns) and nf_o1 … (the unique's other columns).
    """
    others = [SQL("({}) AS {}").format(o, sql.Identifier(f"nf_o{n + 1}")) for n, o in enumerate(unique.others)]
    conditions = [only or SQL("true")]
    if unique.predicate is not None:
        conditions.append(SQL("({})").format(raw(unique.predicate)))
    source = SQL("SELECT {} FROM {} t WHERE {}").format(
        SQL(", ").join([SQL("t.*"), SQL("t.ctid AS nf_c"), *others]),
        table(reference.table.name),
        conjunction(conditions),
    )
    passed: list[sql.Composable] = [
        SQL("t.{}").format(sql.Identifier(f"nf_o{n + 1}")) for n in range(len(unique.others))
    ]
    order = (
        [column("t", c.name) for c in shapes.identity_columns(reference.table)]
        if reference.identity
        else [SQL("t.nf_c")]
    )
    keys = [SQL("{} AS {}").format(o, sql.Identifier(f"nf_k{n + 1}")) for n, o in enumerate(order)]
    values = SQL("SELECT {}, t.nf_c, {} AS nf_id, {} FROM ({}) t").format(
        reference_values(reference),
        shapes.image("t", shapes.identity_columns(reference.table)),
        SQL(", ").join([*keys, *passed]),
        source,
    )
    return resolve_all(reference, values, stored=stored)


def _partition(unique: Unique) -> tuple[sql.Composable, sql.Composable]:
    """Return the columns of a group, and the condition under which rows can collide at all."""
    names = [sql.Identifier(f"nf_o{n + 1}") for n in range(len(unique.others))]
    grouped: list[sql.Composable] = [SQL("r.{}").format(n) for n in names]
    columns = SQL(", ").join(grouped or [SQL("true")])
    if unique.nulls_equal or not names:
        return columns, SQL("true")
    return columns, SQL(" AND ").join([SQL("r.{} IS NOT NULL").format(n) for n in names])


def find(
    conn: psycopg.Connection,
    reference: Reference,
    unique: Unique,
    *,
    stored: bool,
    suggested: Sequence[Entry] = (),
    texts: Sequence[str] | None = None,
) -> list[Collision]:
    """Find what would collide.

    Args:
        conn: a session.
        reference: the reference.
        unique: one of its :func:`uniques`.
        stored: whether the ledger stands, so that decisions count.
        suggested: unresolved values whose suggestion is taken as if it were decided.
        texts: the texts that can meet another one under a key; None looks at every row.
    """
    _, possible = _partition(unique)
    only = None
    if texts is not None:
        only = SQL('{}::text COLLATE pg_catalog."C" = ANY({}::text[])').format(
            column("t", reference.text.name), sql.Literal(list(texts))
        )
    n = len(reference.scope)
    group = [SQL("j.{}").format(sql.Identifier(f"nf_o{i + 1}")) for i in range(len(unique.others))]
    query = SQL(
        "WITH j AS (SELECT r.*, coalesce(r.id::text, f.key) AS nf_key FROM ({resolved}) r LEFT JOIN ({tentative}) "
        'f(scope, value, qualifier, key) ON r.id IS NULL AND f.scope = {rscope} AND f.value COLLATE pg_catalog."C" = '
        "r.x::text AND f.qualifier IS NOT DISTINCT FROM r.q WHERE {possible}), "
        "p AS (SELECT j.nf_key, j.x::text AS x, count(*) OVER (PARTITION BY {group}) AS n FROM j "
        "WHERE j.nf_key IS NOT NULL), "
        "g AS (SELECT p.nf_key, array_agg(DISTINCT p.x) AS texts, count(*) AS n FROM p WHERE p.n > 1 "
        "GROUP BY p.nf_key) "
        "SELECT {scope}, c.id::text, c.x::text, c.path, g.texts, g.n FROM g JOIN ({lookup}) c ON c.id::text = g.nf_key "
        "ORDER BY 3, 2"
    ).format(
        scope=scope_array("c", n),
        group=SQL(", ").join([*group, SQL("j.nf_key")]),
        resolved=resolved_rows(reference, unique, stored=stored, only=only),
        tentative=_tentative(suggested),
        rscope=scope_array("r", n),
        possible=possible,
        lookup=candidates(reference.lookup),
    )
    return [Collision(tuple(r[0]), r[1], r[2], r[3], tuple(r[4]), r[5]) for r in conn.execute(query)]


def _tentative(suggested: Sequence[Entry]) -> sql.Composable:
    """Return a query (scope, value, qualifier, key) of what the suggestions would decide."""
    listed = [
        SQL("({}::text[], {}, {}::text, {})").format(
            *map(sql.Literal, (list(e.scope), e.text, e.qualifier, e.suggestion.target))
        )
        for e in suggested
        if e.suggestion is not None and e.suggestion.target is not None
    ]
    if not listed:
        return SQL("SELECT NULL::text[], NULL::text, NULL::text, NULL::text WHERE false")
    return SQL("VALUES {}").format(SQL(", ").join(listed))


def losers(
    reference: Reference, unique: Unique, kept: Sequence[tuple[int, Sequence[str | None], str, Mapping[str, Any]]]
) -> sql.Composed:
    """Return a query (c, decision): the rows that give way.

    Args:
        reference: the reference.
        unique: one of its :func:`uniques`.
        kept: for each decision its number, the scope, the lookup row's key and the rule.
    """
    columns, possible = _partition(unique)
    in_scopes: sql.Composable = SQL("true")
    if reference.scope:
        scope = SQL("ARRAY[{}]").format(
            SQL(", ").join([SQL("{}::text").format(column("t", c.name)) for c in reference.scope])
        )
        listed = [SQL("{}::text[]").format(sql.Literal(list(s))) for s in {tuple(k[1]) for k in kept}]
        in_scopes = SQL("({})").format(SQL(" OR ").join([SQL("{} = {}").format(scope, s) for s in listed]))
    wanted = [
        SQL("({}::bigint, {}::text[], {}, {}::text, {}::jsonb, {}::boolean)").format(
            sql.Literal(number),
            sql.Literal(list(scope)),
            sql.Literal(key),
            sql.Literal(rule.get("text")),
            shapes.json_literal(rule.get("identity")),
            sql.Literal(rule.get("order") == "newest"),
        )
        for number, scope, key, rule in kept
    ]
    count = max(1, len(shapes.identity_columns(reference.table)) if reference.identity else 1)
    keys = [SQL("r.{}").format(sql.Identifier(f"nf_k{i + 1}")) for i in range(count)]
    prefer = SQL(
        '(w.rule_text IS NOT NULL AND r.x::text COLLATE pg_catalog."C" = w.rule_text) DESC, '
        "(w.identity IS NOT NULL AND r.nf_id = w.identity) DESC"
    )
    return SQL(
        "SELECT o.c, o.decision FROM (SELECT r.nf_c AS c, w.decision, CASE WHEN w.newest THEN "
        "row_number() OVER (PARTITION BY {group}, r.id ORDER BY {prefer}, {newest}) ELSE "
        "row_number() OVER (PARTITION BY {group}, r.id ORDER BY {prefer}, {oldest}) END AS place "
        "FROM ({resolved}) r JOIN (VALUES {wanted}) w(decision, scope, key, rule_text, identity, newest) "
        "ON w.key = r.id::text AND w.scope = {scope} WHERE {possible}) o WHERE o.place > 1"
    ).format(
        group=columns,
        prefer=prefer,
        newest=SQL(", ").join([SQL("{} DESC").format(k) for k in keys]),
        oldest=SQL(", ").join(keys),
        resolved=resolved_rows(reference, unique, stored=True, only=in_scopes),
        wanted=SQL(", ").join(wanted),
        scope=scope_array("r", len(reference.scope)),
        possible=possible,
    )
