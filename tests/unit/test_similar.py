"""Folding and suggestions, case by case."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from normalform.core.mapping import Candidate
from normalform.core.similar import fold, near, suggest_absent, suggest_ambiguous, suggest_fold, suggest_near


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


def test_near_texts_are_the_best_few_above_the_limit() -> None:
    def scorer(text: str, choices: Sequence[str], limit: int, lowest: float) -> list[tuple[int, float]]:
        return [(i, float(len(c))) for i, c in enumerate(choices)]

    assert near("x", ["a" * 80, "b" * 74, "c" * 99, "d" * 80, "e" * 76], scorer) == [(2, 99.0), (0, 80.0), (3, 80.0)]


TREE, OTHER = Candidate("10", "tree", "nature"), Candidate("9", "tree", "travel")


def test_only_one_row_is_suggested() -> None:
    suggestion = suggest_fold([TREE])
    assert suggestion is not None and (suggestion.decision, suggestion.target, suggestion.score) == (
        "fold",
        "10",
        100.0,
    )
    assert suggest_fold([TREE, OTHER]) is None and suggest_fold([]) is None
    nearest = suggest_near([TREE, OTHER], [90.04, 80.0])
    assert nearest is not None and (nearest.decision, nearest.target, nearest.score) == ("choose", "10", 90.0)
    assert suggest_near([TREE, OTHER], [90.0, 90.0]) is None and suggest_near([], []) is None


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
