"""Stopped at any point a backup leaves nothing that looks like one, and its password is seen nowhere on the way.

pg_dump is held up by a lock on a partitioned table, which it waits for and our own snapshot does not.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from backing_up import NASTY, keeper, options, scratch
from fix_commands import Commands, finish
from fix_servers import Cluster, Database
from normalform import api, embedded
from normalform.backup import folder
from normalform.errors import BackupRefused, LockHeld

Make = Callable[..., Database]
#: However the rest of the password is quoted or escaped, this part of it stays as it is.
PLAIN = secrets.token_hex(8)
SECRET = f"{PLAIN}:\\pass word'"


@contextmanager
def held_up(admin_url: str, process: subprocess.Popen[str]) -> Iterator[int]:
    """Let a backup run until its pg_dump waits, and yield that program's process id."""
    with psycopg.connect(admin_url) as conn:
        conn.execute("LOCK TABLE ONLY parts IN ACCESS EXCLUSIVE MODE")
        limit = time.monotonic() + 60
        while time.monotonic() < limit and process.poll() is None:
            for child in children(process.pid):
                if program(child) == "pg_dump" and waiting(admin_url):
                    yield child
                    return
            time.sleep(0.02)
        pytest.fail(f"no pg_dump came to wait: {process.poll()} {process.communicate(timeout=5)}")


def waiting(url: str) -> bool:
    query = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'normalform/backup' AND {})"
    with psycopg.connect(url) as conn:
        [(found,)] = conn.execute(query.format("wait_event_type = 'Lock'").encode()).fetchall()
    return bool(found)


def children(parent: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{parent}/task").glob("*/children"):
        found += [int(word) for word in task.read_text().split()]
    return [*found, *(g for child in found for g in children(child))]


def program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except FileNotFoundError:
        return ""


def left(place: Path) -> list[str]:
    return sorted(e.name for e in place.iterdir()) if place.exists() else []


@pytest.mark.slow
@pytest.mark.parametrize("output", ["b", "b/photo.sql"])
def test_ctrl_c(normalform: Commands, pg: Cluster, database: Make, tmp_path: Path, output: str) -> None:
    db = database(NASTY)
    arguments = ("backup", "--output", output, "--no-owner", "--verify-on", keeper(pg))
    with normalform.start(*arguments, NORMALFORM_DATABASE_URL=db.url) as process, held_up(db.admin_url, process):
        assert len(left(tmp_path / "b")) == 2, "the lock and something partial"
        process.send_signal(signal.SIGINT)
        ran = finish(process)
    assert ran.status == 4, ran.all
    assert "nothing of it is left" in ran.err
    assert left(tmp_path / "b") == []
    assert scratch(pg) == []


@pytest.mark.slow
def test_killed(normalform: Commands, pg: Cluster, database: Make, tmp_path: Path) -> None:
    db = database(NASTY)
    url, place = keeper(pg), tmp_path / "b"
    arguments = ("backup", "--output", "b", "--no-owner", "--verify-on", url)
    started = normalform.start(*arguments, NORMALFORM_DATABASE_URL=db.url)
    with started as process, held_up(db.admin_url, process) as dump:
        with pytest.raises(LockHeld, match="another backup is being written"), folder.claimed(place):
            pass
        process.kill()
        process.wait()
        os.kill(dump, signal.SIGKILL)
    [lock, partial] = left(place)
    assert (lock, partial[-8:]) == (folder.LOCK, ".partial")
    with pytest.raises(BackupRefused, match="no manifest"):
        api.backup_check(options(db), place / partial)
    with pytest.raises(BackupRefused, match="no manifest"):
        api.backup_check(options(db), place / partial / partial.removesuffix(".partial"))
    report = api.backup(options(db), place, verify_on=url)
    assert report.cleared == (partial,)
    assert left(place) == [report.path.name]
    assert scratch(pg) == []


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["normalform/0/backup", "normalform/backup"])
def test_sessions_ended_by_the_server(
    normalform: Commands, pg: Cluster, database: Make, tmp_path: Path, victim: str
) -> None:
    """Ours that holds the snapshot, and those that pg_dump reads through."""
    db = database(NASTY)
    arguments = ("backup", "--output", "b", "--no-owner", "--verify-on", keeper(pg))
    with normalform.start(*arguments, NORMALFORM_DATABASE_URL=db.url) as process:
        with held_up(db.admin_url, process):
            gone = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
            with psycopg.connect(db.admin_url) as admin:
                assert admin.execute(gone, (victim,)).fetchall()
        ran = finish(process)
    assert ran.status == 5, ran.all
    assert left(tmp_path / "b") == []


@pytest.mark.slow
def test_a_table_that_stays_locked(normalform: Commands, pg: Cluster, database: Make, tmp_path: Path) -> None:
    """pg_dump gives up rather than stand in the queue for ever."""
    db = database(NASTY)
    arguments = ("backup", "--output", "b", "--no-owner", "--verify-on", keeper(pg))
    with normalform.start(*arguments, NORMALFORM_DATABASE_URL=db.url) as process, held_up(db.admin_url, process):
        ran = finish(process)
    assert ran.status == 5, ran.all
    assert "pg_dump" in ran.err and "somebody else kept a table locked" in ran.err
    assert left(tmp_path / "b") == []


@pytest.mark.slow
def test_a_password_is_seen_nowhere(normalform: Commands, tmp_path: Path) -> None:
    """Not in another process's arguments or environment, not in a file, not in what is said."""
    with embedded.temporary(listen_loopback=True) as server:
        with psycopg.connect(server.url(), autocommit=True) as admin:
            create = sql.SQL("CREATE ROLE keeper LOGIN CREATEDB PASSWORD {}").format(SECRET)
            admin.execute(create)
            for role in ("nf_owner", "nf_app"):
                admin.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
            admin.execute("CREATE DATABASE photo OWNER keeper")
        with psycopg.connect(server.loopback_url("photo", "keeper", SECRET), autocommit=True) as conn:
            conn.execute("CREATE TABLE parts (a int) PARTITION BY LIST (a); CREATE TABLE tags AS SELECT 1 AS one")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(server.loopback_url("photo", "keeper", "wrong"))
        url = server.loopback_url("photo", "keeper", SECRET)
        environment = {"NORMALFORM_DATABASE_URL": url, "NORMALFORM_VERIFY_URL": url, "PGPASSWORD": "wrong"}
        with normalform.start("backup", "--output", "b", "--jobs", "2", **environment) as process:
            with held_up(server.url("photo"), process):
                for entry in Path("/proc").glob("[0-9]*"):
                    seen = _read(entry / "cmdline")
                    if int(entry.name) != process.pid:
                        seen += _read(entry / "environ")
                    assert PLAIN.encode() not in seen, entry
            ran = finish(process)
        assert ran.status == 0, ran.all
        assert PLAIN not in ran.all
        for file in (tmp_path / "b").rglob("*"):
            assert not file.is_file() or PLAIN.encode() not in file.read_bytes(), file


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return b""
