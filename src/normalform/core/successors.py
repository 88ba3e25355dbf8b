"""Conservation: what takes the place of each index and constraint that the old text carries.

Decides, for every index, unique, check, foreign key and exclusion constraint that reads a text or qualifier column that
contract will drop, its *successor* on the key, or says why there is none and what to do. It reads the baseline alone,
so that the answer, names included, is the same on every run and at every stage. It must never let a successor mention a
dropped column, nor lose a legacy object without a word.

A reference that keeps its text keeps everything on it; its plain indexes get a twin on the key, for the new code. How
one index is carried over is ``core.index_successor``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from .catalog import Constraint, Index, Table
from .expressions import mentions, rename_null_tests
from .index_successor import WHOLE_VALUES, Carried, Kind, Successor, index_successor, kind_of, listed
from .model import Reference
from .names import QName, display, shorten


@dataclass(frozen=True)
class Covered:
    """A legacy object whose work something else does anyway."""

    source: str
    by: str
    reason: str


@dataclass(frozen=True)
class Unconvertible:
    """A legacy object without successor: contract wants a waiver for it.

    Args:
        source: its name.
        kind: what it is.
        reason: why nothing takes its place.
        remedy: what to do.
    """

    source: str
    kind: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class Succession:
    """Everything about one table."""

    table: QName
    successors: tuple[Successor, ...] = ()
    covered: tuple[Covered, ...] = ()
    unconvertible: tuple[Unconvertible, ...] = ()


@dataclass
class _State:
    table: Table
    carried: Sequence[Carried]
    found: list[Successor] = field(default_factory=list)
    covered: list[Covered] = field(default_factory=list)
    lost: list[Unconvertible] = field(default_factory=list)


def carried(reference: Reference) -> Carried:
    """Return a reference's columns as this module wants them."""
    return Carried(
        name=reference.name,
        text=reference.text.name,
        qualifier=reference.qualifier.name if reference.qualifier else None,
        key=reference.key,
        scope=tuple(c.name for c in reference.scope),
        lookup=reference.lookup.table.name,
        lookup_text=reference.lookup.text.name,
        lookup_scope=reference.lookup.scope,
        keep_text=reference.spec.keep_text,
        required=reference.spec.required,
    )


def dropped_columns(references: Sequence[Carried]) -> tuple[str, ...]:
    """Return the columns of one table that contract drops: text and qualifier, unless a reference keeps them."""
    kept = {c for r in references if r.keep_text for c in (r.text, r.qualifier)}
    columns = [c for r in references if not r.keep_text for c in (r.text, r.qualifier) if c is not None]
    return tuple(dict.fromkeys(c for c in columns if c not in kept))


def succession(table: Table, references: Sequence[Carried], taken: Iterable[str] = ()) -> Succession:
    """Decide what takes the place of everything on one table that reads a text or a qualifier.

    Args:
        table: the table as it stood before the first change (the baseline).
        references: all references on this table.
        taken: names in its schema that are not the table's own, as of the baseline.
    """
    state = _State(table, references)
    dropped = set(dropped_columns(references))
    for index in table.indexes:
        used = [r for r in references if {r.text, r.qualifier} & dropped & set(index.uses)]
        if used:
            _index(state, index, used, dropped)
        elif not index.unique and not index.constraint:
            _twin(state, index)
    for constraint in table.constraints:
        if constraint.kind == "c" and dropped & set(constraint.columns):
            _check(state, constraint)
        elif constraint.kind == "f" and dropped & set(constraint.columns):
            _foreign(state, constraint)
    for key in table.inbound:
        if dropped & set(key.target_columns):
            gone = dropped & set(key.target_columns)
            reason = f"{key.table} refers to {listed(key.target_columns)}, of which {listed(gone)} will be gone"
            remedy = f"give {key.table} a key of its own that refers to the key columns, and drop {display(key.name)}"
            state.lost.append(Unconvertible(key.name, "inbound foreign key", reason, remedy))
    merged = _merge(state.found)
    for reference in references:
        if not any(_leads(s, reference) for s in merged):
            merged.append(_key_index(table, reference))
    return Succession(table.name, _name(state, merged, taken), tuple(state.covered), tuple(state.lost))


def _index(state: _State, index: Index, used: Sequence[Carried], dropped: set[str]) -> None:
    constraint = next((c for c in state.table.constraints if c.name == index.constraint), None)
    successor = index_successor(index, constraint, used, dropped)
    if isinstance(successor, Successor):
        state.found.append(successor)
    else:
        kind = _word(kind_of(index, constraint), constraint)
        state.lost.append(Unconvertible(index.name, kind, successor.reason, successor.remedy))


def _twin(state: _State, index: Index) -> None:
    """A plain index that reads a text that is kept: the old one stays, the new code gets one on the key."""
    keys = {c.column for c in index.columns}
    kept = [r for r in state.carried if r.keep_text and r.text in keys]
    columns = {c for r in kept for c in (r.text, r.qualifier) if c is not None}
    hidden = index.predicate is not None and any(mentions(index.predicate, c) for c in columns)
    inside = any(c.expression is not None and any(mentions(c.expression, k) for k in columns) for c in index.columns)
    if kept and not hidden and not inside and index.method in WHOLE_VALUES and index.valid:
        _index(state, index, kept, columns)


