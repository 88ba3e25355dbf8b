"""How a reference's text is compared with its lookup's: as the lookup compares it.

Two columns of ``text`` or ``varchar`` need no care, and get none. Anything else does: two collations of columns leave
the server without one; citext's own operators are not on our search path, and without them it would be compared as
text; ``char(n)`` forgets trailing spaces. So a value of a reference is read as text, byte for byte (two spellings are
two values, whatever calls them equal), and a lookup's text is sought with the operator and the collation of the lookup.
Where only one side is citext or ``char(n)``, the server compares them as text, and so do we. It must never compare by a
collation that nobody has named.
"""

from __future__ import annotations

from psycopg import sql

from ..core.catalog import Column
from ..core.model import Lookup, Reference
from .quote import raw

SQL = sql.SQL
_PLAIN = ("text", "varchar")
_DEFAULT = 'pg_catalog."default"'


def plain(reference: Reference) -> bool:
    """Whether text and lookup's text can be compared as they are: both text, and no two collations, none lenient."""
    theirs, own = reference.text, reference.lookup.text
    if theirs.base not in _PLAIN or own.base not in _PLAIN or not (theirs.deterministic and own.deterministic):
        return False
    return theirs.collated is None or own.collated is None or theirs.collated == own.collated


def reading(reference: Reference, value: sql.Composable) -> sql.Composable:
    """Return a value of the reference's text column as a text whose equality is that of its bytes."""
    if plain(reference):
        return value
    return SQL('({})::text COLLATE pg_catalog."C"').format(value)


def as_default(reference: Reference, value: sql.Composable) -> sql.Composable:
    """Return a text for the ledger's own columns, which have the database's default collation."""
    text = SQL("({})::text").format(value)
    return text if plain(reference) else SQL("{} COLLATE {}").format(text, raw(_DEFAULT))


def matches(reference: Reference, own: sql.Composable, value: sql.Composable) -> sql.Composable:
    """Return the condition that a lookup's text is what a value of the reference says.

    Args:
        reference: the reference.
        own: the lookup's text, in its own type; an index on it serves.
        value: the value, as :func:`reading` gives it, or a text.
    """
    lookup = reference.lookup.text
    if plain(reference):
        return SQL("{} = {}").format(own, value)
    alike = _alike(lookup, own, value)
    if _special(lookup) is None or _special(lookup) == _special(reference.text):
        return alike
    # The first condition is for the index, and says less than the second.
    return SQL("({} AND {} = {})").format(alike, _text(lookup, own), _text(lookup, value))


def means(reference: Reference, theirs: sql.Composable, value: sql.Composable) -> sql.Composable:
    """Return the condition that a row's text is that of a lookup row.

    Args:
        reference: the reference.
        theirs: the reference's text column; an index on it serves.
        value: the lookup row's text, in its own type or as text.
    """
    text, own = reference.text, reference.lookup.text
    if plain(reference):
        return SQL("{} = {}").format(theirs, value)
    if _special(text) == _special(own) is not None:
        return _alike(text, theirs, value)
    exact = SQL("{} = {}").format(_text(own, theirs), _text(own, value))
    if text.deterministic and own.deterministic:
        alike = _alike(text, theirs, value)
        return alike if _special(text) is None else SQL("({} AND {})").format(alike, exact)
    return exact


def same(lookup: Lookup, own: sql.Composable, value: sql.Composable) -> sql.Composable:
    """Return the condition that two texts of a lookup are one to it; both in its own type, or as the ledger has them.

    Args:
        lookup: the lookup.
        own, value: the texts; an index on the first serves.
    """
    text = lookup.text
    if text.base == "citext":
        return _alike(text, SQL("({})::{}").format(own, raw(text.plain_type)), value)
    return SQL("{} = {}").format(own, value) if text.deterministic else _alike(text, own, value)


def same_aliases(lookup: Lookup, alias: sql.Composable) -> sql.Composable:
    """Return an alias as a text of the lookup's collation, beside which no other one stands."""
    own = lookup.text
    return alias if own.collated is None else SQL("{} COLLATE {}").format(alias, raw(own.collated))


def is_alias(reference: Reference, alias: sql.Composable, value: sql.Composable) -> sql.Composable:
    """Return the condition that a value is this alias, spelled so."""
    if plain(reference):
        return SQL("{} = {}").format(alias, value)
    return SQL("{} = {}").format(alias, _text(reference.lookup.text, value))


def label(column: Column | None, value: sql.Composable) -> sql.Composable:
    """Return a qualifier, or a name on its path, as a text that can be compared with any other."""
    text = SQL("{}::text").format(value)
    return text if column is None or column.collated is None else SQL("{} COLLATE {}").format(text, raw(_DEFAULT))


def in_collation(column: Column, value: sql.Composable) -> sql.Composable:
    """Return a value to compare a column of a scope with: under the column's own collation."""
    return value if column.collated is None else SQL("{} COLLATE {}").format(value, raw(column.collated))


def _special(column: Column) -> str | None:
    """The type whose own operators compare, where it is not text's."""
    return column.base if column.base in ("citext", "bpchar") else None


def _alike(column: Column, stored: sql.Composable, value: sql.Composable) -> sql.Composable:
    """``stored = value`` by the column's own operator and collation."""
    collation = raw(column.collated or _DEFAULT)
    if column.base == "citext":
        schema = column.plain_type.rpartition(".")[0]
        return SQL("{} OPERATOR({}=) ({})::{} COLLATE {}").format(
            stored, raw(f"{schema}." if schema else ""), value, raw(column.plain_type), collation
        )
    kind = SQL("bpchar") if column.base == "bpchar" else SQL("text")
    return SQL("{} = ({})::{} COLLATE {}").format(stored, value, kind, collation)


def _text(column: Column, value: sql.Composable) -> sql.Composable:
    """A value as text, under the column's collation."""
    return SQL("({})::text COLLATE {}").format(value, raw(column.collated or _DEFAULT))
