"""Campaigns: create from a description, look over, start, pause, resume, cancel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import Count
from django.db.models.functions import Now

from campaigns.ledger import moves
from campaigns.models import Campaign, Contact, ContactList, ListEntry, Message
from campaigns.services import specs, steps
from mailboxes.models import Mailbox, Pool
from outreach.common import repeating
from outreach.common.errors import BadInput, InvalidMove, NotReady, OutreachError
from tenants.models import Tenant
from tenants.services import approvals, audit, records
from tenants.services.actors import Actor

ENROL_CHUNK = 50_000

ENROL = """
WITH chunk AS (
    SELECT le.contact_id FROM campaigns_listentry le
    WHERE le.contact_list_id = %(contact_list)s AND le.contact_id > %(after)s AND le.contact_id <= %(until)s
    ORDER BY le.contact_id LIMIT %(chunk)s
), added AS (
    INSERT INTO campaigns_enrolment
        (tenant_id, campaign_id, contact_id, step, status, stop_reason, due_at, waits_for, zone, created_at)
    SELECT ct.tenant_id, %(campaign)s, ct.id, 1, 'active', '', now(), '',
        CASE %(zone)s WHEN 'contact' THEN coalesce(nullif(ct.time_zone, ''), %(tenant_zone)s) ELSE %(zone)s END, now()
    FROM chunk JOIN campaigns_contact ct ON ct.id = chunk.contact_id
    ORDER BY ct.id
    ON CONFLICT (campaign_id, contact_id) DO NOTHING
    RETURNING zone
)
SELECT (SELECT max(contact_id) FROM chunk), (SELECT count(*) FROM added),
    (SELECT coalesce(array_agg(DISTINCT zone), '{}') FROM added)"""


@transaction.atomic
def create(tenant: Tenant, spec: Mapping[str, Any], *, actor: Actor) -> Campaign:
    """A draft from a description (campaigns.services.specs says its shape). Raises BadInput that names the place.

    Pool and list may be left out of a draft, but what is named must exist.
    """
    actor.require("campaigns.create", tenant)
    plan = specs.read(spec)
    campaign = Campaign(tenant=tenant, **plan.campaign)
    if plan.pool:
        campaign.pool = _named(Pool, tenant, plan.pool, "pool")
    if plan.contact_list:
        campaign.contact_list = _named(ContactList, tenant, plan.contact_list, "list")
    try:
        with transaction.atomic():
            campaign.save(force_insert=True)
    except IntegrityError as error:
        raise BadInput(f"name: there is already a campaign {campaign.name!r}; choose another name.") from error
    for position, step_plan in enumerate(plan.steps, start=1):
        steps.write(campaign, step_plan, position=position)
    audit.record(actor, "campaign.created", campaign)
    return campaign


def _named(model: Any, tenant: Tenant, name: str, place: str) -> Any:
    found = model.objects.filter(tenant=tenant, name=name, archived_at=None).first()
    if found is None:
        known = ", ".join(model.objects.filter(tenant=tenant, archived_at=None).values_list("name", flat=True)[:10])
        raise BadInput(f"{place}: there is no {place} {name!r}; there is {known or 'none yet'}.", field=place)
    return found


def preflight(campaign: Campaign) -> list[str]:
    """What still keeps the campaign from starting, one sentence each; empty means ready."""
    missing = []
    if campaign.tenant.status != Tenant.Status.ACTIVE:
        missing.append(f"The tenant is {campaign.tenant.status}; only an active one sends.")
    missing += records.red(campaign.tenant)
    if campaign.pool is None:
        missing.append("The campaign has no pool to send from.")
    elif not Mailbox.objects.filter(pool=campaign.pool, state__in=Mailbox.SENDABLE, hold="none").exists():
        missing.append(f"The pool {campaign.pool} has no mailbox that may send; import or release some.")
    if campaign.contact_list is None:
        missing.append("The campaign has no list of contacts.")
    elif not ListEntry.objects.filter(contact_list=campaign.contact_list).exists():
        missing.append(f"The list {campaign.contact_list} is empty; import contacts into it.")
    current = steps.current(campaign)
    if not current:
        missing.append("The campaign has no step, so there is nothing to send.")
    for wording in (wording for step in current for wording in steps.wordings(step)):
        missing.extend(_step_lacks(campaign, wording))
    return missing


def _step_lacks(campaign: Campaign, wording: steps.Wording) -> list[str]:
    lacks = []
    if not wording.subject.strip():
        lacks.append(f"{wording.name} has no subject.")
    if not wording.text_body.strip():
        lacks.append(f"{wording.name} has no text; every message needs a plain text part.")
    if lacks:
        return lacks
    try:
        compiled = wording.compiled()
    except OutreachError as error:
        return [str(error)]
    unknown = [name for name in compiled.unknown(()) if not _somebody_has(campaign.contact_list, name)]
    return [
        f"{wording.name} writes {{{{ {name} }}}}, and no contact of the list has such a field; "
        "correct the name or import the column."
        for name in unknown
    ]


def _somebody_has(contact_list: ContactList | None, name: str) -> bool:
    return Contact.objects.filter(entries__contact_list=contact_list, fields__has_key=name).exists()


@repeating.atomic
def start(campaign: Campaign, *, actor: Actor, approval: int | None = None) -> Campaign:
    """Launch: freeze the steps, enrol the first 50,000 contacts of the list, ask for a plan at once.

    The rest of the list is enrolled by `enrol_more`, which the cron process calls. Raises
    NotReady with everything that is missing, InvalidMove when it was started before, also when it is paused,
    NeedsApproval for a list beyond the tenant's line.
    """
    actor.require("campaigns.start", campaign)
    campaign = _locked(campaign)
    before = campaign.status
    if campaign.status in Campaign.STOPPED:  # somebody stopped it since the page with the button was drawn
        raise InvalidMove(
            f"{campaign} is {campaign.status}; resume it.", source=campaign.status, target=Campaign.Status.RUNNING
        )
    campaign.move_to(Campaign.Status.RUNNING)
    missing = preflight(campaign)
    if missing:
        raise NotReady(f"{campaign} can't start yet: {' '.join(missing)}", missing=missing)
    used = approvals.require(actor, "campaign.launch", campaign, approval=approval)
    campaign.started_at = Now()
    campaign.status_reason = ""
    last = ListEntry.objects.filter(contact_list=campaign.contact_list).order_by("-contact_id").first()
    campaign.enrolled_to, campaign.enrol_until = 0, last.contact_id if last else None
    campaign.save(update_fields=["status", "status_reason", "started_at", "enrolled_to", "enrol_until"])
    campaign.steps.filter(frozen_at=None).update(frozen_at=Now())
    _enrol_chunk(campaign)
    want_plan(campaign.tenant_id)
    audit.record(actor, "campaign.started", campaign, before=before, after=campaign.status, approval=used and used.pk)
    campaign.refresh_from_db()
    return campaign


@transaction.atomic
def enrol_more(campaign: Campaign) -> int:
    """Enrol the next 50,000 contacts of a launched campaign's list; return how many are new."""
    campaign = _locked(campaign)
    if campaign.enrol_until is None or campaign.status == Campaign.Status.CANCELLED:
        return 0
    added = _enrol_chunk(campaign)
    want_plan(campaign.tenant_id)
    return added


