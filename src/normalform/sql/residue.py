"""Residue: what of a row's text and qualifier its key cannot give back, as conditions and relations.

Decides, row by row, what is the row's *own*: an alias, a folded or merged spelling, a category that is not the key's,
a text without a key. A qualifier may be its own beside a text that is not, so that a renamed lookup row still carries
that; beside a text of its own it always is, since a decision is about both. An entry names the key that the row had and
counts only while the row has it (CORRECTNESS 31). It must never take a text that is not filled yet (NULL beside a key)
for the row's own.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from ..core.catalog import Column
from ..core.conservation import Conserved
from ..core.model import Lookup, Reference
from . import compare
from .quote import column, conjunction, ledger, raw, render, table
from .shapes import all_paths, path_of

SQL = sql.SQL


def identity(conserved: Conserved, alias: str) -> sql.Composable:
    """Return a row's identity as the archive has it: a jsonb object of the columns that tell it after contract."""
    parts = [SQL("{}, {}").format(sql.Literal(c), column(alias, c)) for c in conserved.identity]
    return SQL("pg_catalog.jsonb_build_object({})").format(SQL(", ").join(parts))


def given(lookup: Lookup, key: sql.Composable) -> sql.Composable:
    """Return a query (x, q): text and qualifier that a key gives, one row or none.

    OFFSET 0 keeps the planner from turning the probe into a scan of the whole lookup.
    """
    return SQL("SELECT {x}::text AS x, {q} AS q FROM {table} l WHERE {id} = {key} OFFSET 0").format(
        x=column("l", lookup.text.name),
        q=_qualifier(lookup),
        table=table(lookup.table.name),
        id=column("l", lookup.key.name),
        key=key,
    )


def keys_given(lookup: Lookup, rows: str) -> sql.Composable:
    """Return CTEs, the last of them ``nf_keys`` (key, x, q): what each key in CTE ``rows`` gives.

    A path is walked once for each place that it starts from: many keys share a category.
    """
    start: sql.Composable = SQL("NULL::integer")
    walk: sql.Composable = SQL("NULL::text")
    q: sql.Composable = SQL("p.q")
    if lookup.path is not None:
        start, walk = column("l", lookup.path.join), path_of(lookup.path, SQL("w.cid"))
    elif lookup.qualifier_column is not None:
        start, q = compare.label(lookup.qualifier_text, column("l", lookup.qualifier_column)), SQL("f.cid")
    return SQL(
        "nf_found AS MATERIALIZED (SELECT d.key, f.x, f.cid "
        "FROM (SELECT DISTINCT key FROM {rows} WHERE key IS NOT NULL) d "
        "CROSS JOIN LATERAL (SELECT {x}::text AS x, {start} AS cid FROM {table} l WHERE {id} = d.key OFFSET 0) f), "
        "nf_walks AS MATERIALIZED (SELECT w.cid, {walk} AS q FROM (SELECT DISTINCT cid FROM nf_found) w), "
        "nf_keys AS MATERIALIZED (SELECT f.key, f.x, {q} AS q FROM nf_found f LEFT JOIN nf_walks p ON p.cid = f.cid)"
    ).format(
        rows=sql.Identifier(rows),
        x=column("l", lookup.text.name),
        start=start,
        table=table(lookup.table.name),
        id=column("l", lookup.key.name),
        walk=walk,
        q=q,
    )


def own(key: str, x: str, q: str, given_as: str, has_qualifier: bool) -> tuple[sql.Composable, sql.Composable]:
    """Return :func:`own_of` for plain column references."""
    return own_of(raw(key), raw(x), raw(q), given_as, has_qualifier)


def own_of(
    key: sql.Composable, x: sql.Composable, q: sql.Composable, given_as: str, has_qualifier: bool
) -> tuple[sql.Composable, sql.Composable]:
    """Return the two conditions: the text is the row's own, the qualifier is. Bytes decide, not collations.

    A qualifier beside a text of its own is the row's own too: sync does not carry a new path there, since a decision is
    about both.
    """
    gives = sql.Identifier(given_as)
    own_value = SQL(
        '({x} IS NOT NULL AND ({key} IS NULL OR {x} COLLATE "C" IS DISTINCT FROM {g}.x COLLATE "C"))'
    ).format(x=x, key=key, g=gives)
    if not has_qualifier:
        return own_value, SQL("false")
    own_qualifier = SQL(
        "(CASE WHEN {key} IS NULL THEN {q} IS NOT NULL "
        'ELSE {x} IS NOT NULL AND ({q} COLLATE "C" IS DISTINCT FROM {g}.q COLLATE "C" OR {own_value}) END)'
    ).format(key=key, q=q, x=x, g=gives, own_value=own_value)
    return own_value, own_qualifier


def _qualifier(lookup: Lookup) -> sql.Composable:
    if lookup.path is not None:
        return path_of(lookup.path, column("l", lookup.path.join))
    if lookup.qualifier_column is not None:
        return compare.label(lookup.qualifier_text, column("l", lookup.qualifier_column))
    return SQL("NULL::text")


