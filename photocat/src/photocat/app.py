"""The application: what it is made of, and in which order a request passes it.

It decides prefix, routes and document. It must never read the environment: settings come from the caller.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from photocat import __version__, pages
from photocat.context import Service
from photocat.database import engine_for, sessions_for
from photocat.limits import BodyLimit
from photocat.problems import documented, install, openapi_problems
from photocat.routes import categories, health, images, intake, keywords, people, tags
from photocat.settings import Settings, from_environment
from photocat.storage import Storage
from photocat.tags import columns_for

PREFIX = "/api/v1"


def create_app(settings: Settings | None = None) -> FastAPI:
    """The service; closing it gives its connections back.

    Args:
        settings: those of the environment if none are given.
    """
    chosen = settings or from_environment()
    app = FastAPI(
        title="PhotoCat", version=__version__, lifespan=_lifespan, generate_unique_id_function=_operation_id,
        description="A multi-tenant photo catalogue. Errors are problem details (RFC 9457).",
    )  # fmt: skip
    app.state.service = service_for(chosen)
    app.add_middleware(BodyLimit, settings=chosen, uploads=frozenset({f"{PREFIX}/images"}))
    install(app, chosen.retry_after)
    app.include_router(health.router)
    api = APIRouter(prefix=PREFIX, responses=documented(400, 413))
    # Before keywords: `categories` would otherwise be read as the key of a keyword.
    api.include_router(categories.router)
    for router in (keywords.router, keywords.reading, people.router, people.reading, images.router, tags.router):
        api.include_router(router)
    api.include_router(intake.router)
    app.include_router(api)
    pages.install(app)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return app


def service_for(settings: Settings) -> Service:
    """What an application works with; its connections are opened when they are first asked for.

    Args:
        settings: where its database and its files are, and which code it is.
    """
    engine = engine_for(settings)
    columns = columns_for(settings.tag_columns)
    return Service(settings, engine, sessions_for(engine), columns, Storage(settings.storage))


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.service.engine.dispose()


def _operation_id(route: APIRoute) -> str:
    return f"{route.tags[0] if route.tags else 'photocat'}-{route.name}".replace("_", "-")


def _document(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        app.openapi_schema = openapi_problems(made)
    return app.openapi_schema
