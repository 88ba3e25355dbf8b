"""The crash harness: enumerates its own interruption points, stops the world at one, runs again, compares.

A *passage* is one phase in one direction. Its points are what the engine itself announces (before and after every
statement and every commit), counted in a run without interruption; nothing here lists them by hand. For each point and
each way of dying, a fresh copy of the database before the passage goes through it, dies there, and goes through it
again with no other help. What then stands must equal what the uninterrupted run left.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal

import psycopg
from psycopg import sql

from compare import dump_schema
from crash.passages import BY_NAME, Passage
from fix_servers import Cluster, Database
from normalform.core.events import Event
from normalform.errors import NormalformError

Death = Literal["kill", "terminate", "stop"]
DEATHS: tuple[Death, ...] = ("kill", "terminate", "stop")
_spawner = multiprocessing.get_context("forkserver")
_spawner.set_forkserver_preload(["normalform.api", "crash.passages"])


class Points:
    """Counts points; at the chosen one, tells the parent and waits until the world has been stopped."""

    def __init__(self, at: int | None = None, pipe: Connection | None = None) -> None:
        self.names: list[str] = []
        self.at, self.pipe = at, pipe
        self.lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Take an event of the engine; everything but points is passed over."""
        if event.kind != "point":
            return
        with self.lock:
            self.names.append(event.name)
            chosen = self.at is not None and len(self.names) - 1 == self.at
        if chosen and self.pipe is not None:
            self.pipe.send(event.name)
            self.pipe.recv()


def run_child(url: str, name: str, at: int, pipe: Connection) -> None:
    """Go through a passage in a process of its own; dies, or fails with a clean error, at a point."""
    with suppress(NormalformError, psycopg.Error):
        BY_NAME[name].go(url, Points(at, pipe))
    with suppress(OSError):
        pipe.send(None)


@dataclass(frozen=True)
class Outcome:
    """What stands after a passage: the schema with ours, and every table's rows.

    Ids from 1000 on were given by a sequence, which a try that died has moved: they count as equal. So do all those of
    a table that was made.
    """

    schema: str
    tables: dict[str, list[str]]

    @staticmethod
    def of(db: Database) -> Outcome:
        """Read the outcome of a database; the ledger's own rows differ by run and do not count."""
        tables = {}
        with psycopg.connect(db.admin_url) as conn:
            names = conn.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
            ).fetchall()
            for (name,) in names:
                rows = conn.execute(sql.SQL("SELECT to_jsonb(t) FROM {} t").format(sql.Identifier("public", name)))
                left_out = "id" if name == "files" else ""
                tables[name] = sorted(_canonical({k: v for k, v in r[0].items() if k != left_out}) for r in rows)
        return Outcome(dump_schema(db, column_order=False), tables)


def _canonical(row: dict[str, Any]) -> str:
    fixed = {k: "new" if isinstance(v, int) and v >= 1000 else v for k, v in row.items()}
    return json.dumps(fixed, sort_keys=True, default=str)


def enumerate_points(db: Database, passage: Passage) -> tuple[list[str], Outcome]:
    """Go through a passage without interruption; return its points and what it leaves."""
    points = Points()
    passage.go(db.url, points)
    return points.names, Outcome.of(db)


def interrupted(cluster: Cluster, db: Database, passage: Passage, at: int, death: Death) -> str | None:
    """Go through a passage, die at a point, go through it again.

    Returns:
        The point's name, or None when the passage ended before it came to that point.
    """
    if death == "stop":
        # A sequence of a database that was cloned since the last checkpoint loses what nextval() gave when the server
        # crashes: the values were logged ahead in the template alone.
        with psycopg.connect(db.admin_url, autocommit=True) as admin:
            admin.execute("CHECKPOINT")
    ours, theirs = _spawner.Pipe()
    child = _spawner.Process(target=run_child, args=(db.url, passage.name, at, theirs))
    child.start()
    theirs.close()
    name: str | None = None
    try:
        with suppress(EOFError):
            name = ours.recv()
        if name is not None:
            _strike(cluster, db, death, child.pid)
            with suppress(OSError):
                ours.send("go on")
        child.join(120)
        assert not child.is_alive(), f"the child hangs after {death} at {name}"
    finally:
        if child.is_alive():
            child.kill()
        ours.close()
    passage.go(db.url)
    return name


def _strike(cluster: Cluster, db: Database, death: Death, pid: int | None) -> None:
    if death == "kill":
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    elif death == "terminate":
        with psycopg.connect(db.admin_url, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = %s AND application_name LIKE 'normalform/%%'",
                (db.name,),
            )
    else:
        cluster.server.stop("immediate")
        cluster.server.start()
