"""Reading categories, keywords and pictures as answers show them.

It decides what is shown of each. It must never change anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from photocat.models.shared import Base
from photocat.problems import Problem, not_found
from photocat.vocabulary import CATEGORIES, KEYWORDS, paths

IMAGES = Base.metadata.tables["image_metadata"]
_SHORT = (
    "id", "filename", "format", "width", "height", "file_size", "content_hash", "camera_make", "camera_model",
    "created_at",
)  # fmt: skip
_LONG = (
    "lens_model", "iso", "aperture", "shutter_speed", "focal_length", "gps_latitude", "gps_longitude",
    "perceptual_hash",
)  # fmt: skip


def image_columns(*, detail: bool = False) -> list[Any]:
    """What is read of a picture."""
    more = [*(IMAGES.c[name] for name in _LONG), IMAGES.c.exif_data.label("exif")] if detail else []
    made = [
        IMAGES.c.capture_timestamp.label("captured_at"),
        IMAGES.c.thumbnail_path.is_not(None).label("has_thumbnail"),
    ]
    return [*(IMAGES.c[name] for name in _SHORT), *made, *more]


def image_row(session: Session, tenant: str, image_id: int) -> dict[str, Any]:
    """A picture in detail.

    Raises:
        Problem: 404 if the tenant has none with this key.
    """
    query = select(*image_columns(detail=True)).where(IMAGES.c.tenant_id == tenant, IMAGES.c.id == image_id)
    row = session.execute(query).mappings().first()
    if row is None:
        raise not_found("image", image_id)
    shown = dict(row)
    shown["exif"] = shown["exif"] if isinstance(shown["exif"], dict) else None
    return shown


def category_tree(session: Session, tenant: str) -> list[dict[str, Any]]:
    """A tenant's categories as a tree, ordered by `sort_order` and name, with their counts of keywords."""
    tree = paths(tenant)
    counts = (
        select(KEYWORDS.c.category_id, func.count().label("n"))
        .join(tree, tree.c.id == KEYWORDS.c.category_id)
        .group_by(KEYWORDS.c.category_id)
        .subquery()
    )
    query = (
        select(CATEGORIES, tree.c.path, tree.c.depth, func.coalesce(counts.c.n, 0).label("keywords"))
        .join(tree, tree.c.id == CATEGORIES.c.id)
        .outerjoin(counts, counts.c.category_id == CATEGORIES.c.id)
    )
    children: dict[int | None, list[dict[str, Any]]] = defaultdict(list)
    rows = session.execute(query).all()
    for row in sorted(rows, key=lambda r: (r.sort_order or 0, r.name or "", r.id)):
        children[row.parent_id].append(_category(row))
    # Deepest first, so that each one's children are summed before it is.
    depth = {row.id: row.depth for row in rows}
    every = [category for level in children.values() for category in level]
    for category in sorted(every, key=lambda c: -depth[c["category_id"]]):
        category["children"] = children.get(category["category_id"], [])
        below = sum(child["keywords_below"] for child in category["children"])
        category["keywords_below"] = category["keywords"] + below
    return children[None]


def category_row(session: Session, tenant: str, category_id: int) -> dict[str, Any]:
    """One category with those below it.

    Raises:
        Problem: 404 if the tenant has none with this key.
    """
    waiting = category_tree(session, tenant)
    while waiting:
        category = waiting.pop()
        if category["category_id"] == category_id:
            return category
        waiting.extend(category["children"])
    raise not_found("category", category_id)


def _category(row: Row[Any]) -> dict[str, Any]:
    return {
        "category_id": row.id, "name": row.name, "category": row.path, "parent_id": row.parent_id,
        "sort_order": row.sort_order, "keywords": row.keywords, "keywords_below": row.keywords, "children": [],
    }  # fmt: skip


def keyword_row(session: Session, tenant: str, keyword_id: int) -> dict[str, Any]:
    """One keyword.

    Raises:
        Problem: 404 if the tenant has none with this key.
    """
    tree = paths(tenant)
    query = select(*keyword_columns(tree)).join(tree, tree.c.id == KEYWORDS.c.category_id)
    row = session.execute(query.where(KEYWORDS.c.id == keyword_id)).mappings().first()
    if row is None:
        raise not_found("keyword", keyword_id)
    return dict(row)


def keyword_columns(tree: Any) -> list[Any]:
    """What is read of a keyword, beside a CTE of `paths`."""
    own = (KEYWORDS.c.keyword, KEYWORDS.c.category_id, KEYWORDS.c.prompt, KEYWORDS.c.sort_order)
    return [KEYWORDS.c.id.label("keyword_id"), *own, tree.c.path.label("category")]


def categories_at(session: Session, tenant: str, wanted: Sequence[str], ids: Sequence[int]) -> list[int]:
    """The keys of categories that a request names by path or key; of equal paths each one.

    Raises:
        Problem: 422 for one that the tenant does not have.
    """
    if not wanted and not ids:
        return []
    tree = paths(tenant)
    found = {row.id: row.path for row in session.execute(select(tree.c.id, tree.c.path))}
    missing = [str(i) for i in ids if i not in found] + [p for p in wanted if p not in set(found.values())]
    if missing:
        raise Problem(422, "invalid", f"There is no category {missing[0]!r}.", missing=missing)
    return sorted({*ids, *(i for i, path in found.items() if path in set(wanted))})


def page_limit(asked: int | None, usual: int, most: int) -> int:
    """How many rows a page has.

    Raises:
        Problem: 422 for more than the most.
    """
    if asked is not None and asked > most:
        raise Problem(422, "invalid", f"limit: a page has {most} rows at most.")
    return asked or min(usual, most)
