"""Bodies and queries of requests."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from photocat.filters import Verdict
from photocat.schemas.fields import (
    Body,
    Finite,
    Id,
    Lookup,
    Model,
    Moment,
    Name,
    Prompt,
    Share,
    Vector,
    Version,
    Whole,
    Words,
)  # fmt: skip
from photocat.tags.interface import Source
from photocat.vocabulary import Asked

Many = 50
Order = Literal["newest", "oldest"]


class KeywordRef(Body):
    """Names a keyword: by `keyword_id`, or by `keyword` with or without the path of its `category`."""

    keyword_id: Id | None = None
    keyword: Lookup | None = Field(default=None, description="Its name; the category's path may stand before it.")
    category: Lookup | None = Field(default=None, description="The path of its category: names joined by `/`.")

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.keyword_id is None and self.keyword is None:
            raise ValueError("names no keyword: give keyword_id or keyword")
        return self

    def asked(self) -> Asked:
        """As the vocabulary looks it up."""
        return Asked(self.keyword_id, self.keyword, self.category)


class PersonRef(Body):
    """Names a person by `person_id`, or by `person`: a name or an alias. Neither: nobody."""

    person_id: Id | None = None
    person: Lookup | None = None


class NewCategory(Body):
    """A category to be made; without `parent_id` at the root."""

    name: Name
    parent_id: Id | None = None
    sort_order: Whole = 0


class CategoryChange(Body):
    """What to change of a category; what is left out stays, and `parent_id: null` moves it to the root."""

    name: Name = Field(default="-", description="A new name.")
    parent_id: Id | None = None
    sort_order: Whole = 0


class NewKeyword(Body):
    """A keyword to be made."""

    keyword: Name
    category_id: Id
    prompt: Prompt | None = None
    sort_order: Whole = 0


class KeywordChange(Body):
    """What to change of a keyword; what is left out stays."""

    keyword: Name = Field(default="-", description="A new name.")
    category_id: Id = Field(default=1, description="The category to move it to.")
    prompt: Prompt | None = None
    sort_order: Whole = 0


class Merge(Body):
    """The keyword that takes over the tags of the one in the path, which then goes."""

    into: Id


class NewPerson(Body):
    """A person to be made."""

    name: Name
    aliases: list[Name] = Field(default=[], max_length=Many)


class PersonChange(Body):
    """What to change of a person; what is left out stays, `aliases` replaces all of them."""

    name: Name = Field(default="-", description="A new name.")
    aliases: list[Name] = Field(default=[], max_length=Many)


class Verdicts(KeywordRef):
    """A verdict on a tag."""

    verdict: Literal["approved", "rejected"]


class BulkTags(Body):
    """Manual tags for several pictures at once: all of it happens, or nothing."""

    image_ids: Annotated[list[Id], Field(min_length=1)]
    add: list[KeywordRef] = Field(default=[], max_length=Many)
    remove: list[KeywordRef] = Field(default=[], max_length=Many)

    @model_validator(mode="after")
    def _asks(self) -> Self:
        if not self.add and not self.remove:
            raise ValueError("names nothing to add or remove")
        return self


class MachineTagIn(KeywordRef):
    """A tag of an external tagger; once for each picture, keyword, `tag_type` and model."""

    image_id: Id
    confidence: Share
    tag_type: Version
    model_name: Model
    model_version: Version | None = None


class TrainedTagIn(KeywordRef):
    """A tag of a model trained on this tenant's pictures; once for each picture, keyword and model."""

    image_id: Id
    confidence: Share | None = None
    model_name: Model
    model_version: Version | None = None


class KeywordModelIn(KeywordRef):
    """What a model has learnt of a keyword; once for each keyword and model."""

    model_name: Model
    model_version: Version | None = None
    positive_centroid: Vector
    negative_centroid: Vector | None = None


class FaceIn(Body):
    """A face that a detector found; once for each picture and box. A name may come with it."""

    image_id: Id
    top: Whole
    right: Whole
    bottom: Whole
    left: Whole
    confidence: Share | None = None
    encoding: Annotated[list[Finite], Field(min_length=1, max_length=4096)] | None = None
    person_id: Id | None = None
    person: Lookup | None = None


class MachineTags(Body):
    """Many of them: all are taken, or none."""

    tags: Annotated[list[MachineTagIn], Field(min_length=1)]


class TrainedTags(Body):
    """Many of them: all are taken, or none."""

    tags: Annotated[list[TrainedTagIn], Field(min_length=1)]


class KeywordModels(Body):
    """Many of them: all are taken, or none."""

    models: Annotated[list[KeywordModelIn], Field(min_length=1)]


class Faces(Body):
    """Many of them: all are taken, or none."""

    faces: Annotated[list[FaceIn], Field(min_length=1)]


class ImageFilter(Body):
    """Which pictures; without any member all of them."""

    model_config = ConfigDict(extra="forbid")

    keyword_id: list[Id] = Field(default=[], max_length=Many)
    keyword: list[Lookup] = Field(default=[], max_length=Many)
    category_id: list[Id] = Field(default=[], max_length=Many)
    category: list[Lookup] = Field(default=[], max_length=Many)
    person_id: list[Id] = Field(default=[], max_length=Many)
    person: list[Lookup] = Field(default=[], max_length=Many)
    match: Annotated[Literal["all", "any"], Field(description="Whether each of these must hold, or one.")] = "all"
    source: list[Source] = Field(default=[], max_length=4, description="The sources whose tags count.")
    verdict: Verdict | None = None
    captured_from: Moment | None = None
    captured_to: Annotated[Moment | None, Field(description="The first moment that is too late.")] = None


class ImageQuery(ImageFilter):
    """A page of pictures."""

    after: Annotated[Id | None, Field(description="`next` of the page before.")] = None
    limit: Annotated[int | None, Field(ge=1)] = None
    order: Order = "newest"
    tags: Annotated[bool, Field(description="With each picture's tags and faces.")] = False


class FacetQuery(ImageFilter):
    """Counts for pictures."""

    top: Annotated[int, Field(ge=1, le=200, description="Keywords and people at most.")] = 30


class KeywordQuery(Body):
    """A page of keywords."""

    q: Annotated[Words, Field(max_length=100, description="Where the name begins so, whatever its case.")] = ""
    category_id: Id | None = None
    after: Annotated[Id | None, Field(description="`next` of the page before.")] = None
    limit: Annotated[int | None, Field(ge=1)] = None
