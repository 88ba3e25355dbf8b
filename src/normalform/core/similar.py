"""When two texts are the same but for form, case or surrounding space, and which texts come near another one.

Decides what *folds* means everywhere in Normalform. A near miss is only ever a suggestion with a score: nothing here
decides a value. What two texts have in common is measured elsewhere: this stays standard library.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .mapping import Candidate, Suggestion

#: Below this likeness (0 to 100) a text is not worth showing.
NEAR = 75.0
#: How many candidates an unresolved value is shown with.
SHOWN = 3
#: Likeness that standing under the value's own qualifier is worth in the order of candidates, and in nothing else.
OWN_PATH = 12.0


def fold(text: str) -> str:
    """Return what two texts share when they differ by form (NFKC), case or surrounding space alone.

    Folding what is folded changes nothing.
    """
    if text.isascii():
        return text.lower().strip()
    # Case folding can take apart what composing had brought together, so the form is settled before and after it.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).strip()


def fold_all(texts: Sequence[str]) -> list[str]:
    """Return what :func:`fold` makes of each of many texts; some ten times as fast, for they are folded as one."""
    if not texts:
        return []
    # Nothing composes with a line break, and folding makes none, so that each text is folded for itself.
    joined = "\n".join(texts)
    if joined.isascii():
        folded = joined.lower()
    else:
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", joined).casefold())
    found = folded.split("\n")
    return [text.strip() for text in found] if len(found) == len(texts) else [fold(text) for text in texts]


def left_out(text: str) -> set[str]:
    """Return a text and what it becomes when any one character is left out.

    Two texts that one typing error makes of each other (a character more, fewer or another, or two neighbours the wrong
    way round) have one of these in common, so that such pairs are found without comparing each with each.
    """
    return {text, *(text[:i] + text[i + 1 :] for i in range(len(text)))}


@dataclass(frozen=True)
class Near:
    """A lookup row that comes near a value: its likeness from 0 to 100, and whether it has the value's qualifier."""

    score: float
    own_path: bool
    candidate: Candidate

    @property
    def rank(self) -> float:
        """What candidates are ordered by."""
        return self.score + OWN_PATH * self.own_path


def likeness(ratio: float, edits: int, length: int) -> float | None:
    """Return how alike two texts are, from 0 to 100; None where it is not worth showing.

    Args:
        ratio: of what they share to both, 0 to 100, as RapidFuzz has it.
        edits: typing errors between them; two neighbours the wrong way round are one.
        length: characters of the longer one.
    """
    score = max(ratio, 100.0 * (1 - edits / max(length, 1)))
    # One error in a word of three letters leaves little in common, and is one error nevertheless.
    return score if score >= NEAR or (edits == 1 and length > 1) else None


def in_rank(found: Iterable[Near]) -> list[Near]:
    """Return candidates in the order in which they are shown; of equal ones, each text once before any again."""
    ordered = sorted(found, key=lambda n: (-n.rank, n.candidate.text, n.candidate.path or "", n.candidate.key))
    seen = Counter[tuple[str, float]]()
    times = []
    for one in ordered:
        seen[one.candidate.text, one.rank] += 1
        times.append(seen[one.candidate.text, one.rank])
    return [one for _, _, one in sorted(zip(times, range(len(times)), ordered, strict=True), key=_placed)]


def _placed(entry: tuple[int, int, Near]) -> tuple[float, int, int]:
    return -entry[2].rank, entry[0], entry[1]


def suggest_fold(candidates: Sequence[Candidate]) -> Suggestion | None:
    """Return the suggestion for a value whose folded form these lookup rows have: ``fold`` when it is one row."""
    if len(candidates) != 1:
        return None
    return Suggestion("fold", candidates[0].key, 100.0, f"differs from {candidates[0].text!r} by form, case or spaces")


def suggest_near(found: Sequence[Near]) -> Suggestion | None:
    """Return the suggestion for a value that comes near these rows, in rank: ``choose`` when one row leads."""
    if not found or (len(found) > 1 and found[1].rank == found[0].rank):
        return None
    best = found[0].candidate
    return Suggestion("choose", best.key, round(found[0].score, 1), f"like {best.text!r}")


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
