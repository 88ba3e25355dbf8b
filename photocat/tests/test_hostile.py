"""Requests that nobody honest sends: none gets in, none crashes, and the service goes on.

Two thousand in `make test`, ten thousand in `make chaos`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fix_api import STAGES, TEMPLATES, Serve
from fix_servers import Database
from hostile import LIMITS, requests

EACH = 5_000 if os.environ.get("NORMALFORM_CHAOS") == "all" else 1_000
#: What tenant `u` has and nobody else: nothing of it may stand in an answer to tenant `t`.
SECRET = "secret of u"
MARK = f"""
UPDATE keywords SET keyword = '{SECRET} 6' WHERE id = 6;
UPDATE people SET name = '{SECRET} 3', aliases = '["{SECRET} alias"]' WHERE id = 3;
UPDATE image_metadata SET filename = '{SECRET} ' || id WHERE tenant_id = 'u';
"""
TABLES = ("image_metadata", "keyword_categories", "people", "detected_faces", "image_tags", "machine_tags", "permatags",
          "trained_image_tags", "keyword_models", "api_tokens")  # fmt: skip


def of_others(db: Database) -> dict[str, list[Any]]:
    """Every row that is not tenant `t`'s."""
    rows = {name: db.rows(f"SELECT x::text FROM {name} x WHERE tenant_id <> 't' ORDER BY 1") for name in TABLES}
    mine = "SELECT id FROM keyword_categories WHERE tenant_id = 't'"
    rows["keywords"] = db.rows(f"SELECT k::text FROM keywords k WHERE category_id NOT IN ({mine}) ORDER BY 1")
    return {**rows, "tenants": db.rows("SELECT t::text FROM tenants t ORDER BY 1")}


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["text", "key"])
def test_none_gets_in_and_none_crashes(
    database: Callable[..., Database], serve: Serve, tmp_path: Path, stage: str
) -> None:
    mode, until = STAGES[stage]
    db = database(TEMPLATES[until])
    db.run(MARK)
    api = serve(db, mode, **LIMITS)
    before = of_others(db)
    answered: Counter[tuple[str, int]] = Counter()
    for number, asked in enumerate(requests(seed=len(stage), count=EACH)):
        answer = api.call(asked.method, asked.path, token=asked.token, **asked.more)
        said = f"{number}: {asked} -> {answer.status_code} {answer.text[:500]}"
        assert answer.status_code < 500, said
        assert asked.allowed is None or answer.status_code in asked.allowed, said
        assert SECRET not in answer.text, said
        if asked.kind == "named" and answer.status_code in (200, 201):
            name = answer.json()["filename"]
            assert not set(name) & set("/\\\0\r\n") and name not in ("", ".", ".."), said
        answered[asked.kind, answer.status_code] += 1
    assert of_others(db) == before
    # Whatever the files were called, they lie where the storage puts them, under names of its own.
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files and all(path.is_relative_to(api.storage) for path in files)
    assert all(path.resolve() == path and path.suffix in (".png", ".jpg", ".gif", ".webp") for path in files)
    # Every kind was really tried, and what is right was taken: else refusing everything would pass.
    assert {kind for kind, _ in answered} == {"foreign", "forged", "shapeless", "broken", "named", "oversized"}
    assert answered["named", 201] > EACH // 50 and answered["broken", 201] > EACH // 100
    assert answered["broken", 415] + answered["broken", 422] > EACH // 100 and answered["oversized", 413] > EACH // 100
    assert api.ok("GET", "/images/1")["id"] == 1
