"""What may be meant by values that nothing decides: candidates and a suggestion for each, in the mapping file.

Decides how much work likeness may cost. Texts that fold to the same are found for every value, however many; texts one
typing error away for so many values, those with most rows first, in one pass over the lookup; others by comparing each
with each, so many comparisons and no more. It must never decide a value: people do, in a decision file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import groupby

from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA

from ..core.mapping import Candidate, Suggestion
from ..core.model import Reference
from ..core.similar import (
    NEAR,
    Near,
    fold,
    in_rank,
    left_out,
    likeness,
    suggest_absent,
    suggest_ambiguous,
    suggest_fold,
    suggest_near,
)
from .mapping_file import Building

#: Values of a reference that are compared with the lookup's texts, those with most rows first.
COMPARED_VALUES = 10_000
#: Comparisons of each with each for one reference; about five seconds.
COMPARISONS = 30_000_000
_Row = tuple[str, str, str, str | None]
#: Forms held in memory at once, some 30 MB; a text of so many characters has one more than that.
FORMS, LONGEST = 150_000, 64
#: Candidates kept for a value.
KEPT = 20

_SCRATCH = """
DROP TABLE IF EXISTS scratch.orphan;
CREATE TABLE scratch.orphan (value INTEGER PRIMARY KEY, scope TEXT, fold TEXT, qualifier TEXT, rows INTEGER);
CREATE TABLE IF NOT EXISTS scratch.folded (value INTEGER PRIMARY KEY, reference INTEGER, target TEXT, key TEXT);
"""
_ORPHANS = (
    "INSERT INTO scratch.orphan SELECT id, scope, fold(text), qualifier, rows FROM value "
    "WHERE id BETWEEN ? AND ? AND how = 'orphan' AND note IS NULL AND text IS NOT NULL"
)
_MATCHED = (
    "SELECT o.value, o.qualifier, r.key, r.text, r.path FROM scratch.orphan o JOIN scratch.lookup_row r "
    "ON r.lookup = ? AND r.scope = o.scope AND r.fold = o.fold ORDER BY o.value, r.text, r.path, r.key"
)
_NAMESAKES = (
    "SELECT v.id, r.key, r.text, r.path FROM value v JOIN scratch.lookup_row r ON r.lookup = ? AND r.scope = v.scope "
    "AND r.fold = fold(v.text) AND r.text = v.text WHERE v.id BETWEEN ? AND ? AND v.how = 'ambiguous' "
    "ORDER BY v.id, r.path, r.key"
)
_BY_ALIAS = (
    "SELECT DISTINCT v.id, a.key, a.text, NULL FROM value v JOIN scratch.alias_row a ON a.lookup = ? "
    "AND a.scope = v.scope AND a.alias = v.text "
    "WHERE v.id BETWEEN ? AND ? AND v.how = 'ambiguous' AND v.found = 0 ORDER BY v.id, a.text, a.key"
)
_LONELY = (
    "SELECT value, scope, fold, qualifier FROM (SELECT * FROM scratch.orphan "
    "WHERE value NOT IN (SELECT value FROM scratch.folded) ORDER BY rows DESC, value LIMIT ?) ORDER BY scope, value"
)


def suggest(building: Building, number: int, reference: Reference) -> int:
    """Store candidates and suggestions for a reference's unresolved values.

    Args:
        building: the file that is being made, its lookup rows complete.
        number: the reference's number there.
        reference: the reference.

    Returns:
        How many values were not compared with the lookup's texts, for want of time.
    """
    db = building.db
    db.create_function("fold", 1, fold, deterministic=True)
    db.executescript(_SCRATCH)
    with building.transaction():
        span = building.span(number)
        db.execute(_ORPHANS, span)
        _ambiguous(db, span, reference)
        _folded(db, number, reference)
        skipped = _near(db, reference.lookup.name)
        _absent(db, span, reference)
    return skipped


def _ambiguous(db: sqlite3.Connection, span: tuple[int, int], reference: Reference) -> None:
    names = (reference.lookup.name, *span)
    for query in (_NAMESAKES, _BY_ALIAS):
        for value, rows in groupby(db.execute(query, names), key=lambda row: row[0]):
            candidates = [Candidate(*row[1:]) for row in rows]
            qualified = reference.qualifier is not None
            _keep(db, value, candidates, suggest_ambiguous(candidates, qualified=qualified))


def _folded(db: sqlite3.Connection, number: int, reference: Reference) -> None:
    for (value, qualifier), rows in groupby(db.execute(_MATCHED, (reference.lookup.name,)), key=lambda row: row[:2]):
        candidates = [Candidate(*row[2:]) for row in rows]
        fitting = [c for c in candidates if c.path == qualifier] if len(candidates) > 1 else candidates
        suggestion = suggest_fold(fitting)
        _keep(db, value, candidates, suggestion)
        target = suggestion.target if suggestion else None
        db.execute(
            "INSERT INTO scratch.folded VALUES (?, ?, ?, ?)", (value, number, (fitting or candidates)[0].text, target)
        )


def _near(db: sqlite3.Connection, lookup: str) -> int:
    budget = COMPARISONS
    [(waiting,)] = db.execute(
        "SELECT count(*) FROM scratch.orphan WHERE value NOT IN (SELECT value FROM scratch.folded)"
    ).fetchall()
    passed = 0
    for scope, rows in groupby(db.execute(_LONELY, (COMPARED_VALUES,)).fetchall(), key=lambda row: row[1]):
        [(size,)] = db.execute(
            "SELECT count(*) FROM scratch.lookup_row WHERE lookup = ? AND scope = ?", (lookup, scope)
        )
        scoped = _Scope(db, lookup, scope, [_Lonely(row[0], row[2], row[3]) for row in rows])
        if size:
            scoped.one_error_away()
            # A scope is compared as far as the budget goes, so that one huge scope does not starve the small ones.
            compared = scoped.compare(budget // size)
            budget -= size * compared
        passed += len(scoped.lonely)
        scoped.keep()
    return int(waiting) - passed


class _Lonely:
    """A value that folds to no lookup text, and what comes near it so far."""

    def __init__(self, value: int, text: str, qualifier: str | None) -> None:
        self.value, self.text, self.qualifier = value, text, qualifier
        self.found: dict[str, Near] = {}
        self.close = False  # a row is one typing error away: nothing that is further would come before it

    def take(self, row: _Row) -> None:
        """Take a lookup row (fold, key, text, path) among the candidates, if it is like enough."""
        edits = OSA.distance(self.text, row[0])
        score = likeness(fuzz.ratio(self.text, row[0]), edits, max(len(self.text), len(row[0])))
        if score is None:
            return
        self.close |= edits <= 1
        self.found[row[1]] = Near(score, self.qualifier is not None and row[3] == self.qualifier, Candidate(*row[1:]))
        if len(self.found) > 10 * KEPT:
            self.found = {n.candidate.key: n for n in in_rank(self.found.values())[:KEPT]}


class _Scope:
    """A scope's lookup rows, and the values that are looked for among them."""

    def __init__(self, db: sqlite3.Connection, lookup: str, scope: str, lonely: Sequence[_Lonely]) -> None:
        self.db, self.lookup, self.scope, self.lonely = db, lookup, scope, lonely

    def one_error_away(self) -> None:
        """Find the rows that one typing error makes of a value; memory holds the values' forms, never the lookup's."""
        forms: dict[str, list[_Lonely]] = {}
        for one in self.lonely:
            if len(one.text) > LONGEST or len(forms) > FORMS:
                continue  # compared with each row, as far as there is time
            for form in left_out(one.text):
                forms.setdefault(form, []).append(one)
        lengths = {len(form) for form in forms}
        for chunk in _chunks(self.db, self.lookup, self.scope):
            for row in chunk:
                if len(row[0]) not in lengths and len(row[0]) - 1 not in lengths:
                    continue
                met = {one.value: one for form in left_out(row[0]) & forms.keys() for one in forms[form]}
                for one in met.values():
                    one.take(row)

    def compare(self, most: int) -> int:
        """Compare values to which nothing is close with every row, so many of them at most; return how many."""
        waiting = [one for one in self.lonely if not one.close][:most]
        if not waiting:
            return 0
        for chunk in _chunks(self.db, self.lookup, self.scope):
            folds = [row[0] for row in chunk]
            for one in waiting:
                best = process.extract(
                    one.text, folds, scorer=fuzz.ratio, processor=None, limit=KEPT, score_cutoff=NEAR
                )
                for _, _, index in best:
                    one.take(chunk[index])
        return len(waiting)

    def keep(self) -> None:
        """Store what was found."""
        for one in self.lonely:
            found = in_rank(one.found.values())[:KEPT]
            if found:
                _keep(self.db, one.value, [n.candidate for n in found], suggest_near(found))


