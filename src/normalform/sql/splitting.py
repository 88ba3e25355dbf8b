"""The copies of `split`: one row for each further lookup row that a text means.

While the text stands, legacy readers must see one row, and a legacy unique on the text allows no second one. So a split
row has the key of its first candidate until contract; in the transaction that drops the text the copies are made, each
with a key of its own, and in contract's undo they go again before the text comes back. Their identities are in the
archive, under the decision that asked for them.

Every function returns one rendered statement, for a step to carry out in order with the DROP COLUMN.
"""

from __future__ import annotations

from psycopg import sql

from ..core.catalog import Column, Table
from ..core.conservation import Conserved
from ..core.model import Reference
from .decisions import columns_of, identity_columns, image, same_or_null, value_of
from .quote import column, conjunction, names, raw, render, table

SQL = sql.SQL
#: Marks a copy that is only planned: within one transaction, between the two statements around the DROP COLUMN.
PLANNED = sql.Literal("{}")


def remember_copies(reference: Reference) -> str:
    """Return the statement that notes, before the text goes, which copies are to be made."""
    scope = conjunction(
        [
            same_or_null("t", c.name, SQL("d.scope[{}]").format(sql.Literal(n + 1)))
            for n, c in enumerate(reference.scope)
        ]
    )
    return render(
        SQL(
            "INSERT INTO normalform.archive (decision, relation, action, identity, after) "
            "SELECT d.id, {relation}, 'insert', {planned}, {image} || jsonb_build_object({name}, k.v) "
            "FROM normalform.decision d CROSS JOIN LATERAL jsonb_array_elements_text(d.target::jsonb -> 'keys') "
            'WITH ORDINALITY k(v, n) JOIN {table} t ON {text}::text COLLATE pg_catalog."C" = d.value AND {scope} '
            "AND {key}::text = d.target::jsonb ->> 'key' "
            "JOIN {lookup} l ON {lookup_key}::text = k.v "
            "WHERE d.reference = {reference} AND d.decision = 'split' AND d.state = 'applied' AND k.n > 1 "
            "ORDER BY t.ctid, k.n"
        ).format(
            relation=sql.Literal(render(table(reference.table.name))),
            planned=PLANNED,
            image=image("t", [c for c in columns_of(reference.table) if c.name != reference.key]),
            name=sql.Literal(reference.key),
            table=table(reference.table.name),
            text=column("t", reference.text.name),
            scope=scope,
            key=column("t", reference.key),
            lookup=table(reference.lookup.table.name),
            lookup_key=column("l", reference.lookup.key.name),
            reference=sql.Literal(reference.name),
        )
    )


def make_copies(conserved: Conserved, reference: Reference) -> str:
    """Return the statement that makes the noted copies, after the texts have gone, and notes which rows they are."""
    target, key, gone = reference.table, reference.key, conserved.dropped
    copied = [c for c in columns_of(target) if c.name not in gone and c.name != key and not _own(target, c)]
    left = [c for c in columns_of(target) if c.name not in gone and c.name != key]
    values = [value_of(SQL("p.after"), c) for c in copied]
    values.append(SQL("(p.after ->> {})::{}").format(sql.Literal(key), raw(reference.key_type)))
    scope = [SQL("m.s{} IS NOT DISTINCT FROM d.scope[{}]").format(SQL(str(n + 1)), sql.Literal(n + 1))
             for n in range(len(reference.scope))]  # fmt: skip
    identity = SQL("{} || jsonb_build_object({}, {}::text)").format(
        image("t", [c for c in identity_columns(target) if c.name not in gone and c.name != key] or left),
        sql.Literal(key),
        column("t", key),
    )
    return render(
        SQL(
            "WITH p AS (DELETE FROM normalform.archive WHERE relation = {relation} AND action = 'insert' "
            "AND identity = {planned} AND decision IN "
            "(SELECT id FROM normalform.decision WHERE reference = {reference}) RETURNING id, after), "
            "m AS (INSERT INTO {table} AS t ({columns}) SELECT {values} FROM p ORDER BY p.id "
            "RETURNING {identity} AS identity, {key}::text AS k{scopes}) "
            "INSERT INTO normalform.archive (decision, relation, action, identity, after) "
            "SELECT d.id, {relation}, 'insert', m.identity, m.identity FROM m JOIN LATERAL (SELECT min(d.id) AS id "
            "FROM normalform.decision d WHERE d.reference = {reference} AND d.decision = 'split' "
            "AND d.state = 'applied' AND d.target::jsonb -> 'keys' ? m.k AND {same}) d ON true"
        ).format(
            relation=sql.Literal(render(table(target.name))),
            planned=PLANNED,
            table=table(target.name),
            columns=names([*[c.name for c in copied], key]),
            values=SQL(", ").join(values),
            identity=identity,
            key=column("t", key),
            scopes=SQL("").join(
                [
                    SQL(", {}::text AS s{}").format(column("t", c.name), SQL(str(n + 1)))
                    for n, c in enumerate(reference.scope)
                ]
            ),
            reference=sql.Literal(reference.name),
            same=conjunction(scope),
        )
    )


