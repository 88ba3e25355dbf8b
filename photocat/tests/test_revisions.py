"""PhotoCat's revisions: there and back by Alembic's own commands, and what they say on the way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from compare import checksums, dump_schema
from fix_alembic import Alembic, revision_of
from fix_servers import Database
from photocat.settings import TagColumns
from sample_data import DATA, DECIDED

LEGACY, EXPAND, BACKFILL, CONSTRAIN, CONTRACT = (
    "202601171500", "202601200800", "202601200900", "202601201000", "202601201100",
)  # fmt: skip

Make = Callable[..., Database]


def test_an_empty_database_needs_no_ceremony(db: Database, alembic: Alembic) -> None:
    ended = alembic(db, "upgrade", "head")
    assert ended.status == 0, ended.log
    assert revision_of(db) == [CONTRACT]
    assert (
        db.value("SELECT count(*) FROM pg_attribute WHERE attrelid = 'image_tags'::regclass AND attname = 'keyword'")
        == 0
    )
    again = alembic(db, "upgrade", "head")
    assert (again.status, again.log.count("Running upgrade")) == (0, 0)


@pytest.mark.parametrize(
    ("section", "revision", "tag_columns"), [("legacy", LEGACY, "text"), ("alembic", CONTRACT, "key")]
)
def test_the_models_match_at_both_ends(
    db: Database, alembic: Alembic, section: str, revision: str, tag_columns: TagColumns
) -> None:
    assert alembic(db, "upgrade", revision).status == 0
    ended = alembic(db, "-n", section, "check", tag_columns=tag_columns)
    assert ended.status == 0, ended
    other: TagColumns = "key" if tag_columns == "text" else "text"
    assert alembic(db, "-n", section, "check", tag_columns=other).status == 1


def test_a_closed_gate_stops_with_the_reason_and_changes_nothing(database: Make, alembic: Alembic) -> None:
    db = database(DATA)
    schema, sums = dump_schema(db), checksums(db)
    ended = alembic(db, "upgrade", "head")
    assert ended.status == 1
    assert "gate audit is closed" in ended.printed
    assert "Traceback" not in ended.printed
    for text in ("gate audit is closed", "finding NF2", "nothing was changed", "normalform resolve export"):
        assert text in ended.log
    assert revision_of(db) == [LEGACY]
    assert (dump_schema(db), checksums(db)) == (schema, sums)


@pytest.mark.slow
def test_decided_data_goes_there_and_back_twice(database: Make, alembic: Alembic) -> None:
    db = database(DECIDED)
    schema, sums = dump_schema(db, ledger=False, column_order=False), checksums(db)
    for _ in range(2):
        for revision in (EXPAND, BACKFILL, CONSTRAIN, CONTRACT):
            ended = alembic(db, "upgrade", revision)
            assert (ended.status, revision_of(db)) == (0, [revision]), ended.log
        assert db.value("SELECT count(*) FROM machine_tags WHERE keyword_id IS NULL") == 0
        for revision in (CONSTRAIN, BACKFILL, EXPAND, LEGACY):
            ended = alembic(db, "downgrade", revision)
            assert (ended.status, revision_of(db)) == (0, [revision]), ended.log
        assert checksums(db) == sums
        assert dump_schema(db, ledger=False, column_order=False) == schema


@pytest.mark.slow
def test_the_log_tells_the_story(database: Make, alembic: Alembic) -> None:
    db = database(DECIDED)
    ended = alembic(db, "upgrade", "head")
    assert ended.status == 0, ended.log
    for text in (
        "Running upgrade 202601171500 -> 202601200800",
        "expand: columns added: keywords.tenant_id, image_tags.keyword_id",
        "expand: afterwards: ",
        "fill:machine_tags: ",
        "verify:machine_tags: ",
        "proven",
        "constrain: step 1 of ",
        "contract: done in ",
    ):
        assert text in ended.log
    assert "postgresql://" not in ended.log
