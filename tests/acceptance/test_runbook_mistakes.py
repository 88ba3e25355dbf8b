"""The runbook's mistakes in its audits, decisions and backfill (1 to 6 of DESIGN.md): each as it has them, then caught.

Each test runs the runbook's own SQL on a copy and shows the harm, which nothing there reports. Then Normalform meets
the same data. Mistakes 7 to 9 are in `test_runbook_locks.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

import mini
from acceptance import runbook
from acceptance.migration import Migration, line
from acceptance.scenes import BOOK, DEMO, DEMO_ROWS
from compare import checksums, dump_schema
from fix_servers import Database
from normalform.demo import truth

Make = Callable[..., Database]

#: One reference of the demo: all its tags come from the data file, and the file says what each means.
DEMO_SPEC = (
    mini.SPEC_TEXT[: mini.SPEC_TEXT.index("[lookup.person]")]
    + """
[reference.machine_tags]
table = "public.machine_tags"
lookup = "keyword"
text = "keyword"
qualifier = "category"
scope = "tenant_id"
add = "keyword_id"
"""
)


@pytest.fixture
def book(database: Make) -> Database:
    """A small PhotoCat on which the runbook's SQL runs."""
    return database(BOOK)


def test_1_the_audits_read_a_column_that_only_phase_1_adds(book: Database, tmp_path: Path) -> None:
    book.run("INSERT INTO permatags (tenant_id, image_id, keyword, category) VALUES ('t', 21, 'lyra', 'nature')")
    for audit in (runbook.AUDIT_1_1, runbook.AUDIT_1_2, runbook.AUDIT_1_3):
        with pytest.raises(psycopg.errors.UndefinedColumn, match="tenant_id"):
            book.run(audit)

    before = checksums(book), dump_schema(book)
    report = Migration(book, tmp_path).audit()
    several = report.find("NF102", "keyword")
    assert several is not None and several.count == 1, (
        "`bridge`, in two categories of one tenant; `tree` in two tenants"
    )
    orphan = report.find("NF201", "permatags")
    assert orphan is not None and orphan.count == 1
    assert (checksums(book), dump_schema(book)) == before, "an audit changes nothing"


def test_2_the_backfill_ignores_the_category(database: Make, tmp_path: Path) -> None:
    db = database(DEMO)
    theirs = database(DEMO)
    theirs.run(runbook.PHASE_1)
    theirs.run(runbook.PHASE_2)
    # The lookup cannot hold six of the data's keywords; beside them no NULL and no error: the runbook would go on.
    long = db.rows("SELECT DISTINCT tenant_id, keyword, category FROM machine_tags WHERE length(keyword) > 100")
    nulls = "SELECT count(*) FROM machine_tags WHERE keyword_id IS NULL AND length(keyword) <= 100"
    assert theirs.value(nulls) == 0
    wrong = truth.check(theirs.url, rows=DEMO_ROWS)
    assert wrong.null_key == len(long) and wrong.wrong_key > 100, wrong

    migration = Migration(db, tmp_path, DEMO_SPEC)
    migration.decide(line("machine_tags", tenant, text, path, "create") for tenant, text, path in long)
    migration.to("contract")
    right = truth.check(db.url, rows=DEMO_ROWS)
    assert right.keys_true and not right.has_text and right.rows == DEMO_ROWS, right


