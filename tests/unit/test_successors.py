"""Conservation on PhotoCat's own tables: each case by name."""

from __future__ import annotations

from typing import Any

import pytest

from normalform.core.catalog import Column, Constraint, Index, IndexColumn, Table
from normalform.core.index_successor import Carried, Successor
from normalform.core.names import QName
from normalform.core.successors import Succession, succession

NAME = QName("public", "machine_tags")
KEYWORDS = QName("public", "keywords")
TAGS = Carried("machine_tags", "keyword", "category", "keyword_id", ("tenant_id",), KEYWORDS, "keyword", ("tenant_id",))


def index(name: str, *columns: str | IndexColumn, **kw: Any) -> Index:
    keys = tuple(c if isinstance(c, IndexColumn) else IndexColumn(c) for c in columns)
    base: dict[str, Any] = {
        "method": "btree", "include": (), "unique": False, "primary": False, "valid": True, "immediate": True,
        "nulls_not_distinct": False, "predicate": None, "constraint": None, "definition": "",
    }  # fmt: skip
    base |= kw
    base.setdefault("uses", tuple(c.column for c in keys if c.column) + base["include"])
    return Index(name=name, schema="public", columns=keys, **base)


def decide(
    *indexes: Index, constraints: tuple[Constraint, ...] = (), refs: tuple[Carried, ...] = (TAGS,)
) -> Succession:
    columns = tuple(
        Column(c, "text", n, "text") for n, c in enumerate(("id", "tenant_id", "image_id", "keyword", "category"))
    )
    return succession(Table(1, NAME, "r", "o", columns, indexes, constraints), refs)


def only(result: Succession, source: str) -> Successor:
    [found] = [s for s in result.successors if source in s.sources]
    return found


def columns(successor: Successor) -> list[str | None]:
    assert successor.index is not None
    return [c.column for c in successor.index.columns]


def test_photocats_machine_tags() -> None:
    result = decide(
        index("ix_machine_tags_tenant_type_keyword", "tenant_id", "tag_type", "keyword"),
        index("ix_machine_tags_tenant", "tenant_id"),
        index("uq_machine_tags", "tenant_id", "image_id", "keyword", "tag_type", unique=True),
    )
    plain = only(result, "ix_machine_tags_tenant_type_keyword")
    assert plain.name == "ix_machine_tags_tenant_type_keyword_id"
    assert columns(plain) == ["tenant_id", "tag_type", "keyword_id"]
    unique = only(result, "uq_machine_tags")
    assert (unique.name, unique.deferrable, unique.constraint) == ("uq_machine_tags_keyword_id", True, None)
    assert columns(unique) == ["tenant_id", "image_id", "keyword_id", "tag_type"]
    assert unique.note == "allows equal keyword under two different category"
    [extra] = [s for s in result.successors if not s.sources]
    assert (extra.name, columns(extra)) == ("ix_machine_tags_tenant_id_keyword_id", ["tenant_id", "keyword_id"])
    assert not result.unconvertible
    assert not result.covered


def test_two_that_become_the_same_are_one() -> None:
    result = decide(
        index("a", "tenant_id", "keyword"),
        index("b", "tenant_id", "keyword", "category"),
        index("c", "tenant_id", "category"),
        index("d", "tenant_id", "keyword", unique=True),
    )
    [one] = result.successors
    assert set(one.sources) == {"a", "b", "c", "d"}
    assert one.kind == "unique"


def test_the_qualifier_alone_becomes_the_key() -> None:
    result = decide(index("by_category", "category", "image_id"))
    assert columns(only(result, "by_category")) == ["keyword_id", "image_id"]


def test_a_unique_on_the_qualifier_alone_has_none() -> None:
    result = decide(index("one_of_a_kind", "image_id", "category", unique=True))
    [lost] = result.unconvertible
    assert (lost.source, lost.kind) == ("one_of_a_kind", "unique index")


@pytest.mark.parametrize(
    "kw",
    [
        {"predicate": "((keyword)::text <> ''::text)", "uses": ("tenant_id", "keyword")},
        {"predicate": "(category IS NOT NULL)", "uses": ("tenant_id", "keyword", "category")},
        {"method": "gin"},
        {"valid": False},
    ],
)
def test_what_the_key_cannot_do(kw: dict[str, Any]) -> None:
    [lost] = decide(index("ix", "tenant_id", "keyword", **kw)).unconvertible
    assert lost.source == "ix"
    assert lost.remedy


