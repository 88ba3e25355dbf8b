"""Folding: whatever the text, folding twice is folding once, and form, case and spaces around make no difference."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from normalform.core.similar import fold, near

# Letters that case and form change, combining marks out of order, ligatures, full width, Hangul, final sigma.
AWKWARD = "aAßẞſσςΣİıﬁﬀǅᾳͅΐ\u0301\u0308\u0323\u0327éÅÅ각ㄱ가ｔＴ①㎏\u00a0 \t\u3000x"
TEXTS = st.one_of(st.text(AWKWARD, max_size=6), st.text(st.characters(exclude_categories=["Cs"]), max_size=12))


@given(TEXTS)
def test_folding_what_is_folded_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(TEXTS)
def test_canonical_forms_fold_to_the_same(text: str) -> None:
    assert len({fold(unicodedata.normalize(form, text)) for form in ("NFC", "NFD")}) == 1


@given(TEXTS)
def test_spaces_around_make_no_difference(text: str) -> None:
    assert fold(f" {text}\u3000\n") == fold(text) == fold(text).strip()


@given(st.text(st.characters(codec="ascii"), max_size=20))
def test_ascii_folds_as_lower_case(text: str) -> None:
    assert fold(text) == text.strip().lower() == fold(text.upper())


@given(TEXTS, st.lists(TEXTS, max_size=8), st.integers(1, 4))
def test_near_texts_are_few_good_and_in_order(text: str, choices: list[str], limit: int) -> None:
    def scorer(text: str, choices: object, limit: int, lowest: float) -> list[tuple[int, float]]:
        return [(i, 100.0 * (c == text) + 70.0 + i % 10) for i, c in enumerate(given_choices)]

    given_choices = choices
    found = near(text, choices, scorer, limit)
    assert len(found) <= limit
    assert [s for _, s in found] == sorted((s for _, s in found), reverse=True)
    assert all(s >= 75.0 for _, s in found)
