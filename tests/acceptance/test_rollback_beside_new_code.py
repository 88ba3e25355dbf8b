"""A rollback from contract beside new code that keeps writing what the legacy schema forbids (CORRECTNESS 32).

It can meet such rows after its gate has looked. Then it ends with a finding, at once and each time, and the fence of a
window is what lets it come to an end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from acceptance.migration import Migration
from acceptance.scenes import CLEAN
from fix_servers import Database
from fix_sessions import wait_for
from normalform import api
from normalform.core.events import Event
from normalform.errors import GateClosed, ProofFailed

#: Both keywords `bridge` on one picture: two rows by key, one and the same by text.
TWICE = "INSERT INTO machine_tags (tenant_id, image_id, keyword_id, tag_type) VALUES ('t', %s, %s, 'twice')"
SETTLE = "SET normalform.ours = 'on'; DELETE FROM machine_tags WHERE tag_type = 'twice' AND keyword_id = 3"


class NewCode:
    """Tags one picture after the other with both keywords."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.pictures = 0
        self.refused: set[str] = set()
        self.stop = threading.Event()

    def run(self) -> None:
        """Write until stopped."""
        with self.db.connect("app") as connection:
            while not self.stop.is_set():
                for key in (2, 3):
                    try:
                        connection.execute(TWICE.encode(), (self.pictures % 40 + 1, key))
                    except psycopg.Error as error:
                        self.refused.add(error.sqlstate or "no answer")
                self.pictures += 1
                self.stop.wait(0.01)


@contextmanager
def writing(code: NewCode) -> Iterator[None]:
    """New code writes inside the block."""
    thread = threading.Thread(target=code.run, daemon=True)
    thread.start()
    try:
        wait_for(lambda: code.pictures > 5, "new code to write")
        yield
    finally:
        code.stop.set()
        thread.join(60)


def test_it_ends_with_a_finding_and_the_fence_lets_it_finish(database: Callable[..., Database], tmp_path: Path) -> None:
    db = database(CLEAN)
    migration = Migration(db, tmp_path)
    migration.to("contract")
    code = NewCode(db)
    first: list[str] = []

    def meanwhile(event: Event) -> None:
        if event.name == "contract:begun":
            for key in (2, 3):
                with db.connect("app") as connection:
                    connection.execute(TWICE.encode(), (1, key))
            first.append(event.name)

    migration.sink = meanwhile
    with pytest.raises(ProofFailed, match="uq_machine_tags cannot stand") as found:
        migration.back("constrain")
    assert first and "--strategy window" in str(found.value)
    migration.sink = lambda event: None
    with writing(code):
        with pytest.raises(GateClosed, match="legacy-collisions") as closed:
            migration.back("constrain")
        assert "uq_machine_tags" in str(closed.value) and "--strategy window" in str(closed.value)
        [line] = api.status(migration.options).collisions
        assert "machine_tags: " in line and "bridge" in line
        window = replace(migration.options, strategy="window")
        with pytest.raises(GateClosed, match="legacy-collisions"):
            api.rollback(window, "constrain")
        wait_for(lambda: "25006" in code.refused, "new code to meet the fence")
        db.run(SETTLE)
        assert api.rollback(window, "constrain") == "constrain"
    assert db.value("SELECT count(*) FROM machine_tags WHERE tag_type = 'twice' AND keyword <> 'bridge'") == 0
    migration.back("start")
