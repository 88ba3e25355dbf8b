"""Verify: every class of row, the sums, and what it says; what changes while it reads is in test_verify_live."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

import mini
from filled import FILLED
from fix_servers import OWNER, Database
from normalform import api
from normalform.api import Options
from normalform.core.certificate import Certificate
from normalform.core.checksum import Checksum
from normalform.core.events import Event
from normalform.db.certificates import latest, unproven
from normalform.db.survey import read_tally
from normalform.db.work import Context
from normalform.errors import GateClosed, ProofFailed
from normalform.phases import verify
from normalform.sql.sums import checksum_query, tally_query

Engine = Callable[..., Context]
#: Changes rows as nobody should: no trigger fires, no foreign key is asked.
BEHIND = "SET session_replication_role = replica; "


def certificates(ctx: Context) -> dict[str, Certificate]:
    return {c.reference: c for c in verify.verify(ctx)}


def corrupt(db: Database, statement: str) -> None:
    db.run(BEHIND + statement, role="admin")


@pytest.fixture
def filled(database: Callable[..., Database]) -> Database:
    return database(FILLED)


@pytest.mark.slow
def test_what_is_right_passes_and_is_counted_by_what_makes_it_right(filled: Database, engine: Engine) -> None:
    ctx = engine(filled.url)
    verify.do(ctx)
    found = certificates(ctx)
    assert set(found) == {"machine_tags", "permatags", "image_tags", "keyword_models", "faces"}
    for name, certificate in found.items():
        assert certificate.passed, certificate.failures
        assert certificate.stored_checksum == certificate.keyed_checksum
        assert certificate.rows == filled.value(f"SELECT count(*) FROM {ctx.model.reference(name).table.name}")
    kinds = found["image_tags"].kinds
    assert kinds["decided"] == 10 and kinds["nulled"] == 5 and kinds["residue"] > 10 and kinds["exact"] >= 5
    assert set(found["machine_tags"].kinds) == {"exact"}
    assert found["keyword_models"].kinds == {"exact": 83, "decided": 1}
    faces = found["faces"].kinds
    assert faces["alias"] > 10 and faces["exact"] > 10 and faces["empty"] == 1 and faces["undecided"] == 1
    assert found["faces"].undecided == 1 and found["image_tags"].undecided == 5


#: What is done to the database, and the reference, row and kind that must be named for it.
WRONG = [
    ("UPDATE machine_tags SET keyword_id = 4 WHERE id = 1", "machine_tags", "1", "differing"),
    ("UPDATE machine_tags SET keyword_id = 5 WHERE id = 1", "machine_tags", "1", "cross_scope"),
    ("UPDATE machine_tags SET keyword_id = 999999 WHERE id = 1", "machine_tags", "1", "dangling"),
    ("UPDATE machine_tags SET keyword_id = NULL WHERE id = 1", "machine_tags", "1", "null_key"),
    ("UPDATE machine_tags SET keyword = 'trees' WHERE id = 1", "machine_tags", "1", "differing"),
    ("UPDATE machine_tags SET keyword = 'Tree' WHERE id = 1", "machine_tags", "1", "differing"),
    ("UPDATE machine_tags SET keyword = 'tree ' WHERE id = 1", "machine_tags", "1", "differing"),
    ("UPDATE machine_tags SET keyword = '' WHERE id = 1", "machine_tags", "1", "differing"),
    ("UPDATE machine_tags SET tenant_id = 'u' WHERE id = 1", "machine_tags", "1", "cross_scope"),
    ("UPDATE machine_tags SET category = 'games' WHERE id = 42", "machine_tags", "42", "ambiguous"),
    ("UPDATE machine_tags SET category = NULL WHERE id = 42", "machine_tags", "42", "ambiguous"),
    ("UPDATE machine_tags SET keyword_id = 3 WHERE id = 42", "machine_tags", "42", "ambiguous"),
    ("UPDATE image_tags SET tenant_id = NULL WHERE id = 1", "image_tags", "1", "cross_scope"),
    (
        "UPDATE image_tags SET keyword_id = 4 WHERE keyword = 'TREE' AND image_id = 1",
        "image_tags",
        None,
        "contradicted",
    ),
    (
        "UPDATE image_tags SET keyword_id = 1 WHERE keyword = 'mystery' AND image_id = 1",
        "image_tags",
        None,
        "contradicted",
    ),
    ("UPDATE image_tags SET keyword = 'TREe' WHERE keyword = 'TREE' AND image_id = 1", "image_tags", None, "differing"),
    ("UPDATE keyword_models SET keyword_id = 240 WHERE keyword = 'twin0'", "keyword_models", None, "contradicted"),
    ("DELETE FROM normalform.mapping WHERE value = 'twin0'", "keyword_models", None, "ambiguous"),
    ("DELETE FROM normalform.mapping WHERE value = 'mystery'", "image_tags", None, "null_key"),
    ("UPDATE detected_faces SET person_id = 2 WHERE id = 1", "faces", "1", "differing"),
    ("UPDATE detected_faces SET person_id = 2 WHERE id = 2", "faces", "2", "differing"),
    ("UPDATE detected_faces SET person_id = NULL WHERE id = 1", "faces", "1", "null_key"),
    ("UPDATE detected_faces SET person_id = NULL WHERE id = 2", "faces", "2", "null_key"),
    ("UPDATE detected_faces SET person_id = 1 WHERE person_name IS NULL", "faces", "4", "differing"),
    ("UPDATE detected_faces SET person_id = 1 WHERE id = 5", "faces", "5", "differing"),
    ("UPDATE detected_faces SET person_name = 'any', person_id = 102 WHERE id = 1", "faces", "1", "differing"),
    ("UPDATE people SET aliases = '[\"Countess\"]' WHERE id = 1", "faces", "2", "differing"),
    # What an alias meant when the mapping was stored, it still means; without an entry two rows are one too many.
    (
        "UPDATE people SET aliases = '[\"Ada\"]' WHERE id = 2; DELETE FROM normalform.mapping WHERE how = 'alias'",
        "faces",
        "2",
        "differing",
    ),
    ("DELETE FROM people WHERE id = 3", "faces", "6", "dangling"),
    ("UPDATE keywords SET keyword = 'ocean' WHERE id = 4", "permatags", "1", "differing"),
    ("UPDATE keywords SET keyword = 'tree' WHERE id = 4", "permatags", "1", "differing"),
    ("UPDATE keywords SET tenant_id = 'u' WHERE id = 4", "permatags", "1", "cross_scope"),
    ("DELETE FROM keywords WHERE id = 4", "permatags", "1", "dangling"),
    ("UPDATE keyword_categories SET name = 'trips' WHERE id = 3", "machine_tags", "42", "ambiguous"),
    ("UPDATE keyword_categories SET name = 'travel' WHERE id = 4", "machine_tags", "42", "ambiguous"),
    # A cycle in the categories leaves them without a path.
    ("UPDATE keyword_categories SET parent_id = id WHERE id IN (3, 4)", "machine_tags", "42", "ambiguous"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "step"), [("live", 1), ("window", 7)])
def test_what_is_wrong_is_named(filled: Database, engine: Engine, strategy: str, step: int) -> None:
    """Each change by itself, undone before the next, on one database."""
    events: list[Event] = []
    ctx = engine(filled.url, sink=events.append, strategy=strategy, options={"all": True}, workers=1)
    keep = [
        "machine_tags",
        "image_tags",
        "keyword_models",
        "detected_faces",
        "people",
        "keywords",
        "keyword_categories",
    ]
    kept = [*(f"public.{t}" for t in keep), "normalform.mapping"]
    names = {t: f"kept_{i}" for i, t in enumerate(kept)}
    filled.run("".join(f"CREATE TABLE {copy} AS TABLE {t}; " for t, copy in names.items()), role="admin")
    back = "".join(
        f"DELETE FROM {t}; INSERT INTO {t} OVERRIDING SYSTEM VALUE TABLE {copy}; " for t, copy in names.items()
    )
    for statement, reference, identity, kind in WRONG[::step]:
        corrupt(filled, statement)
        events.clear()
        found = certificates(ctx)
        offences = [e for e in events if e.kind == "offence" and e.name == reference and e.data["kind"] == kind]
        assert not found[reference].passed, statement
        assert offences, statement
        assert identity is None or identity in [e.data["identity"][0] for e in offences], statement
        # A wrong key that gives the very same text and qualifier shows in the class alone.
        same = "'twin0'" in statement
        assert (found[reference].stored_checksum == found[reference].keyed_checksum) == same, statement
        said = verify.explain(list(found.values()))
        assert f"\n  {reference}: " in said and f": {kind}: " in said
        corrupt(filled, back)
    verify.do(ctx)


def test_a_text_that_another_row_lists_as_alias_too_is_not_decided_by_it(filled: Database, engine: Engine) -> None:
    corrupt(filled, "UPDATE people SET aliases = '[\"Ada\"]' WHERE id = 2")
    corrupt(
        filled,
        "INSERT INTO normalform.mapping (reference, scope, value, how, key) "
        "VALUES ('faces', '{t}', 'Ada', 'alias', '1') "
        "ON CONFLICT (reference, value, scope, qualifier) DO UPDATE SET how = 'alias', key = '1'",
    )
    assert certificates(engine(filled.url))["faces"].passed


@pytest.mark.slow
def test_a_deleted_row_shows_between_two_certificates(filled: Database, engine: Engine) -> None:
    ctx = engine(filled.url)
    before = verify.verify(ctx)
    corrupt(filled, "DELETE FROM machine_tags WHERE id = 3; UPDATE permatags SET category = 'x' WHERE id = 1")
    after = verify.verify(ctx)
    assert all(c.passed for c in after)
    lines = verify.compare(before, after)
    rows = {c.reference: c.rows for c in before}
    assert lines[0] == f"machine_tags: {rows['machine_tags']} rows before, {rows['machine_tags'] - 1} now"
    assert lines[1].startswith("permatags: ") and "not the same" in lines[1] and len(lines) == 2
    assert verify.compare(before, before) == []


def test_the_sums_are_those_that_python_computes(filled: Database, engine: Engine) -> None:
    ctx = engine(filled.url)
    found = certificates(ctx)
    columns = {
        "machine_tags": "id, tenant_id, keyword, category",
        "permatags": "id, tenant_id, keyword, category",
        "image_tags": "id, tenant_id, keyword, category",
        "keyword_models": "id, tenant_id, keyword, NULL",
        "faces": "id, tenant_id, person_name, NULL",
    }
    for name, listed in columns.items():
        table = ctx.model.reference(name).table.name
        rows = filled.rows(f"SELECT {listed} FROM public.{table}")
        assert found[name].stored_checksum == str(
            Checksum.of([None if v is None else str(v) for v in row] for row in rows)
        )


def test_one_query_gives_the_same_figures(filled: Database, engine: Engine) -> None:
    ctx = engine(filled.url)
    corrupt(filled, "UPDATE machine_tags SET keyword_id = 4 WHERE id = 1")
    found = certificates(ctx)
    for reference in ctx.model.references:
        row = ctx.conn.execute(checksum_query(reference)).fetchone()
        c = found[reference.name]
        bad = c.null_keys + c.dangling + c.cross_scope + c.differing + c.pending
        assert row == (reference.name, c.rows, bad, c.stored_checksum, c.keyed_checksum)


@pytest.mark.slow
def test_the_script_says_in_psql_what_the_certificates_say(filled: Database, engine: Engine, tmp_path: Path) -> None:
    """With settings of the role under which dates, which are part of a row's identity here, print otherwise."""
    filled.run(
        "ALTER TABLE permatags ADD day date NOT NULL DEFAULT '2026-02-01', DROP CONSTRAINT permatags_pkey, "
        "ADD PRIMARY KEY (id, day)"
    )
    for setting in ("datestyle = 'SQL, DMY'", "search_path = 'nowhere'", "standard_conforming_strings = off"):
        filled.run(f"ALTER ROLE {OWNER} IN DATABASE {filled.name} SET {setting}", role="admin")
    ctx = engine(filled.url)
    corrupt(filled, "UPDATE machine_tags SET keyword_id = 4 WHERE id = 1")
    path = tmp_path / "sums.sql"
    path.write_text(api.verify_sql(Options(filled.url)), "utf-8")
    made = filled.server.run_tool(
        "psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-U", OWNER, "-d", filled.name, "-f", path
    )
    expected = []
    for reference in ctx.model.references:
        c = certificates(ctx)[reference.name]
        wrong = c.null_keys + c.dangling + c.cross_scope + c.differing + c.pending
        expected.append(f"{reference.name}|{c.rows}|{wrong}|{c.stored_checksum}|{c.keyed_checksum}")
    assert made.stdout.splitlines() == expected
    assert expected[0].split("|")[2] == "1"


