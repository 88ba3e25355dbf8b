"""Statements that make a column again as the catalog had it, and drop it.

Decides the order that keeps rows untouched: the column comes first and its default after, since a default given with
ADD COLUMN would show in every row that exists. It must never write CASCADE (CORRECTNESS 24).
"""

from __future__ import annotations

from dataclasses import replace

from psycopg import sql

from ..core.catalog import Column
from ..core.names import QName
from .quote import raw, render, table

SQL = sql.SQL
#: Letters of an ACL that a column can carry.
_PRIVILEGES = {"r": "SELECT", "a": "INSERT", "w": "UPDATE", "x": "REFERENCES"}


def add_column(on: QName, column: Column, *, not_null: bool = False) -> tuple[str, ...]:
    """Return the statements that add a column as it was: metadata only, no row is rewritten.

    Args:
        on: the table.
        column: its definition. The expression of a generated column is written with it, and then rows *are*
            rewritten.
        not_null: also what says NOT NULL; only right for an empty table, since rows that exist have no value yet.

    Returns:
        ADD COLUMN, then default, storage, compression, statistics target, options, comment and privileges.
    """
    name = sql.Identifier(column.name)
    words: list[sql.Composable] = [name, raw(column.type)]
    if column.collation is not None:
        words.append(SQL("COLLATE {}").format(raw(column.collation)))
    if column.generated and column.default is not None:
        kind = SQL("STORED" if column.generated == "s" else "VIRTUAL")
        words.append(SQL("GENERATED ALWAYS AS ({}) {}").format(raw(column.default), kind))
    if column.identity:
        words.append(SQL("GENERATED {} AS IDENTITY").format(SQL("ALWAYS" if column.identity == "a" else "BY DEFAULT")))
    added = render(SQL("ALTER TABLE {} ADD COLUMN {}").format(table(on), SQL(" ").join(words)))
    return (added, *_settings(on, column, not_null=not_null), *_words(on, column))


def add_base(on: QName, column: Column) -> tuple[str, ...]:
    """Return the same for a column that may be of a domain: with the type below it, and neither default nor settings.

    A domain's own rules would be asked of every row at once, under the lock, and NOT NULL is one that none fulfils yet.
    :func:`domain_back` makes it whole when the rows have their values.
    """
    if not is_domain(column):
        return add_column(on, column)
    base = replace(column, type=column.plain_type, collation=column.collated)
    bare = replace(base, default=None, storage=None, compression="", statistics=None, options=())
    return add_column(on, bare)


def is_domain(column: Column) -> bool:
    """Whether the column's type is a domain."""
    return column.plain_type != column.type


def domain_back(on: QName, column: Column) -> tuple[str, ...]:
    """Return the statements that give a column its domain again: every row is read under the lock."""
    words = [raw(column.type)]
    if column.collation is not None:
        words.append(SQL("COLLATE {}").format(raw(column.collation)))
    alter = SQL("ALTER TABLE {} ALTER COLUMN {} TYPE {}").format(
        table(on), sql.Identifier(column.name), SQL(" ").join(words)
    )
    return (render(alter), *_settings(on, column))


def _settings(on: QName, column: Column, *, not_null: bool = False) -> list[str]:
    name = sql.Identifier(column.name)
    changes: list[sql.Composable] = []
    if column.default is not None and not column.generated:
        changes.append(SQL("SET DEFAULT {}").format(raw(column.default)))
    if not_null and column.not_null and not column.identity:
        changes.append(SQL("SET NOT NULL"))
    if column.storage is not None:
        changes.append(SQL("SET STORAGE {}").format(raw(column.storage)))
    if column.compression:
        changes.append(SQL("SET COMPRESSION {}").format(raw(column.compression)))
    if column.statistics is not None:
        changes.append(SQL("SET STATISTICS {}").format(sql.Literal(column.statistics)))
    if column.options:
        pairs = [option.partition("=") for option in column.options]
        listed = SQL(", ").join([SQL("{} = {}").format(sql.Identifier(k), sql.Literal(v)) for k, _, v in pairs])
        changes.append(SQL("SET ({})").format(listed))
    return [render(SQL("ALTER TABLE {} ALTER COLUMN {} {}").format(table(on), name, c)) for c in changes]


def _words(on: QName, column: Column) -> list[str]:
    """The comment and the privileges."""
    said = SQL("COMMENT ON COLUMN {}.{} IS {}")
    comment = [render(said.format(table(on), sql.Identifier(column.name), sql.Literal(column.comment)))]
    return [*(comment if column.comment is not None else ()), *grants(on, column)]


def drop_column(on: QName, name: str) -> str:
    """Return DROP COLUMN. Without CASCADE, so that whatever depends on it makes the server refuse."""
    return render(SQL("ALTER TABLE {} DROP COLUMN IF EXISTS {}").format(table(on), sql.Identifier(name)))


def set_not_null(on: QName, name: str) -> str:
    """Return SET NOT NULL; a valid CHECK (… IS NOT NULL) spares it the scan under its lock."""
    return render(SQL("ALTER TABLE {} ALTER COLUMN {} SET NOT NULL").format(table(on), sql.Identifier(name)))


def drop_not_null(on: QName, name: str) -> str:
    """Return DROP NOT NULL."""
    return render(SQL("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL").format(table(on), sql.Identifier(name)))


def grants(on: QName, column: Column) -> tuple[str, ...]:
    """Return the GRANTs that give a column its privileges again.

    Each comes from whoever runs them: PostgreSQL lets nobody grant in another role's name, so that a privilege that
    a grantee with grant option had passed on comes back as one from the owner.
    """
    result = []
    for entry in column.acl:
        grantee, letters = parse_acl(entry)
        for option in (False, True):
            words = [_PRIVILEGES[c] for c, star in letters if star == option and c in _PRIVILEGES]
            if not words:
                continue
            result.append(
                render(
                    SQL("GRANT {} ON {} TO {}{}").format(
                        SQL(", ").join([SQL("{} ({})").format(raw(w), sql.Identifier(column.name)) for w in words]),
                        table(on),
                        sql.Identifier(grantee) if grantee else SQL("PUBLIC"),
                        SQL(" WITH GRANT OPTION" if option else ""),
                    )
                )
            )
    return tuple(result)


def parse_acl(entry: str) -> tuple[str, tuple[tuple[str, bool], ...]]:
    """Read one aclitem as the server prints it: ``reader=r*w/owner``.

    Returns:
        The grantee, empty for PUBLIC, and each privilege's letter with whether it may be granted on.

    Raises:
        ValueError: it is not an aclitem.
    """
    grantee, rest = _identifier(entry)
    if not rest.startswith("="):
        raise ValueError(f"{entry!r} is no aclitem")
    letters, slash, _ = rest[1:].partition("/")
    if not slash:
        raise ValueError(f"{entry!r} is no aclitem")
    return grantee, tuple((c, letters[i + 1 : i + 2] == "*") for i, c in enumerate(letters) if c != "*")


def _identifier(text: str) -> tuple[str, str]:
    """Split off a leading role name, quoted or bare."""
    if not text.startswith('"'):
        name, equals, rest = text.partition("=")
        return name, equals + rest
    position, name = 1, ""
    while position < len(text):
        if text[position] == '"':
            if text[position + 1 : position + 2] != '"':
                return name, text[position + 1 :]
            position += 1
        name += text[position]
        position += 1
    raise ValueError(f"{text!r} is no aclitem")
