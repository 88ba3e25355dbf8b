"""What the samples are taken to mean: which columns refer to which lookup, and which are left out, with the reason.

Decides when a fit is good enough to be called a guess, which of several lookups a column means, and what a column is
that nothing fits. Never reads; and never guesses on few values what many could say by chance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .candidates import ColumnName, Owner, Repeater, spoken
from .fit import Fit, ReferenceFit
from .likeness import alike
from .samples import Rate
from .shape import Path

#: Shares of rows and of different values that must be found: where the names are alike, and where they are not.
ALIKE, UNLIKE = (0.5, 0.4), (0.95, 0.9)
#: Where names are unlike: so many different values that are such a share of the lookup's, or fewer and a larger share.
MANY, FEW = (20, 0.01), (3, 0.25)
#: The share of a lookup's rows that scope, text and qualifier must tell apart.
APART = 0.7
#: The share of probed values (by rows) that makes a pair worth sampling.
WORTH_SAMPLING = 0.25
#: Rows for each pair of scope and text where the scope has several columns; fewer look like the same rows twice.
ROWS_EACH = 1.5


@dataclass(frozen=True)
class Overlap:
    """How much of a column's probed values one lookup has: by rows, and of how many values."""

    rows: float
    values: Rate


#: By names of lookup and column.
Overlaps = Mapping[tuple[ColumnName, ColumnName], Overlap]


@dataclass(frozen=True)
class LeftOut:
    """A column that is no reference, and why."""

    column: ColumnName
    why: str


@dataclass(frozen=True)
class Chosen:
    """A lookup with the columns that refer to it."""

    fit: Fit
    references: tuple[ReferenceFit, ...]


def pairs(
    owners: Sequence[Owner], repeaters: Sequence[Repeater], overlaps: Overlaps
) -> tuple[dict[ColumnName, list[Repeater]], dict[ColumnName, str]]:
    """Choose which columns are to be sampled for which lookup.

    Args:
        owners: what may be a lookup.
        repeaters: what may be a reference.
        overlaps: by names of owner and repeater.

    Returns:
        Repeaters by owner, and why others are settled already: they hold a key that only lacks its foreign key.
    """
    chosen: dict[ColumnName, list[Repeater]] = {}
    settled: dict[ColumnName, str] = {}
    for repeater in repeaters:
        fits = {
            o.name: (o, overlap)
            for o in owners
            if o.table.name != repeater.table.name and (overlap := overlaps.get((o.name, repeater.name))) is not None
        }
        natural = [(o, x) for o, x in fits.values() if o.natural]
        keyed = max(natural, key=lambda x: (x[1].rows, x[0].distinct), default=None)
        if keyed is not None and _convincing(keyed[0], repeater, keyed[1].rows, keyed[1].values.share):
            settled[repeater.name] = (
                f"its values are keys of {keyed[0].table.name} already, "
                f"{keyed[1].values} of those probed; only the foreign key is missing"
            )
            continue
        for owner, overlap in fits.values():
            if not owner.natural and overlap.rows >= WORTH_SAMPLING:
                chosen.setdefault(owner.name, []).append(repeater)
    return chosen, settled


def _convincing(owner: Owner, repeater: Repeater, rows: float, values: float) -> bool:
    """Whether so many rows and values found are no chance, given the names and how much of the lookup is used."""
    if alike(repeater.text.name, owner.table.name.name, owner.text.name):
        return rows >= ALIKE[0] and values >= ALIKE[1]
    used = repeater.distinct / max(owner.distinct, 1.0)
    enough = any(repeater.distinct >= count and used >= share for count, share in (MANY, FEW))
    return enough and rows >= UNLIKE[0] and values >= UNLIKE[1]


def doubt(fit: Fit, reference: ReferenceFit) -> str | None:
    """Return why a fit is no guess yet, or None where it is one."""
    owner, repeater = fit.owner, reference.repeater
    table = owner.table.name
    if reference.lacks is not None:
        found = f"{reference.unscoped} of its rows are found in {spoken(owner.name)}"
        return f"{found}, but no column agrees with {reference.lacks}"
    if not reference.rows.found:
        return f"none of {reference.rows.looked:,} sampled rows is found in {spoken(owner.name)}"
    if not _convincing(owner, repeater, reference.rows.share, reference.values.share):
        what = f"{reference.rows} of its rows, {reference.values} of its values are found in {spoken(owner.name)}"
        few = reference.rows.share >= UNLIKE[0] and reference.values.share >= UNLIKE[1]
        return f"{what}, whose name is unlike" + (f"; {repeater.distinct:,.0f} values may be chance" if few else "")
    if fit.apart.share < APART:
        return f"{table} has several rows for most texts, and nothing tells them apart"
    if len(fit.shape.scope) > 1 and repeater.stats.repeats(repeater.rows) < ROWS_EACH:
        return f"hardly a row of {table} is meant by more than one of its rows"
    return None


