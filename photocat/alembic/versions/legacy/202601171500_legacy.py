"""The legacy schema: tags repeat keyword and category as text. And the service's own table of bearer tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from normalform import alembic as normalform
from normalform.demo.load import legacy_statements

revision = "202601171500"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    "api_tokens", "detected_faces", "keyword_models", "trained_image_tags", "permatags", "machine_tags", "image_tags",
    "image_metadata", "people", "keywords", "keyword_categories", "tenants",
)  # fmt: skip


def upgrade() -> None:
    """Make the tables, then their indexes and constraints."""
    for part in legacy_statements():
        for statement in part:
            op.execute(sa.text(statement.decode()))
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("tenant_id", sa.String(255), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("admin", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("created_at", sa.DateTime, nullable=False, server_default=sa.func.now()),
        sa.Column("expires_at", sa.DateTime),
        sa.Column("revoked_at", sa.DateTime),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_api_tokens_tenant_id", ondelete="CASCADE"),
        sa.UniqueConstraint("token_hash", name="uq_api_tokens_token_hash"),
    )
    op.create_index("ix_api_tokens_tenant_id", "api_tokens", ["tenant_id"])


def downgrade() -> None:
    """Drop the tables, and the engine's ledger, which would speak of tables that are gone."""
    if not op.get_context().as_sql:
        normalform.uninstall()
    for table in TABLES:
        op.drop_table(table)
