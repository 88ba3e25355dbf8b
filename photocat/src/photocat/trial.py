"""`make photocat`: a server of our own, sample data, tokens, and the service on top.

It decides where all this lives (a folder that git ignores), and for which tenants there are tokens. It must never touch
a database that anybody else made.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import webbrowser
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from normalform.embedded import start
from photocat.operate.databases import APPLICATION, DATABASE, fitting_columns, is_empty, make_database
from photocat.sample import seed

#: One with something of everything, and languages of the real data, one from right to left, where so many are loaded.
TENANTS = ("demo", "de-CH", "en", "ur")
TOKEN = "trial"  # noqa: S105  (a token's name)
FOLDER = Path(".normalform") / "photocat"
#: Seconds until a service that has not answered is not waited for any more.
PATIENCE = 30


def main(
    rows: Annotated[int, typer.Option(min=1, help="Real tags to load, the first time.")] = 60_000,
    port: Annotated[int, typer.Option(help="Port of the service.")] = 8000,
    folder: Annotated[Path, typer.Option(help="Where the server keeps its files.")] = FOLDER,
    once: Annotated[bool, typer.Option("--once", help="Prepare everything and do not serve.")] = False,
) -> None:
    """Start a server, fill it the first time, print tokens, and serve until Ctrl-C."""
    # Whoever starts us in the background of a script has had SIGINT ignored; and a plain kill ends it as well.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    with start(folder / "server", version=18) as server:
        owner = make_database(server)
        if is_empty(owner):
            typer.echo(f"loading {rows:,} real tags …")
            seed(owner, rows=rows)
        environment = {
            **os.environ,
            "PHOTOCAT_DATABASE_URL": server.url(DATABASE, APPLICATION),
            "PHOTOCAT_STORAGE": str((folder / "storage").absolute()),
            "PHOTOCAT_TAG_COLUMNS": fitting_columns(owner),
        }
        for tenant in _tenants(owner):
            typer.echo(f"token of tenant {tenant}: {_token(tenant, environment)}")
        typer.echo(f"to migrate: PHOTOCAT_DATABASE_URL='{owner}' alembic -c photocat/alembic.ini upgrade head")
        typer.echo(f"the pages: http://127.0.0.1:{port}/   sign in with one of these tokens; /docs describes the API")
        typer.echo(f"Ctrl-C ends the service, the data stays in {folder}")
        sys.stdout.flush()  # before the service's own lines
        if not once:
            _serve(port, environment)


def _tenants(owner: str) -> list[str]:
    with psycopg.connect(owner) as connection:
        found = {str(row[0]) for row in connection.execute("SELECT id FROM tenants")}
    return [tenant for tenant in TENANTS if tenant in found]


def _token(tenant: str, environment: dict[str, str]) -> str:
    """A new token with admin scope; those of earlier trials are revoked, for nobody can read them again."""
    command = [sys.executable, "-m", "photocat", "token"]
    options = ["--tenant", tenant, "--name", TOKEN]
    subprocess.run([*command, "revoke", *options], env=environment, check=True, stdout=subprocess.DEVNULL)
    made = subprocess.run(
        [*command, "create", *options, "--admin"], env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return made.stdout.strip()


def _open(port: int) -> None:
    """Open the pages in the browser of whoever sits here, once they are served."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
        except OSError:  # not there yet, or there and not ready
            time.sleep(0.1)
        else:
            webbrowser.open(f"http://127.0.0.1:{port}/")
            return


def _at_a_desk() -> bool:
    """Whether somebody looks at this, who has windows: a browser within the terminal would take it over."""
    windows = sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    return windows and sys.stdout.isatty()


def _serve(port: int, environment: dict[str, str]) -> None:
    if _at_a_desk():
        threading.Thread(target=_open, args=(port,), daemon=True).start()
    with subprocess.Popen([sys.executable, "-m", "photocat", "serve", "--port", str(port)], env=environment) as service:
        try:
            service.wait()
        except KeyboardInterrupt:  # from a terminal the service has it too; it finishes what it has in hand
            service.terminate()
            service.wait()


if __name__ == "__main__":
    typer.run(main)
