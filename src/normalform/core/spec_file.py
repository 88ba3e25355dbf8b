"""Reading a spec file: TOML in, :class:`Spec` or every problem at once out.

Decides what a key may hold and what the defaults are. Never looks at a database (``core.model`` does the fitting).
Every problem names the key, what is wrong and the nearest key that exists.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ..errors import SpecError
from .names import QName, nearest, parse_table, split_name
from .spec import (
    BackfillSpec,
    EnvironmentSpec,
    HooksSpec,
    LookupSpec,
    NewValue,
    QualifierSpec,
    ReferenceSpec,
    ScopeSpec,
    Spec,
)

T = TypeVar("T")
_DURATION = re.compile(r"(\d+)\s*(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

# The keys of each table of the file; `normalform/spec.schema.json` says the same, and a test compares the two.
TOP = ("version", "lookup", "reference", "defaults", "environment", "backfill", "hooks")
LOOKUP = ("table", "key", "text", "aliases", "scope", "qualifier", "unique", "new_row", "rename")
SCOPE = ("columns", "add", "copy", "join")
QUALIFIER = ("column", "path", "join", "parent", "separator")
NEW_VALUE = ("from", "otherwise", "value")
REFERENCE = (
    "table",
    "lookup",
    "text",
    "qualifier",
    "scope",
    "add",
    "required",
    "keep_text",
    "optional",
    "on_unknown",
    "on_delete",
    "app_triggers",
)
ENVIRONMENT = ("url_env", "sign_offs", "soak")
BACKFILL = ("target", "window_target", "workers", "vacuum")
HOOKS = ("stop", "start")


def parse(source: str) -> Spec:
    """Read the text of a spec file.

    Args:
        source: the file's whole text (TOML).

    Returns:
        The spec with every default filled in.

    Raises:
        SpecError: with every problem found, not only the first.
    """
    try:
        data = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise SpecError([f"the spec is not TOML: {error}"]) from error
    reader = _Reader()
    spec = reader.spec(data, source)
    if reader.problems:
        raise SpecError(reader.problems)
    return spec


class _Reader:
    def __init__(self) -> None:
        self.problems: list[str] = []

    def problem(self, path: str, text: str) -> None:
        self.problems.append(f"{path}: {text}")

    def keys(self, path: str, data: Mapping[str, Any], allowed: Sequence[str]) -> None:
        for key in data:
            if key not in allowed:
                near = nearest(key, allowed)
                known = f"; did you mean {near!r}?" if near else f"; known here: {', '.join(allowed)}"
                self.problem(f"{path}.{key}" if path else key, f"unknown key{known}")

    def table(self, path: str, data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        value = data.get(key, {})
        if not isinstance(value, dict):
            self.problem(_join(path, key), "must be a table")
            return {}
        return value

    def get(self, path: str, data: Mapping[str, Any], key: str, kind: type[T], default: T | None = None) -> T | None:
        value = data.get(key, default)
        if value is None:
            return None
        good = isinstance(value, kind) and not (kind in (int, float) and isinstance(value, bool))
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return kind(value)  # type: ignore[call-arg]
        if not good:
            self.problem(_join(path, key), f"must be {_KINDS[kind]}, not {value!r}")
            return default
        return value  # type: ignore[no-any-return]

    def need(self, path: str, data: Mapping[str, Any], key: str) -> str:
        value = self.get(path, data, key, str)
        if key not in data:
            self.problem(_join(path, key), "is missing")
        return value or ""

    def choice(self, path: str, data: Mapping[str, Any], key: str, choices: Sequence[str], default: str) -> Any:
        value = data.get(key, default)
        if value not in choices:
            self.problem(_join(path, key), f"must be one of {', '.join(choices)}, not {value!r}")
            return default
        return value

    def names(self, path: str, data: Mapping[str, Any], key: str) -> tuple[str, ...]:
        value = data.get(key, [])
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            self.problem(_join(path, key), f"must be a column or a list of columns, not {value!r}")
            return ()
        return tuple(value)

    def parsed(self, path: str, text: str, parse_text: Callable[[str], T]) -> T | None:
        try:
            return parse_text(text)
        except ValueError as error:
            self.problem(path, str(error))
            return None

    def spec(self, data: Mapping[str, Any], source: str) -> Spec:
        self.keys("", data, TOP)
        if data.get("version") != 1:
            self.problem("version", f"must be 1, not {data.get('version')!r}")
        lookups = tuple(self.lookup(name, value) for name, value in self.tables("lookup", data))
        if not lookups:
            self.problem("lookup", "names no lookup; add a [lookup.NAME] table")
        defaults_all = self.table("", data, "defaults")
        self.keys("defaults", defaults_all, ("reference",))
        defaults = self.table("defaults", defaults_all, "reference")
        self.keys("defaults.reference", defaults, REFERENCE)
        references = tuple(
            self.reference(name, {**defaults, **value}, {entry.name: entry for entry in lookups})
            for name, value in self.tables("reference", data)
        )
        if not references:
            self.problem("reference", "names no reference; add a [reference.TABLE] table")
        return Spec(
            lookups=lookups,
            references=references,
            environments=tuple(self.environment(name, value) for name, value in self.tables("environment", data)),
            backfill=self.backfill(self.table("", data, "backfill")),
            hooks=self.hooks(self.table("", data, "hooks")),
            source=source,
        )

    def tables(self, key: str, data: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
        found: list[tuple[str, Mapping[str, Any]]] = []
        for name, value in self.table("", data, key).items():
            if isinstance(value, dict):
                found.append((name, value))
            else:
                self.problem(f"{key}.{name}", "must be a table")
        return found

    def lookup(self, name: str, data: Mapping[str, Any]) -> LookupSpec:
        path = f"lookup.{name}"
        self.keys(path, data, LOOKUP)
        table = self.parsed(f"{path}.table", str(data.get("table", name)), parse_table) or QName("", name)
        return LookupSpec(
            name=name,
            table=table,
            key=self.get(path, data, "key", str, "id") or "id",
            text=self.need(path, data, "text"),
            aliases=self.get(path, data, "aliases", str),
            scope=self.scope(path, data.get("scope")),
            qualifier=self.qualifier(path, data.get("qualifier")),
            unique=self.names(path, data, "unique"),
            new_row=self.new_row(path, self.table(path, data, "new_row")),
            rename=self.choice(path, data, "rename", ("auto", "carry", "queue"), "auto"),
        )

    def scope(self, path: str, data: Any) -> ScopeSpec | None:
        path = f"{path}.scope"
        if data is None:
            return None
        if isinstance(data, str | list):
            return ScopeSpec(columns=self.names(path, {"columns": data}, "columns"))
        if not isinstance(data, dict):
            self.problem(path, "must be a column, a list of columns or a table")
            return None
        self.keys(path, data, SCOPE)
        if "columns" in data:
            if "add" in data:
                self.problem(path, "give either columns (they exist) or add (expand makes it), not both")
            return ScopeSpec(columns=self.names(path, data, "columns"))
        add, join = self.need(path, data, "add"), self.need(path, data, "join")
        source = self.column_of(f"{path}.copy", self.need(path, data, "copy"))
        return ScopeSpec(add=add, join=join, copy_table=source[0], copy_column=source[1])

    def column_of(self, path: str, text: str) -> tuple[QName, str]:
        parts = self.parsed(path, text, split_name) if text else None
        if parts is not None and len(parts) in (2, 3):
            return QName("" if len(parts) == 2 else parts[0], parts[-2]), parts[-1]
        if parts is not None:
            self.problem(path, f"must be table.column, not {text!r}")
        return QName("", "?"), "?"

    def qualifier(self, path: str, data: Any) -> QualifierSpec | None:
        path = f"{path}.qualifier"
        if data is None:
            return None
        if isinstance(data, str):
            return QualifierSpec(column=data)
        if not isinstance(data, dict):
            self.problem(path, "must be a column or a table")
            return None
        self.keys(path, data, QUALIFIER)
        if "column" in data:
            return QualifierSpec(column=self.need(path, data, "column"))
        table, column = self.column_of(f"{path}.path", self.need(path, data, "path"))
        return QualifierSpec(
            path_table=table,
            path_column=column,
            join=self.need(path, data, "join"),
            parent=self.get(path, data, "parent", str),
            separator=self.get(path, data, "separator", str, "/") or "/",
        )

    def new_row(self, path: str, data: Mapping[str, Any]) -> dict[str, NewValue]:
        result: dict[str, NewValue] = {}
        for column, value in data.items():
            where = f"{path}.new_row.{column}"
            if isinstance(value, str | int | float | bool):
                result[column] = NewValue("value", value=value)
            elif not isinstance(value, dict):
                self.problem(where, 'must be a value or { from = "qualifier", otherwise = … }')
            else:
                self.keys(where, value, NEW_VALUE)
                if value.get("from") == "qualifier":
                    result[column] = NewValue("qualifier", otherwise=self.get(where, value, "otherwise", str))
                else:
                    self.problem(f"{where}.from", f'must be "qualifier", not {value.get("from")!r}')
        return result

    def reference(self, name: str, data: Mapping[str, Any], lookups: Mapping[str, LookupSpec]) -> ReferenceSpec:
        path = f"reference.{name}"
        self.keys(path, {k: v for k, v in data.items() if k not in REFERENCE}, REFERENCE)
        lookup_name = self.need(path, data, "lookup")
        lookup = lookups.get(lookup_name)
        if lookup is None and lookup_name:
            near = nearest(lookup_name, lookups)
            self.problem(f"{path}.lookup", f"no lookup {lookup_name!r}" + (f"; did you mean {near!r}?" if near else ""))
        scope = self.names(path, data, "scope")
        if lookup is not None:
            self.scope_agrees(path, scope, lookup)
        qualifier = data.get("qualifier", False)
        if qualifier is not False and not isinstance(qualifier, str):
            self.problem(f"{path}.qualifier", f"must be a column or false, not {qualifier!r}")
            qualifier = False
        if qualifier and lookup is not None and lookup.qualifier is None:
            self.problem(f"{path}.qualifier", f"lookup {lookup_name!r} has no qualifier; set qualifier = false")
        required = bool(self.get(path, data, "required", bool, True))
        on_delete = self.choice(path, data, "on_delete", ("restrict", "no_action", "cascade", "set_null"), "restrict")
        if required and on_delete == "set_null":
            self.problem(f"{path}.on_delete", "set_null needs required = false")
        return ReferenceSpec(
            name=name,
            table=self.parsed(f"{path}.table", str(data.get("table", name)), parse_table) or QName("", name),
            lookup=lookup_name,
            text=self.need(path, data, "text"),
            qualifier=qualifier or None,
            scope=scope,
            add=self.need(path, data, "add"),
            required=required,
            keep_text=bool(self.get(path, data, "keep_text", bool, False)),
            optional=bool(self.get(path, data, "optional", bool, False)),
            on_unknown=self.choice(path, data, "on_unknown", ("defer", "create", "reject"), "defer"),
            on_delete=on_delete,
            app_triggers=self.choice(path, data, "app_triggers", ("fire", "skip"), "fire"),
        )

    def scope_agrees(self, path: str, scope: tuple[str, ...], lookup: LookupSpec) -> None:
        wanted = 0 if lookup.scope is None else 1 if lookup.scope.add else len(lookup.scope.columns)
        if len(scope) != wanted:
            self.problem(
                f"{path}.scope",
                f"names {len(scope)} column{'s' if len(scope) != 1 else ''}, lookup {lookup.name!r} has {wanted}",
            )

    def environment(self, name: str, data: Mapping[str, Any]) -> EnvironmentSpec:
        path = f"environment.{name}"
        self.keys(path, data, ENVIRONMENT)
        soak = self.get(path, data, "soak", str, "0s") or "0s"
        match = _DURATION.fullmatch(soak)
        if match is None:
            self.problem(f"{path}.soak", f"must be a number with s, m, h or d, such as 14d, not {soak!r}")
        seconds = int(match.group(1)) * _SECONDS[match.group(2)] if match else 0
        return EnvironmentSpec(name, self.need(path, data, "url_env"), self.names(path, data, "sign_offs"), seconds)

    def backfill(self, data: Mapping[str, Any]) -> BackfillSpec:
        self.keys("backfill", data, BACKFILL)
        default = BackfillSpec()
        spec = BackfillSpec(
            target=self.get("backfill", data, "target", float, default.target) or default.target,
            window_target=self.get("backfill", data, "window_target", float, default.window_target)
            or default.window_target,
            workers=self.get("backfill", data, "workers", int, default.workers) or 0,
            vacuum=self.choice("backfill", data, "vacuum", ("between", "after", "never"), default.vacuum),
        )
        if not 1 <= spec.workers <= 8:
            self.problem("backfill.workers", f"must be 1 to 8, not {spec.workers}")
        for key, seconds in (("target", spec.target), ("window_target", spec.window_target)):
            if not 0.01 <= seconds <= 30:
                self.problem(f"backfill.{key}", f"must be 0.01 to 30 seconds, not {seconds}")
        return spec

    def hooks(self, data: Mapping[str, Any]) -> HooksSpec:
        self.keys("hooks", data, HOOKS)
        return HooksSpec(self.get("hooks", data, "stop", str), self.get("hooks", data, "start", str))


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


_KINDS: dict[type, str] = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
