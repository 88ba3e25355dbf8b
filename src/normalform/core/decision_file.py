r"""The decision file: a CSV that people edit in any editor or spreadsheet, and that comes back meaning the same.

Decides how a value is written so that nothing on the way can change it, and how it is read. A cell holds the text
exactly as stored, except for what an editor or a spreadsheet would lose or turn into something else:

======================================== ==========================================================
in the value                             in the cell
======================================== ==========================================================
a backslash                              ``\\``
a line feed, tab, carriage return        ``\n`` ``\t`` ``\r``
another control character or separator   ``\u{2028}``: its number in hexadecimal
white space at the beginning or the end  ``\s`` for a space, else as above
``=``, ``+``, ``-``, ``@`` or a digit    a backslash before it, so that no spreadsheet sees a formula, a number
at the beginning                         or a date (``\=SUM(A1)``, ``\007``)
``true``, ``false``, ``mar 1``           its first letter as ``\u{…}``
no qualifier (NULL)                      ``\N``; an empty cell is the empty text
======================================== ==========================================================

It must never guess: what is not written so is a bad line, not a value.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from .mapping import Candidate, Suggestion

COLUMNS = (
    "reference", "scope", "text", "qualifier", "rows", "candidates", "suggestion", "decision", "target", "note",
)  # fmt: skip
NULL = r"\N"

_NAMED = {"\n": r"\n", "\t": r"\t", "\r": r"\r"}
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "s": " "}
# Cc and Cf hide, Zl and Zp break lines, Co, Cn and Cs are nothing that an editor is sure to keep.
_HIDDEN = ("Cc", "Cf", "Zl", "Zp", "Co", "Cn", "Cs")
# What spreadsheets take for a date or a truth value though it begins with a letter.
_WORDLIKE = re.compile(
    r"(true|false)$|(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[\s.,/-]*\d", re.IGNORECASE
)
# Full-width forms are formulas to a spreadsheet under a Japanese or Chinese locale.
_FIRST = "=+-@＝＋－＠"
_SUGGESTION = re.compile(r"(?P<decision>\w+)(?: → (?P<target>.*))? \(score (?P<score>[\d.]+): (?P<why>.*)\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a decision file.

    Args:
        number: the line of the file that it begins on; 0 for one that was never in a file.
        reference: a reference's name, or ``lookup.`` and a lookup's name.
        scope: the scope's values as text, in the spec's order; None stands for NULL.
        text: the text.
        qualifier: the qualifier; None stands for NULL.
        rows: how many rows held this value when the file was written.
        candidates: lookup rows that are meant or may be.
        suggestion: for people; see :func:`suggested`.
        decision: the word, or empty while nobody has decided.
        target: what it is decided for, or empty.
        note: why.
    """

    number: int
    reference: str
    scope: tuple[str | None, ...]
    text: str
    qualifier: str | None
    rows: int = 0
    candidates: tuple[Candidate, ...] = ()
    suggestion: str = ""
    decision: str = ""
    target: str = ""
    note: str = ""

    @property
    def value(self) -> tuple[str, tuple[str | None, ...], str, str | None]:
        """What the line is about: reference, scope, text, qualifier."""
        return self.reference, self.scope, self.text, self.qualifier


def escape(text: str) -> str:
    """Return the cell that stands for a text."""
    parts = []
    for position, character in enumerate(text):
        edge = position in (0, len(text) - 1)
        if character == "\\":
            parts.append("\\\\")
        elif character in _NAMED:
            parts.append(_NAMED[character])
        elif character == " " and edge:
            parts.append(r"\s")
        elif unicodedata.category(character) in _HIDDEN or (character.isspace() and edge):
            parts.append(_number(character))
        elif position == 0 and (character in _FIRST or character.isdigit()):
            parts.append("\\" + character)
        elif position == 0 and _WORDLIKE.match(text):
            parts.append(_number(character))
        else:
            parts.append(character)
    return "".join(parts)


def unescape(cell: str) -> str:
    """Return the text that a cell stands for.

    Raises:
        ValueError: an escape sequence that is none.
    """
    parts, position = [], 0
    while position < len(cell):
        character = cell[position]
        position += 1
        if character != "\\":
            parts.append(character)
            continue
        if position == len(cell):
            raise ValueError(r"ends in a backslash; a backslash itself is written \\")
        following = cell[position]
        position += 1
        if following == "u":
            match = re.compile(r"\{([0-9A-Fa-f]{1,6})\}").match(cell, position)
            if match is None or int(match.group(1), 16) > 0x10FFFF:
                raise ValueError(r"\u is followed by a character's number in hexadecimal: \u{2028}")
            parts.append(chr(int(match.group(1), 16)))
            position = match.end()
        elif following in _LETTERS:
            parts.append(_LETTERS[following])
        elif following.isalpha():
            raise ValueError(rf"has the unknown escape \{following}; a backslash itself is written \\")
        else:
            parts.append(following)
    text = "".join(parts)
    if not storable(text):
        raise ValueError("holds a character that no text in the database can hold")
    return text


def storable(text: str) -> bool:
    """Whether a text in the database can hold these characters: neither NUL nor half a surrogate pair."""
    return "\x00" not in text and not any(0xD800 <= ord(c) <= 0xDFFF for c in text)


