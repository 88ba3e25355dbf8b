"""All that `plan --sql` prints passes squawk, or has its reason beside it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

import mini
from fix_servers import Database, template
from normalform import api
from normalform.cli.show import sql_of
from normalform.core.squawk import exemptions, marked
from second import airport, museum

Make = Callable[..., Database]
SQUAWK = Path(sys.executable).with_name("squawk")
DEMO = resources.files("normalform").joinpath("demo")
#: Databases, each as a template and its spec.
SCHEMAS = {
    "mini": (template("squawk-mini", mini.SCHEMA + mini.DATA), mini.SPEC_TEXT),
    "demo": (
        template("squawk-demo", DEMO.joinpath("legacy.sql").read_text("utf-8")),
        DEMO.joinpath("normalform.toml").read_text("utf-8"),
    ),
    "museum": (museum.TEMPLATE, museum.SPEC),
    "airport": (airport.TEMPLATE, airport.SPEC),
}


def squawk(path: Path, text: str) -> list[tuple[str, str]]:
    """Run squawk on a script; returns (rule, the line that it is about) for each warning."""
    path.write_text(text, "utf-8")
    ran = subprocess.run(
        [SQUAWK, "--pg-version", "15", "--reporter", "json", path], capture_output=True, text=True, check=False
    )
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    lines = text.splitlines()
    return [(w["rule_name"], lines[w["line"]]) for w in found]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_whole_plan_passes(database: Make, tmp_path: Path, schema: str) -> None:
    name, spec = SCHEMAS[schema]
    db = database(name)
    text = "\n".join(sql_of(step) for step in api.plan(api.Options(db.url, spec)))
    assert squawk(tmp_path / "plan.sql", text) == []
    # Without the marks it says exactly what has a reason, and every reason is one that it asks for.
    unmarked = "\n".join(line for line in text.splitlines() if not line.startswith("-- squawk-ignore"))
    said = squawk(tmp_path / "unmarked.sql", unmarked)
    answered = [(e.rule, line) for line in unmarked.splitlines() for e in exemptions(line)]
    assert len(said) > 20 and sorted(set(said)) == sorted(set(answered))


def test_a_hazard_for_locks_is_never_passed_over(tmp_path: Path) -> None:
    hazards = """
CREATE INDEX ix ON public.tags (keyword_id);
ALTER TABLE public.tags ADD CONSTRAINT fk FOREIGN KEY (keyword_id) REFERENCES public.keywords (id);
ALTER TABLE public.tags ALTER COLUMN keyword_id SET NOT NULL;
ALTER TABLE public.tags ALTER COLUMN keyword TYPE text;
"""
    rules = {rule for rule, _ in squawk(tmp_path / "hazards.sql", "\n".join(map(marked, hazards.splitlines())))}
    assert {
        "require-concurrent-index-creation", "adding-foreign-key-constraint", "adding-not-nullable-field",
        "changing-column-type", "require-lock-timeout", "require-statement-timeout",
    } <= rules  # fmt: skip
