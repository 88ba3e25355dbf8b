"""What takes the place of one index: the same with keys where texts and qualifiers stood, or a reason why not.

The rules: the text becomes the key; the qualifier goes where the text stands too (the key says both), and becomes the
key where it stands alone in a plain index. Operator class and collation go with the text that they were for. It must
never return an index that reads a dropped column.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from .catalog import Constraint, Index, IndexColumn
from .expressions import mentions, rename_null_tests
from .names import QName, display

Kind = Literal["index", "unique", "primary", "exclusion", "check"]
#: How unique successors stand until contract: ``late``, as plain indexes that contract makes unique, or ``deferrable``.
Uniques = Literal["late", "deferrable"]
LATE: Uniques = "late"
DEFERRABLE: Uniques = "deferrable"
#: Access methods that order or hash whole values, and so take a key as well as a text.
WHOLE_VALUES = ("btree", "hash", "brin")
_EQUALITY = "OPERATOR(pg_catalog.=)"


@dataclass(frozen=True)
class Carried:
    """A reference's columns, as far as conservation asks.

    Args:
        name: the reference's name.
        text, qualifier, key, scope: its columns.
        lookup: the lookup's table, for advice; ``lookup_text`` and ``lookup_scope`` are its columns.
        keep_text: whether text and qualifier stay after contract.
        required: whether the key becomes NOT NULL.
    """

    name: str
    text: str
    qualifier: str | None
    key: str
    scope: tuple[str, ...]
    lookup: QName
    lookup_text: str
    lookup_scope: tuple[str, ...] = ()
    keep_text: bool = False
    required: bool = True


@dataclass(frozen=True)
class Successor:
    """What takes the place of one or more legacy objects.

    Args:
        kind: what it is in the end.
        sources: names of the legacy objects; empty for an index that only the foreign key's own checks need.
        name: its name.
        index: the index, or the one that the constraint rests on; None for a check.
        constraint: the constraint that it is in the end; None for an index.
        deferrable: it may stand as a DEFERRABLE INITIALLY IMMEDIATE constraint while old code writes text, where the
            operator prefers that to a plain index; contract gives it its final form (CORRECTNESS 21).
        late: no constraint can express it (a predicate, an expression, a sort order), so it cannot be deferrable:
            contract makes it unique whatever is preferred, and until then the legacy one guards.
        note: what differs, for people.
    """

    kind: Kind
    sources: tuple[str, ...]
    name: str
    index: Index | None = None
    constraint: Constraint | None = None
    deferrable: bool = False
    late: bool = False
    note: str = ""


@dataclass(frozen=True)
class NoSuccessor:
    """Why an index has none, and what to do."""

    reason: str
    remedy: str


def index_successor(
    index: Index, constraint: Constraint | None, used: Sequence[Carried], dropped: set[str]
) -> Successor | NoSuccessor:
    """Decide what takes the place of an index.

    Args:
        index: the legacy index.
        constraint: the constraint that it serves, if any.
        used: the references whose text or qualifier it reads; at least one.
        dropped: the columns that will be gone.

    Returns:
        The successor, yet without a name, or why there is none.
    """
    problem = _problem(index, constraint, used, dropped)
    if problem is not None:
        return problem
    kind = kind_of(index, constraint)
    renamed = {r.text: r.key for r in used if r.text in dropped}
    predicate = rename_null_tests(index.predicate, renamed) if index.predicate is not None else None
    columns, include = _columns(index, used, dropped)
    targets = dict(index.statistics)
    before = [n for n, c in enumerate(index.columns, 1) if c.column is None]
    after = [n for n, c in enumerate(columns, 1) if c.column is None]
    successor = replace(
        index,
        columns=columns,
        include=include,
        valid=True,
        immediate=True,
        predicate=predicate,
        definition="",
        uses=_uses(index, columns, include, used, dropped),
        comment=None,
        bytes=0,
        statistics=tuple((b, targets[a]) for a, b in zip(before, after, strict=True) if a in targets),
    )
    unique = kind in ("unique", "primary")
    same_keys = columns == index.columns and predicate == index.predicate
    plain = predicate is None and all(_plain(c) for c in columns) and index.method == "btree"
    ends_deferrable = constraint is not None and constraint.deferrable
    return Successor(
        kind=kind,
        sources=(index.name,),
        name="",
        index=successor,
        constraint=_final(constraint, successor, used, dropped),
        # Beside an equal unique both are arbiters of ON CONFLICT, and an immediate one does no harm.
        deferrable=unique and plain and not ends_deferrable and not same_keys,
        late=unique and not plain and not same_keys,
        note=_note(index, used, kind),
    )


def kind_of(index: Index, constraint: Constraint | None) -> Kind:
    """Return what an index is there for."""
    if constraint is not None and constraint.kind == "x":
        return "exclusion"
    if index.primary:
        return "primary"
    return "unique" if index.unique else "index"


def listed(names: Iterable[str]) -> str:
    """Return names as people write them, in order."""
    return ", ".join(display(n) for n in sorted(names))


def _problem(
    index: Index, constraint: Constraint | None, used: Sequence[Carried], dropped: set[str]
) -> NoSuccessor | None:
    """Return why the index has no successor, and what to do; None when it has one."""
    keys = {c.column for c in index.columns}
    if not index.valid:
        return NoSuccessor("it is invalid and serves nobody", "drop it, or make it valid by REINDEX INDEX CONCURRENTLY")
    lookup = f"{used[0].lookup}.{display(used[0].lookup_text)}"
    for column in index.columns:
        if column.expression is not None and any(mentions(column.expression, d) for d in dropped):
            return NoSuccessor(
                f"its expression {column.expression} reads {listed(dropped)}",
                f"make an index on the same expression of {lookup}, and join",
            )
    renamed = {r.text: r.key for r in used if r.text in dropped}
    asks = index.predicate is not None and any(mentions(index.predicate, d) for d in dropped)
    predicate = rename_null_tests(index.predicate, renamed) if index.predicate is not None else None
    if asks and (predicate is None or any(mentions(predicate, d) for d in dropped)):
        return NoSuccessor(
            f"its predicate {index.predicate} reads {listed(dropped)}",
            f"make a partial index on the key with the lookup rows that are meant, or one on {lookup}",
        )
    if not dropped & {*keys, *index.include} and not asks:
        return NoSuccessor(
            "it reads the whole row, of which a column will be gone",
            "make an index on the columns that are meant, and waive this one",
        )
    if dropped & keys and index.method not in WHOLE_VALUES and not _equal_only(index, constraint, dropped):
        return NoSuccessor(
            f"{index.method} searches inside the text, which the key does not have",
            f"make the {index.method} index on {lookup}, and join",
        )
    for reference in used:
        alone = reference.qualifier in keys & dropped and not any(
            r.text in keys for r in used if r.qualifier == reference.qualifier
        )
        if alone and (index.unique or constraint is not None):
            return NoSuccessor(
                f"no constraint on the key can say that {display(reference.qualifier or '')} is unique by itself",
                "check it in the application or by a trigger, or waive it",
            )
    if index.primary and any(not r.required for r in used if {r.text, r.qualifier} & keys):
        return NoSuccessor(
            "a primary key cannot hold a key that may be NULL",
            "make the reference required, or give the table another primary key first",
        )
    return None


def _equal_only(index: Index, constraint: Constraint | None, dropped: set[str]) -> bool:
    """Whether an exclusion constraint asks no more of the dropped columns than equality."""
    if constraint is None or constraint.kind != "x":
        return False
    pairs = zip(index.columns, constraint.operators, strict=True)
    return all(o.endswith(".=)") for c, o in pairs if c.column in dropped)


def _columns(
    index: Index, used: Sequence[Carried], dropped: set[str]
) -> tuple[tuple[IndexColumn, ...], tuple[str, ...]]:
    """Put keys in the place of texts and qualifiers."""
    present = {c.column for c in index.columns}
    columns: list[IndexColumn] = []
    for column in index.columns:
        if column.column not in dropped:
            columns.append(column)
            continue
        key = _key_for(column.column, used, present)
        if key is not None and all(c.column != key for c in columns):
            columns.append(IndexColumn(key, descending=column.descending, nulls_first=column.nulls_first))
    present |= set(index.include)
    placed = {c.column for c in columns}
    include: list[str] = []
    for name in index.include:
        wanted = _key_for(name, used, present) if name in dropped else name
        if wanted is not None and wanted not in placed:
            placed.add(wanted)
            include.append(wanted)
    return tuple(columns), tuple(include)


def _key_for(column: str | None, used: Sequence[Carried], present: set[str | None]) -> str | None:
    """The key that stands for a dropped column; None for a qualifier whose text is there too."""
    for reference in used:
        if reference.text == column:
            return reference.key
    owners = [r for r in used if r.qualifier == column]
    return None if any(r.text in present for r in owners) else owners[0].key


def _uses(
    index: Index, columns: Sequence[IndexColumn], include: Sequence[str], used: Sequence[Carried], dropped: set[str]
) -> tuple[str, ...]:
    """Every column that the successor reads; those that only its expressions read come from the legacy list."""
    plain = {c.column for c in index.columns} | set(index.include)
    hidden = [c for c in index.uses if c not in plain and c not in dropped]
    tested = [r.key for r in used if r.text in dropped and r.text in index.uses]
    return tuple(dict.fromkeys([*(c.column for c in columns if c.column), *include, *hidden, *tested]))


def _final(
    constraint: Constraint | None, index: Index, used: Sequence[Carried], dropped: set[str]
) -> Constraint | None:
    """The constraint that the successor is in the end, written down through its index."""
    if constraint is None:
        return None
    names = tuple(c.column for c in index.columns if c.column is not None)
    operators = constraint.operators
    if operators:
        legacy = {r.key for r in used if {r.text, r.qualifier} & dropped}
        # The text's own operator may be citext's; keys have the server's.
        by_column = dict(zip(constraint.columns, operators, strict=False))
        operators = tuple(
            _EQUALITY if c.column in legacy else by_column.get(c.column or "", operators[n])
            for n, c in enumerate(index.columns)
        )
    return replace(constraint, columns=names, definition="", operators=operators, comment=None)


def _plain(column: IndexColumn) -> bool:
    """Whether a constraint can rest on this column: no expression, and the type's default way of sorting."""
    return (
        column.column is not None
        and column.opclass is None
        and column.collation is None
        and not column.descending
        and not column.nulls_first
    )


def _note(index: Index, used: Sequence[Carried], kind: Kind) -> str:
    notes = []
    for reference in used:
        texts = [c for c in index.columns if c.column == reference.text]
        if any(c.opclass is not None for c in texts):
            notes.append(f"searches by a part of {display(reference.text)} go through {reference.lookup} now")
        alone = reference.qualifier is not None and all(c.column != reference.qualifier for c in index.columns)
        if kind in ("unique", "primary") and texts and alone:
            notes.append(
                f"allows equal {display(reference.text)} under two different {display(reference.qualifier or '')}"
            )
    return "; ".join(notes)
