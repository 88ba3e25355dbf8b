"""The documentation as data: pages, and the fenced blocks in them with what is to become of each.

A block is marked by a comment on the line above its fence, which readers of the page do not see:

``<!-- run -->``            run it: sh by bash, sql by psql as the operator; ``run: as app`` as the application's role;
                            ``run: exit 1`` expects that status
``<!-- file: NAME -->``     save it under that name in the working folder
``<!-- prints -->``         what the block before has printed contains each line; … stands for anything
``<!-- elsewhere: PATH -->``  the test at that path runs it, for a reason of its own
``<!-- database: STAGE -->``  once, at the top: which stage of the example the page begins with; `APART` has others
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
#: Languages of commands: a block of one of these that nobody runs is a failure.
#: Pages with statements for a stage each (``run: old, …``), which a test of their own runs at every stage they name.
OWN = {"docs/how-to/upserts.md": "tests/acceptance/test_upserts.py"}
#: Stages that are no stage of the example: a test of their own follows these pages.
APART = {"photocat": "photocat/tests/test_operate_runbook.py"}
COMMANDS = ("sh", "shell", "bash", "console", "sql", "psql", "python")
_MARK = re.compile(r"<!-- (run|file|prints|elsewhere|database)(?:: (.*?))? -->")
_FENCE = re.compile(r"```(\w*)\s*")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Args:
        line: where its text begins, counted from 1.
        language: of the fence; may be empty.
        kind: of the mark: run, file, prints, elsewhere, or empty where there is none.
        argument: of the mark.
        text: what stands in it.
    """

    line: int
    language: str
    kind: str
    argument: str
    text: str


@dataclass(frozen=True)
class Page:
    """A page of the documentation: its path below the root, the stage that it begins with, and its blocks."""

    path: str
    stage: str
    blocks: tuple[Block, ...]

    @property
    def runs(self) -> bool:
        """Whether anything on it is to be run."""
        return any(b.kind == "run" for b in self.blocks)


def read(path: Path) -> Page:
    """Read a page.

    Raises:
        ValueError: a mark without a block, a fence that never ends, or a conflict of a merge.
    """
    lines = path.read_text("utf-8").splitlines()
    name = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name
    stage, blocks = "", []
    mark: tuple[str, str] | None = None
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if line.startswith(("<<<<<<< ", ">>>>>>> ")):
            raise ValueError(f"{name}:{number}: a merge that nobody has finished")
        found = _MARK.fullmatch(line.strip())
        if found and found[1] == "database":
            stage = found[2]
            continue
        if found:
            mark = (found[1], found[2] or "")
            if name in OWN and re.match(r"(old|new), ", mark[1]):
                mark = ("elsewhere", OWN[name])
            continue
        fence = _FENCE.fullmatch(line)
        if fence is None:
            if mark is not None:
                raise ValueError(f"{name}:{number}: a mark belongs on the line above a block")
            continue
        end = next((n for n in range(number, len(lines)) if lines[n].rstrip() == "```"), None)
        if end is None:
            raise ValueError(f"{name}:{number}: the block never ends")
        kind, argument = mark or ("", "")
        text = "\n".join([*lines[number:end], ""])
        blocks.append(Block(number + 1, fence[1], kind, argument, text))
        number, mark = end + 1, None
    return Page(name, stage, tuple(blocks))


def pages() -> Iterator[Page]:
    """Return every page below docs."""
    for path in sorted(DOCS.rglob("*.md")):
        yield read(path)


def escaped(page: Page) -> list[str]:
    """Return the blocks of commands that nobody runs, and those whose test does not exist."""
    wrong = []
    for block in page.blocks:
        where = f"{page.path}:{block.line}"
        if block.language in COMMANDS and block.kind not in ("run", "elsewhere", "file"):
            wrong.append(f"{where}: a block of {block.language} that no test runs; mark it `<!-- run -->`")
        if block.argument.startswith("exit ") and block.language != "sql" and block.text.count("\n") > 1:
            wrong.append(f"{where}: a block that is to fail has one line: what comes after would not be run")
        if block.kind == "elsewhere" and not (ROOT / block.argument).is_file():
            wrong.append(f"{where}: {block.argument} does not exist")
    if page.stage in APART and not (ROOT / APART[page.stage]).is_file():
        wrong.append(f"{page.path}: {APART[page.stage]} does not exist")
    if page.runs and not page.stage:
        wrong.append(f"{page.path}: `<!-- database: STAGE -->` is missing")
    return wrong
