"""The demo's operator: fills the exported decision file in by fixed rules, which show every decision of the runbook.

==================================================== ==========================================================
line                                                 decision
==================================================== ==========================================================
a suggestion to fold, merge, split or keep           as suggested
a tenant that does not exist                         drop; null where the key may be absent
`lyra` (bcg's 16), keywords too long for the lookup  create, with tenant and category (runbook 2a)
`family` (bcg's 1), `quasar`, `yurt`                 drop, within their tenant (runbook 2b)
another unknown keyword                              create
a keyword that several categories have               choose the first candidate
`sunset` in category Travel                          rename to `sunset_travel` (runbook 1.2, option A)
an unknown person                                    null: the face stays without a person
an alias of two people                               choose the first
==================================================== ==========================================================
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..core.decision_file import Line, read, suggested, write

AS_SUGGESTED = ("fold", "merge", "split", "keep")
DROPPED = ("family", "quasar", "yurt")
NOTE = "demo"


def fill(path: Path) -> None:
    """Fill in the decision, target and note of every line, in place; lines about lookup rows stay open but one."""
    lines, problems = read(path.read_text("utf-8"))
    assert not problems, problems
    path.write_text(write([decide(line) for line in lines]), "utf-8")


def decide(line: Line) -> Line:
    """Return the line with its decision, or as it was when there is nothing to decide."""
    decision, target = _decision(line)
    return replace(line, decision=decision, target=target, note=NOTE) if decision else line


def _decision(line: Line) -> tuple[str, str]:
    if line.reference.startswith("lookup."):
        if line.text == "sunset" and line.qualifier == "Travel" and line.scope == ("demo",):
            return "rename", "sunset_travel"
        return "", ""
    if line.reference == "faces":
        return ("choose", line.candidates[0].key) if len(line.candidates) > 1 else ("null", "")
    suggestion = suggested(line)
    word = suggestion.decision if suggestion is not None else ""
    if word in AS_SUGGESTED:
        return word, (suggestion.target or "") if suggestion is not None else ""
    if word == "drop" or line.text in DROPPED:
        return "drop", ""
    if len(line.candidates) > 1:
        return "choose", line.candidates[0].key
    return "create", ""
