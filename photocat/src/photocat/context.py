"""What every route works with: who asks, which tenant that is, and transactions of the database.

It decides that a request's tenant comes from its token alone. It must never take a tenant from a path, a query or a
body, and a write's transaction is committed before its answer is sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer
from sqlalchemy import Engine, Table
from sqlalchemy.orm import Session

from photocat.auth import Grant, grant_for
from photocat.database import Sessions
from photocat.problems import Problem
from photocat.settings import Settings
from photocat.storage import Storage
from photocat.tags import TagColumns

#: For the OpenAPI document alone: `grant_for` reads the header, and its refusals are problem details.
_bearer = HTTPBearer(auto_error=False, description="A token made by `python -m photocat token create`.")


@dataclass(frozen=True)
class Service:
    """What the process has, in `app.state.service`."""

    settings: Settings
    engine: Engine
    sessions: Sessions
    columns: TagColumns
    storage: Storage


@dataclass(frozen=True)
class Asker:
    """One request's bearer.

    Attributes:
        service: what the process has.
        tenant: the tenant that every query is scoped by.
        grant: what the token gives.
    """

    service: Service
    tenant: str
    grant: Grant

    @property
    def columns(self) -> TagColumns:
        """The code before or after the migration."""
        return self.service.columns

    @property
    def keywords(self) -> Table:
        """The keywords, with the columns of that end."""
        return self.columns.table("keywords")

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that is rolled back in the end."""
        with self.service.sessions() as session:
            yield session

    @contextmanager
    def writing(self, *, dry_run: bool = False) -> Iterator[Session]:
        """A transaction that is committed at the block's end; with `dry_run` the block must write nothing."""
        with self.service.sessions() as session:
            yield session
            if not dry_run:
                session.commit()


def service_of(request: Request) -> Service:
    """The process's service."""
    service: Service = request.app.state.service
    return service


def asker_of(request: Request, _: Annotated[object, Security(_bearer)] = None) -> Asker:
    """Whoever bears the request's token.

    Raises:
        Problem: 401.
    """
    service = service_of(request)
    with service.sessions() as session:
        grant = grant_for(session, request.headers.get("authorization"))
    return Asker(service, grant.tenant, grant)


def admin_of(asker: Annotated[Asker, Depends(asker_of)]) -> Asker:
    """The same, with admin scope.

    Raises:
        Problem: 401, or 403 for a token without it.
    """
    if not asker.grant.admin:
        raise Problem(403, "forbidden", "This needs a token with admin scope.")
    return asker


Anybody = Annotated[Service, Depends(service_of)]
Bearer = Annotated[Asker, Depends(asker_of)]
Admin = Annotated[Asker, Depends(admin_of)]
