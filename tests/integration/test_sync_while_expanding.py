"""Between expand's steps, and between those of its undo, the application goes on renaming and deleting lookup rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import psycopg
import pytest

import mini
from compare import checksums
from fix_servers import Database, template
from normalform import api
from normalform.core.events import Event

Make = Callable[..., Database]
EXPANDING = template("expanding", mini.SCHEMA + mini.DATA)
#: Busy with a lock of ours: the application waits, which is not what is asked here.
WAITS = ("55P03", "57014")
#: Writes of legacy code that leave everything as it was, and no text without its lookup row.
WRITES = (
    "UPDATE keywords SET keyword = 'arbre' WHERE id = 1; UPDATE keywords SET keyword = 'tree' WHERE id = 1",
    "UPDATE keyword_categories SET name = 'x' WHERE id = 2; UPDATE keyword_categories SET name = 'plants' WHERE id = 2",
    "UPDATE people SET name = 'A' WHERE id = 2; UPDATE people SET name = 'Alan Turing' WHERE id = 2",
    """INSERT INTO keywords (id, category_id, keyword) VALUES (99, 1, 'new');
    UPDATE keywords SET keyword = 'newer', category_id = 3 WHERE id = 99; DELETE FROM keywords WHERE id = 99""",
    """UPDATE machine_tags SET category = 'games' WHERE id = 42;
    UPDATE machine_tags SET category = 'travel' WHERE id = 42""",
)


class Writer:
    """A sink that lets the application write at the engine's points."""

    def __init__(self, app: psycopg.Connection) -> None:
        self.app = app
        self.done: Counter[str] = Counter()
        self.failed: list[tuple[str, str, str]] = []
        app.execute("SET lock_timeout = '20ms'; SET statement_timeout = '100ms'")

    def __call__(self, event: Event) -> None:
        if event.kind != "point" or not event.name.endswith((":after-commit", ":intended", ":undo-intend", ":begun")):
            return
        for write in WRITES:
            try:
                self.app.execute(write.encode())
                self.done[write] += 1
            except psycopg.Error as error:
                if error.sqlstate not in WAITS:
                    self.failed.append((event.name, write, str(error)))


@pytest.mark.slow
def test_renames_and_deletes_go_on_between_the_steps(database: Make) -> None:
    db = database(EXPANDING)
    before = checksums(db)
    with db.connect("app") as app:
        writer = Writer(app)
        options = api.Options(db.url, mini.SPEC_TEXT, writer)
        api.run(options, until="expand")
        # What sync has seen pass has a key by now: text and key still agree.
        wrong = (
            "SELECT count(*) FROM machine_tags t JOIN keywords k ON k.id = t.keyword_id WHERE k.keyword <> t.keyword"
        )
        assert db.value(wrong) == 0
        api.rollback(options, "start")
    assert writer.failed == []
    assert min(writer.done[w] for w in WRITES) > 20
    assert checksums(db) == before


def test_a_rename_before_all_scopes_are_known_reaches_no_namesake(database: Make) -> None:
    """`bridge` stands twice: while the other one has no scope yet, the rows of both would look like this one's."""
    db = database(EXPANDING)
    with db.connect("app") as app:

        def rename(event: Event) -> None:
            if event.kind == "point" and event.name == "scope:keyword:batch:before":
                app.execute("UPDATE keywords SET keyword = 'span' WHERE id = 2")

        api.run(api.Options(db.url, mini.SPEC_TEXT, rename), until="expand")
    assert db.value("SELECT keyword FROM keywords WHERE id = 2") == "span"
    assert db.value("SELECT count(*) FROM machine_tags WHERE keyword = 'bridge' AND category = 'games'") == 15
    assert db.value("SELECT count(*) FROM machine_tags WHERE keyword_id IS NOT NULL") == 0
