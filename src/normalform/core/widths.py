"""Widths: which columns expand makes wider first, so that what the one gives fits into the other (CORRECTNESS 6).

Decides by declared types alone, and only for ``varchar(n)``, which the catalog can widen without touching a row. It
must never narrow a column.
"""

from __future__ import annotations

from dataclasses import dataclass

from .catalog import Column, Table
from .model import Lookup, Model, Reference


@dataclass(frozen=True)
class Widening:
    """One column that becomes wider.

    Args:
        owner: the lookup or reference that it is for.
        step: the last part of the step's name.
        table: the column's table.
        column: the column as it is.
        width: characters that it will hold; None for any number.
        reason: why.
    """

    owner: str
    step: str
    table: Table
    column: Column
    width: int | None
    reason: str


def of_lookup(model: Model, lookup: Lookup) -> list[Widening]:
    """Where sync creates rows from text, the lookup must hold what the widest reference can."""
    creating = [r for r in model.references_of(lookup) if r.spec.on_unknown == "create"]
    if not creating:
        return []
    widths = [r.text.width for r in creating]
    widest = None if None in widths else max(w for w in widths if w is not None)
    reason = "sync creates rows from wider columns"
    return _wider(Widening(lookup.name, "width", lookup.table, lookup.text, widest, reason))


def of_reference(reference: Reference, longest_path: int) -> list[Widening]:
    """Text that the key gives must fit: the reference is widened to the lookup's width.

    Args:
        reference: the reference.
        longest_path: the characters of its lookup's longest qualifier now; 0 where it has none.
    """
    width = reference.lookup.text.width
    reason = "the lookup's text must fit when a key is written"
    found = _wider(Widening(reference.name, "width", reference.table, reference.text, width, reason))
    qualifier = reference.qualifier
    if qualifier is not None and qualifier.width is not None and longest_path > qualifier.width:
        reason = f"the longest qualifier has {longest_path} characters"
        found += _wider(Widening(reference.name, "qualifier-width", reference.table, qualifier, None, reason))
    return found


def _wider(wanted: Widening) -> list[Widening]:
    now = wanted.column.width
    if now is None or not wanted.column.type.startswith("character varying("):
        return []
    return [wanted] if wanted.width is None or wanted.width > now else []
