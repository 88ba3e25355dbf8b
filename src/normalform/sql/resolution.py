"""How values resolve, written once for each of the two ways to ask: all at once, and the few of a batch.

Audit, mapping and decisions resolve a large relation against the whole live lookup by hash joins; a batch probes the
lookup's index. Both follow one order: an operator's decision, the text alone, the text with its qualifier, an alias.
The sync functions follow it a row at a time (``sql.sync``). The two must never disagree, and are held to each other by
``tests/integration/test_resolution.py``.
"""

from __future__ import annotations

from psycopg import sql

from ..core.model import Reference
from . import compare
from .quote import column, conjunction, ledger, raw, table
from .shapes import (
    STORED,
    alias_rows,
    aliases_of,
    candidates,
    decided,
    key_cast,
    lookup_rows,
    path_of,
    same_scope,
    scope_names,
    smallest,
    smallest_where,
)

SQL = sql.SQL


def resolve_all(reference: Reference, values: sql.Composable, *, stored: bool) -> sql.Composable:
    """Return a query that resolves a large relation of values against the whole live lookup (hash joins).

    Args:
        reference: the reference.
        values: a query (s1 …, x, q, further columns); it is not grouped here.
        stored: whether the ledger exists, so that the operator's decisions are asked first.

    Returns:
        A query of every column of ``values``, a number ``vn``, ``how``, ``id`` (the key, NULL when unresolved),
        ``path`` (what the key's row has now) and ``found`` (how many lookup rows have the text). ``how`` is exact,
        qualified, alias, ambiguous, orphan, or an operator's decision.
    """
    lookup = reference.lookup
    n = len(reference.scope)
    if lookup.planned:
        return _will_be_created(reference, values, stored=stored)
    by_path = SQL("c.path = v.q")
    # Values are numbered, so that candidates are counted by a number and not by hashing three texts again; the lookup
    # is kept together, so that the planner joins on scope and text at once and never on the text alone: materialized
    # where it is read again, which else would only cost its copy.
    again = stored or (lookup.aliases is not None and lookup.has_qualifier)
    kept = SQL("c AS MATERIALIZED ({})") if again else SQL("c AS NOT MATERIALIZED ({} OFFSET 0)")
    parts: list[sql.Composable] = [
        SQL("v AS MATERIALIZED (SELECT row_number() OVER () AS vn, g.* FROM ({}) g)").format(values),
        kept.format(_slim(reference)),
        SQL(
            "b AS (SELECT v.vn, count(*) AS n, {key} AS id, min(c.path) AS path, "
            "count(*) FILTER (WHERE {by_path}) AS nq, {key_q} AS idq "
            "FROM v JOIN c ON {scope} AND {text} GROUP BY v.vn)"
        ).format(
            text=compare.matches(reference, SQL("c.x"), SQL("v.x")),
            key=smallest(lookup, SQL("c.id")),
            key_q=smallest_where(lookup, SQL("c.id"), by_path),
            by_path=by_path,
            scope=same_scope("v", "c", n),
        ),
    ]
    names = [SQL("c.{}").format(sql.Identifier(s)) for s in scope_names(n)]
    group = SQL(", ").join([*names, SQL("c.x")])
    key = smallest(lookup, SQL("c.id"))
    joins: list[sql.Composable] = [SQL("LEFT JOIN b ON b.vn = v.vn")]
    cases: list[sql.Composable] = [
        SQL("WHEN b.n = 1 THEN 'exact' WHEN b.nq = 1 THEN 'qualified' WHEN b.n > 1 THEN 'ambiguous'")
    ]
    keys: list[sql.Composable] = [SQL("WHEN b.n = 1 THEN b.id WHEN b.nq = 1 THEN b.idq WHEN b.n > 1 THEN NULL")]
    paths: list[sql.Composable] = [SQL("WHEN b.n = 1 THEN b.path WHEN b.nq = 1 THEN v.q")]
    if lookup.aliases is not None:
        parts.append(
            SQL("al AS (SELECT {g}, count(DISTINCT c.id) AS n, {key} AS id FROM ({rows}) c GROUP BY {g})").format(
                g=group, key=key, rows=alias_rows(lookup)
            )
        )
        joins.append(
            SQL("LEFT JOIN al ON b.n IS NULL AND {} AND {}").format(
                same_scope("v", "al", n), compare.is_alias(reference, SQL("al.x"), SQL("v.x"))
            )
        )
        cases.append(SQL("WHEN al.n = 1 THEN 'alias' WHEN al.n > 1 THEN 'ambiguous'").format())
        keys.append(SQL("WHEN al.n = 1 THEN al.id").format())
        if lookup.has_qualifier:
            joins.append(SQL("LEFT JOIN c ac ON ac.id = al.id"))
            paths.append(SQL("WHEN al.n = 1 THEN ac.path"))
    if stored:
        # A decision holds only while the row that it names is there, in the value's own scope. Decisions are few: they
        # are joined to their rows first, so that the lookup is read and not hashed for them.
        parts.append(
            SQL(
                "d AS MATERIALIZED (SELECT m.reference, m.scope, m.value, m.qualifier, m.how, c.* "
                "FROM {map} m LEFT JOIN c ON c.id = {key} WHERE m.reference = {name} AND m.how = ANY({how}))"
            ).format(
                map=ledger("mapping"),
                key=key_cast(reference, SQL("m.key")),
                name=sql.Literal(reference.name),
                how=sql.Literal(list(STORED)),
            )
        )
        joins.append(SQL("LEFT JOIN d m ON {}").format(decided(reference, "v")))
        named = SQL("m.id IS NOT NULL AND {}").format(same_scope("v", "m", n))
        cases.insert(0, SQL("WHEN {} OR m.how = 'null' THEN m.how").format(named))
        keys.insert(0, SQL("WHEN {} THEN m.id WHEN m.how = 'null' THEN NULL").format(named))
        paths.insert(0, SQL("WHEN {} THEN m.path WHEN m.how = 'null' THEN NULL").format(named))
    return SQL(
        "WITH {parts} SELECT v.*, CASE {cases} ELSE 'orphan' END AS how, CASE {keys} END AS id, "
        "CASE {paths} END AS path, coalesce(b.n, 0) AS found FROM v {joins}"
    ).format(
        parts=SQL(", ").join(parts),
        cases=SQL(" ").join(cases),
        keys=SQL(" ").join(keys),
        paths=SQL(" ").join(paths),
        joins=SQL(" ").join(joins),
    )


