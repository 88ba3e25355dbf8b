"""Reading values of a TOML document by key: the value in its type, or a problem that names the key.

Decides how a wrong value is reported. Knows nothing of specs: which keys there are is ``core.spec_file``'s matter.
Never raises for what a document holds, and never quotes more of it than a person can use.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from .names import nearest, unusable

T = TypeVar("T")
_LONGEST_SHOWN = 60


def key_path(*keys: str) -> str:
    """Return keys as one dotted TOML key; a part is quoted where TOML needs it."""
    return ".".join(k if re.fullmatch(r"[A-Za-z0-9_-]+", k) else json.dumps(k, ensure_ascii=False) for k in keys)


def shown(value: Any) -> str:
    """Return a value as an error shows it: short, and never failing, whatever a document holds."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if abs(value) < 10**18 else "a number of 19 digits or more"
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


@dataclass(frozen=True)
class Section:
    """A table of the document and its path; a key that is not in it may be taken from another one (its defaults)."""

    path: str
    data: Mapping[str, Any]
    defaults: Section | None = None

    def has(self, key: str) -> bool:
        """Return whether the key is given, here or in the defaults."""
        return key in self.data or (self.defaults is not None and self.defaults.has(key))

    def get(self, key: str) -> Any:
        """Return the key's value as the document has it, or None."""
        if key in self.data or self.defaults is None:
            return self.data.get(key)
        return self.defaults.get(key)

    def at(self, key: str) -> str:
        """Return the path of a key, where its value was found."""
        if key not in self.data and self.defaults is not None and self.defaults.has(key):
            return self.defaults.at(key)
        return f"{self.path}.{key_path(key)}" if self.path else key_path(key)


class Reader:
    """Reads sections and keeps every problem, each once."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def problem(self, path: str, text: str) -> None:
        """Keep a problem."""
        line = f"{path}: {text}"
        if line not in self.problems:
            self.problems.append(line)

    def known(self, section: Section, allowed: Sequence[str]) -> None:
        """Report every key that is not among the allowed ones, with the nearest of those."""
        for key in section.data:
            if key not in allowed:
                near = nearest(key, allowed)
                self.problem(
                    section.at(key),
                    "unknown key; " + (f"did you mean {near!r}?" if near else f"known here: {', '.join(allowed)}"),
                )

    def section(self, parent: Section, key: str) -> Section:
        """Return a table within a table; an empty one when it is not given."""
        value = parent.get(key)
        if value is not None and not isinstance(value, dict):
            self.problem(parent.at(key), f"must be a table, not {shown(value)}")
        return Section(parent.at(key), value if isinstance(value, dict) else {})

    def sections(self, parent: Section, key: str) -> list[tuple[str, Section]]:
        """Return the tables within a table of tables, by name."""
        outer = self.section(parent, key)
        for name, value in outer.data.items():
            if not isinstance(value, dict):
                self.problem(outer.at(name), f"must be a table, not {shown(value)}")
        return [(n, Section(outer.at(n), v)) for n, v in outer.data.items() if isinstance(v, dict)]

    def string(self, section: Section, key: str, default: str | None = None) -> str | None:
        """Return a text that is not empty."""
        value = section.get(key)
        if value is None:
            return default
        if isinstance(value, str) and value and "\0" not in value:
            return value
        what = "is empty" if value == "" else "holds a NUL character" if isinstance(value, str) else None
        self.problem(section.at(key), what or f"must be a text, not {shown(value)}")
        return default

    def column(self, section: Section, key: str) -> str | None:
        """Return a column's name, as it is in the database."""
        return self._identifier(section.at(key), self.string(section, key))

    def needed(self, section: Section, key: str, read: Callable[[Section, str], str | None]) -> str:
        """Return what ``read`` gives for a key that must be there; a stand-in after a problem."""
        if not section.has(key):
            self.problem(section.at(key), "is missing")
        return read(section, key) or "?"

    def columns(self, section: Section, key: str) -> tuple[str, ...]:
        """Return one column's name or a list of them, none twice."""
        value = section.get(key)
        if value is None:
            return ()
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list) or not all(isinstance(v, str) for v in listed):
            self.problem(section.at(key), f"must be a column or a list of columns, not {shown(value)}")
            return ()
        for name in listed:
            self._identifier(section.at(key), name)
        twice = sorted({name for name in listed if listed.count(name) > 1})
        if twice:
            self.problem(section.at(key), f"names {', '.join(map(shown, twice))} twice")
        return tuple(listed)

    def number(self, section: Section, key: str, default: float, low: float, high: float, unit: str) -> float:
        """Return a number within bounds; the default otherwise."""
        value = section.get(key)
        if value is None:
            return default
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        self.problem(section.at(key), f"must be {low} to {high} {unit}, not {shown(value)}")
        return default

    def whole(self, section: Section, key: str, default: int, low: int, high: int) -> int:
        """Return a whole number within bounds; the default otherwise."""
        value = section.get(key)
        if value is None:
            return default
        if isinstance(value, float) and math.isfinite(value) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.problem(section.at(key), f"must be a whole number from {low} to {high}, not {shown(value)}")
        return default

    def flag(self, section: Section, key: str, default: bool) -> bool:
        """Return true or false."""
        value = section.get(key)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        self.problem(section.at(key), f"must be true or false, not {shown(value)}")
        return default

    def choice(self, section: Section, key: str, choices: Sequence[str], default: str) -> Any:
        """Return one of the choices."""
        value = section.get(key)
        if value is None or value in choices:
            return default if value is None else value
        self.problem(section.at(key), f"must be one of {', '.join(choices)}, not {shown(value)}")
        return default

    def parsed(self, section: Section, key: str, text: str, parse: Callable[[str], T]) -> T | None:
        """Return what a parser makes of a text; its ValueError becomes a problem of the key."""
        try:
            return parse(text)
        except ValueError as error:
            self.problem(section.at(key), str(error))
            return None

    def _identifier(self, path: str, name: str | None) -> str | None:
        fault = unusable(name) if name is not None else None
        if fault:
            self.problem(path, f"{shown(name)} {fault}")
        return name
