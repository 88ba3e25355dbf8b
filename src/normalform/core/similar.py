"""When two texts are the same but for form, case or surrounding space, and which texts come near another one.

Decides what *folds* means everywhere in Normalform. A near miss is only ever a suggestion with a score: nothing here
decides a value. Likeness is measured by a function that is passed in, so that this stays standard library.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

from .mapping import Candidate, Suggestion

#: Below this likeness (0 to 100) a text is not worth showing.
NEAR = 75.0
#: How many candidates an unresolved value is shown with.
SHOWN = 3

#: (text, choices, how many, lowest score) → (index of the choice, score), best first.
Scorer = Callable[[str, Sequence[str], int, float], Sequence[tuple[int, float]]]


def fold(text: str) -> str:
    """Return what two texts share when they differ by form (NFKC), case or surrounding space alone.

    Folding what is folded changes nothing.
    """
    if text.isascii():
        return text.lower().strip()
    # Case folding can take apart what composing had brought together, so the form is settled before and after it.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).strip()


def near(text: str, choices: Sequence[str], scorer: Scorer, limit: int = SHOWN) -> list[tuple[int, float]]:
    """Return which choices come near a text: (index, score from 0 to 100), best first, ties in the order of choices.

    Args:
        text: a folded text.
        choices: folded texts.
        scorer: measures likeness.
        limit: how many at most.
    """
    found = sorted(scorer(text, choices, limit, NEAR), key=lambda pair: (-pair[1], pair[0]))
    return [(index, score) for index, score in found if score >= NEAR][:limit]


def suggest_fold(candidates: Sequence[Candidate]) -> Suggestion | None:
    """Return the suggestion for a value whose folded form these lookup rows have: ``fold`` when it is one row."""
    if len(candidates) != 1:
        return None
    return Suggestion("fold", candidates[0].key, 100.0, f"differs from {candidates[0].text!r} by form, case or spaces")


def suggest_near(candidates: Sequence[Candidate], scores: Sequence[float]) -> Suggestion | None:
    """Return the suggestion for a value that comes near these rows, best first: ``choose`` when one row leads."""
    if not candidates or (len(scores) > 1 and scores[1] == scores[0]):
        return None
    return Suggestion("choose", candidates[0].key, round(scores[0], 1), f"like {candidates[0].text!r}")


def suggest_ambiguous(candidates: Sequence[Candidate], *, qualified: bool) -> Suggestion | None:
    """Return the suggestion for a text that several lookup rows have.

    Args:
        candidates: those rows.
        qualified: whether the reference has a qualifier at all; without one its rows cannot be told apart.
    """
    if len(candidates) > 1 and len({c.path for c in candidates}) == 1 and len({c.text for c in candidates}) == 1:
        return Suggestion("merge", min(candidates, key=_key_order).key, 0.0, "the same text under the same path")
    if not qualified and len(candidates) > 1:
        return Suggestion("split", None, 0.0, "nothing in the row tells them apart: one copy for each")
    return None


def suggest_absent(*, scope_known: bool, required: bool, creatable: bool) -> Suggestion | None:
    """Return the suggestion for a text that no lookup row has, nor one like it.

    Args:
        scope_known: whether the row's scope exists.
        required: whether the reference needs a key.
        creatable: whether the spec says how a lookup row is made, and the text fits.
    """
    if not scope_known:
        return Suggestion("drop" if required else "null", None, 0.0, "its scope does not exist")
    if creatable:
        return Suggestion("create", None, 0.0, "no lookup row has it, nor one like it")
    return None if required else Suggestion("null", None, 0.0, "no lookup row has it, nor one like it")


def _key_order(candidate: Candidate) -> tuple[int, str]:
    return len(candidate.key), candidate.key  # numbers in order without knowing that they are numbers
