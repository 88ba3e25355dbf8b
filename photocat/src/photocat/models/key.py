"""The tables as contract leaves them: a tag names its keyword by `keyword_id`, a face its person by `person_id`.

From expand on the code that speaks them can run too: what it leaves out, sync fills. It must never name a text that
contract drops.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, MetaData, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from photocat.models import columns
from photocat.models.shared import tables_into

metadata = MetaData()
tables_into(metadata)

_people = metadata.tables["people"]
Index("uq_people_tenant_id_id", _people.c.tenant_id, _people.c.id, unique=True)


class Base(DeclarativeBase):
    """What the tables with keys are declared on."""

    metadata = metadata


def _foreign(table: str, key: str, lookup: str) -> tuple[ForeignKeyConstraint, CheckConstraint]:
    """The composite foreign key that keeps a tag within its tenant, and the check without which NULL would pass it."""
    return (
        ForeignKeyConstraint(
            ["tenant_id", key], [f"{lookup}.tenant_id", f"{lookup}.id"], name=f"fk_{table}_{key}", ondelete="RESTRICT"
        ),
        CheckConstraint(f"{key} IS NULL OR tenant_id IS NOT NULL", name=f"ck_{table}_{key}_scope"),
    )


class Keyword(columns.KeywordColumns, Base):
    """See :class:`columns.KeywordColumns`; `tenant_id` is the category's, and kept so by a trigger."""

    __table_args__ = (
        UniqueConstraint("category_id", "keyword", name="uq_keywords_category_id_keyword"),
        UniqueConstraint("tenant_id", "category_id", "keyword", name="uq_keywords_tenant_id_category_id_keyword"),
        Index("ix_keywords_category_id", "category_id"),
        Index("uq_keywords_tenant_id_id", "tenant_id", "id", unique=True),
    )

    tenant_id: Mapped[str] = mapped_column(String(50))


class ImageTag(columns.ImageTagColumns, Base):
    """See :class:`columns.ImageTagColumns`."""

    __table_args__ = (
        *_foreign("image_tags", "keyword_id", "keywords"),
        Index("ix_image_tags_tenant_id_keyword_id", "tenant_id", "keyword_id"),
        Index("ix_image_tags_keyword_id", "keyword_id"),
        Index("ix_image_tags_tenant_id", "tenant_id"),
    )

    keyword_id: Mapped[int]


class MachineTag(columns.MachineTagColumns, Base):
    """See :class:`columns.MachineTagColumns`."""

    __table_args__ = (
        *_foreign("machine_tags", "keyword_id", "keywords"),
        Index("ix_machine_tags_tenant_id_image_id_tag_type", "tenant_id", "image_id", "tag_type"),
        Index("ix_machine_tags_tenant_id_tag_type_keyword_id", "tenant_id", "tag_type", "keyword_id"),
        Index("ix_machine_tags_tenant_id_keyword_id", "tenant_id", "keyword_id"),
        Index("ix_machine_tags_tenant_id", "tenant_id"),
        Index(
            "uq_machine_tags_image_keyword_id_type_model",
            "tenant_id", "image_id", "keyword_id", "tag_type", "model_name", unique=True,
        ),
    )  # fmt: skip

    keyword_id: Mapped[int]


class Permatag(columns.PermatagColumns, Base):
    """See :class:`columns.PermatagColumns`."""

    __table_args__ = (
        *_foreign("permatags", "keyword_id", "keywords"),
        UniqueConstraint("tenant_id", "image_id", "keyword_id", name="uq_permatags_tenant_id_image_id_keyword_id"),
        Index("ix_permatags_tenant_id", "tenant_id"),
        Index("ix_permatags_image_id", "image_id"),
        Index("ix_permatags_keyword_id", "keyword_id"),
    )

    keyword_id: Mapped[int]


class TrainedImageTag(columns.TrainedImageTagColumns, Base):
    """See :class:`columns.TrainedImageTagColumns`."""

    __table_args__ = (
        *_foreign("trained_image_tags", "keyword_id", "keywords"),
        Index("ix_trained_image_tags_tenant_id_image_id", "tenant_id", "image_id"),
        Index("ix_trained_image_tags_tenant_id_keyword_id", "tenant_id", "keyword_id"),
        Index(
            "uq_trained_image_tags_image_keyword_id_model",
            "tenant_id", "image_id", "keyword_id", "model_name", unique=True,
        ),
    )  # fmt: skip

    keyword_id: Mapped[int]


class KeywordModel(columns.KeywordModelColumns, Base):
    """See :class:`columns.KeywordModelColumns`."""

    __table_args__ = (
        *_foreign("keyword_models", "keyword_id", "keywords"),
        Index(
            "uq_keyword_models_tenant_id_keyword_id_model_name",
            "tenant_id", "keyword_id", "model_name", unique=True,
        ),
    )  # fmt: skip

    keyword_id: Mapped[int]


class DetectedFace(columns.DetectedFaceColumns, Base):
    """See :class:`columns.DetectedFaceColumns`; whoever writes `person_id` leaves the name to sync."""

    __table_args__ = (
        *_foreign("detected_faces", "person_id", "people"),
        Index("ix_detected_faces_tenant_id_person_name", "tenant_id", "person_name"),
        Index("ix_detected_faces_person_name", "person_name"),
        Index("ix_detected_faces_tenant_id", "tenant_id"),
        Index("ix_detected_faces_person_id", "person_id"),
        Index("ix_detected_faces_tenant_id_person_id", "tenant_id", "person_id"),
    )

    person_id: Mapped[int | None]
