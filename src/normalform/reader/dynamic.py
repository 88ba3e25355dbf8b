"""SQL that a function puts together at run time: what can be said of it from its literal parts.

Decides between three answers: the text is constant and is read like any other; parts of it name something of the
migration, so that it may touch a text (uncertain); or nothing in it does, and what it touches cannot be known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from . import tokens as lex
from .pieces import split
from .scopes import UNKNOWN, Names, Place, Shape
from .statement import read_tokens
from .tokens import Token
from .world import Kind, Reading, Use, World


def read_dynamic(
    found: Sequence[Token], world: World, assigned: Mapping[str, Sequence[Token]], line: int, into: Reading
) -> Shape:
    """Read what follows EXECUTE.

    Args:
        found: the expression's tokens.
        world: the database.
        assigned: by variable, the tokens of everything that is assigned to it anywhere in the function.
        line: the line of EXECUTE, from 1.
        into: gets what is found.

    Returns:
        The columns of the result, where the text is constant.
    """
    shape = UNKNOWN
    if len(found) == 1 and found[0].kind == "string":
        for part in split(lex.tokens(found[0].value)):
            shape = read_tokens(part, world, Names(), place=Place.NONE, line=line, into=into)
        return shape
    pieces = list(found)
    followed: set[str] = set()
    while new := {t.value for t in pieces if t.kind == "word"} & set(assigned) - followed:
        followed |= new
        for name in sorted(new):
            pieces += assigned[name]
    written = frozenset().union(*(lex.names(lex.tokens(t.value)) for t in pieces if t.kind == "string"))
    tables = [w for w in world.watched if w.texts and w.name.name in written]
    texts = {t for w in world.watched for t in w.texts} & written
    why = "SQL that is put together at run time"
    for table in tables:
        for text in sorted(table.texts & texts) or [""]:
            into.uses.append(Use(table.name, Kind.UNREAD, text, certain=False, line=line, why=why))
    if not tables:
        for table in world.watched:
            for text in sorted(table.texts & texts):
                into.uses.append(Use(table.name, Kind.UNREAD, text, certain=False, line=line, why=why))
    if not tables and not texts:
        into.opaque.append(line)
    return shape
