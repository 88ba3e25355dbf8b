"""`explain` before, during and after contract: each way in which a row can have come by its key, on real servers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import mini
from fix_commands import Commands
from fix_servers import Database, template
from normalform import api
from normalform.api import Options
from normalform.core.explanation import Explanation
from normalform.errors import UsageError
from resolving import file, line

Make = Callable[..., Database]
MORE = """
INSERT INTO public.keywords (id, category_id, keyword) VALUES (7, 3, 'beach'), (8, 4, 'beach');
INSERT INTO public.image_tags (id, tenant_id, image_id, keyword, category) VALUES
    (101, 't', 1, 'bridge', NULL), (102, 't', 2, ' Sea ', 'nature'), (103, 't', 3, 'beach', 'games'),
    (104, 't', 4, 'mystery', NULL), (105, 't', 5, 'lost', NULL), (106, 't', 6, 'comet', NULL),
    (107, 't', 7, 'gone', NULL), (108, 'u', 41, 'sky', 'nature');
CREATE TABLE public."Odd; tags" (
    tenant varchar(50) NOT NULL, "no" integer NOT NULL, word varchar(100) NOT NULL, PRIMARY KEY (tenant, "no", word));
INSERT INTO public."Odd; tags" VALUES ('t', 1, 'tree'), ('t', 2, 'a,b');
INSERT INTO public.keywords (id, category_id, keyword) VALUES (9, 3, 'a,b');
"""
template("explain", mini.SCHEMA + mini.DATA + MORE)
SPEC = (
    mini.SPEC_TEXT.replace("[reference.image_tags]\n", "[reference.image_tags]\nrequired = false\n").replace(
        "keep_text = true", "keep_text = false"
    )
    + """
