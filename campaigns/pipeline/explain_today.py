"""What became of today's mail, and of what is planned: counts along the ledger's indexes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext_lazy as _

from campaigns.pipeline.explain_causes import Number
from outreach.common.links import Link

# Sent mail is found by its time, the rest by campaign and state; the day is the one whose caps it counted against.
TODAY = """
SELECT 'sent', count(*) FROM campaigns_message m
WHERE m.sent_at >= %(began)s AND m.status = 'sent' AND m.day_on = %(day)s AND m.tenant_id = %(tenant)s
  AND (%(campaign)s::bigint IS NULL OR m.campaign_id = %(campaign)s)
  AND (%(mailbox)s::bigint IS NULL OR m.mailbox_id = %(mailbox)s)
UNION ALL
SELECT m.status, count(*) FROM campaigns_message m
WHERE m.campaign_id IN (
    SELECT id FROM campaigns_campaign c
    WHERE c.tenant_id = %(tenant)s AND (%(campaign)s::bigint IS NULL OR c.id = %(campaign)s)
) AND m.status IN ('planned', 'claimed', 'committing', 'deferred', 'failed', 'uncertain')
  AND (m.status NOT IN ('failed', 'uncertain') OR m.day_on = %(day)s)
  AND (%(mailbox)s::bigint IS NULL OR m.mailbox_id = %(mailbox)s)
GROUP BY m.status"""

PLANNED = """
SELECT m.campaign_id, m.mailbox_id, count(*), count(*) FILTER (WHERE m.due_at <= %(now)s),
    count(*) FILTER (WHERE m.due_at <= %(late)s), count(*) FILTER (WHERE m.due_at <= %(now)s AND m.batch_id IS NULL),
    min(m.due_at)
FROM campaigns_message m
WHERE m.campaign_id = ANY (%(campaigns)s) AND m.status = 'planned' GROUP BY 1, 2"""

LABELS = {
    "sent": _("sent"),
    "planned": _("planned"),
    "working": _("being sent"),
    "deferred": _("deferred"),
    "failed": _("failed"),
    "uncertain": _("uncertain"),
}
STATES = {"working": ("claimed", "committing")}
OF_THE_DAY = ("sent", "failed", "uncertain")


@dataclass(frozen=True, slots=True)
class Planned:
    """Planned mail of one campaign from one mailbox; `late` is due for longer than a worker takes to come for it."""

    campaign_id: int
    mailbox_id: int
    count: int
    due: int
    late: int
    without_batch: int
    first_at: datetime


@dataclass(slots=True)
class Counts:
    """Today by state; `planned`, `working` and `deferred` are all that there are now."""

    states: Counter[str] = field(default_factory=Counter)

    def of(self, name: str) -> int:
        return sum(self.states[status] for status in STATES.get(name, (name,)))


def clock() -> datetime:
    """The database's clock, which the planner goes by."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0].astimezone(UTC)


def counts(
    cursor: Any, tenant_id: int, *, began: datetime, day: date, campaign: int | None = None, mailbox: int | None = None
) -> Counts:
    """What became of the mail of a tenant's day, or of one campaign's or mailbox's part of it."""
    values = {"tenant": tenant_id, "began": began, "day": day, "campaign": campaign, "mailbox": mailbox}
    cursor.execute(TODAY, values)
    return Counts(Counter(dict(cursor.fetchall())))


def numbers(found: Counts, day: date, **narrowed: int) -> list[Number]:
    """The counts with the rows of the ledger that they count; `narrowed` is the lookup of the subject."""
    shown = []
    for name, label in LABELS.items():
        states = STATES.get(name, (name,))
        lookups: dict[str, Any] = dict(narrowed)
        lookups |= {"status__in": ",".join(states)} if len(states) > 1 else {"status__exact": name}
        if name in OF_THE_DAY:
            lookups["day_on__exact"] = day.isoformat()
        shown.append(Number(name, str(label), found.of(name), Link("campaigns_message", lookups)))
    return shown


def planned(cursor: Any, campaigns: list[int], now: datetime) -> list[Planned]:
    """Planned mail by campaign and mailbox."""
    late = now - timedelta(seconds=settings.RING_AGAIN_SECONDS[0])
    cursor.execute(PLANNED, {"campaigns": campaigns, "now": now, "late": late})
    return [Planned(*row) for row in cursor.fetchall()]
