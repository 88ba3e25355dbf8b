"""What of a backup is decided without a database: manifest, versions, needs, the schema's text, policy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from normalform.backup import folder, programs
from normalform.core.backup_manifest import (
    LARGE_OBJECTS,
    Contents,
    File,
    Locale,
    Manifest,
    Range,
    Sum,
    content_faults,
    file_faults,
    parse,
)
from normalform.core.backup_needs import Host, Needs, refusals
from normalform.core.backup_policy import Kept, to_prune
from normalform.core.names import QName
from normalform.core.pg_programs import Programs, choose, exactly
from normalform.core.schema_text import differences, normalised
from normalform.errors import BackupRefused, GateClosed, UsageError

TAGS = QName("public", "tags")
CONTENTS = Contents({TAGS: Sum(2, "ab" * 16)}, {QName("public", "tags_id_seq"): Range(2, 5)}, "-- Name: tags\n")
MANIFEST = Manifest(
    "directory", "2026-01-20T08:00:00+00:00", "photocat", "7", "16.4", 16, "16.4", True,
    Locale("UTF8", "de_DE.UTF-8", "de_DE.UTF-8"), {"citext": "1.6"}, ("app", "owner"), ("app",), CONTENTS,
    (File("dump/toc.dat", 9, "00" * 32),), "2026-01-20T08:05:00+00:00", "somewhere",
)  # fmt: skip


# ------------------------------------------------------------------------------------------------------- manifest


def test_a_manifest_reads_as_it_was_written() -> None:
    assert parse(MANIFEST.to_text()) == MANIFEST


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"rows"', "", "cut short, or no manifest"),
        ('"size": 9', '"size": 10', "its own checksum"),
        ("normalform backup", "somebody's backup", "none of ours"),
        ('"version": 1', '"version": 2', "of version 2"),
    ],
)
def test_a_changed_manifest_is_refused(old: str, new: str, reason: str) -> None:
    text = MANIFEST.to_text()
    text = text.replace(old, new) if old in text else text[: len(text) // 2]
    with pytest.raises(ValueError, match=reason):
        parse(text)


@pytest.mark.parametrize("path", ["/etc/passwd", "../other/toc.dat", "dump/../../x", ""])
def test_a_manifest_names_no_file_outside(path: str) -> None:
    with pytest.raises(ValueError, match="outside of the backup"):
        parse(replace(MANIFEST, files=(File(path, 1, ""),)).to_text())


def test_a_manifest_that_lacks_something_is_refused() -> None:
    data = json.loads(MANIFEST.to_text())
    del data["checksum"], data["files"]
    from normalform.core import backup_manifest

    data["checksum"] = backup_manifest._checksum(data)
    with pytest.raises(ValueError, match="lacks something"):
        parse(json.dumps(data))


def test_files_are_compared_by_name_and_size() -> None:
    wanted = [File("a", 1, ""), File("b", 2, ""), File("c", 3, "")]
    assert file_faults(wanted, {"a": 1, "b": 2, "c": 3}) == []
    assert file_faults(wanted, {"a": 1, "b": 1, "d": 4}) == [
        "b is cut short: 1 bytes, not 2", "c is missing", "d does not belong to the backup",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("restored", "fault"),
    [
        (CONTENTS, None),
        (replace(CONTENTS, tables={TAGS: Sum(1, "ab" * 16)}), "table tags has 1 rows restored, not 2"),
        (replace(CONTENTS, tables={TAGS: Sum(2, "ac" * 16)}), "table tags: 2 rows, as many as before, but not"),
        (replace(CONTENTS, tables={}), "table tags was not restored"),
        (replace(CONTENTS, tables={**CONTENTS.tables, LARGE_OBJECTS: Sum(1, "")}), "large objects was not in"),
        (replace(CONTENTS, sequences={}), "sequence tags_id_seq was not restored"),
        (replace(CONTENTS, sequences={QName("public", "tags_id_seq"): Range(2, 2)}), None),
        (replace(CONTENTS, sequences={QName("public", "tags_id_seq"): Range(5, 5)}), None),
        (replace(CONTENTS, sequences={QName("public", "tags_id_seq"): Range(1, 1)}), "stands at 1 restored, and stood"),
        (replace(CONTENTS, sequences={QName("public", "tags_id_seq"): Range(6, 6)}), "stands at 6 restored, and stood"),
    ],
)
def test_contents_are_compared(restored: Contents, fault: str | None) -> None:
    found = content_faults(CONTENTS, restored)
    assert len(found) == (fault is not None)
    assert not fault or fault in found[0]


# ------------------------------------------------------------------------------------------------------- versions


def _programs(*majors: int, server: bool = True) -> list[Programs]:
    return [Programs(m, f"{m}.1", f"/there/{m}", "system", server) for m in majors]


@pytest.mark.parametrize(
    ("there", "source", "scratch", "chosen"),
    [
        ((18, 16, 15), 16, None, 16),
        ((18, 15), 16, None, 18),
        ((18, 16), 16, 18, 18),
        ((18, 16), 16, 16, 16),
    ],
)
def test_the_programs_own_version_is_taken_or_the_next(
    there: Sequence[int], source: int, scratch: int | None, chosen: int
) -> None:
    assert choose(_programs(*there), source, scratch).major == chosen


@pytest.mark.parametrize(
    ("there", "source", "scratch", "said"),
    [
        (_programs(15, 16), 18, None, "pg_dump 18 or later is needed"),
        ([], 18, None, "no pg_dump at all"),
        (_programs(18, 16), 18, 16, "restore on is PostgreSQL 16, and the backup is of PostgreSQL 18"),
        (_programs(16), 16, 17, "version 17 are needed"),
        (_programs(16, server=False), 16, None, "no server of PostgreSQL 16 here"),
    ],
)
def test_what_was_found_and_what_is_needed_is_said(
    there: list[Programs], source: int, scratch: int | None, said: str
) -> None:
    with pytest.raises(GateClosed) as caught:
        choose(there, source, scratch)
    assert said in str(caught.value)
    assert caught.value.hint
    if there and "restore on is PostgreSQL 16, and" not in said:
        assert f"{there[0].major}.1 in /there/{there[0].major} (system)" in str(caught.value)


def test_a_client_alone_will_do_where_no_server_is_started() -> None:
    clients = _programs(16, server=False)
    assert exactly(clients, 16, server=False, why="").major == 16
    with pytest.raises(GateClosed, match="the server and the client programs"):
        exactly(clients, 16, server=True, why="it is so")


def _install(where: Path, version: str, *tools: str) -> Path:
    where.mkdir(parents=True)
    for tool in ("pg_dump", "pg_restore", "psql", *tools):
        (where / tool).write_text(f"#!/bin/sh\necho '{tool} (PostgreSQL) {version}'\n")
        (where / tool).chmod(0o755)
    return where


def test_programs_are_found_brought_along_in_the_system_and_on_the_path(tmp_path: Path) -> None:
    package = _install(tmp_path / "package", "18.4", "postgres", "initdb")
    system = _install(tmp_path / "lib" / "15" / "bin", "15.8 (Debian 15.8-1)", "postgres", "initdb")
    path = _install(tmp_path / "bin", "17.2", "postgres", "initdb")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "pg_dump").symlink_to(path / "pg_dump")
    broken = _install(tmp_path / "broken", "19")
    (broken / "pg_dump").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "same").symlink_to(system)
    on_path = ":".join(map(str, [tmp_path / "half", broken, path, tmp_path / "same", tmp_path / "none"]))
    found = programs.find({18: package}, system=(f"{tmp_path}/lib/*/bin",), path=on_path)
    assert [(p.major, p.version, p.origin, p.server) for p in found] == [
        (18, "18.4", "package", True), (15, "15.8", "system", True), (17, "17.2", "PATH", False),
    ]  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- needs

NEEDS = Needs({"citext": "1.6", "postgis": "3.4"}, frozenset({"owner", "app"}), frozenset({"app"}), owners=True)
HOST = Host("there", False, True, True, "me", {"citext": True, "postgis": False}, {"owner": True, "app": True})


@pytest.mark.parametrize(
    ("needs", "host", "said"),
    [
        (NEEDS, HOST, []),
        (NEEDS, replace(HOST, extensions={"citext": True}), ["extension postgis 3.4 is not available on there"]),
        (NEEDS, replace(HOST, superuser=False), ["extension postgis needs a superuser on there, and me is none"]),
        (NEEDS, replace(HOST, superuser=False, createdb=False, extensions={"citext": True, "postgis": True}),
         ["role me may not create a scratch database on there (CREATEDB)"]),
        (NEEDS, replace(HOST, roles={"app": True}), ["role owner does not exist on there"]),
        (replace(NEEDS, owners=False), replace(HOST, roles={"app": False}), []),
        (replace(NEEDS, owners=False), replace(HOST, roles={}), ["role app does not exist on there"]),
        (NEEDS, replace(HOST, superuser=False, extensions={"citext": True, "postgis": True},
                        roles={"owner": False, "app": True}),
         ["role me is no member of owner on there, and could give it nothing"]),
        (NEEDS, replace(HOST, ours=True, roles={}), []),
    ],
)  # fmt: skip
def test_what_a_restore_would_fail_of_is_known_before(needs: Needs, host: Host, said: list[str]) -> None:
    assert refusals(needs, host) == said


# --------------------------------------------------------------------------------------------------------- schema

ONE = "--\n-- Name: a; Type: TABLE; Schema: s; Owner: -\n--\n\nCREATE TABLE s.a (\n    x integer,\n    y text\n);\n\n"
TWO = "--\n-- Name: b; Type: TABLE; Schema: s; Owner: -\n--\n\nCREATE TABLE s.b (x integer);\n\n"
TOP = "--\n-- PostgreSQL database dump\n--\n\n\\restrict {}\n\n-- Dumped from database version {}\n\nSET x = 1;\n\n"


def test_versions_keys_and_the_order_of_objects_are_no_difference() -> None:
    a, b = TOP.format("abc", "16.1") + ONE + TWO, TOP.format("xyz", "16.2") + TWO + ONE
    assert differences(normalised(a), normalised(b)) == []


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (ONE, ["schema: lost or changed: table b in schema s"]),
        (ONE + TWO + TWO, ["schema: new or changed: table b in schema s"]),
        (ONE.replace("x integer,\n    y text", "y text,\n    x integer") + TWO,
         ["schema: lost or changed: table a in schema s", "schema: new or changed: table a in schema s"]),
    ],
)  # fmt: skip
def test_every_line_of_an_object_counts(after: str, said: list[str]) -> None:
    top = TOP.format("abc", "16.1")
    assert differences(normalised(top + ONE + TWO), normalised(top + after)) == said


# --------------------------------------------------------------------------------------------------------- policy

NOW = datetime(2026, 1, 20, tzinfo=UTC)
DAILY = [Kept(f"b{age}", NOW - timedelta(days=age), True) for age in range(5)]


@pytest.mark.parametrize(
    ("keep", "days", "going"),
    [
        (None, None, []),
        (2, None, ["b4", "b3", "b2"]),
        (1, 2.5, ["b4", "b3"]),
        (None, 0, ["b4", "b3", "b2", "b1"]),
        (None, 1.5, ["b4", "b3", "b2"]),
        (4, 1.5, ["b4"]),
        (9, None, []),
    ],
)
def test_the_policy(keep: int | None, days: float | None, going: list[str]) -> None:
    assert [b.name for b in to_prune(DAILY, NOW, keep=keep, keep_days=days)] == going


def test_what_is_not_whole_neither_counts_nor_goes() -> None:
    newest_is_half = [replace(DAILY[0], whole=False), *DAILY[1:3], replace(DAILY[3], whole=False)]
    assert [b.name for b in to_prune(newest_is_half, NOW, keep=1, keep_days=None)] == ["b2"]


# --------------------------------------------------------------------------------------------------------- places


def test_where_a_backup_goes(tmp_path: Path) -> None:
    at = datetime(2026, 1, 20, 8, 0, 1, tzinfo=UTC)
    assert folder.place(tmp_path, None, "photo/cat", at) == (tmp_path / "photo_cat-20260120T080001Z", "directory")
    assert folder.place(tmp_path, "plain", "..", at) == (tmp_path / "database-20260120T080001Z.sql", "plain")
    assert folder.place(tmp_path / "x.sql", None, "photo", at) == (tmp_path / "x.sql", "plain")
    with pytest.raises(UsageError, match="is one file"):
        folder.place(tmp_path / "x.sql", "directory", "photo", at)
    for there in ("x.sql", "y.sql.manifest.json", "z.txt"):
        (tmp_path / there).touch()
    for there in ("x.sql", "y.sql"):
        with pytest.raises(UsageError, match="not overwritten"):
            folder.place(tmp_path / there, None, "photo", at)
    with pytest.raises(UsageError, match="is no folder"):
        folder.place(tmp_path / "z.txt", None, "photo", at)


def test_what_dead_runs_left_is_cleared_and_nothing_else(tmp_path: Path) -> None:
    for name, mark in (("a.partial", True), ("b.removing", True), ("theirs.partial", False), ("whole", False)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data").touch()
        if mark:
            (tmp_path / name / folder.MARK).touch()
    (tmp_path / "empty.partial").mkdir()
    (tmp_path / "link.partial").symlink_to(tmp_path / "whole")
    half = tmp_path / "p.sql.partial"  # killed between the two renames
    half.mkdir()
    for file in (
        half / folder.MARK,
        half / "p.sql",
        tmp_path / "p.sql.manifest.json",
        tmp_path / "q.sql.manifest.json",
    ):
        file.touch()
    with folder.claimed(tmp_path) as cleared:
        assert cleared == ["a.partial", "b.removing", "empty.partial", "p.sql.partial"]
    left = sorted(p.name for p in tmp_path.iterdir())
    assert left == ["link.partial", "q.sql.manifest.json", "theirs.partial", "whole"]


def test_a_folder_without_a_manifest_is_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "toc.dat").touch()
    with pytest.raises(BackupRefused, match="no manifest"):
        folder.read(tmp_path)
    with pytest.raises(UsageError, match="there is no backup"):
        folder.read(tmp_path / "nothing")


def test_a_name_that_somebody_else_has_taken_meanwhile_stays_his(tmp_path: Path) -> None:
    path, kind = folder.place(tmp_path / "x.sql", None, "photo", datetime(2026, 1, 20, tzinfo=UTC))
    partial = folder.Partial(path, kind)
    with folder.claimed(tmp_path):
        with partial.made():
            partial.path.write_text("ours")
            path.write_text("theirs")
            with pytest.raises(UsageError, match=r"x\.sql exists, and is not overwritten"):
                partial.publish(MANIFEST)
        with pytest.raises(UsageError, match=r"x\.sql exists, and is not overwritten"), partial.made():
            pass
    assert path.read_text() == "theirs"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.sql"]
