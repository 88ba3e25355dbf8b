"""Quoting: the one place where names become SQL. Never formats a name or a value by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from psycopg import sql

from ..core.names import QName

LEDGER = "normalform"
"""The schema of the ledger."""


def table(name: QName) -> sql.Composable:
    """Return a table's name, schema-qualified whenever the schema is known."""
    return sql.Identifier(name.schema, name.name) if name.schema else sql.Identifier(name.name)


def ledger(name: str) -> sql.Composable:
    """Return the name of a table or function of the ledger."""
    return sql.Identifier(LEDGER, name)


def column(alias: str, name: str) -> sql.Composable:
    """Return ``alias.column``."""
    return sql.SQL("{}.{}").format(sql.Identifier(alias), sql.Identifier(name))


def columns(alias: str, names: Iterable[str]) -> sql.Composable:
    """Return ``alias.a, alias.b`` …"""
    return sql.SQL(", ").join([column(alias, n) for n in names])


def names(identifiers: Iterable[str]) -> sql.Composable:
    """Return a comma-separated list of identifiers."""
    return sql.SQL(", ").join([sql.Identifier(n) for n in identifiers])


def raw(text: str) -> sql.Composable:
    """Return text that the server itself printed (a type, an expression of pg_get_expr) as SQL.

    Never for anything that a person wrote: those are identifiers or parameters.
    """
    return sql.SQL(text)


def conjunction(parts: Sequence[sql.Composable]) -> sql.Composable:
    """Return the parts joined by AND; ``true`` when there are none."""
    return sql.SQL(" AND ").join(parts) if parts else sql.SQL("true")


def render(statement: sql.Composable) -> str:
    """Return the statement as text; literals are quoted as the server's standard strings."""
    return statement.as_string(None)
