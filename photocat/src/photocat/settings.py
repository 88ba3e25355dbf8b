"""Everything that can be set, read from the environment (`PHOTOCAT_…`).

It decides names, defaults and bounds. It must never read a database, nor keep a secret in what it prints.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

TagColumns = Literal["text", "key"]
"""Which columns say what a tag means: `text`, the legacy `keyword` and `category`; or `key`, `keyword_id`."""

Positive = Annotated[int, Field(gt=0)]


class Settings(BaseSettings):
    """What an instance of PhotoCat is told from outside.

    Attributes:
        database_url: where the database is, as `postgresql://…`; the role needs DML alone.
        tag_columns: which schema the code speaks: `text` before the migration, `key` after it.
        storage: folder of the uploaded files and their thumbnails; made when first needed.
        max_upload_bytes: size of an uploaded picture.
        max_body_bytes: size of any other request's body.
        max_pixels: width times height of an uploaded picture, refused before it is decoded.
        page_size: rows of a page when a request names no number.
        max_page_size: rows of a page at most.
        max_bulk: rows of one bulk request at most.
        pool_size: connections that are kept open.
        pool_overflow: connections beyond these, for a while.
        statement_timeout: milliseconds until the server ends a statement of ours.
        retry_after: seconds that a refused write is asked to wait, while the database is fenced.
        alembic_log: file of the migrations' log; None takes `alembic/alembic.log` beside them.
    """

    model_config = SettingsConfigDict(env_prefix="PHOTOCAT_", frozen=True, extra="forbid")

    database_url: SecretStr = SecretStr("postgresql:///photocat")
    tag_columns: TagColumns = "text"
    storage: Path = Path("storage")
    max_upload_bytes: Positive = 32 * 1024 * 1024
    max_body_bytes: Positive = 1024 * 1024
    max_pixels: Positive = 100_000_000
    page_size: Positive = 50
    max_page_size: Positive = 200
    max_bulk: Positive = 1000
    pool_size: Positive = 5
    pool_overflow: Annotated[int, Field(ge=0)] = 5
    statement_timeout: Positive = 10_000
    retry_after: Positive = 5
    alembic_log: Path | None = None


@cache
def from_environment() -> Settings:
    """The settings of this process; the environment is read once."""
    return Settings()
