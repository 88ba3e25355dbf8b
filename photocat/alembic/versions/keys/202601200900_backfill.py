"""Phase 2: every tag gets its key."""

from __future__ import annotations

from normalform import alembic as normalform

revision = "202601200900"
down_revision = "202601200800"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Fill the keys; safe to run again."""
    normalform.backfill()


def downgrade() -> None:
    """Clear the keys."""
    normalform.undo("backfill")
