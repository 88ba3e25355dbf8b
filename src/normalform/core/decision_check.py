"""Checks a whole decision file against the facts, and says what each line comes to.

Decides nothing by itself: a line that could mean two rows is a bad line. It must never stop at the first bad line,
since the file is applied whole or not at all and people want to see all that is wrong with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .decision_creations import Creations
from .decision_desk import Desk, absent
from .decision_file import Line
from .decision_lookups import LookupLines
from .decisions import ORDER, Checked, Decision, Facts, lookup_of, meaning, owner
from .mapping import Candidate
from .model import Lookup, Model, Reference
from .similar import fold


def check(lines: Sequence[Line], model: Model, facts: Facts) -> Checked:
    """Check decided lines that have passed :func:`core.decisions.shape_problems`.

    Args:
        lines: decided lines, whose owners exist and whose words fit them.
        model: the model.
        facts: what the database says about them.
    """
    desk = Desk(model, facts)
    fresh = []
    for line in lines:
        applied = facts.applied.get((line.value, line.decision, line.target))
        if applied is not None and applied.stands:
            desk.result.standing += 1
        else:
            fresh.append(line)
    _after_expand(desk, fresh)
    lookups, values = LookupLines(desk), _Values(desk)
    for word in ("rename", "merge"):
        for line in fresh:
            if line.decision == word:
                lookups.lookup_line(line)
    lookups.removal_conflicts()
    Creations(desk).create_all([line for line in fresh if line.decision == "create"])
    for line in fresh:
        if line.decision in values.words:
            values.value_line(line)
    lookups.silent(fresh)
    order = {word: position for position, word in enumerate(ORDER)}
    desk.result.decisions.sort(key=lambda d: order[d.word])  # stable: create has its own order, the others the file's
    desk.result.problems.sort(key=lambda text: int(text.split()[1].rstrip(":")))
    return desk.result


def _after_expand(desk: Desk, lines: Sequence[Line]) -> None:
    """Once keys exist, a decision may add to what is decided and not change it."""
    for line in lines:
        entry = owner(line, desk.model)
        assert entry is not None
        lookup = lookup_of(entry)
        keyed = any(r.key_present for r in desk.model.references_of(lookup))
        if not keyed:
            continue
        if line.decision in ("rename", "merge", "split"):
            desk.bad(line, f"{line.decision} comes before expand; normalform rollback --to resolve")
        elif (line.reference, line.scope, line.text, line.qualifier) in desk.facts.decided:
            desk.bad(line, "the value is decided and rows may have its key; normalform rollback --to resolve")


class _Values:
    """Lines about a value of a reference, but for create and merge."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.words: dict[str, Callable[[Line, Reference], Mapping[str, Any] | None]] = {
            "drop": self.drop,
            "choose": self.choose,
            "fold": self.fold,
            "null": self.null,
            "split": self.split,
            "keep": self.keep,
        }

    def value_line(self, line: Line) -> None:
        reference = owner(line, self.desk.model)
        assert isinstance(reference, Reference)
        present = self.desk.present(line)
        rows = present.get(line.qualifier, 0)
        if line.decision != "keep":
            if not rows:
                self.desk.bad(line, absent(reference, present))
                return
            if line.rows and line.rows != rows:
                self.desk.note(line, f"{rows} rows now, {line.rows} when the file was written")
        target = self.words[line.decision](line, reference)
        if target is not None:
            self.desk.result.decisions.append(Decision(line, {"given": line.target, **target}, rows))

    def row_in_scope(self, line: Line, lookup: Lookup, key: str) -> Candidate | None:
        """The live lookup row of that key, if it stands in the line's scope; else the line is bad."""
        found = self.desk.facts.keys.get((lookup.name, key))
        if found is None:
            self.desk.bad(line, f"{lookup.table.name} has no row with {lookup.key.name} {key!r}")
            return None
        scope, row = found
        if scope != line.scope:
            self.desk.bad(line, f"{lookup.name} {key} belongs to {list(scope)}, the value to {list(line.scope)}")
            return None
        if (lookup.name, key) in self.desk.removals.merged:
            winner, number = self.desk.removals.merged[lookup.name, key]
            self.desk.bad(line, f"{lookup.name} {key} is merged into {winner} by line {number}; name that")
            return None
        return row

    def drop(self, line: Line, reference: Reference) -> Mapping[str, Any] | None:
        del line, reference  # a value that is there can always be dropped
        return {}

    def choose(self, line: Line, reference: Reference) -> Mapping[str, Any] | None:
        if not self.desk.scope_known(line):
            return None
        if not line.target:
            self.desk.bad(line, "choose needs the key of a lookup row as its target")
            return None
        row = self.row_in_scope(line, reference.lookup, line.target)
        return None if row is None else {"key": row.key}

    def fold(self, line: Line, reference: Reference) -> Mapping[str, Any] | None:
        lookup = reference.lookup
        if not self.desk.scope_known(line):
            return None
        if line.target:
            row = self.row_in_scope(line, lookup, line.target)
            if row is None:
                return None
            if fold(row.text) != fold(line.text):
                self.desk.bad(
                    line, f"{row.text!r} is not equal after folding; write choose if it is meant all the same"
                )
                return None
            return {"key": row.key}
        live = self.desk.facts.folded.get((lookup.name, line.scope, fold(line.text)), ())
        rows = [r for r in live if not self.desk.removals.gone(lookup.name, r.key)]
        made = [
            (text, path)
            for (name, scope, text), entries in self.desk.created.items()
            for path, _ in entries
            if name == lookup.name and scope == line.scope and fold(text) == fold(line.text)
        ]
        if not rows and len(made) == 1:
            return {"text": made[0][0], "path": made[0][1]}
        _, key = meaning(rows, line.qualifier)
        if made or key is None:
            listed = ", ".join(f"{r.key} ({r.text!r} in {r.path!r})" for r in rows) or "none"
            self.desk.bad(line, f"one row of {lookup.table.name} must be equal after folding; there are: {listed}")
            return None
        return {"key": key}

    def null(self, line: Line, reference: Reference) -> Mapping[str, Any] | None:
        if reference.spec.required:
            self.desk.bad(line, f"{line.reference} is required; null is for references that are not")
            return None
        return {}

    def split(self, line: Line, reference: Reference) -> Mapping[str, Any] | None:
        lookup = reference.lookup
        if not self.desk.scope_known(line):
            return None
        if reference.qualifier is not None:
            self.desk.bad(
                line, f"the rows of {line.reference} have a qualifier that can tell them apart; choose, or rename"
            )
            return None
        rows = self.desk.facts.rows.get((lookup.name, line.scope, line.text), ())
        # A row that the same file renames still is what the text meant.
        keys = [r.key for r in rows if (lookup.name, r.key) not in self.desk.removals.merged]
        if line.target:
            given = _keys(line.target)
            wrong = None if given is None else [k for k in given if k not in keys]
            if given is None or len(set(given)) != len(given):
                self.desk.bad(
                    line, 'the target of split is a JSON array of different keys, such as ["2", "3"], or empty'
                )
                return None
            if wrong:
                self.desk.bad(line, f"{wrong[0]!r} is no row of {lookup.table.name} with this text in this scope")
                return None
            keys = given
        if len(keys) < 2:
            self.desk.bad(line, f"split needs two lookup rows or more; {len(keys)} has this text in this scope")
            return None
        return {"keys": keys, "key": keys[0]}

    def keep(self, line: Line, reference: Reference) -> Mapping[str, Any] | None:
        lookup = reference.lookup
        if not line.target:
            self.desk.bad(line, "keep needs a target: oldest, newest, a text of the group, or a row's identity as JSON")
            return None
        rows = self.desk.facts.rows.get((lookup.name, line.scope, line.text), ())
        paths = [r.path for r in rows if not self.desk.removals.gone(lookup.name, r.key)]
        paths += [path for path, _ in self.desk.created.get((lookup.name, line.scope, line.text), ())]
        fitting = [p for p in paths if line.qualifier is None or p == line.qualifier]
        if len(fitting) != 1:
            self.desk.bad(
                line, f"keep is about one row of {lookup.table.name}; {len(fitting)} have this text and qualifier"
            )
            return None
        rule = _rule(line.target)
        if "identity" in rule:
            identity = rule["identity"]
            if not reference.identity or set(identity) != set(reference.identity):
                self.desk.bad(line, f"a row of {reference.table.name} is named by {list(reference.identity)}")
                return None
        return {"rule": rule, "path": fitting[0]}


def _json(target: str) -> Any:
    """Return a target as JSON, or None: also where it nests too deep or has a number too long to be read."""
    try:
        return json.loads(target)
    except (ValueError, RecursionError):
        return None


def _keys(target: str) -> list[str] | None:
    value = _json(target)
    if not isinstance(value, list):
        return None
    return [str(v) for v in value if isinstance(v, str | int)]


def _rule(target: str) -> dict[str, Any]:
    """``oldest``, ``newest``, an identity as a JSON object, or a text (as a JSON string where it is one of those
    words).
    """
    if target in ("oldest", "newest"):
        return {"order": target}
    value = _json(target)
    if isinstance(value, dict):
        return {"identity": {str(k): v if v is None or isinstance(v, str) else json.dumps(v) for k, v in value.items()}}
    return {"text": value if isinstance(value, str) else target}
