"""What the proof's statements are put together from: how a value, a text, a scope are said of a relation's alias.

Decides nothing by itself; ``proof`` and ``proof_bare`` do.
"""

from __future__ import annotations

from psycopg import sql

from ..core.model import Lookup, Reference
from . import compare
from .quote import column, ledger
from .shapes import STORED, lookup_rows, same_scope, scope_names

SQL = sql.SQL
#: Decisions that name a key. ``split`` names one key and allows every row that has the text; ``null`` names none.
KEYED = tuple(how for how in STORED if how != "null")
#: Compares byte by byte, whatever the columns' own collations say, and however they differ from each other.
BYTES = SQL('COLLATE pg_catalog."C"')


def qualified(reference: Reference) -> bool:
    """Whether the row's qualifier can tell equal texts apart."""
    return reference.qualifier is not None and reference.lookup.has_qualifier


def path_of(lookup: Lookup) -> sql.Composable:
    return SQL("p.path") if lookup.path is not None else SQL("b.own")


def join_paths(lookup: Lookup) -> sql.Composable:
    return SQL(" LEFT JOIN nf_paths p ON p.cid = b.cid") if lookup.path is not None else SQL("")


def text_of(alias: str, count: int) -> sql.Composable:
    """``alias.s1, … alias.x``: what a text is within its scope."""
    return SQL(", ").join([column(alias, c) for c in [*scope_names(count), "x"]])


def same_text(left: str, right: str, count: int) -> sql.Composable:
    return SQL("{} AND {} = {}").format(same_scope(left, right, count), column(left, "x"), column(right, "x"))


def says(reference: Reference, row: str, own: str) -> sql.Composable:
    """A reference's value under one alias is a lookup's text, in its scope, under the other."""
    text = compare.matches(reference, column(own, "x"), column(row, "x"))
    return SQL("{} AND {}").format(same_scope(own, row, len(reference.scope)), text)


def count_lookup_rows(reference: Reference) -> sql.Composable:
    """The number of lookup rows in a join with values, of which two spellings can mean the same text."""
    return SQL("count(*)") if compare.plain(reference) else SQL("count(DISTINCT b.id)")


def queued(reference: Reference, alias: str, kind: sql.Composable) -> sql.Composable:
    """Whether the queue of renames has an entry for the row's key. Evaluated for the few rows that get so far."""
    return SQL("EXISTS (SELECT FROM {} p WHERE p.lookup = {} AND p.key = {}::text AND {})").format(
        ledger("pending"), sql.Literal(reference.lookup.name), column(alias, "k"), kind
    )


def alive(reference: Reference, alias: str) -> sql.Composable:
    """Whether the lookup row that a decision names is still there, in the row's own scope; else it decides nothing."""
    lookup = reference.lookup
    named = lookup_rows(lookup, where=SQL("{} = {}").format(column("l", lookup.key.name), column(alias, "mk")))
    return SQL("EXISTS (SELECT FROM ({}) d WHERE {})").format(named, same_scope("d", alias, len(reference.scope)))
