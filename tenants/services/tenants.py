"""Tenants: create, suspend, find."""

from __future__ import annotations

from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from outreach.common import hooks, isolation, repeating, yaml_files
from outreach.common.errors import BadInput, Missing
from tenants.models import Tenant
from tenants.services import audit
from tenants.services.actors import Actor

MOST_PER_DAY = 2_000_000_000
MOST_FREQUENT = 32_767  # messages to one person or company, as many as the column holds
LONGEST_FREQUENCY_DAYS = 90  # messages are looked back at this far


def find(slug: str) -> Tenant:
    """The tenant of that slug, or Missing with the way to make one."""
    found = Tenant.objects.filter(slug=slug).first() if yaml_files.storable(slug) else None
    if found is None:
        raise Missing(f"There is no tenant {slug!r}; make it with create_tenant {slug}.")
    return found


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
    audit.record(actor, "tenant.suspended", tenant, reason=reason, before="active", after="suspended")
    return tenant


@repeating.atomic
def reinstate(tenant: Tenant, *, actor: Actor, reason: str) -> Tenant:
    """Let a suspended tenant send again; the planner looks at its running campaigns at once."""
    actor.require("tenants.suspend", tenant)
    tenant = Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    tenant.move_to(Tenant.Status.ACTIVE)
    tenant.plan_wanted_at = Now()
    tenant.save(update_fields=["status", "plan_wanted_at"])
    audit.record(actor, "tenant.reinstated", tenant, reason=reason, before="suspended", after="active")
    return tenant


@repeating.atomic
def set_daily_cap(tenant: Tenant, daily_cap: int | None, *, actor: Actor) -> Tenant:
    """Messages a day over all campaigns from now on, today included; None: as many as the other caps allow.

    A lower cap takes back everything the tenant has planned or claimed, in this transaction (hook
    tenants.cap_lowered), and asks for a new plan. What left today, and what is past its final dot, stays counted in
    the day's allowance, so the new plan fills up to the cap and no further, and plans nothing when the day is
    over it already. No plan made under the old cap is left: the hook waits for a planner run under way
    before it takes back, and a later run reads the cap after it holds the planner's lock. The sweep needs nothing
    more, since what it takes back only gives room. Retries count against the day like first tries.
    Raises BadInput for a number below 0.
    """
    actor.require("tenants.set_record", tenant)
    if daily_cap is not None and not 0 <= daily_cap <= MOST_PER_DAY:
        raise BadInput(f"From 0 to {MOST_PER_DAY:,} messages a day, or no cap.", field="daily_cap")
    tenant = Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    before, tenant.daily_cap, tenant.plan_wanted_at = tenant.daily_cap, daily_cap, Now()
    tenant.save(update_fields=["daily_cap", "plan_wanted_at"])
    if daily_cap is not None and (before is None or daily_cap < before):
        hooks.call("tenants.cap_lowered", tenant=tenant)
    audit.record(actor, "tenant.cap_set", tenant, before=before, after=daily_cap)
    tenant.refresh_from_db(fields=["plan_wanted_at"])
    return tenant


@repeating.atomic
def set_frequency(tenant: Tenant, *, days: int, person: int | None, company: int | None, actor: Actor) -> Tenant:
    """How many messages of all campaigns one person, and all people of one company, get within so many days.

    None: no limit. Whoever waits for the old limits is looked at by the next plan; tighter ones also take back what
    waits for its slot (hook tenants.frequency_set), while what went out before counts. Raises BadInput for a number
    out of bounds; 0 would be a stop, and stops have an act of their own.
    """
    actor.require("tenants.set_record", tenant)
    if not 1 <= days <= LONGEST_FREQUENCY_DAYS:
        raise BadInput(f"From 1 to {LONGEST_FREQUENCY_DAYS} days.", field="days")
    for name, most in (("person", person), ("company", company)):
        if most is not None and not 1 <= most <= MOST_FREQUENT:
            raise BadInput(f"{name}: from 1 to {MOST_FREQUENT:,} messages, or no limit.", field=name)
    tenant = Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    before = [tenant.frequency_days, tenant.frequency_person, tenant.frequency_company]
    tenant.frequency_days, tenant.frequency_person, tenant.frequency_company = days, person, company
    tenant.plan_wanted_at = Now()
    tenant.save(update_fields=["frequency_days", "frequency_person", "frequency_company", "plan_wanted_at"])
    hooks.call("tenants.frequency_set", tenant=tenant, tighter=_is_tighter(before, [days, person, company]))
    audit.record(actor, "tenant.frequency_set", tenant, before=before, after=[days, person, company])
    tenant.refresh_from_db(fields=["plan_wanted_at"])
    return tenant


def _is_tighter(before: list[int | None], after: list[int | None]) -> bool:
    """Whether somebody may get less than before: a lower limit, or a longer time in which a limit counts."""
    (old_days, *old), (days, *new) = before, after
    lower = any(now is not None and (was is None or now < was) for was, now in zip(old, new, strict=True))
    return lower or ((days or 0) > (old_days or 0) and any(limit is not None for limit in new))
