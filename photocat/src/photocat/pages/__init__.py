"""The pages: `/` pictures with their tags, `/admin` keywords and categories, `/sign-in` for both.

Rendered here, on the functions of the API's own routes, so that a page can do nothing that the API would refuse. They
need no build: htmx and our few lines of script and style are served as they lie in `static/`. They must never load
anything from elsewhere.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from photocat.pages import admin, pictures, sign_in

STATIC = Path(__file__).parent / "static"


def install(app: FastAPI) -> None:
    """Adds the pages to an application; they are no part of its OpenAPI document."""
    for router in (sign_in.router, pictures.router, admin.router):
        app.include_router(router, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
