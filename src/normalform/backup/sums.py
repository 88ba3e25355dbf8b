"""Checksums of every table, in sessions of their own beside whatever else is done.

Decides which table is read next: the largest that is left. It must never outlive its block, nor read through another
snapshot than the one that it was given.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

from ..core.backup_manifest import LARGE_OBJECTS, Sum
from ..core.checksum import Checksum
from ..core.events import Event, Sink
from ..core.names import QName
from ..db.connect import Connector
from ..errors import Interrupted
from ..sql import backup as queries
from .child import TICK
from .source import Table

#: More sessions than this would take the machine from pg_dump and from the application.
MOST = 4


class Summing:
    """Sums tables until all are done; as a context manager it ends with its block, done or not.

    Args:
        connector: the database.
        tables: what to read; large objects are read too.
        jobs: sessions, at most four.
        snapshot: an exported snapshot to read through; None: each session takes its own, for databases of ours.
        sink: hears how many tables are done.
        name: what it is called there.
    """

    def __init__(
        self, connector: Connector, tables: Sequence[Table], *, jobs: int, snapshot: str | None, sink: Sink, name: str
    ) -> None:
        self._connector, self._snapshot, self._sink, self._name = connector, snapshot, sink, name
        largest_last = sorted(tables, key=lambda t: t.pages)
        self._todo: list[Table | None] = [None, *largest_last]
        self._total = len(self._todo)
        self._sums: dict[QName, Sum] = {}
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._open: list[psycopg.Connection] = []
        count = max(1, min(jobs, MOST, self._total))
        self._threads = [threading.Thread(target=self._work, name=f"sums-{n}", daemon=True) for n in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._lock:
            self._todo.clear()
        while any(t.is_alive() for t in self._threads):
            with self._lock:
                for conn in self._open:
                    conn.cancel()
            for thread in self._threads:
                thread.join(TICK)

    def poll(self) -> None:
        """Raise what a session failed with."""
        if self._error is not None:
            raise self._error

    def result(self, stop: threading.Event) -> dict[QName, Sum]:
        """Wait for the end and return rows and checksum of each table; large objects under LARGE_OBJECTS.

        Raises:
            Interrupted: stopped meanwhile.
        """
        for thread in self._threads:
            while thread.is_alive():
                thread.join(TICK)
                self.poll()
                if stop.is_set():
                    raise Interrupted("stopped while checksums were being taken; nothing of the backup is left")
        self.poll()
        return self._sums

    def _work(self) -> None:
        try:
            with self._connector.open("backup") as conn:
                with self._lock:
                    self._open.append(conn)
                try:
                    self._sum_all(conn)
                finally:
                    with self._lock:
                        self._open.remove(conn)
        except BaseException as error:  # noqa: BLE001  (poll raises it in the thread that waits)
            self._error = self._error or error

    def _sum_all(self, conn: psycopg.Connection) -> None:
        conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if self._snapshot is not None:
            conn.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(self._snapshot))
        # How money prints.
        conn.execute("SET LOCAL lc_monetary = 'C'")
        while True:
            with self._lock:
                if not self._todo:
                    break
                table = self._todo.pop()
            name = LARGE_OBJECTS if table is None else table.name
            query = queries.LARGE_OBJECT_SUMS if table is None else queries.table_sums(name, table.columns)
            row = conn.execute(query).fetchone()
            assert row is not None
            taken = Checksum.of_halves(int(row[0]), int(row[1]), int(row[2]))
            with self._lock:
                self._sums[name] = Sum(taken.rows, str(taken))
                done = len(self._sums)
            self._sink(Event("progress", self._name, done=done, total=self._total, unit="tables"))
        conn.execute("COMMIT")
