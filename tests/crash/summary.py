"""How many points there were and how many times one was interrupted, at the end of a run of the tests.

Tests run in several processes; what a test records in its report reaches the one that prints.
"""

from __future__ import annotations

import pytest

PROPERTY = "interruptions"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print a line for each passage that was interrupted, and how many times that was in all."""
    points: dict[tuple[str, int], int] = {}
    times: dict[tuple[str, int], int] = {}
    for report in terminalreporter.stats.get("passed", []):
        for name, value in getattr(report, "user_properties", []):
            if name == PROPERTY:
                passage, version, there, interrupted = value
                points[passage, version] = there
                times[passage, version] = times.get((passage, version), 0) + interrupted
    if not times:
        return
    terminalreporter.section("crash points")
    for passage, version in sorted(times, key=lambda one: (-one[1], one[0])):
        at = passage, version
        terminalreporter.write_line(
            f"PostgreSQL {version}  {points[at]:5,} points, {times[at]:6,} interruptions, same end state: {passage}"
        )
    terminalreporter.write_line(f"{sum(times.values()):,} interruptions")