def test_there_is_no_script_without_text_and_key(database: Callable[..., Database]) -> None:
    db = database("mini", mini.SCHEMA + mini.DATA)
    with pytest.raises(GateClosed, match="machine_tags has no column keyword_id"):
        api.verify_sql(Options(db.url, mini.SPEC_TEXT))


@pytest.mark.slow
def test_a_null_is_not_an_empty_text(filled: Database, engine: Engine) -> None:
    ctx = engine(filled.url)
    corrupt(filled, "UPDATE image_tags SET category = NULL WHERE id = 1")
    null = certificates(ctx)["image_tags"]
    corrupt(filled, "UPDATE image_tags SET category = '' WHERE id = 1")
    empty = certificates(ctx)["image_tags"]
    assert null.passed and empty.passed and null.stored_checksum != empty.stored_checksum


@pytest.mark.slow
def test_certificates_are_kept_and_undo_deletes_them(filled: Database, engine: Engine) -> None:
    ctx = engine(filled.url)
    assert unproven(ctx.conn, ctx.model) == [f"{r.name}: not verified" for r in ctx.model.references]
    made = certificates(ctx)
    kept = latest(ctx.conn)
    assert {n: (c.rows, c.stored_checksum, c.passed, c.mode) for n, c in kept.items()} == {
        n: (c.rows, c.stored_checksum, c.passed, c.mode) for n, c in made.items()
    }
    assert unproven(ctx.conn, ctx.model) == []
    corrupt(filled, "UPDATE machine_tags SET keyword_id = NULL WHERE id = 1")
    failed = certificates(ctx)["machine_tags"]
    doubts = unproven(ctx.conn, ctx.model)
    assert not failed.passed and len(doubts) == 1 and "did not pass" in doubts[0]
    verify.undo(ctx, clear_rows=True)
    assert latest(ctx.conn) == {}


