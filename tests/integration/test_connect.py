"""Sessions: what is pinned in each, what is refused, and that a dead client's backend goes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Literal
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

from fix_proxy import PassThrough, TransactionPool
from fix_servers import OWNER, Cluster, Database
from fix_sessions import Sessions, wait_for
from normalform.db.connect import MARK, PINNED, Connector, refuse_transaction_pooler
from normalform.errors import DatabaseRefused, NormalformError, UsageError

Databases = Callable[..., Database]
SECRET = "s3cret/pass@word"

#: What a role, a database or a connection string might have set, and what would change bytes or rights.
HOSTILE = {
    "search_path": "evil, public",
    "datestyle": "German, DMY",
    "timezone": "Asia/Tokyo",
    "intervalstyle": "iso_8601",
    "bytea_output": "escape",
    "extra_float_digits": "-5",
    "standard_conforming_strings": "off",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "statement_timeout": "1234",
    "lock_timeout": "1234",
    "idle_in_transaction_session_timeout": "1234",
    "idle_session_timeout": "123456",
    "jit": "on",
    "row_security": "on",
    "client_connection_check_interval": "0",
}


def settings_of(conn: psycopg.Connection) -> dict[str, str]:
    return dict(conn.execute("SELECT name, current_setting(name) FROM pg_settings").fetchall())


def same(conn: psycopg.Connection, name: str, one: str, other: str) -> bool:
    """Whether the server takes both for the same value."""

    def shown(value: str) -> object:
        conn.execute("BEGIN")
        try:
            conn.execute("SELECT set_config(%s, %s, true)", (name, value))
            return conn.execute("SELECT current_setting(%s)", (name,)).fetchone()
        finally:
            conn.execute("ROLLBACK")

    return shown(one) == shown(other)


def test_every_session_has_everything_pinned(db: Database) -> None:
    """Whatever the role's defaults are: the bytes that checksums see must not depend on them (CORRECTNESS 29)."""
    with db.connect("admin") as admin:
        for name, value in HOSTILE.items():
            admin.execute(f"ALTER ROLE {OWNER} IN DATABASE {db.name} SET {name} = '{value}'".encode())
    with db.connect() as plain:
        hostile = settings_of(plain)
    with Connector(db.url).open() as conn:
        found = settings_of(conn)
        for name, value in PINNED.items():
            if name.startswith("tcp_") or name not in found:
                continue
            assert same(conn, name, found[name], value), name
            if name in HOSTILE:
                assert not same(conn, name, hostile[name], value), f"{name}: the trap was set"
        assert set(HOSTILE) <= set(PINNED)
        assert conn.autocommit


def test_what_older_servers_do_not_know_is_passed_over(db: Database) -> None:
    with Connector(db.url).open() as conn:
        known = "transaction_timeout" in settings_of(conn)
        assert known == (db.version >= 17)
        if known:
            assert conn.execute("SHOW transaction_timeout").fetchone() == ("0",)


def test_nothing_in_the_roles_search_path_is_called_before_it_is_pinned(db: Database) -> None:
    with db.connect() as owner:
        owner.execute("CREATE SCHEMA evil; CREATE TABLE evil.seen (what text)")
        for name, arguments in (("set_config", "text, text, boolean"), ("current_setting", "text, boolean")):
            owner.execute(
                f"CREATE FUNCTION evil.{name}({arguments}) RETURNS text LANGUAGE sql AS "
                f"$$INSERT INTO evil.seen VALUES ('{name}'); SELECT 'x'::text$$".encode()
            )
    with db.connect("admin") as admin:
        admin.execute(f"ALTER ROLE {OWNER} IN DATABASE {db.name} SET search_path = evil, pg_catalog".encode())
    with db.connect() as trapped:
        assert trapped.execute("SELECT set_config('a.b', 'c', false)").fetchone() == ("x",), "the trap works"
        trapped.execute("TRUNCATE evil.seen")
    with Connector(db.url).open() as conn:
        assert conn.execute("SHOW search_path").fetchone() == ("pg_catalog, pg_temp",)
        assert conn.execute("SELECT count(*) FROM evil.seen").fetchone() == (0,)


def test_a_session_says_whose_it_is(db: Database) -> None:
    with Connector(db.url, run=7).open("worker-1") as conn:
        assert conn.execute("SHOW application_name").fetchone() == ("normalform/7/worker-1",)