def _enrol_chunk(campaign: Campaign) -> int:
    zone = campaign.window_zone if campaign.window_zone != "tenant" else campaign.tenant.time_zone
    with connection.cursor() as cursor:
        cursor.execute(
            ENROL,
            {
                "campaign": campaign.pk,
                "contact_list": campaign.contact_list_id,
                "after": campaign.enrolled_to or 0,
                "until": campaign.enrol_until,
                "chunk": ENROL_CHUNK,
                "zone": zone,
                "tenant_zone": campaign.tenant.time_zone,
            },
        )
        last, added, zones = cursor.fetchone()
    campaign.zones = sorted({*campaign.zones, *zones})
    if last is None or last >= (campaign.enrol_until or 0):
        campaign.enrolled_to = campaign.enrol_until = None
    else:
        campaign.enrolled_to = last
    campaign.save(update_fields=["zones", "enrolled_to", "enrol_until"])
    return added


@repeating.atomic
def pause(campaign: Campaign, *, actor: Actor, reason: str = "") -> Campaign:
    """Stop handing out this campaign's mail; what is past the final dot still counts as sent."""
    actor.require("campaigns.pause", campaign)
    campaign = _locked(campaign)
    before = campaign.status
    campaign.move_to(Campaign.Status.PAUSED)
    campaign.status_reason = reason
    campaign.save(update_fields=["status", "status_reason"])
    moves.take_back("m.campaign_id = %(campaign)s", {"campaign": campaign.pk})
    audit.record(actor, "campaign.paused", campaign, reason=reason, before=before, after=campaign.status)
    return campaign


