"""The audit on real servers: every finding appears where it should and nowhere else, and its SQL gives its count."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

import mini
from audit_cases import CASES, SCHEMA, SPEC, Case
from dependent_cases import DEPENDENTS
from fix_servers import Database, template
from normalform.core.events import Event
from normalform.core.finding_codes import CODES
from normalform.core.findings import AuditReport, Finding, gate, reasons
from normalform.core.mapping import Candidate, Entry, How, Suggestion
from normalform.core.spec_file import parse
from normalform.db.connect import Connector
from normalform.db.mapping_file import about, entries, unresolved
from normalform.errors import DatabaseRefused, SpecError
from normalform.phases.audit import audit, iter_rows
from normalform.sql.quote import render

CLEAN = template("audit_clean", SCHEMA)
MINI = template("audit_mini", mini.SCHEMA + mini.DATA)
#: Found in other tests: what depends on the role and on the kind of server, and what depends on the text.
ELSEWHERE = {"NF401", "NF402", "NF403"}
IN_SECOND_TEST_CREATED = {"NF111", "NF112", "NF113", "NF114"}
IN_TEST_SIGNALS = {"NF404", "NF405", "NF406"}
IN_TEST_STATEMENTS = {"NF325", "NF326", "NF327"}
#: What every database has here: an index on a text, and no statistics of statements.
ALWAYS = "NF310"
NO_STATISTICS = "statements of the application (NF325, NF326)"


def run(db: Database, spec: str = SPEC, role: str = "owner", mapping: Path | None = None, **more: Any) -> AuditReport:
    return audit(Connector(db.url_of(role)), parse(spec), mapping_path=mapping, **more)


def unknown(report: AuditReport) -> set[tuple[str, str]]:
    """What could not be looked at, but for the server's statistics and for sessions that have not ended yet."""
    return {(u.subject, u.what) for u in report.unchecked if u.what not in (NO_STATISTICS, "NF404")}


def by_hand(db: Database, finding: Finding) -> list[dict[str, Any]]:
    """The finding's SQL as a person runs it: another session, with the server's own settings."""
    with db.connect() as conn, conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(finding.sql.encode()).fetchall()


def as_text(rows: list[dict[str, Any]]) -> list[str]:
    """Rows in an order of their own; how a table's name prints depends on the session's search path."""
    return sorted(repr(row).replace("public.", "") for row in rows)


@pytest.fixture
def case_database(database: Callable[..., Database], request: pytest.FixtureRequest) -> Iterator[tuple[Database, Case]]:
    case = CASES[request.param]
    db = database(CLEAN)
    db.run(case.script, case.role)
    yield db, case
    if case.undo:
        db.run(case.undo, "admin")


def test_a_clean_database_has_no_finding(database: Callable[..., Database], tmp_path: Path) -> None:
    report = run(database(CLEAN), mapping=tmp_path / "m.sqlite")
    assert [(f.code, f.subject, f.severity.value, f.count) for f in report.findings] == [("NF310", "models", "info", 1)]
    assert unknown(report) == set()
    assert gate(report) == ()
    assert [(t.reference, t.how, t.values, t.rows) for t in report.tallies] == [
        ("tags", How.EXACT, 3, 80),
        ("models", How.EXACT, 3, 3),
        ("faces", How.EXACT, 3, 3),
        ("faces", How.ALIAS, 1, 1),
    ]
    assert [(r.reference, r.rows, r.null_texts, r.values, r.ranges) for r in report.read] == [
        ("tags", 80, 0, 3, 1),
        ("models", 3, 0, 3, 1),
        ("faces", 5, 1, 4, 1),
    ]
    assert list(unresolved(tmp_path / "m.sqlite")) == []


@pytest.mark.parametrize("case_database", CASES, indirect=True)
def test_each_finding_is_found_alone_and_its_sql_gives_its_count(case_database: tuple[Database, Case]) -> None:
    db, case = case_database
    report = run(db, SPEC.replace(*case.spec) if case.spec[0] else SPEC)
    found = {(f.code, f.subject): (f.severity.value, f.count) for f in report.findings if f.code != ALWAYS}
    assert found == case.finds
    assert {subject for subject, _ in unknown(report)} == case.unchecked
    for finding in report.findings:
        rows = by_hand(db, finding)
        assert len(rows) == finding.count, finding.code
        streamed = list(iter_rows(Connector(db.url), finding))
        assert as_text(streamed) == as_text(rows), finding.code
        assert 1 <= len(finding.sample) <= 5 or finding.code == "NF402"
    closed = [f for f in report.findings if f.severity == "error" and f.before != "contract"]
    assert list(gate(report)) == closed
    assert len(reasons(report)) == len(closed)


