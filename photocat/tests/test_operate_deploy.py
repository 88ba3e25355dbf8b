"""Releases: which code is deployed, that it fits, that an image is built and pushed, and the way back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from fix_api import TEMPLATES
from fix_servers import Database
from photocat import __main__ as photocat_main
from photocat.operate import deploy, images, releases
from photocat.operate.client import Client
from photocat.operate.control import Application
from photocat.operate.environments import ROOT, Environment
from photocat.operate.errors import OperateError
from photocat.operate.releases import Release
from photocat.operate.state import misfit, phase_of

Make = Callable[..., Database]
#: A docker that notes what it is asked for; DOCKER_FAILS names the word at which it fails.
DOCKER = """#!/bin/sh
[ "$1" = info ] && echo 27.0 && exit 0
echo "$@" >> {notes}
[ "$1" != "$DOCKER_FAILS" ]
"""


def environment(db: Database) -> Environment:
    return Environment("prod", db.url, db.app_url)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Application]:
    found = Application(tmp_path / "app", tmp_path / "production.log")
    yield found
    found.stop()


@pytest.fixture
def no_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    docker = tmp_path / "none" / "docker"
    docker.parent.mkdir()
    docker.write_text("#!/bin/sh\nexit 1\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{docker.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An engine that answers; returns what notes its commands."""
    program, notes = tmp_path / "engine" / "docker", tmp_path / "notes"
    program.parent.mkdir()
    program.write_text(DOCKER.format(notes=notes))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return notes


@given(st.lists(st.sampled_from(["deploy", "roll back"]), max_size=30))
def test_a_roll_back_is_the_inverse_of_a_deployment(steps: list[str]) -> None:
    known = releases.added([], "t", "text", "", "")
    stack = [1]
    for step in steps:
        if step == "deploy":
            known = releases.added(known, "t", "key", "", "")
            stack.append(len(known))
        elif len(stack) == 1:
            with pytest.raises(OperateError, match="no release before"):
                releases.withdrawn(known)
        else:
            known, now = releases.withdrawn(known)
            stack.pop()
            assert now.number == stack[-1]
        current = releases.current(known)
        assert current is not None and current.number == stack[-1]
        assert [r.number for r in known] == list(range(1, len(known) + 1))


def test_a_release_says_what_it_is(tmp_path: Path) -> None:
    made = [Release(1, "t", "text"), Release(2, "t", "key", "abc", "photocat:abc")]
    assert str(made[0]) == "release 1, code with text"
    assert str(made[1]) == "release 2, code with key, commit abc, photocat:abc"
    releases.write(tmp_path / "releases.json", made)
    assert releases.read(tmp_path / "releases.json") == made and releases.read(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("phase", "fitting"),
    [
        ("legacy", {"text"}), ("resolve", {"text"}), ("expand", {"text"}), ("backfill", {"text"}),
        ("verify", {"text", "key"}), ("constrain", {"text", "key"}), ("contract", {"key"}), (None, set()),
    ],
)  # fmt: skip
def test_which_code_runs_at_which_phase(phase: str | None, fitting: set[str]) -> None:
    assert {c for c in ("text", "key") if misfit("text" if c == "text" else "key", phase) is None} == fitting


@pytest.mark.slow
def test_the_running_application_moves_forth_and_back(
    database: Make, app: Application, no_docker: None
) -> None:  # fmt: skip
    said: list[str] = []
    target = environment(database(TEMPLATES["constrain"]))
    assert phase_of(target.app_url) == "constrain"
    found = app.start(target, deploy.first(app.folder, "text").tag_columns, port=0, instances=1)
    made = deploy.deploy(target, app, said.append)
    assert (made.number, made.tag_columns, made.image) == (2, "key", "") and said[0] == images.NO_ENGINE
    health = Client(found.host, found.port)
    assert health.send("GET", "/health").data["tag_columns"] == "key"
    assert deploy.roll_back(target, app, said.append).number == 1
    assert health.send("GET", "/health").data["tag_columns"] == "text"
    with pytest.raises(OperateError, match="no release before"):
        deploy.roll_back(target, app, said.append)
    assert [r["withdrawn"] for r in json.loads((app.folder / deploy.FILE).read_text())] == [False, True]


