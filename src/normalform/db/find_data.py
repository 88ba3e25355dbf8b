"""Findings from the data: of the lookups' own rows, and of every reference's values.

Decides how much each matters under this spec. Counts come from the mapping, which was read once in block ranges; the
statement beside each gives the same rows by hand. Must never read a large table in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from psycopg import sql

from ..core.catalog import Index
from ..core.findings import Severity
from ..core.model import Lookup, Reference
from ..sql import compare
from ..sql import findings as rows_sql
from ..sql import lookup_findings as lookups_sql
from ..sql.quote import column, render
from . import mapping_questions as questions
from . import ranges
from .finder import Asked, Finder, several
from .mapping_file import Building

SQL = sql.SQL
#: Per finding of the mapping: which resolved rows it is about, in SQL, and its title.
_ROWS: Mapping[str, tuple[str, str]] = {
    "NF201": ("z.how = 'orphan' AND z.note IS NULL", "{rows} of {table} have a text that no {lookup} has: {values}"),
    "NF202": (
        "z.how = 'ambiguous' AND z.x IS NOT NULL",
        "{rows} of {table} could mean several {lookup} rows: {values}",
    ),
    "NF203": ("z.note = 'scope-null'", "{rows} of {table} have a text and no {scope}: {values}"),
    "NF204": ("z.note = 'scope-unknown'", "{rows} of {table} have a {scope} that does not exist: {values}"),
    "NF205": (
        "z.note = 'qualifier-disagrees'",
        "{rows} of {table} name another {qualifier} than their {lookup} has: {values}",
    ),
    "NF206": ("z.note = 'qualifier-unknown'", "{rows} of {table} name a {qualifier} that does not exist: {values}"),
}
_UNRESOLVED = ("NF201", "NF202", "NF203", "NF204")


def find_in_lookup(finder: Finder, building: Building, lookup: Lookup) -> None:
    """Add the findings about a lookup's own rows. The lookup's rows are in the building file."""
    census = finder.rows(lookup.name, "NF105 to NF107", lookups_sql.census(lookup))
    if census is not None:
        no_scope, no_text, no_path = census[0].values()
        _lookup_rows(finder, lookup, "NF105", no_scope, lookups_sql.without_scope, "have no scope")
        _lookup_rows(finder, lookup, "NF106", no_text, lookups_sql.without_text, "have no text")
        if lookup.path is not None:
            _lookup_rows(finder, lookup, "NF107", no_path, lookups_sql.without_path, "stand under no path from a root")
    kept_apart = lookups_sql.kept_apart(lookup) and (lookup.path is None or (census is not None and no_path == 0))
    asking = None if kept_apart else lookups_sql.duplicates
    if lookup.spec.unique and not lookups_sql.proves_unique(lookup):
        _lookup_rows(finder, lookup, "NF104", 1, lookups_sql.same_unique, "collide in the spec's unique")
    if lookup.path is not None:
        asked = finder.ask(lookup.name, "NF108", lookups_sql.equal_paths(lookup))
        if asked is not None:
            title = f"{several(asked.count, 'row')} of {lookup.path.table.name} share their path with another"
            finder.add("NF108", lookup.name, title, lookups_sql.equal_paths(lookup), asked.count,
                       sample=asked.sample, open_columns=(lookup.path.key,))  # fmt: skip
        if kept_apart and asked is None:
            asking = lookups_sql.duplicates
        elif kept_apart and asked is not None and asked.count:
            asking = lookups_sql.duplicates_by_path
    what = "share text and qualifier with another" if lookup.has_qualifier else "share their text with another"
    if asking is not None:
        _lookup_rows(finder, lookup, "NF101", 1, lookups_sql.duplicates, what, asking=asking)
    _near_lookup(finder, building, lookup)


def _lookup_rows(
    finder: Finder,
    lookup: Lookup,
    code: str,
    expected: int,
    query: Callable[[Lookup], sql.Composable],
    what: str,
    *,
    asking: Callable[[Lookup], sql.Composable] | None = None,
) -> None:
    """Ask for offenders only where some are expected: each question reads the whole lookup.

    ``asking`` is a shorter way to the same rows; ``query`` is what a person is shown.
    """
    asked = finder.ask(lookup.name, code, (asking or query)(lookup)) if expected else None
    if asked is not None:
        title = f"{several(asked.count, 'row')} of {lookup.table.name} {what}"
        finder.add(code, lookup.name, title, query(lookup), asked.count, sample=asked.sample,
                   open_columns=_open(lookup))  # fmt: skip


def _open(lookup: Lookup) -> tuple[str, ...]:
    """Return the columns that may be shown where values are hidden: a key that is no text."""
    return () if lookup.key.is_text else (lookup.key.name,)


def _near_lookup(finder: Finder, building: Building, lookup: Lookup) -> None:
    values, rows, more = questions.near_lookup(building, lookup.name)
    if values:
        query = lookups_sql.near_duplicates(lookup, values)
        sample = [_value(lookup.scope, v[0], {lookup.text.name: v[1]}) for v in values[: questions.SAMPLES]]
        title = f"{several(rows, 'row')} of {lookup.table.name} differ from another by form, case or spaces alone"
        finder.add("NF103", lookup.name, title, query, rows, sample=sample, open_columns=(), holds_values=True,
                   numbers={"values": len(values)}, more=more)  # fmt: skip


def ask_several(finder: Finder, lookup: Lookup) -> Asked | None:
    """Return the names that stand under several qualifiers; None where there can be none, or no answer came."""
    return finder.ask(lookup.name, "NF102", lookups_sql.several(lookup)) if lookup.has_qualifier else None


def find_across(
    finder: Finder, building: Building, lookup: Lookup, numbers: Mapping[str, int], asked: Asked | None
) -> None:
    """Add what the names that stand under several qualifiers mean for the references, once all have been read.

    Args:
        finder: where the finding goes.
        building: the mapping.
        lookup: the lookup.
        numbers: the references' numbers in the mapping, by name.
        asked: what :func:`ask_several` gave.
    """
    if asked is None or asked.count == 0:
        return
    query = lookups_sql.several(lookup)
    own = [n for name, n in numbers.items() if finder.model.reference(name).lookup.name == lookup.name]
    join = questions.join_on_text(building, own)
    ambiguous = sum(questions.rows_of(building, n, "ambiguous") for n in own)
    title = (
        f"{several(asked.count, 'name')} of {lookup.table.name} stand under several qualifiers: {join['rows']:,} rows "
        f"are told apart by their own; a join on the text alone gets {join['wrong_at_least']:,} to "
        f"{join['wrong_at_most']:,} of them wrong"
    )
    severity = Severity.WARNING if ambiguous else Severity.INFO
    finder.add("NF102", lookup.name, title, query, asked.count, severity=severity, sample=asked.sample,
               open_columns=("rows",), numbers={**join, "ambiguous_rows": ambiguous})  # fmt: skip


def find_in_reference(finder: Finder, reading: questions.Reading, reference: Reference) -> None:
    """Add the findings about a reference's values. The reference has been read, its suggestions made."""
    building, number = reading.building, reading.number
    for code, (condition, title) in _ROWS.items():
        _rows(finder, reference, reading.about(code), code, SQL(condition), title)
    _null_texts(finder, reading, reference)
    _too_long(finder, reading, reference)
    _near(finder, building, reference, number)
    _long_lookup_values(finder, building, reference)
    for index in reference.table.indexes:
        if rows_sql.collidable(reference, index):
            _collisions(finder, reading, reference, index)
        elif index.unique and index.valid and reference.text.name in index.uses:
            finder.unknown(reference.name, "NF208", f"{index.name} is on an expression of {reference.text.name}")


