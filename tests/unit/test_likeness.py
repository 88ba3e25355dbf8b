"""Names that speak of the same thing, and names that do not."""

from __future__ import annotations

import pytest

from normalform.core.likeness import alike, noun, plural, singular, words

ALIKE = [
    ("keyword", "keywords", "keyword"), ("person_name", "people", "name"), ("home_city", "cities", "name"),
    ("country", "countries", "code"), ("FAA Code", "faa_codes", "value"), ("airportName", "tbl_airports", "title"),
    ("category", "keyword_categories", "name"), ("kategorie", "kategorien", "name"), ("tenant_id", "tenants", "id"),
    ("status", "order_statuses", "label"), ("customer_email", "users", "email"), ("Straße", "straßen", "name"),
]  # fmt: skip
UNLIKE = [
    ("status", "keywords", "keyword"), ("name", "people", "name"), ("keyword", "keyword_categories", "name"),
    ("title", "colors", "title"), ("code", "countries", "code"), ("model_version", "people", "name"),
    ("created_by", "keywords", "keyword"), ("", "people", "name"), ("ids", "idx", "id"),
]  # fmt: skip


@pytest.mark.parametrize(("column", "table", "text"), ALIKE)
def test_alike(column: str, table: str, text: str) -> None:
    assert alike(column, table, text)


@pytest.mark.parametrize(("column", "table", "text"), UNLIKE)
def test_unlike(column: str, table: str, text: str) -> None:
    assert not alike(column, table, text)


@pytest.mark.parametrize(
    ("plural", "one"),
    [
        ("keywords", "keyword"), ("categories", "category"), ("boxes", "box"), ("classes", "class"),
        ("people", "person"), ("Statuses", "status"), ("status", "status"), ("courses", "course"),
        ("analysis", "analysis"), ("matches", "match"), ("bus", "bus"), ("漢字", "漢字"),
    ],
)  # fmt: skip
def test_singular(plural: str, one: str) -> None:
    assert singular(plural) == one


@pytest.mark.parametrize("one", ["keyword", "category", "box", "class", "match", "day", "maker", "home_city"])
def test_a_plural_has_its_singular(one: str) -> None:
    assert singular(plural(one)) == one
    assert plural("漢字") == "漢字_values"


def test_words_and_nouns() -> None:
    assert words("FAA-Codes of_flightLegs2") == ["faa", "code", "of", "flight", "legs2"]
    assert noun("tbl_People") == "person"
    assert noun("keyword_categories") == "keyword_category"
    assert noun("names") == "name"
    assert noun("--") == "--"
