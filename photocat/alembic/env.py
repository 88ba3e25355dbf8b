"""Alembic's environment: PhotoCat's database, the models of the code that runs, and a log.

It decides the database, the connection and the transactions: one for each revision, so that every phase is committed by
itself. It must never keep a transaction open around the revisions, for the engine works beside it.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from alembic import context
from alembic.util import CommandError
from sqlalchemy import create_engine, pool

from normalform import alembic as normalform
from normalform.errors import NormalformError
from photocat.database import driver_url
from photocat.models import metadata_for
from photocat.operate.environments import CHOSEN, chosen, open_environment
from photocat.operate.errors import OperateError
from photocat.settings import Settings

CONSOLE = logging.StreamHandler(sys.stderr)


def database(settings: Settings) -> str:
    """The database to migrate: given by its URL, or of the environment that is chosen, which is dev if none is."""
    if "database_url" in settings.model_fields_set:
        if os.environ.get(CHOSEN):
            raise CommandError(f"PHOTOCAT_DATABASE_URL and {CHOSEN} are both set, and may differ: unset one of them")
        return settings.database_url.get_secret_value()
    try:
        environment = open_environment(chosen())
    except (OperateError, NormalformError) as error:
        raise CommandError(str(error)) from error
    logging.getLogger("alembic.photocat").info("environment %s", environment.name)
    return environment.url


def main(settings: Settings) -> None:
    """Run what the command line asks for."""
    url = driver_url(database(settings))
    metadata = metadata_for(settings.tag_columns)
    if context.is_offline_mode():
        context.configure(url=url, target_metadata=metadata, literal_binds=True, transaction_per_migration=True)
        with context.begin_transaction():
            normalform.run_migrations()
        return
    engine = create_engine(url, poolclass=pool.NullPool, connect_args={"application_name": "photocat-alembic"})
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=metadata,
            include_object=normalform.include_object,
            compare_server_default=True,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            normalform.run_migrations()


if not logging.getLogger().handlers:
    CONSOLE.setFormatter(logging.Formatter("%(levelname)-7s [%(name)s] %(message)s"))
    logging.getLogger().addHandler(CONSOLE)
    logging.getLogger("alembic").setLevel(logging.INFO)

settings = Settings()
path = settings.alembic_log or context.config.get_alembic_option("log_file")
assert path is not None, "alembic.ini says where the log is: log_file"
with normalform.log_file(Path(path)):
    main(settings)
