"""`/sign-in` and `/sign-out`: a token into the browser's cookie, and out of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from photocat.auth import grant_for
from photocat.context import Anybody
from photocat.pages.render import PageRoute, render
from photocat.pages.session import forget, keep, local
from photocat.problems import Problem

router = APIRouter(route_class=PageRoute)


@router.get("/sign-in")
def form(next: str = "/") -> Response:  # noqa: A002 (the name in the address)
    """Asks for a token."""
    return _form(next, "")


@router.post("/sign-in")
def sign_in(
    request: Request, service: Anybody, token: Annotated[str, Form()] = "", next: Annotated[str, Form()] = "/",  # noqa: A002
) -> Response:  # fmt: skip
    """Keeps a token that holds, and goes on to the page that was asked for."""
    pasted = token.strip()
    try:
        with service.sessions() as session:
            grant_for(session, f"Bearer {pasted}")
    except Problem:
        return _form(next, "This token does not hold: it is not one of this catalogue, has expired, or was revoked.")
    response = RedirectResponse(local(next), 303)
    keep(response, request, pasted)
    return response


@router.post("/sign-out")
def sign_out(request: Request) -> Response:
    """Forgets the token; elsewhere it holds until it is revoked."""
    response = RedirectResponse("/sign-in", 303)
    forget(response, request)
    return response


def _form(target: str, said: str) -> Response:
    status = 401 if said else 200
    return render("sign_in.html", status=status, asker=None, direction="ltr", target=local(target), said=said)
