"""The runbook's mistakes 3, 4 and 5: its own SQL first, to show the harm; then the decision that does it right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from fix_servers import Database
from normalform.db.work import Context
from normalform.errors import GateClosed
from normalform.phases import resolve
from resolving import TEMPLATE, file, line

Engine = Callable[..., Context]
Make = Callable[..., Database]

PHASE_1 = """
ALTER TABLE keywords ADD COLUMN tenant_id varchar(50);
UPDATE keywords k SET tenant_id = c.tenant_id FROM keyword_categories c WHERE c.id = k.category_id;
ALTER TABLE machine_tags ADD COLUMN keyword_id integer; ALTER TABLE image_tags ADD COLUMN keyword_id integer;
"""
BACKFILL = """
UPDATE machine_tags it SET keyword_id = k.id FROM keywords k WHERE k.keyword = it.keyword
AND it.tenant_id = k.tenant_id AND it.keyword_id IS NULL
"""
OPTION_A = """
UPDATE keywords SET keyword = 'bridge_travel' WHERE tenant_id = 't' AND keyword = 'bridge' AND category_id = 3
"""
TRAVEL = "SELECT count(*) FROM machine_tags WHERE keyword LIKE 'bridge%' AND category = 'travel'"
MEANING = (
    "SELECT k.id, count(*) FROM machine_tags t JOIN keywords k ON k.keyword = t.keyword JOIN keyword_categories c "
    "ON c.id = k.category_id AND c.tenant_id = t.tenant_id WHERE t.category = 'travel' AND t.keyword LIKE 'bridge%' "
    "GROUP BY 1"
)


# ---------------------------------------------------------------------- mistake 3: option A leaves the tags


def test_the_runbooks_rename_gives_the_tags_to_the_other_keyword(database: Make) -> None:
    db = database(TEMPLATE)
    db.run(PHASE_1)
    assert db.value(TRAVEL) == 15
    db.run(OPTION_A)
    db.run(BACKFILL)
    # 15 tags that said travel are now the game, without a NULL and without an error.
    assert db.rows("SELECT keyword_id, count(*) FROM machine_tags WHERE category = 'travel' GROUP BY 1") == [(3, 15)]


def test_rename_takes_the_tags_along(database: Make, engine: Engine, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    lines = [
        line("lookup.keyword", "t", "bridge", "travel", "rename", "bridge_travel"),
        line("image_tags", "t", "bridge", None, "choose", "2"),
        line("image_tags", "t", "bridge", "somewhere", "choose", "3"),
        line("keyword_models", "t", "bridge", None, "choose", "3"),
    ]
    resolve.apply(engine(db.url), file(tmp_path, lines))
    assert db.rows(MEANING) == [(2, 15)]
    assert db.rows("SELECT keyword, count(*) FROM machine_tags WHERE keyword LIKE 'bridge%' GROUP BY 1 ORDER BY 1") == [
        ("bridge", 15), ("bridge_travel", 15),
    ]  # fmt: skip


# ---------------------------------------------------------------------- mistake 4: the unique does not forbid it


def test_the_runbooks_unique_lets_a_keyword_stand_in_two_categories(database: Make, engine: Engine) -> None:
    db = database(TEMPLATE)
    db.run(PHASE_1)
    db.run("ALTER TABLE keywords ADD CONSTRAINT uq UNIQUE (tenant_id, keyword, category_id)")
    assert db.value("SELECT count(*) FROM keywords WHERE tenant_id = 't' AND keyword = 'bridge'") == 2
    db = database(TEMPLATE)
    with pytest.raises(GateClosed) as caught:
        resolve.gate(engine(db.url))
    assert caught.value.gate == "unresolved" and caught.value.exit_status == 3
    assert any(reason.startswith("image_tags: ") for reason in caught.value.reasons)
    assert caught.value.hint == "normalform audit, then normalform resolve export decisions.csv"


# ---------------------------------------------------------------------- mistake 5: options 2a and 2b

OPTION_2A = """
INSERT INTO keywords (category_id, keyword, sort_order)
SELECT kc.id, 'lyra', 0 FROM keyword_categories kc WHERE kc.tenant_id = 't' AND kc.parent_id IS NULL LIMIT 1
"""
OPTION_2B = "DELETE FROM image_tags WHERE keyword NOT IN (SELECT keyword FROM keywords)"


def test_the_runbooks_insert_has_no_tenant(database: Make) -> None:
    db = database(TEMPLATE)
    db.run(PHASE_1)
    db.run(OPTION_2A)
    assert db.rows("SELECT tenant_id FROM keywords WHERE keyword = 'lyra'") == [(None,)]
    db.run(BACKFILL.replace("machine_tags", "image_tags"))
    assert db.value("SELECT count(*) FROM image_tags WHERE keyword = 'lyra' AND keyword_id IS NOT NULL") == 0
    # And were the column NOT NULL by then, it would not run at all.
    db.run("DELETE FROM keywords WHERE keyword = 'lyra'; ALTER TABLE keywords ALTER tenant_id SET NOT NULL")
    with pytest.raises(psycopg.errors.NotNullViolation):
        db.run(OPTION_2A)


def test_create_has_tenant_and_category(database: Make, engine: Engine, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    lines = [
        line("image_tags", "t", "lyra", "travel", "create", "nature/plants"),
        line("image_tags", "t", "lyra", None, "create"),
        line("image_tags", "t", "lyra", "nowhere", "create"),
        line("image_tags", "u", "lyra", "nature", "create"),
    ]
    resolve.apply(engine(db.url), file(tmp_path, lines))
    made = db.rows("SELECT c.tenant_id, c.name FROM keywords k JOIN keyword_categories c ON c.id = k.category_id "
                   "WHERE k.keyword = 'lyra' ORDER BY 1")  # fmt: skip
    assert made == [("t", "plants"), ("u", "nature")]


def test_create_without_a_category_goes_where_the_spec_says(database: Make, engine: Engine, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    resolve.apply(engine(db.url), file(tmp_path, [line("image_tags", "t", "=1+1", None, "create")]))
    made = db.rows("SELECT c.tenant_id, c.name, c.parent_id FROM keywords k JOIN keyword_categories c "
                   "ON c.id = k.category_id WHERE k.keyword = '=1+1'")  # fmt: skip
    assert made == [("t", "Unsorted", None)]


def test_the_runbooks_delete_is_wrong_in_every_way(database: Make) -> None:
    db = database(TEMPLATE)
    count = "SELECT coalesce(tenant_id, 'none'), count(*) FROM image_tags WHERE keyword IN ('lyra', 'sky') GROUP BY 1"
    db.run("INSERT INTO image_tags (tenant_id, image_id, keyword) VALUES ('t', 30, 'sky')")  # u knows it, t does not
    assert sorted(db.rows(count)) == [("t", 4), ("u", 6)]
    db.run(OPTION_2B)
    # Of tenant t the orphan stays that u knows; of tenant u a row is gone that nobody asked about.
    assert sorted(db.rows(count)) == [("t", 1), ("u", 5)]
    db = database(TEMPLATE)
    db.run("ALTER TABLE keywords ALTER keyword DROP NOT NULL; INSERT INTO keywords (category_id) VALUES (1)")
    before = db.value("SELECT count(*) FROM image_tags")
    db.run(OPTION_2B)
    assert db.value("SELECT count(*) FROM image_tags") == before


def test_drop_deletes_within_its_tenant_alone(database: Make, engine: Engine, tmp_path: Path) -> None:
    db = database(TEMPLATE)
    db.run("INSERT INTO image_tags (tenant_id, image_id, keyword) VALUES ('t', 30, 'sky');"
           "ALTER TABLE keywords ALTER keyword DROP NOT NULL;"
           "INSERT INTO keywords (category_id) VALUES (1)")  # fmt: skip
    lines = [line("image_tags", "t", "sky", None, "drop")]
    lines += [line("image_tags", "t", "lyra", q, "drop") for q in (None, "travel", "nowhere")]
    ctx = engine(db.url)
    report = resolve.apply(ctx, file(tmp_path, lines))
    assert report.rows == {"drop": 4}
    left = db.rows("SELECT tenant_id, keyword, count(*) FROM image_tags WHERE keyword IN ('lyra', 'sky') "
                   "GROUP BY 1, 2 ORDER BY 2")  # fmt: skip
    assert left == [("u", "lyra", 1), ("u", "sky", 5)]
    kept = db.rows("SELECT before ->> 'keyword', count(*) FROM normalform.archive GROUP BY 1 ORDER BY 1")
    assert kept == [("lyra", 3), ("sky", 1)]
