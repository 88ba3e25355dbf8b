"""Reading a spec file: TOML in, :class:`Spec` or every problem at once out.

Decides what a key may hold and what the defaults are. Never looks at a database (``core.model`` does the fitting).
Every problem names the key, what is wrong and the nearest key that exists.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace

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
from .toml_reader import Reader, Section, shown

_DURATION = re.compile(r"([0-9]{1,6})\s*([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# The keys of each table of the file; `normalform/spec.schema.json` says the same, and a test compares the two.
TOP = ("version", "lookup", "reference", "defaults", "environment", "backfill", "hooks")
LOOKUP = ("table", "key", "text", "aliases", "scope", "qualifier", "unique", "new_row", "rename", "create", "key_type")
SCOPE = ("columns", "add", "copy", "join")
QUALIFIER = ("column", "path", "join", "parent", "separator")
NEW_VALUE = ("from", "otherwise")
DEFAULTS = ("reference",)
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
    except RecursionError as error:
        raise SpecError(["the spec is not TOML that can be read: it is nested too deeply"]) from error
    except ValueError as error:  # TOMLDecodeError is one; so is a number of more digits than Python reads
        raise SpecError([f"the spec is not TOML: {error}"]) from error
    reader = _SpecReader()
    spec = reader.spec(Section("", data), source)
    if reader.problems:
        raise SpecError(reader.problems)
    return spec


class _SpecReader(Reader):
    def spec(self, top: Section, source: str) -> Spec:
        self.known(top, TOP)
        version = top.get("version")
        if version != 1 or isinstance(version, bool):
            self.problem("version", f"must be 1, not {shown(version)}" if top.has("version") else "is missing")
        lookups = tuple(self.lookup(name, section) for name, section in self.sections(top, "lookup"))
        if not top.get("lookup"):
            self.problem("lookup", "names no lookup; add a [lookup.NAME] table")
        if not top.get("reference"):
            self.problem("reference", "names no reference; add a [reference.TABLE] table")
        outer = self.section(top, "defaults")
        self.known(outer, DEFAULTS)
        defaults = self.section(outer, "reference")
        self.known(defaults, REFERENCE)
        self.reference_of("defaults", defaults)  # for its mistakes, also where every reference overrides them
        by_name = {entry.name: entry for entry in lookups}
        return Spec(
            lookups=lookups,
            references=tuple(
                self.reference(name, Section(section.path, section.data, defaults), by_name)
                for name, section in self.sections(top, "reference")
            ),
            environments=tuple(self.environment(name, section) for name, section in self.sections(top, "environment")),
            backfill=self.backfill(self.section(top, "backfill")),
            hooks=self.hooks(self.section(top, "hooks")),
            source=source,
        )

    def table_name(self, name: str, section: Section) -> QName:
        """Return the table: the one named, else the one of the section's own name, both read as SQL reads a name."""
        text = self.string(section, "table", name) or name
        return self.parsed(section, "table", text, parse_table) or QName("", "?")

    def lookup(self, name: str, section: Section) -> LookupSpec:
        self.known(section, LOOKUP)
        create = self.flag(section, "create", False)
        if create:
            self.creatable(section)
        elif section.has("key_type"):
            self.problem(section.at("key_type"), "means nothing without create = true: the table has its key")
        return LookupSpec(
            name=name,
            table=self.table_name(name, section),
            key=self.column(section, "key") or "id",
            text=self.needed(section, "text", self.column),
            aliases=self.column(section, "aliases"),
            scope=self.scope(section),
            qualifier=self.qualifier(section),
            unique=self.columns(section, "unique"),
            new_row=self.new_row(self.section(section, "new_row")),
            rename=self.choice(section, "rename", ("auto", "carry", "queue"), "auto"),
            create=create,
            key_type=self.choice(section, "key_type", ("bigint", "integer", "uuid"), "bigint"),
        )

    def creatable(self, section: Section) -> None:
        """Report what a table that is yet to be made cannot have, or has by itself."""
        self.alone(section, "create", ("aliases", "unique", "new_row"), "the table is made of the references' values")
        for key in ("scope", "qualifier"):
            if isinstance(section.get(key), dict) and not set(section.get(key)) <= {"columns", "column"}:
                self.problem(section.at(key), "must be plain columns beside create = true: the table is made with them")

    def scope(self, lookup: Section) -> ScopeSpec | None:
        value = lookup.get("scope")
        if value is None:
            return None
        if isinstance(value, str | list):
            return self.scope_columns(lookup, "scope")
        if not isinstance(value, dict):
            self.problem(lookup.at("scope"), f"must be a column, a list of columns or a table, not {shown(value)}")
            return None
        section = self.section(lookup, "scope")
        self.known(section, SCOPE)
        if section.has("columns"):
            self.alone(section, "columns", SCOPE, "they exist already, nothing is added")
            return self.scope_columns(section, "columns")
        add, join = self.needed(section, "add", self.column), self.needed(section, "join", self.column)
        table, column = self.column_of(section, "copy")
        return ScopeSpec(add=add, join=join, copy_table=table, copy_column=column)

    def scope_columns(self, section: Section, key: str) -> ScopeSpec:
        columns = self.columns(section, key)
        if section.get(key) == []:
            self.problem(section.at(key), "names no column; leave it out where the lookup has no scope")
        return ScopeSpec(columns=columns)

    def qualifier(self, lookup: Section) -> QualifierSpec | None:
        value = lookup.get("qualifier")
        if value is None:
            return None
        if isinstance(value, str):
            return QualifierSpec(column=self.column(lookup, "qualifier"))
        if not isinstance(value, dict):
            self.problem(lookup.at("qualifier"), f"must be a column or a table, not {shown(value)}")
            return None
        section = self.section(lookup, "qualifier")
        self.known(section, QUALIFIER)
        if section.has("column"):
            self.alone(section, "column", QUALIFIER, "it is the qualifier itself, there is no path to walk")
            return QualifierSpec(column=self.column(section, "column"))
        table, column = self.column_of(section, "path")
        return QualifierSpec(
            path_table=table,
            path_column=column,
            join=self.needed(section, "join", self.column),
            parent=self.column(section, "parent"),
            separator=self.string(section, "separator", "/") or "/",
        )

    def alone(self, section: Section, key: str, keys: Sequence[str], reason: str) -> None:
        """Report the keys that mean nothing beside another one."""
        for other in keys:
            if other != key and section.has(other):
                self.problem(section.at(other), f"means nothing beside {key!r}: {reason}")

    def column_of(self, section: Section, key: str) -> tuple[QName, str]:
        if not section.has(key):
            self.problem(section.at(key), "is missing")
        text = self.string(section, key)
        parts = self.parsed(section, key, text, split_name) if text else None
        if parts is not None and len(parts) in (2, 3):
            return QName("" if len(parts) == 2 else parts[0], parts[-2]), parts[-1]
        if parts is not None:
            self.problem(section.at(key), f"must be table.column, not {shown(text)}")
        return QName("", "?"), "?"

    def new_row(self, section: Section) -> dict[str, NewValue]:
        result: dict[str, NewValue] = {}
        for column, value in section.data.items():
            if isinstance(value, dict):
                inner = Section(section.at(column), value)
                self.known(inner, NEW_VALUE)
                if inner.get("from") != "qualifier":
                    self.problem(inner.at("from"), f'must be "qualifier", not {shown(inner.get("from"))}')
                result[column] = NewValue("qualifier", otherwise=self.string(inner, "otherwise"))
            elif (isinstance(value, int) and abs(value) >= 2**63) or (isinstance(value, str) and "\0" in value):
                self.problem(section.at(column), "is no value that a column can hold")
            elif isinstance(value, str | int | float):
                result[column] = NewValue("value", value=value)
            else:
                self.problem(section.at(column), 'must be a value or { from = "qualifier", otherwise = … }')
        return result

    def reference(self, name: str, section: Section, lookups: Mapping[str, LookupSpec]) -> ReferenceSpec:
        self.known(section, REFERENCE)
        for key in ("lookup", "text", "add"):
            if not section.has(key):
                self.problem(section.at(key), "is missing")
        spec = self.reference_of(name, section)
        lookup = lookups.get(spec.lookup)
        if lookup is not None and lookup.create and not section.has("on_unknown"):
            spec = replace(spec, on_unknown="create")  # a table of all the values there are takes new ones as well
        if lookup is None and isinstance(section.get("lookup"), str):
            near = nearest(spec.lookup, lookups)
            hint = f"; did you mean {near!r}?" if near else f"; lookups: {', '.join(lookups) or 'none'}"
            self.problem(section.at("lookup"), f"no lookup {spec.lookup!r}{hint}")
        if lookup is not None:
            self.scope_agrees(section, spec.scope, lookup)
            if spec.qualifier and lookup.qualifier is None:
                self.problem(section.at("qualifier"), f"lookup {lookup.name!r} has no qualifier; set qualifier = false")
        if spec.required and spec.on_delete == "set_null":
            self.problem(section.at("on_delete"), "set_null needs required = false")
        return spec

    def reference_of(self, name: str, section: Section) -> ReferenceSpec:
        """Return what the values of a reference, or of the defaults, say by themselves."""
        qualifier = section.get("qualifier")
        if qualifier is not None and qualifier is not False and not isinstance(qualifier, str):
            self.problem(section.at("qualifier"), f"must be a column or false, not {shown(qualifier)}")
        return ReferenceSpec(
            name=name,
            table=self.table_name(name, section),
            lookup=self.string(section, "lookup") or "?",
            text=self.column(section, "text") or "?",
            qualifier=self.column(section, "qualifier") if isinstance(qualifier, str) else None,
            scope=self.columns(section, "scope"),
            add=self.column(section, "add") or "?",
            required=self.flag(section, "required", True),
            keep_text=self.flag(section, "keep_text", False),
            optional=self.flag(section, "optional", False),
            on_unknown=self.choice(section, "on_unknown", ("defer", "create", "reject"), "defer"),
            on_delete=self.choice(section, "on_delete", ("restrict", "no_action", "cascade", "set_null"), "restrict"),
            app_triggers=self.choice(section, "app_triggers", ("fire", "skip"), "fire"),
        )

    def scope_agrees(self, section: Section, scope: tuple[str, ...], lookup: LookupSpec) -> None:
        wanted = 0 if lookup.scope is None else 1 if lookup.scope.add else len(lookup.scope.columns)
        if len(scope) != wanted:
            self.problem(
                section.at("scope"),
                f"names {len(scope)} column{'s' if len(scope) != 1 else ''}, lookup {lookup.name!r} has {wanted}",
            )

    def environment(self, name: str, section: Section) -> EnvironmentSpec:
        self.known(section, ENVIRONMENT)
        variable = section.get("url_env")
        if variable is None:
            self.problem(section.at("url_env"), "is missing")
        elif not isinstance(variable, str) or not _VARIABLE.fullmatch(variable):
            # Not quoted: it may be the URL itself, with its password.
            self.problem(section.at("url_env"), "must be the name of an environment variable, never the URL itself")
        soak = self.string(section, "soak", "0s") or "0s"
        match = _DURATION.fullmatch(soak)
        if match is None:
            self.problem(section.at("soak"), f"must be a number with s, m, h or d, such as 14d, not {shown(soak)}")
        seconds = int(match.group(1)) * _SECONDS[match.group(2)] if match else 0
        return EnvironmentSpec(name, str(variable), self.people(section, "sign_offs"), seconds)

    def people(self, section: Section, key: str) -> tuple[str, ...]:
        value = section.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
            self.problem(section.at(key), f"must be a list of names, not {shown(value)}")
            return ()
        if len(set(value)) < len(value):
            self.problem(section.at(key), "names somebody twice")
        return tuple(value)

    def backfill(self, section: Section) -> BackfillSpec:
        self.known(section, BACKFILL)
        default = BackfillSpec()
        return BackfillSpec(
            target=self.number(section, "target", default.target, 0.01, 30, "seconds"),
            window_target=self.number(section, "window_target", default.window_target, 0.01, 30, "seconds"),
            workers=self.whole(section, "workers", default.workers, 1, 8),
            vacuum=self.choice(section, "vacuum", ("between", "after", "never"), default.vacuum),
        )

    def hooks(self, section: Section) -> HooksSpec:
        self.known(section, HOOKS)
        return HooksSpec(self.string(section, "stop"), self.string(section, "start"))
