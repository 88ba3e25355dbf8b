"""`python -m photocat`: serve, and make or revoke tokens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, NoReturn

import typer
import uvicorn
from sqlalchemy.exc import SQLAlchemyError

from photocat.app import create_app
from photocat.auth import create_token, revoke_tokens
from photocat.database import engine_for, sessions_for
from photocat.settings import from_environment

app = typer.Typer(help="PhotoCat, a multi-tenant photo catalogue.", no_args_is_help=True, add_completion=False)
token = typer.Typer(help="Bearer tokens.", no_args_is_help=True)
app.add_typer(token, name="token")

Tenant = Annotated[str, typer.Option(help="The tenant that the token is bound to.")]
Name = Annotated[str, typer.Option(help="Whose token it is.")]


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
) -> None:
    """Serve the catalogue until it is told to stop; requests under way are finished first."""
    uvicorn.run(create_app(), host=host, port=port, timeout_graceful_shutdown=30)


@token.command("create")
def token_create(
    tenant: Tenant,
    name: Name = "cli",
    admin: Annotated[bool, typer.Option("--admin", help="May change keywords, categories and people.")] = False,
    days: Annotated[int | None, typer.Option(min=1, help="Days that it holds; without it, until revoked.")] = None,
) -> None:
    """Make a token and print it, for the only time."""
    engine = engine_for(from_environment())
    expires = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=days) if days else None
    try:
        with sessions_for(engine).begin() as session:
            made = create_token(session, tenant, name, admin=admin, expires_at=expires)
    except (LookupError, SQLAlchemyError) as error:
        _fail(error)
    finally:
        engine.dispose()
    typer.echo(made)


@token.command("revoke")
def token_revoke(tenant: Tenant, name: Name) -> None:
    """Revoke every token of a tenant with this name."""
    engine = engine_for(from_environment())
    try:
        with sessions_for(engine).begin() as session:
            count = revoke_tokens(session, tenant, name)
    except SQLAlchemyError as error:
        _fail(error)
    finally:
        engine.dispose()
    typer.echo(f"revoked {count}")


def _fail(error: Exception) -> NoReturn:
    first = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    typer.echo(f"error: {first}", err=True)
    raise typer.Exit(1)


if __name__ == "__main__":
    app()
