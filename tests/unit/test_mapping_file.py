"""The local mapping file: values of several ranges become one entry, and only whole files appear."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from normalform.core.mapping import Entry, How, Tally
from normalform.db import mapping_file, mapping_questions
from normalform.db.mapping_file import about, building, entries, unresolved
from normalform.db.mapping_questions import Reading, join_on_text, near_lookup
from normalform.errors import UsageError
from normalform.sql.sheets import BETWEEN


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


def sheet(kind: int, *values: tuple[str, str, int, str, int], slot: int = 7) -> tuple[Any, ...]:
    """A sheet of one scope: (text, qualifier or path, rows, key, found) each, as the server writes it."""
    lists = [["t"] * len(values), *[[str(v[i]) for v in values] for i in range(5)]]
    body = BETWEEN.join(value for values in lists for value in values)
    return kind, slot, len(values), sum(v[2] for v in values), body, None


def others(*entries: tuple[Any, ...]) -> tuple[Any, ...]:
    return 0, 0, len(entries), sum(int(e[3]) for e in entries), "", [list(e) for e in entries]


ON_SHEETS = (
    sheet(1, ("tree", "plants", 3, "1", 1), ("", "", 1, "9", 1)),
    sheet(2, ("sea", "a", 3, "2", 2), ("sea", "b", 7, "3", 2)),
    sheet(3, ("sky", "air", 2, "4", 1)),
    sheet(5, ("fog", "", 1, "5", 1), slot=8),
    others(
        ("t", "Tree", None, "2", "orphan", None, None, None, "0"),
        (None, "x", "q", "1", "orphan", None, None, "scope-null", "0"),
    ),
)


def test_what_stands_on_sheets_is_counted_and_read_as_what_stands_alone(tmp_path: Path) -> None:
    with building(tmp_path / "m") as file:
        number = file.begin_reference("tags")
        file.add_sheets(1, ON_SHEETS)
        assert file.end_reference() == 1
        reading = Reading(file, number)
        assert reading.totals == (20, 0, 8)
        assert {(t.how, t.values, t.rows) for t in reading.tallies("tags")} == {
            (How.EXACT, 4, 7), (How.QUALIFIED, 2, 10), (How.ORPHAN, 2, 3),
        }  # fmt: skip
        assert mapping_questions.by_rows(file, number) == [(1, 3), (2, 2), (3, 2), (7, 1)]
        assert join_on_text(file, [number]) == {"values": 2, "rows": 10, "wrong_at_least": 3, "wrong_at_most": 7}
    assert [(e.text, e.qualifier, e.rows, e.how, e.key, e.path) for e in entries(tmp_path / "m")] == [
        ("sea", "b", 7, How.QUALIFIED, "3", "b"),
        ("sea", "a", 3, How.QUALIFIED, "2", "a"),
        ("tree", "plants", 3, How.EXACT, "1", "plants"),
        ("Tree", None, 2, How.ORPHAN, None, None),
        ("sky", None, 2, How.EXACT, "4", "air"),
        ("", "", 1, How.EXACT, "9", ""),
        ("fog", None, 1, How.EXACT, "5", None),
        ("x", "q", 1, How.ORPHAN, None, None),
    ]
    assert [e.text for e in unresolved(tmp_path / "m")] == ["Tree", "x"]


def test_sheets_of_several_ranges_are_added_up(tmp_path: Path) -> None:
    with building(tmp_path / "m") as file:
        number = file.begin_reference("tags")
        file.add_sheets(1, ON_SHEETS)
        file.add_sheets(1, [sheet(1, ("tree", "plants", 100, "1", 1))])
        file.forget_range()
        later = ("t", "sea", "a", "1", "orphan", None, None, None, "0")
        file.add_sheets(1, [sheet(1, ("tree", "plants", 4, "1", 1)), others(later)])
        assert file.end_reference() == 3
        assert Reading(file, number).totals == (25, 0, 8)
        assert join_on_text(file, [number])["rows"] == 7
    found = {(e.text, e.qualifier): (e.rows, e.how) for e in entries(tmp_path / "m")}
    assert found["tree", "plants"] == (7, How.EXACT)
    assert found["sea", "a"] == (4, How.ORPHAN)  # the latest resolution holds


def test_a_text_of_which_a_value_cannot_stand_on_a_sheet_stands_together(tmp_path: Path) -> None:
    with building(tmp_path / "m") as file:
        number = file.begin_reference("tags")
        odd = ("t", "sea", "a\x1fb", "5", "qualified", "6", None, None, "3")
        file.add_sheets(1, [*ON_SHEETS, others(odd)])
        file.end_reference()
        assert join_on_text(file, [number]) == {"values": 3, "rows": 15, "wrong_at_least": 8, "wrong_at_most": 12}


@pytest.mark.parametrize(("limit", "by_qualifier"), [(100, False), (0, False), (100, True)])
def test_values_that_share_a_key_are_found_on_sheets_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, by_qualifier: bool
) -> None:
    monkeypatch.setattr(mapping_questions, "SHARED", limit)
    with building(tmp_path / "m") as file:
        number = file.begin_reference("tags")
        alias = ("t", "Baum", None, "2", "alias", "1", None, None, "0")
        file.add_sheets(1, [*ON_SHEETS, sheet(5, ("sea", "", 1, "2", 2)), others(alias)])
        file.end_reference()
        file.db.execute("CREATE TABLE scratch.folded (value, reference, target, key)")
        found, more = mapping_questions.sharing(file, number, by_qualifier=by_qualifier, suggested=True, lax=False)
    assert more == 0
    expected = {("Baum", None, "1"), ("tree", "plants", "1")}
    if by_qualifier:
        expected |= {("sea", "a", "2"), ("sea", None, "2")}
    assert {(text, q, key) for _, text, q, _, key in found} == expected


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
