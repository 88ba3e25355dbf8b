"""The demo: the whole job on real data, in front of you. Orchestrates; every step is the API that anybody can call.

Exits with an error when any proof fails: a demo that always says yes proves nothing.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import psycopg
from psycopg import sql
from rich.console import Console

from .. import api
from ..cli.progress import sink_for
from ..core.events import Event, Sink
from ..embedded import Server, start, temporary
from ..errors import ProofFailed
from . import decide, load, runbook, screens, snapshot, truth

DATABASE, OWNER, APPLICATION = "photocat", "photocat_owner", "photocat_app"
#: A throwaway server: nothing here outlives the machine, and fsync would only measure its disk.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
    "maintenance_work_mem": "128MB",
    "work_mem": "64MB",
    "autovacuum": "off",
}


Act = Callable[[str, str], AbstractContextManager[None]]


@dataclass
class Story:
    """What happened, for the last screen. Seconds are wall seconds by name of the act."""

    rows: int | None
    seconds: dict[str, float] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    proofs: list[str] = field(default_factory=list)
    wrong: runbook.RunbookReport | None = None


def demo(out: Console, *, rows: int | None = None, keep: bool = False) -> None:
    """Run the demo.

    Args:
        out: where it prints.
        rows: machine tags to load; None for all 1,080,986.
        keep: leave the server up at the end and print its URL.

    Raises:
        ProofFailed: something did not come out as it must.
    """
    folder = Path(tempfile.mkdtemp(prefix="normalform-demo-"))
    server = start(folder / "server", version=18, settings=SETTINGS) if keep else temporary(settings=SETTINGS)
    try:
        url = _database(server)
        with sink_for(out, as_json=False) as sink:
            story = _acts(out, sink, server, url, folder, rows)
        assert story.wrong is not None
        status = api.status(api.Options(url), collisions=False)
        screens.ending(out, status, story.seconds, story.sizes, story.proofs, story.wrong)
        if keep:
            _keep(out, server, url, folder)
    finally:
        if not keep:
            server.remove()
            shutil.rmtree(folder)


def _database(server: Server) -> str:
    """Make the database; its owner is no superuser, the application's role has DML only."""
    with psycopg.connect(server.url(), autocommit=True) as conn:
        for role in (OWNER, APPLICATION):
            conn.execute(sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER").format(sql.Identifier(role)))
        conn.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(OWNER)))
    url = server.url(DATABASE, OWNER)
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(
            sql.SQL("ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {}").format(
                sql.Identifier(APPLICATION)
            )
        )
    return url


def _acts(out: Console, sink: Sink, server: Server, url: str, folder: Path, rows: int | None) -> Story:
    story = Story(rows)
    act = _clock(out, story)
    options = api.Options(url, files("normalform.demo").joinpath("normalform.toml").read_text("utf-8"), sink)
    mapping, decisions = folder / "mapping.sqlite", folder / "decisions.csv"

    with act("load", "PhotoCat's legacy schema and the tags of Unicode CLDR"):
        loaded = load.load(url, rows=rows, progress=lambda stage, done, total: sink(_progress(stage, done, total)))
    screens.loaded(out, loaded)
    story.sizes["legacy schema"] = _size(url)
    with act("audit", "read everything, change nothing"):
        report = api.audit(options, mapping=mapping)
    screens.findings(out, report)
    before = snapshot.take(server, url, DATABASE)
    with act("resolve", "a decision file, checked whole, applied with an archive"):
        api.resolve_export(options, mapping, decisions)
        decide.fill(decisions)
        screens.decisions(out, decisions)
        api.resolve_apply(options, decisions)
    with act("the runbook's join", "run for real on a copy, beside ours"):
        story.wrong = runbook.run(url)
    screens.runbook(out, story.wrong, whole=rows is None)

    _forward(act, options, story, url, "")
    _prove(out, story, url, rows, "after contract")
    with act("rollback", "from contract to the start"):
        api.rollback(options, "start")
    with act("compare", "every table's checksum, and the schema as pg_dump writes it"):
        differences = before.differences(snapshot.take(server, url, DATABASE))
    if differences:
        raise ProofFailed("the rollback did not give everything back:\n" + "\n".join(differences[:20]))
    story.proofs.append(f"rolled back: {len(before.tables)} tables and the schema are equal to before")
    screens.proof(out, story.proofs[-1])

    with act(f"resolve{screens.AGAIN}", "the same decision file"):
        api.resolve_apply(options, decisions)
    _forward(act, options, story, url, screens.AGAIN)
    _prove(out, story, url, rows, "forward again")
    story.sizes["after contract"] = _size(url)
    return story


def _forward(act: Act, options: api.Options, story: Story, url: str, suffix: str) -> None:
    texts = {
        "expand": "key columns, scope, sync in both directions",
        "backfill": "the keys, block by block",
        "verify": "text and key compared, row by row",
        "constrain": "indexes, foreign keys, NOT NULL",
        "contract": "the text goes; what keys cannot reproduce is archived",
    }
    for phase, text in texts.items():
        with act(f"{phase}{suffix}", text):
            api.phase(options, phase)
        if phase == "constrain" and not suffix:
            story.sizes["text and keys"] = _size(url)


def _prove(out: Console, story: Story, url: str, rows: int | None, when: str) -> None:
    """Check machine_tags against the data file; the engine's own mapping has no part in it."""
    report = truth.check(url, rows=rows)
    if not report.keys_true:
        raise ProofFailed(f"{when}: {report}")
    story.proofs.append(
        f"{when}: {report.rows:,} machine tags against the data file: "
        f"{report.null_key:,} without key, {report.wrong_key:,} wrong ({report.seconds:.0f} s)"
    )
    screens.proof(out, story.proofs[-1])


def _clock(out: Console, story: Story) -> Act:
    @contextmanager
    def act(name: str, text: str) -> Iterator[None]:
        screens.act(out, name, text)
        began = time.monotonic()
        yield
        story.seconds[name] = time.monotonic() - began

    return act


def _progress(stage: str, done: int, total: int) -> Event:
    return Event("progress", f"load {stage}", done=done, total=total, unit="")


def _size(url: str) -> int:
    with psycopg.connect(url) as conn:
        row = conn.execute("SELECT pg_database_size(current_database())").fetchone()
    return int(row[0]) if row else 0


def _keep(out: Console, server: Server, url: str, folder: Path) -> None:
    """Say how to look around, and how to end it."""
    for text in (
        f"The server stays up: {url}",
        f"Look around:         normalform --database-url '{url}' status",
        f"End it:              kill -INT {server.pid}",
        f"Files:               {folder}",
    ):
        out.print(text, highlight=False, soft_wrap=True)
