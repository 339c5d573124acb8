"""Why a campaign, a mailbox or a tenant sent what it sent today, and what holds the rest.

Reads the same rows as the planner, asks its gates in its words and computes slots with its functions; a test runs both
over many situations and wants the same answer. Nothing is written. `now` is the database's clock or any other instant.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from campaigns.models import Campaign
from campaigns.pipeline import explain_ground, explain_people, explain_today, explain_words
from campaigns.pipeline.explain_causes import CAPS_OF_CLIENTS, OF_THE_FLEET, Cause, Explanation, Number, rank
from campaigns.pipeline.explain_ground import Ground, Held
from campaigns.pipeline.explain_naming import Naming
from campaigns.pipeline.explain_stops import Queue
from campaigns.pipeline.explain_tables import campaign_table, mailbox_states, pool_table
from outreach.common.links import Link
from tenants.models import Tenant

UNASKED = Queue()


@transaction.atomic
def campaign(row: Campaign, now: datetime, *, queue: Queue = UNASKED, knows_platform: bool = True) -> Explanation:
    """Of one campaign. Without `knows_platform` limits and stops of the platform are told without name and number."""
    tenant = Tenant.objects.get(pk=row.tenant_id)
    with connection.cursor() as cursor:
        ground = explain_ground.load(cursor, tenant, now, queue, campaign=row.pk)
        counts = explain_today.counts(
            cursor, tenant.pk, began=explain_people.day_began_at(now, ground.zone), day=ground.day, campaign=row.pk
        )
        held = ground.held()[row.pk] if row.pk in ground.camps else Held()
        causes = Naming(ground, knows_platform, of_campaign=row.pk).causes(cursor, held.decides, held.overlaps)
    waiting = ground.waiting[row.pk]
    found = Explanation(
        subject="campaign",
        id=row.pk,
        name=row.name,
        at=now,
        zone=tenant.time_zone,
        today=explain_today.numbers(counts, ground.day, campaign__id__exact=row.pk),
        waiting=waiting.total + ground.overdue(row.pk),
        overdue=ground.overdue(row.pk),
        ready=held.ready,
        ready_at=ground.machinery.next_run_at,
        causes=causes,
        ended=_ended(ground, [row.pk], {"campaign__id__exact": row.pk}),
        is_estimate=waiting.is_estimate,
    )
    return finished(found)


@transaction.atomic
def tenant(row: Tenant, now: datetime, *, queue: Queue = UNASKED, knows_platform: bool = True) -> Explanation:
    """Of everything that a tenant sends: its campaigns together, then by campaign, pool and state of the mailboxes."""
    with connection.cursor() as cursor:
        ground = explain_ground.load(cursor, row, now, queue, every_pool=True)
        counts = explain_today.counts(
            cursor, row.pk, began=explain_people.day_began_at(now, ground.zone), day=ground.day
        )
        by_campaign = ground.held()
        decides: Counter[Any] = Counter()
        overlaps: Counter[Any] = Counter()
        for held in by_campaign.values():
            decides += held.decides
            overlaps += held.overlaps
        naming = Naming(ground, knows_platform)
        causes = naming.causes(cursor, decides, overlaps)
        firsts = {pk: naming.first(held.decides) for pk, held in by_campaign.items()}
        pools = pool_table(cursor, ground)
    found = Explanation(
        subject="tenant",
        id=row.pk,
        name=row.name,
        at=now,
        zone=row.time_zone,
        today=explain_today.numbers(counts, ground.day, tenant__id__exact=row.pk),
        waiting=sum(each.total for each in ground.waiting.values()) + ground.overdue(),
        overdue=ground.overdue(),
        ready=sum(held.ready for held in by_campaign.values()),
        ready_at=ground.machinery.next_run_at,
        causes=causes,
        ended=_ended(ground, list(ground.camps), {"tenant__id__exact": row.pk}),
        is_estimate=any(each.is_estimate for each in ground.waiting.values()),
        figures=[campaign_table(ground, by_campaign, firsts), pools, mailbox_states(ground, naming)],
    )
    return finished(found)


def _ended(ground: Ground, ids: list[int], narrowed: dict[str, Any]) -> list[Number]:
    """Who gets no mail any more, by why."""
    total: Counter[str] = Counter()
    for pk in ids:
        total += ground.waiting[pk].ended
    return [
        Number(
            reason, reason.replace("_", " "), count,
            Link("campaigns_enrolment", {**narrowed, "status__exact": "stopped", "stop_reason__exact": reason}),
        )
        for reason, count in total.most_common()
    ]  # fmt: skip


def finished(found: Explanation) -> Explanation:
    """With its causes in order and the sentence."""
    found.causes.sort(key=rank)
    found.sentence = explain_words.sentence(found)
    return found


def for_client(found: Explanation) -> Explanation:
    """What somebody sees who may look at campaigns alone: how the fleet stands is told as one cause without a name."""
    kept: list[Cause] = []
    hidden: list[Cause] = []
    for cause in found.causes:
        of_fleet = (
            cause.kind in OF_THE_FLEET
            or (cause.kind == "cap" and cause.name not in CAPS_OF_CLIENTS)
            or (cause.kind == "stop" and cause.name in ("account", "domain", "organisation", "pool"))
            or (cause.kind == "approval" and cause.name != "campaign.launch")
        )
        (hidden if of_fleet else kept).append(cause)
    if hidden:
        title, remedy = explain_words.words("fleet", "fleet")
        times = [cause.next_at for cause in hidden if cause.next_at is not None]
        kept.append(
            Cause(
                "cap", "fleet", title, sum(cause.count for cause in hidden), sum(cause.decides for cause in hidden),
                remedy, next_at=min(times, default=None), is_estimate=any(cause.is_estimate for cause in hidden),
            )
        )  # fmt: skip
    found.causes = sorted(kept, key=rank)
    found.sentence = explain_words.sentence(found)
    return found
