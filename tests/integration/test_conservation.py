"""The whole way to contract and back with real sync, and with applications writing all the while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import psycopg
import pytest

import keyed
import mini
from compare import dump_schema
from fix_servers import Database, template
from normalform.core.events import Event, silent
from normalform.db import ledger
from normalform.db.certificates import broken_sync
from normalform.db.connect import Connector
from normalform.db.session import keep_baseline, read_model
from normalform.db.work import Context
from normalform.phases import backfill, constrain, contract, expand, verify

template("keyed", keyed.build)
Make = Callable[..., Database]
PHASES = (expand, backfill, verify, constrain, contract)


@contextmanager
def run(
    db: Database, *, before: str = "", options: dict[str, Any] | None = None, text: str = mini.SPEC_TEXT
) -> Iterator[Context]:
    """A run's context before the first phase."""
    if before:
        db.run(before)
    with Connector(db.url).open() as conn:
        ledger.install(conn)
        spec = mini.spec(text)
        number = ledger.start_run(conn, "test", text)
        ctx = Context(
            connector=Connector(db.url, number), conn=conn, run=number, model=read_model(conn, spec),
            options=options or {},
        )  # fmt: skip
        keep_baseline(ctx)
        yield ctx


def forward(ctx: Context, phase: ModuleType) -> None:
    """One phase with its gate, as the runner does it."""
    phase.gate(ctx)
    phase.do(ctx)
    keyed.refresh(ctx)


def back(ctx: Context, phase: ModuleType) -> None:
    """One phase's undo."""
    phase.undo(ctx, clear_rows=False)
    keyed.refresh(ctx)


@pytest.mark.slow
@pytest.mark.parametrize("uniques", ["deferrable", "late"])
def test_there_and_back(database: Make, uniques: str) -> None:
    db = database("keyed")
    with run(db, options={"uniques": uniques}) as ctx:
        rows = keyed.rows(db)
        dumps = []
        for phase in PHASES:
            dumps.append(dump_schema(db, ledger=False, column_order=False))
            forward(ctx, phase)
        triggers = "SELECT tgname FROM pg_trigger WHERE tgrelid = 'public.machine_tags'::regclass AND NOT tgisinternal"
        assert db.rows(triggers) == [], "no sync where no text is"
        # The lookup's scope is filled as before, and a rename looks for nothing that is gone.
        db.run("INSERT INTO public.keywords (id, category_id, keyword) VALUES (900, 2, 'fern')", role="app")
        assert db.value("SELECT tenant_id FROM public.keywords WHERE id = 900") == "t"
        db.run("UPDATE public.keywords SET keyword = 'pont' WHERE id = 2", role="app")
        db.run("UPDATE public.keyword_categories SET name = 'trips' WHERE name = 'travel'", role="app")
        assert db.value("SELECT count(*) FROM normalform.pending") == 0
        back(ctx, contract)
        assert dump_schema(db, ledger=False, column_order=False) == dumps[-1]
        assert broken_sync(ctx.conn, ctx.model) == []
        assert db.rows("SELECT DISTINCT keyword, category FROM public.machine_tags WHERE keyword_id = 2") == [
            ("pont", "trips")
        ]
        # Sync is at work again, in both directions.
        db.run("UPDATE public.keywords SET keyword = 'bridge' WHERE id = 2", role="app")
        db.run("UPDATE public.keyword_categories SET name = 'travel' WHERE name = 'trips'", role="app")
        db.run("DELETE FROM public.keywords WHERE id = 900", role="app")
        assert keyed.rows(db) == rows
        for number in reversed(range(len(PHASES) - 1)):
            back(ctx, PHASES[number])
            if number != 1:  # backfill's undo was told that expand's will drop the column
                assert dump_schema(db, ledger=False, column_order=False) == dumps[number], PHASES[number].__name__
        assert keyed.rows(db) == rows


#: No tenants, keys that are uuid and text, qualifiers of a column, two references on one table with quoted names.
OTHER = """
CREATE TABLE public.species (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL, kind text,
    UNIQUE NULLS NOT DISTINCT (name, kind));
CREATE TABLE public."Places" (code text PRIMARY KEY, "Full Name" varchar(30) NOT NULL UNIQUE);
INSERT INTO public.species (name, kind) VALUES ('bat', 'mammal'), ('bat', 'tool'), ('owl', NULL);
INSERT INTO public."Places" VALUES ('b', 'Basel'), ('z', 'Zürich');
CREATE TABLE public."Sight ings" (a int, b text, "What" text NOT NULL, "Kind" text, place varchar(20), n int,
    PRIMARY KEY (a, b));
CREATE UNIQUE INDEX "uq;both" ON public."Sight ings" ("What", "Kind", place, n) NULLS NOT DISTINCT;
CREATE INDEX "ix;both" ON public."Sight ings" (place DESC, "What" text_pattern_ops) INCLUDE ("Kind")
    WHERE place IS NOT NULL;
CREATE INDEX ix_kind ON public."Sight ings" ("Kind");
INSERT INTO public."Sight ings" VALUES (1, 'x', 'bat', 'mammal', 'Basel', 1), (1, 'y', 'bat', 'tool', 'Zürich', 2),
    (2, 'x', 'owl', NULL, NULL, 3), (2, 'y', 'owl', 'bird', 'Basel', 4);
"""
OTHER_SPEC = """
version = 1
[lookup.species]
table = "public.species"
key = "id"
text = "name"
qualifier = "kind"
[lookup.place]
table = 'public."Places"'
key = "code"
text = "Full Name"
[reference.seen]
table = 'public."Sight ings"'
lookup = "species"
text = "What"
qualifier = "Kind"
add = "species_id"
[reference.place]
table = 'public."Sight ings"'
lookup = "place"
text = "place"
qualifier = false
add = "place code"
required = false
on_delete = "set_null"
"""


