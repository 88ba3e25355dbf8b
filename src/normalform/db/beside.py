"""Work beside other work: a thread with a session of its own, while the caller goes on with his.

Server and client both have something to do then. Decides nothing about the work; must never leave the thread running
when the caller goes on, nor hide what went wrong in it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from ..core.events import Event, Sink

#: Seconds between two requests to end a statement, once nobody wants its answer.
AGAIN = 0.2


class Stopped(Exception):
    """The caller does not want the work's result any more."""


class Beside:
    """Work in another thread.

    Args:
        conn: the session that the work has for itself.
        work: the work; it calls :meth:`check` between its steps.
    """

    def __init__(self, conn: psycopg.Connection, work: Callable[[Beside], None]) -> None:
        self.conn, self.work = conn, work
        self.failure: BaseException | None = None
        self._unwanted = threading.Event()
        self._thread = threading.Thread(target=self._run, name="normalform-beside", daemon=True)

    def check(self) -> None:
        """Called by the work: go on only while somebody wants it.

        Raises:
            Stopped: nobody does.
        """
        if self._unwanted.is_set():
            raise Stopped

    def raise_failure(self) -> None:
        """Called by the caller: stop early when the work has failed."""
        if self.failure is not None:
            raise self.failure

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self) -> None:
        """Wait for the work's end, and raise what went wrong in it."""
        self._thread.join()
        self.raise_failure()

    def stop(self) -> None:
        """End the work as soon as the server lets go of it."""
        self._unwanted.set()
        while self._thread.is_alive():
            self.conn.cancel()
            self._thread.join(AGAIN)

    def _run(self) -> None:
        try:
            self.work(self)
        except BaseException as error:  # noqa: BLE001 - whatever it is: the caller's thread raises it
            self.failure = error


@contextmanager
def beside(conn: psycopg.Connection, work: Callable[[Beside], None]) -> Iterator[Beside]:
    """Do work in another thread while the block runs; the block's end waits for it.

    Args:
        conn: the session that the work has for itself.
        work: the work.

    Raises:
        Exception: what went wrong in the work, unless the block fails first.
    """
    other = Beside(conn, work)
    other.start()
    try:
        yield other
        other.join()
    except BaseException:
        other.stop()
        raise


def one_at_a_time(sink: Sink) -> Sink:
    """Return a sink that two threads may use: each event is heard before the next."""
    lock = threading.Lock()

    def hear(event: Event) -> None:
        with lock:
            sink(event)

    return hear