def test_masking_hides_every_value(filled: Database, engine: Engine) -> None:
    events: list[Event] = []
    corrupt(filled, "UPDATE machine_tags SET keyword = 'top secret', category = 'hidden' WHERE id = 1")
    ctx = engine(filled.url, sink=events.append, options={"mask": True, "all": True})
    with pytest.raises(ProofFailed) as failed:
        verify.do(ctx)
    said = failed.value.message + "".join(str(e) for e in events)
    assert "machine_tags 1: differing" in said
    for value in ("secret", "hidden", "'tree'", "nature"):
        assert value not in said


@pytest.mark.slow
def test_a_failure_says_what_to_run_next(filled: Database, engine: Engine) -> None:
    ctx = engine(filled.url)
    corrupt(filled, "UPDATE machine_tags SET keyword_id = NULL WHERE id = 1")
    with pytest.raises(ProofFailed, match="1 null_key") as failed:
        verify.do(ctx)
    assert failed.value.exit_status == 1 and "rollback --to expand" in (failed.value.hint or "")
    corrupt(filled, "UPDATE machine_tags SET keyword_id = 3 WHERE id = 42")
    with pytest.raises(ProofFailed) as failed:
        verify.do(ctx)
    assert "resolve export" in (failed.value.hint or "")


def test_no_sample_is_lost_and_there_are_not_too_many(filled: Database, engine: Engine) -> None:
    corrupt(filled, "UPDATE machine_tags SET keyword_id = NULL WHERE id <= 40")
    found = certificates(engine(filled.url))["machine_tags"]
    assert found.null_keys == 40 and len(found.offences) == 10


