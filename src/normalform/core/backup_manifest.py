"""A backup's manifest: what it is of, its files, and what a restore of it must show.

Decides how a manifest is written and read, and what of a restored database differs from it. The checksum over the
manifest itself guards it against accidents; somebody who makes a whole backup anew is not kept from it by a checksum.
It must never hold a value of a row or a connection string.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, Literal, get_args

from .names import QName

FORMAT = "normalform backup"
VERSION = 1
Kind = Literal["directory", "plain"]
LARGE_OBJECTS = QName("", "large objects")
"""Stands for all large objects among the tables' sums."""


@dataclass(frozen=True)
class File:
    """A file of the backup: path below it with slashes, size in bytes, SHA-256 in hexadecimal."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Sum:
    """Rows of a table, and the checksum over all columns of all of them (32 hexadecimal digits)."""

    rows: int
    checksum: str


@dataclass(frozen=True)
class Range:
    """Where a sequence stood: the last value given out, before and after the dump. Sequences know no snapshots."""

    low: int
    high: int


@dataclass(frozen=True)
class Locale:
    """A database's encoding and locale, as pg_database has them; ``name`` is of providers other than libc."""

    encoding: str
    collate: str
    ctype: str
    provider: str = "c"
    name: str = ""


@dataclass(frozen=True)
class Contents:
    """What a database holds, and what a restore of it must show."""

    tables: Mapping[QName, Sum]
    sequences: Mapping[QName, Range]
    schema: str

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(s.rows for s in self.tables.values())


@dataclass(frozen=True)
class Manifest:
    """A backup's manifest.

    Args:
        kind: ``directory`` or ``plain``.
        made_at: when the snapshot was taken, ISO 8601 with zone.
        database: the database's name.
        system: the server's own identifier, which tells two databases of one name apart.
        server: the server's version.
        major: major version of the programs that wrote it, and of the server that it is restored on.
        program: version of pg_dump.
        owners: whether owners and rights are in it.
        locale: of the database.
        extensions: versions by name.
        roles: every role that its objects belong to or are granted to.
        policy_roles: those that row policies name.
        contents: what a restore must show.
        files: every file but the manifest.
        verified_at: when its restore was found equal.
        verified_on: the server on which it was restored.
    """

    kind: Kind
    made_at: str
    database: str
    system: str
    server: str
    major: int
    program: str
    owners: bool
    locale: Locale
    extensions: Mapping[str, str]
    roles: tuple[str, ...]
    policy_roles: tuple[str, ...]
    contents: Contents
    files: tuple[File, ...] = ()
    verified_at: str = ""
    verified_on: str = ""

    @property
    def when(self) -> datetime:
        """When the snapshot was taken."""
        return datetime.fromisoformat(self.made_at)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(f.size for f in self.files)

    def proven(self, at: str, on: str) -> Manifest:
        """Return the same, verified."""
        return replace(self, verified_at=at, verified_on=on)

    def to_text(self) -> str:
        """Return the manifest as JSON, with a checksum of its own."""
        data = {"format": FORMAT, "version": VERSION, **asdict(replace(self, contents=Contents({}, {}, "")))}
        data["contents"] = {
            "tables": [[n.schema, n.name, s.rows, s.checksum] for n, s in sorted(self.contents.tables.items())],
            "sequences": [[n.schema, n.name, r.low, r.high] for n, r in sorted(self.contents.sequences.items())],
            "schema": self.contents.schema,
        }
        return json.dumps({**data, "checksum": _checksum(data)}, indent=1, ensure_ascii=False) + "\n"


def parse(text: str) -> Manifest:
    """Read a manifest.

    Raises:
        ValueError: it is none of ours, of a later version, cut short or changed; the text says which.
    """
    try:
        data = json.loads(text)
    except ValueError:
        raise ValueError("the manifest is no JSON: it is cut short, or no manifest of ours") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ValueError("the manifest is none of ours")
    if data.get("version") != VERSION:
        raise ValueError(f"the manifest is of version {data.get('version')}, and this Normalform reads {VERSION}")
    given = data.pop("checksum", None)
    if given != _checksum(data):
        raise ValueError("the manifest was changed: its own checksum does not fit")
    try:
        return _manifest(data)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the manifest lacks something: {error}") from None


def _manifest(data: dict[str, Any]) -> Manifest:
    held = data["contents"]
    fields = {k: v for k, v in data.items() if k not in ("format", "version")}
    fields["contents"] = Contents(
        {QName(schema, name): Sum(rows, checksum) for schema, name, rows, checksum in held["tables"]},
        {QName(schema, name): Range(low, high) for schema, name, low, high in held["sequences"]},
        held["schema"],
    )
    fields["files"] = tuple(File(**f) for f in data["files"])
    fields["locale"] = Locale(**data["locale"])
    fields["roles"], fields["policy_roles"] = tuple(data["roles"]), tuple(data["policy_roles"])
    result = Manifest(**fields)
    if result.kind not in get_args(Kind):
        raise ValueError(f"the manifest has a kind of backup that there is not: {result.kind!r}")
    for file in result.files:
        path = PurePosixPath(file.path)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise ValueError(f"the manifest names a file outside of the backup: {file.path!r}")
    if result.when.tzinfo is None:
        raise ValueError("the manifest's date has no zone")
    return result


def _checksum(data: Mapping[str, Any]) -> str:
    # ASCII and sorted: what a person's editor makes of spaces and escapes does not matter, what it says does.
    plain = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode("ascii")).hexdigest()


def file_faults(wanted: Sequence[File], there: Mapping[str, int]) -> list[str]:
    """Return what is wrong with a backup's files by name and size alone.

    Args:
        wanted: what the manifest has.
        there: sizes in bytes of the files that are there, by path.
    """
    found = []
    for file in wanted:
        if file.path not in there:
            found.append(f"{file.path} is missing")
        elif there[file.path] != file.size:
            short = "cut short" if there[file.path] < file.size else "longer than it was"
            found.append(f"{file.path} is {short}: {there[file.path]:,} bytes, not {file.size:,}")
    known = {file.path for file in wanted}
    found += [f"{path} does not belong to the backup" for path in sorted(there) if path not in known]
    return found


def content_faults(wanted: Contents, restored: Contents) -> list[str]:
    """Return how a restored database differs from what was backed up, rows and sequences; the schema is not looked at.

    Args:
        wanted: what the snapshot held.
        restored: what the restored database holds.
    """
    found = []
    for name in sorted({*wanted.tables, *restored.tables}):
        before, after = wanted.tables.get(name), restored.tables.get(name)
        label = name.name if name == LARGE_OBJECTS else f"table {name}"
        if before is None:
            found.append(f"{label} was not in the snapshot")
        elif after is None:
            found.append(f"{label} was not restored")
        elif before.rows != after.rows:
            found.append(f"{label} has {after.rows:,} rows restored, not {before.rows:,}")
        elif before.checksum != after.checksum:
            found.append(f"{label}: {before.rows:,} rows, as many as before, but not the same ones")
    for name in sorted({*wanted.sequences, *restored.sequences}):
        span, value = wanted.sequences.get(name), restored.sequences.get(name)
        if span is None or value is None:
            found.append(f"sequence {name} was {'not in the snapshot' if span is None else 'not restored'}")
        elif not span.low <= value.low <= span.high:
            stood = f"{span.low:,}" if span.low == span.high else f"between {span.low:,} and {span.high:,}"
            found.append(f"sequence {name} stands at {value.low:,} restored, and stood at {stood}")
    return found
