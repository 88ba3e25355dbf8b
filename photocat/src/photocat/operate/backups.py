"""`db-backup-prod` and `db-reset-dev`: a verified backup of one environment, and another one made anew from it.

It decides which backup is the newest that holds, and that a reset happens as one transaction: all of it, or nothing.
It must never reset prod, nor take a backup that was not verified.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path

import psycopg

from normalform import api
from normalform.backup.folder import read
from normalform.core.backup_manifest import Manifest
from normalform.errors import BackupRefused
from photocat.operate.environments import NORMALFORM, Environment, Name, client, client_environment
from photocat.operate.errors import OperateError

LEDGER = "normalform"


def take(environment: Environment, folder: Path, *, keep: int | None = None) -> Path:
    """Take a verified backup, as `normalform backup` does, whose lines are shown.

    Owners and rights are left out, so that every environment's own role can restore it.

    Args:
        environment: of which database.
        folder: where it goes, as `photocat-NAME-TIME.sql` with its manifest beside it.
        keep: how many verified backups of this database stay in the folder; None: all.

    Returns:
        The backup.

    Raises:
        OperateError: it was not taken; the reason has been shown.
    """
    path = folder / f"photocat-{environment.name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.sql"
    # The URL goes by the environment: a command line is seen by everybody.
    command = [*NORMALFORM, "backup", "--output", str(path), "--no-owner", *(["--keep", str(keep)] if keep else [])]
    done = subprocess.run(command, env={**os.environ, "NORMALFORM_DATABASE_URL": environment.url}, check=False)
    if done.returncode != 0:
        raise OperateError(f"no backup was made: normalform backup ended with status {done.returncode}")
    return path


def newest(name: Name, folder: Path) -> tuple[Path, Manifest]:
    """The newest backup of an environment that was verified, its files looked at again.

    Raises:
        OperateError: there is none, or the newest one is damaged.
    """
    found: list[tuple[Path, Manifest]] = []
    refused: list[str] = []
    for path in sorted(folder.glob(f"photocat-{name}-*.sql")):
        try:
            manifest = read(path)
        except BackupRefused as error:
            refused.append(str(error))
            continue
        if manifest.verified_at:
            found.append((path, manifest))
    if refused:
        # An older one in its place would be restored without anybody noticing.
        raise OperateError("\n".join(refused), hint=f"remove it from {folder}, or make db-backup-{name}")
    if not found:
        raise OperateError(f"there is no verified backup of {name} in {folder}", hint=f"make db-backup-{name}")
    path, manifest = max(found, key=lambda pair: pair[1].when)
    try:
        api.backup_check(api.Options("", None), path, restore=False)
    except BackupRefused as error:
        raise OperateError(str(error), hint=f"remove it from {folder}, or make db-backup-{name}") from None
    return path, manifest


def reset(environment: Environment, backup: Path, manifest: Manifest, *, mask: bool = False) -> None:
    """Make an environment's database anew from a backup: everything goes, the backup comes, in one transaction.

    Tokens of the other environment are removed, and the application's role gets its rights.

    Args:
        environment: dev or staging.
        backup: as `newest` gives it, with its manifest.
        manifest: of the backup.
        mask: whether people's names are replaced before anybody can see them.

    Raises:
        OperateError: the database cannot be reset; it is as it was.
    """
    if environment.name == "prod":
        raise OperateError("prod is never reset", hint="make db-reset-dev, or make db-reset-staging")
    if mask and any(table.schema == LEDGER for table in manifest.contents.tables):
        raise OperateError(
            f"{backup} was taken after expand: the ledger's archive and mapping in it keep people's names, which "
            "masking does not reach",
            hint="take one before Phase 1, or reset without MASK=1",
        )
    with psycopg.connect(environment.app_url) as connection:
        row = connection.execute("SELECT current_user").fetchone()
    assert row is not None
    scripts: list[str | Path] = ["clear.sql", backup, "rights.sql", *(["mask.sql"] if mask else [])]
    _restore(environment, scripts, {"photocat_app_role": str(row[0])})


def _restore(environment: Environment, scripts: list[str | Path], variables: Mapping[str, str]) -> None:
    command = [client("psql"), "-X", "-q", "--single-transaction", "-v", "ON_ERROR_STOP=1", "-o", os.devnull]
    for name, value in variables.items():
        command += ["-v", f"{name}={value}"]
    with as_file(files("photocat.operate")) as ours:
        for script in scripts:
            command += ["-f", str(script if isinstance(script, Path) else ours / script)]
        reached = {**client_environment(environment.url), "PHOTOCAT_MASK_KEY": secrets.token_hex(32)}
        done = subprocess.run(command, env=reached, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        said = "\n".join(f"  {line}" for line in done.stderr.strip().splitlines()[-5:])
        raise OperateError(f"{environment.name} was not reset, and is as it was; psql said:\n{said}")