def test_without_key_or_text_the_gate_is_closed(database: Callable[..., Database], engine: Engine) -> None:
    db = database()
    db.run(mini.SCHEMA + mini.DATA)
    with pytest.raises(GateClosed, match="machine_tags has no column keyword_id"):
        verify.gate(engine(db.url))


OTHER = """
CREATE SCHEMA "Air Traffic";
CREATE TABLE "Air Traffic"."Codes" (uid uuid PRIMARY KEY, "the Text" char(8) NOT NULL, kind text,
    CONSTRAINT u UNIQUE ("the Text", kind));
CREATE TABLE "Air Traffic"."Hops" ("the Text" char(8), kind text, note text);
INSERT INTO "Air Traffic"."Codes" SELECT gen_random_uuid(), 'c' || g / 2, CASE WHEN g % 2 = 0 THEN 'even' END
    FROM generate_series(0, 9) g;
INSERT INTO "Air Traffic"."Hops" SELECT 'c' || g % 5, 'even', 'same' FROM generate_series(1, 20) g;
"""
OTHER_SPEC = """
version = 1
[lookup.code]
table = '"Air Traffic"."Codes"'
key = "uid"
text = '"the Text"'
qualifier = "kind"
[reference.hops]
table = '"Air Traffic"."Hops"'
lookup = "code"
text = '"the Text"'
qualifier = "kind"
add = "Code Id"
"""


