"""Sync on every shape that a spec allows: keys, scopes and qualifiers of other kinds, awkward names, shared tables."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

import mini
from fix_servers import Database
from normalform.core.model import Model
from normalform.db import ledger
from normalform.db.connect import pin
from normalform.db.session import read_model
from normalform.sql.fence import fence_steps
from normalform.sql.sync import sync_intact, sync_lookup_steps, sync_reference_steps
from syncing import add_column, apply

Make = Callable[..., Database]


def stand(db: Database, schema: str, text: str) -> Model:
    """Make the tables, and sync over them."""
    db.run(schema)
    with db.connect() as owner:
        pin(owner)
        ledger.install(owner)
        model = read_model(owner, mini.spec(text))
        for reference in model.references:
            add_column(owner, reference.table.name, reference.key, reference.key_type)
        for lookup in model.lookups:
            apply(owner, sync_lookup_steps(model, lookup))
        for reference in model.references:
            apply(owner, sync_reference_steps(model, reference))
        assert sync_intact(owner, model) == []
        apply(owner, fence_steps(model))
        apply(owner, fence_steps(model), undo=True)
    return model


def test_a_text_key_awkward_names_and_neither_scope_nor_qualifier(database: Make) -> None:
    db = database()
    stand(
        db,
        """
        CREATE SCHEMA "Air Traffic";
        GRANT USAGE ON SCHEMA "Air Traffic" TO nf_app;
        CREATE TABLE "Air Traffic"."Air""ports 100%s" ("FAA Code" text PRIMARY KEY, "Na'me; é%" varchar(80) UNIQUE);
        CREATE TABLE "Air Traffic"."Flights" ("c.id" int, "v_id" text, "p_x" text DEFAULT 'it''s');
        INSERT INTO "Air Traffic"."Air""ports 100%s" VALUES ('SFO', 'San %s Francisco'), ('X''"', 'Quo''te');
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "Air Traffic" TO nf_app;
        """,
        """
        version = 1
        [lookup.airport]
        table = '"Air Traffic"."Air""ports 100%s"'
        key = "FAA Code"
        text = "Na'me; é%"
        [reference."o'rigin; %s"]
        table = '"Air Traffic"."Flights"'
        lookup = "airport"
        text = "v_id"
        qualifier = false
        add = "origin code"
        [reference.target]
        table = '"Air Traffic"."Flights"'
        lookup = "airport"
        text = "p_x"
        qualifier = false
        add = "v_do"
        on_unknown = "reject"
        required = false
        """,
    )
    read = 'SELECT v_id, "origin code", p_x, v_do FROM "Air Traffic"."Flights" ORDER BY "c.id"'
    with db.connect("app") as app:
        app.execute(
            'INSERT INTO "Air Traffic"."Flights" ("c.id", v_id, v_do) VALUES (1, \'San %s Francisco\', \'X\'\'"\')'
        )
        assert app.execute(read.encode()).fetchall() == [("San %s Francisco", "SFO", "Quo'te", "X'\"")]
        with pytest.raises(psycopg.errors.ForeignKeyViolation, match="100%"):
            app.execute('INSERT INTO "Air Traffic"."Flights" (p_x) VALUES (\'no%where\')')
        app.execute('UPDATE "Air Traffic"."Air""ports 100%s" SET "Na\'me; é%" = \'Frisco\' WHERE "FAA Code" = \'SFO\'')
        assert app.execute(read.encode()).fetchall() == [("Frisco", "SFO", "Quo'te", "X'\"")]
        with pytest.raises(psycopg.errors.ForeignKeyViolation, match="cannot be deleted"):
            app.execute('DELETE FROM "Air Traffic"."Air""ports 100%s"')


def test_uuid_keys_two_scope_columns_and_a_qualifier_column(database: Make) -> None:
    db = database()
    stand(
        db,
        """
        CREATE TABLE species (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), org int NOT NULL, lab text NOT NULL,
            name text NOT NULL, family text, UNIQUE (org, lab, name, family));
        CREATE TABLE finds (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, org int, lab text, species text, family text);
        INSERT INTO species VALUES
            ('00000000-0000-0000-0000-000000000001', 1, 'a', 'daisy', 'x'),
            ('00000000-0000-0000-0000-000000000002', 1, 'a', 'daisy', 'y'),
            ('00000000-0000-0000-0000-000000000003', 1, 'b', 'daisy', 'x'),
            ('00000000-0000-0000-0000-000000000004', 1, 'a', 'rose', NULL);
        """,
        """
        version = 1
        [lookup.species]
        table = "species"
        key = "id"
        text = "name"
        scope = ["org", "lab"]
        qualifier = { column = "family" }
        [reference.finds]
        table = "finds"
        lookup = "species"
        text = "species"
        qualifier = "family"
        scope = ["org", "lab"]
        add = "species_id"
        on_unknown = "create"
        required = false
        """,
    )
    returning = "RETURNING species, family, right(species_id::text, 2)"
    insert = "INSERT INTO finds (org, lab, {}) VALUES (1, '{}', {}) " + returning
    assert db.rows(insert.format("species, family", "a", "'daisy', 'y'"), "app") == [("daisy", "y", "02")]
    assert db.rows(insert.format("species", "a", "'daisy'"), "app") == [("daisy", None, None)]
    assert db.rows(insert.format("species", "b", "'daisy'"), "app") == [("daisy", None, "03")]
    assert db.rows(insert.format("species_id", "a", "'00000000-0000-0000-0000-000000000001'"), "app") == [
        ("daisy", "x", "01")
    ]
    assert db.rows(insert.format("species_id", "a", "'00000000-0000-0000-0000-000000000004'"), "app") == [
        ("rose", None, "04")
    ]
    [(_, _, key)] = db.rows(insert.format("species", "c", "'tulip'"), "app")
    assert db.rows("SELECT right(id::text, 2), org, lab, name FROM species WHERE name = 'tulip'") == [
        (key, 1, "c", "tulip")
    ]
    db.run("UPDATE species SET family = 'z' WHERE id = '00000000-0000-0000-0000-000000000002'", "app")
    db.run("UPDATE species SET name = 'Daisy' WHERE id = '00000000-0000-0000-0000-000000000001'", "app")
    rows = db.rows("SELECT species, family, right(species_id::text, 2) FROM finds WHERE lab = 'a' ORDER BY id")
    assert rows == [("daisy", "z", "02"), ("daisy", None, None), ("Daisy", "x", "01"), ("rose", None, "04")]


@pytest.mark.parametrize("kind", ["json", "jsonb", "text[]", "varchar(20)[]"])
def test_aliases_of_every_type(database: Make, kind: str) -> None:
    array = kind.endswith("[]")
    both, other = ("{dup,one}", "{dup}") if array else ('["dup", "one", 3, null]', '["dup"]')
    db = database()
    stand(
        db,
        f"""
        CREATE TABLE people (id bigint PRIMARY KEY, name text, aliases {kind});
        CREATE TABLE faces (person text);
        INSERT INTO people VALUES (1, 'One', '{both}'), (2, 'Two', '{other}'), (3, 'dup3', NULL);
        """,
        """
        version = 1
        [lookup.person]
        table = "people"
        key = "id"
        text = "name"
        aliases = "aliases"
        [reference.faces]
        lookup = "person"
        text = "person"
        qualifier = false
        add = "person_id"
        required = false
        """,
    )
    insert = "INSERT INTO faces (person) VALUES ('{}') RETURNING person_id"
    for text, key in (("One", 1), ("one", 1), ("dup", None), ("3", None), ("dup3", 3)):
        assert db.rows(insert.format(text), "app") == [(key,)], text
    # A stored alias counts while its row still lists it, and then before a look at every row.
    db.run(
        "INSERT INTO normalform.mapping (reference, scope, value, how, key) VALUES "
        "('faces', '{}', 'dup', 'alias', '2'), ('faces', '{}', 'never', 'alias', '2')"
    )
    assert db.rows(insert.format("dup"), "app") == [(2,)]
    assert db.rows(insert.format("never"), "app") == [(None,)]


def test_rows_above_in_a_circle_have_no_path(database: Make) -> None:
    db = database()
    stand(
        db,
        """
        CREATE TABLE places (id int PRIMARY KEY, name text, above int);
        CREATE TABLE names (id int PRIMARY KEY, place int, name text);
        CREATE TABLE uses (name text, place text);
        INSERT INTO places VALUES (1, 'a', 2), (2, 'b', 1), (3, 'c', NULL);
        INSERT INTO names VALUES (1, 1, 'x'), (2, 3, 'x'), (3, NULL, 'y');
        """,
        """
        version = 1
        [lookup.name]
        table = "names"
        key = "id"
        text = "name"
        qualifier = { path = "places.name", join = "place", parent = "above", separator = " > " }
        [reference.uses]
        lookup = "name"
        text = "name"
        qualifier = "place"
        add = "name_id"
        required = false
        """,
    )
    insert = "INSERT INTO uses ({}) VALUES ({}) RETURNING name, place, name_id"
    assert db.rows(insert.format("name, place", "'x', 'c'"), "app") == [("x", "c", 2)]
    assert db.rows(insert.format("name_id", "1"), "app") == [("x", None, 1)]
    assert db.rows(insert.format("name_id", "3"), "app") == [("y", None, 3)]
    db.run("UPDATE places SET above = 3 WHERE id = 1", "app")  # the circle opens
    assert db.rows(insert.format("name, place", "'x', 'c > a'"), "app") == [("x", "c > a", 1)]
    db.run("UPDATE places SET name = 'C' WHERE id = 3", "app")
    assert db.rows("SELECT place, name_id FROM uses ORDER BY name_id, place") == [
        ("C > a", 1),
        (None, 1),
        ("C", 2),
        (None, 3),
    ]
