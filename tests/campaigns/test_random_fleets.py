"""Over random fleets and days no limit is ever passed: not over midnight, a change of clocks, or a lowered cap."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db.models import F

from campaigns.models import Campaign, Contact, Enrolment, Message
from campaigns.pipeline import planner
from campaigns.services import campaigns
from mailboxes.models import Mailbox, ProviderAccount, QuotaGroup, ReceiverLimit, SendingDomain
from mailboxes.services import mailboxes
from tenants.models import Tenant
from tenants.services.actors import SYSTEM
from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]

# Zone, and the day in which the run begins: before a clock goes forward, back, an odd offset, and a plain one.
STARTS = [
    ("Europe/Berlin", date(2027, 3, 27)),
    ("Europe/Berlin", date(2027, 10, 30)),
    ("America/New_York", date(2027, 11, 6)),
    ("Asia/Kathmandu", date(2027, 6, 1)),
    ("Pacific/Auckland", date(2027, 9, 25)),
]
HOURS = 40


def chance(rng: random.Random, *values: int) -> int | None:
    """One of the values, or as often none: no limit."""
    return rng.choice([None, *values])


@dataclass
class World:
    """A tenant with random limits, the most that each cap ever was on a day, and the clock."""

    rng: random.Random
    tenant: Tenant
    boxes: list[Mailbox]
    running: list[Campaign]
    now: datetime
    caps: dict[tuple[int, date], int] = field(default_factory=dict)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.tenant.time_zone)

    def pass_time(self) -> None:
        """Plan, let time go by, and let everything that fell due go out at its moment."""
        planner.run(self.tenant, self.now)
        if self.rng.random() < 0.15:
            self.lower_a_cap()
        self.now += timedelta(minutes=self.rng.choice([7, 20, 45, 70]))
        Message.objects.filter(status="planned", due_at__lt=self.now).update(status="sent", sent_at=F("due_at"))

    def lower_a_cap(self) -> None:
        box = Mailbox.objects.get(pk=self.rng.choice(self.boxes).pk)
        day = self.now.astimezone(self.zone).date()
        gone = sum(on == day for on in days(self.zone, Message.objects.filter(mailbox=box, status="sent")))
        mailboxes.set_cap(box, self.rng.randint(0, box.daily_cap), actor=SYSTEM)
        box.refresh_from_db()
        for ahead in range(4):
            self.caps[box.pk, day + timedelta(days=ahead)] = max(box.daily_cap, gone if ahead == 0 else 0)


def days(zone: ZoneInfo, messages: Iterable[Message]) -> list[date]:
    return [message.due_at.astimezone(zone).date() for message in messages]


def world(seed: int) -> World:
    rng = random.Random(seed)
    zone, day = STARTS[seed % len(STARTS)]
    tenant = factories.tenant(time_zone=zone, daily_cap=chance(rng, 150, 400))
    groups = [
        QuotaGroup.objects.create(
            name=f"{seed}-{n}", kind="other", daily_cap=chance(rng, 60, 200), user_daily_cap=chance(rng, 15, 40)
        )
        for n in range(2)
    ]
    homes = [
        factories.account(
            tenant, port=2525 + n, hourly_cap=chance(rng, 9, 40), quota_group=rng.choice([None, groups[n]])
        )
        for n in range(2)
    ]
    boxes: list[Mailbox] = []
    for n in range(3):
        boxes += factories.fleet(
            tenant, rng.randint(2, 6), home=rng.choice(homes), pool=boxes[0].pool if n == 1 else None,
            domains=2, weight=rng.choice([0.5, 1.0, 3.0]), min_gap_seconds=rng.choice([0, 60, 400]),
            each=lambda i: {"daily_cap": rng.randint(1, 30), "state": rng.choice(["active", "active", "reserve"])},
        )  # fmt: skip
    for n, domain in enumerate(SendingDomain.objects.filter(tenant=tenant).order_by("pk")):
        domain.name = f"d{n}.brand{n % 2}{seed}.example"
        domain.hourly_cap, domain.daily_cap = chance(rng, 3, 8), chance(rng, 20, 50)
        domain.save()
    ReceiverLimit.objects.update_or_create(operator="google", defaults={"hourly_cap": None, "daily_cap": 70})
    ReceiverLimit.objects.create(operator="yahoo", hourly_cap=5, daily_cap=None)
    running = []
    for pool in {box.pool_id: box.pool for box in boxes}.values():
        listed = factories.contact_list(tenant)
        factories.people(tenant, listed, 400)
        campaign = factories.campaign(
            tenant, pool, listed, daily_cap=chance(rng, 40, 120), pace=rng.choice(["even", "prompt"]),
            window_zone="tenant",
        )  # fmt: skip
        running.append(campaigns.start(campaign, actor=SYSTEM))
    for n, operator in enumerate(["google", "yahoo", "microsoft", ""]):
        of_four = Contact.objects.filter(tenant=tenant).annotate(rest=F("pk") % 4).filter(rest=n)
        of_four.update(operator=operator)
    now = datetime(day.year, day.month, day.day, 19, tzinfo=UTC)
    made = World(rng, Tenant.objects.get(pk=tenant.pk), boxes, running, now)
    for box in Mailbox.objects.filter(tenant=tenant):
        share = box.reserve_share if box.state == "reserve" else 1
        for ahead in range(4):
            made.caps[box.pk, day + timedelta(days=ahead)] = int(box.daily_cap * share)
    return made


def fits(sent: list[Message], key: Callable[[Message], object], cap: Callable[[object], int | None]) -> None:
    for of, count in Counter(map(key, sent)).items():
        most = cap(of)
        assert most is None or count <= most, (of, count, most)


def fits_rolling(sent: list[Message], key: Callable[[Message], object], cap: Callable[[object], int | None]) -> None:
    """In no 24 hours, begun by any of the mails, more than the cap."""
    times: dict[object, list[datetime]] = defaultdict(list)
    for message in sent:
        times[key(message)].append(message.due_at)
    for of, moments in times.items():
        most = cap(of)
        for first in moments if most is not None else ():
            within = sum(first <= moment < first + timedelta(hours=24) for moment in moments)
            assert within <= most, (of, within, most)


@pytest.mark.parametrize("seed", range(5))
def test_no_scope_is_passed(seed):
    made = world(seed)
    began = made.now
    while made.now < began + timedelta(hours=HOURS):
        made.pass_time()

    related = ("mailbox__domain", "mailbox__home")
    sent = list(Message.objects.filter(tenant=made.tenant, status="sent").select_related(*related))
    assert len(sent) > 100
    zone = made.zone
    accounts = {row.pk: row for row in ProviderAccount.objects.all()}
    domains = {row.pk: row for row in SendingDomain.objects.all()}
    groups = {row.pk: row for row in QuotaGroup.objects.all()}
    limits = {row.operator: row for row in ReceiverLimit.objects.all()}
    campaign_caps = {row.pk: row.daily_cap for row in made.running}

    def day(message: Message) -> date:
        return message.due_at.astimezone(zone).date()

    def hour(message: Message) -> datetime:
        return message.due_at.replace(minute=0, second=0, microsecond=0)

    def group(message: Message) -> int | None:
        return message.mailbox.home.quota_group_id

    def receiver(message: Message) -> tuple[str, str]:
        return message.mailbox.domain.organisational, message.operator

    fits(sent, lambda m: (m.mailbox_id, day(m)), lambda of: made.caps[of])
    fits(sent, lambda m: (m.mailbox.domain_id, hour(m)), lambda of: domains[of[0]].hourly_cap)
    fits(sent, lambda m: (m.mailbox.domain_id, day(m)), lambda of: domains[of[0]].daily_cap)
    fits(sent, lambda m: (m.mailbox.home_id, hour(m)), lambda of: accounts[of[0]].hourly_cap)
    fits(sent, lambda m: (receiver(m), hour(m)), lambda of: getattr(limits.get(of[0][1]), "hourly_cap", None))
    fits(sent, lambda m: (m.campaign_id, day(m)), lambda of: campaign_caps[of[0]])
    fits(sent, day, lambda of: made.tenant.daily_cap)
    fits_rolling(sent, group, lambda of: groups[of].daily_cap if of else None)
    fits_rolling(sent, receiver, lambda of: getattr(limits.get(of[1]), "daily_cap", None))
    fits_rolling(sent, lambda m: (group(m), m.mailbox_id), lambda of: groups[of[0]].user_daily_cap if of[0] else None)


@pytest.mark.parametrize("seed", range(3))
def test_shares_follow_weights_below_saturation(seed):
    rng = random.Random(100 + seed)
    tenant = factories.tenant()
    boxes = factories.fleet(
        tenant, 12, daily_cap=1000,
        each=lambda i: {
            "weight": rng.choice([0.5, 1.0, 2.0, 5.0]), "health": rng.choice([0.4, 0.8, 1.0]),
            "daily_cap": rng.choice([600, 1000]),
        },
    )  # fmt: skip
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, 2000)
    campaigns.start(factories.campaign(tenant, boxes[0].pool, listed, pace="prompt"), actor=SYSTEM)
    now = datetime(2027, 6, 1, 0, 1, tzinfo=UTC)
    waiting = list(Enrolment.objects.order_by("pk").values_list("pk", flat=True))
    Enrolment.objects.update(due_at=now + timedelta(days=100))

    while waiting:  # they come by and by, so that no mailbox is ever full
        come, waiting = waiting[: rng.randint(20, 120)], waiting[120:]
        Enrolment.objects.filter(pk__in=come).update(due_at=now)
        planner.run(tenant, now)
        now += timedelta(minutes=15)

    weights = {box.pk: box.weight * box.health * box.daily_cap for box in boxes}
    counts = Counter(Message.objects.values_list("mailbox_id", flat=True))
    total = sum(counts.values())
    assert total > 500
    for pk, weight in weights.items():
        expected = total * weight / sum(weights.values())
        assert abs(counts[pk] - expected) <= max(1.0, 0.02 * expected), (counts[pk], expected)