def _chunks(db: sqlite3.Connection, lookup: str, scope: str) -> Iterator[list[_Row]]:
    """Yield a scope's lookup rows (fold, key, text, path), not too many at a time."""
    cursor = db.execute(
        "SELECT fold, key, text, path FROM scratch.lookup_row WHERE lookup = ? AND scope = ? ORDER BY fold, path, key",
        (lookup, scope),
    )
    while chunk := cursor.fetchmany(50_000):
        yield chunk


def _absent(db: sqlite3.Connection, span: tuple[int, int], reference: Reference) -> None:
    """Suggest what is left for orphans with no suggestion: the same for all of them that are alike, set-wise."""
    lookup, required = reference.lookup, reference.spec.required
    width = lookup.text.width
    fits = f"length(text) <= {width}" if width is not None else "1"
    for known, creatable, condition in (
        (False, False, "note IN ('scope-null', 'scope-unknown')"),
        (True, bool(lookup.spec.new_row), f"note IS NULL AND {fits}"),
        (True, False, f"note IS NULL AND NOT ({fits})"),
    ):
        suggestion = suggest_absent(scope_known=known, required=required, creatable=creatable)
        if suggestion is not None:
            db.execute(
                "INSERT OR IGNORE INTO suggestion SELECT id, ?, ?, ?, ? FROM value WHERE id BETWEEN ? AND ? "  # noqa: S608
                "AND how = 'orphan' AND text IS NOT NULL AND id NOT IN (SELECT value FROM candidate) AND " + condition,
                (suggestion.decision, suggestion.target, suggestion.score, suggestion.why, *span),
            )


def _keep(db: sqlite3.Connection, value: int, candidates: Sequence[Candidate], suggestion: Suggestion | None) -> None:
    rows = [(value, i, c.key, c.text, c.path) for i, c in enumerate(candidates[:KEPT])]
    db.executemany("INSERT OR IGNORE INTO candidate VALUES (?, ?, ?, ?, ?)", rows)
    if suggestion is not None:
        s = suggestion
        db.execute(
            "INSERT OR IGNORE INTO suggestion VALUES (?, ?, ?, ?, ?)", (value, s.decision, s.target, s.score, s.why)
        )
