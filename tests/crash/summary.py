"""How many points there were and how many of them were interrupted, at the end of a run of the tests.

Tests run in several processes; what a test records in its report reaches the one that prints.
"""

from __future__ import annotations

import pytest

PROPERTY = "interruptions"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print a line for each passage that was interrupted."""
    lines = sorted(
        str(value)
        for report in terminalreporter.stats.get("passed", [])
        for name, value in getattr(report, "user_properties", [])
        if name == PROPERTY
    )
    if lines:
        terminalreporter.section("crash points")
        for line in lines:
            terminalreporter.write_line(line)
