"""Events go one way, to every sink, in order."""

from __future__ import annotations

import pytest

from normalform.core.events import Event, silent, tee


def test_a_tee_passes_each_event_to_all_in_order() -> None:
    heard: list[tuple[str, str]] = []
    sink = tee(lambda e: heard.append(("one", e.name)), silent, lambda e: heard.append(("two", e.name)))
    sink(Event("note", "a"))
    sink(Event("note", "b"))
    assert heard == [("one", "a"), ("two", "a"), ("one", "b"), ("two", "b")]


def test_a_tee_of_nothing_is_silent() -> None:
    tee()(Event("point", "x"))


def test_events_share_no_data() -> None:
    one, two = Event("note", "a"), Event("note", "b")
    one.data["k"] = 1
    assert two.data == {}


def test_what_a_point_raises_goes_through() -> None:
    """The crash harness stops the world at a point."""

    def stop(event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tee(silent, stop)(Event("point", "x"))
