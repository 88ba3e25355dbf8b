"""After expand: newcomers can still be decided, what is decided cannot be changed, and undo comes in its order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

import mini
from compare import checksums, dump_schema
from fix_servers import Database, template
from normalform import api
from normalform.errors import DecisionError
from resolving import file, line

Make = Callable[..., Database]


def build(url: str) -> None:
    """The clean small PhotoCat."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(mini.SCHEMA.encode())
        conn.execute(mini.DATA.encode())


TEMPLATE = template("resolving-clean", build)
NEWCOMERS = """
INSERT INTO image_tags (tenant_id, image_id, keyword, category) VALUES
    ('t', 1, 'Tree', NULL), ('t', 2, 'moon', 'nature'), ('t', 3, 'junk', NULL), ('t', 4, 'bridge', NULL);
"""


@pytest.mark.slow
def test_newcomers_are_decided_and_filled(database: Make, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    before, schema = checksums(db), dump_schema(db)
    options = api.Options(db.url, mini.SPEC_TEXT)
    first = file(tmp_path, [line("faces", "t", "Nobody Known", None, "null")], "first.csv")
    api.resolve_apply(options, first)
    api.phase(options, "expand")
    db.run(NEWCOMERS, "app")
    lines = [
        line("image_tags", "t", "Tree", None, "fold"),
        line("image_tags", "t", "moon", "nature", "create"),
        line("image_tags", "t", "junk", None, "drop"),
        line("image_tags", "t", "bridge", None, "choose", "2"),
    ]
    refused = [
        line("lookup.keyword", "t", "sea", "nature", "rename", "ocean"),
        line("faces", "t", "Nobody Known", None, "choose", "1"),
    ]
    with pytest.raises(DecisionError) as caught:
        api.resolve_apply(options, file(tmp_path, [*lines, *refused], "refused.csv"))
    assert len(caught.value.problems) == 2
    assert all("rollback --to resolve" in problem for problem in caught.value.problems)
    api.resolve_apply(options, file(tmp_path, lines))
    api.phase(options, "backfill")
    keys = db.rows("SELECT keyword, keyword_id FROM image_tags WHERE keyword IN ('Tree', 'junk', 'bridge') ORDER BY 1")
    assert keys == [("Tree", 1), ("bridge", 2)]
    assert db.value("SELECT count(*) FROM image_tags t JOIN keywords k ON k.id = t.keyword_id AND k.tenant_id = 't' "
                    "WHERE t.keyword = 'moon' AND k.category_id = 1") == 1  # fmt: skip
    api.rollback(options, "start")
    db.run("DELETE FROM image_tags WHERE keyword IN ('Tree', 'moon', 'junk', 'bridge')")
    assert checksums(db) == before
    assert dump_schema(db, ledger=False) == schema
