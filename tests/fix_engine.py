"""The engine on a test database: a run's context, and the runner's phases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import mini
from normalform.core.events import Sink, silent
from normalform.db.session import open_run
from normalform.db.work import Context


@pytest.fixture
def engine() -> Iterator[Callable[..., Context]]:
    """Return a function (url, spec text=…, **runner arguments) → an open Context; closed at the test's end."""
    with ExitStack() as stack:

        def open_context(url: str, text: str = mini.SPEC_TEXT, sink: Sink = silent, **kwargs: Any) -> Context:
            return stack.enter_context(open_run(url, text, "test", sink=sink, **kwargs))

        yield open_context
