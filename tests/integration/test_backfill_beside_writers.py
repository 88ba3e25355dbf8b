"""Backfill with expand's own triggers and an application that renames, inserts and updates all the while.

What each row must point at is written down before the application begins, and by nothing of ours.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

import mini
from expanded import MORE, Told
from fix_servers import Database, template
from fix_sessions import Sessions
from normalform.core.events import Event
from normalform.db.carry import carry_pending
from normalform.db.session import open_run
from normalform.runner import Runner

Make = Callable[[str], Database]
MakeSessions = Callable[[Database], Sessions]
Write = Callable[[psycopg.Connection[Any], int], None]

EXPECTED = """
CREATE TABLE public.expected AS SELECT id, CASE WHEN tenant_id = 'u' THEN 5 WHEN keyword = 'tree' THEN 1
    WHEN keyword = 'sea' THEN 4 WHEN category = 'travel' THEN 2 ELSE 3 END AS key FROM public.machine_tags;
"""
WRONG_KEY = (
    "SELECT t.id, t.tenant_id, t.keyword, t.category, t.keyword_id, e.key, t.confidence, t.ctid::text, t.xmin::text "
    "FROM public.expected e JOIN public.machine_tags t USING (id) WHERE t.keyword_id IS DISTINCT FROM e.key ORDER BY id"
)
NO_KEY = "SELECT count(*) FROM public.machine_tags WHERE keyword_id IS NULL"
OTHER_TEXT = (
    "SELECT count(*) FROM public.machine_tags t LEFT JOIN public.keywords k ON k.id = t.keyword_id "
    "WHERE k.keyword IS DISTINCT FROM t.keyword OR k.tenant_id IS DISTINCT FROM t.tenant_id"
)


def _build(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(mini.SCHEMA)
        conn.execute(mini.DATA)
        conn.execute(MORE)
        conn.execute(EXPECTED)
        conn.execute("VACUUM ANALYZE")
    Runner(url, mini.SPEC_TEXT).advance("expand")


WRITTEN_TO = template("expanded-by-the-engine", _build)


def rename(conn: psycopg.Connection[Any], number: int) -> None:
    """Rename a keyword that thousands of rows hang on, forth and back; every third time it is rolled back."""
    name = "arbre" if number % 2 == 0 else "tree"
    with conn.transaction(force_rollback=number % 3 == 2):
        conn.execute("UPDATE public.keywords SET keyword = %s WHERE id = 1", (name,))


def insert(conn: psycopg.Connection[Any], number: int) -> None:
    """Insert as old code does (text) and as new code does (key)."""
    if number % 2:
        columns, value = "keyword, category", "'bridge', 'games'"
    else:
        columns, value = "keyword_id", "4"
    conn.execute(
        f"INSERT INTO public.machine_tags (tenant_id, image_id, tag_type, {columns}) "
        f"SELECT 't', 1 + %s %% 40, 'new' || %s, {value}".encode(),
        (number, number),
    )


def update(conn: psycopg.Connection[Any], number: int) -> None:
    """Change something else of a row, which moves it; every third time it is rolled back."""
    with conn.transaction(force_rollback=number % 3 == 2):
        conn.execute("UPDATE public.machine_tags SET confidence = %s WHERE id = %s", (number, number * 7919 % 30_000))


#: Seconds between two writes: an application, not a load test. Renames of a name with thousands of rows are queued.
PACE: dict[Write, float] = {rename: 0.3, insert: 0.002, update: 0.002}
MOST: dict[Write, int] = {rename: 8, insert: 100_000, update: 100_000}


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_text_and_key_say_the_same_in_the_end(database: Make, sessions: MakeSessions, workers: int) -> None:
    db = database(WRITTEN_TO)
    made = sessions(db)
    stop = threading.Event()
    counts: dict[str, int] = {}

    def loop(write: Write) -> Callable[[psycopg.Connection[Any]], None]:
        def run(conn: psycopg.Connection[Any]) -> None:
            while not stop.wait(PACE[write]) and counts.get(write.__name__, 0) < MOST[write]:
                write(conn, counts.get(write.__name__, 0))
                counts[write.__name__] = counts.get(write.__name__, 0) + 1

        return run

    writers = made.open("renames", "inserts", "updates")
    for writer, write in zip(writers, (rename, insert, update), strict=True):
        writer.call(loop(write))
    told = Told()
    filling = made.background(lambda: Runner(db.url, mini.SPEC_TEXT, sink=told, workers=workers).advance("backfill"))
    result = filling.wait(240)
    stop.set()
    assert [w.wait(120).error for w in writers] == [None, None, None]
    if result.error is not None:
        raise result.error
    assert len(counts) == 3
    with open_run(db.url, mini.SPEC_TEXT, "carry") as ctx:
        carry_pending(ctx)  # what was renamed behind the last pass
    assert db.rows(WRONG_KEY) == []
    assert db.value(NO_KEY) == 0
    assert db.value(OTHER_TEXT) == 0


@pytest.mark.slow
def test_a_name_that_is_away_while_its_rows_are_passed(database: Make) -> None:
    """Away during the sweep, back for the carrying, away while what is left is counted: no row is forgotten."""
    db = database(WRITTEN_TO)
    steps = [
        ("fill:machine_tags:lock:before", "arbre"),
        ("carry-text:machine_tags:lock:before", "tree"),
        ("carry:done:after-commit", "arbre"),
        ("mapping:machine_tags:resolve:after", "tree"),
    ]
    points = iter(steps)
    awaited = [next(points)]

    def sink(event: Event) -> None:
        if event.kind != "point" or not awaited or event.name != awaited[0][0]:
            return
        _, name = awaited.pop()
        db.run(f"UPDATE public.keywords SET keyword = '{name}' WHERE id = 1", "app")
        awaited.extend([step for step in [next(points, None)] if step])

    Runner(db.url, mini.SPEC_TEXT, sink=sink, workers=1).advance("backfill")
    assert not awaited
    with open_run(db.url, mini.SPEC_TEXT, "carry") as ctx:
        carry_pending(ctx)
    assert db.value(NO_KEY) == 0
    assert db.rows(WRONG_KEY) == []
    assert db.value(OTHER_TEXT) == 0


def _between(point: str, *statements: str, url: Database) -> Callable[[Event], None]:
    """A sink that lets the application do something when a point is announced for the first time."""
    left = list(statements)

    def sink(event: Event) -> None:
        if event.kind == "point" and event.name == point:
            while left:
                url.run(left.pop(0), "app")

    return sink


@pytest.mark.slow
def test_two_of_one_name_that_both_leave_while_their_rows_are_passed(database: Make) -> None:
    """Both are queued, and both had the name that the rows without a key hold."""
    db = database(WRITTEN_TO)
    leave = [f"UPDATE public.keywords SET keyword = 'bridge {n}' WHERE id = {n}" for n in (2, 3)]
    sink = _between("fill:machine_tags:lock:before", *leave, url=db)
    Runner(db.url, mini.SPEC_TEXT, sink=sink, workers=1).advance("backfill")
    with open_run(db.url, mini.SPEC_TEXT, "carry") as ctx:
        carry_pending(ctx)
    assert db.value(NO_KEY) == 0
    assert db.rows(WRONG_KEY) == []
    assert db.value(OTHER_TEXT) == 0


@pytest.mark.slow
def test_a_name_that_leaves_while_keys_are_taken_away(database: Make) -> None:
    """A row whose rename waits keeps its key till then: its former name alone would mean the other of that name."""
    db = database(WRITTEN_TO)
    Runner(db.url, mini.SPEC_TEXT).advance("backfill")
    sink = _between(
        "clear:machine_tags:lock:before", "UPDATE public.keywords SET keyword = 'pont' WHERE id = 2", url=db
    )
    Runner(db.url, mini.SPEC_TEXT, sink=sink, workers=1).rollback("expand")
    assert db.value("SELECT count(*) FROM public.machine_tags WHERE keyword_id IS NOT NULL") == 0
    Runner(db.url, mini.SPEC_TEXT).advance("backfill")
    assert db.rows(WRONG_KEY) == []
    assert db.value(OTHER_TEXT) == 0


@pytest.mark.slow
def test_renames_are_queued_again_after_clearing_was_stopped(database: Make) -> None:
    """While keys are cleared renames are carried at once; killed there, whatever follows ends the clearing first."""
    db = database(WRITTEN_TO)
    Runner(db.url, mini.SPEC_TEXT, workers=1).advance("backfill")

    def die(event: Event) -> None:
        if event.kind == "point" and event.name == "clear:machine_tags:lock:before":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Runner(db.url, mini.SPEC_TEXT, sink=die, workers=1).rollback("expand")
    db.run("UPDATE public.keywords SET keyword = 'arbre' WHERE id = 1", "app")
    assert db.value("SELECT count(*) FROM normalform.pending") == 0
    Runner(db.url, mini.SPEC_TEXT, workers=1).advance("backfill")
    db.run("UPDATE public.keywords SET keyword = 'tree' WHERE id = 1", "app")
    assert db.value("SELECT count(*) FROM normalform.pending") == 1
    Runner(db.url, mini.SPEC_TEXT, workers=1).advance("verify")
