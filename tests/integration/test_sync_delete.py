"""CORRECTNESS 3: deletes of lookup rows are settled from expand on, as the spec's on_delete says."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from fix_servers import Database, template
from fix_sessions import Sessions
from normalform.db.carry import carry_pending
from normalform.db.work import Context
from syncing import expanded, tag, tags, with_lines

Make = Callable[..., Database]
Open = Callable[[Database], Sessions]
Engine = Callable[..., Context]


def spec(on_delete: str) -> str:
    """The spec in which machine_tags says what becomes of its rows; the other references are restrict."""
    required = "\nrequired = false" if on_delete == "set_null" else ""
    return with_lines(machine_tags=f'on_delete = "{on_delete}"{required}')


#: Only machine_tags refers; `bridge` of travel has no rows of other tables.
ONLY = "DELETE FROM public.permatags; DELETE FROM public.keyword_models; DELETE FROM public.image_tags;"
RESTRICT = template("delete-restrict", expanded(spec("restrict"), before=ONLY, fill=True))
UNFILLED = template("delete-unfilled", expanded(spec("restrict"), before=ONLY))
NO_ACTION = template("delete-no-action", expanded(spec("no_action"), before=ONLY, fill=True))
CASCADE = template("delete-cascade", expanded(spec("cascade"), before=ONLY, fill=True))
CASCADE_UNFILLED = template("delete-cascade-unfilled", expanded(spec("cascade"), before=ONLY))
SET_NULL = template("delete-set-null", expanded(spec("set_null"), before=ONLY, fill=True))
QUEUE = 'rename = "queue"'
QUEUED_UNFILLED = template("delete-queued-unfilled", expanded(with_lines(lookup=QUEUE), before=ONLY))
QUEUED_CASCADE = template(
    "delete-queued-cascade",
    expanded(with_lines(lookup=QUEUE, machine_tags='on_delete = "cascade"'), before=ONLY),
)
NULLABLE = template(
    "delete-set-null-nullable",
    expanded(spec("set_null"), before=ONLY + "ALTER TABLE public.machine_tags ALTER keyword DROP NOT NULL;", fill=True),
)
LEFT = (
    "SELECT keyword, category, keyword_id, count(*) FROM machine_tags WHERE keyword IS DISTINCT FROM 'tree' "
    "GROUP BY 1, 2, 3 ORDER BY 2"
)


def refused(db: Database, statement: str) -> psycopg.errors.ForeignKeyViolation:
    with db.connect("app") as app, pytest.raises(psycopg.errors.ForeignKeyViolation) as caught:
        app.execute(statement.encode())
    return caught.value


def test_rule_03_restrict_refuses(database: Make) -> None:
    db = database(RESTRICT)
    error = refused(db, "DELETE FROM keywords WHERE id = 2")
    assert error.diag.message_primary == "keywords 2 ('bridge') cannot be deleted: machine_tags refers to it"
    assert error.diag.message_hint is not None
    db.run("DELETE FROM machine_tags WHERE keyword_id = 2; DELETE FROM keywords WHERE id = 2", "app")


def test_rule_03_a_row_known_by_another_spelling_alone_is_referenced(database: Make) -> None:
    db = database(RESTRICT)
    db.run("DELETE FROM detected_faces WHERE person_name = 'Ada Lovelace'", "app")
    assert "people 1" in str(refused(db, "DELETE FROM people WHERE id = 1"))


def test_rule_03_rows_without_a_key_refer_too(database: Make) -> None:
    """Else the rows of one `bridge` would quietly mean the other one."""
    db = database(UNFILLED)
    refused(db, "DELETE FROM keywords WHERE id = 2")
    refused(db, "DELETE FROM keywords WHERE id = 1")
    db.run("DELETE FROM machine_tags WHERE category = 'travel'; DELETE FROM keywords WHERE id = 2", "app")


def test_rule_03_rows_without_a_key_refer_by_a_name_that_waits_in_the_queue(database: Make) -> None:
    """The renaming is queued and the rows still hold the former name: they go where their row goes."""
    queue = "UPDATE keywords SET keyword = {} WHERE id = 1; DELETE FROM keywords WHERE id = 1"
    error = refused(database(QUEUED_UNFILLED), queue.format("'arbre'"))
    assert error.diag.message_primary == "keywords 1 ('tree') cannot be deleted: machine_tags refers to it"
    db = database(QUEUED_CASCADE)
    db.run(queue.format("'arbre'"), "app")
    assert db.rows("SELECT tenant_id, count(*) FROM machine_tags WHERE keyword = 'tree' GROUP BY 1") == [("u", 10)]


def test_rule_03_a_category_that_goes_with_its_keywords(database: Make) -> None:
    """The path of the deleted keyword is gone with its category; its rows are still known for its own."""
    refused(database(RESTRICT), "DELETE FROM keyword_categories WHERE id = 3")
    refused(database(UNFILLED), "DELETE FROM keyword_categories WHERE id = 3")


def test_rule_03_no_action_is_checked_at_commit(database: Make) -> None:
    db = database(NO_ACTION)
    with db.connect("app") as app:
        with app.transaction():
            app.execute("DELETE FROM keywords WHERE id = 2")
            app.execute("DELETE FROM machine_tags WHERE keyword_id = 2")
        with pytest.raises(psycopg.errors.ForeignKeyViolation), app.transaction():
            app.execute("DELETE FROM keywords WHERE id = 3")
        with app.transaction():
            app.execute("DELETE FROM keywords WHERE id = 3")
            app.execute("INSERT INTO keywords (id, category_id, keyword) VALUES (3, 4, 'bridge')")
    assert db.rows(LEFT) == [("bridge", "games", 3, 15)]


@pytest.mark.parametrize("name", [CASCADE, CASCADE_UNFILLED])
def test_rule_03_cascade_deletes_the_rows(database: Make, name: str) -> None:
    db = database(name)
    db.run("DELETE FROM keywords WHERE id = 2", "app")
    assert [row[:2] + row[3:] for row in db.rows(LEFT)] == [("bridge", "games", 15)]


def test_rule_03_set_null_takes_the_key(database: Make) -> None:
    db = database(SET_NULL)
    db.run("DELETE FROM keywords WHERE id = 2", "app")
    assert db.rows(LEFT) == [("bridge", "games", 3, 15), ("bridge", "travel", None, 15)]


def test_rule_03_set_null_takes_the_text_where_it_may_be_null(database: Make) -> None:
    db = database(NULLABLE)
    db.run("DELETE FROM keywords WHERE id = 2", "app")
    assert db.rows(LEFT) == [("bridge", "games", 3, 15), (None, None, None, 15)]


def test_rule_03_a_delete_waits_for_a_writer(database: Make, sessions: Open) -> None:
    db = database(RESTRICT)
    a, b = sessions(db).open("delete", "writer")
    b.run("BEGIN")
    assert b.run(tag("sea")) == [("sea", None, 4)]
    a.start("DELETE FROM keywords WHERE id = 4").wait_until_blocked(by=b)
    b.run("COMMIT")
    assert a.wait().sqlstate == "23503"


def test_rule_03_a_delete_that_cannot_see_leaves_an_entry(database: Make, sessions: Open, engine: Engine) -> None:
    """Without the foreign key a REPEATABLE READ delete passes rows written since its snapshot; the queue finds them."""
    db = database(RESTRICT)
    a, b = sessions(db).open("delete", "writer")
    a.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
    b.run(tag("sea"))
    a.run("DELETE FROM keywords WHERE id = 4; COMMIT")
    assert db.rows("SELECT kind, key, old_text FROM normalform.pending") == [("delete", "4", "sea")]
    carry_pending(engine(db.url, spec("restrict")))
    assert db.rows(tags()) == [("tree", "nature/plants", 1), ("sea", None, None)]
    assert db.rows("SELECT * FROM normalform.pending") == []


def test_rule_03_truncate(database: Make) -> None:
    db = database(RESTRICT)
    with db.connect() as owner:
        with pytest.raises(psycopg.errors.ForeignKeyViolation, match="cannot be truncated while"):
            owner.execute("TRUNCATE keywords")
        owner.execute("TRUNCATE keywords, machine_tags, permatags, image_tags, keyword_models")


def test_rule_03_many_rows_at_once(database: Make) -> None:
    db = database(CASCADE)
    db.run("DELETE FROM keyword_categories WHERE tenant_id = 't'", "app")
    assert db.rows("SELECT tenant_id, count(*) FROM machine_tags GROUP BY 1") == [("u", 10)]
