# ruff: noqa: E501  (statements read better on one line)
"""Lookups that do not exist: made of the texts that there are, taken back, and made again.

Keys are proven against copies of the tables that nobody migrates. Both kinds of writers write in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from threading import Event, Thread

import psycopg
import pytest

from acceptance.migration import Migration, assert_same, look
from fix_servers import Database
from normalform import api
from normalform.core.decision_file import Line
from normalform.core.events import Event as Said
from normalform.errors import DecisionError, GateClosed, ProofFailed, SpecError
from second.airport import EXPECTED, SPEC, TABLES, TEMPLATE, WRONG

Make = Callable[..., Database]
AIRLINES = TABLES["airline"]


def _counted(db: Database) -> dict[str, int]:
    return {lookup: db.value(query) for lookup, query in EXPECTED.items()}


def test_the_audit_says_what_will_be_made_and_changes_nothing(database: Make, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    before = look(db)
    report = Migration(db, tmp_path, SPEC).audit()
    assert_same(look(db), before)
    assert {f.subject: f.count for f in report.findings if f.code == "NF111"} == _counted(db)
    near = {f.subject: f for f in report.findings if f.code == "NF112"}
    assert near["airline"].count == 4 and near["place"].count > 2, "El Al, nothing at all; Paris in every scope"
    assert {str(s["Na;me"]) for s in near["airline"].sample} == {"El Al", "el al", "", "  "}
    assert "word" not in near, "to a citext they are one"
    assert not any(f.severity == "error" for f in report.findings), [f.title for f in report.findings]
    by_hand = {f.subject: f for f in report.findings if f.code in ("NF111", "NF112")}
    for finding in by_hand.values():
        assert len(list(api.offenders(Migration(db, tmp_path, SPEC).options, finding))) >= finding.count
    plan = api.plan(Migration(db, tmp_path, SPEC).options)
    made = [s for s in plan if s.id.endswith("/create")]
    assert [s.object for s in made] == [f"table {t}" for t in (AIRLINES, *list(TABLES.values())[1:])]
    assert_same(look(db), before)


@pytest.mark.slow
def test_a_text_without_a_qualifier_that_will_stand_under_several_is_found(database: Make, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    db.run('UPDATE "Air;port".meals SET course = NULL WHERE id IN (4, 8)')
    db.run("""UPDATE "Air;port".meals SET course = 'first' WHERE id IN (12, 16)""")
    migration = Migration(db, tmp_path, SPEC)
    [finding] = [f for f in migration.audit().findings if f.code == "NF113"]
    assert (finding.subject, finding.count, finding.numbers["rows"]) == ("dish", 1, 2)
    # Expand makes the rows; then there is something to decide, and backfill waits for it.
    migration.to("expand")
    with pytest.raises(GateClosed, match="newcomers"):
        migration.to("backfill")
    db.run("""UPDATE "Air;port".meals SET course = 'main' WHERE id IN (4, 8)""", "app")
    migration.to("backfill")
    migration.back("start")


@pytest.mark.slow
def test_what_the_findings_advise_can_be_done(database: Make, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    db.run("""UPDATE "Air;port".meals SET course = NULL WHERE id IN (4, 8);
        UPDATE "Air;port".meals SET course = 'first' WHERE id IN (12, 16)""")
    before = look(db, exact=False)
    migration = Migration(db, tmp_path, SPEC)
    migration.to("expand")
    keys = dict(db.rows(f'SELECT "Na;me", "Nr."::text FROM {AIRLINES}'))
    soup = db.value("""SELECT id::text FROM "Air;port".dish WHERE (dish, course) = ('soup', 'main')""")
    migration.decide([
        Line(0, "flies", (), "el al", None, decision="choose", target=keys["El Al"]),
        Line(0, "meal", (), "soup", None, decision="choose", target=soup),
    ])  # fmt: skip
    migration.to("contract")
    with_it = f"""SELECT count(*) FROM "Air;port".flights WHERE airline_id = {keys["El Al"]}"""
    assert db.value(with_it) == db.value("SELECT count(*) FROM truth.flights WHERE lower(airline) = 'el al'")
    db.run(f"""DELETE FROM {AIRLINES} WHERE "Na;me" = 'el al'""")
    assert db.rows("""SELECT DISTINCT dish_id::text FROM "Air;port".meals WHERE id IN (4, 8)""") == [(soup,)]
    migration.back("start")
    assert_same(look(db, exact=False), before)


@pytest.mark.slow
def test_a_text_too_long_for_an_index_is_found_and_one_that_means_nothing_gets_no_row(
    database: Make, tmp_path: Path
) -> None:
    db = database(TEMPLATE)
    db.run("""UPDATE "Air;port".meals SET says = (SELECT string_agg(md5(g::text), '') FROM generate_series(1, 400) g)
        WHERE id = 7""")
    migration = Migration(db, tmp_path, SPEC)
    [finding] = [f for f in migration.audit().findings if f.code == "NF114"]
    assert (finding.subject, finding.count) == ("word", 1)
    with pytest.raises(ProofFailed, match="word: a text is too long for an index"):
        migration.to("expand")
    migration.back("start")
    db.run("UPDATE \"Air;port\".meals SET says = 'Tree' WHERE id = 7", "app")
    migration.decide([Line(0, "says", (), "sea", None, decision="null")])
    migration.to("constrain")
    assert db.value(f"SELECT count(*) FROM {TABLES['word']}") == 1
    assert db.rows('SELECT id, word_id IS NULL FROM "Air;port".meals WHERE id IN (3, 7) ORDER BY 1') == [
        (3, True), (7, False),
    ]  # fmt: skip
    migration.back("start")


@pytest.mark.slow
def test_forth_back_and_forth_beside_writers(database: Make, tmp_path: Path) -> None:
    db, twin = database(TEMPLATE), database(TEMPLATE)
    migration = Migration(db, tmp_path, SPEC)
    round_ = 1000
    # Each goes on from where the one before has stopped: expand and contract are done, undone and done.
    for phase, back_to in (("expand", "start"), ("expand", ""), ("contract", "constrain"), ("contract", "")):
        migration.to(phase)
        round_ += 1
        _write(db, twin, round_, old=phase != "contract", new=True)
        if phase == "contract":
            assert db.rows(WRONG) == []
        if back_to:
            migration.back(back_to)
    migration.back("start")
    assert_same(look(db, exact=False), look(twin, exact=False))
    migration.to("contract")
    assert db.rows(WRONG) == []


def _write(db: Database, twin: Database, n: int, *, old: bool, new: bool) -> None:
    """Old code writes texts, known and unheard-of; new code makes a row and writes its key."""
    texts = f"""
        INSERT INTO "Air;port".flights VALUES ({n}, 1, 'ELF', 'Paris', NULL), ({n + 500}, 2, 'new “{n}”', 'new {n}', 'Rome');
        INSERT INTO "Air;port".crews VALUES ({n}, 'new “{n}”', 1, 'Rome'), ({n}, 'new “{n}”', 1, 'Rome');
        INSERT INTO "Air;port".meals VALUES ({n}, 'soup', 'main', 'sEA'), ({n + 500}, 'dish {n}', 'late', 'Word{n}');"""
    keyed = f"""
        INSERT INTO {AIRLINES} ("Na;me") VALUES ('made {n}');
        INSERT INTO "Air;port".flights (id, tenant, airline_id, origin_id)
            SELECT {n + 1000}, 1, a."Nr.", p.id FROM {AIRLINES} a, "Air;port".place p
            WHERE a."Na;me" = 'made {n}' AND (p.owner, p.place) = (1, 'Paris');"""
    if old:
        db.run(texts, "app")
        twin.run(texts, "app")
    if new:
        db.run(keyed, "app")
        twin.run(f"INSERT INTO \"Air;port\".flights VALUES ({n + 1000}, 1, 'made {n}', 'Paris', NULL)", "app")


def test_writers_of_new_texts_beside_expand_and_backfill(database: Make, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    done, written, refused = Event(), [0], list[str]()

    def write(seed: int) -> None:
        choice = Random(seed)
        with db.connect("app") as app:
            while not done.is_set():
                row = (f"beside {choice.randrange(300)}", choice.randrange(3), f"home {choice.randrange(300)}")
                try:
                    app.execute(
                        'INSERT INTO "Air;port".crews (no, airline, tenant, home) VALUES (2000, %s, %s, %s)', row
                    )
                except psycopg.Error as error:
                    refused.append(str(error))
                written[0] += 1

    writers = [Thread(target=write, args=(seed,)) for seed in (1, 2)]
    for writer in writers:
        writer.start()
    try:
        Migration(db, tmp_path, SPEC).to("verify")
    finally:
        done.set()
        for writer in writers:
            writer.join()
    assert (refused, written[0] > 100) == ([], True)
    of_crews = f"""FROM "Air;port".crews t LEFT JOIN {AIRLINES} a ON a."Nr." = t.airline_id
        LEFT JOIN {TABLES["place"]} p ON p.id = t.home_id WHERE a."Na;me" IS DISTINCT FROM t.airline
        OR p.place IS DISTINCT FROM t.home OR p.owner <> t.tenant"""
    assert db.value(f"SELECT count(*) {of_crews}") == 0
    assert db.rows(WRONG) == []


def test_who_may_use_it_and_what_it_says_of_itself(database: Make, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    # In a window too: the fence cannot stand around what is not there yet.
    api.run(replace(Migration(db, tmp_path, SPEC).options, strategy="window"), until="expand")
    rights = "SELECT string_agg(p, ' ' ORDER BY p) FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) p "
    rights += "WHERE has_table_privilege('{}', '{}', p)"
    assert db.value(rights.format("nf_app", AIRLINES)) == "INSERT SELECT"
    assert db.value(rights.format("pg_monitor", AIRLINES)) == "SELECT", "who may read the column may read this"
    assert db.value(rights.format("pg_monitor", TABLES["place"])) is None
    comment = db.value(f"SELECT obj_description('{AIRLINES}'::regclass)")
    assert comment.startswith("Every Na;me once; made by Normalform of the distinct values of ")
    types = "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute WHERE attrelid = '{}'::regclass AND attnum > 0"
    assert db.rows(types.format(AIRLINES)) == [
        ("Nr.", "integer", True), ("Na;me", "character varying(60)", True),
    ]  # fmt: skip
    assert db.rows(types.format(TABLES["place"])) == [
        ("id", "bigint", True), ("owner", "bigint", True), ("place", "text", True),
    ]  # fmt: skip
    assert db.rows(types.format(TABLES["word"])) == [("id", "bigint", True), ("word", "citext", True)]
    with pytest.raises(psycopg.errors.UniqueViolation):
        db.run(f"INSERT INTO {AIRLINES} (\"Na;me\") VALUES ('ELF')", "app")


def test_row_level_security_of_a_reference_keeps_the_new_table_closed(database: Make, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    db.run('ALTER TABLE "Air;port".crews ENABLE ROW LEVEL SECURITY')
    Migration(db, tmp_path, SPEC).to("expand")
    assert db.value(f"SELECT has_table_privilege('nf_app', '{AIRLINES}', 'SELECT')") is False
    assert db.value(f"SELECT has_table_privilege('nf_app', '{TABLES['word']}', 'SELECT')") is True


def test_undo_says_what_applications_have_added_and_drops_what_is_ours_alone(database: Make, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    said: list[str] = []

    def sink(event: Said) -> None:
        if event.kind == "note":
            said.append(event.text)

    migration = Migration(db, tmp_path, SPEC, sink)
    migration.to("expand")
    db.run(f"""INSERT INTO {AIRLINES} ("Na;me") VALUES ('one'), ('two');
        INSERT INTO "Air;port".crews VALUES (1, 'by sync', 1, NULL); DELETE FROM {AIRLINES} WHERE "Na;me" = 'two'""")
    migration.back("resolve")
    assert f"1 rows that applications have added to {AIRLINES}, or renamed, go with it" in said
    assert db.value(f"SELECT to_regclass('{AIRLINES}')") is None
    # A table of that name which somebody has made meanwhile is his.
    db.run(f"CREATE TABLE {AIRLINES} (x int)")
    with pytest.raises((GateClosed, SpecError)):
        migration.to("expand")
    db.run(f"DROP TABLE {AIRLINES}")
    migration.to("expand")
    migration.back("start")
    assert db.value(f"SELECT to_regclass('{AIRLINES}')") is None


def test_what_cannot_be_made_is_said(database: Make, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    db.run(f'CREATE TABLE {AIRLINES} ("Nr." int PRIMARY KEY, "Na;me" text UNIQUE)')
    with pytest.raises(SpecError, match="exists already and is not ours; to use it as it is, leave out create"):
        Migration(db, tmp_path, SPEC).audit()
    db.run(f"DROP TABLE {AIRLINES}")
    for bad in (
        'unique = ["Na;me"]',
        'aliases = "a"',
        "new_row = { x = 1 }",
        "scope = { add = 't', copy = 'a.b', join = 'j' }",
    ):
        with pytest.raises(SpecError, match="create"):
            Migration(db, tmp_path, SPEC.replace('key = "Nr."', f'key = "Nr."\n{bad}')).audit()
    with pytest.raises(DecisionError, match="choose needs a row of airline, which expand makes first"):
        Migration(db, tmp_path, SPEC).decide([Line(0, "flies", (), "El Al", None, decision="choose", target="1")])
