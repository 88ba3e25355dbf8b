"""Releases: which code was deployed, in order, and which one holds. Pure but for the file.

It decides what a roll-back goes back to. It must never forget a release: what was rolled back stays in the list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from photocat.operate.errors import OperateError
from photocat.operate.processes import read_whole, write_whole
from photocat.settings import TagColumns


@dataclass(frozen=True)
class Release:
    """What was deployed.

    Attributes:
        number: counted from 1.
        at: when, ISO 8601.
        tag_columns: which columns its code reads.
        commit: of the code; empty where that is not known.
        image: its image with tag; empty where none was built.
        withdrawn: whether it was rolled back.
    """

    number: int
    at: str
    tag_columns: TagColumns
    commit: str = ""
    image: str = ""
    withdrawn: bool = False

    def __str__(self) -> str:
        commit = f"commit {self.commit}" if self.commit else ""
        parts = (f"release {self.number}", f"code with {self.tag_columns}", commit, self.image)
        return ", ".join(part for part in parts if part)


def current(releases: Sequence[Release]) -> Release | None:
    """The release that holds: the last that was not withdrawn."""
    standing = [release for release in releases if not release.withdrawn]
    return standing[-1] if standing else None


def added(releases: Sequence[Release], at: str, tag_columns: TagColumns, commit: str, image: str) -> list[Release]:
    """The list with a new release at its end."""
    return [*releases, Release(len(releases) + 1, at, tag_columns, commit, image)]


def withdrawn(releases: Sequence[Release]) -> tuple[list[Release], Release]:
    """The list with the current release withdrawn, and the one that holds then.

    Raises:
        OperateError: there is none before it.
    """
    now = current(releases)
    left = [replace(r, withdrawn=True) if now and r.number == now.number else r for r in releases]
    before = current(left)
    if now is None or before is None:
        raise OperateError("there is no release before this one to roll back to", hint="make deploy-api")
    return left, before


def read(path: Path) -> list[Release]:
    """The releases that a file has; none where there is no file."""
    return [Release(**entry) for entry in read_whole(path) or []]


def write(path: Path, releases: Sequence[Release]) -> None:
    """Keep them."""
    write_whole(path, [asdict(release) for release in releases])
