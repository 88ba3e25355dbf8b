"""Images of the service: built, tagged and pushed by Docker's own command line.

It decides names and order. It must never hold a registry's password (that is `docker login`'s), nor build anything
where no engine answers.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from photocat.operate.environments import ROOT
from photocat.operate.errors import OperateError

NAME, LATEST = "photocat", "latest"
DOCKERFILE = Path("photocat") / "Dockerfile"
NO_ENGINE = "No Docker engine answers here, so no image is built: the code of this folder is what runs."
_SECONDS = 20


def engine() -> bool:
    """Whether a Docker engine answers."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        asked = subprocess.run(
            [docker, "info", "--format", "{{.ServerVersion}}"], capture_output=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0 and bool(asked.stdout.strip())


def build(tag: str, *, root: Path = ROOT) -> str:
    """Build the image of the code in a repository.

    Returns:
        Its name with the tag.
    """
    image = f"{NAME}:{tag}"
    _docker("build", "--file", str(root / DOCKERFILE), "--tag", image, str(root))
    return image


def publish(image: str, registry: str) -> None:
    """Name an image `latest`; where there is a registry, push it there by its tag and as `latest`.

    Args:
        image: `photocat:TAG`.
        registry: where to push, such as `registry.example.com/team`; empty: nowhere.
    """
    latest = f"{NAME}:{LATEST}"
    _docker("tag", image, latest)
    if registry:
        for name in (image, latest):
            there = f"{registry.rstrip('/')}/{name}"
            _docker("tag", image, there)
            _docker("push", there)


def _docker(*arguments: str) -> None:
    docker = shutil.which("docker")
    if docker is None:
        raise OperateError(NO_ENGINE)
    done = subprocess.run([docker, *arguments], check=False)
    if done.returncode != 0:
        raise OperateError(f"docker {arguments[0]} ended with status {done.returncode}; it has said why")
