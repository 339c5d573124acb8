"""Campaigns: create from a description, look over, start, pause, resume, cancel."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from django.db import IntegrityError, connection, transaction
from django.db.models import Count
from django.db.models.functions import Now

from campaigns import calendars
from campaigns.ledger import moves, planning
from campaigns.models import Campaign, ContactList, ListEntry, Message
from campaigns.services import canaries, preflighting, specs, steps
from mailboxes.models import Pool
from outreach.common import repeating
from outreach.common.errors import BadInput, InvalidMove
from tenants.models import Tenant
from tenants.services import approvals, audit, records
from tenants.services.actors import Actor

ENROL_CHUNK = 50_000

CHUNK = """
WITH chunk AS (
    SELECT le.contact_id FROM campaigns_listentry le
    WHERE le.contact_list_id = %(contact_list)s AND le.contact_id > %(after)s AND le.contact_id <= %(until)s
    ORDER BY le.contact_id LIMIT %(chunk)s
)"""

# The kinds of places in it, some hundreds at most: where those are is decided in Python.
PLACES = f"""{CHUNK}
SELECT ct.time_zone, ct.country FROM chunk JOIN campaigns_contact ct ON ct.id = chunk.contact_id GROUP BY 1, 2"""

# Who changes between the two statements gets the place of somebody of whom nothing is known, and is not lost.
ENROL = f"""{CHUNK}, added AS (
    INSERT INTO campaigns_enrolment
        (tenant_id, campaign_id, contact_id, step, status, stop_reason, due_at, waits_for, zone, created_at)
    SELECT ct.tenant_id, %(campaign)s, ct.id, 1, 'active', '',
        CASE WHEN held.back THEN %(held_until)s ELSE now() END, CASE WHEN held.back THEN 'canary' ELSE '' END,
        coalesce(p.key, %(unknown)s), now()
    FROM chunk JOIN campaigns_contact ct ON ct.id = chunk.contact_id
    LEFT JOIN unnest(%(zones)s::text[], %(countries)s::text[], %(keys)s::text[]) AS p (time_zone, country, key)
        ON p.time_zone = ct.time_zone AND p.country = ct.country
    CROSS JOIN LATERAL (SELECT %(held_until)s::timestamptz IS NOT NULL AND NOT (
        coalesce(ct.first_import_id, 0) = ANY (%(groups)s::bigint[])
        AND hashint8extended(ct.id, %(campaign)s) <= %(threshold)s)) AS held (back)
    ORDER BY ct.id
    ON CONFLICT (campaign_id, contact_id) DO NOTHING
    RETURNING zone
)
SELECT (SELECT max(contact_id) FROM chunk), (SELECT count(*) FROM added),
    (SELECT coalesce(array_agg(DISTINCT zone), '{{}}') FROM added)"""


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
    """What still keeps the campaign from starting, one sentence each; empty means that no error does."""
    return [str(finding.sentence) for finding in preflighting.look(campaign).errors]


@repeating.atomic
def start(
    campaign: Campaign, *, actor: Actor, approval: int | None = None, accept: Collection[str] = ()
) -> Campaign:  # fmt: skip
    """Launch: freeze the steps, enrol the first 50,000 contacts of the list, ask for a plan at once.

    `accept` has the codes of warnings that the actor takes upon himself. The rest of the list is enrolled by
    `enrol_more`, which the cron process calls. Raises NotReady with everything that is missing, NeedsTick with the
    warnings that nobody accepted, InvalidMove when it was started before, also when it is paused, NeedsApproval for a
    list beyond the tenant's line.
    """
    actor.require("campaigns.start", campaign)
    campaign = locked(campaign)
    before = campaign.status
    if campaign.status in Campaign.STOPPED:  # somebody stopped it since the page with the button was drawn
        raise InvalidMove(
            f"{campaign} is {campaign.status}; resume it.", source=campaign.status, target=Campaign.Status.RUNNING
        )
    campaign.move_to(Campaign.Status.RUNNING)
    ticked = preflighting.settle(campaign, preflighting.look(campaign), actor=actor, accept=accept, what="start")
    used = approvals.require(actor, "campaign.launch", campaign, approval=approval)
    launch(campaign)
    facts: dict[str, Any] = {"approval": used and used.pk, "accepted": ticked}
    audit.record(actor, "campaign.started", campaign, before=before, after=campaign.status, **facts)
    campaign.refresh_from_db()
    return campaign


def launch(campaign: Campaign) -> None:
    """Part of a start, now or at its time, which has asked whether it may, locked the row and moved it to running."""
    campaign.started_at = Now()
    campaign.status_reason, campaign.scheduled_for, campaign.launch_approval = "", None, None
    last = ListEntry.objects.filter(contact_list=campaign.contact_list).order_by("-contact_id").first()
    campaign.enrolled_to, campaign.enrol_until = 0, last.contact_id if last else None
    campaign.save(
        update_fields=["status", "status_reason", "started_at", "enrolled_to", "enrol_until", "accepted_warnings",
                       "scheduled_for", "launch_approval"]
    )  # fmt: skip
    campaign.steps.filter(frozen_at=None).update(frozen_at=Now())
    canaries.begin(campaign)
    _enrol_chunk(campaign)
    want_plan(campaign.tenant_id)


@transaction.atomic
def enrol_more(campaign: Campaign) -> int:
    """Enrol the next 50,000 contacts of a launched campaign's list; return how many are new."""
    campaign = locked(campaign)
    if campaign.enrol_until is None or campaign.status == Campaign.Status.CANCELLED:
        return 0
    added = _enrol_chunk(campaign)
    want_plan(campaign.tenant_id)
    return added


