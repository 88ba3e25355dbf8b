"""Phase 1: key columns beside the texts, and sync between them."""

from __future__ import annotations

from normalform import alembic as normalform

revision = "202601200800"
down_revision = "202601171500"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them; an audit comes first, and stops here where something is undecided."""
    normalform.expand()


def downgrade() -> None:
    """Drop them; decisions stay applied."""
    normalform.undo("expand")
