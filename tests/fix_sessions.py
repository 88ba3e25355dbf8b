"""Concurrent sessions, told apart by what the server says and never by sleeping.

def test_it(database, sessions):
    db = database("shop")
    a, b = sessions(db).open("a", "b", role="app")
    a.run("BEGIN; UPDATE t SET x = 1")
    b.start("UPDATE t SET x = 2").wait_until_blocked(by=a)
    a.run("COMMIT")
    assert b.wait().error is None
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import psycopg
import pytest
from psycopg.rows import TupleRow

from fix_servers import Database

Connection = psycopg.Connection[TupleRow]
TIMEOUT = 60.0  # seconds until a test that waits in vain fails


@dataclass
class Result:
    """What a statement gave: rows and status, or an error; `value` is what a callable returned."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    status: str | None = None
    error: Exception | None = None
    value: Any = None

    @property
    def sqlstate(self) -> str | None:
        """The server's code of the error, if there is one."""
        return getattr(self.error, "sqlstate", None)


def wait_for(probe: Callable[[], object], what: str, timeout: float = TIMEOUT) -> None:
    """Asks a probe until it answers with something true.

    Args:
        probe: asked every 10 ms.
        what: what is waited for, for the failure.
        timeout: seconds until that.
    """
    deadline = time.monotonic() + timeout
    while not probe():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout} s in vain: {what}")
        time.sleep(0.01)