def _will_be_created(reference: Reference, values: sql.Composable, *, stored: bool) -> sql.Composable:
    """The same while the lookup's table does not exist: expand gives every text in its scope a row."""
    known = [SQL("v.{} IS NOT NULL").format(sql.Identifier(c)) for c in [*scope_names(len(reference.scope)), "x"]]
    join: sql.Composable = SQL("")
    decision = SQL("")
    if stored:
        join = SQL(" LEFT JOIN {} m ON m.how = 'null' AND {}").format(ledger("mapping"), decided(reference, "v"))
        decision = SQL("WHEN m.how IS NOT NULL THEN m.how ")
    return SQL(
        "SELECT v.*, CASE {decision}WHEN {known} THEN 'created' ELSE 'orphan' END AS how, NULL::{key} AS id, "
        "NULL::text AS path, 0::bigint AS found FROM (SELECT row_number() OVER () AS vn, g.* FROM ({values}) g) v{join}"
    ).format(
        decision=decision,
        known=conjunction(known),
        key=raw(reference.key_type),
        values=values,
        join=join,
    )


def _slim(reference: Reference) -> sql.Composable:
    """The candidates, varchar as text: of a varchar(255) the planner expects half a kilobyte, and it cuts a hash table
    into pieces on disk that memory would hold."""
    lookup = reference.lookup
    if not compare.plain(reference):
        return candidates(lookup)
    names = [*scope_names(len(lookup.scope)), "x"]
    kinds = [c.base for c in (*lookup.scope_columns, lookup.text)]
    cast = [
        SQL("{}{} AS {}").format(column("r", n), SQL("::text" if kind == "varchar" else ""), sql.Identifier(n))
        for n, kind in zip(names, kinds, strict=True)
    ]
    return SQL("SELECT r.id, {}, r.path FROM ({}) r").format(SQL(", ").join(cast), candidates(lookup))


