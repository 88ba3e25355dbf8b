"""Turning values into pages, and every error on the way into one too.

It decides which headers each page has, and what htmx is told where only a part of a page is asked for. Everything is
escaped by the templates. It must never send a page that runs a script or a style which is not a file of ours.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import BaseModel, ValidationError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from starlette.responses import HTMLResponse, RedirectResponse, Response

from photocat import __version__
from photocat.context import service_of
from photocat.pages.session import check_origin
from photocat.problems import TITLES, Problem, from_database

log = logging.getLogger("photocat")

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: with it browsers send `Origin: null` with a form, and we could not tell our own.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
#: The part of the page that htmx wants to replace; a picture has a place of its own for errors.
_PICTURE = re.compile(r"picture-\d{1,10}")
_TOUCHED = "touched"

_env = Environment(
    loader=PackageLoader("photocat.pages"), autoescape=True, undefined=StrictUndefined,
    trim_blocks=True, lstrip_blocks=True, auto_reload=False,
)  # fmt: skip
_env.globals["version"] = __version__

Model = TypeVar("Model", bound=BaseModel)


def render(name: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any) -> HTMLResponse:
    """A page or a part of one, from a template."""
    text = _env.get_template(name).render(values)
    return HTMLResponse(text, status, headers={"Cache-Control": "private, no-store", **(headers or {})})


def partial(request: Request) -> bool:
    """Whether htmx asks, for a part of the page."""
    return request.headers.get("hx-request") == "true"


def target_of(request: Request) -> str:
    """The id of the element that htmx wants to fill; "" for none, or for one that is no id of ours."""
    target = request.headers.get("hx-target", "")
    return target if re.fullmatch(r"[a-z][a-z0-9-]{0,40}", target) else ""


def checked(model: type[Model], values: Mapping[str, Any]) -> Model:
    """What a form or a query holds, as the API would take it.

    Raises:
        Problem: 422 naming the field.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise _invalid(error.errors()) from None


class PageRoute(APIRoute):
    """A route whose errors are pages, whose posts are our own, and whose answers have `HEADERS`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """As FastAPI asks for it."""
        inner = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                check_origin(request)
                response = await inner(request)
            except Problem as problem:
                response = refused(request, problem)
            except RequestValidationError as error:
                response = refused(request, _invalid(error.errors()))
            except SQLAlchemyError as error:
                response = refused(request, _of_database(request, error))
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return handled


def refused(request: Request, problem: Problem) -> Response:
    """A problem as a page, or as the part of one that tells it; without a token that holds, the way to sign in."""
    if problem.status == 401:
        return _to_sign_in(request)
    target = target_of(request)
    values = {"problem": problem, "title": TITLES[problem.kind], "post": _again(request)}
    headers = dict(problem.headers)
    if not partial(request):
        return render("error.html", status=problem.status, headers=headers, asker=None, direction="ltr", **values)
    if target != _TOUCHED:
        picture = _PICTURE.fullmatch(target) is not None
        headers |= {"HX-Retarget": f"#said-{target}" if picture else "#notice", "HX-Reswap": "innerHTML"}
        # A picture's place for errors stands inside the form that is to be sent again.
        values["post"] = None if picture else values["post"]
    return render("problem.html", status=problem.status, headers=headers, **values)


def _again(request: Request) -> dict[str, Any] | None:
    """The form in which a candidate for an ambiguous name is chosen; of `/admin` only a merge names a keyword."""
    if request.method != "POST":
        return None
    path = request.url.path
    return {"action": path, "fields": {"what": "merge"} if path.startswith("/admin/") else {}}


def _to_sign_in(request: Request) -> Response:
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    asks_for_page = request.method == "GET" and not partial(request)
    where = f"/sign-in?next={quote(back, safe='')}" if asks_for_page and back != "/" else "/sign-in"
    if partial(request):
        return Response(status_code=401, headers={"HX-Redirect": where})
    return RedirectResponse(where, 303)


def _of_database(request: Request, error: SQLAlchemyError) -> Problem:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    found = from_database(cause, service_of(request).settings.retry_after)
    if found.status == 500:
        log.error("database error on %s %s", request.method, request.url.path, exc_info=error)
    return found


def _invalid(errors: Any) -> Problem:
    first = errors[0] if errors else {"loc": (), "msg": "it cannot be read"}
    places = [str(part) for part in first["loc"] if part not in ("query", "body", "path")]
    message = str(first["msg"]).removeprefix("Value error, ")
    return Problem(422, "invalid", f"{'.'.join(places)}: {message}" if places else message)
