"""Where a server's files go.

The rule for a data directory that a caller names, in this order:

1. what already holds a cluster is used: the folder itself, ``pgdata`` in it, or its place aside;
2. a folder that does not exist is made, private to the server's user;
3. an existing folder keeps its owner and its mode, and the cluster goes into ``pgdata`` in it; it must be
   empty, since files that are not ours are not ours to mix with;
4. where the server's user cannot get there (as in root's home), the cluster goes to a place aside: a folder
   of ours under the system's temporary folder, named after the path that was asked for, so that asking again
   finds it again.

This module must never change the mode or the owner of a folder that it did not make.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .account import Account
from .errors import EmbeddedError

# On disk and across restarts first; what we put there is guarded below.
_TEMPORARY = ("/var/tmp", "/tmp")  # noqa: S108
# Shared memory as a file system: half of the machine's memory unless somebody has said otherwise.
_MEMORY = Path("/dev/shm")  # noqa: S108
# sun_path holds 108 bytes on Linux (104 elsewhere), the closing zero included.
_SOCKET_LIMIT = 103
# PostgreSQL splits lists of sockets at commas and libpq splits hosts there: keep to plain characters.
_PLAIN = re.compile(r"[A-Za-z0-9_./+ -]+")


def bases(account: Account) -> Iterator[Path]:
    """Yields our private folders under the system's temporary folders, made as needed, the best first.

    Each belongs to whoever runs us, nobody else can write it, and the server's user can pass through it.
    """
    named = os.environ.get("TMPDIR")
    for parent in dict.fromkeys([*([named] if named else []), *_TEMPORARY, tempfile.gettempdir()]):
        folder = _private(Path(parent).absolute(), account)
        if folder is not None:
            yield folder


def memory_base(account: Account, *, room: int = 0) -> Path | None:
    """The same in memory, where the system has such a folder with so many bytes of room; None where it has not."""
    try:
        found = os.statvfs(_MEMORY)
    except OSError:
        return None
    return _private(_MEMORY, account) if found.f_bavail * found.f_frsize >= room else None


def _private(parent: Path, account: Account) -> Path | None:
    folder = parent / f"normalform-{os.geteuid()}"
    try:
        folder.mkdir(mode=0o711 if account.switched else 0o700)
    except FileExistsError:
        pass  # from an earlier run, or somebody else's: looked at below
    except OSError:
        return None  # no such temporary folder, or not for us
    else:
        folder.chmod(0o711 if account.switched else 0o700)  # whatever the umask
    found = folder.lstat()
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
    return folder if private and account.can_reach(folder) else None


def base(account: Account) -> Path:
    """The best of `bases`.

    Raises:
        EmbeddedError: if there is none.
    """
    for folder in bases(account):
        return folder
    raise EmbeddedError(
        f"found no temporary folder that is ours alone and that user {account.name} can reach",
        hint="set TMPDIR to such a folder",
    )


def lock_file(asked: Path, account: Account) -> Path:
    """The file to lock while the cluster of a path is made or started."""
    return base(account) / f"lock-{_digest(asked)}"


def choose_data_dir(asked: Path, account: Account) -> Path:
    """Applies the rule above to an absolute path, without making anything.

    Returns:
        The cluster's folder, which either holds a cluster or does not exist yet.

    Raises:
        EmbeddedError: if the path is a file or a folder with other files in it.
    """
    aside = base(account) / f"data-{_digest(asked)}"
    for place in (asked, asked / "pgdata", aside):
        if (place / "PG_VERSION").is_file():
            return place
    if asked.exists():
        if not asked.is_dir():
            raise EmbeddedError(f"{asked} is not a folder")
        if any(not entry.name.startswith(".pgdata.init-") for entry in asked.iterdir()):
            raise EmbeddedError(f"{asked} holds other files and no PostgreSQL cluster", hint="name an empty folder")
        place = asked / "pgdata"
    else:
        place = asked
    ancestor = next(parent for parent in place.parents if parent.exists())
    return place if account.can_reach(ancestor) else aside


def socket_dir(data_dir: Path, port: int, account: Account) -> Path:
    """The folder of a cluster's socket: its data directory, or one with a short and plain name.

    The name depends on the data directory alone, so that a server that is started again has the same URL.
    """
    if _fits(data_dir, port):
        return data_dir
    for parent in bases(account):
        folder = parent / f"s-{_digest(data_dir)}"
        if _fits(folder, port):
            if not folder.exists():
                folder.mkdir(mode=0o700)
                account.give(folder)
            return folder
    raise EmbeddedError(f"found no folder short enough for the socket of {data_dir}", hint="set TMPDIR to a short path")


def _fits(folder: Path, port: int) -> bool:
    path = f"{folder}/.s.PGSQL.{port}.lock"
    return len(os.fsencode(path)) <= _SOCKET_LIMIT and _PLAIN.fullmatch(str(folder)) is not None


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