def test_every_statement_says_whose_it_is(db: Database) -> None:
    query = "SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid() AND %s <> '%%'"
    with Connector(db.url).open() as conn:
        composed = sql.SQL(query)
        for statement in (query, query.encode(), composed, sql.SQL("{}").format(composed)):
            with conn.cursor() as cursor:
                [(text,)] = cursor.execute(statement, ("x",)).fetchall()
                assert text.endswith(MARK)
                [(text,)] = cursor.stream(statement, ("x",))
                assert text.endswith(MARK)


def test_a_lost_machine_is_noticed_over_tcp(db: Database, proxies: ExitStack) -> None:
    """Keepalive settings exist for TCP alone; by a socket the server shows them as 0."""
    with Connector(db.url).open() as conn:
        assert conn.execute("SHOW tcp_keepalives_idle").fetchone() == ("0",)
    assert {"tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count"} <= set(PINNED)


# --------------------------------------------------------------------------------------------- refusals


def refused(url: str) -> NormalformError:
    with pytest.raises(NormalformError) as caught:
        Connector(url).open()
    return caught.value


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_nobody_answers() -> None:
    error = refused(f"postgresql://me:{quote(SECRET, safe='')}@127.0.0.1:{unused_port()}/photocat")
    assert isinstance(error, DatabaseRefused)
    assert error.exit_status == 5
    assert "cannot connect to photocat on 127.0.0.1" in error.message
    assert "s3cret" not in str(error)


def test_the_role_does_not_exist(db: Database) -> None:
    error = refused(db.server.url(db.name, "nobody_here"))
    assert error.exit_status == 5
    assert "nobody_here" in error.message


def test_the_database_does_not_exist(db: Database) -> None:
    error = refused(db.server.url("no_such_database", OWNER))
    assert error.exit_status == 5
    assert 'database "no_such_database" does not exist' in error.message


@pytest.mark.slow
def test_a_wrong_password(clusters: object, fresh_pg: Callable[..., Cluster]) -> None:
    cluster = fresh_pg()
    rules = cluster.server.data_dir / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"local all {OWNER} scram-sha-256\n" + before)
    with psycopg.connect(cluster.server.url(), autocommit=True) as admin:
        admin.execute(f"ALTER ROLE {OWNER} PASSWORD 'right'".encode())
        admin.execute("SELECT pg_reload_conf()")
    db = cluster.create()
    url = db.url.replace(f"{OWNER}@", f"{OWNER}:{quote(SECRET, safe='')}@")

    def asked() -> bool:
        try:
            Connector(db.url).open().close()
        except DatabaseRefused:
            return True
        return False

    wait_for(asked, "the server to ask for a password")
    error = refused(url)
    assert error.exit_status == 5
    assert "password authentication failed" in error.message
    assert "s3cret" not in str(error) + repr(error.__cause__)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cret%zz@db/photocat",
        "host=db password=s3cret pasword=x",
        "host=db password='s3cret",
        "postgresql://me:p@s3cret@db/photocat",
        "postgresql://me:p@s3cret/rest@db/photocat",
        "postgresql://me:p/s3cret@db/photocat",
        "postgres://me:p@ss/s3cret@db:5432/photocat",
        "nonsense s3cret",
    ],
)
def test_a_url_that_cannot_be_read_as_meant_is_never_shown(url: str) -> None:
    error = refused(url)
    assert isinstance(error, UsageError)
    assert error.exit_status == 2
    shown = str(error) + repr(error.__cause__) + repr(error.__context__ if not error.__suppress_context__ else "")
    assert "s3cret" not in shown
    assert "rest" not in shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:s3cret@db.example:5433/photocat?options=-csearch_path%3Dx", "photocat on db.example"),
        ("host=/run/pg dbname=photocat password=s3cret", "photocat on /run/pg"),
        ("postgresql:///photocat", "photocat on the local socket"),
        ("postgresql://me:s3cret%zz@db", "the database"),
    ],
)
def test_where_a_session_goes_is_shown_without_secrets(url: str, shown: str) -> None:
    assert Connector(url).display == shown


def test_a_server_that_is_too_old(db: Database, proxies: ExitStack) -> None:
    real = f"server_version\0{db.version}".encode()
    proxy = proxies.enter_context(PassThrough(db, lambda data: data.replace(real, b"server_version\x0014")))
    error = refused(proxy.url())
    assert isinstance(error, DatabaseRefused)
    assert "is PostgreSQL 14" in error.message
    assert "15 or later is needed" in error.message


# ---------------------------------------------------------------------------------------------- proxies


