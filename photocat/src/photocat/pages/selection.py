"""Which pictures a page shows, as its address says: read from it, and written into links.

It decides what the address may hold: the filters of the API, by their names. It must never hold more than a link can
bring back, and an empty field of a form is a field that was not filled in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from photocat.filters import Filter
from photocat.pages.render import checked
from photocat.schemas.requests import ImageFilter, ImageQuery

_LISTS = ("keyword_id", "keyword", "category_id", "category", "person_id", "person", "source")
_ONCE = ("match", "verdict", "captured_from", "captured_to", "order", "after")
#: Where one begins again: another filter has another first page.
_PLACE = "after"


@dataclass(frozen=True)
class Chip:
    """A filter that holds, and the link without it.

    Attributes:
        kind: `keyword`, `category`, `person` … in words.
        text: what of it.
        link: the same pictures without this filter.
    """

    kind: str
    text: str
    link: str


@dataclass(frozen=True)
class Selection:
    """The filled-in fields of an address, in its order."""

    pairs: tuple[tuple[str, str], ...]

    def query(self, limit: int) -> ImageQuery:
        """As the API takes it, with so many pictures a page.

        Raises:
            Problem: 422 naming the field.
        """
        return checked(ImageQuery, {**self._values((*_LISTS, *_ONCE)), "limit": limit, "tags": True})

    def filter(self) -> ImageFilter:
        """The filters alone.

        Raises:
            Problem: 422 naming the field.
        """
        return checked(ImageFilter, self._values((*_LISTS, *(n for n in _ONCE if n not in ("order", _PLACE)))))

    def one(self, name: str) -> str:
        """The last value of a field, or ""."""
        return next((value for field, value in reversed(self.pairs) if field == name), "")

    def has(self, name: str, value: object) -> bool:
        """Whether this filter holds already."""
        return (name, str(value)) in self.pairs

    def names(self, *names: str) -> bool:
        """Whether any of these fields is filled in."""
        return any(name in names for name, _ in self.pairs)

    def link(
        self, *, path: str = "/", add: Sequence[tuple[str, object]] = (), drop: Any = (), keep_place: bool = False
    ) -> str:
        """The address of other pictures, from their first page on.

        Args:
            path: of the page.
            add: fields beside these; one of those that stand once replaces the other.
            drop: (name, value) pairs that go.
            keep_place: the same page of the same pictures.
        """
        replaced = {name for name, _ in add if name in _ONCE} | (set() if keep_place else {_PLACE})
        gone = {(name, str(value)) for name, value in drop}
        kept = [pair for pair in self.pairs if pair[0] not in replaced and pair not in gone]
        every = [*kept, *((name, str(value)) for name, value in add)]
        return f"{path}?{urlencode(every)}" if every else path

    def chips(self, chosen: Filter) -> list[Chip]:
        """The filters that hold, in words; `chosen` knows the names of keys."""
        names = {("keyword_id", str(known.id)): known.keyword for known in chosen.keywords}
        names |= {("person_id", str(person.id)): person.name for person in chosen.people}
        shown = [pair for pair in self.pairs if pair[0] not in (_PLACE, "order", "match")]
        return [
            Chip(name.removesuffix("_id").replace("_", " "), names.get((name, value), value),
                 self.link(drop=[(name, value)]))
            for name, value in dict.fromkeys(shown)
        ]  # fmt: skip

    def kept(self) -> list[tuple[str, str]]:
        """The filters that no field of the form shows: it sends them along hidden."""
        return [pair for pair in self.pairs if pair[0] in _LISTS]

    def _values(self, names: Sequence[str]) -> dict[str, Any]:
        lists = {name: [value for field, value in self.pairs if field == name] for name in _LISTS if name in names}
        once = {name: self.one(name) for name in _ONCE if name in names and self.one(name)}
        return {**lists, **once}


def read(params: QueryParams) -> Selection:
    """The fields of an address that are filters and filled in; whatever else stands there is passed over."""
    known = {*_LISTS, *_ONCE}
    return Selection(tuple((name, value) for name, value in params.multi_items() if name in known and value.strip()))
