"""Runs the runbook's own backfill, word for word, on a copy, and counts what it gets wrong.

It decides a row's outcome by the row's own category: the keyword that the join stored must stand in it. It must
never write to the user's tables: both copies are temporary tables, made, used and rolled back in one transaction,
so that nothing is left behind however it ends.

The copies carry the columns that the join needs, and no index: what the runbook does to a table in production
takes longer than the seconds reported here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import psycopg

RUNBOOK_BACKFILL = """
UPDATE machine_tags mt
SET keyword_id = k.id
FROM keywords k
WHERE k.keyword = mt.keyword
AND mt.tenant_id = k.tenant_id
"""
"""The runbook's step 9 for machine_tags. Temporary tables come first in every search path: it meets the copies."""

_COPIES = """
CREATE TEMPORARY TABLE machine_tags ON COMMIT DROP AS
    SELECT id, tenant_id, keyword, category, NULL::integer AS keyword_id FROM machine_tags;

CREATE TEMPORARY TABLE keywords ON COMMIT DROP AS
    SELECT k.id, c.tenant_id, k.category_id, k.keyword
    FROM keywords k JOIN keyword_categories c ON c.id = k.category_id;

ANALYZE pg_temp.machine_tags;
ANALYZE pg_temp.keywords;
"""

_OUTCOME = """
WITH RECURSIVE paths (id, path) AS (
    SELECT id, name::text FROM keyword_categories WHERE parent_id IS NULL
    UNION ALL
    SELECT c.id, p.path || '/' || c.name FROM keyword_categories c JOIN paths p ON p.id = c.parent_id
)
SELECT count(*),
       count(*) FILTER (WHERE mt.keyword_id IS NULL),
       count(*) FILTER (WHERE mt.keyword_id IS NOT NULL AND p.path IS DISTINCT FROM mt.category)
FROM pg_temp.machine_tags mt
LEFT JOIN pg_temp.keywords k ON k.id = mt.keyword_id
LEFT JOIN paths p ON p.id = k.category_id
"""


@dataclass(frozen=True, slots=True)
class RunbookReport:
    """What the runbook's join does to machine_tags.

    Attributes:
        rows: rows of machine_tags.
        wrong: rows that end under a keyword of another category than their own, without NULL and without error.
        null: rows that end without a key.
        seconds: seconds of the UPDATE alone, on a copy without indexes.
    """

    rows: int
    wrong: int
    null: int
    seconds: float


def run(url: str) -> RunbookReport:
    """Run the runbook's backfill on copies of machine_tags and keywords.

    Args:
        url: connection string of a role that may read the tables and make temporary ones. machine_tags must
            still have its text: run it before contract.

    Returns:
        How many rows went wrong. Nothing is left in the database.

    Raises:
        psycopg.Error: the server refused, or a table or column is absent.
    """
    with psycopg.connect(url) as connection, connection.transaction(force_rollback=True):
        connection.execute(_COPIES)
        began = time.monotonic()
        connection.execute(RUNBOOK_BACKFILL)
        seconds = time.monotonic() - began
        rows, null, wrong = _outcome(connection)
    return RunbookReport(rows, wrong, null, seconds)


def _outcome(connection: psycopg.Connection[Any]) -> tuple[int, int, int]:
    [(rows, null, wrong)] = connection.execute(_OUTCOME).fetchall()
    return rows, null, wrong