def choose(fits: Iterable[Fit]) -> tuple[list[Chosen], dict[ColumnName, str], dict[ColumnName, str]]:
    """Choose for each column the lookup that it means.

    A column is one thing only: a reference, a lookup's text, the qualifier of another reference, or part of a path.

    Returns:
        The lookups with their references, why columns were sampled in vain, and what the other columns serve for.
    """
    offers: list[tuple[tuple[float, ...], Fit, ReferenceFit]] = []
    vain: dict[ColumnName, str] = {}
    for fit in fits:
        for reference in fit.references:
            name = reference.repeater.name
            why = doubt(fit, reference)
            if why is None:
                offers.append((_rank(fit, reference), fit, reference))
            elif name not in vain or reference.rows.found:
                vain[name] = why
    owned: dict[ColumnName, str] = {}
    taken: dict[ColumnName, Fit] = {}
    chosen: dict[ColumnName, tuple[Fit, list[ReferenceFit]]] = {}
    for _, fit, reference in sorted(offers, key=lambda x: x[0]):
        name = reference.repeater.name
        if name in taken:
            continue
        if name in owned:
            continue
        if fit.owner.name in taken:
            vain[name] = f"{spoken(fit.owner.name)}, where its values are found, repeats another table's text itself"
            continue
        taken[name] = fit
        chosen.setdefault(fit.owner.name, (fit, []))[1].append(reference)
        for used in _uses(fit, reference):
            owned.setdefault(used[0], used[1])
    kept = []
    for fit, references in chosen.values():
        # A later offer may have made a qualifier of what an earlier one had taken for a reference.
        real = tuple(r for r in references if r.repeater.name not in owned)
        if real:
            kept.append(Chosen(fit, real))
    for entry in kept:
        for reference in entry.references:
            vain.pop(reference.repeater.name, None)
    return kept, {n: why for n, why in vain.items() if n not in owned}, owned


def named(fits: Iterable[Fit]) -> tuple[list[Chosen], dict[ColumnName, str]]:
    """Choose for each column the lookup that has most of its rows, where somebody has named both sides.

    Returns:
        The lookups with their references, and why columns were not found in any of the lookups.
    """
    best: dict[ColumnName, tuple[Fit, ReferenceFit]] = {}
    for fit in fits:
        for reference in fit.references:
            name = reference.repeater.name
            if name not in best or reference.rows.share > best[name][1].rows.share:
                best[name] = fit, reference
    chosen: dict[ColumnName, tuple[Fit, list[ReferenceFit]]] = {}
    vain: dict[ColumnName, str] = {}
    for name, (fit, reference) in best.items():
        if (reference.rows.looked and not reference.rows.found) or reference.lacks is not None:
            vain[name] = doubt(fit, reference) or ""
        else:
            chosen.setdefault(fit.owner.name, (fit, []))[1].append(reference)
    return [Chosen(fit, tuple(references)) for fit, references in chosen.values()], vain


def unlike(repeaters: Sequence[Repeater], overlaps: Overlaps) -> dict[ColumnName, str]:
    """Return, for each column of which any lookup has a probed value, which one has most of them."""
    best: dict[ColumnName, tuple[Overlap, ColumnName]] = {}
    for (owner, name), overlap in overlaps.items():
        if name not in best or overlap.rows > best[name][0].rows:
            best[name] = overlap, owner
    return {
        r.name: f"the nearest is {spoken(best[r.name][1])}, which has {best[r.name][0].values} of its probed values"
        for r in repeaters if r.name in best
    }  # fmt: skip


def _rank(fit: Fit, reference: ReferenceFit) -> tuple[float, ...]:
    owner, repeater = fit.owner, reference.repeater
    unlike = not alike(repeater.text.name, owner.table.name.name, owner.text.name)
    parts = len(fit.shape.scope) + (1 if fit.shape.added else 0)
    return (unlike, owner.others is None, -round(reference.rows.share, 1), parts, -fit.apart.share, owner.rows)


def _uses(fit: Fit, reference: ReferenceFit) -> list[tuple[ColumnName, str]]:
    owner, table = fit.owner, reference.repeater.table.name
    uses = [(owner.name, "it is a lookup's own text")]
    if reference.qualifier is not None:
        uses.append(((table, reference.qualifier), f"it is the qualifier of {spoken(reference.repeater.name)}"))
    uses += [((table, c), f"it is the scope of {spoken(reference.repeater.name)}") for c in reference.scope]
    uses += [((owner.table.name, c), f"it is the scope of {spoken(owner.name)}") for c in fit.shape.scope]
    qualifier = fit.shape.qualifier
    if isinstance(qualifier, Path):
        join = next(j for j, _ in fit.joins if j.column == qualifier.join)
        uses.append(((join.parent.name, qualifier.column), f"it is part of the qualifier of {spoken(owner.name)}"))
    elif qualifier is not None:
        uses.append(((owner.table.name, qualifier), f"it is the qualifier of {spoken(owner.name)}"))
    return uses