@pytest.mark.slow
def test_code_that_does_not_fit_is_not_deployed(database: Make, app: Application, no_docker: None) -> None:
    legacy, contracted = environment(database(TEMPLATES[None])), environment(database(TEMPLATES["contract"]))
    said: list[str] = []
    with pytest.raises(OperateError, match="phase legacy, and code that reads key does not run there"):
        deploy.deploy(legacy, app, said.append, columns="key")
    assert deploy.deploy(legacy, app, said.append).tag_columns == "text"
    assert deploy.deploy(contracted, app, said.append).tag_columns == "key"
    with pytest.raises(OperateError, match="phase contract, and code that reads text does not run there"):
        deploy.roll_back(contracted, app, said.append)
    assert releases.current(releases.read(app.folder / deploy.FILE)) == releases.read(app.folder / deploy.FILE)[-1]
    with pytest.raises(
        OperateError, match=r"No Docker engine answers here(.|\n)*Nothing was pushed to r\.example\.com"
    ):
        deploy.deploy(contracted, app, said.append, registry="r.example.com")


@pytest.mark.slow
def test_an_image_is_built_and_pushed_where_there_is_an_engine(
    database: Make, app: Application, docker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, said = environment(database(TEMPLATES["constrain"])), list[str]()
    monkeypatch.setattr(deploy, "commit", lambda: "abc")
    made = deploy.deploy(target, app, said.append, registry="r.example.com/team/")
    assert made.image == "photocat:abc" and said[0] == "built photocat:abc, pushed to r.example.com/team/"
    assert docker.read_text().splitlines() == [
        f"build --file {ROOT}/photocat/Dockerfile --tag photocat:abc {ROOT}",
        "tag photocat:abc photocat:latest",
        "tag photocat:abc r.example.com/team/photocat:abc",
        "push r.example.com/team/photocat:abc",
        "tag photocat:abc r.example.com/team/photocat:latest",
        "push r.example.com/team/photocat:latest",
    ]
    monkeypatch.setattr(deploy, "commit", lambda: "def")
    monkeypatch.setenv("DOCKER_FAILS", "build")
    with pytest.raises(OperateError, match="docker build ended with status 1"):
        deploy.deploy(target, app, said.append)
    assert len(releases.read(app.folder / deploy.FILE)) == 2, "what was not built is no release"
    monkeypatch.setenv("DOCKER_FAILS", "")
    deploy.deploy(target, app, said.append)
    docker.unlink()
    assert deploy.roll_back(target, app, said.append).image == "photocat:abc"
    assert docker.read_text() == "tag photocat:abc photocat:latest\n"


def dockerfile() -> list[list[str]]:
    """The instructions of the Dockerfile, each as its words."""
    text = (ROOT / images.DOCKERFILE).read_text("utf-8").replace("\\\n", " ")
    return [line.split() for line in text.splitlines() if line and not line.startswith("#")]


def test_the_image_has_two_stages_no_root_and_no_secret() -> None:
    lines = dockerfile()
    stages = [line for line in lines if line[0] == "FROM"]
    assert len(stages) == 2 and stages[0][2:] == ["AS", "build"]
    last = lines[lines.index(stages[1]) :]
    assert [line[1] for line in last if line[0] == "USER"] == ["10001"]
    assert ["COPY", "--from=build", "/venv", "/venv"] in last
    assert "pip" not in " ".join(" ".join(line) for line in last if line[0] == "RUN"), "all is installed before"
    # What is copied from the repository is there, and is all that the engine is given.
    kept = (ROOT / f"{images.DOCKERFILE}.dockerignore").read_text("utf-8").splitlines()
    assert next(line for line in kept if not line.startswith("#")) == "*"
    copied = {
        name for line in lines if line[0] == "COPY" and not line[1].startswith("--") for name in line[1:-1]
    }  # fmt: skip
    assert copied == {line.removeprefix("!") for line in kept if line.startswith("!")}
    assert [name for name in copied if not (ROOT / name).exists()] == []
    set_here = [pair.partition("=")[0] for line in lines if line[0] in ("ENV", "ARG") for pair in line[1:]]
    assert set_here == ["PATH", "PYTHONUNBUFFERED", "PHOTOCAT_STORAGE", "PHOTOCAT_ALEMBIC_LOG"]


def test_what_the_image_runs_is_there_and_its_check_tells_well_from_ill() -> None:
    commands = {line[0]: " ".join(line[1:]) for line in dockerfile() if line[0] in ("CMD", "HEALTHCHECK")}
    served = json.loads(commands["CMD"])
    assert served[:3] == ["python", "-m", "photocat"]
    shown = CliRunner().invoke(photocat_main.app, [*served[3:], "--help"])
    assert shown.exit_code == 0 and "Serve the catalogue" in shown.output
    check = json.loads(commands["HEALTHCHECK"].partition("CMD ")[2])
    assert check[:2] == ["python", "-c"]
    with HTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            code = check[2].replace(":8000/", f":{server.server_port}/")
            for Health.status, failed in ((200, 0), (503, 1)):
                done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
                assert done.returncode == failed, done.stderr
        finally:
            server.shutdown()
            thread.join()


class Health(BaseHTTPRequestHandler):
    """Answers `/health` with whatever status is set, and nothing else."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass
