"""`/health`: whether the service can work, without a token."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy.exc import SQLAlchemyError

from photocat import __version__
from photocat.context import Anybody, Service
from photocat.schema_state import state_of
from photocat.schemas.answers import Health

router = APIRouter(tags=["health"])


@router.get("/health", response_model=Health, responses={503: {"model": Health, "description": "No database"}})
def health(service: Anybody, response: Response) -> Any:
    """Database, revision, phase of the migration, and version of the code."""
    answer = health_of(service)
    if answer["status"] != "ok":
        response.status_code = 503
        response.headers["Retry-After"] = str(service.settings.retry_after)
    return answer


def health_of(service: Service) -> dict[str, str | None]:
    """The same without a request: for whoever must know before the service takes one."""
    answer = {"tag_columns": service.settings.tag_columns, "version": __version__}
    try:
        with service.sessions() as session:
            return {"status": "ok", "database": "ok", **state_of(session), **answer}
    except SQLAlchemyError:
        return {"status": "down", "database": "unreachable", "revision": None, "phase": None, **answer}
