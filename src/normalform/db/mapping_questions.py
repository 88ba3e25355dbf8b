"""What findings ask of the mapping while it is made: counts, samples, and the values that need a closer look.

Each answer counts what the finding's SQL (``sql.findings``) would return, from values that were read once. Decides
nothing; must never hold more than a bounded number of values in memory.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from ..core.mapping import How, Tally
from ..sql.sheets import KINDS, lists_of
from .mapping_file import Building, unfold

#: Values that a finding's SQL names one by one, at most.
LISTED = 20_000
#: Offenders shown with a finding.
SAMPLES = 5
#: Keys that are sought on sheets at once; for more of them, sheets are unfolded.
SHARED = 100_000

Listed = tuple[tuple[str | None, ...], str, str | None, str, str]


@dataclass(frozen=True)
class Some:
    """Values and rows that meet a condition, and a few of the values with most rows: (scope, text, qualifier, rows)."""

    values: int
    rows: int
    sample: tuple[tuple[tuple[str | None, ...], str | None, str | None, int], ...]


#: Conditions on the entries of a reference, by finding. The same conditions, in SQL, make the finding's statement.
CONDITIONS = {
    "NF201": "how = 'orphan' AND note IS NULL",
    "NF202": "how = 'ambiguous'",
    "NF203": "note = 'scope-null'",
    "NF204": "note = 'scope-unknown'",
    "NF205": "note = 'qualifier-disagrees'",
    "NF206": "note = 'qualifier-unknown'",
    "NF211": "note = 'text-null'",
}
NONE = Some(0, 0, ())


class Reading:
    """A reference's entries, summed up once: most questions are then answered without reading them again.

    Args:
        building: the file.
        number: the reference's number there; it has ended.
    """

    def __init__(self, building: Building, number: int) -> None:
        self.building, self.number = building, number
        self.first, self.last = building.span(number)
        self.db = building.db
        self.db.execute("DROP TABLE IF EXISTS scratch.sums")
        self.db.execute("CREATE TABLE scratch.sums (how TEXT, note TEXT, textless INTEGER, n INTEGER, rows INTEGER)")
        span = (self.first, self.last)
        self.db.execute(
            "INSERT INTO scratch.sums SELECT how, note, text IS NULL, count(*), sum(rows) FROM value "
            "WHERE id BETWEEN ? AND ? GROUP BY how, note, text IS NULL",
            span,
        )
        self._sums = self.db.execute("SELECT how, note, textless, n, rows FROM scratch.sums").fetchall()
        for kind, count, rows in self.db.execute(
            "SELECT kind, sum(n), sum(rows) FROM sheet WHERE reference = ? GROUP BY kind", (number,)
        ):
            self._sums.append((KINDS[kind][0], None, 0, count, rows))

    @property
    def totals(self) -> tuple[int, int, int]:
        """Rows, rows without text, distinct values."""
        rows = sum(s[4] for s in self._sums)
        return rows, sum(s[4] for s in self._sums if s[2]), sum(s[3] for s in self._sums if not s[2])

    def tallies(self, name: str) -> list[Tally]:
        """Distinct values and rows by how they were decided, under the reference's name."""
        found: dict[str, tuple[int, int]] = {}
        for how, _, textless, values, rows in self._sums:
            if not textless:
                before = found.get(how, (0, 0))
                found[how] = before[0] + values, before[1] + rows
        return [Tally(name, how, *found[how.value]) for how in How if how.value in found]

    @property
    def literal(self) -> bool:
        """Whether every resolved value is the lookup row's own text, so that no two texts mean one row."""
        return all(s[0] in ("exact", "qualified", "ambiguous", "orphan", "null") for s in self._sums)

    def some(self, condition: str, parameters: Sequence[Any] = ()) -> Some:
        """Count the entries that meet a condition, and take a sample.

        Args:
            condition: SQL of this package, never of a user.
            parameters: its parameters.
        """
        where = "FROM value WHERE id BETWEEN ? AND ? AND " + condition
        values = (self.first, self.last, *parameters)
        [(count, rows)] = self.db.execute("SELECT count(*), coalesce(sum(rows), 0) " + where, values).fetchall()
        if not count:
            return NONE
        top = self.db.execute(
            "SELECT scope, text, qualifier, rows " + where + " ORDER BY rows DESC, scope, text LIMIT ?",
            (*values, SAMPLES),
        )
        return Some(count, rows, tuple((tuple(json.loads(s)), x, q, n) for s, x, q, n in top))

    def about(self, code: str) -> Some:
        """Answer for one of :data:`CONDITIONS`; where the sums say that there is nothing, nothing is read."""
        found = self.db.execute(
            "SELECT 1 FROM scratch.sums WHERE " + CONDITIONS[code]  # noqa: S608 - ours alone
        ).fetchone()
        return self.some(CONDITIONS[code]) if found else NONE


def rows_of(building: Building, number: int, how: str) -> int:
    """Return how many rows of a reference were decided so."""
    found = building.db.execute(
        "SELECT coalesce(sum(rows), 0) FROM value WHERE id BETWEEN ? AND ? AND how = ?", (*building.span(number), how)
    ).fetchone()
    return int(found[0])


