"""Random sets of decisions: either the file is refused and nothing changes, or it is applied and undone to the byte."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from compare import checksums, dump_schema
from fix_servers import Database
from normalform.core.decision_file import Line
from normalform.db.work import Context
from normalform.errors import DecisionError
from normalform.phases import resolve
from resolving import CASES, TEMPLATE, file, line

ROUNDS = 30
MORE = [
    line("image_tags", "t", "bridge", "somewhere", "choose", "2"),
    line("image_tags", "t", "bridge", None, "choose", "3"),
    line("image_tags", "t", "lyra", "nowhere", "create", "nature/plants"),
    line("image_tags", "t", "lyra", "nowhere", "drop"),
    line("image_tags", "t", "tree", None, "drop"),
    line("machine_tags", "t", "bridge", "games", "choose", "2"),
    line("permatags", "t", "sea ", None, "drop"),
    line("keyword_models", "t", "chess", None, "drop"),
    line("faces", "t", "Ada", None, "choose", "2"),
    line("faces", "t", "Ada", None, "null"),
    line("lookup.person", "t", "Alan Turing", None, "merge", "1"),
    line("lookup.person", "t", "Ada Lovelace", None, "rename", "Ada King"),
    line("lookup.keyword", "t", "bridge", "travel", "merge", "3"),
    line("lookup.keyword", "t", "sea", "nature", "rename", "ocean"),
    line("lookup.keyword", "t", "beach", None, "merge", "1"),
    line("lookup.keyword", "t", "chess", "games", "rename", "schach"),
    line("permatags", "t", "sea", "nature", "keep", "SEA"),
    line("permatags", "t", "sea", "nature", "keep", "oldest"),
]
POOL: list[Line] = [entry for case in CASES.values() for entry in case] + MORE


@pytest.mark.slow
def test_random_sets(
    database: Callable[..., Database], engine: Callable[..., Context], pg_version: int, tmp_path: Path
) -> None:
    db = database(TEMPLATE)
    before, schema = checksums(db), dump_schema(db)
    ctx = engine(db.url)
    chance = random.Random(pg_version)
    applied = refused = 0
    for _ in range(ROUNDS):
        files = [file(tmp_path, chance.sample(POOL, chance.randint(1, 6)), f"{n}.csv") for n in range(2)]
        for path in files:
            stood = checksums(db)
            try:
                applied += resolve.apply(ctx, path).applied
            except DecisionError:
                refused += 1
                assert checksums(db) == stood
            else:
                again = checksums(db)
                resolve.apply(ctx, path)
                assert checksums(db) == again
        report = resolve.undo_decisions(ctx)
        assert report.left == ()
        assert checksums(db) == before
        assert db.value("SELECT count(*) FROM normalform.mapping") == 0
    assert dump_schema(db, ledger=False) == schema
    assert applied > ROUNDS and refused < ROUNDS * 2