def test_3_a_rename_leaves_its_tags_to_the_other_category(book: Database, database: Make, tmp_path: Path) -> None:
    # The tags that will be followed: 15 of `bridge` in `travel`, which is keyword 2.
    followed = "SELECT keyword_id, count(*)::int FROM machine_tags WHERE category = 'travel' GROUP BY 1 ORDER BY 1"
    book.run(runbook.PHASE_1)
    option_a = runbook.OPTION_A.replace("demo", "t").replace("sunset", "bridge").replace("= 2;", "= 3;")
    assert [(r[0], r[1]) for r in book.rows(runbook.AUDIT_1_2)] == [("t", "bridge")]
    book.run(option_a)
    assert book.rows(runbook.AUDIT_1_2) == [], "`re-run this query to confirm all are resolved`"
    book.run(runbook.PHASE_2)
    assert dict(book.rows(runbook.CHECK_9))["machine_tags"] == 0
    assert book.rows(followed) == [(3, 15)], "tags of travel, silently under games"

    # The same rename by hand, before Normalform looks: it sees tags whose category is not their keyword's.
    half = database(BOOK)
    half.run("UPDATE keywords SET keyword = 'bridge_travel' WHERE id = 2")
    disagree = Migration(half, tmp_path).audit().find("NF205", "machine_tags")
    assert disagree is not None and disagree.count == 15

    # The decision renames the keyword and the tags of its category.
    whole = Migration(database(BOOK), tmp_path)
    whole.decide([line("lookup.keyword", "t", "bridge", "travel", "rename", "bridge_travel")])
    whole.to("verify")
    assert whole.db.rows(followed) == [(2, 15)]
    texts = "SELECT DISTINCT keyword FROM machine_tags WHERE category = 'travel'"
    assert whole.db.rows(texts) == [("bridge_travel",)]


def test_4_the_unique_does_not_keep_a_keyword_in_one_category(book: Database, tmp_path: Path, database: Make) -> None:
    ambiguous = "INSERT INTO image_tags (tenant_id, image_id, keyword, category) VALUES ('t', 9, 'bridge', {})"
    book.run(runbook.PHASE_1)
    book.run(runbook.PHASE_3_UNIQUE)
    book.run("INSERT INTO keywords (category_id, keyword, tenant_id) VALUES (1, 'bridge', 't')")
    assert [(r[0], r[1], r[2]) for r in book.rows(runbook.AUDIT_1_2)] == [("t", "bridge", 3)], "as 1.2 wants it not"
    book.run(ambiguous.format("NULL"))
    book.run(runbook.PHASE_2)
    assert book.value("SELECT count(*) FROM image_tags WHERE keyword_id IS NULL") == 0, "one of three, by chance"

    ours = Migration(database(BOOK), tmp_path)
    ours.to("constrain")
    ours.db.run("INSERT INTO keywords (category_id, keyword) VALUES (1, 'bridge')", "app")
    ours.db.run(ambiguous.format("'travel'"), "app")
    assert ours.db.value("SELECT keyword_id FROM image_tags WHERE keyword = 'bridge'") == 2, "its category says which"
    with pytest.raises(psycopg.errors.IntegrityError) as refused:
        ours.db.run(ambiguous.format("NULL"), "app")
    assert "bridge" in str(refused.value), "never one of three by chance"


def test_5a_a_created_keyword_has_no_tenant(book: Database, tmp_path: Path, database: Make) -> None:
    orphan = "INSERT INTO image_tags (tenant_id, image_id, keyword, category) VALUES ('t', 9, 'zeppelin', 'travel')"
    made = (
        "SELECT k.tenant_id FROM image_tags i LEFT JOIN keywords k ON k.id = i.keyword_id WHERE i.keyword = 'zeppelin'"
    )
    book.run(orphan)
    book.run(runbook.PHASE_1)
    book.run(runbook.OPTION_2A.replace("demo", "t"))
    book.run(runbook.PHASE_2)
    assert book.rows("SELECT tenant_id FROM keywords WHERE keyword = 'zeppelin'") == [(None,)]
    assert book.rows(made) == [(None,)], "the keyword was made, and its tag still has no key"

    ours = Migration(database(BOOK), tmp_path)
    ours.db.run(orphan)
    ours.decide([line("image_tags", "t", "zeppelin", "travel", "create")])
    ours.to("verify")
    assert ours.db.rows(made) == [("t",)]
    path = "SELECT c.name FROM keywords k JOIN keyword_categories c ON c.id = k.category_id WHERE keyword = 'zeppelin'"
    assert ours.db.rows(path) == [("travel",)]


