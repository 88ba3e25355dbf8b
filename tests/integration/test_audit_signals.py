"""What an audit says of the server as it runs: old transactions, slots, standbys; and what a plain role may not see."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from psycopg import conninfo, pq

from audit_cases import SCHEMA, SPEC
from fix_servers import Cluster, Database, template
from normalform.core.findings import AuditReport
from normalform.core.spec_file import parse
from normalform.db import find_signals
from normalform.db.connect import Connector
from normalform.phases.audit import audit

CLEAN = template("audit_clean", SCHEMA)
SIGNALS = ("NF404", "NF405", "NF406")


def look(db: Database, role: str = "owner") -> AuditReport:
    return audit(Connector(db.url_of(role)), parse(SPEC), mapping_path=None)


def signals(report: AuditReport) -> dict[str, tuple[str, int]]:
    return {f.code: (f.severity.value, f.count) for f in report.findings if f.code in SIGNALS}


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any transaction is a long one."""
    monkeypatch.setattr(find_signals, "LONG", 0)


def test_a_quiet_server_gives_nothing(database: Callable[..., Database]) -> None:
    assert signals(look(database(CLEAN))) == {}


def test_a_short_transaction_is_none_of_these(database: Callable[..., Database]) -> None:
    db = database(CLEAN)
    with db.connect("owner", autocommit=False) as other:
        other.execute("SELECT 1")
        assert signals(look(db)) == {}


def test_who_holds_an_old_transaction_and_for_how_long(soon: None, database: Callable[..., Database]) -> None:
    db = database(CLEAN)
    with (
        db.connect("owner", autocommit=False, application_name="reports") as other,
        db.connect("owner", autocommit=False) as prepared,
    ):
        other.execute("SELECT 1")
        prepared.execute("SELECT 2")
        prepared.execute("PREPARE TRANSACTION 'forgotten'")
        report = look(db)
        finding = report.find("NF404", "server")
        assert finding is not None
        seen = {(row["pid"], row["role"], row["application"], row["state"]) for row in finding.sample}
        assert (other.info.backend_pid, "nf_owner", "reports", "idle in transaction") in seen
        assert (None, "nf_owner", "forgotten", "prepared") in seen
        assert finding.count == len(seen) == 2 and "open for more than 0 s" in finding.title
        assert len(db.rows(finding.sql)) >= 2
    with db.connect() as conn:
        conn.execute("ROLLBACK PREPARED 'forgotten'")


def test_others_transactions_are_unknown_without_the_right(soon: None, database: Callable[..., Database]) -> None:
    db = database(CLEAN)
    with db.connect("admin", autocommit=False) as other:
        other.execute("SELECT 1")
        report = look(db)
        assert signals(report) == {}
        [unknown] = [u for u in report.unchecked if u.what == "NF404"]
        assert "GRANT pg_monitor TO nf_owner" in unknown.why
        finding = look(db, "admin").find("NF404")
        assert finding is not None and other.info.backend_pid in {r["pid"] for r in finding.sample}
        db.run("GRANT pg_monitor TO nf_owner", "admin")
        try:
            report = look(db)
        finally:
            db.run("REVOKE pg_monitor FROM nf_owner", "admin")
        assert signals(report)["NF404"][0] == "warning"
        assert [u for u in report.unchecked if u.what == "NF404"] == []


@pytest.mark.slow
def test_slots_that_nobody_reads(fresh_pg: Callable[..., Cluster]) -> None:
    cluster = fresh_pg({"wal_level": "logical", "max_replication_slots": "4"})
    db = cluster.create(CLEAN)
    db.value("SELECT pg_create_physical_replication_slot('left_behind', true)")
    db.value("SELECT pg_create_logical_replication_slot('forgotten', 'pgoutput')")
    finding = look(db).find("NF405")
    assert finding is not None
    assert (finding.severity.value, finding.count, finding.numbers["in_trouble"]) == ("warning", 2, 2)
    assert {row["slot"] for row in finding.sample} == {"left_behind", "forgotten"}
    assert len(db.rows(finding.sql, "owner")) == 2


@pytest.mark.parametrize(
    ("row", "trouble"),
    [
        ({"active": True, "wal_status": "reserved", "bytes_behind": 10}, False),
        ({"active": True, "wal_status": "reserved", "bytes_behind": None}, False),
        ({"active": True, "wal_status": "extended", "bytes_behind": find_signals.FAR + 1}, True),
        ({"active": True, "wal_status": "unreserved", "bytes_behind": 10}, True),
        ({"active": True, "wal_status": "lost", "bytes_behind": None}, True),
        ({"active": False, "wal_status": "reserved", "bytes_behind": 0}, True),
        ({"state": "streaming", "bytes_behind": 10}, False),
        ({"state": "catchup", "bytes_behind": find_signals.FAR + 1}, True),
    ],
)
def test_what_is_in_trouble(row: dict[str, object], trouble: bool) -> None:
    assert find_signals.troubled(row) is trouble


@pytest.mark.slow
def test_a_reader_of_the_wal_stream(fresh_pg: Callable[..., Cluster]) -> None:
    """A receiver stands for a standby: the server lists both alike."""
    db = fresh_pg({"wal_level": "replica", "max_wal_senders": "4"}).create(CLEAN)
    url = conninfo.make_conninfo(db.admin_url, application_name="copy")
    stream = pq.PGconn.connect(f"{url} replication=true".encode())
    try:
        start = db.value("SELECT pg_current_wal_lsn()::text")
        began = stream.exec_(f"START_REPLICATION PHYSICAL {start}".encode())
        assert began.status == pq.ExecStatus.COPY_BOTH, stream.error_message
        finding = look(db, "admin").find("NF406")
        assert finding is not None
        assert (finding.severity.value, finding.count) == ("info", 1)
        assert finding.sample[0]["standby"] == "copy"
        report = look(db)
        assert "GRANT pg_monitor TO nf_owner" in " ".join(u.why for u in report.unchecked if u.what == "NF406")
    finally:
        stream.finish()
