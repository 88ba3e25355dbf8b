"""Ctrl-C: the first one ends after the batch in hand, the second one ends what runs now.

For whoever starts the engine from a terminal. It must never end anything by itself: it sets what the engine looks at.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STDERR = 2


@contextmanager
def interruptible(stop: threading.Event, *, as_json: bool = False) -> Iterator[None]:
    """Let the first Ctrl-C (or SIGTERM) end after the batch in hand, and the second one end what runs now."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        del number, frame
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        text = "ending after the statement in hand; Ctrl-C again ends it at once"
        line = json.dumps({"kind": "note", "name": "interrupt", "text": text}) if as_json else text
        # Past the streams' buffers: the signal may have come while one of them was being written.
        os.write(STDERR, f"{line}\n".encode())

    before = {s: signal.signal(s, handle) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