def by_rows(building: Building, number: int) -> list[tuple[int, int]]:
    """Return (rows, values): how many values of a reference stand in so many rows, by rows."""
    found = building.db.execute(
        "SELECT rows, count(*) FROM value WHERE id BETWEEN ? AND ? AND text IS NOT NULL GROUP BY rows",
        building.span(number),
    )
    counted = Counter[int](dict(found))
    for _, _, scopes, body in building.sheets(number):
        for rows, values in Counter(lists_of(body, scopes)[-3]).items():
            counted[int(rows)] += values
    return sorted(counted.items())


def any_folded(building: Building, number: int) -> bool:
    """Whether an orphan of the reference folds to one lookup row."""
    found = building.db.execute(
        "SELECT EXISTS (SELECT 1 FROM scratch.folded WHERE reference = ? AND key IS NOT NULL)", (number,)
    ).fetchone()
    return bool(found[0])


def join_on_text(building: Building, numbers: Sequence[int]) -> dict[str, int]:
    """Return what a join on scope and text alone, as the runbook has it, does to rows that the qualifier decides.

    Returns:
        ``values`` and ``rows`` decided by the qualifier; ``wrong_at_least`` and ``wrong_at_most``: rows that get
        another lookup row than their own, if the join takes for each name the one that is best, or worst.
    """
    marks = ", ".join("?" * len(numbers))
    [(values, rows, least, most)] = building.db.execute(
        # The qualifier names the lookup row's path, so each entry has a lookup row of its own.
        "SELECT coalesce(sum(n), 0), coalesce(sum(total), 0), coalesce(sum(total - largest), 0), "  # noqa: S608 - marks
        # A lookup row that no row of ours means is the worst that a join can take.
        "coalesce(sum(total - CASE WHEN n < found THEN 0 ELSE smallest END), 0) FROM ("
        "SELECT count(*) AS n, sum(rows) AS total, max(rows) AS largest, min(rows) AS smallest, max(found) AS found "
        "FROM value WHERE how = 'qualified' AND reference IN (" + marks + ") GROUP BY reference, scope, text)",
        tuple(numbers),
    )
    for number in numbers:
        for sheets in _by_slot(building, number, "qualified"):
            v, r, lowest, highest = _joined(sheets)
            values, rows, least, most = values + v, rows + r, least + lowest, most + highest
    return {"values": values, "rows": rows, "wrong_at_least": least, "wrong_at_most": most}


def _by_slot(building: Building, number: int, how: str) -> Iterator[list[tuple[int, str]]]:
    """Yield (columns of the scope, sheet) of a reference's sheets of values decided so, those of a slot together."""
    for _, found in groupby(building.sheets(number), key=lambda sheet: sheet[0]):
        yield [(scopes, body) for _, kind, scopes, body in found if KINDS[kind][0] == how]


def _joined(sheets: list[tuple[int, str]]) -> tuple[int, int, int, int]:
    """Return values, rows, and the rows that a join on scope and text gets wrong, at least and at most."""
    named: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for scopes, body in sheets:
        *names, _, rows, _, found = lists_of(body, scopes)
        for name, pair in zip(zip(*names, strict=True), zip(map(int, rows), map(int, found), strict=True), strict=True):
            named.setdefault(name, []).append(pair)
    values = total = least = most = 0
    for pairs in named.values():
        counts = [pair[0] for pair in pairs]
        own = sum(counts)
        values, total, least = values + len(counts), total + own, least + own - max(counts)
        most += own - (0 if len(counts) < pairs[0][1] else min(counts))
    return values, total, least, most


def near_lookup(building: Building, lookup: str) -> tuple[list[tuple[tuple[str | None, ...], str]], int, int]:
    """Return lookup texts that differ from another of their scope by form, case or spaces alone.

    Returns:
        (scope, text) of at most :data:`LISTED`, the rows that have these texts, and how many texts there are beyond.
    """
    db = building.db
    db.execute("DROP TABLE IF EXISTS scratch.near_texts")
    db.execute(
        # CROSS JOIN keeps SQLite from walking all lookup rows to meet the few groups.
        "CREATE TABLE scratch.near_texts AS SELECT r.scope, r.text, count(*) AS rows FROM (SELECT scope, fold "
        "FROM scratch.lookup_row WHERE lookup = ? GROUP BY scope, fold HAVING min(text) <> max(text)) g "
        "CROSS JOIN scratch.lookup_row r ON r.scope = g.scope AND r.fold = g.fold "
        "WHERE r.lookup = ? GROUP BY r.scope, r.fold, r.text",
        (lookup, lookup),
    )
    [(count,)] = db.execute("SELECT count(*) FROM scratch.near_texts").fetchall()
    found = db.execute("SELECT scope, text, rows FROM scratch.near_texts ORDER BY rowid LIMIT ?", (LISTED,)).fetchall()
    values = [(tuple(json.loads(scope)), text) for scope, text, _ in found]
    return values, sum(row[2] for row in found), max(0, count - LISTED)


