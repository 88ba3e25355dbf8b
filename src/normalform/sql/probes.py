"""Probes: queries of one boolean that tell from the catalog whether a step's object stands."""

from __future__ import annotations

from psycopg import sql

from ..core.names import QName
from .quote import render, table

SQL = sql.SQL


def regclass(name: QName) -> sql.Composable:
    """Return the table as a regclass expression that is NULL when it does not exist."""
    return SQL("to_regclass({})").format(sql.Literal(render(table(name))))


def column(name: QName, column_name: str) -> str:
    """Tell whether the table has the column."""
    return render(
        SQL(
            "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = {} AND attname = {} AND NOT attisdropped)"
        ).format(regclass(name), sql.Literal(column_name))
    )


def column_type(name: QName, column_name: str, type_text: str) -> str:
    """Tell whether the column has exactly this type, as format_type prints it."""
    return render(
        SQL(
            "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = {} AND attname = {} AND NOT attisdropped "
            "AND format_type(atttypid, atttypmod) = {})"
        ).format(regclass(name), sql.Literal(column_name), sql.Literal(type_text))
    )


def not_null(name: QName, column_name: str) -> str:
    """Tell whether the column is NOT NULL."""
    return render(
        SQL("SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = {} AND attname = {} AND attnotnull)").format(
            regclass(name), sql.Literal(column_name)
        )
    )


def index(schema: str, index_name: str) -> str:
    """Tell whether a valid index of that name exists."""
    return render(
        SQL("SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = {} AND indisvalid)").format(
            regclass(QName(schema, index_name))
        )
    )


def no_index(schema: str, index_name: str) -> str:
    """Tell whether no index of that name exists, valid or not."""
    return render(SQL("SELECT {} IS NULL").format(regclass(QName(schema, index_name))))


def constraint(name: QName, constraint_name: str, *, validated: bool = False) -> str:
    """Tell whether the table has the constraint (and, if asked, whether it has been validated)."""
    return render(
        SQL("SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = {} AND conname = {}{})").format(
            regclass(name), sql.Literal(constraint_name), SQL(" AND convalidated" if validated else "")
        )
    )


def trigger(name: QName, trigger_name: str) -> str:
    """Tell whether the table has the trigger."""
    return render(
        SQL("SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = {} AND tgname = {})").format(
            regclass(name), sql.Literal(trigger_name)
        )
    )


def function(schema: str, function_name: str) -> str:
    """Tell whether a function of that name exists in the schema."""
    return render(
        SQL("SELECT EXISTS (SELECT FROM pg_proc WHERE proname = {} AND pronamespace = to_regnamespace({}))").format(
            sql.Literal(function_name), sql.Literal(render(sql.Identifier(schema)))
        )
    )
