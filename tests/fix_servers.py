"""Real servers and databases for the tests.

One server for each PostgreSQL version and test process, started when first asked for and removed at the end.
`NORMALFORM_TEST_VERSIONS` names the versions (default ``18,16``); one that is missing is a failure, never a skip.

Databases are cloned from templates, which are built once for each server:

    template("shop", "create table ...")            # at import: a script, or a callable that gets a URL

    def test_it(database):
        db = database("shop")                       # a clone for this test alone, for each version
        with db.connect() as owner, db.connect(role="app") as app: ...

Two roles are what the engine meets in production: ``nf_owner`` owns the database and its tables and is no
superuser, ``nf_app`` has DML on the owner's tables in ``public`` and nothing else.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import TupleRow

from normalform import embedded

OWNER = "nf_owner"
APP = "nf_app"

# Fast, and nothing happens by itself: what a test sees is what the test did.
SETTINGS: Mapping[str, str] = {
    "autovacuum": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "jit": "off",
    "max_connections": "200",
    "max_prepared_transactions": "20",
    "max_wal_size": "128MB",
    "shared_buffers": "64MB",
    "synchronous_commit": "off",
    "track_activity_query_size": "16kB",
    "track_io_timing": "off",
}

Build = str | Callable[[str], None]
_builds: dict[str, Build] = {}
_numbers = itertools.count(1)


def versions() -> list[int]:
    """The major versions under test."""
    return [int(v) for v in os.environ.get("NORMALFORM_TEST_VERSIONS", "18,16").replace(",", " ").split()]


def template(name: str, build: Build) -> str:
    """Registers how a template is built; it is, once for each server, when a test first asks for it.

    Args:
        name: what `database` calls it.
        build: a SQL script, or a callable that gets a URL of the empty database; both run as the owner.

    Returns:
        The name.
    """
    if _builds.setdefault(name, build) is not build and _builds[name] != build:
        raise ValueError(f"there are two templates named {name}")
    return name


@dataclass
class Database:
    """A database of one test.

    Attributes:
        cluster: the server with its templates.
        name: its name there.
    """

    cluster: Cluster
    name: str

    @property
    def server(self) -> embedded.Server:
        """The server, for its tools and for stopping it."""
        return self.cluster.server

    @property
    def version(self) -> int:
        """The server's major version."""
        return self.cluster.version

    @property
    def url(self) -> str:
        """For the engine: as the owner, who is no superuser."""
        return self.server.url(self.name, OWNER)

    @property
    def app_url(self) -> str:
        """For the application: DML on the owner's tables only."""
        return self.server.url(self.name, APP)

    @property
    def admin_url(self) -> str:
        """For asserting and killing only: as superuser."""
        return self.server.url(self.name)

    def url_of(self, role: str) -> str:
        """The URL for ``owner``, ``app``, ``admin``, or any role by its name."""
        urls = {"owner": self.url, "app": self.app_url, "admin": self.admin_url}
        return urls.get(role) or self.server.url(self.name, role)

    def connect(self, role: str = "owner", **kw: Any) -> psycopg.Connection[TupleRow]:
        """Connects in autocommit mode (``autocommit=False`` for the other); close it, best by `with`."""
        return psycopg.connect(self.url_of(role), **{"autocommit": True, **kw})

    def run(self, script: str, role: str = "owner") -> None:
        """Runs a script of any number of statements as one transaction."""
        with self.connect(role) as connection:
            connection.execute(script.encode())

    def rows(self, query: str, role: str = "admin") -> list[tuple[Any, ...]]:
        """Runs one query and returns its rows."""
        with self.connect(role) as connection:
            return connection.execute(query.encode()).fetchall()

    def value(self, query: str, role: str = "admin") -> Any:
        """Runs one query and returns its only value."""
        [(value,)] = self.rows(query, role)
        return value

    def clone(self) -> Database:
        """Copies this database as it stands; nobody may be connected to it."""
        return self.cluster.clone(self.name)

    def drop(self) -> None:
        """Drops it, whoever is connected; tests need not, since all goes after the test."""
        self.cluster.drop(self)


