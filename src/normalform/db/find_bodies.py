"""Findings from the bodies of functions and views: who touches a text, who breaks when a column comes.

Decides what a use means for the migration; what a body *does* is the reader's answer. The catalog knows nothing of a
string body, so that nothing but this stands between such a function and a dropped column.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import psycopg

from ..core.names import QName
from ..reader.bodies import read_function
from ..reader.statement import read
from ..reader.world import Kind, Reading, Use, World
from ..sql import bodies as sources
from ..sql import dependent_findings as queries
from ..sql.quote import render, table
from .finder import SAMPLES, Finder, several
from .work import Context
from .world import Tables, read_functions, read_world, tables_of

SERVER = "server"
TEXT = (Kind.READS, Kind.WRITES, Kind.POSITION)
_SHOWN = (
    "SELECT p.oid::regprocedure::text AS function, l.lanname::text AS language, v.uses FROM v "
    "JOIN pg_catalog.pg_proc p ON p.oid = pg_catalog.to_regprocedure(v.signature) "
    "JOIN pg_catalog.pg_language l ON l.oid = p.prolang ORDER BY 1"
)
_OBJECTS = "SELECT v.object, v.kind, v.uses FROM v ORDER BY 1"
_TITLES = {
    "NF321": ("{} reads or writes a text of {}", "{} read or write a text of {}"),
    "NF322": ("{} may touch a text of {}", "{} may touch a text of {}"),
    "NF323": ("{} fails when {} has one more column", "{} fail when {} has one more column"),
    "NF324": ("{} hands on whole rows of {}", "{} hand on whole rows of {}"),
}


def find(finder: Finder, tables: Tables, world: World) -> None:
    """Read every function that may have to do with the tables, and every view on them."""
    found: defaultdict[tuple[str, str, str], list[tuple[str, str]]] = defaultdict(list)
    opaque: list[tuple[str, str]] = []
    try:
        functions = list(read_functions(finder.conn, world, tables.oids, finder.model.catalog.user))
    except psycopg.errors.InsufficientPrivilege as error:
        finder.unknown(SERVER, "NF321", f"{error.diag.message_primary}; grant {finder.model.catalog.user} that right")
        functions = []
    languages = {f.signature: f.language for f in functions}
    for function in functions:
        reading = read_function(function, world)
        for name, uses in _by_table(reading).items():
            for code, chosen in sorted(judge(uses).items()):
                subject = tables.on(name, next((u.column for u in chosen if u.column), ""))
                found[code, subject, str(name)].append((function.signature, told(chosen)))
        if reading.opaque:
            opaque.append((function.signature, f"line {', '.join(map(str, sorted(set(reading.opaque))))}"))
        unread = [line for line in reading.unread if line not in {u.line for u in reading.uses}]
        if unread:
            name = world.watched[0].name
            found["NF322", tables.on(name), str(name)].append((function.signature, _unread(unread)))
    for subject, on, view in _views(finder, tables, world, languages):
        found["NF324", subject, on].append(view)
    for (code, subject, on), rows in sorted(found.items()):
        title = _TITLES[code][len(rows) != 1].format(
            several(len(rows), "object" if code == "NF324" else "function"), on
        )
        _add(finder, code, subject, title, rows, languages)
    if opaque:
        title = f"{several(len(opaque), 'function')} with SQL put together at run time, from parts that name no table"
        _add(finder, "NF329", SERVER, title, opaque, languages)


def judge(uses: Iterable[Use]) -> dict[str, list[Use]]:
    """Say under which codes a function's uses of one table are reported.

    Args:
        uses: the uses, of one table.
    """
    uses = list(uses)
    result: dict[str, list[Use]] = {}
    touching = [u for u in uses if u.kind in TEXT]
    if any(u.certain for u in touching):
        result["NF321"] = [u for u in touching if u.certain]
    elif touching or any(u.kind is Kind.UNREAD for u in uses):
        result["NF322"] = touching + [u for u in uses if u.kind is Kind.UNREAD]
    breaking = [u for u in uses if u.kind is Kind.BREAKS]
    if breaking:
        result["NF323"] = breaking
    rows = [u for u in uses if u.kind in (Kind.ROW, Kind.STAR)]
    if rows and "NF321" not in result:
        result["NF324"] = rows
    return result


def told(uses: Iterable[Use]) -> str:
    """Return uses for people: ``reads keyword (line 3), writes category (lines 4, 7)``."""
    lines: defaultdict[tuple[str, str, str], set[int]] = defaultdict(set)
    for use in uses:
        lines[use.kind.value, use.column, use.why].add(use.line)
    parts = []
    for (kind, column, why), at in lines.items():
        known = sorted(n for n in at if n)
        where = f"line{'s' if len(known) > 1 else ''} {', '.join(map(str, known))}" if known else ""
        notes = "; ".join(n for n in (why, where) if n)
        parts.append(" ".join(p for p in (kind, column, f"({notes})" if notes else "") if p))
    return ", ".join(sorted(parts))


def hidden_readers(ctx: Context, waived: frozenset[str]) -> list[str]:
    """Return the functions that certainly touch a text, and that the server would let contract break.

    (Those with an SQL-standard body are in the catalog, and keep the column from being dropped.)

    Args:
        ctx: the run.
        waived: names of what the operator gives up, a function's as it is shown, or without its arguments.

    Returns:
        A line for each function and table.
    """
    tables = tables_of(ctx.model, ctx.baseline)
    if not tables.watched:
        return []
    world = read_world(ctx.conn, ctx.model, tables)
    lines = []
    for function in read_functions(ctx.conn, world, tables.oids, ctx.model.catalog.user):
        if function.standard or {function.signature, function.signature.partition("(")[0]} & waived:
            continue
        for name, uses in _by_table(read_function(function, world)).items():
            chosen = judge(uses).get("NF321")
            if chosen:
                lines.append(f"{name}: function {function.signature} {told(chosen)}")
    return lines


def _by_table(reading: Reading) -> dict[QName, list[Use]]:
    result: defaultdict[QName, list[Use]] = defaultdict(list)
    for use in sorted(set(reading.uses)):
        result[use.table].append(use)
    return dict(sorted(result.items()))


def _unread(lines: Sequence[int]) -> str:
    return f"a statement that cannot be parsed (line {', '.join(map(str, sorted(set(lines))))})"


def _add(
    finder: Finder, code: str, subject: str, title: str, rows: Sequence[tuple[str, str]], languages: dict[str, str]
) -> None:
    rows = sorted(rows)
    if code == "NF324":  # views among them
        query = queries.listed(("object", "kind", "uses"), [(s, languages[s], u) for s, u in rows], _OBJECTS)
        sample = [{"object": s, "kind": languages[s], "uses": uses} for s, uses in rows[:SAMPLES]]
    else:
        query = queries.listed(("signature", "uses"), rows, _SHOWN)
        sample = [{"function": s, "language": languages[s], "uses": uses} for s, uses in rows[:SAMPLES]]
    finder.add(code, subject, title, query, len(rows), sample=sample)


def _views(
    finder: Finder, tables: Tables, world: World, languages: dict[str, str]
) -> Iterator[tuple[str, str, tuple[str, str]]]:
    """Yield the views that hand on whole rows: subject, table, and the view with what it does.

    Every column that a view reads is in the catalog; but a whole row names none.
    """
    for schema, view, stored, definition in finder.conn.execute(sources.VIEWS, {"tables": list(tables.oids)}):
        for name, uses in _by_table(read(definition, world)).items():
            rows = [u for u in uses if u.kind is Kind.ROW]
            if rows:
                object_name = render(table(QName(schema, view)))
                languages[object_name] = "materialized view" if stored else "view"
                yield tables.on(name), str(name), (object_name, told(rows))
