"""Before the migration: a tag repeats the keyword's name and its category's path, a face a person's name.

A name that one keyword has means it, whatever the category says; a name that several have is told apart by the
category. It must never name `keyword_id`, `person_id` or `keywords.tenant_id`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

from sqlalchemy import (
    CTE,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Table,
    and_,
    cast,
    false,
    null,
    or_,
    select,
    tuple_,
)

from photocat.models.text import metadata
from photocat.tags.interface import Face
from photocat.vocabulary import Known, vocabulary


class TextColumns:
    """See :class:`photocat.tags.interface.TagColumns`."""

    mode: Literal["text", "key"] = "text"

    def table(self, name: str) -> Table:
        """The legacy table."""
        return metadata.tables[name]

    def means(self, tag: FromClause, known: Known) -> ColumnElement[bool]:
        """By name where it is the only one, else by name and path; models have no path, so theirs is then nobody's."""
        if known.alone:
            return tag.c.keyword == known.keyword
        if not known.exact or "category" not in tag.c:
            return false()
        return and_(tag.c.keyword == known.keyword, tag.c.category == known.category)

    def within(self, tag: FromClause, vocab: CTE, categories: CTE) -> ColumnElement[bool]:
        """By the vocabulary of these categories: names that stand alone, and pairs of name and path."""
        inside = vocab.c.category_id.in_(select(categories.c.id))
        alone = tag.c.keyword.in_(select(vocab.c.keyword).where(inside, vocab.c.alone))
        if "category" not in tag.c:
            return alone
        pairs = select(vocab.c.keyword, vocab.c.path).where(inside, vocab.c.exact)
        return or_(alone, tuple_(tag.c.keyword, tag.c.category).in_(pairs))

    def resolves(self, tag: FromClause, vocab: CTE) -> ColumnElement[bool]:
        """One keyword at most: either it has the name alone, or name and path."""
        if "category" not in tag.c:
            return and_(vocab.c.keyword == tag.c.keyword, vocab.c.alone)
        placed = and_(vocab.c.exact, vocab.c.path == tag.c.category)
        return and_(vocab.c.keyword == tag.c.keyword, or_(vocab.c.alone, placed))

    def words(self, tag: FromClause) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
        """As they stand."""
        return tag.c.keyword, tag.c.category if "category" in tag.c else null()

    def vocabulary(self, tenant: str, signs: Select[Any]) -> CTE:
        """By name."""
        return vocabulary(tenant, signs, name="said")

    def sign(self, tag: FromClause) -> ColumnElement[Any]:
        """The name."""
        return tag.c.keyword

    def signs(self, known: Known) -> Collection[Any]:
        """The name."""
        return (known.keyword,)

    def values(self, table: str, known: Known) -> dict[str, Any]:
        """Name and path."""
        name = {"keyword": known.keyword}
        return name if table == "keyword_models" else {**name, "category": known.category}

    def keyword_values(self, tenant: str) -> dict[str, Any]:  # noqa: ARG002 (the category says the tenant)
        """Nothing."""
        return {}

    def is_person(self, face: FromClause, person: Face) -> ColumnElement[bool]:
        """By name, or by an alias that is nobody else's."""
        return face.c.person_name.in_(sorted(person.texts))

    def person_id(self, face: FromClause) -> ColumnElement[Any]:  # noqa: ARG002 (no face has one here)
        """Unknown to the row."""
        return cast(null(), Integer)

    def person_values(self, person: Face | None) -> dict[str, Any]:
        """The name."""
        return {"person_name": None if person is None else person.name}
