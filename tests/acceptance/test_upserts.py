"""Upserts beside uniques on text and on keys (CORRECTNESS 21): the how-to's statements, at every stage that it names.

``deferrable`` is constrain with the other choice.

Many threads upsert the same few tags, so that conflicts are met while the other row is still being written. The
number of statements is bounded, the time is not.
"""

from __future__ import annotations

import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from acceptance.migration import Migration
from acceptance.scenes import CLEAN
from fix_servers import Database
from fix_sessions import Background
from normalform.core.index_successor import DEFERRABLE

Make = Callable[..., Database]
HOW_TO = Path(__file__).parents[2] / "docs/how-to/upserts.md"
STAGES = ("start", "expand", "verify", "constrain", "contract")
THREADS, EACH = 6, 120
#: The keyword's text, its category and its key.
KEYWORDS = (("tree", "nature/plants", 1), ("bridge", "travel", 2), ("sea", "nature", 4))


@dataclass(frozen=True)
class Recipe:
    """A statement of the how-to: whose it is, where it works, and where it is refused with which SQLSTATE."""

    sql: str
    kind: str
    works: tuple[str, ...]
    refused: Mapping[str, str]


def recipes() -> list[Recipe]:
    """Reads the how-to's statements with what it says of each."""
    found = re.findall(r"<!-- run: (\w+), ([^-]*?) -->\n```sql\n(.*?)```", HOW_TO.read_text("utf-8"), re.DOTALL)
    result = []
    for kind, stages, text in found:
        works, *refusals = stages.split("; ")
        refused = {stage: state for state, _, names in (r.partition(": ") for r in refusals) for stage in names.split()}
        result.append(Recipe(text, kind, tuple(works.split()), refused))
    return result


def upsert(db: Database, statements: list[str], *, new: bool = False) -> Counter[str]:
    """Runs statements from many threads on few tags, or on new ones; returns how each ended: ``ok`` or a SQLSTATE."""
    ended: Counter[str] = Counter()
    begin = threading.Barrier(THREADS)

    def write(number: int) -> None:
        source = random.Random(number)
        with db.connect("app") as connection:
            begin.wait()
            for turn in range(EACH):
                keyword, category, key = source.choice(KEYWORDS)
                values: dict[str, Any] = {
                    "tenant": "t", "image": source.randint(1, 3), "keyword": keyword, "category": category, "key": key,
                    "type": f"n{number}-{turn}" if new else f"u{source.randint(1, 40)}", "confidence": source.random(),
                }  # fmt: skip
                try:
                    connection.execute(statements[number % len(statements)].encode(), values)
                    ended["ok"] += 1
                except psycopg.Error as error:
                    ended[error.sqlstate or "no answer"] += 1

    threads = [threading.Thread(target=write, args=(n,), daemon=True) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(t.is_alive() for t in threads)
    return ended


def assert_refusals(db: Database, stage: str) -> None:
    """Every statement that the how-to calls refused at a stage is, with the SQLSTATE that it says."""
    for recipe in recipes():
        if stage in recipe.refused:
            assert upsert(db, [recipe.sql], new=True) == {recipe.refused[stage]: THREADS * EACH}, (
                f"{stage}: {recipe.sql}"
            )


def test_the_how_to_covers_both_kinds_of_code_at_every_stage() -> None:
    covered = {(r.kind, stage) for r in recipes() for stage in r.works}
    assert covered >= {("old", s) for s in STAGES[:4]} | {("new", s) for s in (*STAGES[1:], DEFERRABLE)}


def test_every_statement_of_the_how_to_at_every_stage_that_it_names(database: Make, tmp_path: Path) -> None:
    db = database(CLEAN)
    migration = Migration(db, tmp_path)
    for stage in STAGES:
        if stage != "start":
            migration.to(stage)
        together = [r.sql for r in recipes() if stage in r.works]
        for statement in together:
            assert upsert(db, [statement]) == {"ok": THREADS * EACH}, f"{stage}: {statement}"
        # All at once, as two versions of the application would.
        assert upsert(db, together) == {"ok": THREADS * EACH}, stage
        assert_refusals(db, stage)
        twice = (
            "SELECT tenant_id, image_id, {0}, tag_type FROM machine_tags WHERE {0} IS NOT NULL "
            "GROUP BY 1, 2, 3, 4 HAVING count(*) > 1"
        )
        for column in ("keyword",) * (stage != "contract") + ("keyword_id",) * (stage != "start"):
            assert db.rows(twice.format(column)) == [], f"{stage}: a tag stands twice by {column}"


def test_the_other_choice(database: Make, tmp_path: Path) -> None:
    db = database(CLEAN)
    migration = Migration(db, tmp_path, uniques=DEFERRABLE)
    migration.to("constrain")
    together = [r.sql for r in recipes() if DEFERRABLE in r.works]
    assert upsert(db, together) == {"ok": THREADS * EACH}
    assert_refusals(db, DEFERRABLE)
    migration.to("contract")
    [always] = [r for r in recipes() if r.works == STAGES[1:]]
    assert upsert(db, [always.sql]) == {"ok": THREADS * EACH}


def test_new_code_without_target_writes_while_contract_and_its_undo_run(database: Make, tmp_path: Path) -> None:
    db = database(CLEAN)
    migration = Migration(db, tmp_path)
    migration.to("constrain")
    [always] = [r.sql for r in recipes() if r.works == STAGES[1:]]
    ended: Counter[str] = Counter()
    for move in (lambda: migration.to("contract"), lambda: migration.back("constrain")):
        running = Background("move", move)
        while not running.done:
            ended += upsert(db, [always])
        assert running.wait().error is None
    assert set(ended) == {"ok"}
