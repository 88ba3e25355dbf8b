"""What the application runs, from pg_stat_statements: found by what it does to the text, or said to be unknown.

Where the server brings the extension (Debian's does) it is the real one, on a server of its own; where it does not, a
table of the same columns stands in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from audit_cases import SCHEMA, SPEC
from dependent_cases import DECOYS
from fix_servers import Clusters, Database, template
from normalform.core.findings import AuditReport
from normalform.core.spec_file import parse
from normalform.db.connect import Connector
from normalform.phases.audit import audit, iter_rows

DECOYED = template("audit_decoys", SCHEMA + DECOYS)
AVAILABLE = "SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_stat_statements'"
#: What the application runs, and the code and the use that are found; None where nothing is.
SAID: dict[str, tuple[str, str] | None] = {
    "SELECT id FROM tags WHERE lower(keyword) = $1": ("NF325", "reads keyword"),
    "UPDATE public.tags AS t SET category = $1 WHERE t.id = $2": ("NF325", "writes category"),
    "SELECT * FROM tags WHERE id = $1": ("NF326", "all columns (*)"),
    "INSERT INTO plain (id, word, more) SELECT * FROM keywords": ("NF326", "breaks (*)"),
    "INSERT INTO tags VALUES ($1,$2,$3)": ("NF326", "by position (INSERT without a list of columns)"),
    "COPY public.tags FROM STDIN": ("NF326", "breaks (COPY FROM without a list of columns)"),
    "SELECT count(*) FROM tags JOIN plain USING (id) AS j": ("NF327", "cannot be parsed"),
    "SELECT id, 'keyword' FROM tags": None,
    "SELECT o.keyword FROM other o JOIN tags t ON t.id = o.tag_id": None,
    "SELECT * FROM other": None,
    "COPY tags (id, image_id) FROM STDIN": None,
}
STAND_IN = """
CREATE SCHEMA stats;
CREATE TABLE stats.pg_stat_statements (
    userid oid DEFAULT 0, dbid oid, queryid bigint GENERATED ALWAYS AS IDENTITY (START WITH 9000000000000000000),
    query text, calls bigint DEFAULT 3);
GRANT USAGE ON SCHEMA stats TO PUBLIC;
GRANT SELECT ON stats.pg_stat_statements TO PUBLIC;
INSERT INTO pg_catalog.pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
    VALUES (99999, 'pg_stat_statements', 10, 'stats'::regnamespace, true, '1.10');
"""


class Statistics:
    """The statistics of one database, the real ones or the table."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.real = bool(db.value(AVAILABLE))
        db.run("CREATE EXTENSION pg_stat_statements" if self.real else STAND_IN, "admin")
        db.run("ALTER TABLE public.plain ADD more text")

    def say(self, statement: str, role: str = "app") -> None:
        """Have the statement counted."""
        if not self.real:
            with self.db.connect("admin") as conn:
                conn.execute(
                    "INSERT INTO stats.pg_stat_statements (dbid, query) SELECT oid, %s FROM pg_database "
                    "WHERE datname = current_database()",
                    (statement,),
                )
            return
        with self.db.connect(role) as conn:
            if statement.startswith("COPY"):
                with conn.cursor().copy(statement.encode()):
                    pass
            else:
                values = {"$1": "NULL", "$2": "2", "$3": "3"} if "VALUES" in statement else {"$1": "'1'", "$2": "2"}
                for place, value in values.items():
                    statement = statement.replace(place, value)
                conn.execute(statement.replace("(NULL,", "(5000,").encode())

    def hide(self) -> None:
        """Hide the texts of others from the owner."""
        if not self.real:
            self.db.run("UPDATE stats.pg_stat_statements SET query = '<insufficient privilege>'", "admin")


@pytest.fixture
def statistics(
    clusters: Clusters, pg_version: int, database: Callable[..., Database]
) -> Iterator[Callable[[], Statistics]]:
    with ExitStack() as stack:

        def make() -> Statistics:
            db = database(DECOYED)
            if db.value(AVAILABLE):
                settings = {"shared_preload_libraries": "pg_stat_statements"}
                db = clusters.fresh(pg_version, stack, settings).create(DECOYED)
            return Statistics(db)

        yield make


