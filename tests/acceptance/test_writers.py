# ruff: noqa: E501  (statements read better on one line)
"""Writers of both kinds between a phase and its undo: the outcome is what the legacy schema would hold (CORRECTNESS 31-33).

The same writes go to a plain copy of the legacy database, as text: the *twin*. After the undo both must be equal, row by
row and column by column. Old code writes text, new code writes keys; both connect as a role that has DML only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from acceptance.migration import CHANGING, Migration, assert_same, look
from acceptance.scenes import DECISIONS, DIRTY
from fix_servers import Database
from normalform import api
from normalform.errors import GateClosed

Make = Callable[..., Database]


@dataclass(frozen=True)
class Write:
    """One write, as old code says it and, where it differs, as new code does. ``{n}`` numbers the round."""

    text: str
    key: str | None = None


OLD = [
    Write("INSERT INTO machine_tags (tenant_id, image_id, keyword, category, tag_type) VALUES ('t', 35, 'bridge', 'travel', 'o{n}')"),
    Write("INSERT INTO permatags (tenant_id, image_id, keyword, category) VALUES ('t', 3{n}, 'tree', 'nature/plants')"),
    Write("INSERT INTO detected_faces (image_id, tenant_id, person_name, confidence) VALUES (3{n}, 't', 'Countess', {n})"),
    # Of `bridge` in `travel` (1, 3, 5 … are `games`): to the other category, to another keyword, gone.
    Write("UPDATE machine_tags SET category = 'games' WHERE image_id = 1{n} AND keyword = 'bridge'"),
    Write("UPDATE machine_tags SET keyword = 'tree', category = 'nature/plants', tag_type = 'moved{n}' WHERE image_id = 2{n} AND keyword = 'bridge'"),
    Write("DELETE FROM machine_tags WHERE image_id = 3{n} AND keyword = 'tree' AND tag_type = 'm'"),
    # Columns that are nobody's text, on rows that decisions have changed or settled.
    Write("UPDATE machine_tags SET confidence = 0.1 + {n} WHERE id BETWEEN 201 AND 208"),
    Write("UPDATE permatags SET signum = -{n} WHERE id IN (202, 203)"),
]  # fmt: skip
# New code finds its rows by their ids: it may write keys from expand on, and read them only once backfill is done.
NEW = [
    Write("INSERT INTO machine_tags (tenant_id, image_id, keyword, category, tag_type) VALUES ('t', 36, 'bridge', 'games', 'k{n}')",
          "INSERT INTO machine_tags (tenant_id, image_id, keyword_id, tag_type) VALUES ('t', 36, 3, 'k{n}')"),
    Write("INSERT INTO permatags (tenant_id, image_id, keyword, category) VALUES ('t', 2{n}, 'tree', 'nature/plants')",
          "INSERT INTO permatags (tenant_id, image_id, keyword_id) VALUES ('t', 2{n}, 1)"),
    Write("INSERT INTO keyword_models (tenant_id, keyword, model_name) VALUES ('t', 'tree', 'k{n}')",
          "INSERT INTO keyword_models (tenant_id, keyword_id, model_name) VALUES ('t', 1, 'k{n}')"),
    Write("UPDATE machine_tags SET keyword = 'sea', category = 'nature', tag_type = 'k-moved{n}' WHERE id = 4 + {n}",
          "UPDATE machine_tags SET keyword_id = 4, tag_type = 'k-moved{n}' WHERE id = 4 + {n}"),
    Write("DELETE FROM image_tags WHERE id = {n}"),
    Write("UPDATE image_tags SET manual = true WHERE id = 10 - {n}"),
    Write("UPDATE detected_faces SET person_name = 'Alan Turing' WHERE image_id = 4",
          "UPDATE detected_faces SET person_id = 2 WHERE image_id = 4"),
]  # fmt: skip
#: A keyword gets another name; old code carries it to the tags itself, sync does it for new code.
RENAME = Write(
    """UPDATE keywords SET keyword = 'sky{n}' WHERE id = 6;
       UPDATE image_tags SET keyword = 'sky{n}' WHERE tenant_id = 'u' AND keyword LIKE 'sky%'""",
    "UPDATE keywords SET keyword = 'sky{n}' WHERE id = 6",
)


TABLES = ("keywords", "machine_tags", "permatags", "image_tags", "keyword_models", "detected_faces")


class Pair:
    """The database that migrates and its twin, which never does."""

    def __init__(self, make: Make, folder: Path) -> None:
        self.db, self.twin = make(DIRTY), make(DIRTY)
        self.migration = Migration(self.db, folder)
        self.round = 0

    def write(self, *, old: bool, new: bool) -> None:
        """Writes one round to both: by old code, by new code, or by either in turn."""
        self.round += 1
        self.give_equal_ids()
        if old:
            self.both((w.text, w.text) for w in OLD)
        if new:
            self.both((w.key or w.text, w.text) for w in [*NEW, RENAME])

    def give_equal_ids(self) -> None:
        """Rows that the engine made, of decisions, have taken ids on one side alone."""
        for table in TABLES:
            sequence = self.db.value(f"SELECT pg_get_serial_sequence('{table}', 'id')")
            last = max(db.value(f"SELECT nextval('{sequence}')") for db in (self.db, self.twin))
            for db in (self.db, self.twin):
                db.run(f"SELECT setval('{sequence}', {last})")

    def both(self, statements: Iterable[tuple[str, str]]) -> None:
        """Runs pairs of statements: the first on the database, the second on its twin."""
        for ours, theirs in statements:
            assert _rows(self.db, ours, self.round) == _rows(self.twin, theirs, self.round), ours

    def assert_equal(self) -> None:
        """The database is what the twin is, row by row and schema included."""
        for table in TABLES:
            query = f"SELECT to_jsonb(t)::text FROM {table} t ORDER BY id"
            ours, theirs = self.db.rows(query), self.twin.rows(query)
            extra, missing = [r for r in ours if r not in theirs], [r for r in theirs if r not in ours]
            assert ours == theirs, f"{table}: {extra} where the legacy schema would hold {missing}"
        assert_same(look(self.db, exact=False), look(self.twin, exact=False))


def _rows(db: Database, statement: str, number: int) -> int:
    """Runs a write as the application and returns how many rows its first statement touched."""
    with db.connect("app") as connection:
        return connection.execute(statement.replace("{n}", str(number)).encode()).rowcount


def _stages(phase: str) -> tuple[bool, bool]:
    """Whether old code and whether new code can write once that phase is the last one done."""
    return phase != "contract", phase in ("expand", "backfill", "constrain", "contract")


@pytest.mark.parametrize("reached", CHANGING)
def test_writes_between_a_phase_and_its_undo(database: Make, tmp_path: Path, reached: str) -> None:
    pair = Pair(database, tmp_path)
    pair.migration.decide(DECISIONS)
    pair.migration.to(reached)
    old, new = _stages(reached)
    pair.write(old=old, new=new)
    pair.migration.back("start")
    pair.assert_equal()


def test_writes_after_every_phase_on_the_way_there_and_back(database: Make, tmp_path: Path) -> None:
    pair = Pair(database, tmp_path)
    pair.write(old=True, new=False)
    pair.migration.decide(DECISIONS)
    pair.migration.to("expand")
    pair.write(old=True, new=True)
    pair.migration.to("constrain")
    pair.write(old=True, new=True)
    pair.migration.to("contract")
    pair.write(old=False, new=True)
    pair.migration.back("verify")
    pair.write(old=True, new=True)
    pair.migration.back("start")
    pair.write(old=True, new=False)
    pair.assert_equal()


def test_spellings_come_back_row_by_row_and_changed_keys_give_their_text(database: Make, tmp_path: Path) -> None:
    db = database(DIRTY)
    spelled = "SELECT id, keyword, category FROM machine_tags WHERE id BETWEEN 201 AND 208 ORDER BY 1"
    faces = "SELECT id, person_name FROM detected_faces ORDER BY 1"
    migration = Migration(db, tmp_path)
    migration.decide(DECISIONS)
    decided, named = db.rows(spelled), db.rows(faces)
    migration.to("contract")
    # 201 was written TREE, 203 arbre, 207 harbour: their keys change; 204 had a category of its own and is only touched.
    db.run("UPDATE machine_tags SET keyword_id = 3 WHERE id IN (201, 203)", "app")
    db.run("UPDATE machine_tags SET keyword_id = 4 WHERE id = 207", "app")
    db.run("UPDATE machine_tags SET keyword_id = 1, confidence = 0.2 WHERE id = 204", "app")
    # There and back: the row has its old key again, and so its old spelling.
    db.run("UPDATE machine_tags SET keyword_id = 4 WHERE id = 202", "app")
    db.run("UPDATE machine_tags SET keyword_id = 1 WHERE id = 202", "app")
    migration.back("constrain")
    changed = {201: ("bridge", "games"), 203: ("bridge", "games"), 207: ("sea", "nature")}
    assert db.rows(spelled) == [(i, *changed.get(i, (text, category))) for i, text, category in decided]
    assert db.rows(faces) == named, "`Ada` is still written so, though she is Ada Lovelace"


def test_a_collision_with_the_legacy_unique_stops_the_rollback_before_anything_changes(
    database: Make, tmp_path: Path
) -> None:
    db = database(DIRTY)
    migration = Migration(db, tmp_path)
    migration.decide(DECISIONS)
    migration.to("contract")
    twice = "INSERT INTO machine_tags (tenant_id, image_id, keyword_id, tag_type) VALUES ('t', 38, {}, 'twice')"
    db.run(twice.format(2), "app")
    db.run(twice.format(3), "app")  # `bridge` again, in the other category: one row by text, two by key
    with pytest.raises(psycopg.errors.UniqueViolation):
        db.run(twice.format(3), "app")
    before = look(db)
    with pytest.raises(GateClosed) as closed:
        migration.back("start")
    said = str(closed.value)
    assert "machine_tags" in said and "bridge" in said, said
    assert_same(look(db), before)
    states = {p.name: p.state for p in api.status(migration.options).phases}
    assert states["contract"] == "done", "nothing is half undone"
    db.run("DELETE FROM machine_tags WHERE tag_type = 'twice' AND keyword_id = 3", "app")
    migration.back("start")
    assert db.rows("SELECT keyword, category FROM machine_tags WHERE tag_type = 'twice'") == [("bridge", "travel")]
