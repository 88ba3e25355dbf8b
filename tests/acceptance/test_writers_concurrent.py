"""A whole migration beside its application: forth to contract and back, while both kinds of code write at random.

Old code writes until contract and again after its undo, new code from expand to expand's undo. Whatever error they
meet must be one that the legacy schema would have given too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import mini
from acceptance.migration import Migration, script
from acceptance.traffic import MORE, Traffic
from fix_servers import Database, template
from normalform import api

BUSY = template("busy", script(mini.SCHEMA, mini.DATA, MORE))

#: What the application may meet, by how renames are carried, and why; nothing else. 0A000 is not among them: these
#: writers name their columns.
TWICE = {
    "old: 23505 uq_machine_tags": "a tag that the picture has",
    "new: 23505 uq_machine_tags": "the same",
    "new: 23505 uq_machine_tags_keyword_id_new": "the same, while contract builds it, or its undo takes it back",
    "new: 23505 uq_machine_tags_keyword_id": "the same, said by the successor; old code's upserts must never meet it",
}
CARRIED = "the text is carried at once, in opposite order to another writer of several rows (CORRECTNESS 11)"
WAITS = {f"{kind}: 40P01": CARRIED for kind in ("old", "new", "rename")}

#: Tags whose text or category is not that of exactly one keyword of their tenant.
STRAY = """
WITH RECURSIVE paths (id, tenant_id, path) AS (
    SELECT id, tenant_id, name::text FROM keyword_categories WHERE parent_id IS NULL
    UNION ALL
    SELECT c.id, c.tenant_id, p.path || '/' || c.name FROM keyword_categories c JOIN paths p ON p.id = c.parent_id),
names AS (SELECT p.tenant_id, k.keyword, p.path FROM keywords k JOIN paths p ON p.id = k.category_id),
tags AS (
    SELECT 'machine_tags' AS source, id, tenant_id, keyword, category FROM machine_tags UNION ALL
    SELECT 'permatags', id, tenant_id, keyword, category FROM permatags UNION ALL
    SELECT 'image_tags', id, tenant_id, keyword, category FROM image_tags WHERE category IS NOT NULL)
SELECT t.source, t.id, t.keyword, t.category FROM tags t
WHERE (SELECT count(*) FROM names n WHERE (n.tenant_id, n.keyword, n.path) = (t.tenant_id, t.keyword, t.category)) <> 1
ORDER BY 1, 2
"""


@pytest.mark.parametrize("rename", ["queue", "carry"])
def test_a_whole_run_and_its_rollback_beside_writers(
    database: Callable[..., Database], tmp_path: Path, rename: str
) -> None:
    db = database(BUSY)
    migration = Migration(db, tmp_path, mini.SPEC_TEXT.replace("\nkey =", f'\nrename = "{rename}"\nkey =', 1))
    traffic = Traffic(db)
    assert db.rows(STRAY) == []
    try:
        traffic.start("old")
        migration.to("expand")
        traffic.start("new")
        traffic.start("rename", 1)
        migration.to("backfill")
        traffic.end("rename")  # a queue that grows faster than it is carried is never proven
        migration.to("constrain")
        traffic.end("old")
        migration.to("contract")
        migration.back("verify")
        forth = traffic.errors()
        traffic.start("old")
        api.phase(migration.options, "verify")
        traffic.start("rename", 1)
        migration.back("expand")
        traffic.end("rename")
        traffic.end("new")
        migration.back("start")
    finally:
        traffic.end()
    # While backfill's undo clears keys, a queue would never end: renames are carried at once, also under `queue`.
    allowed = TWICE if rename == "queue" else TWICE | WAITS
    unexpected = {state: what for state, what in forth.items() if state not in allowed}
    unexpected |= {state: what for state, what in traffic.errors().items() if state not in TWICE | WAITS}
    assert not unexpected, unexpected
    assert traffic.done > 1000
    assert db.rows(STRAY) == []
    migration.uninstall()
