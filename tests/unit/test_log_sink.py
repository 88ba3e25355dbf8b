"""Which events become lines of a log."""

from __future__ import annotations

import logging

import pytest

from normalform.core.events import Event
from normalform.log_sink import LogSink


@pytest.mark.parametrize(
    ("event", "level", "line"),
    [
        (Event("phase", "expand", "do"), "INFO", "expand: do"),
        (Event("phase", "expand", "done", data={"seconds": 1.25}), "INFO", "expand: done in 1.2 s"),
        (Event("step", "expand/tags/key", "column tags.keyword_id", 1, 9), "INFO",
         "expand: step 2 of 9: column tags.keyword_id"),
        (Event("wait", "lock", "waiting for process 7"), "WARNING", "lock: waiting for process 7"),
        (Event("note", "fill:tags", "nothing was begun"), "INFO", "fill:tags: nothing was begun"),
        (Event("progress", "fill:tags", "", 1000, 2000, "blocks"), "INFO", "fill:tags: 1,000 of 2,000 blocks"),
    ],
)  # fmt: skip
def test_a_line(caplog: pytest.LogCaptureFixture, event: Event, level: str, line: str) -> None:
    caplog.set_level(logging.INFO, "nf.test")
    LogSink(logging.getLogger("nf.test"))(event)
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [(level, line)]


@pytest.mark.parametrize(
    "event",
    [Event("point", "expand:begun"), Event("step", "", "", 9, 9), Event("progress", "fill:tags", "", 5, 0, "blocks")],
)
def test_no_line(caplog: pytest.LogCaptureFixture, event: Event) -> None:
    caplog.set_level(logging.DEBUG, "nf.test")
    LogSink(logging.getLogger("nf.test"))(event)
    assert caplog.records == []


def test_progress_comes_now_and_then_and_at_the_end(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "nf.test")
    now = 100.0
    monkeypatch.setattr("normalform.log_sink.time.monotonic", lambda: now)
    sink = LogSink(logging.getLogger("nf.test"))
    for done in range(1, 101):
        now = 100.0 + done / 10
        sink(Event("progress", "fill:tags", "", done, 100, "blocks"))
    said = [r.getMessage().split()[1] for r in caplog.records]
    assert said == ["1", "51", "100"]
