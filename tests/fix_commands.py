"""The command line under test: in this process for speed, in one of its own where signals or pipes matter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from normalform.cli import main

#: Runs the command line as the installed script does.
PROGRAM = "import sys; from normalform.cli import main; main()"


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What stands on standard output, which must be JSON and nothing else."""
        return json.loads(self.out)

    @property
    def all(self) -> str:
        """Everything that it said."""
        return self.out + self.err


class Commands:
    """Runs commands with one working folder and environment.

    Args:
        folder: the working folder.
        environment: the variables set; NORMALFORM_DATABASE_URL is never inherited.
    """

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self.folder, self.capsys, self.patch = folder, capsys, patch
        patch.chdir(folder)
        patch.delenv("NORMALFORM_DATABASE_URL", raising=False)
        patch.setenv("COLUMNS", "200")
        patch.setenv("NO_COLOR", "1")

    def __call__(self, *arguments: str | Path, **environment: str) -> Ran:
        """Run one command to its end, in this process."""
        with self.patch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            self.capsys.readouterr()
            with pytest.raises(SystemExit) as ended:
                main([str(a) for a in arguments])
            out, err = self.capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return Ran(code, out, err)

    def write(self, name: str, text: str) -> Path:
        """Write a file into the working folder."""
        path = self.folder / name
        path.write_text(text, "utf-8")
        return path

    @contextmanager
    def start(
        self, *arguments: str | Path, program: str = PROGRAM, **environment: str
    ) -> Iterator[subprocess.Popen[str]]:
        """Start a command in a process of its own; killed in the end if it still runs."""
        process = subprocess.Popen(
            [sys.executable, "-c", program, *map(str, arguments)],
            cwd=self.folder,
            env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()


def finish(process: subprocess.Popen[str], timeout: float = 120) -> Ran:
    """Wait for a started command."""
    out, err = process.communicate(timeout=timeout)
    return Ran(process.returncode, out, err)


@pytest.fixture
def normalform(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Run commands: ``normalform("--json", "status", NORMALFORM_DATABASE_URL=db.url)``."""
    return Commands(tmp_path, capsys, monkeypatch)
