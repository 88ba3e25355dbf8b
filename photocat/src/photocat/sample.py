"""Sample data: the legacy schema filled with the real tags that Normalform's demo brings, as if it had always run.

It decides what a filled database is besides these: the table of tokens, and the revision that it stands at. It must
never touch a database that has tables of that name already.
"""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, pool

from normalform.demo.load import LoadReport, Progress, load
from photocat.database import driver_url
from photocat.models.shared import ApiToken, Base

LEGACY = "202601171500"
FOLDER = Path(__file__).resolve().parents[2]


def seed(url: str, *, rows: int | None = None, progress: Progress | None = None) -> LoadReport:
    """Fill an empty database with the legacy schema and data, and say that it is at the legacy revision.

    Loading before the indexes stand is several times as fast as revision and data one after another, with the same
    result.

    Args:
        url: the database, by a role that may create tables in it.
        rows: how many rows of the data file; None: all 1,080,986.
        progress: called as the load goes on.

    Raises:
        ValueError: `rows` is below 1.
        psycopg.Error: the server refused, for example since a table exists already.
    """
    report = load(url, rows=rows, progress=progress)
    engine = create_engine(driver_url(url), poolclass=pool.NullPool)
    with engine.begin() as connection:
        Base.metadata.create_all(connection, tables=[Base.metadata.tables[ApiToken.__tablename__]])
        script = ScriptDirectory.from_config(Config(FOLDER / "alembic.ini"))
        MigrationContext.configure(connection).stamp(script, LEGACY)
    return report
