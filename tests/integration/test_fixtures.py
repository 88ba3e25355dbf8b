"""The tests' own tools: what they promise, since everything else leans on it."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from compare import checksums, dump_schema
from fix_servers import APP, OWNER, Cluster, Database, template
from fix_sessions import Sessions

SHOP = template(
    "fixtures-shop",
    """
    CREATE TABLE item (id serial PRIMARY KEY, name text NOT NULL, price float8, made timestamptz DEFAULT now());
    INSERT INTO item (name, price) SELECT 'item ' || i, i / 7.0 FROM generate_series(1, 100) AS i;
    CREATE SCHEMA normalform;
    CREATE TABLE normalform.ledger (id int);
    """,
)
Make = Callable[..., Database]


def test_the_owner_is_no_superuser_and_owns_the_tables(database: Make) -> None:
    db = database(SHOP)
    [(user, superuser, createrole)] = db.rows(
        "SELECT rolname, rolsuper, rolcreaterole FROM pg_roles WHERE rolname = current_user", "owner"
    )
    assert (user, superuser, createrole) == (OWNER, False, False)
    assert db.value("SELECT relowner::regrole::text FROM pg_class WHERE relname = 'item'") == OWNER
    assert db.value("SELECT datdba::regrole::text FROM pg_database WHERE datname = current_database()") == OWNER
    assert db.server.version == int(db.value("SHOW server_version_num")) // 10000


def test_the_application_has_dml_and_nothing_else(database: Make) -> None:
    db = database(SHOP)
    with db.connect("app") as app:
        app.execute("INSERT INTO item (name) VALUES ('new')")
        app.execute("UPDATE item SET price = 1 WHERE name = 'new'")
        app.execute("DELETE FROM item WHERE name = 'new'")
        for forbidden in (
            "SELECT * FROM normalform.ledger",
            "ALTER TABLE item ADD COLUMN x int",
            "TRUNCATE item",
            "CREATE TABLE other (id int)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(forbidden)
    assert db.value("SELECT current_user::text", "app") == APP


def test_each_test_gets_a_database_of_its_own(database: Make) -> None:
    one, two = database(SHOP), database(SHOP)
    one.run("DELETE FROM item")
    assert (one.value("SELECT count(*) FROM item"), two.value("SELECT count(*) FROM item")) == (0, 100)
    assert two.clone().value("SELECT count(*) FROM item") == 100


def test_a_template_is_built_once_and_the_tests_databases_go(pg: Cluster) -> None:
    urls: list[str] = []

    def build(url: str) -> None:
        urls.append(url)

    name = f"fixtures-callable-{pg.version}"
    made = [pg.create(name, build) for _ in range(3)]
    assert len(urls) == 1
    pg.drop_all()
    with psycopg.connect(pg.server.url()) as admin:
        left = {name for (name,) in admin.execute("SELECT datname FROM pg_database").fetchall()}
    assert not left & {db.name for db in made}


def test_checksums_see_every_change_and_no_order(database: Make) -> None:
    db = database(SHOP)
    before = checksums(db)
    assert list(before) == ["public.item"]
    assert list(checksums(db, ledger=True)) == ["normalform.ledger", "public.item"]
    db.run("CREATE TABLE aside AS TABLE item; DELETE FROM item; INSERT INTO item SELECT * FROM aside ORDER BY id DESC")
    db.run("DROP TABLE aside")
    assert checksums(db) == before
    changed = db.clone()
    changed.run("UPDATE item SET price = price + 1e-15 WHERE id = 1")
    assert checksums(changed) != before
    # Equal rows must count: XOR would let a pair of them vanish.
    twice = db.clone()
    twice.run("ALTER TABLE item DROP CONSTRAINT item_pkey; INSERT INTO item SELECT * FROM item WHERE id < 3")
    assert checksums(twice) != before


def test_schemas_compare_equal_until_something_differs(database: Make) -> None:
    db, other = database(SHOP), database(SHOP)
    before = dump_schema(db)
    assert before == dump_schema(other)
    assert "CREATE TABLE public.item" in before
    assert "restrict" not in before
    other.run("ALTER TABLE item DROP COLUMN price; ALTER TABLE item ADD COLUMN price float8")
    assert before != dump_schema(other)
    assert dump_schema(db, column_order=False) == dump_schema(other, column_order=False)
    other.run("DROP SCHEMA normalform CASCADE")
    assert dump_schema(db, ledger=False) != before
    assert dump_schema(db, ledger=False, column_order=False) == dump_schema(other, column_order=False)


def test_sessions_wait_for_what_the_server_says(database: Make, sessions: Callable[[Database], Sessions]) -> None:
    db = database(SHOP)
    group = sessions(db)
    a, b = group.open("a", "b")
    a.run("BEGIN; UPDATE item SET price = 1 WHERE id = 1")
    b.start("UPDATE item SET price = price + 1 WHERE id = 1 RETURNING price").wait_until_blocked(by=a)
    assert b.blocked
    assert not b.idle
    assert not a.blocked
    assert group.monitor.wait_until_blocked("b") == b.pid
    a.run("COMMIT")
    assert b.wait().rows == [(2.0,)]
    assert b.attempt("SELECT 1 / 0").sqlstate == "22012"


def test_a_session_that_does_not_block_fails_the_test(database: Make, sessions: Callable[[Database], Sessions]) -> None:
    a = sessions(database(SHOP)).one()
    a.start("SELECT 1")
    with pytest.raises(pytest.fail.Exception, match="was expected to wait, and ended"):
        a.wait_until_blocked()


def test_the_background_hands_over_value_and_error(database: Make, sessions: Callable[[Database], Sessions]) -> None:
    group = sessions(database(SHOP))
    assert group.background(lambda: 42).wait().value == 42
    assert isinstance(group.background(lambda: 1 // 0).wait().error, ZeroDivisionError)


def test_a_blocked_session_is_ended_with_the_test(database: Make) -> None:
    group = Sessions(database(SHOP))
    a, b = group.open("a", "b")
    a.run("BEGIN; LOCK TABLE item IN ROW EXCLUSIVE MODE")
    owner = group.one("owner", "owner")
    owner.start("TRUNCATE item").wait_until_blocked(by=a)
    b.start("SELECT count(*) FROM item").wait_until_blocked(by=owner)
    group.close()
