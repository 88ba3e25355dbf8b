"""After the migration: a tag names its keyword by `keyword_id`, a face its person by `person_id`.

It runs from constrain on, when every row has its key: what it leaves out, sync fills while the text stands. It must
never name `keyword` or `category` of a tag.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

from sqlalchemy import CTE, ColumnElement, FromClause, Select, Table, Text, cast, null, select

from photocat.models.key import metadata
from photocat.tags.interface import Face
from photocat.vocabulary import KEYWORDS, Known, paths


class KeyColumns:
    """See :class:`photocat.tags.interface.TagColumns`."""

    mode: Literal["text", "key"] = "key"

    def table(self, name: str) -> Table:
        """The table as contract leaves it."""
        return metadata.tables[name]

    def means(self, tag: FromClause, known: Known) -> ColumnElement[bool]:
        """By key."""
        return tag.c.keyword_id == known.id

    def within(self, tag: FromClause, vocab: CTE, categories: CTE) -> ColumnElement[bool]:  # noqa: ARG002
        """By the keys of these categories; paths are not needed."""
        inside = KEYWORDS.c.category_id.in_(select(categories.c.id))
        return tag.c.keyword_id.in_(select(KEYWORDS.c.id).where(inside))

    def resolves(self, tag: FromClause, vocab: CTE) -> ColumnElement[bool]:
        """By key."""
        return vocab.c.id == tag.c.keyword_id

    def words(self, tag: FromClause) -> tuple[ColumnElement[Any], ColumnElement[Any]]:  # noqa: ARG002
        """The row has none."""
        return cast(null(), Text), cast(null(), Text)

    def vocabulary(self, tenant: str, signs: Select[Any]) -> CTE:
        """By key; nothing need be known of namesakes."""
        tree = paths(tenant, "said_paths")
        query = select(KEYWORDS.c.id, KEYWORDS.c.keyword, KEYWORDS.c.category_id, tree.c.path)
        query = query.join(tree, tree.c.id == KEYWORDS.c.category_id).where(KEYWORDS.c.id.in_(signs))
        return query.cte("said")

    def sign(self, tag: FromClause) -> ColumnElement[Any]:
        """The key."""
        return tag.c.keyword_id

    def signs(self, known: Known) -> Collection[Any]:
        """The keys of all that have this name."""
        return known.namesakes

    def values(self, table: str, known: Known) -> dict[str, Any]:  # noqa: ARG002 (the same for each table)
        """The key."""
        return {"keyword_id": known.id}

    def keyword_values(self, tenant: str) -> dict[str, Any]:
        """The tenant, which must be its category's."""
        return {"tenant_id": tenant}

    def is_person(self, face: FromClause, person: Face) -> ColumnElement[bool]:
        """By key."""
        return face.c.person_id == person.id

    def person_id(self, face: FromClause) -> ColumnElement[Any]:
        """The key."""
        return face.c.person_id

    def person_values(self, person: Face | None) -> dict[str, Any]:
        """Key and name: the name stays in the table after contract, when nothing fills it any more."""
        return {"person_id": None, "person_name": None} if person is None else {
            "person_id": person.id, "person_name": person.name,
        }  # fmt: skip
