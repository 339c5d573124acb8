"""A campaign that could send, and what may hold it: each with its undoing and with how many it holds."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from campaigns.models import Campaign, Enrolment, Stop
from campaigns.pipeline import explain
from campaigns.pipeline.explain_causes import Explanation
from campaigns.pipeline.explain_stops import Queue
from campaigns.services import campaigns, preflighting, suppression
from mailboxes.models import Allowance, Mailbox, ProviderAccount, QuotaGroup, SendingDomain
from tenants.models import Lease, Tenant, TenantRecord
from tenants.services.actors import SYSTEM
from tests import factories

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=1)
FAR = datetime(2100, 1, 1, tzinfo=UTC)
LISTENING = Queue(asked=True, listeners=1)


@dataclass
class Scene:
    """A started campaign with its people and mailboxes, at a moment at which somebody leads."""

    people: int = 20
    mailboxes: int = 4
    now: datetime = NOON
    changes: dict[str, Any] = field(default_factory=dict)
    fleet: dict[str, Any] = field(default_factory=dict)
    each: Callable[[int], dict[str, Any]] | None = None

    def __post_init__(self) -> None:
        self.tenant = factories.tenant()
        self.boxes = factories.fleet(self.tenant, self.mailboxes, domains=2, **self.fleet)
        listed = factories.contact_list(self.tenant)
        TenantRecord.objects.filter(tenant=self.tenant).update(allowed_countries=["UA", "US", "DE", "FR", "GB"])
        self.contacts = factories.people(
            self.tenant, listed, self.people, each=self.each, collected_directly=True
        )  # fmt: skip
        made = factories.campaign(self.tenant, self.boxes[0].pool, listed, **self.changes)
        warnings = [finding.code for finding in preflighting.look(made).warnings]
        self.campaign = campaigns.start(made, actor=SYSTEM, accept=warnings)
        Enrolment.objects.filter(campaign=self.campaign).update(due_at=self.now - timedelta(seconds=30))
        leads(self.now)

    def explained(self, queue: Queue = LISTENING) -> Explanation:
        return explain.campaign(self.campaign, self.now, queue=queue)

    def change(self, model: Any, **values: Any) -> None:
        """All of the tenant's rows of that model."""
        own = {"pk": self.tenant.pk} if model is Tenant else {"tenant": self.tenant}
        model.objects.filter(**own).update(**values)

    def use_up(self, scope: str, keys: list[int], cap: int, start: datetime, *, of_platform: bool = False) -> None:
        """Reserve all of a cap."""
        Allowance.objects.bulk_create(
            Allowance(
                tenant=None if of_platform else self.tenant, scope=scope, key=key, period_start=start, cap=cap,
                reserved=cap,
            )
            for key in keys
        )  # fmt: skip

    def free_again(self) -> None:
        Allowance.objects.update(reserved=0)

    @property
    def day(self) -> datetime:
        return self.now.replace(hour=0)


def leads(now: datetime) -> None:
    Lease.objects.update_or_create(name="cron", defaults={"holder": uuid.uuid4(), "until": now + timedelta(seconds=45)})


@dataclass(frozen=True)
class Case:
    """What holds `count` of 20 people: how it comes, how it goes, and by what name explain has to say it."""

    kind: str
    name: str
    begin: Callable[[Scene], Any]
    end: Callable[[Scene], Any]
    count: int = 20
    at: datetime | None = None  # when the first of them can go, where that is known
    scene: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def boxes(**values: Any) -> Callable[[Scene], None]:
    return lambda scene: scene.change(Mailbox, **values)


def domains(**values: Any) -> Callable[[Scene], None]:
    return lambda scene: scene.change(SendingDomain, **values)


def accounts(**values: Any) -> Callable[[Scene], None]:
    return lambda scene: scene.change(ProviderAccount, **values)


def of_tenant(**values: Any) -> Callable[[Scene], None]:
    return lambda scene: scene.change(Tenant, **values)


def of_campaign(**values: Any) -> Callable[[Scene], None]:
    return lambda scene: scene.change(Campaign, **values)


def used(scope: str, whose: Callable[[Scene], list[int]], cap: int) -> Callable[[Scene], None]:
    def begin(scene: Scene) -> None:
        scene.use_up(scope, whose(scene), cap, scene.now if scope.endswith("hour") else scene.day)

    return begin


def both(*acts: Callable[[Scene], Any]) -> Callable[[Scene], None]:
    def begin(scene: Scene) -> None:
        for act in acts:
            act(scene)

    return begin


def suppress(scene: Scene) -> None:
    keyed = suppression.hasher()
    for contact in scene.contacts[:8]:
        row = suppression.entry(contact.email_key, keyed)
        row.tenant, row.scope, row.reason = scene.tenant, "tenant", "manual"
        row.save()


def lift_all(scene: Scene) -> None:
    scene.campaign.suppressions.update(lifted_at=scene.now)


