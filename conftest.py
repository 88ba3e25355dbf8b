"""What every test may use, Normalform's and PhotoCat's. The fixtures live in `fix_*.py`, one noun each."""

from __future__ import annotations

import gc

import pytest

# Before the tests are collected: pytest names those in photocat/tests after their folder, and would otherwise take the
# folder `photocat` for the package of that name.
import photocat  # noqa: F401

pytest_plugins = [
    "fix_engine", "fix_servers", "fix_sessions", "fix_proxy", "fix_commands", "fix_alembic", "fix_api",
    "crash.summary",
]  # fmt: skip

#: What runs whole phases, and so runs on each server in `make test` already.
WHOLE = {"acceptance", "crash", "second"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of single parts that come again on an older server: `make test` leaves them to the matrix."""
    # Not at the top: plugins that were imported before pytest loads them lose their assertions' explanations.
    from fix_servers import versions

    newest = max(versions())
    for item in items:
        # Without parameters there is none.
        call = getattr(item, "callspec", None)
        if call and call.params.get("pg_version", newest) != newest and item.path.parent.name not in WHOLE:
            item.add_marker("again")


def pytest_collection_finish() -> None:
    """Leave what was collected alone: looking through thousands of tests again and again took a tenth of the time."""
    gc.collect()
    gc.freeze()
