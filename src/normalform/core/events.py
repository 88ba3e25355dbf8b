"""Events: what long work says while it runs. One way, to sinks (progress bar, log, JSON lines, the ledger).

A sink must never raise into the work that speaks to it, except a test's sink at a *point*: points are the instants
before and after every statement and commit, where the crash harness stops the world.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Event:
    """Something happened.

    Args:
        kind: ``phase``, ``step``, ``progress``, ``wait``, ``note``, ``point``.
        name: what it is about: a phase, a step's id, a work's name.
        text: for people; empty for a bare progress tick.
        done, total: progress in ``unit`` (total 0 when unknown).
        unit: ``rows``, ``blocks``, ``steps``.
        data: further values for ``--json``.
    """

    kind: str
    name: str
    text: str = ""
    done: int = 0
    total: int = 0
    unit: str = ""
    data: dict[str, Any] = field(default_factory=dict)


Sink = Callable[[Event], None]


def silent(event: Event) -> None:
    """A sink that listens to nothing."""


def tee(*sinks: Sink) -> Sink:
    """Return a sink that passes each event to all the given ones, in order."""

    def both(event: Event) -> None:
        for sink in sinks:
            sink(event)

    return both
