"""`deploy-api` and `rollback-api`: another release holds, and the application that runs is moved to it.

It decides which code a release has, and that nothing is recorded before it serves. It must never deploy code that does
not run on the database as it is.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from photocat.operate import images, releases
from photocat.operate.control import Application
from photocat.operate.environments import ROOT, Environment
from photocat.operate.errors import OperateError
from photocat.operate.keeper import Running
from photocat.operate.releases import Release
from photocat.operate.state import misfit, phase_of
from photocat.settings import TagColumns

FILE = "releases.json"
Say = Callable[[str], None]


def first(folder: Path, columns: TagColumns) -> Release:
    """The release that holds; where none was ever deployed, the one that has always run is noted as the first."""
    known = releases.read(folder / FILE)
    if not known:
        known = releases.added(known, _now(), columns, commit(), "")
        releases.write(folder / FILE, known)
    found = releases.current(known)
    assert found is not None, "the first release is never withdrawn"
    return found


def deploy(
    environment: Environment, app: Application, say: Say, *, columns: TagColumns | None = None, registry: str = ""
) -> Release:
    """Make a release of the code in this folder, and move the application to it if it runs.

    Args:
        environment: whose database it must run on.
        app: the application.
        say: takes lines for people.
        columns: which columns its code reads; None: `key` once the keys are proven, before that `text`.
        registry: where the image is pushed; empty: nowhere.

    Raises:
        OperateError: it does not run on the database, was not built, or does not start; what ran before goes on.
    """
    phase = phase_of(environment.app_url)
    chosen = columns or ("key" if misfit("key", phase) is None else "text")
    wrong = misfit(chosen, phase)
    if wrong:
        raise OperateError(wrong, hint="make deploy-api without TAG_COLUMNS takes the code that does")
    first(app.folder, "text" if misfit("text", phase) is None else "key")
    image = ""
    if images.engine():
        image = images.build(commit() or f"{datetime.now(UTC):%Y%m%d%H%M%S}")
        images.publish(image, registry)
        say(f"built {image}" + (f", pushed to {registry}" if registry else ""))
    elif registry:
        raise OperateError(
            f"{images.NO_ENGINE} Nothing was pushed to {registry}.", hint="start Docker, or unset REGISTRY"
        )
    else:
        say(images.NO_ENGINE)
    _move(app, chosen, say)
    known = releases.added(releases.read(app.folder / FILE), _now(), chosen, commit(), image)
    releases.write(app.folder / FILE, known)
    return known[-1]


def roll_back(environment: Environment, app: Application, say: Say, *, registry: str = "") -> Release:
    """Go back to the release before the current one, and move the application to it if it runs.

    Args:
        environment: whose database it must run on.
        app: the application.
        say: takes lines for people.
        registry: where its image is named `latest` again; empty: nowhere.

    Raises:
        OperateError: there is none, or it does not run on the database any more; what runs goes on.
    """
    known, before = releases.withdrawn(releases.read(app.folder / FILE))
    wrong = misfit(before.tag_columns, phase_of(environment.app_url))
    if wrong:
        raise OperateError(wrong, hint="downgrade first: alembic downgrade 202601201000")
    if before.image and images.engine():
        images.publish(before.image, registry)
    elif before.image:
        say(f"{images.NO_ENGINE} {before.image} is not named latest again.")
    _move(app, before.tag_columns, say)
    releases.write(app.folder / FILE, known)
    return before


def commit() -> str:
    """The commit of the code, marked where it was changed since; empty where there is no repository."""
    try:
        said = subprocess.run(
            ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"],  # noqa: S607 (whichever git)
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    except OSError:
        return ""
    return said.stdout.strip() if said.returncode == 0 else ""


def _move(app: Application, columns: TagColumns, say: Say) -> None:
    if app.running() is None:
        say("the application is down: make start-app starts this release")
        return
    say(described(app.restart(columns)))


def described(found: Running) -> str:
    """An application that runs, in a line."""
    instances = ", ".join(map(str, found.instances))
    return (
        f"the application serves http://{found.host}:{found.port} with code that reads {found.tag_columns}: "
        f"keeper {found.pid}, instances {instances}"
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
