"""There and back, from every phase and through every phase, twice: nothing is lost, nothing stays.

Before and after are compared by `compare`, which shares nothing with the engine: checksums over every column of every
table, and the schema as pg_dump writes it. The owner who does all this is no superuser.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

from acceptance.migration import CHANGING, Look, Migration, assert_same, look
from acceptance.scenes import DECISIONS, DEMO, DEMO_ROWS, DIRTY, MEANT_SQL, SPLIT, SPLIT_SQL, meant
from fix_servers import Database
from normalform import api
from normalform.demo import decide, truth

Make = Callable[..., Database]


def everything_of_ours(db: Database) -> list[str]:
    """Lines of a dump of the whole database, with rows, that speak of us."""
    text = db.server.run_tool("pg_dump", db.name).stdout
    return [line for line in text.splitlines() if "normalform" in line.lower()]


@pytest.mark.parametrize("reached", CHANGING)
def test_rollback_to_the_start_from_each_phase(database: Make, tmp_path: Path, reached: str) -> None:
    db = database(DIRTY)
    assert db.rows("SELECT rolsuper FROM pg_roles WHERE rolname = current_user", "owner") == [(False,)]
    exact = reached != "contract"  # columns that were dropped come back as the last ones
    before = look(db, exact=exact)
    migration = Migration(db, tmp_path)
    migration.decide(DECISIONS)
    migration.to(reached)
    assert look(db, exact=exact) != before, "the phase has done something"
    migration.back("start")
    assert_same(look(db, exact=exact), before)
    migration.uninstall()
    assert everything_of_ours(db) == []


def test_every_phase_done_undone_done_and_completed_twice(database: Make, tmp_path: Path) -> None:
    db = database(DIRTY)
    untouched = look(db, exact=False)
    migration = Migration(db, tmp_path)
    finals: list[Look] = []
    for _ in range(2):
        before = untouched
        for phase, previous in CHANGING.items():
            first = _do(migration, phase)
            migration.back(previous)
            assert_same(look(db, exact=False), before)
            _wind_back(db)
            assert_same(_do(migration, phase), first)
            before = first
            if phase == "backfill":
                migration.to("verify")
            if phase == "constrain":
                assert db.rows(SPLIT_SQL) == SPLIT[:1]
        finals.append(before)
        assert db.rows(SPLIT_SQL) == SPLIT
        assert {(r[0], r[1]): (r[2], r[3]) for r in db.rows(MEANT_SQL)} == meant()
        migration.back("start")
        assert_same(look(db, exact=False), untouched)
        _wind_back(db)
    assert_same(finals[1], finals[0])


def _wind_back(db: Database) -> None:
    """The ids of rows that a phase makes come from sequences, which no undo winds back."""
    for table in ("keywords", "keyword_models"):
        db.run(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), 1000)")


def _do(migration: Migration, phase: str) -> Look:
    if phase == "resolve":
        migration.decide(DECISIONS)
    migration.to(phase)
    assert api.status(migration.options).last == phase
    return look(migration.db, exact=False)


def test_uninstall_keeps_the_new_schema_and_leaves_nothing_of_ours(database: Make, tmp_path: Path) -> None:
    db = database(DIRTY)
    migration = Migration(db, tmp_path)
    migration.decide(DECISIONS)
    migration.to("contract")
    after = look(db)
    api.uninstall(migration.options, give_up_undo=True)
    # Triggers and the index that sync probed by go with their purpose.
    kept = [line for line in after[1].splitlines() if "normalform" not in line]
    assert_same(look(db), (after[0], "\n".join(kept) + "\n"))
    assert everything_of_ours(db) == []


def test_a_small_load_of_the_demo_there_and_back_and_there(database: Make, tmp_path: Path) -> None:
    db = database(DEMO)
    untouched = look(db, exact=False)
    migration = Migration(db, tmp_path, files("normalform.demo").joinpath("normalform.toml").read_text("utf-8"))
    decisions = tmp_path / "decisions.csv"
    migration.audit(tmp_path / "mapping.sqlite")
    api.resolve_export(migration.options, tmp_path / "mapping.sqlite", decisions)
    decide.fill(decisions)
    for round_ in (1, 2):
        api.resolve_apply(migration.options, decisions)
        migration.to("contract")
        found = truth.check(db.url, rows=DEMO_ROWS)
        assert found.keys_true and not found.has_text, found
        if round_ == 1:
            migration.back("start")
            assert_same(look(db, exact=False), untouched)
            found = truth.check(db.url, rows=DEMO_ROWS)
            assert found.texts_true and not found.has_key, found
    migration.back("start")
    migration.uninstall()
    assert_same(look(db, exact=False), untouched)
    assert everything_of_ours(db) == []
