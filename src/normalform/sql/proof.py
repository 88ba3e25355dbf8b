"""The proof as SQL: every row of a reference, classed by whether its text and its key say the same.

Decides the class of a row (the words of ``core.certificate``) and what its key gives; ``sql.sums`` adds rows up. It
joins the live lookup **by key** as a set and never resolves a text the way batches do, so that a bug there shows here.
It must never pass the row's own text off as what the key gives where the lookup or the mapping has one.

A row's values carry fixed names: ``p1`` … the primary key, ``s1`` … the scope, ``x`` the text, ``q`` the qualifier,
``k`` the key; what the key gives is ``g1`` … (scope), ``gx``, ``gq``. Without a primary key a row has no identity: ctid
changes with every update, and the sum counts equal rows as often as they occur.

The lookup may be as large as the reference, and it is read for every range of blocks. So each stage asks the next one
only about the rows that it could not settle: most rows are settled by their own key and qualifier.
"""

from __future__ import annotations

from dataclasses import replace

from psycopg import sql

from ..core.model import Lookup, Reference
from . import compare
from .proof_bare import bare
from .proof_terms import (
    BYTES,
    KEYED,
    alive,
    count_lookup_rows,
    join_paths,
    path_of,
    qualified,
    queued,
    same_text,
    says,
    text_of,
)
from .quote import column, conjunction, ledger, table
from .shapes import (
    STORED,
    alias_rows,
    all_paths,
    key_cast,
    lookup_rows,
    same_scope,
    scope_array,
    scope_names,
    scope_values,
)

SQL = sql.SQL


def rows(reference: Reference, where: sql.Composable | None = None) -> sql.Composable:
    """Return a query (place, p1 …, s1 …, x, q, k, class, g1 …, gx, gq) of every row that the condition picks.

    Args:
        reference: the reference, expanded and not contracted.
        where: a condition on the table, alias ``t``; None for all rows.
    """
    reference = _as_it_stands(reference)
    n = len(reference.scope)
    lookup = reference.lookup
    parts = [_stored(reference, where), SQL("nf_base AS NOT MATERIALIZED ({})").format(lookup_rows(lookup))]
    if lookup.path is not None:
        parts.append(SQL("nf_paths AS MATERIALIZED ({})").format(all_paths(lookup.path)))
    if qualified(reference):
        parts += _same(reference)
    if lookup.aliases is not None:
        parts.append(_aliases(lookup))
    parts += [_mapping(reference), *_joined(reference), _keyed(reference), *bare(reference)]
    out = ["place", *identity_names(reference), *scope_names(n), "x", "q", "k", "class", *given_names(n), "gx", "gq"]
    names = SQL(", ").join([column("r", c) for c in out])
    return SQL("WITH {} SELECT {} FROM nf_keyed r UNION ALL SELECT {} FROM nf_bare r").format(
        SQL(", ").join(parts), names, names
    )


def identity_names(reference: Reference) -> list[str]:
    """Return the fixed names of the primary key's columns: p1, p2 …"""
    return [f"p{i + 1}" for i in range(len(reference.identity))]


def given_names(count: int) -> list[str]:
    """Return the fixed names of the scope that the key gives: g1, g2 …"""
    return [f"g{i + 1}" for i in range(count)]


def _as_it_stands(reference: Reference) -> Reference:
    """Return the reference with its lookup's own scope columns: what foreign keys will use is what is proven."""
    lookup = reference.lookup
    if lookup.scope_ready or not all(lookup.table.column(c) for c in lookup.scope):
        return reference
    return replace(reference, lookup=replace(lookup, scope_ready=True))


def _stored(reference: Reference, where: sql.Composable | None) -> sql.Composable:
    taken = [SQL("t.ctid AS place").format()]
    taken += [
        SQL("{} AS {}").format(column("t", c), sql.Identifier(p))
        for c, p in zip(reference.identity, identity_names(reference), strict=True)
    ]
    taken += [
        SQL("{} AS {}").format(value, sql.Identifier(s))
        for value, s in zip(scope_values(reference, "t"), scope_names(len(reference.scope)), strict=True)
    ]
    q = (
        compare.label(reference.qualifier, column("t", reference.qualifier.name))
        if reference.qualifier
        else SQL("NULL::text")
    )
    x = compare.reading(reference, column("t", reference.text.name))
    taken += [SQL("{} AS x, {} AS q, {} AS k").format(x, q, column("t", reference.key))]
    return SQL("nf_t AS NOT MATERIALIZED (SELECT {} FROM {} t WHERE {})").format(
        SQL(", ").join(taken), table(reference.table.name), where or SQL("true")
    )


