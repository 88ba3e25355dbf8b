"""Tables that are the same before and after the migration.

Widths, NULLs and names are the original's: nothing is NOT NULL that it did not say, and `tenant_id` is 50 wide here and
255 there. It must never hold a column that the migration adds or drops.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, MetaData, String, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSON, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """What the shared tables are declared on."""


class Tenant(Base):
    """A customer; its id stands in every other table."""

    __tablename__ = "tenants"
    __table_args__ = (Index("ix_tenants_active", "active"),)

    id: Mapped[str] = mapped_column(String(255), primary_key=True)
    name: Mapped[str | None] = mapped_column(String(255))
    active: Mapped[bool | None]
    settings: Mapped[Any | None] = mapped_column(JSON)
    created_at: Mapped[datetime | None]
    updated_at: Mapped[datetime | None]


class KeywordCategory(Base):
    """A category of keywords: a tree by `parent_id`. Equal root categories can exist, for NULL parents are distinct."""

    __tablename__ = "keyword_categories"
    __table_args__ = (
        UniqueConstraint("tenant_id", "name", "parent_id", name="uq_keyword_categories_tenant_id_name_parent_id"),
        Index("ix_keyword_categories_tenant_id", "tenant_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str | None] = mapped_column(String(50))
    name: Mapped[str | None] = mapped_column(String(100))
    parent_id: Mapped[int | None] = mapped_column(
        ForeignKey("keyword_categories.id", name="fk_keyword_categories_parent_id", ondelete="CASCADE")
    )
    sort_order: Mapped[int | None]
    created_at: Mapped[datetime | None]
    updated_at: Mapped[datetime | None]


class Person(Base):
    """Somebody whose face is recognized, under a name and aliases (a list of texts)."""

    __tablename__ = "people"
    __table_args__ = (UniqueConstraint("tenant_id", "name", name="uq_people_tenant_id_name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str | None] = mapped_column(
        String(50), ForeignKey("tenants.id", name="fk_people_tenant_id", ondelete="CASCADE")
    )
    name: Mapped[str | None] = mapped_column(String(100))
    aliases: Mapped[list[str] | None] = mapped_column(JSON)
    face_embedding_ref: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime | None]
    updated_at: Mapped[datetime | None]


class ImageMetadata(Base):
    """A picture: where its file is, and what is known of it."""

    __tablename__ = "image_metadata"
    __table_args__ = (
        Index("ix_image_metadata_tenant_id_capture_timestamp", "tenant_id", "capture_timestamp"),
        Index("ix_image_metadata_tenant_id", "tenant_id"),
        Index("ix_image_metadata_content_hash", "content_hash"),
        Index("ix_image_metadata_perceptual_hash", "perceptual_hash"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str | None] = mapped_column(String(255))
    path: Mapped[str | None] = mapped_column(String(1024))
    filename: Mapped[str | None] = mapped_column(String(512))
    file_size: Mapped[int | None]
    content_hash: Mapped[str | None] = mapped_column(String(64))
    perceptual_hash: Mapped[str | None] = mapped_column(String(64))
    width: Mapped[int | None]
    height: Mapped[int | None]
    format: Mapped[str | None] = mapped_column(String(10))
    exif_data: Mapped[Any | None] = mapped_column(JSONB)
    camera_make: Mapped[str | None] = mapped_column(String(100))
    camera_model: Mapped[str | None] = mapped_column(String(100))
    lens_model: Mapped[str | None] = mapped_column(String(100))
    iso: Mapped[int | None]
    aperture: Mapped[float | None]
    shutter_speed: Mapped[str | None] = mapped_column(String(50))
    focal_length: Mapped[float | None]
    capture_timestamp: Mapped[datetime | None]
    gps_latitude: Mapped[float | None]
    gps_longitude: Mapped[float | None]
    thumbnail_path: Mapped[str | None] = mapped_column(String(1024))
    tags_applied: Mapped[bool | None]
    faces_detected: Mapped[bool | None]
    created_at: Mapped[datetime | None]
    updated_at: Mapped[datetime | None]


class ApiToken(Base):
    """A bearer token: its SHA-256 alone, the tenant that it is bound to, and whether it may administer.

    Of the service, and no part of the legacy schema; `expires_at` and `revoked_at` are NULL while it holds.
    """

    __tablename__ = "api_tokens"
    __table_args__ = (
        UniqueConstraint("token_hash", name="uq_api_tokens_token_hash"),
        Index("ix_api_tokens_tenant_id", "tenant_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = mapped_column(
        String(255), ForeignKey("tenants.id", name="fk_api_tokens_tenant_id", ondelete="CASCADE")
    )
    name: Mapped[str] = mapped_column(String(100))
    token_hash: Mapped[str] = mapped_column(String(64))
    admin: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


def tables_into(metadata: MetaData) -> None:
    """Copy the shared tables into one end's metadata, so that it is whole and its foreign keys find them."""
    for table in Base.metadata.sorted_tables:
        table.to_metadata(metadata)
