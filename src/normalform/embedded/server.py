"""A PostgreSQL server of our own: one object, one cluster.

Decides whether a running server is taken over, started again or started anew. It must never stop or adopt a
server that it has not recognised as the one of its own data directory.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from . import launch, places, process
from .account import Account, server_account
from .binaries import find_binaries, reachable_binaries
from .errors import EmbeddedError

_PORT = 5432  # with sockets alone the port is but a part of the socket's name


class Server:
    """A server, running or stopped. Made by `start` and `temporary`.

    As a context manager it is stopped at the end of the block, and removed if it is temporary.

    Attributes:
        version: major version.
        data_dir: where the cluster really is; places.py has the rule.
        socket_dir: the folder of its socket, private to its user.
        port: its port, which is also part of the socket's name.
        bin_dir: the programs, for whoever runs us.
        log_path: what the server says.
        own_folder: the folder that a temporary server has for itself, which goes with it; else None.
    """

    def __init__(
        self, version: int, data_dir: Path, account: Account, settings: Mapping[str, str], *, loopback: bool
    ) -> None:
        self.version = version
        self.data_dir = data_dir
        self.port = _PORT
        self.socket_dir = data_dir
        self.bin_dir = find_binaries(version)
        self.log_path = data_dir / launch.LOG
        self.own_folder: Path | None = None
        self._account = account
        self._settings = dict(settings)
        self._loopback = loopback

    @property
    def settings(self) -> dict[str, str]:
        """The settings that it was asked to have, by name."""
        return dict(self._settings)

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, or None while the server is stopped."""
        found = process.read_pid_file(self.data_dir)
        if found is None or not process.is_postmaster(found.pid, self.data_dir):
            return None
        return found.pid

    def url(self, dbname: str = "postgres", user: str = "postgres") -> str:
        """The URL of a database by the socket, its folder percent-encoded; no password is needed."""
        where = f"host={quote(str(self.socket_dir), safe='')}&port={self.port}"
        return f"postgresql://{quote(user, safe='')}@/{quote(dbname, safe='')}?{where}"

    def loopback_url(self, dbname: str = "postgres", user: str = "postgres", password: str | None = None) -> str:
        """The URL of a database by 127.0.0.1, password included.

        Args:
            dbname: the database.
            user: the role.
            password: its password; the superuser's own is known.

        Raises:
            EmbeddedError: if the server does not listen there.
        """
        if not self._loopback:
            raise EmbeddedError(f"the server in {self.data_dir} listens on its socket alone")
        secret = password or (self.data_dir / launch.PASSWORD).read_text().strip()
        who = f"{quote(user, safe='')}:{quote(secret, safe='')}"
        return f"postgresql://{who}@127.0.0.1:{self.port}/{quote(dbname, safe='')}"

    def start(self) -> None:
        """Starts the server, or takes over the one that runs already if it was started with the same settings.

        Waits as long as crash recovery takes. Two processes that start one cluster get one server.

        Raises:
            EmbeddedError: if it does not start, with the end of its log.
        """
        with self._locked():
            changed = launch.write_settings(self.data_dir, self._settings, self._account)
            running = self._adopt()
            if running is not None:
                if not changed:
                    return
                launch.stop_postmaster(running, self.data_dir, "fast", timeout=None)
            if self._loopback:
                self.port = _free_port()
            self.socket_dir = places.socket_dir(self.data_dir, self.port, self._account)
            programs = reachable_binaries(self.version, self._account)
            launch.start_postmaster(
                programs, self.data_dir, self.socket_dir, self.port, self._account, loopback=self._loopback
            )

    def stop(self, mode: str = "fast", *, timeout: float | None = 120) -> None:
        """Stops the server and waits for its end; nothing happens if it is stopped already.

        Args:
            mode: ``smart`` waits for sessions to end, ``fast`` ends them, ``immediate`` is a crash.
            timeout: seconds to wait; None for ever.

        Raises:
            EmbeddedError: if it has not ended in time.
        """
        pid = self.pid
        if pid is not None:
            launch.stop_postmaster(pid, self.data_dir, mode, timeout=timeout)

    def restart(self, mode: str = "fast") -> None:
        """Stops the server and starts it again; its URL stays the same unless it listens on 127.0.0.1."""
        self.stop(mode)
        self.start()

    def remove(self) -> None:
        """Stops the server and deletes its cluster with everything in it."""
        self.stop("immediate")
        if self.socket_dir != self.data_dir:
            shutil.rmtree(self.socket_dir, ignore_errors=True)
        shutil.rmtree(self.own_folder or self.data_dir)

    def run_tool(self, tool: str, *args: str | Path, **kw: Any) -> subprocess.CompletedProcess[str]:
        """Runs a client tool of this version against this server, as whoever runs us.

        Args:
            tool: its name, such as ``pg_dump``.
            args: its arguments; server and superuser are the default, so a database's name is enough.
            kw: arguments of `subprocess.run`, in whose defaults text is captured.

        Returns:
            The finished process.

        Raises:
            EmbeddedError: if it fails, with its own words, unless ``check=False``.
        """
        check = kw.pop("check", True)
        where = {"PGHOST": str(self.socket_dir), "PGPORT": str(self.port), "PGUSER": "postgres"}
        environment = {**launch.environment(), **where, **kw.pop("env", {})}
        options = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            **kw,
        }
        if "input" in kw:
            del options["stdin"]
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [str(self.bin_dir / tool), *map(str, args)], env=environment, check=False, **options
        )
        if check and done.returncode != 0:
            raise EmbeddedError(f"{tool} failed with status {done.returncode}:\n{(done.stderr or '').strip()}")
        return done

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.own_folder is not None:
            self.remove()
        else:
            self.stop()

    def _adopt(self) -> int | None:
        """Takes over a running server of this cluster, where it listens as it would if we had started it."""
        pid = self.pid
        if pid is None:
            return None
        launch.wait_until_ready(pid, self.data_dir)
        found = process.read_pid_file(self.data_dir)
        if found is None or found.port is None or found.socket_dir is None:
            return None
        if self._loopback != bool(found.listens):
            launch.stop_postmaster(pid, self.data_dir, "fast", timeout=None)
            return None
        self.port, self.socket_dir = found.port, found.socket_dir
        return pid

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with locked(self.data_dir, self._account):
            yield