def _same(reference: Reference) -> list[sql.Composable]:
    """Texts that stand twice in one scope under one and the same qualifier, which then tells nothing there.

    Where a unique index keeps a text from standing twice in one place of the path table, only places of the same path
    in the same scope can clash, and there are few: the large lookup need not be grouped by its texts.
    """
    lookup = reference.lookup
    n = len(reference.scope)
    group, path = text_of("b", n), path_of(lookup)
    own = lookup.path.join if lookup.path is not None else lookup.qualifier_column
    unique = any(
        i.unique and i.valid and i.predicate is None and {lookup.text.name, own} <= {c.column for c in i.columns}
        and {c.column for c in i.columns} <= {lookup.text.name, own, *lookup.scope}
        for i in lookup.table.indexes
    )  # fmt: skip
    final = SQL(
        "nf_same AS MATERIALIZED (SELECT {group}, {path} AS path FROM nf_base b{clash}{paths} WHERE {path} IS NOT NULL "
        "GROUP BY {group}, {path} HAVING count(*) > 1)"
    )
    if not unique or lookup.path is None:
        return [final.format(group=group, path=path, clash=SQL(""), paths=join_paths(lookup))]
    scope = [sql.Identifier(s) for s in scope_names(n)]
    places = SQL(
        "nf_places AS MATERIALIZED (SELECT c.*, p.path, count(*) OVER (PARTITION BY {by}) AS n "
        "FROM (SELECT DISTINCT {cols} FROM nf_base b) c JOIN nf_paths p ON p.cid = c.cid)"
    ).format(
        by=SQL(", ").join([*[SQL("c.{}").format(s) for s in scope], SQL("p.path")]),
        cols=SQL(", ").join([*[SQL("b.{}").format(s) for s in scope], SQL("b.cid")]),
    )
    clash = SQL(" JOIN nf_places p ON p.n > 1 AND p.cid = b.cid AND {}").format(same_scope("p", "b", n))
    return [places, final.format(group=group, path=path, clash=clash, paths=SQL(""))]


def _aliases(lookup: Lookup) -> sql.Composable:
    """Every alias of every lookup row; ``sole`` where no other row in the scope lists it or is named so."""
    n = len(lookup.scope)
    return SQL(
        "nf_alias AS MATERIALIZED (SELECT a.*, count(*) OVER (PARTITION BY {by}) = 1 AND NOT EXISTS "
        "(SELECT FROM nf_base b WHERE {same}) AS sole FROM (SELECT DISTINCT r.id, {cols} FROM ({rows}) r) a)"
    ).format(by=text_of("a", n), same=same_text("b", "a", n), cols=text_of("r", n), rows=alias_rows(lookup))


def _mapping(reference: Reference) -> sql.Composable:
    """What the ledger keeps about this reference's values; at most one entry for each value."""
    return SQL(
        "nf_map AS NOT MATERIALIZED (SELECT m.scope, m.value, m.qualifier, m.how, {key} AS key FROM {map} m "
        "WHERE m.reference = {ref} AND m.how = ANY ({all}))"
    ).format(
        all=sql.Literal([*STORED, "alias"]),
        key=key_cast(reference, SQL("m.key")),
        map=ledger("mapping"),
        ref=sql.Literal(reference.name),
    )


def _joined(reference: Reference) -> list[sql.Composable]:
    """Rows with a key, or with neither text nor key, each with its key's lookup row; and which texts stand twice.

    ``plain`` is the class where that settles it. What is open then is whether the text alone decides, and this is
    asked for the open rows' texts only.
    """
    n = len(reference.scope)
    scope = scope_names(n)
    picked = [SQL("b.{} AS {}").format(sql.Identifier(s), sql.Identifier(f"l{s}")) for s in scope]
    tells = qualified(reference)
    joined = SQL(
        "SELECT t.*, b.id AS lid, {picked}, {path} AS lp, {told} AS told FROM nf_t t LEFT JOIN nf_base b ON b.id = t.k"
        "{paths}{same} WHERE t.k IS NOT NULL OR t.x IS NULL"
    ).format(
        picked=SQL(", ").join([*picked, SQL("b.x AS lx")]),
        path=path_of(reference.lookup),
        paths=join_paths(reference.lookup),
        told=SQL("w.x IS NULL" if tells else "false"),
        same=SQL(" LEFT JOIN nf_same w ON {} AND w.path = {}").format(same_text("w", "b", n), path_of(reference.lookup))
        if tells
        else SQL(""),
    )
    home = conjunction([SQL("j.{} = j.{}").format(sql.Identifier(s), sql.Identifier(f"l{s}")) for s in scope])
    settled = SQL(
        "nf_joined AS MATERIALIZED (SELECT j.*, CASE WHEN j.k IS NULL THEN 'empty' WHEN j.lid IS NULL THEN "
        "CASE WHEN {gone} THEN 'pending' ELSE 'dangling' END WHEN ({home}) IS NOT TRUE THEN 'cross_scope' "
        "WHEN j.told AND j.x::text {c} = j.lx::text AND j.q {c} = j.lp THEN 'exact' END AS plain FROM ({joined}) j)"
    ).format(gone=queued(reference, "j", SQL("p.kind = 'delete'")), home=home, c=BYTES, joined=joined)
    # Within its own scope the row's scope equals its lookup row's.
    twice = SQL(
        "nf_twice AS MATERIALIZED (SELECT {group} FROM nf_base b JOIN (SELECT DISTINCT {asked} FROM nf_joined j "
        "WHERE j.plain IS NULL AND {text}) a ON {same} GROUP BY {group} HAVING {rows} > 1)"
    ).format(
        group=text_of("b", n),
        rows=count_lookup_rows(reference),
        asked=text_of("j", n),
        text=compare.matches(reference, SQL("j.lx"), SQL("j.x")),
        same=says(reference, "a", "b"),
    )
    return [settled, twice]


