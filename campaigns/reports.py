"""Campaigns in numbers, each from one set-based query that an index carries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Max, Q, QuerySet

from campaigns import sequences
from campaigns.models import Attempt, Batch, Campaign, Enrolment, Message, PlanRun, Step
from mailboxes.models import Mailbox
from outreach.common.freshness import kept
from outreach.common.intervals import Share
from tenants.models import Tenant

# The parts of a progress bar, in its order: name and the message states it sums up.
PARTS = {
    "sent": ("sent",),
    "uncertain": ("uncertain",),
    "failed": ("failed",),
    "suppressed": ("suppressed",),
    "cancelled": ("cancelled",),
    "working": ("claimed", "committing"),
    "deferred": ("deferred",),
    "planned": ("planned",),
}
TOP_MAILBOXES = 1500
FINISHED = (Campaign.Status.COMPLETED, Campaign.Status.CANCELLED)
KEPT_SECONDS = 600  # for figures that hardly change any more


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the people and messages of one campaign stand. `messages` is status: count."""

    people: int = 0
    waiting: int = 0
    messages: dict[str, int] = field(default_factory=dict)

    def part(self, name: str) -> int:
        """How many messages are in the states of that part of the bar."""
        return sum(self.messages.get(status, 0) for status in PARTS[name])

    @property
    def total(self) -> int:
        """Messages made so far and people still waiting for their next one."""
        return sum(self.messages.values()) + self.waiting

    @property
    def share_done(self) -> float:
        """What part of it needs nothing more, from 0 to 1."""
        done = sum(self.part(name) for name in ("sent", "uncertain", "failed", "suppressed", "cancelled"))
        return done / self.total if self.total else 0.0


def progress(campaigns: Sequence[Campaign]) -> dict[int, Progress]:
    """Campaign id: its progress, counted a moment ago at most; those of finished campaigns ten minutes ago.

    count(*) rather than the id, so that the index (campaign, status) alone answers.
    """
    ids = [row.pk for row in campaigns]
    closed = [row.pk for row in campaigns if row.status in FINISHED]
    moving = [row.pk for row in campaigns if row.status not in FINISHED]
    enrolling = any(row.enrol_until is not None for row in campaigns)
    over = kept(("messages", *closed), lambda: _messages(closed), seconds=KEPT_SECONDS) if closed else {}
    going_on = kept(("messages", *moving), lambda: _messages(moving)) if moving else {}
    messages = {**over, **going_on}
    people = kept(("people", *ids), lambda: _people(ids), seconds=2 if enrolling else KEPT_SECONDS / 10)
    waiting = kept(("waiting", *moving), lambda: _waiting(moving)) if moving else {}
    return {pk: Progress(people.get(pk, 0), waiting.get(pk, 0), messages[pk]) for pk in ids}


def _messages(ids: list[int]) -> dict[int, dict[str, int]]:
    found: dict[int, dict[str, int]] = {pk: {} for pk in ids}
    rows = Message.objects.filter(campaign__in=ids).order_by().values_list("campaign_id", "status")
    for pk, status, n in rows.annotate(n=Count("*")):
        found[pk][status] = n
    return found


def _people(ids: list[int]) -> dict[int, int]:
    rows = Enrolment.objects.filter(campaign__in=ids).order_by().values_list("campaign_id")
    return dict(rows.annotate(n=Count("*")))


def _waiting(ids: list[int]) -> dict[int, int]:
    rows = Enrolment.objects.filter(campaign__in=ids, due_at__isnull=False).order_by().values_list("campaign_id")
    return dict(rows.annotate(n=Count("*")))


SENT_SQL = """
SELECT extract(epoch FROM date_bin(make_interval(secs => %(step)s), sent_at, 'epoch'::timestamptz))::bigint, count(*)
FROM campaigns_message
WHERE status = 'sent' AND sent_at >= %(since)s
  AND (%(campaign)s::bigint IS NULL OR campaign_id = %(campaign)s)
  AND (%(tenants)s::bigint[] IS NULL OR tenant_id = ANY (%(tenants)s))
GROUP BY date_bin(make_interval(secs => %(step)s), sent_at, 'epoch'::timestamptz) ORDER BY 1
"""


def sent_by_time(
    since: datetime,
    step_seconds: int,
    *,
    campaign_id: int | None = None,
    tenant_ids: frozenset[int] | None = None,
) -> dict[int, int]:
    """Unix time of a step's start: mails that got their 250 in it. Steps without mail are left out."""
    with connection.cursor() as cursor:
        cursor.execute(
            SENT_SQL,
            {
                "step": step_seconds,
                "since": since,
                "campaign": campaign_id,
                "tenants": None if tenant_ids is None else list(tenant_ids),
            },
        )
        return dict(cursor.fetchall())