TOMORROW = NOON.replace(hour=0) + timedelta(days=1)
MAILBOX_IDS = lambda scene: [box.pk for box in scene.boxes]  # noqa: E731
DOMAIN_IDS = lambda scene: sorted({box.domain_id for box in scene.boxes})  # noqa: E731
OFFICE = {"window_from": "09:00", "window_until": "11:00"}


def stopped(scope: str) -> Callable[[Scene], None]:
    """An open stop of that scope, over all that the scene has."""

    def begin(scene: Scene) -> None:
        group = QuotaGroup.objects.create(name="host", kind="other")
        scene.change(ProviderAccount, quota_group=group)
        scene.change(Mailbox, domain=scene.boxes[0].domain)
        keys = {
            "tenant": scene.tenant.pk, "pool": scene.boxes[0].pool_id, "campaign": scene.campaign.pk,
            "account": scene.boxes[0].home_id, "domain": scene.boxes[0].domain_id, "organisation": group.pk,
        }  # fmt: skip
        Stop.objects.create(
            tenant=None if scope in ("platform", "organisation") else scene.tenant, scope=scope, key=keys.get(scope),
            label="what", reason="complaints", until=FAR,
        )  # fmt: skip

    return begin


def lifted(scene: Scene) -> None:
    Stop.objects.update(lifted_at=NOON)


SCOPES = ("platform", "tenant", "organisation", "account", "domain", "pool", "campaign")

HELD = [
    *(Case("stop", scope, stopped(scope), lifted, at=FAR) for scope in SCOPES),
    Case(
        "domain", "too_young", domains(registered_on=NOON.date() - timedelta(days=3)),
        domains(registered_on=NOON.date() - timedelta(days=300)),
    ),
    Case("stop", "tenant_suspended", of_tenant(status="suspended"), of_tenant(status="active")),
    Case("stop", "campaign_paused", of_campaign(status="paused"), of_campaign(status="running")),
    Case("stop", "campaign_halted", of_campaign(status="halted"), of_campaign(status="running")),
    Case("domain", "new", domains(state="new"), domains(state="verified")),
    Case("domain", "blocked", domains(state="blocked"), domains(state="degraded")),
    Case("circuit", "quarantined", boxes(state="quarantined"), boxes(state="active")),
    Case("circuit", "locked", boxes(hold="locked"), boxes(hold="none")),
    Case("circuit", "sign_in_failed", boxes(hold="sign_in_failed"), boxes(hold="none")),
    Case("circuit", "mailbox_blocked", boxes(blocked_until=FAR), boxes(blocked_until=None), at=FAR),
    Case("circuit", "no_health", boxes(health=0), boxes(health=0.5)),
    Case("circuit", "account_paused", accounts(state="paused"), accounts(state="active")),
    Case("circuit", "account_suspended", accounts(state="suspended"), accounts(state="active")),
    Case("circuit", "account_blocked", accounts(blocked_until=FAR), accounts(blocked_until=None), at=FAR),
    Case("cap", "mailbox_day", boxes(daily_cap=0), boxes(daily_cap=5), at=TOMORROW),
    Case(
        "cap", "mailbox_day", used("mailbox_day", MAILBOX_IDS, 1000), Scene.free_again, at=TOMORROW,
    ),
    Case(
        "cap", "domain_hour", both(domains(hourly_cap=10), used("domain_hour", DOMAIN_IDS, 10)), Scene.free_again,
        at=NOON + timedelta(hours=1),
    ),
    Case(
        "cap", "campaign_day", both(
            of_campaign(daily_cap=20), used("campaign_day", lambda scene: [scene.campaign.pk], 20)
        ), Scene.free_again, at=TOMORROW,
    ),
    Case(
        "cap", "tenant_day", both(of_tenant(daily_cap=20), used("tenant_day", lambda scene: [scene.tenant.pk], 20)),
        Scene.free_again, at=TOMORROW,
    ),
    Case(
        "gate", "frequency",
        lambda scene: Enrolment.objects.update(due_at=scene.now + timedelta(days=2), waits_for="frequency"),
        lambda scene: Enrolment.objects.update(due_at=scene.now, waits_for=""), at=NOON + timedelta(days=2),
    ),
    Case(
        "gate", "due", lambda scene: Enrolment.objects.update(due_at=scene.now + timedelta(hours=3)),
        lambda scene: Enrolment.objects.update(due_at=scene.now), at=NOON + timedelta(hours=3),
    ),
    Case(
        "window", "closed", of_campaign(**OFFICE), of_campaign(window_until="13:00"),
        at=NOON + timedelta(hours=21),
    ),
    Case(
        "window", "closed", of_campaign(window_days=[(NOON.weekday() + 2) % 7]),
        of_campaign(window_days=list(range(7))), at=TOMORROW + timedelta(days=1),
    ),
]  # fmt: skip
