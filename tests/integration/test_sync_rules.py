"""CORRECTNESS 1, 2, 5, 7 and 8 on real servers, with an application that has DML only."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from psycopg import sql

from fix_servers import Database, template
from fix_sessions import Sessions
from syncing import DISAGREEING, expanded, tag, tags

Make = Callable[..., Database]
Open = Callable[[Database], Sessions]

# No tags in the way of the tests' own.
EMPTY = "DELETE FROM public.machine_tags;"
NO_UNIQUE = EMPTY + (
    "ALTER TABLE public.keywords DROP CONSTRAINT uq_keyword;"
    "ALTER TABLE public.keyword_categories DROP CONSTRAINT uq_category;"
)
UNIQUE = template("sync-unique", expanded(before=EMPTY, fill=True))
# The text stands in a unique index, so that writers lock lightly; what the qualifier and the scope rest on does not.
TEXT_ALONE = NO_UNIQUE + "ALTER TABLE public.keywords ADD UNIQUE (keyword, id);"
LOCKS = [
    UNIQUE,
    template("sync-no-unique", expanded(before=NO_UNIQUE, fill=True)),
    template("sync-text-unique", expanded(before=TEXT_ALONE, fill=True)),
]
every_lock = pytest.mark.parametrize("name", LOCKS, ids=["unique", "no-unique", "text-unique"])


# ------------------------------------------------------------------------------------------------- 1


def test_rule_01_key_is_derived_after_the_applications_triggers(database: Make) -> None:
    db = database(UNIQUE)
    db.run(
        "CREATE FUNCTION trim_keyword() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN NEW.keyword := lower(trim(NEW.keyword)); RETURN NEW; END';"
        "CREATE TRIGGER zz_trim BEFORE INSERT OR UPDATE ON machine_tags FOR EACH ROW EXECUTE FUNCTION trim_keyword()"
    )
    assert db.rows(tag("Tree "), "app") == [("tree", None, 1)]
    assert db.rows("UPDATE machine_tags SET keyword = ' SEA' RETURNING keyword, keyword_id", "app") == [("sea", 4)]


def test_rule_01_text_is_filled_before_the_applications_triggers(database: Make) -> None:
    db = database(UNIQUE)
    db.run(
        "CREATE FUNCTION need() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN IF NEW.keyword IS NULL THEN RAISE ''no text''; END IF; RETURN NEW; END';"
        "CREATE TRIGGER aa_need BEFORE INSERT OR UPDATE ON machine_tags FOR EACH ROW EXECUTE FUNCTION need()"
    )
    assert db.rows(tag(key=3), "app") == [("bridge", "games", 3)]


def test_rule_01_the_key_wins_over_a_trigger_that_rewrites_its_text(database: Make) -> None:
    db = database(UNIQUE)
    db.run(
        "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN NEW.keyword := upper(NEW.keyword); NEW.category := upper(NEW.category); RETURN NEW; END';"
        "CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON machine_tags FOR EACH ROW EXECUTE FUNCTION shout()"
    )
    assert db.rows(tag(key=3), "app") == [("bridge", "games", 3)]
    returning = "RETURNING keyword, category, keyword_id"
    assert db.rows(f"UPDATE machine_tags SET keyword_id = 2 {returning}", "app") == [("bridge", "travel", 2)]


def test_rule_01_each_depth_of_triggers_has_its_own_state(database: Make) -> None:
    """A write inside the application's trigger comes between the two triggers of the row outside."""
    db = database(UNIQUE)
    db.run(
        "CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN "
        "IF NEW.tag_type = 'm' THEN INSERT INTO machine_tags (image_id, tenant_id, keyword, tag_type) "
        "VALUES (NEW.image_id, NEW.tenant_id, 'tree', 'x'); NEW.keyword := 'shouted'; END IF; RETURN NEW; END$$;"
        "CREATE TRIGGER again BEFORE INSERT ON machine_tags FOR EACH ROW EXECUTE FUNCTION again()"
    )
    assert db.rows(tag(key=3), "app") == [("bridge", "games", 3)]
    assert set(db.rows(tags())) == {("tree", None, 1), ("bridge", "games", 3)}
    assert db.rows(DISAGREEING) == []


