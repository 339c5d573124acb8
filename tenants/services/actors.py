"""Who acts. Every door makes an Actor, every service asks for one; none means refusal."""

from __future__ import annotations

import getpass
from dataclasses import dataclass, field
from typing import Any

from outreach.common.errors import NotAllowed
from tenants import permissions
from tenants.models import User


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody or something that acts, with what it may do.

    `kind` is user, system or recipient (a person who opts out). `tenant_ids` None means all tenants.
    """

    kind: str
    label: str
    permissions: frozenset[str] = field(repr=False)
    tenant_ids: frozenset[int] | None = None
    user_id: int | None = None

    def can(self, permission: str, tenant_id: int | None = None) -> bool:
        """Whether this actor may do that, in that tenant where one is named."""
        if permission not in permissions.ALL:
            raise LookupError(f"no role knows the permission {permission}")
        inside = tenant_id is None or self.tenant_ids is None or tenant_id in self.tenant_ids
        return inside and permission in self.permissions

    def require(self, permission: str, subject: Any = None) -> None:
        """Raise NotAllowed unless this actor may do that to the subject (a tenant or a tenant's row)."""
        tenant_id = getattr(subject, "tenant_id", None)
        if tenant_id is None and subject is not None and subject._meta.label == "tenants.Tenant":
            tenant_id = subject.pk
        if not self.can(permission, tenant_id):
            raise NotAllowed(f"{self.label} may not do {permission}.", permission=permission)


def _system_label() -> str:
    try:
        return f"system ({getpass.getuser()})"
    except (KeyError, OSError):  # a uid without a name, as in some containers
        return "system"


SYSTEM = Actor("system", _system_label(), permissions.ALL)
RECIPIENT = Actor("recipient", "recipient", frozenset({"campaigns.suppress"}))


def of_user(user: User | Any) -> Actor:
    """The actor of a signed-in person: platform admin for superusers, analyst for other staff, else nobody."""
    if user.is_active and user.is_superuser:
        granted = permissions.ROLES["platform_admin"]
    elif user.is_active and user.is_staff:
        granted = permissions.ROLES["analyst"]
    else:
        granted = frozenset()
    return Actor("user", user.get_username() or "anonymous", granted, user_id=user.pk)


def of_command(email: str | None) -> Actor:
    """The actor of a management command: the named person, else SYSTEM."""
    if not email:
        return SYSTEM
    user = User.objects.filter(email__iexact=email).first()
    if user is None:
        raise NotAllowed(f"There is no user {email}; name an existing one with --actor, or leave it out.")
    return of_user(user)
