"""A file with bad lines: each is listed with its number and its reason, and nothing is changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import mini
from compare import checksums
from fix_servers import Database
from normalform.core.decision_file import COLUMNS, Line, write
from normalform.db.connect import Connector
from normalform.db.work import Context
from normalform.errors import DecisionError, UsageError
from normalform.phases import resolve
from resolving import CASES, TEMPLATE, file, line

Engine = Callable[..., Context]
Make = Callable[..., Database]

GOOD = [
    line("image_tags", "t", "sea", "games", "drop"),
    line("image_tags", "t", "Chess ", "games", "drop"),
    line("faces", "t", "Alan Turing", None, "null"),
]
#: Bad lines: what is said of each. Every line stands alone unless it says so.
BAD: list[tuple[Line, str]] = [
    (line("machine_tag", "t", "x", None, "drop"), "no reference 'machine_tag'; did you mean machine_tags?"),
    (line("image_tags", "t", "lyra", "nowhere", "dorp"), "no decision 'dorp'; did you mean drop?"),
    (line("image_tags", "t", "lyra", "nature", "drop"), "no row of image_tags has this value; the text stands there"),
    (line("image_tags", "t", "never", None, "drop"), "no row of image_tags has this value"),
    (line("image_tags", "t", "bridge", None, "choose", "999"), "keywords has no row with id '999'"),
    (line("image_tags", "t", "bridge", "somewhere", "choose"), "choose needs the key"),
    (line("image_tags", "u", "lyra", "nature", "choose", "2"), "keyword 2 belongs to ['t'], the value to ['u']"),
    (line("image_tags", None, "tree", None, "choose", "1"), "the rows have no scope"),
    (line("image_tags", "ghost", "tree", "nature", "fold"), "must be equal after folding; there are: none"),
    (line("image_tags", "t", " Sea ", "nature", "fold", "1"), "'tree' is not equal after folding"),
    (line("image_tags", "t", "lyra", "travel", "create", "nature/plonts"), "no 'nature/plonts' in ['t']; did you mean"),
    (line("image_tags", "t", "lyra", None, "null"), "image_tags is required"),
    (line("image_tags", "t", "=1+1", None, "split"), "have a qualifier that can tell"),
    (line("keyword_models", "t", "tree", None, "split"), "split needs two lookup rows or more; 1 has this text"),
    (line("keyword_models", "t", "bridge", None, "split", '["2", "4"]'), "'4' is no row of keywords with this text"),
    (line("faces", "t", "Nobody Known", None, "rename", "Somebody"), "rename decides nothing about a reference's"),
    (line("lookup.keyword", "t", "sea", "nature", "choose", "4"), "choose decides nothing about a lookup's own row"),
    (line("lookup.keyword", "t", "bridge", "travel", "rename", "bridge2"), "would silently take 3; decide them in the"),
    (line("lookup.keyword", "t", "tree", "nature/plants", "rename", "x" * 101), "101 characters do not fit keywords"),
    (line("lookup.keyword", "t", "chess", "games", "rename", "bridge"), "'bridge' exists already in 'games'"),
    (line("lookup.keyword", "t", "beach", "travel", "rename", "strand"), "rename is about one row, and these have"),
    (line("lookup.keyword", "t", "moon", None, "merge", "1"), "keywords has no row with this text in this scope"),
    (line("lookup.keyword", "t", "sea", "nature", "merge", "5"), "keyword 5 belongs to ['u'], not to ['t']"),
    (line("lookup.keyword", "t", "sea", "nature", "merge", "4"), "nothing is left to merge into 4"),
    (line("lookup.keyword", "u", "sky", "nature", "merge", "77"), "keywords has no row with id '77'"),
    (line("image_tags", "t", "beach", "travel", "merge", "9"), "keyword 9 is 'chess'; merge other texts on a line of"),
    (line("permatags", "t", "sea", "nature", "keep"), "keep needs a target"),
    (line("permatags", "t", "bridge", None, "keep", "oldest"), "keep is about one row of keywords; 2 have this text"),
    (line("permatags", "t", "sea", "nature", "keep", '{"image_id": 1}'), "a row of permatags is named by ['id']"),
]


@pytest.mark.slow
def test_each_bad_line_is_named(database: Make, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    for bad, said in BAD:
        path = file(tmp_path, [*GOOD, bad])
        with pytest.raises(DecisionError) as caught:
            resolve.check(Connector(db.url), mini.spec(), path)
        [problem] = caught.value.problems
        assert problem.startswith("line 5: ") and said in problem


def test_every_bad_line_is_listed_and_nothing_is_changed(database: Make, engine: Engine, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    before = checksums(db)
    bad = [b for b, _ in BAD if b.target != "bridge2"]  # its undecided rows are decided by other lines here
    path = file(tmp_path, [*GOOD, *bad, *CASES["split"]])
    path.write_bytes(path.read_bytes() + b"too,few,cells\r\n")
    ctx = engine(db.url)
    with pytest.raises(DecisionError) as caught:
        resolve.apply(ctx, path)
    numbers = {int(p.split()[1].rstrip(":")) for p in caught.value.problems}
    unlisted = {5 + n for n in range(len(bad))} - numbers
    assert not unlisted, [bad[n - 5] for n in unlisted]
    assert not {2, 3, 4} & numbers
    assert caught.value.problems[-1].endswith("has 3 cells, not 10")
    assert checksums(db) == before
    assert db.value("SELECT count(*) FROM normalform.decision") == 0


def test_lines_that_contradict_each_other(database: Make, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    lines = [
        line("image_tags", "t", "bridge", None, "choose", "2"),
        line("image_tags", "t", "bridge", None, "drop"),
        line("lookup.keyword", "t", "beach", "travel", "merge", "8", "7"),
        line("lookup.keyword", "t", "beach", "travel", "merge", "7", "8"),
        line("lookup.keyword", "t", "chess", "games", "merge", "10"),
        line("lookup.keyword", "t", "Chess ", "games", "merge", "4"),
        line("lookup.keyword", "t", "sea", "nature", "rename", "ocean"),
        line("lookup.keyword", "t", "tree", "nature/plants", "rename", "ocean"),
        line("image_tags", "t", "Chess ", "games", "choose", "9"),
    ]
    with pytest.raises(DecisionError) as caught:
        resolve.check(Connector(db.url), mini.spec(), file(tmp_path, lines))
    said = "\n".join(caught.value.problems)
    for part in (
        "line 3: decides the same value as line 2",
        "line 4: keyword 8 is itself merged back by line 5",
        "line 6: keyword 10 is itself merged into 4 by line 7",
        "line 9: line 8 gives the same new text",
        "line 10: keyword 9 is merged into 10 by line 6; name that",
    ):
        assert part in said


def test_a_rename_that_a_legacy_unique_would_refuse(database: Make, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    db.run("INSERT INTO permatags (tenant_id, image_id, keyword) VALUES ('t', 3, 'ocean')", "app")
    path = file(tmp_path, [line("lookup.keyword", "t", "sea", "nature", "rename", "ocean")])
    with pytest.raises(DecisionError, match="line 2: 1 rows of permatags would stand twice with 'ocean'"):
        resolve.check(Connector(db.url), mini.spec(), path)


def test_rows_that_are_referred_to_cannot_be_dropped(database: Make, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    db.run("CREATE TABLE votes (tag integer REFERENCES image_tags);"
           "INSERT INTO votes SELECT id FROM image_tags WHERE keyword = 'lyra'")  # fmt: skip
    with pytest.raises(DecisionError, match="line 2: 1 of the rows are referred to by votes"):
        resolve.check(Connector(db.url), mini.spec(), file(tmp_path, CASES["drop"]))


def test_copies_that_could_not_stand(database: Make, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    db.run("ALTER TABLE keyword_models ADD COLUMN slot integer UNIQUE")
    with pytest.raises(DecisionError, match="copies would collide in keyword_models_slot_key"):
        resolve.check(Connector(db.url), mini.spec(), file(tmp_path, CASES["split"]))


def test_rows_that_have_changed_since_are_only_a_note(database: Make, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    lines = [replace(entry, rows=7) for entry in CASES["drop"]]
    report = resolve.check(Connector(db.url), mini.spec(), file(tmp_path, lines))
    assert report.decisions == {"drop": 3} and report.rows == {"drop": 3}
    assert report.notes[0] == "line 2: 1 rows now, 7 when the file was written"


def test_files_that_are_none(database: Make, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    connector, path = Connector(db.url), tmp_path / "d.csv"
    with pytest.raises(UsageError, match="cannot be read"):
        resolve.check(connector, mini.spec(), path)
    path.write_bytes(write(CASES["drop"]).encode("utf-16"))
    with pytest.raises(UsageError, match="is not UTF-8"):
        resolve.check(connector, mini.spec(), path)
    path.write_text(";".join(COLUMNS))
    with pytest.raises(DecisionError, match="separated by ;"):
        resolve.check(connector, mini.spec(), path)
    path.write_text(write(CASES["drop"]).replace("[", "{"))
    with pytest.raises(DecisionError, match="scope is no JSON array"):
        resolve.check(connector, mini.spec(), path)


def test_an_undecided_file_changes_nothing(database: Make, engine: Engine, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    before = checksums(db)
    lines = [replace(entry, decision="", target="") for case in CASES.values() for entry in case]
    report = resolve.apply(engine(db.url), file(tmp_path, lines))
    assert (report.applied, report.standing) == (0, 0)
    assert checksums(db) == before
