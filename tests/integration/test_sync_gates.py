"""The gates between batches and everything that changes what a text means, and the locks behind a row's other meanings.

Each test has two sessions, of which one has to wait for the other: without its gate or lock it would not, and a key
would be left that leads nowhere or to another meaning. (CORRECTNESS 2, 3, 11.)
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

import mini
from fix_servers import Database, template
from fix_sessions import Sessions
from normalform.core.conservation import conserve
from normalform.db.connect import Connector
from normalform.db.session import read_model
from normalform.sql import gates
from normalform.sql.archive import archive_work, refill_work
from normalform.sql.carry import KINDS, carry_work
from normalform.sql.fill import fill_work
from syncing import expanded, tag, tags, with_lines

Make = Callable[..., Database]
Open = Callable[[Database], Sessions]

#: A keyword and a person to which nothing refers yet.
FREE = """
INSERT INTO public.keywords (id, category_id, keyword) VALUES (50, 3, 'fern');
INSERT INTO public.people (id, tenant_id, name, aliases) VALUES (50, 't', 'Zoe', '["Zo"]');
"""
EMPTY = template("gates-empty", expanded(before=FREE))
FILLED = template("gates-filled", expanded(before=FREE, fill=True))
CREATE = template(
    "gates-create",
    expanded(with_lines(machine_tags='on_unknown = "create"'), before="DELETE FROM public.machine_tags;"),
)


def batch(opened: Sessions) -> Callable[[str], None]:
    """A batch that has passed its gate and has written nothing yet; the function returned writes and commits."""
    session = opened.one("batch", role="owner")
    session.run("BEGIN; SELECT set_config('normalform.batch', 'on', true)")
    assert session.run(gates.exclusive("keyword", 3)) == [(True,)]

    def write(statement: str) -> None:
        session.run(f"{statement}; COMMIT")

    return write


def test_a_category_is_renamed_after_the_batch_and_its_rows_are_carried(database: Make, sessions: Open) -> None:
    db = database(EMPTY)
    opened = sessions(db)
    write = batch(opened)
    rename = opened.one("rename", role="owner")
    rename.start("UPDATE keyword_categories SET name = 'trips' WHERE id = 3").wait_until_blocked()
    write("UPDATE machine_tags SET keyword_id = 2 WHERE keyword = 'bridge' AND category = 'travel' AND image_id < 20")
    assert rename.wait().error is None
    query = "SELECT category, keyword_id, count(*) FROM machine_tags WHERE keyword = 'bridge' GROUP BY 1, 2 ORDER BY 1"
    assert db.rows(query) == [("games", None, 15), ("trips", 2, 15)]


def test_a_row_is_deleted_after_the_batch_or_not_at_all(database: Make, sessions: Open) -> None:
    db = database(EMPTY)
    opened = sessions(db)
    write = batch(opened)
    delete = opened.one("delete", role="owner")
    delete.start("DELETE FROM keywords WHERE id = 50").wait_until_blocked()
    write("UPDATE machine_tags SET keyword = 'fern', keyword_id = 50 WHERE image_id = 40 AND keyword = 'tree'")
    assert delete.wait().sqlstate == "23503"


def test_a_lookup_is_emptied_after_the_batch_or_not_at_all(database: Make, sessions: Open) -> None:
    db = database(EMPTY)
    opened = sessions(db)
    write = batch(opened)
    truncate = opened.one("truncate", role="owner")
    truncate.start("TRUNCATE keywords").wait_until_blocked()
    write("UPDATE machine_tags SET keyword_id = 1 WHERE image_id = 40 AND keyword = 'tree'")
    assert truncate.wait().error is not None
    assert db.value("SELECT count(*) FROM keywords") == 7


def test_a_created_row_is_adopted_with_what_the_batch_has_keyed(database: Make, sessions: Open) -> None:
    db = database(CREATE)
    db.run(tag("arbre", image=38), "app")
    [(created,)] = db.rows("SELECT id FROM keywords WHERE keyword = 'arbre'")
    with db.connect() as owner, owner.transaction():
        owner.execute("SELECT set_config('normalform.batch', 'on', true)")
        owner.execute("INSERT INTO machine_tags (image_id, tenant_id, keyword) VALUES (39, 't', 'arbre')")
    opened = sessions(db)
    write = batch(opened)
    rename = opened.one("rename", role="owner")
    rename.start("UPDATE keywords SET keyword = 'arbre' WHERE id = 1").wait_until_blocked()
    write(f"UPDATE machine_tags SET keyword_id = {created} WHERE image_id = 39")
    assert rename.wait().error is None
    assert db.rows(tags(38)) == db.rows(tags(39)) == [("arbre", None, 1)]


def test_every_work_that_rests_on_what_a_text_means_passes_the_gate(database: Make) -> None:

    db = database(FILLED)
    with Connector(db.url).open() as conn:
        model = read_model(conn, mini.spec())
    tables = {t.name: t for t in conserve(model, {})}
    for reference in model.references:
        conserved = tables[reference.table.name]
        works = [fill_work(reference), *(carry_work(reference, kind) for kind in KINDS)]
        if reference in conserved.going():
            works += [archive_work(conserved, reference), refill_work(conserved, reference)]
        assert {w.gates for w in works if w is not None} == {(reference.lookup.name,)}


# ------------------------------------------------------------- a row that is meant by another spelling stays as it is

DECIDED = (
    "INSERT INTO normalform.mapping (reference, scope, value, qualifier, how, key) "
    "VALUES ('{}', '{{t}}', '{}', NULL, '{}', '50')"
)
FACE = "INSERT INTO detected_faces (image_id, tenant_id, person_name) VALUES (39, 't', 'Zo') RETURNING person_id"


@pytest.mark.parametrize(
    ("before", "write", "delete"),
    [
        (DECIDED.format("machine_tags", "farn", "chosen"), tag("farn"), "DELETE FROM keywords WHERE id = 50"),
        (DECIDED.format("faces", "Zo", "alias"), FACE, "DELETE FROM people WHERE id = 50"),
        ("", FACE, "DELETE FROM people WHERE id = 50"),
    ],
    ids=["decided", "alias-known", "alias-sought"],
)
def test_a_delete_waits_for_a_writer_who_spells_it_otherwise(
    database: Make, sessions: Open, before: str, write: str, delete: str
) -> None:
    db = database(FILLED)
    if before:
        db.run(before)
    a, b = sessions(db).open("delete", "writer")
    b.run("BEGIN")
    assert b.run(write)[0][-1] == 50
    a.start(delete).wait_until_blocked(by=b)
    b.run("COMMIT")
    assert a.wait().sqlstate == "23503"
