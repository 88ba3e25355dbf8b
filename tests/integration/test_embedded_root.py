"""What root must not do, and what an ordinary user need not.

Without root these rules say less, and the tests then hold the ordinary user to his part of them.
"""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

from normalform.embedded import EmbeddedError, binaries, start, temporary
from normalform.embedded.account import Account, server_account
from normalform.embedded.places import bases, choose_data_dir, socket_dir

QUICK = {"fsync": "off"}
ROOT = os.geteuid() == 0


@pytest.fixture
def unreachable(tmp_path: Path) -> Iterator[Path]:
    """A folder with files that only whoever runs us can enter, as root's home is."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    yield folder
    shutil.rmtree(folder)


def modes(path: Path) -> dict[Path, tuple[int, int, int]]:
    return {p: (s.st_mode, s.st_uid, s.st_gid) for p in (path, *path.parents) for s in [p.stat()]}


@pytest.mark.slow
def test_servers_run_unprivileged_and_no_user_is_made(pg_version: int) -> None:
    users = {entry.pw_name for entry in pwd.getpwall()}
    with temporary(version=pg_version, settings=QUICK) as server:
        owner = server.data_dir.stat().st_uid
        assert owner != 0
        assert owner == (server_account().uid if ROOT else os.geteuid())
        assert Path(f"/proc/{server.pid}").stat().st_uid == owner
        assert server.data_dir.stat().st_mode & 0o777 == 0o700
    assert {entry.pw_name for entry in pwd.getpwall()} == users


@pytest.mark.slow
def test_no_folder_on_the_way_changes(unreachable: Path, pg_version: int) -> None:
    before = modes(unreachable)
    asked = unreachable / "data"
    server = start(asked, version=pg_version, settings=QUICK)
    try:
        assert modes(unreachable) == before
        # Where the servers' user cannot get there, the cluster is aside, and is found there again.
        assert (server.data_dir != asked) == ROOT
        server.stop()
        again = start(asked, version=pg_version, settings=QUICK)
        assert again.data_dir == server.data_dir
        with psycopg.connect(again.url()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        server.remove()
    assert not server.data_dir.exists()


@pytest.mark.slow
def test_programs_that_the_servers_user_cannot_reach_are_copied_aside(
    unreachable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = server_account()
    install = binaries.find_binaries(18).parent
    package = unreachable / install.parent.name
    shutil.copytree(install, package / install.name, symlinks=True)
    libraries = package.name + ".libs"
    if install.parent.with_name(libraries).exists():
        shutil.copytree(install.parent.with_name(libraries), unreachable / libraries, symlinks=True)
    private = package / install.name / "bin"
    monkeypatch.setattr(binaries, "_packaged", lambda: {18: private})
    with TemporaryDirectory(dir=next(iter(bases(account)))) as empty:
        Path(empty).chmod(0o711)
        monkeypatch.setenv("TMPDIR", empty)
        used = binaries.reachable_binaries(18, account)
        assert account.run([used / "initdb", "--version"], env={}).returncode == 0
        assert used.is_relative_to(empty) == ROOT
        assert used.is_relative_to(unreachable) != ROOT
        assert binaries.reachable_binaries(18, account) == used
        assert not list(Path(empty).glob("*/copying-*"))


def test_the_fall_back_user_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"nobody": pwd.struct_passwd(("nobody", "x", 65534, 65534, "", "/", "/bin/false"))}
    monkeypatch.setattr(pwd, "getpwnam", lambda name: known[name])
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert server_account() == Account("nobody", 65534, 65534, switched=True)
    known.clear()
    with pytest.raises(EmbeddedError, match="no user postgres or nobody"):
        server_account()


def test_a_temporary_folder_of_somebody_else_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = server_account()
    planted = tmp_path / f"normalform-{os.geteuid()}"
    planted.mkdir()
    planted.chmod(0o777)  # anybody could put programs here
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert planted not in list(bases(account))
    assert planted.stat().st_mode & 0o777 == 0o777


@pytest.mark.parametrize("length", [10, 90, 103, 140, 250])
def test_socket_paths_always_fit(length: int) -> None:
    folder = Path("/" + "x" * (length - 1))
    found = socket_dir(folder, 54321, server_account())
    assert len(f"{found}/.s.PGSQL.54321.lock") <= 103
    if found != folder:
        found.rmdir()


def test_a_file_is_no_place_for_a_cluster(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(EmbeddedError, match="is not a folder"):
        choose_data_dir(file, server_account())