def write(lines: Iterable[Line]) -> str:
    """Return a decision file: UTF-8 is up to the caller, the rest is RFC 4180 with CRLF."""
    return "".join(written(lines))


def written(lines: Iterable[Line]) -> Iterator[str]:
    """Yield a decision file's header and then each line as it comes, for files that memory need not hold."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    yield out.getvalue()
    for line in lines:
        out.seek(0)
        out.truncate()
        writer.writerow(_cells(line))
        yield out.getvalue()


def read(text: str) -> tuple[list[Line], list[str]]:
    """Read a decision file.

    Args:
        text: the file's text; a byte order mark is passed over.

    Returns:
        Its lines, the undecided ones too, and what is wrong, each beginning with ``line N``.
    """
    lines: list[Line] = []
    problems: list[str] = []
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    number = 0
    try:
        header = next(reader, [])
        if tuple(cell.strip() for cell in header) != COLUMNS:
            hint = "; its cells are separated by ;" if len(header) == 1 and ";" in header[0] else ""
            return [], [f"line 1: the columns must be {', '.join(COLUMNS)}{hint}"]
        number = reader.line_num
        for cells in reader:
            first, number = number + 1, reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(COLUMNS):
                problems.append(f"line {first}: has {len(cells)} cells, not {len(COLUMNS)}")
                continue
            try:
                lines.append(_line(first, dict(zip(COLUMNS, cells, strict=True))))
            except ValueError as error:
                problems.append(f"line {first}: {error}")
    except csv.Error as error:
        problems.append(f"line {number + 1}: cannot be read as CSV: {error}")
    return lines, problems


def describe(suggestion: Suggestion | None) -> str:
    """Return a suggestion as the file shows it."""
    if suggestion is None:
        return ""
    target = f" → {suggestion.target}" if suggestion.target is not None else ""
    return f"{suggestion.decision}{target} (score {suggestion.score:g}: {suggestion.why})"


def suggested(line: Line) -> Suggestion | None:
    """Return the suggestion that a line shows, or None."""
    match = _SUGGESTION.fullmatch(line.suggestion)
    if match is None:
        return None
    return Suggestion(match["decision"], match["target"], float(match["score"]), match["why"])


def _number(character: str) -> str:
    return rf"\u{{{ord(character):x}}}"


def _cells(line: Line) -> Sequence[str]:
    candidates = [{"key": c.key, "text": c.text, "path": c.path} for c in line.candidates]
    return (
        escape(line.reference),
        json.dumps(list(line.scope), ensure_ascii=False),
        escape(line.text),
        NULL if line.qualifier is None else escape(line.qualifier),
        str(line.rows),
        json.dumps(candidates, ensure_ascii=False),
        escape(line.suggestion),
        line.decision,
        _target(line.target),
        escape(line.note),
    )


def _target(target: str) -> str:
    # A spreadsheet keeps a short whole number as it is, and keys are easier to read and to type so.
    return target if re.fullmatch(r"[1-9]\d{0,14}", target) else escape(target)


def _line(number: int, cells: dict[str, str]) -> Line:
    def cell(name: str) -> str:
        try:
            return unescape(cells[name])
        except ValueError as error:
            raise ValueError(f"{name} {error}") from error

    rows = cells["rows"].strip()
    if rows and not re.fullmatch(r"\d{1,18}", rows):
        raise ValueError(f"rows is no whole number: {rows!r}")
    # A file may have a line for each of a million texts; what repeats in it is kept once.
    return Line(
        number=number,
        reference=sys.intern(cell("reference")),
        scope=_scope(cells["scope"]),
        text=cell("text"),
        qualifier=None if cells["qualifier"] == NULL else cell("qualifier"),
        rows=int(rows or 0),
        candidates=_candidates(cells["candidates"]),
        suggestion=sys.intern(cell("suggestion")),
        decision=sys.intern(cells["decision"].strip().lower()),
        target=sys.intern(cell("target")),
        note=sys.intern(cell("note")),
    )


def _json_list(name: str, cell: str) -> list[object]:
    try:
        value = json.loads(cell) if cell.strip() else []
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{name} is no JSON array") from error
    if not isinstance(value, list):
        raise ValueError(f"{name} is no JSON array")
    return value


@lru_cache(maxsize=1024)
def _scope(cell: str) -> tuple[str | None, ...]:
    values = _json_list("scope", cell)
    if not all(v is None or (isinstance(v, str) and storable(v)) for v in values):
        raise ValueError('scope is a JSON array of texts or null: ["demo"]')
    return tuple(v if isinstance(v, str) else None for v in values)


def _candidates(cell: str) -> tuple[Candidate, ...]:
    result = []
    for entry in _json_list("candidates", cell):
        if not isinstance(entry, dict) or not isinstance(entry.get("key"), str):
            raise ValueError('candidates is a JSON array of {"key": "1", "text": "tree", "path": "nature"}')
        text, path = entry.get("text", ""), entry.get("path")
        if not isinstance(text, str) or not (path is None or isinstance(path, str)):
            raise ValueError("candidates' text and path are texts")
        result.append(Candidate(entry["key"], text, path))
    return tuple(result)
