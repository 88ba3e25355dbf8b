"""pg_dump, pg_restore and psql as child processes.

Decides how a password reaches them: as a password file in memory, of which nobody but the child has a handle. An
argument would stand in the list of processes for everybody, an environment variable for every process of the user (and
in a crash report), and a file on the disk would outlive a kill. What they write is private from the first byte on.
A connection string with its password must never leave this module by an argument, a message or an event.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from psycopg import conninfo

from ..core.pg_programs import Programs
from ..db.connect import refuse_unreadable
from ..errors import DatabaseRefused, Interrupted, UsageError

#: Seconds between two looks at a child.
TICK = 0.05
#: What of a program's complaints is worth repeating; DETAIL and CONTEXT quote rows.
_COMPLAINT = re.compile(r"(error|fatal|panic):", re.IGNORECASE)
_LENGTH = 300
#: What lets one in beside the password, for which there is a way.
_SECRETS = {"sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"}


@contextmanager
def access(url: str) -> Iterator[tuple[str, dict[str, str], tuple[int, ...]]]:
    """Split a connection string into what anybody may see and what nobody may.

    Yields:
        The connection string without secrets, the child's environment, and the descriptors that it inherits.

    Raises:
        UsageError: it cannot be read, or holds a secret that libpq takes from nowhere else.
    """
    refuse_unreadable(url)
    parts = {k: str(v) for k, v in conninfo.conninfo_to_dict(url).items() if v is not None}
    password = parts.pop("password", None)
    for secret in sorted(_SECRETS & set(parts)):
        if parts[secret]:
            raise UsageError(f"the database URL holds {secret}, which cannot be handed to pg_dump unseen")
    environment = _environment()
    plain = conninfo.make_conninfo("", **parts)
    if password is None:
        yield plain, environment, ()
        return
    # These would be asked before the password file.
    for name in ("PGPASSWORD", "PGPASSFILE"):
        environment.pop(name, None)
    parts.pop("passfile", None)
    plain = conninfo.make_conninfo("", **parts)
    if not hasattr(os, "memfd_create") or "\n" in password:
        # Not every system has files in memory. The environment is next best: it ends with the child.
        yield plain, {**environment, "PGPASSWORD": password}, ()
        return
    descriptor = os.memfd_create("normalform")
    try:
        os.fchmod(descriptor, 0o600)  # libpq takes no other
        escaped = password.replace("\\", "\\\\").replace(":", "\\:")
        os.write(descriptor, f"*:*:*:*:{escaped}\n".encode())
        yield plain, {**environment, "PGPASSFILE": f"/proc/self/fd/{descriptor}"}, (descriptor,)
    finally:
        os.close(descriptor)


def _environment() -> dict[str, str]:
    """What of our environment a child needs. The variable that our own URL stands in is none of it."""
    names = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR")
    kept = {k: v for k, v in os.environ.items() if k in names or k.startswith(("PG", "KRB5", "SSL_", "LD_", "DYLD_"))}
    # PGCLIENTENCODING would change the dump's. Messages are read by us.
    kept.pop("PGCLIENTENCODING", None)
    return {**kept, "LC_ALL": "C", "PGAPPNAME": "normalform/backup", "PGCONNECT_TIMEOUT": "10"}


def run(
    programs: Programs,
    program: str,
    url: str,
    arguments: Sequence[str | Path],
    *,
    stop: threading.Event,
    tick: Callable[[], None] = lambda: None,
    output: Path | None = None,
) -> None:
    """Run a client program to its end.

    Args:
        programs: where it is.
        program: its name.
        url: the database.
        arguments: further arguments; nothing secret.
        stop: ends it when set.
        tick: called every so often; what it raises ends the program.
        output: where its standard output goes; None drops it.

    Raises:
        DatabaseRefused: it failed; with what it said.
        Interrupted: it was stopped.
    """
    with access(url) as (plain, environment, descriptors), tempfile.TemporaryFile() as said:
        argv = [programs.path(program), *(["--dbname=" + plain] if plain else []), *map(str, arguments)]
        with (output or Path(os.devnull)).open("wb") as out:
            try:
                child = subprocess.Popen(
                    argv, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=said, umask=0o077,
                    pass_fds=descriptors,
                )  # fmt: skip
            except OSError as error:
                raise UsageError(f"cannot run {programs.path(program)}: {error.strerror}") from error
            try:
                status = _wait(child, stop, tick)
            finally:
                if child.poll() is None:
                    child.kill()
                    child.wait()
        if stop.is_set() and status != 0:
            raise Interrupted("stopped while the backup was being made or checked; nothing of it is left")
        if status != 0:
            said.seek(0)
            raise DatabaseRefused(f"{program} {programs.version} failed: {_complaints(said.read(), status)}")


def _wait(child: subprocess.Popen[bytes], stop: threading.Event, tick: Callable[[], None]) -> int:
    asked = False
    while True:
        try:
            return child.wait(TICK)
        except subprocess.TimeoutExpired:
            if stop.is_set() and not asked:
                child.terminate()
                asked = True
            if not asked:
                tick()


def _complaints(said: bytes, status: int) -> str:
    lines = said.decode("utf-8", "replace").splitlines()
    chosen = [line.strip()[:_LENGTH] for line in lines if _COMPLAINT.search(line)][:3]
    text = "; ".join(chosen) or f"exit status {status}"
    # That is how pg_dump's wait for a lock ends.
    locked = "; somebody else kept a table locked for ten seconds" if "statement timeout" in text else ""
    return text + locked


def schema_of(programs: Programs, url: str, *, stop: threading.Event, snapshot: str | None = None) -> str:
    """Return a database's schema as pg_dump writes it, without owners, rights and tablespaces."""
    with tempfile.TemporaryDirectory(prefix="normalform-") as folder:
        file = Path(folder) / "schema.sql"
        options = [f"--snapshot={snapshot}"] if snapshot else []
        run(
            programs,
            "pg_dump",
            url,
            ["--schema-only", "--encoding=UTF8", *LEAN, *COMMON, *options],
            stop=stop,
            output=file,
        )
        return file.read_text("utf-8", errors="replace")


#: A lock that somebody waits for in front of us must end us, not make everybody wait.
COMMON = ("--no-password", "--no-subscriptions", "--lock-wait-timeout=10000")
#: What another server need not have.
LEAN = ("--no-owner", "--no-privileges", "--no-tablespaces")
