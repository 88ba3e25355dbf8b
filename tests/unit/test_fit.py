"""How sampled rows fit a lookup: scope, qualifier, path, separator, aliases; and what chance must not do."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from guessing import fitted, table
from normalform.core.fit_qualifier import between
from normalform.core.samples import Rate
from normalform.core.shape import Added, Path

PEOPLE = table("people", "id:int4 tenant:text name:text aliases:jsonb", ("tenant", "name"))
FACES = table("faces", "id:int4 tenant:text person_name:text note:text")
TREE = table("categories", "id:int4 tenant:text name:text parent_id:int4", ("tenant", "name"), self_fk="parent_id")
WORDS = table("words", "id:int4 category_id:int4 word:text", ("category_id", "word"), fks={"category_id": TREE})
TAGS = table("tags", "id:int4 tenant:text word:text category:text")
LIST = [{"id": i, "name": f"n{i}"} for i in range(20)]


def people() -> list[dict[str, object]]:
    return [{"id": 10 * t + i, "tenant": f"t{t}", "name": f"p{i}"} for t in range(3) for i in range(5)]


def test_a_text_that_is_unique_by_itself_has_no_scope() -> None:
    colors = table("colors", "id:int4 name:text", ("name",))
    items = table("items", "id:int4 color:text")
    found = fitted((colors, "name", LIST), [(items, "color", [{"id": i, "color": f"n{i % 30}"} for i in range(60)])])
    assert (found.shape.scope, found.shape.added, found.shape.qualifier) == ((), None, None)
    [reference] = found.references
    assert reference.rows == Rate(40, 60)
    assert reference.values == Rate(20, 30)
    assert set(reference.missing) <= {f"n{i}" for i in range(20, 30)}
    assert found.apart == Rate(20, 20)


def test_the_scope_is_the_uniques_other_column() -> None:
    rows = [{"id": i, "tenant": f"t{i % 3}", "person_name": f"p{i % 5}"} for i in range(60)]
    found = fitted((PEOPLE, "name", people()), [(FACES, "person_name", rows)])
    assert found.shape.scope == ("tenant",)
    assert found.references[0].scope == ("tenant",)
    assert found.references[0].rows == Rate(60, 60)


def test_a_row_of_another_scope_or_of_none_is_not_found() -> None:
    rows: list[dict[str, object]] = [{"tenant": f"t{i % 3}", "person_name": f"p{i % 5}"} for i in range(30)]
    rows += [{"tenant": "t9", "person_name": "p1"}, {"tenant": None, "person_name": "p1"}, {"tenant": "t1"}]
    # NULL agrees with nothing, not even with NULL.
    lookup: list[dict[str, object]] = [*people(), {"id": 99, "tenant": None, "name": "p1"}]
    found = fitted((PEOPLE, "name", lookup), [(FACES, "person_name", rows)])
    [reference] = found.references
    assert (reference.rows, reference.unscoped) == (Rate(30, 32), Rate(32, 32))
    assert reference.nulls
    assert reference.missing == ("p1",)


def test_a_scope_of_another_name_is_found_by_what_it_tells_apart() -> None:
    lookup = [{"id": 10 * t + i, "tenant": f"t{t}", "name": f"p{i + t}"} for t in range(3) for i in range(5)]
    faces = table("faces", "id:int4 org:text person_name:text kind:text")
    rows = [{"id": i, "org": f"t{i % 3}", "person_name": f"p{i % 3 + i % 5}", "kind": f"t{i % 2}"} for i in range(90)]
    found = fitted((PEOPLE, "name", lookup), [(faces, "person_name", rows)])
    assert found.references[0].scope == ("org",)
    assert found.references[0].rows == Rate(90, 90)


def test_a_column_that_agrees_by_chance_is_no_scope() -> None:
    """One tenant only: any constant agrees with it, and proves nothing."""
    lookup = [{"id": i, "tenant": "1", "name": f"p{i}"} for i in range(30)]
    faces = table("faces", "id:int4 version:text person_name:text")
    rows = [{"id": i, "version": "1", "person_name": f"p{i % 30}"} for i in range(90)]
    found = fitted((PEOPLE, "name", lookup), [(faces, "person_name", rows)])
    assert found.shape.scope == ()
    # And with several tenants a column with as few values does not do either.
    rows = [{"id": i, "version": f"t{i % 2}", "person_name": f"p{i % 5}"} for i in range(90)]
    found = fitted((PEOPLE, "name", people()), [(faces, "person_name", rows)])
    assert found.shape.scope == ()


def tree() -> tuple[list[dict[str, object]], list[dict[str, object]], list[dict[str, object]]]:
    """Categories two deep, words that stand in two categories each, and tags of them, for two tenants."""
    categories: list[dict[str, object]] = []
    words: list[dict[str, object]] = []
    tags: list[dict[str, object]] = []
    for t in range(2):
        for root in range(2):
            up = 100 * t + 10 * root + 1
            categories.append({"id": up, "tenant": f"t{t}", "name": f"Root{root}", "parent_id": None})
            for leaf in range(2):
                here = up + 1 + leaf
                categories.append({"id": here, "tenant": f"t{t}", "name": f"Leaf{leaf}", "parent_id": up})
                for w in range(4):
                    words.append({"id": 100 * here + w, "category_id": here, "word": f"w{w + root}"})
                    path = f"Root{root} > Leaf{leaf}"
                    tags.append({"id": len(tags), "tenant": f"t{t}", "word": f"w{w + root}", "category": path})
    return categories, words, tags


def test_an_added_scope_and_a_path_with_its_separator() -> None:
    categories, words, tags = tree()
    models = table("models", "id:int4 tenant:text word:text")
    found = fitted(
        (WORDS, "word", words),
        [(TAGS, "word", tags), (models, "word", [{**t, "category": None} for t in tags])],
        {"category_id": (TREE, categories)},
    )
    assert found.shape.added == Added("category_id", "tenant")
    assert found.shape.qualifier == Path("category_id", "name", "parent_id", " > ")
    first, second = found.references
    assert (first.scope, first.qualifier, first.qualified) == (("tenant",), "category", Rate(len(tags), len(tags)))
    assert (second.scope, second.qualifier) == (("tenant",), None)
    assert second.several == len(tags)
    assert found.apart == Rate(len(words), len(words))
    assert [join.column for join, _ in found.joins] == ["category_id"]


def test_where_the_last_name_alone_is_the_qualifier_the_path_has_no_parent() -> None:
    categories, words, _ = tree()
    for category in categories:
        category["name"] = f"{category['name']}-{category['id']}"
    by_id = {c["id"]: c for c in categories}
    tags = [
        {"tenant": by_id[w["category_id"]]["tenant"], "word": w["word"], "category": by_id[w["category_id"]]["name"]}
        for w in words
    ]
    found = fitted((WORDS, "word", words), [(TAGS, "word", tags)], {"category_id": (TREE, categories)})
    assert isinstance(found.shape.qualifier, Path) and found.shape.qualifier.up is None


def test_a_plain_qualifier_column() -> None:
    lookup = table("words", "id:int4 kind:text word:text", ("kind", "word"))
    rows = [{"id": 10 * k + w, "kind": f"k{k}", "word": f"w{w}"} for k in range(3) for w in range(6)]
    tags = [{"word": f"w{i % 6}", "category": f"k{i % 3}", "tenant": "t"} for i in range(36)]
    found = fitted((lookup, "word", rows), [(TAGS, "word", tags)])
    # A text column of the unique that a reference has under another name may be scope as well: one of both it is.
    assert (found.shape.scope, found.shape.qualifier) in ((("kind",), None), ((), "kind"))
    assert found.apart.share == 1
    assert found.references[0].rows == Rate(36, 36)


def test_a_scope_named_alike_is_the_scope() -> None:
    faces = table("faces", "id:int4 Tenant:text tenants_mood:text person_name:text")
    rows = [{"id": i, "Tenant": f"t{i % 3}", "tenants_mood": "t1", "person_name": f"p{i % 5}"} for i in range(60)]
    found = fitted((PEOPLE, "name", people()), [(faces, "person_name", rows)])
    assert (found.shape.scope, found.references[0].scope) == (("tenant",), ("Tenant",))


def test_a_text_that_some_rows_or_references_lack_is_a_qualifier_and_no_scope() -> None:
    lookup = table("words", "id:int4 tenant:text category:text word:text", ("tenant", "category", "word"))
    rows = [
        {"id": 100 * t + 10 * c + w, "tenant": f"t{t}", "category": f"c{c}", "word": f"w{w + c}"}
        for t in range(2) for c in range(3) for w in range(4)
    ]  # fmt: skip
    tags: list[dict[str, object]] = [{**row, "id": n} for n, row in enumerate(rows * 4)]
    models = table("models", "id:int4 tenant:text word:text")
    one, none = (TAGS, "word", tags), (models, "word", tags)
    lacking: list[dict[str, object]] = [*tags, {"tenant": "t0", "word": "w1", "category": None}]
    every = ([one], [one, none], [(TAGS, "word", lacking)])
    shapes = [fitted((lookup, "word", rows), references).shape for references in every]
    assert [(x.scope, x.qualifier) for x in shapes] == [
        (("tenant", "category"), None), (("tenant",), "category"), (("tenant",), "category")
    ]  # fmt: skip


def test_a_qualifier_need_be_right_only_where_it_tells_apart() -> None:
    styles = table("styles", "id:int4 museum_id:int4 label:text era:text", ("museum_id", "label", "era"))
    works = table("works", "id:int4 museum_id:int4 style:text era:text")
    rows: list[dict[str, object]] = [{"id": i, "museum_id": 1, "label": f"l{i}", "era": "late"} for i in range(20)]
    rows += [{"id": 100 + e, "museum_id": 1, "label": "oil", "era": f"e{e}"} for e in range(3)]
    said: list[dict[str, object]] = [{"museum_id": 1, "style": f"l{i % 20}", "era": "?"} for i in range(60)]
    said += [{"museum_id": 1, "style": "oil", "era": f"e{i % 3}"} for i in range(30)]
    found = fitted((styles, "label", rows), [(works, "style", said)])
    assert (found.shape.scope, found.shape.qualifier) == (("museum_id",), "era")
    assert found.references[0].qualified == Rate(30, 90)
    wrong = [{**row, "era": "?"} for row in said]
    assert fitted((styles, "label", rows), [(works, "style", wrong)]).shape.qualifier is None


def test_aliases_are_found_within_the_scope_only() -> None:
    lookup = people()
    entries = [("nick", lookup[0]), ("nack", lookup[1]), ("p1", lookup[0])]
    rows: list[Mapping[str, object]] = [{"tenant": "t0", "person_name": f"p{i % 5}"} for i in range(20)]
    rows += [{"tenant": "t0", "person_name": "nick"}, {"tenant": "t0", "person_name": "nack"}]
    rows += [{"tenant": "t1", "person_name": "nick"}]
    found = fitted((PEOPLE, "name", lookup), [(FACES, "person_name", rows)], aliases={"aliases": entries})
    assert found.shape.aliases == "aliases"
    [reference] = found.references
    assert (reference.aliased, reference.rows, reference.missing) == (2, Rate(22, 23), ())


def test_json_that_holds_something_else_is_no_aliases_column() -> None:
    lookup = people()
    rows = [{"tenant": "t0", "person_name": f"p{i % 5}"} for i in range(20)] + [{"tenant": "t0", "person_name": "x"}]
    found = fitted((PEOPLE, "name", lookup), [(FACES, "person_name", rows)], aliases={"settings": [("x", lookup[0])]})
    assert found.shape.aliases is None


def test_citext_beside_citext_ignores_case() -> None:
    colors = table("colors", "id:int4 name:citext", ("name",))
    rows = [{"color": f"N{i % 20}"} for i in range(40)]
    # Beside a text the server compares as text, where case matters.
    for kind, hits in (("citext", 40), ("text", 0)):
        items = table("items", f"id:int4 color:{kind}")
        assert fitted((colors, "name", LIST), [(items, "color", rows)]).references[0].rows == Rate(hits, 40)


def test_a_cycle_of_parents_has_no_path() -> None:
    categories, words, tags = tree()
    for category in categories:
        category["parent_id"] = category["id"]
    found = fitted((WORDS, "word", words), [(TAGS, "word", tags)], {"category_id": (TREE, categories)})
    assert not isinstance(found.shape.qualifier, Path)


@pytest.mark.parametrize(
    ("value", "names", "separator"),
    [
        ("a/b", ("a", "b"), "/"), ("a > b > c", ("a", "b", "c"), " > "), ("a", ("a",), None), ("ab", ("a", "b"), None),
        ("a/b", ("b", "a"), None), ("axb", ("a", "b"), None), ("a/b:c", ("a", "b", "c"), None),
        ("a//b", ("a", "b"), "//"), ("", ("a", "b"), None), ("/", ("", ""), "/"),
    ],
)  # fmt: skip
def test_the_separator_is_what_stands_between(value: str, names: tuple[str, ...], separator: str | None) -> None:
    assert between(value, names) == separator
