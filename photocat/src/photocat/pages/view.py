"""What a picture's card shows, made of what the API answers for it.

It decides that a keyword stands once on a picture, however many sources say it, under its category. It must never ask
the database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from photocat.pages.glyph import codes_of, name_of, text_of
from photocat.tags.interface import Source

SOURCE_WORDS: Mapping[Source, str] = {
    "manual": "by hand", "machine": "machine", "trained": "trained model", "permatag": "verdict",
}  # fmt: skip
#: Rows by table, as a person calls them.
TABLE_WORDS: Mapping[str, str] = {
    "image_tags": "tags by hand", "machine_tags": "machine tags", "trained_image_tags": "tags of trained models",
    "permatags": "verdicts", "keyword_models": "keyword models",
}  # fmt: skip


@dataclass
class Tag:
    """A keyword on a picture.

    Attributes:
        key: what tells it apart on its page.
        keyword_id: its key, or None for words that mean no keyword; nobody can decide on those.
        keyword: its name.
        sources: who says so, in words.
        confidence: the highest, from 0 to 1.
        verdict: `approved`, `rejected` or None.
        manual: whether it was set by hand, and can be taken away.
        shared: whether the picture has another keyword of this name, whose verdict this one's may move.
    """

    key: str
    keyword_id: int | None
    keyword: str
    sources: list[str] = field(default_factory=list)
    confidence: float | None = None
    verdict: str | None = None
    manual: bool = False
    shared: bool = False

    @property
    def stays(self) -> bool:
        """Whether a verdict changes this row of the page and no other."""
        return not self.shared

    def say(self, tag: Mapping[str, Any]) -> None:
        """Takes in what one more source says."""
        source: Source = tag["source"]
        if source == "permatag":
            self.verdict = tag["verdict"]
            return
        if SOURCE_WORDS[source] not in self.sources:
            self.sources.append(SOURCE_WORDS[source])
        self.manual = self.manual or source == "manual"
        if tag["confidence"] is not None and source != "manual":
            self.confidence = max(self.confidence or 0.0, float(tag["confidence"]))


@dataclass(frozen=True)
class Group:
    """The keywords of one category; "" holds words without any."""

    category: str
    tags: list[Tag]


@dataclass(frozen=True)
class Face:
    """A face: `number` counts a picture's from 1; the box in pixels, where it is known whole."""

    id: int
    number: int
    person: str | None
    known: bool
    box: tuple[int, int, int, int] | None


@dataclass(frozen=True)
class Card:
    """A picture as a page shows it."""

    id: int
    title: str
    alt: str
    source: str
    size: tuple[int, int] | None
    captured: datetime | None
    groups: list[Group]
    faces: list[Face]

    def words(self) -> Iterator[str]:
        """The tenant's own words on it."""
        return (tag.keyword for tag in self.tags())

    def tags(self) -> Iterator[Tag]:
        """Every keyword on it."""
        return (tag for group in self.groups for tag in group.tags)


def card(image: Mapping[str, Any]) -> Card:
    """The card of an image as the API answers it, with its tags and faces."""
    codes = codes_of(image["filename"])
    text = text_of(codes) if codes else None
    name = name_of(text) if text else None
    title = name or image["filename"] or f"Picture {image['id']}"
    source = "/static/no-picture.svg"
    if image["has_thumbnail"]:
        source = f"/pictures/{image['id']}/thumbnail"
    elif codes:
        source = f"/glyphs/{codes}.svg"
    size = (image["width"], image["height"]) if image["width"] and image["height"] else None
    return Card(
        image["id"], title, f"{text} {name}" if name else title, source, size, image["captured_at"],
        groups(image["id"], image["tags"]), [_face(n, f) for n, f in enumerate(image["faces"], 1)],
    )  # fmt: skip


def groups(image_id: int, tags: Iterable[Mapping[str, Any]]) -> list[Group]:
    """A picture's tags, by category and name; the sources of a keyword together."""
    found: dict[str, dict[tuple[int | None, str], Tag]] = {}
    unknown = 0
    for tag in tags:
        word = tag["keyword"] or "?"
        here = found.setdefault(tag["category"] or "", {})
        place = (tag["keyword_id"], word)
        if place not in here:
            unknown += tag["keyword_id"] is None
            key = f"{image_id}-{tag['keyword_id'] or f'x{unknown}'}"
            here[place] = Tag(key, tag["keyword_id"], word)
        here[place].say(tag)
    every = [row for rows in found.values() for row in rows.values()]
    names = Counter(row.keyword for row in every)
    for one in every:
        one.shared = names[one.keyword] > 1
    return [Group(category, list(here.values())) for category, here in found.items()]


def _face(number: int, face: Mapping[str, Any]) -> Face:
    sides = [face["box"][side] for side in ("left", "top", "right", "bottom")]
    box = None
    if all(side is not None for side in sides):
        left, top, right, bottom = sides
        box = (left, top, max(right - left, 0), max(bottom - top, 0))
    return Face(face["id"], number, face["person"], face["person_id"] is not None, box)


def touched_rows(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Rows by table in words, without those that nothing happens to."""
    return [(TABLE_WORDS[name], count) for name, count in counts.items() if count]
