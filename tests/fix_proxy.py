"""Proxies between the engine and a server: one that passes bytes on, one that pools transactions.

Both listen on 127.0.0.1 and reach the server by its socket. The pooling one knows as much of the protocol as it takes
to hand each transaction to another server session, as PgBouncer does with ``pool_mode = transaction``; it speaks
neither COPY nor cancel requests.
"""

from __future__ import annotations

import queue
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Literal, Self
from urllib.parse import quote

import pytest

from fix_servers import APP, OWNER, Database

SSL_REQUEST, GSS_REQUEST, PROTOCOL_3 = 80877103, 80877104, 196608
Rewrite = Callable[[bytes], bytes]


class Proxy:
    """Accepts clients and serves each in a thread of its own."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def url(self, role: str = OWNER, password: str | None = None) -> str:
        """The database's URL through this proxy; the server asks for no password, whatever is given."""
        who = role if password is None else f"{role}:{quote(password, safe='')}"
        return f"postgresql://{who}@127.0.0.1:{self.listener.getsockname()[1]}/{self.database.name}?gssencmode=disable"

    def serve(self, client: socket.socket) -> None:
        """Serves one client until it goes."""
        raise NotImplementedError

    def upstream(self) -> socket.socket:
        """A new connection to the server."""
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{self.database.server.socket_dir}/.s.PGSQL.{self.database.server.port}")
        self.open.add(server)
        return server

    def cut(self) -> None:
        """Cuts every connection that there is."""
        for one in list(self.open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stops listening and cuts everything."""
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)
        for one in self.open:
            one.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.open.add(client)
            self._start(self._guarded, client)

    def _guarded(self, client: socket.socket) -> None:
        with suppress(OSError, EOFError):
            self.serve(client)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    def _start(self, do: Callable[..., None], *args: object) -> threading.Thread:
        thread = threading.Thread(target=do, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread


class PassThrough(Proxy):
    """Passes bytes on, one server session for each client; may rewrite what the server says."""

    def __init__(self, database: Database, rewrite: Rewrite = bytes) -> None:
        self.rewrite = rewrite
        super().__init__(database)

    def serve(self, client: socket.socket) -> None:
        """Pumps both ways until one side ends."""
        server = self.upstream()
        back = self._start(self._pump, server, client, self.rewrite)
        self._pump(client, server, bytes)
        back.join(10)

    @staticmethod
    def _pump(source: socket.socket, target: socket.socket, change: Rewrite) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(change(data))
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class TransactionPool(Proxy):
    """Hands each transaction of a client to whichever of its server sessions is idle.

    Args:
        database: where the server sessions go.
        size: how many there are at most.
        order: which idle one is taken: the one used last, or the one idle longest.
    """

    def __init__(self, database: Database, size: int, order: Literal["last", "longest"] = "last") -> None:
        self.size, self.order = size, order
        self.made = 0
        self.greeting = b""
        self.idle: queue.Queue[socket.socket] = queue.LifoQueue() if order == "last" else queue.Queue()
        self.lock = threading.Lock()
        super().__init__(database)

    def serve(self, client: socket.socket) -> None:
        """Speaks the protocol's front half to one client."""
        startup = self._startup(client)
        self._release(self._take(startup))
        client.sendall(self.greeting)
        held: list[socket.socket] = []
        try:
            while self._round(client, startup, held):
                pass
        finally:
            for server in held:  # the client left within a transaction: the server rolls it back
                server.close()
                self.open.discard(server)
                with self.lock:
                    self.made -= 1

    def _round(self, client: socket.socket, startup: bytes, held: list[socket.socket]) -> bool:
        """One message of the client, with the answer if it asks for one; False when it says goodbye."""
        kind, message = _message(client)
        if kind == b"X":
            return False
        if not held:
            held.append(self._take(startup))
        held[0].sendall(message)
        while kind in (b"Q", b"S"):
            answer, message = _message(held[0])
            if answer == b"Z" and message[5:6] == b"I":
                # Before the client hears of it: whoever speaks next shall find this one.
                self._release(held.pop())
            client.sendall(message)
            if answer == b"Z":
                break
        return True

    def _startup(self, client: socket.socket) -> bytes:
        while True:
            [size] = struct.unpack("!i", _exactly(client, 4))
            body = _exactly(client, size - 4)
            [code] = struct.unpack("!i", body[:4])
            if code in (SSL_REQUEST, GSS_REQUEST):
                client.sendall(b"N")
            elif code == PROTOCOL_3 or code >> 16 == 3:
                return struct.pack("!i", size) + body
            else:
                raise EOFError  # a cancel request

    def _take(self, startup: bytes) -> socket.socket:
        with suppress(queue.Empty):
            return self.idle.get_nowait()
        with self.lock:
            room = self.made < self.size
            self.made += room
        if not room:
            try:
                return self.idle.get(timeout=20)
            except queue.Empty:
                raise EOFError from None  # as query_wait_timeout: the client is cut off
        server = self.upstream()
        server.sendall(startup)
        greeting = b""
        while True:
            kind, message = _message(server)
            greeting += message
            if kind == b"Z":
                break
        self.greeting = self.greeting or greeting
        return server

    def _release(self, server: socket.socket) -> None:
        self.idle.put(server)


def _message(source: socket.socket) -> tuple[bytes, bytes]:
    head = _exactly(source, 5)
    [size] = struct.unpack("!i", head[1:])
    return head[:1], head + _exactly(source, size - 4)


def _exactly(source: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = source.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


@pytest.fixture
def proxies() -> Iterator[ExitStack]:
    """A stack for proxies: ``proxies.enter_context(PassThrough(db))``; all are closed after the test."""
    with ExitStack() as stack:
        yield stack


__all__ = ["APP", "OWNER", "PassThrough", "Proxy", "TransactionPool", "proxies"]