def test_an_expression_on_the_text_has_none() -> None:
    expression = index("ix", IndexColumn(None, "lower((keyword)::text)"), uses=("keyword",))
    [lost] = decide(expression).unconvertible
    assert "public.keywords" not in lost.remedy
    assert "keywords.keyword" in lost.remedy


def test_a_test_for_null_is_carried_over() -> None:
    partial = index("ix", "tenant_id", "keyword", predicate="(keyword IS NOT NULL)", uses=("tenant_id", "keyword"))
    successor = only(decide(partial), "ix")
    assert successor.index is not None
    assert successor.index.predicate == '("keyword_id" IS NOT NULL)'
    check = Constraint("ck", "c", ("keyword", "image_id"), "CHECK (((keyword IS NOT NULL) OR (image_id > 0)))")
    carried_over = only(decide(constraints=(check,)), "ck")
    assert carried_over.constraint is not None
    assert carried_over.constraint.definition == 'CHECK ((("keyword_id" IS NOT NULL) OR (image_id > 0)))'


def test_a_unique_that_no_constraint_can_express_comes_late() -> None:
    partial = index("uq", "image_id", "keyword", unique=True, predicate="(image_id > 0)")
    successor = only(decide(partial), "uq")
    assert (successor.deferrable, successor.late) == (False, True)
    sorted_down = index("uq", "image_id", IndexColumn("keyword", descending=True, nulls_first=True), unique=True)
    assert only(decide(sorted_down), "uq").late


def test_a_legacy_deferrable_constraint_stays_one() -> None:
    unique = index("uq", "image_id", "keyword", unique=True, constraint="uq", immediate=False)
    kept = Constraint("uq", "u", ("image_id", "keyword"), "", deferrable=True, deferred=True, index="uq")
    successor = only(decide(unique, constraints=(kept,)), "uq")
    assert not successor.deferrable
    assert successor.constraint is not None
    assert successor.constraint.deferred


def test_text_that_is_only_included_needs_no_deferring() -> None:
    unique = index("uq", "image_id", unique=True, include=("keyword", "category"))
    successor = only(decide(unique), "uq")
    assert successor.index is not None
    assert (successor.index.include, successor.deferrable, successor.late) == (("keyword_id",), False, False)


def test_a_foreign_key_on_the_text_to_the_lookup_is_covered() -> None:
    same = Constraint(
        "fk", "f", ("tenant_id", "keyword"), "", references=KEYWORDS, reference_columns=("tenant_id", "keyword")
    )
    other = Constraint("fk2", "f", ("keyword",), "", references=QName("public", "x"), reference_columns=("k",))
    result = decide(constraints=(same, other))
    assert [c.source for c in result.covered] == ["fk"]
    assert [u.source for u in result.unconvertible] == ["fk2"]


def test_a_reference_that_keeps_its_text_gets_twins_of_plain_indexes_only() -> None:
    keeping = Carried("faces", "keyword", None, "keyword_id", ("tenant_id",), KEYWORDS, "keyword", keep_text=True)
    result = decide(
        index("ix_keyword", "tenant_id", "keyword"), index("uq", "image_id", "keyword", unique=True), refs=(keeping,)
    )
    assert [(s.sources, s.name) for s in result.successors] == [(("ix_keyword",), "ix_keyword_id")]
    assert not result.unconvertible


def test_the_tables_own_name_is_left_alone() -> None:
    models = Carried("keyword_models", "keyword", None, "keyword_id", ("tenant_id",), KEYWORDS, "keyword")
    table = Table(
        1, QName("public", "keyword_models"), "r", "o", (Column("keyword", "text", 1, "text"),),
        (index("keyword_models_tenant_keyword_idx", "tenant_id", "keyword"),),
    )  # fmt: skip
    [successor] = succession(table, (models,)).successors
    assert successor.name == "keyword_models_tenant_keyword_id_idx"


def test_a_qualifier_that_two_references_share_goes_where_either_text_stands() -> None:
    person = Carried("faces", "person", "category", "person_id", ("tenant_id",), QName("public", "people"), "name")
    refs = (TAGS, person)
    assert columns(only(decide(index("ix", "category", "person"), refs=refs), "ix")) == ["person_id"]
    assert columns(only(decide(index("ix", "category", "id"), refs=refs), "ix")) == ["keyword_id", "id"]
    both = only(decide(index("ix", "person", "category", "keyword"), refs=refs), "ix")
    assert columns(both) == ["person_id", "keyword_id"]