def test_rule_01_a_cancelled_row_leaves_nothing_behind(database: Make, sessions: Open) -> None:
    """A trigger of the application drops a row that gave its key; the next row gives its text."""
    db = database(UNIQUE)
    db.run(
        "CREATE FUNCTION drop_it() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN IF NEW.image_id = 1 THEN RETURN NULL; END IF; RETURN NEW; END';"
        "CREATE TRIGGER drop_it BEFORE INSERT ON machine_tags FOR EACH ROW EXECUTE FUNCTION drop_it()"
    )
    a = sessions(db).one()
    a.run("BEGIN")
    assert a.run(tag(key=3, image=1)) == []
    assert a.run(tag("sea")) == [("sea", None, 4)]
    a.run("COMMIT")


# ------------------------------------------------------------------------------------------------- 2


@every_lock
def test_rule_02_a_writer_waits_for_a_rename_and_believes_it(database: Make, sessions: Open, name: str) -> None:
    db = database(name)
    a, b = sessions(db).open("rename", "writer")
    a.run("BEGIN; UPDATE keywords SET keyword = 'arbre' WHERE id = 1")
    b.start(tag("tree")).wait_until_blocked(by=a)
    a.run("COMMIT")
    assert b.wait().rows == [("tree", None, None)]  # unknown by now, and deferred
    assert db.rows(DISAGREEING) == []


@every_lock
def test_rule_02_a_rename_waits_for_a_writer_and_carries_his_row(database: Make, sessions: Open, name: str) -> None:
    db = database(name)
    a, b = sessions(db).open("rename", "writer")
    b.run("BEGIN")
    assert b.run(tag("tree")) == [("tree", None, 1)]
    a.start("UPDATE keywords SET keyword = 'arbre' WHERE id = 1").wait_until_blocked(by=b)
    b.run("COMMIT")
    assert a.wait().error is None
    assert db.rows(tags()) == [("arbre", None, 1)]


@every_lock
def test_rule_02_the_key_is_believed_only_as_locked(database: Make, sessions: Open, name: str) -> None:
    db = database(name)
    a, b = sessions(db).open("rename", "writer")
    a.run("BEGIN; UPDATE keywords SET keyword = 'arbre' WHERE id = 1")
    b.start(tag(key=1)).wait_until_blocked(by=a)
    a.run("COMMIT")
    assert b.wait().rows == [("arbre", "nature/plants", 1)]


@every_lock
def test_rule_02_a_rename_that_is_rolled_back(database: Make, sessions: Open, name: str) -> None:
    db = database(name)
    a, b = sessions(db).open("rename", "writer")
    a.run("BEGIN; UPDATE keywords SET keyword = 'arbre' WHERE id = 1")
    b.start(tag("tree")).wait_until_blocked(by=a)
    a.run("ROLLBACK")
    assert b.wait().rows == [("tree", None, 1)]


@every_lock
def test_rule_02_names_that_change_hands(database: Make, sessions: Open, name: str) -> None:
    """The row that was seen is renamed, another one has its name: only a new look finds it."""
    db = database(name)
    a, b = sessions(db).open("rename", "writer")
    a.run(
        "BEGIN; UPDATE keywords SET keyword = 'arbre' WHERE id = 1; UPDATE keywords SET keyword = 'tree' WHERE id = 4"
    )
    b.start(tag("tree")).wait_until_blocked(by=a)
    a.run("COMMIT")
    assert b.wait().rows == [("tree", None, 4)]


