"""Who holds which role where: granted, ended, and the glass that a superuser breaks."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from django.db import IntegrityError, connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.timezone import now

from outreach.common import isolation
from outreach.common.errors import BadInput, InvalidMove, Missing, NotAllowed
from tenants import permissions
from tenants.models import BreakGlass, Membership, Tenant, User
from tenants.services import audit, sessions
from tenants.services.actors import Actor

GLASS_MINUTES = 60  # the longest time that one break-glass lasts


def tenant_id_of(slug: str) -> int:
    """The id of a tenant that need not be in scope. Raises Missing."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT app_tenant_of_slug(%s)", [slug])
        found = cursor.fetchone()[0]
    if found is None:
        raise Missing(f"There is no tenant {slug!r}.", field="tenant")
    return int(found)


def place_of(slug: str, *, actor: Actor) -> int | None:
    """The tenant in which this actor wants to give a role; None, every tenant, for no slug.

    Only who administers people everywhere learns which tenants there are; to others one out of reach is Missing.
    """
    if not slug:
        return None
    if actor.can("tenants.administer"):
        return tenant_id_of(slug)
    own = actor.tenants_with("tenants.manage_members")
    found = Tenant.objects.filter(slug=slug) if own is None else Tenant.objects.filter(slug=slug, pk__in=own)
    tenant = found.first()
    if tenant is None:
        raise Missing(f"There is no tenant {slug!r} whose people you manage.", field="tenant")
    return tenant.pk


def may_give(actor: Actor, role: str, tenant_id: int | None) -> bool:
    """Whether this actor may make somebody `role` there: a manager gives lesser roles, in the own tenants only."""
    if actor.can("tenants.administer"):
        return True
    inside = tenant_id is not None and actor.can("tenants.manage_members", tenant_id)
    return inside and role in permissions.GIVEN_BY_MANAGERS


def check(actor: Actor, role: str, tenant_id: int | None, expires_at: datetime | None) -> None:
    """Raise BadInput or NotAllowed unless a membership like that may be given by this actor."""
    if role not in permissions.OF_PEOPLE:
        raise BadInput(f"{role!r} is no role; there are {', '.join(permissions.OF_PEOPLE)}.", field="role")
    if tenant_id is None and role not in permissions.FOR_EVERY_TENANT:
        raise BadInput(f"A {permissions.ROLE_NAMES[role]} belongs to one tenant; name it.", field="tenant")
    if expires_at is not None and expires_at <= now():
        raise BadInput("The membership would be over before it begins.", field="expires_at")
    if not may_give(actor, role, tenant_id):
        raise NotAllowed(f"{actor.label} may not make anybody {permissions.ROLE_NAMES[role]} here.")


@transaction.atomic
def grant(
    user: User, role: str, tenant_id: int | None, *, actor: Actor, expires_at: datetime | None = None, kept: str = ""
) -> Membership:
    """The person holds the role in that tenant, or as staff in every tenant (None), until it ends.

    The person's sessions end, but for the one with the key `kept`: signing in again brings the new role.
    Nobody grants anything to themselves, superusers neither: that takes a second person or the system.
    Raises BadInput that names the field, NotAllowed.
    """
    check(actor, role, tenant_id, expires_at)
    if actor.user_id == user.pk:
        raise NotAllowed("You can't give a role to yourself; somebody else has to.")
    with reaching(tenant_id):
        held = Membership.objects.filter(user=user, role=role, tenant=tenant_id, ended_at=None)
        held.filter(expires_at__lte=now()).update(ended_at=F("expires_at"))  # what ran out is in nobody's way
        try:
            with transaction.atomic():
                made = Membership.objects.create(user=user, role=role, tenant_id=tenant_id, expires_at=expires_at)
        except IntegrityError as error:
            raise BadInput(f"{user} is {permissions.ROLE_NAMES[role]} there already.", field="role") from error
        sessions.end_all(user, actor=actor, kept=kept)
        audit.record(actor, "membership.granted", made, after=role, user_id=user.pk, until=expires_at)
    return made


