"""There and back, from every phase and through every phase, twice: nothing is lost, nothing stays.

Before and after are compared by `compare`, which shares nothing with the engine: checksums over every column of every
table, and the schema as pg_dump writes it. The owner who does all this is no superuser.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from acceptance.migration import CHANGING, Look, Migration, assert_same, look
from acceptance.scenes import CLEAN, DECISIONS, DEMO, DEMO_ROWS, DIRTY, MEANT_SQL, meant
from fix_servers import Database
from normalform import api
from normalform.core.decision_file import Line
from normalform.core.phases import ORDER
from normalform.demo import decide, truth

Make = Callable[..., Database]


def everything_of_ours(db: Database) -> list[str]:
    """Lines of a dump of the whole database, with rows, that speak of us."""
    text = db.server.run_tool("pg_dump", db.name).stdout
    return [line for line in text.splitlines() if "normalform" in line.lower()]


def decided(migration: Migration, decisions: Iterable[Line]) -> None:
    """Applies decisions, where there are any; without them, resolve is a phase that does nothing."""
    lines = list(decisions)
    if lines:
        migration.decide(lines)


SCENES = [pytest.param(CLEAN, (), id="clean"), pytest.param(DIRTY, DECISIONS, id="dirty")]


@pytest.mark.parametrize("reached", CHANGING)
@pytest.mark.parametrize(("scene", "decisions"), SCENES)
def test_rollback_to_the_start_from_each_phase(
    database: Make, tmp_path: Path, scene: str, decisions: list[Line], reached: str
) -> None:
    db = database(scene)
    assert db.rows("SELECT rolsuper FROM pg_roles WHERE rolname = current_user", "owner") == [(False,)]
    before = look(db), look(db, exact=False)
    migration = Migration(db, tmp_path)
    decided(migration, decisions)
    migration.to(reached)
    assert look(db) != before[0] or not decisions, "the phase has done something"
    migration.back("start")
    if reached == "contract":
        assert_same(look(db, exact=False), before[1])
    else:
        assert_same(look(db), before[0])
    migration.uninstall()
    assert everything_of_ours(db) == []
    assert db.rows("SELECT nspname FROM pg_namespace WHERE nspname ~ 'normalform'") == []


@pytest.mark.parametrize(("scene", "decisions"), SCENES)
def test_every_phase_done_undone_done_and_completed_twice(
    database: Make, tmp_path: Path, scene: str, decisions: list[Line]
) -> None:
    db = database(scene)
    untouched = look(db, exact=False)
    migration = Migration(db, tmp_path)
    finals: list[Any] = []
    for _ in range(2):
        for phase in CHANGING:
            before = look(db, exact=False)
            first = _do(migration, phase, decisions)
            _undo(migration, phase)
            assert_same(look(db, exact=False), before)
            # The keys of created rows come from a sequence, which no undo winds back.
            db.run("SELECT setval(pg_get_serial_sequence('keywords', 'id'), 1000)")
            assert_same(_do(migration, phase, decisions), first)
            if phase == "backfill":
                migration.to("verify")
        finals.append((look(db, exact=False), db.rows(f"{MEANT_SQL} ORDER BY 1, 2")))
        if decisions:
            assert {(r[0], r[1]): (r[2], r[3]) for r in finals[-1][1]} == meant()
        migration.back("start")
        assert_same(look(db, exact=False), untouched)
        db.run("SELECT setval(pg_get_serial_sequence('keywords', 'id'), 1000)")
    assert_same(finals[1][0], finals[0][0])
    migration.uninstall()
    assert everything_of_ours(db) == []


def _do(migration: Migration, phase: str, decisions: Iterable[Line]) -> Look:
    if phase == "resolve":
        decided(migration, decisions)
    migration.to(phase)
    assert api.status(migration.options).last == phase
    return look(migration.db, exact=False)


def _undo(migration: Migration, phase: str) -> None:
    migration.back(CHANGING[phase])
    assert api.status(migration.options).last in (CHANGING[phase], *(ORDER if CHANGING[phase] == "start" else ()))


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
