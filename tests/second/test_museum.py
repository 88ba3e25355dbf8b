"""A database that shares nothing with PhotoCat goes through every phase: forth, back, and forth.

Its keys are proven against what the fixture knows, its rows against a twin that never migrates, its schema by pg_dump.
Both kinds of writers write between the phases. The owner who does all this is no superuser.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from acceptance.migration import CHANGING, Migration, assert_same, look
from fix_servers import Database
from normalform import api
from second.museum import SPEC, TEMPLATE, check_truth, museum
from second.writers import Pair, untouched

Make = Callable[..., Database]
#: The truth about rows that no writer touches.
TRUTH = untouched(museum().truth)


class Waiving(Migration):
    """A migration whose operator lets the index on an expression of a text go."""

    @property
    def options(self) -> api.Options:
        """The options of every command."""
        return api.Options(self.db.url, self.spec, self.sink, workers=2, waive=("ix lower",))

    def assert_true(self) -> None:
        """Every key is what the fixture says."""
        with self.db.connect() as conn:
            assert check_truth(conn, TRUTH) == []


@pytest.mark.slow
def test_forth_back_and_forth_beside_writers(database: Make, tmp_path: Path) -> None:
    db, twin = database(TEMPLATE), database(TEMPLATE)
    pair, migration = Pair(db, twin), Waiving(db, tmp_path, SPEC)
    pair.write(old=True, new=False)
    for phase, previous in CHANGING.items():
        keyed = phase in ("backfill", "constrain", "contract")
        for attempt in (1, 2):
            migration.to(phase)
            pair.write(old=phase != "contract", new=phase != "resolve")
            if keyed:
                migration.assert_true()
            if attempt == 1:
                migration.back(previous)
        if phase == "backfill":
            migration.to("verify")
    migration.back("start")
    pair.assert_equal()
    assert_same(look(db, exact=False), look(twin, exact=False))
    migration.to("contract")
    migration.assert_true()