def look(db: Database, *, mask: bool = False) -> AuditReport:
    return audit(Connector(db.url), parse(SPEC), mapping_path=None, mask=mask)


def test_each_statement_is_found_by_what_it_does(statistics: Callable[[], Statistics]) -> None:
    stats = statistics()
    stats.db.run("GRANT pg_read_all_stats TO nf_owner", "admin")
    look(stats.db)  # our own statements are counted by now, and are nobody's
    for statement in SAID:
        stats.say(statement)
    stats.say("SELECT keyword FROM tags /* normalform */")
    report = look(stats.db)
    found: dict[str, tuple[str, str]] = {}
    for finding in report.findings:
        if finding.code in ("NF325", "NF326", "NF327"):
            rows = list(iter_rows(Connector(stats.db.url), finding))
            assert len(rows) == finding.count == len(finding.sample)
            for row in rows:
                assert row["calls"] > 0
                found[row["query"]] = (finding.code, row["uses"])
            wanted = {"NF325": "contract", "NF326": "expand", "NF327": ""}[finding.code]
            assert finding.before == wanted
    if stats.real:  # constants have become parameters
        found = {q.replace("$4", "$3"): v for q, v in found.items()}
    assert {" ".join(q.split()): v for q, v in found.items()} == {q: v for q, v in SAID.items() if v is not None}
    assert {f.subject for f in report.findings if f.code == "NF326"} == {"tags", "keywords"}
    assert [u for u in report.unchecked if u.what.startswith("statements")] == []


def test_masked_findings_hold_no_statement(statistics: Callable[[], Statistics]) -> None:
    stats = statistics()
    stats.db.run("GRANT pg_read_all_stats TO nf_owner", "admin")
    stats.say("SELECT id FROM tags WHERE keyword = 'secret'")
    report = look(stats.db, mask=True)
    finding = report.find("NF325")
    assert finding is not None and finding.count == 1
    assert "secret" not in repr(report.to_json()) and "SELECT id" not in repr(report.to_json())


def test_hidden_statements_are_unknown_with_the_right_that_shows_them(statistics: Callable[[], Statistics]) -> None:
    stats = statistics()
    stats.db.run("REVOKE pg_read_all_stats FROM nf_owner", "admin")
    stats.say("SELECT id FROM tags WHERE keyword = 'x'", "admin")
    stats.hide()
    report = look(stats.db)
    assert report.find("NF325") is None
    [unknown] = [u for u in report.unchecked if u.what.startswith("statements")]
    assert "hidden; GRANT pg_read_all_stats TO nf_owner" in unknown.why


def test_statistics_that_may_not_be_read_or_are_not_loaded_are_unknown(statistics: Callable[[], Statistics]) -> None:
    stats = statistics()
    where = stats.db.value("SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'pg_stat_statements'")
    stats.db.run(f"REVOKE SELECT ON {where}.pg_stat_statements FROM PUBLIC", "admin")
    [unknown] = [u for u in look(stats.db).unchecked if u.what.startswith("statements")]
    assert "permission denied" in unknown.why and "GRANT pg_read_all_stats" in unknown.why
    stats.db.run(
        f"""ALTER TABLE {where}.pg_stat_statements RENAME TO gone;
            CREATE FUNCTION public.raises() RETURNS text LANGUAGE plpgsql AS $$ BEGIN
                RAISE EXCEPTION 'pg_stat_statements must be loaded via "shared_preload_libraries"'
                    USING ERRCODE = '55000'; END $$;
            CREATE VIEW {where}.pg_stat_statements AS SELECT 0::oid AS dbid, 1::bigint AS queryid, 1::bigint AS calls,
                public.raises() AS query;
            GRANT SELECT ON {where}.pg_stat_statements TO PUBLIC""",
        "admin",
    )
    [unknown] = [u for u in look(stats.db).unchecked if u.what.startswith("statements")]
    assert "must be loaded" in unknown.why
