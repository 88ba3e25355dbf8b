# ruff: noqa: E501  (rows of SQL read better on one line)
"""The databases of these tests, and what there is to know of each.

``mini_clean`` the small PhotoCat; ``dirty`` with every defect that a decision settles, the decisions, and what each row's
key must then be; ``runbook`` with what the runbook's SQL names besides; ``acceptance_demo`` a little of the demo's data.
"""

from __future__ import annotations

import mini
from acceptance.migration import line, script
from fix_servers import template
from normalform.demo.load import load

CLEAN = template("mini_clean", script(mini.SCHEMA, mini.DATA))

#: On top of the clean data; every row's comment names the decision.
DEFECTS = """
INSERT INTO public.keyword_categories (id, tenant_id, name, parent_id) VALUES (6, 't', 'travel', NULL);
INSERT INTO public.keywords (id, category_id, keyword) VALUES
    (7, 1, 'mouse'), (8, 4, 'mouse'), (9, 3, 'harbour'), (10, 6, 'harbour');
INSERT INTO public.machine_tags (id, image_id, tenant_id, keyword, category, tag_type) VALUES
    (201, 11, 't', 'TREE', 'nature/plants', 'd'),      -- fold
    (202, 12, 't', 'Tree ', NULL, 'd'),                -- fold
    (203, 13, 't', 'arbre', 'nature/plants', 'd'),     -- choose 1
    (204, 14, 't', 'tree', 'games', 'd'),              -- a category that is not the keyword's
    (205, 15, 't', 'mouse', 'nature', 'd'),
    (206, 16, 't', 'mouse', 'games', 'd'),             -- rename to `pointer`
    (207, 17, 't', 'harbour', 'travel', 'd'),          -- merge 10 into 9
    (208, 18, 't', 'harbour', 'travel', 'd');
INSERT INTO public.permatags (id, tenant_id, image_id, keyword, category) VALUES
    (201, 't', 1, 'SEA', 'nature'),                    -- fold; collides with `sea` of the same picture, which is kept
    (202, 't', 30, 'SEA', 'nature'),                   -- fold
    (203, 't', 31, 'SEA', NULL);                       -- fold
INSERT INTO public.image_tags (id, tenant_id, image_id, keyword, category) VALUES
    (201, 't', 3, 'zeppelin', 'travel'),               -- create
    (202, 't', 4, 'zeppelin', NULL),                   -- create: the same row
    (203, 't', 5, 'junk', 'nature'),                   -- drop
    (204, NULL, 6, 'tree', 'nature/plants'),           -- drop: no tenant
    (205, 't', 7, 'bridge', NULL);                     -- choose 2
INSERT INTO public.keyword_models (id, tenant_id, keyword, model_name) VALUES
    (201, 't', 'quasar', 'm1'),                        -- create
    (202, 't', 'bridge', 'm1');                        -- split: nothing in the row tells which bridge
"""
DIRTY = template("dirty", script(mini.SCHEMA, mini.DATA, DEFECTS, """
    SELECT setval(pg_get_serial_sequence('public.' || t, 'id'), 1000) FROM unnest(
        ARRAY['machine_tags', 'permatags', 'image_tags', 'keyword_models', 'detected_faces']) t;
"""))  # fmt: skip

DECISIONS = [
    line("machine_tags", "t", "TREE", "nature/plants", "fold"),
    line("machine_tags", "t", "Tree ", None, "fold"),
    line("machine_tags", "t", "arbre", "nature/plants", "choose", "1"),
    line("lookup.keyword", "t", "mouse", "games", "rename", "pointer"),
    line("machine_tags", "t", "harbour", "travel", "merge", "9"),
    line("permatags", "t", "SEA", "nature", "fold"),
    line("permatags", "t", "SEA", None, "fold"),
    line("permatags", "t", "sea", "nature", "keep", "sea"),
    line("image_tags", "t", "zeppelin", "travel", "create"),
    line("image_tags", "t", "zeppelin", None, "create"),
    line("image_tags", "t", "junk", "nature", "drop"),
    line("image_tags", None, "tree", "nature/plants", "drop"),
    line("image_tags", "t", "bridge", None, "choose", "2"),
    line("keyword_models", "t", "quasar", None, "create", "nature"),
    line("keyword_models", "t", "bridge", None, "split"),
    line("faces", "t", "Nobody Known", None, "null"),
]

#: Every row of the defects, and what its key must lead to: the keyword's text and its category; None where the row is gone.
MEANT = {
    ("machine_tags", 201): ("tree", 2), ("machine_tags", 202): ("tree", 2), ("machine_tags", 203): ("tree", 2),
    ("machine_tags", 204): ("tree", 2), ("machine_tags", 205): ("mouse", 1), ("machine_tags", 206): ("pointer", 4),
    ("machine_tags", 207): ("harbour", 3), ("machine_tags", 208): ("harbour", 3),
    ("permatags", 201): None, ("permatags", 202): ("sea", 1), ("permatags", 203): ("sea", 1),
    ("image_tags", 201): ("zeppelin", 3), ("image_tags", 202): ("zeppelin", 3), ("image_tags", 203): None,
    ("image_tags", 204): None, ("image_tags", 205): ("bridge", 3), ("keyword_models", 201): ("quasar", 1),
    ("keyword_models", 202): ("bridge", 3),
}  # fmt: skip
MEANT_SQL = """
SELECT 'machine_tags', t.id, k.keyword, k.category_id FROM machine_tags t JOIN keywords k ON k.id = keyword_id WHERE t.id BETWEEN 201 AND 299
UNION ALL SELECT 'permatags', t.id, k.keyword, k.category_id FROM permatags t JOIN keywords k ON k.id = keyword_id WHERE t.id BETWEEN 201 AND 299
UNION ALL SELECT 'image_tags', t.id, k.keyword, k.category_id FROM image_tags t JOIN keywords k ON k.id = keyword_id WHERE t.id BETWEEN 201 AND 299
UNION ALL SELECT 'keyword_models', t.id, k.keyword, k.category_id FROM keyword_models t JOIN keywords k ON k.id = keyword_id WHERE t.id BETWEEN 201 AND 299
"""
#: The categories of the model that was split: one row each, once contract has dropped the text that holds them together.
SPLIT_SQL = "SELECT k.category_id FROM keyword_models t JOIN keywords k ON k.id = keyword_id WHERE k.keyword = 'bridge' ORDER BY 1"
SPLIT = [(3,), (4,)]


def meant() -> dict[tuple[str, int], tuple[str, int]]:
    """Returns what `MEANT_SQL` must give: keyword and its category by table and row."""
    return {row: value for row, value in MEANT.items() if value is not None}


#: The small PhotoCat with what the runbook's SQL names besides: a fifth tag table, and the lookup's timestamps.
EXTRA = """
CREATE TABLE public.trained_image_tags (
    id serial PRIMARY KEY, image_id integer, tenant_id varchar(255), keyword varchar(255), category varchar(255));
ALTER TABLE public.keywords ADD created_at timestamp, ADD updated_at timestamp;
"""
BOOK = template("runbook", script(mini.SCHEMA, EXTRA, mini.DATA))

DEMO_ROWS = 2400


def load_demo(url: str) -> None:
    """Builds the demo's template."""
    load(url, rows=DEMO_ROWS)


DEMO = template("acceptance_demo", load_demo)
