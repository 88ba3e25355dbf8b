"""Finds the PostgreSQL client programs of this machine, the best first: those brought along, the system's, PATH's.

Decides where to look. It must never choose: that is ``core.pg_programs``'s.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..core.pg_programs import Programs

CLIENTS = ("pg_dump", "pg_restore", "psql")
SERVER = ("postgres", "initdb")
#: Debian and its kin; Red Hat and its kin; Homebrew on both kinds of Mac.
SYSTEM = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)


def find(packaged: Mapping[int, Path], *, system: Sequence[str] = SYSTEM, path: str | None = None) -> list[Programs]:
    """Return all that there are.

    Args:
        packaged: folders of the versions that were brought along.
        system: patterns of folders, from the root.
        path: folders as PATH has them; None takes the environment's.
    """
    folders = [(folder, "package") for _, folder in sorted(packaged.items(), reverse=True)]
    for pattern in system:
        anchor = Path(pattern).anchor
        folders += [(f, "system") for f in sorted(Path(anchor).glob(pattern.removeprefix(anchor)), reverse=True)]
    on_path = [(Path(entry), "PATH") for entry in (path or os.environ.get("PATH", "")).split(os.pathsep) if entry]
    found: list[Programs] = []
    seen: set[Path] = set()
    for folder, origin in [*folders, *on_path]:
        if folder.resolve() in seen or not all(shutil.which(c, path=str(folder)) for c in CLIENTS):
            continue
        seen.add(folder.resolve())
        version = _version(folder)
        if version is not None:
            # A server of ours is looked for in the package and the system alone.
            server = origin != "PATH" and all(shutil.which(c, path=str(folder)) for c in SERVER)
            found.append(Programs(int(version.partition(".")[0]), version, str(folder), origin, server))
    return found


def _version(folder: Path) -> str | None:
    """The version that a folder's pg_dump says it is; None where it does not run, as a wrapper without its version."""
    try:
        said = subprocess.run([folder / "pg_dump", "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    number = re.search(r"(\d+(\.\d+|devel|beta\d+|rc\d+)?)", said.stdout)
    return number[1] if said.returncode == 0 and number else None