def test_every_code_has_a_case() -> None:
    found = {code for case in CASES.values() for code, _ in case.finds}
    found |= {code for dependent in DEPENDENTS.values() for code, _ in dependent.finds}
    assert found | ELSEWHERE | IN_TEST_SIGNALS | IN_TEST_STATEMENTS | IN_SECOND_TEST_CREATED == set(CODES)


def test_the_joins_wrong_rows_are_bounded(database: Callable[..., Database]) -> None:
    db = database(CLEAN)
    db.run(CASES["a name in several categories, told apart by each row"].script)
    finding = run(db).find("NF102")
    assert finding is not None
    # Three rows of sea under nature, seven under travel: whichever wins, the others are wrong.
    assert finding.numbers == {
        "values": 2, "rows": 10, "wrong_at_least": 3, "wrong_at_most": 7, "ambiguous_rows": 0,
    }  # fmt: skip
    db.run("INSERT INTO categories (id, tenant_id, name) VALUES (20, 't', 'film');"
           "INSERT INTO keywords (category_id, keyword) VALUES (20, 'sea')")  # fmt: skip
    finding = run(db).find("NF102")
    assert finding is not None
    assert finding.numbers["wrong_at_most"] == 10  # film wins, under which no row stands


def test_the_small_photocat_has_the_findings_that_its_data_names(database: Callable[..., Database]) -> None:
    report = run(database(MINI), mini.SPEC_TEXT)
    orphans = [(f.subject, f.count, f.severity.value) for f in report.findings if f.code == "NF201"]
    assert orphans == [("faces", 1, "warning")]
    several = report.find("NF102")
    assert several is not None and (several.count, several.severity, several.numbers["rows"]) == (1, "info", 30)
    assert not gate(report)


def test_the_mapping_holds_every_value_and_what_may_be_meant(database: Callable[..., Database], tmp_path: Path) -> None:
    db, file = database(CLEAN), tmp_path / "m.sqlite"
    db.run(
        """INSERT INTO keywords (id, category_id, keyword) VALUES (50, 3, 'sea');
           INSERT INTO tags (image_id, tenant_id, keyword, category) VALUES
               (1, 't', 'Tree', NULL), (2, 't', 'trees', NULL), (3, 't', 'sea', NULL), (4, NULL, 'x', NULL),
               (5, 't', 'zeppelin', 'travel')"""
    )
    run(db, mapping=file)
    sea = (Candidate("3", "sea", "nature"), Candidate("50", "sea", "travel"))
    assert {(e.reference, e.text): e for e in unresolved(file)} == {
        ("tags", "Tree"): Entry(
            "tags", ("t",), "Tree", None, 1, How.ORPHAN, candidates=(Candidate("1", "tree", "nature/plants"),),
            suggestion=Suggestion("fold", "1", 100.0, "differs from 'tree' by form, case or spaces"),
        ),
        ("tags", "trees"): Entry(
            "tags", ("t",), "trees", None, 1, How.ORPHAN, candidates=(Candidate("1", "tree", "nature/plants"),),
            suggestion=Suggestion("choose", "1", 88.9, "like 'tree'"),
        ),
        ("tags", "sea"): Entry("tags", ("t",), "sea", None, 1, How.AMBIGUOUS, candidates=sea),
        ("tags", "x"): Entry(
            "tags", (None,), "x", None, 1, How.ORPHAN,
            suggestion=Suggestion("drop", None, 0.0, "its scope does not exist"),
        ),
        ("tags", "zeppelin"): Entry(
            "tags", ("t",), "zeppelin", "travel", 1, How.ORPHAN,
            suggestion=Suggestion("create", None, 0.0, "no lookup row has it, nor one like it"),
        ),
        ("models", "sea"): Entry(
            "models", ("t",), "sea", None, 1, How.AMBIGUOUS, candidates=sea,
            suggestion=Suggestion("split", None, 0.0, "nothing in the row tells them apart: one copy for each"),
        ),
    }  # fmt: skip
    exact = {(e.text, e.qualifier): e for e in entries(file, reference="tags", how=[How.EXACT]) if e.scope == ("t",)}
    assert exact["tree", "nature/plants"] == Entry(
        "tags", ("t",), "tree", "nature/plants", 40, How.EXACT, "1", "nature/plants"
    )
    assert exact["bridge", None].path == "travel"
    assert about(file)["database"] == db.name


