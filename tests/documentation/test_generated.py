"""The made pages of the reference are what the program says now. ``make docs`` writes them anew."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from importlib import resources

import pytest

from documentation.generated import GENERATED
from documentation.pages import DOCS
from documentation.running import stage_template
from fix_servers import Cluster, Database
from normalform import api, errors
from normalform.api import Options

LEGACY = resources.files("normalform").joinpath("demo")
WRITE = bool(os.environ.get("NORMALFORM_WRITE_DOCS"))


@pytest.mark.parametrize("page", GENERATED)
def test_a_made_page_is_what_the_program_says(database: Callable[..., Database], page: str) -> None:
    db = database("legacy", LEGACY.joinpath("legacy.sql").read_text("utf-8"))
    made = GENERATED[page](api.plan(Options(db.url, LEGACY.joinpath("normalform.toml").read_text("utf-8"))))
    path = DOCS / "reference" / page
    if WRITE:
        path.write_text(made, "utf-8")
    assert path.read_text("utf-8") == made, "make docs"


def test_every_exit_status_is_documented() -> None:
    text = (DOCS / "reference" / "commands.md").read_text("utf-8")
    documented = {int(n) for n in re.findall(r"^\| (\d+) \| ", text, re.MULTILINE)}
    kinds = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.NormalformError)]
    assert documented == {0, 70, 141, *(kind.exit_status for kind in kinds)}


@pytest.mark.slow
def test_every_table_and_column_of_the_ledger_is_documented(pg: Cluster) -> None:
    db = pg.create(stage_template("resolve"))
    text = (DOCS / "reference" / "ledger.md").read_text("utf-8")
    for table, column in db.rows(
        "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 "
        "WHERE c.relnamespace = 'normalform'::regnamespace AND c.relkind = 'r'"
    ):
        section = text.partition(f"## normalform.{table}\n")[2].partition("\n## ")[0]
        assert f"| `{column}` |" in section, f"{table}.{column}"