def halt_pool(pool_id: int, *, reason: str) -> list[Campaign]:
    """Halt every campaign that sends from the pool now; return them.

    Part of an act on its mailboxes, in that one's transaction: it takes their mail back and records the halts.
    """
    running = Campaign.objects.select_for_update(no_key=True).filter(pool=pool_id, status=Campaign.Status.RUNNING)
    halted = list(running.order_by("pk"))
    for campaign in halted:
        campaign.move_to(Campaign.Status.HALTED)
        campaign.status_reason = reason[:500]
        campaign.save(update_fields=["status", "status_reason"])
    return halted


@transaction.atomic
def set_handover(campaign: Campaign, handover: str, *, actor: Actor, reason: str = "") -> Campaign:
    """What becomes of threads whose mailbox is taken out from now on; what was handed over stays. Raises BadInput."""
    actor.require("campaigns.start", campaign)
    if handover not in Campaign.Handover.values:
        raise BadInput(f"handover: {handover!r} is none of {', '.join(Campaign.Handover.values)}.", field="handover")
    campaign = _locked(campaign)
    if not Campaign.MOVES[campaign.status]:
        raise InvalidMove(f"{campaign} is {campaign.status}; nothing of it waits.", source=campaign.status, target="")
    before, campaign.handover = campaign.handover, handover
    campaign.save(update_fields=["handover"])
    audit.record(actor, "campaign.handover_set", campaign, reason=reason, before=before, after=handover)
    return campaign


@repeating.atomic
def resume(campaign: Campaign, *, actor: Actor, reason: str = "") -> Campaign:
    """Let a paused or halted campaign go on. What was planned before is taken back first, so nothing bursts."""
    actor.require("campaigns.resume", campaign)
    campaign = _locked(campaign)
    if campaign.status not in Campaign.STOPPED:
        campaign.move_to("resumed")  # no state has this move: raises with the state in its sentence
    missing = preflight(campaign)
    if missing:
        raise NotReady(f"{campaign} can't go on yet: {' '.join(missing)}", missing=missing)
    before = campaign.status
    campaign.move_to(Campaign.Status.RUNNING)
    campaign.status_reason = reason
    campaign.save(update_fields=["status", "status_reason"])
    want_plan(campaign.tenant_id)  # locks the tenant's row, which comes before its messages
    moves.take_back("m.campaign_id = %(campaign)s", {"campaign": campaign.pk})
    audit.record(actor, "campaign.resumed", campaign, reason=reason, before=before, after=campaign.status)
    return campaign


@repeating.atomic
def cancel(campaign: Campaign, *, actor: Actor, reason: str = "") -> Campaign:
    """End the campaign for good: what waits is cancelled, nobody else is written to."""
    actor.require("campaigns.cancel", campaign)
    campaign = _locked(campaign)
    before = campaign.status
    campaign.move_to(Campaign.Status.CANCELLED)
    campaign.status_reason = reason
    campaign.enrolled_to = campaign.enrol_until = None
    campaign.save(update_fields=["status", "status_reason", "enrolled_to", "enrol_until"])
    moves.close(
        "m.campaign_id = %(campaign)s", {"campaign": campaign.pk},
        status=Message.Status.CANCELLED, reason="campaign_cancelled",
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_enrolment SET status = 'stopped', stop_reason = 'campaign_cancelled', due_at = NULL, "
            "waits_for = '' WHERE id IN (SELECT id FROM campaigns_enrolment WHERE campaign_id = %s "
            "AND due_at IS NOT NULL ORDER BY id FOR UPDATE)",
            [campaign.pk],
        )
    audit.record(actor, "campaign.cancelled", campaign, reason=reason, before=before, after=campaign.status)
    return campaign


def status(campaign: Campaign) -> dict[str, Any]:
    """Counts of people and messages by state, for the command and the pages."""
    messages = dict(campaign.messages.values_list("status").annotate(n=Count("pk")).order_by())
    people = dict(campaign.enrolments.values_list("status").annotate(n=Count("pk")).order_by())
    stopped = dict(
        campaign.enrolments.filter(status="stopped").values_list("stop_reason").annotate(n=Count("pk")).order_by()
    )
    return {
        "campaign": campaign.pk,
        "name": campaign.name,
        "status": campaign.status,
        "reason": campaign.status_reason,
        "enrolling": campaign.enrol_until is not None,
        "people": people,
        "stopped": stopped,
        "messages": messages,
    }


def want_plan(tenant_id: int) -> None:
    """Ask the planner to look at this tenant at once."""
    Tenant.objects.filter(pk=tenant_id).update(plan_wanted_at=Now())


def _locked(campaign: Campaign) -> Campaign:
    return (
        Campaign.objects.select_for_update(of=("self",), no_key=True)
        .select_related("tenant", "pool", "contact_list")
        .get(pk=campaign.pk)
    )
