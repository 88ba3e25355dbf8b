"""`/api/v1/intake` and `/api/v1/faces`: what external taggers and detectors send, and whose a face is.

An intake is taken whole or not at all, and sending it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from photocat.context import Asker, Bearer
from photocat.people import find_people
from photocat.problems import Problem, documented, not_found
from photocat.schemas.answers import Face, Written
from photocat.schemas.fields import Id
from photocat.schemas.requests import (
    FaceIn,
    Faces,
    KeywordModels,
    KeywordRef,
    MachineTags,
    PersonRef,
    TrainedTags,
)  # fmt: skip
from photocat.tags.read import face_by_id
from photocat.tags.write import Tagging, lock_images, lock_models, now, put
from photocat.vocabulary import find_keywords

router = APIRouter(tags=["intake"], responses=documented(401, 404, 409, 422, 503))
_REF = set(KeywordRef.model_fields)
_SIDES = ("top", "right", "bottom", "left")


@router.post("/intake/machine-tags", response_model=Written)
def machine_tags(asker: Bearer, body: MachineTags) -> Any:
    """Tags of an external tagger."""
    return _take_in(asker, "machine_tags", body.tags)


@router.post("/intake/trained-tags", response_model=Written)
def trained_tags(asker: Bearer, body: TrainedTags) -> Any:
    """Tags of a model that was trained on this tenant's pictures."""
    return _take_in(asker, "trained_image_tags", body.tags)


@router.post("/intake/keyword-models", response_model=Written)
def keyword_models(asker: Bearer, body: KeywordModels) -> Any:
    """What models have learnt of keywords."""
    return _take_in(asker, "keyword_models", body.models)


@router.post("/intake/faces", response_model=Written)
def faces(asker: Bearer, body: Faces) -> Any:
    """Faces that a detector found; one of the same picture and box is brought up to date."""
    _check_size(asker, body.faces)
    with asker.writing() as session:
        lock_images(session, asker.tenant, [face.image_id for face in body.faces])
        asked = [(f.person_id, f.person) for f in body.faces if _names(f)]
        people = find_people(session, asker.tenant, asked) if asked else {}
        table = asker.columns.table("detected_faces")
        wanted = {(f.image_id, f.top, f.right, f.bottom, f.left): f for f in body.faces}
        standing = _standing(session, asker, {f.image_id for f in body.faces})
        added = updated = 0
        for place, face in wanted.items():
            values: dict[str, Any] = {"confidence": face.confidence, "face_encoding": face.encoding}
            if _names(face):
                values |= asker.columns.person_values(people[face.person_id, face.person])
            if place in standing:
                session.execute(update(table).where(table.c.id == standing[place]).values(values))
                updated += 1
            else:
                box = {f"bbox_{side}": getattr(face, side) for side in _SIDES}
                row = {"tenant_id": asker.tenant, "image_id": face.image_id, "created_at": now(), **box, **values}
                session.execute(insert(table).values(row))
                added += 1
    return {"added": added, "updated": updated}


@router.put("/faces/{face_id}/person", response_model=Face)
def name_face(asker: Bearer, face_id: Id, body: Annotated[PersonRef, Body()]) -> Any:
    """Says whose a face is; a body that names nobody makes it nobody's."""
    with asker.writing() as session:
        if face_by_id(session, asker.tenant, asker.columns, face_id) is None:
            raise not_found("face", face_id)
        asked = (body.person_id, body.person)
        person = find_people(session, asker.tenant, [asked])[asked] if asked != (None, None) else None
        table = asker.columns.table("detected_faces")
        mine = (table.c.id == face_id, table.c.tenant_id == asker.tenant)
        session.execute(update(table).where(*mine).values(asker.columns.person_values(person)))
        return face_by_id(session, asker.tenant, asker.columns, face_id)


def _names(face: FaceIn) -> bool:
    return face.person_id is not None or face.person is not None


def _check_size(asker: Asker, rows: Sequence[object]) -> None:
    most = asker.service.settings.max_bulk
    if len(rows) > most:
        raise Problem(422, "invalid", f"{len(rows)} rows at once are too many, {most} is the most.")


def _take_in(asker: Asker, table: str, rows: Sequence[KeywordRef]) -> dict[str, int]:
    _check_size(asker, rows)
    with asker.writing() as session:
        images = [row.image_id for row in rows if hasattr(row, "image_id")]
        if images:
            lock_images(session, asker.tenant, images)
        else:
            lock_models(session, asker.tenant)
        known = find_keywords(session, asker.tenant, asker.keywords, [row.asked() for row in rows])
        tags = []
        for row in rows:
            values = row.model_dump(exclude={*_REF, "image_id"})
            tags.append(Tagging(known[row.asked()], getattr(row, "image_id", None), values))
        added, updated = put(session, asker.tenant, asker.columns, table, tags)
    return {"added": added, "updated": updated}


def _standing(session: Session, asker: Asker, images: set[int]) -> dict[tuple[int, ...], int]:
    table = asker.columns.table("detected_faces")
    box = [table.c[f"bbox_{side}"] for side in _SIDES]
    query = select(table.c.id, table.c.image_id, *box)
    query = query.where(table.c.tenant_id == asker.tenant, table.c.image_id.in_(images))
    return {tuple(row)[1:]: row.id for row in session.execute(query.order_by(table.c.id.desc()))}
