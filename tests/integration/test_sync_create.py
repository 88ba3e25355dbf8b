"""on_unknown = "create" and its hardening (CORRECTNESS 11): one row for a text, whoever comes first."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from fix_servers import Database, template
from fix_sessions import Sessions
from normalform.sql.sync import harden_steps, sync_intact, sync_reference_steps
from syncing import apply, expanded, model_of, tag, with_lines

Make = Callable[..., Database]
Open = Callable[[Database], Sessions]

SPEC = with_lines(machine_tags='on_unknown = "create"')
CLEAN = "DELETE FROM public.machine_tags;"
CREATE = template("create", expanded(SPEC, before=CLEAN))
#: Nothing but sync's own care keeps two rows of one text apart.
BARE = template("create-bare", expanded(SPEC, before=CLEAN + "ALTER TABLE public.keywords DROP CONSTRAINT uq_keyword;"))
DEFER = template("create-defer", expanded(before=CLEAN))
NEW = "SELECT id, tenant_id, category_id FROM keywords WHERE keyword = '{}' ORDER BY id"


def test_a_row_is_created_in_the_category_of_the_path(database: Make) -> None:
    db = database(CREATE)
    assert db.rows(tag("moss", "nature/plants"), "app") == [("moss", "nature/plants", 1001)]
    assert db.rows(NEW.format("moss")) == [(1001, "t", 2)]
    assert db.rows("SELECT lookup, key FROM normalform.created") == [("keyword", "1001")]


def test_a_row_without_a_known_category_goes_to_the_one_of_otherwise(database: Make) -> None:
    db = database(CREATE)
    for text, category in (("zebra", None), ("gnu", "no/such"), ("yak", "plants")):
        db.rows(tag(text, category), "app")
    categories = db.rows("SELECT id, tenant_id, parent_id FROM keyword_categories WHERE name = 'Unsorted'")
    assert categories == [(1001, "t", None)]
    assert db.value("SELECT count(*) FROM keywords WHERE category_id = 1001 AND tenant_id = 't'") == 3


def test_what_is_known_is_not_created(database: Make) -> None:
    db = database(CREATE)
    before = db.value("SELECT count(*) FROM keywords")
    assert db.rows(tag("bridge"), "app") == [("bridge", None, None)]  # ambiguous
    assert db.rows(tag("bridge", "x", image=38), "app") == [("bridge", "x", None)]
    assert db.rows(tag("tree"), "app") == [("tree", None, 1)]
    db.run("UPDATE machine_tags SET confidence = 3", "app")  # on the way past nothing is created either
    assert db.value("SELECT count(*) FROM keywords") == before


@pytest.mark.parametrize("name", [CREATE, BARE], ids=["unique", "no-unique"])
def test_rule_11_two_sessions_with_one_new_text(database: Make, sessions: Open, name: str) -> None:
    db = database(name)
    a, b = sessions(db).open("a", "b")
    a.run("BEGIN")
    [(_, _, key)] = a.run(tag("new", "nature"))
    b.start(tag("new", "nature", image=38)).wait_until_blocked(by=a)
    a.run("COMMIT")
    assert b.wait().rows == [("new", "nature", key)]
    assert len(db.rows(NEW.format("new"))) == 1


@pytest.mark.parametrize("name", [CREATE, BARE], ids=["unique", "no-unique"])
def test_rule_11_the_first_one_rolls_back(database: Make, sessions: Open, name: str) -> None:
    db = database(name)
    a, b = sessions(db).open("a", "b")
    a.run("BEGIN")
    a.run(tag("new", "nature"))
    b.start(tag("new", "nature", image=38)).wait_until_blocked(by=a)
    a.run("ROLLBACK")
    [(_, _, key)] = b.wait().rows
    assert db.rows("SELECT id FROM keywords WHERE keyword = 'new'") == [(key,)]


def test_rule_11_two_sessions_need_the_same_new_category(database: Make, sessions: Open) -> None:
    db = database(CREATE)
    a, b = sessions(db).open("a", "b")
    a.run("BEGIN")
    a.run(tag("one"))
    b.start(tag("two", image=38)).wait_until_blocked(by=a)
    a.run("COMMIT")
    assert b.wait().error is None
    assert db.value("SELECT count(*) FROM keyword_categories WHERE name = 'Unsorted'") == 1


def test_rule_11_the_application_inserts_the_lookup_row_itself(database: Make, sessions: Open) -> None:
    """Its insert knows nothing of our lock; the unique stops us, and we look again."""
    db = database(CREATE)
    a, b = sessions(db).open("application", "writer")
    a.run("BEGIN; INSERT INTO keywords (id, category_id, keyword) VALUES (500, 1, 'new')")
    b.start(tag("new", "nature")).wait_until_blocked(by=a)
    a.run("COMMIT")
    assert b.wait().rows == [("new", "nature", 500)]


def test_rule_11_opposite_orders_can_deadlock_and_nothing_is_wrong_after(database: Make, sessions: Open) -> None:
    db = database(CREATE)
    a, b = sessions(db).open("a", "b")
    a.run("BEGIN")
    b.run("BEGIN")
    a.run(tag("one", "nature", image=1))
    b.run(tag("two", "nature", image=2))
    a.start(tag("two", "nature", image=1)).wait_until_blocked(by=b)
    b.start(tag("one", "nature", image=2))
    results = {a: a.wait(), b: b.wait()}
    assert sorted(str(r.sqlstate) for r in results.values()) == ["40P01", "None"]
    for session in results:
        session.run("COMMIT")
    assert db.value("SELECT count(*) FROM keywords WHERE keyword IN ('one', 'two')") == 2
    assert db.value("SELECT count(*) FROM machine_tags WHERE keyword_id IS NULL") == 0


def test_rule_11_repeatable_read_never_makes_a_second_row(database: Make, sessions: Open) -> None:
    for name in (CREATE, BARE):
        db = database(name)
        a, b = sessions(db).open("a", "b")
        b.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        a.run(tag("new", "nature"))
        result = b.attempt(tag("new", "nature", image=38))
        assert result.sqlstate == "40001" or result.rows == [("new", "nature", None)]
        b.run("ROLLBACK" if result.error else "COMMIT")
        assert len(db.rows(NEW.format("new"))) == 1


# -------------------------------------------------------------------------------------- hardening


def test_harden_refuses_what_was_deferred_and_back(database: Make) -> None:
    db = database(DEFER)
    with db.connect() as owner:
        model = model_of(owner)
        steps = harden_steps(model, model.reference("machine_tags"))
        assert owner.execute(steps[0].gone.encode()).fetchone() == (True,)
        apply(owner, steps)
        assert owner.execute(steps[0].done.encode()).fetchone() == (True,)
        with db.connect("app") as app:
            for text in ("zebra", "bridge"):
                with pytest.raises(psycopg.errors.ForeignKeyViolation):
                    app.execute(tag(text).encode())
            app.execute(tag("tree").encode())
        apply(owner, steps, undo=True)
        assert owner.execute(steps[0].gone.encode()).fetchone() == (True,)
        assert sync_intact(owner, model) == []
    assert db.rows(tag("zebra"), "app") == [("zebra", None, None)]


def test_harden_of_create_still_creates_and_refuses_the_ambiguous(database: Make) -> None:
    db = database(CREATE)
    with db.connect() as owner:
        model = model_of(owner, SPEC)
        apply(owner, harden_steps(model, model.reference("machine_tags")))
    assert db.rows(tag("new", "nature"), "app") == [("new", "nature", 1001)]
    with db.connect("app") as app, pytest.raises(psycopg.errors.ForeignKeyViolation, match="means several rows"):
        app.execute(tag("bridge").encode())


def test_harden_leaves_optional_references_alone(database: Make) -> None:
    with database(DEFER).connect() as owner:
        model = model_of(owner)
        assert harden_steps(model, model.reference("faces")) == []


def test_on_unknown_can_be_overridden(database: Make) -> None:
    db = database(DEFER)
    with db.connect() as owner:
        model = model_of(owner)
        steps = sync_reference_steps(model, model.reference("machine_tags"), phase="contract", on_unknown="reject")
        assert {s.phase for s in steps} == {"contract"}
        with owner.transaction():
            for statement in steps[0].do:
                owner.execute(statement.encode())
    with db.connect("app") as app, pytest.raises(psycopg.errors.ForeignKeyViolation):
        app.execute(tag("zebra").encode())
