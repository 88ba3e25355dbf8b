"""The draft: what was guessed, as lookups and references of a spec, with the evidence for each of their keys.

Decides what follows from the samples for ``required`` and ``unique``. Never decides whether a fit is a guess: that is
``core.guess``'s. No value of a row gets into it, but for the samples of what was not found.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from . import evidence
from .candidates import Repeater
from .catalog import Catalog
from .draft_names import Names
from .evidence import Guess
from .fit import Fit, ReferenceFit
from .guess import Chosen
from .names import QName
from .own_lookup import KEY_BYTES, Proposal, saved
from .samples import NOTHING, Rate
from .shape import Path
from .spec import LookupSpec, QualifierSpec, ReferenceSpec, ScopeSpec


@dataclass(frozen=True)
class LookupDraft:
    """A guessed lookup, or one to be made: its spec, its rows (estimated), and the evidence."""

    spec: LookupSpec
    table: QName
    rows: int
    guesses: tuple[Guess, ...]


@dataclass(frozen=True)
class ReferenceDraft:
    """A guessed reference.

    Args:
        spec: its spec.
        table: its table.
        rows: rows of the table, estimated.
        distinct: different texts, estimated.
        bytes: about what the key saves, in the table and in indexes on the text.
        found: sampled rows with text, and how many mean a row of the lookup.
        values: the same for different values.
        guesses: the evidence.
        missing: values that were not found, the most frequent first; empty when values are hidden.
    """

    spec: ReferenceSpec
    table: QName
    rows: int
    distinct: int
    bytes: int
    found: Rate
    values: Rate
    guesses: tuple[Guess, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Draft:
    """Everything that was guessed: lookups by the bytes that their references save, references likewise."""

    lookups: tuple[LookupDraft, ...] = ()
    references: tuple[ReferenceDraft, ...] = ()


def draft(
    chosen: Iterable[Chosen], catalog: Catalog, proposals: Sequence[Proposal] = (), *, mask: bool = False
) -> Draft:
    """Name everything and put it into the words of a spec.

    Args:
        chosen: lookups with the columns that refer to them.
        catalog: every table that was looked at.
        proposals: lookups that are to be made.
        mask: leave out values of rows.
    """
    names = Names(catalog)
    lookups: list[tuple[int, LookupDraft]] = []
    references: list[tuple[Repeater, LookupSpec, Chosen | None, ReferenceFit | None]] = []
    for entry in sorted(chosen, key=lambda c: c.fit.owner.name):
        spec = _lookup(names.lookup(entry.fit.owner), entry, names)
        table, rows = entry.fit.owner.table.name, round(entry.fit.owner.rows)
        lookups.append((_all_bytes(entry), LookupDraft(spec, table, rows, evidence.of_lookup(entry))))
        references += [(r.repeater, spec, entry, r) for r in entry.references]
    for proposal in proposals:
        name, table = names.new_lookup(proposal)
        spec = LookupSpec(
            name=name, table=names.new_table(table), key="id", text="name", create=True, key_type=proposal.key_type
        )
        guesses = evidence.of_proposal(proposal, str(table))
        lookups.append((proposal.bytes, LookupDraft(spec, table, round(proposal.repeaters[0].distinct), guesses)))
        references += [(r, spec, None, None) for r in proposal.repeaters]
    lookups.sort(key=lambda x: -x[0])
    tables = [repeater.table.name for repeater, *_ in references]
    drafted = []
    # The names of the keys are given in an order that does not depend on estimates.
    for repeater, spec, from_fit, reference in sorted(references, key=lambda x: x[0].name):
        alone = tables.count(repeater.table.name) == 1
        drafted.append(
            ReferenceDraft(
                spec=_reference(spec, repeater, reference, names, alone=alone),
                table=repeater.table.name,
                rows=round(repeater.rows),
                distinct=round(repeater.distinct),
                bytes=_bytes(from_fit.fit if from_fit is not None else None, repeater),
                found=reference.rows if reference is not None else NOTHING,
                values=reference.values if reference is not None else NOTHING,
                guesses=evidence.of_reference(from_fit.fit, reference) if from_fit and reference else (),
                missing=() if mask or reference is None else reference.missing,
            )
        )
    drafted.sort(key=lambda d: (-d.bytes, d.table, d.spec.text))
    return Draft(tuple(d for _, d in lookups), tuple(drafted))


def _all_bytes(entry: Chosen) -> int:
    return sum(_bytes(entry.fit, r.repeater) for r in entry.references)


def _bytes(fit: Fit | None, repeater: Repeater) -> int:
    """Return what a reference saves; with a lookup that is to be made, by an integer."""
    base = fit.owner.key.base if fit is not None and fit.owner.key is not None else "int4"
    return saved(repeater, KEY_BYTES.get(base, 8))


def _lookup(name: str, chosen: Chosen, names: Names) -> LookupSpec:
    owner, shape = chosen.fit.owner, chosen.fit.shape
    assert owner.key is not None
    parents = {join.column: join.parent.name for join, _ in chosen.fit.joins}
    scope = qualifier = None
    unique: tuple[str, ...] = ()
    if shape.added is not None:
        added = shape.added
        scope = ScopeSpec(add=added.column, copy_table=names.table(parents[added.join]), copy_column=added.column,
                          join=added.join)  # fmt: skip
        if owner.others is not None:
            unique = (added.column, *owner.others, owner.text.name)
    elif shape.scope:
        scope = ScopeSpec(columns=shape.scope)
    if isinstance(shape.qualifier, Path):
        path = shape.qualifier
        qualifier = QualifierSpec(path_table=names.table(parents[path.join]), path_column=path.column, join=path.join,
                                  parent=path.up, separator=path.separator)  # fmt: skip
    elif shape.qualifier is not None:
        qualifier = QualifierSpec(column=shape.qualifier)
    return LookupSpec(
        name=name,
        table=names.table(owner.table.name),
        key=owner.key.name,
        text=owner.text.name,
        aliases=shape.aliases,
        scope=scope,
        qualifier=qualifier,
        unique=unique,
    )


def _reference(
    lookup: LookupSpec, repeater: Repeater, reference: ReferenceFit | None, names: Names, *, alone: bool
) -> ReferenceSpec:
    nulls = repeater.stats.null_frac > 0 or (reference is not None and reference.nulls)
    return ReferenceSpec(
        name=names.reference(repeater, alone=alone),
        table=names.table(repeater.table.name),
        lookup=lookup.name,
        text=repeater.text.name,
        qualifier=reference.qualifier if reference is not None else None,
        scope=reference.scope if reference is not None else (),
        add=names.key(repeater, lookup.table, lookup.key),
        required=repeater.text.not_null or not nulls,
        on_unknown="create" if lookup.create else "defer",
    )
