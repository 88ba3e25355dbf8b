"""The command `init`: what it prints, hides, writes and refuses; and that `audit` leads to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import pytest

from fix_commands import Commands, Ran
from fix_servers import Database, template
from normalform.core.spec_file import parse

PAINT = template(
    "init_paint",
    """
    CREATE TABLE colors (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
    INSERT INTO colors (name) SELECT 'hue ' || chr(64 + i) FROM generate_series(1, 24) i;
    CREATE TABLE walls (id serial PRIMARY KEY, color text NOT NULL, mood text);
    INSERT INTO walls (color, mood) SELECT 'hue ' || chr(64 + i % 25), 'mood ' || i FROM generate_series(1, 900) i;
    """,
)


@pytest.fixture
def db(database: Callable[..., Database]) -> Database:
    return database(PAINT)


@pytest.fixture
def nf(normalform: Commands, db: Database) -> Callable[..., Ran]:
    return partial(normalform, NORMALFORM_DATABASE_URL=db.url)


def test_audit_without_a_spec_leads_to_init_and_init_to_audit(nf: Callable[..., Ran], normalform: Commands) -> None:
    for command in ("audit", "run"):
        ran = nf(command)
        assert (ran.status, "there is no spec" in ran.err, "normalform init" in ran.err) == (2, True, True)
    ran = nf("init")
    assert ran.status == 0
    assert "walls.color  color" in ran.out
    assert "96 percent (864 of 900) rows whose text is in colors.name" in ran.out
    assert "not found, for example: 'hue @'" in ran.out
    assert "✓ wrote normalform.toml" in ran.out and "→ normalform audit" in ran.out
    text = (normalform.folder / "normalform.toml").read_text("utf-8")
    assert [r.add for r in parse(text).references] == ["color_id"]
    ran = nf("--json", "audit")
    assert ran.status == 1  # the colour that is none
    assert [t["rows"] for t in ran.json["mapping_summary"] if t["how"] == "exact"] == [864]


def test_a_file_that_exists_is_not_touched(nf: Callable[..., Ran], normalform: Commands) -> None:
    path = normalform.write("normalform.toml", "mine")
    ran = nf("init")
    assert (ran.status, ran.out) == (2, "")
    assert "normalform.toml exists, and is not overwritten" in ran.err
    assert path.read_text() == "mine"
    assert nf("init", "--out", "other.toml").status == 0
    assert path.read_text() == "mine"
    ran = nf("init", "--out", "other.toml")
    assert (ran.status, "other.toml exists" in ran.err) == (2, True)


def test_stdout_gets_the_spec_alone(nf: Callable[..., Ran], normalform: Commands) -> None:
    ran = nf("init", "--out", "-")
    assert ran.status == 0
    assert [r.text for r in parse(ran.out).references] == ["color"]
    assert "walls.color  color" in ran.err
    assert list(normalform.folder.iterdir()) == []


def test_json_holds_everything(nf: Callable[..., Ran], normalform: Commands) -> None:
    ran = nf("--json", "init")
    report = ran.json
    assert report["written"] == "normalform.toml"
    assert report["spec"] == (normalform.folder / "normalform.toml").read_text("utf-8")
    [reference] = report["references"]
    assert (reference["found"], reference["missing"]) == ({"found": 864, "looked": 900}, ["hue @"])
    assert {g["what"] for g in report["lookups"][0]["guesses"]} == {"key", "text", "scope", "qualifier", "aliases"}
    assert {x["column"] for x in report["left_out"]} == {"colors.name", "walls.mood"}
    assert all(json.loads(line)["kind"] in ("phase", "progress") for line in ran.err.splitlines())


def test_values_are_hidden_with_mask(nf: Callable[..., Ran], normalform: Commands) -> None:
    for option in ([], ["--json"]):
        ran = nf("--mask", *option, "init", "--all", "--out", f"masked{len(option)}.toml")
        assert ran.status == 0
        assert "hue" not in ran.all and "mood 1" not in ran.all
        assert "hue" not in (normalform.folder / f"masked{len(option)}.toml").read_text("utf-8")


def test_not_found_is_said_and_nothing_written(nf: Callable[..., Ran], normalform: Commands) -> None:
    ran = nf("init", "--reference", "walls.mood", "--lookup", "public.colors.name")
    assert ran.status == 1
    assert "not found: walls.mood: none of 900 sampled rows is found in colors.name" in ran.out
    assert list(normalform.folder.iterdir()) == []
    ran = nf("init", "--reference", "walls.mod")
    assert (ran.status, "did you mean mood?" in ran.err) == (2, True)


def test_all_says_why_of_every_column(nf: Callable[..., Ran]) -> None:
    assert "2 text columns are left out; init --all says why of each" in nf("init", "--out", "a.toml").out
    ran = nf("init", "--all", "--out", "b.toml")
    assert "left out: colors.name: it is a lookup's own text" in ran.out
    assert "left out: walls.mood: nothing has its values" in ran.out