class Cluster:
    """A server with the test roles, and its templates and databases."""

    def __init__(self, server: embedded.Server) -> None:
        self.server = server
        self.version = server.version
        self.databases: list[Database] = []
        self._templates: dict[str, str] = {}
        owner, app = sql.Identifier(OWNER), sql.Identifier(APP)
        for role in (owner, app):
            attributes = sql.SQL("LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS")
            self.admin(sql.SQL("CREATE ROLE {} {}").format(role, attributes))
        self._base = self._new_database("template1")
        with psycopg.connect(server.url(self._base), autocommit=True) as connection:
            rights = sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA public GRANT {} TO {}")
            for right in ("SELECT, INSERT, UPDATE, DELETE ON TABLES", "USAGE, SELECT ON SEQUENCES"):
                connection.execute(rights.format(owner, sql.SQL(right), app))

    def admin(self, *statements: sql.Composed) -> None:
        """Runs statements as superuser, outside every test database."""
        with psycopg.connect(self.server.url(), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def create(self, name: str | None = None, build: Build | None = None) -> Database:
        """Makes a database from a template, or an empty one without a name.

        Args:
            name: the template, registered by `template` unless `build` is given.
            build: how to build it, if nobody has registered that.
        """
        if name is None:
            return self.clone(self._base)
        if build is not None:
            template(name, build)
        if name not in self._templates:
            self._templates[name] = self._built(_builds[name])
        return self.clone(self._templates[name])

    def clone(self, source: str) -> Database:
        """Copies a database of this server, by its name there."""
        database = Database(self, self._new_database(source))
        self.databases.append(database)
        return database

    def drop(self, database: Database) -> None:
        """Drops a database, whoever is connected to it."""
        self.databases.remove(database)
        self._drop(database.name)

    def drop_all(self) -> None:
        """Drops what the test made; templates stay."""
        for database in list(self.databases):
            self.drop(database)

    def _built(self, build: Build) -> str:
        name = self._new_database(self._base)
        url = self.server.url(name, OWNER)
        try:
            if callable(build):
                build(url)
            else:
                with psycopg.connect(url, autocommit=True) as connection:
                    connection.execute(build.encode())
        except BaseException:
            self._drop(name)
            raise
        return name

    def _new_database(self, source: str) -> str:
        name = f"nf_test_{next(_numbers)}"
        # Without fsync a copy of the files takes half the time of a copy through the WAL.
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} STRATEGY file_copy")
        self.admin(create.format(sql.Identifier(name), sql.Identifier(source), sql.Identifier(OWNER)))
        return name

    def _drop(self, name: str) -> None:
        self.admin(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


class Clusters:
    """The servers of this test process, each started when first asked for."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._clusters: dict[int, Cluster] = {}

    def __getitem__(self, version: int) -> Cluster:
        if version not in self._clusters:
            self._clusters[version] = self.fresh(version, self._stack)
        return self._clusters[version]

    def fresh(self, version: int, stack: ExitStack, settings: Mapping[str, str] | None = None) -> Cluster:
        """Starts a server that the stack's owner alone uses, with settings beside the usual ones."""
        # In memory: every test makes and drops databases of 300 files, and ext4 takes seconds to forget deleted ones.
        server = embedded.temporary(version=version, settings={**SETTINGS, **(settings or {})}, in_memory=True)
        return Cluster(stack.enter_context(server))

    def close(self) -> None:
        """Removes them all."""
        self._stack.close()


@pytest.fixture(scope="session")
def clusters() -> Iterator[Clusters]:
    """All servers of this test process, by version: for tests that choose the version themselves."""
    all_clusters = Clusters()
    yield all_clusters
    all_clusters.close()


@pytest.fixture(scope="session", params=versions(), ids=lambda v: f"pg{v}")
def pg_version(request: pytest.FixtureRequest) -> int:
    """Each version under test in turn."""
    version: int = request.param
    return version


@pytest.fixture
def pg(clusters: Clusters, pg_version: int) -> Iterator[Cluster]:
    """The server of each version under test, shared with other tests; what was made on it goes after the test."""
    cluster = clusters[pg_version]
    yield cluster
    cluster.drop_all()


@pytest.fixture
def fresh_pg(clusters: Clusters, pg_version: int) -> Iterator[Callable[..., Cluster]]:
    """Makes servers for this test alone, of each version under test: to be stopped, killed or set otherwise.

    ``fresh_pg()`` or ``fresh_pg({"wal_level": "logical"})``.
    """
    with ExitStack() as stack:

        def make(settings: Mapping[str, str] | None = None) -> Cluster:
            return clusters.fresh(pg_version, stack, settings)

        yield make


@pytest.fixture
def database(pg: Cluster) -> Callable[..., Database]:
    """Makes databases: ``database()`` an empty one, ``database("shop")`` a clone of a template."""
    return pg.create


@pytest.fixture
def db(pg: Cluster) -> Database:
    """An empty database."""
    return pg.create()


@pytest.fixture
def monitor_right(pg: Cluster) -> Iterator[Callable[[], None]]:
    """Gives the operator's role pg_monitor for this test."""
    yield lambda: pg.admin(sql.SQL("GRANT pg_monitor TO {}").format(sql.Identifier(OWNER)))
    pg.admin(sql.SQL("REVOKE pg_monitor FROM {}").format(sql.Identifier(OWNER)))