def entry(reference: Reference, identity_of: sql.Composable, key: sql.Composable) -> sql.Composable:
    """Return a query of the archive's entry for a row, if it still counts."""
    return SQL(
        "SELECT e.own_value, e.value, e.own_qualifier, e.qualifier FROM {} e WHERE e.reference = {} "
        "AND e.identity = {} AND e.key IS NOT DISTINCT FROM {}::text OFFSET 0"
    ).format(ledger("residue"), sql.Literal(reference.name), identity_of, key)


def legacy_rows(conserved: Conserved, only: Sequence[sql.Composable] = ()) -> sql.Composable:
    """Return a subquery, under the table's own name, of the rows as they would be with their texts back.

    It reads the whole lookup and archive once; for asking what a legacy unique would refuse (CORRECTNESS 32).

    Args:
        conserved: the table.
        only: conditions on row ``t`` that the rows must fulfil.
    """
    kept = [c.name for c in conserved.current.columns if c.name not in conserved.dropped]
    picked: list[sql.Composable] = [column("t", c) for c in kept]
    joins: list[sql.Composable] = []
    for n, reference in enumerate(conserved.going()):
        lookup, look, entry = reference.lookup, f"l{n}", f"e{n}"
        path: sql.Composable = SQL("NULL::text")
        joins.append(
            SQL("LEFT JOIN {table} {look} ON {id} = {key}").format(
                table=table(lookup.table.name),
                look=sql.Identifier(look),
                id=column(look, lookup.key.name),
                key=column("t", reference.key),
            )
        )
        if lookup.path is not None:
            joins.append(
                SQL("LEFT JOIN ({paths}) {alias} ON {alias}.cid = {join}").format(
                    paths=all_paths(lookup.path), alias=sql.Identifier(f"p{n}"), join=column(look, lookup.path.join)
                )
            )
            path = column(f"p{n}", "path")
        elif lookup.qualifier_column is not None:
            path = compare.label(lookup.qualifier_text, column(look, lookup.qualifier_column))
        joins.append(
            SQL(
                "LEFT JOIN {residue} {e} ON {e}.reference = {name} AND {e}.identity = {identity} "
                "AND {e}.key IS NOT DISTINCT FROM {key}::text"
            ).format(
                residue=ledger("residue"),
                e=sql.Identifier(entry),
                name=sql.Literal(reference.name),
                identity=identity(conserved, "t") if conserved.identity else SQL("NULL::jsonb"),
                key=column("t", reference.key),
            )
        )
        text = SQL("CASE WHEN {e}.own_value THEN {e}.value ELSE {x}::text END").format(
            e=sql.Identifier(entry), x=column(look, lookup.text.name)
        )
        picked.append(_legacy_column(conserved, reference.text, text))
        qualifier = conserved.qualifier(reference)
        if qualifier is not None:
            value = SQL("CASE WHEN {e}.own_qualifier THEN {e}.qualifier ELSE {q} END").format(
                e=sql.Identifier(entry), q=path
            )
            picked.append(_legacy_column(conserved, qualifier, value))
    return SQL("(SELECT {picked} FROM ONLY {table} t {joins} WHERE {only}) AS {alias}").format(
        only=conjunction(only),
        picked=SQL(", ").join(picked),
        table=table(conserved.name),
        joins=SQL(" ").join(joins),
        alias=sql.Identifier(conserved.name.name),
    )


def residue_exists(conserved: Conserved, reference: Reference) -> sql.Composed:
    """Return a query of one boolean: whether any row has something of its own. For tables without a primary key."""
    qualifier = conserved.qualifier(reference)
    own_value, own_qualifier = own("r.key", "r.x", "r.q", "f", qualifier is not None)
    return SQL(
        "SELECT EXISTS (SELECT FROM (SELECT {key} AS key, {text}::text AS x, {q} AS q FROM ONLY {table} t) r "
        "LEFT JOIN LATERAL ({given}) f ON true WHERE {own_value} OR {own_qualifier})"
    ).format(
        key=column("t", reference.key),
        text=column("t", reference.text.name),
        q=compare.label(qualifier, column("t", qualifier.name)) if qualifier else SQL("NULL::text"),
        table=table(conserved.name),
        given=given(reference.lookup, SQL("r.key")),
        own_value=own_value,
        own_qualifier=own_qualifier,
    )


def forget_residue(reference: Reference) -> str:
    """Return the statement that empties the archive of a reference."""
    return render(SQL("DELETE FROM {} WHERE reference = {}").format(ledger("residue"), sql.Literal(reference.name)))


def _legacy_column(conserved: Conserved, target: Column, value: sql.Composable) -> sql.Composable:
    # Only for its way of comparing; a cast to varchar(n) would cut texts off that it has been widened for.
    plain = target.base in ("text", "varchar")
    typed: sql.Composable = SQL("({})").format(value) if plain else SQL("({})::{}").format(value, raw(target.type))
    if conserved.current.column(target.name) is not None:
        typed = SQL("coalesce({}, {})").format(column("t", target.name), typed)
    if target.collation is not None:
        typed = SQL("{} COLLATE {}").format(typed, raw(target.collation))
    return SQL("{} AS {}").format(typed, sql.Identifier(target.name))
