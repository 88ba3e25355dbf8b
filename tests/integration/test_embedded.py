"""Servers of our own: started, found again, recovered, removed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from fix_sessions import wait_for
from normalform.embedded import EmbeddedError, Server, find_binaries, process, reap, start, stop, temporary
from normalform.embedded.account import server_account
from normalform.embedded.places import bases, lock_file

QUICK = {"fsync": "off"}


@pytest.fixture
def home(pg_version: int) -> Iterator[Path]:
    """A short folder that the servers' user can reach."""
    folder = next(iter(bases(server_account()))) / f"test {os.getpid()} {pg_version}"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    yield folder
    subprocess.run(["rm", "-rf", folder], check=True)


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    """Ends the servers of a test, whatever happened in it."""
    with ExitStack() as stack:
        yield stack


def run(server: Server, query: str) -> object:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def running(server: Server) -> bool:
    return server.pid is not None


@pytest.mark.slow
def test_it_starts_stops_and_keeps_its_data(home: Path, pg_version: int, servers: ExitStack) -> None:
    server = servers.enter_context(start(home / "data", version=pg_version, settings=QUICK))
    assert server.data_dir == home / "data"
    assert list(server.data_dir.parent.iterdir()) == [server.data_dir]
    assert str(run(server, "SHOW server_version")).split(".")[0] == str(pg_version)
    assert run(server, "SHOW fsync") == "off"
    assert run(server, "SHOW listen_addresses") == ""
    assert run(server, "SHOW server_encoding") == "UTF8"
    assert run(server, "SELECT datcollate IN ('C', 'C.UTF-8') FROM pg_database WHERE datname = 'postgres'") is True
    run(server, "CREATE TABLE kept AS SELECT 1 AS one")
    url, pid = server.url(), server.pid
    server.stop()
    assert not running(server)
    server.stop()
    server.start()
    assert server.url() == url
    assert server.pid not in (None, pid)
    assert run(server, "SELECT one FROM kept") == 1


@pytest.mark.slow
def test_a_path_with_spaces_and_a_long_path(home: Path, pg_version: int, servers: ExitStack) -> None:
    long = home / "a folder with spaces" / ("ä" * 60) / 'it\'s "quoted", too'
    server = servers.enter_context(start(long, version=pg_version, settings=QUICK))
    assert server.data_dir == long
    assert server.socket_dir != long
    assert server.socket_dir.stat().st_mode & 0o777 == 0o700
    assert run(server, "SHOW data_directory") == str(long)
    socket = server.socket_dir
    server.remove()
    assert not socket.exists()
    assert not long.exists()


@pytest.mark.slow
def test_the_socket_is_private_and_spaces_do_not_hurt(home: Path, pg_version: int, servers: ExitStack) -> None:
    server = servers.enter_context(start(home / "with space", version=pg_version, settings=QUICK))
    assert server.socket_dir == server.data_dir == home / "with space"
    assert server.data_dir.stat().st_mode & 0o777 == 0o700
    assert run(server, "SELECT 1") == 1


@pytest.mark.slow
def test_it_is_stopped_by_its_folder_alone(home: Path, pg_version: int, servers: ExitStack) -> None:
    assert not stop(home / "data") and list(home.iterdir()) == []
    server = servers.enter_context(start(home / "data", version=pg_version, settings=QUICK))
    assert stop(home / "data") and not running(server)
    assert not stop(home / "data")


@pytest.mark.slow
def test_it_recovers_from_an_immediate_stop(home: Path, pg_version: int, servers: ExitStack) -> None:
    server = servers.enter_context(start(home / "data", version=pg_version))
    run(server, "CREATE TABLE kept AS SELECT generate_series(1, 100000) AS n")
    server.stop("immediate")
    server.start()
    assert run(server, "SELECT count(*) FROM kept") == 100000
    assert "was not properly shut down" in server.log_path.read_text()


