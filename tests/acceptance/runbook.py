# ruff: noqa: E501  (the runbook's SQL stands here as it was written)
"""The runbook's own SQL, word for word, by its section. What its phases did is said in prose there, and is spelled out here.

Nothing here is ours to improve: the tests run it to show what it does.
"""

from __future__ import annotations

AUDIT_1_1 = """
SELECT
    tenant_id,
    keyword,
    category_id,
    COUNT(*) as count
FROM keywords
GROUP BY tenant_id, keyword, category_id
HAVING COUNT(*) > 1;
"""

AUDIT_1_2 = """
SELECT
    tenant_id,
    keyword,
    COUNT(DISTINCT category_id) as category_count,
    STRING_AGG(DISTINCT category_id::text, ', ') as category_ids
FROM keywords
GROUP BY tenant_id, keyword
HAVING COUNT(DISTINCT category_id) > 1;
"""

AUDIT_1_3 = """
SELECT 'image_tags' as source, COUNT(*) as orphaned_count FROM image_tags it
WHERE NOT EXISTS (
    SELECT 1 FROM keywords k
    WHERE k.keyword = it.keyword
    AND k.tenant_id = it.tenant_id
)
UNION ALL
SELECT 'machine_tags', COUNT(*) FROM machine_tags mt
WHERE NOT EXISTS (
    SELECT 1 FROM keywords k
    WHERE k.keyword = mt.keyword
    AND mt.tenant_id = k.tenant_id
)
UNION ALL
SELECT 'permatags', COUNT(*) FROM permatags p
WHERE NOT EXISTS (
    SELECT 1 FROM keywords k
    WHERE k.keyword = p.keyword
    AND p.tenant_id = k.tenant_id
)
UNION ALL
SELECT 'trained_image_tags', COUNT(*) FROM trained_image_tags tit
WHERE NOT EXISTS (
    SELECT 1 FROM keywords k
    WHERE k.keyword = tit.keyword
    AND tit.tenant_id = k.tenant_id
);
"""

OPTION_A = """
UPDATE keywords
SET keyword = 'sunset_travel'
WHERE tenant_id = 'demo'
AND keyword = 'sunset'
AND category_id = 2;  -- The Travel category
"""

# With '<keyword_name>' and '<tenant_id>' as its reader would fill them in.
OPTION_2A = """
INSERT INTO keywords (category_id, keyword, sort_order, created_at, updated_at)
SELECT kc.id, 'zeppelin', 0, NOW(), NOW()
FROM keyword_categories kc
WHERE kc.tenant_id = 'demo'
AND kc.parent_id IS NULL  -- Choose root category
LIMIT 1;
"""

OPTION_2B = "DELETE FROM image_tags WHERE keyword NOT IN (SELECT keyword FROM keywords);"

# Phase 1 "Add Columns": keywords.tenant_id (filled from the category, since the audits then find it) and the keys.
PHASE_1 = """
ALTER TABLE keywords ADD COLUMN tenant_id varchar(255);
UPDATE keywords k SET tenant_id = c.tenant_id FROM keyword_categories c WHERE c.id = k.category_id;
ALTER TABLE image_tags ADD COLUMN keyword_id integer;
ALTER TABLE machine_tags ADD COLUMN keyword_id integer;
ALTER TABLE permatags ADD COLUMN keyword_id integer;
ALTER TABLE trained_image_tags ADD COLUMN keyword_id integer;
ALTER TABLE keyword_models ADD COLUMN keyword_id integer;
ALTER TABLE detected_faces ADD COLUMN person_id integer;
"""

# Phase 2 is section 9's statement for each table.
PHASE_2 = """
UPDATE image_tags it
SET keyword_id = k.id
FROM keywords k
WHERE k.keyword = it.keyword
AND it.tenant_id = k.tenant_id
AND it.keyword_id IS NULL;
UPDATE machine_tags it
SET keyword_id = k.id
FROM keywords k
WHERE k.keyword = it.keyword
AND it.tenant_id = k.tenant_id
AND it.keyword_id IS NULL;
UPDATE permatags it
SET keyword_id = k.id
FROM keywords k
WHERE k.keyword = it.keyword
AND it.tenant_id = k.tenant_id
AND it.keyword_id IS NULL;
UPDATE trained_image_tags it
SET keyword_id = k.id
FROM keywords k
WHERE k.keyword = it.keyword
AND it.tenant_id = k.tenant_id
AND it.keyword_id IS NULL;
UPDATE keyword_models it
SET keyword_id = k.id
FROM keywords k
WHERE k.keyword = it.keyword
AND it.tenant_id = k.tenant_id
AND it.keyword_id IS NULL;
"""

CHECK_9 = """
SELECT 'image_tags' as table_name, COUNT(*) as null_count FROM image_tags WHERE keyword_id IS NULL
UNION ALL
SELECT 'machine_tags', COUNT(*) FROM machine_tags WHERE keyword_id IS NULL
UNION ALL
SELECT 'permatags', COUNT(*) FROM permatags WHERE keyword_id IS NULL
UNION ALL
SELECT 'trained_image_tags', COUNT(*) FROM trained_image_tags WHERE keyword_id IS NULL
UNION ALL
SELECT 'keyword_models', COUNT(*) FROM keyword_models WHERE keyword_id IS NULL;
"""

# Phase 3 "adds NOT NULL constraints and uniqueness constraint on keywords".
PHASE_3_UNIQUE = (
    "ALTER TABLE keywords ADD CONSTRAINT uq_tenant_keyword_category UNIQUE (tenant_id, keyword, category_id);"
)
PHASE_3_NOT_NULL = "ALTER TABLE machine_tags ALTER COLUMN keyword_id SET NOT NULL;"

# Phase 4 "Drop Old Columns", and the original's downgrade.
PHASE_4 = "ALTER TABLE machine_tags DROP COLUMN keyword, DROP COLUMN category;"
PHASE_4_DOWNGRADE = "ALTER TABLE machine_tags ADD COLUMN keyword varchar(255), ADD COLUMN category varchar(255);"

FINAL_CHECK = """
SELECT i.id, k.keyword, COUNT(*)
FROM image_tags i
JOIN keywords k ON i.keyword_id = k.id
GROUP BY i.id, k.keyword
LIMIT 10;
"""
FINAL_ORPHANS = "SELECT COUNT(*) FROM image_tags WHERE keyword_id IS NULL;"
QUERY_TIME = "SELECT now() - pg_postmaster_start_time() as uptime;"
