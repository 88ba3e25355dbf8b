"""Spec files that nobody would write: always a spec or a clean list of problems, and the schema agrees."""

from __future__ import annotations

import copy
import datetime
import json
import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normalform.core import spec_file
from normalform.core.spec import Spec
from normalform.core.spec_file import parse
from normalform.errors import SpecError

VALIDATOR = jsonschema.Draft202012Validator(
    json.loads(files("normalform").joinpath("spec.schema.json").read_text("utf-8"))
)
#: What only the reader can see: two places of the file taken together, and bytes.
ONLY_READER = re.compile(
    r"no lookup '|names \d+ columns?, lookup|has no qualifier; set|set_null needs required|bytes long; PostgreSQL keeps"
)

WHOLE: dict[str, Any] = {
    "version": 1,
    "lookup": {
        "keyword": {
            "table": "photos.keywords",
            "key": "id",
            "text": "keyword",
            "aliases": "other",
            "unique": ["tenant", "keyword"],
            "rename": "queue",
            "scope": {"add": "tenant", "copy": "categories.tenant", "join": "category_id"},
            "qualifier": {"path": "categories.name", "join": "category_id", "parent": "up", "separator": "/"},
            "new_row": {"category_id": {"from": "qualifier", "otherwise": "Unsorted"}, "rank": 0, "kind": "k"},
        },
        "person": {"text": "name", "scope": ["tenant"], "qualifier": "place"},
    },
    "defaults": {"reference": {"lookup": "keyword", "text": "keyword", "scope": "tenant", "add": "keyword_id"}},
    "reference": {
        "tags": {"qualifier": "category", "on_unknown": "create"},
        "my faces": {
            "table": '"Air Traffic"."Faces"',
            "lookup": "person",
            "text": "name",
            "qualifier": False,
            "add": "person_id",
            "required": False,
            "keep_text": True,
            "optional": True,
            "on_delete": "set_null",
            "app_triggers": "skip",
        },
    },
    "environment": {"prod": {"url_env": "URL", "sign_offs": ["dba"], "soak": "14d"}},
    "backfill": {"target": 0.5, "window_target": 3, "workers": 4, "vacuum": "never"},
    "hooks": {"stop": "a", "start": "b"},
}
KEYS = sorted(
    {
        k
        for keys in (
            spec_file.TOP,
            spec_file.LOOKUP,
            spec_file.SCOPE,
            spec_file.QUALIFIER,
            spec_file.NEW_VALUE,
            spec_file.REFERENCE,
            spec_file.ENVIRONMENT,
            spec_file.BACKFILL,
            spec_file.HOOKS,
        )
        for k in keys
    }
    | {"keyword", "tags", "x", "two words", "ÿ"}
)
LEAVES = st.one_of(
    st.sampled_from(
        [
            "",
            "keyword",
            "person",
            "tenant",
            "a.b",
            "a.b.c",
            "a.b.c.d",
            '"q',
            '"Q R"',
            "two words",
            "x" * 70,
            "é" * 40,
            "14d",
            "defer",
            "create",
            "restrict",
            "set_null",
            "fire",
            "between",
            "carry",
            "qualifier",
        ]
    ),
    st.sampled_from([0, 1, 2, 8, 9, -1, 0.5, 1.0, 2.5, 30, 31, 10**12]),
    st.booleans(),
    st.just(datetime.date(2026, 1, 1)),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=4,
)


def dumps(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{dumps(k)} = {dumps(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(dumps, value)) + "]"
    return repr(value)


def document(data: Mapping[str, Any]) -> str:
    return "".join(f"{dumps(key)} = {dumps(value)}\n" for key, value in data.items())


def read(source: str) -> Spec | SpecError:
    """What the reader makes of it; anything but a spec and a SpecError fails the test."""
    try:
        return parse(source)
    except SpecError as error:
        return error


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value within a document."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return (
        [path, *(p for k, v in inner for p in places(v, (*path, k)))]
        if path
        else [p for k, v in inner for p in places(v, (k,))]
    )


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    data = copy.deepcopy(WHOLE)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(data)))
        parent: Any = data
        for key in path[:-1]:
            parent = parent[key]
        what = draw(st.sampled_from(["delete", "replace", "add"]))
        if what == "delete":
            del parent[path[-1]]
        elif what == "replace":
            parent[path[-1]] = draw(VALUES)
        elif isinstance(parent, dict):
            parent[draw(st.sampled_from(KEYS))] = draw(VALUES)
        if not data:
            break
    return data


def test_the_whole_document_is_good() -> None:
    VALIDATOR.validate(WHOLE)
    spec = read(document(WHOLE))
    assert isinstance(spec, Spec)
    assert len(spec.references) == 2


@pytest.mark.slow
@given(mutated())
@settings(max_examples=400)
def test_reader_and_schema_agree_on_a_mutated_document(data: dict[str, Any]) -> None:
    source = document(data)
    assert tomllib.loads(source) == data
    result = read(source)
    if isinstance(result, Spec):
        VALIDATOR.validate(data)
    elif VALIDATOR.is_valid(data):
        assert all(ONLY_READER.search(line) for line in result.problems), result.problems


@pytest.mark.slow
@given(mutated())
def test_every_problem_is_one_line_that_begins_with_a_key_of_the_document(data: dict[str, Any]) -> None:
    result = read(document(data))
    if isinstance(result, SpecError):
        assert result.problems
        assert len(set(result.problems)) == len(result.problems)
        for line in result.problems:
            assert "\n" not in line
            assert line.split(":")[0].split(".")[0].strip('"') in {*spec_file.TOP, *data}
            assert len(line) < 400


TOML = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8) | st.sampled_from(KEYS),
    st.recursive(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
        | st.integers(-(2**70), 2**70)
        | st.floats()
        | st.booleans()
        | st.dates(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8) | st.sampled_from(KEYS),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    ),
    max_size=6,
)


@pytest.mark.slow
@given(TOML)
def test_any_toml_is_a_spec_or_a_list_of_problems(data: dict[str, Any]) -> None:
    result = read(document(data))
    if isinstance(result, SpecError):
        assert result.problems


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_a_spec_or_a_list_of_problems(source: str) -> None:
    result = read(source)
    if isinstance(result, SpecError):
        assert result.problems
