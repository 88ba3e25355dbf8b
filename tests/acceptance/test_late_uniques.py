"""Between constrain and contract: what is guaranteed of keys, by each choice of ``uniques``, and who says so.

A picture is given the same keyword twice, under two spellings of which one was decided: two texts, one key.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

import mini
from acceptance.migration import Migration, assert_same, look
from acceptance.scenes import DECISIONS, DIRTY
from fix_commands import Commands
from fix_servers import Database
from normalform import api
from normalform.core.events import Event
from normalform.errors import GateClosed, ProofFailed

Make = Callable[..., Database]
#: The picture has `TREE` already, which is folded to `tree`.
TWICE = (
    "INSERT INTO machine_tags (image_id, tenant_id, keyword, category, tag_type) VALUES (11, 't', 'tree', "
    "'nature/plants', 'd')"
)
#: By new code: the same key.
BY_KEY = "INSERT INTO machine_tags (image_id, tenant_id, keyword_id, tag_type) VALUES (12, 't', 1, 'd')"
UNDO = "DELETE FROM machine_tags WHERE image_id IN (11, 12) AND keyword = 'tree' AND tag_type = 'd'"
UNIQUES = """
SELECT c.relname, i.indisunique, i.indimmediate FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE c.relname IN ('uq_machine_tags', 'uq_machine_tags_keyword_id') ORDER BY 1
"""


def constrained(db: Database, folder: Path, **more: str) -> Migration:
    """Goes to constrain with every defect decided."""
    migration = Migration(db, folder, **more)  # type: ignore[arg-type]
    migration.decide(DECISIONS)
    migration.to("constrain")
    return migration


def test_late_the_legacy_schema_says_what_may_be_written_and_contract_asks_first(
    database: Make, tmp_path: Path, normalform: Commands
) -> None:
    db = database(DIRTY)
    migration = constrained(db, tmp_path)
    assert db.rows(UNIQUES) == [("uq_machine_tags", True, True), ("uq_machine_tags_keyword_id", False, True)]
    assert api.status(migration.options).collisions == ()
    with pytest.raises(psycopg.errors.UniqueViolation, match="uq_machine_tags"):
        db.run("INSERT INTO machine_tags (image_id, tenant_id, keyword_id, tag_type) VALUES (37, 't', 1, 'm')", "app")
    db.run(TWICE, "app")
    db.run(BY_KEY, "app")
    [line] = api.status(migration.options).collisions
    assert "machine_tags: 2 combinations of (tenant_id, image_id, keyword_id, tag_type) stand in 4 rows" in line
    assert api.status(migration.options, collisions=False).collisions == ()
    normalform.write("normalform.toml", mini.SPEC_TEXT)
    shown = " ".join(normalform("status", NORMALFORM_DATABASE_URL=db.url).out.split())
    assert f"contract would stop: {line}" in shown
    masked = " ".join(normalform("--mask", "status", NORMALFORM_DATABASE_URL=db.url).out.split())
    assert f"contract would stop: {line.partition(', such as')[0]}" in masked
    assert "such as" not in masked
    before = look(db)
    with pytest.raises(GateClosed, match="gate collisions is closed") as closed:
        migration.to("contract")
    assert line in str(closed.value)
    assert_same(look(db), before)
    assert api.status(migration.options).last == "constrain"
    db.run(UNDO, "app")
    migration.to("contract")
    assert db.rows(UNIQUES) == [("uq_machine_tags_keyword_id", True, True)]
    with pytest.raises(psycopg.errors.UniqueViolation, match="uq_machine_tags_keyword_id"):
        db.run(BY_KEY, "app")


def test_deferrable_a_key_stands_once_from_constrain_on(database: Make, tmp_path: Path) -> None:
    db = database(DIRTY)
    migration = constrained(db, tmp_path, uniques="deferrable")
    assert db.rows(UNIQUES) == [("uq_machine_tags", True, True), ("uq_machine_tags_keyword_id", True, False)]
    for statement in (TWICE, BY_KEY):
        with pytest.raises(psycopg.errors.UniqueViolation, match="uq_machine_tags_keyword_id"):
            db.run(statement, "app")
    migration.to("contract")
    assert db.rows(UNIQUES) == [("uq_machine_tags_keyword_id", True, True)]


def test_a_row_that_comes_between_the_question_and_the_build(database: Make, tmp_path: Path) -> None:
    db = database(DIRTY)

    def sink(event: Event) -> None:
        if event.name == "contract/successor/machine_tags/uq_machine_tags_keyword_id-build:0:before":
            db.run(TWICE, "app")

    migration = constrained(db, tmp_path)
    migration.sink = sink
    with pytest.raises(ProofFailed, match="uq_machine_tags_keyword_id_new cannot stand"):
        migration.to("contract")
    migration.sink = lambda event: None
    assert db.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0
    db.run(UNDO, "app")
    migration.to("contract")
    assert db.rows(UNIQUES) == [("uq_machine_tags_keyword_id", True, True)]


@pytest.mark.parametrize("uniques", ["late", "deferrable"])
def test_done_undone_done_and_completed(database: Make, tmp_path: Path, uniques: str) -> None:
    db = database(DIRTY)
    migration = constrained(db, tmp_path, uniques=uniques)
    stood = look(db, exact=False)
    migration.to("contract")
    done = look(db, exact=False)
    migration.back("constrain")
    assert_same(look(db, exact=False), stood)
    migration.back("backfill")
    # Copies of a split row have ids of a sequence, which no undo winds back.
    db.run("SELECT setval(pg_get_serial_sequence('keyword_models', 'id'), 1000)")
    migration.to("contract")
    assert_same(look(db, exact=False), done)
    api.uninstall(migration.options, give_up_undo=True)
    assert db.rows(UNIQUES) == [("uq_machine_tags_keyword_id", True, True)]
