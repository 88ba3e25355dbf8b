"""Reads one SQL statement: which watched columns it names, and what it takes by position or by ``*``.

Decides by the statement's tree alone (sqlglot makes it). It must never take a column of another table, a variable, a
string or a comment for a watched text; and a statement that cannot be parsed is said to be unread, not dropped.
"""

from __future__ import annotations

from .parse import parse
from .pieces import closing, split
from .scopes import NOTHING, UNKNOWN, Names, Place, Shape
from .tokens import Token, names, tokens
from .walk import Walk
from .world import Kind, Reading, Use, World

#: First words of statements that read or write rows. Others (DDL, SET, transactions) name columns for other reasons.
ROWS = frozenset(["select", "insert", "update", "delete", "merge", "with", "values", "table", "copy"])


def read_tokens(
    found: list[Token],
    world: World,
    variables: Names | None = None,
    *,
    place: Place = Place.RESULT,
    line: int = 1,
    into: Reading,
) -> Shape:
    """Read one statement.

    Args:
        found: its tokens, without a semicolon at its end.
        world: the database.
        variables: what it may name besides tables.
        place: where its result goes.
        line: the line on which the text begins that the tokens were cut from.
        into: gets what is found.

    Returns:
        The columns of its result.
    """
    variables = variables or Names()
    found = _inner(found)
    if not found or not (found[0].is_word(*ROWS, "create") or found[0].text == "("):
        return NOTHING
    if not concerns(found, world, variables):
        return NOTHING
    first = line + found[0].line - 1
    tree = parse(found)
    if tree is not None:
        try:
            return Walk(world, variables, into, first).statement(tree, place)
        except RecursionError:  # a tree too deep to be walked is as good as unread
            tree = None
    if not found[0].is_word("create"):
        _unread(found, world, into, first)
    return UNKNOWN


def read(text: str, world: World, variables: Names | None = None) -> Reading:
    """Read a text of one statement, or of several, as ``pg_stat_statements`` keeps them."""
    reading = Reading()
    for part in split(tokens(text)):
        read_tokens(part, world, variables, into=reading)
    return reading


def concerns(found: list[Token], world: World, variables: Names) -> bool:
    """Whether the tokens name a watched table, a text, or a row variable; else there is nothing to find in them."""
    rows = {n for n, shape in variables.variables.items() if shape is not None}
    used = names(found) | {t.text for t in found if t.kind == "parameter"}
    return bool(used & (world.words | rows | set(variables.tables)))


def _inner(found: list[Token]) -> list[Token]:
    """Take EXPLAIN, PREPARE and DECLARE off the statement that they hold."""
    if not found:
        return found
    head = found[0]
    if head.is_word("explain"):
        rest = found[1:]
        while rest and rest[0].is_word("analyze", "analyse", "verbose"):
            rest = rest[1:]
        if rest and rest[0].text == "(" and not (len(rest) > 1 and rest[1].is_word("select", "with", "values")):
            rest = rest[closing(rest) + 1 :]
        return _inner(rest)
    if head.is_word("prepare", "declare"):
        last = "as" if head.value == "prepare" else "for"
        at = next((i for i, t in enumerate(found) if t.is_word(last)), None)
        return [] if at is None else found[at + 1 :]
    return found


def _unread(found: list[Token], world: World, reading: Reading, line: int) -> None:
    """What can be said of a statement without its tree: the names that stand in it."""
    reading.unread.append(line)
    named = names(found)
    for table in world.watched:
        if table.name.name in named:
            for text in sorted(table.texts & named):
                use = Use(table.name, Kind.UNREAD, text, certain=False, line=line, why="the statement cannot be parsed")
                reading.uses.append(use)
