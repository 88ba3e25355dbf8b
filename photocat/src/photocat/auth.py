"""Bearer tokens: made once, kept as a hash, bound to a tenant.

It decides what a token looks like and when it holds. It must never store, log or repeat a token; the SHA-256 alone is
kept, which is enough because a token has 256 random bits and cannot be guessed from it.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from photocat.models.shared import ApiToken, Tenant
from photocat.problems import Problem

PREFIX = "pc_"
_LONGEST = 200


@dataclass(frozen=True)
class Grant:
    """What a token gives: `tenant` is the only one that its bearer sees, `admin` opens the routes of administration."""

    tenant: str
    admin: bool
    token_name: str


def token_hash(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def create_token(
    session: Session, tenant: str, name: str, *, admin: bool = False, expires_at: datetime | None = None
) -> str:
    """Makes a token and returns it, for the only time.

    Args:
        session: in a transaction that the caller commits.
        tenant: an existing tenant.
        name: whose token this is, to tell it apart.
        admin: whether it may change keywords, categories and people.
        expires_at: in UTC, without a zone; None for never.

    Raises:
        LookupError: there is no such tenant.
    """
    if session.get(Tenant, tenant) is None:
        raise LookupError(f"there is no tenant {tenant!r}")
    token = PREFIX + secrets.token_urlsafe(32)
    session.add(
        ApiToken(tenant_id=tenant, name=name[:100], token_hash=token_hash(token), admin=admin, expires_at=expires_at)
    )
    session.flush()
    return token


def revoke_tokens(session: Session, tenant: str, name: str) -> int:
    """Ends every token of this name that still holds; returns how many."""
    mine = select(ApiToken).where(ApiToken.tenant_id == tenant, ApiToken.name == name, ApiToken.revoked_at.is_(None))
    found = session.scalars(mine).all()
    for token in found:
        token.revoked_at = datetime.now(UTC).replace(tzinfo=None)
    return len(found)


def grant_for(session: Session, authorization: str | None) -> Grant:
    """What an Authorization header gives.

    Raises:
        Problem: 401 if it is absent, of another scheme, unknown, expired, revoked, or of an inactive tenant; these are
            not told apart.
    """
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip()
    # Surrogates stand for bytes that are not UTF-8: no token of ours has any, and they cannot be hashed.
    if scheme.lower() != "bearer" or not token.isascii() or not 0 < len(token) <= _LONGEST:
        raise unauthorized()
    moment = datetime.now(UTC).replace(tzinfo=None)
    query = (
        select(ApiToken.tenant_id, ApiToken.admin, ApiToken.name)
        .join(Tenant, Tenant.id == ApiToken.tenant_id)
        .where(
            ApiToken.token_hash == token_hash(token),
            ApiToken.revoked_at.is_(None),
            or_(ApiToken.expires_at.is_(None), ApiToken.expires_at > moment),
            func.coalesce(Tenant.active, True),
        )
    )
    row = session.execute(query).first()
    if row is None:
        raise unauthorized()
    return Grant(row.tenant_id, row.admin, row.name)


def unauthorized() -> Problem:
    """401, with the scheme that is wanted."""
    detail = "Send a token of this catalogue: Authorization: Bearer …"
    return Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="photocat"'})
