"""The published schema and the reference page: they say what the reader does."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from normalform.core import spec_file
from normalform.core.spec_file import parse

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "spec.md"
SCHEMA: dict[str, Any] = json.loads(files("normalform").joinpath("spec.schema.json").read_text("utf-8"))
SMALL = """
version = 1
[lookup.keyword]
text = "keyword"
[reference.tags]
lookup = "keyword"
text = "tag"
add = "keyword_id"
"""

TUPLES = {
    (): spec_file.TOP,
    ("defaults",): spec_file.DEFAULTS,
    ("$defs", "lookup"): spec_file.LOOKUP,
    ("$defs", "scope"): spec_file.SCOPE,
    ("$defs", "qualifier"): spec_file.QUALIFIER,
    ("$defs", "reference"): spec_file.REFERENCE,
    ("$defs", "environment"): spec_file.ENVIRONMENT,
    ("$defs", "backfill"): spec_file.BACKFILL,
    ("$defs", "hooks"): spec_file.HOOKS,
}


def schema_of(path: tuple[str, ...]) -> dict[str, Any]:
    if path == ("defaults",):
        return dict(SCHEMA["properties"]["defaults"])
    found: Any = SCHEMA
    for part in path:
        found = found[part]
    return dict(found)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", TUPLES, ids=lambda p: ".".join(p) or "top")
def test_the_schema_has_the_readers_keys(path: tuple[str, ...]) -> None:
    assert sorted(schema_of(path)["properties"]) == sorted(TUPLES[path])
    assert schema_of(path)["additionalProperties"] is False


def test_the_schema_has_the_keys_of_a_new_value() -> None:
    [table] = [s for s in SCHEMA["$defs"]["new_value"]["oneOf"] if s["type"] == "object"]
    assert sorted(table["properties"]) == sorted(spec_file.NEW_VALUE)


def test_the_schema_has_the_readers_defaults() -> None:
    spec = parse(SMALL)
    objects = {"lookup": spec.lookups[0], "reference": spec.references[0], "backfill": spec.backfill}
    for name, value in objects.items():
        for key, entry in SCHEMA["$defs"][name]["properties"].items():
            if "default" in entry:
                expected = entry["default"]
                assert getattr(value, key) == (None if expected is False and key == "qualifier" else expected), key


@pytest.mark.parametrize("path", TUPLES, ids=lambda p: ".".join(p) or "top")
def test_the_reference_page_has_every_key(path: tuple[str, ...]) -> None:
    page = PAGE.read_text("utf-8")
    for key in TUPLES[path]:
        assert re.search(rf"^\| `{key}` \|", page, re.MULTILINE) or f"defaults.{key}" in page, key


def test_every_key_of_the_schema_says_what_it_is_for() -> None:
    for path in TUPLES:
        for key, entry in schema_of(path)["properties"].items():
            described = entry.get("description") or SCHEMA["$defs"][entry["$ref"].rpartition("/")[2]]["description"]
            assert described, key
