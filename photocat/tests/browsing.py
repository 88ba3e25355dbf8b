"""The pages in a browser: a service on a port of its own, and whoever sits before it."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import ConsoleMessage, Page, Request, expect

from fix_servers import Database
from fix_sessions import wait_for
from photocat.app import create_app
from photocat.settings import Settings, TagColumns

#: A refused form is an answer that the browser notes as an error; nothing else may be.
_EXPECTED = "Failed to load resource: the server responded with a status of 4"
GRAVE = frozenset({"serious", "critical"})


def chromium() -> str:
    """Debian's browser; without it the tests fail."""
    found = shutil.which("chromium")
    assert found is not None, "no chromium: apt-get install chromium fonts-noto-color-emoji fonts-noto-core"
    return found


@contextmanager
def served(db: Database, mode: TagColumns, storage: Path) -> Iterator[str]:
    """Serves a database as the application's role does; gives the address."""
    settings = Settings.model_validate({"database_url": db.app_url, "tag_columns": mode, "storage": storage})
    server = uvicorn.Server(uvicorn.Config(create_app(settings), log_level="error", timeout_graceful_shutdown=5))
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            wait_for(lambda: server.started, "the service answers")
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


class Desk:
    """A browser's page on the service; what it complains about is kept."""

    def __init__(self, page: Page, url: str, db: Database) -> None:
        self.page = page
        self.url = url
        self.db = db
        self.complaints: list[str] = []
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._foreign)

    def open(self, path: str = "/") -> Page:
        """Goes to a page, and waits until its counts stand there too."""
        self.page.goto(self.url + path)
        self.page.wait_for_load_state("networkidle")
        return self.page

    def sign_in(self, token: str = "admin", path: str = "/") -> Page:
        """Signs in by keyboard and goes to a page."""
        self.open("/sign-in")
        self.page.keyboard.press("Tab")  # to the link that skips
        self.page.get_by_label("Token").focus()
        self.page.keyboard.type(token)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(self.url + "/")
        return self.open(path)

    def keys(self, *names: str) -> None:
        """Presses keys, one after another."""
        for name in names:
            self.page.keyboard.press(name)

    def focused(self) -> str:
        """The id of what has the focus."""
        return str(self.page.evaluate("document.activeElement.id"))

    def verdicts(self, image: int) -> list[tuple[Any, ...]]:
        """Keyword and verdict of a picture, whichever columns say it."""
        return self._of("permatags", "signum", image)

    def manual(self, image: int) -> list[tuple[Any, ...]]:
        """Keywords by hand of a picture."""
        return self._of("image_tags", "manual::int", image)

    def _of(self, table: str, what: str, image: int) -> list[tuple[Any, ...]]:
        keyed = f"SELECT true FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attname = 'keyword'"
        if self.db.rows(keyed):
            return self.db.rows(f"SELECT keyword, {what} FROM {table} WHERE image_id = {image} ORDER BY 1")
        return self.db.rows(
            f"SELECT k.keyword, {what} FROM {table} t JOIN keywords k ON k.id = t.keyword_id "
            f"WHERE image_id = {image} ORDER BY 1"
        )

    def accessible(self) -> None:
        """Nothing that axe calls serious or worse is on the page as it stands."""
        found = Axe().run(self.page).response["violations"]
        grave = [(v["id"], [n["html"] for n in v["nodes"]]) for v in found if v["impact"] in GRAVE]
        assert grave == [], grave

    def fits(self) -> None:
        """The page need not be scrolled sideways."""
        wide = self.page.evaluate(
            "[...document.body.querySelectorAll('*')].filter(e => { const b = e.getBoundingClientRect();"
            " return b.right > innerWidth + 1 || b.left < -1 }).slice(0, 5).map(e => e.outerHTML.slice(0, 80))"
        )
        fits = self.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert fits, (self.page.url, wide)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(_EXPECTED):
            self.complaints.append(message.text)

    def _foreign(self, request: Request) -> None:
        if not request.url.startswith((self.url, "data:")):
            self.complaints.append(f"asks for {request.url}")


__all__ = ["Desk", "chromium", "expect", "served"]