@every_lock
def test_rule_02_a_deleted_row_gives_no_key(database: Make, sessions: Open, name: str) -> None:
    db = database(name)
    db.run("DELETE FROM permatags; DELETE FROM keyword_models")
    a, b = sessions(db).open("delete", "writer")
    a.run("BEGIN; DELETE FROM keywords WHERE id = 4")
    b.start(tag("sea")).wait_until_blocked(by=a)
    a.run("COMMIT")
    assert b.wait().rows == [("sea", None, None)]


@every_lock
def test_rule_02_the_path_is_locked_too(database: Make, sessions: Open, name: str) -> None:
    db = database(name)
    a, b = sessions(db).open("rename", "writer")
    b.run("BEGIN")
    assert b.run(tag("bridge", "travel")) == [("bridge", "travel", 2)]
    a.start("UPDATE keyword_categories SET name = 'trips' WHERE id = 3").wait_until_blocked(by=b)
    b.run("COMMIT")
    assert a.wait().error is None
    assert db.rows(tags()) == [("bridge", "trips", 2)]
    a.run("BEGIN; UPDATE keyword_categories SET name = 'tours' WHERE id = 3")
    b.start(tag(key=2, image=38)).wait_until_blocked(by=a)
    a.run("COMMIT")
    assert b.wait().rows == [("bridge", "tours", 2)]


@every_lock
def test_rule_02_a_row_that_moves_waits_for_its_writers(database: Make, sessions: Open, name: str) -> None:
    """category_id may stand in no unique index: the lookup's own trigger makes its change a key update."""
    db = database(name)
    a, b = sessions(db).open("move", "writer")
    b.run("BEGIN")
    assert b.run(tag("bridge", "travel")) == [("bridge", "travel", 2)]
    a.start("UPDATE keywords SET category_id = 1 WHERE id = 2").wait_until_blocked(by=b)
    b.run("COMMIT")
    assert a.wait().error is None
    assert db.rows(tags()) == [("bridge", "nature", 2)]


def test_rule_02_an_ordinary_update_of_the_lookup_does_not_wait(database: Make, sessions: Open) -> None:
    db = database(UNIQUE)
    a, b = sessions(db).open("sort", "writer")
    b.run("BEGIN")
    b.run(tag("tree"))
    a.run("UPDATE keywords SET sort_order = 7, prompt = 'p' WHERE id = 1; UPDATE keyword_categories SET sort_order = 1")
    b.run("COMMIT")


def test_rule_02_text_and_key_written_to_one_row_by_two(database: Make, sessions: Open) -> None:
    db = database(UNIQUE)
    a, b = sessions(db).open("old code", "new code")
    a.run(tag("tree", "nature/plants"))
    a.run("BEGIN; UPDATE machine_tags SET keyword = 'sea'")
    b.start("UPDATE machine_tags SET keyword_id = 2").wait_until_blocked(by=a)
    a.run("COMMIT")
    assert b.wait().error is None
    assert db.rows(tags()) == [("bridge", "travel", 2)]


def test_rule_02_repeatable_read_sees_40001_and_never_a_wrong_key(database: Make, sessions: Open) -> None:
    db = database(UNIQUE)
    a, b = sessions(db).open("rename", "writer")
    b.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
    a.run("UPDATE keywords SET keyword = 'arbre' WHERE id = 1")
    assert b.attempt(tag("tree")).sqlstate == "40001"
    b.run("ROLLBACK")


# ------------------------------------------------------------------------------------------------- 5


def test_rule_05_an_upsert_of_the_qualifier_alone_resolves_anew(database: Make) -> None:
    db = database(UNIQUE)
    insert = "INSERT INTO machine_tags (image_id, tenant_id, keyword, category) VALUES (39, 't', 'bridge', {}) "
    conflict = "ON CONFLICT (tenant_id, image_id, keyword, tag_type) DO UPDATE SET category = excluded.category"
    db.run(insert.format("'travel'"), "app")
    db.run(insert.format("'games'") + conflict, "app")
    assert db.rows(tags()) == [("bridge", "games", 3)]


