"""The SQL of decisions: rows kept in the archive as text, changed, deleted and brought back.

An *image* is a jsonb object of column name → the value's text as its type prints it, or null; nothing is lost on the
way (jsonb numbers and json documents would be rewritten, their text is not). Generated columns are left out. A row's
*identity* is the image of its primary key, or of the whole row where there is none; equal rows without a key are told
apart by counting. Rows are archived in the transaction that changes them; all entries of one statement share its time,
which is how undo finds them together.

``victims`` is always a query (c, decision): the tid of a row and the decision that it falls under.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from ..core.catalog import Column, Table
from .quote import column, conjunction, ledger, names, raw, table

SQL = sql.SQL
ARCHIVE = ledger("archive")
DECISION = ledger("decision")
MAPPING = ledger("mapping")


def columns_of(target: Table) -> tuple[Column, ...]:
    """Return the columns that hold something of their own."""
    return tuple(c for c in target.columns if not c.generated)


def identity_columns(target: Table) -> tuple[Column, ...]:
    """Return the columns that tell a row: the primary key's, else all."""
    key = set(target.primary_key)
    return tuple(c for c in columns_of(target) if c.name in key) if key else columns_of(target)


def image(alias: str, columns: Sequence[Column]) -> sql.Composed:
    """Return the image of some columns of the row ``alias``."""
    return SQL("jsonb_object(ARRAY[{}]::text[], ARRAY[{}]::text[])").format(
        SQL(", ").join([sql.Literal(c.name) for c in columns]),
        SQL(", ").join([SQL("{}::text").format(column(alias, c.name)) for c in columns]),
    )


def value_of(source: sql.Composable, of: Column) -> sql.Composed:
    """Return a column's value out of an image.

    A text stays text: a cast to varchar(n) would cut what no longer fits, where an assignment refuses it.
    """
    text = SQL("({} ->> {})").format(source, sql.Literal(of.name))
    return text if of.is_text else SQL("{}::{}").format(text, raw(of.type))


def json_literal(value: Mapping[str, object] | None) -> sql.Composable:
    """Return an object as a literal that can be cast to jsonb."""
    return sql.Literal(None if value is None else json.dumps(value, ensure_ascii=False))


def differing(left: sql.Composable, right: sql.Composable) -> sql.Composed:
    """Return the part of the left image that the right one does not share."""
    return SQL(
        "(SELECT coalesce(jsonb_object_agg(e.k, e.v), '{{}}') FROM jsonb_each({l}) e(k, v) "
        "WHERE {r} -> e.k IS DISTINCT FROM e.v)"
    ).format(l=left, r=right)


def present(target: Table, source: sql.Composable) -> sql.Composed:
    """Return the part of an image that the table still has columns for: expand's may have come and gone since."""
    return SQL(
        "(SELECT coalesce(jsonb_object_agg(e.k, e.v), '{{}}') FROM jsonb_each({}) e(k, v) WHERE e.k = ANY({}::text[]))"
    ).format(source, sql.Literal([c.name for c in columns_of(target)]))


def exact(alias: str, name: str, value: sql.Composable) -> sql.Composed:
    """Return a condition: the column's text is this one, byte for byte, whatever its collation."""
    return SQL('{}::text COLLATE pg_catalog."C" = {}').format(column(alias, name), value)


def same_or_null(alias: str, name: str, value: sql.Composable) -> sql.Composed:
    """The same where both may be NULL."""
    return SQL('{}::text COLLATE pg_catalog."C" IS NOT DISTINCT FROM {}').format(column(alias, name), value)


def lock_rows(target: Table, victims: sql.Composable) -> sql.Composed:
    """Return a query that locks the victims in the order of their tids, never waiting for one (55P03 instead)."""
    return SQL(
        "SELECT count(*) FROM (SELECT 1 FROM {table} t WHERE t.ctid = ANY(ARRAY(SELECT c FROM ({victims}) v)) "
        "ORDER BY t.ctid FOR UPDATE NOWAIT) r"
    ).format(table=table(target.name), victims=victims)


