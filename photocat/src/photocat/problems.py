"""Errors as RFC 9457 problem details: which there are, and what an answer with one looks like.

It decides the `type` of each error, its status and what of it is shown. It must never show a connection string, a
statement, or a row of another tenant; an error that nobody foresaw shows its kind alone and goes to the log.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from starlette.exceptions import HTTPException

log = logging.getLogger("photocat")

MEDIA_TYPE = "application/problem+json"
#: Relative, as RFC 9457 allows: the documentation of each type stands under it.
TYPES = "/problems/"
#: What a validation error repeats of the request: enough to find the place.
SHOWN = 200

TITLES: Mapping[str, str] = {
    "ambiguous-keyword": "Several keywords have this name",
    "ambiguous-person": "Several people have this name",
    "bad-picture": "This is no picture that can be read",
    "busy": "The database is busy",
    "conflict": "This contradicts what is stored",
    "fenced": "Writes are refused during maintenance",
    "forbidden": "This token may not do that",
    "internal": "Something went wrong here",
    "invalid": "The request does not have the right form",
    "method-not-allowed": "This method is not offered here",
    "not-acceptable": "This request cannot be answered as it was asked",
    "not-found": "There is no such thing",
    "too-large": "The request is too large",
    "too-many-pixels": "The picture has too many pixels",
    "unauthorized": "A valid token is needed",
    "unavailable": "The database cannot be reached",
    "unknown-keyword": "There is no such keyword",
    "unknown-person": "There is no such person",
    "unsupported-type": "Pictures of this type are not taken",
}

#: SQLSTATEs that mean: the same request may succeed a little later.
_LATER = frozenset({"40001", "40P01", "55P03", "57014", "53300", "53400", "57P01", "57P02", "57P03", "25P03"})
_FENCED = "25006"
_CONFLICTS = frozenset({"23505", "23503", "23001", "23514", "23P01"})


class ProblemModel(BaseModel):
    """What every error answers (RFC 9457); some types add members of their own."""

    model_config = ConfigDict(extra="allow", title="Problem")

    type: str = Field(description="Which error this is; stable.")
    title: str = Field(description="The same in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened to this request.")
    instance: str | None = Field(default=None, description="The path of the request.")


class Problem(Exception):
    """An error that the asker is told.

    Args:
        status: HTTP status.
        kind: one of `TITLES`.
        detail: what happened, on which object, and what to do.
        headers: beside the body.
        more: further members of the answer (`candidates`, `near`, `errors`).
    """

    def __init__(
        self, status: int, kind: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more

    def body(self, path: str | None = None) -> dict[str, Any]:
        """The answer's members; `path` becomes its `instance`."""
        members = {"type": f"{TYPES}{self.kind}", "title": TITLES[self.kind], "status": self.status}
        return {**members, "detail": self.detail, **({"instance": path} if path else {}), **self.more}

    def response(self, path: str | None = None) -> JSONResponse:
        """The answer."""
        content = jsonable_encoder(self.body(path))
        return JSONResponse(content, self.status, headers=self.headers, media_type=MEDIA_TYPE)


def not_found(what: str, key: object) -> Problem:
    """404: what is looked for does not exist, or not in this tenant; the two are not told apart."""
    return Problem(404, "not-found", f"There is no {what} {key}.")


def from_database(error: BaseException, retry_after: int) -> Problem:
    """What a database error means to the asker.

    Args:
        error: what the driver raised.
        retry_after: seconds that a refused write is asked to wait.

    Returns:
        503 `fenced`, `busy` or `unavailable`, each with Retry-After; 409 for a broken rule; 422 for a value that the
        database cannot hold; otherwise 500.
    """
    later = {"Retry-After": str(retry_after)}
    state = getattr(error, "sqlstate", None)
    if state == _FENCED:
        detail = f"The catalogue takes no writes during maintenance; reading goes on. Try again in {retry_after} s."
        return Problem(503, "fenced", detail, headers=later)
    if state in _LATER:
        detail = f"The database did not finish in time. Try again in {retry_after} s."
        return Problem(503, "busy", detail, headers=later)
    if state in _CONFLICTS:
        name = getattr(getattr(error, "diag", None), "constraint_name", None)
        rule = f" ({name})" if name else ""
        return Problem(409, "conflict", f"Another row, or another writer, stands against this{rule}.")
    if isinstance(error, psycopg.DataError):
        return Problem(422, "invalid", "A value in the request is not one that the catalogue can store.")
    if isinstance(error, psycopg.OperationalError) or (state or "").startswith("08"):
        return Problem(503, "unavailable", "The database cannot be reached now.", headers=later)
    return Problem(500, "internal", "The catalogue could not answer; the log of the service says why.")


