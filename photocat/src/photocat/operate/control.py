"""`start-app`, `stop-app`, `rolling-restart-app`: what an operator wishes of the keeper, and what became of it.

It decides nothing about instances (keeper.py): it writes a wish, tells the keeper, and waits for the answer. It must
never end a process that its pid file does not prove to be the keeper.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from photocat.operate.environments import Environment
from photocat.operate.errors import OperateError
from photocat.operate.instances import END, READY
from photocat.operate.keeper import PID, STATE, WANTED, Running, Wanted
from photocat.operate.processes import read_whole, running, stop, write_whole
from photocat.settings import TagColumns

HOST, PORT, INSTANCES = "127.0.0.1", 8000, 2
LOCK = "lock"
_PAUSE = 0.05


@dataclass(frozen=True)
class Application:
    """The application of one environment on this machine.

    Attributes:
        folder: where its keeper's files are.
        log: where its lines go; they are appended.
        files: where its pictures are; None: in the folder.
    """

    folder: Path
    log: Path
    files: Path | None = None

    def running(self) -> Running | None:
        """What runs, or None."""
        pid, state = running(self.folder / PID), read_whole(self.folder / STATE) or {}
        noted = state.get("running")
        if pid is None or not noted or noted["pid"] != pid:  # noted by a keeper before this one
            return None
        return Running(**{**noted, "instances": tuple(noted["instances"])})

    def start(
        self, environment: Environment, columns: TagColumns, *, host: str = HOST, port: int = PORT,
        instances: int = INSTANCES,
    ) -> Running:  # fmt: skip
        """Start it, and return once all instances serve.

        Args:
            environment: whose database it serves.
            columns: which code.
            host: address to listen on.
            port: port to listen on; 0 takes a free one.
            instances: how many processes share the socket.

        Raises:
            OperateError: it runs already, or does not start; nothing is left running.
        """
        files = self.files or self.folder / "files"
        given = {"PHOTOCAT_DATABASE_URL": environment.app_url, "PHOTOCAT_STORAGE": str(files.absolute())}
        command = [sys.executable, "-m", "photocat.operate.keeper", str(self.folder), host, str(port)]
        with self._alone():
            found = running(self.folder / PID)
            if found is not None:
                raise OperateError(f"the application runs already, as process {found}", hint="make rolling-restart-app")
            number = self._wish(columns, instances)
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("ab") as log:
                subprocess.run(
                    command, env={**os.environ, **given}, stdin=subprocess.DEVNULL, stdout=log,
                    stderr=subprocess.STDOUT, check=True,
                )  # fmt: skip
            try:
                return self._answer(number, instances)
            except BaseException:  # an operator's Ctrl-C too: what did not start is not left behind
                self.stop()
                raise

    def stop(self) -> bool:
        """Stop it; requests under way are finished first.

        Returns:
            Whether it ran.

        Raises:
            OperateError: it does not end.
        """
        if running(self.folder / PID) is None:
            return False
        if not stop(self.folder / PID, timeout=2 * END):
            raise OperateError(f"the application has not ended; its log is {self.log}")
        return True

    def restart(self, columns: TagColumns | None = None) -> Running:
        """Replace every instance while others serve, and return once the old ones have ended.

        Args:
            columns: which code; None: the same.

        Raises:
            OperateError: it does not run, or the new instances do not start: the old ones go on then.
        """
        with self._alone():
            now = self.running()
            if now is None:
                raise OperateError("the application does not run", hint="make start-app")
            number = self._wish(columns or now.tag_columns, len(now.instances))
            os.kill(now.pid, signal.SIGHUP)
            return self._answer(number, len(now.instances))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While another command starts or replaces it, this one does not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / LOCK).open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OperateError("another command starts or replaces the application", hint="wait for it") from None
            yield

    def _wish(self, columns: TagColumns, instances: int) -> int:
        before = read_whole(self.folder / WANTED) or {}
        wanted = Wanted(int(before.get("number", 0)) + 1, columns, instances)
        write_whole(self.folder / WANTED, asdict(wanted))
        return wanted.number

    def _answer(self, number: int, instances: int) -> Running:
        """Wait until the keeper has handled a wish, and return what runs then.

        Raises:
            OperateError: it says why it could not, it has ended, or it does not answer.
        """
        deadline = time.monotonic() + instances * READY + END
        while time.monotonic() < deadline:
            # Before the state is read: the last thing that a keeper does is to write it.
            living = running(self.folder / PID) is not None
            state = read_whole(self.folder / STATE) or {}
            if state.get("number") == number:
                if state["error"]:
                    raise OperateError(state["error"], hint=f"{self.log} says more")
                now = self.running()
                if now is not None:
                    return now
            if not living:
                raise OperateError(f"the application's keeper has ended; {self.log} says why")
            time.sleep(_PAUSE)
        raise OperateError(f"the application's keeper does not answer; its log is {self.log}")
