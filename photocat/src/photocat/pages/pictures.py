"""`/`: pictures with their tags, decided on, added to and named in place.

Every change goes through the function of the API's route and answers with the picture's card, or with the whole page
again where no script runs.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from sqlalchemy import select
from starlette.datastructures import QueryParams
from starlette.responses import FileResponse, RedirectResponse, Response

from photocat.catalog import page_limit
from photocat.context import Asker
from photocat.facets import facets
from photocat.filters import IMAGES, condition
from photocat.pages import selection
from photocat.pages.direction import direction_of
from photocat.pages.glyph import codes_of, drawn
from photocat.pages.render import PageRoute, checked, partial, render, target_of
from photocat.pages.session import Viewer
from photocat.pages.view import SOURCE_WORDS, card
from photocat.people import PEOPLE
from photocat.problems import TITLES, Problem, not_found
from photocat.routes import images, intake, keywords, tags
from photocat.routes.images import filter_of, page_of
from photocat.schemas.fields import Id
from photocat.schemas.requests import KeywordQuery, KeywordRef, PersonRef, Verdicts

router = APIRouter(route_class=PageRoute)
PAGE_SIZE = 24
_COMPLETIONS = 8
_FACETS = 20
#: What the id of a tag's row begins with: htmx swaps the row alone where no other changes.
_ROW = "row-"
_FOREVER = "public, max-age=31536000, immutable"


@router.get("/")
def index(request: Request, asker: Viewer) -> Response:
    """A page of pictures; a filter that cannot be met is said, with what was meant perhaps."""
    chosen = selection.read(request.query_params)
    query = chosen.query(min(PAGE_SIZE, asker.service.settings.max_page_size))
    problem = None
    values: dict[str, Any] = {"cards": [], "next": None, "chips": []}
    with asker.reading() as session:
        try:
            wanted = filter_of(session, asker, query)
        except Problem as found:
            problem = found
        else:
            limit = page_limit(query.limit, PAGE_SIZE, asker.service.settings.max_page_size)
            page = page_of(session, asker, wanted, after=query.after, limit=limit, order=query.order, tags=True)
            cards = [card(image) for image in page["items"]]
            values = {"cards": cards, "next": page["next"], "chips": chosen.chips(wanted)}
    direction = direction_of(word for shown in values["cards"] for word in shown.words())
    return render(
        "index.html", status=problem.status if problem else 200, asker=asker, direction=direction, chosen=chosen,
        problem=problem, title=TITLES[problem.kind] if problem else "", **values,
    )  # fmt: skip


@router.get("/facets")
def counts(request: Request, asker: Viewer) -> Response:
    """How many of these pictures carry what, each a link to them; by itself a page where no script runs."""
    chosen = selection.read(request.query_params)
    with asker.reading() as session:
        picked = condition(asker.tenant, asker.columns, filter_of(session, asker, chosen.filter()))
        found = facets(session, asker.tenant, asker.columns, picked, _FACETS)
    direction = direction_of(keyword["keyword"] for keyword in found["keywords"])
    name = "facets.html" if partial(request) else "facets_page.html"
    return render(name, asker=asker, direction=direction, chosen=chosen, facets=found, sources=SOURCE_WORDS)


@router.post("/pictures/{image_id}/tags")
def decide(
    request: Request,
    asker: Viewer,
    image_id: Id,
    approve: Annotated[Id | None, Form()] = None,
    reject: Annotated[Id | None, Form()] = None,
    clear: Annotated[Id | None, Form()] = None,
    remove: Annotated[Id | None, Form()] = None,
    pick: Annotated[Id | None, Form()] = None,
    keyword_id: Annotated[Id | None, Form()] = None,
    keyword: Annotated[str, Form()] = "",
) -> Response:
    """Approves, rejects or takes a verdict back (by the keyword's key), takes a tag away, or adds one."""
    if approve is not None:
        tags.decide(asker, image_id, Verdicts(keyword_id=approve, verdict="approved"))
    elif reject is not None:
        tags.decide(asker, image_id, Verdicts(keyword_id=reject, verdict="rejected"))
    elif clear is not None:
        tags.undecide(asker, image_id, KeywordRef(keyword_id=clear))
    elif remove is not None:
        tags.untag(asker, image_id, KeywordRef(keyword_id=remove))
    else:
        chosen = pick or keyword_id
        named: dict[str, Any] = {"keyword_id": chosen} if chosen else {"keyword": keyword.strip() or None}
        tags.tag(asker, image_id, checked(KeywordRef, named))
    return _changed(request, asker, image_id)


@router.post("/faces/{face_id}/person")
def name_face(
    request: Request,
    asker: Viewer,
    face_id: Id,
    person: Annotated[str, Form()] = "",
    person_id: Annotated[Id | None, Form()] = None,
) -> Response:
    """Says whose a face is, by key, name or alias; an empty name makes it nobody's."""
    named: dict[str, Any] = {"person_id": person_id} if person_id else {"person": person.strip() or None}
    face = intake.name_face(asker, face_id, checked(PersonRef, named))
    return _changed(request, asker, face["image_id"])


@router.get("/complete/keywords")
def complete_keyword(
    request: Request, asker: Viewer, keyword: Annotated[str, Query()] = "", into: Annotated[str, Query()] = ""
) -> Response:
    """The first keywords that begin so."""
    text = (keyword or into).strip()
    found: list[dict[str, Any]] = []
    if text:
        page = keywords.completion(asker, checked(KeywordQuery, {"q": text, "limit": _COMPLETIONS}))
        found = [{"id": k["keyword_id"], "text": k["keyword"], "more": k["category"]} for k in page["items"]]
    return render("options.html", options=found, list=target_of(request))


@router.get("/complete/people")
def complete_person(request: Request, asker: Viewer, person: Annotated[str, Query(max_length=100)] = "") -> Response:
    """The first people whose name begins so, whatever its case."""
    text = person.strip().replace("\x00", "")
    found: list[dict[str, Any]] = []
    if text:
        query = select(PEOPLE.c.id, PEOPLE.c.name).where(
            PEOPLE.c.tenant_id == asker.tenant, PEOPLE.c.name.istartswith(text, autoescape=True)
        )
        with asker.reading() as session:
            rows = session.execute(query.order_by(PEOPLE.c.name, PEOPLE.c.id).limit(_COMPLETIONS)).all()
        found = [{"id": row.id, "text": row.name, "more": ""} for row in rows]
    return render("options.html", options=found, list=target_of(request))


@router.get("/pictures/{image_id}/thumbnail")
def thumbnail(asker: Viewer, image_id: Id) -> Response:
    """The small file of a picture, or the character that a sample's picture is."""
    with asker.reading() as session:
        query = select(IMAGES.c.thumbnail_path, IMAGES.c.filename)
        row = session.execute(query.where(IMAGES.c.tenant_id == asker.tenant, IMAGES.c.id == image_id)).first()
    if row is None:
        raise not_found("image", image_id)
    place = asker.service.storage.path(row.thumbnail_path)
    if place is not None:
        return FileResponse(place, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=86400"})
    codes = codes_of(row.filename)
    return glyph(codes) if codes else RedirectResponse("/static/no-picture.svg", 303)


@router.get("/glyphs/{codes}.svg")
def glyph(codes: str) -> Response:
    """A character as a picture: nobody's data, so everybody may have it."""
    made = drawn(codes)
    if made is None:
        raise not_found("character", codes[:100])
    return Response(made, media_type="image/svg+xml", headers={"Cache-Control": _FOREVER})


def _changed(request: Request, asker: Asker, image_id: int) -> Response:
    if not partial(request):
        # The pictures that were shown; not where an earlier post was refused, for nothing can be read there.
        query = request.headers.get("referer", "").partition("?")[2].partition("#")[0]
        page = selection.read(QueryParams(query)).link(keep_place=True)
        return RedirectResponse(f"{page}#picture-{image_id}", 303)
    shown = card(images.read(asker, image_id))
    row = target_of(request)
    if not row.startswith(_ROW):
        return render("card.html", card=shown)
    tag = next((tag for tag in shown.tags() if _ROW + tag.key == row), None)
    return render("row.html", card=shown, tag=tag)
