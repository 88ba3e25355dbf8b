"""Findings about a lookup that expand will make: how many rows it gets, and which of them should give one pause.

Decides from the mapping, which has been read already; only the role's right to make the table is asked of the server.
The statements beside the findings give the same rows by hand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from psycopg import sql

from ..core.findings import Severity
from ..core.model import Lookup
from ..core.similar import fold
from ..sql import created_lookup as queries
from .finder import Finder, several
from .mapping_file import Building
from .mapping_questions import LISTED, SAMPLES

SQL = sql.SQL
_MAKE = """
DROP TABLE IF EXISTS scratch.to_make;
CREATE TABLE scratch.to_make (scope TEXT, text TEXT, qualifier TEXT, rows INTEGER, alike TEXT, fold TEXT);
"""
_FILL = (
    "INSERT INTO scratch.to_make SELECT scope, text, qualifier, sum(rows), alike(text), fold(text) FROM value "
    "WHERE how = 'created' AND text IS NOT NULL AND reference IN (SELECT value FROM json_each(?)) GROUP BY 1, 2, 3"
)
_PLAIN_ROWS = "SELECT count(*) FROM (SELECT DISTINCT scope, alike FROM scratch.to_make)"
_ROWS = (
    "SELECT coalesce(sum(n), 0) FROM "
    "(SELECT max(count(DISTINCT qualifier), 1) AS n FROM scratch.to_make GROUP BY scope, alike)"
)
_NEAR = (
    "SELECT scope, text, count(*) OVER () FROM (SELECT DISTINCT scope, text, fold FROM scratch.to_make) "
    "WHERE (scope, fold) IN "
    "(SELECT scope, fold FROM scratch.to_make GROUP BY scope, fold HAVING min(alike) <> max(alike)) "
    "ORDER BY scope, fold, text LIMIT ?"
)
_UNTOLD = (
    "SELECT scope, text, rows, count(*) OVER (), sum(rows) OVER () FROM scratch.to_make WHERE qualifier IS NULL "
    "AND (scope, text) IN (SELECT scope, text FROM scratch.to_make GROUP BY scope, text HAVING count(qualifier) > 1) "
    "ORDER BY rows DESC, scope, text LIMIT ?"
)
#: Bytes of a text that an entry of an index may not hold: 2,704 less what stands beside it.
LONGEST = 2_600
_LONG = "SELECT count(*) FROM (SELECT DISTINCT scope, text FROM scratch.to_make WHERE length(CAST(text AS BLOB)) > ?)"


def find(finder: Finder, building: Building, lookup: Lookup, numbers: Mapping[str, int]) -> None:
    """Add what is to be said of a lookup that does not exist yet, once its references have been read.

    Args:
        finder: where findings go.
        building: the mapping that is being made.
        lookup: the lookup.
        numbers: the references' numbers there, by name.
    """
    own = json.dumps([n for name, n in numbers.items() if finder.model.reference(name).lookup.name == lookup.name])
    building.db.create_function("fold", 1, fold, deterministic=True)
    building.db.create_function("alike", 1, str.lower if lookup.text.base == "citext" else str, deterministic=True)
    building.db.executescript(_MAKE)
    with building.transaction():
        building.db.execute(_FILL, (own,))
    _rows(finder, building, lookup)
    _near(finder, building, lookup)
    [(count,)] = building.db.execute(_LONG, (LONGEST,))
    title = f"{several(count, 'text')} of more than {LONGEST:,} bytes may not fit into an index of {lookup.table.name}"
    finder.add("NF114", lookup.name, title, queries.long_rows_to_be(finder.model, lookup, LONGEST), count)
    if lookup.qualifier_column is not None:
        _untold(finder, building, lookup)
    _right(finder, lookup)


def _right(finder: Finder, lookup: Lookup) -> None:
    query = SQL(
        "SELECT n.nspname AS schema FROM pg_catalog.pg_namespace n WHERE n.nspname = {} "
        "AND NOT pg_catalog.has_schema_privilege(n.oid, 'CREATE')"
    ).format(sql.Literal(lookup.table.name.schema))
    asked = finder.ask(lookup.name, "NF401", query)
    if asked is not None and asked.count:
        title = f"role {finder.model.catalog.user} could not make {lookup.table.name}: it lacks CREATE on the schema"
        finder.add("NF401", lookup.name, title, query, asked.count, sample=asked.sample)


def _rows(finder: Finder, building: Building, lookup: Lookup) -> None:
    query = _PLAIN_ROWS if lookup.qualifier_column is None else _ROWS
    [(count,)] = building.db.execute(query)
    # What the server calls equal is not for us to say where its rules are a locale's.
    at_most = "at most " if lookup.text.base == "citext" or not lookup.text.deterministic else ""
    title = f"{lookup.table.name} does not exist: expand makes it, with {at_most}{several(count, 'row')}"
    finder.add("NF111", lookup.name, title, queries.rows_to_be(finder.model, lookup), count)


def _near(finder: Finder, building: Building, lookup: Lookup) -> None:
    found = building.db.execute(_NEAR, (LISTED,)).fetchall()
    if not found:
        return
    values = [(tuple(json.loads(scope)), text) for scope, text, _ in found]
    total = found[0][2]
    title = f"{several(total, 'text')} would get rows of {lookup.table.name} that differ by form, case or spaces alone"
    finder.add("NF112", lookup.name, title, queries.near_rows_to_be(finder.model, lookup, values), total,
               sample=[_sample(lookup, scope, text) for scope, text in values[:SAMPLES]], open_columns=(),
               holds_values=True, more=total - len(values))  # fmt: skip


def _untold(finder: Finder, building: Building, lookup: Lookup) -> None:
    found = building.db.execute(_UNTOLD, (SAMPLES,)).fetchall()
    if not found:
        return
    total, rows = found[0][3], found[0][4]
    required = any(r.spec.required for r in finder.model.references_of(lookup))
    title = (
        f"{several(rows, 'row')} have one of {several(total, 'text')} without a qualifier, which will stand under "
        f"several in {lookup.table.name}"
    )
    sample = [{**_sample(lookup, tuple(json.loads(scope)), text), "rows": n} for scope, text, n, *_ in found]
    finder.add("NF113", lookup.name, title, queries.untold_values(finder.model, lookup), total,
               severity=None if required else Severity.WARNING, sample=sample, open_columns=("rows",),
               numbers={"rows": rows})  # fmt: skip


def _sample(lookup: Lookup, scope: tuple[Any, ...], text: str) -> dict[str, Any]:
    return {**dict(zip(lookup.scope, scope, strict=True)), lookup.text.name: text}
