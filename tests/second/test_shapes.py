# ruff: noqa: E501  (rows of SQL read better on one line)
"""Shapes that no example thinks of: a table that refers to itself, a lookup that is a reference, domains with rules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from acceptance.migration import Migration, assert_same, look
from fix_servers import Database, template
from normalform.errors import ProofFailed

Make = Callable[..., Database]

SCHEMA = """
CREATE DOMAIN code AS int NOT NULL CHECK (VALUE > 0);
CREATE DOMAIN title AS varchar(30) NOT NULL CHECK (VALUE <> 'x');
CREATE DOMAIN word AS text CHECK (VALUE <> 'x');
CREATE TABLE country (id code PRIMARY KEY, name title UNIQUE);
CREATE TABLE city (id int PRIMARY KEY, name text NOT NULL UNIQUE, country title, twin text);
CREATE TABLE street (id int PRIMARY KEY, city text NOT NULL, country word NOT NULL);
INSERT INTO country VALUES (1, 'Peru'), (2, 'Chad');
INSERT INTO city SELECT g, 'c' || g, CASE g % 2 WHEN 0 THEN 'Peru' ELSE 'Chad' END, CASE WHEN g > 3 THEN 'c' || 10 - g END
    FROM generate_series(1, 9) g;
INSERT INTO street SELECT g, 'c' || g % 9 + 1, CASE g % 2 WHEN 0 THEN 'Peru' ELSE 'Chad' END FROM generate_series(1, 90) g;
"""
SPEC = """
version = 1
[lookup.country]
text = "name"
[lookup.city]
text = "name"
[reference.city]
lookup = "country"
text = "country"
add = "country_id"
[reference.twin]
table = "city"
lookup = "city"
text = "twin"
add = "twin_id"
required = false
[reference.street]
lookup = "city"
text = "city"
add = "city_id"
[reference.crossing]
table = "street"
lookup = "country"
text = "country"
add = "country_id"
"""
#: Keys as arithmetic has them.
WRONG = """
SELECT 'city', id FROM city WHERE country_id <> 2 - (id + 1) % 2 OR twin_id IS DISTINCT FROM CASE WHEN id > 3 THEN 10 - id END
UNION ALL SELECT 'street', id FROM street WHERE city_id <> id % 9 + 1 OR country_id <> 2 - (id + 1) % 2
"""
TEMPLATE = template("shapes", SCHEMA)


def test_forth_back_and_forth(database: Make, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    before = look(db, exact=False)
    migration = Migration(db, tmp_path, SPEC)
    for _ in range(2):
        migration.to("constrain")
        assert db.rows(WRONG) == []
        migration.to("contract")
        assert db.rows(WRONG) == []
        migration.back("start")
        assert_same(look(db, exact=False), before)


LENIENT = """
CREATE TABLE tree (id int PRIMARY KEY, name text COLLATE lenient UNIQUE);
CREATE TABLE leaf (id int PRIMARY KEY, plain text NOT NULL, posix text COLLATE "POSIX" NOT NULL, same text COLLATE lenient,
    UNIQUE (same, id));
INSERT INTO tree VALUES (1, 'Oak'), (2, 'Ash'), (3, 'élm');
INSERT INTO leaf SELECT g, w, upper(w), lower(w) FROM generate_series(1, 30) g,
    LATERAL (SELECT (ARRAY['oAK', 'Ash', 'élm'])[1 + g % 3]) t(w);
"""
LENIENT_SPEC = """
version = 1
[lookup.tree]
text = "name"
[defaults.reference]
lookup = "tree"
table = "leaf"
[reference.plain]
text = "plain"
add = "plain_id"
[reference.posix]
text = "posix"
add = "posix_id"
[reference.same]
text = "same"
add = "same_id"
"""


def test_a_lookup_whose_collation_forgives_case(database: Make, tmp_path: Path) -> None:
    db = database()
    lenient = "CREATE COLLATION lenient (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
    try:
        db.run(lenient)
    except psycopg.errors.FeatureNotSupported:
        return  # a server that is built without ICU can have no such collation, and Debian's has ICU
    db.run(LENIENT)
    before = look(db, exact=False)
    migration = Migration(db, tmp_path, LENIENT_SPEC)
    wrong = "SELECT count(*) FROM leaf WHERE (plain_id, posix_id, same_id) <> (1 + id % 3, 1 + id % 3, 1 + id % 3)"
    for _ in range(2):
        migration.to("constrain")
        # What is written in another case has the same key; a rename carries every spelling.
        db.run("UPDATE leaf SET plain = 'OAK', same = 'OAk' WHERE id = 3", "app")
        db.run("UPDATE tree SET name = 'Birch' WHERE id = 1", "app")
        spelled = "SELECT DISTINCT plain, posix, same FROM leaf WHERE plain_id = 1"
        assert db.rows(spelled) == [("Birch", "Birch", "Birch")]
        db.run("UPDATE tree SET name = 'Oak' WHERE id = 1", "app")
        db.run("UPDATE leaf SET plain = 'oAK', posix = 'OAK', same = 'oak' WHERE plain_id = 1", "app")
        migration.to("contract")
        assert db.value(wrong) == 0
        migration.back("start")
        assert_same(look(db, exact=False), before)


def test_a_reference_that_is_added_to_the_spec_after_resolve(database: Make, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    before = look(db, exact=False)
    Migration(db, tmp_path, SPEC.partition("[reference.street]")[0]).to("resolve")
    whole = Migration(db, tmp_path, SPEC)
    whole.to("expand")
    whole.to("contract")
    assert db.rows(WRONG) == []
    whole.back("start")
    assert_same(look(db, exact=False), before)


def test_a_text_too_long_to_be_decided_is_named(database: Make, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    db.run(
        "UPDATE street SET country = (SELECT string_agg(md5(g::text), '') FROM generate_series(1, 400) g) WHERE id = 7"
    )
    with pytest.raises(ProofFailed, match=r"street\.country holds a text that no lookup row has and that is too long"):
        Migration(db, tmp_path, SPEC).to("expand")
