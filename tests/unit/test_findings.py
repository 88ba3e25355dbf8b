"""Findings: the registry is whole and documented, the gate is the errors, masking hides values."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from normalform.core.finding_codes import CODES, page
from normalform.core.finding_reasons import WHY
from normalform.core.findings import (
    FAIL_ON,
    MASKED,
    AuditReport,
    FailOn,
    Finding,
    ReferenceRead,
    Severity,
    Unchecked,
    fails,
    gate,
    in_order,
    mask,
    reasons,
)
from normalform.core.mapping import How, Tally, unresolved_total

ROOT = Path(__file__).resolve().parents[2]


def finding(code: str, severity: Severity, subject: str = "tags") -> Finding:
    return Finding(code, CODES[code].slug, severity, f"title of {code}", subject, 3, "rows", "decide", "SELECT 1")


def report(*findings: Finding) -> AuditReport:
    read = (ReferenceRead("tags", "tags", "keyword", True, 10, 0, 5, 1, 0.5),)
    return AuditReport("db", "me", 180000, False, read, (Tally("tags", How.EXACT, 5, 10),), in_order(findings),
                       (Unchecked("server", "NF307", "permission denied"),))  # fmt: skip


def test_the_reference_page_is_the_registry() -> None:
    assert (ROOT / "docs/reference/findings.md").read_text("utf-8") == page()


def test_codes_and_slugs_are_well_formed_and_each_stands_once() -> None:
    slugs = [c.slug for c in CODES.values()]
    assert len(set(slugs)) == len(slugs)
    assert list(CODES) == sorted(CODES)
    for code in CODES.values():
        assert re.fullmatch(r"NF[1-4]\d\d", code.code)
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code.slug)
        assert code.means.endswith((".", ")")) and not code.remedy.endswith(".")


def test_every_finding_says_why_it_matters() -> None:
    assert list(WHY) == list(CODES), "core/finding_reasons.py says it, in the order of the codes"
    assert all(why.endswith(".") for why in WHY.values())


def test_errors_close_the_gate_and_nothing_else_does() -> None:
    error, warning = finding("NF201", Severity.ERROR), finding("NF205", Severity.WARNING)
    assert gate(report(warning, finding("NF210", Severity.INFO))) == ()
    assert gate(report(warning, error)) == (error,)
    assert reasons(report(warning, error)) == ["NF201 tags: title of NF201"]


@pytest.mark.parametrize(
    ("severity", "failing"),
    [(Severity.ERROR, ("error", "warning")), (Severity.WARNING, ("warning",)), (Severity.INFO, ())],
)
def test_an_audit_fails_on_what_it_is_told_to(severity: Severity, failing: tuple[FailOn, ...]) -> None:
    made = report(finding("NF205", severity), finding("NF210", Severity.INFO))
    assert tuple(level for level in FAIL_ON if fails(made, level)) == failing
    assert fails(made) == (severity is Severity.ERROR)
    assert not any(fails(report(), level) for level in FAIL_ON)


def test_what_contract_minds_closes_contract_s_gate_alone() -> None:
    view = replace(finding("NF312", Severity.ERROR), before="contract")
    orphan, breaks = finding("NF201", Severity.ERROR), replace(finding("NF326", Severity.WARNING), before="expand")
    made = report(view, orphan, breaks)
    assert gate(made) == gate(made, "constrain") == (orphan,)
    assert gate(made, "contract") == (orphan, view)
    assert reasons(made, "contract") == ["NF201 tags: title of NF201", "NF312 tags: title of NF312"]
    assert [view.closes, orphan.closes, breaks.closes] == ["contract", "expand", None]
    assert in_order([view, orphan, breaks]) == (orphan, view, breaks)
    assert [f["before"] for f in made.to_json()["findings"]] == [None, "contract", "expand"]
    assert [fails(report(view), on) for on in FAIL_ON] == [False, True, False]


def test_findings_are_read_errors_first() -> None:
    given = [finding("NF210", Severity.INFO), finding("NF205", Severity.WARNING), finding("NF202", Severity.ERROR, "b"),
             finding("NF202", Severity.ERROR, "a"), finding("NF101", Severity.ERROR, "z")]  # fmt: skip
    assert [(f.code, f.subject) for f in in_order(given)] == [
        ("NF101", "z"), ("NF202", "a"), ("NF202", "b"), ("NF205", "tags"), ("NF210", "tags"),
    ]  # fmt: skip


def test_a_report_is_found_in_and_written_as_json() -> None:
    made = report(finding("NF201", Severity.ERROR))
    assert made.find("NF201", "tags") is made.findings[0]
    assert made.find("NF201", "other") is None and made.find("NF202") is None
    data = json.loads(json.dumps(made.to_json()))
    assert data["findings"][0]["code"] == "NF201"
    assert data["references"][0]["rows"] == 10
    assert data["unchecked"] == [{"subject": "server", "what": "NF307", "why": "permission denied"}]


def test_masking_hides_all_but_the_named_columns_and_null() -> None:
    assert mask([{"id": 1, "text": "secret", "rows": 4, "q": None}], ["rows"]) == (
        {"id": MASKED, "text": MASKED, "rows": 4, "q": None},
    )


def test_unresolved_values_are_ambiguous_ones_and_orphans() -> None:
    tallies = [Tally("tags", how, 1, 10) for how in How] + [Tally("other", How.ORPHAN, 7, 7)]
    assert unresolved_total(tallies, "tags") == (2, 20)
    assert {how for how in How if not how.resolved} == {How.AMBIGUOUS, How.ORPHAN}
