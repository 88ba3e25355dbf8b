"""`/api/v1/images`: pictures sent, listed, counted and shown."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, File, Query, Response, UploadFile
from fastapi.responses import FileResponse
from sqlalchemy import BigInteger, Select, cast, func, insert, literal, select
from sqlalchemy import delete as delete_from
from sqlalchemy.orm import Session

from photocat.catalog import IMAGES, categories_at, image_columns, image_row, page_limit
from photocat.context import Asker, Bearer
from photocat.facets import facets
from photocat.filters import Filter, condition
from photocat.imaging import TYPES, Picture, read_picture
from photocat.people import find_people
from photocat.problems import Problem, documented, not_found
from photocat.schemas.answers import Facets, ImageDetail, ImagePage, Uploaded
from photocat.schemas.fields import Id
from photocat.schemas.requests import FacetQuery, ImageFilter, ImageQuery
from photocat.storage import shown_name
from photocat.tags.read import faces_of, tags_of
from photocat.tags.write import lock_images, now
from photocat.vocabulary import Asked, find_keywords

router = APIRouter(prefix="/images", tags=["images"], responses=documented(401, 404, 409, 422, 503))
#: Keys among which a page of all pictures is looked for before all of its tenant's pictures are.
NEAR = 5_000
_FILES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}, "description": "The file"}
}


@router.post("", response_model=Uploaded, status_code=201, responses={
    200: {"model": Uploaded, "description": "This tenant had the same content already"}, **documented(413, 415),
})  # fmt: skip
def upload(asker: Bearer, file: Annotated[UploadFile, File(description="JPEG, PNG, WebP or GIF")],
           response: Response) -> Any:  # fmt: skip
    """Takes a picture; the same content a second time answers the first one."""
    settings = asker.service.settings
    content = file.file.read(settings.max_upload_bytes + 1)
    if len(content) > settings.max_upload_bytes:
        raise Problem(413, "too-large", f"A picture may have {settings.max_upload_bytes} bytes at most.")
    picture = read_picture(content, settings.max_pixels)
    suffix = TYPES[picture.format][0]
    storage, tenant = asker.service.storage, asker.tenant
    original = storage.key(tenant, picture.content_hash, suffix)
    small = storage.key(tenant, picture.content_hash, "jpg", thumbnail=True)
    with asker.writing() as session:
        # Two uploads of one file at once: the second waits here and then finds the first.
        lock = func.hashtextextended(f"photocat upload {tenant} {picture.content_hash}", 0)
        session.execute(select(func.pg_advisory_xact_lock(lock)))
        twin = _twin(session, tenant, picture.content_hash)
        if twin is not None:
            response.status_code = 200
            return {**image_row(session, tenant, twin), "duplicate": True}
        # Files first: a row without its file would be a broken picture, a file without a row is only space.
        storage.write(original, content)
        storage.write(small, picture.thumbnail)
        name = shown_name(file.filename, f"{picture.content_hash[:12]}.{suffix}")
        values = {**_values(picture), "tenant_id": tenant, "path": original, "thumbnail_path": small}
        row = {**values, "filename": name, "file_size": len(content)}
        made = session.execute(insert(IMAGES).values(row).returning(IMAGES.c.id)).scalar_one()
        return {**image_row(session, tenant, made), "duplicate": False}


@router.get("", response_model=ImagePage)
def images(asker: Bearer, query: Annotated[ImageQuery, Query()]) -> Any:
    """A page of pictures."""
    settings = asker.service.settings
    limit = page_limit(query.limit, settings.page_size, settings.max_page_size)
    with asker.reading() as session:
        wanted = filter_of(session, asker, query)
        return page_of(session, asker, wanted, after=query.after, limit=limit, order=query.order, tags=query.tags)


@router.get("/facets", response_model=Facets)
def counts(asker: Bearer, query: Annotated[FacetQuery, Query()]) -> Any:
    """How many of these pictures carry what."""
    with asker.reading() as session:
        picked = condition(asker.tenant, asker.columns, filter_of(session, asker, query))
        return facets(session, asker.tenant, asker.columns, picked, query.top)


@router.get("/{image_id}", response_model=ImageDetail)
def read(asker: Bearer, image_id: Id) -> Any:
    """One picture with its tags and faces."""
    with asker.reading() as session:
        image = image_row(session, asker.tenant, image_id)
        return _with_tags(session, asker, [image])[0]


@router.delete("/{image_id}", status_code=204)
def delete(asker: Bearer, image_id: Id) -> None:
    """Deletes a picture with its tags, faces and files."""
    with asker.writing() as session:
        lock_images(session, asker.tenant, [image_id])
        row = session.execute(
            select(IMAGES.c.path, IMAGES.c.thumbnail_path).where(IMAGES.c.id == image_id)
        ).one()  # fmt: skip
        for name in ("image_tags", "detected_faces", "machine_tags", "permatags", "trained_image_tags"):
            table = asker.columns.table(name)
            session.execute(delete_from(table).where(table.c.image_id == image_id))
        session.execute(delete_from(IMAGES).where(IMAGES.c.id == image_id, IMAGES.c.tenant_id == asker.tenant))
    # After the commit: a picture whose deletion was refused keeps its files.
    asker.service.storage.remove(row.path)
    asker.service.storage.remove(row.thumbnail_path)


@router.get("/{image_id}/file", responses=_FILES, response_class=FileResponse)
def original_file(asker: Bearer, image_id: Id) -> FileResponse:
    """The file as it was sent."""
    return _file(asker, image_id, "path")


@router.get("/{image_id}/thumbnail", responses=_FILES, response_class=FileResponse)
def thumbnail(asker: Bearer, image_id: Id) -> FileResponse:
    """A JPEG of at most 512 pixels a side."""
    return _file(asker, image_id, "thumbnail_path")


def filter_of(session: Session, asker: Asker, query: ImageFilter) -> Filter:
    """What a query means, its names looked up.

    Raises:
        Problem: 409 for an ambiguous name, 422 for an unknown one.
    """
    asked = [Asked(keyword_id=i) for i in query.keyword_id] + [Asked(keyword=k) for k in query.keyword]
    known = find_keywords(session, asker.tenant, asker.keywords, asked) if asked else {}
    people: list[tuple[int | None, str | None]] = [(i, None) for i in query.person_id]
    people += [(None, name) for name in query.person]
    persons = find_people(session, asker.tenant, people) if people else {}
    return Filter(
        keywords=list(dict.fromkeys(known.values())),
        category_ids=categories_at(session, asker.tenant, query.category, query.category_id),
        people=list(dict.fromkeys(persons.values())),
        every=query.match == "all",
        sources=query.source,
        verdict=query.verdict,
        captured_from=query.captured_from,
        captured_to=query.captured_to,
    )


def page_of(
    session: Session, asker: Asker, wanted: Filter, *, after: int | None, limit: int, order: str, tags: bool
) -> dict[str, Any]:
    """A page of pictures, by key: `after` is the last one of the page before."""
    query = select(*image_columns()).where(condition(asker.tenant, asker.columns, wanted))
    rows = _in_order(session, query, after=after, most=limit + 1, newest=order == "newest", near=wanted.anything)
    items = rows[:limit]
    if tags:
        items = _with_tags(session, asker, items)
    return {"items": items, "next": items[-1]["id"] if len(rows) > limit else None}


def _in_order(
    session: Session, query: Select[Any], *, after: int | None, most: int, newest: bool, near: bool
) -> list[dict[str, Any]]:
    """The first rows by key. No index has both tenant and key.

    Asked for the first of a tenant's keys the server reads pictures by key, whosever they are, until it has enough:
    quick for whoever has many, but whoever has sent none for long would read past all that others have sent since.
    So with `near` it looks among the next `NEAR` keys alone; what is not found there comes by the tenant's index.
    """
    key = IMAGES.c.id
    if after is not None:
        query = query.where(key < after if newest else key > after)
    if near:
        end = select(cast(func.max(key) if newest else func.min(key), BigInteger)).scalar_subquery()
        begin = end if after is None else literal(after, BigInteger)
        window = query.where(key >= begin - NEAR if newest else key <= begin + NEAR)
        found = session.execute(window.order_by(key.desc() if newest else key).limit(most)).mappings().all()
        if len(found) == most:
            return [dict(row) for row in found]
    by_tenant = key + 0  # an expression, which no index is in the order of
    rows = session.execute(query.order_by(by_tenant.desc() if newest else by_tenant).limit(most)).mappings()
    return [dict(row) for row in rows]


def _with_tags(session: Session, asker: Asker, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    ids = [item["id"] for item in items]
    tags = tags_of(session, asker.tenant, asker.columns, ids)
    faces = faces_of(session, asker.tenant, asker.columns, ids)
    return [{**item, "tags": tags.get(item["id"], []), "faces": faces.get(item["id"], [])} for item in items]


def _twin(session: Session, tenant: str, digest: str) -> int | None:
    query = select(IMAGES.c.id).where(IMAGES.c.tenant_id == tenant, IMAGES.c.content_hash == digest)
    return session.execute(query.order_by(IMAGES.c.id).limit(1)).scalar_one_or_none()


def _values(picture: Picture) -> dict[str, Any]:
    moment = now()
    return {
        "content_hash": picture.content_hash, "perceptual_hash": picture.perceptual_hash, "width": picture.width,
        "height": picture.height, "format": picture.format, "exif_data": dict(picture.exif), **picture.camera,
        "tags_applied": False, "faces_detected": False, "created_at": moment, "updated_at": moment,
    }  # fmt: skip


def _file(asker: Asker, image_id: int, column: str) -> FileResponse:
    with asker.reading() as session:
        query = select(IMAGES.c[column]).where(IMAGES.c.tenant_id == asker.tenant, IMAGES.c.id == image_id)
        row = session.execute(query).first()
    place = asker.service.storage.path(row[0]) if row is not None else None
    if place is None:
        raise not_found("file of image", image_id)
    kinds = dict(TYPES.values())
    # Never to be run as a page, whatever a browser makes of the content.
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, max-age=86400, immutable"}
    return FileResponse(place, media_type=kinds[place.suffix[1:]], headers=headers)
