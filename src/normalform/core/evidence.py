"""The evidence for a guess: each key of the spec, how often the samples agree, and what was not found.

Decides how evidence is worded. No value of a row gets into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .candidates import spoken
from .fit import Fit, ReferenceFit
from .guess import Chosen
from .names import display
from .own_lookup import Proposal
from .samples import NOTHING, Rate
from .shape import Path


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


def of_lookup(chosen: Chosen) -> tuple[Guess, ...]:
    """Return what speaks for each key of a lookup."""
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
    rate = sum((r.qualified for r in references), NOTHING)
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


def of_reference(fit: Fit, reference: ReferenceFit) -> tuple[Guess, ...]:
    """Return what speaks for each key of a reference."""
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


def of_proposal(proposal: Proposal, table: str) -> tuple[Guess, ...]:
    """Return why a lookup is to be made."""
    return (Guess("create", table, None, proposal.why),)
