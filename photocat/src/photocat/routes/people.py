"""`/api/v1/admin/people` and `/api/v1/people`: people with their aliases, and the pictures that they are in."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import delete as delete_from
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from photocat.catalog import page_limit
from photocat.context import Admin, Bearer
from photocat.filters import Filter
from photocat.people import PEOPLE, KnownPerson, aliases_in, person_by_id
from photocat.problems import Problem, documented
from photocat.routes.images import page_of
from photocat.schemas.answers import ImagePage, Person, PersonPage, PersonTouched
from photocat.schemas.fields import Id
from photocat.schemas.requests import NewPerson, Order, PersonChange
from photocat.tags.change import carry_person, faces_of_person, forget_person
from photocat.tags.write import now

router = APIRouter(prefix="/admin/people", tags=["people"], responses=documented(401, 403, 404, 409, 422, 503))
reading = APIRouter(prefix="/people", tags=["people"], responses=documented(401, 404, 422, 503))

After = Annotated[Id | None, Query(description="`next` of the page before.")]
Limit = Annotated[int | None, Query(ge=1)]


@router.get("", response_model=PersonPage)
def people(asker: Admin, after: After = None, limit: Limit = None) -> Any:
    """A page of people, in the order of their keys."""
    settings = asker.service.settings
    size = page_limit(limit, settings.page_size, settings.max_page_size)
    query = select(PEOPLE.c.id, PEOPLE.c.name, PEOPLE.c.aliases).where(PEOPLE.c.tenant_id == asker.tenant)
    if after is not None:
        query = query.where(PEOPLE.c.id > after)
    with asker.reading() as session:
        rows = session.execute(query.order_by(PEOPLE.c.id).limit(size + 1)).all()
    items = [
        {"person_id": r.id, "person": r.name or "", "aliases": list(aliases_in(r.aliases))} for r in rows[:size]
    ]  # fmt: skip
    return {"items": items, "next": rows[size - 1].id if len(rows) > size else None}


@router.post("", response_model=Person, status_code=201)
def create(asker: Admin, body: NewPerson) -> Any:
    """Makes a person."""
    with asker.writing() as session:
        _check_free(session, asker.tenant, body.name, None)
        moment = now()
        values = {"tenant_id": asker.tenant, "name": body.name, "aliases": _once(body.aliases)}
        row = {**values, "created_at": moment, "updated_at": moment}
        made = session.execute(insert(PEOPLE).values(row).returning(PEOPLE.c.id)).scalar_one()
        return _shown(person_by_id(session, asker.tenant, made))


@router.get("/{person_id}", response_model=Person)
def read(asker: Admin, person_id: Id) -> Any:
    """One person."""
    with asker.reading() as session:
        return _shown(person_by_id(session, asker.tenant, person_id))


@router.patch("/{person_id}", response_model=PersonTouched)
def change(asker: Admin, person_id: Id, body: PersonChange, dry_run: bool = False) -> Any:
    """Renames a person, whose faces follow, or replaces the aliases."""
    with asker.writing(dry_run=dry_run) as session:
        old = person_by_id(session, asker.tenant, person_id)
        given = body.model_dump(exclude_unset=True)
        name = given.get("name", old.name)
        if name != old.name:
            _check_free(session, asker.tenant, name, person_id)
        faces = faces_of_person(session, asker.tenant, asker.columns, old)
        if dry_run or not given:
            return {"dry_run": dry_run, "faces": faces}
        if "aliases" in given:
            given["aliases"] = _once(given["aliases"])
        mine = (PEOPLE.c.id == person_id, PEOPLE.c.tenant_id == asker.tenant)
        session.execute(update(PEOPLE).where(*mine).values({**given, "updated_at": now()}))
        if name != old.name:
            carry_person(session, asker.tenant, asker.columns, old.name, name, person_id=person_id)
        return {"dry_run": False, "faces": faces, "person": _shown(person_by_id(session, asker.tenant, person_id))}


@router.delete("/{person_id}", response_model=PersonTouched)
def delete(asker: Admin, person_id: Id, dry_run: bool = False) -> Any:
    """Deletes a person; the faces stay and are nobody's."""
    with asker.writing(dry_run=dry_run) as session:
        old = person_by_id(session, asker.tenant, person_id)
        faces = faces_of_person(session, asker.tenant, asker.columns, old)
        if not dry_run:
            forget_person(session, asker.tenant, asker.columns, old)
            session.execute(delete_from(PEOPLE).where(PEOPLE.c.id == person_id, PEOPLE.c.tenant_id == asker.tenant))
        return {"dry_run": dry_run, "faces": faces}


@reading.get("/{person_id}/images", response_model=ImagePage)
def pictures(
    asker: Bearer, person_id: Id, after: After = None, limit: Limit = None, order: Order = "newest", tags: bool = False
) -> Any:
    """The pictures that a person is in."""
    settings = asker.service.settings
    size = page_limit(limit, settings.page_size, settings.max_page_size)
    with asker.reading() as session:
        person = person_by_id(session, asker.tenant, person_id)
        return page_of(session, asker, Filter(people=[person]), after=after, limit=size, order=order, tags=tags)


def _shown(person: KnownPerson) -> dict[str, Any]:
    return {"person_id": person.id, "person": person.name, "aliases": list(person.aliases)}


def _once(aliases: list[str]) -> list[str]:
    return list(dict.fromkeys(aliases))


def _check_free(session: Session, tenant: str, name: str, key: int | None) -> None:
    query = select(PEOPLE.c.id).where(PEOPLE.c.tenant_id == tenant, PEOPLE.c.name == name)
    twin = session.execute(query.where(PEOPLE.c.id.is_distinct_from(key))).first()
    if twin is not None:
        raise Problem(409, "conflict", f"There is a person {name!r} already: {twin.id}.")
