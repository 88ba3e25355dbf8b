# ruff: noqa: E501  (a mistake and what is said of it read better on one line)
"""Fitting a spec to a catalog: what a model has, and everything that does not fit, in one go."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

import mini
from normalform.core.bind import bind
from normalform.core.catalog import Catalog, Column, Constraint, Index, IndexColumn, Table
from normalform.core.model import Model, tables_of
from normalform.core.names import QName
from normalform.core.spec_file import parse
from normalform.errors import SpecError

SHOWN = {"int4": "integer", "int8": "bigint", "float8": "double precision", "_text": "text[]"}
#: The small PhotoCat, as the inspector would see it: `name type[(width)] [!]`, where ! is NOT NULL; the first is the key.
SHAPES = {
    "tenants": ("id varchar(255) !", "name text !"),
    "keyword_categories": (
        "id int4 !", "tenant_id varchar(50) !", "name varchar(100) !", "parent_id int4", "sort_order int4 !",
    ),
    "keywords": ("id int4 !", "category_id int4 !", "keyword varchar(100) !", "prompt text", "sort_order int4 !"),
    "people": ("id int4 !", "tenant_id varchar(50) !", "name varchar(100) !", "aliases json"),
    "machine_tags": (
        "id int4 !", "tenant_id varchar(255) !", "keyword varchar(255) !", "category varchar(255)", "confidence float8 !",
    ),
    "permatags": ("id int4 !", "tenant_id varchar(50) !", "keyword varchar(100) !", "category varchar(100)"),
    "image_tags": ("id int4 !", "tenant_id varchar(255)", "keyword varchar(255) !", "category varchar(255)"),
    "keyword_models": ("id int4 !", "tenant_id varchar(255) !", "keyword varchar(255) !", "model_name varchar(100) !"),
    "detected_faces": ("id int4 !", "tenant_id varchar(255) !", "person_name varchar(255)"),
}  # fmt: skip
Tables = dict[QName, Table]


def a_column(text: str, attnum: int) -> Column:
    match = re.fullmatch(r"(\S+) (\w+?)(?:\((\d+)\))?( !)?", text)
    assert match is not None, text
    name, base, width, not_null = match.groups()
    shown = f"character varying({width})" if width else SHOWN.get(base, base)
    default = (
        "0" if name in ("sort_order", "confidence") else "nextval('s')" if name == "id" and base == "int4" else None
    )
    return Column(name, shown, attnum, base, int(width) if width else None, bool(not_null), default)


def an_index(name: str, *columns: str, unique: bool = True, **kw: object) -> Index:
    index = Index(
        name, "public", "btree", tuple(IndexColumn(c) for c in columns), (), unique, False, True, True, False, None, None,
        "", columns,
    )  # fmt: skip
    return replace(index, **kw)  # type: ignore[arg-type]


def a_table(name: str, *columns: str, kind: str = "r") -> Table:
    made = tuple(a_column(text, n) for n, text in enumerate(columns, 1))
    return Table(
        oid=1,
        name=QName("public", name),
        kind=kind,
        owner="nf_owner",
        columns=made,
        indexes=(an_index(f"{name}_pkey", made[0].name, primary=True),),
        constraints=(Constraint(f"{name}_pkey", "p", (made[0].name,), ""),),
    )


def photocat() -> Tables:
    return {QName("public", name): a_table(name, *columns) for name, columns in SHAPES.items()}


def catalog(tables: Mapping[QName, Table]) -> Catalog:
    return Catalog(180000, "photocat", "nf_owner", dict(tables), tuple(str(n) for n in tables))


def changed(tables: Tables, name: str, change: Callable[[Table], Table]) -> Tables:
    key = QName("public", name)
    return {**tables, key: change(tables[key])}


def without_column(name: str) -> Callable[[Table], Table]:
    return lambda t: replace(t, columns=tuple(c for c in t.columns if c.name != name))


def with_column(text: str) -> Callable[[Table], Table]:
    name = text.split()[0]
    return lambda t: replace(t, columns=(*(c for c in t.columns if c.name != name), a_column(text, len(t.columns) + 1)))


def fitted(text: str = mini.SPEC_TEXT, tables: Tables | None = None, baseline: Tables | None = None) -> Model:
    return bind(parse(text), catalog(tables if tables is not None else photocat()), baseline)


def problems(text: str = mini.SPEC_TEXT, tables: Tables | None = None, baseline: Tables | None = None) -> list[str]:
    with pytest.raises(SpecError) as caught:
        fitted(text, tables, baseline)
    assert caught.value.exit_status == 2
    return list(caught.value.problems)


# ------------------------------------------------------------------------------------------------ what it has


def test_the_small_photocat() -> None:
    model = fitted()
    keyword, person = model.lookup("keyword"), model.lookup("person")
    assert (keyword.key.name, keyword.text.width, keyword.scope, keyword.scope_types) == (
        "id", 100, ("tenant_id",), ("character varying(50)",),
    )  # fmt: skip
    assert keyword.scope_copy is not None
    assert (keyword.scope_copy.table.name.name, keyword.scope_copy.key, keyword.scope_copy.join) == (
        "keyword_categories", "id", "category_id",
    )  # fmt: skip
    assert not keyword.scope_ready, "expand has yet to add it"
    assert keyword.path is not None
    assert (keyword.path.name, keyword.path.parent, keyword.path.separator) == ("name", "parent_id", "/")
    assert keyword.has_qualifier
    assert person.scope_ready
    assert person.aliases is not None
    assert not person.has_qualifier
    tags = model.reference("machine_tags")
    assert (tags.key, tags.key_type, tags.identity) == ("keyword_id", "integer", ("id",))
    assert (tags.key_present, tags.text_present) == (False, True)
    assert [c.name for c in model.reference("image_tags").nullable_scope] == ["tenant_id"]
    assert tags.nullable_scope == ()
    assert [r.name for r in model.references_of(person)] == ["faces"]
    assert model.absent == ()


def test_what_is_not_there_has_no_name() -> None:
    model = fitted()
    with pytest.raises(StopIteration):
        model.lookup("nothing")
    with pytest.raises(StopIteration):
        model.reference("nothing")


def test_the_tables_that_a_spec_names_each_once() -> None:
    names = [n.name for n in tables_of(mini.spec())]
    assert names == [
        "keywords", "keyword_categories", "people",
        "machine_tags", "permatags", "image_tags", "keyword_models", "detected_faces",
    ]  # fmt: skip


def test_names_without_a_schema_are_found_along_the_search_path() -> None:
    model = fitted(mini.SPEC_TEXT.replace("public.", ""))
    assert model.reference("machine_tags").table.name == QName("public", "machine_tags")


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (an_index("u", "category_id", "keyword"), True),
        (an_index("u", "keyword", unique=False), False),
        (an_index("u", "keyword", valid=False), False),
        (an_index("u", "keyword", predicate="(sort_order > 0)"), False),
        (an_index("u", "category_id"), False),
        (replace(an_index("u"), columns=(IndexColumn(None, "lower(keyword)"), IndexColumn("keyword"))), False),
    ],
)
def test_whether_a_rename_is_a_key_update(index: Index, expected: bool) -> None:
    """CORRECTNESS 2: FOR KEY SHARE protects the text only where it stands in a plain unique index."""
    tables = changed(photocat(), "keywords", lambda t: replace(t, indexes=(*t.indexes, index)))
    assert fitted(tables=tables).lookup("keyword").text_in_unique is expected


def test_an_added_scope_counts_once_it_is_not_null() -> None:
    before = photocat()
    half = changed(before, "keywords", with_column("tenant_id varchar(50)"))
    assert not fitted(tables=half, baseline=before).lookup("keyword").scope_ready, "not filled yet"
    whole = changed(before, "keywords", with_column("tenant_id varchar(50) !"))
    assert fitted(tables=whole, baseline=before).lookup("keyword").scope_ready


# --------------------------------------------------------------------------------------- after contract, optional


def test_text_that_is_gone_is_known_by_the_baseline() -> None:
    before = photocat()
    after = changed(before, "machine_tags", without_column("keyword"))
    after = changed(after, "machine_tags", without_column("category"))
    after = changed(after, "machine_tags", with_column("keyword_id int4 !"))
    tags = fitted(tables=after, baseline=before).reference("machine_tags")
    assert (tags.text.width, tags.qualifier is not None) == (255, True)
    assert (tags.key_present, tags.text_present) == (True, False)


def test_without_a_baseline_it_is_missing() -> None:
    after = changed(photocat(), "machine_tags", without_column("keyword"))
    [found] = problems(tables=after)
    assert found.startswith("reference.machine_tags.text: machine_tags has no column keyword")


def test_an_optional_reference_may_be_absent() -> None:
    tables = photocat()
    del tables[QName("public", "image_tags")]
    text = mini.SPEC_TEXT.replace("[reference.image_tags]", "[reference.image_tags]\noptional = true")
    model = fitted(text, tables)
    assert [s.name for s in model.absent] == ["image_tags"]
    assert "image_tags" not in {r.name for r in model.references}
    assert fitted(text).absent == (), "and is an ordinary one when it is there"
    assert problems(mini.SPEC_TEXT, tables) == [
        "reference.image_tags.table: no table image_tags; did you mean machine_tags?"
    ]


# --------------------------------------------------------------------------------------------- what does not fit

SPEC = mini.SPEC_TEXT
BAD_SPECS: list[tuple[str, str, str]] = [
    ('table = "public.keywords"', 'table = "public.keywrods"', "lookup.keyword.table: no table keywrods; did you mean keywords?"),
    ('table = "public.keywords"', 'table = "other.keywords"', "lookup.keyword.table: no table other.keywords; did you mean keywords?"),
    ('key = "id"\ntext = "keyword"', 'key = "idd"\ntext = "keyword"', "lookup.keyword.key: keywords has no column idd; did you mean id?"),
    ('key = "id"\ntext = "keyword"', 'key = "category_id"\ntext = "keyword"', "lookup.keyword.key: keywords.category_id is not unique by itself"),
    ('key = "id"\ntext = "keyword"\nunique', 'key = "id"\ntext = "sort_order"\nunique', "lookup.keyword.text: keywords.sort_order is integer, not a text type"),
    ('"category_id", "keyword"]', '"category", "keyword"]', "lookup.keyword.unique: keywords has no column category; did you mean category_id?"),
    ('aliases = "aliases"', 'aliases = "name"', "lookup.person.aliases: name is character varying(100); aliases are json, jsonb or text[]"),
    ('scope = "tenant_id"\n\n[defaults', 'scope = "tenant"\n\n[defaults', "lookup.person.scope: people has no column tenant; did you mean tenant_id?"),
    ('add = "tenant_id"', 'add = "prompt"', "lookup.keyword.scope.add: keywords.prompt exists already and is not ours"),
    ("keyword_categories.tenant_id", "keyword_categories.tenant", "lookup.keyword.scope.copy: keyword_categories has no column tenant; did you mean tenant_id?"),
    ("public.keyword_categories.tenant_id", "public.categories.tenant_id", "lookup.keyword.scope.copy: no table categories"),
    ('tenant_id"\njoin = "category_id"', 'tenant_id"\njoin = "cat"', "lookup.keyword.scope.join: keywords has no column cat"),
    ('tenant_id"\njoin = "category_id"', 'tenant_id"\njoin = "prompt"', "lookup.keyword.scope.join: keywords.prompt is text, keyword_categories.id is integer: they cannot be equal"),
    ("keyword_categories.name", "keyword_categories.title", "lookup.keyword.qualifier.path: keyword_categories has no column title"),
    ("keyword_categories.name", "keyword_categories.sort_order", "lookup.keyword.qualifier.path: keyword_categories.sort_order is integer, not a text type"),
    ('name"\njoin = "category_id"', 'name"\njoin = "categoryid"', "lookup.keyword.qualifier.join: keywords has no column categoryid; did you mean category_id?"),
    ('parent = "parent_id"', 'parent = "parent"', "lookup.keyword.qualifier.parent: keyword_categories has no column parent; did you mean parent_id?"),
    ('parent = "parent_id"', 'parent = "name"', "lookup.keyword.qualifier.parent: keyword_categories.name is character varying(100), keyword_categories.id is integer: they cannot be equal"),
    ('category_id = { from = "qualifier", otherwise = "Unsorted" }', 'category_id = { from = "qualifier" }', "lookup.keyword.new_row.category_id: needs otherwise = …"),
    ('category_id = { from = "qualifier", otherwise = "Unsorted" }', 'prompt = { from = "qualifier" }\ncategory_id = 1', 'lookup.keyword.new_row.prompt: from = "qualifier" fills the column that the qualifier joins'),
    ('category_id = { from = "qualifier", otherwise = "Unsorted" }', "prompt = 'p'", "lookup.keyword.new_row: keywords.category_id is NOT NULL without a default and is not filled"),
    ('category_id = { from = "qualifier", otherwise = "Unsorted" }', 'categry_id = 1\ncategory_id = 1', "lookup.keyword.new_row: keywords has no column categry_id; did you mean category_id?"),
    ('table = "public.machine_tags"', 'table = "public.machin_tags"', "reference.machine_tags.table: no table machin_tags; did you mean machine_tags?"),
    ('table = "public.machine_tags"', 'table = "public.machine_tags"\ntext = "kw"', "reference.machine_tags.text: machine_tags has no column kw"),
    ('table = "public.machine_tags"', 'table = "public.machine_tags"\ntext = "confidence"', "reference.machine_tags.text: machine_tags.confidence is double precision, not a text type"),
    ('table = "public.machine_tags"', 'table = "public.machine_tags"\nqualifier = "cat"', "reference.machine_tags.qualifier: machine_tags has no column cat"),
    ('table = "public.machine_tags"', 'table = "public.machine_tags"\nqualifier = "confidence"', "reference.machine_tags.qualifier: machine_tags.confidence is double precision, not a text type"),
    ('table = "public.machine_tags"', 'table = "public.machine_tags"\nscope = "tenant"', "reference.machine_tags.scope: machine_tags has no column tenant; did you mean tenant_id?"),
    ('table = "public.machine_tags"', 'table = "public.machine_tags"\nscope = "confidence"', "reference.machine_tags.scope: machine_tags.confidence is double precision, keyword_categories.tenant_id is character varying(50): they cannot be equal"),
    ('table = "public.machine_tags"', 'table = "public.machine_tags"\nadd = "category"', "reference.machine_tags.add: machine_tags.category exists already and is not ours"),
    ('table = "public.permatags"', 'table = "machine_tags"', "reference.permatags.add: keyword_id is added by reference 'machine_tags' too"),
    ('table = "public.permatags"', 'table = "machine_tags"\nadd = "kid"', "reference.permatags.text: machine_tags.keyword is the text of reference 'machine_tags' already"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), BAD_SPECS)
def test_what_does_not_fit_is_named(old: str, new: str, expected: str) -> None:
    assert old in SPEC
    found = problems(SPEC.replace(old, new, 1))
    assert any(line.startswith(expected) for line in found), found


def no_key(table: Table) -> Table:
    return replace(table, indexes=(), constraints=())


BAD_TABLES: list[tuple[str, Callable[[Table], Table], str]] = [
    ("keywords", lambda t: replace(t, kind="v"), "lookup.keyword.table: keywords is a view; only ordinary tables are supported"),
    ("machine_tags", lambda t: replace(t, kind="p"), "reference.machine_tags.table: machine_tags is a partitioned table"),
    ("machine_tags", lambda t: replace(t, kind="f"), "reference.machine_tags.table: machine_tags is a foreign table"),
    ("machine_tags", lambda t: replace(t, kind="S"), "reference.machine_tags.table: machine_tags is no table"),
    ("keywords", no_key, "lookup.keyword.key: keywords.id is not unique by itself"),
    ("keywords", lambda t: replace(t, indexes=(an_index("i", "id", valid=False),)), "lookup.keyword.key: keywords.id is not unique by itself"),
    ("keywords", lambda t: replace(t, indexes=(an_index("i", "id", predicate="x"),)), "lookup.keyword.key: keywords.id is not unique by itself"),
    ("keywords", lambda t: replace(t, indexes=(an_index("i", "id", "keyword"),)), "lookup.keyword.key: keywords.id is not unique by itself"),
    ("keywords", with_column("id int4"), "lookup.keyword.key: keywords.id may be NULL"),
    ("keywords", with_column("id float8 !"), "lookup.keyword.key: id is double precision; keys are integers, uuid or text"),
    ("keyword_categories", no_key, "lookup.keyword.scope.copy: keyword_categories needs a primary key of one column to be joined"),
    ("keyword_categories", no_key, "lookup.keyword.qualifier.path: keyword_categories needs a primary key of one column to be joined"),
    ("keywords", with_column("owner text !"), "lookup.keyword.new_row: keywords.owner is NOT NULL without a default and is not filled"),
    ("people", with_column("tenant_id int4 !"), "reference.faces.scope: detected_faces.tenant_id is character varying(255), people.tenant_id is integer"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "expected"), BAD_TABLES)
def test_a_table_that_will_not_do(name: str, change: Callable[[Table], Table], expected: str) -> None:
    found = problems(tables=changed(photocat(), name, change))
    assert any(line.startswith(expected) for line in found), found


@pytest.mark.parametrize("base", ["int2", "int4", "int8", "uuid", "text", "varchar"])
def test_keys_that_will_do(base: str) -> None:
    tables = changed(photocat(), "people", with_column(f"id {base} !"))
    assert fitted(tables=tables).lookup("person").key.base == base


@pytest.mark.parametrize("base", ["json", "jsonb", "_text", "_varchar"])
def test_aliases_that_will_do(base: str) -> None:
    tables = changed(photocat(), "people", with_column(f"aliases {base}"))
    assert fitted(tables=tables).lookup("person").aliases is not None


def test_a_column_that_fills_itself_needs_no_value() -> None:
    for change in ({"default": "now()"}, {"identity": "a"}, {"generated": "s", "default": "1"}):
        owner = replace(a_column("owner text !", 9), **change)  # type: ignore[arg-type]
        tables = changed(photocat(), "keywords", lambda t, c=owner: replace(t, columns=(*t.columns, c)))  # type: ignore[misc]
        fitted(tables=tables)


def test_a_lookup_that_sync_creates_rows_in_must_be_fillable() -> None:
    text = SPEC.replace("[reference.faces]", "[reference.faces]\non_unknown = 'create'")
    fitted(text)  # everything else is filled or has a default
    tables = changed(photocat(), "people", with_column("born date !"))
    fitted(tables=tables)  # as long as nothing creates rows
    assert problems(text, tables) == [
        "lookup.person.new_row: people.born is NOT NULL without a default and is not filled"
    ]


def test_widths_of_a_scope_may_differ_and_so_may_its_text_types() -> None:
    """tenant_id is 50 wide here and 255 there: that is no mistake of the spec."""
    tables = changed(photocat(), "detected_faces", with_column("tenant_id text !"))
    fitted(tables=tables)


def test_a_key_that_is_ours_is_known_by_the_baseline() -> None:
    before = photocat()
    after = changed(before, "machine_tags", with_column("keyword_id int4"))
    assert fitted(tables=after, baseline=before).reference("machine_tags").key_present
    assert problems(tables=after) == [
        "reference.machine_tags.add: machine_tags.keyword_id exists already and is not ours"
    ]
    assert problems(tables=after, baseline=after), "it was there before us"


def test_everything_at_once() -> None:
    text = (
        SPEC.replace('table = "public.keywords"', 'table = "public.keywrods"')
        .replace('aliases = "aliases"', 'aliases = "alias"')
        .replace('table = "public.permatags"', 'table = "public.perma"')
        .replace('text = "person_name"', 'text = "person"')
    )
    tables = changed(photocat(), "machine_tags", without_column("category"))
    keys = [line.split(": ")[0] for line in problems(text, tables)]
    assert keys == [
        "lookup.keyword.table",
        "lookup.person.aliases",
        "reference.machine_tags.qualifier",
        "reference.permatags.table",
        "reference.faces.text",
    ]


def test_names_that_toml_quotes_are_quoted() -> None:
    text = SPEC.replace("[reference.faces]", '[reference."my faces"]').replace("public.detected_faces", "public.faces")
    assert problems(text)[0].startswith('reference."my faces".table: no table faces')
