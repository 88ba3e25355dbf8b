"""PostgreSQL's lexical rules: a text cut into tokens, comments left out.

Decides what is a name, a string, a number or an operator, so that a column's name inside a comment or a string is never
taken for the column. It must never fail on what the server would accept; what it would not accept ends as one token.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["word", "quoted", "string", "number", "parameter", "operator"]
#: The server folds ASCII alone.
FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)

_SPACE = re.compile(r"\s+|--[^\r\n]*")
_PIECES: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("string", re.compile(r"[Ee]'(?:[^'\\]|\\.|'')*'|(?:[Uu]&|[BbXxNn])?'(?:[^']|'')*'", re.DOTALL)),
    ("quoted", re.compile(r'(?:[Uu]&)?"(?:[^"]|"")*"')),
    ("word", re.compile(r"[^\W\d][\w$]*")),
    ("parameter", re.compile(r"\$\d+")),
    ("number", re.compile(r"\d(?:[\w]|\.(?!\.))*|\.\d\w*")),
    ("operator", re.compile(r"::|:=|\.\.|<<|>>|<=|>=|<>|!=|=>|\|\||.", re.DOTALL)),
)
_DOLLAR = re.compile(r"\$(?:[^\W\d]\w*)?\$")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True)
class Token:
    """A piece of SQL.

    Args:
        kind: what it is.
        text: as it was written.
        value: a name folded or unquoted, a string's content; else the text.
        start: where it begins in the whole text.
        line: its line there, from 1.
    """

    kind: Kind
    text: str
    value: str
    start: int
    line: int

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.start + len(self.text)

    @property
    def name(self) -> str | None:
        """The name that it may be; None for everything but a word and a quoted identifier."""
        return self.value if self.kind in ("word", "quoted") else None

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these bare words, given in lower case."""
        return self.kind == "word" and self.value in words


def tokens(text: str) -> list[Token]:
    """Cut a text into tokens; white space and comments, nested ones too, are left out."""
    return list(_cut(text))


def names(found: Iterable[Token]) -> frozenset[str]:
    """Return every name that stands among the tokens, strings and comments apart."""
    return frozenset(t.value for t in found if t.name is not None)


def span(text: str, found: Sequence[Token]) -> str:
    """Return the text that these tokens cover, comments between them included."""
    return text[found[0].start : found[-1].end] if found else ""


def _cut(text: str) -> Iterator[Token]:
    position, line = 0, 1
    while position < len(text):
        end = _skipped(text, position)
        if end > position:
            line += text.count("\n", position, end)
            position = end
            continue
        token = _next(text, position, line)
        yield token
        line += token.text.count("\n")
        position = token.end


def _skipped(text: str, position: int) -> int:
    """Return where white space or a comment that begins here ends; here itself when none does."""
    found = _SPACE.match(text, position)
    if found:
        return found.end()
    if not text.startswith("/*", position):
        return position
    depth = 0
    while position < len(text):
        if text.startswith("/*", position):
            depth, position = depth + 1, position + 2
        elif text.startswith("*/", position):
            depth, position = depth - 1, position + 2
            if depth == 0:
                break
        else:
            position += 1
    return position


def _next(text: str, position: int, line: int) -> Token:
    dollar = _DOLLAR.match(text, position)
    if dollar:
        tag = dollar.group()
        close = text.find(tag, dollar.end())
        end = len(text) if close < 0 else close + len(tag)
        inside = text[dollar.end() : end if close < 0 else close]
        return Token("string", text[position:end], inside, position, line)
    for kind, pattern in _PIECES:
        found = pattern.match(text, position)
        if found:
            return Token(kind, found.group(), _value(kind, found.group()), position, line)
    raise AssertionError("the last pattern takes any character")


def _value(kind: Kind, text: str) -> str:
    if kind == "word":
        return text.translate(FOLD)
    if kind == "quoted":
        return text[text.index('"') + 1 : -1].replace('""', '"')
    if kind == "string":
        inside = text[text.index("'") + 1 : -1].replace("''", "'")
        return _ESCAPE.sub(r"\1", inside) if text[0] in "Ee" else inside
    return text
