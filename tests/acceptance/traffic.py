# ruff: noqa: E501  (statements read better on one line)
"""Traffic: threads of old and of new code that write at random, in autocommit, and keep count of every SQLSTATE.

Keywords fall in two halves. *Settled* ones (`tree`, `sea`, both `bridge`) are never renamed: both kinds of code tag with
them. *Moving* ones (`moving…`) are renamed, and their category is renamed, while new code tags with them by key: old
code never writes their text, so every text of theirs that is found in the end was carried there. New code writes them
to `image_tags` alone, which has no unique: a name that is still in the queue does not keep the same key from a second row.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import psycopg

from fix_servers import Database

Kind = Literal["old", "new", "rename"]
PICTURES = 40
MOVING = range(101, 109)
#: Further rows for the traffic, on top of the clean data.
MORE = """
INSERT INTO public.keyword_categories (id, tenant_id, name, parent_id) VALUES (9, 't', 'moving', NULL);
INSERT INTO public.keywords (id, category_id, keyword) SELECT g, 9, 'moving' || g FROM generate_series(101, 108) g;
INSERT INTO public.machine_tags (image_id, tenant_id, keyword, category, tag_type)
    SELECT i, 't', 'moving' || k, 'moving', 'm' FROM generate_series(1, 40) i, generate_series(101, 108) k;
INSERT INTO public.image_tags (image_id, tenant_id, keyword, category)
    SELECT i, 't', 'moving' || k, 'moving' FROM generate_series(1, 40, 3) i, generate_series(101, 108) k;
"""
SETTLED = {1: ("tree", "nature/plants"), 2: ("bridge", "travel"), 3: ("bridge", "games"), 4: ("sea", "nature")}
Statement = tuple[str, tuple[object, ...]]


def _old(r: random.Random) -> Statement:
    text, category = SETTLED[r.choice(list(SETTLED))]
    image = r.randint(1, PICTURES)
    return r.choice(
        [
            ("INSERT INTO machine_tags (tenant_id, image_id, keyword, category, tag_type) VALUES ('t', %s, %s, %s, %s)",
             (image, text, category, f"x{r.randint(1, 9)}")),
            ("""INSERT INTO machine_tags (tenant_id, image_id, keyword, category, tag_type) VALUES ('t', %s, %s, %s, %s)
                ON CONFLICT (tenant_id, image_id, keyword, tag_type) DO UPDATE SET category = excluded.category, confidence = 0.5""",
             (image, text, category, f"x{r.randint(1, 9)}")),
            ("INSERT INTO image_tags (tenant_id, image_id, keyword, category) VALUES ('t', %s, %s, %s)", (image, text, category)),
            ("UPDATE image_tags SET keyword = %s, category = %s WHERE id = %s AND tenant_id = 't'", (text, category, r.randint(1, 200))),
            ("UPDATE machine_tags SET confidence = random() WHERE id BETWEEN %s AND %s", (image * 10, image * 10 + 3)),
            ("DELETE FROM machine_tags WHERE image_id = %s AND tag_type = %s", (image, f"x{r.randint(1, 9)}")),
            ("INSERT INTO detected_faces (image_id, tenant_id, person_name) VALUES (%s, 't', %s)",
             (image, r.choice(["Ada", "Countess", "Ada Lovelace", "Alan Turing", None]))),
        ]
    )  # fmt: skip


def _new(r: random.Random) -> Statement:
    key, image = r.choice([*SETTLED, *MOVING]), r.randint(1, PICTURES)
    # One `bridge` alone: both on a picture are what the legacy unique refuses when contract is undone (test_writers).
    settled = r.choice([1, 2, 4])
    return r.choice(
        [
            ("INSERT INTO machine_tags (tenant_id, image_id, keyword_id, tag_type) VALUES ('t', %s, %s, %s)",
             (image, settled, f"y{r.randint(1, 9)}")),
            ("INSERT INTO image_tags (tenant_id, image_id, keyword_id) VALUES ('t', %s, %s)", (image, key)),
            ("UPDATE image_tags SET keyword_id = %s WHERE id = %s AND tenant_id = 't'", (key, r.randint(1, 200))),
            ("UPDATE machine_tags SET keyword_id = %s WHERE image_id = %s AND tag_type = %s", (settled, image, f"y{r.randint(1, 9)}")),
            ("DELETE FROM machine_tags WHERE image_id = %s AND tag_type = %s", (image, f"y{r.randint(1, 9)}")),
            ("UPDATE detected_faces SET person_id = %s WHERE id = %s AND tenant_id = 't'", (r.randint(1, 2), r.randint(1, 30))),
        ]
    )  # fmt: skip


def _rename(r: random.Random) -> Statement:
    return r.choice(
        [
            ("UPDATE keywords SET keyword = %s WHERE id = %s", (f"moving{r.randrange(10**9)}", r.choice(MOVING))),
            ("UPDATE keyword_categories SET name = %s WHERE id = 9", (f"moving{r.randrange(10**9)}",)),
        ]
    )


#: Seconds between two statements: two cores are shared with the server and the run, and renames are rare.
PAUSE: dict[Kind, float] = {"old": 0.002, "new": 0.002, "rename": 0.5}
MAKE: dict[Kind, Callable[[random.Random], Statement]] = {"old": _old, "new": _new, "rename": _rename}


@dataclass
class Writer:
    """One application process: a thread with a session of its own."""

    kind: Kind
    database: Database
    seed: int
    stop: threading.Event = field(default_factory=threading.Event)
    done: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    thread: threading.Thread | None = None

    def start(self) -> Writer:
        """Begins to write."""
        self.thread = threading.Thread(target=self._run, name=f"{self.kind}-{self.seed}", daemon=True)
        self.thread.start()
        return self

    def end(self) -> None:
        """Stops after the statement in hand."""
        self.stop.set()
        if self.thread is not None:
            self.thread.join(60)
            assert not self.thread.is_alive(), f"{self.thread.name} hangs"

    def _run(self) -> None:
        source = random.Random(self.seed)
        make = MAKE[self.kind]
        with self.database.connect("app", application_name=f"{self.kind}-code") as connection:
            while not self.stop.is_set():
                statement, values = make(source)
                try:
                    connection.execute(statement.encode(), values)
                except psycopg.Error as error:
                    state = f"{self.kind}: {error.sqlstate or 'no answer'} {error.diag.constraint_name or ''}".strip()
                    self.errors[state] += 1
                    self.examples.setdefault(state, f"{error} <- {statement} {values}")
                self.done += 1
                self.stop.wait(PAUSE[self.kind])


class Traffic:
    """All writers of a test."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.writers: list[Writer] = []
        self._retired: list[Writer] = []

    def start(self, kind: Kind, count: int = 2) -> None:
        """Adds writers of a kind."""
        first = len(self.writers) + len(self._retired)
        self.writers += [Writer(kind, self.database, seed).start() for seed in range(first, first + count)]

    def end(self, kind: Kind | None = None) -> None:
        """Retires the writers of a kind, or all."""
        for writer in [w for w in self.writers if kind in (None, w.kind)]:
            writer.end()
            self.writers.remove(writer)
            self._retired.append(writer)

    def errors(self) -> dict[str, str]:
        """Every error met so far, by kind of code, SQLSTATE and the constraint that it names, with an example."""
        return {state: f"{w.errors[state]} times, such as {w.examples[state]}"
                for w in [*self._retired, *self.writers] for state in w.errors}  # fmt: skip

    @property
    def done(self) -> int:
        """Statements so far."""
        return sum(w.done for w in [*self._retired, *self.writers])
