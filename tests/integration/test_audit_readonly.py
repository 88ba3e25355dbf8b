"""The audit writes nothing: SELECT rights will do, a read-only role, a standby; a pooling proxy is told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

import compare
from audit_cases import CASES, SCHEMA, SPEC
from fix_proxy import TransactionPool
from fix_servers import Cluster, Database, template
from following import following
from normalform.core.events import Event
from normalform.core.findings import Finding, gate
from normalform.core.spec_file import parse
from normalform.db.connect import Connector
from normalform.phases.audit import audit, iter_rows

CLEAN = template("audit_clean", SCHEMA)
READER = "nf_reader"
DEFECTS = (
    "orphans", "rows that fold to a keyword", "two names of one person on one picture", "rows without scope",
    "categories that disagree, or do not exist", "a name in several categories, not told apart",
)  # fmt: skip


@pytest.fixture
def db(database: Callable[..., Database]) -> Iterator[Database]:
    """A database with defects, which a role with SELECT alone may read, in sessions that are read-only by default."""
    made = database(CLEAN)
    for name in DEFECTS:
        made.run(CASES[name].script)
    reader = sql.Identifier(READER)
    made.cluster.admin(
        sql.SQL("CREATE ROLE {} LOGIN NOINHERIT").format(reader),
        sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(reader),
    )
    made.run(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}")
    yield made
    made.run(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {READER}")
    made.cluster.admin(sql.SQL("DROP ROLE {}").format(reader))


def test_select_rights_and_a_read_only_role_are_enough(db: Database, tmp_path: Path) -> None:
    schema, rows = compare.dump_schema(db), compare.checksums(db)
    writes = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables"
    before = db.value(writes)
    connector = Connector(db.url_of(READER))
    report = audit(connector, parse(SPEC), mapping_path=tmp_path / "m.sqlite")
    for finding in report.findings:
        list(iter_rows(connector, finding))
    assert db.value(writes) == before
    assert (compare.dump_schema(db), compare.checksums(db)) == (schema, rows)
    assert {f.code for f in report.findings} > {"NF201", "NF202", "NF203", "NF205", "NF206", "NF207", "NF208", "NF401"}
    assert {u.what for u in report.unchecked} <= {"statements of the application (NF325, NF326)", "NF404"}
    lacking = report.find("NF401")
    assert lacking is not None
    assert lacking not in gate(report)  # who looks need not be who migrates
    assert len(db.rows(lacking.sql, READER)) == lacking.count == 7  # five tables, the database, the schema


def test_no_transaction_stays_open_and_no_lock_is_left(db: Database) -> None:
    """Between two tables a session of the audit holds nothing: no snapshot, no lock, no advisory lock.

    Another one may be in the midst of a statement then; none is ever in a transaction without one.
    """
    seen: set[tuple[object, ...]] = set()
    sessions = (
        "SELECT pid, state_change, state, backend_xmin IS NULL, xact_start IS NULL FROM pg_stat_activity "
        "WHERE application_name LIKE 'normalform/%' AND state <> 'active'"
    )
    locks = "SELECT pid, count(*) FROM pg_locks WHERE locktype <> 'virtualxid' GROUP BY pid"

    def sink(event: Event) -> None:
        if event.kind == "progress":
            before, held, after = db.rows(sessions), dict(db.rows(locks)), set(db.rows(sessions))
            # The two views are read one after the other: a session counts that has done nothing between.
            seen.update((*row[1:], held.get(row[0], 0)) for row in before if row in after)

    audit(Connector(db.url), parse(SPEC), mapping_path=None, sink=sink)
    assert len(seen) >= 10
    assert {row[1:] for row in seen} == {("idle", True, True, 0)}


@pytest.mark.slow
def test_a_streaming_standby_will_do(fresh_pg: Callable[..., Cluster], tmp_path: Path) -> None:
    cluster = fresh_pg()
    db = cluster.create(CLEAN)
    db.run(CASES["orphans"].script)
    cluster.admin(sql.SQL("CREATE ROLE {} LOGIN NOINHERIT").format(sql.Identifier(READER)))
    db.run(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}")
    schema, rows = compare.dump_schema(db), compare.checksums(db)
    here = audit(Connector(db.url_of(READER)), parse(SPEC), mapping_path=None)
    with following(cluster) as server:
        connector = Connector(server.url(db.name, READER))
        with psycopg.connect(server.url(db.name)) as conn, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            conn.execute("CREATE TEMP TABLE t ()")
        there = audit(connector, parse(SPEC), mapping_path=tmp_path / "m.sqlite")
        orphan, standby = there.find("NF201", "tags"), there.find("NF403")
        assert orphan is not None
        assert standby is not None
        assert len(list(iter_rows(connector, orphan))) == orphan.count == 3
        assert len(list(iter_rows(connector, standby))) == standby.count == 1
    assert there.standby and not here.standby
    assert there.tallies == here.tallies
    # Where somebody streams from us is the one difference that there is.
    assert told(there.findings) ^ told(here.findings) == {("NF403", "server", 1)}
    assert (compare.dump_schema(db), compare.checksums(db)) == (schema, rows)


def told(findings: Iterable[Finding]) -> set[tuple[str, str, int]]:
    return {(f.code, f.subject, f.count) for f in findings}


def test_through_a_pooling_proxy_nothing_is_read(db: Database) -> None:
    with TransactionPool(db, 2) as proxy:
        report = audit(Connector(proxy.url()), parse(SPEC), mapping_path=None)
    assert [(f.code, f.severity.value) for f in report.findings] == [("NF402", "error")]
    assert gate(report) and report.unchecked and report.read == ()
    [finding] = report.findings
    assert len(db.rows(finding.sql)) == finding.count == 1
