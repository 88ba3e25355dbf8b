# ruff: noqa: E501  (a list of names reads better on one line)
"""Names that a program could trip over, put together at random, through a whole migration: forth, back and forth."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from string import Template

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acceptance.migration import Migration, assert_same, look
from fix_servers import Database

Make = Callable[..., Database]

#: Pieces of SQL, of psycopg's and Python's placeholders, of plpgsql; our own aliases and variables; reserved words.
PIECES = (
    '"', "'", ";", "--", "/*", "%", "%s", "%%", "{", "}", "{}", "{0}", "$1", "$normalform$", "\\", " ", ".", ",", ")", "(",
    "é", "日本", "עברית", "👩‍👩‍👧", "\n", "\t", "A", "a", "select", "NULL",
)  # fmt: skip
WORDS = (
    "t", "l", "x", "q", "k", "v", "c", "g", "r", "m", "id", "s1", "tid", "own", "cid", "path", "how", "nf_rows", "resolved",
    "p_x", "p_key", "p_s1", "v_text", "v_row", "nf_id", "key", "text", "scope", "new", "old", "user", "order", "Table",
    "normalform", "TG_OP", "found", "é" * 31 + "x", "n" * 62 + "a", "n" * 62 + "b",
)  # fmt: skip
NAMES = st.one_of(
    st.sampled_from(WORDS),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join),
).filter(lambda name: 0 < len(name.encode()) <= 63)

SCHEMA = Template("""
CREATE SCHEMA $schema;
GRANT USAGE ON SCHEMA $schema TO nf_app;
CREATE TABLE $schema.$owner ($key int PRIMARY KEY, $scope text NOT NULL, $name text NOT NULL, UNIQUE ($scope, $name));
CREATE TABLE $schema.$table ($number int PRIMARY KEY, $tenant text NOT NULL, $text text NOT NULL,
    CONSTRAINT $unique UNIQUE ($tenant, $text, $number));
CREATE INDEX ON $schema.$table (lower($tenant), $text);
INSERT INTO $schema.$owner SELECT g, 't' || g % 2, 'n''' || g / 2 FROM generate_series(0, 5) g;
INSERT INTO $schema.$table SELECT g, 't' || g % 2, 'n''' || g / 2 % 3 FROM generate_series(0, 29) g;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA $schema TO nf_app;
""")
PARTS = (
    "schema",
    "owner",
    "key",
    "scope",
    "name",
    "table",
    "number",
    "tenant",
    "text",
    "unique",
    "added",
    "lookup",
    "reference",
)
#: Names that share a place must differ: the tables and the constraint of the schema, the columns of each table.
APART = (("owner", "table", "unique"), ("key", "scope", "name"), ("number", "tenant", "text", "added"))


def _apart(names: dict[str, str]) -> bool:
    if names["schema"] == "normalform":  # the ledger's, and said so: tests/integration/test_ledger.py
        return False
    return all(names[a] != names[b] for group in APART for a, b in itertools.combinations(group, 2))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _toml(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def _spec(n: dict[str, str]) -> str:
    schema = _quoted(n["schema"])
    return f"""
version = 1
[lookup.{_toml(n["lookup"])}]
table = {_toml(f"{schema}.{_quoted(n['owner'])}")}
key = {_toml(n["key"])}
text = {_toml(n["name"])}
scope = {_toml(n["scope"])}
[reference.{_toml(n["reference"])}]
table = {_toml(f"{schema}.{_quoted(n['table'])}")}
lookup = {_toml(n["lookup"])}
text = {_toml(n["text"])}
scope = {_toml(n["tenant"])}
add = {_toml(n["added"])}
"""


@pytest.mark.slow
@settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(names=st.fixed_dictionaries(dict.fromkeys(PARTS, NAMES)).filter(_apart))
def test_any_names_go_forth_back_and_forth(database: Make, names: dict[str, str]) -> None:
    db = database()
    quoted = {part: _quoted(name) for part, name in names.items()}
    db.run(SCHEMA.substitute(quoted))
    before = look(db, exact=False)
    rows = Template("SELECT $number, $text, $added FROM $schema.$table ORDER BY 1").substitute(quoted)
    wrong = Template("SELECT count(*) FROM $schema.$table WHERE $added <> $number % 6").substitute(quoted)
    with tempfile.TemporaryDirectory() as folder:
        migration = Migration(db, Path(folder), _spec(names))
        migration.audit()
        migration.to("constrain")
        write = Template("UPDATE $schema.$table SET $added = 5 WHERE $number = 29; INSERT INTO $schema.$table "
                         "($number, $tenant, $text) VALUES (30, 't0', 'n''0'); DELETE FROM $schema.$table WHERE $number = 30")  # fmt: skip
        db.run(write.substitute(quoted), "app")
        assert all(row[2] == row[0] % 6 for row in db.rows(rows))
        migration.to("contract")
        assert db.value(wrong) == 0
        migration.back("start")
        assert_same(look(db, exact=False), before)
        migration.to("contract")
        assert db.value(wrong) == 0
    db.drop()