def lock_parents(parent: Table, refs: Sequence[str], columns: Sequence[Column], images: sql.Composable) -> sql.Composed:
    """Return a query that locks what a foreign key is about to look for, without waiting (55P03 instead).

    Args:
        parent, refs: the referenced table and columns.
        columns: the referencing columns, in the same order.
        images: a query (i) of images of the rows to be inserted.
    """
    return SQL("SELECT count(*) FROM (SELECT 1 FROM {parent} p WHERE ({refs}) IN (SELECT {values} FROM ({images}) s) "
               "FOR KEY SHARE NOWAIT) r").format(
        parent=table(parent.name),
        refs=SQL(", ").join([column("p", r) for r in refs]),
        values=SQL(", ").join([value_of(SQL("s.i"), c) for c in columns]),
        images=images,
    )  # fmt: skip


def keep_deleted(target: Table, relation: str, victims: sql.Composable) -> sql.Composed:
    """Return the statement that archives rows about to be deleted; it returns how many, and the time they share."""
    return SQL(
        "WITH k AS (INSERT INTO {archive} (decision, relation, action, identity, before, at) "
        "SELECT v.decision, {relation}, 'delete', {identity}, {image}, statement_timestamp() "
        "FROM ({victims}) v JOIN {table} t ON t.ctid = v.c ORDER BY v.decision, t.ctid RETURNING at) "
        "SELECT count(*), max(at) FROM k"
    ).format(
        archive=ARCHIVE,
        relation=sql.Literal(relation),
        identity=image("t", identity_columns(target)),
        image=image("t", columns_of(target)),
        victims=victims,
        table=table(target.name),
    )


def delete_kept(target: Table, relation: str, decisions: Sequence[int], at: object) -> sql.Composed:
    """Return the statement that deletes what :func:`keep_deleted` archived at that time.

    The entries are numbered anew: they were made before those of the rows that refer to these, and must be undone
    before them.
    """
    return SQL(
        "WITH gone AS ({delete}) UPDATE {archive} k SET id = DEFAULT, at = statement_timestamp() FROM gone "
        "WHERE k.id = gone.id"
    ).format(
        delete=delete_standing(target, standing(target, entries(decisions, relation, "delete", at))), archive=ARCHIVE
    )


@dataclass(frozen=True)
class Change:
    """An update to be: which rows of a table, and the SET list, which may use ``t`` for the row."""

    target: Table
    relation: str
    victims: sql.Composable
    changes: sql.Composable


def update(changes: Sequence[Change]) -> sql.Composed:
    """Return the statement that changes rows and archives what changed, whatever triggers added to it.

    Several tables change in one statement where a foreign key between them would not bear one before the other. Returns
    how many rows changed in the last of them.
    """
    parts = [_update(number, change) for number, change in enumerate(changes)]
    return SQL("WITH {} SELECT count(*) FROM k{}").format(SQL(", ").join(parts), SQL(str(len(changes) - 1)))


def _update(number: int, change: Change) -> sql.Composed:
    target = change.target
    keyed = bool(target.primary_key)
    n = SQL(str(number))
    return SQL(
        "o{n} AS MATERIALIZED (SELECT t.ctid AS c, v.decision, {image} AS old FROM ({victims}) v "
        "JOIN {table} t ON t.ctid = v.c), "
        "u{n} AS (UPDATE {table} t SET {changes} FROM o{n} o WHERE t.ctid = o.c "
        "RETURNING o.decision, o.old, {image} AS new, {identity} AS identity), "
        "k{n} AS (INSERT INTO {archive} (decision, relation, action, identity, before, after, at) "
        "SELECT u.decision, {relation}, 'update', u.identity, {before}, {after}, statement_timestamp() "
        "FROM u{n} u WHERE u.old <> u.new RETURNING id)"
    ).format(
        n=n,
        image=image("t", columns_of(target)),
        identity=image("t", identity_columns(target)),
        victims=change.victims,
        table=table(target.name),
        changes=change.changes,
        archive=ARCHIVE,
        relation=sql.Literal(change.relation),
        before=differing(SQL("u.old"), SQL("u.new")) if keyed else SQL("u.old"),
        after=differing(SQL("u.new"), SQL("u.old")) if keyed else SQL("u.new"),
    )


