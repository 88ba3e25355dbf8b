"""Decisions: the words that an operator may write, and what each comes to against the database as it is.

Pure: facts in, either every bad line or the decisions in the order in which they are applied. Decides what a line
means, which lines contradict each other, and which would settle in silence what nobody decided. Never guesses a target.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .decision_file import Line
from .mapping import Candidate, How
from .model import Lookup, Model, Reference
from .names import nearest

Scope = tuple[str | None, ...]
#: Words in the order in which they are applied: what goes first makes room for what follows.
ORDER = ("drop", "rename", "merge", "create", "choose", "fold", "null", "split", "keep")
#: Words that only store an entry of the mapping, with the `how` that they store.
MAPPED = {"choose": How.CHOSEN, "fold": How.FOLDED, "null": How.NULL, "split": How.SPLIT}
ON_REFERENCE = ("drop", "merge", "create", "choose", "fold", "null", "split", "keep")
ON_LOOKUP = ("rename", "merge")
#: A line about a lookup's own row names it so.
LOOKUP_PREFIX = "lookup."


def meaning(rows: Sequence[Candidate], qualifier: str | None) -> tuple[How, str | None]:
    """Return how a value resolves among the live lookup rows that have its text in its scope, and to which key.

    The same rule as ``sql.resolution``, for the few values that a decision touches. Aliases are not looked at.
    """
    if len(rows) == 1:
        return How.EXACT, rows[0].key
    fitting = [r for r in rows if qualifier is not None and r.path == qualifier]
    if len(fitting) == 1:
        return How.QUALIFIED, fitting[0].key
    return (How.AMBIGUOUS if rows else How.ORPHAN), None


@dataclass(frozen=True)
class Applied:
    """An applied decision that an earlier run recorded: its number, what it came to, and whether that still stands."""

    id: int
    target: Mapping[str, Any]
    stands: bool


@dataclass
class Facts:
    """What the database says about everything that the lines name.

    Args:
        rows: live lookup rows by (lookup, scope, text).
        keys: (scope, row) by (lookup, key), for every key that a line names.
        folded: live lookup rows by (lookup, scope, folded text).
        paths: keys of path rows, smallest first, by (lookup, scope) and path.
        values: rows by (reference, scope, text) and qualifier.
        decided: values that a stored decision decides, as (reference, scope, text, qualifier).
        applied: applied decisions by (value, word, target as given).
    """

    rows: dict[tuple[str, Scope, str], Sequence[Candidate]] = field(default_factory=dict)
    keys: dict[tuple[str, str], tuple[Scope, Candidate]] = field(default_factory=dict)
    folded: dict[tuple[str, Scope, str], Sequence[Candidate]] = field(default_factory=dict)
    paths: dict[tuple[str, Scope], Mapping[str, Sequence[str]]] = field(default_factory=dict)
    values: dict[tuple[str, Scope, str], Mapping[str | None, int]] = field(default_factory=dict)
    decided: frozenset[tuple[str, Scope, str, str | None]] = frozenset()
    applied: dict[tuple[Any, str, str], Applied] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision that is ready to be applied.

    Args:
        line: the line.
        target: what it comes to, as the ledger keeps it: ``given`` (the line's own target) and, by word, ``key``;
            ``keys`` (split, in order); ``winner`` and ``losers``; ``key`` and ``text`` (rename); ``path`` and ``cid``
            (create; cid None makes the path's row); ``text`` and ``path`` (fold onto a row that a line creates);
            ``rule`` (keep).
        rows: rows that have the value now.
    """

    line: Line
    target: Mapping[str, Any]
    rows: int = 0

    @property
    def word(self) -> str:
        """The decision's word."""
        return self.line.decision


@dataclass
class Checked:
    """A file that was checked.

    Args:
        decisions: in the order of applying.
        problems: bad lines; when there is one, nothing may be applied.
        notes: what is worth knowing and stops nothing.
        standing: lines that an earlier run applied and that still stand.
        widths: by lookup, the width that its text column needs first (None: unbounded).
    """

    decisions: list[Decision] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    standing: int = 0
    widths: dict[str, int | None] = field(default_factory=dict)


