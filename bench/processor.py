"""Processor seconds of a server and of this process: on a loaded machine they say more than a clock does.

Reads /proc, so that it works on Linux alone; a server on another machine has none here.
"""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path

import psycopg

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Seconds:
    """Processor seconds, user and system together.

    Args:
        client: of this process.
        server: of a server, all its processes.
    """

    client: float
    server: float

    def __sub__(self, other: Seconds) -> Seconds:
        return Seconds(self.client - other.client, self.server - other.server)

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(self.client + other.client, self.server + other.server)

    @property
    def both(self) -> float:
        """Of both together."""
        return self.client + self.server


def postmaster(conn: psycopg.Connection) -> int:
    """Return the process id of the server that a session talks to; it runs on this machine."""
    row = conn.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    return int(_stat(row[0])[1])


def used(server: int) -> Seconds:
    """Return what has been used so far.

    Args:
        server: the postmaster's process id.
    """
    own = resource.getrusage(resource.RUSAGE_SELF)
    total = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = _stat(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended while we looked; the postmaster has its time then
            if int(entry.name) == server:
                total += sum(int(fields[i]) for i in (11, 12, 13, 14))  # with those that it has outlived
            elif int(fields[1]) == server:
                total += int(fields[11]) + int(fields[12])
    return Seconds(own.ru_utime + own.ru_stime, total / _TICKS)


def _stat(process: int) -> list[str]:
    """Return the fields of a process behind its name, which may hold spaces: state, parent and so on."""
    return Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()
