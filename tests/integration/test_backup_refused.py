"""A backup that was damaged, cut short, changed or made by others is refused, and the reason is said."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from backing_up import NASTY, keeper, options, scratch
from fix_commands import Commands
from fix_servers import Cluster, Clusters, versions
from normalform import api
from normalform.api import Options
from normalform.backup import folder
from normalform.core.backup_manifest import Kind, parse
from normalform.errors import BackupRefused, DatabaseRefused


@dataclass
class Made:
    """A backup of each kind, and where they can be restored."""

    plain: Path
    directory: Path
    url: str


@pytest.fixture(scope="module")
def made(clusters: Clusters, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    cluster = clusters[max(versions())]
    db = cluster.create(NASTY)
    base, url = tmp_path_factory.mktemp("made"), keeper(cluster)
    plain = api.backup(options(db), base / "photo.sql", owners=False, verify_on=url).path
    yield Made(plain, api.backup(options(db), base, owners=False, verify_on=url).path, url)
    db.drop()


@pytest.fixture
def copies(made: Made, tmp_path: Path) -> Made:
    """Copies of them, to damage."""
    shutil.copytree(made.plain.parent, tmp_path / "b")
    return Made(tmp_path / "b" / made.plain.name, tmp_path / "b" / made.directory.name, made.url)


def largest(backup: Path) -> Path:
    """The file with the most rows: of table tags."""
    return max((backup / "dump").glob("*.dat.gz"), key=lambda f: f.stat().st_size)


def refused(path: Path, url: str, *reasons: str, restore: bool = True) -> None:
    with pytest.raises(BackupRefused) as caught:
        api.backup_check(Options(""), path, restore=restore, verify_on=url)
    for reason in reasons:
        assert reason in str(caught.value)


@pytest.mark.slow
def test_as_they_are_they_hold(copies: Made) -> None:
    for path in (copies.plain, copies.directory):
        assert api.backup_check(Options(""), path, verify_on=copies.url).verified_on


@pytest.mark.slow
@pytest.mark.parametrize("restore", [True, False])
def test_a_byte_flipped_anywhere(copies: Made, restore: bool) -> None:
    files = [copies.plain, *(copies.directory / "dump").iterdir()]
    assert len(files) > 5
    for file in files:
        whole = file.read_bytes()
        for place in {0, len(whole) // 2, len(whole) - 1}:
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            path = copies.plain if file == copies.plain else copies.directory
            refused(path, copies.url, f"{file.name} was changed: its SHA-256", restore=restore)
        file.write_bytes(whole)


def test_a_byte_flipped_in_the_manifest(copies: Made) -> None:
    for path, kind in ((copies.plain, "plain"), (copies.directory, "directory")):
        manifest = folder.manifest_of(path, kind)  # type: ignore[arg-type]
        text = manifest.read_text()
        manifest.write_text(text.replace('"database": "nf', '"database": "of'))
        refused(path, copies.url, "its own checksum does not fit")
        manifest.write_bytes(text.encode()[:-40] + b"\xff" + text.encode()[-39:])
        refused(path, copies.url, "the manifest is no text")
        manifest.write_text(text[: len(text) // 2])
        refused(path, copies.url, "cut short, or no manifest of ours")


@pytest.mark.slow
def test_a_file_removed_cut_short_or_added(copies: Made) -> None:
    for file in (copies.directory / "dump").iterdir():
        whole = file.read_bytes()
        file.unlink()
        refused(copies.directory, copies.url, f"dump/{file.name} is missing")
        file.write_bytes(whole[:-1])
        refused(copies.directory, copies.url, f"dump/{file.name} is cut short: {len(whole) - 1:,} bytes, not")
        file.write_bytes(whole)
    (copies.directory / "dump" / "9999.dat").touch()
    refused(copies.directory, copies.url, "dump/9999.dat does not belong to the backup")
    copies.plain.write_bytes(copies.plain.read_bytes()[:-10])
    refused(copies.plain, copies.url, "is cut short")
    copies.plain.unlink()
    refused(copies.plain, copies.url, "photo.sql is missing; its manifest is there")


def test_what_others_made(copies: Made, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.sql"
    shutil.copy(copies.plain, theirs)
    refused(theirs, copies.url, "has no manifest (theirs.sql.manifest.json)")
    refused(copies.directory / "dump", copies.url, "has no manifest (manifest.json)")
    (tmp_path / "theirs.sql.manifest.json").write_text('{"format": "another"}')
    refused(theirs, copies.url, "the manifest is none of ours")
    shutil.copy(copies.directory / "manifest.json", tmp_path / "theirs.sql.manifest.json")
    refused(theirs, copies.url, "it is a plain backup, and its manifest is of a directory one")


def rehash(path: Path, kind: Kind) -> None:
    """Make a manifest anew over changed files: what somebody would do who hides a change."""
    beside = folder.manifest_of(path, kind)
    manifest = parse(beside.read_text())
    beside.write_text(replace(manifest, files=folder.files_of(path, kind)).to_text())


Change = Callable[[str], str]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda t: t.replace("\tWort 77\n", "\tWort 78\n"),
            "table tags: 500 rows, as many as before, but not the same",
        ),
        (lambda t: t.replace("1\tt1\tWort 1\n", ""), "table tags has 499 rows restored, not 500"),
        (lambda t: t.replace("1\tt1\tWort 1\n", "1\tt1\tWort 1\n" * 2), "it does not restore: "),
        (lambda t: t.replace("1\tt1\tWort 1\n", "x\tt1\tWort 1\n"), "it does not restore: "),
    ],
)
@pytest.mark.parametrize("kind", ["plain", "directory"])
def test_a_row_changed_and_every_hash_made_anew(copies: Made, kind: Kind, change: Change, reason: str) -> None:
    path = copies.plain if kind == "plain" else copies.directory
    file = path if kind == "plain" else largest(path)
    text = file.read_text() if kind == "plain" else gzip.decompress(file.read_bytes()).decode()
    changed = change(text)
    assert changed != text
    file.write_bytes(changed.encode() if kind == "plain" else gzip.compress(changed.encode()))
    rehash(path, kind)
    assert api.backup_check(Options(""), path, restore=False).verified_on == ""
    refused(path, copies.url, "restored, it is not what was backed up", reason)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("CREATE INDEX ix_tags ", "CREATE UNIQUE INDEX ix_tags ", "schema: lost or changed: index ix_tags"),
        ("keyword text,", "keyword varchar,", "schema: lost or changed: table tags"),
        ("setval('public.called', 41, true)", "setval('public.called', 40, true)", "called stands at 40 restored, and"),
        ("CREATE TABLE public.heir", "CREATE TABLE public.other", "it does not restore: "),
        ("'It''s ours'", "'It is not'", "schema: lost or changed: comment TABLE tags"),
    ],
)
def test_anything_else_changed_and_every_hash_made_anew(copies: Made, old: str, new: str, reason: str) -> None:
    text = copies.plain.read_text()
    assert old in text
    copies.plain.write_text(text.replace(old, new))
    rehash(copies.plain, "plain")
    refused(copies.plain, copies.url, reason)


def test_a_server_that_is_gone_is_no_fault_of_the_backup(copies: Made) -> None:
    with pytest.raises(DatabaseRefused, match="cannot connect"):
        api.backup_check(Options(""), copies.plain, verify_on="postgresql://me@127.0.0.1:1/none")


def test_nothing_of_it_stays_on_the_server(copies: Made, clusters: Clusters) -> None:
    cluster: Cluster = clusters[max(versions())]
    copies.plain.write_text(copies.plain.read_text().replace("CREATE TABLE public.heir", "CREATE TABLE public.other"))
    rehash(copies.plain, "plain")
    refused(copies.plain, copies.url, "it does not restore")
    assert scratch(cluster) == []


def test_the_command_says_it(copies: Made, normalform: Commands) -> None:
    copies.plain.write_bytes(copies.plain.read_bytes()[:-10])
    ran = normalform("backup", "--check", copies.plain)
    assert ran.status == 1
    assert "is refused" in ran.err and "is cut short" in ran.err
