"""Folding and suggestions, case by case."""

from __future__ import annotations

import pytest

from normalform.core.mapping import Candidate
from normalform.core.similar import (
    Near,
    fold,
    in_rank,
    likeness,
    suggest_absent,
    suggest_ambiguous,
    suggest_fold,
    suggest_near,
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Tree", "tree"), (" tree\t", "tree"), ("ｔｒｅｅ", "tree"), ("cafe\u0301", "CAFÉ"), ("Straße", "STRASSE"),
        ("ﬁn", "FIN"), ("\u00a0tree\u3000", "tree"), ("ΣΑΣ", "σας"), ("Å", "å"),
    ],
)  # fmt: skip
def test_texts_that_fold_to_the_same(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(("one", "other"), [("tree", "trees"), ("café", "cafe"), ("a b", "ab"), ("ı", "i"), ("", "x")])
def test_texts_that_do_not(one: str, other: str) -> None:
    assert fold(one) != fold(other)


TREE, OTHER = Candidate("10", "tree", "nature"), Candidate("9", "tree", "travel")


def test_only_one_row_is_suggested() -> None:
    suggestion = suggest_fold([TREE])
    assert suggestion is not None and (suggestion.decision, suggestion.target, suggestion.score) == (
        "fold",
        "10",
        100.0,
    )
    assert suggest_fold([TREE, OTHER]) is None and suggest_fold([]) is None
    nearest = suggest_near([Near(90.04, False, TREE), Near(80.0, False, OTHER)])
    assert nearest is not None and (nearest.decision, nearest.target, nearest.score) == ("choose", "10", 90.0)
    assert suggest_near([Near(90.0, False, TREE), Near(90.0, False, OTHER)]) is None and suggest_near([]) is None
    own = suggest_near([Near(90.0, True, TREE), Near(90.0, False, OTHER)])
    assert own is not None and (own.target, own.score) == ("10", 90.0), "the qualifier leads, and is no likeness"


def test_candidates_stand_in_order_of_likeness_and_each_text_once_before_any_again() -> None:
    rows = [Candidate(str(n), text, path) for n, (text, path) in enumerate(
        [("oak", "a"), ("oak", "b"), ("oat", "a"), ("oar", "c"), ("boat", "a")])]  # fmt: skip
    found = [Near(score, False, row) for score, row in zip((80, 80, 80, 80, 90), rows, strict=True)]
    assert [n.candidate.key for n in in_rank(reversed(found))] == ["4", "0", "3", "2", "1"]
    found[1] = Near(80, True, rows[1])
    assert [n.candidate.key for n in in_rank(found)] == ["1", "4", "0", "3", "2"]


@pytest.mark.parametrize(
    ("ratio", "edits", "length", "score"),
    [(90.0, 1, 8, 90.0), (75.0, 1, 8, 87.5), (60.0, 3, 8, None), (50.0, 1, 2, 50.0), (0.0, 1, 1, None), (76, 9, 9, 76)],
)
def test_one_typing_error_is_shown_however_short_the_word(
    ratio: float, edits: int, length: int, score: float | None
) -> None:
    assert likeness(ratio, edits, length) == score


def test_ambiguous_values_are_merged_or_split_or_left() -> None:
    same = Candidate("9", "tree", "nature")
    merge = suggest_ambiguous([TREE, same], qualified=True)
    assert merge is not None and (merge.decision, merge.target) == ("merge", "9")
    split = suggest_ambiguous([TREE, OTHER], qualified=False)
    assert split is not None and (split.decision, split.target) == ("split", None)
    assert suggest_ambiguous([TREE, OTHER], qualified=True) is None


@pytest.mark.parametrize(
    ("known", "required", "creatable", "word"),
    [
        (False, True, True, "drop"), (False, False, True, "null"), (True, True, True, "create"),
        (True, False, True, "create"), (True, False, False, "null"), (True, True, False, None),
    ],
)  # fmt: skip
def test_absent_values(known: bool, required: bool, creatable: bool, word: str | None) -> None:
    suggestion = suggest_absent(scope_known=known, required=required, creatable=creatable)
    assert (suggestion.decision if suggestion else None) == word
