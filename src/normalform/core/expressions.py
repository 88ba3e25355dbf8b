"""Expressions as the server prints them: which columns they name, and the one change that can be made to them safely.

Decides whether an expression mentions a column. It is used where the catalog says *that* something reads a column and
not *where*, so it must err on the side of "mentions". It never reads what a person wrote: only pg_get_expr's output, in
which names are folded, quoted where needed, and never qualified by the table.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<string>[Ee]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*')
      | (?P<quoted>"(?:[^"]|"")+")
      | (?P<word>[^\W\d][\w$]*)
      | (?P<number>\d[\w.]*)
      | (?P<cast>::)
      | (?P<space>\s+)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
#: Words that go on naming a type after its first one: character varying, timestamp without time zone …
_TYPE_WORDS = frozenset({"varying", "precision", "with", "without", "time", "zone", "local"})


@dataclass(frozen=True)
class Token:
    """A piece of an expression.

    ``name`` is set where it may name a column: not for a type, a function or a collation.
    """

    text: str
    start: int
    name: str | None = None


def tokens(expression: str) -> list[Token]:
    """Split an expression into its tokens, white space left out."""
    return list(_named(expression))


def mentions(expression: str | None, column: str) -> bool:
    """Whether the expression may read the column; a reference to the whole row reads every column."""
    if expression is None:
        return False
    found = tokens(expression)
    whole = any(a.text == "." and b.text == "*" for a, b in itertools.pairwise(found))
    return whole or any(t.name == column for t in found)


def rename_null_tests(expression: str, renamed: Mapping[str, str]) -> str | None:
    """Put other columns in the place of some, where all that is asked of them is IS NULL or IS NOT NULL.

    Args:
        expression: as the server prints it.
        renamed: new column by old one.

    Returns:
        The expression, or None when it asks more of one of the columns, or names the whole row.
    """
    found = tokens(expression)
    result, position = [], 0
    for i, token in enumerate(found):
        if token.text == "*" and i and found[i - 1].text == ".":
            return None
        if token.name is None or token.name not in renamed:
            continue
        after = [t.text.upper() for t in found[i + 1 : i + 4]]
        if after[:2] != ["IS", "NULL"] and after != ["IS", "NOT", "NULL"]:
            return None
        result += [expression[position : token.start], quoted(renamed[token.name])]
        position = token.start + len(token.text)
    return "".join([*result, expression[position:]])


def quoted(name: str) -> str:
    """Return the identifier in double quotes, which is right for every name."""
    return '"' + name.replace('"', '""') + '"'


def _named(expression: str) -> Iterator[Token]:
    matches = [m for m in _TOKEN.finditer(expression) if m.lastgroup != "space"]
    kind_of_name = False  # inside the name of a type or a collation
    for i, match in enumerate(matches):
        kind, text = match.lastgroup, match.group()
        following = matches[i + 1].group() if i + 1 < len(matches) else ""
        previous = matches[i - 1].group() if i else ""
        if kind in ("word", "quoted"):
            continues = kind_of_name and (previous in ("::", ".", "COLLATE") or text in _TYPE_WORDS)
            if kind_of_name and not continues:
                kind_of_name = False
            if not continues and text != "COLLATE" and following not in ("(", "."):
                name = text[1:-1].replace('""', '"') if kind == "quoted" else text
                yield Token(text, match.start(), name)
                continue
            if text == "COLLATE" and kind == "word":
                kind_of_name = True
        elif kind == "cast":
            kind_of_name = True
        elif text != ".":
            kind_of_name = False
        yield Token(text, match.start())
