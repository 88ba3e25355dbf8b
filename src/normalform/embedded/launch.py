"""Makes a cluster, starts its postmaster, waits for it and stops it.

Decides nothing about places (places.py) or users (account.py). It must never leave a half-made cluster that
looks whole, never set a limit to crash recovery, and never report a server that has ended as one to wait for.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from . import process
from .account import Account
from .errors import EmbeddedError

LOG = "server.log"
PASSWORD = "normalform.password"  # noqa: S105 - the name of a file
_SETTINGS = "normalform.conf"
_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_PAUSE = 0.02
# What a new postmaster says while processes of a killed one still work in its data directory.
_STILL_BUSY = "pre-existing shared memory block"


def make_cluster(bin_dir: Path, data_dir: Path, account: Account, *, durable: bool) -> None:
    """Makes a cluster in UTF-8 with the C collation, whole or not at all.

    Connections by socket are trusted, since only the owner gets into the socket's folder; those by TCP give
    a password, which is written beside the data.

    Args:
        bin_dir: the programs.
        data_dir: a folder that does not exist yet.
        account: who shall own it.
        durable: whether to wait until the files are on disk.

    Raises:
        EmbeddedError: with the program's own words, if that fails.
    """
    try:
        _make_parents(data_dir.parent, account)
        for leftover in data_dir.parent.glob(f".{data_dir.name}.init-*"):
            shutil.rmtree(leftover)  # ours, of a process that died here; the caller holds the lock
        scratch = Path(tempfile.mkdtemp(prefix=f".{data_dir.name}.init-", dir=data_dir.parent))
    except OSError as e:
        raise EmbeddedError(f"cannot make a cluster in {data_dir}: {e}") from e
    try:
        account.give(scratch)
        password = scratch / "password"
        _write(password, secrets.token_urlsafe(24) + "\n", account)
        cluster = scratch / "cluster"
        arguments: list[str | Path] = [
            bin_dir / "initdb",
            f"--pgdata={cluster}",
            "--username=postgres",
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            f"--pwfile={password}",
            "--encoding=UTF8",
            "--locale-provider=libc",
            *([] if durable else ["--no-sync"]),
        ]
        done = account.run([*arguments, "--locale=C.UTF-8"], env=environment())
        if done.returncode != 0 and "locale" in done.stderr:  # a system without that one
            shutil.rmtree(cluster, ignore_errors=True)
            done = account.run([*arguments, "--locale=C"], env=environment())
        if done.returncode != 0:
            raise EmbeddedError(f"initdb failed in {data_dir}:\n{done.stderr.strip()}")
        password.rename(cluster / PASSWORD)
        cluster.rename(data_dir)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_settings(data_dir: Path, settings: Mapping[str, str], account: Account) -> bool:
    """Writes the caller's settings where the server reads them; later ALTER SYSTEM still goes above them.

    Returns:
        Whether they differ from those that stood there.
    """
    lines = [f"{name} = '{_quoted(value)}'\n" for name, value in sorted(settings.items())]
    file, text = data_dir / _SETTINGS, "".join(lines)
    main = data_dir / "postgresql.conf"
    include = f"include_if_exists = '{_SETTINGS}'\n"
    if include not in main.read_text(errors="surrogateescape"):
        with main.open("a") as f:
            f.write(f"\n{include}")
    if file.exists() and file.read_text() == text:
        return False
    _write(file, text, account)
    return True


def start_postmaster(
    bin_dir: Path, data_dir: Path, socket_dir: Path, port: int, account: Account, *, loopback: bool
) -> int:
    """Starts the postmaster of a cluster and waits until it accepts connections, however long it recovers.

    Args:
        bin_dir: the programs.
        data_dir: the cluster.
        socket_dir: the folder of its socket.
        port: its port, which is also part of the socket's name.
        account: who runs it.
        loopback: whether it listens on 127.0.0.1 too.

    Returns:
        The postmaster's process id.

    Raises:
        EmbeddedError: at once when the postmaster ends, with the end of its log.
    """
    address = "127.0.0.1" if loopback else ""
    command: list[str | Path] = [
        bin_dir / "postgres",
        "-D",
        data_dir,
        "-c",
        f"listen_addresses={address}",
        "-c",
        f"port={port}",
        "-c",
        f'unix_socket_directories="{socket_dir}"',
        "-c",
        "unix_socket_permissions=0700",
    ]
    _clear_stale_pid_file(data_dir)
    while True:
        log = data_dir / LOG
        with log.open("ab") as output:
            account.give(log)
            begun = output.tell()
            pid = account.spawn(command, env=environment(), output=output)
        try:
            if wait_until_ready(pid, data_dir):
                return pid
        except BaseException:  # Ctrl-C while it recovers: do not leave it behind
            _signal(pid, signal.SIGQUIT)
            wait_until_gone(pid, data_dir, timeout=None)
            raise
        said = log.read_bytes()[begun:].decode(errors="replace")
        if _STILL_BUSY not in said:
            raise EmbeddedError(f"the server in {data_dir} did not start; the end of {LOG}:\n{_tail(said)}")
        # Backends of a killed postmaster. They are ours (they work in this folder): end them as it would have.
        for orphan in process.orphans(data_dir):
            _signal(orphan, signal.SIGQUIT)
        time.sleep(10 * _PAUSE)


def stop_postmaster(pid: int, data_dir: Path, mode: str, *, timeout: float | None) -> None:
    """Stops a postmaster and waits for its end.

    Args:
        pid: its process id; nothing happens unless that is the postmaster of `data_dir`.
        data_dir: the cluster.
        mode: ``smart`` waits for sessions to end, ``fast`` ends them, ``immediate`` is a crash.
        timeout: seconds to wait; None for ever.

    Raises:
        EmbeddedError: for another mode, or if it has not ended in time.
    """
    if mode not in _SIGNALS:
        raise EmbeddedError(f"no such way to stop a server: {mode}", hint="one of " + ", ".join(_SIGNALS))
    if not process.is_postmaster(pid, data_dir):
        return
    _signal(pid, _SIGNALS[mode])
    if not wait_until_gone(pid, data_dir, timeout=timeout):
        raise EmbeddedError(f"the server in {data_dir} has not ended within {timeout} s after a {mode} stop")


def wait_until_gone(pid: int, data_dir: Path, *, timeout: float | None) -> bool:
    """Waits until a postmaster has ended; False if that takes longer than `timeout` seconds."""
    deadline = None if timeout is None else time.monotonic() + timeout
    while process.is_postmaster(pid, data_dir):
        if deadline is not None and time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE)
    return True


def wait_until_ready(pid: int, data_dir: Path) -> bool:
    """Waits as long as the postmaster lives; False once it has ended."""
    while process.is_alive(pid):
        found = process.read_pid_file(data_dir)
        if found is not None and found.pid == pid and found.ready:
            return True
        time.sleep(_PAUSE)
    return False


def environment() -> dict[str, str]:
    """Our environment without what would lead PostgreSQL elsewhere, and with its time zone fixed to UTC."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it may have ended since it was recognised
        os.kill(pid, number)


def _clear_stale_pid_file(data_dir: Path) -> None:
    """Removes a pid file whose process id now belongs to something else.

    PostgreSQL does so itself when no such process lives. Data stays guarded without the file: a postmaster
    also refuses to start while a process is attached to the shared memory of its data directory.
    """
    found = process.read_pid_file(data_dir)
    if found is not None and process.is_alive(found.pid) and not process.is_postmaster(found.pid, data_dir):
        (data_dir / "postmaster.pid").unlink()


def _make_parents(folder: Path, account: Account) -> None:
    """Makes a folder with its parents. Those made for another user let him pass, whatever the umask."""
    if folder.exists():
        return
    _make_parents(folder.parent, account)
    folder.mkdir(mode=0o755, exist_ok=True)
    if account.switched:
        folder.chmod(0o755)


def _write(file: Path, text: str, account: Account) -> None:
    """Writes a small private file, whole or not at all."""
    fresh = file.with_name(file.name + ".new")
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    account.give(fresh)
    fresh.rename(file)


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


def _tail(text: str, lines: int = 20) -> str:
    return "\n".join("  " + line for line in text.strip().splitlines()[-lines:])
