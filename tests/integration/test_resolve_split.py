"""Split: one row while the text stands, a copy for each further meaning once it has gone, none when it comes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from compare import checksums
from fix_servers import Database
from normalform.core.conservation import conserve
from normalform.db.work import Context
from normalform.phases import resolve
from normalform.sql.splitting import make_copies, remember_copies, withdraw_copies
from resolving import TEMPLATE, file, line

Engine = Callable[..., Context]
Make = Callable[..., Database]
KEYED = """
ALTER TABLE keyword_models ADD COLUMN keyword_id integer;
UPDATE keyword_models
SET keyword_id = CASE keyword WHEN 'bridge' THEN 3 WHEN 'tree' THEN 1 WHEN 'sea' THEN 4 ELSE 9 END;
"""
ROWS = "SELECT keyword_id, model_name, count(*) FROM keyword_models GROUP BY 1, 2 ORDER BY 1, 2"


@pytest.mark.parametrize("keyless", [False, True], ids=["key", "no key"])
def test_copies_come_with_the_drop_and_go_before_the_text_comes_back(
    database: Make, engine: Engine, tmp_path: Path, keyless: bool
) -> None:
    db = database(TEMPLATE)
    db.run("INSERT INTO keyword_models (tenant_id, keyword, model_name) VALUES ('t', 'bridge', 'm2'), "
           "('u', 'bridge', 'm')")  # fmt: skip
    if keyless:
        db.run("ALTER TABLE keyword_models DROP COLUMN id")
    ctx = engine(db.url)
    decided = [line("keyword_models", "t", "bridge", None, "split", '["3", "2"]')]
    resolve.apply(ctx, file(tmp_path, decided))
    assert db.rows("SELECT how, key, rows FROM normalform.mapping") == [("split", "3", 2)]
    db.run(KEYED)
    before = checksums(db)
    reference = ctx.model.reference("keyword_models")
    (conserved,) = [t for t in conserve(ctx.model, ctx.baseline) if t.name.name == "keyword_models"]
    for _ in range(2):
        with ctx.conn.transaction():
            ctx.conn.execute(remember_copies(reference))
            ctx.conn.execute("CREATE TABLE public.texts AS SELECT *, ctid AS c FROM public.keyword_models")
            ctx.conn.execute("ALTER TABLE public.keyword_models DROP COLUMN keyword")
            ctx.conn.execute(make_copies(conserved, reference))
        copies = [row for row in db.rows(ROWS) if row[0] in (2, 3)]
        assert copies == [(2, "m1", 1), (2, "m2", 1), (3, "m", 1), (3, "m1", 1), (3, "m2", 1)]
        assert db.value("SELECT count(*) FROM keyword_models WHERE tenant_id = 'u' AND keyword_id = 2") == 0
        if not keyless:
            db.run("UPDATE keyword_models SET keyword_id = 4 WHERE keyword_id = 2 AND model_name = 'm2'", "app")
        ctx.conn.execute(withdraw_copies(conserved, reference))
        assert db.value("SELECT count(*) FROM keyword_models") == db.value("SELECT count(*) FROM texts")
        db.run(
            "ALTER TABLE keyword_models ADD COLUMN keyword varchar(255);"
            "UPDATE keyword_models m SET keyword = t.keyword FROM texts t WHERE t.tenant_id = m.tenant_id "
            "AND t.keyword_id = m.keyword_id AND t.model_name = m.model_name; DROP TABLE texts"
        )
        assert checksums(db) == before
    assert db.value("SELECT count(*) FROM normalform.archive WHERE identity = '{}'") == 0
    db.run("ALTER TABLE keyword_models DROP COLUMN keyword_id")
    assert resolve.undo_decisions(ctx).left == ()


def test_a_split_value_takes_its_first_meaning_until_then(database: Make, engine: Engine, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    ctx = engine(db.url)
    resolve.apply(ctx, file(tmp_path, [line("keyword_models", "t", "bridge", None, "split")]))
    stored = db.rows("SELECT target::jsonb -> 'keys', target::jsonb ->> 'key' FROM normalform.decision")
    assert stored == [(["2", "3"], "2")]
    assert db.rows("SELECT how, key, rows FROM normalform.mapping") == [("split", "2", 1)]
    assert db.value("SELECT count(*) FROM keyword_models WHERE keyword = 'bridge'") == 1
