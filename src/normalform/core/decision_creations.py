"""Checks lines that create lookup rows: under which path, whether the spec can fill them, whether the text fits."""

from __future__ import annotations

from collections.abc import Sequence

from .decision_desk import Desk, absent
from .decision_file import Line
from .decisions import Decision, meaning, owner
from .mapping import Candidate, How
from .model import Lookup, Reference
from .names import nearest


class Creations:
    """The check of create."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def create_all(self, lines: Sequence[Line]) -> None:
        """Lines that name a category come first: a line that names none is content with the one row they make."""
        later = [line for line in lines if not self.create_named(line)]
        for line in later:
            self.create_otherwise(line)

    def creatable(self, line: Line) -> Lookup | None:
        reference = owner(line, self.desk.model)
        assert isinstance(reference, Reference)
        if not self.desk.scope_known(line):
            return None
        present = self.desk.present(line)
        if not present.get(line.qualifier, 0):
            self.desk.bad(line, absent(reference, present))
            return None
        lookup, text = reference.lookup, reference.lookup.text
        missing = unfilled(lookup)
        if missing:
            self.desk.bad(line, f"[lookup.{lookup.name}.new_row] must say how to fill {', '.join(missing)}")
            return None
        if text.width is not None and len(line.text) > text.width:
            if text.base != "varchar":
                self.desk.bad(line, f"{len(line.text)} characters do not fit {text.type}, which cannot be widened")
                return None
            wanted = self.desk.result.widths.get(lookup.name, text.width)
            width = reference.text.width
            self.desk.result.widths[lookup.name] = None if width is None or wanted is None else max(wanted, width)
        return lookup

    def create_named(self, line: Line) -> bool:
        """Create below a path that the line names; False when it names none."""
        reference = owner(line, self.desk.model)
        assert isinstance(reference, Reference)
        lookup = reference.lookup
        if lookup.path is None:
            path = line.target or line.qualifier if lookup.qualifier_column else None
            if self.creatable(line) is not None:
                self.make(line, lookup, path, None)
            return True
        paths = self.desk.facts.paths.get((lookup.name, line.scope), {})
        path = line.target or (line.qualifier if line.qualifier in paths else None)
        if path is None:
            return False
        if self.creatable(line) is None:
            return True
        if path not in paths:
            near = nearest(path, paths)
            hint = f"; did you mean {near!r}?" if near else ""
            self.desk.bad(line, f"{lookup.path.table.name} has no {path!r} in {list(line.scope)}{hint}")
            return True
        if len(paths[path]) > 1:
            self.desk.note(
                line, f"{len(paths[path])} rows of {lookup.path.table.name} are {path!r}; {paths[path][0]} is taken"
            )
        self.make(line, lookup, path, paths[path][0])
        return True

    def create_otherwise(self, line: Line) -> None:
        lookup = self.creatable(line)
        if lookup is None:
            return
        assert lookup.path is not None
        live, made = self.desk.standing_rows(lookup, line)
        if len(live) + len(made) == 1:
            path, cid = made[0] if made else (live[0].path, None)
            self.make(line, lookup, path, cid, exists=True)
            return
        if live or made:
            self.desk.bad(
                line, "several rows have this text and the rows' qualifier picks none; choose, or name a category"
            )
            return
        value = lookup.spec.new_row.get(lookup.path.join)
        otherwise = value.otherwise if value is not None else None
        if otherwise is None:
            column = lookup.table.column(lookup.path.join)
            if column is not None and column.not_null:
                self.desk.bad(
                    line, f"no category: name one as target, or set otherwise in [lookup.{lookup.name}.new_row]"
                )
                return
            self.make(line, lookup, None, None)
            return
        cids = self.desk.facts.paths.get((lookup.name, line.scope), {}).get(otherwise, ())
        if not cids:
            missing = unfilled_path(lookup)
            if missing:
                self.desk.bad(
                    line, f"{otherwise!r} does not exist, and {lookup.path.table.name} needs {', '.join(missing)}"
                )
                return
        self.make(line, lookup, otherwise, cids[0] if cids else None)

    def make(self, line: Line, lookup: Lookup, path: str | None, cid: str | None, *, exists: bool = False) -> None:
        live, made = self.desk.standing_rows(lookup, line)
        if not exists and any(r.path == path for r in live):
            self.desk.note(line, f"{line.text!r} stands in {path!r} already; nothing is created")
            exists = True
        if not exists and (path, cid) not in made:
            self.desk.created.setdefault((lookup.name, line.scope, line.text), []).append((path, cid))
        rows = [*live, *[Candidate("new", line.text, p) for p, _ in self.desk.standing_rows(lookup, line)[1]]]
        how, _ = meaning(rows, line.qualifier)
        if how is How.AMBIGUOUS:
            self.desk.bad(line, "several rows would have this text and the rows' qualifier picks none; choose one")
            return
        target = {"given": line.target, "path": path, "cid": cid, "exists": exists}
        count = self.desk.facts.values.get((line.reference, line.scope, line.text), {}).get(line.qualifier, 0)
        self.desk.result.decisions.append(Decision(line, target, count))


def unfilled(lookup: Lookup) -> list[str]:
    """Return the lookup's columns that a created row could not fill."""
    filled = {lookup.key.name if _generates(lookup) else "", lookup.text.name, *lookup.scope, *lookup.spec.new_row}
    if lookup.qualifier_column is not None:
        filled.add(lookup.qualifier_column)
    return [
        c.name
        for c in lookup.table.columns
        if c.not_null and c.default is None and not c.identity and not c.generated and c.name not in filled
    ]


def unfilled_path(lookup: Lookup) -> list[str]:
    """Return the path table's columns that a created path row could not fill."""
    assert lookup.path is not None
    filled = {lookup.path.name, *path_scope(lookup)}
    return [
        c.name
        for c in lookup.path.table.columns
        if c.not_null and c.default is None and not c.identity and not c.generated and c.name not in filled
    ]


def path_scope(lookup: Lookup) -> tuple[str, ...]:
    """Return the columns of the path table that hold the lookup's scope, in its order; empty when it has none.

    The path table's own column is the one that the scope is copied from, else the ones of the same names.
    """
    assert lookup.path is not None
    copy = lookup.scope_copy
    if copy is not None and copy.table.name == lookup.path.table.name:
        return (copy.column.name,)
    names = tuple(c.name for c in lookup.path.table.columns)
    return lookup.scope if lookup.scope and all(s in names for s in lookup.scope) else ()


def _generates(lookup: Lookup) -> bool:
    return lookup.key.default is not None or bool(lookup.key.identity)