def test_rule_05_a_change_of_scope_resolves_anew(database: Make) -> None:
    db = database(UNIQUE)
    db.run(tag("tree"), "app")
    assert db.rows("UPDATE machine_tags SET tenant_id = 'u' RETURNING keyword_id", "app") == [(5,)]
    assert db.rows("UPDATE machine_tags SET tenant_id = 'nobody' RETURNING keyword_id", "app") == [(None,)]


# ------------------------------------------------------------------------------------------------- 7


def test_rule_07_batches_pass_sync(database: Make) -> None:
    """A key written by a batch leaves an alias as it is; the same by an application gives the row's own text."""
    db = database(UNIQUE)
    write = "UPDATE public.detected_faces SET person_id = 1 WHERE image_id = 2 RETURNING person_name"
    with db.connect() as owner:
        with owner.transaction():
            owner.execute("SELECT set_config('normalform.batch', 'on', true)")
            owner.execute("UPDATE public.detected_faces SET person_id = NULL WHERE image_id = 2")
            assert owner.execute(write.encode()).fetchall() == [("Ada",)]
            owner.execute("UPDATE public.detected_faces SET person_id = NULL WHERE image_id = 2")
        # The setting ended with the transaction: everything else is a writer.
        with owner.transaction():
            owner.execute("UPDATE public.detected_faces SET person_id = 2 WHERE image_id = 2")
        assert owner.execute(write.encode()).fetchall() == [("Ada Lovelace",)]


# ------------------------------------------------------------------------------------------------- 8


def test_rule_08_nobody_else_can_use_our_functions(database: Make) -> None:
    db = database(UNIQUE)
    ours = "FROM pg_proc p WHERE p.pronamespace = 'normalform'::regnamespace"
    assert db.value(f"SELECT count(*) {ours}") > 10
    for role in ("nf_app", "pg_monitor"):
        assert db.rows(f"SELECT proname {ours} AND has_function_privilege('{role}', p.oid, 'EXECUTE')") == []
    pinned = "'{\"search_path=pg_catalog, pg_temp\"}'"
    assert db.rows(f"SELECT proname {ours} AND proconfig IS DISTINCT FROM {pinned}") == []
    assert db.rows(f"SELECT proname {ours} AND prorettype = 'trigger'::regtype AND NOT prosecdef") == []
    # Even with the schema open: attaching the function to a table of one's own would plant rows in other tenants.
    db.run("CREATE SCHEMA theirs AUTHORIZATION nf_app; GRANT USAGE ON SCHEMA normalform TO nf_app", "admin")
    db.run("CREATE TABLE theirs.fake (tenant_id text, keyword text, category text, keyword_id integer)", "app")
    with db.connect("app") as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute(
            "CREATE TRIGGER x BEFORE INSERT ON theirs.fake FOR EACH ROW "
            "EXECUTE FUNCTION normalform.sync_key_machine_tags()"
        )


def test_rule_08_a_writers_search_path_changes_nothing(database: Make) -> None:
    db = database(UNIQUE)
    db.run("CREATE SCHEMA theirs AUTHORIZATION nf_app", "admin")
    with db.connect("app") as app:
        app.execute("CREATE TABLE theirs.keywords (LIKE public.keywords)")
        app.execute("INSERT INTO theirs.keywords VALUES (666, 1, 'tree', NULL, 0, 't')")
        app.execute("CREATE TEMP TABLE keywords (LIKE public.keywords)")
        app.execute("CREATE FUNCTION theirs.lied(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true'")
        app.execute(sql.SQL("CREATE OPERATOR theirs.= (LEFTARG = text, RIGHTARG = text, FUNCTION = theirs.lied)"))
        app.execute("SET search_path = theirs, pg_catalog, public")
        assert app.execute(tag("tree").encode()).fetchall() == [("tree", None, 1)]
