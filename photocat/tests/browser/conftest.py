"""Fixtures of the browser tests: one browser for all, and for each test a service and a page signed out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from browsing import Desk, chromium, served
from fix_api import STAGES, TEMPLATES
from fix_servers import Database
from photocat.settings import TagColumns

Sit = Callable[..., Desk]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The browser; root has no sandbox to put it into."""
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.getuid() == 0 else []
        launched = playwright.chromium.launch(executable_path=chromium(), args=arguments)
        yield launched
        launched.close()


@pytest.fixture
def sit(browser: Browser, tmp_path: Path) -> Iterator[Sit]:
    """Sits down before a service: `sit(db, "text", width=360)`; at the end nothing may have been complained about."""
    desks: list[Desk] = []
    with ExitStack() as stack:

        def down(db: Database, mode: TagColumns, *, width: int = 1280, height: int = 900, script: bool = True) -> Desk:
            url = stack.enter_context(served(db, mode, tmp_path / "storage"))
            context = browser.new_context(
                viewport={"width": width, "height": height}, java_script_enabled=script, reduced_motion="reduce"
            )
            stack.callback(context.close)
            context.set_default_timeout(10_000)
            desks.append(Desk(context.new_page(), url, db))
            return desks[-1]

        yield down
    assert [complaint for desk in desks for complaint in desk.complaints] == []


@pytest.fixture(params=["text", "key"])
def desk(request: pytest.FixtureRequest, database: Callable[..., Database], sit: Sit) -> Desk:
    """Before the service on the small catalogue, with the code before the migration and with that after it."""
    mode, until = STAGES[request.param]
    return sit(database(TEMPLATES[until]), mode)


@pytest.fixture
def plain(database: Callable[..., Database], sit: Sit) -> Desk:
    """The same before the migration alone: for what tags have no part in."""
    return sit(database(TEMPLATES[None]), "text")
