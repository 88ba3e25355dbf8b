"""Keeps the application up: holds its socket, runs its instances, and replaces them without a request lost.

The folder it is given has two files. `wanted.json` is written by the commands: a number that grows, and which code is
wanted; SIGHUP says that it has changed. `state.json` is written here: the number last handled, what went wrong with it,
and what runs.
SIGTERM ends everything.

It decides when instances are replaced: only after all new ones serve. It must never end an instance that serves while
its successor does not, nor close the socket before it ends itself.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from photocat.operate.instances import END, FORMAT, Process, begin, heard
from photocat.operate.processes import read_whole, record, write_whole
from photocat.settings import TagColumns

log = logging.getLogger("photocat.keeper")

WANTED, STATE, PID = "wanted.json", "state.json", "keeper.json"
BACKLOG = 2048
#: Seconds between two attempts to replace an instance that has died.
AGAIN = 2.0
_TURN = 0.1


@dataclass(frozen=True)
class Wanted:
    """What shall run: a number that grows with each wish, the columns that the code reads, and how many instances."""

    number: int
    tag_columns: TagColumns
    instances: int


@dataclass(frozen=True)
class Running:
    """What runs: its keeper's process, its address, the processes of its instances, the columns that its code reads."""

    pid: int
    host: str
    port: int
    instances: tuple[int, ...]
    tag_columns: TagColumns


@dataclass
class Keeper:
    """The socket and the instances on it.

    Args:
        folder: where its files are.
        listener: the socket.
        live: processes that serve.
        leaving: processes that were asked to end, with the moment at which they are killed.
    """

    folder: Path
    listener: socket.socket
    live: list[Process] = field(default_factory=list)
    leaving: dict[Process, float] = field(default_factory=dict)
    wanted: Wanted | None = None
    asked: bool = True
    ending: bool = False
    retry_at: float = 0.0

    def run(self) -> int:
        """Work until SIGTERM; returns the exit status."""
        signal.signal(signal.SIGHUP, self._hear)
        signal.signal(signal.SIGTERM, self._hear)
        signal.signal(signal.SIGINT, self._hear)
        while not self.ending:
            if self.asked:
                self.asked = False
                self._fulfil()
                if self.wanted is None:  # the first wish failed: there is nothing to keep
                    break
            self._look()
            time.sleep(_TURN)
        self._leave(self.live)
        self.live = []
        while self.leaving:
            self._look()
            time.sleep(_TURN)
        log.info("the application is down")
        return 0 if self.wanted else 1

    def _hear(self, number: int, _: object) -> None:
        if number == signal.SIGHUP:
            self.asked = True
        else:
            self.ending = True

    def _fulfil(self) -> None:
        """Start what is wanted; once all of it serves, let go what served before."""
        wanted = Wanted(**read_whole(self.folder / WANTED))
        fresh, failures = heard(begin(self.listener.fileno(), wanted.tag_columns, wanted.instances))
        if failures:
            log.error("not replaced: %s", failures[0])
            self._leave(fresh)
            self._tell(wanted.number, failures[0])
            return
        log.info("%d instances serve, with %s", len(fresh), wanted.tag_columns)
        before, self.live, self.wanted = self.live, fresh, wanted
        self._leave(before)
        while self.leaving:
            self._look()
            time.sleep(_TURN)
        self._tell(wanted.number, "")

    def _leave(self, processes: list[Process]) -> None:
        for process in processes:
            process.terminate()
            self.leaving[process] = time.monotonic() + END

    def _look(self) -> None:
        """Bury who has ended; replace who ended without being asked."""
        for process, deadline in list(self.leaving.items()):
            if process.poll() is not None:
                del self.leaving[process]
            elif time.monotonic() > deadline:
                log.error("instance %d did not end in time and is killed", process.pid)
                process.kill()
        dead = [process for process in self.live if process.poll() is not None]
        for process in dead:
            log.error("instance %d has died with status %s", process.pid, process.returncode)
            self.live.remove(process)
            self.retry_at = time.monotonic()
        wanted = self.wanted
        if wanted is None or self.ending or time.monotonic() < self.retry_at:
            return
        if len(self.live) < wanted.instances:
            self.retry_at = time.monotonic() + AGAIN
            lacking = wanted.instances - len(self.live)
            fresh, failures = heard(begin(self.listener.fileno(), wanted.tag_columns, lacking))
            self.live += fresh
            for failure in failures:
                log.error("not replaced yet: %s", failure)
            if fresh:
                self._tell(wanted.number, "")

    def _tell(self, number: int, error: str) -> None:
        now = None
        if self.wanted is not None:
            host, port = self.listener.getsockname()[:2]
            now = Running(os.getpid(), host, port, tuple(p.pid for p in self.live), self.wanted.tag_columns)
        tell(self.folder, number, error, now)


def tell(folder: Path, number: int, error: str, now: Running | None) -> None:
    """Note how a wish ended: what went wrong, or nothing, and what runs."""
    write_whole(folder / STATE, {"number": number, "error": error, "running": now and asdict(now)})


def listening(host: str, port: int) -> socket.socket:
    """The socket that all instances share; it outlives each of them."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(BACKLOG)
    return listener


def main(folder: Path, host: str, port: int) -> int:
    """Keep the application of a folder up at an address, in a process of its own that outlives whoever has started it.

    Returns:
        Exit status; the first process returns as soon as the pid file names the second.
    """
    child = os.fork()
    if child:
        record(folder / PID, child)
        return 0
    os.setsid()
    logging.basicConfig(level=logging.INFO, format=FORMAT, stream=sys.stderr)
    number = int((read_whole(folder / WANTED) or {}).get("number", 0))
    try:
        listener = listening(host, port)
    except OSError as error:
        tell(folder, number, f"{host}:{port} cannot be listened on: {error}", None)
        return 1
    with listener:
        return Keeper(folder, listener).run()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
