"""Which revision a database is at, and how far its migration has come.

It decides what to go by where a role has no right on the ledger: the columns as they stand. It must never write.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

_REVISION = "SELECT version_num FROM alembic_version ORDER BY 1 DESC LIMIT 1"
#: What of the ledger and of Alembic this role may read, and the columns as they stand: application roles have no
#: right on the ledger, and then the columns tell the phase.
_SEEN = """
SELECT to_regclass('alembic_version') IS NOT NULL AS has_revision,
       (SELECT bool_and(has_table_privilege(c.oid, 'SELECT')) AND bool_and(has_schema_privilege(n.oid, 'USAGE'))
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'normalform' AND c.relname = 'phase') AS has_ledger,
       (SELECT bool_or(attname = 'keyword') FROM pg_attribute
        WHERE attrelid = to_regclass('machine_tags') AND NOT attisdropped) AS has_text,
       (SELECT bool_or(attname = 'keyword_id') FROM pg_attribute
        WHERE attrelid = to_regclass('machine_tags') AND NOT attisdropped) AS has_key,
       EXISTS (SELECT FROM pg_constraint c, unnest(c.conkey) k JOIN pg_attribute a ON a.attnum = k
        WHERE c.conrelid = to_regclass('machine_tags') AND a.attrelid = c.conrelid AND a.attname = 'keyword_id'
          AND c.contype = 'f' AND c.convalidated) AS has_foreign_key
"""
_LEDGER = "SELECT name FROM normalform.phase WHERE state = 'done' ORDER BY position DESC LIMIT 1"


def state_of(session: Session) -> dict[str, str | None]:
    """Revision and phase, as far as this session's role may see them.

    Returns:
        `revision`; and `phase`: the last that is done, `legacy` before the first, None where there are no tables.
    """
    seen = session.execute(text(_SEEN)).one()
    revision = session.execute(text(_REVISION)).scalar_one_or_none() if seen.has_revision else None
    if seen.has_ledger:
        return {"revision": revision, "phase": session.execute(text(_LEDGER)).scalar_one_or_none() or "legacy"}
    if seen.has_text is None and seen.has_key is None:
        return {"revision": revision, "phase": None}
    if not seen.has_key:
        return {"revision": revision, "phase": "legacy"}
    if not seen.has_text:
        return {"revision": revision, "phase": "contract"}
    return {"revision": revision, "phase": "constrain" if seen.has_foreign_key else "expand"}
