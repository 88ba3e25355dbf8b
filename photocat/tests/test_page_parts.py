"""What pages are made of, without a service: characters as pictures, directions, addresses, cards."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest
from starlette.datastructures import QueryParams

from normalform.demo.rules import file_name
from normalform.demo.source import read_pictures
from photocat.filters import Filter
from photocat.pages import selection
from photocat.pages.direction import direction_of
from photocat.pages.glyph import codes_of, drawn, name_of, text_of
from photocat.pages.session import local
from photocat.pages.view import card, groups, touched_rows
from photocat.people import KnownPerson
from photocat.problems import Problem
from photocat.vocabulary import Known


def test_every_picture_of_the_sample_is_drawn_as_itself() -> None:
    pictures = list(read_pictures())
    assert len(pictures) > 1900
    for picture in pictures:
        codes = codes_of(file_name(picture))
        assert codes is not None and text_of(codes) == picture
        [text] = [element for element in ET.fromstring(drawn(codes) or "") if element.tag.endswith("text")]
        assert text.text == picture


@pytest.mark.parametrize(
    "name",
    [None, "", "p1", "IMG_0001.jpg", "beef.jpg", "d800.webp", "110000.webp", "ffff.webp", "0.webp", "1f600-.webp",
     "1F600.webp", "<script>.webp", "-".join(["41"] * 13) + ".webp", "9999999.webp"],
)  # fmt: skip
def test_other_file_names_are_no_characters(name: str | None) -> None:
    assert codes_of(name) is None


def test_characters_without_a_glyph_show_their_number() -> None:
    assert ">U+E005<" in (drawn("e005") or "")
    assert name_of("\ue005") is None
    assert name_of("👩‍🌾") == "woman, ear of rice"
    assert "&lt;" in (drawn("3c") or "")


@pytest.mark.parametrize(
    ("texts", "direction"),
    [
        ([], "ltr"), (["oak", "tree"], "ltr"), (["عمارت", "درخت", "CD"], "rtl"), (["עץ", "oak"], "ltr"),
        (["123 עץ"], "rtl"), (["!", "2"], "ltr"), (["דגל USA"], "rtl"), (["USA דגל"], "ltr"),
    ],
)  # fmt: skip
def test_a_page_runs_as_most_words_do(texts: list[str], direction: str) -> None:
    assert direction_of(texts) == direction


def read(query: str) -> selection.Selection:
    return selection.read(QueryParams(query))


def test_an_address_is_read_as_the_api_would() -> None:
    chosen = read("keyword=&keyword=oak&keyword_id=7&verdict=&captured_from=2020-01-02&order=oldest&other=1&after=9")
    query = chosen.query(24)
    assert (query.keyword, query.keyword_id, query.verdict, query.after) == (["oak"], [7], None, 9)
    assert query.limit == 24 and query.order == "oldest" and query.tags
    assert query.captured_from is not None and query.captured_from.isoformat() == "2020-01-02T00:00:00"


@pytest.mark.parametrize("query", ["keyword_id=x", "keyword_id=0", "verdict=perhaps", "captured_from=soon", "order=up",
                                   "after=99999999999", "person_id=-1", "keyword=%00", "match=none"])  # fmt: skip
def test_what_the_api_would_refuse_is_refused(query: str) -> None:
    with pytest.raises(Problem) as refused:
        read(query).query(24)
    assert refused.value.status == 422 and query.partition("=")[0] in refused.value.detail


def test_links_keep_the_other_filters_and_begin_at_the_first_page() -> None:
    chosen = read("keyword=a%26b&verdict=approved&after=9")
    assert chosen.link() == "/?keyword=a%26b&verdict=approved"
    assert chosen.link(add=[("category", "x/y")]) == "/?keyword=a%26b&verdict=approved&category=x%2Fy"
    assert chosen.link(add=[("verdict", "rejected")]) == "/?keyword=a%26b&verdict=rejected"
    assert chosen.link(add=[("after", 5)]) == "/?keyword=a%26b&verdict=approved&after=5"
    assert chosen.link(drop=[("keyword", "a&b"), ("verdict", "approved")], path="/facets") == "/facets"


def test_chips_say_names_for_keys() -> None:
    known = Known(7, "oak", 1, "nature", frozenset({7}), exact=True)
    chips = read("keyword_id=7&person_id=2&category=nature&order=oldest").chips(
        Filter(keywords=[known], people=[KnownPerson(2, "Ada", (), frozenset({"Ada"}))])
    )
    assert [(c.kind, c.text) for c in chips] == [("keyword", "oak"), ("person", "Ada"), ("category", "nature")]
    assert chips[0].link == "/?person_id=2&category=nature&order=oldest"


def tag(source: str, keyword_id: int | None = 1, keyword: str = "oak", **more: Any) -> dict[str, Any]:
    base = {"keyword_id": keyword_id, "keyword": keyword, "category": "nature", "confidence": None, "verdict": None}
    return {**base, "source": source, **more}


def test_a_keyword_stands_once_whoever_says_it() -> None:
    tags = [tag("manual", confidence=1.0), tag("machine", confidence=0.25), tag("machine", confidence=0.75),
            tag("permatag", verdict="rejected"), tag("machine", 2, "oak"), tag("manual", None, "oak"),
            tag("manual", None, "elm", category=None)]  # fmt: skip
    first, second = groups(5, tags)
    assert (first.category, second.category) == ("nature", "")
    assert [t.stays for t in (*first.tags, *second.tags)] == [False, False, False, True]
    said = [(t.key, t.sources, t.confidence, t.verdict, t.manual) for t in first.tags]
    assert said == [
        ("5-1", ["by hand", "machine"], 0.75, "rejected", True),
        ("5-2", ["machine"], None, None, False),
        ("5-x1", ["by hand"], None, None, True),
    ]
    assert [t.key for t in second.tags] == ["5-x2"]


def image(**more: Any) -> dict[str, Any]:
    base = {
        "id": 5,
        "filename": "1f600.webp",
        "width": 512,
        "height": 512,
        "captured_at": None,
        "tags": [],
        "faces": [],
    }
    return {**base, "has_thumbnail": False, **more}


def test_a_card_shows_the_file_or_the_character_or_neither() -> None:
    assert (card(image()).source, card(image()).alt) == ("/glyphs/1f600.svg", "😀 grinning face")
    assert card(image(has_thumbnail=True)).source == "/pictures/5/thumbnail"
    other = card(image(filename=None))
    assert (other.source, other.title) == ("/static/no-picture.svg", "Picture 5")


def test_a_box_is_drawn_where_it_is_whole() -> None:
    box = {"left": 10, "top": 20, "right": 60, "bottom": 50}
    face = {"id": 1, "person": None, "person_id": None, "box": box}
    shown = card(image(faces=[face, {**face, "box": {**box, "top": None}}])).faces
    assert [(f.number, f.box) for f in shown] == [(1, (10, 20, 50, 30)), (2, None)]


def test_tables_are_called_by_words() -> None:
    assert touched_rows({"image_tags": 2, "permatags": 0}) == [("tags by hand", 2)]


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        ("/", "/"), ("/admin?q=a", "/admin?q=a"), ("//evil.example", "/"), ("/\\evil.example", "/"), ("", "/"),
        ("https://evil.example", "/"), ("/a\\b", "/"), ("/a\r\nSet-Cookie: x", "/"), ("javascript:alert(1)", "/"),
    ],
)  # fmt: skip
def test_after_signing_in_one_stays_on_this_site(target: str, kept: str) -> None:
    assert local(target) == kept
