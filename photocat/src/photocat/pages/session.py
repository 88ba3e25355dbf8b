"""Who looks at a page: a bearer token, pasted once and kept in a cookie that no script can read.

It decides what the cookie is and which posts are our own pages'. The cookie goes with requests of this site alone
(SameSite=Strict) and never reaches the API, which reads the Authorization header; a revoked token ends the session with
its next request. It must never show a token, nor take a post that another site sent.
"""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends, Request
from starlette.responses import Response

from photocat.auth import grant_for
from photocat.context import Asker, admin_of, service_of
from photocat.problems import Problem

COOKIE = "photocat_token"
#: Seconds that a browser keeps the cookie.
LASTS = 12 * 60 * 60
_LOCAL = re.compile(r"/(?![/\\])[^\\\x00-\x20]*")


def page_asker(request: Request) -> Asker:
    """Whoever signed in.

    Raises:
        Problem: 401 without a cookie, or with a token that no longer holds.
    """
    service = service_of(request)
    with service.sessions() as session:
        grant = grant_for(session, f"Bearer {request.cookies.get(COOKIE, '')}")
    return Asker(service, grant.tenant, grant)


def page_admin(asker: Annotated[Asker, Depends(page_asker)]) -> Asker:
    """Whoever signed in with a token of admin scope.

    Raises:
        Problem: 401, or 403 for a token without it.
    """
    return admin_of(asker)


def keep(response: Response, request: Request, token: str) -> None:
    """Puts a token into the answer's cookie; where the page came by HTTPS the cookie goes by HTTPS alone."""
    response.set_cookie(
        COOKIE, token, max_age=LASTS, httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )


def forget(response: Response, request: Request) -> None:
    """Takes the cookie away."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=request.url.scheme == "https")


def check_origin(request: Request) -> None:
    """Raises Problem 403 unless a request that may change something comes from a page of this site.

    Browsers say where a post comes from; one that does not say is refused, for programs have the API.
    """
    if request.method in ("GET", "HEAD"):
        return
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    site = request.headers.get("sec-fetch-site")
    # Behind a proxy that ends HTTPS we may not know which of the two it was.
    ours = origin in (f"http://{host}", f"https://{host}") if origin is not None else site == "same-origin"
    if not ours or site not in (None, "same-origin"):
        raise Problem(403, "forbidden", "This form was sent from another site. Open the page here and send it again.")


def local(target: str) -> str:
    """Where to go after signing in: a path of this site, whatever the request says."""
    return target if _LOCAL.fullmatch(target) else "/"


Viewer = Annotated[Asker, Depends(page_asker)]
Keeper = Annotated[Asker, Depends(page_admin)]