def _shortened(error: Mapping[str, Any]) -> dict[str, Any]:
    where: Sequence[str | int] = error.get("loc", ())
    place = ".".join(str(part) for part in where)
    value = error.get("input")
    shown = value if isinstance(value, int | float | bool) or value is None else str(value)[:SHOWN]
    # Infinity and a lone surrogate stand in no JSON.
    printable = ascii(shown) if isinstance(shown, float | str) and not _plain(shown) else shown
    return {"where": place[:SHOWN], "message": str(error.get("msg", "")), "given": printable}


def _plain(value: str | float) -> bool:
    if isinstance(value, float):
        return value - value == 0
    return not any("\ud800" <= char <= "\udfff" for char in value)


def install(app: FastAPI, retry_after: int) -> None:
    """Makes every error of the application a problem detail."""

    @app.exception_handler(Problem)
    def problem(request: Request, error: Problem) -> JSONResponse:
        return error.response(request.url.path)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        errors = [_shortened(e) for e in error.errors()]
        first = f"{errors[0]['where']}: {errors[0]['message']}" if errors else "the request cannot be read"
        return Problem(422, "invalid", first, errors=errors).response(request.url.path)

    @app.exception_handler(HTTPException)
    def http(request: Request, error: HTTPException) -> JSONResponse:
        kinds = {401: "unauthorized", 403: "forbidden", 404: "not-found", 405: "method-not-allowed", 413: "too-large"}
        kind = kinds.get(error.status_code, "invalid" if error.status_code < 500 else "internal")
        found = Problem(error.status_code, kind, str(error.detail), headers=error.headers)
        return found.response(request.url.path)

    @app.exception_handler(SQLAlchemyError)
    def database(request: Request, error: SQLAlchemyError) -> JSONResponse:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        found = from_database(cause, retry_after)
        if found.kind == "conflict":  # the runbook searches the log for these
            log.warning("constraint error on %s %s: %s", request.method, request.url.path, found.detail)
        if found.status == 500:
            log.error("database error on %s %s", request.method, request.url.path, exc_info=error)
        return found.response(request.url.path)

    @app.exception_handler(Exception)
    def unforeseen(request: Request, error: Exception) -> JSONResponse:
        log.error("unforeseen error on %s %s", request.method, request.url.path, exc_info=error)
        return Problem(500, "internal", f"Unforeseen: {type(error).__name__}.").response(request.url.path)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that can answer these statuses with a problem."""
    words = {
        400: "The body cannot be read", 401: "No token, or not a valid one", 403: "The token has not the scope",
        404: "Not in this tenant",
        409: "Ambiguous, or against what is stored", 413: "Too large", 415: "Not a type that is taken",
        422: "Not of the right form, or unknown", 503: "Fenced for maintenance, busy, or unreachable; see Retry-After",
    }  # fmt: skip
    return {status: {"description": words[status], "model": ProblemModel} for status in statuses}


def openapi_problems(schema: dict[str, Any]) -> dict[str, Any]:
    """Puts `application/problem+json` wherever the document has an error; changes and returns it."""
    for operations in schema.get("paths", {}).values():
        for operation in operations.values():
            for status, response in operation.get("responses", {}).items():
                content = response.get("content", {})
                if status >= "400" and "application/json" in content:
                    response["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
                if status == "503":
                    response.setdefault("headers", {})["Retry-After"] = {
                        "description": "Seconds to wait.", "schema": {"type": "integer"},
                    }  # fmt: skip
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError", "ProblemModel"):
        schemas.pop(name, None)
    schemas["Problem"] = ProblemModel.model_json_schema()
    return schema