[reference.odd]
table = '"Odd; tags"'
text = "word"
scope = "tenant"
qualifier = false
"""
)
DECISIONS = [
    line("image_tags", "t", "bridge", None, "choose", "2"),
    line("image_tags", "t", " Sea ", "nature", "fold"),
    line("image_tags", "t", "beach", "games", "merge", "7", "7", "8"),
    line("image_tags", "t", "mystery", None, "null"),
    line("image_tags", "t", "comet", None, "create", "nature/plants"),
    line("image_tags", "t", "gone", None, "drop"),
    line("lookup.keyword", "u", "sky", "nature", "rename", "heaven"),
    line("keyword_models", "t", "bridge", None, "split"),
]


def explain(db: Database, table: str, *key: str, mask: bool = False) -> Explanation:
    [found] = api.explain(Options(db.url, SPEC, mask=mask), table, key)
    return found


def brief(db: Database, table: str, *key: str) -> tuple[str | None, str | None, str | None, list[str]]:
    """Text, key, how, and the words of the decisions."""
    e = explain(db, table, *key)
    return e.text, e.key, e.rule.how, [d.word for d in e.decisions]


def of(db: Database, table: str, where: str) -> str:
    return str(db.value(f"SELECT min(id) FROM public.{table} WHERE {where}"))


@pytest.mark.slow
def test_every_way_before_during_and_after(database: Make, tmp_path: Path) -> None:
    db = database("explain")
    db.run("INSERT INTO public.keyword_models VALUES (50, 't', 'bridge', 'm1')")
    options = Options(db.url, SPEC)
    exact = of(db, "machine_tags", "keyword = 'tree' AND tenant_id = 't'")
    qualified = of(db, "machine_tags", "category = 'games'")
    alias = of(db, "detected_faces", "person_name = 'Ada'")
    empty = of(db, "detected_faces", "person_name IS NULL")

    # Before anything: nothing of ours is here, and explain leaves it so.
    assert brief(db, "machine_tags", exact) == ("tree", None, "exact", [])
    assert explain(db, "machine_tags", exact).rule.key == "1"
    assert explain(db, "machine_tags", qualified).rule.how == "qualified"
    assert explain(db, "public.detected_faces", alias).rule.how == "alias"
    assert explain(db, "image_tags", "101").rule.how == "ambiguous"
    assert explain(db, "image_tags", "105").rule.how == "orphan"
    assert explain(db, "image_tags", "105").moved == "nothing has given it a key"
    assert db.value("SELECT to_regnamespace('normalform') IS NULL")

    api.resolve_apply(options, file(tmp_path, DECISIONS))
    assert brief(db, "image_tags", "101") == ("bridge", None, "chosen", ["choose"])
    assert explain(db, "image_tags", "101").rule.key == "2"
    renamed = explain(db, "image_tags", "108")
    assert (renamed.text, renamed.before, renamed.rule.how) == ("heaven", ("sky", "nature"), "renamed")
    gone = explain(db, "image_tags", "107")
    assert (gone.text, gone.text_from, gone.rule.how) == ("gone", "deleted row", "dropped")
    assert gone.decisions[0].line == 7

    api.run(options, until="verify")
    comet = str(db.value("SELECT id FROM public.keywords WHERE keyword = 'comet'"))
    expected = {
        ("machine_tags", exact): ("tree", "1", "exact", []),
        ("machine_tags", qualified): ("bridge", "3", "qualified", []),
        ("faces", alias): ("Ada", "1", "alias", []),
        ("faces", empty): (None, None, None, []),
        ("image_tags", "101"): ("bridge", "2", "chosen", ["choose"]),
        ("image_tags", "102"): (" Sea ", "4", "folded", ["fold"]),
        ("image_tags", "103"): ("beach", "7", "merged", ["merge"]),
        ("image_tags", "104"): ("mystery", None, "null", ["null"]),
        ("image_tags", "105"): ("lost", None, "orphan", []),
        ("image_tags", "106"): ("comet", comet, "created", ["create"]),
        ("image_tags", "107"): ("gone", None, "dropped", ["drop"]),
        ("image_tags", "108"): ("heaven", "6", "renamed", ["rename"]),
        ("odd", 't,2,"a,b"'): ("a,b", "9", "exact", []),
    }
    assert {k: brief(db, *k) for k in expected} == expected
    filled = explain(db, "machine_tags", exact)
    assert filled.batch is not None
    assert (filled.batch.work, filled.batch.worker) == ("fill:machine_tags", 0)
    assert filled.batch.first_block <= 0 < filled.batch.end_block
    assert filled.batch.run.command == "run --strategy live --until verify"
    assert filled.batch.run.person and filled.batch.run.role == "nf_owner"
    assert filled.row is not None and (filled.row.text, filled.row.path) == ("tree", "nature/plants")
    by = explain(db, "image_tags", "101").decisions[0]
    assert by.target == "2" and by.person and by.run and by.at

    # Rows that the application writes beside us: their keys are sync's, and no batch is claimed for them.
    db.run(
        "UPDATE public.machine_tags SET confidence = 2 WHERE category = 'travel'; "
        "INSERT INTO public.machine_tags (id, image_id, tenant_id, keyword, category) "
        "VALUES (900, 40, 't', 'sea', 'nature')",
        role="app",
    )
    touched = explain(db, "machine_tags", of(db, "machine_tags", "category = 'travel'"))
    assert touched.batch is None and "after its batch, or made it" in touched.moved
    assert explain(db, "machine_tags", "900").rule.how == "exact"
    expected["machine_tags", "900"] = ("sea", "4", "exact", [])

    api.run(options, until="contract")
    del expected["odd", 't,2,"a,b"']
    assert {k: brief(db, *k) for k in expected} == expected
    assert explain(db, "machine_tags", exact).text_from == "key"
    assert explain(db, "machine_tags", exact).batch == filled.batch, "dropping columns leaves a row's xmin alone"
    assert explain(db, "image_tags", "102").text_from == "archive"
    assert explain(db, "image_tags", "102").qualifier == "nature"
    assert brief(db, '"Odd; tags"', "t", "2", "9") == ("a,b", "9", "exact", [])

    copy = of(db, "keyword_models", "keyword_id = 3")
    assert brief(db, "keyword_models", copy) == ("bridge", "3", "split", ["split"])
    assert explain(db, "keyword_models", copy).moved == "the decision made the row when contract dropped the text"

    # A key that was changed since has the text that it gives, whatever the archive keeps of the old one.
    db.run("UPDATE public.image_tags SET keyword_id = 1 WHERE id = 102", role="app")
    assert brief(db, "image_tags", "102") == ("tree", "1", "exact", [])

    api.rollback(options, "start")
    assert brief(db, "image_tags", "101") == ("bridge", None, "ambiguous", [])
    assert brief(db, "image_tags", "108") == ("sky", None, "exact", [])


@pytest.mark.slow
def test_a_row_that_no_rule_accounts_for(database: Make) -> None:
    db = database("explain")
    api.run(Options(db.url, SPEC), until="expand")
    db.run(
        "ALTER TABLE public.machine_tags DISABLE TRIGGER USER; UPDATE public.machine_tags SET keyword_id = 4, "
        "category = NULL WHERE id = 1; UPDATE public.machine_tags SET keyword_id = 99 WHERE id = 2"
    )
    wrong = explain(db, "machine_tags", "1")
    assert wrong.rule.how is None and wrong.rule.key == "1"
    assert explain(db, "machine_tags", "2").row is None


def test_each_reference_of_a_table_is_explained_as_its_own_texts_are_compared(database: Make) -> None:
    db = database()
    db.run(
        "CREATE TABLE words (id bigint PRIMARY KEY, word char(9) NOT NULL UNIQUE); "
        "CREATE TABLE pairs (one char(6), other text); INSERT INTO words VALUES (7, 'Tree'), (8, 'sea'); "
        "INSERT INTO pairs VALUES ('Tree', 'tree')"
    )
    common = 'lookup = "word"\ntable = "pairs"\n'
    spec = (
        'version = 1\n[lookup.word]\ntable = "words"\ntext = "word"\n'
        f'[reference.first]\n{common}text = "one"\nadd = "one_id"\n'
        f'[reference.second]\n{common}text = "other"\nadd = "other_id"\n'
    )
    found = api.explain(Options(db.url, spec), "pairs", ["(0,1)"])
    assert [(e.reference, e.rule.how, e.rule.key) for e in found] == [
        ("first", "exact", "7"), ("second", "orphan", None)
    ]  # fmt: skip
    audited = api.audit(Options(db.url, spec)).tallies
    assert {(t.reference, t.how) for t in audited} == {(e.reference, e.rule.how) for e in found}


def test_a_lookup_that_is_yet_to_be_made(database: Make) -> None:
    db = database()
    db.run("CREATE TABLE words (id bigint PRIMARY KEY, word text); INSERT INTO words VALUES (1, 'tree'), (2, 'sea')")
    spec = (
        'version = 1\n[lookup.vocabulary]\ncreate = true\ntable = "vocabulary"\ntext = "word"\n'
        '[reference.words]\nlookup = "vocabulary"\ntext = "word"\nadd = "word_id"\n'
    )
    options = Options(db.url, spec)
    [before] = api.explain(options, "words", ["2"])
    assert (before.text, before.key, before.rule.how) == ("sea", None, "created")
    assert {t.how for t in api.audit(options).tallies} == {"created"}
    api.run(options, until="backfill")
    [after] = api.explain(options, "words", ["2"])
    assert after.row is not None and (after.row.text, after.row.key) == ("sea", after.key)
    assert after.rule.how == "exact" and "expand made that row" in after.rule.why


def test_what_is_not_there_is_said(database: Make) -> None:
    db = database("explain")
    with pytest.raises(UsageError, match="no row with id = 4711"):
        explain(db, "machine_tags", "4711")
    with pytest.raises(UsageError, match="invalid input syntax"):
        explain(db, "machine_tags", "x")
    with pytest.raises(UsageError, match=r"3 columns \(tenant, no, word\), and 2 values"):
        explain(db, "odd", "t", "1")
    with pytest.raises(UsageError) as unknown:
        explain(db, "machine_tag", "1")
    assert unknown.value.hint == "did you mean machine_tags?"
    db.run("ALTER TABLE public.machine_tags DROP CONSTRAINT machine_tags_pkey")
    assert explain(db, "machine_tags", "(0,1)").text == "tree"


def test_the_command(normalform: Commands, database: Make) -> None:
    db = database("explain")
    normalform.write("normalform.toml", SPEC)
    ran = normalform("explain", "image_tags", "102", NORMALFORM_DATABASE_URL=db.url)
    assert ran.status == 0
    assert "' Sea ', in 'nature', scope (t)" in ran.out and "orphan: no lookup row" in ran.out
    [data] = normalform("--json", "explain", "faces", "2", NORMALFORM_DATABASE_URL=db.url).json
    assert (data["text"], data["rule"]["how"]) == ("Ada", "alias")
    hidden = normalform("--mask", "explain", "odd", 't,2,"a,b"', NORMALFORM_DATABASE_URL=db.url)
    assert hidden.status == 0 and "a,b" not in hidden.all and "•••" in hidden.out
    hidden = normalform("--mask", "--json", "explain", "image_tags", "102", NORMALFORM_DATABASE_URL=db.url)
    assert "Sea" not in hidden.all and json.loads(hidden.out)[0]["identity"] == {"id": "102"}
    assert normalform("explain", "image_tags", "5000", NORMALFORM_DATABASE_URL=db.url).status == 2