def longest(building: Building, lookup: str) -> tuple[int, int]:
    """Return the characters of the longest text and of the longest path of a lookup's rows."""
    [(text, path)] = building.db.execute(
        "SELECT coalesce(max(length(text)), 0), coalesce(max(length(path)), 0) FROM scratch.lookup_row "
        "WHERE lookup = ?",
        (lookup,),
    ).fetchall()
    return text, path


def folded(building: Building, number: int) -> tuple[list[Listed], int, int, int]:
    """Return a reference's orphans that fold to a lookup text: (scope, text, qualifier, that text, key or '').

    Returns:
        At most :data:`LISTED` of them, those with most rows first; their rows; how many values there are beyond; rows
        of all.
    """
    found = building.db.execute(
        "SELECT v.scope, v.text, v.qualifier, f.target, coalesce(f.key, ''), v.rows, count(*) OVER (), "
        "sum(v.rows) OVER () FROM scratch.folded f JOIN value v ON v.id = f.value WHERE f.reference = ? "
        "ORDER BY v.rows DESC, v.id LIMIT ?",
        (number, LISTED),
    ).fetchall()
    if not found:
        return [], 0, 0, 0
    listed = [(tuple(json.loads(s)), x, q, target, key) for s, x, q, target, key, *_ in found]
    return listed, sum(row[5] for row in found), found[0][6] - len(found), found[0][7]


def sharing(
    building: Building, number: int, *, by_qualifier: bool, suggested: bool, lax: bool
) -> tuple[list[Listed], int]:
    """Return the values that mean one lookup row together with other values that a unique index tells apart.

    Args:
        building: the file.
        number: the reference's number there.
        by_qualifier: the index holds the qualifier too, so that it also tells apart equal texts.
        suggested: take orphans that fold onto a row as if that were decided.
        lax: different texts may be equal to a lookup row's, as the lookup compares them.

    Returns:
        (scope, text, qualifier, text, key), those of one key together, at most :data:`LISTED`; and how many beyond.
    """
    db = building.db
    db.execute("DROP TABLE IF EXISTS scratch.means")
    db.execute(
        "CREATE TABLE scratch.means AS SELECT id, scope, text, qualifier, key FROM value "
        "WHERE id BETWEEN ?1 AND ?2 AND key IS NOT NULL UNION ALL SELECT v.id, v.scope, v.text, v.qualifier, f.key "
        "FROM scratch.folded f JOIN value v ON v.id = f.value WHERE ?3 AND f.reference = ?4 AND f.key IS NOT NULL",
        (*building.span(number), suggested, number),
    )
    _add_from_sheets(building, number, every=by_qualifier or lax)
    different = "min(text) <> max(text)"
    if by_qualifier:
        different += " OR count(DISTINCT coalesce('=' || qualifier, '')) > 1"
    found = db.execute(
        "SELECT scope, text, qualifier, key, count(*) OVER () FROM scratch.means WHERE key IN ("  # noqa: S608 - ours alone
        "SELECT key FROM scratch.means GROUP BY key HAVING "
        + different
        + ") ORDER BY key, id, text, qualifier LIMIT ?",
        (LISTED,),
    ).fetchall()
    listed = [(tuple(json.loads(s)), x, q, x, key) for s, x, q, key, _ in found]
    return listed, (found[0][4] - len(found) if found else 0)


def _add_from_sheets(building: Building, number: int, *, every: bool) -> None:
    """Add the values on sheets that may share their key with another text: all, or those of keys that others have too.

    Where texts are compared by their bytes, all values on sheets that mean one row have one text, the row's own.
    """
    db = building.db
    shared: set[str] = set()
    if not every:
        found = db.execute("SELECT DISTINCT key FROM scratch.means LIMIT ?", (SHARED + 1,)).fetchall()
        shared, every = {key for (key,) in found}, len(found) > SHARED
    if not every and not shared:
        return
    with building.transaction():
        for _, kind, scopes, body in building.sheets(number):
            if not every and shared.isdisjoint(lists_of(body, scopes)[-2]):
                continue
            some = [(e[0], e[1], e[2], e[5]) for e in unfold(kind, scopes, body) if every or e[5] in shared]
            db.executemany("INSERT INTO scratch.means (scope, text, qualifier, key) VALUES (?, ?, ?, ?)", some)


def add_together(building: Building, part: int, rows: Any) -> None:
    """Take (group, rows) of one block range."""
    with building.transaction():
        building.db.executemany(
            "INSERT INTO scratch.together (part, grp, rows) VALUES (?, ?, ?)", ((part, *row) for row in rows)
        )


def forget_together(building: Building, part: int | None = None) -> None:
    """Forget groups: of one range, or all."""
    building.db.execute("DELETE FROM scratch.together WHERE ? IS NULL OR part = ?", (part, part))


def together(building: Building) -> tuple[int, int]:
    """Return (groups, rows) of those with more than one row over all ranges."""
    row = building.db.execute(
        "SELECT count(*), coalesce(sum(n), 0) FROM (SELECT sum(rows) AS n FROM scratch.together GROUP BY grp "
        "HAVING sum(rows) > 1)"
    ).fetchone()
    return int(row[0]), int(row[1])
