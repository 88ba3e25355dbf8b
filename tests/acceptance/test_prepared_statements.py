"""Statements prepared, or without a list of columns, meet a changed table (CORRECTNESS 22); the plan says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

import mini
from acceptance.migration import Migration
from acceptance.scenes import CLEAN
from fix_servers import Database
from normalform.cli import main
from normalform.core.plan import AFTER

Make = Callable[..., Database]
PREPARED = {
    "everything": ("PREPARE everything AS SELECT * FROM machine_tags WHERE id = 1", "EXECUTE everything"),
    "inserted": (
        """PREPARE inserted AS INSERT INTO image_tags (tenant_id, image_id, keyword, category)
           VALUES ('t', 1, 'sea', 'nature') RETURNING *""",
        "EXECUTE inserted",
    ),
    "keys": ("PREPARE keys AS SELECT * FROM machine_tags WHERE keyword_id = 1 AND id = 1", "EXECUTE keys"),
    "named": ("PREPARE named AS SELECT id, tenant_id, confidence FROM machine_tags WHERE id = 1", "EXECUTE named"),
}


def prepare(connection: psycopg.Connection, *names: str) -> None:
    """Prepares statements as a driver would, and uses each once."""
    for name in names:
        connection.execute(PREPARED[name][0].encode())
        connection.execute(PREPARED[name][1].encode())


def state_of(connection: psycopg.Connection, name: str) -> str | None:
    """Executes a prepared statement; the SQLSTATE, or None when it is well."""
    try:
        connection.execute(PREPARED[name][1].encode())
    except psycopg.Error as error:
        return error.sqlstate
    return None


def test_expand_and_contract_break_prepared_stars_until_they_reconnect(database: Make, tmp_path: Path) -> None:
    db = database(CLEAN)
    migration = Migration(db, tmp_path)
    with db.connect("app", prepare_threshold=None) as old:
        prepare(old, "everything", "inserted", "named")
        migration.to("expand")
        assert [state_of(old, "everything") for _ in range(3)] == ["0A000"] * 3, "every time"
        assert state_of(old, "inserted") == "0A000"
        assert state_of(old, "named") is None
        old.execute("DEALLOCATE everything")
        prepare(old, "everything")
    with db.connect("app", prepare_threshold=None) as restarted:
        prepare(restarted, "everything", "keys", "named")
        migration.to("verify")
        assert [state_of(restarted, n) for n in ("everything", "keys", "named")] == [None] * 3
        migration.to("contract")
        assert [state_of(restarted, n) for n in ("everything", "keys")] == ["0A000"] * 2
        assert state_of(restarted, "named") is None


def test_copy_and_insert_without_columns_break_at_expand(database: Make, tmp_path: Path) -> None:
    db = database(CLEAN)
    line = "900\t1\tt\tsea\tnature\t\\N\n"
    copy = "COPY image_tags {}FROM STDIN"
    columns = "(id, image_id, tenant_id, keyword, category, manual) "

    def load(statement: str, text: str) -> str | None:
        try:
            with db.connect("app") as connection, connection.cursor().copy(statement.encode()) as stream:
                stream.write(text)
        except psycopg.Error as error:
            return error.sqlstate
        return None

    db.run("CREATE TABLE staged (LIKE image_tags)")
    select = "INSERT INTO image_tags SELECT * FROM staged"
    assert load(copy.format(""), line) is None
    Migration(db, tmp_path).to("expand")
    assert load(copy.format(""), line.replace("900", "901")) == "22P04"
    assert load(copy.format(columns), line.replace("900", "902")) is None
    db.run(select, "app")  # fewer expressions than columns are allowed: the key is left to sync
    db.run("CREATE TABLE archived (LIKE image_tags)")
    db.run("ALTER TABLE archived DROP COLUMN keyword_id")
    with pytest.raises(psycopg.errors.SyntaxError):
        db.run("INSERT INTO archived SELECT * FROM image_tags", "owner")
    assert db.rows("SELECT keyword_id FROM image_tags WHERE id IN (900, 902) ORDER BY id") == [(None,), (4,)]


def test_the_plan_names_the_rolling_restart(database: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db = database(CLEAN)
    spec = tmp_path / "normalform.toml"
    spec.write_text(mini.SPEC_TEXT, encoding="utf-8")

    def plan(phase: str, before: tuple[str, ...] = (), behind: tuple[str, ...] = ()) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["--spec", str(spec), "--database-url", db.url, *before, "plan", phase, *behind])
        assert ended.value.code == 0
        return capsys.readouterr().out

    for phase in ("expand", "backfill", "contract"):
        if phase == "contract":
            Migration(db, tmp_path).to("constrain")
        for text in (plan(phase), plan(phase, behind=("--sql",))):
            words = " ".join(text.split())
            assert (f"after {phase}: " in words and AFTER[phase] in words) if phase in AFTER else "after " not in words
        assert json.loads(plan(phase, ("--json",)))["after"] == {p: note for p, note in AFTER.items() if p == phase}
    assert all("0A000" in AFTER[p] and "restart" in AFTER[p] and "SELECT *" in AFTER[p] for p in ("expand", "contract"))