def insert(
    target: Table, relation: str, decision: int, values: Sequence[tuple[str, sql.Composable]], key: str
) -> sql.Composed:
    """Return the statement that makes one row, archives it, and returns its key as text."""
    return SQL(
        "WITH n AS (INSERT INTO {table} AS t ({columns}) VALUES ({values}) RETURNING {identity} AS identity, "
        "{image} AS new, {key}::text AS key), "
        "kept AS (INSERT INTO {archive} (decision, relation, action, identity, after, at) "
        "SELECT {decision}, {relation}, 'insert', n.identity, n.new, statement_timestamp() FROM n) SELECT n.key FROM n"
    ).format(
        table=table(target.name),
        columns=names([n for n, _ in values]),
        values=SQL(", ").join([v for _, v in values]),
        identity=image("t", identity_columns(target)),
        image=image("t", columns_of(target)),
        key=column("t", key),
        archive=ARCHIVE,
        decision=sql.Literal(decision),
        relation=sql.Literal(relation),
    )


# ---------------------------------------------------------------------- bringing back


def statements(decisions: Sequence[int]) -> sql.Composed:
    """Return a query (action, at, relations) of the statements whose archive entries are yet to be undone, last
    first.
    """
    return SQL(
        "SELECT action, at, array_agg(DISTINCT relation) FROM {archive} WHERE decision = ANY({ids}) "
        "AND restored IS NULL GROUP BY action, at ORDER BY max(id) DESC"
    ).format(archive=ARCHIVE, ids=sql.Literal(list(decisions)))


def entries(decisions: Sequence[int], relation: str, action: str, at: object) -> sql.Composed:
    """Return a query of the archive entries of one statement: id, identity, before, after."""
    return SQL(
        "SELECT id, identity, before, after FROM {archive} WHERE decision = ANY({ids}) AND relation = {relation} "
        "AND action = {action} AND at = {at} AND restored IS NULL"
    ).format(
        archive=ARCHIVE,
        ids=sql.Literal(list(decisions)),
        relation=sql.Literal(relation),
        action=sql.Literal(action),
        at=sql.Literal(at),
    )


def standing(target: Table, kept: sql.Composable) -> sql.Composed:
    """Return a query (c, id, before, after): the rows that archive entries name, as far as they stand.

    Equal rows of a table without a primary key are paired off one by one.

    Args:
        target: the table.
        kept: a query (id, identity, before, after).
    """
    if target.primary_key:
        match = conjunction(
            [
                SQL("{} = {}").format(column("t", c.name), value_of(SQL("a.identity"), c))
                for c in identity_columns(target)
            ]
        )
        return SQL("SELECT t.ctid AS c, a.id, a.before, a.after FROM ({}) a JOIN {} t ON {}").format(
            kept, table(target.name), match
        )
    whole = image("t", columns_of(target))
    return SQL(
        "SELECT t.c, a.id, a.before, a.after FROM (SELECT k.id, k.before, k.after, {identity} AS identity, "
        "row_number() OVER (PARTITION BY {identity} ORDER BY k.id) AS n FROM ({kept}) k) a "
        "JOIN (SELECT t.ctid AS c, {whole} AS i, "
        "row_number() OVER (PARTITION BY {whole} ORDER BY t.ctid) AS n FROM {table} t) t "
        "ON t.i = a.identity AND t.n = a.n"
    ).format(kept=kept, whole=whole, identity=present(target, SQL("k.identity")), table=table(target.name))


