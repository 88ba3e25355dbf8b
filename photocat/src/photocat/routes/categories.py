"""`/api/v1/admin/keywords/categories`: the tree, and what a change of it touches."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from sqlalchemy import delete as delete_from
from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from photocat.catalog import category_row, category_tree
from photocat.context import Admin
from photocat.problems import Problem, documented
from photocat.schemas.answers import Category, CategoryTree, Touched
from photocat.schemas.fields import Id
from photocat.schemas.requests import CategoryChange, NewCategory
from photocat.tags.change import carry_path, remove_tags_in, touched_in
from photocat.tags.write import now
from photocat.vocabulary import CATEGORIES, KEYWORDS, SEPARATOR, paths, subtree

router = APIRouter(
    prefix="/admin/keywords/categories", tags=["categories"], responses=documented(401, 403, 404, 409, 422, 503)
)
#: The longest path that a tag's `category` holds before the migration.
_PATH = 255


@router.get("", response_model=CategoryTree)
def categories(asker: Admin) -> Any:
    """The tree, with counts of keywords."""
    with asker.reading() as session:
        return {"items": category_tree(session, asker.tenant)}


@router.post("", response_model=Category, status_code=201)
def create(asker: Admin, body: NewCategory) -> Any:
    """Makes a category."""
    with asker.writing() as session:
        _lock(session, asker.tenant)
        _check_place(session, asker.tenant, None, body.name, body.parent_id)
        values = {**body.model_dump(), "tenant_id": asker.tenant, "created_at": now(), "updated_at": now()}
        made = session.execute(insert(CATEGORIES).values(values).returning(CATEGORIES.c.id)).scalar_one()
        return category_row(session, asker.tenant, made)


@router.get("/{category_id}", response_model=Category)
def read(asker: Admin, category_id: Id) -> Any:
    """One category with those below it."""
    with asker.reading() as session:
        return category_row(session, asker.tenant, category_id)


@router.patch("/{category_id}", response_model=Touched)
def change(asker: Admin, category_id: Id, body: CategoryChange, dry_run: bool = False) -> Any:
    """Renames or moves a category; its tags follow."""
    with asker.writing(dry_run=dry_run) as session:
        _lock(session, asker.tenant)
        old = category_row(session, asker.tenant, category_id)
        given = body.model_dump(exclude_unset=True)
        name, parent = given.get("name", old["name"]), given.get("parent_id", old["parent_id"])
        moved = (name, parent) != (old["name"], old["parent_id"])
        if moved:
            _check_place(session, asker.tenant, old, name, parent)
        rows = touched_in(session, asker.tenant, asker.columns, category_id) if moved else {}
        touched = {"dry_run": dry_run, "rows": rows, "categories": _size(old), "keywords": old["keywords_below"]}
        if dry_run or not given:
            return touched
        alone = _only_path(session, asker.tenant, old["category"])
        mine = (CATEGORIES.c.id == category_id, CATEGORIES.c.tenant_id == asker.tenant)
        session.execute(update(CATEGORIES).where(*mine).values({**given, "updated_at": now()}))
        new = category_row(session, asker.tenant, category_id)
        if alone:  # tags of a path that two categories have are neither's
            carry_path(session, asker.tenant, asker.columns, old["category"], new["category"])
        return {**touched, "category": new}


@router.delete("/{category_id}", response_model=Touched)
def delete(asker: Admin, category_id: Id, dry_run: bool = False) -> Any:
    """Deletes a category with those below it, their keywords and the tags that say them."""
    with asker.writing(dry_run=dry_run) as session:
        _lock(session, asker.tenant)
        old = category_row(session, asker.tenant, category_id)
        rows = touched_in(session, asker.tenant, asker.columns, category_id)
        touched = {"dry_run": dry_run, "rows": rows, "categories": _size(old), "keywords": old["keywords_below"]}
        if dry_run:
            return touched
        remove_tags_in(session, asker.tenant, asker.columns, category_id)
        below = list(session.execute(select(subtree(asker.tenant, [category_id]).c.id)).scalars())
        session.execute(delete_from(KEYWORDS).where(KEYWORDS.c.category_id.in_(below)))
        session.execute(delete_from(CATEGORIES).where(CATEGORIES.c.id.in_(below)))
        return touched


def _size(category: dict[str, Any]) -> int:
    return 1 + sum(_size(child) for child in category["children"])


def _lock(session: Session, tenant: str) -> None:
    # Two moves at once could make a circle that neither sees.
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"photocat categories {tenant}", 0))))


def _only_path(session: Session, tenant: str, path: str) -> bool:
    tree = paths(tenant)
    return session.execute(select(func.count()).select_from(tree).where(tree.c.path == path)).scalar_one() == 1


def _check_place(session: Session, tenant: str, old: dict[str, Any] | None, name: str, parent: int | None) -> None:
    """Raises Problem 404, 409 or 422 unless a category of this name may stand below this parent."""
    if SEPARATOR in name:
        raise Problem(422, "invalid", f"name: {SEPARATOR!r} separates the names of a path, so no category's has it.")
    above = category_row(session, tenant, parent)["category"] + SEPARATOR if parent is not None else ""
    key = old["category_id"] if old is not None else None
    if parent is not None and key is not None:
        inside = subtree(tenant, [key])
        if session.execute(select(inside.c.id).where(inside.c.id == parent)).first() is not None:
            raise Problem(409, "conflict", f"Category {key} cannot stand below itself.")
    longest = len(above + name) + (_below(old) if old is not None else 0)
    if longest > _PATH:
        raise Problem(422, "invalid", f"name: the path would have {longest} characters, and {_PATH} is the most.")
    beside = CATEGORIES.c.parent_id.is_not_distinct_from(parent)
    same = (CATEGORIES.c.tenant_id == tenant, CATEGORIES.c.name == name, beside)
    twin = session.execute(select(CATEGORIES.c.id).where(*same, CATEGORIES.c.id.is_distinct_from(key))).first()
    if twin is not None:
        raise Problem(409, "conflict", f"There is a category {above + name!r} already: {twin.id}.")


def _below(category: dict[str, Any]) -> int:
    return max((1 + len(c["name"] or "") + _below(c) for c in category["children"]), default=0)
