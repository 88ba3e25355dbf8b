"""PostgreSQL servers of our own, from the binaries of a package or of the system.

For the demo, the rehearsals and the tests. A server listens on a socket that is private to its user, runs as
an unprivileged user when we are root, and leaves the system as it found it: no users are made, and no existing
folder changes its mode or its owner.

    with start(Path("data"), settings={"fsync": "off"}) as server:
        psycopg.connect(server.url())

`start` runs the cluster of a named folder and `stop` ends it; `temporary` runs one that ends with this process, and
`standby` one that streams from another until then. `find_binaries` says where the programs are, `packaged_binaries`
which were brought along; `reap` removes what processes that died have left.
"""

from __future__ import annotations

from .binaries import find_binaries, packaged_binaries
from .errors import EmbeddedError
from .server import Server, start, stop
from .temporary import reap, standby, temporary

__all__ = [
    "EmbeddedError", "Server", "find_binaries", "packaged_binaries", "reap", "standby", "start", "stop", "temporary",
]  # fmt: skip
