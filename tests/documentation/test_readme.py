"""The README's commands: those of make exist and are run, those of Normalform are run here, and so is the demo."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import normalform
from documentation.pages import ROOT, Block, Page, read
from documentation.running import Reader, stage_template
from fix_servers import Clusters, versions

SHELL = [b for b in read(ROOT / "README.md").blocks if b.language == "sh"]
LINES = [line.partition("#")[0].strip() for b in SHELL for line in b.text.splitlines() if line.strip()]
MAKE = [line.removeprefix("make ") for line in LINES if line.startswith("make ")]
OURS = [line for line in LINES if line.startswith(".venv/bin/normalform ")]


def test_every_line_is_one_that_is_run_somewhere() -> None:
    assert [x for x in LINES if not x.startswith(("make ", ".venv/bin/normalform ", "export NORMALFORM_"))] == []
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    run_by_ci = set(re.findall(r"make ([a-z-]+)", (ROOT / ".ci/run").read_text("utf-8")))
    assert set(MAKE) <= targets
    assert set(MAKE) - run_by_ci <= {"demo"}, "the demo is run below"
    assert "demo" in MAKE and OURS


@pytest.mark.slow
def test_the_commands_for_ones_own_database(clusters: Clusters, tmp_path: Path) -> None:
    cluster = clusters[max(versions())]
    reader = Reader(cluster.create(stage_template("example")), tmp_path)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "normalform").symlink_to(tmp_path / ".programs" / "normalform")
    if any(" init" in line for line in OURS):
        (tmp_path / "normalform.toml").unlink()
    for line in OURS:
        expected = "exit 1" if line.endswith(" audit") else ""  # the example has findings
        reader.follow(Page("README.md", "example", (Block(1, "sh", "run", expected, line),)))
    cluster.drop_all()


@pytest.mark.slow
def test_the_demo(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", "from normalform.cli import main; main()", "demo", "--rows", "1000"],
        env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(Path(normalform.__file__).parents[1])},
        capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    proven = " ".join(ran.stdout.split())
    assert "proven after contract: 1,000 machine tags against the data file: 0 without key, 0 wrong" in proven
    assert "proven rolled back: 11 tables and the schema are equal to before" in proven
    assert "proven forward again: 1,000 machine tags" in proven
