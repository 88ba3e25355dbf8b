"""A standby that streams from a test's server, and has caught up with it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from fix_servers import Cluster
from normalform import embedded

#: Seconds until a standby that does not move is taken for broken.
PATIENCE = 120.0


@contextmanager
def following(cluster: Cluster) -> Iterator[embedded.Server]:
    """Yields a standby that has replayed everything that was committed before, and goes on streaming."""
    with embedded.standby(cluster.server, in_memory=True) as server:
        caught_up(cluster.server, server)
        yield server


def caught_up(primary: embedded.Server, standby: embedded.Server) -> None:
    """Waits until a standby has replayed what its primary has written by now."""
    with psycopg.connect(primary.url(), autocommit=True) as conn:
        here = _value(conn, "SELECT pg_current_wal_insert_lsn()::text")
    until = time.monotonic() + PATIENCE
    with psycopg.connect(standby.url(), autocommit=True) as conn:
        while not _value(conn, "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", here):
            assert time.monotonic() < until, f"the standby has not come to {here}"
            time.sleep(0.05)
        assert _value(conn, "SELECT status FROM pg_stat_wal_receiver") == "streaming"


def _value(conn: psycopg.Connection, query: str, *values: object) -> object:
    row = conn.execute(query.encode(), values).fetchone()
    return row[0] if row else None
