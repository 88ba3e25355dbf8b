"""What a lookup that does not exist will be: types wide enough for every reference, names that stay the same."""

from __future__ import annotations

import pytest

from normalform.core.bind import bind
from normalform.core.catalog import Catalog, Column, Table
from normalform.core.names import QName
from normalform.core.planned import planned_table
from normalform.core.spec import LookupSpec, QualifierSpec, ScopeSpec
from normalform.core.spec_file import parse
from normalform.errors import SpecError

NAME = QName("public", "airline")
SPEC = LookupSpec("airline", NAME, "id", "name", create=True)


def text(kind: str, width: int | None = None, collated: str | None = None) -> Column:
    base = {"character varying": "varchar", "character": "bpchar", "public.citext": "citext"}.get(kind, kind)
    return Column("t", kind if width is None else f"{kind}({width})", 1, base, width, collated=collated)


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [
        ([text("character varying", 20)], "character varying(20)"),
        ([text("character varying", 20), text("character varying", 50)], "character varying(50)"),
        ([text("character varying", 20), text("character varying")], "text"),
        ([text("character", 3), text("character", 9)], "character(9)"),
        ([text("character", 3), text("character varying", 9)], "text"),
        ([text("public.citext"), text("public.citext")], "public.citext"),
        ([text("public.citext"), text("text")], "text"),
        ([text("name")], "text"),
    ],
)
def test_the_text_is_wide_enough_for_all(columns: list[Column], wanted: str) -> None:
    made = planned_table(NAME, SPEC, [[c, None] for c in columns])
    assert isinstance(made, Table)
    column = made.column("name")
    assert column is not None
    assert (column.type, column.not_null) == (wanted, True)


def test_one_collation_is_kept_and_two_are_none() -> None:
    c, posix = text("text", collated='pg_catalog."C"'), text("text", collated='pg_catalog."POSIX"')
    for columns, wanted in (([c, c], 'pg_catalog."C"'), ([c, posix], None), ([c, text("text")], None)):
        made = planned_table(NAME, SPEC, [[x, None] for x in columns])
        assert isinstance(made, Table)
        column = made.column("name")
        assert column is not None
        assert (column.collation, column.collated) == (wanted, wanted)


def test_scope_takes_the_widest_number_and_the_unique_has_everything() -> None:
    spec = LookupSpec(
        "a", NAME, "no", "name", scope=ScopeSpec(("org", "site")), qualifier=QualifierSpec(column="kind"),
        create=True, key_type="uuid",
    )  # fmt: skip
    small, big = Column("o", "smallint", 1, "int2"), Column("o", "bigint", 1, "int8")
    rows: list[list[Column | None]]
    rows = [[text("text"), text("text"), small, text("text")], [text("text"), None, big, text("text")]]
    made = planned_table(NAME, spec, rows)
    assert isinstance(made, Table)
    shown = [(c.name, c.type, c.not_null) for c in made.columns]
    assert shown == [
        ("no", "uuid", True), ("org", "bigint", True), ("site", "text", True), ("name", "text", True),
        ("kind", "text", False),
    ]  # fmt: skip
    unique = made.indexes[1]
    assert ([c.column for c in unique.columns], unique.nulls_not_distinct) == (["org", "site", "name", "kind"], True)
    assert made.primary_key == ("no",)


def test_what_cannot_be_decided_is_said() -> None:
    assert planned_table(NAME, SPEC, []) == ["no reference has its text, so there is nothing to make it of"]
    twice = LookupSpec("a", NAME, "name", "name", create=True)
    assert planned_table(NAME, twice, [[text("text"), None]]) == ["names the column 'name' twice"]
    scoped = LookupSpec("a", NAME, "id", "name", scope=ScopeSpec(("org",)), create=True)
    uuid, number = Column("o", "uuid", 1, "uuid"), Column("o", "integer", 1, "int4")
    problems = planned_table(NAME, scoped, [[text("text"), None, uuid], [text("text"), None, number]])
    assert problems == ["the references' scopes for 'org' are int4, uuid"]


TEXT = """
version = 1
[lookup.airline]
create = true
text = "name"
[reference.flights]
lookup = "airline"
text = "airline"
add = "airline_id"
"""
FLIGHTS = Table(1, QName("app", "flights"), "r", "o", (Column("airline", "text", 1, "text"),))
AIRLINE = Table(2, QName("app", "airline"), "r", "o", (Column("id", "bigint", 1, "int8", not_null=True),))


def catalog(*tables: Table) -> Catalog:
    return Catalog(180000, "d", "o", {t.name: t for t in tables}, search_path=("app", "public"))


def test_a_table_that_is_not_there_is_planned_where_it_would_be_found() -> None:
    model = bind(parse(TEXT), catalog(FLIGHTS))
    [lookup] = model.lookups
    assert (lookup.planned, lookup.table.name) == (True, QName("app", "airline"))
    assert model.references[0].key_type == "bigint"
    assert model.references[0].spec.on_unknown == "create"
    said = parse(TEXT + 'on_unknown = "defer"')
    assert bind(said, catalog(FLIGHTS)).references[0].spec.on_unknown == "defer"


def test_a_table_that_stood_before_is_not_ours() -> None:
    for baseline in ({}, {AIRLINE.name: AIRLINE, FLIGHTS.name: FLIGHTS}):
        with pytest.raises(SpecError, match="exists already and is not ours"):
            bind(parse(TEXT), catalog(FLIGHTS, AIRLINE), baseline)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('unique = ["name"]', "lookup.airline.unique: means nothing beside 'create'"),
        ('scope = { add = "t", copy = "x.y", join = "z" }', "lookup.airline.scope: must be plain columns"),
        ('qualifier = { path = "x.y", join = "z" }', "lookup.airline.qualifier: must be plain columns"),
    ],
)
def test_what_has_no_place_beside_it(more: str, said: str) -> None:
    with pytest.raises(SpecError) as error:
        parse(TEXT.replace("create = true", f"create = true\n{more}"))
    assert said in str(error.value)
    with pytest.raises(SpecError, match="means nothing without create = true"):
        parse(TEXT.replace("create = true", 'key_type = "uuid"'))
