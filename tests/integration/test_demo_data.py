"""The demo's data: what is loaded is what the files and the rules say, and truth sees whatever is wrong.

The defects are counted here by plain SQL that shares nothing with the engine.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import psycopg
import pytest
from psycopg import sql

from fix_servers import Database, template
from normalform.core.spec_file import parse
from normalform.demo import runbook, truth
from normalform.demo.defects import GHOST, PLANTED, PLANTED_TENANTS
from normalform.demo.load import load
from normalform.demo.rules import COLUMNS, file_name, picture_of
from normalform.demo.source import KEYWORD_WIDTH, TOTAL_ROWS, data_folder, read_pictures, read_tags

ROWS = 2400


def build_small(url: str) -> None:
    load(url, rows=ROWS)


SMALL = template("demo_data_2400", build_small)

Make = Callable[..., Database]

PATHS = """
WITH RECURSIVE paths (id, tenant_id, path) AS (
    SELECT id, tenant_id, name::text FROM keyword_categories WHERE parent_id IS NULL
    UNION ALL
    SELECT c.id, c.tenant_id, p.path || '/' || c.name
    FROM keyword_categories c JOIN paths p ON p.id = c.parent_id
)
"""

KINDS = sql.SQL(
    PATHS
    + """
, names AS (SELECT p.tenant_id, k.keyword, p.path FROM keywords k JOIN paths p ON p.id = k.category_id)
, texts AS (SELECT tenant_id, keyword, count(*) AS n, min(path) AS path FROM names GROUP BY 1, 2)
, exact AS (SELECT tenant_id, keyword, path, count(*) AS n FROM names GROUP BY 1, 2, 3)
, tags AS (SELECT tenant_id, keyword, {category} AS category FROM {table})
SELECT CASE
    WHEN t.tenant_id IS NULL THEN 'tenant_null'
    WHEN NOT EXISTS (SELECT FROM paths p WHERE p.tenant_id = t.tenant_id) THEN 'tenant_unknown'
    WHEN x.n IS NULL THEN 'orphan'
    WHEN x.n = 1 AND (t.category IS NULL OR t.category = x.path) THEN 'sound'
    WHEN x.n = 1 AND EXISTS (SELECT FROM paths p WHERE (p.tenant_id, p.path) = (t.tenant_id, t.category))
        THEN 'category_disagrees'
    WHEN x.n = 1 THEN 'category_unknown'
    WHEN t.category IS NULL THEN 'ambiguous_no_category'
    WHEN e.n = 1 THEN 'sound'
    WHEN e.n > 1 THEN 'same_path_twice'
    ELSE 'ambiguous_category_unknown' END AS kind, t.tenant_id, t.keyword, count(*)
FROM tags t
LEFT JOIN texts x ON (x.tenant_id, x.keyword) = (t.tenant_id, t.keyword)
LEFT JOIN exact e ON (e.tenant_id, e.keyword, e.path) = (t.tenant_id, t.keyword, t.category)
GROUP BY 1, 2, 3
"""
)

FACES = """
WITH known AS (
    SELECT tenant_id, name AS said, id FROM people
    UNION
    SELECT tenant_id, a.alias, id FROM people, json_array_elements_text(aliases) a (alias)
)
SELECT CASE
    WHEN f.person_name IS NULL THEN 'nobody'
    WHEN f.tenant_id IS NULL THEN 'tenant_null'
    WHEN NOT EXISTS (SELECT FROM people p WHERE p.tenant_id = f.tenant_id) THEN 'tenant_unknown'
    WHEN n.n = 0 THEN 'face_unknown'
    WHEN n.n > 1 THEN 'face_ambiguous_alias'
    ELSE 'sound' END, f.tenant_id, count(*)
