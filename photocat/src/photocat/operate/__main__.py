"""`python -m photocat.operate`: what the targets of the Makefile call.

What a few commands need alone, and what is slow to load, is imported in these.
"""

from __future__ import annotations

import os
import shlex
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

import psycopg
import typer
from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from normalform.errors import NormalformError
from photocat.database import engine_for, sessions_for
from photocat.operate import control, deploy
from photocat.operate.client import Client
from photocat.operate.control import Application
from photocat.operate.databases import fitting_columns
from photocat.operate.environments import (
    CHOSEN,
    NAMES,
    Environment,
    client,
    client_environment,
    folder,
    named,
    open_environment,
    stop_server,
)  # fmt: skip
from photocat.operate.errors import OperateError
from photocat.operate.migrate import CONSTRAIN, migrate
from photocat.operate.state import phase_of
from photocat.settings import Settings, TagColumns

app = typer.Typer(
    help="The runbook of PhotoCat's migration, as commands.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

PRODUCTION_LOG, STAGING_LOG, BACKUPS = Path("production.log"), Path("staging-logs.txt"), Path("backups")
Which = Annotated[str, typer.Argument(metavar="ENVIRONMENT", help="dev, staging or prod.")]
Folder = Annotated[Path, typer.Option(help="Folder of the backups.")]
Registry = Annotated[str, typer.Option(envvar="REGISTRY", help="Where images are pushed; none: nowhere.")]


@app.command()
def backup(
    environment: Which = "prod",
    folder: Folder = BACKUPS,
    keep: Annotated[int | None, typer.Option(min=1, help="How many verified backups stay; none: all.")] = None,
) -> None:
    """Take a backup, restore it elsewhere, compare, and keep it only if it is equal."""
    from photocat.operate import backups

    backups.take(open_environment(named(environment)), folder, keep=keep)


@app.command()
def reset(
    environment: Which = "dev",
    source: Annotated[str, typer.Option("--from", help="The environment whose newest backup is restored.")] = "prod",
    mask: Annotated[bool, typer.Option("--mask", help="Replace people's names.")] = False,
    folder: Folder = BACKUPS,
) -> None:
    """Make a database anew from the newest verified backup; nothing of it stays."""
    from photocat.operate import backups

    path, manifest = backups.newest(named(source), folder)
    target = open_environment(named(environment), fill=False)
    backups.reset(target, path, manifest, mask=mask)
    masked = "; people's names are masked" if mask else ""
    typer.echo(f"✓ {target.name} is {path} as of {manifest.made_at}: {manifest.contents.rows:,} rows{masked}")


@app.command("migrate")
def migrate_command(
    environment: Which = "staging",
    revision: Annotated[
        str, typer.Option(help="Where to; Phase 3 is where both versions of the code run.")
    ] = CONSTRAIN,
    decisions: Annotated[Path | None, typer.Option(help="A decision file to apply before.")] = None,
) -> None:
    """Apply decisions, and upgrade."""
    target = open_environment(named(environment))
    migrate(target, revision, decisions)
    typer.echo(f"✓ {target.name} is at phase {phase_of(target.url)}")


@app.command("test")
def test_command(environment: Which) -> None:
    """Smoke-test every endpoint over HTTP, and search the log for errors of constraints."""
    from photocat.operate import staging

    target = open_environment(named(environment))
    log = STAGING_LOG if target.name == "staging" else Path(f"{target.name}-logs.txt")
    staging.check(target, folder() / target.name / "smoke", log, typer.echo)


@app.command(context_settings={"ignore_unknown_options": True})
def psql(environment: Which, arguments: Annotated[list[str] | None, typer.Argument(help="For psql.")] = None) -> None:
    """Open psql as the role that owns the tables."""
    target = open_environment(named(environment))
    program = client("psql")
    os.execve(program, [program, *(arguments or [])], dict(client_environment(target.url)))  # noqa: S606 (psql itself)


@app.command()
def env(environment: Which) -> None:
    """Print what makes a shell work on an environment: `eval "$(make -s env-dev)"`."""
    target = open_environment(named(environment))
    typer.echo("unset PHOTOCAT_DATABASE_URL")
    for name, value in ((CHOSEN, target.name), ("NORMALFORM_DATABASE_URL", target.url)):
        typer.echo(f"export {name}={shlex.quote(value)}")
    typer.echo(f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"')


@app.command()
def token(
    environment: Which,
    tenant: Annotated[str, typer.Option(help="The tenant that it is bound to.")],
    admin: Annotated[bool, typer.Option("--admin", help="May change keywords, categories and people.")] = False,
) -> None:
    """Make a token for the API and print it, for the only time."""
    from photocat.auth import create_token

    engine = engine_for(Settings(database_url=SecretStr(open_environment(named(environment)).url)))
    try:
        with sessions_for(engine).begin() as session:
            typer.echo(create_token(session, tenant, "operate", admin=admin))
    except LookupError as error:
        raise OperateError(str(error)) from None
    finally:
        engine.dispose()


@app.command()
def start(
    environment: Which = "prod",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = control.HOST,
    port: Annotated[int, typer.Option(envvar="PHOTOCAT_PORT", help="Port to listen on.")] = control.PORT,
    instances: Annotated[int, typer.Option(min=1, max=64, help="Processes that share the port.")] = control.INSTANCES,
) -> None:
    """Start the application with the release that holds; its lines go to production.log."""
    target = open_environment(named(environment))
    application = _application(target)
    release = deploy.first(application.folder, fitting_columns(target.url))
    found = application.start(target, release.tag_columns, host=host, port=port, instances=instances)
    typer.echo(f"✓ {deploy.described(found)}; its log is {application.log}")


@app.command()
def stop(environment: Which = "prod") -> None:
    """Stop the application; requests under way are finished first."""
    stopped = _application_of(environment).stop()
    typer.echo("✓ the application is down" if stopped else "the application was down already")


@app.command()
def restart(environment: Which = "prod") -> None:
    """Replace every instance while others serve."""
    typer.echo(f"✓ {deploy.described(_application_of(environment).restart())}")


@app.command()
def health(environment: Which = "prod") -> None:
    """Print what /health answers, and fail unless all is well."""
    found = _application_of(environment).running()
    if found is None:
        raise OperateError("the application does not run", hint="make start-app")
    answer = Client(found.host, found.port).send("GET", "/health")
    typer.echo(answer.body.decode())
    if answer.status != HTTPStatus.OK:
        raise typer.Exit(1)


@app.command("deploy")
def deploy_command(
    environment: Which = "prod",
    tag_columns: Annotated[str, typer.Option(help="text or key; none: key once the keys are proven.")] = "",
    registry: Registry = "",
) -> None:
    """Build and push the image, and move the application to this release."""
    target = open_environment(named(environment))
    release = deploy.deploy(target, _application(target), typer.echo, columns=_columns(tag_columns), registry=registry)
    typer.echo(f"✓ deployed: {release}")


@app.command()
def rollback(environment: Which = "prod", registry: Registry = "") -> None:
    """Move the application back to the release before."""
    target = open_environment(named(environment))
    release = deploy.roll_back(target, _application(target), typer.echo, registry=registry)
    typer.echo(f"✓ rolled back to {release}")


@app.command()
def decide(file: Annotated[Path, typer.Argument(help="A decision file of the sample data.")]) -> None:
    """Fill in the decision file of the sample data, by the demo's rules. For your own data: your own decisions."""
    from normalform.demo.decide import fill

    fill(file)
    typer.echo(f"✓ {file} is filled in; look at it before you apply it")


@app.command("stop-servers")
def stop_servers() -> None:
    """Stop the servers of our own; their data stays."""
    for name in NAMES:
        if stop_server(name):
            typer.echo(f"✓ the server of {name} is down")


def main() -> None:
    """Run the command line; what stops a command is a message, not a traceback."""
    try:
        app()
    except (OperateError, NormalformError) as error:
        _fail(str(error))
    except (psycopg.Error, SQLAlchemyError) as error:
        # The first line alone: the others may repeat a statement, and none of them a password.
        _fail(f"the database refused: {str(getattr(error, 'orig', None) or error).strip().splitlines()[0]}")


def _fail(message: str) -> None:
    typer.echo(f"error: {message}", err=True)
    sys.exit(1)


def _columns(text: str) -> TagColumns | None:
    if text == "text":
        return "text"
    if text == "key":
        return "key"
    if text:
        raise OperateError(f"there is no code that reads {text!r}", hint="TAG_COLUMNS=text, or key")
    return None


def _application(target: Environment) -> Application:
    return _application_of(target.name)


def _application_of(environment: str) -> Application:
    name = named(environment)
    log = PRODUCTION_LOG if name == "prod" else Path(f"{name}.log")
    files = os.environ.get("PHOTOCAT_STORAGE")
    return Application(folder() / name / "app", log, Path(files) if files else None)


if __name__ == "__main__":
    main()
