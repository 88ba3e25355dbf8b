"""A decision as the ledger records it, and the rows of a reference that it is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from ..core.decisions import Scope
from ..core.model import Reference
from ..sql import decisions as shapes
from ..sql.quote import conjunction


@dataclass(frozen=True, slots=True)
class Recorded:
    """A decision as the ledger records it."""

    id: int
    line: int
    reference: str
    scope: Scope
    value: str
    qualifier: str | None
    word: str
    target: Mapping[str, Any]
    state: str


def in_scope(reference: Reference, alias: str, scope: Scope) -> sql.Composable:
    """Return a condition: the row's scope is this one, NULL included."""
    return conjunction(
        [
            shapes.same_or_null(alias, c.name, sql.Literal(value))
            for c, value in zip(reference.scope, scope, strict=True)
        ]
    )