def test_5b_a_drop_reaches_other_tenants_and_misses_its_own(book: Database, tmp_path: Path, database: Make) -> None:
    # `sky` is an orphan of t that u knows; `junk` is t's; `typo` is u's, who means `tree` by it.
    orphans = """INSERT INTO image_tags (tenant_id, image_id, keyword, category) VALUES
        ('t', 8, 'sky', 'nature'), ('t', 9, 'junk', 'nature'), ('u', 41, 'typo', 'nature')"""
    left = (
        "SELECT tenant_id, keyword FROM image_tags WHERE keyword IN ('sky', 'junk', 'typo') AND id > 15 ORDER BY 1, 2"
    )
    book.run(orphans)
    with book.connect() as connection:
        connection.execute("BEGIN")
        connection.execute(runbook.OPTION_2B.encode())
        assert connection.execute(left.encode()).fetchall() == [("t", "sky")], "u's row is gone, t's own is kept"
        connection.execute("ROLLBACK")
    book.run("ALTER TABLE keywords ALTER COLUMN keyword DROP NOT NULL")  # as in the original
    book.run("INSERT INTO keywords (category_id, keyword) VALUES (1, NULL)")
    book.run(runbook.OPTION_2B)
    assert len(book.rows(left)) == 3, "with a NULL in the list, nothing is deleted at all"

    ours = Migration(database(BOOK), tmp_path)
    ours.db.run(orphans)
    ours.decide(
        [
            line("image_tags", "t", "sky", "nature", "drop"),
            line("image_tags", "t", "junk", "nature", "drop"),
            line("image_tags", "u", "typo", "nature", "choose", "5"),
        ]
    )
    assert ours.db.rows(left) == [("u", "typo")]
    assert ours.db.value("SELECT count(*) FROM image_tags WHERE keyword = 'sky'") == 5, "u's own `sky` stays"
    ours.to("verify")
    assert ours.db.rows("SELECT keyword_id FROM image_tags WHERE keyword = 'typo'") == [(5,)]


def test_6_what_no_audit_of_the_runbook_looks_at(book: Database, tmp_path: Path, database: Make) -> None:
    defects = """
        INSERT INTO keyword_models (tenant_id, keyword, model_name) VALUES ('t', 'quasar', 'm1'), ('t', 'bridge', 'm1');
        INSERT INTO machine_tags (tenant_id, image_id, keyword, category, tag_type)
            VALUES ('t', 1, 'tree', 'games', 'x');
        INSERT INTO permatags (tenant_id, image_id, keyword, category) VALUES ('t', 1, 'SEA', 'nature')"""
    book.run(defects)
    book.run(runbook.PHASE_1)
    assert all(count == 0 for source, count in book.rows(runbook.AUDIT_1_3) if source != "permatags")
    book.run(runbook.PHASE_2)
    assert dict(book.rows(runbook.CHECK_9))["keyword_models"] == 1, (
        "`CRITICAL: all counts must be 0`, after every audit"
    )
    guess = book.value("SELECT keyword_id FROM keyword_models WHERE keyword = 'bridge'")
    assert guess in (2, 3), "one of two, by chance"
    # Option B: both spellings become one, and the legacy unique refuses in the middle of it.
    with pytest.raises(psycopg.errors.UniqueViolation):
        book.run("UPDATE permatags SET keyword = 'sea' WHERE keyword = 'SEA'")

    ours = Migration(database(BOOK), tmp_path)
    ours.db.run(defects)
    report = ours.audit()
    found = {(f.code, f.subject): f.count for f in report.findings}
    assert found["NF201", "keyword_models"] == 1
    assert found["NF202", "keyword_models"] == 1
    assert found["NF205", "machine_tags"] == 1, "a category that is not the keyword's"
    assert found["NF208", "permatags"] == 2, "two spellings of one keyword on one picture"
    assert any(code == "NF210" for code, _ in found), "tenant_id is 50 wide here and 255 there"
