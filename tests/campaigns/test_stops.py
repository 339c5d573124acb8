"""The stop lever: what each scope covers, what is taken back, who pulls and lifts it, and that nothing leaks."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction
from django.utils.timezone import now

from campaigns.ledger import moves, outcomes
from campaigns.models import Batch, Enrolment, Message, Stop
from campaigns.pipeline import batcher, planner, reaper, windows
from campaigns.services import campaigns, stops
from campaigns.services.stops import Receiver
from mailboxes.models import ProviderAccount, QuotaGroup
from outreach import cron
from outreach.common.errors import BadInput, InvalidMove, Missing, NotAllowed
from tenants import permissions
from tenants.models import AuditEntry, Tenant
from tenants.services.actors import SYSTEM, Actor, of_grants
from tests import factories
from tests.campaigns.test_crossings import POLICY

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]
PEOPLE = 24
WIDE = ("platform", "organisation")


class House:
    """Two tenants that send: ours with two pools, domains and accounts and two campaigns, and another one."""

    def __init__(self) -> None:
        self.group = QuotaGroup.objects.create(name="contoso.example", kind="microsoft")
        self.tenant, self.other = factories.tenant(), factories.tenant()
        self.campaigns = [self.launch(self.tenant, 2525), self.launch(self.tenant, 2526), self.launch(self.other, 2527)]
        self.first = self.campaigns[0]
        self.box = self.first.pool.mailboxes.order_by("pk").first()
        self.first.pool.mailboxes.update(quota_group=self.group)
        ProviderAccount.objects.filter(tenant=self.other).update(
            quota_group=self.group
        )  # of the account: its mailbox too

    def launch(self, tenant, port):
        listed = factories.contact_list(tenant)
        factories.people(tenant, listed, PEOPLE)
        boxes = factories.fleet(tenant, 2 if tenant is self.tenant else 1, port=port, domains=2)
        return campaigns.start(factories.campaign(tenant, boxes[0].pool, listed), actor=SYSTEM)

    def plan(self) -> int:
        """Plan both tenants, note the operator of half of the mail; return how many messages there are."""
        for tenant in (self.tenant, self.other):
            planner.run(Tenant.objects.get(pk=tenant.pk), cron.now())
        Message.objects.filter(contact__email__regex=r"person(0|1|4|5|8|9|12|13|16|17|20|21)@").update(
            operator="google"
        )
        return Message.objects.count()

    def target(self, scope):
        return {
            "platform": None,
            "tenant": self.tenant,
            "organisation": self.group,
            "account": self.box.home,
            "domain": self.box.domain,
            "receiver": Receiver("google", tenant=self.tenant),
            "pool": self.box.pool,
            "campaign": self.first,
        }[scope]

    def covered(self, scope):
        """The messages that a stop of that scope is about."""
        return {
            "platform": Message.objects.all(),
            "tenant": Message.objects.filter(tenant=self.tenant),
            "organisation": Message.objects.filter(campaign__in=[self.first, self.campaigns[2]]),
            "account": Message.objects.filter(mailbox__home=self.box.home),
            "domain": Message.objects.filter(mailbox__domain=self.box.domain),
            "receiver": Message.objects.filter(tenant=self.tenant, operator="google"),
            "pool": Message.objects.filter(mailbox__pool=self.box.pool),
            "campaign": Message.objects.filter(campaign=self.first),
        }[scope]


COVERED = {"platform": 72, "tenant": 48, "organisation": 48, "account": 24, "domain": 12, "receiver": 24, "pool": 24,
           "campaign": 24}  # fmt: skip


@pytest.fixture
def house():
    return House()


def claim(tenant, token):
    """Batch and claim what is due; return the ids."""
    batcher.run(tenant.pk)
    at = cron.now()
    batches = list(Batch.objects.filter(tenant=tenant, done_at=None).order_by("pk").values_list("pk", flat=True))
    taken = moves.claim(
        batches, token, lease_seconds=120, day=windows.day_of(at, ZoneInfo("UTC")), hour=windows.hour_of(at)
    )
    return [message.id for message in taken]


def commit(ids, token):
    with transaction.atomic(), connection.cursor() as cursor:
        return outcomes.write(cursor, token, POLICY, wanted=ids)


# --- Every scope ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", Stop.Scope.values)
def test_a_pulled_stop_takes_back_what_it_covers_and_nothing_else(house, scope):
    assert house.plan() == 3 * PEOPLE
    claim(house.tenant, uuid4())
    covered = list(house.covered(scope).values_list("pk", "enrolment_id"))
    rest = set(Message.objects.exclude(pk__in=[pk for pk, _ in covered]).values_list("pk", "status"))

    stop = stops.pull(scope, house.target(scope), actor=SYSTEM, reason="complaints")

    assert (len(covered), stop.taken_back) == (COVERED[scope], COVERED[scope])
    assert set(Message.objects.values_list("pk", "status")) == rest
    due = Enrolment.objects.filter(pk__in=[enrolment for _, enrolment in covered]).exclude(due_at=None)
    assert due.count() == len(covered)
    entry = AuditEntry.objects.get(action="stop.pulled")
    assert (entry.tenant_id, entry.reason) == (None if scope in WIDE else house.tenant.pk, "complaints")
    assert entry.facts["taken_back"] == COVERED[scope]


@pytest.mark.parametrize("scope", [scope for scope in Stop.Scope.values if scope != "receiver"])
def test_nothing_that_it_covers_is_planned_until_it_is_lifted(house, scope):
    house.plan()
    stop = stops.pull(scope, house.target(scope), actor=SYSTEM, reason="complaints")

    house.plan()
    assert house.covered(scope).count() == 0
    if scope == "domain":  # the pool's other mailbox takes over its people
        assert Message.objects.count() == 3 * PEOPLE

    Stop.objects.filter(pk=stop.pk).update(lifted_at=now())  # as two people would, where two are needed
    assert house.plan() == 3 * PEOPLE


@pytest.mark.parametrize("scope", Stop.Scope.values)
def test_claim_leaves_out_what_an_open_stop_covers(house, scope):
    house.plan()
    covered = set(house.covered(scope).filter(tenant=house.tenant).values_list("pk", flat=True))
    assert covered
    unseen(house, scope)

    taken = set(claim(house.tenant, uuid4()))

    ours = set(Message.objects.filter(tenant=house.tenant).values_list("pk", flat=True))
    assert taken == ours - covered
    assert reaper.take_back_stopped(house.tenant) == len(covered)
    assert not house.covered(scope).filter(tenant=house.tenant).exists()


@pytest.mark.parametrize("scope", Stop.Scope.values)
def test_committing_grants_no_dot_to_what_an_open_stop_covers(house, scope):
    house.plan()
    token = uuid4()
    taken = claim(house.tenant, token)
    covered = set(house.covered(scope).filter(tenant=house.tenant).values_list("pk", flat=True))
    unseen(house, scope)

    granted = commit(taken, token)

    assert granted == set(taken) - covered
    assert set(Message.objects.filter(pk__in=covered).values_list("status", flat=True)) == {"planned"}


def unseen(house, scope, **changes):
    """A stop that nobody pushed: what a claim or a dot sees when it crosses one that is pulled."""
    made, _ = stops.preview(scope, house.target(scope), actor=SYSTEM)
    made.reason = "complaints"
    for name, value in changes.items():
        setattr(made, name, value)
    made.save()
    return made


@pytest.mark.parametrize(
    ("changes", "holds"),
    [({}, True), ({"until": timedelta(hours=1)}, True), ({"until": timedelta(hours=-1)}, False),
     ({"lifted_at": timedelta(0)}, False)],
)  # fmt: skip
def test_a_stop_holds_until_it_is_lifted_or_its_time_is_over(house, changes, holds):
    house.plan()
    token = uuid4()
    taken = claim(house.tenant, token)
    unseen(house, "tenant", **{name: now() + span for name, span in changes.items()})

    assert commit(taken, token) == (set() if holds else set(taken))


def test_mail_to_one_operator_from_one_organisational_domain_alone(house):
    house.plan()
    name = house.box.domain.organisational
    covered = Message.objects.filter(operator="google", mailbox__domain=house.box.domain).count()

    stop = stops.pull("receiver", Receiver("google", name, house.tenant), actor=SYSTEM, reason="4.7.28")

    assert covered
    assert (stop.taken_back, str(stop)) == (covered, f"google for {name}")
    assert Message.objects.filter(operator="google", mailbox__domain=house.box.domain).count() == 0


def test_what_waits_for_a_retry_waits_on(house):
    house.plan()
    tried = Message.objects.filter(campaign=house.first).first()
    Message.objects.filter(pk=tried.pk).update(status="deferred", tries=1, due_at=now() - timedelta(minutes=1))
    stop = stops.pull("account", house.box.home, actor=SYSTEM, reason="their host is down")

    house.plan()
    tried.refresh_from_db()
    assert tried.status == "deferred"

    stops.lift(stop, actor=SYSTEM, reason="it is back")
    house.plan()
    tried.refresh_from_db()
    assert tried.status == "planned"


# --- The end ----------------------------------------------------------------------------------------------------


def test_after_its_time_planning_goes_on_without_a_burst(house):
    house.first.pool.mailboxes.update(min_gap_seconds=30)
    house.plan()
    stop = stops.pull("pool", house.box.pool, actor=SYSTEM, reason="night", until=now() + timedelta(hours=1))
    house.plan()
    Tenant.objects.update(plan_wanted_at=None)
    Stop.objects.filter(pk=stop.pk).update(until=now() - timedelta(seconds=1))

    assert cron.stops_over() == 1

    stop.refresh_from_db()
    assert stop.lifted_at == stop.until
    assert Tenant.objects.get(pk=house.tenant.pk).plan_wanted_at is not None
    assert AuditEntry.objects.filter(action="stop.ended").count() == 1
    assert cron.stops_over() == 0
    house.plan()
    times = sorted(Message.objects.filter(mailbox=house.box).values_list("due_at", flat=True))
    assert len(times) == PEOPLE // 2
    assert min(after - before for before, after in zip(times, times[1:], strict=False)) >= timedelta(seconds=30)


def test_a_lifted_stop_asks_for_a_plan_and_can_not_be_lifted_twice(house):
    stop = stops.pull("campaign", house.first, actor=SYSTEM, reason="wrong list")
    Tenant.objects.update(plan_wanted_at=None)

    stops.lift(stop, actor=SYSTEM, reason="right list")

    assert list(Tenant.objects.exclude(plan_wanted_at=None)) == [house.tenant]
    with pytest.raises(InvalidMove):
        stops.lift(stop, actor=SYSTEM, reason="again")
    assert AuditEntry.objects.filter(action="stop.lifted").count() == 1


def test_what_stands_still_as_long_already_is_not_stopped_again(house):
    stops.pull("pool", house.box.pool, actor=SYSTEM, reason="night", until=now() + timedelta(hours=1))
    stops.pull("pool", house.box.pool, actor=SYSTEM, reason="longer")

    for until in (None, now() + timedelta(days=1)):
        with pytest.raises(InvalidMove):
            stops.pull("pool", house.box.pool, actor=SYSTEM, reason="twice", until=until)
    assert Stop.objects.count() == 2


# --- Who may ----------------------------------------------------------------------------------------------------


def within(role, tenant):
    return of_grants("user", role, [(tenant.pk, role)])


@pytest.mark.parametrize("scope", Stop.Scope.values)
@pytest.mark.parametrize(
    ("role", "own", "wide"),
    [("operator", True, False), ("ops_manager", True, False), ("break_glass", True, False), ("analyst", False, False),
     ("auditor", False, False), ("client_viewer", False, False), ("client_key", False, False)],
)  # fmt: skip
def test_who_of_one_tenant_pulls_what(house, scope, role, own, wide):
    house.plan()
    before = set(Message.objects.values_list("pk", "status"))
    may = wide if scope in WIDE else own

    with nullcontext() if may else pytest.raises(NotAllowed):
        stops.pull(scope, house.target(scope), actor=within(role, house.tenant), reason="complaints")

    assert Stop.objects.count() == int(may)
    assert (set(Message.objects.values_list("pk", "status")) == before) is not may


@pytest.mark.parametrize("scope", [scope for scope in Stop.Scope.values if scope not in WIDE])
def test_nobody_stops_a_foreign_tenant(house, scope):
    house.plan()

    with pytest.raises(NotAllowed):
        stops.pull(scope, house.target(scope), actor=within("ops_manager", house.other), reason="envy")

    assert Stop.objects.count() == 0
    assert Message.objects.count() == 3 * PEOPLE


@pytest.mark.parametrize(("role", "allowed"), [("platform_admin", True), ("ops_manager", True), ("operator", False)])
@pytest.mark.parametrize("target", [None, Receiver("google")])
def test_who_of_the_company_stops_all_tenants(house, role, allowed, target):
    actor = Actor("user", role, everywhere=permissions.ROLES[role])

    with nullcontext() if allowed else pytest.raises(NotAllowed):
        stops.pull("receiver" if target else "platform", target, actor=actor, reason="complaints")

    assert Stop.objects.count() == int(allowed)


def test_what_a_receiver_asked_for_is_lifted_by_managers_only(house):
    rest = unseen(house, "receiver", cause="answer", until=now() + timedelta(hours=2))

    with pytest.raises(NotAllowed):
        stops.lift(rest, actor=within("operator", house.tenant), reason="impatient")
    stops.lift(rest, actor=within("ops_manager", house.tenant), reason="their postmaster wrote")

    rest.refresh_from_db()
    assert rest.lifted_at is not None


# --- What is given ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"reason": " "}, "reason"), ({"reason": "x" * 501}, "reason"), ({"reason": "a\0b"}, "reason"),
     ({"until": -1}, "until"), ({"scope": "mailbox"}, "scope"), ({"scope": "domain"}, "target"),
     ({"scope": "platform"}, "target")],
)  # fmt: skip
def test_what_can_not_be_used_is_refused(house, changes, field):
    given = {"scope": "pool", "reason": "complaints", **changes}
    if "until" in given:
        given["until"] = now() + timedelta(seconds=given["until"])

    with pytest.raises(BadInput) as refused:
        stops.pull(given.pop("scope"), house.box.pool, actor=SYSTEM, **given)

    assert refused.value.details["field"] == field
    assert Stop.objects.count() == 0


@pytest.mark.parametrize("scope", Stop.Scope.values)
def test_everything_is_found_by_name_and_id(house, scope):
    wanted = house.target(scope)
    slug = house.tenant.slug
    names = {
        "platform": [""],
        "tenant": [slug, str(house.tenant.pk)],
        "organisation": ["contoso.example", str(house.group.pk)],
        "account": ["127.0.0.1:2525", str(house.box.home_id)],
        "domain": [house.box.domain.name.upper(), str(house.box.domain_id)],
        "receiver": ["Google"],
        "pool": [house.box.pool.name, f"{slug}/{house.box.pool.name}", str(house.box.pool_id)],
        "campaign": [house.first.name, f"{slug}/{house.first.name}", str(house.first.pk)],
    }[scope]
    tenant = house.tenant if scope == "receiver" else None
    assert [stops.find(scope, name, actor=SYSTEM, tenant=tenant) for name in names] == [wanted] * len(names)
    if scope not in ("platform", "receiver"):
        with pytest.raises((Missing, BadInput)):
            stops.find(scope, "nothing", actor=SYSTEM)
        with pytest.raises((Missing, NotAllowed)):
            stops.find(scope, names[0], actor=within("ops_manager", house.other))


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5400), ("4h", 14400), ("2d", 172800), ("2026-05-01T08:00+02:00", 21600), ("", None)]
)
def test_an_end_is_a_span_or_a_time(text, seconds):
    at = now().replace(year=2026, month=5, day=1, hour=0, minute=0, second=0, microsecond=0)
    until = stops.parse_until(text, at)
    assert (until and (until - at).total_seconds()) == seconds


@pytest.mark.parametrize("text", ["soon", "0h", "99999d", "2026-13-01", "-1h"])
def test_no_end_is_guessed(text):
    with pytest.raises(BadInput):
        stops.parse_until(text, now())


@pytest.mark.parametrize(
    ("scope", "figures"),
    [("platform", (2, 5, 3, 72)), ("tenant", (1, 4, 2, 48)), ("organisation", (2, 3, 2, 48)),
     ("account", (1, 2, 1, 24)), ("domain", (1, 1, 1, 12)), ("receiver", (1, 4, 2, 24)), ("pool", (1, 2, 1, 24)),
     ("campaign", (1, 2, 1, 24))],
)  # fmt: skip
def test_the_preview_counts_what_it_would_concern(house, scope, figures):
    house.plan()

    _, covered = stops.preview(scope, house.target(scope), actor=SYSTEM)

    assert (covered.tenants, covered.mailboxes, covered.campaigns, covered.messages) == figures
    assert Stop.objects.count() == 0


@pytest.mark.parametrize("zone", [UTC, timezone(-timedelta(hours=12))])
def test_an_end_that_no_calendar_has_is_refused(house, zone):
    until = datetime(9999, 12, 31, 23, 59, tzinfo=zone)  # a row with it could be read by no page any more
    with pytest.raises(BadInput) as refused:
        stops.pull("pool", house.box.pool, actor=SYSTEM, reason="x", until=until)

    assert refused.value.details["field"] == "until"
    assert list(stops.standing()) == []
