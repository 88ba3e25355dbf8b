# ruff: noqa: E501  (a mistake and what is said of it read better on one line)
"""Reading a spec file: what it means, and every mistake by name."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import mini
from normalform.core.names import QName
from normalform.core.spec import BackfillSpec, HooksSpec, NewValue, QualifierSpec, ScopeSpec, Spec
from normalform.core.spec_file import parse
from normalform.errors import SpecError

REFERENCE_PAGE = Path(__file__).parents[2] / "docs" / "reference" / "spec.md"
SCHEMA: dict[str, Any] = json.loads(files("normalform").joinpath("spec.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

SMALL = """
version = 1
[lookup.keyword]
text = "keyword"
[reference.tags]
lookup = "keyword"
text = "tag"
add = "keyword_id"
"""


def problems(source: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse(source)
    assert caught.value.exit_status == 2
    return list(caught.value.problems)


def with_lines(*lines: str, at: str = "[reference.tags]") -> str:
    """The small spec with lines added to one of its tables."""
    assert at in SMALL
    return SMALL.replace(at, "\n".join([at, *lines]))


def example() -> str:
    text, *_ = re.findall(r"```toml\n(.*?)```", REFERENCE_PAGE.read_text("utf-8"), re.DOTALL)
    return str(text)


def test_the_defaults() -> None:
    spec = parse(SMALL)
    [lookup], [reference] = spec.lookups, spec.references
    assert (lookup.name, lookup.table, lookup.key, lookup.text) == ("keyword", QName("", "keyword"), "id", "keyword")
    assert (lookup.scope, lookup.qualifier, lookup.aliases, lookup.unique) == (None, None, None, ())
    assert lookup.rename == "auto"
    assert (reference.table, reference.qualifier, reference.scope) == (QName("", "tags"), None, ())
    assert (reference.required, reference.keep_text, reference.optional) == (True, False, False)
    assert (reference.on_unknown, reference.on_delete, reference.app_triggers) == ("defer", "restrict", "fire")
    assert spec.backfill == BackfillSpec()
    assert spec.hooks == HooksSpec()
    assert spec.environments == ()
    assert spec.source == SMALL


def test_the_small_photocat() -> None:
    spec = mini.spec()
    keyword = spec.lookup("keyword")
    assert keyword.scope == ScopeSpec(
        (), "tenant_id", QName("public", "keyword_categories"), "tenant_id", "category_id"
    )
    assert keyword.qualifier == QualifierSpec(
        None, QName("public", "keyword_categories"), "name", "category_id", "parent_id", "/"
    )
    assert keyword.new_row == {"category_id": NewValue("qualifier", otherwise="Unsorted")}
    assert spec.lookup("person").scope == ScopeSpec(("tenant_id",))
    by_name = {r.name: r for r in spec.references}
    assert by_name["machine_tags"].qualifier == "category"
    assert by_name["keyword_models"].qualifier is None, "false overrides the default"
    assert (by_name["faces"].lookup, by_name["faces"].add, by_name["faces"].keep_text) == ("person", "person_id", True)


def test_the_example_of_the_reference() -> None:
    spec = parse(example())
    assert [e.soak_seconds for e in spec.environments] == [14 * 86400]
    assert spec.environments[0].sign_offs == ("dba", "owner")
    assert spec.hooks.stop == "systemctl stop photocat"
    VALIDATOR.validate(tomllib.loads(example()))


def test_the_demos_own_spec_reads() -> None:
    text = files("normalform").joinpath("demo/normalform.toml").read_text("utf-8")
    assert parse(text).lookups
    VALIDATOR.validate(tomllib.loads(text))


#: A document, and what must be said of it, each by key; the schema refuses it too.
WRONG: list[tuple[str, list[str]]] = [
    ("", ["version: is missing", "lookup: names no lookup", "reference: names no reference"]),
    (SMALL.replace("version = 1", "version = 2"), ["version: must be 1, not 2"]),
    (SMALL.replace("version = 1", "version = true"), ["version: must be 1, not true"]),
    (SMALL.replace("version = 1", "version = '1'"), ["version: must be 1, not '1'"]),
    ("verison = 1\n" + SMALL, ["verison: unknown key; did you mean 'version'?"]),
    (SMALL.replace("[lookup.keyword]", "[lookup.keyword]\ntxt = 'x'"), ["lookup.keyword.txt: unknown key; did you mean 'text'"]),
    (SMALL.replace('text = "keyword"', ""), ["lookup.keyword.text: is missing"]),
    (SMALL.replace('text = "keyword"', "text = ''"), ["lookup.keyword.text: is empty"]),
    (SMALL.replace('text = "keyword"', "text = 5"), ["lookup.keyword.text: must be a text, not 5"]),
    (SMALL.replace('text = "keyword"', 'text = "a\\u0000b"'), ["lookup.keyword.text: holds a NUL character"]),
    (SMALL.replace('text = "keyword"', f"text = '{'x' * 64}'"), ["is 64 bytes long; PostgreSQL keeps 63"]),
    (with_lines("table = 5"), ["reference.tags.table: must be a text, not 5"]),
    (with_lines("table = 'a.b.c'"), ["reference.tags.table: 'a.b.c' has 3 parts; a table has one or two"]),
    (with_lines("table = 'two words'"), ["reference.tags.table: 'two words' is not a name as SQL writes it"]),
    (SMALL.replace("[reference.tags]", '[reference."my tags"]'), ['reference."my tags".table: ']),
    (SMALL.replace("[lookup.keyword]", '[lookup."my words"]').replace('"keyword"\ntext', '"my words"\ntext'),
     ['lookup."my words".table: ']),
    (with_lines("qualifier = true"), ["reference.tags.qualifier: must be a column or false, not true"]),
    (with_lines("qualifier = 0"), ["reference.tags.qualifier: must be a column or false, not 0"]),
    (with_lines("qualifier = ''"), ["reference.tags.qualifier: is empty"]),
    (with_lines("scope = 5"), ["reference.tags.scope: must be a column or a list of columns, not 5"]),
    (with_lines("scope = ['a', 1]"), ["reference.tags.scope: must be a column or a list of columns, not a list"]),
    (with_lines("scope = ['a', 'a']"), ["reference.tags.scope: names 'a' twice"]),
    (with_lines("required = 'yes'"), ["reference.tags.required: must be true or false, not 'yes'"]),
    (with_lines("on_unknown = 'ignore'"), ["reference.tags.on_unknown: must be one of defer, create, reject, not 'ignore'"]),
    (with_lines("on_delete = []"), ["reference.tags.on_delete: must be one of "]),
    (with_lines("[reference.tags.more]"), ["reference.tags.more: unknown key"]),
    ("reference = 1\n" + SMALL.partition("[reference")[0], ["reference: must be a table, not 1"]),
    ("lookup = [1]\n" + SMALL.partition("[lookup")[0] + "[reference.t]\n", ["lookup: must be a table, not a list"]),
    ("[lookup]\nx = 1\n[reference]\ny = []\n", ["lookup.x: must be a table, not 1", "reference.y: must be a table, not a list"]),
    (SMALL + "[defaults]\nlookup = 1", ["defaults.lookup: unknown key; known here: reference"]),
    (SMALL + "[defaults.reference]\nlookup = 1", ["defaults.reference.lookup: must be a text, not 1"]),
    (SMALL + "[defaults.reference]\nontbl = 1\nkeep_text = 3",
     ["defaults.reference.ontbl: unknown key", "defaults.reference.keep_text: must be true or false, not 3"]),
    (with_lines("scope = []", at="[lookup.keyword]"), ["lookup.keyword.scope: names no column"]),
    (with_lines("scope = 1.5", at="[lookup.keyword]"), ["lookup.keyword.scope: must be a column, a list of columns or a table"]),
    (with_lines("scope = {}", at="[lookup.keyword]"), [f"lookup.keyword.scope.{k}: is missing" for k in ("add", "copy", "join")]),
    (with_lines("scope = { add = 'a', copy = 'b', join = 'c' }", at="[lookup.keyword]"),
     ["lookup.keyword.scope.copy: must be table.column, not 'b'"]),
    (with_lines("scope = { columns = ['a'], add = 'a' }", at="[lookup.keyword]"),
     ["lookup.keyword.scope.add: means nothing beside 'columns'"]),
    (with_lines("qualifier = 1", at="[lookup.keyword]"), ["lookup.keyword.qualifier: must be a column or a table, not 1"]),
    (with_lines("qualifier = { path = 'a.b', joined = 'c' }", at="[lookup.keyword]"),
     ["lookup.keyword.qualifier.joined: unknown key; did you mean 'join'?", "lookup.keyword.qualifier.join: is missing"]),
    (with_lines("qualifier = { column = 'a', separator = '.' }", at="[lookup.keyword]"),
     ["lookup.keyword.qualifier.separator: means nothing beside 'column'"]),
    (with_lines("qualifier = { path = 'a.b', join = 'c', separator = '' }", at="[lookup.keyword]"),
     ["lookup.keyword.qualifier.separator: is empty"]),
    (with_lines("new_row = 1", at="[lookup.keyword]"), ["lookup.keyword.new_row: must be a table, not 1"]),
    (with_lines("new_row = { a = [1] }", at="[lookup.keyword]"), ["lookup.keyword.new_row.a: must be a value or"]),
    (with_lines("new_row = { a = { otherwise = 'x' } }", at="[lookup.keyword]"),
     ['lookup.keyword.new_row.a.from: must be "qualifier", not None']),
    (with_lines("new_row = { a = { from = 'qualifier', value = 1 } }", at="[lookup.keyword]"),
     ["lookup.keyword.new_row.a.value: unknown key"]),
    (with_lines("rename = 'later'", at="[lookup.keyword]"), ["lookup.keyword.rename: must be one of auto, carry, queue"]),
    (SMALL + "[environment.p]\n", ["environment.p.url_env: is missing"]),
    (SMALL + "[environment.p]\nurl_env = 'U'\nsoak = 'two weeks'", ["environment.p.soak: must be a number with s, m, h or d"]),
    (SMALL + "[environment.p]\nurl_env = 'U'\nsoak = ''", ["environment.p.soak: is empty"]),
    (SMALL + "[environment.p]\nurl_env = 'U'\nsign_offs = 'dba'", ["environment.p.sign_offs: must be a list of names"]),
    (SMALL + "[environment.p]\nurl_env = 'U'\nsign_offs = ['a', 'a']", ["environment.p.sign_offs: names somebody twice"]),
    (SMALL + "[backfill]\nworkers = 0", ["backfill.workers: must be a whole number from 1 to 8, not 0"]),
    (SMALL + "[backfill]\nworkers = 2.5", ["backfill.workers: must be a whole number from 1 to 8, not 2.5"]),
    (SMALL + "[backfill]\ntarget = 0", ["backfill.target: must be 0.01 to 30 seconds, not 0"]),
    (SMALL + "[backfill]\nwindow_target = inf", ["backfill.window_target: must be 0.01 to 30 seconds, not inf"]),
    (SMALL + "[backfill]\ntarget = true", ["backfill.target: must be 0.01 to 30 seconds, not true"]),
    (SMALL + "[backfill]\nvacuum = 'often'", ["backfill.vacuum: must be one of between, after, never"]),
    (SMALL + "[hooks]\nstop = ''\nrestart = 'x'", ["hooks.restart: unknown key; did you mean 'start'?", "hooks.stop: is empty"]),
]  # fmt: skip

#: What only the reader sees, since it takes two places of the file together.
ONLY_READER: list[tuple[str, str]] = [
    (SMALL.replace('lookup = "keyword"', "lookup = 'keywrod'"), "reference.tags.lookup: no lookup 'keywrod'; did you mean 'keyword'?"),
    (SMALL.replace('lookup = "keyword"', "lookup = 'zzz'"), "reference.tags.lookup: no lookup 'zzz'; lookups: keyword"),
    (with_lines("scope = 'tenant'"), "reference.tags.scope: names 1 column, lookup 'keyword' has 0"),
    (with_lines("scope = ['a', 'b']", at="[lookup.keyword]"), "reference.tags.scope: names 0 columns, lookup 'keyword' has 2"),
    (with_lines("qualifier = 'category'"), "reference.tags.qualifier: lookup 'keyword' has no qualifier; set qualifier = false"),
    (with_lines("on_delete = 'set_null'"), "reference.tags.on_delete: set_null needs required = false"),
    (with_lines(f"table = '{'é' * 32}'"), "is 64 bytes long; PostgreSQL keeps 63"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "expected"), WRONG)
def test_every_mistake_names_its_key(source: str, expected: list[str]) -> None:
    found = problems(source)
    for wanted in expected:
        assert any(wanted in line for line in found), found
    assert len(found) == len(set(found)), "each once"
    assert not VALIDATOR.is_valid(tomllib.loads(source)), "the schema refuses it too"


@pytest.mark.parametrize(("source", "expected"), ONLY_READER)
def test_what_takes_two_places_together(source: str, expected: str) -> None:
    [found] = problems(source)
    assert expected in found
    VALIDATOR.validate(tomllib.loads(source))


def test_every_mistake_at_once() -> None:
    source = """
        version = 2
        [lookup.keyword]
        txt = "keyword"
        [lookup.person]
        text = "name"
        scope = { add = "tenant_id", copy = "people" }
        [defaults.reference]
        lookup = "keyword"
        on_unknown = "maybe"
        [reference.tags]
        text = "tag"
        [reference.faces]
        lookup = "persn"
        text = "person"
        add = "person_id"
        [backfill]
        workers = 99
    """
    found = problems(source)
    keys = [line.split(": ")[0] for line in found]
    assert keys == [
        "version",
        "lookup.keyword.txt",
        "lookup.keyword.text",
        "lookup.person.scope.join",
        "lookup.person.scope.copy",
        "defaults.reference.on_unknown",
        "reference.tags.add",
        "reference.faces.lookup",
        "backfill.workers",
    ]


def test_a_mistake_in_the_defaults_is_reported_once_and_there() -> None:
    source = (
        SMALL + "[reference.more]\nlookup = 'keyword'\ntext = 't'\nadd = 'k'\n[defaults.reference]\non_delete = 'x'"
    )
    [found] = problems(source)
    assert found.startswith("defaults.reference.on_delete: ")


@pytest.mark.parametrize(
    "source",
    ["= 1", "version = ", "a = [", "\0", "x = 1\nx = 2", "a = " + "[" * 5000, "a = " + "9" * 5000, "d = 2024-13-01"],
)
def test_what_is_no_toml(source: str) -> None:
    [found] = problems(source)
    assert found.startswith("the spec is not TOML")


def test_a_url_in_place_of_a_variables_name_is_never_shown() -> None:
    url = "postgresql://me:s3cret@db/photocat"
    for value in (f"'{url}'", f"['{url}']"):
        [found] = problems(SMALL + f"[environment.prod]\nurl_env = {value}")
        assert found.startswith("environment.prod.url_env: must be the name of an environment variable")
        assert "s3cret" not in found


@pytest.mark.parametrize(
    ("soak", "seconds"), [("90s", 90), ("5m", 300), ("2h", 7200), ("14d", 14 * 86400), ("14 d", 14 * 86400), ("0s", 0)]
)
def test_durations(soak: str, seconds: int) -> None:
    spec = parse(SMALL + f"[environment.p]\nurl_env = 'U'\nsoak = '{soak}'")
    assert spec.environments[0].soak_seconds == seconds


def test_defaults_fill_what_a_reference_does_not_say() -> None:
    source = """
        version = 1
        [lookup.keyword]
        text = "keyword"
        scope = "tenant"
        [defaults.reference]
        lookup = "keyword"
        text = "keyword"
        add = "keyword_id"
        scope = "tenant_id"
        required = false
        [reference.one]
        [reference.two]
        required = true
        scope = ["site"]
    """
    one, two = parse(source).references
    assert (one.text, one.scope, one.required) == ("keyword", ("tenant_id",), False)
    assert (two.text, two.scope, two.required) == ("keyword", ("site",), True)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("scope = 'a'", ScopeSpec(("a",))),
        ("scope = ['a', 'b']", ScopeSpec(("a", "b"))),
        ("scope = { columns = 'a' }", ScopeSpec(("a",))),
        (
            "scope = { add = 'x', copy = 'S.\"T\".c', join = 'j' }",
            ScopeSpec((), "x", QName("s", "T"), "c", "j"),
        ),
    ],
)
def test_forms_of_a_scope(lines: str, expected: ScopeSpec) -> None:
    count = max(1, len(expected.columns))
    source = with_lines(lines, at="[lookup.keyword]").replace(
        "[reference.tags]", f"[reference.tags]\nscope = {['p', 'q'][:count]}"
    )
    assert parse(source).lookups[0].scope == expected
    VALIDATOR.validate(tomllib.loads(source))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("qualifier = 'kind'", QualifierSpec("kind")),
        ("qualifier = { column = 'kind' }", QualifierSpec("kind")),
        (
            "qualifier = { path = 'c.name', join = 'c_id' }",
            QualifierSpec(None, QName("", "c"), "name", "c_id", None, "/"),
        ),
        (
            "qualifier = { path = 's.c.name', join = 'c_id', parent = 'up', separator = ' > ' }",
            QualifierSpec(None, QName("s", "c"), "name", "c_id", "up", " > "),
        ),
    ],
)
def test_forms_of_a_qualifier(lines: str, expected: QualifierSpec) -> None:
    source = with_lines(lines, at="[lookup.keyword]")
    assert parse(source).lookups[0].qualifier == expected
    VALIDATOR.validate(tomllib.loads(source))


@pytest.mark.parametrize("value", ["'x'", "''", "1", "1.5", "true"])
def test_forms_of_a_new_value(value: str) -> None:
    source = with_lines(f"new_row = {{ a = {value} }}", at="[lookup.keyword]")
    [(column, new)] = parse(source).lookups[0].new_row.items()
    assert (column, new) == ("a", NewValue("value", value=tomllib.loads(f"v = {value}")["v"]))
    VALIDATOR.validate(tomllib.loads(source))


def test_the_nesting_of_a_value_is_never_shown() -> None:
    deep = "keyword." + ".".join("a" * 1 for _ in range(3000))
    found = problems(SMALL + f"[backfill]\nworkers.{deep} = 1")
    assert found == ["backfill.workers: must be a whole number from 1 to 8, not a table"]


def test_a_number_too_long_to_print() -> None:
    found = problems(SMALL + "[backfill]\nworkers = 0x" + "f" * 20000)
    assert found == ["backfill.workers: must be a whole number from 1 to 8, not a number of 19 digits or more"]


def test_a_spec_finds_its_lookups() -> None:
    spec: Spec = mini.spec()
    assert spec.lookup("person").text == "name"