def sent_by_mailbox(campaign_id: int) -> list[tuple[int, str, int]]:
    """(mailbox id, address, mails sent for the campaign), most first."""
    rows = Message.objects.filter(campaign=campaign_id, status=Message.Status.SENT).order_by()
    counted = rows.values_list("mailbox_id", "mailbox__address").annotate(n=Count("*")).order_by("-n", "mailbox_id")
    return list(counted[:TOP_MAILBOXES])


def waits(campaign_id: int) -> list[tuple[str, int]]:
    """(what the people of a campaign wait for, how many), most first; only those not with a message."""
    rows = Enrolment.objects.filter(campaign=campaign_id, due_at__isnull=False).order_by()
    return list(rows.values_list("waits_for").annotate(n=Count("*")).order_by("-n"))


def uncertain(tenant_ids: frozenset[int] | None, limit: int = 8) -> QuerySet[Message]:
    """The newest messages of which nobody knows whether they went out, with what a list shows of them."""
    campaigns = Campaign.objects.order_by().values_list("pk", flat=True)
    if tenant_ids is not None:
        campaigns = campaigns.filter(tenant__in=tenant_ids)
    found = Message.objects.filter(status=Message.Status.UNCERTAIN, campaign__in=list(campaigns))
    return found.select_related("contact", "campaign", "mailbox")[:limit]


LAST_RUNS = """
SELECT p.* FROM tenants_tenant t CROSS JOIN LATERAL (
    SELECT * FROM campaigns_planrun WHERE tenant_id = t.id ORDER BY started_at DESC LIMIT 1
) p
WHERE t.status = 'active' AND (%(tenants)s::bigint[] IS NULL OR t.id = ANY (%(tenants)s))
ORDER BY p.started_at DESC LIMIT %(limit)s
"""


def last_runs(tenant_ids: frozenset[int] | None, limit: int = 8) -> list[PlanRun]:
    """The planner's last run for each active tenant, newest first."""
    tenants = None if tenant_ids is None else list(tenant_ids)
    return list(PlanRun.objects.raw(LAST_RUNS, {"tenants": tenants, "limit": limit}))


def batches(tenant_ids: frozenset[int] | None, stuck_before: datetime) -> dict[str, int]:
    """Open batches, and those made before that time: workers do not keep up, or are gone."""
    rows = Batch.objects.filter(done_at=None)
    if tenant_ids is not None:
        rows = rows.filter(tenant__in=tenant_ids)
    return rows.aggregate(open=Count("pk"), stuck=Count("pk", filter=Q(created_at__lt=stuck_before)))


def attempts(message: Message, limit: int = 50) -> list[Any]:
    """The tries of one message that did not end in a 250, newest first."""
    return list(Attempt.objects.filter(message_ref=message.pk, tenant=message.tenant_id)[:limit])


# RULES, "Bounces": a mailbox is warned of from this share of its mails on, once there are that many.
REFUSED_DAYS, REFUSED_FROM, REFUSED_PERCENT = 14, 50, 3


def sent_by_mailbox_day(tenant: Tenant, since: date, until: date) -> dict[tuple[int, date], int]:
    """Mails that each mailbox really sent on the tenant's days from `since` to before `until`: (mailbox, day): n.

    The day is the one whose allowance the mail counted against; the index on the time of sending finds it.
    """
    rows = Message.objects.filter(
        tenant=tenant, status=Message.Status.SENT, sent_at__gte=_surely_before(since), day_on__gte=since,
        day_on__lt=until,
    )  # fmt: skip
    counted = rows.order_by().values_list("mailbox_id", "day_on").annotate(n=Count("*"))
    return {(mailbox, day): n for mailbox, day, n in counted if day is not None}


def waiting_by_mailbox(mailbox_ids: Sequence[int]) -> dict[int, int]:
    """Messages that would be taken back with these mailboxes (planned, claimed), by mailbox id."""
    waiting = Message.objects.filter(
        mailbox__in=mailbox_ids, status__in=(Message.Status.PLANNED, Message.Status.CLAIMED)
    )
    return dict(waiting.order_by().values_list("mailbox_id").annotate(n=Count("*")))


def refused_mailboxes(tenant: Tenant, day: date) -> dict[int, str]:
    """Mailboxes whose mails were refused for good too often in the 14 days before: id: how often, as text."""
    refused = _refused(tenant, day)
    return _too_often(refused, _sent_lately(tenant, day, list(refused)))


BASES_BY_POOL = """
SELECT c.pool_id, array_agg(DISTINCT ct.lawful_basis)
FROM campaigns_campaign c
JOIN campaigns_enrolment e ON e.campaign_id = c.id AND e.status = 'active'
JOIN campaigns_contact ct ON ct.id = e.contact_id
WHERE c.pool_id = ANY (%s) AND c.status = 'running' GROUP BY c.pool_id"""


