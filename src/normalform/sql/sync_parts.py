"""What sync's functions share: their names, their locks, and the small expressions that they are written with.

Decides how strongly a lookup row is locked (CORRECTNESS 2) and what the names of functions and triggers are. Names
depend on the spec's names alone, so that every run finds what an earlier one made.
"""

from __future__ import annotations

import re
import zlib

from psycopg import sql

from ..core.catalog import Column, Table
from ..core.model import Lookup, Reference
from ..core.names import shorten
from . import compare
from .quote import column, conjunction, ledger, raw
from .shapes import path_of

SQL = sql.SQL
#: Our triggers sort before and after every trigger whose name begins with an ASCII letter, digit or underscore.
FIRST = "!normalform_"
LAST = "~normalform_"
#: Tries to see a lookup stand still before a writer is told to try again; each takes a concurrent commit.
TRIES = 100
#: With more rows than this hanging on a name, ``rename = "auto"`` queues (CORRECTNESS 11).
AUTO_LIMIT = 1000

_CONSTANT = re.compile(r"""E?'(?:[^']|'')*'(?:::[\w ".]+(?:\(\d+\))?)?|-?\d+(?:\.\d+)?""")


def function_name(part: str, owner: str) -> str:
    """Return the name of one of ours: ``part`` says what it does, ``owner`` for which reference or lookup."""
    return shorten(f"{part}_{owner}")


def trigger_name(prefix: str, part: str, owner: str) -> str:
    """Return a trigger's name; the prefix (:data:`FIRST` or :data:`LAST`) survives any shortening."""
    return shorten(f"{prefix}{part}_{owner}")


def constant_default(target: Column | None) -> sql.Composable | None:
    """Return a column's default as an expression, only when it is a constant (CORRECTNESS 6)."""
    if target is None or target.default is None or target.generated:
        return None
    return raw(target.default) if _CONSTANT.fullmatch(target.default) else None


def new(name: str) -> sql.Composable:
    """Return ``NEW.column``."""
    return SQL("NEW.{}").format(sql.Identifier(name))


def old(name: str) -> sql.Composable:
    """Return ``OLD.column``."""
    return SQL("OLD.{}").format(sql.Identifier(name))


def in_plain_unique(target: Table, name: str) -> bool:
    """Whether changing the column is a key update: it stands in a unique index without predicate or expression."""
    return any(
        i.unique and i.valid and i.predicate is None and all(c.column is not None for c in i.columns)
        and any(c.column == name for c in i.columns)
        for i in target.indexes
    )  # fmt: skip


def lookup_lock(lookup: Lookup) -> sql.Composable:
    """Return the lock that keeps a lookup row's text as it is.

    Changes of scope and of what the qualifier is read from are key updates too: the lookup's own trigger takes
    FOR UPDATE before it lets them happen (``sql.sync_lookup``).
    """
    return SQL("FOR KEY SHARE" if lookup.text_in_unique else "FOR SHARE")


def path_lock(lookup: Lookup) -> sql.Composable:
    """Return the lock that keeps a path row's name and parent as they are."""
    path = lookup.path
    assert path is not None
    columns = [path.name] if path.parent is None else [path.name, path.parent]
    return SQL("FOR KEY SHARE" if all(in_plain_unique(path.table, c) for c in columns) else "FOR SHARE")


def lookup_scope(lookup: Lookup, values: list[sql.Composable], row: str = "l") -> sql.Composable:
    """Return ``l.tenant_id = value AND …``; ``true`` for a lookup without scope."""
    return conjunction(
        [
            SQL("{} = {}").format(column(row, name), compare.in_collation(c, v))
            for name, c, v in zip(lookup.scope, lookup.scope_columns, values, strict=True)
        ]
    )


def reference_scope(reference: Reference, values: list[sql.Composable], row: str = "t") -> sql.Composable:
    """Return ``t.tenant_id = value AND …``; ``true`` for a reference without scope."""
    return conjunction(
        [
            SQL("{} = {}").format(column(row, c.name), compare.in_collation(c, v))
            for c, v in zip(reference.scope, values, strict=True)
        ]
    )


def join_type(lookup: Lookup) -> sql.Composable:
    """Return the type of the column that a qualifier's path starts from."""
    assert lookup.path is not None
    found = lookup.table.column(lookup.path.join)
    assert found is not None
    return raw(found.type)


def qualifier_source(lookup: Lookup) -> str | None:
    """Return the lookup's column that its qualifier is read from, or starts from; None without a qualifier."""
    return lookup.path.join if lookup.path is not None else lookup.qualifier_column


def relevant_columns(lookup: Lookup) -> list[str]:
    """Return the columns of a lookup that decide what a text means."""
    source = qualifier_source(lookup)
    join = lookup.scope_copy.join if lookup.scope_copy is not None else None
    extra = [c for c in (source, join) if c is not None]
    return list(dict.fromkeys([lookup.key.name, lookup.text.name, *lookup.scope, *extra]))


def path_now(lookup: Lookup, row: str) -> sql.Composable:
    """Return the qualifier of a lookup row under that alias, read without locks."""
    if lookup.path is not None:
        return path_of(lookup.path, column(row, lookup.path.join))
    if lookup.qualifier_column is not None:
        return compare.label(lookup.qualifier_text, column(row, lookup.qualifier_column))
    return SQL("NULL::text")


def path_locked(lookup: Lookup, start: sql.Composable) -> sql.Composable:
    """Return the qualifier that ``start`` (a value of :func:`qualifier_source`) gives, with its rows locked."""
    if lookup.path is not None:
        return SQL("{}({})").format(ledger(function_name("lookup_path", lookup.name)), start)
    return SQL("({})::text").format(start)


def state_setting(reference: Reference) -> str:
    """Return the transaction-local setting that tells the last trigger what the first one saw, without its depth."""
    return f"normalform.row_{zlib.crc32(reference.name.encode()):08x}_"


def values(prefix: str, count: int) -> list[sql.Composable]:
    """Return the arguments ``p_s1``, ``p_s2`` …"""
    return [sql.Identifier(f"{prefix}{i + 1}") for i in range(count)]


def scope_arguments(reference: Reference) -> sql.Composable:
    """Return ``p_s1 type, p_s2 type, `` … with a comma behind each."""
    parts = [
        SQL("{} {}, ").format(name, raw(c.type))
        for name, c in zip(values("p_s", len(reference.scope)), reference.scope, strict=True)
    ]
    return SQL("").join(parts)


def called(name: str, arguments: list[sql.Composable]) -> sql.Composable:
    """Return a call of one of our functions."""
    return SQL("{}({})").format(ledger(name), SQL(", ").join(arguments))


def text_of(parts: list[sql.Composable]) -> sql.Composable:
    """Return ``concat(part, …)``: a message that shows NULL as nothing and needs no placeholders."""
    return SQL("concat({})").format(SQL(", ").join(parts))


def shown(reference: Reference, scope: list[sql.Composable]) -> sql.Composable:
    """Return an expression that names the scope in a message: `` in tenant_id 't'``."""
    parts: list[sql.Composable] = []
    for c, value in zip(reference.scope, scope, strict=True):
        parts += [sql.Literal(f" in {c.name} "), SQL("quote_nullable({}::text)").format(value)]
    return text_of(parts) if parts else sql.Literal("")


def relation(target: Table) -> sql.Composable:
    """Return a table's name as a literal for messages."""
    return sql.Literal(str(target.name))