def _long_lookup_values(finder: Finder, building: Building, reference: Reference) -> None:
    if reference.lookup.name not in building.longest:
        building.longest[reference.lookup.name] = questions.longest(building, reference.lookup.name)
    text, path = building.longest[reference.lookup.name]
    widths = (reference.text.width, reference.qualifier.width if reference.qualifier else None)
    if any(width is not None and length > width for length, width in zip((text, path), widths, strict=True)):
        query = lookups_sql.too_long_for(reference)
        asked = finder.ask(reference.name, "NF110", query)
        if asked is not None:
            rows = several(asked.count, "row")
            title = f"{rows} of {reference.lookup.table.name} have a text or path too long for {reference.table.name}"
            finder.add("NF110", reference.name, title, query, asked.count, sample=asked.sample,
                       open_columns=_open(reference.lookup))  # fmt: skip


def _rows(
    finder: Finder, reference: Reference, found: questions.Some, code: str, condition: sql.Composable, title: str
) -> None:
    stored = finder.stored

    def query(first: int = 0, end: int = rows_sql.LAST_BLOCK) -> sql.Composable:
        return rows_sql.rows_where(reference, condition, stored=stored, first=first, end=end)

    finder.add(
        code, reference.name, _title(title, reference, found.rows, found.values), query(), found.rows,
        severity=_severity(reference, code), sample=_sample(reference, found), open_columns=("rows",),
        numbers={"values": found.values}, relation=reference.table.oid, ranged=query,
    )  # fmt: skip


def _null_texts(finder: Finder, reading: questions.Reading, reference: Reference) -> None:
    if not reference.spec.required:
        return
    found = reading.about("NF211")
    condition = SQL("{} IS NULL").format(column("t", reference.text.name))

    def query(first: int = 0, end: int = rows_sql.LAST_BLOCK) -> sql.Composable:
        return rows_sql.rows_with(reference, condition, first=first, end=end)

    title = f"{several(found.rows, 'row')} of {reference.table.name} have no text, and the reference is required"
    finder.add("NF211", reference.name, title, query(), found.rows, sample=_sample(reference, found),
               open_columns=("rows",), relation=reference.table.oid, ranged=query)  # fmt: skip


