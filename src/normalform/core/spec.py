"""The spec: which tables own a text, which columns repeat it, and how the operator wants it settled.

The types, and nothing else: reading TOML is ``core.spec_file``, fitting it to a database is ``core.model``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .names import QName

OnUnknown = Literal["defer", "create", "reject"]
OnDelete = Literal["restrict", "no_action", "cascade", "set_null"]
Rename = Literal["auto", "carry", "queue"]
AppTriggers = Literal["fire", "skip"]
Vacuum = Literal["between", "after", "never"]
KeyType = Literal["bigint", "integer", "uuid"]


@dataclass(frozen=True)
class ScopeSpec:
    """The columns of a lookup that must agree with the reference's scope.

    Either ``columns`` exist already, or expand adds ``add`` and copies it from ``copy_table.copy_column`` over
    ``lookup.join = copy_table.<its key>``.
    """

    columns: tuple[str, ...] = ()
    add: str | None = None
    copy_table: QName | None = None
    copy_column: str | None = None
    join: str | None = None


@dataclass(frozen=True)
class QualifierSpec:
    """The text that tells equal names apart: a column of the lookup itself, or a path over another table.

    With ``path_table`` the text is the names from the root down to the row that ``join`` points at, joined by
    ``separator``; without ``parent`` it is that row's name alone.
    """

    column: str | None = None
    path_table: QName | None = None
    path_column: str | None = None
    join: str | None = None
    parent: str | None = None
    separator: str = "/"


@dataclass(frozen=True)
class NewValue:
    """How one column of a created lookup row is filled.

    ``source`` is ``value`` (the literal in ``value``) or ``qualifier`` (the row that the tag's qualifier path names,
    else the one named by ``otherwise``, which is created at the root when it does not exist).
    """

    source: Literal["value", "qualifier"]
    value: str | int | float | bool | None = None
    otherwise: str | None = None


@dataclass(frozen=True)
class LookupSpec:
    """A table that owns a text; with ``create``, one that expand makes of the references' values."""

    name: str
    table: QName
    key: str
    text: str
    aliases: str | None = None
    scope: ScopeSpec | None = None
    qualifier: QualifierSpec | None = None
    unique: tuple[str, ...] = ()
    new_row: Mapping[str, NewValue] = field(default_factory=dict)
    rename: Rename = "auto"
    create: bool = False
    key_type: KeyType = "bigint"  # of a table that is created


@dataclass(frozen=True)
class ReferenceSpec:
    """A text column that should point at a lookup."""

    name: str
    table: QName
    lookup: str
    text: str
    qualifier: str | None
    scope: tuple[str, ...]
    add: str
    required: bool = True
    keep_text: bool = False
    optional: bool = False
    on_unknown: OnUnknown = "defer"
    on_delete: OnDelete = "restrict"
    app_triggers: AppTriggers = "fire"


@dataclass(frozen=True)
class BackfillSpec:
    """How batches behave. Seconds are wall seconds; ``target`` is what one batch should take when live."""

    target: float = 0.4
    window_target: float = 2.0
    workers: int = 2
    vacuum: Vacuum = "between"


@dataclass(frozen=True)
class HooksSpec:
    """Shell commands that a window strategy runs: before the fence rises and after it falls."""

    stop: str | None = None
    start: str | None = None


@dataclass(frozen=True)
class EnvironmentSpec:
    """Where an environment's database is (the *name* of a variable, never the URL)."""

    name: str
    url_env: str
    sign_offs: tuple[str, ...] = ()
    soak_seconds: int = 0


@dataclass(frozen=True)
class Spec:
    """A whole spec file."""

    lookups: tuple[LookupSpec, ...]
    references: tuple[ReferenceSpec, ...]
    environments: tuple[EnvironmentSpec, ...] = ()
    backfill: BackfillSpec = BackfillSpec()
    hooks: HooksSpec = HooksSpec()
    source: str = ""  # the file's text, kept for the ledger and the fingerprint

    def lookup(self, name: str) -> LookupSpec:
        """Return the lookup of that name (the reader has checked that it exists)."""
        return next(entry for entry in self.lookups if entry.name == name)
