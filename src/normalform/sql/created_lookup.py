"""A lookup that expand makes: its table, who may use it, and its rows out of the references' texts.

Decides privileges (see :func:`grants`) and what a batch of rows is. A row is made for each distinct (scope, text,
qualifier); a text without a qualifier gets one of its own only where no row of its scope has the text. What we made is
noted in the ledger by key, so that undo can say what an application has added. It must never change a row that stands,
nor make one for a text without its scope.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from ..core.catalog import Column, Table
from ..core.model import Lookup, Model, Reference
from ..core.names import QName
from .batch import Ground, Heap, Rows, Span, Work
from .columns import parse_acl
from .compare import label, matches, reading
from .quote import column, conjunction, ledger, names, raw, render, table
from .shapes import decided, scope_names, scope_values

SQL = sql.SQL


def create_table(model: Model, lookup: Lookup) -> tuple[str, ...]:
    """Return the statements that make the table, comment it, and let those use it who use its references."""
    # As it was planned: by the time that a run is resumed the table may stand, and have more.
    planned = lookup.made_as
    assert planned is not None
    on = table(planned.name)
    parts: list[sql.Composable] = [_column(c) for c in planned.columns]
    for constraint, index in zip(planned.constraints, planned.indexes, strict=True):
        kind = SQL("PRIMARY KEY") if constraint.kind == "p" else SQL("UNIQUE")
        nulls = SQL(" NULLS NOT DISTINCT") if index.nulls_not_distinct else SQL("")
        parts.append(
            SQL("CONSTRAINT {} {}{} ({})").format(
                sql.Identifier(constraint.name), kind, nulls, names(constraint.columns)
            )
        )
    sources = ", ".join(f"{r.table.name}.{r.text.name}" for r in model.references_of(lookup))
    said = f"Every {lookup.text.name} once; made by Normalform of the distinct values of {sources}."
    comment = SQL("COMMENT ON TABLE {} IS {}").format(on, sql.Literal(said))
    made = SQL("CREATE TABLE {} ({})").format(on, SQL(", ").join(parts))
    return render(made), render(comment), *grants(model, lookup)


def grants(model: Model, lookup: Lookup) -> tuple[str, ...]:
    """Return the GRANTs on a lookup that is made.

    Who may read a reference's text may read it here: he could before. Who may write one may insert here: he could make
    up a text before, and new code does it by a row. Nobody is given UPDATE or DELETE, which reach into every reference
    at once: that is for a person to grant. Where row-level security guards a reference, nobody is given anything, since
    the new table would show what the policies hide.
    """
    references = model.references_of(lookup)
    if any(r.table.row_security for r in references):
        return ()
    wanted: dict[str, set[str]] = {}
    for reference in references:
        owner = reference.table.owner
        for grantee, letters in _privileges(reference.table, reference.text):
            if grantee == owner:
                continue
            words = wanted.setdefault(grantee, set())
            words |= {"SELECT"} if "r" in letters else set()
            words |= {"INSERT"} if letters & {"a", "w"} else set()
    return tuple(
        render(
            SQL("GRANT {} ON {} TO {}").format(
                SQL(", ").join([raw(w) for w in sorted(words, reverse=True)]),
                table(lookup.table.name),
                sql.Identifier(grantee) if grantee else SQL("PUBLIC"),
            )
        )
        for grantee, words in sorted(wanted.items())
        if words
    )


def values_work(reference: Reference, *, bare: bool) -> Work:
    """Return the work that makes a lookup row for each text of a reference that has none.

    Args:
        reference: the reference.
        bare: the texts without a qualifier, once those with one have their rows; else those with one. A lookup without
            a qualifier has all its rows made by the first of the two.
    """
    lookup = reference.lookup
    qualified = lookup.qualifier_column is not None
    columns = [*lookup.scope, lookup.text.name, *([lookup.qualifier_column] if lookup.qualifier_column else [])]
    fixed = [*scope_names(len(reference.scope)), "x", *(["q"] if qualified else [])]
    # An operator may have said that a text means nothing.
    nothing = SQL("SELECT FROM {} m WHERE {}").format(ledger("mapping"), decided(reference, "v", how=("null",)))

    def body(ground: Ground, span: Span, rows: Rows) -> sql.Composable:
        del rows  # nothing of the reference is locked: its own writers make their rows by themselves
        return SQL(
            "nf_seen AS MATERIALIZED (SELECT DISTINCT {values} FROM ONLY {table} t WHERE {within} AND {wanted}), "
            "nf_made AS (INSERT INTO {lookup} AS l ({columns}) SELECT {picked} FROM nf_seen v WHERE NOT EXISTS "
            "(SELECT FROM {lookup} l WHERE {same}) AND NOT EXISTS ({nothing}) ORDER BY {picked} ON CONFLICT DO NOTHING "
            "RETURNING {key}::text AS key), "
            "nf_kept AS (INSERT INTO {created} (lookup, key, made_by) SELECT {name}, m.key, 'expand' FROM nf_made m "
            "ON CONFLICT DO NOTHING), "
            "nf_done AS (SELECT count(*) AS changed, 0::bigint AS skipped FROM nf_made)"
        ).format(
            values=_values(reference),
            nothing=nothing,
            table=table(ground.name),
            within=ground.within("t", span),
            wanted=_wanted(reference, bare=bare),
            lookup=table(lookup.table.name),
            columns=names(columns),
            picked=SQL(", ").join([column("v", n) for n in fixed]),
            same=_same(reference, by_qualifier=qualified and not bare),
            key=column("l", lookup.key.name),
            created=ledger("created"),
            name=sql.Literal(lookup.name),
        )

    kind = "bare-values" if bare else "values"
    return Work(f"{kind}:{reference.name}", Heap(reference.table.name), body, SQL("false"), gates=(lookup.name,))


def added_by_others(lookup: Lookup) -> str:
    """Return a query of one number: rows of a lookup that we made which neither expand nor sync has made."""
    return render(
        SQL(
            "SELECT count(*) FROM {} l WHERE NOT EXISTS (SELECT FROM {} d WHERE d.lookup = {} AND d.key = {}::text)"
        ).format(table(lookup.table.name), ledger("created"), sql.Literal(lookup.name), column("l", lookup.key.name))
    )


def drop_table(name: QName) -> str:
    """Return DROP TABLE. Without CASCADE, so that whatever an application has hung on it makes the server refuse."""
    return render(SQL("DROP TABLE {}").format(table(name)))


def forget_created(lookup: Lookup) -> str:
    """Return the statement that forgets which rows we made."""
    return render(SQL("DELETE FROM {} WHERE lookup = {}").format(ledger("created"), sql.Literal(lookup.name)))


def _column(made: Column) -> sql.Composable:
    words: list[sql.Composable] = [sql.Identifier(made.name), raw(made.type)]
    if made.collation is not None:
        words.append(SQL("COLLATE {}").format(raw(made.collation)))
    if made.not_null:
        words.append(SQL("NOT NULL"))
    if made.identity:
        words.append(SQL("GENERATED BY DEFAULT AS IDENTITY"))
    if made.default is not None:
        words.append(SQL("DEFAULT {}").format(raw(made.default)))
    return SQL(" ").join(words)


def _privileges(target: Table, text: Column) -> list[tuple[str, set[str]]]:
    """Who may do what with a reference's text: by the table's privileges, or by the column's own."""
    entries = [parse_acl(entry) for entry in (*target.acl, *text.acl)]
    return [(grantee, {letter for letter, _ in letters}) for grantee, letters in entries]


