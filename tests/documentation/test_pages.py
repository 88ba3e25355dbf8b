"""Every command in the documentation is run, page by page, in order, against a database as the page says it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from compare import dump_schema
from documentation.pages import APART, DOCS, ROOT, Block, Page, escaped, pages, read
from documentation.running import STAGES, Reader, stage_template
from fix_servers import Cluster, Clusters, versions

PAGES = {page.path: page for page in pages()}
RUN = [path for path, page in PAGES.items() if page.runs and page.stage not in APART]


@pytest.fixture
def newest(clusters: Clusters) -> Iterator[Cluster]:
    """The newest server under test: what the pages say is about no version."""
    cluster = clusters[max(versions())]
    yield cluster
    cluster.drop_all()


@pytest.mark.slow
@pytest.mark.parametrize("path", RUN)
def test_the_page_holds(newest: Cluster, tmp_path: Path, path: str) -> None:
    page = PAGES[path]
    assert page.stage in STAGES, f"a page begins with one of {', '.join(STAGES)}"
    Reader(newest.create(stage_template(page.stage)), tmp_path).follow(page)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["resolve", "expand", "backfill", "constrain"])
def test_nothing_is_left_after_the_removal_by_hand(newest: Cluster, tmp_path: Path, stage: str) -> None:
    page = read(DOCS / "what-it-does.md")
    heading = (DOCS / "what-it-does.md").read_text("utf-8").partition("## How to remove it by hand")[0].count("\n")
    by_hand = [b for b in page.blocks if b.line > heading and b.language == "sql"]
    db = newest.create(stage_template(stage))
    if stage == "resolve":
        by_hand = [b for b in by_hand if not b.text.startswith("ALTER TABLE tags DROP COLUMN")]
    rows = "SELECT (SELECT count(*) FROM tags), (SELECT count(*) FROM models), (SELECT count(*) FROM faces)"
    before = db.rows(rows)
    Reader(db, tmp_path).follow(replace(page, blocks=tuple(by_hand)))
    assert dump_schema(db) == dump_schema(newest.create(stage_template("example")))
    assert db.rows(rows) == before


def test_no_command_escapes() -> None:
    assert [line for page in PAGES.values() for line in escaped(page)] == []
    assert len(RUN) > 10


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("```sh\nls\n```\n", "no test runs"),
        ("<!-- elsewhere: tests/nowhere.py -->\n```sh\nls\n```\n", "does not exist"),
        ("<!-- run -->\n```sh\nls\n```\n", "database: STAGE"),
        ("<!-- database: example -->\n<!-- run: exit 1 -->\n```sh\nfalse\nls\n```\n", "would not be run"),
    ],
)
def test_what_escapes_is_found(tmp_path: Path, text: str, found: str) -> None:
    path = tmp_path / "planted.md"
    path.write_text(text, "utf-8")
    [line] = escaped(read(path))
    assert found in line


@pytest.mark.slow
def test_a_page_that_does_not_hold_fails(newest: Cluster, tmp_path: Path) -> None:
    reader = Reader(newest.create(stage_template("example")), tmp_path)
    reader.follow(_page("run", "sh", "echo one  two; normalform --help"))
    reader.follow(_page("prints", "", "one two\nUsage: … COMMAND"))
    for kind, language, text in (("prints", "", "three"), ("run", "sh", "false"), ("run", "sql", "SELECT nothing")):
        with pytest.raises(pytest.fail.Exception):
            reader.follow(_page(kind, language, text))


def _page(kind: str, language: str, text: str) -> Page:
    return Page("planted.md", "example", (Block(1, language, kind, "", text),))


def test_the_tutorial_writes_the_examples_files() -> None:
    written = {b.argument: b.text for b in PAGES["docs/tutorial.md"].blocks if b.kind == "file"}
    assert written == {name: (DOCS / "example" / name).read_text("utf-8") for name in written}
    assert len(written) == 2


def test_every_link_leads_somewhere() -> None:
    broken = []
    for path in [*DOCS.rglob("*.md"), ROOT / "README.md"]:
        for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
            file, _, anchor = target.partition("#")
            if "://" in target:
                continue
            found = (path.parent / file).resolve() if file else path
            if not found.exists():
                broken.append(f"{path.relative_to(ROOT)}: {target}")
            elif anchor and anchor not in _anchors(found):
                broken.append(f"{path.relative_to(ROOT)}: {target}, which has no such heading")
    assert broken == []


def _anchors(path: Path) -> set[str]:
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_reached_from_the_index() -> None:
    reached, todo = set(), [DOCS / "index.md"]
    while todo:
        path = todo.pop()
        if path in reached:
            continue
        reached.add(path)
        links = re.findall(r"\]\(([^)\s#]+\.md)", path.read_text("utf-8"))
        todo += [p for link in links if (p := (path.parent / link).resolve()).is_relative_to(DOCS) and p.exists()]
    assert {str(p.relative_to(DOCS)) for p in DOCS.rglob("*.md")} == {str(p.relative_to(DOCS)) for p in reached}
