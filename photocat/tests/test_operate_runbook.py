"""The runbook's page is followed from its first command to its last, on servers of our own, as its reader would."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from documentation.pages import DOCS, ROOT, Page, read
from documentation.running import Reader
from normalform.embedded import start
from photocat.operate.control import Application
from photocat.operate.environments import NAMES, NORMALFORM, VERSION, client, open_environment

PAGE = read(DOCS / "how-to" / "runbook.md")
#: What leads elsewhere than to this folder, and what a `make` that runs the tests hands on to its children.
FOREIGN = ("PHOTOCAT_", "DATABASE_URL_", "NORMALFORM_", "PG", "MAKE", "MFLAGS", "REGISTRY")
#: Tags on each server; `make test-runbook` takes all.
ROWS = os.environ.get("PHOTOCAT_SAMPLE_ROWS") or "2000"


class Operator(Reader):
    """Somebody who follows the page at the repository's root.

    Args:
        folder: stands for the root: it has the Makefile, pyproject.toml and photocat, and nothing else.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.printed = folder, ""
        programs = folder / ".venv" / "bin"
        programs.mkdir(parents=True)
        commands = {
            "python": [sys.executable],
            "alembic": [sys.executable, "-m", "alembic"],
            "normalform": list(NORMALFORM),
            "docker": ["false"],  # an engine that does not answer, wherever this runs
        }
        for name, command in commands.items():
            program = programs / name
            program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
            program.chmod(0o755)
        (folder / ".ci").mkdir()
        (folder / ".ci" / "install").write_text("# it is installed already\n")
        for name in ("Makefile", "pyproject.toml", "photocat"):
            (folder / name).symlink_to(ROOT / name)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
        self.operate = folder / ".normalform" / "operate"
        self.environment = {
            **kept, "PATH": os.pathsep.join([str(programs), str(Path(client("psql")).parent), os.environ["PATH"]]),
            "PHOTOCAT_OPERATE_FOLDER": str(self.operate), "PHOTOCAT_ALEMBIC_LOG": str(folder / "alembic.log"),
            "PHOTOCAT_SAMPLE_ROWS": ROWS, "PHOTOCAT_PORT": "0", "COLUMNS": "220", "NO_COLOR": "1", "PAGER": "cat",
            "HOME": str(folder), "PSQLRC": os.devnull,
        }  # fmt: skip

    def follow(self, page: Page) -> None:
        """Do all that the page says, in order."""
        self._follow(page)

    def _url(self, *, as_app: bool) -> str:
        prod = open_environment("prod")
        return prod.app_url if as_app else prod.url


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    """Somebody at a root of their own; whatever they leave running ends."""
    found = Operator(tmp_path)
    monkeypatch.setenv("PHOTOCAT_OPERATE_FOLDER", str(found.operate))
    for name in NAMES:
        monkeypatch.delenv(f"DATABASE_URL_{name.upper()}", raising=False)
    yield found
    for name in NAMES:
        Application(found.operate / name / "app", tmp_path / "log").stop()
        if (found.operate / name).exists():
            start(found.operate / name / "server", version=VERSION).remove()


@pytest.mark.runbook
def test_the_runbook_holds_from_its_first_command_to_its_last(operator: Operator) -> None:
    operator.follow(PAGE)
    log = (operator.folder / "alembic.log").read_text("utf-8")
    for environment in NAMES:
        assert f"environment {environment}" in log
    assert oct((operator.folder / "backups").stat().st_mode & 0o777) == "0o700"


def test_the_page_has_every_step_of_the_runbook_and_every_target() -> None:
    text = (DOCS / "how-to" / "runbook.md").read_text("utf-8")
    headings = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert [h.split(".")[0] for h in headings if h[0].isdigit()] == [str(n) for n in range(1, 14)]
    assert {"Check afterwards", "Monitor", "Roll back"} <= set(headings)
    run = "".join(block.text for block in PAGE.blocks if block.kind == "run")
    for target in (
        "db-backup-prod", "db-reset-dev", "db-migrate-staging", "test-staging", "psql-dev", "psql-prod", "stop-app",
        "start-app", "rolling-restart-app", "deploy-api", "rollback-api",
    ):  # fmt: skip
        assert f"make {target}" in run, target
    for revision in ("202601200800", "202601200900", "202601201000", "202601201100"):
        assert (f"upgrade {revision}" in run and f"alembic downgrade {revision}" in run) or revision.endswith("1100")
