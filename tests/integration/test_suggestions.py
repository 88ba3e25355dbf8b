"""Typing errors planted into the demo's tags: the right keyword stands among the first suggestions of an audit."""

from __future__ import annotations

import random
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

from fix_servers import Database, template
from normalform import api
from normalform.core.mapping import Entry
from normalform.db.mapping_file import unresolved
from normalform.demo.load import load

ROWS, ERRORS = 6_000, 200
SPEC = files("normalform.demo").joinpath("normalform.toml").read_text("utf-8")
KEYWORDS = """
WITH RECURSIVE paths (id, tenant_id, path) AS (
    SELECT id, tenant_id, name::text FROM keyword_categories WHERE parent_id IS NULL
    UNION ALL
    SELECT c.id, c.tenant_id, p.path || '/' || c.name FROM keyword_categories c JOIN paths p ON p.id = c.parent_id)
SELECT k.id, p.tenant_id, k.keyword, p.path FROM keywords k JOIN paths p ON p.id = k.category_id
WHERE length(k.keyword) BETWEEN 2 AND 99 AND p.tenant_id NOT IN ('demo', 'bcg') ORDER BY k.id
"""
Make = Callable[..., Database]


def build(url: str) -> None:
    load(url, rows=ROWS)


DEMO = template("demo_suggestions", build)


def misspelt(text: str, kind: int, chance: random.Random) -> str:
    at, letter = chance.randrange(len(text)), chance.choice("aeinorst")
    swapped = text[: at - 1] + text[at] + text[at - 1] + text[at + 1 :] if at else text[1] + text[0] + text[2:]
    return (text[:at] + letter + text[at:], text[:at] + text[at + 1 :], text[:at] + letter + text[at + 1 :], swapped)[
        kind
    ]


@pytest.mark.slow
def test_the_right_one_is_among_the_first_three(database: Make, tmp_path: Path) -> None:
    db = database(DEMO)
    chance = random.Random(7)
    keywords = db.rows(KEYWORDS)
    known = {(tenant, text.casefold()) for _, tenant, text, _ in keywords}
    planted: dict[tuple[str, str, str], str] = {}
    while len(planted) < ERRORS:
        key, tenant, text, path = chance.choice(keywords)
        wrong = misspelt(text, len(planted) % 4, chance)
        if wrong.strip() and (tenant, wrong.casefold().strip()) not in known:
            planted[tenant, wrong, path] = str(key)
    with db.connect("admin") as conn, conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO image_tags (image_id, tenant_id, keyword, category, manual, created_at) "
            "SELECT min(id), %s, %s, %s, false, now() FROM image_metadata", list(planted)
        )  # fmt: skip
    api.audit(api.Options(db.url, SPEC), mapping=tmp_path / "mapping")
    found = {(str(e.scope[0]), e.text, e.qualifier): e for e in unresolved(tmp_path / "mapping")}
    right = [rank(found[planting], key) for planting, key in planted.items()]
    assert sum(r < 3 for r in right) >= 0.95 * ERRORS, right
    assert sum(r == 0 for r in right) >= 0.85 * ERRORS, right


def rank(entry: Entry, key: str) -> int:
    """Where the right lookup row stands among the candidates; behind them all where it does not."""
    keys = [c.key for c in entry.candidates]
    return keys.index(key) if key in keys else 1000
