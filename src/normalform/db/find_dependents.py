"""Findings of what depends on the texts by the catalog's own account, and of what takes the place of what.

Decides what each dependent needs before contract: nothing, where it has a successor; else a person's hand, for contract
never cascades. Reads the catalogs alone; the bodies of functions are ``db.find_bodies``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from psycopg import sql

from ..core import widths
from ..core.catalog import Table
from ..core.conservation import Conserved
from ..core.index_successor import Successor
from ..core.model import Lookup, Reference
from ..core.names import QName, display
from ..sql import dependent_findings as queries
from ..sql.shapes import longest_path
from .finder import SAMPLES, Finder, several
from .world import Tables, texts_of

Query = Callable[[QName, Sequence[str]], sql.Composable]

_KINDS: tuple[tuple[str, Query, str, str], ...] = (
    ("NF312", queries.views, "view", "read"),
    ("NF313", queries.materialized_views, "materialized view", "read"),
    ("NF314", queries.rules, "rule", "read"),
    ("NF315", queries.policies, "policy", "read"),
    ("NF316", queries.triggers, "trigger", "name"),
    ("NF317", queries.generated, "generated column", "are computed from"),
    ("NF318", queries.publications, "publication", "name"),
    ("NF319", queries.statistics, "statistics object", "are on"),
    ("NF320", queries.defaults, "column", "have a default and"),
)
_PLURAL = {"policy": "policies"}
_ONE = {"read": "reads", "name": "names", "are computed from": "is computed from", "are on": "is on"}


def find(finder: Finder, tables: Tables) -> None:
    """Add a finding for each kind of dependent of each reference's texts."""
    for conserved in tables.conserved:
        seen: set[str] = set()
        for reference in conserved.references:
            columns = [c for c in texts_of(reference) if c in conserved.dropped]
            if columns:
                _hanging(finder, conserved, reference, columns)
                _succession(finder, conserved, reference, columns, seen)


def find_widening(finder: Finder) -> None:
    """Add what keeps expand from widening a column. (The server would refuse, and expand stop there.)"""
    model = finder.model
    standing = [x for x in model.lookups if not x.planned]
    longest = {x.name: _longest_path(finder, x) for x in standing if x.has_qualifier}
    wanted = [w for x in standing for w in widths.of_lookup(model, x)]
    for reference in model.references:
        if reference.text_present and not reference.key_present:
            wanted += widths.of_reference(reference, longest.get(reference.lookup.name, 0))
    for widening in wanted:
        query = queries.blockers(widening.table.name, [widening.column.name])
        asked = finder.ask(widening.owner, "NF328", query)
        if asked is not None:
            column = f"{widening.table.name}.{display(widening.column.name)}"
            title = f"{several(asked.count, 'object')} on {column}, which expand widens: {widening.reason}"
            finder.add("NF328", widening.owner, title, query, asked.count, sample=asked.sample)


def _longest_path(finder: Finder, lookup: Lookup) -> int:
    rows = finder.rows(lookup.name, "NF328", longest_path(lookup))
    return int(rows[0]["longest"]) if rows else 0


def _hanging(finder: Finder, conserved: Conserved, reference: Reference, columns: Sequence[str]) -> None:
    texts = " or ".join(display(c) for c in columns)
    for code, make, noun, verb in _KINDS:
        query = make(conserved.name, columns)
        asked = finder.ask(reference.name, code, query)
        if asked is None or asked.count == 0:
            continue
        what = several(asked.count, noun, _PLURAL.get(noun))
        if code == "NF320":
            title = f"{several(asked.count, 'text')} of {conserved.name} with a default, which goes with the column"
        else:
            title = f"{what} {_ONE.get(verb, verb) if asked.count == 1 else verb} {texts} of {conserved.name}"
        finder.add(code, reference.name, title, query, asked.count, sample=asked.sample)


def _succession(
    finder: Finder, conserved: Conserved, reference: Reference, columns: Sequence[str], seen: set[str]
) -> None:
    """What constrain builds in the place of each index and constraint, and what it cannot.

    Args:
        finder: takes the findings.
        conserved: the table.
        reference: the reference.
        columns: its texts that contract drops.
        seen: names that another reference of the same table has reported.
    """
    uses = _uses(conserved.current)
    own = [n for n in uses if set(columns) & uses[n] and n not in seen]
    seen |= set(own)
    kept = [
        (source, f"{s.kind} {_described(s)}")
        for s in conserved.succession.successors
        for source in s.sources
        if source in own
    ]
    kept += [(c.source, f"{display(c.by)}: {c.reason}") for c in conserved.succession.covered if c.source in own]
    if kept:
        title = f"{several(len(kept), 'object')} of {conserved.name} will be recreated on the key"
        _list(finder, "NF310", reference, title, ("object", "successor"), sorted(kept))
    lost = [
        (u.source, u.kind, u.reason, u.remedy)
        for u in conserved.succession.unconvertible
        if u.source in own or (u.kind == "inbound foreign key" and _first(conserved, reference))
    ]
    if lost:
        title = f"{several(len(lost), 'object')} of {conserved.name} without successor"
        _list(finder, "NF311", reference, title, ("object", "kind", "reason", "remedy"), sorted(lost))


def _list(
    finder: Finder,
    code: str,
    reference: Reference,
    title: str,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
) -> None:
    query = queries.listed(heads, rows, "SELECT v.* FROM v")
    sample = [dict(zip(heads, row, strict=True)) for row in rows[:SAMPLES]]
    finder.add(code, reference.name, title, query, len(rows), sample=sample)


def _first(conserved: Conserved, reference: Reference) -> bool:
    return conserved.going()[0] is reference


def _uses(table: Table) -> dict[str, set[str]]:
    """Return the columns that each index and constraint of a table reads, by its name."""
    uses = {i.name: set(i.uses) for i in table.indexes}
    for constraint in table.constraints:
        uses.setdefault(constraint.name, set()).update(constraint.columns)
    return uses


def _described(successor: Successor) -> str:
    name = display(successor.name)
    if successor.index is not None:
        keys = ", ".join(display(c.column) if c.column else f"({c.expression})" for c in successor.index.columns)
        where = f" WHERE {successor.index.predicate}" if successor.index.predicate else ""
        return f"{name} ({keys}){where}"
    return f"{name}: {successor.constraint.definition}" if successor.constraint else name
