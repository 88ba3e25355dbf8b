"""Decisions beside writers: nothing is lost or half carried, and the application never pays with a deadlock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from compare import checksums
from fix_servers import Database
from fix_sessions import Sessions
from normalform.core.events import Event
from normalform.db.work import Context
from normalform.errors import DecisionError
from normalform.phases import resolve
from resolving import CASES, TEMPLATE, file, line

Engine = Callable[..., Context]
Make = Callable[..., Database]
Open = Callable[[Database], Sessions]
RENAME = [line("lookup.keyword", "t", "tree", "nature/plants", "rename", "arbre")]
WAITS = (
    "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name LIKE 'normalform/%' AND wait_event_type = 'Lock'"
)


def open_engine(engine: Engine, db: Database) -> tuple[Context, list[str]]:
    """Open a run that notes its waits."""
    events: list[str] = []
    ctx = engine(db.url, sink=lambda e: events.append(e.text) if e.kind == "wait" else None)
    return ctx, events


def test_a_tag_that_is_being_written_is_carried_too(
    database: Make, engine: Engine, sessions: Open, tmp_path: Path
) -> None:
    """Without the table lock our snapshot would not see the new tag: it would mean nothing then, or another keyword."""
    db = database(TEMPLATE)
    ctx, _ = open_engine(engine, db)
    open_sessions = sessions(db)
    writer = open_sessions.one("writer")
    writer.run("BEGIN; INSERT INTO image_tags (tenant_id, image_id, keyword, category) VALUES "
               "('t', 33, 'tree', 'nature/plants')")  # fmt: skip
    path = file(tmp_path, RENAME)
    rename = open_sessions.background(lambda: resolve.apply(ctx, path))
    open_sessions.monitor.wait_for(WAITS)
    writer.run("COMMIT")
    assert rename.wait().error is None
    assert db.rows("SELECT keyword FROM image_tags WHERE image_id = 33") == [("arbre",)]
    assert db.value("SELECT count(*) FROM image_tags WHERE keyword = 'tree' AND tenant_id = 't'") == 0


@pytest.mark.slow
def test_the_application_is_never_the_victim(database: Make, engine: Engine, sessions: Open, tmp_path: Path) -> None:
    """It holds a row that we need and wants a table that we hold: we give way at once, and it goes on."""
    db = database(TEMPLATE)
    open_sessions = sessions(db)
    holder = open_sessions.one("holder")
    holder.run("BEGIN; SELECT 1 FROM machine_tags WHERE keyword = 'tree' AND image_id = 5 FOR UPDATE")
    met: list[str] = []
    waits: list[str] = []

    def at(event: Event) -> None:
        if event.kind == "wait":
            waits.append(event.text)
            if len(waits) == 2:
                holder.run("COMMIT")
        if event.name.endswith(":lock:after") and not met:
            met.append(event.name)
            holder.start("UPDATE machine_tags SET confidence = 11 WHERE keyword = 'tree' AND image_id = 5")
            holder.wait_until_blocked()

    ctx = engine(db.url, sink=at)
    resolve.apply(ctx, file(tmp_path, RENAME))
    assert holder.wait().error is None
    assert len(waits) >= 2
    assert db.rows("SELECT keyword, confidence FROM machine_tags WHERE image_id = 5 AND keyword <> 'bridge'") == [
        ("arbre", 11.0)
    ]


def test_a_writer_waits_for_a_decision_and_readers_do_not(
    database: Make, engine: Engine, sessions: Open, tmp_path: Path
) -> None:
    db = database(TEMPLATE)
    open_sessions = sessions(db)
    reader, writer = open_sessions.open("reader", "writer")
    seen: list[object] = []

    def at(event: Event) -> None:
        if event.name.endswith("machine_tags:after") and not seen:
            seen.append(reader.run("SELECT count(*) FROM machine_tags WHERE keyword = 'tree' AND tenant_id = 't'"))
            writer.start("INSERT INTO machine_tags (image_id, tenant_id, keyword) VALUES (31, 't', 'later')")
            writer.wait_until_blocked()

    ctx = engine(db.url, sink=at)
    resolve.apply(ctx, file(tmp_path, RENAME))
    assert writer.wait().error is None
    assert seen == [[(40,)]]


def test_a_loser_that_gets_a_new_reference_meanwhile(
    database: Make, engine: Engine, sessions: Open, tmp_path: Path
) -> None:
    db = database(TEMPLATE)
    ctx, _ = open_engine(engine, db)
    open_sessions = sessions(db)
    writer = open_sessions.one("writer")
    writer.run("BEGIN; INSERT INTO favourites (owner, keyword_id) VALUES ('eve', 8)")
    path = file(tmp_path, CASES["merge same path"])
    merge = open_sessions.background(lambda: resolve.apply(ctx, path))
    open_sessions.monitor.wait_for(WAITS)
    writer.run("COMMIT")
    assert merge.wait().error is None
    assert db.rows("SELECT owner, keyword_id FROM favourites WHERE owner IN ('ann', 'eve') ORDER BY 1, 2") == [
        ("ann", 7), ("ann", 7), ("eve", 7),
    ]  # fmt: skip


def test_undo_beside_a_writer(database: Make, engine: Engine, sessions: Open, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    before = checksums(db)
    ctx, _ = open_engine(engine, db)
    open_sessions = sessions(db)
    writer = open_sessions.one("writer")
    resolve.apply(ctx, file(tmp_path, RENAME))
    writer.run("BEGIN; UPDATE machine_tags SET confidence = 7 WHERE keyword = 'arbre' AND image_id = 4")
    undo = open_sessions.background(lambda: resolve.undo_decisions(ctx))
    open_sessions.monitor.wait_for(WAITS)
    writer.run("ROLLBACK")
    assert undo.wait().value.left == ()
    assert checksums(db) == before


def test_data_that_changes_between_check_and_apply_undoes_the_whole_file(
    database: Make, engine: Engine, sessions: Open, tmp_path: Path
) -> None:
    db = database(TEMPLATE)
    before = checksums(db)
    done: list[str] = []

    def at(event: Event) -> None:
        # After the file was checked and recorded, somebody takes the new name in the same category.
        if event.name == "resolve/record:after-commit" and not done:
            done.append("once")
            db.run("INSERT INTO keywords (id, category_id, keyword) VALUES (77, 2, 'arbre')", "app")

    ctx = engine(db.url, sink=at)
    lines = [*RENAME, *CASES["drop"], *CASES["null"]]
    path = file(tmp_path, lines)
    with pytest.raises(DecisionError, match="line 2: duplicate key"):
        resolve.apply(ctx, path)
    db.run("DELETE FROM keywords WHERE id = 77", "app")
    assert checksums(db) == before
    assert db.value("SELECT count(*) FROM normalform.mapping") == 0
    assert resolve.apply(ctx, path).applied == len(lines)
