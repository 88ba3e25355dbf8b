"""The local mapping file: values of several ranges become one entry, and only whole files appear."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from normalform.core.mapping import Entry, How, Tally
from normalform.db import mapping_file
from normalform.db.mapping_file import about, building, entries, unresolved
from normalform.db.mapping_questions import Reading, join_on_text, near_lookup
from normalform.errors import UsageError


def value(
    text: str | None, rows: int, how: str = "exact", key: str | None = "1", q: str | None = None
) -> tuple[Any, ...]:
    return '["t"]', text, q, rows, how, key, None, None if text is not None else "text-null", 1


def made(path: Path, *ranges: Iterable[tuple[Any, ...]]) -> list[Entry]:
    with building(path, database="db") as file:
        file.begin_reference("before")
        file.add_range([value("tree", 1)])
        file.end_reference()
        file.begin_reference("tags")
        for rows in ranges:
            file.add_range(rows)
            file.settle()
        file.end_reference()
    return list(entries(path, reference="tags"))


def test_ranges_are_added_up_and_the_latest_resolution_holds(tmp_path: Path) -> None:
    found = made(
        tmp_path / "m",
        [value("tree", 3, "orphan", None), value("tree", 2, q="x"), value("sea", 1)],
        [value("tree", 4)],
        [value("tree", 1), value("tree", 5, q="x"), value("tree", 7, q="")],
    )
    assert {(e.text, e.qualifier): (e.rows, e.how) for e in found} == {
        ("tree", None): (8, How.EXACT),  # NULL and the empty text are different qualifiers
        ("tree", ""): (7, How.EXACT),
        ("tree", "x"): (7, How.EXACT),
        ("sea", None): (1, How.EXACT),
    }


def test_merging_on_the_way_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = [[value(f"w{n % 13}", n, q=f"q{n % 3}") for n in range(part, part + 13)] for part in range(0, 130, 13)]
    whole = made(tmp_path / "a", *given)
    monkeypatch.setattr(mapping_file, "MERGE_ABOVE", 20)
    assert made(tmp_path / "b", *given) == whole
    assert len(list(entries(tmp_path / "b", reference="before"))) == 1


def test_a_forgotten_range_leaves_the_others(tmp_path: Path) -> None:
    with building(tmp_path / "m") as file:
        number = file.begin_reference("tags")
        file.add_range([value("a", 1)])
        file.add_range([value("a", 10), value("b", 10)])
        file.forget_range()
        file.add_range([value("b", 2), value(None, 4)])
        file.end_reference()
        reading = Reading(file, number)
        assert reading.totals == (7, 4, 2)
        assert reading.tallies("tags") == [Tally("tags", How.EXACT, 2, 3)]
    assert {e.text: e.rows for e in entries(tmp_path / "m")} == {"a": 1, "b": 2}


def test_only_a_whole_file_appears(tmp_path: Path) -> None:
    path = tmp_path / "m"
    made(path, [value("tree", 1)])
    with pytest.raises(ZeroDivisionError):
        made(path, (value("x", 1 // n) for n in (1, 0)))
    assert [e.text for e in entries(path)] == ["tree", "tree"]
    assert list(tmp_path.iterdir()) == [path]
    assert about(path)["database"] == "db"


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    made(tmp_path / "m", [value("tree", 1)])
    assert stat.S_IMODE(os.stat(tmp_path / "m").st_mode) == 0o600  # noqa: PTH116 - the mode alone


def test_a_file_that_nobody_asked_for_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with building(None) as file:
        assert list(tmp_path.iterdir())
        file.begin_reference("tags")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [None, b"", b"no database at all, and long enough to be looked at" * 20])
def test_another_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "m"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        list(unresolved(path))
    assert caught.value.hint == "normalform audit"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"), building(tmp_path / "no" / "m"):
        pass


def test_what_a_join_on_the_text_alone_gets_wrong(tmp_path: Path) -> None:
    def row(text: str, q: str, rows: int, key: str, found: int) -> tuple[Any, ...]:
        return '["t"]', text, q, rows, "qualified", key, None, None, found

    with building(tmp_path / "m") as file:
        number = file.begin_reference("tags")
        file.add_range([row("sea", "a", 3, "1", 2), row("sea", "b", 7, "2", 2), row("sky", "a", 4, "3", 3)])
        file.end_reference()
        # sea: 3 or 7 of 10 wrong. sky: none if its row wins, all 4 if one of the two does that nobody means.
        assert join_on_text(file, [number]) == {"values": 3, "rows": 14, "wrong_at_least": 3, "wrong_at_most": 11}


def test_near_duplicates_of_a_lookup_are_of_one_scope(tmp_path: Path) -> None:
    with building(tmp_path / "m") as file:
        file.add_lookup_range(
            "k", [('["t"]', "Tree", "1", None), ('["t"]', "tree", "2", None), ('["t"]', "tree", "3", "x"),
                  ('["u"]', "TREE", "4", None), ('["t"]', "sea", "5", None)],
        )  # fmt: skip
        file.add_lookup_range("other", [('["t"]', "SEA", "1", None)])
        file.end_lookups()
        assert near_lookup(file, "k") == ([(("t",), "Tree"), (("t",), "tree")], 3, 0)
        assert near_lookup(file, "other") == ([], 0, 0)
