"""`/api/v1/admin/keywords` and `/api/v1/keywords`: the vocabulary, and what a change of it touches."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import delete as delete_from
from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from photocat.catalog import category_row, keyword_columns, keyword_row, page_limit
from photocat.context import Admin, Asker, Bearer
from photocat.problems import Problem, documented
from photocat.schemas.answers import Keyword, KeywordPage, Touched
from photocat.schemas.fields import Id
from photocat.schemas.requests import KeywordChange, KeywordQuery, Merge, NewKeyword
from photocat.tags.change import carry_keyword, doubles, remove_tags, repoint, touched_by
from photocat.tags.write import now
from photocat.vocabulary import KEYWORDS, keyword_by_id, paths, subtree

router = APIRouter(prefix="/admin/keywords", tags=["keywords"], responses=documented(401, 403, 404, 409, 422, 503))
reading = APIRouter(prefix="/keywords", tags=["keywords"], responses=documented(401, 404, 422, 503))


@router.get("", response_model=KeywordPage)
def keywords(asker: Admin, query: Annotated[KeywordQuery, Query()]) -> Any:
    """A page of keywords, in the order of their keys."""
    return _page(asker, query)


@reading.get("", response_model=KeywordPage)
def completion(asker: Bearer, query: Annotated[KeywordQuery, Query()]) -> Any:
    """The same for everybody: to complete a tag that is being typed."""
    return _page(asker, query)


@router.post("", response_model=Keyword, status_code=201)
def create(asker: Admin, body: NewKeyword) -> Any:
    """Makes a keyword."""
    with asker.writing() as session:
        category_row(session, asker.tenant, body.category_id)
        _check_free(session, body.category_id, body.keyword, None)
        table = asker.columns.table("keywords")
        moment = now()
        values = {**body.model_dump(), **asker.columns.keyword_values(asker.tenant)}
        row = {**values, "created_at": moment, "updated_at": moment}
        made = session.execute(insert(table).values(row).returning(table.c.id)).scalar_one()
        return keyword_row(session, asker.tenant, made)


@router.get("/{keyword_id}", response_model=Keyword)
def read(asker: Admin, keyword_id: Id) -> Any:
    """One keyword."""
    with asker.reading() as session:
        return keyword_row(session, asker.tenant, keyword_id)


@router.patch("/{keyword_id}", response_model=Touched)
def change(asker: Admin, keyword_id: Id, body: KeywordChange, dry_run: bool = False) -> Any:
    """Renames or moves a keyword; its tags follow."""
    with asker.writing(dry_run=dry_run) as session:
        old = keyword_by_id(session, asker.tenant, asker.keywords, keyword_id)
        given = body.model_dump(exclude_unset=True)
        name, category = given.get("keyword", old.keyword), given.get("category_id", old.category_id)
        moved = (name, category) != (old.keyword, old.category_id)
        if moved:
            category_row(session, asker.tenant, category)
            _check_free(session, category, name, keyword_id)
        rows = touched_by(session, asker.tenant, asker.columns, old) if moved else {}
        touched = {"dry_run": dry_run, "rows": rows, "keywords": 1}
        if dry_run or not given:
            return touched
        session.execute(update(KEYWORDS).where(KEYWORDS.c.id == keyword_id).values({**given, "updated_at": now()}))
        if moved:
            new = keyword_by_id(session, asker.tenant, asker.keywords, keyword_id)
            carry_keyword(session, asker.tenant, asker.columns, old, new)
        return {**touched, "keyword": keyword_row(session, asker.tenant, keyword_id)}


@router.post("/{keyword_id}/merge", response_model=Touched)
def merge(asker: Admin, keyword_id: Id, body: Merge, dry_run: bool = False) -> Any:
    """Gives a keyword's tags to another and deletes it; where a picture has both, the other's tag stays."""
    with asker.writing(dry_run=dry_run) as session:
        loser = keyword_by_id(session, asker.tenant, asker.keywords, keyword_id)
        winner = keyword_by_id(session, asker.tenant, asker.keywords, body.into)
        if loser.id == winner.id:
            raise Problem(409, "conflict", f"Keyword {keyword_id} cannot be merged into itself.")
        rows = touched_by(session, asker.tenant, asker.columns, loser)
        touched = {"dry_run": dry_run, "rows": rows, "keywords": 1}
        if dry_run:
            return {**touched, "dropped": doubles(session, asker.tenant, asker.columns, loser, winner)}
        dropped = repoint(session, asker.tenant, asker.columns, loser, winner)
        session.execute(delete_from(KEYWORDS).where(KEYWORDS.c.id == keyword_id))
        return {**touched, "dropped": dropped, "keyword": keyword_row(session, asker.tenant, winner.id)}


@router.delete("/{keyword_id}", response_model=Touched)
def delete(asker: Admin, keyword_id: Id, dry_run: bool = False) -> Any:
    """Deletes a keyword and the tags that say it."""
    with asker.writing(dry_run=dry_run) as session:
        old = keyword_by_id(session, asker.tenant, asker.keywords, keyword_id)
        rows = touched_by(session, asker.tenant, asker.columns, old)
        if not dry_run:
            remove_tags(session, asker.tenant, asker.columns, old)
            session.execute(delete_from(KEYWORDS).where(KEYWORDS.c.id == keyword_id))
        return {"dry_run": dry_run, "rows": rows, "keywords": 1}


def _check_free(session: Session, category_id: int, name: str, key: int | None) -> None:
    query = select(KEYWORDS.c.id).where(KEYWORDS.c.category_id == category_id, KEYWORDS.c.keyword == name)
    twin = session.execute(query.where(KEYWORDS.c.id.is_distinct_from(key))).first()
    if twin is not None:
        raise Problem(409, "conflict", f"Category {category_id} has a keyword {name!r} already: {twin.id}.")


def _page(asker: Asker, query: KeywordQuery) -> dict[str, Any]:
    settings = asker.service.settings
    limit = page_limit(query.limit, settings.page_size, settings.max_page_size)
    with asker.reading() as session:
        tree = paths(asker.tenant)
        wanted = select(*keyword_columns(tree)).join(tree, tree.c.id == KEYWORDS.c.category_id)
        if query.category_id is not None:
            category_row(session, asker.tenant, query.category_id)
            wanted = wanted.where(KEYWORDS.c.category_id.in_(select(subtree(asker.tenant, [query.category_id]).c.id)))
        if query.q:
            wanted = wanted.where(func.starts_with(func.lower(KEYWORDS.c.keyword), query.q.lower()))
        if query.after is not None:
            wanted = wanted.where(KEYWORDS.c.id > query.after)
        rows = session.execute(wanted.order_by(KEYWORDS.c.id).limit(limit + 1)).mappings().all()
    items = [dict(row) for row in rows[:limit]]
    return {"items": items, "next": items[-1]["keyword_id"] if len(rows) > limit else None}
