"""One instance of the service on a socket that others share, and its end without a request lost.

It decides when an instance may begin (its code fits the schema) and how it ends: it takes no new connection, answers
what comes on those it has, with `Connection: close`, and goes when they are gone. It must never close the listening
socket for the others, nor a connection on which a request may be under way.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from photocat.app import create_app
from photocat.context import Service
from photocat.operate.errors import OperateError
from photocat.operate.instances import DRAIN, FORMAT, GRACE, KEEP_ALIVE
from photocat.operate.state import misfit
from photocat.routes.health import health_of
from photocat.settings import from_environment

log = logging.getLogger("photocat.serving")


class Instance(uvicorn.Server):
    """A server whose end loses no request.

    uvicorn's own closes connections on which no request has been read yet; here they are answered first. It ends too
    when the keeper does not live any more: nobody could stop or replace it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.draining = False
        self._keeper = os.getppid()
        config = uvicorn.Config(
            self._closing(app), loop="asyncio", log_config=None, timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=GRACE,
        )  # fmt: skip
        super().__init__(config)

    def _closing(self, app: ASGIApp) -> ASGIApp:
        async def answered(scope: Scope, receive: Receive, send: Send) -> None:
            async def sent(message: Message) -> None:
                if self.draining and message["type"] == "http.response.start":
                    message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
                await send(message)

            await app(scope, receive, sent if scope["type"] == "http" else send)

        return answered

    async def on_tick(self, counter: int) -> bool:
        """Asked ten times a second whether it is to end."""
        if os.getppid() != self._keeper and not self.should_exit:
            log.error("the keeper is gone")
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends the instance: first no new connections, then an answer on each that there is, then uvicorn's own."""
        self.draining = True
        loop = asyncio.get_running_loop()
        for server in self.servers:
            for listener in server.sockets:
                # What waits in the queue is the others'; the socket is closed only when this turn of the loop is over,
                # for a connection that was accepted in it still needs it.
                loop.remove_reader(listener.fileno())
        log.info("takes no new connections; %d are left", len(self.server_state.connections))
        deadline = loop.time() + DRAIN
        await asyncio.sleep(0.1)
        while self.server_state.connections and loop.time() < deadline and not self.force_exit:
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)


def main(listener: int, ready: int) -> int:
    """Serve until SIGTERM.

    Args:
        listener: file descriptor of the socket to accept on.
        ready: file descriptor to write one line of JSON to: that it serves, or why it does not.

    Returns:
        Exit status.
    """
    logging.basicConfig(level=logging.INFO, format=FORMAT, stream=sys.stderr)
    with os.fdopen(ready, "w", encoding="utf-8") as tell:
        try:
            app = create_app(from_environment())
            _check(app.state.service)
        except Exception as error:  # whatever it is, who waits must hear of it
            tell.write(json.dumps({"error": _line(error)}) + "\n")
            if isinstance(error, OperateError):
                return 1
            raise
        instance = _Telling(app, tell)
        instance.run(sockets=[socket.socket(fileno=listener)])
    return 0


class _Telling(Instance):
    """Says that it serves as soon as it does."""

    def __init__(self, app: ASGIApp, tell: Any) -> None:
        super().__init__(app)
        self._tell = tell

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tell.write(json.dumps({"ready": os.getpid()}) + "\n")
        self._tell.flush()


def _check(service: Service) -> None:
    answer = health_of(service)
    if answer["status"] != "ok":
        raise OperateError("the database cannot be reached: make psql-prod asks it")
    columns = service.settings.tag_columns
    wrong = misfit(columns, answer["phase"])
    if wrong:
        other = "deploy-api" if columns == "text" else "rollback-api"
        raise OperateError(f"{wrong}: make {other} takes the code that does")


def _line(error: Exception) -> str:
    kind = "" if isinstance(error, OperateError) else f"{type(error).__name__}: "
    return kind + " ".join(str(error).split())


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
