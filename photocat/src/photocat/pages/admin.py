"""`/admin`: keywords and categories, renamed, moved and merged, each with what it would touch beforehand.

A change is asked for twice: the first time the API's dry run answers, the second time it happens. It must never change
anything that the first answer did not show.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from photocat.catalog import category_row, category_tree, keyword_row
from photocat.context import Asker
from photocat.pages.direction import direction_of
from photocat.pages.render import PageRoute, checked, partial, render
from photocat.pages.session import Keeper
from photocat.pages.view import touched_rows
from photocat.problems import Problem
from photocat.routes import categories, keywords
from photocat.schemas.fields import Id
from photocat.schemas.requests import CategoryChange, KeywordChange, KeywordQuery, KeywordRef, Merge
from photocat.vocabulary import find_keywords

router = APIRouter(route_class=PageRoute, prefix="/admin")
PAGE_SIZE = 60
SAID = {"rename": "Renamed.", "move": "Moved.", "merge": "Merged: this keyword has the other one's tags now."}
Said = Annotated[str, Query(max_length=10)]
Step = Annotated[Literal["preview", "do"], Form()]


@router.get("")
def overview(
    asker: Keeper, q: Annotated[str, Query(max_length=100)] = "", category_id: Annotated[str, Query()] = "",
    after: Annotated[str, Query()] = "",
) -> Response:  # fmt: skip
    """The tree of categories, and a page of keywords."""
    given = {"q": q.strip(), "category_id": category_id or None, "after": after or None}
    query = checked(KeywordQuery, {**given, "limit": min(PAGE_SIZE, asker.service.settings.max_page_size)})
    with asker.reading() as session:
        tree = category_tree(session, asker.tenant)
    page = keywords.keywords(asker, query)
    here = next((c for c in flat(tree) if c["category_id"] == query.category_id), None)
    return render(
        "admin.html", asker=asker, direction=direction_of(k["keyword"] for k in page["items"]), tree=tree, here=here,
        keywords=page["items"], next=page["next"], query=query,
    )  # fmt: skip


@router.get("/keywords/{keyword_id}")
def keyword(asker: Keeper, keyword_id: Id, said: Said = "") -> Response:
    """One keyword, and what can be done with it."""
    return _keyword(asker, keyword_id, said=SAID.get(said, ""))


@router.post("/keywords/{keyword_id}")
def change_keyword(
    request: Request,
    asker: Keeper,
    keyword_id: Id,
    what: Annotated[Literal["rename", "move", "merge"], Form()],
    step: Step = "preview",
    name: Annotated[str, Form()] = "",
    category_id: Annotated[Id | None, Form()] = None,
    into: Annotated[str, Form()] = "",
    pick: Annotated[Id | None, Form()] = None,
    into_id: Annotated[Id | None, Form()] = None,
) -> Response:
    """Shows what a change would touch, or carries it out."""
    dry_run = step == "preview"
    stays = keyword_id
    fields: dict[str, str] = {"what": what}
    if what == "merge":
        winner = _winner(asker, pick or into_id, into.strip())
        stays, fields["into_id"] = winner["keyword_id"], str(winner["keyword_id"])
        touched = keywords.merge(asker, keyword_id, Merge(into=winner["keyword_id"]), dry_run=dry_run)
        words = f"Merge it into “{winner['keyword']}” in {winner['category']}"
    elif what == "rename":
        body = checked(KeywordChange, {"keyword": name.strip()})
        fields["name"] = body.keyword
        touched = keywords.change(asker, keyword_id, body, dry_run=dry_run)
        words = f"Rename it to “{body.keyword}”"
    else:
        body = checked(KeywordChange, {"category_id": category_id})
        fields["category_id"] = str(body.category_id)
        touched = keywords.change(asker, keyword_id, body, dry_run=dry_run)
        words = "Move it there"
    if not dry_run:
        return RedirectResponse(f"/admin/keywords/{stays}?said={what}", 303)
    preview = _preview(touched, words, fields, f"/admin/keywords/{keyword_id}")
    if partial(request):
        return render("touched.html", preview=preview)
    return _keyword(asker, keyword_id, preview=preview)


@router.get("/categories/{category_id}")
def category(asker: Keeper, category_id: Id, said: Said = "") -> Response:
    """One category, and what can be done with it."""
    return _category(asker, category_id, said=SAID.get(said, ""))


@router.post("/categories/{category_id}")
def change_category(
    request: Request,
    asker: Keeper,
    category_id: Id,
    what: Annotated[Literal["rename", "move"], Form()],
    step: Step = "preview",
    name: Annotated[str, Form()] = "",
    parent_id: Annotated[Id | None, Form()] = None,
) -> Response:
    """Shows what a change would touch, or carries it out."""
    dry_run = step == "preview"
    fields: dict[str, str] = {"what": what}
    if what == "rename":
        body = checked(CategoryChange, {"name": name.strip()})
        fields["name"] = body.name
        words = f"Rename it to “{body.name}”"
    else:
        body = checked(CategoryChange, {"parent_id": parent_id})
        fields["parent_id"] = str(parent_id or "")
        words = "Move it there"
    touched = categories.change(asker, category_id, body, dry_run=dry_run)
    if not dry_run:
        return RedirectResponse(f"/admin/categories/{category_id}?said={what}", 303)
    preview = _preview(touched, words, fields, f"/admin/categories/{category_id}")
    if partial(request):
        return render("touched.html", preview=preview)
    return _category(asker, category_id, preview=preview)


def flat(tree: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A tree's categories, each before those below it."""
    return [one for category in tree for one in (category, *flat(category["children"]))]


def _keyword(asker: Asker, keyword_id: int, *, said: str = "", preview: Any = None) -> Response:
    with asker.reading() as session:
        row = keyword_row(session, asker.tenant, keyword_id)
        places = flat(category_tree(session, asker.tenant))
    values = {"keyword": row, "places": places, "said": said, "preview": preview}
    return render("keyword.html", asker=asker, direction=direction_of([row["keyword"]]), **values)


def _category(asker: Asker, category_id: int, *, said: str = "", preview: Any = None) -> Response:
    with asker.reading() as session:
        row = category_row(session, asker.tenant, category_id)
        below = {one["category_id"] for one in flat([row])}
        places = [one for one in flat(category_tree(session, asker.tenant)) if one["category_id"] not in below]
    values = {"category": row, "places": places, "said": said, "preview": preview}
    return render("category.html", asker=asker, direction=direction_of([row["name"] or ""]), **values)


def _winner(asker: Asker, key: int | None, text: str) -> dict[str, Any]:
    if key is None and not text:
        raise Problem(422, "invalid", "into: name the keyword that takes over the tags.")
    asked = checked(KeywordRef, {"keyword_id": key} if key is not None else {"keyword": text}).asked()
    with asker.reading() as session:
        return find_keywords(session, asker.tenant, asker.keywords, [asked])[asked].shown()


def _preview(touched: dict[str, Any], words: str, fields: dict[str, str], action: str) -> dict[str, Any]:
    return {
        "rows": touched_rows(touched["rows"]), "dropped": touched_rows(touched.get("dropped", {})),
        "keywords": touched.get("keywords", 0), "categories": touched.get("categories", 0), "words": words,
        "fields": fields, "action": action,
    }  # fmt: skip
