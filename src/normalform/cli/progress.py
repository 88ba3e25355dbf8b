"""Sinks for people and programs: a progress bar on a terminal, plain lines elsewhere, JSON lines on request."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from ..core.events import Event, Sink

#: Seconds between two plain lines about the same work.
PLAIN_EVERY = 5.0


class Bars:
    """One bar for each work in hand, with rate and time left; notes and waits above them."""

    def __init__(self, console: Console) -> None:
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),  # names of tables may look like markup
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}", markup=False),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self.tasks: dict[str, TaskID] = {}
        self.began: dict[str, tuple[float, int]] = {}
        self.lock = threading.Lock()  # workers report from their own threads

    def __call__(self, event: Event) -> None:
        """Show an event."""
        with self.lock:
            if event.kind == "phase":
                self._phase(event)
            elif event.kind == "progress":
                self._tick(event)
            elif event.kind in ("note", "wait"):
                text = f"  {event.name}: {event.text}"
                self.progress.console.print(text, style="dim", markup=False, highlight=False, soft_wrap=True)

    def _phase(self, event: Event) -> None:
        for task in self.tasks.values():
            self.progress.remove_task(task)
        self.tasks.clear()
        self.began.clear()
        verb = "undo " if event.text in ("undo", "undone") else ""
        if event.text in ("done", "undone"):
            seconds = event.data.get("seconds", 0.0)
            self.progress.console.print(
                f"[green]✓[/green] {verb}{event.name} [dim]{seconds:.1f} s[/dim]", highlight=False
            )
        else:
            self.progress.console.print(f"[bold]{verb}{event.name}[/bold]", highlight=False)

    def _tick(self, event: Event) -> None:
        now = time.monotonic()
        if event.name not in self.tasks:
            self.tasks[event.name] = self.progress.add_task(
                event.name, total=event.total or None, unit=event.unit, rate=""
            )
            self.began[event.name] = (now, event.done)
        start, first = self.began[event.name]
        rate = (event.done - first) / (now - start) if now > start else 0.0
        self.progress.update(
            self.tasks[event.name],
            completed=event.done,
            total=event.total or None,
            rate=f"{rate:,.0f}/s" if rate else "",
            unit=event.unit,
        )
        if event.total and event.done >= event.total:
            self.progress.remove_task(self.tasks.pop(event.name))


class Lines:
    """Plain lines for a log: phases, waits, notes, and progress now and then."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.said: dict[str, float] = {}
        self.lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        with self.lock:
            if event.kind == "phase":
                seconds = f" {event.data['seconds']:.1f} s" if "seconds" in event.data else ""
                self._print(f"{event.name}: {event.text}{seconds}")
            elif event.kind in ("note", "wait"):
                self._print(f"{event.name}: {event.text}")
            elif event.kind == "progress":
                now = time.monotonic()
                finished = event.total and event.done >= event.total
                if finished or now - self.said.get(event.name, 0.0) >= PLAIN_EVERY:
                    self.said[event.name] = now
                    total = f" of {event.total:,}" if event.total else ""
                    self._print(f"{event.name}: {event.done:,}{total} {event.unit}")

    def _print(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)


def json_lines(event: Event) -> None:
    """Write an event as a line of JSON to standard error."""
    if event.kind != "point":
        print(
            json.dumps({k: v for k, v in asdict(event).items() if v not in ("", 0, {})}, default=str), file=sys.stderr
        )


@contextmanager
def sink_for(console: Console, *, as_json: bool) -> Iterator[Sink]:
    """Return the sink that fits the output: JSON lines, bars on a terminal, plain lines elsewhere."""
    if as_json:
        yield json_lines
    elif console.is_terminal:
        bars = Bars(console)
        with bars.progress:
            yield bars
    else:
        yield Lines(console)
