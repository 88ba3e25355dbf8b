"""Folding: whatever the text, folding twice is folding once, and form, case and spaces around make no difference."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import OSA

from normalform.core.similar import fold, fold_all, left_out

# Letters that case and form change, combining marks out of order, ligatures, full width, Hangul, final sigma.
AWKWARD = "aAßẞſσςΣİıﬁﬀǅᾳͅΐ\u0301\u0308\u0323\u0327éÅÅ각ㄱ가ｔＴ①㎏\u00a0 \t\u3000x"
TEXTS = st.one_of(st.text(AWKWARD, max_size=6), st.text(st.characters(exclude_categories=["Cs"]), max_size=12))


@given(TEXTS)
def test_folding_what_is_folded_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.lists(TEXTS, max_size=8))
def test_many_texts_fold_as_each_does(texts: list[str]) -> None:
    assert fold_all(texts) == [fold(text) for text in texts]


@given(TEXTS)
def test_canonical_forms_fold_to_the_same(text: str) -> None:
    assert len({fold(unicodedata.normalize(form, text)) for form in ("NFC", "NFD")}) == 1


@given(TEXTS)
def test_spaces_around_make_no_difference(text: str) -> None:
    assert fold(f" {text}\u3000\n") == fold(text) == fold(text).strip()


@given(st.text(st.characters(codec="ascii"), max_size=20))
def test_ascii_folds_as_lower_case(text: str) -> None:
    assert fold(text) == text.strip().lower() == fold(text.upper())


@given(st.text(AWKWARD + "ab", max_size=8), st.text(AWKWARD + "ab", max_size=8))
def test_two_texts_one_typing_error_apart_have_a_form_in_common(one: str, other: str) -> None:
    common = left_out(one) & left_out(other)
    edits = OSA.distance(one, other)
    assert common or edits > 1
    assert not common or edits <= 2, "what has one in common is never far"


@given(st.text("abcé ", min_size=1, max_size=8), st.integers(0, 7), st.sampled_from("abcxé"), st.integers(0, 3))
def test_every_kind_of_error_is_met(text: str, at: int, letter: str, kind: int) -> None:
    at %= len(text)
    after = text[at + 1 :]
    made = (
        text[:at] + letter + text[at:], text[:at] + after, text[:at] + letter + after,
        text[:at] + after[:1] + text[at] + after[1:],
    )[kind]  # fmt: skip
    assert left_out(text) & left_out(made)
