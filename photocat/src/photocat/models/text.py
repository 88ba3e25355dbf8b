"""The tables as they were before the migration: a tag repeats keyword and category as text.

What revision 202601171500 makes, exactly. It must never name a key that the migration adds.
"""

from __future__ import annotations

from sqlalchemy import Index, MetaData, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from photocat.models import columns
from photocat.models.shared import tables_into

metadata = MetaData()
tables_into(metadata)


class Base(DeclarativeBase):
    """What the legacy tables are declared on."""

    metadata = metadata


class Keyword(columns.KeywordColumns, Base):
    """See :class:`columns.KeywordColumns`."""

    __table_args__ = (
        UniqueConstraint("category_id", "keyword", name="uq_keywords_category_id_keyword"),
        Index("ix_keywords_category_id", "category_id"),
    )


class ImageTag(columns.ImageTagColumns, Base):
    """See :class:`columns.ImageTagColumns`; nothing keeps a tag from standing twice."""

    __table_args__ = (
        Index("ix_image_tags_tenant_id_keyword", "tenant_id", "keyword"),
        Index("ix_image_tags_keyword", "keyword"),
        Index("ix_image_tags_tenant_id", "tenant_id"),
    )

    keyword: Mapped[str] = mapped_column(String(255))
    category: Mapped[str | None] = mapped_column(String(255))


class MachineTag(columns.MachineTagColumns, Base):
    """See :class:`columns.MachineTagColumns`."""

    __table_args__ = (
        Index("ix_machine_tags_tenant_id_image_id_tag_type", "tenant_id", "image_id", "tag_type"),
        Index("ix_machine_tags_tenant_id_tag_type_keyword", "tenant_id", "tag_type", "keyword"),
        Index("ix_machine_tags_tenant_id", "tenant_id"),
        Index(
            "uq_machine_tags_image_keyword_type_model",
            "tenant_id", "image_id", "keyword", "tag_type", "model_name", unique=True,
        ),
    )  # fmt: skip

    keyword: Mapped[str] = mapped_column(String(255))
    category: Mapped[str | None] = mapped_column(String(255))


class Permatag(columns.PermatagColumns, Base):
    """See :class:`columns.PermatagColumns`."""

    __table_args__ = (
        UniqueConstraint("tenant_id", "image_id", "keyword", name="uq_permatags_tenant_id_image_id_keyword"),
        Index("ix_permatags_tenant_id", "tenant_id"),
        Index("ix_permatags_image_id", "image_id"),
        Index("ix_permatags_keyword", "keyword"),
    )

    keyword: Mapped[str | None] = mapped_column(String(100))
    category: Mapped[str | None] = mapped_column(String(100))


class TrainedImageTag(columns.TrainedImageTagColumns, Base):
    """See :class:`columns.TrainedImageTagColumns`."""

    __table_args__ = (
        Index("ix_trained_image_tags_tenant_id_image_id", "tenant_id", "image_id"),
        Index(
            "uq_trained_image_tags_image_keyword_model",
            "tenant_id", "image_id", "keyword", "model_name", unique=True,
        ),
    )  # fmt: skip

    keyword: Mapped[str | None] = mapped_column(String(255))
    category: Mapped[str | None] = mapped_column(String(255))


class KeywordModel(columns.KeywordModelColumns, Base):
    """See :class:`columns.KeywordModelColumns`; it has no category that could tell equal names apart."""

    __table_args__ = (
        Index("uq_keyword_models_tenant_id_keyword_model_name", "tenant_id", "keyword", "model_name", unique=True),
    )

    keyword: Mapped[str | None] = mapped_column(String(255))


class DetectedFace(columns.DetectedFaceColumns, Base):
    """See :class:`columns.DetectedFaceColumns`."""

    __table_args__ = (
        Index("ix_detected_faces_tenant_id_person_name", "tenant_id", "person_name"),
        Index("ix_detected_faces_person_name", "person_name"),
        Index("ix_detected_faces_tenant_id", "tenant_id"),
    )