def test_uuid_keys_no_scope_own_qualifier_and_no_primary_key(database: Callable[..., Database], engine: Engine) -> None:
    db = database()
    db.run(OTHER)
    ctx = engine(db.url, OTHER_SPEC.replace("'\"the Text\"'", '"the Text"'))
    reference = ctx.model.reference("hops")
    db.run('ALTER TABLE "Air Traffic"."Hops" ADD "Code Id" uuid')
    db.run(
        'UPDATE "Air Traffic"."Hops" h SET "Code Id" = c.uid FROM "Air Traffic"."Codes" c '
        'WHERE c."the Text" = h."the Text" AND c.kind = h.kind'
    )
    clean = read_tally(ctx.conn.execute(tally_query(reference)))
    assert clean.kinds == {"exact": 20} and clean.stored == clean.keyed
    # Equal rows count as often as they occur.
    db.run('DELETE FROM "Air Traffic"."Hops" WHERE ctid IN (SELECT min(ctid) FROM "Air Traffic"."Hops")')
    fewer = read_tally(ctx.conn.execute(tally_query(reference)))
    assert fewer.rows == 19 and fewer.stored == fewer.keyed and fewer.stored != clean.stored
    db.run('UPDATE "Air Traffic"."Hops" SET kind = NULL WHERE "the Text" = \'c1\'')
    wrong = read_tally(ctx.conn.execute(tally_query(reference)))
    assert wrong.kinds["ambiguous"] in (3, 4) and wrong.bad == wrong.kinds["ambiguous"]


def test_texts_under_different_collations_are_compared_byte_by_byte(
    database: Callable[..., Database], engine: Engine
) -> None:
    db = database()
    db.run(
        mini.SCHEMA.replace(
            "keyword varchar(100) NOT NULL, prompt", 'keyword varchar(100) COLLATE "C" NOT NULL, prompt'
        )
    )
    db.run(mini.DATA)
    ctx = engine(db.url)
    db.run(
        "ALTER TABLE public.keywords ADD tenant_id varchar(50); ALTER TABLE public.permatags ADD keyword_id integer; "
        "UPDATE public.keywords k SET tenant_id = c.tenant_id FROM public.keyword_categories c "
        "WHERE c.id = k.category_id; "
        "UPDATE public.permatags SET keyword_id = 4"
    )
    tally = read_tally(ctx.conn.execute(tally_query(ctx.model.reference("permatags"))))
    assert tally.kinds == {"exact": 20}


def test_reading_needs_no_right_to_write(filled: Database, engine: Engine) -> None:
    """A role with SELECT alone computes the same sums."""
    ctx = engine(filled.url)
    filled.run(
        "CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA public, normalform TO reader; "
        "GRANT SELECT ON ALL TABLES IN SCHEMA public, normalform TO reader",
        role="admin",
    )
    try:
        with psycopg.connect(filled.url_of("reader"), autocommit=True) as conn:
            conn.execute("SET default_transaction_read_only = on")
            row = conn.execute(checksum_query(ctx.model.reference("machine_tags"))).fetchone()
        assert row is not None and row[2] == 0
    finally:
        filled.run(sql.SQL("DROP OWNED BY reader; DROP ROLE reader").as_string(None), role="admin")
