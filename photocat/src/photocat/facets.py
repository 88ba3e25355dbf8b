"""Counts beside a list of pictures: how many of them carry each keyword, category, person, source and verdict.

It decides what is counted: pictures, never tags, so that a keyword from three sources counts once. It must never list
a keyword of another tenant.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, String, cast, func, literal, null, or_, select, union_all
from sqlalchemy.orm import Session

from photocat.filters import IMAGES
from photocat.people import people_of_faces
from photocat.tags.interface import SOURCES, TagColumns
from photocat.vocabulary import CATEGORIES, KEYWORDS, paths


def facets(
    session: Session, tenant: str, columns: TagColumns, wanted: ColumnElement[bool], limit: int
) -> dict[str, Any]:
    """The counts for the pictures that a condition picks.

    Args:
        session: for reading.
        tenant: whose.
        columns: the code before or after the migration.
        wanted: of `filters.condition`.
        limit: keywords and people at most, those of most pictures first.

    Returns:
        `images`, and lists `keywords`, `categories`, `people`, `sources`, `verdicts`. A category counts the pictures
        of its whole subtree.
    """
    images = select(IMAGES.c.id).where(wanted).cte("images")
    signed = []
    for source, name in SOURCES.items():
        table = columns.table(name)
        sign = table.c.signum if "signum" in table.c else cast(null(), Integer)
        own = [table.c.category.label("category")] if "category" in table.c else []
        rows = select(
            table.c.image_id, literal(source).label("source"), sign.label("signum"),
            columns.sign(table).label("sign"), columns.sign(table), *own,
        )  # fmt: skip
        here = table.c.image_id.in_(select(images.c.id))
        signed.append(rows.where(table.c.tenant_id == tenant, here))
    raw = union_all(*signed).cte("raw")
    if columns.mode == "key":
        known = raw.c.sign.label("keyword_id")
        query = select(raw.c.image_id, raw.c.source, raw.c.signum, known)
    else:
        vocab = columns.vocabulary(tenant, select(raw.c.sign))
        query = select(raw.c.image_id, raw.c.source, raw.c.signum, vocab.c.id.label("keyword_id"))
        query = query.select_from(raw.outerjoin(vocab, columns.resolves(raw, vocab)))
    tags = query.cte("tags")
    carried = tags.c.signum.is_distinct_from(-1)
    named = select(tags.c.keyword_id.label("what"), tags.c.image_id).where(carried, tags.c.keyword_id.is_not(None))
    # All of the tenant's keywords at once: looked up by each tag they would take most of the time.
    mine = select(CATEGORIES.c.id).where(CATEGORIES.c.tenant_id == tenant)
    homes = select(KEYWORDS.c.id, KEYWORDS.c.category_id).where(KEYWORDS.c.category_id.in_(mine)).cte("homes")
    homes = homes.prefix_with("MATERIALIZED")
    placed = select(homes.c.category_id, tags.c.image_id).join(homes, homes.c.id == tags.c.keyword_id).where(carried)
    above, places = _ancestors(tenant), placed.distinct().cte("places")
    subtrees = select(above.c.ancestor.label("what"), places.c.image_id).join(above, above.c.id == places.c.category_id)
    signed_off = select(tags.c.signum.label("what"), tags.c.image_id).where(tags.c.signum.is_not(None))
    by_source = select(tags.c.source.label("what"), tags.c.image_id).where(carried)
    total = select(literal("images"), literal(""), func.count()).select_from(images)
    every = union_all(
        select(_pictures("keyword", named, limit).subquery()), _pictures("category", subtrees),
        _pictures("source", by_source), _pictures("verdict", signed_off), total,
    )  # fmt: skip
    counts: dict[str, dict[str, int]] = {
        kind: {} for kind in ("keyword", "category", "source", "verdict", "images")
    }  # fmt: skip
    for kind, what, n in session.execute(every):
        counts[kind][what] = n
    keywords, categories = _named(session, tenant, counts["keyword"], counts["category"])
    return {
        "images": counts["images"][""],
        "keywords": keywords,
        "categories": categories,
        "people": _people(session, tenant, columns, wanted, limit),
        "sources": [{"source": s, "images": counts["source"].get(s, 0)} for s in SOURCES],
        "verdicts": [
            {"verdict": v, "images": counts["verdict"].get(s, 0)} for v, s in (("approved", "1"), ("rejected", "-1"))
        ],
    }


def _pictures(kind: str, rows: Select[Any], most: int | None = None) -> Any:
    """How many different pictures (`image_id`) each `what` has; with `most` those that have the most of them.

    Distinct rows first: counting what is distinct within each group sorts them all.
    """
    each = rows.distinct().subquery()
    pictures = func.count().label("n")
    what = cast(each.c.what, String).label("what")
    query = select(literal(kind).label("kind"), what, pictures).group_by(each.c.what)
    return query if most is None else query.order_by(pictures.desc(), each.c.what).limit(most)


def _ancestors(tenant: str) -> Any:
    mine = CATEGORIES.c.tenant_id == tenant
    start = select(CATEGORIES.c.id, CATEGORIES.c.id.label("ancestor"), CATEGORIES.c.parent_id).where(mine)
    tree = start.cte("above", recursive=True)
    up = CATEGORIES.alias("up")
    return tree.union_all(
        select(tree.c.id, up.c.id, up.c.parent_id)
        .join(tree, tree.c.parent_id == up.c.id)
        .where(up.c.tenant_id == tenant)
    )


def _named(
    session: Session, tenant: str, keywords: dict[str, int], categories: dict[str, int]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Keywords and categories with what they are called, in one query."""
    if not keywords:  # then no category either: it counts pictures by their keywords
        return [], []
    tree = paths(tenant)
    words = select(literal("keyword").label("kind"), KEYWORDS.c.id, KEYWORDS.c.keyword, tree.c.path)
    words = words.join(tree, tree.c.id == KEYWORDS.c.category_id).where(KEYWORDS.c.id.in_([int(i) for i in keywords]))
    places = select(literal("category"), tree.c.id, cast(null(), String), tree.c.path)
    places = places.where(tree.c.id.in_([int(i) for i in categories]))
    rows = session.execute(union_all(words, places)).all()
    shown = [
        {"keyword_id": r.id, "keyword": r.keyword, "category": r.path, "images": keywords[str(r.id)]}
        for r in rows if r.kind == "keyword"
    ]  # fmt: skip
    above = [
        {"category_id": r.id, "category": r.path, "images": categories[str(r.id)]} for r in rows if r.kind == "category"
    ]  # fmt: skip
    most = sorted(shown, key=lambda k: (-k["images"], k["category"], k["keyword"]))
    return most, sorted(above, key=lambda c: c["category"])


def _people(
    session: Session, tenant: str, columns: TagColumns, wanted: ColumnElement[bool], limit: int
) -> list[dict[str, Any]]:
    faces = columns.table("detected_faces")
    key = columns.person_id(faces).label("person_id")
    here = faces.c.image_id.in_(select(IMAGES.c.id).where(wanted))
    query = select(key, faces.c.person_name, func.array_agg(faces.c.image_id.distinct()).label("images"))
    named = (faces.c.tenant_id == tenant, here, or_(key.is_not(None), faces.c.person_name.is_not(None)))
    rows = session.execute(query.where(*named).group_by(key, faces.c.person_name)).all()
    people = people_of_faces(session, tenant, [(r.person_id, r.person_name) for r in rows])
    images: dict[tuple[int, str], set[int]] = {}
    for row in rows:
        person = people.get((row.person_id, row.person_name))
        if person is not None:
            images.setdefault((person.id, person.name), set()).update(row.images)
    most = sorted(images.items(), key=lambda item: (-len(item[1]), item[0][1]))[:limit]
    return [{"person_id": key, "person": name, "images": len(seen)} for (key, name), seen in most]