def _check(state: _State, constraint: Constraint) -> None:
    dropped = set(dropped_columns(state.carried))
    used = [r for r in state.carried if {r.text, r.qualifier} & dropped & set(constraint.columns)]
    renamed = {r.text: r.key for r in used if r.text in dropped}
    definition = rename_null_tests(constraint.definition, renamed)
    if definition is None or any(mentions(definition, d) for d in dropped):
        lookup = f"{used[0].lookup}.{display(used[0].lookup_text)}"
        reason = f"{constraint.definition} reads {listed(dropped & set(constraint.columns))}"
        remedy = f"what it asks of the text belongs on {lookup}: make the check there"
        state.lost.append(Unconvertible(constraint.name, "check", reason, remedy))
        return
    columns = tuple(dict.fromkeys(renamed.get(c, c) for c in constraint.columns))
    expression = rename_null_tests(constraint.expression or "", renamed)
    final = replace(constraint, columns=columns, definition=definition, expression=expression, comment=None)
    state.found.append(Successor("check", (constraint.name,), "", constraint=final))


def _foreign(state: _State, constraint: Constraint) -> None:
    pairs = set(zip(constraint.columns, constraint.reference_columns, strict=True))
    for reference in state.carried:
        own = {(reference.text, reference.lookup_text), *zip(reference.scope, reference.lookup_scope, strict=False)}
        if constraint.references == reference.lookup and (reference.text, reference.lookup_text) in pairs <= own:
            reason = f"the key refers to the same row of {reference.lookup}"
            state.covered.append(Covered(constraint.name, reference.key, reason))
            return
    dropped = set(dropped_columns(state.carried)) & set(constraint.columns)
    reason = f"it ties {listed(dropped)} to {constraint.references}"
    remedy = f"tie the lookup's own rows to {constraint.references}, or waive it"
    state.lost.append(Unconvertible(constraint.name, "foreign key", reason, remedy))


def _merge(found: Sequence[Successor]) -> list[Successor]:
    """Make one of successors that say the same; a plain index gives way to an equal unique that stands as long."""
    rank = {"primary": 0, "exclusion": 1, "unique": 2, "index": 3, "check": 4}
    merged: dict[object, Successor] = {}
    for successor in sorted(found, key=lambda s: (rank[s.kind], s.constraint is None)):
        place: object
        if successor.index is None:
            place = successor.constraint and successor.constraint.definition
        else:
            i = successor.index
            place = (i.method, i.columns, i.include, i.predicate, i.nulls_not_distinct and i.unique)
            if successor.kind == "exclusion":
                place = (place, successor.constraint and successor.constraint.operators)
            elif successor.late:
                place = (place, "late")
            elif successor.kind == "index" and (*place[:-1], True) in merged:
                place = (*place[:-1], True)
        first = merged.get(place)
        if first is None:
            merged[place] = successor
            continue
        note = "; ".join(dict.fromkeys(n for n in (first.note, successor.note) if n))
        merged[place] = replace(first, sources=(*first.sources, *successor.sources), note=note)
    return list(merged.values())


def _leads(successor: Successor, reference: Carried) -> bool:
    """Whether the foreign key's own checks can use it to find a key's rows, from constrain on."""
    index = successor.index
    if index is None or successor.late or index.predicate is not None or index.method != "btree":
        return False
    leading = [c.column for c in index.columns[: len(reference.scope) + 1]]
    return leading[0] == reference.key or set(leading) == {*reference.scope, reference.key}


def _key_index(table: Table, reference: Carried) -> Successor:
    index = Index.planned(table.name.schema, dict.fromkeys((*reference.scope, reference.key)))
    note = "the foreign key's own checks find a key's rows by it"
    return Successor("index", (), f"ix_{table.name.name}_{'_'.join(index.uses)}", index, note=note)


def _name(state: _State, found: Sequence[Successor], taken: Iterable[str]) -> tuple[Successor, ...]:
    table = state.table
    used = {*taken, table.name.name, *(i.name for i in table.indexes), *(c.name for c in table.constraints)}
    result = []
    for successor in found:
        wanted = successor.name or _renamed(successor.sources[0], table.name.name, state.carried, successor)
        name = shorten(wanted, used)
        used.add(name)
        index, constraint = successor.index, successor.constraint
        if constraint is not None:
            constraint = replace(constraint, name=name, index=name if index is not None else None)
        if index is not None:
            index = replace(index, name=name, constraint=name if constraint is not None else None)
        result.append(replace(successor, name=name, index=index, constraint=constraint))
    return tuple(result)


def _renamed(name: str, table: str, references: Sequence[Carried], successor: Successor) -> str:
    """The legacy name with the text's name replaced by the key's, the table's own name left alone."""
    of_index = successor.index.uses if successor.index else ()
    of_constraint = successor.constraint.columns if successor.constraint else ()
    keys = [r for r in references if r.key in of_index or r.key in of_constraint]
    head, middle, tail = name.partition(table)
    changed = False
    for reference in keys:
        word = re.compile(rf"(?<![^\W_]){re.escape(reference.text)}(?![^\W_])")
        for part in (tail, head):
            found = list(word.finditer(part))
            if not found:
                continue
            start, end = found[-1].span()
            renamed = f"{part[:start]}{reference.key}{part[end:]}"
            head, tail = (head, renamed) if part is tail else (renamed, tail)
            changed = True
            break
    return f"{head}{middle}{tail}" if changed else "_".join([name, *(r.key for r in keys)])


def _word(kind: Kind, constraint: Constraint | None) -> str:
    if kind == "unique":
        return "unique constraint" if constraint is not None else "unique index"
    return {"index": "index", "primary": "primary key", "exclusion": "exclusion constraint", "check": "check"}[kind]
