"""Templates of PhotoCat's sample data at the legacy revision: as it comes, and with every decision applied."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from fix_servers import template
from normalform import api
from normalform.demo import decide
from photocat.sample import FOLDER, seed

#: The data file has 1,080,986; more than a few are for `make test-runbook`.
ROWS = int(os.environ.get("PHOTOCAT_SAMPLE_ROWS") or 400)


def options(url: str) -> api.Options:
    return api.Options(url, (FOLDER / "normalform.toml").read_text("utf-8"))


def build(url: str) -> None:
    seed(url, rows=ROWS)


def build_decided(url: str) -> None:
    build(url)
    with TemporaryDirectory() as folder:
        mapping, file = Path(folder) / "mapping.sqlite", Path(folder) / "decisions.csv"
        api.audit(options(url), mapping=mapping)
        api.resolve_export(options(url), mapping, file)
        decide.fill(file)
        api.resolve_apply(options(url), file)


DATA = template("photocat-data", build)
DECIDED = template("photocat-decided", build_decided)
