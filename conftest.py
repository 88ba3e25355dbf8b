"""What every test may use, Normalform's and PhotoCat's. The fixtures live in `fix_*.py`, one noun each."""

from __future__ import annotations

import gc

# Before the tests are collected: pytest names those in photocat/tests after their folder, and would otherwise take the
# folder `photocat` for the package of that name.
import photocat  # noqa: F401

pytest_plugins = [
    "fix_engine", "fix_servers", "fix_sessions", "fix_proxy", "fix_commands", "fix_alembic", "fix_api",
    "crash.summary",
]  # fmt: skip


def pytest_collection_finish() -> None:
    """Leave what was collected alone: looking through thousands of tests again and again took a tenth of the time."""
    gc.collect()
    gc.freeze()
