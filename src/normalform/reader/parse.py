"""Hands a statement to sqlglot in a form that it can parse, and says when it cannot.

Decides what may be put in another's place so that the tree comes out with the same names in the same places: an
operator that sqlglot does not know, a clause that names no column. It must never change a name, nor the line that one
stands on.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from .pieces import closing
from .tokens import Token

_READABLE = (exp.Query, exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Copy, exp.Create, exp.Values)
_OPERATOR = frozenset("+-*/<>=~!@#%^&|`?")


def parse(found: Sequence[Token]) -> exp.Expr | None:
    """Parse one statement; None where sqlglot cannot, or does so only as a command that it does not understand."""
    return _tree(_written(found)) or _tree(_written(list(_plainer(found))))


def _tree(text: str) -> exp.Expr | None:
    try:
        with _silent():
            trees = sqlglot.parse(text, read="postgres")
    except (SqlglotError, RecursionError, ValueError, AttributeError, TypeError, IndexError, KeyError):
        # sqlglot is another's parser: on strange input it can stumble in its own code, which is unread as well.
        return None
    if len(trees) != 1 or not isinstance(trees[0], _READABLE) or trees[0].find(exp.Command):
        return None
    return trees[0]


@contextmanager
def _silent() -> Iterator[None]:
    """Keep sqlglot's own warnings off the terminal: what it falls back on is counted as unread here."""
    logger = logging.getLogger("sqlglot")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _written(found: Sequence[Token]) -> str:
    """Write tokens again, each on the line it stood on, without comments."""
    parts: list[str] = []
    line, end = (found[0].line, found[0].start) if found else (1, 0)
    for token in found:
        if token.line > line:
            parts.append("\n" * (token.line - line))
        elif token.start > end:
            parts.append(" ")
        parts.append(_spelt(token))
        line, end = token.line + token.text.count("\n"), token.end
    return "".join(parts)


def _spelt(token: Token) -> str:
    """Return a token as sqlglot takes it: to sqlglot ``$1,$2`` would begin a string in dollar quotes.

    A parameter becomes a name, which is how an argument is looked for as well (``reader.scopes``).
    """
    if token.kind == "parameter":
        return f'"{token.text}"'
    if token.text.startswith("$"):
        return "'" + token.value.replace("'", "''") + "'"
    return token.text


def _plainer(found: Sequence[Token]) -> Iterator[Token]:
    """Replace what sqlglot has been seen not to know and what names no column."""
    rest = list(found)
    while rest:
        token = rest[0]
        if _is(rest, "overriding", None, "value"):
            del rest[:3]
        elif _is(rest, "where", "current", "of"):
            del rest[:4]
        elif _is(rest, "returning", "with", "("):
            yield token
            del rest[: closing(rest, 2) + 1]
        elif token.kind == "parameter":
            # Where only a constant may stand: interval $1.
            yield replace(token, kind="string", text="'x'")
            del rest[0]
        elif _is(rest, "operator", "("):
            yield replace(token, text="+", kind="operator")
            del rest[: closing(rest, 1) + 1]
        elif _is(rest, "from", "stdin"):  # of COPY: what comes after are options, and a condition on the rows read
            yield from rest[:2]
            return
        elif (run := list(itertools.takewhile(lambda t: t.text in _OPERATOR or t.text in _LONGER, rest))) and (
            sum(len(t.text) for t in run) > 1 and "".join(t.text for t in run) not in _LONGER
        ):
            # A sign may follow an operator, and a star stands alone.
            yield replace(token, text=" + ")
            del rest[: len(run)]
        else:
            yield token
            del rest[0]


_LONGER = frozenset(["<=", ">=", "<>", "!=", "||", "<<", ">>"])


def _is(rest: Sequence[Token], *words: str | None) -> bool:
    if len(rest) < len(words):
        return False
    return all(w is None or t.is_word(w) or t.text == w for t, w in zip(rest, words, strict=False))
