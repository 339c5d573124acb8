"""Who acts. Every door makes an Actor, every service asks for one; none means refusal."""

from __future__ import annotations

import getpass
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet

from outreach.common import isolation, yaml_files
from outreach.common.errors import NotAllowed
from tenants import permissions
from tenants.models import User

PERMISSION_TO_SEE = "{app}.view"


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody or something that acts, with what it may do and where.

    `kind` is user, key, system or recipient (a person who opts out). `everywhere` holds for the platform and
    in all tenants, `within` in single ones by their ids.
    """

    kind: str
    label: str
    everywhere: frozenset[str] = field(default=frozenset(), repr=False)
    within: Mapping[int, frozenset[str]] = field(default_factory=dict, repr=False)
    user_id: int | None = None
    key_id: int | None = None

    def can(self, permission: str, tenant_id: int | None = None) -> bool:
        """Whether this actor may do that in that tenant; without one: in any, or to the platform."""
        if permission not in permissions.ALL:
            raise LookupError(f"no role knows the permission {permission}")
        if permission in self.everywhere:
            return True
        if tenant_id is None:
            return any(permission in held for held in self.within.values())
        return permission in self.within.get(tenant_id, frozenset())

    def require(self, permission: str, subject: Any = None) -> None:
        """Raise NotAllowed unless this actor may do that to the subject (a tenant or a tenant's row)."""
        tenant_id = getattr(subject, "tenant_id", None)
        if tenant_id is None and subject is not None and subject._meta.label == "tenants.Tenant":
            tenant_id = subject.pk
        of_platform = subject is not None and tenant_id is None  # a right in some tenant is none over it
        if not (permission in self.everywhere if of_platform else self.can(permission, tenant_id)):
            raise NotAllowed(f"{self.label} may not do {permission}.", permission=permission)

    def tenants_with(self, permission: str) -> frozenset[int] | None:
        """The tenants in which this actor may do that; None: in all."""
        if permission in self.everywhere:
            return None
        return frozenset(pk for pk, held in self.within.items() if permission in held)

    @property
    def tenant_ids(self) -> frozenset[int] | None:
        """The tenants that this actor has to do with at all; None: all."""
        return None if self.everywhere - permissions.PLATFORM else frozenset(self.within)

    def ids(self) -> dict[str, Any]:
        """Who this is to outreach.common.circumstances; nobody, as long as nobody has signed in."""
        if self.kind in ("user", "key") and self.user_id is None and self.key_id is None:
            return {}
        return {"actor_kind": self.kind, "user_id": self.user_id, "key_id": self.key_id}

    def scope(self) -> AbstractContextManager[None]:
        """The rows that the database shows while this actor acts."""
        ids = self.tenant_ids
        platform = not self.everywhere.isdisjoint(
            {"campaigns.stop_platform", "campaigns.suppress_platform", "tenants.audit"}
        )
        return isolation.tenants(isolation.all_tenants() if ids is None else ids, platform=platform)


def visible_to(actor: Actor, rows: QuerySet, permission: str = "") -> QuerySet:
    """The rows of a tenant-owned model, or the tenants, that this actor may know of.

    `permission` is what seeing them takes, by default `app.view` of the model's app. Rows of no tenant are
    for those who may see them in all tenants.
    """
    meta = rows.model._meta
    ids = actor.tenants_with(permission or PERMISSION_TO_SEE.format(app=meta.app_label))
    if ids is None:
        return rows
    return rows.filter(pk__in=ids) if meta.label == "tenants.Tenant" else rows.filter(Q(tenant__in=ids))


def _system_label() -> str:
    try:
        return f"system ({getpass.getuser()})"
    except (KeyError, OSError):  # a uid without a name, as in some containers
        return "system"


SYSTEM = Actor("system", _system_label(), everywhere=permissions.ALL)
RECIPIENT = Actor("recipient", "recipient", everywhere=frozenset({"campaigns.suppress"}))


def of_grants(kind: str, label: str, grants: Iterable[tuple[int | None, str]], **ids: Any) -> Actor:
    """The actor of (tenant or None for every tenant, role) pairs. Unknown roles give nothing."""
    everywhere: frozenset[str] = frozenset()
    within: dict[int, frozenset[str]] = {}
    for tenant_id, role in grants:
        held = permissions.ROLES.get(role, frozenset())
        if tenant_id is None:
            everywhere |= held
        else:
            within[tenant_id] = within.get(tenant_id, frozenset()) | (held - permissions.PLATFORM)
    return Actor(kind, label, everywhere, within, **ids)


def of_user(user: User | Any) -> Actor:
    """The actor of a signed-in person, from the memberships that hold now and the glass that is broken now.

    A superuser may administer the platform (people, memberships, new tenants), and like everyone else sees
    of a tenant only what a membership or a break-glass opens.
    """
    if user.pk is None or not user.is_active:
        return Actor("user", "anonymous")
    with connection.cursor() as cursor:
        cursor.execute("SELECT tenant_id, role FROM app_grants_of_user(%s)", [user.pk])
        actor = of_grants("user", user.get_username(), cursor.fetchall(), user_id=user.pk)
    if user.is_superuser:
        return Actor("user", actor.label, actor.everywhere | permissions.PLATFORM, actor.within, user_id=user.pk)
    return actor


def oneself(user: User) -> Actor:
    """A person who signs in or changes by what, before any right counts."""
    return Actor("user", user.get_username(), user_id=user.pk)


def of_command(email: str | None) -> Actor:
    """The actor of a management command: the named person, else SYSTEM."""
    if not email:
        return SYSTEM
    user = User.objects.filter(email__iexact=email).first() if yaml_files.storable(email) else None
    if user is None:
        raise NotAllowed(f"There is no user {email}; name an existing one with --actor, or leave it out.")
    return of_user(user)
