"""Which PostgreSQL programs take a backup, and which major version it is restored on.

Decides by versions alone. It must never take a pg_dump older than the server (pg_dump refuses, and rightly), nor
restore on a version other than the one whose pg_dump wrote the backup: both would show differences that are none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..errors import GateClosed

GATE = "backup-programs"


@dataclass(frozen=True)
class Programs:
    """The client programs of one PostgreSQL, found together in one folder.

    Args:
        major: major version.
        version: what ``pg_dump --version`` says, such as ``16.4``.
        folder: where they are.
        origin: how they were found: ``package``, ``system`` or ``PATH``.
        server: whether a server of this version can be started here.
    """

    major: int
    version: str
    folder: str
    origin: str
    server: bool

    def path(self, program: str) -> str:
        """Return a program's path."""
        return f"{self.folder}/{program}"

    def __str__(self) -> str:
        return f"{self.version} in {self.folder} ({self.origin})"


def choose(found: Sequence[Programs], source: int, scratch: int | None) -> Programs:
    """Return the programs for a new backup.

    The lowest version that can read the server is taken: its own, where it is there. Of one version the first found.

    Args:
        found: all that there are, the best first.
        source: major version of the server to back up.
        scratch: major version of the server that was named to restore on; None where we start one.

    Raises:
        GateClosed: none fits; it says what was found where, and what is needed.
    """
    if scratch is not None and scratch < source:
        raise GateClosed(
            GATE,
            [f"the server to restore on is PostgreSQL {scratch}, and the backup is of PostgreSQL {source}"],
            hint=f"--verify-on with a server of PostgreSQL {source} or later, or without it: we start one",
        )
    if scratch is not None:
        return exactly(found, scratch, server=False, why=f"the server to restore on is PostgreSQL {scratch}")
    fitting = [p for p in found if p.major >= source and p.server]
    if fitting:
        return min(fitting, key=lambda p: p.major)
    clients = sorted({p.major for p in found if p.major >= source})
    if clients:
        raise GateClosed(
            GATE,
            [f"there is no server of PostgreSQL {clients[0]} here to restore the backup on", *listed(found)],
            hint=f"--verify-on URL of a server of PostgreSQL {clients[0]}, or {_install(clients[0])}",
        )
    raise GateClosed(
        GATE,
        [f"the server is PostgreSQL {source}: pg_dump {source} or later is needed", *listed(found)],
        hint=_install(source),
    )


def exactly(found: Sequence[Programs], major: int, *, server: bool, why: str) -> Programs:
    """Return the programs of one major version.

    Args:
        found: all that there are, the best first.
        major: the version.
        server: whether a server must be startable too.
        why: why it must be this one, for the error.

    Raises:
        GateClosed: there are none.
    """
    for programs in found:
        if programs.major == major and (programs.server or not server):
            return programs
    what = "the server and the client programs" if server else "pg_dump, pg_restore and psql"
    raise GateClosed(GATE, [f"{why}: {what} of version {major} are needed", *listed(found)], hint=_install(major))


def listed(found: Iterable[Programs]) -> list[str]:
    """Return lines that say what was found."""
    return [f"found: pg_dump {p}" for p in found] or ["found: no pg_dump at all"]


def _install(major: int) -> str:
    if major in (16, 18):
        return "pip install 'normalform[embedded]'"
    return f"apt-get install postgresql-{major}"