def bases_by_pool(pool_ids: Sequence[int]) -> dict[int, set[str]]:
    """The lawful bases of those to whom the running campaigns of each pool may still write; pools without are left out.

    Reads every active enrolment of theirs: for the rare moment in which an account goes out.
    """
    with connection.cursor() as cursor:
        cursor.execute(BASES_BY_POOL, [list(pool_ids)])
        return {pool_id: set(bases) for pool_id, bases in cursor.fetchall()}


def refused_domains(tenant: Tenant, day: date) -> dict[int, str]:
    """The same of sending domains, over all of their mailboxes together."""
    refused = _refused(tenant, day)
    if not refused:
        return {}
    theirs = Mailbox.objects.filter(pk__in=list(refused)).order_by().values("domain_id")
    owner = dict(Mailbox.objects.filter(domain__in=theirs).order_by().values_list("pk", "domain_id"))
    summed: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
    for counts, total in zip((refused, _sent_lately(tenant, day, list(owner))), summed, strict=True):
        for pk, n in counts.items():
            total[owner[pk]] += n
    return _too_often(*summed)


def _refused(tenant: Tenant, day: date) -> dict[int, int]:
    """Mailbox id: mails refused for good in the 14 days before."""
    began = _surely_before(day - timedelta(days=REFUSED_DAYS))
    attempts = Attempt.objects.filter(tenant=tenant, at__gte=began, result=Message.Status.FAILED)
    return dict(attempts.order_by().values_list("mailbox_ref").annotate(n=Count("*")))


def _sent_lately(tenant: Tenant, day: date, mailboxes: Sequence[int]) -> dict[int, int]:
    began = _surely_before(day - timedelta(days=REFUSED_DAYS))
    rows = Message.objects.filter(
        tenant=tenant, mailbox__in=list(mailboxes), status=Message.Status.SENT, sent_at__gte=began
    )
    return dict(rows.order_by().values_list("mailbox_id").annotate(n=Count("*"))) if mailboxes else {}


def _too_often(refused: Mapping[int, int], sent: Mapping[int, int]) -> dict[int, str]:
    found = {}
    for pk, n in refused.items():
        total = n + sent.get(pk, 0)
        if total >= REFUSED_FROM and 100 * n >= REFUSED_PERCENT * total:
            found[pk] = f"{n} of {total} mails refused in {REFUSED_DAYS} days"
    return found


def _surely_before(day: date) -> datetime:
    """A moment at which that day had begun nowhere: what an index on times may leave out, whatever the zone."""
    return datetime.combine(day, time(), UTC) - timedelta(days=1)


def last_sent_by_domain(domain_ids: Sequence[int]) -> dict[int, datetime]:
    """When the last mail of each sending domain passed its final dot, whatever its fate; the ledger notes each dot."""
    boxes = Mailbox.objects.filter(domain__in=list(domain_ids), last_dot_at__isnull=False).order_by()
    return dict(boxes.values_list("domain_id").annotate(at=Max("last_dot_at")))


WORDINGS = """
SELECT m.variant_id, count(*), count(m.replied_at), count(*) FILTER (WHERE m.outcome = ANY (%(bounced)s)),
    count(m.opted_out_at), count(*) FILTER (WHERE m.outcome = 'complained')
FROM campaigns_message m
WHERE m.campaign_id = %(campaign)s AND m.status = 'sent' AND m.step_id = %(step)s
GROUP BY m.variant_id"""


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of one wording of a step: how many were sent, and of them each kind of answer."""

    variant_id: int | None
    label: str
    sent: int
    shares: dict[str, Share]


def wordings(step: Step) -> list[Heard]:
    """A version of a step by what was sent: its variants, or its own text (variant None)."""
    with connection.cursor() as cursor:
        cursor.execute(
            WORDINGS, {"campaign": step.campaign_id, "step": step.pk, "bounced": list(sequences.NOT_RECEIVED)}
        )
        found = {row[0]: row[1:] for row in cursor.fetchall()}
    labels: dict[int | None, str] = {each.pk: each.label for each in step.variants.all()}
    labels = labels or {None: ""}
    return [_heard(pk, label, found.get(pk, (0, 0, 0, 0, 0))) for pk, label in labels.items()]


def _heard(variant_id: int | None, label: str, counts: Sequence[int]) -> Heard:
    sent, *hits = counts
    names = ("replied", "bounced", "opted_out", "complained")
    return Heard(variant_id, label, sent, {name: Share(n, sent) for name, n in zip(names, hits, strict=True)})
