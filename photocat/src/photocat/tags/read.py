"""Reading tags and faces of pictures, whatever their columns: two queries, however many pictures.

It decides what a tag's answer holds. It must never answer with a row of another tenant, even where a picture's id
belongs to one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Double,
    Integer,
    Select,
    String,
    Table,
    cast,
    literal,
    null,
    select,
    union_all,
)  # fmt: skip
from sqlalchemy.orm import Session

from photocat.people import KnownPerson, people_of_faces
from photocat.tags.interface import SOURCES, Source, TagColumns

_ORDER = {source: position for position, source in enumerate(SOURCES)}
#: What a tag has beside its keyword; a table without it answers NULL.
_MORE = {
    "confidence": Double, "signum": Integer, "tag_type": String, "model_name": String, "model_version": String,
    "created_by": String, "created_at": DateTime,
}  # fmt: skip


def tags_of(
    session: Session, tenant: str, columns: TagColumns, images: Collection[int]
) -> dict[int, list[dict[str, Any]]]:
    """The tags of several pictures, of all four sources, ordered by category and name.

    Returns:
        For each picture that has any: `keyword_id`, `keyword`, `category`, `source` and what its source knows.
        A tag whose keyword is unknown keeps its own words and has no `keyword_id`.
    """
    if not images:
        return {}
    parts = [_part(columns, source, tenant, images) for source in SOURCES]
    tags = union_all(*parts).cte("tags")
    vocab = columns.vocabulary(tenant, select(tags.c.sign))
    joined = select(
        tags, vocab.c.id.label("known_id"), vocab.c.keyword.label("known"), vocab.c.path
    ).select_from(tags.outerjoin(vocab, columns.resolves(tags, vocab)))  # fmt: skip
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in session.execute(joined).mappings():
        known = row["known_id"] is not None
        tag = {
            "keyword_id": row["known_id"],
            "keyword": row["known"] if known else row["word"],
            "category": row["path"] if known else row["place"],
            "source": row["source"],
            "tag_id": row["id"],
            **{name: row[name] for name in _MORE},
        }
        tag["verdict"] = {1: "approved", -1: "rejected"}.get(tag.pop("signum") or 0)
        found[row["image_id"]].append(tag)
    for tags_here in found.values():
        tags_here.sort(key=_position)
    return found


def _position(tag: dict[str, Any]) -> tuple[Any, ...]:
    words = (tag["category"] or "", tag["keyword"] or "", _ORDER[tag["source"]])
    return (*words, tag["tag_type"] or "", tag["model_name"] or "", tag["tag_id"])


def _part(columns: TagColumns, source: Source, tenant: str, images: Collection[int]) -> Select[Any]:
    table = columns.table(SOURCES[source])
    word, place = columns.words(table)
    # `resolves` reads a row's own columns, so they come along under their own names.
    own: list[ColumnElement[Any]] = [columns.sign(table), *([table.c.category] if "category" in table.c else [])]
    more = [_typed(table, name) for name in _MORE]
    return select(
        table.c.id, table.c.image_id, literal(source).label("source"), columns.sign(table).label("sign"),
        cast(word, String).label("word"), cast(place, String).label("place"), *own, *more,
    ).where(table.c.tenant_id == tenant, table.c.image_id.in_(images))  # fmt: skip


def _typed(table: Table, name: str) -> ColumnElement[Any]:
    kind = _MORE[name]
    return table.c[name].label(name) if name in table.c else cast(null(), kind()).label(name)


def faces_of(
    session: Session, tenant: str, columns: TagColumns, images: Collection[int]
) -> dict[int, list[dict[str, Any]]]:
    """The faces in several pictures, each with its person where that is known; two queries."""
    if not images:
        return {}
    table = columns.table("detected_faces")
    query = _faces(columns, table).where(table.c.tenant_id == tenant, table.c.image_id.in_(images))
    rows = session.execute(query.order_by(table.c.image_id, table.c.id)).mappings().all()
    people = people_of_faces(session, tenant, [(r["person_id"], r["person_name"]) for r in rows])
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["image_id"]].append(face_shown(dict(row), people.get((row["person_id"], row["person_name"]))))
    return found


def face_by_id(session: Session, tenant: str, columns: TagColumns, face_id: int) -> dict[str, Any] | None:
    """One face, or None."""
    table = columns.table("detected_faces")
    query = _faces(columns, table).where(table.c.tenant_id == tenant, table.c.id == face_id)
    row = session.execute(query).mappings().first()
    if row is None:
        return None
    people = people_of_faces(session, tenant, [(row["person_id"], row["person_name"])])
    return face_shown(dict(row), people.get((row["person_id"], row["person_name"])))


def face_shown(row: dict[str, Any], person: KnownPerson | None) -> dict[str, Any]:
    """A face as responses carry it."""
    return {
        "id": row["id"],
        "image_id": row["image_id"],
        "person_id": person.id if person else None,
        "person": person.name if person else row["person_name"],
        "confidence": row["confidence"],
        "box": {side: row[f"bbox_{side}"] for side in ("top", "right", "bottom", "left")},
        "created_at": row["created_at"],
    }


def _faces(columns: TagColumns, table: Table) -> Select[Any]:
    sides = [table.c[f"bbox_{side}"] for side in ("top", "right", "bottom", "left")]
    person = columns.person_id(table).label("person_id")
    return select(
        table.c.id, table.c.image_id, person, table.c.person_name, table.c.confidence, *sides, table.c.created_at
    )
