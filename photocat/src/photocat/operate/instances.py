"""Processes that serve: begun all at once, heard one by one whether they do.

It decides how long an instance may take, and what is said of one that does not serve. It must never close the socket
that they share, nor leave a process running that it calls a failure.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

#: Seconds after which a connection that is kept open and says nothing is closed.
KEEP_ALIVE = 5
#: Seconds that connections have to end by themselves; afterwards those without a request are closed.
DRAIN = 2 * KEEP_ALIVE
#: Seconds that a request under way has, beyond these.
GRACE = 30
#: Seconds until an instance must serve, and until one that was asked to end is killed.
READY, END = 60, DRAIN + GRACE + 20
#: How the lines of the log look, the keeper's and the instances'.
FORMAT = "%(asctime)s %(levelname)s [%(process)d] %(name)s: %(message)s"

Process = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Beginning:
    """An instance that has begun, and the end of a pipe that it answers on."""

    process: Process
    answer: int

    def failure(self) -> str:
        """Wait until it serves: empty then, otherwise why it does not, and it has ended."""
        with os.fdopen(self.answer, encoding="utf-8") as answer:
            heard, _, _ = select.select([answer], [], [], READY)
            line = answer.readline() if heard else ""
        said: dict[str, Any] = json.loads(line) if line else {}
        if "ready" in said:
            return ""
        if not heard:
            self.process.kill()
            said["error"] = f"the instance did not serve within {READY} seconds"
        try:
            status = self.process.wait(END)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        return str(said.get("error") or f"the instance ended with status {status} before it served")


def begin(listener: int, tag_columns: str, count: int) -> list[Beginning]:
    """Begin instances, all at once.

    Args:
        listener: file descriptor of the socket that they accept on.
        tag_columns: which columns their code reads.
        count: how many.
    """
    begun: list[Beginning] = []
    for _ in range(count):
        reading, writing = os.pipe()
        command = [sys.executable, "-m", "photocat.operate.serving", str(listener), str(writing)]
        environment = {**os.environ, "PHOTOCAT_TAG_COLUMNS": tag_columns}
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, pass_fds=(listener, writing)
        )  # fmt: skip
        os.close(writing)  # so that its end is heard
        begun.append(Beginning(process, reading))
    return begun


def heard(begun: Sequence[Beginning]) -> tuple[list[Process], list[str]]:
    """Wait for all of them.

    Returns:
        Those that serve, and why the others do not.
    """
    told = [(beginning.process, beginning.failure()) for beginning in begun]
    return [process for process, failure in told if not failure], [failure for _, failure in told if failure]
