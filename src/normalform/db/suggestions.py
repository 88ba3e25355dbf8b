"""What may be meant by values that nothing decides: candidates and a suggestion for each, in the mapping file.

Decides how much work likeness may cost: values with most rows first, so many comparisons and no more. It must never
decide a value: people do, in a decision file. Texts that fold to the same are found for every value, however many.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import groupby

from rapidfuzz import fuzz, process

from ..core.mapping import Candidate, Suggestion
from ..core.model import Reference
from ..core.similar import fold, near, suggest_absent, suggest_ambiguous, suggest_fold, suggest_near
from .mapping_file import Building

#: Values of a reference that are compared with the lookup's texts, those with most rows first.
COMPARED_VALUES = 5_000
#: Comparisons for one reference; about five seconds.
COMPARISONS = 30_000_000
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
    "SELECT value, scope, fold FROM (SELECT * FROM scratch.orphan "
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
    compared = 0
    for scope, rows in groupby(db.execute(_LONELY, (COMPARED_VALUES,)).fetchall(), key=lambda row: row[1]):
        [(size,)] = db.execute(
            "SELECT count(*) FROM scratch.lookup_row WHERE lookup = ? AND scope = ?", (lookup, scope)
        )
        lonely = list(rows)
        # A scope is compared as far as the budget goes, so that one huge scope does not starve the others' small ones.
        lonely = lonely[: max(0, budget // max(size, 1))]
        compared += len(lonely)
        budget -= size * len(lonely)
        if lonely and size:
            _near_in_scope(db, lookup, scope, lonely)
    return int(waiting) - compared


def _near_in_scope(db: sqlite3.Connection, lookup: str, scope: str, lonely: Sequence[tuple[int, str, str]]) -> None:
    best: dict[int, list[tuple[float, Candidate]]] = {}
    for chunk in _chunks(db, lookup, scope):
        folds = [row[0] for row in chunk]
        for value, _, text in lonely:
            for index, score in near(text, folds, _ratio):
                best.setdefault(value, []).append((score, Candidate(*chunk[index][1:])))
    for value, found in best.items():
        found.sort(key=lambda pair: (-pair[0], pair[1].text, pair[1].path or "", pair[1].key))
        candidates = [candidate for _, candidate in found][:KEPT]
        _keep(db, value, candidates, suggest_near(candidates, [score for score, _ in found]))


def _chunks(db: sqlite3.Connection, lookup: str, scope: str) -> Iterator[list[tuple[str, str, str, str | None]]]:
    """Yield a scope's lookup rows (fold, key, text, path), not too many at a time."""
    cursor = db.execute(
        "SELECT fold, key, text, path FROM scratch.lookup_row WHERE lookup = ? AND scope = ? ORDER BY fold, path, key",
        (lookup, scope),
    )
    while chunk := cursor.fetchmany(50_000):
        yield chunk


def _ratio(text: str, choices: Sequence[str], limit: int, lowest: float) -> list[tuple[int, float]]:
    found = process.extract(text, choices, scorer=fuzz.ratio, processor=None, limit=limit, score_cutoff=lowest)
    return [(index, score) for _, score, index in found]


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
