"""What goes wrong with a server of our own."""

from __future__ import annotations

from normalform.errors import NormalformError


class EmbeddedError(NormalformError):
    """A server of our own cannot be found, made, started or stopped (exit status 5)."""

    exit_status = 5
