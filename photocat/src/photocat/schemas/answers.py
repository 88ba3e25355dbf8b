"""Bodies of answers. Wherever a keyword is named, `keyword_id` stands beside `keyword` and `category`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from photocat.tags.interface import Source


class Health(BaseModel):
    """Whether the service can work, and on what."""

    status: Literal["ok", "down"]
    database: Literal["ok", "unreachable"]
    revision: str | None = Field(description="Alembic's; null without a database.")
    phase: str | None = Field(description="Of the migration: the last one done, or `legacy` before any.")
    tag_columns: Literal["text", "key"]
    version: str


class Keyword(BaseModel):
    """A keyword."""

    keyword_id: int
    keyword: str
    category_id: int
    category: str
    prompt: str | None = None
    sort_order: int | None = None


class KeywordPage(BaseModel):
    """Keywords, and where the next page begins."""

    items: list[Keyword]
    next: int | None


class Category(BaseModel):
    """A category with those below it; `keywords` stand in it, `keywords_below` in it or below."""

    category_id: int
    name: str
    category: str
    parent_id: int | None
    sort_order: int | None
    keywords: int
    keywords_below: int
    children: list[Category]


class CategoryTree(BaseModel):
    """A tenant's categories."""

    items: list[Category]


class Touched(BaseModel):
    """What a change touches, or with `dry_run` would touch: rows by table."""

    dry_run: bool
    rows: dict[str, int]
    categories: int = 0
    keywords: int = 0
    dropped: dict[str, int] = Field(default={}, description="Tags that go because the picture has the winner's too.")
    keyword: Keyword | None = None
    category: Category | None = None


class Person(BaseModel):
    """A person with other names."""

    person_id: int
    person: str
    aliases: list[str]


class PersonPage(BaseModel):
    """People, and where the next page begins."""

    items: list[Person]
    next: int | None


class PersonTouched(BaseModel):
    """What a change touches, or with `dry_run` would touch."""

    dry_run: bool
    faces: int
    person: Person | None = None


class Tag(BaseModel):
    """A tag of a picture, of whatever source."""

    keyword_id: int | None
    keyword: str | None
    category: str | None
    source: Source
    tag_id: int
    confidence: float | None
    verdict: Literal["approved", "rejected"] | None
    tag_type: str | None
    model_name: str | None
    model_version: str | None
    created_by: str | None
    created_at: datetime | None


class Box(BaseModel):
    """Where a face is, in pixels."""

    top: int | None
    right: int | None
    bottom: int | None
    left: int | None


class Face(BaseModel):
    """A face, and whose it is."""

    id: int
    image_id: int
    person_id: int | None
    person: str | None
    confidence: float | None
    box: Box
    created_at: datetime | None


class Image(BaseModel):
    """A picture."""

    id: int
    filename: str | None
    format: str | None
    width: int | None
    height: int | None
    file_size: int | None
    content_hash: str | None
    captured_at: datetime | None
    camera_make: str | None
    camera_model: str | None
    created_at: datetime | None
    tags: list[Tag] | None = None
    faces: list[Face] | None = None


class ImageDetail(Image):
    """A picture with everything that is known of it."""

    lens_model: str | None
    iso: int | None
    aperture: float | None
    shutter_speed: str | None
    focal_length: float | None
    gps_latitude: float | None
    gps_longitude: float | None
    perceptual_hash: str | None
    exif: dict[str, Any] | None


class Uploaded(ImageDetail):
    """A picture that was sent; `duplicate` if this tenant had its content already."""

    duplicate: bool


class ImagePage(BaseModel):
    """Pictures, and where the next page begins."""

    items: list[Image]
    next: int | None


class KeywordCount(BaseModel):
    """Pictures that carry a keyword."""

    keyword_id: int
    keyword: str
    category: str
    images: int


class CategoryCount(BaseModel):
    """Pictures that carry a keyword of a category's subtree."""

    category_id: int
    category: str
    images: int


class PersonCount(BaseModel):
    """Pictures that a person is in."""

    person_id: int
    person: str
    images: int


class SourceCount(BaseModel):
    """Pictures that have a tag of a source."""

    source: Source
    images: int


class VerdictCount(BaseModel):
    """Pictures that have a verdict."""

    verdict: Literal["approved", "rejected"]
    images: int


class Facets(BaseModel):
    """Counts of pictures."""

    images: int
    keywords: list[KeywordCount]
    categories: list[CategoryCount]
    people: list[PersonCount]
    sources: list[SourceCount]
    verdicts: list[VerdictCount]


class Tags(BaseModel):
    """The tags of a picture."""

    image_id: int
    items: list[Tag]


class Written(BaseModel):
    """What an intake or a bulk request did."""

    added: int
    updated: int
    removed: int = 0
