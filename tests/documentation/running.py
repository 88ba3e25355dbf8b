"""Runs a page of the documentation as its reader would: in a folder, in order, with the programs on the path."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

import normalform
from documentation.pages import DOCS, Block, Page
from documentation.preloaded import installed
from fix_servers import Database, template
from normalform import api
from normalform.api import Options

EXAMPLE = DOCS / "example"
SPEC = (EXAMPLE / "normalform.toml").read_text("utf-8")
#: Where a page may begin: nothing done yet, or everything up to a phase.
STAGES = ("example", "resolve", "expand", "backfill", "verify", "constrain", "contract")


def _build(url: str, stage: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute((EXAMPLE / "photos.sql").read_bytes())
    if stage != "example":
        api.resolve_apply(Options(url, SPEC), EXAMPLE / "decisions.csv")
        api.run(Options(url, SPEC), until=stage)


def stage_template(stage: str) -> str:
    """Return the name of the template of the example at a stage."""
    return template(f"documentation-{stage}", _BUILDS[stage])


_BUILDS = {stage: partial(_build, stage=stage) for stage in STAGES}


class Reader:
    """Somebody who follows a page.

    Args:
        db: the database that the page begins with.
        folder: the working folder; it has the example's files.
    """

    def __init__(self, db: Database, folder: Path) -> None:
        self.db, self.folder = db, folder
        self.printed = ""
        self.programs = folder / ".programs"
        self.programs.mkdir()
        alembic = self.programs / "alembic"
        alembic.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-m", "alembic"])} "$@"\n')
        alembic.chmod(0o755)
        for file in EXAMPLE.iterdir():
            shutil.copy(file, folder)
        self.environment = {
            **os.environ, "NORMALFORM_DATABASE_URL": db.url, "COLUMNS": "220", "NO_COLOR": "1", "PAGER": "cat",
            "HOME": str(folder), "PSQLRC": os.devnull, "PYTHONPATH": str(Path(normalform.__file__).parents[1]),
            "PATH": os.pathsep.join([str(self.programs), str(db.server.bin_dir), os.environ["PATH"]]),
        }  # fmt: skip

    def follow(self, page: Page) -> None:
        """Do all that the page says, in order; the first thing that does not go as it says is a failure."""
        with TemporaryDirectory(prefix="nf-") as short, installed(self.programs / "normalform", Path(short) / "s"):
            self._follow(page)

    def _follow(self, page: Page) -> None:
        for block in page.blocks:
            where = f"{page.path}:{block.line}"
            if block.kind == "file":
                (self.folder / block.argument).write_text(block.text, "utf-8")
            elif block.kind == "run":
                self._run(block, where)
            elif block.kind == "prints":
                missing = [line for line in block.text.splitlines() if not _within(line, self.printed)]
                if missing:
                    pytest.fail(f"{where}: not printed: {missing}\nbut this was:\n{self.printed}", pytrace=False)

    def _url(self, *, as_app: bool) -> str:
        """The database that blocks of SQL are for."""
        return self.db.app_url if as_app else self.db.url

    def _run(self, block: Block, where: str) -> None:
        expected = int(block.argument.removeprefix("exit ")) if block.argument.startswith("exit ") else 0
        source: str | None = block.text
        if block.language == "python":
            command = [sys.executable, "-"]
        elif block.language in ("sql", "psql"):
            command = ["psql", "-X", "-v", "ON_ERROR_STOP=1", self._url(as_app=block.argument == "as app")]
        else:
            # Not by standard input, which the block's own commands may read.
            command, source = ["bash", "-euo", "pipefail", "-c", block.text], ""
        ran = subprocess.run(
            command, input=source, cwd=self.folder, env=self.environment, text=True, check=False, timeout=300,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.printed = ran.stdout
        if ran.returncode != expected:
            said = f"{where}: exit status {ran.returncode}, not {expected}\n{block.text}\n{ran.stdout}"
            pytest.fail(said, pytrace=False)


def _within(line: str, printed: str) -> bool:
    """Whether a line was printed, white space and line breaks apart; … stands for anything."""
    parts = [re.escape(p) for p in re.split(r"\s*…\s*", " ".join(line.split())) if p]
    return re.search(".*?".join(parts), " ".join(printed.split())) is not None