def _values(reference: Reference) -> sql.Composable:
    parts = [
        SQL("{} AS {}").format(value, sql.Identifier(n))
        for value, n in zip(scope_values(reference, "t"), scope_names(len(reference.scope)), strict=True)
    ]
    parts.append(SQL("{} AS x").format(reading(reference, column("t", reference.text.name))))
    parts.append(SQL("{} AS q").format(_qualifier(reference)))
    return SQL(", ").join(parts)


def _qualifier(reference: Reference) -> sql.Composable:
    if reference.qualifier is None:
        return SQL("NULL::text")
    return label(reference.qualifier, column("t", reference.qualifier.name))


def _wanted(reference: Reference, *, bare: bool) -> sql.Composable:
    known = [c.name for c in (*reference.scope, reference.text)]
    parts = [SQL("{} IS NOT NULL").format(column("t", c)) for c in known]
    if reference.lookup.qualifier_column is not None:
        parts.append(SQL("{} IS {}").format(_qualifier(reference), SQL("NULL" if bare else "NOT NULL")))
    return conjunction(parts)


def _same(reference: Reference, *, by_qualifier: bool) -> sql.Composable:
    """Lookup row ``l`` has the text of value ``v``, and its qualifier where that counts."""
    lookup = reference.lookup
    parts: list[sql.Composable] = [
        SQL("{} = {}").format(column("l", c), column("v", n))
        for c, n in zip(lookup.scope, scope_names(len(lookup.scope)), strict=True)
    ]
    parts.append(matches(reference, column("l", lookup.text.name), SQL("v.x")))
    if by_qualifier and lookup.qualifier_column is not None:
        parts.append(SQL("{} = v.q").format(label(lookup.qualifier_text, column("l", lookup.qualifier_column))))
    return conjunction(parts)


