"""The draft: what was guessed, as lookups and references of a spec, with the evidence for each of their keys.

Decides names (of lookups, references and key columns to be added) and what follows from the samples for ``required``
and ``unique``. Never decides whether a fit is a guess: that is ``core.guess``'s. No value of a row gets into it, but
for the samples of what was not found.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .candidates import Owner, Repeater, spoken
from .catalog import Catalog
from .fit import Fit, ReferenceFit
from .guess import KEY_BYTES, Chosen, saved
from .likeness import GENERIC, noun, spelled, words
from .names import QName, display, shorten
from .samples import Rate
from .shape import Path
from .spec import LookupSpec, QualifierSpec, ReferenceSpec, ScopeSpec


@dataclass(frozen=True)
class Guess:
    """One key of the spec.

    Args:
        what: ``key``, ``scope``, ``qualifier``, ``aliases``, ``join``, ``text``.
        value: what was guessed, for people; None for not found.
        rate: how often the samples agree; None where the catalog alone says it.
        why: the evidence, or what is missing.
    """

    what: str
    value: str | None
    rate: Rate | None
    why: str


@dataclass(frozen=True)
class LookupDraft:
    """A guessed lookup: its spec, its rows (estimated), and the evidence."""

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


def draft(chosen: Iterable[Chosen], catalog: Catalog, *, mask: bool = False) -> Draft:
    """Name everything and put it into the words of a spec.

    Args:
        chosen: lookups with the columns that refer to them.
        catalog: every table that was looked at.
        mask: leave out values of rows.
    """
    ranked = sorted(chosen, key=lambda c: (-sum(_bytes(c.fit, r) for r in c.references), c.fit.owner.name))
    names = _Names(catalog)
    lookups, references = [], []
    for entry in ranked:
        name = names.lookup(entry.fit.owner)
        lookups.append(LookupDraft(_lookup(name, entry, names), entry.fit.owner.table.name,
                                   round(entry.fit.owner.rows), _lookup_guesses(entry)))  # fmt: skip
        references += [(name, entry.fit, r) for r in entry.references]
    references.sort(key=lambda x: (-_bytes(x[1], x[2]), x[2].repeater.name))
    tables = [r.repeater.table.name for _, _, r in references]
    result = []
    for name, fit, reference in references:
        alone = tables.count(reference.repeater.table.name) == 1
        spec = _reference(name, fit, reference, names, alone=alone)
        repeater = reference.repeater
        result.append(
            ReferenceDraft(
                spec=spec,
                table=repeater.table.name,
                rows=round(repeater.rows),
                distinct=round(repeater.distinct),
                bytes=_bytes(fit, reference),
                found=reference.rows,
                values=reference.values,
                guesses=_reference_guesses(fit, reference),
                missing=() if mask else reference.missing,
            )
        )
    return Draft(tuple(lookups), tuple(result))


def _bytes(fit: Fit, reference: ReferenceFit) -> int:
    base = fit.owner.key.base if fit.owner.key is not None else ""
    return saved(reference.repeater, KEY_BYTES.get(base, 8))


# ------------------------------------------------------------------------------------------------------- names


class _Names:
    """Names that are free, and tables as a person would write them."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.lookups: set[str] = set()
        self.references: set[str] = set()
        self.added: dict[QName, set[str]] = {}

    def table(self, name: QName) -> QName:
        """Return a table's name without its schema where the search path leads to it all the same."""
        for schema in self.catalog.search_path:
            if str(QName(schema, name.name)) in self.catalog.names or QName(schema, name.name) in self.catalog.tables:
                return QName("", name.name) if schema == name.schema else name
        return name

    def lookup(self, owner: Owner) -> str:
        name = owner.table.name
        return self._free(self.lookups, [noun(name.name), f"{name.schema}_{noun(name.name)}"])

    def reference(self, repeater: Repeater, *, alone: bool) -> str:
        short = self.table(repeater.table.name)
        name = "_".join(spelled(short.name)) if display(short.name) != short.name else short.name
        column = "_".join(spelled(repeater.text.name)) or repeater.text.name
        choices = [name or short.name] if alone else []
        return self._free(
            self.references, [*choices, f"{name}_{column}", f"{repeater.table.name.schema}_{name}_{column}"]
        )

    def key(self, fit: Fit, repeater: Repeater) -> str:
        """Return a free name for the key column: ``person_id`` for ``person_name``."""
        assert fit.owner.key is not None
        table = repeater.table
        taken = self.added.setdefault(table.name, {c.name for c in table.columns})
        stem = _stem(repeater.text.name) or noun(fit.owner.table.name.name)
        tail = fit.owner.key.name
        tail = "id" if words(tail)[-1:] == ["id"] or not words(tail) or display(tail) != tail else tail
        owned = noun(fit.owner.table.name.name)
        for choice in (f"{stem}_{tail}", f"{stem}_{owned}_{tail}", f"{stem}_key"):
            if choice not in taken and len(choice.encode()) <= 63:
                taken.add(choice)
                return choice
        name = shorten(f"{stem}_{tail}", taken)
        taken.add(name)
        return name

    def _free(self, taken: set[str], choices: Sequence[str]) -> str:
        numbered = (f"{choices[-1]}_{n}" for n in itertools.count(2))
        name = next(c for c in itertools.chain(choices, numbered) if c not in taken)
        taken.add(name)
        return name


