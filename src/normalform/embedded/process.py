"""Which server processes live, and whose they are.

Decides whether a process id stands for the postmaster of one data directory. A process id alone proves
nothing (they are used again), so nothing here, and nobody who asks here, ever signals a process that was
not recognised by what it runs.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc/self/stat").exists()
# Servers that this process started and whose exit status nobody has collected yet.
_children: set[int] = set()


@dataclass(frozen=True)
class PidFile:
    """What ``postmaster.pid`` says.

    Attributes:
        pid: process id of the postmaster that wrote it.
        port: its port, or None before it chose one.
        socket_dir: the folder of its socket, or None if it has none yet.
        listens: the TCP address it listens on; empty for none.
        ready: whether it accepts connections.
    """

    pid: int
    port: int | None
    socket_dir: Path | None
    listens: str
    ready: bool


def read_pid_file(data_dir: Path) -> PidFile | None:
    """Reads ``postmaster.pid``; None if there is none or it is only half written."""
    try:
        lines = (data_dir / "postmaster.pid").read_text(errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    fields = [line.strip() for line in lines] + [""] * 8
    if not fields[0].isdigit():
        return None
    return PidFile(
        pid=int(fields[0]),
        port=int(fields[3]) if fields[3].isdigit() else None,
        socket_dir=Path(fields[4]) if fields[4] else None,
        listens=fields[5],
        ready=fields[7] in ("ready", "standby"),
    )


def remember_child(pid: int) -> None:
    """Makes `is_alive` collect the exit status of a server that this process started."""
    _children.add(pid)


def is_alive(pid: int) -> bool:
    """Tells whether a process runs; one that ended but was never collected (a zombie) does not."""
    if pid in _children and os.waitpid(pid, os.WNOHANG) != (0, 0):
        _children.discard(pid)
        return False
    state = _state(pid)
    return state is not None and state != "Z"


def is_postmaster(pid: int, data_dir: Path) -> bool:
    """Tells whether a live process is the postmaster of a data directory that we started."""
    if not is_alive(pid):
        return False
    command = _command(pid)
    # A backend overwrites its command line with its title; only the postmaster keeps ours.
    return bool(command) and Path(command[0]).name == "postgres" and str(data_dir) in command


def orphans(data_dir: Path) -> tuple[int, ...]:
    """Finds the server processes that still work in a data directory (where the system can tell).

    After its postmaster was killed, a backend in the middle of a statement goes on to its end, and no new
    server starts before that. They are recognised by program and working directory.
    """
    found = []
    for entry in Path("/proc").iterdir() if _PROC else ():
        if not entry.name.isdigit():
            continue
        try:
            if (entry / "comm").read_text().strip() == "postgres" and (entry / "cwd").samefile(data_dir):
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # ended meanwhile, or none of ours to look at
    return tuple(pid for pid in found if is_alive(pid))


def _state(pid: int) -> str | None:
    if _PROC:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        return stat.rpartition(")")[2].split()[0]  # the program's name, in brackets, may hold anything
    return _ps(pid, "stat")[:1] or None


def _command(pid: int) -> list[str]:
    if _PROC:
        try:
            raw = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return []
        return [os.fsdecode(part) for part in raw.split(b"\0")]
    # `ps` gives one text: split it where our own command line has its fixed parts (see launch.py).
    program, _, rest = _ps(pid, "command").partition(" -D ")
    return [program, rest.partition(" -c ")[0]] if rest else []


def _ps(pid: int, column: str) -> str:
    done = subprocess.run(
        ["/bin/ps", "-o", f"{column}=", "-p", str(pid)], capture_output=True, text=True, errors="replace", check=False
    )
    return done.stdout.strip()
