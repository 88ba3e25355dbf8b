"""What the tables that the migration changes have at both ends: their other columns.

It must never hold a text that the migration drops, nor a key that it adds; these stand in `text` and `key`.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Double, ForeignKey, String, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, declared_attr, mapped_column


def _image(table: str, *, cascade: bool) -> Mapped[int | None]:
    name = f"fk_{table}_image_id"
    return mapped_column(ForeignKey("image_metadata.id", name=name, ondelete="CASCADE" if cascade else None))


class KeywordColumns:
    """A keyword of a category; the tenant is its category's."""

    __tablename__ = "keywords"

    id: Mapped[int] = mapped_column(primary_key=True)
    keyword: Mapped[str | None] = mapped_column(String(100))
    prompt: Mapped[str | None] = mapped_column(Text)
    sort_order: Mapped[int | None]
    created_at: Mapped[datetime | None]
    updated_at: Mapped[datetime | None]

    @declared_attr
    def category_id(cls) -> Mapped[int]:  # noqa: N805
        """The category."""
        name = "fk_keywords_category_id"
        return mapped_column(ForeignKey("keyword_categories.id", name=name, ondelete="CASCADE"))


class ImageTagColumns:
    """A tag that somebody set by hand, or that came with the picture."""

    __tablename__ = "image_tags"

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str | None] = mapped_column(String(255))
    confidence: Mapped[float | None]
    manual: Mapped[bool | None]
    created_at: Mapped[datetime | None]

    @declared_attr
    def image_id(cls) -> Mapped[int | None]:  # noqa: N805
        """The picture; a picture with such tags cannot be deleted."""
        return _image("image_tags", cascade=False)


class MachineTagColumns:
    """A tag that a model of an external tagger gave."""

    __tablename__ = "machine_tags"

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str | None] = mapped_column(String(255))
    confidence: Mapped[float]
    tag_type: Mapped[str | None] = mapped_column(String(50))
    model_name: Mapped[str] = mapped_column(String(100))
    model_version: Mapped[str | None] = mapped_column(String(50))
    created_at: Mapped[datetime | None]
    updated_at: Mapped[datetime | None]

    @declared_attr
    def image_id(cls) -> Mapped[int | None]:  # noqa: N805
        """The picture."""
        return _image("machine_tags", cascade=True)


class PermatagColumns:
    """Somebody's verdict on a tag: approved (+1) or rejected (-1)."""

    __tablename__ = "permatags"

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str | None] = mapped_column(String(50))
    signum: Mapped[int | None]
    created_at: Mapped[datetime | None]
    created_by: Mapped[str | None] = mapped_column(String(100))

    @declared_attr
    def image_id(cls) -> Mapped[int | None]:  # noqa: N805
        """The picture."""
        return _image("permatags", cascade=True)


class TrainedImageTagColumns:
    """A tag that a model gave which was trained on this tenant's own pictures."""

    __tablename__ = "trained_image_tags"

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str | None] = mapped_column(String(255))
    confidence: Mapped[float | None]
    model_name: Mapped[str | None] = mapped_column(String(100))
    model_version: Mapped[str | None] = mapped_column(String(50))
    created_at: Mapped[datetime | None]

    @declared_attr
    def image_id(cls) -> Mapped[int | None]:  # noqa: N805
        """The picture."""
        return _image("trained_image_tags", cascade=True)


class KeywordModelColumns:
    """What a model has learnt of a keyword: where its pictures lie, and where the others."""

    __tablename__ = "keyword_models"

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str | None] = mapped_column(String(255))
    model_name: Mapped[str | None] = mapped_column(String(100))
    model_version: Mapped[str | None] = mapped_column(String(50))
    positive_centroid: Mapped[list[float]] = mapped_column(ARRAY(Double))
    negative_centroid: Mapped[list[float] | None] = mapped_column(ARRAY(Double))
    created_at: Mapped[datetime | None]
    updated_at: Mapped[datetime | None]


class DetectedFaceColumns:
    """A face in a picture, and whose it is, once that is known. The name stays at both ends."""

    __tablename__ = "detected_faces"

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str | None] = mapped_column(String(255))
    person_name: Mapped[str | None] = mapped_column(String(255))
    confidence: Mapped[float | None]
    bbox_top: Mapped[int | None]
    bbox_right: Mapped[int | None]
    bbox_bottom: Mapped[int | None]
    bbox_left: Mapped[int | None]
    face_encoding: Mapped[list[float] | None] = mapped_column(ARRAY(Double))
    created_at: Mapped[datetime | None]

    @declared_attr
    def image_id(cls) -> Mapped[int | None]:  # noqa: N805
        """The picture; a picture with faces cannot be deleted."""
        return _image("detected_faces", cascade=False)
