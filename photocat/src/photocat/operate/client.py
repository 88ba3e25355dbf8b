"""A small HTTP client for the smoke tests: one request, one connection, what came back.

It decides how bodies are sent. It must never follow a redirect, nor send a token elsewhere than to the address given.
"""

from __future__ import annotations

import http.client
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

_SECONDS = 30


@dataclass(frozen=True)
class Answer:
    """What came back: status, headers by lower-case name, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        """The body, which is JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Client:
    """Talks to a service on this machine.

    Attributes:
        host: its address.
        port: its port.
        token: sent as bearer; empty: none.
    """

    host: str
    port: int
    token: str = ""

    def send(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None,
        upload: tuple[str, bytes] | None = None, cookie: str = "",
    ) -> Answer:  # fmt: skip
        """Send one request.

        Args:
            method: GET and so on.
            path: from the root.
            query: of the URL.
            body: sent as JSON, unless None.
            upload: name and content of a file, sent as a form's `file`.
            cookie: name and value, as `name=value`.

        Raises:
            OSError: nobody answers.
            http.client.HTTPException: what answers speaks no HTTP.
        """
        headers = {"Connection": "close"}
        content: bytes | None = None
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if cookie:
            headers["Cookie"] = cookie
        if body is not None:
            content, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        if upload is not None:
            boundary = secrets.token_hex(16)
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{upload[0]}"\r\n\r\n'
            content = head.encode() + upload[1] + f"\r\n--{boundary}--\r\n".encode()
            headers["Content-Type"] = f"multipart/form-data; boundary={boundary}"
        connection = http.client.HTTPConnection(self.host, self.port, timeout=_SECONDS)
        try:
            target = path + (f"?{urlencode(query, doseq=True)}" if query else "")
            connection.request(method, target, content, headers)
            got = connection.getresponse()
            return Answer(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read())
        finally:
            connection.close()
