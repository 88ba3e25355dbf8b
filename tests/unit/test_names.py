"""Names of tables as a spec writes them."""

from __future__ import annotations

import pytest

from normalform.core.names import QName, display, nearest, parse_table, shorten, split_name, unusable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tags", QName("", "tags")),
        ("photos.tags", QName("photos", "tags")),
        ("Photos.TAGS", QName("photos", "tags")),
        ('"Air Traffic"."Flights"', QName("Air Traffic", "Flights")),
        ('photos."a.b"', QName("photos", "a.b")),
        ('"say ""hi"""', QName("", 'say "hi"')),
        ("  photos . tags  ", QName("photos", "tags")),
        ("ÉTÉ", QName("", "ÉtÉ")),  # the server folds ASCII alone
        ("İs", QName("", "İs")),
        ('"' + "é" * 31 + '"', QName("", "é" * 31)),
    ],
)
def test_a_table_is_read_as_sql_reads_it(text: str, expected: QName) -> None:
    assert parse_table(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", " ", ".", "a.", ".a", "a..b", '""', '"open', 'a"b', '"a"b', "two words", "a.b.c", '"a\0b"', "é" * 32, "\n"],
)
def test_what_is_no_table(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_table(text)


def test_a_column_has_up_to_three_parts() -> None:
    assert split_name('photos."Tags".name') == ("photos", "Tags", "name")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (QName("public", "tags"), "tags"),
        (QName("", "tags"), "tags"),
        (QName("photos", "tags"), "photos.tags"),
        (QName("Air Traffic", "flights"), '"Air Traffic".flights'),
        (QName("public", 'say "hi"'), '"say ""hi"""'),
        (QName("public", "1st"), '"1st"'),
    ],
)
def test_a_name_is_shown_as_people_write_it(name: QName, expected: str) -> None:
    assert str(name) == expected


def test_only_what_needs_quotes_gets_them() -> None:
    assert display("tenant_id") == "tenant_id"
    assert display("Tenant") == '"Tenant"'


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "is empty"),
        ("a\0b", "NUL"),
        ("x" * 64, "64 bytes"),
        ("é" * 32, "64 bytes"),
        ("é" * 31, None),
        ("a b", None),
    ],
)
def test_what_the_server_would_not_keep(name: str, fault: str | None) -> None:
    found = unusable(name)
    assert found is None if fault is None else fault in str(found)


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("keywrods", ["keywords", "people"], "keywords"),
        ("KEYWORDS", ["people", "keywords"], "keywords"),
        ("keyword", ["Keyword", "keyword"], "keyword"),
        ("zzz", ["keywords", "people"], None),
        ("x", [], None),
    ],
)
def test_the_nearest_name(name: str, known: list[str], expected: str | None) -> None:
    assert nearest(name, known) == expected


def test_a_name_that_fits_and_is_free_stays() -> None:
    assert shorten("x" * 63) == "x" * 63
    assert shorten("ix_tags", {"ix_people"}) == "ix_tags"


def test_two_long_names_of_one_beginning_stay_apart() -> None:
    one, two = shorten("x" * 70 + "a"), shorten("x" * 70 + "b")
    assert one != two
    assert len(one) == len(two) == 63


def test_a_cut_never_splits_a_character() -> None:
    assert shorten("é" * 40).startswith("é" * 27 + "_")
