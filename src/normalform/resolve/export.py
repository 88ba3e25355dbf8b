"""Writing the decision file: every value that needs a decision, with candidates and a suggestion, and no decision.

Reads the mapping that the audit left; the database is asked only for collisions, which depend on other columns. It must
never fill in a decision: an exported file applied as it is changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import psycopg

from ..core.decision_file import Line, describe, written
from ..core.decisions import LOOKUP_PREFIX
from ..core.mapping import UNRESOLVED, Candidate, Entry, How, Suggestion
from ..core.model import Model, Reference
from ..db import ledger
from ..db.mapping_file import entries, unresolved
from ..errors import GateClosed, UsageError
from .collisions import Collision, find, uniques
from .facts import read_keys

#: Decided otherwise than by the lookup row's own text.
KEYED = (How.ALIAS, How.CHOSEN, How.FOLDED, How.MERGED, How.SPLIT)


@dataclass(frozen=True)
class ExportReport:
    """What `resolve export` wrote.

    Args:
        path: the file.
        values: unresolved values.
        rows: rows that have them.
        lookup_rows: lines about a lookup's own rows, to be renamed or merged.
        collisions: lines about rows that would collide.
    """

    path: str
    values: int
    rows: int
    lookup_rows: int
    collisions: int


def export_file(
    conn: psycopg.Connection, model: Model, mapping_path: Path, out: Path, *, collisions: bool
) -> ExportReport:
    """Write the decision file. The file appears whole or not at all, and only its owner may read it.

    Args:
        conn: a session; nothing is changed.
        model: the model.
        mapping_path: the mapping that `audit` wrote.
        out: where the file goes.
        collisions: also lines about rows that would have one key where a unique wants one row.

    Raises:
        GateClosed: a text is gone: the migration stands contracted.
        UsageError: there is no mapping, or the file cannot be written.
    """
    gone = [r.name for r in model.references if not r.text_present]
    if gone:
        raise GateClosed(
            "order",
            [f"{name} has no text any more: there is nothing to decide" for name in gone],
            hint="normalform rollback --to constrain",
        )
    known = {r.name for r in model.references}
    # The values are read again each time: there may be more of them than memory holds.
    values, rows = 0, 0

    def counted() -> Iterator[Line]:
        nonlocal values, rows
        for entry in unresolved(mapping_path):
            if entry.reference in known:
                values, rows = values + 1, rows + entry.rows
                yield value_line(entry)

    lookups = list(lookup_lines(model, unresolved(mapping_path)))
    colliding = list(collision_lines(conn, model, mapping_path)) if collisions else []
    new = out.with_name(f".{out.name}.new")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.writelines(written(chain(counted(), lookups, colliding)))
        new.replace(out)
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}") from error
    return ExportReport(str(out), values, rows, len(lookups), len(colliding))


def value_line(entry: Entry) -> Line:
    """Return the line of an unresolved value."""
    return Line(
        0, entry.reference, entry.scope, entry.text, entry.qualifier, entry.rows, entry.candidates,
        describe(entry.suggestion),
    )  # fmt: skip


def lookup_lines(model: Model, unsettled: Iterable[Entry]) -> Iterator[Line]:
    """Yield a line for each lookup row that takes part in an ambiguity, to be renamed or merged."""
    lookups = {r.name: r.lookup.name for r in model.references}
    found: dict[tuple[str, str], tuple[Entry, Candidate, int]] = {}
    for entry in unsettled:
        if entry.how is not How.AMBIGUOUS or entry.reference not in lookups:
            continue
        for candidate in entry.candidates:
            place = (lookups[entry.reference], candidate.key)
            rows = found[place][2] if place in found else 0
            if candidate.text == entry.text:  # an alias is no text of its own that could be renamed
                found[place] = (entry, candidate, rows + entry.rows)
    for (lookup, _), (entry, candidate, rows) in found.items():
        yield Line(0, LOOKUP_PREFIX + lookup, entry.scope, candidate.text, candidate.path, rows, (candidate,))


def collision_lines(conn: psycopg.Connection, model: Model, mapping_path: Path) -> Iterator[Line]:
    """Yield a line for each lookup row under which rows would collide, suggested folds taken as decided."""
    stored = ledger.installed(conn)
    baseline = ledger.baseline(conn) if stored else {}
    for reference in model.references:
        unsettled = entries(mapping_path, reference=reference.name, how=UNRESOLVED)
        folds = [e for e in unsettled if e.suggestion and e.suggestion.decision == "fold"]
        lines: dict[tuple[tuple[str | None, ...], str], Line] = {}
        texts = _meeting(conn, reference, mapping_path, folds)
        for unique in uniques(model, reference, baseline):
            asked = None if unique.by_qualifier else texts
            for found in find(conn, reference, unique, stored=stored, suggested=folds, texts=asked):
                place = (found.scope, found.key)
                line = _collision_line(reference.name, found, unique.name)
                before = lines.get(place)
                lines[place] = line if before is None else replace(before, rows=max(before.rows, line.rows))
        yield from lines.values()


def _meeting(conn: psycopg.Connection, reference: Reference, mapping_path: Path, folds: Sequence[Entry]) -> list[str]:
    """Return the texts that can meet another text under one key: those that are not their lookup row's own, and its."""
    others = [e for e in entries(mapping_path, reference=reference.name, how=KEYED) if e.key is not None]
    keys = {e.key for e in others if e.key is not None}
    keys |= {e.suggestion.target for e in folds if e.suggestion and e.suggestion.target}
    own = {row.text for _, row in read_keys(conn, reference.lookup, keys).values()} if keys else set()
    return sorted(own | {e.text for e in others} | {e.text for e in folds})


def _collision_line(reference: str, found: Collision, unique: str) -> Line:
    spellings = tuple(Candidate(found.key, text, found.path) for text in found.texts)
    target = found.text if found.text in found.texts else "oldest"
    if found.text in ("oldest", "newest") or found.text[:1] in ('"', "{", "["):
        target = "oldest"
    why = f"{len(found.texts)} spellings meet in {unique}"
    return Line(
        0, reference, found.scope, found.text, found.path, found.rows, spellings,
        describe(Suggestion("keep", target, 0.0, why)),
    )  # fmt: skip