@pytest.mark.slow
def test_other_shapes(db: Database) -> None:
    db.run(OTHER)
    rows = 'SELECT a, b, "What", "Kind", place, n FROM public."Sight ings" ORDER BY 1, 2'
    with run(db, text=OTHER_SPEC) as ctx:
        before, schema = db.rows(rows), dump_schema(db, ledger=False, column_order=False)
        for phase in PHASES:
            forward(ctx, phase)
        gone = dump_schema(db, ledger=False)
        assert '(species_id, "place code", n)' in gone
        assert '("place code" DESC, species_id) WHERE ("place code" IS NOT NULL)' in gone
        assert db.rows("SELECT reference, own_value, qualifier FROM normalform.residue") == [("seen", False, "bird")]
        back(ctx, contract)
        assert db.rows(rows) == before
        for phase in reversed(PHASES[:-1]):
            back(ctx, phase)
        assert db.rows(rows) == before
        assert dump_schema(db, ledger=False, column_order=False) == schema


class Writers:
    """Applications that write at every few points of a run; a lock that the run holds makes them give up, no more."""

    def __init__(self, db: Database, every: int) -> None:
        self.connection = db.connect("app", options="-c lock_timeout=50ms -c statement_timeout=2s")
        self.every, self.points, self.written, self.waited = every, 0, 0, 0
        self.errors: list[str] = []

    def __call__(self, event: Event) -> None:
        if event.kind != "point":
            return
        self.points += 1
        if self.points % self.every == 0:
            self.write()

    def write(self) -> None:
        """New code writes keys, somebody edits rows, somebody renames and moves."""
        n = self.points
        swap = "UPDATE public.machine_tags SET keyword_id = CASE keyword_id WHEN 2 THEN 3 ELSE 2 END"
        for statement in (
            f"INSERT INTO public.image_tags (image_id, tenant_id, keyword_id) VALUES ({n % 40 + 1}, 't', {n % 4 + 1})",
            f"UPDATE public.machine_tags SET confidence = {n} WHERE image_id = {n % 40 + 1}",
            f"UPDATE public.keywords SET keyword = 'bridge {n}' WHERE id = 2",
            f"UPDATE public.keyword_categories SET name = 'games {n}' WHERE id = 4",
            f"{swap} WHERE image_id = {n % 30 + 1} AND keyword_id IN (2, 3)",
        ):
            try:
                self.connection.execute(statement.encode())
                self.written += 1
            except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
                self.waited += 1
            except psycopg.Error as error:
                self.errors.append(f"{error.sqlstate} {error.diag.message_primary}: {statement}")


#: Rows whose text or category is not what their key gives, but for those that spelled it their own way from the start.
WRONG = """
WITH RECURSIVE c (id, path) AS (
    SELECT id, name::text FROM public.keyword_categories WHERE parent_id IS NULL
    UNION ALL SELECT k.id, c.path || '/' || k.name FROM public.keyword_categories k JOIN c ON k.parent_id = c.id
)
SELECT t.id, t.keyword, t.category, k.keyword, c.path FROM public.{table} t
JOIN public.keywords k ON k.id = t.keyword_id JOIN c ON c.id = k.category_id
WHERE (t.keyword, t.category) IS DISTINCT FROM (k.keyword, c.path) AND NOT ({own})
"""


@pytest.mark.slow
@pytest.mark.parametrize("every", [5])
def test_with_writers_at_every_step_there_and_back(database: Make, every: int) -> None:
    db = database("keyed")
    with run(db, before="UPDATE public.machine_tags SET category = NULL WHERE id = 14") as ctx:
        for phase in PHASES[:-1]:
            forward(ctx, phase)
        writers = Writers(db, every)
        with writers.connection:
            ctx.sink = writers
            forward(ctx, contract)
            back(ctx, contract)
            ctx.sink = silent
    assert not writers.errors
    assert writers.written > writers.waited
    assert db.rows(WRONG.format(table="machine_tags", own="t.id = 14")) == []
    assert db.value("SELECT category IS NULL FROM public.machine_tags WHERE id = 14")
    # Those without a category before stay so; those written since have their key's.
    assert db.rows(WRONG.format(table="image_tags", own="t.category IS NULL AND t.id <= 10")) == []
