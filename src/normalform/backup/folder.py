"""Backups on the disk: where they lie, how they come to be whole, which are there, and how they go.

Decides what of a folder is ours. A backup is written below ``NAME.partial`` and renamed last, once it is verified:
whatever stands under its own name was whole. One process at a time works in a folder, by a lock that goes with it;
what a dead one left is cleared by the next. It must never overwrite, follow a link, or remove a file that no manifest
names.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..core.backup_manifest import File, Kind, Manifest, file_faults, parse
from ..core.backup_policy import Kept
from ..errors import BackupRefused, LockHeld, UsageError

LOCK = ".normalform-backup.lock"
MARK = ".normalform-partial"
PARTIAL = ".partial"
REMOVING = ".removing"
MANIFEST = "manifest.json"
DUMP = "dump"
PLAIN = ".sql"


def manifest_of(path: Path, kind: Kind) -> Path:
    """Return where the manifest of a backup is: in its folder, or beside its .sql."""
    return path / MANIFEST if kind == "directory" else path.with_name(f"{path.name}.{MANIFEST}")


def place(output: Path, kind: Kind | None, database: str, now: datetime) -> tuple[Path, Kind]:
    """Return where a new backup goes, and of which kind it is.

    Args:
        output: a folder of backups, or one ``.sql`` to write.
        kind: asked for; None: plain for a ``.sql``, else directory.
        database: name of the database, for a name in the folder.
        now: for that name, too.

    Raises:
        UsageError: the two do not go together, or something is there already.
    """
    if output.suffix == PLAIN:
        if kind == "directory":
            raise UsageError(f"{output} is one file", hint="--output FOLDER, or --format plain")
        path, made = output, "plain"
    else:
        if output.exists() and not output.is_dir():
            raise UsageError(f"{output} is no folder, and no name that ends in .sql")
        stem = re.sub(r"[^\w.-]+", "_", database).strip(".") or "database"
        made = kind or "directory"
        name = f"{stem}-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
        path = output / (name + PLAIN if made == "plain" else name)
    result: Kind = "plain" if made == "plain" else "directory"
    _refuse_existing(path, result)
    return path, result


def _refuse_existing(path: Path, kind: Kind) -> None:
    for there in (path, manifest_of(path, kind)):
        if there.exists() or there.is_symlink():
            raise UsageError(f"{there} exists, and is not overwritten", hint="--output with another name")


@contextmanager
def claimed(folder: Path) -> Iterator[list[str]]:
    """Make a folder where it is not there yet, hold it for this process, and clear what dead ones left.

    Yields:
        What was cleared.

    Raises:
        LockHeld: another process works in it.
    """
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = folder / LOCK
    while True:
        with name.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LockHeld(f"another backup is being written into {folder}", hint="wait for its end") from None
            try:
                if not os.path.samestat(os.fstat(file.fileno()), name.stat()):
                    continue  # its last holder removed this file, and others lock its successor
            except FileNotFoundError:
                continue
            try:
                yield _clear_dead(folder)
            finally:
                name.unlink()
            return


def _clear_dead(folder: Path) -> list[str]:
    cleared = []
    for entry in sorted(folder.iterdir()):
        name = entry.name
        if entry.suffix not in (PARTIAL, REMOVING) or entry.is_symlink() or not entry.is_dir():
            continue
        if not (entry / MARK).exists() and any(entry.iterdir()):
            continue  # somebody else's
        final = entry.with_suffix("")
        # A plain backup's manifest comes into its place before the .sql does: one without the other is half.
        if (entry / final.name).exists() and not final.exists():
            manifest_of(final, "plain").unlink(missing_ok=True)
        going = entry.with_suffix(REMOVING)
        if not going.exists():
            # A pg_dump that outlived its run finds its folder gone, and ends.
            entry = entry.rename(going)
        _remove_marked(entry)
        cleared.append(name)
    return cleared


def _remove_marked(folder: Path) -> None:
    """Remove a folder of ours, the mark last: what is left of it when we are killed can still be told."""
    for entry in folder.iterdir():
        if entry.name != MARK:
            _remove(entry)
    (folder / MARK).unlink(missing_ok=True)
    folder.rmdir()


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()


@dataclass(frozen=True)
class Partial:
    """A backup that is being made.

    Args:
        final: the path that it gets.
        kind: directory or plain.
    """

    final: Path
    kind: Kind

    @property
    def folder(self) -> Path:
        """Where it is made."""
        return self.final.with_name(self.final.name + PARTIAL)

    @property
    def path(self) -> Path:
        """The backup, as it will be renamed."""
        return self.folder / self.final.name

    @contextmanager
    def made(self) -> Iterator[None]:
        """Have the folder while the block lasts; what was not published goes. Call with the place claimed.

        Raises:
            UsageError: another run has given its backup this name since we chose it.
        """
        _refuse_existing(self.final, self.kind)
        self.folder.mkdir(mode=0o700)
        (self.folder / MARK).touch(mode=0o600)
        try:
            if self.kind == "directory":
                self.path.mkdir(mode=0o700)
            yield
        finally:
            _remove_marked(self.folder)

    def publish(self, manifest: Manifest) -> None:
        """Write the manifest, have everything on the disk, and give the backup its name: the last thing done.

        Raises:
            UsageError: somebody has put a file of this name there meanwhile; it stays.
        """
        written = manifest_of(self.path, self.kind)
        descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(manifest.to_text())
            file.flush()
            os.fsync(file.fileno())
        # pg_dump sees to the files of some formats only, and a plain file is not among them.
        there = [self.path, *self.path.rglob("*")] if self.kind == "directory" else [self.path]
        for entry in [*there, self.folder]:
            _sync(entry)
        _refuse_existing(self.final, self.kind)
        if self.kind == "plain":
            written.rename(manifest_of(self.final, self.kind))
        self.path.rename(self.final)
        _sync(self.final.parent)


def _sync(entry: Path) -> None:
    descriptor = os.open(entry, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def data_of(path: Path, kind: Kind) -> Path:
    """Return what the client programs write and read: the folder of pg_dump, or the .sql."""
    return path / DUMP if kind == "directory" else path


def files_of(path: Path, kind: Kind, name: str | None = None) -> tuple[File, ...]:
    """Return every file of a backup but the manifest, with size and SHA-256; ``name`` as `sizes_of` has it."""
    found = []
    for file, size in sorted(sizes_of(path, kind, name).items()):
        with (path if kind == "plain" else path / file).open("rb") as content:
            found.append(File(file, size, hashlib.file_digest(content, "sha256").hexdigest()))
    return tuple(found)


def sizes_of(path: Path, kind: Kind, name: str | None = None) -> dict[str, int]:
    """Return the sizes of every file of a backup but the manifest, by path below it.

    Args:
        path: the backup.
        kind: of it.
        name: what a plain one's file is called in its manifest, where it has been renamed since.
    """
    if kind == "plain":
        return {name or path.name: path.stat().st_size} if path.is_file() else {}
    entries = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    return {e.relative_to(path).as_posix(): e.lstat().st_size for e in entries if e != path / MANIFEST}


def _name_in(manifest: Manifest) -> str | None:
    return manifest.files[0].path if manifest.kind == "plain" and manifest.files else None


def read(path: Path) -> Manifest:
    """Read the manifest of a backup, and look whether all its files are there with their sizes.

    Raises:
        BackupRefused: it is none of ours, or damaged.
        UsageError: there is nothing.
    """
    if not path.exists():
        beside = manifest_of(path, "plain")
        if beside.exists():
            raise BackupRefused(str(path), [f"{path.name} is missing; its manifest is there"])
        raise UsageError(f"there is no backup {path}")
    kind: Kind = "directory" if path.is_dir() else "plain"
    written = manifest_of(path, kind)
    if not written.is_file():
        raise BackupRefused(
            str(path),
            [f"it has no manifest ({written.name}): it is none of ours, or lost it"],
            hint="normalform backup makes one with a manifest",
        )
    try:
        manifest = parse(written.read_text("utf-8"))
    except UnicodeDecodeError:
        raise BackupRefused(str(path), ["the manifest is no text: it is damaged"]) from None
    except ValueError as error:
        raise BackupRefused(str(path), [str(error)]) from None
    if manifest.kind != kind:
        raise BackupRefused(str(path), [f"it is a {kind} backup, and its manifest is of a {manifest.kind} one"])
    faults = file_faults(manifest.files, sizes_of(path, kind, _name_in(manifest)))
    if faults:
        raise BackupRefused(str(path), faults)
    return manifest


def refuse_changed(path: Path, manifest: Manifest) -> None:
    """Read every file of a backup.

    Raises:
        BackupRefused: one is not as it was written.
    """
    now = {f.path: f.sha256 for f in files_of(path, manifest.kind, _name_in(manifest))}
    changed = [f"{f.path} was changed: its SHA-256 is not the manifest's" for f in manifest.files
               if now.get(f.path) != f.sha256]  # fmt: skip
    if changed:
        raise BackupRefused(str(path), changed)


def kept(folder: Path, system: str, database: str) -> dict[Path, Kept]:
    """Return the backups of one database in a folder, by path; what is not ours, or damaged, is left out."""
    found = {}
    for entry in sorted(folder.iterdir()):
        if entry.is_symlink() or not (entry.is_dir() or entry.suffix == PLAIN) or entry.suffix in (PARTIAL, REMOVING):
            continue
        try:
            manifest = read(entry)
        except BackupRefused:
            continue  # neither counted nor pruned: `backup --check` says what it is
        if (manifest.system, manifest.database) == (system, database):
            found[entry] = Kept(entry.name, manifest.when, bool(manifest.verified_at))
    return found


def discard(path: Path) -> None:
    """Remove a backup that `kept` has found. It goes at once, by a rename; killed after it, the next run clears it."""
    going = path.with_name(path.name + REMOVING)
    going.mkdir(mode=0o700)
    (going / MARK).touch(mode=0o600)
    plain = path.is_file()
    path.rename(going / path.name)
    if plain:
        beside = manifest_of(path, "plain")
        beside.rename(going / beside.name)
    _remove_marked(going)