@pytest.mark.slow
def test_it_recovers_when_the_postmaster_was_killed_in_the_middle_of_a_statement(
    home: Path, pg_version: int, servers: ExitStack
) -> None:
    server = servers.enter_context(start(home / "data", version=pg_version, settings=QUICK))
    client = servers.enter_context(
        subprocess.Popen(
            [server.bin_dir / "psql", server.url(), "-c", "SELECT pg_sleep(1), count(*) FROM generate_series(1, 1e9)"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    )
    busy = "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
    wait_for(lambda: run(server, busy), "the statement to run")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    wait_for(lambda: not running(server), "the postmaster to be gone")
    server.start()
    assert run(server, "SELECT 1") == 1
    client.wait()


@pytest.mark.slow
def test_two_processes_that_start_one_cluster_get_one_server(home: Path, pg_version: int, servers: ExitStack) -> None:
    script = (
        "import sys; from pathlib import Path; from normalform.embedded import start\n"
        f"print(start(Path(sys.argv[1]), version={pg_version}, settings={QUICK!r}).pid)"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", script, home / "data"], stdout=subprocess.PIPE) for _ in range(3)
    ]
    pids = {int(child.communicate()[0]) for child in children}
    server = servers.enter_context(start(home / "data", version=pg_version, settings=QUICK))
    assert pids == {server.pid}
    assert not lock_file(home / "data", server_account()).exists()


@pytest.mark.slow
def test_a_running_server_is_taken_over_unless_its_settings_differ(
    home: Path, pg_version: int, servers: ExitStack
) -> None:
    first = servers.enter_context(start(home / "data", version=pg_version, settings=QUICK))
    pid = first.pid
    second = start(home / "data", version=pg_version, settings=QUICK)
    assert (second.pid, second.url()) == (pid, first.url())
    third = start(home / "data", version=pg_version, settings={**QUICK, "work_mem": "7MB"})
    assert third.pid not in (None, pid)
    assert run(third, "SHOW work_mem") == "7MB"


@pytest.mark.slow
def test_the_server_of_a_process_that_died_is_found_again(home: Path, pg_version: int, servers: ExitStack) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from normalform.embedded import start\n"
        f"print(start(Path(sys.argv[1]), version={pg_version}, settings={QUICK!r}).pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    died = subprocess.run([sys.executable, "-c", script, home / "data"], capture_output=True, text=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    server = servers.enter_context(start(home / "data", version=pg_version, settings=QUICK))
    assert server.pid == int(died.stdout)


@pytest.mark.slow
def test_a_stale_pid_file_with_a_foreign_process_is_cleared(home: Path, pg_version: int, servers: ExitStack) -> None:
    server = servers.enter_context(start(home / "data", version=pg_version, settings=QUICK))
    pid_file = server.data_dir / "postmaster.pid"
    text = pid_file.read_text()
    server.stop("immediate")
    account = server_account()
    with (home / "bystander.log").open("wb") as output:
        bystander = account.spawn(["/bin/sleep", "600"], env={}, output=output)
    try:
        # The kernel has given the dead postmaster's number to a process of the same user.
        pid_file.write_text("\n".join([str(bystander), *text.splitlines()[1:]]) + "\n")
        assert not running(server)
        server.stop()
        server.start()
        assert server.pid not in (None, bystander)
        assert process.is_alive(bystander)
    finally:
        os.kill(bystander, signal.SIGKILL)
        wait_for(lambda: not process.is_alive(bystander), "the bystander to end")


@pytest.mark.slow
def test_a_server_that_cannot_start_says_why_at_once(home: Path, pg_version: int) -> None:
    with pytest.raises(EmbeddedError, match="no_such_setting"):
        start(home / "data", version=pg_version, settings={**QUICK, "no_such_setting": "1"})
    server = start(home / "data", version=pg_version, settings=QUICK)
    server.remove()


@pytest.mark.slow
def test_a_cluster_of_another_version_and_foreign_files_are_refused(home: Path, pg_version: int) -> None:
    foreign = home / "foreign"
    foreign.mkdir()
    (foreign / "letter.txt").write_text("keep")
    with pytest.raises(EmbeddedError, match="holds other files"):
        start(foreign, version=pg_version)
    server = temporary(version=pg_version, settings=QUICK)
    with server, pytest.raises(EmbeddedError, match=f"of PostgreSQL {pg_version}"):
        start(server.data_dir, version={18: 16}.get(pg_version, 18))
    with pytest.raises(EmbeddedError, match="no programs of PostgreSQL 9"):
        find_binaries(9)


@pytest.mark.slow
def test_in_memory_where_there_is_room(home: Path, pg_version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("normalform.embedded.places._MEMORY", home)
    for room, there in ((1, True), (1 << 60, False)):
        monkeypatch.setattr(sys.modules["normalform.embedded.temporary"], "_ROOM", room)
        with temporary(version=pg_version, settings=QUICK, in_memory=True) as server:
            assert server.data_dir.is_relative_to(home) == there
        assert not server.data_dir.exists()


def test_a_place_where_nothing_can_be_made_is_an_error_of_ours(pg_version: int) -> None:
    with pytest.raises(EmbeddedError, match="cannot make a cluster"):
        start(Path("/proc/normalform"), version=pg_version)


def test_processes_are_recognised_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a Mac, where `ps` gives the command line as one text."""
    said = {
        ("stat", 10): "Ss",
        ("command", 10): "/opt/a b/bin/postgres -D /data/one two -c listen_addresses= -c port=5432",
        ("stat", 11): "Z+",
        ("stat", 12): "S",
        ("command", 12): "postgres: checkpointer",
    }
    monkeypatch.setattr(process, "_PROC", False)
    monkeypatch.setattr(process, "_ps", lambda pid, column: said.get((column, pid), ""))
    assert process.is_postmaster(10, Path("/data/one two"))
    assert not process.is_postmaster(10, Path("/data/one"))
    assert [process.is_alive(pid) for pid in (10, 11, 12, 13)] == [True, False, True, False]
    assert not process.is_postmaster(12, Path("/data/one two"))
    assert process.orphans(Path("/data/one two")) == ()


@pytest.mark.slow
def test_an_existing_empty_folder_keeps_owner_and_mode(home: Path, pg_version: int, servers: ExitStack) -> None:
    given = home / "given"
    given.mkdir()
    given.chmod(0o751)
    before = given.stat()
    server = servers.enter_context(start(given, version=pg_version, settings=QUICK))
    assert server.data_dir == given / "pgdata"
    after = given.stat()
    assert (before.st_mode, before.st_uid, before.st_gid) == (after.st_mode, after.st_uid, after.st_gid)
    server.stop()
    assert servers.enter_context(start(given, version=pg_version, settings=QUICK)).data_dir == given / "pgdata"


@pytest.mark.slow
def test_loopback_asks_for_the_password(pg_version: int) -> None:
    with temporary(version=pg_version, settings=QUICK, listen_loopback=True) as server:
        with psycopg.connect(server.loopback_url()) as connection:
            assert connection.info.host == "127.0.0.1"
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.loopback_url(password="wrong"))
    with temporary(version=pg_version, settings=QUICK) as server, pytest.raises(EmbeddedError, match="socket alone"):
        server.loopback_url()


@pytest.mark.slow
def test_tools_run_against_the_server(pg_version: int) -> None:
    with temporary(version=pg_version, settings=QUICK) as server:
        assert server.run_tool("psql", "-Atc", "SELECT 6 * 7").stdout == "42\n"
        assert server.run_tool("psql", "-At", input="SELECT 1").stdout == "1\n"
        assert f"(PostgreSQL) {pg_version}" in server.run_tool("pg_dump", "--version").stdout
        with pytest.raises(EmbeddedError, match="division by zero"):
            server.run_tool("psql", "-c", "SELECT 1 / 0")
        assert server.run_tool("psql", "-c", "SELECT 1 / 0", check=False).returncode == 1


@pytest.mark.slow
def test_temporary_servers_go_with_their_process_and_the_dead_ones_are_reaped(pg_version: int) -> None:
    script = (
        "import os, signal, sys; from normalform.embedded import temporary\n"
        f"server = temporary(version={pg_version}, settings={QUICK!r})\n"
        "print(server.data_dir, server.pid, flush=True)\n"
        "if sys.argv[1] == 'dies': os.kill(os.getpid(), signal.SIGKILL)"
    )
    for end in ("ends", "dies"):
        child = subprocess.run([sys.executable, "-c", script, end], capture_output=True, text=True, check=False)
        data_dir, pid = Path(child.stdout.rsplit(maxsplit=1)[0]), int(child.stdout.rsplit(maxsplit=1)[1])
        if end == "dies":
            assert child.returncode == -signal.SIGKILL
            with temporary(version=pg_version, settings=QUICK) as live:  # another may reap before us: that is well too
                reap()
                assert live.pid is not None
        else:
            assert child.returncode == 0, child.stderr
        assert not data_dir.parent.exists()
        assert not process.is_alive(pid)