@transaction.atomic
def add(
    user: User, role: str, tenant_id: int | None, *, actor: Actor, expires_at: datetime | None = None
) -> Membership:
    """As grant, for somebody who holds a role there already; anybody else is invited.

    An account says nothing of who is behind it: whoever showed an invitation's link to nobody may have made it
    under another's address. A new link reaches the real person, who then can't use it and says so.
    """
    check(actor, role, tenant_id, expires_at)
    places = Q(tenant=None) if tenant_id is None else Q(tenant=None) | Q(tenant=tenant_id)
    with reaching(tenant_id):
        known = Membership.objects.holding().filter(places, user=user).exists()
    if not known:
        raise NotAllowed(f"{user} holds no role there yet, so send an invitation: that person has to take it.")
    return grant(user, role, tenant_id, actor=actor, expires_at=expires_at)


@transaction.atomic
def end(membership: Membership, *, actor: Actor) -> Membership:
    """The person holds that role there no longer, from the next request on. Raises InvalidMove when it is over."""
    if not may_give(actor, membership.role, membership.tenant_id):
        raise NotAllowed(f"{actor.label} may not end this membership.")
    with reaching(membership.tenant_id):
        membership = Membership.objects.select_for_update().get(pk=membership.pk)
        if membership.ended_at is not None:
            raise InvalidMove("This membership has ended already.", source="ended", target="ended")
        membership.ended_at = now()
        membership.save(update_fields=["ended_at"])
        sessions.end_all(membership.user, actor=actor)
        audit.record(actor, "membership.ended", membership, before=membership.role, user_id=membership.user_id)
    return membership


@transaction.atomic
def break_glass(slug: str, *, actor: Actor, reason: str, minutes: int = GLASS_MINUTES) -> BreakGlass:
    """Open one tenant to a superuser for at most an hour, with the reason on the record.

    The person acts there with a manager's rights from the next request on, until the time is over or `mend`;
    keys and memberships, which would outlive it, are left out.
    """
    user = User.objects.filter(pk=actor.user_id or 0, is_active=True, is_superuser=True).first()
    if user is None:
        raise NotAllowed("Only a superuser can break the glass.")
    if not reason.strip():
        raise BadInput("Write why you need to get in; it stands in the audit.", field="reason")
    if not 1 <= minutes <= GLASS_MINUTES:
        raise BadInput(f"From 1 to {GLASS_MINUTES} minutes.", field="minutes")
    tenant_id = tenant_id_of(slug)
    with reaching(tenant_id):
        made = BreakGlass.objects.create(
            tenant_id=tenant_id, user=user, reason=reason.strip()[:500], until=now() + timedelta(minutes=minutes)
        )
        audit.record(actor, "glass.broken", made, reason=made.reason, minutes=minutes)
    return made


@transaction.atomic
def mend(glass: BreakGlass, *, actor: Actor) -> BreakGlass:
    """End a break-glass before its time: its user, or a platform admin."""
    if actor.user_id != glass.user_id and not actor.can("tenants.administer"):
        raise NotAllowed(f"{actor.label} may not end this access.")
    with reaching(glass.tenant_id):
        BreakGlass.objects.filter(pk=glass.pk, ended_at=None).update(ended_at=Now())
        glass.refresh_from_db()
        audit.record(actor, "glass.mended", glass)
    return glass


def broken_by(actor: Actor) -> list[BreakGlass]:
    """The accesses that are open to this person now by a broken glass, the one that ends first before the others."""
    if actor.user_id is None:
        return []
    held = BreakGlass.objects.filter(user_id=actor.user_id, ended_at=None, until__gt=now()).select_related("tenant")
    return list(held.order_by("until"))


def reaching(tenant_id: int | None) -> AbstractContextManager[None]:
    """The scope of one act on a tenant that need not be in the actor's."""
    scope = isolation.current()
    ids = scope.tenant_ids if scope else frozenset()
    return isolation.tenants(ids | ({tenant_id} if tenant_id else set()), platform=True)
