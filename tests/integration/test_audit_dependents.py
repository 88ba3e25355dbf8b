"""Everything that depends on a text is found on real servers, and nothing that depends on another table's column."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from audit_cases import SCHEMA, SPEC
from dependent_cases import DECOYS, DEPENDENTS, Dependent
from fix_servers import Database, template
from normalform import api
from normalform.api import Options
from normalform.core.findings import AuditReport, Finding, gate
from normalform.core.names import QName
from normalform.core.spec_file import parse
from normalform.db.connect import Connector
from normalform.phases.audit import audit, iter_rows
from normalform.sql.dependent_findings import blockers
from normalform.sql.quote import render

DECOYED = template("audit_decoys", SCHEMA + DECOYS)
CODES = {f"NF3{n}" for n in range(10, 30)}
#: What the small schema itself has: a unique index on the text of models.
OWN = ("NF310", "models")


def look(db: Database, spec: str = SPEC, role: str = "owner") -> AuditReport:
    return audit(Connector(db.url_of(role)), parse(spec), mapping_path=None)


def dependents(report: AuditReport) -> list[Finding]:
    return [f for f in report.findings if f.code in CODES and (f.code, f.subject) != OWN]


@pytest.fixture
def dependent(
    database: Callable[..., Database], request: pytest.FixtureRequest
) -> Iterator[tuple[Database, Dependent]]:
    case = DEPENDENTS[request.param]
    db = database(DECOYED)
    db.run(case.script, case.role)
    yield db, case
    if case.undo:
        db.run(case.undo, "admin")


def test_a_table_with_columns_of_the_same_names_gives_nothing(database: Callable[..., Database]) -> None:
    report = look(database(DECOYED))
    assert {(f.code, f.subject) for f in report.findings} == {OWN}


@pytest.mark.parametrize("dependent", DEPENDENTS, indirect=True)
def test_each_dependent_is_found_alone(dependent: tuple[Database, Dependent]) -> None:
    db, case = dependent
    report = look(db)
    found = {(f.code, f.subject): f for f in dependents(report)}
    shown = {key: [str(row) for row in f.sample] for key, f in found.items()}
    assert {key: (f.severity.value, f.before) for key, f in found.items()} == {
        key: (severity, before) for key, (severity, before, _) in case.finds.items()
    }, shown
    assert {f.code for f in report.findings} - CODES == case.also
    for key, finding in found.items():
        parts = case.finds[key][2]
        rows = [str(row) for row in finding.sample]
        assert all(any(part in row for row in rows) for part in parts), (key, rows)
        streamed = list(iter_rows(Connector(db.url), finding))
        assert len(streamed) == finding.count, (key, finding.sql)
        assert len(db.rows(finding.sql, "owner")) == finding.count
        # Each offender is named: as many as there are parts, unless several parts are of one row.
        assert finding.count == len(rows) and finding.count <= max(len(parts), 2), (key, rows)


@pytest.mark.parametrize("dependent", ["a view", "a function with a string of SQL"], indirect=True)
def test_what_only_contract_minds_does_not_close_the_gate_of_expand(dependent: tuple[Database, Dependent]) -> None:
    db, _ = dependent
    report = look(db)
    assert gate(report) == ()
    assert [f.severity.value for f in gate(report, "contract")] == ["error"]


def test_a_text_that_is_kept_has_no_dependents(database: Callable[..., Database]) -> None:
    db = database(DECOYED)
    db.run(
        "CREATE VIEW seen AS SELECT person_name FROM faces;"
        "CREATE FUNCTION who() RETURNS text LANGUAGE sql AS 'SELECT max(person_name) FROM faces';"
        "CREATE FUNCTION all_of() RETURNS TABLE (a int, b int, c varchar, d varchar) LANGUAGE sql AS "
        "'SELECT * FROM faces'"
    )
    assert [(f.code, f.subject) for f in dependents(look(db))] == [("NF323", "faces")]


def test_what_an_extension_brought_is_not_looked_at(database: Callable[..., Database]) -> None:
    db = database(DECOYED)
    db.run(DEPENDENTS["a function with a string of SQL"].script)
    assert [f.code for f in dependents(look(db))] == ["NF321"]
    db.run("ALTER EXTENSION plpgsql ADD FUNCTION public.words(integer)", "admin")
    assert dependents(look(db)) == []


@pytest.mark.slow
def test_what_is_ours_depends_on_nothing_that_an_audit_would_name(database: Callable[..., Database]) -> None:
    db = database(DECOYED)
    options = Options(db.url, SPEC)
    for until in ("expand", "constrain", "contract"):
        api.run(options, until=until)
        found = {(f.code, f.subject) for f in api.audit(options).findings if f.code in CODES}
        assert found == ({OWN} if until != "contract" else set()), until
    api.rollback(options, "start")
    assert {(f.code, f.subject) for f in look(db).findings} == {OWN}


def test_a_role_with_select_alone_sees_the_same(database: Callable[..., Database]) -> None:
    db = database(DECOYED)
    for name in ("a view", "a procedure that writes", "policies", "an index", "SQL put together at run time"):
        db.run(DEPENDENTS[name].script)
    mine, others = dependents(look(db)), dependents(look(db, role="app"))
    assert [(f.code, f.subject, f.count, f.sample) for f in mine] == [
        (f.code, f.subject, f.count, f.sample) for f in others
    ]
    assert {f.code for f in mine} == {"NF310", "NF312", "NF315", "NF321", "NF322"}


#: What the server itself minds: the codes of what keeps a column from being dropped, and its type from being changed.
DROPS = {"NF312", "NF313", "NF314", "NF315", "NF316", "NF317", "NF318"}
#: Cases of other codes that it minds as well.
INBOUND, STANDARD = "an inbound foreign key", "a function with an SQL-standard body"


@pytest.mark.parametrize("dependent", DEPENDENTS, indirect=True)
def test_the_server_agrees(dependent: tuple[Database, Dependent]) -> None:
    """It refuses to drop the texts, or to widen them, exactly where the audit says that it would."""
    db, case = dependent
    codes = {code for code, subject in case.finds if subject == "tags"}
    name = next(n for n, d in DEPENDENTS.items() if d is case)
    drop = "ALTER TABLE public.tags DROP COLUMN keyword, DROP COLUMN category"
    assert refused(db, drop) == (bool(codes & DROPS) or name in (INBOUND, STANDARD))
    widen = "ALTER TABLE public.tags ALTER keyword TYPE varchar(300), ALTER category TYPE varchar(300)"
    found = len(db.rows(render(blockers(QName("public", "tags"), ["keyword", "category"]))))
    assert refused(db, widen) == (found > 0) == (bool(codes & DROPS) or name == STANDARD)


def refused(db: Database, statement: str) -> bool:
    with db.connect("owner") as conn, conn.transaction(force_rollback=True):
        try:
            conn.execute(statement.encode())
        except (psycopg.errors.DependentObjectsStillExist, psycopg.errors.FeatureNotSupported):
            return True
    return False
