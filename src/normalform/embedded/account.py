"""Which operating-system user runs our servers, and what that user can reach.

PostgreSQL refuses to run as root. So root's servers run as ``postgres`` if that user exists, else as
``nobody``; everybody else's run as themselves. This module must never create a user and never change the
mode or the owner of a folder that it did not make itself.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypedDict

from . import process
from .errors import EmbeddedError

_CANDIDATES = ("postgres", "nobody")


class _Identity(TypedDict):
    """The arguments of `subprocess` that switch the user; all None to stay who we are."""

    user: int | None
    group: int | None
    extra_groups: tuple[int, ...] | None


@dataclass(frozen=True)
class Account:
    """The user that owns a server's files and runs its processes.

    Attributes:
        name: login name, for messages.
        uid: user id.
        gid: its primary group.
        switched: whether this is another user than the one that runs us (then we are root).
    """

    name: str
    uid: int
    gid: int
    switched: bool

    def run(self, argv: Sequence[str | Path], *, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Runs a program as this user to its end, in ``/``, and returns it with its output.

        Raises:
            EmbeddedError: if the program cannot be started as this user at all.
        """
        try:
            return subprocess.run(
                [str(a) for a in argv],
                env=dict(env),
                cwd="/",
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                umask=0o077,
                **self._identity(),
            )
        except OSError as e:
            raise EmbeddedError(f"cannot run {argv[0]} as user {self.name}: {e}") from e

    def spawn(self, argv: Sequence[str | Path], *, env: Mapping[str, str], output: IO[bytes]) -> int:
        """Starts a program as this user in a session of its own and returns its process id.

        The program survives us: Ctrl-C in our terminal does not reach it, and nothing waits for it.

        Raises:
            EmbeddedError: if the program cannot be started as this user at all.
        """
        try:
            child = subprocess.Popen(
                [str(a) for a in argv],
                env=dict(env),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o077,
                **self._identity(),
            )
        except OSError as e:
            raise EmbeddedError(f"cannot run {argv[0]} as user {self.name}: {e}") from e
        # A server is meant to outlive this object. Popen would warn about that when it is collected;
        # process.is_alive() does its other duty, collecting the exit status.
        child.returncode = 0
        process.remember_child(child.pid)
        return child.pid

    def can_reach(self, folder: Path) -> bool:
        """Tells whether this user can enter an existing folder, by trying rather than by reading modes."""
        if not self.switched:
            return os.access(folder, os.X_OK)
        return self.run(["/bin/sh", "-c", 'cd "$1"', "sh", folder], env={}).returncode == 0

    def give(self, path: Path) -> None:
        """Makes this user the owner of a file or folder that we have just made."""
        if self.switched:
            os.chown(path, self.uid, self.gid)

    def _identity(self) -> _Identity:
        if self.switched:
            return {"user": self.uid, "group": self.gid, "extra_groups": ()}
        return {"user": None, "group": None, "extra_groups": None}


def server_account() -> Account:
    """The user for the servers of whoever runs us.

    Raises:
        EmbeddedError: for root on a system that has neither ``postgres`` nor ``nobody``.
    """
    uid = os.geteuid()
    if uid != 0:
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:  # a container's user often has no entry
            name = str(uid)
        return Account(name, uid, os.getegid(), switched=False)
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid, switched=True)
    raise EmbeddedError(
        "PostgreSQL does not run as root, and there is no user " + " or ".join(_CANDIDATES),
        hint="run as an ordinary user",
    )
