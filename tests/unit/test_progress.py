"""What people and programs see while work runs; whatever is said, a sink never raises into the work."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from normalform.cli.progress import Bars, Lines, json_lines, sink_for
from normalform.core.events import Event, Sink

STORY = [
    Event("phase", "backfill", "do"),
    Event("step", "backfill/tags/fill", "keys of tags", 0, 2, "steps"),
    Event("point", "backfill/tags/fill:intend"),
    Event("progress", "fill:tags", "", 0, 1000, "blocks"),
    Event("wait", "fill:tags", "try 1: tags is held by process 7"),
    Event("progress", "fill:tags", "", 1000, 1000, "blocks"),
    Event("note", "fill:tags", "3 rows were skipped"),
    Event("phase", "backfill", "done", data={"seconds": 1.25}),
    Event("phase", "backfill", "undo"),
    Event("phase", "backfill", "undone", data={"seconds": 0.5}),
]


def plain() -> tuple[Sink, Callable[[], str]]:
    file = io.StringIO()
    return Lines(Console(file=file, width=300)), file.getvalue


def bars() -> tuple[Bars, Callable[[], str]]:
    file = io.StringIO()
    return Bars(Console(file=file, width=300, force_terminal=True, no_color=True)), file.getvalue


def test_plain_lines() -> None:
    sink, shown = plain()
    for event in STORY:
        sink(event)
    assert shown().splitlines() == [
        "backfill: do",
        "fill:tags: 0 of 1,000 blocks",
        "fill:tags: try 1: tags is held by process 7",
        "fill:tags: 1,000 of 1,000 blocks",
        "fill:tags: 3 rows were skipped",
        "backfill: done 1.2 s",
        "backfill: undo",
        "backfill: undone 0.5 s",
    ]


def test_bars() -> None:
    sink, shown = bars()
    with sink.progress:
        for event in STORY:
            sink(event)
        assert not sink.tasks, "a finished work's bar goes"
    text = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", shown())
    for wanted in (
        "✓ backfill 1.2 s",
        "try 1: tags is held by process 7",
        "3 rows were skipped",
        "✓ undo backfill 0.5 s",
    ):
        assert wanted in text


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    for event in STORY:
        json_lines(event)
    out, err = capsys.readouterr()
    assert out == ""
    events = [json.loads(line) for line in err.splitlines()]
    assert events[0] == {"kind": "phase", "name": "backfill", "text": "do"}
    assert events[3] == {"kind": "wait", "name": "fill:tags", "text": "try 1: tags is held by process 7"}
    assert events[-1]["data"] == {"seconds": 0.5}
    assert all(e["kind"] != "point" for e in events)


@pytest.mark.parametrize(
    ("as_json", "terminal", "kind"), [(True, True, "function"), (False, True, "Bars"), (False, False, "Lines")]
)
def test_the_sink_fits_the_output(as_json: bool, terminal: bool, kind: str) -> None:
    with sink_for(Console(file=io.StringIO(), force_terminal=terminal), as_json=as_json) as sink:
        assert type(sink).__name__ == kind


NAMES = st.text() | st.sampled_from(["[/dim]", "[red]", "[/]", "{task.x}", "100%", "%s", "\x1b[31m", "[bold", "\\[x]"])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.builds(
            Event,
            kind=st.sampled_from(["progress", "note", "wait", "step", "point"]),
            name=NAMES,
            text=NAMES,
            done=st.integers(0, 10**12),
            total=st.integers(0, 10**12),
            unit=NAMES,
        ),
        max_size=8,
    )
)
def test_whatever_is_said_no_sink_raises(events: list[Event]) -> None:
    sink, _ = bars()
    lines, _ = plain()
    with sink.progress:
        for event in events:
            sink(event)
            lines(event)


def test_workers_may_report_at_once() -> None:
    sink, _ = bars()
    failed: list[BaseException] = []

    def report(number: int) -> None:
        try:
            for done in range(200):
                sink(Event("progress", f"fill:{number}", "", done, 199, "blocks"))
        except BaseException as error:  # noqa: BLE001  (told to the test)
            failed.append(error)

    with sink.progress:
        threads = [threading.Thread(target=report, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failed == []
    assert not sink.tasks
