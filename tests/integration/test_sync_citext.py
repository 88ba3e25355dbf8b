"""Renames of a lookup whose text is citext: two cases of a word are one name, and a change of case is a rename."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import mini
from fix_servers import Database
from normalform.core.events import Event
from normalform.db import ledger
from normalform.db.carry import carry_pending, pending_count
from normalform.db.connect import pin
from normalform.db.session import read_model
from normalform.db.work import Context
from normalform.sql.sync import sync_lookup_steps, sync_reference_steps
from second.citext import provide
from syncing import add_column, apply

Make = Callable[..., Database]
Engine = Callable[..., Context]

SCHEMA = """
CREATE TABLE public.words (id int PRIMARY KEY, kind text NOT NULL, word public.citext NOT NULL, UNIQUE (kind, word));
CREATE TABLE public.uses (id int PRIMARY KEY, kind text, word public.citext);
GRANT SELECT, INSERT, UPDATE, DELETE ON public.words, public.uses TO nf_app;
"""
SPEC = """
version = 1
[lookup.word]
table = "public.words"
key = "id"
text = "word"
qualifier = "kind"
rename = "{rename}"
[reference.uses]
table = "public.uses"
lookup = "word"
text = "word"
qualifier = "kind"
add = "word_id"
"""
USES = "SELECT id, word::text, word_id FROM public.uses ORDER BY id"


def stand(db: Database, rename: str, rows: str) -> str:
    """Make the tables, sync over them, and rows that sync has not seen; returns the spec."""
    text = SPEC.format(rename=rename)
    provide(db.url)
    db.run(SCHEMA)
    with db.connect() as owner:
        pin(owner)
        ledger.install(owner)
        model = read_model(owner, mini.spec(text))
        ledger.save_baseline(owner, model.catalog)
        add_column(owner, model.references[0].table.name, "word_id", "int")
        apply(owner, sync_lookup_steps(model, model.lookups[0]))
        apply(owner, sync_reference_steps(model, model.references[0]))
    db.run(f"BEGIN; SELECT set_config('normalform.batch', 'on', true); {rows}; COMMIT")
    return text


def test_a_queued_change_of_case_is_carried_once(database: Make, engine: Engine) -> None:
    """To the references the former text means the row before and behind it."""
    db = database()
    rows = (
        "INSERT INTO words VALUES (1, 'a', 'Tree'); INSERT INTO uses VALUES (1, 'a', 'Tree', 1), (2, 'a', 'TREE', NULL)"
    )
    text = stand(db, "queue", rows)
    db.run("UPDATE words SET word = 'tree' WHERE id = 1", "app")
    looks: list[str] = []

    def sink(event: Event) -> None:
        looks.append(event.name)
        if len(looks) > 1_000:  # it would never end
            ctx.stop.set()

    ctx = engine(db.url, text, sink=sink)
    carry_pending(ctx)
    assert pending_count(ctx.conn) == 0
    assert db.rows(USES) == [(1, "tree", 1), (2, "tree", 1)]


@pytest.mark.parametrize("rename", ["queue", "carry"])
def test_rows_without_a_key_of_a_namesake_in_another_case_stay_its_own(
    database: Make, engine: Engine, rename: str
) -> None:
    db = database()
    rows = (
        "INSERT INTO words VALUES (1, 'a', 'Tree'), (2, 'b', 'TREE');"
        "INSERT INTO uses VALUES (1, 'a', 'tree'), (2, 'b', 'tree')"
    )
    text = stand(db, rename, rows)
    db.run("UPDATE words SET word = 'arbre' WHERE id = 1", "app")
    carry_pending(engine(db.url, text))
    assert db.rows(USES) == [(1, "arbre", 1), (2, "tree", None)]


def test_a_name_that_comes_back_in_another_case_does_not_take_the_rows_in_the_queue(
    database: Make, engine: Engine
) -> None:
    db = database()
    text = stand(db, "queue", "INSERT INTO words VALUES (1, 'a', 'Tree'); INSERT INTO uses VALUES (1, 'a', 'Tree')")
    db.run("UPDATE words SET word = 'arbre' WHERE id = 1", "app")
    db.run("INSERT INTO words VALUES (2, 'b', 'tree')", "app")
    db.run("UPDATE uses SET word = word", "app")
    carry_pending(engine(db.url, text))
    assert db.rows(USES) == [(1, "arbre", 1)]
