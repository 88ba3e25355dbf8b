"""Reads what the savings are foretold from: sizes in the catalog, and a sample of each table's blocks.

Decides how many values stand in how many rows, from the mapping; ``table_sizes`` reads a table. Only reads, with SELECT
rights, on a standby too; the time is bounded by the sample. What cannot be read stays unknown, and the right that it
needs is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice

from psycopg import sql
from psycopg.rows import dict_row

from ..core import heap
from ..core.btree import Group
from ..core.builds import TableBuilds, table_builds
from ..core.catalog import Table
from ..core.findings import ReferenceRead
from ..core.mapping import How, Tally
from ..core.model import Lookup, Model, Reference
from ..core.savings import IndexRead, Savings, TableRead, foretell
from ..sql import sizes as queries
from ..sql.sheets import lists_of
from .finder import Finder
from .mapping_file import Building
from .table_sizes import Facts, TableReader

SQL = sql.SQL
#: Blocks of a table that are read: 2 MB.
SAMPLE_BLOCKS = 250
#: Percent of a leaf that is filled where keys come in any order.
_SPLIT_FILL = 69
#: Sheets of the mapping that are looked at, and which of a sheet's lists has the rows.
_SHEETS, _ROWS = 64, -3
_KEPT_BY_KEY = (How.EXACT, How.QUALIFIED)


def savings(
    finder: Finder,
    building: Building,
    read: Sequence[ReferenceRead],
    tallies: Sequence[Tally],
    sample: int = SAMPLE_BLOCKS,
) -> Savings | None:
    """Foretell what the migration changes in bytes, what room each phase needs, and how long it takes.

    Args:
        finder: the audit's, with its session.
        building: the mapping as it was read: its lookup rows give their number.
        read: what was read of each reference.
        tallies: how its values are decided.
        sample: blocks of a table that are read.

    Returns:
        None where it cannot be said, which is noted as unchecked.
    """
    model = finder.model
    problem = _problem(model, read)
    if problem is not None:
        finder.unknown("savings", "sizes after the migration", problem)
        return None
    builds = table_builds(model)
    made = [b for b in builds if any(x.planned for x in b.lookups)]
    builds = [b for b in builds if b not in made]
    facts = _facts(finder, [b.table for b in builds])
    if any(f.page != heap.PAGE for f in facts.values()):
        finder.unknown("savings", "sizes after the migration", f"they are known for blocks of {heap.PAGE} bytes alone")
        return None
    rows = {r.reference: r.rows for r in read}
    tables = [_to_make(model, building, b) for b in made]
    for one in builds:
        count = rows[one.references[0].name] if one.references else _lookup_rows(building, one.lookups[0])
        groups = {r.name: _group_sizes(building, r) for r in one.references}
        reader = TableReader(finder, one, facts[one.table.oid], count, groups, sample)
        found = reader.read()
        if found is None:
            return None
        tables.append(found)
    undecided = sum(t.rows for t in tallies if not t.how.resolved)
    archived = sum(t.rows for t in tallies if t.how not in _KEPT_BY_KEY)
    fill = model.spec.backfill
    return foretell(tables, workers=fill.workers, vacuum=fill.vacuum, archived=archived, undecided=undecided)


def _problem(model: Model, read: Sequence[ReferenceRead]) -> str | None:
    """Say why nothing can be foretold, if so."""
    if any(r.key_present for r in model.references) or any(x.scope_copy and x.scope_ready for x in model.lookups):
        return "the migration has begun; `normalform status` has the sizes"
    unread = {r.name for r in model.references} - {r.reference for r in read}
    if unread:
        return f"{', '.join(sorted(unread))} could not be read"
    lookups = [x for x in model.lookups if not x.planned]
    kinds = {t.name: t.kind for t in [*(r.table for r in model.references), *(x.table for x in lookups)]}
    odd = [str(name) for name, kind in kinds.items() if kind != "r"]
    return f"{', '.join(odd)} is no plain table" if odd else None


def _facts(finder: Finder, tables: Sequence[Table]) -> dict[int, Facts]:
    oids = {"oids": [t.oid for t in tables]}
    with finder.conn.cursor(row_factory=dict_row) as cursor:
        facts = cursor.execute(queries.FACTS, oids).fetchall()
        attributes = cursor.execute(queries.ATTRIBUTES, oids).fetchall()
        distinct = cursor.execute(queries.DISTINCT, oids).fetchall()
    return {
        f["oid"]: Facts(
            heap=f["heap"],
            toast=f["toast"],
            maps=f["maps"],
            mapped=f["mapped"],
            fillfactor=f["fillfactor"],
            page=f["page"],
            # Where nothing stands outside the rows, ROW() may hold every value.
            attributes=[{**a, "long": a["long"] and f["toast"] > 0} for a in attributes if a["oid"] == f["oid"]],
            distinct={d["name"]: d["found"] for d in distinct if d["oid"] == f["oid"]},
        )
        for f in facts
    }


def _lookup_rows(building: Building, lookup: Lookup) -> int:
    [(rows,)] = building.db.execute("SELECT count(*) FROM scratch.lookup_row WHERE lookup = ?", (lookup.name,))
    return int(rows)


def _to_make(model: Model, building: Building, builds: TableBuilds) -> TableRead:
    """A lookup that expand makes: one row for each text of a scope, as the references have them."""
    names = [r.name for x in builds.lookups for r in model.references_of(x)]
    marks = ", ".join("?" * len(names))
    [(count, length)] = building.db.execute(
        "SELECT count(*), coalesce(avg(length(CAST(text AS BLOB))), 0) FROM (SELECT DISTINCT v.scope, v.text "  # noqa: S608
        f"FROM value v JOIN reference r ON r.id = v.reference WHERE r.name IN ({marks}) AND v.text IS NOT NULL)",
        names,
    )
    texts = {c.name for c in builds.table.columns if c.is_text}

    def width(columns: Iterable[str | None], header: int) -> float:
        return (header + sum(length + 1 if name in texts else 8 for name in columns) + 7) // 8 * 8

    row = width([c.name for c in builds.table.columns], 24) + 4
    groups = (Group(1, count),)
    coming = [(i.name, i, "expand") for i in builds.table.indexes]
    coming += [(b.index.name or f"({n})", b.index, b.phase) for n, b in enumerate(builds.built)]
    indexes = [
        IndexRead(
            name,
            0,
            groups,
            width([c.column for c in index.columns], 8),
            phase=phase,
            # What stands when the rows come in any order is filled as splits leave it.
            fillfactor=_SPLIT_FILL if index in builds.table.indexes and index.columns[0].column in texts else 90,
        )
        for name, index, phase in coming
    ]
    rows = heap.Rows(count, 0, row, row, row, ())
    return TableRead(str(builds.table.name), rows, 0, indexes=indexes, reference=False, made=True)


def _group_sizes(building: Building, reference: Reference) -> tuple[Group, ...]:
    """How many values of a reference stand in how many rows: nearly what its keys will."""
    [(number,)] = building.db.execute("SELECT id FROM reference WHERE name = ?", (reference.name,))
    found = Counter[float](
        dict(
            building.db.execute(
                "SELECT rows, count(*) FROM value WHERE id BETWEEN ? AND ? AND text IS NOT NULL GROUP BY rows",
                building.span(number),
            )
        )
    )
    [(whole,)] = building.db.execute("SELECT coalesce(sum(n), 0) FROM sheet WHERE reference = ?", (number,))
    # Values stand on sheets by a hash of their text: some sheets are a sample of all.
    some = Counter[float]()
    for _, _, scopes, body in islice(building.sheets(number), _SHEETS):
        some.update(float(rows) for rows in lists_of(body, scopes)[_ROWS])
    scale = whole / some.total() if some else 0.0
    return (
        *(Group(rows, keys) for rows, keys in found.items()),
        *(Group(rows, keys * scale) for rows, keys in some.items()),
    )
