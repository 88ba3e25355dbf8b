"""CORRECTNESS 4 and 5: renames, moves and adoptions reach the references at once."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from psycopg import sql

from fix_servers import Database, template
from fix_sessions import Sessions
from normalform.sql.quote import table
from normalform.sql.sync import sync_reference_steps
from syncing import DISAGREEING, apply, expanded, model_of, tag, tags, with_lines

SQL = sql.SQL

Make = Callable[..., Database]
Open = Callable[[Database], Sessions]

CREATE = with_lines(machine_tags='on_unknown = "create"')
FILLED = template("rename-filled", expanded(fill=True))
EMPTY = template("rename-empty", expanded())
CREATING = template("rename-creating", expanded(CREATE, before="DELETE FROM public.machine_tags;", fill=True))

COUNTS = "SELECT keyword, keyword_id, count(*) FROM machine_tags WHERE tenant_id = 't' GROUP BY 1, 2 ORDER BY 2, 1"
PATHS = "SELECT category, keyword_id, count(*) FROM machine_tags WHERE tenant_id = 't' GROUP BY 1, 2 ORDER BY 2, 1"
PENDING = "SELECT kind, key, old_text, new_text FROM normalform.pending ORDER BY id"


# ------------------------------------------------------------------------------------- at once


def test_rule_04_a_rename_carries_rows_with_the_key(database: Make) -> None:
    db = database(FILLED)
    db.run("UPDATE keywords SET keyword = 'arbre' WHERE id = 1", "app")
    assert db.rows(COUNTS) == [("arbre", 1, 40), ("bridge", 2, 15), ("bridge", 3, 15)]
    assert db.rows("SELECT keyword, count(*) FROM image_tags WHERE tenant_id = 't' GROUP BY 1") == [("arbre", 10)]
    assert db.rows("SELECT keyword FROM keyword_models WHERE keyword_id = 1") == [("arbre",)]
    assert db.rows("SELECT keyword FROM machine_tags WHERE tenant_id = 'u' GROUP BY 1") == [("tree",)]
    assert db.rows(PENDING) == []


def test_rule_04_a_rename_carries_rows_without_a_key_that_meant_it(database: Make) -> None:
    db = database(EMPTY)
    db.run("UPDATE keywords SET keyword = 'arbre' WHERE id = 1", "app")
    assert db.rows(COUNTS) == [("arbre", 1, 40), ("bridge", None, 30)]
    db.run("UPDATE keywords SET keyword = 'pont' WHERE id = 2", "app")
    assert db.rows(COUNTS) == [("arbre", 1, 40), ("pont", 2, 15), ("bridge", None, 15)]
    # Without a qualifier nothing says which of the two was meant.
    assert db.rows("SELECT keyword FROM machine_tags WHERE tenant_id = 'u' GROUP BY 1") == [("tree",)]


def test_rule_04_both_of_two_names_in_one_statement(database: Make) -> None:
    """Which row was meant is known only from the lookup as it was before the statement."""
    db = database(EMPTY)
    db.run("UPDATE keywords SET keyword = CASE id WHEN 2 THEN 'pont' ELSE 'jeu' END WHERE keyword = 'bridge'", "app")
    assert db.rows(COUNTS) == [("pont", 2, 15), ("jeu", 3, 15), ("tree", None, 40)]
    assert db.rows(
        "SELECT keyword, category FROM machine_tags WHERE keyword_id IN (2, 3) GROUP BY 1, 2 ORDER BY 1"
    ) == [
        ("jeu", "games"),
        ("pont", "travel"),
    ]


def test_rule_04_names_that_change_places(database: Make) -> None:
    db = database(EMPTY)
    db.run("INSERT INTO keywords (id, category_id, keyword) VALUES (50, 1, 'x')", "app")
    db.run(
        "BEGIN; UPDATE keywords SET keyword = 'tmp' WHERE id = 4; UPDATE keywords SET keyword = 'sea' WHERE id = 1;"
        "UPDATE keywords SET keyword = 'tree' WHERE id = 4; COMMIT",
        "app",
    )
    assert db.rows("SELECT keyword, keyword_id FROM permatags GROUP BY 1, 2") == [("tree", 4)]
    assert db.rows(COUNTS) == [("sea", 1, 40), ("bridge", None, 30)]


def test_rule_04_other_spellings_stay(database: Make) -> None:
    db = database(FILLED)
    db.run("UPDATE people SET name = 'A. Lovelace' WHERE id = 1", "app")
    faces = "SELECT person_name, person_id FROM detected_faces WHERE person_id = 1 ORDER BY 1"
    assert db.rows(faces) == [("A. Lovelace", 1), ("Ada", 1)]


def test_rule_04_what_a_decision_decides_is_not_the_lookups_to_rename(database: Make) -> None:
    db = database(EMPTY)
    db.run(
        "INSERT INTO normalform.mapping (reference, scope, value, qualifier, how, key) "
        "VALUES ('permatags', '{t}', 'sea', 'nature', 'chosen', '1')"
    )
    db.run("UPDATE keywords SET keyword = 'ocean' WHERE id = 4", "app")
    assert db.rows("SELECT keyword, keyword_id FROM permatags GROUP BY 1, 2") == [("sea", None)]
    assert db.rows("SELECT keyword FROM keyword_models WHERE keyword_id = 4") == [("ocean",)]


def test_rule_04_a_rename_and_a_move_in_one_statement(database: Make) -> None:
    db = database(FILLED)
    db.run("UPDATE keywords SET keyword = 'pont', category_id = 4 WHERE id = 2", "app")
    rows = db.rows("SELECT keyword, category, count(*) FROM machine_tags WHERE keyword_id = 2 GROUP BY 1, 2")
    assert rows == [("pont", "games", 15)]


# ----------------------------------------------------------------------------------- the qualifier


def test_rule_05_a_category_that_is_renamed_changes_every_path_below_it(database: Make) -> None:
    db = database(FILLED)
    db.run("UPDATE keyword_categories SET name = 'world' WHERE id = 1", "app")
    assert db.rows(PATHS) == [("world/plants", 1, 40), ("travel", 2, 15), ("games", 3, 15)]
    assert db.rows("SELECT category FROM permatags GROUP BY 1") == [("world",)]
    assert db.rows("SELECT category FROM image_tags WHERE tenant_id = 't' GROUP BY 1") == [(None,)]
    assert db.rows("SELECT category FROM image_tags WHERE tenant_id = 'u' GROUP BY 1") == [("nature",)]


def test_rule_05_a_category_that_is_renamed_beside_a_keyword_below_it(database: Make, sessions: Open) -> None:
    """The category's rename waits for the keyword's, and must then look for the rows by their new name."""
    db = database(FILLED)
    keyword, category = sessions(db).open("keyword", "category")
    keyword.run("BEGIN; UPDATE keywords SET keyword = 'arbre' WHERE id = 1")
    category.start("UPDATE keyword_categories SET name = 'natura' WHERE id = 1").wait_until_blocked(by=keyword)
    keyword.run("COMMIT")
    assert category.wait().error is None
    assert db.rows(COUNTS)[0] == ("arbre", 1, 40)
    assert db.rows(PATHS)[0] == ("natura/plants", 1, 40)
    assert db.rows(PENDING) == []


def test_rule_05_a_category_that_moves(database: Make) -> None:
    db = database(FILLED)
    db.run("UPDATE keyword_categories SET parent_id = 3 WHERE id = 2", "app")
    assert db.rows(PATHS) == [("travel/plants", 1, 40), ("travel", 2, 15), ("games", 3, 15)]


def test_rule_05_rows_without_a_key_keep_their_meaning(database: Make) -> None:
    """Two categories change names in one statement; each row without a key still means its own."""
    db = database(EMPTY)
    db.run(
        "UPDATE keyword_categories SET name = CASE id WHEN 3 THEN 'games' ELSE 'travel' END WHERE id IN (3, 4)", "app"
    )
    rows = db.rows(
        "SELECT category, keyword_id, count(*), min(image_id) % 2 FROM machine_tags WHERE keyword = 'bridge' "
        "GROUP BY 1, 2"
    )
    assert sorted(rows) == [("games", 2, 15, 0), ("travel", 3, 15, 1)]


def test_rule_05_a_label_that_is_no_path_stays(database: Make) -> None:
    db = database(FILLED)
    db.run("UPDATE machine_tags SET category = 'label' WHERE image_id = 5 AND keyword = 'tree'", "app")
    db.run("UPDATE keyword_categories SET name = 'flora' WHERE id = 2", "app")
    assert db.rows("SELECT category, count(*) FROM machine_tags WHERE keyword_id = 1 GROUP BY 1 ORDER BY 1") == [
        ("label", 1),
        ("nature/flora", 39),
    ]


# ---------------------------------------------------------------------------------------- scope


def test_new_lookup_rows_get_their_scope_at_once(database: Make) -> None:
    db = database(FILLED)
    insert = "INSERT INTO keywords (category_id, keyword{}) VALUES (5, 'new'{}) RETURNING tenant_id"
    assert db.rows(insert.format("", ""), "app") == [("u",)]
    with db.connect("app") as app:
        with pytest.raises(Exception, match=r"keywords\.tenant_id 't' is not that of its keyword_categories: 'u'"):
            app.execute("INSERT INTO keywords (category_id, keyword, tenant_id) VALUES (5, 'x', 't')")
        with pytest.raises(Exception, match="is not that of its"):
            app.execute("UPDATE keywords SET tenant_id = 't' WHERE keyword = 'new'")
        assert app.execute(
            "UPDATE keywords SET category_id = 1 WHERE keyword = 'new' RETURNING tenant_id"
        ).fetchall() == [("t",)]
        # The category changes hands, and its keywords with it.
        app.execute("INSERT INTO keyword_categories (id, tenant_id, name) VALUES (90, 't', 'moving')")
        app.execute("UPDATE keywords SET category_id = 90 WHERE keyword = 'new'")
        app.execute("UPDATE keyword_categories SET tenant_id = 'u' WHERE id = 90")
        assert app.execute("SELECT tenant_id FROM keywords WHERE keyword = 'new'").fetchall() == [("u",)]


def test_a_referenced_row_keeps_its_scope_and_key(database: Make) -> None:
    db = database(FILLED)
    with db.connect("app") as app:
        for statement in (
            "UPDATE keywords SET category_id = 5 WHERE id = 4",
            "UPDATE keywords SET id = 77 WHERE id = 1",
            "UPDATE keyword_categories SET tenant_id = 'u' WHERE id = 3",
        ):
            with pytest.raises(Exception, match="keeps its key and scope while") as caught:
                app.execute(statement.encode())
            assert getattr(caught.value, "sqlstate", None) == "23503"
        # Nothing refers to it, with a key or without.
        app.execute("INSERT INTO keywords (id, category_id, keyword) VALUES (60, 1, 'free')")
        app.execute("UPDATE keywords SET id = 61, category_id = 5 WHERE id = 60")


# ------------------------------------------------------------------------------------- adoption


def test_a_transaction_that_cannot_see_moves_no_row_to_another_scope(database: Make) -> None:
    """Somebody may have come to refer to the row since its snapshot was taken."""
    db = database(FILLED)
    db.run("INSERT INTO keywords (id, category_id, keyword) VALUES (80, 1, 'new')", "app")
    with db.connect("app") as blind:
        blind.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        db.run(tag("new"), "app")
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="not READ COMMITTED cannot give"):
            blind.execute("UPDATE keywords SET category_id = 5 WHERE id = 80")
        blind.execute("ROLLBACK")
    assert db.rows(DISAGREEING) == []


def test_rule_04_a_rename_onto_a_created_row_adopts_it(database: Make) -> None:
    """Legacy code writes the tags first, then the keyword."""
    db = database(CREATING)
    db.run(tag("tree", "nature/plants") + ";" + tag("tree", "nature/plants", image=38), "app")
    with db.connect("app") as app, app.transaction():
        app.execute("UPDATE machine_tags SET keyword = 'arbre' WHERE keyword = 'tree' AND tenant_id = 't'")
        app.execute("UPDATE keywords SET keyword = 'arbre' WHERE id = 1")
    assert db.rows(tags()) == [("arbre", "nature/plants", 1)]
    assert db.rows("SELECT id, category_id FROM keywords WHERE keyword = 'arbre'") == [(1, 2)]
    assert db.rows("SELECT * FROM normalform.created") == []
    assert db.rows(DISAGREEING) == []


def test_rule_04_a_row_that_the_application_made_its_own_is_not_adopted(database: Make) -> None:
    db = database(CREATING)
    db.run(tag("arbre"), "app")
    db.run("UPDATE keywords SET category_id = 3 WHERE keyword = 'arbre'", "app")
    db.run("UPDATE keywords SET keyword = 'arbre' WHERE id = 1", "app")
    assert db.value("SELECT count(*) FROM keywords WHERE keyword = 'arbre'") == 2


def test_a_lookup_goes_on_when_the_texts_are_gone(database: Make) -> None:
    """After contract the scope's trigger still stands, and must not ask for a text."""
    db = database(CREATING)
    db.rows(tag("arbre"), "app")
    with db.connect() as owner:
        model = model_of(owner, CREATE)
        for reference in model.references_of(model.lookup("keyword")):
            apply(owner, sync_reference_steps(model, reference), undo=True)
            owner.execute(SQL("ALTER TABLE {} DROP COLUMN keyword").format(table(reference.table.name)))
        for part in ("update", "delete", "truncate"):
            owner.execute(
                SQL("DROP TRIGGER {} ON public.keywords").format(sql.Identifier(f"~normalform_{part}_keyword"))
            )
        owner.execute(
            "INSERT INTO normalform.pending (lookup, kind, key, old_text) VALUES ('keyword', 'text', '1', 'x')"
        )
    db.run("UPDATE keywords SET keyword = 'arbre' WHERE id = 1; UPDATE keywords SET keyword = 'x' WHERE id = 4", "app")
    assert db.rows("INSERT INTO keywords (category_id, keyword) VALUES (5, 'x') RETURNING tenant_id", "app") == [("u",)]
