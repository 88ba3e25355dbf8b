"""Backup: a dump of one snapshot, restored elsewhere and found equal; only then it has its name and is called verified.

Decides the order: what can be known to fail is asked first; checksums are taken in the dump's own snapshot; the files'
hashes before the restore that reads them; the manifest and the name come last. It must never change the database that
it backs up (but for a line in the ledger's history), and never call a backup verified that was not restored.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from ..backup import child, folder, scratch, source
from ..backup.sums import Summing
from ..core.backup_manifest import Contents, Kind, Manifest, content_faults
from ..core.backup_needs import Host, Needs, refusals, remedy
from ..core.backup_policy import to_prune
from ..core.events import Event, Sink, silent
from ..core.pg_programs import Programs, choose, exactly
from ..core.schema_text import differences, normalised
from ..db import ledger
from ..db.connect import Connector, refuse_transaction_pooler
from ..errors import BackupRefused, DatabaseRefused, GateClosed, Interrupted, UsageError

GATE = "backup"
#: Starts a server of a major version for the length of a block and yields a superuser's URL.
StartServer = Callable[[int], AbstractContextManager[str]]


@dataclass(frozen=True)
class Tools:
    """What the machine has.

    Args:
        programs: the client programs found, the best first.
        start: starts a server of ours.
        verify_on: a server to restore on instead; a URL whose role may create databases.
        jobs: processes that dump and restore at once (directories), sessions that take checksums.
        sink: hears what is done.
        stop: ends everything when set.
    """

    programs: Sequence[Programs]
    start: StartServer
    verify_on: str | None = None
    jobs: int = 2
    sink: Sink = silent
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class BackupReport:
    """A verified backup: made just now, or checked again.

    Args:
        path: where it is.
        kind: ``directory`` or ``plain``.
        made_at: when its snapshot was taken.
        database, server: what it is of.
        files, size: how many, and bytes of all.
        tables, rows, sequences: what was compared.
        verified_on: the server on which it was restored; empty when only its files were looked at.
        seconds: by step.
        pruned: backups that went by policy.
        cleared: what dead runs had left.
    """

    path: Path
    kind: Kind
    made_at: str
    database: str
    server: str
    files: int
    size: int
    tables: int
    rows: int
    sequences: int
    verified_on: str
    seconds: dict[str, float]
    pruned: tuple[str, ...] = ()
    cleared: tuple[str, ...] = ()


def make(
    url: str,
    output: Path,
    tools: Tools,
    *,
    kind: Kind | None = None,
    owners: bool = True,
    keep: int | None = None,
    keep_days: float | None = None,
) -> BackupReport:
    """Back a database up, restore the backup, compare, and give it its name.

    Args:
        url: the database; a role that can read all of it.
        output: a folder of backups, or one ``.sql`` to write.
        tools: what the machine has.
        kind: ``directory`` or ``plain``; None: as the output's name says.
        owners: whether owners and rights are in it.
        keep: how many verified backups of this database stay in the folder.
        keep_days: for how many days they stay.

    Raises:
        GateClosed: the role cannot read everything, or programs, extensions or roles are missing.
        BackupRefused: the restored database was not equal.
    """
    steps = _Steps(tools)
    connector = Connector(url)
    refuse_transaction_pooler(connector)
    with connector.open("backup") as conn:
        steps.begin("look")
        what = source.look(conn)
        if what.unreadable:
            raise GateClosed(GATE, what.unreadable, hint="connect as the role that owns the tables, or GRANT SELECT")
        now = datetime.now(UTC)
        final, made = folder.place(output, kind, what.database, now)
        partial = folder.Partial(final, made)
        with _host(tools, what.major) as (programs, server_url, host):
            _refuse(what.needs(owners=owners and (made == "plain" or host.ours)), host)
            with folder.claimed(final.parent) as cleared, partial.made():
                manifest = Manifest(
                    made, "", what.database, what.system, what.version, programs.major, programs.version, owners,
                    what.locale, what.extensions, tuple(what.roles), tuple(r for r, p in what.roles.items() if p),
                    Contents({}, {}, ""),
                )  # fmt: skip
                manifest = _dump(conn, connector, partial, manifest, programs, steps)
                steps.begin("hash")
                manifest = replace(manifest, files=folder.files_of(partial.path, made))
                faults = _restore(partial.path, manifest, programs, server_url, host, steps)
                if faults:
                    raise BackupRefused(str(final), ["it is not what was backed up:", *faults], hint=_AGAIN)
                manifest = manifest.proven(datetime.now(UTC).isoformat(timespec="seconds"), host.name)
                partial.publish(manifest)
                pruned: tuple[str, ...] = ()
                with _said(tools.sink, "old backups were not removed"):
                    pruned = _prune(final, manifest, keep, keep_days)
        steps.end()
        with _said(tools.sink, "the ledger has no line of it"):
            _record(conn, final, manifest)
    return replace(_report(final, manifest, steps), pruned=pruned, cleared=tuple(cleared))


@contextmanager
def _said(sink: Sink, what: str) -> Iterator[None]:
    """What fails once the backup is verified and has its name is said: it makes the backup no worse."""
    try:
        yield
    except (OSError, psycopg.Error, UsageError) as error:
        sink(Event("note", "backup", f"{what}: {type(error).__name__}: {error}"))


_AGAIN = "nothing is left of it; run the same command again, and tell us if it happens again"


def check(path: Path, tools: Tools, *, restore: bool = True) -> BackupReport:
    """Check a backup: its manifest, every file, and what a restore of it gives.

    Args:
        path: the folder, or the ``.sql``.
        tools: what the machine has.
        restore: whether it is restored and compared; otherwise its files alone are looked at.

    Raises:
        BackupRefused: it is damaged, none of ours, or does not restore to what it was taken of.
        GateClosed: programs, extensions or roles are missing to restore it.
    """
    steps = _Steps(tools)
    steps.begin("hash")
    manifest = folder.read(path)
    folder.refuse_changed(path, manifest)
    if not restore:
        steps.end()
        return replace(_report(path, manifest, steps), verified_on="")
    with _host(tools, None, manifest.major) as (programs, server_url, host):
        _refuse(_needs(manifest, host), host)
        faults = _restore(path, manifest, programs, server_url, host, steps)
    if faults:
        raise BackupRefused(str(path), ["restored, it is not what was backed up:", *faults])
    steps.end()
    return replace(_report(path, manifest, steps), verified_on=host.name)


class _Steps:
    """What is being done, and for how long it was."""

    def __init__(self, tools: Tools) -> None:
        self.tools = tools
        self.seconds: dict[str, float] = {}
        self._now: tuple[str, float] | None = None

    def begin(self, name: str) -> None:
        self.end()
        if self.tools.stop.is_set():
            raise Interrupted("stopped; nothing of the backup is left")
        self._now = (name, time.monotonic())
        self.tools.sink(Event("phase", f"backup {name}", "do"))

    def end(self) -> None:
        if self._now is not None:
            name, began = self._now
            self.seconds[name] = round(time.monotonic() - began, 3)
            self.tools.sink(Event("phase", f"backup {name}", "done", data={"seconds": self.seconds[name]}))
            self._now = None


@contextmanager
def _host(tools: Tools, server: int | None, exact: int | None = None) -> Iterator[tuple[Programs, str, Host]]:
    """Choose the programs and have the server to restore on: for a new backup, or one written by an exact version."""
    why = f"the backup was written by pg_dump {exact}"
    if tools.verify_on is None:
        if exact is not None:
            programs = exactly(tools.programs, exact, server=True, why=why)
        else:
            programs = choose(tools.programs, server or 0, None)
        with tools.start(programs.major) as url:
            with Connector(url).open("scratch") as conn:
                _, host = scratch.look(conn, f"a server of PostgreSQL {programs.major} of ours", ours=True)
            yield programs, url, host
        return
    connector = Connector(tools.verify_on)
    refuse_transaction_pooler(connector)
    with connector.open("scratch") as conn:
        major, host = scratch.look(conn, connector.display, ours=False)
    if exact is not None and major != exact:
        raise GateClosed(GATE, [f"{host.name} is PostgreSQL {major}, and {why}"], hint="--verify-on another, or none")
    yield choose(tools.programs, exact or server or 0, major), tools.verify_on, host


def _needs(manifest: Manifest, host: Host) -> Needs:
    owners = manifest.owners and (manifest.kind == "plain" or host.ours)
    return Needs(manifest.extensions, frozenset(manifest.roles), frozenset(manifest.policy_roles), owners)


def _refuse(needs: Needs, host: Host) -> None:
    reasons = refusals(needs, host)
    if reasons:
        raise GateClosed(GATE, ["it could not be restored to be verified:", *reasons], hint=remedy(needs, host))


def _dump(
    conn: psycopg.Connection,
    connector: Connector,
    partial: folder.Partial,
    manifest: Manifest,
    programs: Programs,
    steps: _Steps,
) -> Manifest:
    """Dump one snapshot and take everything in it that a restore must show."""
    tools = steps.tools
    steps.begin("dump")
    with source.held(conn, tools.stop, tools.sink) as (snapshot, tables):
        taken = datetime.now(UTC).isoformat(timespec="seconds")
        before = source.positions(conn)
        with Summing(
            connector, tables, jobs=tools.jobs, snapshot=snapshot, sink=tools.sink, name="checksums"
        ) as sums:  # fmt: skip
            schema = child.schema_of(programs, connector.url, stop=tools.stop, snapshot=snapshot)
            data = folder.data_of(partial.path, manifest.kind)
            options: list[str | Path] = [f"--snapshot={snapshot}", f"--file={data}", *child.COMMON]
            options += ["--no-tablespaces"] if manifest.owners else list(child.LEAN)
            if manifest.kind == "directory":
                options += ["--format=directory", f"--jobs={tools.jobs}"]
            else:
                options += ["--format=plain"]
            child.run(programs, "pg_dump", connector.url, options, stop=tools.stop, tick=sums.poll)
            totals = sums.result(tools.stop)
        # Sequences know no snapshots: this is how far they went while pg_dump read them.
        spans = source.ranges(before, source.positions(conn))
    contents = Contents(totals, spans, normalised(schema))
    return replace(manifest, made_at=taken, contents=contents)


def _restore(path: Path, manifest: Manifest, programs: Programs, url: str, host: Host, steps: _Steps) -> list[str]:
    """Restore a backup into a scratch database and return how it differs from what was backed up."""
    tools = steps.tools
    steps.begin("restore")
    data = folder.data_of(path, manifest.kind)
    roles = manifest.roles if host.ours else ()
    with scratch.database(url, manifest.locale, roles, tools.sink) as there:
        try:
            if manifest.kind == "plain":
                options = ["-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", f"--file={data}"]
                child.run(programs, "psql", there, options, stop=tools.stop)
            else:
                rights = ["--no-tablespaces"] if host.ours and manifest.owners else list(child.LEAN)
                options = ["--exit-on-error", "--no-password", f"--jobs={tools.jobs}", *rights, str(data)]
                child.run(programs, "pg_restore", there, options, stop=tools.stop)
        except DatabaseRefused as error:
            # A server that went away is no fault of the backup: this says so, by the same kind of error.
            Connector(there).open("scratch").close()
            return [f"it does not restore: {error.message}"]
        steps.begin("compare")
        connector = Connector(there)
        with connector.open("scratch") as conn:
            tables = source.tables(conn)
            stand = source.positions(conn)
            with Summing(
                connector, tables, jobs=tools.jobs, snapshot=None, sink=tools.sink, name="restored"
            ) as sums:  # fmt: skip
                schema = child.schema_of(programs, there, stop=tools.stop)
                totals = sums.result(tools.stop)
        restored = Contents(totals, source.ranges(stand, stand), normalised(schema))
    return [
        *content_faults(manifest.contents, restored),
        *differences(manifest.contents.schema, restored.schema),
    ]


def _prune(final: Path, manifest: Manifest, keep: int | None, keep_days: float | None) -> tuple[str, ...]:
    there = folder.kept(final.parent, manifest.system, manifest.database)
    going = to_prune(there.values(), datetime.now(UTC), keep=keep, keep_days=keep_days, made=final.name)
    paths = {kept.name: path for path, kept in there.items()}
    for old in going:
        folder.discard(paths[old.name])
    return tuple(old.name for old in going)


def _record(conn: psycopg.Connection, final: Path, manifest: Manifest) -> None:
    """Tell the ledger, where there is one that we may write: gates of later phases can ask its history."""
    row = conn.execute(
        "SELECT current_setting('transaction_read_only') = 'off' AND coalesce(has_table_privilege("
        "to_regclass('normalform.event'), 'INSERT'), false)"
    ).fetchone()
    if row is not None and row[0] and ledger.installed(conn):
        text = f"verified on {manifest.verified_on}: snapshot of {manifest.made_at}, {manifest.contents.rows} rows"
        ledger.note(conn, None, "backup", final.name, text)


def _report(path: Path, manifest: Manifest, steps: _Steps) -> BackupReport:
    held = manifest.contents
    return BackupReport(
        path, manifest.kind, manifest.made_at, manifest.database, manifest.server, len(manifest.files), manifest.size,
        len([n for n in held.tables if n.schema]), held.rows, len(held.sequences), manifest.verified_on, steps.seconds,
    )  # fmt: skip
