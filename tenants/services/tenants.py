"""Tenants: create, suspend, find."""

from __future__ import annotations

from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from outreach.common import hooks, isolation, repeating
from outreach.common.errors import BadInput, Missing
from tenants.models import Tenant
from tenants.services import audit
from tenants.services.actors import Actor


def find(slug: str) -> Tenant:
    """The tenant of that slug, or Missing with the way to make one."""
    try:
        return Tenant.objects.get(slug=slug)
    except Tenant.DoesNotExist as error:
        raise Missing(f"There is no tenant {slug!r}; make it with create_tenant {slug}.") from error


def reserve_id() -> int:
    """The id of a tenant that is about to be made, in scope already: no row can be written outside of it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('tenants_tenant', 'id'))")
        pk = int(cursor.fetchone()[0])
    isolation.include(pk)
    return pk


@transaction.atomic
def create(slug: str, *, actor: Actor, name: str = "", time_zone: str = "UTC", postal_address: str = "") -> Tenant:
    """A new active tenant. Raises BadInput that names the field."""
    actor.require("tenants.create")
    if time_zone not in available_timezones():
        raise BadInput(f"{time_zone!r} is no IANA time zone; write for example Europe/Kyiv.", field="time_zone")
    tenant = Tenant(slug=slug, name=name or slug, time_zone=time_zone, postal_address=postal_address.strip())
    try:
        tenant.full_clean()
    except ValidationError as error:
        place, messages = next(iter(error.message_dict.items()))
        raise BadInput(f"{place}: {messages[0]}", field=place) from error
    tenant.pk = reserve_id()
    try:
        with transaction.atomic():
            tenant.save(force_insert=True)
    except IntegrityError as error:
        raise BadInput(f"There is already a tenant {slug!r}.", field="slug") from error
    audit.record(actor, "tenant.created", tenant)
    return tenant


@repeating.atomic
def suspend(tenant: Tenant, *, actor: Actor, reason: str) -> Tenant:
    """Stop everything the tenant sends, from this transaction on; apps above add their part by a hook."""
    actor.require("tenants.suspend", tenant)
    tenant = Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    tenant.move_to(Tenant.Status.SUSPENDED)
    tenant.save(update_fields=["status"])
    hooks.call("tenants.suspended", tenant=tenant, reason=reason)
    audit.record(actor, "tenant.suspended", tenant)
    return tenant


@transaction.atomic
def reinstate(tenant: Tenant, *, actor: Actor, reason: str) -> Tenant:
    """Let a suspended tenant send again; the planner looks at its running campaigns at once."""
    actor.require("tenants.suspend", tenant)
    tenant = Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    tenant.move_to(Tenant.Status.ACTIVE)
    tenant.plan_wanted_at = Now()
    tenant.save(update_fields=["status", "plan_wanted_at"])
    audit.record(actor, "tenant.reinstated", tenant, reason=reason)
    return tenant
