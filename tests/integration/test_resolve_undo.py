"""Undo gives back what still equals what the decision left, and lists the rest; whatever the table looks like."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from compare import checksums, dump_schema
from fix_servers import Database, template
from normalform.db.work import Context
from normalform.phases import resolve
from resolving import CASES, TEMPLATE, file, line

Engine = Callable[..., Context]
Make = Callable[..., Database]


def test_a_row_written_since_is_listed_and_left_alone(database: Make, engine: Engine, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    ctx = engine(db.url)
    resolve.apply(ctx, file(tmp_path, [line("lookup.keyword", "t", "tree", "nature/plants", "rename", "arbre")]))
    db.run("UPDATE machine_tags SET keyword = 'oak' WHERE image_id = 5 AND keyword = 'arbre'", "app")
    db.run("UPDATE machine_tags SET confidence = 0.25 WHERE image_id = 6 AND keyword = 'arbre'", "app")
    db.run("DELETE FROM machine_tags WHERE image_id = 7 AND keyword = 'arbre'", "app")
    db.run("INSERT INTO machine_tags (image_id, tenant_id, keyword) VALUES (8, 't', 'tree')", "app")
    report = resolve.undo_decisions(ctx)
    assert {(x.table, x.action, x.why.split(" ")[0]) for x in report.left} == {
        ('"public"."machine_tags"', "update", "it"),
        ('"public"."machine_tags"', "update", "duplicate"),
    }
    assert sorted(x.why for x in report.left)[1:] == ["it is gone", "it was changed since"]
    assert report.left_total == 3
    rows = db.rows("SELECT image_id, keyword, confidence FROM machine_tags WHERE image_id IN (5, 6, 8, 9) AND keyword "
                   "<> 'bridge' ORDER BY 1, 2")  # fmt: skip
    assert rows == [(5, "oak", 1.0), (6, "tree", 0.25), (8, "arbre", 1.0), (8, "tree", 1.0), (9, "tree", 1.0)]


def test_a_deleted_row_whose_place_is_taken_is_listed(database: Make, engine: Engine, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    [(number,)] = db.rows("SELECT id FROM image_tags WHERE keyword = 'lyra' AND category IS NULL")
    ctx = engine(db.url)
    resolve.apply(ctx, file(tmp_path, CASES["drop"]))
    db.run(f"INSERT INTO image_tags (id, image_id, keyword) VALUES ({number}, 1, 'mine')", "app")
    db.run("DELETE FROM image_metadata WHERE id = 11", "app")
    report = resolve.undo_decisions(ctx)
    assert report.left_total == 2
    assert {"duplicate key" in x.why or "foreign key" in x.why for x in report.left} == {True}
    assert db.rows(f"SELECT keyword FROM image_tags WHERE id = {number}") == [("mine",)]
    assert db.value("SELECT count(*) FROM image_tags WHERE tenant_id IS NULL AND keyword = 'tree'") == 1


def test_created_rows_in_use_stay(database: Make, engine: Engine, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    before = checksums(db)
    ctx = engine(db.url)
    resolve.apply(ctx, file(tmp_path, CASES["create"]))
    [(used,)] = db.rows("SELECT k.id FROM keywords k WHERE k.keyword = 'lyra' AND k.category_id = 3")
    db.run(f"INSERT INTO favourites (owner, keyword_id) VALUES ('dan', {used})", "app")
    db.run("UPDATE keywords SET prompt = 'mine' WHERE keyword = 'lyra' AND category_id = 5", "app")
    report = resolve.undo_decisions(ctx)
    assert sorted(x.why for x in report.left) == ["it was changed since", "something refers to it now"]
    assert db.rows("SELECT category_id FROM keywords WHERE keyword = 'lyra' ORDER BY 1") == [(3,), (5,)]
    after = checksums(db)
    assert {t for t in after if after[t] != before[t]} == {"public.keywords", "public.favourites"}


def test_a_width_that_a_text_needs_stays(database: Make, engine: Engine, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    ctx = engine(db.url)
    resolve.apply(ctx, file(tmp_path, CASES["create wide"]))
    assert db.value("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'keywords'::regclass "
                    "AND attname = 'keyword'") == "character varying(255)"  # fmt: skip
    db.run("INSERT INTO keywords (category_id, keyword) VALUES (1, repeat('y', 101))", "app")
    report = resolve.undo_decisions(ctx)
    assert report.left == () and len(report.notes) == 1 and "stays wide" in report.notes[0]
    assert db.value("SELECT max(length(keyword)) FROM keywords") == 101


def test_a_later_decision_supersedes_and_undo_goes_back_one_by_one(
    database: Make, engine: Engine, tmp_path: Path
) -> None:
    db = database(TEMPLATE)
    before = checksums(db)
    ctx = engine(db.url)
    first = [line("image_tags", "t", "bridge", None, "choose", "2")]
    resolve.apply(ctx, file(tmp_path, first))
    resolve.apply(ctx, file(tmp_path, [line("image_tags", "t", "bridge", None, "choose", "3")], "second.csv"))
    stored = "SELECT how, key FROM normalform.mapping WHERE value = 'bridge'"
    assert db.rows(stored) == [("chosen", "3")]
    merged = [line("lookup.keyword", "t", "bridge", "games", "merge", "2")]
    resolve.apply(ctx, file(tmp_path, merged, "third.csv"))
    assert db.rows(f"{stored} AND reference = 'image_tags' AND qualifier IS NULL") == [("chosen", "2")]
    assert resolve.undo_decisions(ctx).left == ()
    assert db.rows(stored) == []
    assert checksums(db) == before


TRIGGERS = """
ALTER TABLE public.image_tags ADD COLUMN updated_at timestamptz NOT NULL DEFAULT '2020-01-01 00:00:00.123456+00';
CREATE TABLE public.tag_log (id serial PRIMARY KEY, op text);
CREATE FUNCTION public.stamp() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN NEW.updated_at := clock_timestamp(); RETURN NEW; END';
CREATE FUNCTION public.log() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN INSERT INTO public.tag_log (op) VALUES (TG_OP); RETURN NULL; END';
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON public.image_tags FOR EACH ROW EXECUTE FUNCTION public.stamp();
CREATE TRIGGER log AFTER INSERT OR UPDATE OR DELETE ON public.image_tags FOR EACH ROW EXECUTE FUNCTION public.log();
ALTER TABLE public.image_tags ENABLE ALWAYS TRIGGER log;
"""


@pytest.mark.slow
def test_triggers_fire_and_the_bytes_come_back_all_the_same(database: Make, engine: Engine, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    db.run(TRIGGERS)
    before, schema = checksums(db), dump_schema(db)
    ctx = engine(db.url)
    lines = [*CASES["drop"], line("lookup.keyword", "t", "tree", "nature/plants", "rename", "arbre")]
    resolve.apply(ctx, file(tmp_path, lines))
    assert db.value("SELECT count(*) FROM image_tags WHERE updated_at > '2021-01-01'") == 10
    assert resolve.undo_decisions(ctx).left == ()
    after = checksums(db)
    assert {t for t in after if after[t] != before[t]} == {"public.tag_log"}
    assert db.rows("SELECT op, count(*)::int FROM tag_log GROUP BY 1 ORDER BY 1") == [
        ("DELETE", 3), ("INSERT", 3), ("UPDATE", 20),
    ]  # fmt: skip
    assert dump_schema(db, ledger=False) == schema


KEYLESS = """
ALTER TABLE public.image_tags DROP COLUMN id;
ALTER TABLE public.image_tags ADD COLUMN twice text GENERATED ALWAYS AS (keyword || keyword) STORED;
INSERT INTO public.image_tags (tenant_id, image_id, keyword) SELECT 't', 5, 'lyra' FROM generate_series(1, 4);
INSERT INTO public.image_tags (tenant_id, image_id, keyword) SELECT 't', 1, 'tree' FROM generate_series(1, 3);
"""


@pytest.mark.slow
def test_tables_without_a_key(database: Make, engine: Engine, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    db.run(KEYLESS)
    db.run(TRIGGERS)
    before, schema = checksums(db), dump_schema(db)
    ctx = engine(db.url)
    lines = [*CASES["drop"], line("lookup.keyword", "t", "tree", "nature/plants", "rename", "arbre")]
    for _ in range(2):
        assert resolve.apply(ctx, file(tmp_path, lines)).rows["drop"] == 7
        assert db.value("SELECT count(*) FROM image_tags WHERE keyword = 'arbre'") == 13
        assert resolve.undo_decisions(ctx).left == ()
        after = checksums(db)
        assert {t for t in after if after[t] != before[t]} == {"public.tag_log"}
        db.run("TRUNCATE tag_log RESTART IDENTITY")
    assert dump_schema(db, ledger=False) == schema


NASTY = """
CREATE SCHEMA "a;b"; CREATE DOMAIN "a;b"."d""o" AS varchar(40);
CREATE TABLE "a;b"."loo""kup" ("i;d" uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    "te xt" varchar(20) COLLATE "C" NOT NULL, "sc%ope" integer NOT NULL,
    extra jsonb DEFAULT '{"a": [1, 2.50]}', UNIQUE ("sc%ope", "te xt"));