def resolve_few(reference: Reference, values: str) -> sql.Composable:
    """Return CTEs that resolve the few values of one batch by probing the lookup's (scope, text) index.

    Needs the ledger and expand's lookup index. The laterals end in OFFSET 0 so that the planner cannot turn the
    probes into a scan of the whole lookup for each batch. Values are numbered and joined by their number: the planner
    takes a join over several texts for one row, and then nests loops over all values of the batch.

    Args:
        reference: the reference.
        values: name of a CTE (s1 …, x, q, further columns), distinct, with x NOT NULL.

    Returns:
        ``, name AS (…)`` CTEs to put behind it; the last is ``resolved``: every column of ``values`` plus how and id,
        and others whose names begin with v or nf, with one row per value (how ``orphan`` or ``ambiguous`` and id NULL
        where nothing decides). Aliases are taken from the stored mapping and believed only while the row still lists
        them.
    """
    lookup = reference.lookup
    scope = scope_names(len(reference.scope))
    probe = conjunction(
        [
            *[
                SQL("{} = {}").format(column("l", name), column("v", s))
                for name, s in zip(lookup.scope, scope, strict=True)
            ],
            compare.matches(reference, column("l", lookup.text.name), SQL("v.x")),
        ]
    )
    paths: sql.Composable
    if lookup.path is not None:
        paths = SQL(
            "nf_paths AS MATERIALIZED (SELECT k.cid, {walk} AS path FROM (SELECT DISTINCT cid FROM nf_found) k)"
        ).format(walk=path_of(lookup.path, SQL("k.cid")))
        join, path = SQL("LEFT JOIN nf_paths p ON p.cid = c.cid"), SQL("p.path")
    else:
        paths, join, path = SQL("nf_paths AS (SELECT 1)"), SQL(""), SQL("c.own")
    by_path = SQL("{} = c.q").format(path)
    alias: sql.Composable = SQL("NULL::{}").format(raw(reference.key_type))
    if lookup.aliases is not None:
        alias = SQL(
            "(SELECT {id} FROM {map} m JOIN {lookup} l ON {id} = {key} WHERE {on} AND {scope} "
            "AND EXISTS (SELECT FROM ({aliases}) al WHERE {spelled}))"
        ).format(
            spelled=compare.is_alias(reference, SQL("al.a"), SQL("v.x")),
            id=column("l", lookup.key.name),
            map=ledger("mapping"),
            lookup=table(lookup.table.name),
            key=key_cast(reference, SQL("m.key")),
            on=decided(reference, "v", how=("alias",)),
            scope=conjunction(
                [
                    SQL("{} = {}").format(column("l", a), column("v", s))
                    for a, s in zip(lookup.scope, scope, strict=True)
                ]
            ),
            aliases=aliases_of(lookup),
        )
    in_scope = conjunction(
        [
            SQL("{} = {}").format(column("k", lookup.key.name), key_cast(reference, SQL("m.key"))),
            *[SQL("{} = {}").format(column("k", a), column("v", s)) for a, s in zip(lookup.scope, scope, strict=True)],
        ]
    )
    return SQL(
        ", nf_v AS MATERIALIZED (SELECT row_number() OVER () AS v, w.* FROM {values} w), "
        "nf_found AS MATERIALIZED (SELECT v.v, v.q, f.id, f.cid, f.own FROM nf_v v CROSS JOIN LATERAL "
        "({rows} OFFSET 0) f), {paths}, "
        "nf_live AS MATERIALIZED (SELECT c.v, count(*) AS n, {first} AS id, count(*) FILTER (WHERE {by_path}) AS nq, "
        "{first_q} AS idq FROM nf_found c {join} GROUP BY c.v), "
        "nf_stored AS MATERIALIZED (SELECT v.v, m.how, k.id FROM nf_v v "
        "CROSS JOIN LATERAL (SELECT m.how, m.key FROM {map} m WHERE {on} OFFSET 0) m "
        "LEFT JOIN LATERAL (SELECT {key} AS id FROM {lookup} k WHERE {in_scope} OFFSET 0) k ON true), "
        "nf_named AS (SELECT v.*, CASE WHEN m.id IS NOT NULL OR m.how = 'null' THEN m.how WHEN r.n = 1 THEN 'exact' "
        "WHEN r.nq = 1 THEN 'qualified' WHEN r.n > 1 THEN 'ambiguous' END AS nf_how, "
        "CASE WHEN m.id IS NOT NULL THEN m.id WHEN m.how = 'null' THEN NULL WHEN r.n = 1 THEN r.id "
        "WHEN r.nq = 1 THEN r.idq END AS nf_id "
        "FROM nf_v v LEFT JOIN nf_live r ON r.v = v.v LEFT JOIN nf_stored m ON m.v = v.v), "
        "nf_last AS (SELECT v.*, CASE WHEN v.nf_how IS NULL THEN {alias} END AS nf_alias FROM nf_named v), "
        "resolved AS (SELECT v.*, coalesce(v.nf_how, CASE WHEN v.nf_alias IS NOT NULL THEN 'alias' ELSE 'orphan' END) "
        "AS how, coalesce(v.nf_id, v.nf_alias) AS id FROM nf_last v)"
    ).format(
        values=sql.Identifier(values),
        rows=lookup_rows(lookup, where=probe),
        paths=paths,
        first=smallest(lookup, SQL("c.id")),
        by_path=by_path,
        first_q=smallest_where(lookup, SQL("c.id"), by_path),
        join=join,
        key=column("k", lookup.key.name),
        map=ledger("mapping"),
        on=decided(reference, "v"),
        lookup=table(lookup.table.name),
        in_scope=in_scope,
        alias=alias,
    )