def _keyed(reference: Reference) -> sql.Composable:
    """The class of a row with a key: what the text alone, a decision, an alias or a queued rename says of open rows.

    The joins' left sides are NULL for settled rows, which a hash join passes by.
    """
    n = len(reference.scope)
    aliases = reference.lookup.aliases is not None
    same_qualifier = SQL("j.q {} IS NOT DISTINCT FROM j.lp") if qualified(reference) else SQL("j.q {} IS NULL")
    first = SQL(
        "SELECT j.*, w.x IS NULL AS alone, CASE WHEN j.plain IS NOT NULL THEN j.plain "
        "WHEN w.x IS NULL AND j.x::text {c} = j.lx::text AND {qualifier} THEN 'exact' END AS first FROM nf_joined j "
        "LEFT JOIN nf_twice w ON {scope} {text}"
    ).format(
        text=compare.matches(reference, SQL("w.x"), SQL("CASE WHEN j.plain IS NULL THEN j.x END")),
        c=BYTES,
        qualifier=same_qualifier.format(BYTES),
        scope=SQL("{} AND").format(same_scope("w", "j", n)) if n else SQL(""),
    )
    explained = SQL(
        "SELECT f.*, m.how, m.key AS mk, m.scope AS ms, m.value AS mx, m.qualifier AS mq, {alias} "
        "FROM ({first} OFFSET 0) f LEFT JOIN nf_map m ON m.value = CASE WHEN f.first IS NULL THEN f.x::text {c} END "
        "AND m.scope = CASE WHEN f.first IS NULL THEN {scope} {c} END "
        "AND m.qualifier IS NOT DISTINCT FROM f.q {c}{join}"
    ).format(
        alias=SQL("a.x AS ax, a.sole" if aliases else "NULL::text AS ax, false AS sole"),
        first=first,
        c=BYTES,
        scope=scope_array("f", n),
        join=SQL(
            " LEFT JOIN nf_alias a ON a.id = f.lid AND a.x = CASE WHEN f.first IS NULL THEN f.x::text END {}"
        ).format(BYTES)
        if aliases
        else SQL(""),
    )
    old = SQL("(p.kind = 'text' AND p.old_text = r.x::text {c} OR p.kind = 'path' AND p.old_text = r.q {c} AND {text})")
    text = compare.matches(reference, SQL("r.lx"), SQL("r.x"))
    # The order matters: an operator's decision comes before what the text alone would say.
    classed = SQL(
        "SELECT r.*, CASE WHEN r.first IS NOT NULL THEN r.first "
        "WHEN r.how = ANY ({keyed}) AND r.mk = r.k OR r.how = 'split' AND {text} THEN 'decided' "
        "WHEN {renamed} THEN 'pending' "
        "WHEN r.how = 'null' OR r.how = ANY ({keyed}) AND {alive} THEN 'contradicted' "
        "WHEN {text} AND r.alone THEN 'residue' "
        "WHEN r.ax IS NOT NULL AND (r.sole OR r.how = 'alias' AND r.mk = r.k) THEN 'alias' "
        "WHEN {text} THEN 'ambiguous' ELSE 'differing' END AS class FROM ({explained}) r"
    ).format(
        keyed=sql.Literal(list(KEYED)),
        text=text,
        renamed=queued(reference, "r", old.format(c=BYTES, text=text)),
        alive=alive(reference, "r"),
        explained=explained,
    )
    gives = [
        SQL("CASE c.class WHEN 'decided' THEN c.ms[{}] WHEN 'empty' THEN c.{}::text ELSE c.{}::text END AS {}").format(
            sql.Literal(i + 1), sql.Identifier(s), sql.Identifier(f"l{s}"), sql.Identifier(f"g{i + 1}")
        )
        for i, s in enumerate(scope_names(n))
    ]
    return SQL(
        "nf_keyed AS NOT MATERIALIZED (SELECT c.*, {gives} CASE c.class WHEN 'residue' THEN c.x::text "
        "WHEN 'alias' THEN c.ax WHEN 'decided' THEN c.mx WHEN 'empty' THEN NULL ELSE c.lx::text END AS gx, "
        "CASE WHEN c.class IN ('residue', 'alias', 'empty') THEN c.q WHEN c.class = 'decided' THEN c.mq "
        "ELSE {path} END AS gq FROM ({classed} OFFSET 0) c)"
    ).format(
        gives=SQL("").join([SQL("{}, ").format(g) for g in gives]),
        path=SQL("c.lp" if reference.qualifier is not None else "NULL::text"),
        classed=classed,
    )
