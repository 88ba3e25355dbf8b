"""Duplicates in a lookup: where an index proves that there are none, or few may be, the audit finds the same rows."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from audit_cases import SCHEMA, SPEC
from fix_servers import Database, template
from normalform.core.bind import bind
from normalform.core.findings import Finding
from normalform.core.model import Model, tables_of
from normalform.core.spec_file import parse
from normalform.db.connect import Connector
from normalform.db.inspect import inspect
from normalform.phases.audit import audit
from normalform.sql import lookup_findings

PLAIN = template("audit_duplicates", SCHEMA)
ONCE = """
CREATE UNIQUE INDEX keywords_once ON public.keywords (category_id, keyword);
CREATE UNIQUE INDEX people_once ON public.people (tenant_id, name);
"""
EQUAL_PATHS = """
INSERT INTO public.categories (id, tenant_id, name) VALUES
    (10, 't', 'travel'), (11, 'u', 'travel'), (12, 't', 'nature');
INSERT INTO public.keywords (category_id, keyword) VALUES (10, 'bridge'), (10, 'ferry'), (11, 'bridge'), (12, 'SEA');
"""
#: Two categories under each other: neither has a path, and the two rows have no qualifier that tells them apart.
NO_PATH = """
INSERT INTO public.categories (id, tenant_id, name, parent_id) VALUES (20, 't', 'a', 21), (21, 't', 'b', 20);
INSERT INTO public.keywords (category_id, keyword) VALUES (20, 'loop'), (21, 'loop');
"""


def duplicates(db: Database) -> list[Finding]:
    report = audit(Connector(db.url_of("owner")), parse(SPEC), mapping_path=None)
    assert not [u for u in report.unchecked if u.what == "NF101"]
    return [f for f in report.findings if f.code == "NF101"]


def model(db: Database) -> Model:
    spec = parse(SPEC)
    with Connector(db.url).open() as conn:
        return bind(spec, inspect(conn, tables_of(spec)), {})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "count"), [("SELECT 1", 0), (EQUAL_PATHS, 2), (NO_PATH, 2), (EQUAL_PATHS + NO_PATH, 4)]
)
def test_an_index_changes_nothing_of_what_is_found(database: Callable[..., Database], script: str, count: int) -> None:
    bare, kept = database(PLAIN), database(PLAIN)
    for db in (bare, kept):
        db.run(script)
    kept.run(ONCE)
    found = duplicates(bare), duplicates(kept)
    assert [sum(f.count for f in each) for each in found] == [count, count]
    assert [f.sample for f in found[0]] == [f.sample for f in found[1]]
    assert [f.sql for f in found[0]] == [f.sql for f in found[1]]
    assert all(len(kept.rows(f.sql)) == f.count for f in found[1])


def test_nothing_is_asked_where_an_index_proves_it(
    database: Callable[..., Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object, **__: object) -> None:
        raise AssertionError("the whole lookup is grouped once more")

    db = database(PLAIN)
    db.run(ONCE)
    monkeypatch.setattr(lookup_findings, "_duplicates", asked)
    assert duplicates(db) == []


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("SELECT 1", {"keyword": False, "person": False}),
        (ONCE, {"keyword": True, "person": True}),
        ("CREATE UNIQUE INDEX ON public.people (name)", {"keyword": False, "person": True}),
        ("CREATE UNIQUE INDEX ON public.people (tenant_id, name, id)", {"keyword": False, "person": False}),
        ("CREATE UNIQUE INDEX ON public.people (tenant_id, lower(name))", {"keyword": False, "person": False}),
        ("CREATE UNIQUE INDEX ON public.people (tenant_id, name) WHERE id > 1", {"keyword": False, "person": False}),
        ("CREATE INDEX ON public.people (tenant_id, name)", {"keyword": False, "person": False}),
        # A type of which different values are equal: what equal means to the index need not be what it means to us.
        (f"ALTER TABLE public.people ALTER name TYPE char(100); {ONCE}", {"keyword": True, "person": False}),
    ],
)
def test_which_indexes_keep_rows_apart(
    database: Callable[..., Database], script: str, expected: dict[str, bool]
) -> None:
    db = database(PLAIN)
    db.run(script)
    assert {x.name: lookup_findings.kept_apart(x) for x in model(db).lookups} == expected
