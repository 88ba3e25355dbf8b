"""Phase 3: foreign keys, NOT NULL, and a successor of every index and unique."""

from __future__ import annotations

from normalform import alembic as normalform

revision = "202601201000"
down_revision = "202601200900"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Prove the keys, then build what enforces them."""
    normalform.constrain()


def downgrade() -> None:
    """Drop what enforces them."""
    normalform.undo("constrain")
