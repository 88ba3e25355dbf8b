"""How large a request may be, counted while it arrives.

It decides which limit holds for which request. It must never trust Content-Length alone: a body without it, or
longer than it says, is cut off at the same byte.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from photocat.problems import Problem
from photocat.settings import Settings

#: What a multipart envelope may add to the file in it.
ENVELOPE = 64 * 1024


class BodyLimit:
    """ASGI middleware that answers 413 before a body is kept in memory or on disk.

    Args:
        app: what it stands before.
        settings: whose `max_upload_bytes` and `max_body_bytes` hold.
        uploads: paths that take files, by POST.
    """

    def __init__(self, app: ASGIApp, settings: Settings, uploads: frozenset[str]) -> None:
        self._app = app
        self._settings = settings
        self._uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, counting."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit(scope)
        refused = Problem(413, "too-large", f"The body of this request may have {limit} bytes at most.")
        path = scope["path"]
        if self._said(scope) > limit:
            await refused.response(path)(scope, receive, send)
            return
        seen = 0
        begun = False

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise _TooLarge
            return message

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, counted, noted)
        except _TooLarge:
            if begun:  # an answer is under way already and cannot be taken back
                raise
            await refused.response(path)(scope, receive, send)

    def _limit(self, scope: Scope) -> int:
        if scope["method"] == "POST" and scope["path"].rstrip("/") in self._uploads:
            return self._settings.max_upload_bytes + ENVELOPE
        return self._settings.max_body_bytes

    @staticmethod
    def _said(scope: Scope) -> int:
        for name, value in scope["headers"]:
            if name == b"content-length":
                # Servers refuse what is not a number; a test client need not.
                return int(value) if value.isdigit() and len(value) < 19 else 1 << 62
        return 0


class _TooLarge(BaseException):
    """Passes through every handler in between, since it must reach the middleware and nobody else."""