def test_texts_with_what_separates_them_in_the_mapping_come_whole(
    database: Callable[..., Database], tmp_path: Path
) -> None:
    """Control characters that packed rows and sheets use, in lookup and reference, alone and within a text."""
    db, file = database(CLEAN), tmp_path / "m.sqlite"
    texts = ["\x1f", "\x1e", "a\x1fb", "a\x1eb", "a\nb", "", " ", "\\N", "é\x1f", "A\x1fB"]
    for text in texts:
        db.run(
            render(
                sql.SQL(
                    "INSERT INTO keywords (category_id, keyword) VALUES (1, {t}); "
                    "INSERT INTO tags (image_id, tenant_id, keyword, category) VALUES (1, 't', {t}, 'nature')"
                ).format(t=sql.Literal(text))
            )
        )
    report = run(db, mapping=file)
    found = {e.text: e for e in entries(file, reference="tags") if e.qualifier == "nature" and e.scope == ("t",)}
    assert set(found) == set(texts)
    assert {(e.how, e.rows, e.path) for e in found.values()} == {(How.EXACT, 1, "nature")}
    # Unlike by case: "a_b" with the one character in it. "\x1f", "\x1e", "" and " " fold to nothing, all of them.
    assert {(f.code, f.count) for f in report.findings if f.severity != "info"} == {("NF103", 6)}


def test_decisions_in_the_ledger_count(database: Callable[..., Database], engine: Callable[..., Any]) -> None:
    db = database(CLEAN)
    db.run("INSERT INTO tags (image_id, tenant_id, keyword) VALUES (1, 't', 'Tree'), (2, 't', 'gone')")
    with engine(db.url, SPEC).conn as conn:
        conn.execute(
            "INSERT INTO normalform.mapping (reference, scope, value, how, key) "
            "VALUES ('tags', '{t}', 'Tree', 'folded', '1')"
        )
    report = run(db)
    assert {(t.how, t.rows) for t in report.tallies if t.reference == "tags"} == {
        (How.EXACT, 80), (How.FOLDED, 1), (How.ORPHAN, 1),
    }  # fmt: skip
    orphan = report.find("NF201")
    assert orphan is not None and len(by_hand(db, orphan)) == orphan.count == 1
    assert {f.code for f in report.findings} == {"NF201", ALWAYS}


def test_what_cannot_be_asked_is_unknown_and_not_good(database: Callable[..., Database]) -> None:
    db = database(CLEAN)
    db.run("REVOKE SELECT ON pg_catalog.pg_publication, pg_catalog.pg_subscription_rel FROM PUBLIC", "admin")
    report = run(db)
    assert unknown(report) == {
        ("server", "NF305"), ("server", "NF306"), ("server", "NF307"), ("tags", "NF318"), ("models", "NF318"),
    }  # fmt: skip
    assert all("permission denied" in u.why for u in report.unchecked if (u.subject, u.what) in unknown(report))
    [statistics] = [u for u in report.unchecked if u.what == NO_STATISTICS]
    assert "CREATE EXTENSION pg_stat_statements" in statistics.why


def test_a_unique_index_on_an_expression_is_not_foretold(database: Callable[..., Database]) -> None:
    db = database(CLEAN)
    db.run("CREATE UNIQUE INDEX models_lower ON models (tenant_id, lower(keyword), model)")
    report = run(db)
    assert unknown(report) == {("models", "NF208")}
    assert {f.code for f in report.findings} == {ALWAYS, "NF311"}


def test_masked_reports_hold_no_value(database: Callable[..., Database]) -> None:
    db = database(CLEAN)
    for name in ("rows that fold to a keyword", "two names of one person on one picture", "orphans"):
        db.run(CASES[name].script)
    report = run(db, mask=True)
    printed = repr(report.to_json())
    for value in ("zeppelin", "TREE", "Countess", "Nobody Known", "sky 100%"):
        assert value not in printed
    folds = report.find("NF207")
    assert folds is not None and folds.sql == ""
    with pytest.raises(ValueError, match="hidden"):
        next(iter_rows(Connector(db.url), folds))


def test_json_holds_the_whole_report(database: Callable[..., Database]) -> None:
    db = database(CLEAN)
    db.run(CASES["orphans"].script)
    data = json.loads(json.dumps(run(db).to_json(), default=str))
    assert data["mapping_summary"][0] == {"reference": "tags", "how": "exact", "values": 3, "rows": 80}
    assert {f["code"] for f in data["findings"]} == {"NF201", ALWAYS}
    assert data["findings"][0]["sql"].startswith("SELECT")


