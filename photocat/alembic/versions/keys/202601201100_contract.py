"""Phase 4: the texts go."""

from __future__ import annotations

from normalform import alembic as normalform

revision = "202601201100"
down_revision = "202601201000"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Drop the texts; what keys cannot reproduce is archived first."""
    normalform.contract()


def downgrade() -> None:
    """Rebuild texts, indexes and constraints."""
    normalform.undo("contract")
