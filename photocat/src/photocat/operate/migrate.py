"""Revisions and decisions on an environment, as the runbook gives them; `alembic` and `normalform` do the work.

It decides in which order: decisions, then revisions. It must never migrate prod: there each phase is a command that its
operator gives.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from photocat.operate.environments import CHOSEN, NORMALFORM, ROOT, Environment
from photocat.operate.errors import OperateError

#: Phase 3: the revision at which both versions of the code run.
CONSTRAIN = "202601201000"
PHOTOCAT = ROOT / "photocat"


def migrate(environment: Environment, revision: str, decisions: Path | None = None) -> None:
    """Apply decisions, then upgrade; both show their own lines.

    Args:
        environment: dev or staging.
        revision: where to, as `alembic upgrade` takes it.
        decisions: a decision file that was filled in, to be applied first.

    Raises:
        OperateError: one of the two stopped, for the reason that it has shown; what was done before stands.
    """
    if environment.name == "prod":
        raise OperateError(
            "prod is migrated phase by phase",
            hint="PHOTOCAT_ENVIRONMENT=prod alembic upgrade REVISION, as docs/how-to/runbook.md has it",
        )
    if decisions is not None:
        normalform = [*NORMALFORM, "--spec", str(PHOTOCAT / "normalform.toml")]
        _run([*normalform, "resolve", "apply", str(decisions)], environment, "normalform resolve apply")
    alembic = [sys.executable, "-m", "alembic", "-c", str(PHOTOCAT / "alembic.ini")]
    _run([*alembic, "upgrade", revision], environment, f"alembic upgrade {revision}")


def _run(command: list[str], environment: Environment, what: str) -> None:
    sys.stdout.flush()  # before the program's own lines
    kept = {name: value for name, value in os.environ.items() if name != "PHOTOCAT_DATABASE_URL"}
    which = {CHOSEN: environment.name, "NORMALFORM_DATABASE_URL": environment.url}
    done = subprocess.run(command, env={**kept, **which}, check=False)
    if done.returncode != 0:
        raise OperateError(f"{what} on {environment.name} ended with status {done.returncode}; it has said why")
