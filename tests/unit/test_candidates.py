"""Which columns may own a text and which may repeat one, by the catalog alone."""

from __future__ import annotations

from guessing import index, own, table
from normalform.core.candidates import Owner, joins, key_of, owner, owners, repeaters, unique_with
from normalform.core.catalog import Table
from normalform.core.column_stats import ColumnStats
from normalform.core.names import QName

MANY = ColumnStats(0, 8, 50, (("a", 0.5), ("b", 0.25)), ("c", "d"))
DIFFER = ColumnStats(0, 8, -1, (), ("tree", "oak", "elm"))
HASHES = ColumnStats(0, 8, -1, (), ("5d41402abc4b2a76b9719d911017c592", "9b74c9897bac770ffc029102a200c5de0"))


def test_the_key_is_never_the_text() -> None:
    both = table("airports", "code:bpchar! iata:int4! name:text", ("iata",), ("name",), pk="code")
    key = key_of(both, "name")
    assert key is not None and key.name == "code"
    key = key_of(both, "code")
    assert key is not None and key.name == "iata"
    assert key_of(table("t", "code:text!", pk="code"), "code") is None
    assert key_of(table("t", "id:numeric name:text"), "name") is None
    assert key_of(table("t", "id:int4 name:text", ("id",), pk=None), "name") is None  # it may be NULL


def test_a_text_that_is_the_primary_key_is_a_key_already() -> None:
    assert own(table("tenants", "id:text! name:text", pk="id"), "id").natural
    assert not own(table("tenants", "id:text! name:text", pk="id"), "name").natural


def test_without_a_key_there_is_no_lookup_and_it_says_why() -> None:
    of = table("t", "a:int4 name:text", ("a", "name"), pk=None)
    column = of.column("name")
    assert column is not None
    said = owner(of, column, MANY, 10)
    assert isinstance(said, str) and "no key of one column" in said


def test_the_smallest_unique_counts() -> None:
    of = table("t", "id:int4 a:int4 b:int4 name:text", ("a", "b", "name"), ("b", "name"))
    assert unique_with(of, "name") == ("b",)
    assert unique_with(table("t", "id:int4 name:text", ("lower((name)::text)",)), "name") == ()
    assert unique_with(table("t", "id:int4 name:text a:int4", ("a", "lower(name)")), "name") == ("a",)
    assert unique_with(table("t", 'id:int4 Na"me:text', ('lower("Na""me")',)), 'Na"me') == ()
    assert unique_with(table("t", "id:int4 name:text", ("upper(name)",)), "name") is None
    assert unique_with(table("t", "id:int4 name:text", ("lower(other)",)), "name") is None
    partial = table("t", "id:int4 name:text")
    partial = Table(1, partial.name, "r", "me", partial.columns, (index("p", "name", predicate="id > 0"),))
    assert unique_with(partial, "name") is None


def test_owners_are_unique_by_an_index_or_by_their_values() -> None:
    one = table("a", "id:int4 name:text", ("name",))
    two = table("b", "id:int4 name:text")
    five = table("c", "id:int4 a:int4 b:int4 c:int4 d:int4 name:text", ("a", "b", "c", "d", "name"))
    rows = {t.name: 100.0 for t in (one, two, five)}

    def found(stats: ColumnStats) -> list[str]:
        known = {(t.name, "name"): stats for t in (one, two, five)}
        return [o.table.name.name for o in owners((one, two, five), known, rows)]

    assert found(MANY) == ["a"]
    assert found(DIFFER) == ["a", "b"]
    assert found(HASHES) == ["a"]
    assert owners((one,), {(one.name, "name"): MANY}, {one.name: 0.0}) == []  # an empty table owns nothing


def test_of_one_uniques_texts_the_one_with_most_values_is_the_text() -> None:
    places = table("places", "id:int4 name:text land:bpchar other:text", ("land", "name"), ("other",))
    rows = {places.name: 100.0}
    few, many = ColumnStats(0, 3, 2), ColumnStats(0, 9, 60)

    def found(name: ColumnStats, land: ColumnStats) -> list[str]:
        known = {(places.name, "name"): name, (places.name, "land"): land, (places.name, "other"): few}
        return [o.text.name for o in owners((places,), known, rows)]

    assert found(many, few) == ["name", "other"]
    assert found(few, many) == ["land", "other"]
    assert found(many, many) == ["land", "other"]  # undecided, it is the later column


def test_who_cannot_be_a_reference_is_told_why() -> None:
    parent = table("p", "id:text!")
    of = table(
        "t", "id:int4 alone:text pointing:text empty:text wide:text hash:text good:text unknown:text", ("alone",),
        fks={"pointing": parent},
    )  # fmt: skip
    known = {
        (of.name, "alone"): DIFFER,
        (of.name, "pointing"): MANY,
        (of.name, "empty"): ColumnStats(1, 0, 0),
        (of.name, "wide"): ColumnStats(0, 900, -0.5, (), ("x",)),
        (of.name, "hash"): HASHES,
        (of.name, "good"): MANY,
    }
    found, left = repeaters((of,), known, {of.name: 100.0})
    assert [r.text.name for r in found] == ["good"]
    assert {name: why for (_, name), why in left.items()} == {
        "alone": "no value stands in it twice",
        "pointing": "a foreign key stands on it",
        "empty": "it has no values",
        "wide": "its values are texts of 900 bytes on average",
        "hash": "its values all differ and look like hashes",
        "unknown": "it could not be read",
    }


def test_joins_by_foreign_key_and_by_name() -> None:
    tree = table("keyword_categories", "id:int4 name:text parent_id:int4", self_fk="parent_id")
    declared = table("keywords", "id:int4 cat:int4 keyword:text", fks={"cat": tree})
    named = table("words", "id:int4 category_id:int8 keyword:text shelf_id:int4 keyword_category_id:uuid")
    tables = {t.name: t for t in (tree, declared, named)}
    assert [(j.column, j.parent.name, j.up, j.declared) for j in joins(declared, tables)] == [
        ("cat", tree.name, "parent_id", True)
    ]
    assert [(j.column, j.parent.name, j.declared) for j in joins(named, tables)] == [("category_id", tree.name, False)]
    flat = table("categories", "id:int4 name:text parent_id:int4")
    tables[flat.name] = flat
    [join] = joins(named, tables)
    assert (join.parent.name, join.up) == (QName("public", "categories"), "parent_id")  # the nearer name wins
    assert isinstance(own(declared, "keyword"), Owner)
