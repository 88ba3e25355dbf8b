"""Which pictures a request asks for, as one condition on `image_metadata`.

It decides what each filter means and how several combine. It must never compare pictures of two tenants: every
subquery is scoped by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, and_, not_, or_, select, union_all

from photocat.models.shared import Base
from photocat.people import KnownPerson
from photocat.tags.interface import SOURCES, Source, TagColumns
from photocat.vocabulary import Known, subtree, vocabulary

Verdict = Literal["approved", "rejected", "undecided"]
IMAGES = Base.metadata.tables["image_metadata"]
_SIGNS = {"approved": 1, "rejected": -1}


@dataclass(frozen=True)
class Filter:
    """What a request asks for; nothing asked for is every picture.

    Attributes:
        keywords: each one that a picture may or must carry.
        category_ids: each category of whose subtree it may or must carry a keyword.
        people: each one who may or must be in it.
        every: all of these must hold, not any.
        sources: the sources whose tags count; none named: all, and of verdicts the approvals.
        verdict: what was decided on the tags asked for, or on any tag if none is.
        captured_from: the first moment of capture.
        captured_to: the first moment after the last.
    """

    keywords: Sequence[Known] = ()
    category_ids: Sequence[int] = ()
    people: Sequence[KnownPerson] = ()
    every: bool = False
    sources: Sequence[Source] = ()
    verdict: Verdict | None = None
    captured_from: datetime | None = None
    captured_to: datetime | None = None

    @property
    def anything(self) -> bool:
        """Nothing is asked for: every picture will do."""
        lists = (self.keywords, self.category_ids, self.people, self.sources)
        return not any(lists) and {self.verdict, self.captured_from, self.captured_to} == {None}


def condition(tenant: str, columns: TagColumns, wanted: Filter) -> ColumnElement[bool]:
    """The condition that picks them."""
    parts: list[ColumnElement[bool]] = [IMAGES.c.tenant_id == tenant]
    if wanted.captured_from is not None:
        parts.append(IMAGES.c.capture_timestamp >= wanted.captured_from)
    if wanted.captured_to is not None:
        parts.append(IMAGES.c.capture_timestamp < wanted.captured_to)
    tags = _criteria(tenant, columns, wanted)
    each = [_carries(tenant, columns, wanted, tag) for tag in tags]
    faces = columns.table("detected_faces")
    each += [_in(select(faces.c.image_id).where(faces.c.tenant_id == tenant, columns.is_person(faces, person)))
             for person in wanted.people]  # fmt: skip
    if each:
        parts.append(and_(*each) if wanted.every else or_(*each))
    if not tags and (wanted.sources or wanted.verdict):
        parts.append(_carries(tenant, columns, wanted, lambda _: None))
    return and_(*parts)


def _criteria(tenant: str, columns: TagColumns, wanted: Filter) -> list[Any]:
    result: list[Any] = [lambda table, k=known: columns.means(table, k) for known in wanted.keywords]
    if wanted.category_ids:
        vocab = vocabulary(tenant)
        # Named by place, not by key: a statement is compiled once for all.
        for place, category_id in enumerate(wanted.category_ids):
            tree = subtree(tenant, [category_id], f"subtree_{place}")
            result.append(lambda table, t=tree: columns.within(table, vocab, t))
    return result


def _carries(tenant: str, columns: TagColumns, wanted: Filter, tag: Any) -> ColumnElement[bool]:
    """Whether a picture has such a tag in the sources asked for, and the verdict asked for on it."""
    if wanted.verdict in ("approved", "rejected"):
        decided = _in(_rows(tenant, columns, "permatag", tag, sign=_SIGNS[wanted.verdict]))
        others: list[Source] = [s for s in wanted.sources if s != "permatag"]
        return and_(decided, _in(*(_rows(tenant, columns, s, tag) for s in others))) if others else decided
    sources = wanted.sources or tuple(SOURCES)
    rows = [_rows(tenant, columns, s, tag, sign=1 if s == "permatag" else None) for s in sources]
    if wanted.verdict is None:
        return _in(*rows)
    undecided = not_(_in(_rows(tenant, columns, "permatag", tag)))
    # Without a tag asked for, every picture on which nobody has decided anything, tagged or not.
    return and_(_in(*rows), undecided) if tag(columns.table("permatags")) is not None or wanted.sources else undecided


def _rows(tenant: str, columns: TagColumns, source: Source, tag: Any, *, sign: int | None = None) -> Select[Any]:
    table = columns.table(SOURCES[source])
    query = select(table.c.image_id).where(table.c.tenant_id == tenant, table.c.image_id.is_not(None))
    criterion = tag(table)
    if criterion is not None:
        query = query.where(criterion)
    return query if sign is None else query.where(table.c.signum == sign)


def _in(*rows: Select[Any]) -> ColumnElement[bool]:
    return IMAGES.c.id.in_(rows[0] if len(rows) == 1 else union_all(*rows))
