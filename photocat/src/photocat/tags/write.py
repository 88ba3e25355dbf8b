"""Writing tags of every source: what is there is changed, what is not is added, and doing it again changes nothing.

It decides what counts as the same tag: the legacy uniques, by which a picture carries a name once in each source and
model. There is no ON CONFLICT, for each stage of the migration has other uniques, and some deferrable: the pictures
are locked instead, so that nobody else tags them meanwhile. It must never write before that lock is held.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Session

from photocat.models.shared import Base
from photocat.problems import not_found
from photocat.tags.interface import IDENTITY, TagColumns
from photocat.vocabulary import Known

IMAGES = Base.metadata.tables["image_metadata"]
_SHOWN = 20


@dataclass(frozen=True)
class Tagging:
    """One tag to be written.

    Attributes:
        known: its keyword.
        image_id: its picture; None for a keyword's model.
        values: further columns of the table (`confidence`, `model_name` …).
    """

    known: Known
    image_id: int | None
    values: Mapping[str, Any] = field(default_factory=dict)

    def identity(self, table: str) -> tuple[Any, ...]:
        """What tells it apart from other tags of this name."""
        every = {**self.values, "image_id": self.image_id}
        return tuple(every.get(name) for name in IDENTITY[table])


def lock_images(session: Session, tenant: str, ids: Collection[int]) -> None:
    """Locks pictures against other taggers until the transaction ends, in the order of their keys.

    Raises:
        Problem: 404 naming the first ones that are not this tenant's.
    """
    wanted = sorted(set(ids))
    mine = select(IMAGES.c.id).where(IMAGES.c.tenant_id == tenant, IMAGES.c.id.in_(wanted))
    # Foreign keys lock FOR KEY SHARE, which this lets pass: other code that tags the same picture does not wait.
    found = set(session.execute(mine.order_by(IMAGES.c.id).with_for_update(key_share=True)).scalars())
    missing = [i for i in wanted if i not in found]
    if missing:
        raise not_found("image", ", ".join(map(str, missing[:_SHOWN])))


def lock_models(session: Session, tenant: str) -> None:
    """Locks a tenant's keyword models against other intakes until the transaction ends."""
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"photocat models {tenant}", 0))))


def put(session: Session, tenant: str, columns: TagColumns, table: str, tags: Sequence[Tagging]) -> tuple[int, int]:
    """Adds tags or brings them up to date; pictures (or models) are locked already.

    A tag of the same name under another category moves to the one given now. Of equal ones the last holds.

    Args:
        session: in a transaction.
        tenant: whose.
        columns: the code before or after the migration.
        table: one of `TAGGED`.
        tags: what to write.

    Returns:
        How many were added, and how many were there and now say what is given.
    """
    wanted = {(t.known.keyword, t.identity(table)): t for t in tags}
    standing = _standing(session, tenant, columns, table, list(wanted.values()))
    target = columns.table(table)
    fresh: list[dict[str, Any]] = []
    changes: list[dict[str, Any]] = []
    for place, tag in wanted.items():
        values = {**columns.values(table, tag.known), **tag.values}
        if place in standing:
            changes.append({"row_id": standing[place], **_dated(target.c, values, created=False)})
        else:
            new = {"tenant_id": tenant, **({} if tag.image_id is None else {"image_id": tag.image_id}), **values}
            fresh.append(_dated(target.c, new, created=True))
    if fresh:
        session.execute(insert(target), fresh)
    if changes:
        names = [name for name in changes[0] if name != "row_id"]
        rows = [{f"new_{k}" if k != "row_id" else k: v for k, v in c.items()} for c in changes]
        assigned: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
        # On the connection, for the session would take several sets of values for an ORM update by key.
        session.connection().execute(update(target).where(target.c.id == bindparam("row_id")).values(assigned), rows)
    return len(fresh), len(changes)


def _dated(names: Any, values: dict[str, Any], *, created: bool) -> dict[str, Any]:
    moments = [n for n in (("created_at", "updated_at") if created else ("updated_at",)) if n in names]
    return {**values, **dict.fromkeys(moments, now())}


def now() -> datetime:
    """The moment that rows are dated with: in UTC and without a zone, as their columns are."""
    return datetime.now(UTC).replace(tzinfo=None)


def _standing(
    session: Session, tenant: str, columns: TagColumns, table: str, tags: Sequence[Tagging]
) -> dict[tuple[str, tuple[Any, ...]], int]:
    target = columns.table(table)
    names = {sign: tag.known.keyword for tag in tags for sign in columns.signs(tag.known)}
    given = {value for tag in tags for value in columns.values(table, tag.known).values()}
    query = select(target.c.id, columns.sign(target).label("sign"), *(target.c[c] for c in IDENTITY[table]))
    query = query.where(target.c.tenant_id == tenant, columns.sign(target).in_(list(names)))
    if "image_id" in target.c:
        query = query.where(target.c.image_id.in_({tag.image_id for tag in tags}))
    found: dict[tuple[str, tuple[Any, ...]], int] = {}
    for row in session.execute(query.order_by(target.c.id)):
        place = (names[row.sign], tuple(row)[2:])
        # After contract other code may have given the name twice: the row of the very keyword goes first.
        if place not in found or row.sign in given:
            found[place] = row.id
    return found


def take(
    session: Session, tenant: str, columns: TagColumns, table: str, known: Collection[Known], images: Collection[int]
) -> int:  # fmt: skip
    """Removes tags of these keywords from these pictures.

    Returns:
        How many rows went.
    """
    target = columns.table(table)
    gone = 0
    for one in known:
        here = [target.c.tenant_id == tenant, target.c.image_id.in_(list(images)), columns.means(target, one)]
        gone += len(session.execute(delete(target).where(*here).returning(target.c.id)).all())
    return gone


def require_image(session: Session, tenant: str, image_id: int) -> None:
    """Raises Problem 404 unless the picture is this tenant's."""
    mine = select(IMAGES.c.id).where(IMAGES.c.tenant_id == tenant, IMAGES.c.id == image_id)
    if session.execute(mine).first() is None:
        raise not_found("image", image_id)