def test_a_proxy_that_passes_bytes_on_is_accepted(db: Database, proxies: ExitStack) -> None:
    proxy = proxies.enter_context(PassThrough(db))
    refuse_transaction_pooler(Connector(proxy.url()))


def test_the_server_itself_is_accepted(db: Database) -> None:
    refuse_transaction_pooler(Connector(db.url))


@pytest.mark.parametrize("order", ["last", "longest"])
@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("warm", [False, True])
def test_a_proxy_that_pools_transactions_is_refused(
    db: Database, proxies: ExitStack, size: int, order: Literal["last", "longest"], warm: bool
) -> None:
    """CORRECTNESS 27: locks and settings would stay with a server session that somebody else gets next."""
    proxy = proxies.enter_context(TransactionPool(db, size, order))
    if warm:
        clients = [psycopg.connect(proxy.url()) for _ in range(size)]  # each in a transaction of its own …
        for client in clients:
            client.execute("SELECT 1")
        for client in clients:
            client.commit()
            client.close()  # … so that every server session exists, and is idle
    with pytest.raises(DatabaseRefused, match="pools transactions") as caught:
        refuse_transaction_pooler(Connector(proxy.url(password=SECRET)))
    assert caught.value.hint is not None
    assert "s3cret" not in str(caught.value)


def test_the_pooling_proxy_does_what_it_says(db: Database, proxies: ExitStack) -> None:
    proxy = proxies.enter_context(TransactionPool(db, 2))
    with psycopg.connect(proxy.url(), autocommit=True) as one, psycopg.connect(proxy.url(), autocommit=True) as two:
        [first] = one.execute("SELECT pg_backend_pid()").fetchone() or [None]
        assert two.execute("SELECT pg_backend_pid()").fetchone() == (first,)
        with one.transaction():
            assert one.execute("SELECT pg_backend_pid()").fetchone() == (first,)
            assert two.execute("SELECT pg_backend_pid()").fetchone() != (first,)


# ------------------------------------------------------------------------------------------ dead clients

CHILD = """
import sys
from normalform.db.connect import Connector
with Connector(sys.argv[1], run=1).open("main") as conn:
    print(conn.info.backend_pid, flush=True)
    conn.execute("CREATE INDEX CONCURRENTLY ix ON public.t (x)")
"""


@pytest.mark.slow
def test_a_killed_clients_backend_goes_though_it_waits_for_a_lock(
    db: Database, sessions: Callable[[Database], Sessions]
) -> None:
    """CORRECTNESS 26. Without client_connection_check_interval it would build on once the lock is free."""
    db.run("CREATE TABLE public.t (x int)")
    holder = sessions(db).one("holder", role="owner")
    holder.run("BEGIN; LOCK TABLE public.t IN ROW EXCLUSIVE MODE")
    monitor = sessions(db).monitor
    child = subprocess.Popen([sys.executable, "-c", CHILD, db.url], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        backend = int(child.stdout.readline())
        wait_for(lambda: holder.pid in monitor.blockers(backend), "the build to wait for the lock")
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        if child.stdout is not None:
            child.stdout.close()
    monitor.wait_for("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s)", [backend])
    assert not holder.idle or holder.run("SELECT 1"), "the lock was held all the time"
    holder.run("COMMIT")
    assert db.value("SELECT count(*) FROM pg_index WHERE indrelid = 'public.t'::regclass AND indisvalid") == 0


@pytest.mark.slow
def test_without_the_interval_it_would_not_go(db: Database, sessions: Callable[[Database], Sessions]) -> None:
    """The same with the setting off: what the rule is for."""
    db.run("CREATE TABLE public.t (x int)")
    all_sessions = sessions(db)
    holder = all_sessions.one("holder", role="owner")
    holder.run("BEGIN; LOCK TABLE public.t IN ROW EXCLUSIVE MODE")
    program = CHILD.replace(
        "    conn.execute(", "    conn.execute('SET client_connection_check_interval = 0')\n    conn.execute(", 1
    )
    child = subprocess.Popen([sys.executable, "-c", program, db.url], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        backend = int(child.stdout.readline())
        wait_for(lambda: holder.pid in all_sessions.monitor.blockers(backend), "the build to wait for the lock")
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        if child.stdout is not None:
            child.stdout.close()
    with Connector(db.url, run=2).open("other") as other:
        other.execute("SELECT pg_sleep(3)")  # three times the interval
        assert other.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", (backend,)).fetchone() == (1,)
    all_sessions.monitor.terminate(backend)
    holder.run("COMMIT")
