"""Between any two commits of the engine every statement of the application passes, of old code and of new code.

At each commit that the engine announces, on the whole way to contract and back, the application writes what it is
entitled to at that stage, and takes it back. A trigger that calls a function which is not there yet, or no more, would
fail its statement with SQLSTATE 42883; so would a column or a table that it reads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from acceptance.migration import Migration
from acceptance.scenes import CLEAN
from fix_servers import Database
from normalform.core.events import Event

LOOKUPS = (
    "UPDATE keywords SET keyword = 'zz' WHERE id = 1",
    "UPDATE keywords SET category_id = 3 WHERE id = 4",
    "UPDATE keyword_categories SET name = 'zz' WHERE id = 1",
    "UPDATE people SET name = 'zz' WHERE id = 1",
    "INSERT INTO keywords (id, category_id, keyword) VALUES (90, 1, 'zz'); DELETE FROM keywords WHERE id = 90",
)
OLD = (
    """INSERT INTO machine_tags (tenant_id, image_id, keyword, category) VALUES ('t', 39, 'sea', 'nature')
        ON CONFLICT (tenant_id, image_id, keyword, tag_type) DO UPDATE SET category = excluded.category""",
    "INSERT INTO machine_tags (tenant_id, image_id, keyword) VALUES ('t', 39, 'sea') ON CONFLICT DO NOTHING",
    "UPDATE image_tags SET keyword = 'sea', category = 'nature' WHERE tenant_id = 't'",
    "UPDATE detected_faces SET person_name = 'Countess' WHERE tenant_id = 't'",
    "DELETE FROM permatags",
)
NEW = (
    "INSERT INTO machine_tags (tenant_id, image_id, keyword_id) VALUES ('t', 39, 4) ON CONFLICT DO NOTHING",
    "UPDATE image_tags SET keyword_id = 4 WHERE tenant_id = 't'",
    "UPDATE detected_faces SET person_id = 2 WHERE tenant_id = 't'",
    "INSERT INTO keyword_models (tenant_id, keyword_id, model_name) VALUES ('t', 2, 'zz')",
)


class Application:
    """Writes at each commit what code of that stage writes; keeps what was refused."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.refused: list[str] = []
        self.commits = 0
        self.old, self.new = True, False
        self._one = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Take an event of the engine."""
        if event.kind == "phase":
            if (event.name, event.text) in (("contract", "do"), ("contract", "undone")):
                self.old = event.text == "undone"
            if (event.name, event.text) in (("expand", "done"), ("expand", "undo")):
                self.new = event.text == "done"
        elif event.kind == "point" and event.name.endswith(":after-commit"):
            with self._one:
                self.write(event.name)

    def write(self, commit: str) -> None:
        """Run every statement, each in a transaction that is rolled back."""
        self.commits += 1
        with self.db.connect("app", autocommit=False) as connection:
            for statement in (*LOOKUPS, *OLD * self.old, *NEW * self.new):
                try:
                    connection.execute(statement.encode())
                    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
                except psycopg.Error as error:
                    self.refused.append(f"{commit}: {error.sqlstate} {error.diag.message_primary} <- {statement}")
                connection.rollback()


@pytest.mark.slow
def test_every_statement_passes_between_any_two_commits(database: Callable[..., Database], tmp_path: Path) -> None:
    db = database(CLEAN)
    application = Application(db)
    migration = Migration(db, tmp_path, sink=application)
    migration.to("contract")
    assert (application.old, application.new) == (False, True)
    migration.back("start")
    assert (application.old, application.new) == (True, False)
    assert application.refused == []
    assert application.commits > 200
