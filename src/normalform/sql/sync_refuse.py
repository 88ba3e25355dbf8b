"""What a writer is told when sync refuses: the SQLSTATE, the values by name, and what to write instead.

Decides the texts of the errors. The values of the row are shown to the writer who gave them and to nobody else.
"""

from __future__ import annotations

from psycopg import sql

from ..core.model import Reference
from .sync_carry import has_qualifier
from .sync_parts import SQL, new, relation, shown


def _raise(
    code: str, reference: Reference, message: list[sql.Composable], hint: list[sql.Composable]
) -> sql.Composable:
    """RAISE without placeholders: names and texts may hold percent signs."""
    return SQL(
        "RAISE EXCEPTION USING ERRCODE = {code}, MESSAGE = concat({message}), HINT = concat({hint}), "
        "SCHEMA = {schema}, TABLE = {table}, COLUMN = {column};"
    ).format(
        code=sql.Literal(code),
        message=SQL(", ").join(message),
        hint=SQL(", ").join(hint),
        schema=sql.Literal(reference.table.name.schema),
        table=sql.Literal(reference.table.name.name),
        column=sql.Literal(reference.text.name),
    )


def _quoted(name: str) -> sql.Composable:
    return SQL("quote_nullable({}::text)").format(new(name))


def _scope_shown(reference: Reference) -> sql.Composable:
    return shown(reference, [new(c.name) for c in reference.scope])


def _qualifier_shown(reference: Reference) -> list[sql.Composable]:
    if reference.qualifier is None:
        return []
    return [sql.Literal(f" ({reference.qualifier.name} "), _quoted(reference.qualifier.name), sql.Literal(")")]


def reject(reference: Reference) -> sql.Composable:
    lookup = reference.lookup
    return _raise(
        "23503",
        reference,
        [
            sql.Literal(f"{reference.table.name}.{reference.text.name} "),
            _quoted(reference.text.name),
            *_qualifier_shown(reference),
            _scope_shown(reference),
            SQL("CASE WHEN v_how = 'ambiguous' THEN ' means several rows of ' ELSE ' means no row of ' END"),
            relation(lookup.table),
        ],
        [
            SQL("CASE WHEN v_how = 'ambiguous' THEN {} ELSE {} END").format(
                sql.Literal(f"Write {reference.key}, or what tells the rows apart."),
                sql.Literal(f"Insert it into {lookup.table.name} first, or write a text that stands there."),
            )
        ],
    )


def no_row(reference: Reference) -> sql.Composable:
    lookup = reference.lookup
    return _raise(
        "23503",
        reference,
        [
            sql.Literal(f"{reference.table.name}.{reference.key} "),
            _quoted(reference.key),
            sql.Literal(f" is no row of {lookup.table.name}"),
            _scope_shown(reference),
        ],
        [sql.Literal(f"Write a {lookup.key.name} of {lookup.table.name}, in the row's own scope.")],
    )


def disagree(reference: Reference) -> sql.Composable:
    lookup = reference.lookup
    path: list[sql.Composable] = []
    if has_qualifier(reference):
        path = [SQL("' (' || quote_nullable(v_path) || ')'")]
    return _raise(
        "23514",
        reference,
        [
            sql.Literal(f"{reference.table.name}.{reference.text.name} "),
            _quoted(reference.text.name),
            *_qualifier_shown(reference),
            sql.Literal(f" and {reference.key} "),
            _quoted(reference.key),
            sql.Literal(f" disagree{'' if reference.scope else ':'}"),
            _scope_shown(reference),
            sql.Literal(f"{': ' if reference.scope else ' '}the key is "),
            SQL("quote_nullable(v_text)"),
            *path,
            SQL("CASE WHEN v_id IS NULL THEN {} ELSE {} || v_id::text END").format(
                sql.Literal(f", the text means no one row of {lookup.table.name}"),
                sql.Literal(f", the text is {lookup.key.name} "),
            ),
        ],
        [sql.Literal(f"Write {reference.text.name} or {reference.key} alone; the other one follows.")],
    )
