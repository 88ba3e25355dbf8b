"""What the parts of a check share: the model, the facts, what has been found so far. Decides nothing by itself."""

from __future__ import annotations

from collections.abc import Mapping

from .decision_file import Line
from .decisions import Checked, Facts, Removals, Scope, owner
from .mapping import Candidate
from .model import Lookup, Model, Reference


class Desk:
    """One file on the desk.

    Args:
        model: the model.
        facts: what the database says about the file's lines.
    """

    def __init__(self, model: Model, facts: Facts) -> None:
        self.model, self.facts = model, facts
        self.result = Checked()
        self.removals = Removals()
        #: (path, key of the path's row) of lookup rows that lines create, by (lookup, scope, text).
        self.created: dict[tuple[str, Scope, str], list[tuple[str | None, str | None]]] = {}

    def bad(self, line: Line, text: str) -> None:
        """Add a bad line."""
        self.result.problems.append(f"line {line.number}: {text}")

    def note(self, line: Line, text: str) -> None:
        """Add what is worth knowing about a line."""
        self.result.notes.append(f"line {line.number}: {text}")

    def present(self, line: Line) -> Mapping[str | None, int]:
        """Return how many rows have the line's text in its scope now, by qualifier."""
        return self.facts.values.get((line.reference, line.scope, line.text), {})

    def scope_known(self, line: Line) -> bool:
        """Whether the line has a scope; if not, the line is bad."""
        if None in line.scope:
            self.bad(line, f"the rows have no scope, so no lookup row can be theirs; drop them{self.or_null(line)}")
            return False
        return True

    def or_null(self, line: Line) -> str:
        """Say "or null" where the reference need not have a key."""
        reference = owner(line, self.model)
        return "" if isinstance(reference, Reference) and reference.spec.required else ", or null"

    def standing_rows(self, lookup: Lookup, line: Line) -> tuple[list[Candidate], list[tuple[str | None, str | None]]]:
        """Return the rows with the line's text that stand before the file, and those that it has made."""
        live = self.facts.rows.get((lookup.name, line.scope, line.text), ())
        made = self.created.get((lookup.name, line.scope, line.text), [])
        return [r for r in live if not self.removals.gone(lookup.name, r.key)], made


def absent(reference: Reference, present: Mapping[str | None, int]) -> str:
    """Say that no row has a value, and with which qualifiers its text stands."""
    text = f"no row of {reference.table.name} has this value"
    others = sorted(repr(q) if q is not None else "none" for q in present)
    return text + (f"; the text stands there with qualifier {' or '.join(others[:3])}" if others else "")
