"""CORRECTNESS 11: renames that wait in the queue, what carries them, and how batches and renames pass each other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import mini
from fix_servers import Database, template
from fix_sessions import Sessions
from normalform import api
from normalform.core.events import Event
from normalform.db.carry import carry_pending, pending_count
from normalform.db.work import Context
from normalform.errors import GateClosed
from normalform.sql import gates
from syncing import DISAGREEING, expanded, tag, tags, with_lines

Make = Callable[..., Database]
Open = Callable[[Database], Sessions]
Engine = Callable[..., Context]

QUEUE = with_lines(lookup='rename = "queue"')
FILLED = template("queue-auto", expanded(fill=True))
EMPTY = template("queue-auto-empty", expanded())
QUEUED = template("queue", expanded(QUEUE, fill=True))
BOTH = QUEUE.replace("[lookup.person]\n", '[lookup.person]\nrename = "queue"\n')
BOTH_QUEUED = template("queue-both", expanded(BOTH, fill=True))
PLAIN = template("queue-plain", mini.SCHEMA + mini.DATA)
CASCADING = template(
    "queue-cascade",
    expanded(
        with_lines(lookup='rename = "queue"', machine_tags='on_delete = "cascade"'),
        before="INSERT INTO public.machine_tags (image_id, tenant_id, keyword) VALUES (39, 't', 'sea');",
    ),
)
QUEUED_EMPTY = template("queue-empty", expanded(QUEUE))

COUNTS = "SELECT keyword, keyword_id, count(*) FROM machine_tags WHERE tenant_id = 't' GROUP BY 1, 2 ORDER BY 2, 1"
PATHS = "SELECT category, keyword_id, count(*) FROM machine_tags WHERE tenant_id = 't' GROUP BY 1, 2 ORDER BY 2, 1"
#: With these more rows hang on `tree` than `auto` carries at once.
CROWD = """
INSERT INTO machine_tags (image_id, tenant_id, keyword, category, tag_type)
SELECT 1 + g % 40, 't', 'tree', 'nature/plants', 'x' || g FROM generate_series(1, 1000) g
"""
PENDING = "SELECT kind, key, old_text, new_text FROM normalform.pending ORDER BY id"


@pytest.mark.slow
def test_rule_11_a_queued_rename_touches_no_row(database: Make, engine: Engine) -> None:
    db = database(QUEUED)
    db.run("UPDATE keywords SET keyword = 'arbre' WHERE id = 1", "app")
    assert db.rows(COUNTS) == [("tree", 1, 40), ("bridge", 2, 15), ("bridge", 3, 15)]
    assert db.rows(PENDING) == [("text", "1", "tree", "arbre")]
    ctx = engine(db.url, QUEUE)
    assert pending_count(ctx.conn) == 1
    carry_pending(ctx)
    assert pending_count(ctx.conn) == 0
    assert db.rows(COUNTS) == [("arbre", 1, 40), ("bridge", 2, 15), ("bridge", 3, 15)]
    assert db.rows("SELECT keyword FROM keyword_models WHERE keyword_id = 1") == [("arbre",)]


@pytest.mark.slow
def test_rule_11_several_renames_of_one_row_and_of_its_path(database: Make, engine: Engine) -> None:
    db = database(QUEUED)
    for statement in (
        "UPDATE keywords SET keyword = 'arbre' WHERE id = 1",
        "UPDATE keyword_categories SET name = 'flora' WHERE id = 2",
        "UPDATE keywords SET keyword = 'Baum' WHERE id = 1",
        "UPDATE keyword_categories SET name = 'world' WHERE id = 1",
        "UPDATE keywords SET keyword = 'pont' WHERE id = 2",
        "UPDATE keywords SET keyword = 'bridge' WHERE id = 2",
    ):
        db.run(statement, "app")
    # Somebody takes the old name meanwhile: his rows are his.
    db.run("INSERT INTO keywords (id, category_id, keyword) VALUES (70, 3, 'tree')", "app")
    db.run("UPDATE machine_tags SET keyword = 'tree' WHERE image_id = 7 AND keyword = 'tree'", "app")
    carry_pending(engine(db.url, QUEUE))
    assert db.rows(COUNTS) == [("Baum", 1, 40), ("bridge", 2, 15), ("bridge", 3, 15)]
    assert db.rows(PATHS)[0] == ("world/flora", 1, 40)
    assert db.rows(PENDING) == []


def test_rule_11_a_write_to_a_row_in_the_queue_keeps_its_key(database: Make) -> None:
    """The qualifier changes while the text is one that a queued rename has yet to carry."""
    db = database(QUEUED)
    db.run("UPDATE keywords SET keyword = 'arbre' WHERE id = 1", "app")
    write = "UPDATE machine_tags SET category = 'mine' WHERE image_id = 3 AND keyword = 'tree' "
    assert db.rows(write + "RETURNING keyword, keyword_id", "app") == [("arbre", 1)]


@pytest.mark.slow
def test_rule_11_rows_without_a_key_are_carried_from_the_queue(database: Make, engine: Engine) -> None:
    db = database(QUEUED_EMPTY)
    db.run("UPDATE keywords SET keyword = 'arbre' WHERE id = 1", "app")
    # Of two bridges one leaves: its rows would mean the other from now on, so they are settled at once.
    db.run("UPDATE keywords SET keyword = 'pont' WHERE id = 2", "app")
    assert db.rows(COUNTS) == [("pont", 2, 15), ("bridge", None, 15), ("tree", None, 40)]
    carry_pending(engine(db.url, QUEUE))
    assert db.rows(COUNTS) == [("arbre", 1, 40), ("pont", 2, 15), ("bridge", None, 15)]


def test_rule_11_an_old_name_that_comes_back_does_not_take_the_rows_in_the_queue(
    database: Make, engine: Engine
) -> None:
    db = database(QUEUED_EMPTY)
    db.run("UPDATE keywords SET keyword = 'arbre' WHERE id = 1", "app")
    db.run("INSERT INTO keywords (id, category_id, keyword) VALUES (70, 1, 'tree')", "app")
    db.rows(tag("tree", image=41), "app")
    assert db.rows(COUNTS) == [("arbre", 1, 40), ("tree", 70, 1), ("bridge", None, 30)]
    carry_pending(engine(db.url, QUEUE))
    assert db.rows(COUNTS) == [("arbre", 1, 40), ("tree", 70, 1), ("bridge", None, 30)]


def test_rule_11_rows_without_a_key_go_with_the_last_that_had_their_name(database: Make, engine: Engine) -> None:
    """Both bridges leave: the first takes the rows of its category, the second is what the others mean."""
    db = database(QUEUED_EMPTY)
    db.run("UPDATE keywords SET keyword = 'pont' WHERE id = 2", "app")
    db.run("UPDATE keywords SET keyword = 'jeu' WHERE id = 3", "app")
    carry_pending(engine(db.url, QUEUE))
    assert db.rows(COUNTS) == [("pont", 2, 15), ("jeu", 3, 15), ("tree", None, 40)]


def test_rule_11_a_name_that_a_third_takes_settles_the_rows_of_the_last_that_had_it(database: Make) -> None:
    db = database(QUEUED_EMPTY)
    db.run("UPDATE keywords SET keyword = 'pont' WHERE id = 2", "app")
    db.run("UPDATE keywords SET keyword = 'jeu' WHERE id = 3", "app")
    db.run("INSERT INTO keywords (id, category_id, keyword) VALUES (70, 1, 'bridge')", "app")
    assert db.rows(COUNTS) == [("pont", 2, 15), ("jeu", 3, 15), ("tree", None, 40)]


def test_rule_11_two_names_that_change_places_in_one_statement(database: Make, engine: Engine) -> None:
    """Rows without a key would mean the other one from now on, so they are settled at once."""
    db = database(QUEUED_EMPTY)
    db.run("DELETE FROM keyword_models", "app")
    swap = "UPDATE keywords SET keyword = CASE id WHEN 1 THEN 'sea' ELSE 'tree' END WHERE id IN (1, 4)"
    db.run(swap, "app")
    assert db.rows(COUNTS) == [("sea", 1, 40), ("bridge", None, 30)]
    db.run(swap.replace("sea", "trea").replace("tree", "sea").replace("trea", "tree"), "app")
    carry_pending(engine(db.url, QUEUE))
    assert db.rows(COUNTS) == [("tree", 1, 40), ("bridge", None, 30)]
    assert db.rows("SELECT keyword, keyword_id, count(*) FROM permatags GROUP BY 1, 2") == [("sea", 4, 20)]


def test_rule_11_an_alias_does_not_take_a_row_that_waits_in_the_queue(database: Make, engine: Engine) -> None:
    """The name of one person is an alias of another: while its rename waits, a write passes a row without a key."""
    db = database(BOTH_QUEUED)
    db.run("INSERT INTO people (id, tenant_id, name) VALUES (9, 't', 'Countess')", "app")
    db.run(
        "BEGIN; SELECT set_config('normalform.batch', 'on', true);"
        "INSERT INTO detected_faces (id, image_id, tenant_id, person_name) VALUES (99, 9, 't', 'Countess'); COMMIT"
    )
    db.run("UPDATE people SET name = 'Countess K' WHERE id = 9", "app")
    db.run("UPDATE detected_faces SET confidence = 1 WHERE id = 99", "app")
    carry_pending(engine(db.url, BOTH))
    assert db.rows("SELECT person_name, person_id FROM detected_faces WHERE id = 99") == [("Countess K", 9)]


def test_rule_11_a_row_that_nothing_told_apart_is_not_guessed_by_the_queue(database: Make, engine: Engine) -> None:
    """Both bridges leave in one statement: a row without a category meant neither."""
    db = database(QUEUED_EMPTY)
    db.run("INSERT INTO machine_tags (image_id, tenant_id, keyword) VALUES (39, 't', 'bridge')", "app")
    db.run("UPDATE keywords SET keyword = 'b' || id WHERE id IN (2, 3)", "app")
    carry_pending(engine(db.url, QUEUE))
    assert db.rows(COUNTS) == [("b2", 2, 15), ("b3", 3, 15), ("bridge", None, 1), ("tree", None, 40)]


def test_rule_11_the_queue_is_carried_beside_a_writer_who_holds_rows(
    database: Make, engine: Engine, sessions: Open
) -> None:
    db = database(QUEUED)
    opened = sessions(db)
    a = opened.one("writer")
    db.run("UPDATE keywords SET keyword = 'arbre' WHERE id = 1", "app")
    a.run("BEGIN; UPDATE machine_tags SET confidence = 2 WHERE image_id = 3")
    ctx = engine(db.url, QUEUE)
    carrying = opened.background(lambda: carry_pending(ctx), "carry")
    opened.monitor.wait_for(
        "SELECT true WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = %s AND state = 'active' "
        "AND wait_event_type = 'Lock')",
        [db.name],
    )
    a.run("COMMIT")
    assert carrying.wait().error is None
    assert db.rows(COUNTS)[0] == ("arbre", 1, 40)
    assert db.rows(PENDING) == []


def test_rule_11_an_entry_stays_until_a_look_finds_nothing(database: Make, engine: Engine) -> None:
    """A row comes to blocks that the sweep has passed, as an ordinary update can bring it there."""
    db = database(QUEUED)
    db.run("UPDATE keywords SET keyword = 'arbre' WHERE id = 1", "app")
    late = (
        "BEGIN; SELECT set_config('normalform.batch', 'on', true);"
        "INSERT INTO machine_tags (image_id, tenant_id, keyword, keyword_id, tag_type) "
        "VALUES (39, 't', 'tree', 1, 'late');"
        "COMMIT"
    )
    passed: list[str] = []

    def sink(event: Event) -> None:
        if event.kind == "point" and event.name == "carry-text:machine_tags:after-commit" and not passed:
            passed.append(event.name)
            db.run(late)

    carry_pending(engine(db.url, QUEUE, sink=sink))
    assert passed
    assert db.rows(COUNTS)[0] == ("arbre", 1, 41)


def test_rule_11_a_text_is_done_however_often_its_path_changes_meanwhile(database: Make, engine: Engine) -> None:
    """Or paths that change without end would keep it in the queue, and with it every path behind it."""
    db = database(QUEUED)
    db.run("UPDATE keywords SET keyword = 'arbre' WHERE id = 1", "app")
    changed: list[str] = []

    def sink(event: Event) -> None:
        if event.kind == "point" and event.name == "carry-text:machine_tags:after-commit" and not changed:
            changed.append(event.name)
            db.run("UPDATE keyword_categories SET name = 'flora' WHERE id = 2", "app")

    ctx = engine(db.url, QUEUE, sink=sink)
    carry_pending(ctx)
    assert changed
    assert db.rows(PENDING) == [("path", "1", "nature/plants", "nature/flora")]
    carry_pending(ctx)
    assert db.rows(PENDING) == []
    assert db.rows(PATHS)[0] == ("nature/flora", 1, 40)


@pytest.mark.parametrize(
    ("early", "late", "check", "after"),
    [
        ("UPDATE people SET name = 'Turing' WHERE id = 2", "UPDATE keywords SET keyword = 'arbre' WHERE id = 1",
         "SELECT person_name FROM detected_faces WHERE person_id = 2", "Turing"),
        ("UPDATE keyword_categories SET name = 'voyage' WHERE id = 3", "UPDATE people SET name = 'Turing' WHERE id = 2",
         "SELECT DISTINCT category FROM machine_tags WHERE keyword_id = 2", "voyage"),
        ("UPDATE keyword_categories SET name = 'voyage' WHERE id = 3",
         "UPDATE keywords SET keyword = 'arbre' WHERE id = 1",
         "SELECT DISTINCT category FROM machine_tags WHERE keyword_id = 2", "voyage"),
    ],
)  # fmt: skip
def test_rule_11_an_entry_that_commits_behind_a_younger_one_is_carried(
    database: Make, engine: Engine, sessions: Open, early: str, late: str, check: str, after: str
) -> None:
    """Its number is below that of an entry that is carried, and its kind or its lookup was not looked at."""
    db = database(BOTH_QUEUED)
    a = sessions(db).one("early")
    a.run("BEGIN; " + early)
    db.run(late, "app")
    committed: list[str] = []

    def sink(event: Event) -> None:
        if event.kind == "point" and event.name.startswith("carry-text:") and not committed:
            committed.append(event.name)
            a.run("COMMIT")

    carry_pending(engine(db.url, BOTH, sink=sink))
    assert committed
    assert db.rows(check) == [(after,)]
    assert db.rows(PENDING) == []


def test_rule_11_a_queued_rename_that_meets_a_unique_says_so(database: Make, engine: Engine) -> None:
    db = database(QUEUED)
    db.run("UPDATE keywords SET keyword = 'sea' WHERE id = 1", "app")
    ctx = engine(db.url, QUEUE)
    with pytest.raises(GateClosed, match="keyword_models: a rename gives a row what another row has already") as caught:
        carry_pending(ctx)
    assert caught.value.gate == "collisions"
    db.run("DELETE FROM keyword_models WHERE keyword_id = 1", "app")
    carry_pending(ctx)
    assert db.rows(COUNTS)[0] == ("sea", 1, 40)


def test_rule_11_auto_queues_what_more_than_1000_rows_hang_on(database: Make, engine: Engine) -> None:
    db = database(FILLED)
    db.run(CROWD, "app")
    db.run("UPDATE keywords SET keyword = 'ocean' WHERE id = 4", "app")
    assert db.rows(PENDING) == []
    db.run("UPDATE keywords SET keyword = 'arbre' WHERE id = 1", "app")
    assert db.rows(PENDING) == [("text", "1", "tree", "arbre")]
    carry_pending(engine(db.url))
    assert db.rows(COUNTS)[0] == ("arbre", 1, 1040)


def test_rule_05_a_path_that_is_renamed_beside_a_queued_name_waits_with_it(database: Make, engine: Engine) -> None:
    """The rows still hold the former name, by which nobody who carries the new path at once would find them."""
    db = database(FILLED)
    db.run(CROWD, "app")
    db.run("UPDATE keywords SET keyword = 'arbre' WHERE id = 1", "app")
    db.run("UPDATE keyword_categories SET name = 'flora' WHERE id = 2", "app")
    carry_pending(engine(db.url))
    assert db.rows(COUNTS)[0] == ("arbre", 1, 1040)
    assert db.rows(PATHS)[0] == ("nature/flora", 1, 1040)
    assert db.rows(PENDING) == []


def test_rule_11_a_transaction_that_cannot_see_leaves_an_entry(database: Make, engine: Engine, sessions: Open) -> None:
    """A row is written after the snapshot of the transaction that renames: only the queue can reach it."""
    db = database(FILLED)
    a, b = sessions(db).open("rename", "writer")
    a.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
    b.run(tag("sea"))
    a.run("UPDATE keywords SET keyword = 'ocean' WHERE id = 4; COMMIT")
    assert db.rows(tags())[-1] == ("sea", None, 4)
    assert db.rows(PENDING) == [("text", "4", "sea", "ocean")]
    carry_pending(engine(db.url))
    assert db.rows(tags())[-1] == ("ocean", None, 4)
    assert db.rows("SELECT keyword FROM permatags GROUP BY 1") == [("ocean",)]


def test_rule_3_rows_that_a_returning_name_settles_are_not_lost_on_a_delete(database: Make, sessions: Open) -> None:
    """Settling writes a key: whoever deletes its row must wait, and then meet the rows that have it."""
    db = database(CASCADING)
    db.run("DELETE FROM permatags; DELETE FROM keyword_models", "app")
    db.run("UPDATE keywords SET keyword = 'ocean' WHERE id = 4", "app")
    comes_back, goes = sessions(db).open("name comes back", "delete")
    comes_back.run("BEGIN; INSERT INTO keywords (category_id, keyword) VALUES (1, 'sea')")
    goes.start("DELETE FROM keywords WHERE id = 4").wait_until_blocked(by=comes_back)
    comes_back.run("COMMIT")
    assert goes.wait().error is None
    assert db.rows(DISAGREEING) == []
    assert db.rows("SELECT keyword FROM machine_tags WHERE keyword IN ('sea', 'ocean')") == []


def test_batches_and_renames_pass_one_after_the_other(database: Make, sessions: Open) -> None:
    """A batch that has its gate sees every committed rename; a rename waits for it and then sees its rows."""
    db = database(EMPTY)
    batch, rename = sessions(db).open("batch", "rename", role="owner")
    batch.run("BEGIN; SELECT set_config('normalform.batch', 'on', true)")
    assert batch.run(gates.exclusive("keyword", 3)) == [(True,)]
    rename.start("UPDATE keywords SET keyword = 'arbre' WHERE id = 1").wait_until_blocked(by=batch)
    batch.run("UPDATE machine_tags SET keyword_id = 1 WHERE keyword = 'tree' AND tenant_id = 't' AND image_id < 20")
    other = sessions(db).one("other batch", role="owner")
    batch.run("COMMIT")
    assert rename.wait().error is None
    assert db.rows(COUNTS) == [("arbre", 1, 40), ("bridge", None, 30)]
    rename.run("BEGIN; UPDATE keywords SET keyword = 'Baum' WHERE id = 1")
    assert other.run(gates.exclusive("keyword", 0)) == [(False,)]
    rename.run("ROLLBACK")
    assert other.run(gates.exclusive("keyword", 0)) == [(True,)]


@pytest.mark.slow
def test_rule_11_a_rename_that_is_queued_while_expand_is_undone_is_carried(database: Make, sessions: Open) -> None:
    """It commits after the last carrying and before the functions go, without which nobody could carry it."""
    db = database(PLAIN)
    opened = sessions(db)
    rename = opened.one("rename")
    committed: list[str] = []

    def sink(event: Event) -> None:
        if event.kind == "wait" and event.name.endswith("/sync-functions") and not committed:
            committed.append(event.name)
            rename.run("COMMIT")

    api.run(api.Options(db.url, QUEUE), until="expand")
    rename.run("BEGIN; UPDATE keywords SET keyword = 'arbre' WHERE id = 1")
    rename.run("UPDATE keyword_categories SET name = 'flora' WHERE id = 2")
    api.rollback(api.Options(db.url, QUEUE, sink), "start")
    assert len(committed) == 1
    texts = "SELECT keyword, category, count(*) FROM machine_tags WHERE tenant_id = 't' GROUP BY 1, 2 ORDER BY 1"
    assert db.rows(texts) == [("arbre", "nature/flora", 40), ("bridge", "games", 15), ("bridge", "travel", 15)]
    assert db.rows(PENDING) == []


@pytest.mark.slow
def test_rule_11_renames_that_never_cease_do_not_keep_expand_from_being_undone(database: Make) -> None:
    """One after each commit of the undo: whenever the queue has been carried, there is a new entry before sync goes."""
    db = database(PLAIN)
    renames: list[str] = []

    def sink(event: Event) -> None:
        stand = "SELECT count(*) FROM pg_proc WHERE proname LIKE 'sync\\_carry\\_%'"
        if event.kind == "point" and event.name.endswith(":after-commit") and db.value(stand) >= 4:
            renames.append(f"arbre{len(renames)}")
            db.run(f"UPDATE keywords SET keyword = '{renames[-1]}' WHERE id = 1", "app")

    api.run(api.Options(db.url, QUEUE), until="expand")
    api.rollback(api.Options(db.url, QUEUE, sink), "start")
    assert db.value("SELECT keyword FROM keywords WHERE id = 1") == renames[-1]
    texts = "SELECT keyword, count(*) FROM machine_tags WHERE category = 'nature/plants' GROUP BY 1"
    assert db.rows(texts) == [(renames[-1], 40)]
    assert db.rows(PENDING) == []
