"""The small PhotoCat expanded and with its keys filled by plain SQL: what verify reads. Nothing here is backfill's.

Beside `mini` it has more of everything, so that there is something to corrupt: names that stand in several categories
of a tenant, aliases, folded and nulled spellings, categories that disagree, texts without a key.
"""

from __future__ import annotations

import psycopg

import mini
from fix_servers import template
from normalform.db.session import open_run
from normalform.runner import Runner

#: Tenants t and u, five categories each with twelve names; `twin0` … `twin3` stand in all five.
MORE = """
INSERT INTO public.keyword_categories (id, tenant_id, name, parent_id)
    SELECT 10 * n + c, tenant, 'cat' || c, CASE WHEN c > 2 THEN 10 * n + 1 END
    FROM (VALUES (1, 't'), (2, 'u')) v(n, tenant), generate_series(1, 5) c;
INSERT INTO public.keywords (id, category_id, keyword)
    SELECT 20 * c.id + g, c.id, CASE WHEN g < 4 THEN 'twin' || g ELSE 'word' || c.id || '-' || g END
    FROM public.keyword_categories c, generate_series(0, 11) g WHERE c.id >= 10;
INSERT INTO public.keywords (id, category_id, keyword) SELECT 2000 + c.id, c.id, 'wort' FROM public.keyword_categories c
    WHERE c.id IN (11, 21);
INSERT INTO public.image_metadata (id, tenant_id, filename)
    SELECT g, CASE WHEN g % 2 = 0 THEN 't' ELSE 'u' END, 'p' || g FROM generate_series(2001, 2100) g;
INSERT INTO public.machine_tags (image_id, tenant_id, keyword, category, tag_type)
    SELECT i.id, i.tenant_id, k.keyword, p.path, 'c' || k.category_id FROM public.image_metadata i
    JOIN public.keyword_categories c ON c.tenant_id = i.tenant_id AND c.id >= 10
    JOIN public.keywords k ON k.category_id = c.id AND (k.id + i.id) % 12 = 0
    CROSS JOIN LATERAL (SELECT CASE WHEN c.parent_id IS NULL THEN c.name ELSE 'cat1/' || c.name END) p(path)
    WHERE i.id > 2000;
INSERT INTO public.permatags (tenant_id, image_id, keyword, category)
    SELECT DISTINCT ON (t.image_id, t.keyword) t.tenant_id, t.image_id, t.keyword, t.category
    FROM public.machine_tags t WHERE t.image_id > 2000 AND t.id % 2 = 0 ORDER BY t.image_id, t.keyword, t.id;
INSERT INTO public.image_tags (tenant_id, image_id, keyword, category)
    SELECT t.tenant_id, t.image_id, t.keyword, CASE t.image_id % 3 WHEN 0 THEN 'somewhere else' END
    FROM public.machine_tags t WHERE t.image_id > 2000 AND t.keyword LIKE 'word%' AND t.id % 3 = 0
    UNION ALL SELECT 't', g, 'TREE', NULL FROM generate_series(1, 10) g
    UNION ALL SELECT 't', g, 'mystery', NULL FROM generate_series(1, 5) g;
INSERT INTO public.keyword_models (tenant_id, keyword, model_name)
    SELECT c.tenant_id, k.keyword, 'm2' FROM public.keywords k JOIN public.keyword_categories c ON c.id = k.category_id
    WHERE k.keyword LIKE 'word%' UNION ALL SELECT 't', 'twin0', 'chosen';
INSERT INTO public.people (id, tenant_id, name, aliases)
    SELECT 100 + g, CASE WHEN g % 2 = 0 THEN 't' ELSE 'u' END, 'person' || g, json_build_array('nick' || g, 'any')
    FROM generate_series(1, 20) g;
INSERT INTO public.detected_faces (image_id, tenant_id, person_name)
    SELECT i.id, i.tenant_id, CASE i.id % 5 WHEN 0 THEN p.name WHEN 4 THEN p.name ELSE 'nick' || (p.id - 100) END
    FROM public.image_metadata i JOIN public.people p ON p.tenant_id = i.tenant_id AND p.id = 101 + (i.id + 1) % 20
    WHERE i.id > 2000;
"""
#: An operator's decisions, as resolve would have stored them.
DECIDED = """
INSERT INTO normalform.mapping (reference, scope, value, qualifier, how, key) VALUES
    ('image_tags', '{t}', 'TREE', NULL, 'folded', '1'), ('image_tags', '{t}', 'mystery', NULL, 'null', NULL),
    ('keyword_models', '{t}', 'twin0', NULL, 'chosen', '220');
"""
#: The keys, by rules of their own: the unique name, or the name under its category, or the decision.
FILL = """
SET normalform.batch = 'on';
CREATE TEMP TABLE place AS SELECT k.id, c.tenant_id, k.keyword,
    CASE WHEN c.parent_id IS NULL THEN c.name ELSE p.name || '/' || c.name END AS path
    FROM public.keywords k JOIN public.keyword_categories c ON c.id = k.category_id
    LEFT JOIN public.keyword_categories p ON p.id = c.parent_id;
CREATE TEMP TABLE lone AS SELECT tenant_id, keyword, min(id) AS id FROM place GROUP BY 1, 2 HAVING count(*) = 1;
UPDATE public.machine_tags t SET keyword_id = p.id FROM place p
    WHERE (p.tenant_id, p.keyword, p.path) = (t.tenant_id, t.keyword, t.category);
UPDATE public.permatags t SET keyword_id = p.id FROM place p
    WHERE (p.tenant_id, p.keyword, p.path) = (t.tenant_id, t.keyword, t.category);
UPDATE public.image_tags t SET keyword_id = l.id FROM lone l WHERE (l.tenant_id, l.keyword) = (t.tenant_id, t.keyword);
UPDATE public.image_tags SET keyword_id = 1 WHERE tenant_id = 't' AND keyword = 'TREE';
UPDATE public.keyword_models t SET keyword_id = l.id FROM lone l
    WHERE (l.tenant_id, l.keyword) = (t.tenant_id, t.keyword);
UPDATE public.keyword_models SET keyword_id = 220 WHERE tenant_id = 't' AND keyword = 'twin0';
UPDATE public.detected_faces t SET person_id = p.id FROM public.people p WHERE p.tenant_id = t.tenant_id
    AND (p.name = t.person_name OR t.person_name = 'nick' || (p.id - 100) OR p.id = 1 AND t.person_name = 'Ada');
RESET normalform.batch;
"""


def build(url: str) -> None:
    """Build the template's database."""
    _script(url, mini.SCHEMA, mini.DATA, MORE)
    with open_run(url, mini.SPEC_TEXT, "test") as ctx:
        ctx.conn.execute(DECIDED.encode())
    Runner(url, mini.SPEC_TEXT).advance("expand")
    _script(url, FILL, "VACUUM ANALYZE")


def _script(url: str, *scripts: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        for script in scripts:
            conn.execute(script.encode())


FILLED = template("mini-filled", build)
