"""Engine and sessions: the only place that says how the service reaches PostgreSQL.

It decides driver, pool, timeouts and the name under which sessions are seen. It must never know a table.
"""

from __future__ import annotations

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import Session, sessionmaker

from photocat.settings import Settings

DRIVER = "postgresql+psycopg"
CONNECT_SECONDS = 10

Sessions = sessionmaker[Session]


def driver_url(url: str) -> URL:
    """A connection string as libpq reads it, for SQLAlchemy: always through psycopg.

    Args:
        url: `postgresql://…` or `postgres://…`; further parameters (`?host=…`) go through to libpq.

    Raises:
        ValueError: it is not the URL of a PostgreSQL database; the message holds no password.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in ("postgresql", "postgres", DRIVER) or not rest:
        raise ValueError("the database's URL must begin with postgresql://")
    return make_url(f"{DRIVER}://{rest}")


def engine_for(settings: Settings) -> Engine:
    """An engine with a pool; dispose of it when the service ends.

    Sessions that the server ended meanwhile (a restart, a failover) are replaced when they are next asked for.
    """
    options = f"-c statement_timeout={settings.statement_timeout} -c timezone=UTC"
    return create_engine(
        driver_url(settings.database_url.get_secret_value()),
        pool_pre_ping=True,
        pool_size=settings.pool_size,
        max_overflow=settings.pool_overflow,
        connect_args={
            "application_name": f"photocat-{settings.tag_columns}",
            "connect_timeout": CONNECT_SECONDS,
            "options": options,
            # Statements prepared with `SELECT *` or by name would fail once when a phase changes a table.
            "prepare_threshold": None,
        },
    )


def sessions_for(engine: Engine) -> Sessions:
    """What makes sessions: `with sessions.begin() as session: …` is one transaction."""
    return sessionmaker(engine, expire_on_commit=False)
