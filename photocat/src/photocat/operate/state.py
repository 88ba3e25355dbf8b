"""How far the migration of a database has come, and which version of the code runs on it.

It decides that code runs only where every column it reads stands and is filled. It must never write.
"""

from __future__ import annotations

from pydantic import SecretStr

from photocat.database import engine_for, sessions_for
from photocat.operate.errors import OperateError
from photocat.schema_state import state_of
from photocat.settings import Settings, TagColumns

#: Phases of the migration at which each version of the code runs. Without a right on the ledger the application sees
#: backfill and verify as expand; then `key` waits for constrain.
FITS: dict[TagColumns, frozenset[str]] = {
    "text": frozenset({"legacy", "resolve", "expand", "backfill", "verify", "constrain"}),
    "key": frozenset({"verify", "constrain", "contract"}),
}


def misfit(columns: TagColumns, phase: str | None) -> str | None:
    """Why code cannot run on a database, or None where it can.

    Args:
        columns: which columns the code reads.
        phase: of the migration, as `/health` has it; None where the tables are absent.
    """
    if phase is None:
        return "the database has no tables of PhotoCat"
    if phase in FITS[columns]:
        return None
    return f"the database is at phase {phase}, and code that reads {columns} does not run there"


def phase_of(url: str) -> str | None:
    """The last phase that is done; `legacy` before the first, None where there are no tables.

    Raises:
        OperateError: the URL is none.
        SQLAlchemyError: the database cannot be reached.
    """
    try:
        engine = engine_for(Settings(database_url=SecretStr(url)))
    except ValueError as error:
        raise OperateError(str(error)) from None
    try:
        with sessions_for(engine)() as session:
            return state_of(session)["phase"]
    finally:
        engine.dispose()