def owner(line: Line, model: Model) -> Reference | Lookup | None:
    """Return the reference or the lookup that a line is about."""
    for reference in model.references:
        if reference.name == line.reference:
            return reference
    if line.reference.startswith(LOOKUP_PREFIX):
        name = line.reference.removeprefix(LOOKUP_PREFIX)
        return next((x for x in model.lookups if x.name == name), None)
    return None


def lookup_of(entry: Reference | Lookup) -> Lookup:
    """Return the lookup behind a reference, or the lookup itself."""
    return entry if isinstance(entry, Lookup) else entry.lookup


def shape_problems(lines: Iterable[Line], model: Model) -> list[str]:
    """Return what is wrong with decided lines whatever the database holds: words, owners, scopes, double lines."""
    problems: list[str] = []
    known = [r.name for r in model.references] + [LOOKUP_PREFIX + x.name for x in model.lookups]
    seen: dict[Any, int] = {}
    for line in lines:
        entry = owner(line, model)
        if entry is None:
            near = nearest(line.reference, known)
            hint = f"; did you mean {near}?" if near else ""
            problems.append(f"line {line.number}: no reference {line.reference!r}{hint}")
            continue
        allowed = ON_LOOKUP if isinstance(entry, Lookup) else ON_REFERENCE
        if line.decision not in ORDER:
            near = nearest(line.decision, ORDER)
            hint = f"; did you mean {near}?" if near else f"; it is one of {', '.join(sorted(ORDER))}"
            problems.append(f"line {line.number}: no decision {line.decision!r}{hint}")
            continue
        if line.decision not in allowed:
            what = "a lookup's own row" if isinstance(entry, Lookup) else "a reference's value"
            where = f"a line of {LOOKUP_PREFIX}{lookup_of(entry).name}" if line.decision == "rename" else "a reference"
            problems.append(f"line {line.number}: {line.decision} decides nothing about {what}; it belongs on {where}")
            continue
        if lookup_of(entry).planned and line.decision not in ("drop", "null", "keep"):
            name = lookup_of(entry).name
            problems.append(f"line {line.number}: {line.decision} needs a row of {name}, which expand makes first")
            continue
        width = len(lookup_of(entry).scope)
        if len(line.scope) != width:
            problems.append(f"line {line.number}: the scope has {len(line.scope)} values, {line.reference} has {width}")
            continue
        same: Any = (*line.value, line.decision == "keep")
        if isinstance(entry, Lookup):
            same = (*same, tuple(sorted(c.key for c in line.candidates)))
        if same in seen:
            problems.append(f"line {line.number}: decides the same value as line {seen[same]}")
        seen.setdefault(same, line.number)
    return problems


class Removals:
    """Lookup rows that a file renames or merges away, and what that would decide in silence."""

    def __init__(self) -> None:
        self.merged: dict[tuple[str, str], tuple[str, int]] = {}  # (lookup, loser) → (winner, line)
        self.renamed: dict[tuple[str, str], tuple[str, int]] = {}  # (lookup, key) → (new text, line)

    def gone(self, lookup: str, key: str) -> bool:
        """Whether the row no longer has its text afterwards."""
        return (lookup, key) in self.merged or (lookup, key) in self.renamed

    def silent(
        self, lookup: Lookup, rows: Sequence[Candidate], qualifier: str | None
    ) -> tuple[Candidate, Candidate] | None:
        """Return (the row that goes, the row that would be taken instead) when a value is ambiguous now, resolves
        afterwards, and not to the row that the gone one was merged into."""
        how, _ = meaning(rows, qualifier)
        if how is not How.AMBIGUOUS:
            return None
        left = [r for r in rows if not self.gone(lookup.name, r.key)]
        _, key = meaning(left, qualifier)
        away = [r for r in rows if self.gone(lookup.name, r.key)]
        if key is None or not away:
            return None
        lost = [r for r in away if self.merged.get((lookup.name, r.key), ("", 0))[0] != key]
        return (lost[0], next(r for r in left if r.key == key)) if lost else None


def target_json(decision: Decision) -> str:
    """Return what the ledger keeps as a decision's target."""
    return json.dumps(dict(decision.target), ensure_ascii=False, sort_keys=True)
