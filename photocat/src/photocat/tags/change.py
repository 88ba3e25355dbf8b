"""What changes of the vocabulary do to tags: how many they touch, and how the tags follow.

Before the migration a rename must be carried into every tag by the application, for nothing else does; where sync
stands it has done so already and nothing is left to carry. It must never leave a tag behind that says the old name.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import ColumnElement, Table, and_, delete, exists, func, literal, or_, select, update
from sqlalchemy.orm import Session

from photocat.tags.interface import IDENTITY, TAGGED, Face, TagColumns
from photocat.vocabulary import SEPARATOR, Known, subtree, vocabulary

FACES = "detected_faces"
Which = Callable[[Table], ColumnElement[bool]]


def touched_by(session: Session, tenant: str, columns: TagColumns, known: Known) -> dict[str, int]:
    """How many rows of each table mean a keyword."""
    return _counted(session, tenant, columns, lambda table: columns.means(table, known))


def touched_in(session: Session, tenant: str, columns: TagColumns, category_id: int) -> dict[str, int]:
    """How many rows of each table mean a keyword of a category, or of one below it."""
    inside = _within(tenant, columns, category_id)
    return _counted(session, tenant, columns, inside)


def remove_tags(session: Session, tenant: str, columns: TagColumns, known: Known) -> None:
    """Deletes every row that means a keyword, so that the keyword can go."""
    for name in TAGGED:
        table = columns.table(name)
        session.execute(delete(table).where(table.c.tenant_id == tenant, columns.means(table, known)))


def remove_tags_in(session: Session, tenant: str, columns: TagColumns, category_id: int) -> None:
    """Deletes every row that means a keyword of a category, or of one below it."""
    inside = _within(tenant, columns, category_id)
    for name in TAGGED:
        table = columns.table(name)
        session.execute(delete(table).where(table.c.tenant_id == tenant, inside(table)))


def repoint(session: Session, tenant: str, columns: TagColumns, loser: Known, winner: Known) -> dict[str, int]:
    """Makes every row of one keyword mean another; where a picture has both, the winner's stays.

    Returns:
        How many rows of each table went, since the winner had one of its own.
    """
    dropped = {}
    for name in TAGGED:
        table = columns.table(name)
        lost = and_(table.c.tenant_id == tenant, columns.means(table, loser))
        gone = session.execute(delete(table).where(lost, _doubled(columns, name, tenant, winner)).returning(table.c.id))
        dropped[name] = len(gone.all())
        session.execute(update(table).where(lost).values(columns.values(name, winner)))
    return dropped


def doubles(session: Session, tenant: str, columns: TagColumns, loser: Known, winner: Known) -> dict[str, int]:
    """What `repoint` would return."""

    def both(table: Table) -> ColumnElement[bool]:
        return and_(columns.means(table, loser), _doubled(columns, table.name, tenant, winner))

    return _counted(session, tenant, columns, both)


def carry_keyword(session: Session, tenant: str, columns: TagColumns, old: Known, new: Known) -> None:
    """Makes the tags of a keyword say its new name or path; keys need nothing."""
    if columns.mode == "key":
        return
    for name in TAGGED:
        table = columns.table(name)
        says = (table.c.tenant_id == tenant, columns.means(table, old))
        session.execute(update(table).where(*says).values(columns.values(name, new)))


def carry_path(session: Session, tenant: str, columns: TagColumns, old: str, new: str) -> None:
    """Makes the tags below a path say the new one; keys need nothing."""
    if columns.mode == "key" or old == new:
        return
    for name in TAGGED:
        table = columns.table(name)
        if "category" not in table.c:
            continue
        below = or_(table.c.category == old, func.starts_with(table.c.category, old + SEPARATOR))
        moved = literal(new) + func.substr(table.c.category, len(old) + 1)
        session.execute(update(table).where(table.c.tenant_id == tenant, below).values(category=moved))


def _doubled(columns: TagColumns, name: str, tenant: str, winner: Known) -> ColumnElement[bool]:
    table = columns.table(name)
    other = table.alias("other")
    same = [other.c[c].is_not_distinct_from(table.c[c]) for c in IDENTITY[name]]
    here = (other.c.tenant_id == tenant, other.c.id != table.c.id, columns.means(other, winner))
    return exists(select(other.c.id).where(*here, *same))


def _within(tenant: str, columns: TagColumns, category_id: int) -> Which:
    vocab = vocabulary(tenant)
    categories = subtree(tenant, [category_id])
    return lambda table: columns.within(table, vocab, categories)


def _counted(session: Session, tenant: str, columns: TagColumns, which: Which) -> dict[str, int]:
    counts = []
    for name in TAGGED:
        table = columns.table(name)
        here = select(func.count()).select_from(table).where(table.c.tenant_id == tenant, which(table))
        counts.append(here.scalar_subquery().label(name))
    return dict(session.execute(select(*counts)).one()._mapping)


def carry_person(
    session: Session, tenant: str, columns: TagColumns, old: str, new: str, *, person_id: int
) -> None:  # fmt: skip
    """Makes the faces that carry a person's old name carry the new one."""
    table = columns.table(FACES)
    if columns.mode == "key":
        whose = columns.person_id(table) == person_id
        session.execute(
            update(table).where(table.c.tenant_id == tenant, whose, table.c.person_name == old).values(person_name=new)
        )
    else:
        session.execute(
            update(table).where(table.c.tenant_id == tenant, table.c.person_name == old).values(person_name=new)
        )


def faces_of_person(session: Session, tenant: str, columns: TagColumns, person: Face) -> int:
    """How many faces are a person's."""
    table = columns.table(FACES)
    here = select(func.count()).select_from(table).where(table.c.tenant_id == tenant, columns.is_person(table, person))
    return session.execute(here).scalar_one()


def forget_person(session: Session, tenant: str, columns: TagColumns, person: Face) -> None:
    """Makes a person's faces nobody's."""
    table = columns.table(FACES)
    mine = (table.c.tenant_id == tenant, columns.is_person(table, person))
    session.execute(update(table).where(*mine).values(columns.person_values(None)))