def _stem(column: str) -> str:
    """Return a column's name without the last word that only says that it is a text: ``person`` of ``person_name``."""
    parts = words(column)
    while parts and parts[-1] in GENERIC:
        parts.pop()
    return "_".join(parts)


# -------------------------------------------------------------------------------------------------------- specs


def _lookup(name: str, chosen: Chosen, names: _Names) -> LookupSpec:
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


def _reference(lookup: str, fit: Fit, reference: ReferenceFit, names: _Names, *, alone: bool) -> ReferenceSpec:
    repeater = reference.repeater
    nulls = not repeater.text.not_null and (reference.nulls or repeater.stats.null_frac > 0)
    return ReferenceSpec(
        name=names.reference(repeater, alone=alone),
        table=names.table(repeater.table.name),
        lookup=lookup,
        text=repeater.text.name,
        qualifier=reference.qualifier,
        scope=reference.scope,
        add=names.key(fit, repeater),
        required=not nulls,
    )


# ----------------------------------------------------------------------------------------------------- evidence


def _lookup_guesses(chosen: Chosen) -> tuple[Guess, ...]:
    fit, references = chosen.fit, chosen.references
    owner, shape = fit.owner, fit.shape
    assert owner.key is not None
    table = owner.table
    what = "primary key" if table.primary_key == (owner.key.name,) else "not NULL and unique"
    guesses = [Guess("key", owner.key.name, None, f"{what}, {owner.key.type}")]
    if owner.others is None:
        guesses.append(Guess("text", owner.text.name, fit.apart, "no unique holds it; sampled rows told apart"))
    else:
        inside = ", ".join(map(display, (*owner.others, owner.text.name)))
        guesses.append(Guess("text", owner.text.name, fit.apart, f"unique ({inside}); sampled rows told apart"))
    unscoped = sum(r.unscoped.found for r in references)
    scoped = Rate(sum(r.rows.found - r.aliased for r in references), unscoped)
    if shape.added is not None:
        source = next(j.parent.name for j, _ in fit.joins if j.column == shape.added.join)
        value = f"{shape.added.column}, to be added, copied from {source}.{display(shape.added.column)}"
        guesses.append(Guess("scope", value, scoped, "rows of equal text that agree in it"))
    elif shape.scope:
        guesses.append(Guess("scope", ", ".join(shape.scope), scoped, "rows of equal text that agree in it"))
    elif owner.others == ():
        guesses.append(Guess("scope", None, None, "none needed: the text is unique by itself"))
    else:
        guesses.append(Guess("scope", None, None, "no column of its unique stands in the references too"))
    guesses.append(_qualifier_guess(fit, references))
    for join, rate in fit.joins:
        how = "foreign key" if join.declared else "by its name, no foreign key"
        key = join.parent.primary_key[0]
        guesses.append(Guess("join", f"{join.column} → {join.parent.name}.{display(key)}", rate, how))
    aliased = Rate(sum(r.aliased for r in references), sum(r.rows.looked for r in references))
    if shape.aliases is not None:
        guesses.append(Guess("aliases", shape.aliases, aliased, "rows found by an alias alone"))
    else:
        guesses.append(Guess("aliases", None, None, "no json, jsonb or text[] column has what is missing"))
    return tuple(guesses)


def _qualifier_guess(fit: Fit, references: Sequence[ReferenceFit]) -> Guess:
    qualifier = fit.shape.qualifier
    rate = sum((r.qualified for r in references), Rate(0, 0))
    if isinstance(qualifier, Path):
        source = next(j.parent.name for j, _ in fit.joins if j.column == qualifier.join)
        value = f"{source}.{display(qualifier.column)}"
        if qualifier.up is not None:
            value += f" along {display(qualifier.up)}, separator {qualifier.separator!r}"
        return Guess("qualifier", value, rate, "rows whose qualifier is that of a row with their text")
    if qualifier is not None:
        return Guess("qualifier", qualifier, rate, "rows whose qualifier is that of a row with their text")
    if fit.apart.share == 1 or not fit.apart.looked:
        return Guess("qualifier", None, None, "none needed: no two sampled rows are equal without one")
    return Guess("qualifier", None, None, f"{fit.apart} of sampled rows are told apart; no column says more")


def _reference_guesses(fit: Fit, reference: ReferenceFit) -> tuple[Guess, ...]:
    repeater = reference.repeater
    name = spoken(fit.owner.name)
    why = f"rows whose text is in {name}" + (" within the scope" if reference.scope else "")
    guesses = [Guess("text", repeater.text.name, reference.rows, why)]
    guesses.append(Guess("values", None, reference.values, "different values found"))
    if reference.scope:
        rate = Rate(reference.rows.found - reference.aliased, reference.unscoped.found)
        guesses.append(Guess("scope", ", ".join(reference.scope), rate, "rows of equal text that agree in it"))
    if fit.shape.qualifier is not None:
        if reference.qualifier is not None:
            guesses.append(Guess("qualifier", reference.qualifier, reference.qualified, "rows that agree"))
        else:
            guesses.append(Guess("qualifier", None, None, "no column says it; equal names will be ambiguous"))
    if reference.several and reference.qualifier is None:
        rate = Rate(reference.several, reference.rows.looked)
        guesses.append(Guess("ambiguous", None, rate, "rows whose text several rows of the lookup have"))
    return tuple(guesses)