def _enrol_chunk(campaign: Campaign) -> int:
    tenant = campaign.tenant
    country = records.of(tenant).country
    terms = calendars.Terms(campaign.window_zone, campaign.holidays, tenant.time_zone, country)
    canary = canaries.holding(campaign)
    values: dict[str, Any] = {
        "campaign": campaign.pk,
        "contact_list": campaign.contact_list_id,
        "after": campaign.enrolled_to or 0,
        "until": campaign.enrol_until,
        "chunk": ENROL_CHUNK,
        "held_until": canary and canary.held_until,
        "groups": canary.groups if canary else [],
        "threshold": canary.threshold if canary else 0,
    }
    with connection.cursor() as cursor:
        cursor.execute(PLACES, values)
        places = cursor.fetchall()
        values |= {
            "zones": [zone for zone, _ in places],
            "countries": [country for _, country in places],
            "keys": [terms.key(*place) for place in places],
            "unknown": terms.key("", ""),
        }
        cursor.execute(ENROL, values)
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
    campaign = locked(campaign)
    before = campaign.status
    campaign.move_to(Campaign.Status.PAUSED)
    campaign.status_reason = reason
    campaign.save(update_fields=["status", "status_reason"])
    moves.take_back("m.campaign_id = %(campaign)s", {"campaign": campaign.pk})
    audit.record(actor, "campaign.paused", campaign, reason=reason, before=before, after=campaign.status)
    return campaign


@repeating.atomic
def recall(campaign: Campaign, *, actor: Actor, reason: str = "") -> int:
    """Pause, and take back everything that is planned and has not gone; return how many mails that were.

    Nothing planned is left when it returns, a plan that is being made now included. What was not tried yet is due again
    when the campaign goes on; what was, waits for a new slot then. Works on a campaign that is paused or halted, too.
    """
    actor.require("campaigns.pause", campaign)
    campaign = locked(campaign)
    before = campaign.status
    if campaign.status not in Campaign.STOPPED:
        campaign.move_to(Campaign.Status.PAUSED)
    campaign.status_reason = reason or campaign.status_reason
    campaign.save(update_fields=["status", "status_reason"])
    want_plan(campaign.tenant_id)  # locks the tenant's row, which comes before its messages
    planning.wait(campaign.tenant_id)
    count = moves.take_back("m.campaign_id = %(campaign)s", {"campaign": campaign.pk})
    facts = {"taken_back": count}
    audit.record(actor, "campaign.recalled", campaign, reason=reason, before=before, after=campaign.status, **facts)
    return count


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
    campaign = locked(campaign)
    if not Campaign.MOVES[campaign.status]:
        raise InvalidMove(f"{campaign} is {campaign.status}; nothing of it waits.", source=campaign.status, target="")
    before, campaign.handover = campaign.handover, handover
    campaign.save(update_fields=["handover"])
    audit.record(actor, "campaign.handover_set", campaign, reason=reason, before=before, after=handover)
    return campaign


@repeating.atomic
def resume(campaign: Campaign, *, actor: Actor, reason: str = "") -> Campaign:
    """Let a paused or halted campaign go on. What was planned before is taken back first, so nothing bursts.

    Errors block as at the start; its warnings were looked at then, so nobody has to accept them again. A canary that
    failed begins anew. Raises NotReady, InvalidMove.
    """
    actor.require("campaigns.resume", campaign)
    campaign = locked(campaign)
    if campaign.status not in Campaign.STOPPED:
        campaign.move_to("resumed")  # no state has this move: raises with the state in its sentence
    preflighting.require_no_errors(campaign, preflighting.look(campaign), what="go on")
    before = campaign.status
    campaign.move_to(Campaign.Status.RUNNING)
    campaign.status_reason = reason
    campaign.save(update_fields=["status", "status_reason"])
    canaries.begin_again(campaign)
    want_plan(campaign.tenant_id)  # locks the tenant's row, which comes before its messages
    moves.take_back("m.campaign_id = %(campaign)s", {"campaign": campaign.pk})
    audit.record(actor, "campaign.resumed", campaign, reason=reason, before=before, after=campaign.status)
    return campaign


@repeating.atomic
def cancel(campaign: Campaign, *, actor: Actor, reason: str = "") -> Campaign:
    """End the campaign for good: what waits is cancelled, nobody else is written to."""
    actor.require("campaigns.cancel", campaign)
    campaign = locked(campaign)
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
        "scheduled_for": _in_zone(campaign),
        "canary": canaries.told(campaign),
        "enrolling": campaign.enrol_until is not None,
        "people": people,
        "stopped": stopped,
        "messages": messages,
    }


def _in_zone(campaign: Campaign) -> str | None:
    """When it starts by itself, by its tenant's clock."""
    if campaign.scheduled_for is None:
        return None
    return campaign.scheduled_for.astimezone(ZoneInfo(campaign.tenant.time_zone)).isoformat()


def want_plan(tenant_id: int) -> None:
    """Ask the planner to look at this tenant at once."""
    Tenant.objects.filter(pk=tenant_id).update(plan_wanted_at=Now())


def locked(campaign: Campaign) -> Campaign:
    """The row as it is now, to be changed in this transaction."""
    return (
        Campaign.objects.select_for_update(of=("self",), no_key=True)
        .select_related("tenant", "pool", "contact_list")
        .get(pk=campaign.pk)
    )