FROM detected_faces f
CROSS JOIN LATERAL (SELECT count(*) FROM known k WHERE (k.tenant_id, k.said) = (f.tenant_id, f.person_name)) n (n)
GROUP BY 1, 2
"""

# What the engine has to arrive at, by hand: the lookup widened, the long keywords created, every key by its path.
KEYS = """
ALTER TABLE keywords ALTER COLUMN keyword TYPE varchar(255);
ALTER TABLE machine_tags ADD COLUMN keyword_id integer;
""" + "".join(
    PATHS + statement
    for statement in (
        """
        INSERT INTO keywords (category_id, keyword)
        SELECT DISTINCT p.id, m.keyword FROM machine_tags m
        JOIN paths p ON (p.tenant_id, p.path) = (m.tenant_id, m.category)
        WHERE length(m.keyword) > 100;
        """,
        """
        UPDATE machine_tags m SET keyword_id = k.id FROM keywords k JOIN paths p ON p.id = k.category_id
        WHERE (p.tenant_id, p.path, k.keyword) = (m.tenant_id, m.category, m.keyword);
        """,
    )
)


@pytest.fixture
def small(database: Make) -> Database:
    """The demo with 2,400 rows of the file."""
    return database(SMALL)


def fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().strip()


def kinds(db: Database, table: str) -> Counter[tuple[str, bool]]:
    """Rows by kind of defect and whether they are planted."""
    category = sql.SQL("NULL::text") if table == "keyword_models" else sql.Identifier("category")
    with db.connect() as connection:
        known = defaultdict(set)
        for tenant, keyword in connection.execute(
            "SELECT c.tenant_id, k.keyword FROM keywords k JOIN keyword_categories c ON c.id = k.category_id"
        ):
            known[tenant].add(fold(keyword))
        query = KINDS.format(category=category, table=sql.Identifier(table))
        found: Counter[tuple[str, bool]] = Counter()
        for kind, tenant, keyword, count in connection.execute(query):
            name = kind
            if kind == "orphan" and fold(keyword) in known[tenant]:
                name = "near_duplicate"
            elif kind == "orphan" and len(keyword) > KEYWORD_WIDTH:
                name = "too_long"
            elif kind == "orphan" and tenant == "bcg":
                name = "orphan_bcg"
            elif kind == "ambiguous_no_category" and table == "keyword_models":
                name = "ambiguous_model"
            found[name, tenant in {*PLANTED_TENANTS, GHOST, None}] += count
    return found


def collisions(db: Database, table: str) -> int:
    """Near-duplicates whose right spelling stands on the same picture (or model)."""
    place = "model_name" if table == "keyword_models" else "image_id"
    query = sql.SQL("SELECT tenant_id, {}::text, keyword FROM {} WHERE tenant_id = 'demo'").format(
        sql.Identifier(place), sql.Identifier(table)
    )
    with db.connect() as connection:
        together = Counter((tenant, where, fold(keyword)) for tenant, where, keyword in connection.execute(query))
    return sum(count > 1 for count in together.values())


@pytest.mark.slow
def test_the_file_is_what_we_say_of_it() -> None:
    """The figures that README, demo and issue quote hold of the file itself."""
    pictures = read_pictures()
    rows = tenants = names = ambiguous = on_ambiguous = paths = too_long = twice = 0
    for block in read_tags():
        standing: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for picture, keyword, _ in block.rows:
            standing[keyword][pictures[picture].path] += 1
        several = {keyword for keyword, where in standing.items() if len(where) > 1}
        tenants += 1
        rows += len(block.rows)
        names += len(standing)
        ambiguous += len(several)
        on_ambiguous += sum(standing[keyword].total() for keyword in several)
        paths += sum(map(len, standing.values()))
        too_long += sum(where.total() for keyword, where in standing.items() if len(keyword) > KEYWORD_WIDTH)
        twice += len(block.rows) - len({line for _, _, line in block.rows})
    assert (rows, tenants, names, ambiguous, on_ambiguous, paths) == (
        TOTAL_ROWS, 162, 581_669, 83_092, 462_078, 730_837,
    )  # fmt: skip
    assert (len(pictures), too_long, twice) == (1966, 6, 6)
    assert all(picture_of(file_name(picture)) == picture for picture in pictures)


def test_the_licences_go_with_the_data() -> None:
    assert "UNICODE LICENSE V3" in data_folder().joinpath("LICENSE-unicode.txt").read_text(encoding="utf-8")
    assert "MIT License" in data_folder().joinpath("LICENSE-emojibase.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("rows", [1, 300, 1200, ROWS])
def test_a_smaller_demo_keeps_what_it_says(rows: int) -> None:
    blocks = {block.tenant: block.rows for block in read_tags(rows)}
    assert sum(map(len, blocks.values())) == rows
    lines = [line for kept in blocks.values() for _, _, line in kept]
    assert all(sorted(kept, key=lambda row: row[2].split(b"\t")) == kept for kept in blocks.values())
    too_long = sum(len(line.decode().split("\t")[2]) > KEYWORD_WIDTH for line in lines)
    if rows == 1200:
        assert too_long == 4
    if rows == ROWS:
        assert too_long == 5
        assert len(lines) - len(set(lines)) == 2
        assert set(blocks) == {"de-CH", "rhg", "so"}


def test_rows_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        list(read_tags(0))


@pytest.mark.slow
def test_the_spec_fits_the_schema(small: Database) -> None:
    """Every table and column that normalform.toml names is there, and every tag table is named."""
    spec = parse(files("normalform.demo").joinpath("normalform.toml").read_text(encoding="utf-8"))
    assert {r.table.name for r in spec.references} == {
        "image_tags", "machine_tags", "permatags", "trained_image_tags", "keyword_models", "detected_faces",
    }  # fmt: skip
    columns = set(small.rows("SELECT table_name, column_name FROM information_schema.columns"))
    for reference in spec.references:
        wanted = {reference.text, *reference.scope} | ({reference.qualifier} if reference.qualifier else set())
        assert {(reference.table.name, column) for column in wanted} <= columns
        assert (reference.table.name, reference.add) not in columns


def test_every_planted_defect_is_there_and_counted(small: Database) -> None:
    promised: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, planted in PLANTED.items():
        for table, count in planted.rows.items():
            promised[table][name] = count
    for table in ("image_tags", "permatags", "trained_image_tags", "keyword_models"):
        found = Counter({kind: n for (kind, planted), n in kinds(small, table).items() if planted and kind != "sound"})
        if table != "image_tags":
            found["near_duplicate_collision"] = collisions(small, table)
            found["near_duplicate"] -= found["near_duplicate_collision"]
        assert found == promised[table], table
    faces = Counter(dict.fromkeys(promised["detected_faces"], 0))
    for kind, _, count in small.rows(FACES):
        faces[kind] += count
    assert {kind: faces[kind] for kind in promised["detected_faces"]} == promised["detected_faces"]
    doubled = small.value(
        PATHS + "SELECT sum(n) FROM (SELECT count(*) AS n FROM keywords k JOIN paths p ON p.id = k.category_id"
        " GROUP BY p.tenant_id, p.path, k.keyword HAVING count(*) > 1) d"
    )
    assert doubled == promised["keywords"]["same_path_twice"]
    assert set(promised) <= {*COLUMNS} - {"machine_tags"}


def test_the_runbooks_trap_is_set(small: Database) -> None:
    """Option 2b, which looks for the word in any tenant's keywords, would delete none of production's 17."""
    counts = small.rows(
        "SELECT keyword, count(*) FROM permatags p WHERE tenant_id = 'bcg' AND NOT EXISTS (SELECT FROM keywords k"
        " JOIN keyword_categories c ON c.id = k.category_id WHERE c.tenant_id = 'bcg' AND k.keyword = p.keyword)"
        " AND p.keyword IN (SELECT keyword FROM keywords) GROUP BY 1 ORDER BY 1"
    )
    assert counts == [("family", 1), ("lyra", 16)]


def test_the_data_tenants_have_only_the_datas_own_defects(small: Database) -> None:
    for table in ("machine_tags", "image_tags", "permatags", "trained_image_tags", "keyword_models"):
        found = {kind for (kind, planted) in kinds(small, table) if not planted}
        assert found <= {"sound", "too_long", "ambiguous_model"}, table
    assert small.value("SELECT count(*) FROM machine_tags WHERE tenant_id IN ('bcg', 'demo') OR tenant_id IS NULL") == 0


@pytest.mark.slow
def test_the_same_rows_give_the_same_database(database: Make) -> None:
    def content() -> tuple[dict[str, int], list[list[tuple[Any, ...]]]]:
        db = database()
        report = load(db.url, rows=150)
        texts = [
            db.rows(f"SELECT md5(string_agg(t::text, '|' ORDER BY id)), count(*) FROM {name} t") for name in COLUMNS
        ]
        return report.rows, texts

    first, second = content(), content()
    assert first == second
    assert [found[0][1] for found in first[1]] == list(first[0].values())


def test_sequences_go_on_after_the_load(small: Database) -> None:
    small.run("INSERT INTO keyword_categories (tenant_id, name) VALUES ('demo', 'New')")
    small.run("INSERT INTO machine_tags (tenant_id, keyword, confidence, model_name) VALUES ('demo', 'tree', 1, 'm')")
    assert small.value("SELECT max(id) FROM machine_tags") == ROWS + 1


def test_an_interrupted_load_leaves_nothing(db: Database) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if stage == "indexes" and done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(db.url, rows=100, progress=stop)
    assert db.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == 0
    load(db.url, rows=100)
    with pytest.raises(psycopg.errors.DuplicateTable):
        load(db.url, rows=100)


@pytest.mark.slow
def test_truth_holds_before_between_and_after(small: Database) -> None:
    legacy = truth.check(small.url, rows=ROWS)
    assert (legacy.has_text, legacy.has_key, legacy.texts_true, legacy.keys_true) == (True, False, True, False)
    assert legacy.rows == legacy.expected == ROWS
    small.run(KEYS)
    assert truth.check(small.url, rows=ROWS).keys_true
    small.run("ALTER TABLE machine_tags DROP COLUMN keyword, DROP COLUMN category")
    contracted = truth.check(small.url, rows=ROWS)
    assert (contracted.has_text, contracted.has_key, contracted.keys_true) == (False, True, True)


CORRUPTIONS = """
UPDATE machine_tags SET keyword_id = NULL WHERE id = 10;
UPDATE machine_tags SET keyword_id = 999999999 WHERE id = 20;
-- The keys of two rows of one picture change places: no count and no sum over the picture shows it.
UPDATE machine_tags m SET keyword_id = o.keyword_id FROM machine_tags o WHERE m.id IN (1, 2) AND o.id = 3 - m.id;
DELETE FROM machine_tags WHERE id = 40;
UPDATE machine_tags SET tenant_id = 'so' WHERE id = 50;
INSERT INTO machine_tags (image_id, tenant_id, keyword_id, confidence, model_name{text})
    SELECT image_id, tenant_id, keyword_id, 1, 'other'{text} FROM machine_tags WHERE id = 60;
