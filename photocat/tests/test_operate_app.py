"""The application of the runbook: it starts, is replaced without a request lost, and ends."""

from __future__ import annotations

import fcntl
import http.client
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import fix_sessions
from fix_api import TEMPLATES
from fix_load import loaded
from fix_servers import Database
from photocat.operate.client import Client
from photocat.operate.control import LOCK, Application
from photocat.operate.environments import Environment
from photocat.operate.errors import OperateError
from photocat.operate.keeper import PID, Running
from photocat.operate.processes import began, record, running, write_whole

Make = Callable[..., Database]


def environment(db: Database) -> Environment:
    return Environment("prod", db.url, db.app_url)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Application]:
    """An application that is stopped in the end, whatever became of it."""
    found = Application(tmp_path / "app", tmp_path / "production.log")
    yield found
    found.stop()


def health(found: Running) -> dict[str, str]:
    answer: dict[str, str] = Client(found.host, found.port).send("GET", "/health").data
    return answer


@pytest.mark.slow
def test_five_rolling_restarts_to_other_code_lose_no_request(database: Make, app: Application) -> None:
    found = app.start(environment(database(TEMPLATES["constrain"])), "text", port=0)
    seen, codes = {*found.instances}, list[str]()
    with loaded(found, "reader", image=7, keyword=1) as load:
        for columns in ("key", "text", "key", None, "text"):
            now = app.restart(columns)
            assert (now.port, now.pid, len(now.instances)) == (found.port, found.pid, 2)
            assert all(began(pid) is None for pid in seen), "the old ones have ended"
            assert seen.isdisjoint(now.instances)
            seen |= {*now.instances}
            codes.append(health(now)["tag_columns"])
    assert load.failed == [] and load.sent > 100
    assert codes == ["key", "text", "key", "key", "text"]
    assert app.stop() and app.running() is None
    with pytest.raises(OSError, match="refused"):
        Client(found.host, found.port).send("GET", "/health")


@pytest.mark.slow
def test_a_connection_that_has_said_nothing_yet_is_answered(database: Make, app: Application) -> None:
    """uvicorn alone closes it: a request that was on its way would be lost."""
    found = app.start(environment(database(TEMPLATES[None])), "text", port=0, instances=1)
    old = found.instances[0]
    with socket.create_connection((found.host, found.port), timeout=30) as early:
        assert health(found)["status"] == "ok"  # connections are accepted in their order: the old instance has ours
        restart = threading.Thread(target=app.restart)
        restart.start()
        fix_sessions.wait_for(lambda: "takes no new connections" in log(app), "the old instance is about to end")
        early.sendall(b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n")
        answer = http.client.HTTPResponse(early)
        answer.begin()
        assert answer.status == 200 and answer.headers["connection"] == "close"
        answer.read()
        restart.join()
    assert began(old) is None


def log(app: Application) -> str:
    return app.log.read_text("utf-8")


@pytest.mark.slow
def test_new_instances_that_do_not_start_leave_the_old_ones(database: Make, app: Application) -> None:
    found = app.start(environment(database(TEMPLATES[None])), "text", port=0, instances=1)
    with pytest.raises(OperateError, match="phase legacy, and code that reads key does not run there"):
        app.restart("key")
    now = app.running()
    assert now == found and health(now)["tag_columns"] == "text"
    assert app.restart().tag_columns == "text"


@pytest.mark.slow
def test_what_cannot_start_leaves_nothing(database: Make, app: Application) -> None:
    with pytest.raises(OperateError, match="the database has no tables of PhotoCat"):
        app.start(environment(database()), "text", port=0, instances=1)
    assert app.running() is None
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OperateError, match=f"127.0.0.1:{port} cannot be listened on"):
            app.start(environment(database(TEMPLATES[None])), "text", port=port)
    db = database(TEMPLATES[None])
    away = environment(db)
    db.drop()
    with pytest.raises(OperateError, match="the database cannot be reached"):
        app.start(away, "text", port=0, instances=1)
    assert running(app.folder / PID) is None


@pytest.mark.slow
def test_an_instance_that_dies_is_replaced_and_a_second_start_is_refused(database: Make, app: Application) -> None:
    found = app.start(environment(database(TEMPLATES[None])), "text", port=0)
    with pytest.raises(OperateError, match=f"runs already, as process {found.pid}"):
        app.start(environment(database(TEMPLATES[None])), "text", port=0)
    os.kill(found.instances[0], signal.SIGKILL)

    def replaced() -> bool:
        now = app.running()
        return now is not None and len(now.instances) == 2 and found.instances[0] not in now.instances

    fix_sessions.wait_for(replaced, "the dead instance is replaced")
    assert health(found)["status"] == "ok" and "has died with status -9" in log(app)


@pytest.mark.slow
def test_without_its_keeper_the_application_ends_and_can_be_started_again(database: Make, app: Application) -> None:
    """Nobody could stop it otherwise, and its port would be taken."""
    target = environment(database(TEMPLATES[None]))
    found = app.start(target, "text", port=0, instances=1)
    os.kill(found.pid, signal.SIGKILL)
    fix_sessions.wait_for(lambda: began(found.instances[0]) is None, "the instance ends by itself")
    assert app.running() is None and "the keeper is gone" in log(app)
    again = app.start(target, "text", port=found.port, instances=1)
    assert health(again)["status"] == "ok"


def test_one_command_at_a_time_starts_or_replaces(app: Application) -> None:
    app.folder.mkdir()
    with (app.folder / LOCK).open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(OperateError, match="another command starts or replaces the application"):
            app.start(Environment("prod", "", ""), "text", port=0)
        with pytest.raises(OperateError, match="another command starts or replaces the application"):
            app.restart()
    assert not app.log.exists()


def test_what_does_not_run_is_not_restarted(app: Application) -> None:
    with pytest.raises(OperateError, match=r"does not run\n  → make start-app"):
        app.restart()
    assert not app.stop()


def test_a_pid_file_names_one_process_and_no_other_of_that_id(tmp_path: Path) -> None:
    file = tmp_path / "pid.json"
    record(file, os.getpid())
    assert running(file) == os.getpid() and oct(file.stat().st_mode & 0o777) == "0o600"
    write_whole(file, {"pid": os.getpid(), "began": "another time"})
    assert running(file) is None
    for damaged in ("", "[]", '{"pid": "1"}', '{"pid": 1}'):
        file.write_text(damaged)
        assert running(file) is None
    assert running(tmp_path / "absent") is None