def withdraw_copies(conserved: Conserved, reference: Reference) -> str:
    """Return the statement that deletes the copies, before the texts come back; what new code made of them is kept.

    Of rows that look alike, in a table without primary key, as many go as were made.
    """
    target = reference.table
    return render(
        SQL(
            "WITH a AS (SELECT a.id, a.identity, row_number() OVER (PARTITION BY a.identity ORDER BY a.id) AS n "
            "FROM normalform.archive a WHERE {standing}), "
            "g AS (SELECT a.id, t.ctid AS at, a.n, row_number() OVER (PARTITION BY a.id ORDER BY t.ctid) AS i "
            "FROM a JOIN {table} t ON {match}), "
            "d AS (DELETE FROM {table} t USING g WHERE g.n = g.i AND t.ctid = g.at RETURNING g.id, {image} AS last) "
            "UPDATE normalform.archive a SET restored = true, before = d.last FROM d WHERE a.id = d.id"
        ).format(
            table=table(target.name),
            standing=_standing(reference),
            match=_is_copy(conserved, reference),
            image=image("t", [c for c in columns_of(target) if c.name not in conserved.dropped]),
        )
    )


def no_copy(conserved: Conserved, reference: Reference) -> sql.Composed:
    """Return the condition that row ``t`` is none of the copies that stand now."""
    return SQL("NOT EXISTS (SELECT FROM normalform.archive a WHERE {} AND {})").format(
        _standing(reference), _is_copy(conserved, reference)
    )


def split_references() -> str:
    """Return the query for the names of the references of which a value is split."""
    return "SELECT DISTINCT reference FROM normalform.decision WHERE decision = 'split' AND state = 'applied'"


def _standing(reference: Reference) -> sql.Composed:
    return SQL(
        "a.relation = {relation} AND a.action = 'insert' AND a.restored IS NULL AND a.decision IN "
        "(SELECT id FROM normalform.decision WHERE reference = {reference} AND decision = 'split')"
    ).format(
        relation=sql.Literal(render(table(reference.table.name))),
        reference=sql.Literal(reference.name),
    )


def _is_copy(conserved: Conserved, reference: Reference) -> sql.Composable:
    """Return the condition that row ``t`` is the copy that entry ``a`` names."""
    target, key = reference.table, reference.key
    by = [c for c in identity_columns(target) if c.name not in conserved.dropped and c.name != key]
    if target.primary_key:
        match = [SQL("{} = {}").format(column("t", c.name), value_of(SQL("a.identity"), c)) for c in by]
    else:
        match = [same_or_null("t", c.name, SQL("(a.identity ->> {})").format(sql.Literal(c.name))) for c in by]
    if not _keyed_alone(target, by):  # else new code may have given the copy another key since
        match.append(SQL("{}::text = a.identity ->> {}").format(column("t", key), sql.Literal(key)))
    return conjunction(match)


def uncopied(reference: Reference) -> str | None:
    """Return why rows of a reference cannot be copied, or None."""
    target, text = reference.table, reference.text.name
    if reference.spec.keep_text:
        return "its text is kept, and copies would all have it"
    for index in target.indexes:
        listed = [c.column for c in index.columns]
        columns = [target.column(c) for c in listed if c is not None]
        if not index.unique or text in listed or any(c is not None and _own(target, c) for c in columns):
            continue
        return f"copies would collide in {index.name}"
    return None


def _own(target: Table, of: Column) -> bool:
    """Whether a new row gets a value of its own in this column, by identity or a sequence."""
    keyed = any(i.unique and [c.column for c in i.columns] == [of.name] for i in target.indexes)
    return bool(of.identity) or (keyed and of.default is not None)


def _keyed_alone(target: Table, by: list[Column]) -> bool:
    return bool(target.primary_key) and {c.name for c in by} == set(target.primary_key)
