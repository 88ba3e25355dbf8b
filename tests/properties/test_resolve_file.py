"""The decision file means the same after any round trip, and no cell of it is a formula, a number or a date."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from normalform.core.decision_file import COLUMNS, Line, describe, escape, read, suggested, unescape, write, written
from normalform.core.mapping import Candidate, Suggestion

# What a text column of PostgreSQL can hold: anything but NUL and halves of surrogate pairs.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
AWKWARD = st.sampled_from(
    ["", " ", "  a ", "\\N", "\\", "=1+1", "+1", "-1", "@x", "\t=1", "007", "1e5", "true", "FALSE", "mar 1", "Sept-2",
     "a\r\nb", "\u2028", "\u00a0x", "\ufeff", '"', "a,b", "'", "\u200d", "＝1", "٣", "null", "\U0010fffd"]
)  # fmt: skip
ANY = st.one_of(TEXT, AWKWARD)
SCOPE = st.lists(st.one_of(st.none(), ANY), max_size=3).map(tuple)
CANDIDATES = st.lists(st.builds(Candidate, ANY, ANY, st.one_of(st.none(), ANY)), max_size=3).map(tuple)
LINES = st.lists(
    st.builds(
        Line,
        number=st.just(0),
        reference=TEXT.filter(bool),
        scope=SCOPE,
        text=ANY,
        qualifier=st.one_of(st.none(), ANY),
        rows=st.integers(0, 10**15),
        candidates=CANDIDATES,
        suggestion=ANY,
        decision=st.sampled_from(["", "drop", "choose", "keep"]),
        target=ANY,
        note=ANY,
    ),
    max_size=5,
)


@pytest.mark.slow
@given(LINES)
def test_export_and_parse_are_inverse(lines: list[Line]) -> None:
    found, problems = read(write(lines))
    assert problems == []
    assert [line.number for line in found] == list(range(2, len(lines) + 2)), "one line of the file for each"
    assert [line.value for line in found] == [line.value for line in lines]
    for before, after in zip(lines, found, strict=True):
        assert (before.rows, before.candidates, before.suggestion) == (after.rows, after.candidates, after.suggestion)
        assert (before.decision, before.target, before.note) == (after.decision, after.target, after.note)


@given(ANY)
@example("\\u{41}")
def test_a_cell_is_nothing_that_a_spreadsheet_would_change(text: str) -> None:
    cell = escape(text)
    assert unescape(cell) == text
    assert not cell[:1].isdigit()
    assert cell == "" or cell[0] not in "=+-@＝＋－＠\t\r\n "
    assert cell == cell.strip() and "\n" not in cell and "\r" not in cell and "\t" not in cell
    assert not re.match(r"(?i)(true|false)$|(jan|mar|sep)[a-z]*[-./ ]*\d", cell)
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Zl", "Zp", "Co", "Cn") for c in cell), "nothing is hidden"


@pytest.mark.slow
@given(LINES)
def test_what_a_spreadsheet_reads_and_writes_again_is_the_same_file(lines: list[Line]) -> None:
    rows = list(csv.reader(io.StringIO(write(lines), newline="")))
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    assert [line.value for line in read("\ufeff" + out.getvalue())[0]] == [line.value for line in lines]


@given(st.text(max_size=200))
def test_no_file_makes_the_reader_fail(text: str) -> None:
    lines, problems = read(text)
    assert lines == [] and all(p.startswith("line ") for p in problems)
    lines, problems = read(",".join(COLUMNS) + "\n" + text)
    assert all(p.startswith("line ") for p in problems)
    assert all(line.number >= 2 for line in lines)


@given(st.text(max_size=40))
def test_unescape_never_guesses(cell: str) -> None:
    try:
        text = unescape(cell)
    except ValueError:
        return
    assert unescape(escape(text)) == text


@given(
    st.builds(
        Suggestion,
        st.sampled_from(["fold", "choose", "create"]),
        st.one_of(st.none(), TEXT.filter(lambda t: " (score " not in t)),
        st.integers(0, 1000).map(lambda n: n / 10),
        TEXT.filter(lambda t: " (score " not in t),
    )
)
def test_a_suggestion_can_be_read_from_the_file(suggestion: Suggestion) -> None:
    line = Line(0, "r", (), "x", None, suggestion=describe(suggestion))
    [found] = read(write([line]))[0]
    assert suggested(found) == suggestion


def test_a_file_is_written_as_its_lines_come() -> None:
    """There may be more lines than memory holds."""
    taken = []

    def lines() -> Iterator[Line]:
        for number in range(3):
            taken.append(number)
            yield Line(0, "machine_tags", ("t",), f"text {number}", None)

    parts = written(lines())
    assert next(parts).startswith(COLUMNS[0])
    assert taken == []
    assert "text 0" in next(parts)
    assert taken == [0]