def delete_standing(target: Table, rows: sql.Composable) -> sql.Composed:
    """Return the DELETE of the rows of :func:`standing`; it returns the archive entries' numbers."""
    return SQL("DELETE FROM {table} t USING ({rows}) a WHERE t.ctid = a.c RETURNING a.id").format(
        table=table(target.name), rows=rows
    )


def unchanged(target: Table, rows: sql.Composable) -> sql.Composed:
    """Return those rows of :func:`standing` that still hold what the decision left."""
    return SQL("SELECT a.* FROM ({rows}) a JOIN {table} t ON t.ctid = a.c WHERE {image} @> {after}").format(
        rows=rows,
        table=table(target.name),
        image=image("t", columns_of(target)),
        after=present(target, SQL("a.after")),
    )


def bring_back(target: Table, kept: sql.Composable, present: Sequence[str]) -> sql.Composed:
    """Return the INSERT of deleted rows, keys included, from a query of archive entries (id, before).

    Args:
        target: the table.
        kept: the entries.
        present: the columns that their images hold; any other takes its default.
    """
    columns = [c for c in columns_of(target) if c.name in present]
    return SQL(
        "INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {values} FROM ({kept}) a ORDER BY a.id"
    ).format(
        table=table(target.name),
        columns=names([c.name for c in columns]),
        values=SQL(", ").join([value_of(SQL("a.before"), c) for c in columns]),
        kept=kept,
    )


def restore(target: Table, rows: sql.Composable, changed: Sequence[str]) -> sql.Composed:
    """Return the UPDATE that gives rows (c, id, before) their images back; it returns the archive entries' numbers.

    Args:
        target: the table.
        rows: which rows.
        changed: every column that one of the images holds.
    """
    fields = SQL(", ").join(
        [
            SQL("{name} = CASE WHEN a.before ? {key} THEN {value} ELSE {now} END").format(
                name=sql.Identifier(c.name),
                key=sql.Literal(c.name),
                value=value_of(SQL("a.before"), c),
                now=column("t", c.name),
            )
            for c in columns_of(target)
            if c.identity != "a" and c.name in changed
        ]
    )
    return SQL("UPDATE {table} t SET {fields} FROM ({rows}) a WHERE t.ctid = a.c RETURNING a.id").format(
        table=table(target.name), fields=fields, rows=rows
    )


def restore_together(parts: Sequence[sql.Composed]) -> sql.Composed:
    """Return one statement made of several of :func:`restore`; it returns all their entries' numbers."""
    named = [SQL("u{} AS ({})").format(SQL(str(n)), part) for n, part in enumerate(parts)]
    picked = [SQL("SELECT id FROM u{}").format(SQL(str(n))) for n in range(len(parts))]
    return SQL("WITH {} {}").format(SQL(", ").join(named), SQL(" UNION ALL ").join(picked))


def unlike(target: Table, numbers: Sequence[int]) -> sql.Composed:
    """Return a query (c, id, before): rows brought back by these archive entries that a trigger has made different.

    Only for tables with a primary key.
    """
    # A changed key: the row stands under the one that it had before.
    key = SQL("(a.identity || a.before)")
    match = conjunction(
        [SQL("{} = {}").format(column("t", c.name), value_of(key, c)) for c in identity_columns(target)]
    )
    return SQL(
        "SELECT t.ctid AS c, a.id, a.before FROM {archive} a JOIN {table} t ON {match} WHERE a.id = ANY({ids}) "
        "AND NOT {image} @> {before}"
    ).format(
        archive=ARCHIVE,
        table=table(target.name),
        match=match,
        ids=sql.Literal(list(numbers)),
        image=image("t", columns_of(target)),
        before=present(target, SQL("a.before")),
    )


def mark(numbers: Sequence[int], *, restored: bool) -> sql.Composed:
    """Return the statement that records whether archive entries came back."""
    return SQL("UPDATE {archive} SET restored = {restored} WHERE id = ANY({ids})").format(
        archive=ARCHIVE, restored=sql.Literal(restored), ids=sql.Literal(list(numbers))
    )
