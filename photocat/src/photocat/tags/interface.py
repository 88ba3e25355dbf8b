"""What differs between the code before the migration and the code after it: how a tag says its keyword.

Everything else about tags is written once, on this interface. An implementation must never name a column that the
other end alone has, so that both versions run beside each other while the schema is half-way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal, Protocol

from sqlalchemy import CTE, ColumnElement, FromClause, Select, Table

from photocat.vocabulary import Known

Source = Literal["manual", "machine", "trained", "permatag"]
"""Where a tag comes from: a hand, an external tagger, a model trained on the tenant's pictures, or a verdict."""

SOURCES: Mapping[Source, str] = {
    "manual": "image_tags", "machine": "machine_tags", "trained": "trained_image_tags", "permatag": "permatags",
}  # fmt: skip
#: Every table that says a keyword.
TAGGED = (*SOURCES.values(), "keyword_models")
#: Besides tenant, picture and name: what tells two rows of a table apart.
IDENTITY: Mapping[str, tuple[str, ...]] = {
    "image_tags": ("image_id",),
    "machine_tags": ("image_id", "tag_type", "model_name"),
    "trained_image_tags": ("image_id", "model_name"),
    "permatags": ("image_id",),
    "keyword_models": ("model_name",),
}


class Face(Protocol):
    """A person as far as faces are concerned."""

    @property
    def id(self) -> int:
        """Its key."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def texts(self) -> Collection[str]:
        """Name and aliases that mean this person and nobody else."""


class TagColumns(Protocol):
    """How a row of a tag table says which keyword it means, and a face whose it is."""

    mode: Literal["text", "key"]

    def table(self, name: str) -> Table:
        """One of `TAGGED`, `keywords` or `detected_faces` with the columns of this end."""

    def means(self, tag: FromClause, known: Known) -> ColumnElement[bool]:
        """The rows that mean this keyword."""

    def within(self, tag: FromClause, vocab: CTE, categories: CTE) -> ColumnElement[bool]:
        """The rows whose keyword stands in one of these categories (`id`)."""

    def resolves(self, tag: FromClause, vocab: CTE) -> ColumnElement[bool]:
        """Joins each row with the one keyword of a vocabulary that it means, if any."""

    def words(self, tag: FromClause) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
        """Name and category as the row has them, for a row that means no keyword; NULL where it has none."""

    def vocabulary(self, tenant: str, signs: Select[Any]) -> CTE:
        """The keywords that rows with these signs can mean, for `resolves`."""

    def sign(self, tag: FromClause) -> ColumnElement[Any]:
        """What a row says its keyword by: its name or its key."""

    def signs(self, known: Known) -> Collection[Any]:
        """The signs of every keyword of this name: a picture carries a name once."""

    def values(self, table: str, known: Known) -> dict[str, Any]:
        """The columns that make a row mean this keyword."""

    def keyword_values(self, tenant: str) -> dict[str, Any]:
        """What a new row of `keywords` has beside its name and category."""

    def is_person(self, face: FromClause, person: Face) -> ColumnElement[bool]:
        """The faces of this person."""

    def person_id(self, face: FromClause) -> ColumnElement[Any]:
        """The key that a face has, or NULL where the name alone says whose it is."""

    def person_values(self, person: Face | None) -> dict[str, Any]:
        """The columns that make a face this person's, or nobody's."""
