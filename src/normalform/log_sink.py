"""A sink that writes to a log of the standard library's: for programs that call the API and keep logs.

Decides which events are worth a line. It must never raise into the work that speaks to it.
"""

from __future__ import annotations

import logging
import threading
import time

from .core.events import Event

#: Seconds between two lines about the same work.
EVERY = 5.0


class LogSink:
    """Turns the engine's events into lines of a log; progress now and then.

    Args:
        log: where they go.
    """

    def __init__(self, log: logging.Logger) -> None:
        self.log = log
        self.said: dict[str, float] = {}
        self.lock = threading.Lock()  # workers report from their own threads

    def __call__(self, event: Event) -> None:
        """Log an event; points and ticks are left out."""
        if event.kind == "phase":
            seconds = f" in {event.data['seconds']:.1f} s" if "seconds" in event.data else ""
            self.log.info("%s: %s%s", event.name, event.text, seconds)
        elif event.kind == "step" and event.text:
            phase = event.name.partition("/")[0]
            self.log.info("%s: step %d of %d: %s", phase, event.done + 1, event.total, event.text)
        elif event.kind == "wait":
            self.log.warning("%s: %s", event.name, event.text)
        elif event.kind == "note":
            self.log.info("%s: %s", event.name, event.text)
        elif event.kind == "progress" and event.total and self._due(event):
            self.log.info("%s: %s of %s %s", event.name, f"{event.done:,}", f"{event.total:,}", event.unit)

    def _due(self, event: Event) -> bool:
        with self.lock:
            now = time.monotonic()
            due = event.done >= event.total or now - self.said.get(event.name, 0.0) >= EVERY
            if due:
                self.said[event.name] = now
            return due
