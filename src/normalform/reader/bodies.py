"""Reads the body of a function or procedure: does it touch a text?

Decides by its language what can be read: SQL and PL/pgSQL statement by statement; of any other language only which
names stand in it, which is uncertain. It must never say nothing of a body that it could not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from . import tokens as lex
from .pieces import split
from .plpgsql import Body
from .scopes import Names, Place, Shape
from .statement import read_tokens
from .world import Kind, Reading, Use, Watched, World

#: Bodies in these languages are no text: the name of a symbol in a library.
COMPILED = frozenset(["internal", "c"])


@dataclass(frozen=True)
class Argument:
    """An argument: its name (may be empty), the relation whose row type it has, if any, and whether it is given.

    ``given`` is False for OUT arguments and the columns of RETURNS TABLE, which have no ``$n``.
    """

    name: str
    relation: tuple[str, str] | None = None
    given: bool = True


@dataclass(frozen=True)
class Trigger:
    """A trigger that calls the function: its table, and the names of its transition tables."""

    relation: tuple[str, str]
    transitions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Function:
    """A function or procedure.

    Args:
        signature: its name with its argument types, as ``regprocedure`` prints it.
        language: its language.
        body: its text: ``prosrc``, or what the server prints of an SQL-standard body.
        arguments: its arguments, in order.
        returns: the relation whose rows it returns, if any.
        returns_nothing: whether it returns ``void`` or ``trigger``.
        triggers: who calls it as a trigger function.
        path: its own search path, if it sets one.
        settings: what else it sets, by name.
        standard: whether its body is SQL-standard, so that the catalog knows what it uses.
    """

    signature: str
    language: str
    body: str
    arguments: tuple[Argument, ...] = ()
    returns: tuple[str, str] | None = None
    returns_nothing: bool = False
    triggers: tuple[Trigger, ...] = ()
    path: tuple[str, ...] | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    standard: bool = False


def read_function(function: Function, world: World) -> Reading:
    """Read a function's body.

    Args:
        function: the function.
        world: the database; the function's own search path is used in its place.

    Returns:
        What the body does with watched tables.
    """
    reading = Reading()
    world = world.along(function.path)
    if function.language == "sql":
        _sql(function, world, reading)
    elif function.language == "plpgsql":
        conflict = function.settings.get("plpgsql.variable_conflict", "")
        names = _names(function, world, column_wins=conflict == "use_column", variable_wins=conflict == "use_variable")
        Body(function.body, world, names, returns=_place(function, world), reading=reading).read()
    elif function.language not in COMPILED:
        _foreign(function, world, reading)
    return reading


def _names(function: Function, world: World, *, column_wins: bool = False, variable_wins: bool = False) -> Names:
    variables: dict[str, Shape | None] = {}
    place = 0
    for argument in function.arguments:
        shape = _row(argument.relation, world)
        if argument.given:
            place += 1
            variables[f"${place}"] = shape
        if argument.name:
            variables[argument.name] = shape
    tables: dict[str, Shape] = {}
    if function.triggers:
        own = [w for w in world.watched for t in function.triggers if _is(w, t.relation)]
        others = any(not any(_is(w, t.relation) for w in world.watched) for t in function.triggers)
        row = Shape(rows=tuple((w, True) for w in dict.fromkeys(own)), open=others)
        variables |= {"new": row, "old": row}
        for trigger in function.triggers:
            for name in trigger.transitions:
                tables[name] = _row(trigger.relation, world) or tables.get(name, Shape(open=True))
    return Names(variables, tables, column_wins, variable_wins)


def _row(relation: tuple[str, str] | None, world: World) -> Shape | None:
    own = next((w for w in world.watched if relation is not None and _is(w, relation)), None)
    return Shape(rows=((own, True),)) if own is not None else None


def _is(table: Watched, relation: tuple[str, str]) -> bool:
    return (table.name.schema, table.name.name) == relation


def _place(function: Function, world: World) -> Place:
    """Where the rows that it returns go: a row type grows with its table, a fixed list of columns does not."""
    if function.returns_nothing:
        return Place.NONE
    return Place.INNER if _row(function.returns, world) else Place.FIXED


def _sql(function: Function, world: World, reading: Reading) -> None:
    found = lex.tokens(function.body)
    names = _names(function, world, column_wins=True)
    if found and found[0].is_word("return"):
        found = [lex.Token("word", "SELECT", "select", found[0].start, found[0].line), *found[1:]]
    if len(found) > 2 and found[0].is_word("begin") and found[1].is_word("atomic"):
        found = found[2:-1]
    parts = list(split(found))
    for i, part in enumerate(parts):
        place = _place(function, world) if i == len(parts) - 1 else Place.NONE
        read_tokens(part, world, names, place=place, into=reading)


def _foreign(function: Function, world: World, reading: Reading) -> None:
    """In another language a name may stand in a string that is sent as SQL, so that strings count."""
    found = lex.tokens(function.body)
    written = lex.names(found).union(*(lex.names(lex.tokens(t.value)) for t in found if t.kind == "string"))
    for table in world.watched:
        attached = any(_is(table, t.relation) for t in function.triggers)
        if table.name.name in written or attached:
            for text in sorted(table.texts & written):
                why = f"a body in {function.language} is not parsed"
                reading.uses.append(Use(table.name, Kind.UNREAD, text, certain=False, why=why))
