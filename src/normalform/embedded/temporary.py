"""Servers that live no longer than their process.

Each stands in a folder of its own with a lock that its process holds while it lives. The lock goes with the
process however that ends, so a folder whose lock is free belongs to nobody: it is removed at the next
opportunity. This module must never remove a folder whose lock is held.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from . import launch, process
from .account import Account, server_account
from .binaries import reachable_binaries
from .errors import EmbeddedError
from .places import bases, memory_base
from .server import Server, start

_PREFIX = "temporary-"
_LOCK = "owner.lock"
_CLUSTER = "cluster"
#: Bytes that must be free in memory for a server to be kept there.
_ROOM = 4 << 30


def temporary(
    *,
    version: int = 18,
    settings: Mapping[str, str] | None = None,
    listen_loopback: bool = False,
    in_memory: bool = False,
) -> Server:
    """Makes and starts a server that is removed with all its data when this process ends, or earlier.

    Args:
        version: major version of PostgreSQL.
        settings: server settings by name.
        listen_loopback: whether to listen on 127.0.0.1 too, at a free port, with a password.
        in_memory: whether to keep its files in memory, where the system has some gigabytes to spare: for many small
            databases that come and go, of which a file system remembers the deleted ones for seconds.

    Returns:
        The running server; as a context manager, or by `Server.remove`, it goes at once.

    Raises:
        EmbeddedError: as `start`.
    """
    return _made(
        lambda cluster: start(cluster, version=version, settings=settings, listen_loopback=listen_loopback),
        in_memory=in_memory,
    )


def standby(primary: Server, *, in_memory: bool = False) -> Server:
    """Makes and starts a hot standby that streams from a running server of ours, and goes as `temporary` ones do.

    Args:
        primary: the server; its standby has the same version and settings.
        in_memory: as of `temporary`.

    Returns:
        The running standby. It answers as soon as it is consistent, and may still be behind.

    Raises:
        EmbeddedError: if the copy fails, with the program's own words, or as `start`.
    """
    account = server_account()

    def copy(cluster: Path) -> Server:
        programs = reachable_binaries(primary.version, account)
        cluster.mkdir(mode=0o700)  # its parent is ours, and stays so
        account.give(cluster)
        done = account.run(
            [
                programs / "pg_basebackup",
                f"--pgdata={cluster}",
                f"--host={primary.socket_dir}",
                f"--port={primary.port}",
                "--username=postgres",
                "--write-recovery-conf",
                "--checkpoint=fast",
                "--no-sync",
            ],
            env=launch.environment(),
        )
        if done.returncode != 0:
            raise EmbeddedError(f"pg_basebackup of {primary.data_dir} failed:\n{done.stderr.strip()}")
        for copied in (*cluster.glob(".s.PGSQL.*.lock"), cluster / launch.LOG):
            copied.unlink(missing_ok=True)  # the primary's: its socket may lie in its data directory
        return start(cluster, version=primary.version, settings=primary.settings)

    return _made(copy, in_memory=in_memory)


def reap() -> list[Path]:
    """Stops and removes the temporary servers whose process is gone.

    Returns:
        The folders removed.
    """
    removed = []
    account = server_account()
    memory = memory_base(account)
    for base in [*bases(account), *([memory] if memory else [])]:
        for folder in base.glob(_PREFIX + "*"):
            try:
                lock = (folder / _LOCK).open("r+")
            except FileNotFoundError:
                continue  # being made, or being removed
            with lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue  # its process lives
                cluster = folder / _CLUSTER
                found = process.read_pid_file(cluster)
                if found is not None:
                    launch.stop_postmaster(found.pid, cluster, "immediate", timeout=None)
                shutil.rmtree(folder, ignore_errors=True)  # two may reap at once
                removed.append(folder)
    return removed


def _made(make: Callable[[Path], Server], *, in_memory: bool) -> Server:
    """Has a server made in a folder of its own that goes with this process."""
    reap()
    account = server_account()
    folder, lock = _claim(account, in_memory=in_memory)
    try:
        server = make(folder / _CLUSTER)
    except BaseException:
        lock.close()
        shutil.rmtree(folder, ignore_errors=True)
        raise
    server.own_folder = folder
    atexit.register(_remove, server, folder, lock, os.getpid())
    return server


def _claim(account: Account, *, in_memory: bool) -> tuple[Path, IO[str]]:
    base = (memory_base(account, room=_ROOM) if in_memory else None) or next(iter(bases(account)))
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
    if account.switched:
        folder.chmod(0o711)  # the server's user passes through; nobody else reads the names in it
    # Locked under another name first: a lock that can be seen is a lock that is held.
    fresh = folder / (_LOCK + ".new")
    lock = fresh.open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    fresh.rename(folder / _LOCK)
    return folder, lock


def _remove(server: Server, folder: Path, lock: IO[str], owner: int) -> None:
    if os.getpid() != owner:  # a forked child also runs what its parent registered
        return
    if folder.exists():
        server.remove()
    lock.close()
