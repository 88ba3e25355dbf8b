"""Kinds of values that requests are made of, each with its bounds.

It decides what the database can store at all: no NUL, no lone surrogate, no integer beyond its column, no infinity.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

MOST = 2**31 - 1


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("holds the character NUL, which PostgreSQL cannot store")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("holds half of a surrogate pair, which is no character")
    return text


def _name(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    if text != text.strip():
        raise ValueError("begins or ends with white space")
    # Joiners and marks of direction are needed in many scripts; line breaks and controls in no name.
    if any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text):
        raise ValueError("holds a control character")
    return text


def _without_zone(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _not_a_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("is no number")
    return value


Id = Annotated[int, BeforeValidator(_not_a_bool), Field(ge=1, le=MOST)]
Whole = Annotated[int, BeforeValidator(_not_a_bool), Field(ge=-MOST - 1, le=MOST)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Storable = AfterValidator(_storable)
Words = Annotated[str, Storable]
#: Names as they are made here; names in the database may be of any shape, so looking one up takes `Asked`.
Name = Annotated[str, Storable, AfterValidator(_name), Field(min_length=1, max_length=100)]
Lookup = Annotated[str, Storable, Field(min_length=1, max_length=1000)]
Prompt = Annotated[str, Storable, Field(max_length=10_000)]
Model = Annotated[str, Storable, Field(min_length=1, max_length=100)]
Version = Annotated[str, Storable, Field(min_length=1, max_length=50)]
Moment = Annotated[datetime, AfterValidator(_without_zone)]
Vector = Annotated[list[Finite], Field(min_length=1, max_length=4096)]


class Body(BaseModel):
    """A request's body: a member that nobody knows is an error, not a surprise."""

    model_config = ConfigDict(extra="forbid")
