"""Every decision: do → undo → do → undo, with every table's checksum and the schema equal to before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from compare import checksums, dump_schema
from fix_servers import Database
from normalform.db.work import Context
from normalform.phases import resolve
from resolving import CASES, TEMPLATE, file

Engine = Callable[..., Context]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_do_undo_do_undo(database: Callable[..., Database], engine: Engine, tmp_path: Path, case: str) -> None:
    db = database(TEMPLATE)
    before, schema = checksums(db), dump_schema(db)
    ctx = engine(db.url)
    path = file(tmp_path, CASES[case])
    seen = []
    for _ in range(2):
        report = resolve.apply(ctx, path)
        assert report.applied == len(CASES[case])
        seen.append(checksums(db))
        again = resolve.apply(ctx, path)
        assert (again.applied, again.standing) == (0, len(CASES[case]))
        assert checksums(db) == seen[-1]
        undone = resolve.undo_decisions(ctx)
        assert undone.left == () and undone.left_total == 0 and undone.notes == ()
        assert undone.decisions == len(CASES[case])
        assert checksums(db) == before
        assert dump_schema(db, ledger=False) == schema
