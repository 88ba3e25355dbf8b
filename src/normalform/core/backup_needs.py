"""What a backup needs of the server on which it is restored, and what such a server has.

Decides, before anything is dumped or restored, why a restore there would fail. It must never let a restore begin that
is known to fail half way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Needs:
    """What a backup needs.

    Args:
        extensions: versions by name.
        roles: every role that its objects belong to or are granted to.
        policy_roles: those of them that row policies name: these statements cannot leave them out.
        owners: whether the restore gives objects their owners and rights; a plain file's statements do.
    """

    extensions: Mapping[str, str]
    roles: frozenset[str]
    policy_roles: frozenset[str]
    owners: bool


@dataclass(frozen=True)
class Host:
    """What a server offers to the role that restores.

    Args:
        name: the server, for messages; without secrets.
        ours: whether we started it for this: roles are then made as needed.
        superuser, createdb: what the role is.
        role: the role's name.
        extensions: whether each extension that can be installed is trusted, by name.
        roles: the roles that exist, and whether the role is a member of each.
    """

    name: str
    ours: bool
    superuser: bool
    createdb: bool
    role: str
    extensions: Mapping[str, bool]
    roles: Mapping[str, bool]


def refusals(needs: Needs, host: Host) -> list[str]:
    """Return every reason why the backup could not be restored there, one line each; none: it can."""
    found = []
    for name, version in sorted(needs.extensions.items()):
        if name not in host.extensions:
            found.append(f"extension {name} {version} is not available on {host.name}")
        elif not host.extensions[name] and not host.superuser:
            found.append(f"extension {name} needs a superuser on {host.name}, and {host.role} is none")
    if host.ours:
        return found
    if not (host.superuser or host.createdb):
        found.append(f"role {host.role} may not create a scratch database on {host.name} (CREATEDB)")
    wanted = needs.roles if needs.owners else needs.policy_roles
    for role in sorted(wanted):
        if role not in host.roles:
            found.append(f"role {role} does not exist on {host.name}")
        elif needs.owners and not host.superuser and not host.roles[role]:
            found.append(f"role {host.role} is no member of {role} on {host.name}, and could give it nothing")
    return found


def remedy(needs: Needs, host: Host) -> str:
    """Return what to do about refusals."""
    if needs.owners and not host.ours and any(r not in host.roles or not host.roles[r] for r in needs.roles):
        return (
            "--no-owner, or --format directory, or CREATE ROLE there; without --verify-on we start a server ourselves"
        )
    return "--verify-on URL of a server that has them, as a role with CREATEDB"
