"""Steps for tests of the executor, an ear for its events, and what stands afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from compare import dump_schema
from fix_servers import Database
from normalform.core.events import Event
from normalform.core.names import QName
from normalform.core.plan import Lock, Mode, Step
from normalform.sql import probes

TAGS = QName("public", "machine_tags")


class Ear:
    """A sink that keeps what it hears, and may act at a point."""

    def __init__(self) -> None:
        self.heard: list[Event] = []
        self.at: dict[str, Callable[[], None]] = {}

    def __call__(self, event: Event) -> None:
        self.heard.append(event)
        if event.kind == "point" and event.name in self.at:
            self.at[event.name]()

    @property
    def points(self) -> list[str]:
        return [e.name for e in self.heard if e.kind == "point"]

    @property
    def waits(self) -> list[str]:
        return [e.text for e in self.heard if e.kind == "wait"]


class Stopped(Exception):
    """The world stops at a point."""


def stop() -> None:
    raise Stopped


def column(name: str, **changes: object) -> Step:
    """A step that adds a column to machine_tags."""
    quoted = '"' + name.replace('"', '""') + '"'
    step = Step(
        id=f"expand/{name}",
        phase="expand",
        object=f"column {name}",
        do=(f"ALTER TABLE public.machine_tags ADD COLUMN {quoted} integer",),
        done=probes.column(TAGS, name),
        undo=(f"ALTER TABLE public.machine_tags DROP COLUMN {quoted}",),
        lock=Lock.ACCESS_EXCLUSIVE,
        undo_lock=Lock.ACCESS_EXCLUSIVE,
        table='"public"."machine_tags"',
    )
    return replace(step, **changes)  # type: ignore[arg-type]


def index(name: str, on: str = "(confidence)", unique: str = "") -> Step:
    """A step that builds an index on machine_tags concurrently."""
    return Step(
        id=f"expand/{name}",
        phase="expand",
        object=f"index {name}",
        do=(f"CREATE {unique} INDEX CONCURRENTLY {name} ON public.machine_tags {on}",),
        done=probes.index("public", name),
        undo=(f"DROP INDEX CONCURRENTLY IF EXISTS public.{name}",),
        gone=probes.no_index("public", name),
        clean=(f"DROP INDEX CONCURRENTLY IF EXISTS public.{name}",),
        mode=Mode.CONCURRENT,
        undo_mode=Mode.CONCURRENT,
        lock=Lock.SHARE_UPDATE_EXCLUSIVE,
        table='"public"."machine_tags"',
    )


def columns_of(db: Database) -> set[str]:
    where = "attrelid = 'public.machine_tags'::regclass AND attnum > 0 AND NOT attisdropped"
    query = f"SELECT attname FROM pg_attribute WHERE {where}"
    return {r[0] for r in db.rows(query)}


def states(db: Database) -> dict[str, str]:
    return dict(db.rows("SELECT id, state FROM normalform.step ORDER BY position"))


def leftovers(db: Database) -> list[str]:
    return [r[0] for r in db.rows("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid")]


def outcome(db: Database) -> tuple[str, dict[str, str], list[str]]:
    return dump_schema(db, ledger=False), states(db), leftovers(db)