CREATE TABLE "a;b"."re%f" ("id""x" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "na;me" varchar(60), "sc%ope" integer, weight real, "a""t" timestamptz DEFAULT '0044-03-15 BC',
    bits bytea DEFAULT '\\x00ff',
    much numeric(30, 10),
    parts "a;b"."d""o"[], up double precision DEFAULT 'NaN');
INSERT INTO "a;b"."loo""kup" VALUES ('00000000-0000-0000-0000-000000000001', 'tree', 1, NULL),
    ('00000000-0000-0000-0000-000000000002', 'Tree', 1, '{"k": 1.10}');
INSERT INTO "a;b"."re%f" ("na;me", "sc%ope", weight, much, parts) VALUES ('tree', 1, 0.1, 1.10, '{"a,b",NULL}'),
    ('TREE ', 1, 'Infinity', -0.0000000001, NULL), (E'new\\tline\\n', 1, 1e-30, 5, '{}'),
    (repeat('z', 33), 1, 1, 1, NULL), ('tree', 2, 1, 1, NULL), ('%s', NULL, 1, 1, NULL);
"""
NASTY_SPEC = """
version = 1
[lookup.l]
table = '"a;b"."loo""kup"'
key = "i;d"
text = "te xt"
scope = "sc%ope"
[reference."r;1"]
table = '"a;b"."re%f"'
lookup = "l"
text = "na;me"
scope = "sc%ope"
qualifier = false
add = "key;id"
"""
NASTY_TEMPLATE = template("resolving-nasty", NASTY)


@pytest.mark.slow
def test_names_with_quotes_and_semicolons(database: Make, engine: Engine, tmp_path: Path) -> None:
    db = database(NASTY_TEMPLATE)
    before, schema = checksums(db), dump_schema(db)
    text = NASTY_SPEC
    ctx = engine(db.url, text)
    one = "00000000-0000-0000-0000-000000000001"
    lines = [
        line("r;1", "1", "new\tline\n", None, "create"),
        line("r;1", "1", "z" * 33, None, "create"),
        line("r;1", "1", "TREE ", None, "fold", one),
        line("r;1", "2", "tree", None, "drop"),
        line("r;1", None, "%s", None, "drop"),
        line("lookup.l", "1", "Tree", None, "merge", one),
    ]
    for _ in range(2):
        report = resolve.apply(ctx, file(tmp_path, lines))
        assert report.rows == {"create": 2, "drop": 2, "fold": 1, "merge": 1}
        assert db.value('SELECT count(*) FROM "a;b"."loo""kup"') == 3
        assert resolve.undo_decisions(ctx).left == ()
        assert checksums(db) == before
        assert dump_schema(db, ledger=False) == schema


def test_what_refers_to_dropped_rows_comes_back_with_them(database: Make, engine: Engine, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    db.run(
        "CREATE TABLE votes (id serial PRIMARY KEY, tag integer REFERENCES image_tags ON DELETE CASCADE, said json);"
        "CREATE TABLE pins (tag integer DEFAULT 1 REFERENCES image_tags ON DELETE SET NULL, "
        "vote integer REFERENCES votes ON DELETE CASCADE);"
        "INSERT INTO votes (tag, said) SELECT id, '{\"a\":  1}' FROM image_tags WHERE keyword = 'lyra';"
        "INSERT INTO pins SELECT tag, id FROM votes; INSERT INTO pins SELECT tag, NULL FROM votes"
    )
    before = checksums(db)
    ctx = engine(db.url)
    resolve.apply(ctx, file(tmp_path, CASES["drop"]))
    assert db.value("SELECT count(*) FROM pins WHERE tag IS NULL") == 1
    assert db.value("SELECT count(*) FROM votes") == 3
    assert resolve.undo_decisions(ctx).left == ()
    assert checksums(db) == before


def test_nothing_of_ours_needs_a_superuser(database: Make) -> None:
    db = database(TEMPLATE)
    with psycopg.connect(db.url) as conn:
        assert conn.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)
