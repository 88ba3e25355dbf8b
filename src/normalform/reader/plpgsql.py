"""Finds the statements and expressions in a PL/pgSQL body and hands each to the statement reader.

Decides where one ends as the server's own grammar does: at the next THEN, LOOP or semicolon outside parentheses. It
must never take a variable for a column: what a name means is decided with the body's own variables at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from . import tokens as lex
from .dynamic import read_dynamic
from .pieces import cut, without_into
from .scopes import NOTHING, UNKNOWN, Hit, Names, Place, Shape, relation, together
from .statement import ROWS, read_tokens
from .tokens import Token
from .world import Kind, Reading, Use, World

_QUERY = ("select", "with", "values", "table", "insert", "update", "delete", "merge", "(")
_IGNORED = frozenset(["null", "commit", "rollback", "close", "get", "move", "set", "reset"])
_DDL = frozenset([
    "alter", "analyze", "cluster", "comment", "create", "discard", "do", "drop", "explain", "grant", "import", "listen",
    "lock", "notify", "refresh", "reindex", "revoke", "truncate", "vacuum",
])  # fmt: skip
_BLOCK = frozenset(["begin", "else", "exception", "loop", "declare"])


class Body:
    """One body's reading.

    Args:
        text: the body.
        world: the database.
        names: arguments, NEW and OLD, transition tables.
        returns: where RETURN QUERY's columns go.
        reading: gets what is found.
        line: the line of its first character.
    """

    def __init__(
        self, text: str, world: World, names: Names, *, returns: Place, reading: Reading, line: int = 1
    ) -> None:
        self.text, self.world, self.returns, self.reading, self.first = text, world, returns, reading, line
        self.tokens = lex.tokens(text)
        self.variables: dict[str, Shape | None] = dict(names.variables)
        self.assigned: dict[str, list[Token]] = {}
        column, variable = self._conflict(names)
        self.names = replace(names, variables=self.variables, column_wins=column, variable_wins=variable)
        self.at = 0

    def read(self) -> Reading:
        """Read the body: twice, since a row variable's columns may be known only further down, in a loop."""
        for last in (False, True):
            kept = self.reading
            self.reading = kept if last else Reading()
            self.at = 0
            self._statements()
            self.reading = kept
        return self.reading

    def _conflict(self, names: Names) -> tuple[bool, bool]:
        words = [t.value for t in self.tokens[:3]]
        if words[:2] != ["#", "variable_conflict"]:
            return names.column_wins, names.variable_wins
        return words[2:] == ["use_column"], words[2:] == ["use_variable"]

    # ------------------------------------------------------------------ tokens

    def _peek(self, ahead: int = 0) -> Token | None:
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else None

    def _until(self, *words: str) -> list[Token]:
        """Take tokens up to one of the words or a semicolon outside parentheses, and step behind it."""
        found: list[Token] = []
        depth = 0
        while (token := self._peek()) is not None:
            self.at += 1
            if token.kind == "operator" and token.text in "()[]":
                depth += 1 if token.text in "([" else -1
            if depth <= 0 and (token.is_word(*words) or token.text == ";"):
                break
            found.append(token)
        return found

    # ------------------------------------------------------------------ statements

    def _statements(self) -> None:
        handling, cases = False, 0
        while (token := self._peek()) is not None:
            word = token.value if token.kind == "word" else ""
            following = self._peek(1)
            if following is not None and following.text in (":=", "=", ".", "["):
                self._assignment(self._until())
            elif token.text in ("<<", "#"):
                self.at += 3
            elif word == "declare":
                self.at += 1
                self._declarations()
            elif word in _BLOCK:
                handling = handling if word in ("else", "loop") else word == "exception"
                self.at += 1
            elif word == "end":
                rest = self._until()
                cases -= bool(rest and rest[1:] and rest[1].is_word("case"))
                handling = handling and bool(rest[1:] and rest[1].is_word("if", "loop", "case"))
            elif word == "when" and handling and not cases:
                self._until("then")
            else:
                cases += word == "case"
                self.at += 1
                self._statement(token, word)

    def _statement(self, token: Token, word: str) -> None:
        if word in ("if", "elsif", "elseif"):
            self._expression(self._until("then"))
        elif word == "while":
            self._expression(self._until("loop"))
        elif word == "case":
            self._expression(self._until("when"))
            self._expression(self._until("then"))
        elif word == "when":
            self._expression(self._until("then"))
        elif word == "for":
            self._for()
        elif word == "foreach":
            self._scalars(self._until("in"))
            self._expression([t for t in self._until("loop") if not t.is_word("array")])
        elif word == "return":
            self._return()
        elif word in ("raise", "assert"):
            self._raise(self._until())
        elif word == "execute":
            self._execute(token.line, self._until())
        elif word in ("perform", "call"):
            self._query(self._until(), Place.NONE, select=True)
        elif word == "open":
            self._open()
        elif word == "fetch":
            self._fetch(self._until())
        elif word in ("exit", "continue"):
            rest = self._until()
            at = next((i for i, t in enumerate(rest) if t.is_word("when")), None)
            self._expression(rest[at + 1 :] if at is not None else [])
        elif word in _IGNORED:
            self._until()
        elif word in ROWS or word in _DDL:
            self._sql([token, *self._until()])
        else:
            self._assignment([token, *self._until()])

    def _declarations(self) -> None:
        while (token := self._peek()) is not None and not token.is_word("begin"):
            declared = self._until()
            if len(declared) < 2:
                continue
            name, rest = declared[0].value, declared[1:]
            if rest and rest[0].is_word("constant"):
                rest = rest[1:]
            if any(t.is_word("cursor") for t in rest[:3]):
                self._cursor(name, rest)
                continue
            if rest and rest[0].is_word("alias"):
                of = rest[-1]
                self.variables[name] = self.variables.get(of.value)
                continue
            at = next((i for i, t in enumerate(rest) if t.is_word("default") or t.text in (":=", "=")), len(rest))
            self.variables.setdefault(name, None)
            shape = self._type(rest[:at])
            if shape is not None and self.variables[name] is None:
                self.variables[name] = shape
            self._assigned(name, rest[at + 1 :])
            self._expression(rest[at + 1 :])
        # What follows is BEGIN, or the end.

    def _cursor(self, name: str, rest: list[Token]) -> None:
        at = next((i for i, t in enumerate(rest) if t.is_word("for", "is")), len(rest))
        shape = self._query(rest[at + 1 :], Place.INNER) if at < len(rest) else NOTHING
        self.variables[name] = shape

    def _type(self, found: list[Token]) -> Shape | None:
        """Return the columns of a declared row; record ``table.column%TYPE`` as a use."""
        parts = [t.value for t in found if t.name is not None]
        percent = any(t.text == "%" for t in found)
        last = parts.pop() if percent and parts else ""
        dotted = [found[i].value for i in range(0, len(found), 2) if found[i].name is not None]
        path: list[str] = []
        for i, name in enumerate(dotted):
            path.append(name)
            if 2 * i + 1 >= len(found) or found[2 * i + 1].text != ".":
                break
        if percent and last == "type":
            if len(path) >= 2:
                shape = self._relation(path[:-1])
                hit = shape.has(path[-1])
                if isinstance(hit, Hit) and hit.column in hit.table.texts:
                    line = self._line(found[0])
                    use = Use(hit.table.name, Kind.READS, hit.column, hit.certain, line, "%TYPE")
                    self.reading.uses.append(use)
                return None
            return self.variables.get(path[0]) if path else None
        if path == ["record"]:
            return UNKNOWN
        shape = self._relation(path) if path else NOTHING
        return shape if shape.rows or (percent and last == "rowtype") else None

    def _relation(self, path: Sequence[str]) -> Shape:
        return relation(self.world, self.names, path[-2] if len(path) > 1 else "", path[-1])

    def _for(self) -> None:
        targets = self._until("in")
        found = self._until("loop")
        if found and found[0].is_word("execute"):
            self._row(targets, self._execute(found[0].line, found[1:]))
            return
        if found and (found[0].text == "(" or found[0].is_word(*_QUERY)):
            self._fill(targets, found)
        elif any(t.text == ".." for t in found):
            self._scalars(targets)
            for part in cut(found, "..", "by"):
                self._expression([t for t in part if not t.is_word("reverse")])
        elif found:
            self._expression(found[1:])
            self._row(targets, self.variables.get(found[0].value) or UNKNOWN)

    def _scalars(self, targets: list[Token]) -> None:
        for token in targets:
            if token.name is not None:
                self.variables.setdefault(token.value, None)

    def _return(self) -> None:
        token = self._peek()
        if token is not None and token.is_word("query"):
            self.at += 1
            following = self._peek()
            rest = self._until()
            if following is not None and following.is_word("execute"):
                self._execute(following.line, rest[1:])
            else:
                self._query(rest, self.returns)
            return
        rest = self._until()
        if rest and rest[0].is_word("next"):
            rest = rest[1:]
        if len(rest) > 1:  # RETURN NEW hands the row back as it is
            self._expression(rest)

    def _raise(self, found: list[Token]) -> None:
        for part in cut(found, ",", "using"):
            if len(part) > 2 and part[1].text in ("=", ":="):
                self._expression(part[2:])
            elif not (part and part[0].is_word("debug", "log", "info", "notice", "warning", "exception")):
                self._expression(part)

    def _execute(self, line: int, found: list[Token]) -> Shape:
        parts = cut(found, "into", "using")
        shape = UNKNOWN
        if parts:
            shape = read_dynamic(parts[0], self.world, self.assigned, self.first + line - 1, self.reading)
        at = next((i for i, t in enumerate(found) if t.is_word("using")), None)
        if at is not None:
            self._expression(found[at + 1 :])
        targets, _ = without_into([found[0], *found]) if found else ([], [])
        self._row(targets, shape)
        return shape

    def _open(self) -> None:
        found = self._until()
        at = next((i for i, t in enumerate(found) if t.is_word("for")), None)
        if at is None:
            self._expression(found[1:])
        elif len(found) > at + 1 and found[at + 1].is_word("execute"):
            self._execute(found[at + 1].line, found[at + 2 :])
        else:
            shape = self._query(found[at + 1 :], Place.RESULT)
            self.variables[found[0].value] = shape

    def _fetch(self, found: list[Token]) -> None:
        at = next((i for i, t in enumerate(found) if t.is_word("into")), None)
        if at:
            self._row(found[at + 1 :], self.variables.get(found[at - 1].value) or UNKNOWN)

    def _assignment(self, found: list[Token]) -> None:
        at = next((i for i, t in enumerate(found) if t.text in (":=", "=")), None)
        if at is None:
            return
        target = found[:at]
        self._assigned(target[0].value, found[at + 1 :])
        if len(target) == 3 and target[1].text == ".":
            shape = self.variables.get(target[0].value)
            hit = shape.has(target[2].value) if shape is not None else None
            if isinstance(hit, Hit) and hit.column in hit.table.texts:
                use = Use(hit.table.name, Kind.WRITES, hit.column, hit.certain, self._line(target[0]))
                self.reading.uses.append(use)
        elif len(target) > 1:
            self._expression(target[1:])
        self._expression(found[at + 1 :])

    def _assigned(self, name: str, found: list[Token]) -> None:
        known = self.assigned.setdefault(name, [])
        known += [t for t in found if t not in known]

    def _sql(self, found: list[Token]) -> None:
        targets, rest = without_into(found)
        if targets:
            self._fill(targets, rest)
        else:
            self._query(rest, Place.NONE)

    # ------------------------------------------------------------------ reading

    def _fill(self, targets: list[Token], found: list[Token]) -> None:
        """A query into variables: one row variable takes whatever columns come, others take them by position."""
        single = targets[-1].value if targets and not any(t.text in ",." for t in targets) else ""
        row = bool(single) and (self.variables.get(single) is not None or single not in self.variables)
        shape = self._query(found, Place.INNER if row else Place.ORDER)
        self._row(targets, shape)

    def _row(self, targets: list[Token], shape: Shape) -> None:
        names = [t.value for t in targets if t.name is not None and not t.is_word("strict")]
        if len(names) != 1:
            return
        known = self.variables.get(names[0])
        if names[0] not in self.variables or known == UNKNOWN:
            self.variables[names[0]] = shape
        elif known is not None and not _typed(known):
            self.variables[names[0]] = together([known, shape])

    def _query(self, found: list[Token], place: Place, *, select: bool = False) -> Shape:
        if not found:
            return NOTHING
        if select:
            found = [replace(found[0], kind="word", text="SELECT ", value="select", start=found[0].start - 7), *found]
        return read_tokens(found, self.world, self.names, place=place, line=self.first, into=self.reading)

    def _expression(self, found: list[Token]) -> None:
        if not found:
            return
        self._query(found, Place.NONE, select=True)

    def _line(self, token: Token) -> int:
        return self.first + token.line - 1


def _typed(shape: Shape) -> bool:
    """Whether the columns are those of a declared type, which no query changes."""
    return bool(shape.rows) and not shape.fields and not shape.open
