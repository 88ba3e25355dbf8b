"""Requests at a steady rate while something happens to the application: what failed is counted.

with loaded(found, "reader", image=7, keyword=1) as load:
    app.restart()
assert load.failed == []
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from photocat.operate.keeper import Running

RATE = 20  # requests a second


class Load:
    """Half of its requests go by a connection that is kept, a third of them write. A verdict is given and taken back.

    Attributes:
        sent: how many requests.
        failed: every answer but 200, and every connection that broke.
    """

    def __init__(self, found: Running, token: str, image: int, keyword: int) -> None:
        self.found, self.token, self.path, self.keyword = found, token, f"/api/v1/images/{image}/permatags", keyword
        self.sent, self.failed = 0, list[str]()
        self.over = threading.Event()
        self.kept: http.client.HTTPConnection | None = None

    def work(self) -> None:
        """Send until it is over; the verdict does not stay."""
        due = time.monotonic()
        while not self.over.is_set():
            try:
                self._ask(*self._request(), keep=self.sent % 2 == 0)
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
            self.sent += 1
            due += 1 / RATE
            time.sleep(max(0.0, due - time.monotonic()))
        self._ask("DELETE", f"{self.path}?keyword_id={self.keyword}", None, keep=False)
        if self.kept:
            self.kept.close()

    def _request(self) -> tuple[str, str, bytes | None]:
        if self.sent % 6 == 1:
            return "PUT", self.path, json.dumps({"keyword_id": self.keyword, "verdict": "approved"}).encode()
        if self.sent % 6 == 4:
            return "DELETE", f"{self.path}?keyword_id={self.keyword}", None
        return "GET", "/api/v1/images?limit=2&tags=true", None

    def _ask(self, method: str, path: str, body: bytes | None, *, keep: bool) -> None:
        fresh = self.kept is None or not keep
        connection = http.client.HTTPConnection(self.found.host, self.found.port, timeout=30) if fresh else self.kept
        assert connection is not None
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        connection.request(method, path, body, {**headers, **({} if keep else {"Connection": "close"})})
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            self.failed.append(f"{method} {path}: {answer.status} {said!r}")
        closes = not keep or answer.will_close
        if closes:
            connection.close()
        if keep:
            self.kept = None if closes else connection


@contextmanager
def loaded(found: Running, token: str, *, image: int, keyword: int) -> Iterator[Load]:
    """Load as long as the block lasts, by a token of the tenant whose picture and keyword these are."""
    load = Load(found, token, image, keyword)
    thread = threading.Thread(target=load.work)
    thread.start()
    try:
        yield load
    finally:
        load.over.set()
        thread.join()