@contextmanager
def locked(path: Path, account: Account) -> Iterator[None]:
    """Holds the lock under which the cluster of a path is made or started."""
    name = places.lock_file(path, account)
    while True:
        with name.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # let go when the file is closed, or when we die
            try:
                if not os.path.samestat(os.fstat(file.fileno()), name.stat()):
                    continue  # its last holder removed this file, and others already lock its successor
            except FileNotFoundError:
                continue
            try:
                yield
            finally:
                name.unlink()
            return


def start(
    data_dir: Path,
    *,
    version: int = 18,
    settings: Mapping[str, str] | None = None,
    listen_loopback: bool = False,
) -> Server:
    """Starts the server of a data directory, making the cluster if there is none yet.

    A server of that cluster which runs already (an earlier process died, or left it on purpose) is taken over
    if it has the same settings, else started again.

    Args:
        data_dir: where the cluster shall be; `Server.data_dir` says where it is (places.py has the rule).
        version: major version of PostgreSQL.
        settings: server settings by name. ``{"fsync": "off"}`` is the caller's choice, and so are all others.
        listen_loopback: whether to listen on 127.0.0.1 too, at a free port, with a password.

    Returns:
        The running server. It outlives this process unless it is stopped.

    Raises:
        EmbeddedError: if there are no programs of that version, if the cluster is of another version, or if the
            server does not start.
    """
    asked = Path(os.path.abspath(data_dir))  # noqa: PTH100 - resolve() would follow links that are meant
    account = server_account()
    with locked(asked, account):
        place = places.choose_data_dir(asked, account)
        if not (place / "PG_VERSION").exists():
            durable = (settings or {}).get("fsync", "on") not in ("off", "false", "no", "0")
            programs = reachable_binaries(version, account)
            launch.make_cluster(programs, place, account, durable=durable)
    there = (place / "PG_VERSION").read_text().strip()
    if there != str(version):
        raise EmbeddedError(f"{place} holds a cluster of PostgreSQL {there}, and {version} was asked for")
    server = Server(version, place, account, settings or {}, loopback=listen_loopback)
    server.start()
    return server


def stop(data_dir: Path) -> bool:
    """Stops the server of a data directory, if one runs; nothing is made or started for that.

    Args:
        data_dir: as `start` was given it.

    Returns:
        Whether one ran.

    Raises:
        EmbeddedError: if it has not ended in two minutes, or the folder holds other files and no cluster.
    """
    place = places.choose_data_dir(Path(os.path.abspath(data_dir)), server_account())  # noqa: PTH100 - as in `start`
    found = process.read_pid_file(place)
    if found is None or not process.is_postmaster(found.pid, place):
        return False
    launch.stop_postmaster(found.pid, place, "fast", timeout=120)
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