def test_a_table_that_changes_between_ranges_is_added_up(database: Callable[..., Database], tmp_path: Path) -> None:
    """Two readings of a value with different answers: rows are added, the later answer holds."""
    db, file = database(CLEAN), tmp_path / "m.sqlite"
    db.run("INSERT INTO tags (image_id, tenant_id, keyword) SELECT g, 't', 'later' FROM generate_series(1, 3000) g")
    total = db.value("SELECT pg_relation_size('public.tags') / current_setting('block_size')::int")
    seen: list[tuple[int, int]] = []

    def sink(event: Event) -> None:
        if event.name == "audit/tags":
            seen.append((event.done, event.total))
            if len(seen) == 3:  # after the second range: somebody adds the keyword
                db.run("INSERT INTO keywords (id, category_id, keyword) VALUES (77, 3, 'later')")

    report = run(db, mapping=file, sink=sink, first_blocks=3)
    assert seen[0] == (0, total) and seen[-1] == (total, total) and len(seen) > 3
    [entry] = [e for e in entries(file, reference="tags") if e.text == "later"]
    assert (entry.how, entry.key, entry.rows) == (How.EXACT, "77", 3000)
    assert report.read[0].ranges == len(seen) - 1
    assert report.read[0].rows == 3080


def test_a_role_that_may_not_read_is_told_so(database: Callable[..., Database]) -> None:
    db = database(CLEAN)
    db.run("REVOKE SELECT ON people FROM nf_app")
    with pytest.raises(DatabaseRefused, match=r"nf_app may not read everything.*people"):
        run(db, role="app")


def test_a_lookup_and_reference_without_scope_with_uuid_keys_and_a_qualifier_column(
    database: Callable[..., Database], tmp_path: Path
) -> None:
    db = database()
    db.run(
        """CREATE SCHEMA "Air Traffic";
           CREATE TABLE "Air Traffic"."Codes" (
               "FAA Code" uuid PRIMARY KEY DEFAULT gen_random_uuid(), "Text %" text, kind text,
               UNIQUE ("Text %", kind));
           CREATE TABLE "Air Traffic"."Flights" (
               no integer, leg integer, "from" text, kind text, PRIMARY KEY (no, leg));
           INSERT INTO "Air Traffic"."Codes" ("Text %", kind) VALUES ('TXL', 'a'), ('TXL', 'b'), ('O''Hare', 'a');
           INSERT INTO "Air Traffic"."Flights" SELECT g, 1, 'TXL', CASE WHEN g % 2 = 0 THEN 'a' ELSE 'b' END
               FROM generate_series(1, 10) g;
           INSERT INTO "Air Traffic"."Flights" VALUES
               (11, 1, 'O''Hare', 'x'), (11, 2, 'o''hare', 'a'), (12, 1, 'TXL', NULL)"""
    )
    spec = """
        version = 1
        [lookup.code]
        table = '"Air Traffic"."Codes"'
        key = "FAA Code"
        text = "Text %"
        qualifier = "kind"
        [reference.flights]
        table = '"Air Traffic"."Flights"'
        lookup = "code"
        text = "from"
        qualifier = "kind"
        add = "code_id"
    """
    report = run(db, spec, mapping=tmp_path / "m.sqlite")
    assert {(f.code, f.count) for f in report.findings} == {
        ("NF102", 1), ("NF201", 1), ("NF202", 1), ("NF206", 1), ("NF207", 1),
    }  # fmt: skip
    for finding in report.findings:
        assert len(by_hand(db, finding)) == finding.count == len(list(iter_rows(Connector(db.url), finding)))
    [fold] = [e for e in unresolved(tmp_path / "m.sqlite") if e.text == "o'hare"]
    assert fold.suggestion is not None and fold.suggestion.decision == "fold" and fold.scope == ()


def test_the_spec_must_fit(database: Callable[..., Database]) -> None:
    db = database(CLEAN)
    db.run("ALTER TABLE tags ADD keyword_id integer")
    with pytest.raises(SpecError, match="keyword_id exists already"):
        run(db)


def test_a_lost_connection_leaves_no_mapping(database: Callable[..., Database], tmp_path: Path) -> None:
    db, file = database(CLEAN), tmp_path / "m.sqlite"
    file.write_text("the previous one")

    def sink(event: Event) -> None:
        if event.name == "audit/tags" and event.done == 0:
            db.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'normalform/%'",
                "admin",
            )

    with pytest.raises(psycopg.OperationalError):
        run(db, mapping=file, sink=sink)
    assert file.read_text() == "the previous one"
    assert list(tmp_path.iterdir()) == [file]
