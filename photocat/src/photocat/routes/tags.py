"""Tags of pictures: read from all sources together, set by hand one by one or in bulk, approved and rejected."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy.orm import Session

from photocat.context import Asker, Bearer
from photocat.problems import Problem, documented
from photocat.schemas.answers import Tags, Written
from photocat.schemas.fields import Id
from photocat.schemas.requests import BulkTags, KeywordRef, Verdicts
from photocat.tags.read import tags_of
from photocat.tags.write import Tagging, lock_images, put, require_image, take
from photocat.vocabulary import find_keywords

router = APIRouter(tags=["tags"], responses=documented(401, 404, 409, 422, 503))

MANUAL = {"manual": True, "confidence": 1.0}


@router.get("/images/{image_id}/tags", response_model=Tags)
def tags(asker: Bearer, image_id: Id) -> Any:
    """A picture's tags, of all four sources."""
    with asker.reading() as session:
        require_image(session, asker.tenant, image_id)
        return _tags(session, asker, image_id)


@router.post("/images/{image_id}/tags", response_model=Tags)
def tag(asker: Bearer, image_id: Id, body: KeywordRef) -> Any:
    """Tags a picture by hand; again, it changes nothing."""
    with asker.writing() as session:
        lock_images(session, asker.tenant, [image_id])
        known = find_keywords(session, asker.tenant, asker.keywords, [body.asked()])[body.asked()]
        put(session, asker.tenant, asker.columns, "image_tags", [Tagging(known, image_id, MANUAL)])
        return _tags(session, asker, image_id)


@router.delete("/images/{image_id}/tags", response_model=Tags)
def untag(asker: Bearer, image_id: Id, query: Annotated[KeywordRef, Query()]) -> Any:
    """Takes a tag that was set by hand from a picture; if there is none, nothing happens."""
    return _take(asker, image_id, query, "image_tags")


@router.put("/images/{image_id}/permatags", response_model=Tags)
def decide(asker: Bearer, image_id: Id, body: Verdicts) -> Any:
    """Approves or rejects a tag; the last verdict holds."""
    with asker.writing() as session:
        lock_images(session, asker.tenant, [image_id])
        known = find_keywords(session, asker.tenant, asker.keywords, [body.asked()])[body.asked()]
        values = {"signum": 1 if body.verdict == "approved" else -1, "created_by": asker.grant.token_name}
        put(session, asker.tenant, asker.columns, "permatags", [Tagging(known, image_id, values)])
        return _tags(session, asker, image_id)


@router.delete("/images/{image_id}/permatags", response_model=Tags)
def undecide(asker: Bearer, image_id: Id, query: Annotated[KeywordRef, Query()]) -> Any:
    """Takes a verdict back; if there is none, nothing happens."""
    return _take(asker, image_id, query, "permatags")


@router.post("/tags/bulk", response_model=Written)
def bulk(asker: Bearer, body: BulkTags) -> Any:
    """Adds and removes tags by hand on many pictures: all of it, or nothing."""
    most = asker.service.settings.max_bulk
    pairs = len(body.image_ids) * max(len(body.add), len(body.remove))
    if pairs > most:
        raise Problem(422, "invalid", f"image_ids: {pairs} tags at once are too many, {most} is the most.")
    with asker.writing() as session:
        lock_images(session, asker.tenant, body.image_ids)
        every = find_keywords(session, asker.tenant, asker.keywords, [ref.asked() for ref in (*body.add, *body.remove)])
        gone = [every[ref.asked()] for ref in body.remove]
        removed = take(session, asker.tenant, asker.columns, "image_tags", gone, body.image_ids)
        added = [Tagging(every[ref.asked()], image, MANUAL) for ref in body.add for image in body.image_ids]
        new, old = put(session, asker.tenant, asker.columns, "image_tags", added) if added else (0, 0)
    return {"added": new, "updated": old, "removed": removed}


def _take(asker: Asker, image_id: int, ref: KeywordRef, table: str) -> dict[str, Any]:
    with asker.writing() as session:
        lock_images(session, asker.tenant, [image_id])
        known = find_keywords(session, asker.tenant, asker.keywords, [ref.asked()])[ref.asked()]
        take(session, asker.tenant, asker.columns, table, [known], [image_id])
        return _tags(session, asker, image_id)


def _tags(session: Session, asker: Asker, image_id: int) -> dict[str, Any]:
    found = tags_of(session, asker.tenant, asker.columns, [image_id])
    return {"image_id": image_id, "items": found.get(image_id, [])}