def _too_long(finder: Finder, reading: questions.Reading, reference: Reference) -> None:
    width = reference.lookup.text.width
    if width is None or not reading.about("NF201").rows:
        return
    condition = SQL("z.how = 'orphan' AND z.note IS NULL AND char_length(z.x::text) > {}").format(sql.Literal(width))
    title = (
        "{rows} of {table} have a text of more than " + f"{width} characters, which no {{lookup}} can hold: {{values}}"
    )
    found = reading.some(questions.CONDITIONS["NF201"] + " AND length(text) > ?", (width,))
    _rows(finder, reference, found, "NF209", condition, title)


def _near(finder: Finder, building: Building, reference: Reference, number: int) -> None:
    values, rows, more, _ = questions.folded(building, number)
    if not values:
        return

    def query(first: int = 0, end: int = rows_sql.LAST_BLOCK) -> sql.Composable:
        return rows_sql.near_rows(reference, values, first=first, end=end)

    names = tuple(c.name for c in reference.scope)
    sample = [_value(names, v[0], {reference.text.name: v[1], "folds_to": v[3]}) for v in values[: questions.SAMPLES]]
    title = _title(
        "{rows} of {table} equal a {lookup} but for form, case or spaces: {values}", reference, rows, len(values)
    )
    finder.add("NF207", reference.name, title, query(), rows, sample=sample, open_columns=(), holds_values=True,
               numbers={"values": len(values)}, more=more, relation=reference.table.oid, ranged=query)  # fmt: skip


def _collisions(finder: Finder, reading: questions.Reading, reference: Reference, index: Index) -> None:
    building, number = reading.building, reading.number
    by_qualifier = reference.qualifier is not None and any(c.column == reference.qualifier.name for c in index.columns)
    if not by_qualifier and reading.literal and not questions.any_folded(building, number):
        return
    lax = not compare.plain(reference)
    for suggested in (False, True):
        values, more = questions.sharing(building, number, by_qualifier=by_qualifier, suggested=suggested, lax=lax)
        if not values:
            continue
        rows = _count_collisions(finder, building, reference, index, values)
        query = rows_sql.collisions(reference, index, values)
        asked = finder.ask(reference.name, "NF208", query) if rows else None
        what = "would mean one row each if they were folded, or mean one already" if suggested else "mean one row each"
        title = f"{several(rows, 'row')} of {reference.table.name} {what}, and {index.name} keeps them apart by text"
        finder.add(
            "NF208", reference.name, title, query, rows, severity=Severity.WARNING if suggested else Severity.ERROR,
            sample=asked.sample if asked else (), open_columns=(), holds_values=True, more=more,
        )  # fmt: skip
        if rows:
            return  # what collides already is among what would


def _count_collisions(
    finder: Finder, building: Building, reference: Reference, index: Index, values: Sequence[questions.Listed]
) -> int:
    part = 0

    def read(first: int, end: int) -> None:
        nonlocal part
        part += 1
        query = render(rows_sql.collision_groups(reference, index, values, first, end))
        questions.add_together(building, part, ranges.stream(finder.conn, query))

    questions.forget_together(building)
    for _ in ranges.each(
        finder.conn,
        reference.table.oid,
        read,
        lambda: questions.forget_together(building, part),
        longest=finder.longest,
    ):
        pass
    return questions.together(building)[1]


def _severity(reference: Reference, code: str) -> Severity | None:
    unresolved = code in (*_UNRESOLVED, "NF209")
    return Severity.WARNING if unresolved and not reference.spec.required else None


def _title(title: str, reference: Reference, rows: int, values: int) -> str:
    return title.format(
        rows=several(rows, "row"),
        values=several(values, "distinct value"),
        table=reference.table.name,
        lookup=reference.lookup.name,
        scope=" and ".join(c.name for c in reference.scope) or "scope",
        qualifier=reference.qualifier.name if reference.qualifier else "qualifier",
    )


def _sample(reference: Reference, found: questions.Some) -> list[dict[str, Any]]:
    names = tuple(c.name for c in reference.scope)
    result = []
    for scope, text, qualifier, rows in found.sample:
        rest: dict[str, Any] = {reference.text.name: text}
        if reference.qualifier is not None:
            rest[reference.qualifier.name] = qualifier
        result.append(_value(names, scope, {**rest, "rows": rows}))
    return result


def _value(names: Sequence[str], scope: Sequence[str | None], rest: Mapping[str, Any]) -> dict[str, Any]:
    return {**dict(zip(names, scope, strict=True)), **rest}
