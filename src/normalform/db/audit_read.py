"""Reading lookups and references for the audit: range by range into the mapping file, saying how far.

Decides which statement reads a range, and how its rows travel. Must never hold a transaction between two ranges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg

from ..core.events import Event
from ..core.model import Lookup, Reference
from ..sql import findings as rows_sql
from ..sql.quote import render
from ..sql.shapes import scope_names
from ..sql.sheets import on_sheets
from . import mapping_file, packed, ranges
from .finder import Finder
from .mapping_file import Building

Read = Callable[[int, int], None]
Check = Callable[[], None]


def _rows(conn: psycopg.Connection, query: str, scope: int) -> Iterator[tuple[str | None, ...]]:
    """Yield the rows of a packed query, their first columns, the scope, made one."""
    scopes = mapping_file.Scopes()
    for lists in packed.blocks(conn, query):
        yield from zip(scopes.of(lists[:scope], len(lists[-1])), *lists[scope:], strict=True)


def read_lookup(finder: Finder, building: Building, lookup: Lookup, *, check: Check) -> None:
    """Read a lookup's rows and aliases into the mapping file.

    Args:
        finder: how it is read; its session has nothing else to do meanwhile.
        building: the file.
        lookup: the lookup.
        check: called before each range; raises when nobody wants the rest.
    """
    conn, names = finder.conn, scope_names(len(lookup.scope))

    def read(first: int, end: int) -> None:
        check()
        query = packed.pack(rows_sql.lookup_entries(lookup, first, end), [*names, "text", "key", "path"])
        building.add_lookup_range(lookup.name, _rows(conn, query, len(names)))

    for _ in _progress(finder, lookup.table.oid, f"audit/{lookup.name}", read, building.forget_lookup_range):
        pass
    if lookup.aliases is not None:
        with ranges.limited(conn, finder.longest):
            building.add_aliases(lookup.name, ranges.stream(conn, render(rows_sql.alias_entries(lookup))))


def read_reference(finder: Finder, building: Building, reference: Reference, *, check: Check) -> None:
    """Read a reference's values into the mapping file. Arguments as of :func:`read_lookup`."""
    conn = finder.conn

    def read(first: int, end: int) -> None:
        check()
        query = on_sheets(reference, rows_sql.entries(reference, first, end, stored=finder.stored))
        building.add_sheets(len(reference.scope), ranges.stream(conn, query, together=8))

    for _ in _progress(finder, reference.table.oid, f"audit/{reference.name}", read, building.forget_range):
        building.settle()


def _progress(finder: Finder, relation: int, name: str, read: Read, forget: Callable[[], None]) -> Iterator[None]:
    """Read a table range by range, say how far, and yield after each one."""
    finder.sink(Event("progress", name, done=0, total=ranges.blocks(finder.conn, relation), unit="blocks"))
    for done, total in ranges.each(
        finder.conn, relation, read, forget, longest=finder.longest, first_blocks=finder.first_blocks
    ):
        finder.sink(Event("progress", name, done=done, total=total, unit="blocks"))
        yield
