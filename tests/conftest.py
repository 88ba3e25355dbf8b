"""What every test may use. The fixtures live in `fix_*.py`, one noun each."""

from __future__ import annotations

import gc

pytest_plugins = ["fix_engine", "fix_servers", "fix_sessions", "fix_proxy", "fix_commands", "crash.summary"]


def pytest_collection_finish() -> None:
    """Leave what was collected alone: looking through thousands of tests again and again took a tenth of the time."""
    gc.collect()
    gc.freeze()