class Background:
    """A callable in a thread of its own, such as a phase of the engine."""

    def __init__(self, name: str, do: Callable[[], Any]) -> None:
        self.name = name
        self._result: Result | None = None
        self._thread = threading.Thread(target=self._run, args=(do,), name=name, daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return not self._thread.is_alive()

    def wait(self, timeout: float = TIMEOUT) -> Result:
        """Waits for its end; an error is in the result."""
        self._thread.join(timeout)
        if self._result is None:
            pytest.fail(f"{self.name} has not ended within {timeout} s")
        return self._result

    def _run(self, do: Callable[[], Any]) -> None:
        try:
            self._result = Result(value=do())
        except Exception as e:  # noqa: BLE001 - handed to the test
            self._result = Result(error=e)


class Session:
    """One session in its own thread. Statements run one after another, each in autocommit until BEGIN."""

    def __init__(self, name: str, connection: Connection, monitor: Monitor) -> None:
        self.name = name
        self.pid = connection.info.backend_pid
        self._connection = connection
        self._monitor = monitor
        self._todo: queue.Queue[Callable[[Connection], Result] | None] = queue.Queue()
        self._done: queue.Queue[Result] = queue.Queue()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()
        self._pending = 0

    def start(self, query: str, params: Sequence[Any] | None = None) -> Self:
        """Begins a statement and does not wait. Without parameters it may be a script, which is one transaction."""
        return self.call(lambda connection: _execute(connection, query, params))

    def call(self, do: Callable[[Connection], Any]) -> Self:
        """Begins a callable on this session's connection and does not wait."""
        self._pending += 1
        self._todo.put(lambda connection: _as_result(do(connection)))
        return self

    def wait(self, timeout: float = TIMEOUT) -> Result:
        """Waits for the oldest statement begun; an error is in the result."""
        assert self._pending, f"session {self.name} has nothing to wait for"
        try:
            result = self._done.get(timeout=timeout)
        except queue.Empty:
            pytest.fail(f"session {self.name} still waits after {timeout} s: {self._monitor.describe(self.pid)}")
        self._pending -= 1
        return result

    def attempt(self, query: str, params: Sequence[Any] | None = None) -> Result:
        """Runs a statement to its end; an error is in the result."""
        return self.start(query, params).wait()

    def run(self, query: str, params: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """Runs a statement to its end and returns its rows; an error is raised."""
        result = self.attempt(query, params)
        if result.error is not None:
            raise result.error
        return result.rows

    @property
    def idle(self) -> bool:
        """Whether nothing that was begun is still running."""
        return self._done.qsize() == self._pending

    @property
    def blocked(self) -> bool:
        """Whether the server says that this session waits for another one."""
        return bool(self._monitor.blockers(self.pid))

    def wait_until_blocked(self, by: Session | int | None = None, timeout: float = TIMEOUT) -> Self:
        """Waits until the server says so; fails if the statement ends instead.

        Args:
            by: the session, or the backend's process id, that must be among those waited for.
            timeout: seconds until this fails.
        """
        blocker = by.pid if isinstance(by, Session) else by

        def probe() -> bool:
            found = self._monitor.blockers(self.pid)
            if blocker in found or (blocker is None and found):
                return True
            if self.idle:
                pytest.fail(f"session {self.name} was expected to wait, and ended: {list(self._done.queue)}")
            return False

        wait_for(probe, f"session {self.name} to be blocked", timeout)
        return self

    def close(self) -> None:
        """Ends the session, by force if it is in the middle of something."""
        if not self.idle:
            self._monitor.terminate(self.pid)
        self._todo.put(None)
        self._thread.join(TIMEOUT)
        self._connection.close()

    def _loop(self) -> None:
        while (do := self._todo.get()) is not None:
            try:
                result = do(self._connection)
            except Exception as e:  # noqa: BLE001 - handed to the test
                result = Result(error=e)
            self._done.put(result)


class Monitor:
    """A superuser's view of who waits for whom; it takes no locks that a test could meet."""

    def __init__(self, database: Database) -> None:
        self._connection = psycopg.connect(database.server.url(), autocommit=True)

    def blockers(self, pid: int) -> list[int]:
        """The backends that a backend waits for; 0 stands for a prepared transaction."""
        [(pids,)] = self.rows("SELECT pg_blocking_pids(%s)", [pid])
        return list(pids)

    def describe(self, pid: int) -> str:
        """What a backend does, for a failure."""
        query = "SELECT state, wait_event_type, wait_event, pg_blocking_pids(pid), query FROM pg_stat_activity"
        return str(self.rows(query + " WHERE pid = %s", [pid]))

    def terminate(self, pid: int) -> None:
        """Ends a backend of the test."""
        self.rows("SELECT pg_terminate_backend(%s)", [pid])

    def rows(self, query: str, params: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """Runs any query, in the database ``postgres``."""
        return self._connection.execute(query.encode(), params).fetchall()

    def wait_for(self, query: str, params: Sequence[Any] | None = None, timeout: float = TIMEOUT) -> None:
        """Repeats a query until its only value is true."""
        wait_for(lambda: self.rows(query, params) == [(True,)], query, timeout)

    def wait_until_blocked(self, application: str, timeout: float = TIMEOUT) -> int:
        """Waits until a backend of that application name is blocked, and returns its process id."""
        query = (
            "SELECT pid FROM pg_stat_activity WHERE application_name LIKE %s AND cardinality(pg_blocking_pids(pid)) > 0"
        )
        wait_for(lambda: self.rows(query, [application]), f"{application} to be blocked", timeout)
        pid: int = self.rows(query, [application])[0][0]
        return pid

    def close(self) -> None:
        """Ends the monitor's own session."""
        self._connection.close()


class Sessions:
    """The sessions of a test on one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.monitor = Monitor(database)
        self._sessions: list[Session] = []
        self._background: list[Background] = []

    def open(self, *names: str, role: str = "app") -> list[Session]:
        """Opens sessions; each name becomes the application name."""
        opened = []
        for name in names:
            connection = self.database.connect(role, application_name=name, prepare_threshold=None)
            session = Session(name, connection, self.monitor)
            self._sessions.append(session)
            opened.append(session)
        return opened

    def one(self, name: str = "session", role: str = "app") -> Session:
        """Opens one session."""
        [session] = self.open(name, role=role)
        return session

    def background(self, do: Callable[[], Any], name: str = "background") -> Background:
        """Runs a callable, such as a phase, in a thread of its own."""
        self._background.append(Background(name, do))
        return self._background[-1]

    def close(self) -> None:
        """Ends all sessions, then waits for what runs in the background."""
        for session in self._sessions:
            session.close()
        for background in self._background:
            background.wait()
        self.monitor.close()


@pytest.fixture
def sessions() -> Iterator[Callable[[Database], Sessions]]:
    """Makes the sessions of a database; all are closed after the test."""
    made: list[Sessions] = []

    def make(database: Database) -> Sessions:
        made.append(Sessions(database))
        return made[-1]

    yield make
    for one in made:
        one.close()


def _execute(connection: Connection, query: str, params: Sequence[Any] | None) -> Result:
    cursor = connection.execute(query.encode(), params)
    while cursor.nextset():
        pass
    rows = cursor.fetchall() if cursor.description else []
    return Result(rows=rows, status=cursor.statusmessage)


def _as_result(value: Any) -> Result:
    return value if isinstance(value, Result) else Result(value=value)
