"""Which process is ours: a file with its id and when it began, so that no other process of that id is ever meant.

It decides whether a process that is named in a file still runs. It must never end a process by its name, nor one that
has begun at another time than the file says.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

_PAUSE = 0.05


def write_whole(path: Path, data: Any) -> None:
    """Write JSON that a reader sees whole or not at all, for its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    fresh.rename(path)


def read_whole(path: Path) -> Any:
    """What `write_whole` has written; None where there is nothing, or nothing that can be read."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def record(path: Path, pid: int) -> None:
    """Note a process that runs now."""
    write_whole(path, {"pid": pid, "began": began(pid)})


def running(path: Path) -> int | None:
    """The id of the process that a file names, if that very process still runs."""
    noted = read_whole(path)
    if not isinstance(noted, dict) or not isinstance(noted.get("pid"), int) or noted.get("began") is None:
        return None
    pid: int = noted["pid"]
    return pid if began(pid) == noted["began"] else None


def stop(path: Path, *, timeout: float) -> bool:
    """Ask the process that a file names to end, and wait until it has.

    Args:
        path: the file.
        timeout: seconds to wait.

    Returns:
        Whether it has ended, or did not run.
    """
    deadline = time.monotonic() + timeout
    pid = running(path)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):  # it may have ended since
            os.kill(pid, signal.SIGTERM)
    while running(path) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE)
    return True


def began(pid: int) -> str | None:
    """When a process began, in the system's own words; None where it does not run, or has ended unreaped."""
    stat = Path("/proc", str(pid), "stat")
    if Path("/proc/self/stat").exists():
        try:
            # The program's name stands in parentheses and may hold anything; what is asked for comes after the last.
            fields = stat.read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]
    said = subprocess.run(
        ["/bin/ps", "-o", "state=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return None if not said or said.startswith("Z") else said.partition(" ")[2]
