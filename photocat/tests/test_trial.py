"""`make photocat` prepares a database and tokens once, and finds them again."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import fix_sessions
from normalform.embedded import start


def trial(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "photocat.trial", "--folder", str(folder), "--rows", "200", *arguments]


def get(port: int, path: str, token: str = "") -> Any:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_trial_serves_real_tags_and_keeps_its_data(
    tmp_path: Path, request: pytest.FixtureRequest, ending: signal.Signals
) -> None:
    request.addfinalizer(lambda: start(tmp_path / "server", version=18).remove())
    first = subprocess.run(trial(tmp_path, "--once"), capture_output=True, text=True, check=True)
    assert "loading 200 real tags" in first.stdout
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = trial(tmp_path, "--port", str(port))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            said = ""
            assert process.stdout is not None
            for line in process.stdout:
                said += line
                if "Uvicorn running" in line:
                    break
            assert "loading" not in said
            found = re.search(r"token of tenant demo: (\S+)", said)
            assert found is not None, said
            fix_sessions.wait_for(lambda: get(port, "/health"), "the service answers")
            tree = get(port, "/api/v1/admin/keywords/categories", found[1])
            assert "Travel" in json.dumps(tree)
            with pytest.raises(urllib.error.HTTPError, match="401"):
                get(port, "/api/v1/admin/keywords/categories", "forged")
        finally:
            process.send_signal(ending)
            try:
                process.wait(60)
            finally:
                process.kill()  # else leaving the block would wait for it without end
    assert process.returncode == 0
