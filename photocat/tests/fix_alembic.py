"""Alembic's command line on PhotoCat's revisions, as its user runs it: in this process, with a log of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from alembic.config import main

from fix_servers import Database
from photocat.sample import FOLDER
from photocat.settings import TagColumns


@dataclass(frozen=True)
class Ended:
    """How a command ended (0 done, else 1), what it printed, and what it added to the log."""

    status: int
    printed: str
    log: str


class Alembic:
    """Runs commands of Alembic: ``alembic(db, "upgrade", "head")``."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self.log, self.capsys, self.patch = folder / "alembic.log", capsys, patch

    def __call__(
        self, db: Database, *arguments: str, tag_columns: TagColumns = "text", url: str | None = None
    ) -> Ended:
        """Run one command to its end."""
        with self.patch.context() as patch:
            patch.setenv("PHOTOCAT_DATABASE_URL", url or db.url)
            patch.setenv("PHOTOCAT_TAG_COLUMNS", tag_columns)
            patch.setenv("PHOTOCAT_ALEMBIC_LOG", str(self.log))
            before = self.log.stat().st_size if self.log.exists() else 0
            self.capsys.readouterr()
            status = 0
            try:
                main(["-c", str(FOLDER / "alembic.ini"), *arguments])
            except SystemExit as ended:
                status = 0 if ended.code in (None, 0) else 1
            printed = "".join(self.capsys.readouterr())
        with self.log.open(encoding="utf-8") as log:
            log.seek(before)
            return Ended(status, printed, log.read())


def revision_of(db: Database) -> list[str]:
    """The revisions that the database says it is at."""
    return [str(revision) for (revision,) in db.rows("SELECT version_num FROM alembic_version")]


@pytest.fixture
def alembic(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Alembic:
    """Run commands of Alembic on a database: ``alembic(db, "upgrade", "head").log``."""
    return Alembic(tmp_path, capsys, monkeypatch)
