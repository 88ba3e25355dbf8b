"""`test-staging`: every version of the code that fits the database runs on it and is smoke-tested; logs are searched.

It decides which versions these are, and makes a tenant for the tests that goes with everything it has. It must never
touch another tenant's rows.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from psycopg import sql
from pydantic import SecretStr

from photocat.auth import create_token
from photocat.database import engine_for, sessions_for
from photocat.operate.client import Client
from photocat.operate.control import Application
from photocat.operate.environments import Environment
from photocat.operate.errors import OperateError
from photocat.operate.logs import constraint_errors, end_of, lines_from
from photocat.operate.smoke import Smoke
from photocat.operate.state import FITS, misfit, phase_of
from photocat.settings import Settings

#: What a tenant has, children first. `keywords` has no tenant before the migration, and goes with its categories.
_OWNED = (
    "image_tags", "machine_tags", "permatags", "trained_image_tags", "keyword_models", "detected_faces",
    "image_metadata", "people", "keyword_categories", "api_tokens",
)  # fmt: skip
_KEYWORDS = "DELETE FROM keywords WHERE category_id IN (SELECT id FROM keyword_categories WHERE tenant_id = %(tenant)s)"
_SHOWN = 20
Say = Callable[[str], None]


def check(environment: Environment, folder: Path, log: Path, say: Say) -> None:
    """Smoke-test an environment over HTTP.

    Args:
        environment: whose database is served.
        folder: where the application keeps its files meanwhile; it is removed.
        log: gets the application's lines, and those of a server of ours; it is appended to.
        say: takes lines for people.

    Raises:
        OperateError: a test failed, or the log has errors of constraints.
    """
    phase = phase_of(environment.app_url)
    fitting = [columns for columns in FITS if misfit(columns, phase) is None]
    if not fitting:
        raise OperateError(f"no code runs on {environment.name}: its database is at {phase or 'no revision'}")
    begin, server_log = end_of(log), environment.server.log_path if environment.server else None
    server_begin = end_of(server_log) if server_log else 0
    try:
        for columns in fitting:
            app = Application(folder, log)
            app.stop()  # of a run that was killed
            found = app.start(environment, columns, port=0, instances=1)
            try:
                with tenant(environment) as (admin, reader):
                    smoke = Smoke(Client(found.host, found.port, admin), Client(found.host, found.port, reader))
                    count = smoke.run()
                say(f"✓ {environment.name} at {phase}, code with {columns}: {count} operations answer as they must")
            finally:
                app.stop()
    finally:
        if server_log:
            with log.open("a", encoding="utf-8") as out:
                out.writelines(f"postgres: {line}\n" for line in lines_from(server_log, server_begin))
        shutil.rmtree(folder, ignore_errors=True)
    lines = lines_from(log, begin)
    errors = constraint_errors(lines)
    if errors:
        shown = "\n".join(f"  {line}" for line in errors[:_SHOWN])
        raise OperateError(f"{log} has {len(errors)} lines about constraints, the first of them:\n{shown}")
    say(f"✓ {log}: {len(lines):,} lines, none about constraints or foreign keys")


@contextmanager
def tenant(environment: Environment) -> Iterator[tuple[str, str]]:
    """A tenant for one run, with a token of admin scope and one without; everything it has goes in the end."""
    name = f"smoke-{secrets.token_hex(6)}"
    with psycopg.connect(environment.url, autocommit=True) as connection:
        connection.execute("INSERT INTO tenants (id, name, active) VALUES (%s, %s, true)", (name, "Smoke tests"))
        try:
            yield _token(environment, name, admin=True), _token(environment, name, admin=False)
        finally:
            with connection.transaction():
                _remove(connection, name)


def _token(environment: Environment, name: str, *, admin: bool) -> str:
    engine = engine_for(Settings(database_url=SecretStr(environment.url)))
    try:
        with sessions_for(engine).begin() as session:
            hour = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)
            return create_token(session, name, "admin" if admin else "reader", admin=admin, expires_at=hour)
    finally:
        engine.dispose()


def _remove(connection: psycopg.Connection, name: str) -> None:
    for table in _OWNED:
        there = connection.execute("SELECT pg_catalog.to_regclass(%s) IS NOT NULL", (f"public.{table}",)).fetchone()
        if not there or not there[0]:
            continue  # two of them are gone in later versions of PhotoCat
        if table == "keyword_categories":
            connection.execute(_KEYWORDS, {"tenant": name})
        query = sql.SQL("DELETE FROM {} WHERE tenant_id = %s").format(sql.Identifier(table))
        connection.execute(query, (name,))
    connection.execute("DELETE FROM tenants WHERE id = %s", (name,))
