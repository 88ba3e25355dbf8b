"""Checks lines about a lookup's own rows: rename and merge, their chains, and what they would decide in silence."""

from __future__ import annotations

from collections.abc import Sequence

from .decision_desk import Desk
from .decision_file import Line
from .decisions import Decision, lookup_of, owner
from .mapping import Candidate
from .model import Lookup, Reference


class LookupLines:
    """The check of rename and merge. Call :meth:`lookup_line` for each, then the other two once."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def lookup_line(self, line: Line) -> None:
        """Check one line."""
        entry = owner(line, self.desk.model)
        assert entry is not None
        lookup = lookup_of(entry)
        if not self.desk.scope_known(line):
            return
        rows = self.meant(line, lookup, isinstance(entry, Reference))
        if rows is None:
            return
        if line.decision == "rename":
            self.rename(line, lookup, rows)
        else:
            self.merge(line, lookup, rows, entry)

    def meant(self, line: Line, lookup: Lookup, of_reference: bool) -> list[Candidate] | None:
        """The lookup rows that a line is about: its candidates, else those of its text and qualifier."""
        group = list(self.desk.facts.rows.get((lookup.name, line.scope, line.text), ()))
        if line.candidates:
            wrong = [c for c in line.candidates if c.key not in {r.key for r in group}]
            if wrong:
                what = "is not in this scope with this text"
                self.desk.bad(line, f"candidate {wrong[0].key!r} {what}; the candidates are the rows that are meant")
                return None
            wanted = {c.key for c in line.candidates}
            return [r for r in group if r.key in wanted]
        if not of_reference and line.qualifier is not None:
            group = [r for r in group if r.path == line.qualifier]
        if not group:
            self.desk.bad(line, f"{lookup.table.name} has no row with this text in this scope")
            return None
        return group

    def rename(self, line: Line, lookup: Lookup, rows: list[Candidate]) -> None:
        if len(rows) != 1:
            listed = ", ".join(f"{r.key} in {r.path!r}" for r in rows)
            self.desk.bad(line, f"rename is about one row, and these have the text: {listed}; leave one in candidates")
            return
        row, new = rows[0], line.target
        if not new or new == row.text:
            self.desk.bad(line, "rename needs another text as its target")
            return
        columns = [(lookup.table.name, lookup.text)]
        columns += [(r.table.name, r.text) for r in self.desk.model.references_of(lookup)]
        for where, column in columns:
            if column.width is not None and len(new) > column.width:
                self.desk.bad(
                    line, f"{len(new)} characters do not fit {where}.{column.name}, which holds {column.width}"
                )
                return
        for other in self.desk.facts.rows.get((lookup.name, line.scope, new), ()):
            if other.path == row.path:
                self.desk.bad(
                    line, f"{new!r} exists already in {row.path!r} ({lookup.name} {other.key}); merge the two"
                )
                return
        for (name, _), (text, number) in self.desk.removals.renamed.items():
            if name == lookup.name and text == new:
                self.desk.bad(line, f"line {number} gives the same new text")
                return
        self.desk.removals.renamed[lookup.name, row.key] = (new, line.number)
        self.desk.result.decisions.append(Decision(line, {"given": line.target, "key": row.key, "text": new}))

    def merge(self, line: Line, lookup: Lookup, rows: list[Candidate], entry: Reference | Lookup) -> None:
        if not line.target:
            self.desk.bad(line, "merge needs the key of the row that stays as its target")
            return
        found = self.desk.facts.keys.get((lookup.name, line.target))
        if found is None:
            self.desk.bad(line, f"{lookup.table.name} has no row with {lookup.key.name} {line.target!r}")
            return
        scope, winner = found
        if scope != line.scope:
            self.desk.bad(line, f"{lookup.name} {winner.key} belongs to {list(scope)}, not to {list(line.scope)}")
            return
        losers = [r for r in rows if r.key != winner.key]
        if isinstance(entry, Reference) and winner.text != line.text:
            self.desk.bad(
                line, f"{lookup.name} {winner.key} is {winner.text!r}; merge other texts on a line of the lookup"
            )
            return
        if not losers:
            self.desk.bad(line, f"nothing is left to merge into {winner.key}")
            return
        for loser in losers:
            before = self.desk.removals.merged.get((lookup.name, loser.key))
            if before is not None and before[0] != winner.key:
                self.desk.bad(line, f"{lookup.name} {loser.key} is merged into {before[0]} by line {before[1]}")
                return
        # An export has a line for each reference that meets the pair; the first of them deletes the loser.
        fresh = [r.key for r in losers if (lookup.name, r.key) not in self.desk.removals.merged]
        for key in fresh:
            self.desk.removals.merged[lookup.name, key] = (winner.key, line.number)
        target = {"given": line.target, "winner": winner.key, "losers": fresh}
        self.desk.result.decisions.append(Decision(line, target))

    def removal_conflicts(self) -> None:
        """Bad: chains, circles, and a row that is both renamed and merged away."""
        for (name, loser), (winner, number) in self.desk.removals.merged.items():
            line = next(d.line for d in self.desk.result.decisions if d.line.number == number)
            onward = self.desk.removals.merged.get((name, winner))
            if onward is not None:
                what = "back" if onward[0] == loser else f"into {onward[0]}"
                self.desk.bad(line, f"{name} {winner} is itself merged {what} by line {onward[1]}; name the last one")
            if (name, loser) in self.desk.removals.renamed:
                self.desk.bad(line, f"{name} {loser} is renamed by line {self.desk.removals.renamed[name, loser][1]}")

    def silent(self, lines: Sequence[Line]) -> None:
        """Bad: a rename or merge after which rows that nobody decided would take the row that is left."""
        decided = {line.value for line in lines if line.decision != "keep"}
        told: set[int] = set()
        removed = {d.line.number: d for d in self.desk.result.decisions if d.word in ("rename", "merge")}
        for (name, scope, text), values in sorted(self.desk.facts.values.items(), key=repr):
            reference = self.desk.model.reference(name)
            rows = self.desk.facts.rows.get((reference.lookup.name, scope, text), ())
            for qualifier, count in values.items():
                value = (name, scope, text, qualifier)
                if value in decided or value in self.desk.facts.decided:
                    continue
                found = self.desk.removals.silent(reference.lookup, rows, qualifier)
                if found is None:
                    continue
                gone, taken = found
                key = (reference.lookup.name, gone.key)
                number = (self.desk.removals.merged.get(key) or self.desk.removals.renamed[key])[1]
                if number in removed and number not in told:
                    which = "no qualifier" if qualifier is None else f"qualifier {qualifier!r}"
                    self.desk.bad(
                        removed[number].line,
                        f"{count} rows of {name} with {which} are undecided between {gone.key} and {taken.key} "
                        f"and would silently take {taken.key}; decide them in the same file",
                    )
                    told.add(number)