def rows_to_be(model: Model, lookup: Lookup) -> sql.Composable:
    """Return a query of the rows that a lookup would get, under the names of its columns. It reads every reference."""
    return SQL("WITH v AS ({all}) SELECT {picked} FROM v WHERE v.q IS NOT NULL OR NOT EXISTS ({told})").format(
        all=_distinct(model, lookup), picked=_named(lookup), told=_told(lookup)
    )


def near_rows_to_be(
    model: Model, lookup: Lookup, values: Sequence[tuple[tuple[str | None, ...], str]]
) -> sql.Composable:
    """Return a query of those of them that have one of the (scope, text) values."""
    fixed = [*scope_names(len(lookup.scope)), "x"]
    lists = [[v[0][i] for v in values] for i in range(len(lookup.scope))] + [[v[1] for v in values]]
    return SQL(
        "WITH v AS ({all}) SELECT {picked} FROM v WHERE ({cols}) IN (SELECT {cols_f} FROM unnest({lists}) f({fields}))"
    ).format(
        all=_distinct(model, lookup),
        picked=_named(lookup),
        cols=SQL(", ").join([column("v", n) for n in fixed]),
        cols_f=SQL(", ").join([column("f", n) for n in fixed]),
        lists=SQL(", ").join([SQL("{}::text[]").format(sql.Literal(x)) for x in lists]),
        fields=names(fixed),
    )


def untold_values(model: Model, lookup: Lookup) -> sql.Composable:
    """Return a query of the texts without a qualifier that would stand under several, so that nothing picks one."""
    return SQL("WITH v AS ({all}) SELECT {picked} FROM v WHERE v.q IS NULL AND ({several}) > 1").format(
        all=_distinct(model, lookup),
        picked=_named(lookup),
        several=SQL("SELECT count(*) FROM ({}) w").format(_told(lookup)),
    )


def long_rows_to_be(model: Model, lookup: Lookup, longest: int) -> sql.Composable:
    """Return a query of the texts that have more bytes than that."""
    return SQL(
        "WITH v AS ({all}) SELECT {picked}, octet_length(v.x) AS bytes FROM v WHERE octet_length(v.x) > {n}"
    ).format(all=_distinct(model, lookup), picked=_named(lookup), n=sql.Literal(longest))


def _distinct(model: Model, lookup: Lookup) -> sql.Composable:
    """Every distinct (s1 …, x, q) of a lookup's references, all as text."""
    parts: list[sql.Composable] = []
    for reference in model.references_of(lookup):
        picked: list[sql.Composable] = [
            SQL("{}::text AS {}").format(column("t", c.name), sql.Identifier(n))
            for c, n in zip(reference.scope, scope_names(len(reference.scope)), strict=True)
        ]
        picked.append(SQL('{}::text COLLATE pg_catalog."C" AS x').format(column("t", reference.text.name)))
        picked.append(SQL("{} AS q").format(_qualifier(reference)))
        known = [SQL("{} IS NOT NULL").format(column("t", c.name)) for c in (*reference.scope, reference.text)]
        parts.append(
            SQL("SELECT {} FROM {} t WHERE {}").format(
                SQL(", ").join(picked), table(reference.table.name), conjunction(known)
            )
        )
    return SQL(" UNION ").join(parts)


def _told(lookup: Lookup) -> sql.Composable:
    """The qualifiers that the text of value ``v`` stands under."""
    same = [SQL("{} = {}").format(column("o", n), column("v", n)) for n in [*scope_names(len(lookup.scope)), "x"]]
    return SQL("SELECT o.q FROM v o WHERE {} AND o.q IS NOT NULL").format(conjunction(same))


def _named(lookup: Lookup) -> sql.Composable:
    """The values under the names of the lookup's columns."""
    pairs = [*zip(scope_names(len(lookup.scope)), lookup.scope, strict=True), ("x", lookup.text.name)]
    pairs += [("q", lookup.qualifier_column)] if lookup.qualifier_column is not None else []
    return SQL(", ").join([SQL("{} AS {}").format(column("v", n), sql.Identifier(c)) for n, c in pairs])