"""

# The same name in another category of the tenant: what the runbook's join does to a row. Returns the row.
ASTRAY = """
UPDATE machine_tags m SET keyword_id = other FROM (
    SELECT m.id, o.id AS other FROM machine_tags m
    JOIN keywords k ON k.id = m.keyword_id JOIN keyword_categories c ON c.id = k.category_id
    JOIN keywords o ON o.keyword = k.keyword AND o.id <> k.id
    JOIN keyword_categories d ON d.id = o.category_id AND d.tenant_id = c.tenant_id
    WHERE m.id > 60 ORDER BY m.id LIMIT 1
) a WHERE a.id = m.id RETURNING m.id
"""


@pytest.mark.slow
@pytest.mark.parametrize("contracted", [False, True])
def test_truth_names_what_is_wrong(small: Database, contracted: bool) -> None:
    small.run(KEYS)
    if contracted:
        small.run("ALTER TABLE machine_tags DROP COLUMN keyword, DROP COLUMN category")
    astray = small.value(ASTRAY)
    small.run(CORRUPTIONS.replace("{text}", "" if contracted else ", keyword, category"))
    report = truth.check(small.url, rows=ROWS)
    named = [int(sample.split()[1].rstrip(":")) for sample in report.samples]
    # A key of another tenant than the row's is not an error of its own: the row's tenant is, which moved away.
    assert named == [1, 2, 10, 20, 40, 50, astray]
    assert (report.null_key, report.wrong_key, report.wrong_text) == (1, 4, 0)
    assert (report.wrong_picture, report.missing, report.extra) == (1, 1, 1)
    assert not report.keys_true


def test_truth_sees_text_that_was_edited(small: Database) -> None:
    small.run("UPDATE machine_tags SET category = 'people-body/family' WHERE id = 5")
    small.run("UPDATE machine_tags SET keyword = keyword || ' ' WHERE id = 6")
    report = truth.check(small.url, rows=ROWS)
    assert (report.wrong_text, report.texts_true, len(report.samples)) == (2, False, 2)


@pytest.mark.slow
def test_the_runbooks_join_goes_wrong_and_leaves_nothing(small: Database) -> None:
    pictures = read_pictures()
    standing: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for block in read_tags(ROWS):
        for picture, keyword, _ in block.rows:
            standing[block.tenant, keyword][pictures[picture].path] += 1
    least = sum(where.total() - max(where.values()) for where in standing.values())
    most = sum(where.total() - min(where.values()) for where in standing.values())
    inventory = "SELECT relname, relfilenode, reltuples FROM pg_class ORDER BY 1, 2"
    contents = "SELECT md5(string_agg(t::text, '|' ORDER BY id)) FROM machine_tags t"
    before = small.rows(inventory), small.value(contents)
    report = runbook.run(small.url)
    assert (small.rows(inventory), small.value(contents)) == before
    assert 0 < least <= report.wrong <= most
    assert (report.rows, report.null) == (ROWS, 5)
