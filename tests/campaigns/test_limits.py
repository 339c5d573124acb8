"""What several mailboxes share: domains by day, accounts, quota groups of hosts, and receivers."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import Count

from campaigns.ledger import moves
from campaigns.models import Contact, Enrolment, Message, Stop
from campaigns.pipeline import planner
from campaigns.services import campaigns, stops
from mailboxes.models import Allowance, QuotaGroup, RampPlan, ReceiverLimit, SendingDomain
from mailboxes.services import quotas
from tenants.models import Tenant
from tenants.services.actors import SYSTEM
from tests import factories
from tests.campaigns.test_planner import NOON, per_mailbox, plan, running

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]

HOUR = timedelta(hours=1)


def early_in_an_hour() -> datetime:
    """Soon, with most of an hour left: what is counted by the hour ends with it."""
    return (datetime.now(UTC) + HOUR).replace(minute=5, second=0, microsecond=0)


def all_sent() -> None:
    """Every planned mail went out; what was reserved for it stays reserved."""
    Message.objects.filter(status="planned").update(status="sent", sent_at=NOON)


def hours(scope: str) -> list[tuple[datetime, int]]:
    return list(Allowance.objects.filter(scope=scope).order_by("period_start").values_list("period_start", "reserved"))


# --- Domains and accounts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("caps", [{"daily_cap": 12}, {"daily_cap": 50, "ramp_cap": 12}, {"ramp_cap": 12}])
def test_a_domain_keeps_its_day_by_its_own_cap_or_its_ramps(caps):
    campaign, boxes = running(100, 8, fleet={"domains": 2})
    domain = boxes[0].domain
    if "ramp_cap" in caps:
        caps = caps | {"ramp": RampPlan.objects.create(tenant=campaign.tenant, name="standard")}
    SendingDomain.objects.filter(pk=domain.pk).update(**caps)

    plan(campaign)
    plan(campaign, NOON + HOUR)

    assert Message.objects.filter(mailbox__domain=domain).count() == 12
    assert Allowance.objects.values_list("cap", "reserved").get(scope="domain_day", key=domain.pk) == (12, 12)
    all_sent()
    Enrolment.objects.filter(status="done").update(status="done")
    assert not plan(campaign, NOON + 2 * HOUR).planned


def test_a_domain_sends_nothing_in_the_first_days_after_its_registration(settings):
    settings.FIRST_SEND_AFTER_DAYS = 14
    campaign, boxes = running(40, 4, fleet={"domains": 2})
    SendingDomain.objects.filter(pk=boxes[0].domain_id).update(registered_on=NOON.date() - timedelta(days=13))

    plan(campaign)

    assert set(Message.objects.values_list("mailbox__domain", flat=True)) == {boxes[1].domain_id}
    Message.objects.all().delete()
    Enrolment.objects.update(due_at=NOON, waits_for="", mailbox=None)
    plan(campaign, NOON + timedelta(days=1))
    assert Message.objects.filter(mailbox__domain=boxes[0].domain).exists()


def test_an_account_keeps_its_hour_over_all_its_domains_and_pools():
    tenant = factories.tenant()
    home = factories.account(tenant, hourly_cap=10)
    one, _ = running(50, 4, tenant=tenant, fleet={"home": home})
    running(50, 4, tenant=tenant, fleet={"home": home})

    assert plan(one).planned == 10
    assert plan(one, NOON + HOUR / 2).planned == 0
    all_sent()
    assert plan(one, NOON + HOUR).planned == 10
    assert hours("account_hour") == [(NOON, 10), (NOON + HOUR, 10)]


# --- Quotas of hosts ----------------------------------------------------------------------------------------


def test_a_quota_group_is_counted_over_rolling_24_hours_and_over_tenants():
    group = QuotaGroup.objects.create(name="shared", kind="other", daily_cap=30)
    first, _ = running(100, 4)
    second, _ = running(100, 4)
    for campaign in (first, second):
        campaign.pool.mailboxes.update(quota_group=group)

    assert plan(first).planned == 30
    assert plan(second, NOON + HOUR).planned == 0
    all_sent()
    assert plan(second, NOON + 24 * HOUR).planned == 0  # the hour from noon is still within 24 hours
    assert plan(second, NOON + 25 * HOUR).planned == 30
    row = Allowance.objects.filter(scope="quota_hour", key=group.pk).order_by("period_start")
    assert list(row.values_list("tenant", "period_start", "reserved")) == [
        (None, NOON, 30), (None, NOON + 25 * HOUR, 30),
    ]  # fmt: skip


def test_an_accounts_quota_group_holds_for_its_mailboxes():
    group = QuotaGroup.objects.create(name="contoso", kind="microsoft", is_trial=True, daily_cap=15)
    campaign, boxes = running(100, 4)
    boxes[0].home.quota_group = group
    boxes[0].home.save()

    assert plan(campaign).planned == 15


def test_a_workspace_user_is_counted_over_rolling_24_hours():
    group = QuotaGroup.objects.create(name="workspace", kind="workspace", user_daily_cap=50)
    campaign, boxes = running(300, 2, fleet={"daily_cap": 40})
    campaign.pool.mailboxes.update(quota_group=group)
    late = NOON.replace(hour=23)

    assert plan(campaign, late).planned == 80
    all_sent()
    assert plan(campaign, late + 2 * HOUR).planned == 20  # a new day, but 40 of 50 went out within 24 hours
    assert per_mailbox(campaign) == {box.pk: 50 for box in boxes}
    all_sent()
    assert plan(campaign, late + 24 * HOUR).planned == 0  # the hour of yesterday is still within 24 hours
    assert plan(campaign, late + 25 * HOUR).planned == 80


def test_a_rate_per_second_bounds_what_one_run_plans():
    group = QuotaGroup.objects.create(name="ses", kind="ses", per_second=0.1)
    campaign, _ = running(300, 4)
    campaign.pool.mailboxes.update(quota_group=group)

    assert plan(campaign).planned == 45  # a run looks 900 seconds ahead, and leaves the half to who comes next
    due = sorted(Message.objects.values_list("due_at", flat=True))
    assert due == [NOON + n * timedelta(seconds=10) for n in range(45)]
    group.refresh_from_db()
    assert group.next_free_at == NOON + timedelta(seconds=450)


def test_tenants_that_share_a_rate_per_second_are_not_given_the_same_seconds():
    group = QuotaGroup.objects.create(name="ses", kind="ses", per_second=0.1)
    first, second = (running(300, 4)[0] for _ in range(2))
    for campaign in (first, second):
        campaign.pool.mailboxes.update(quota_group=group)

    for minute in range(30):
        for campaign in (first, second):
            plan(campaign, NOON + timedelta(minutes=minute))

    due = sorted(Message.objects.values_list("due_at", flat=True))
    assert 255 <= len(due) <= 264  # one each ten seconds until 15 minutes after the last run
    round_ = timedelta(seconds=40)  # four mailboxes take turns, and who is the only one comes at its turn
    for n, at in enumerate(due):
        assert NOON + n * timedelta(seconds=10) - round_ <= at <= NOON + n * timedelta(seconds=10) + round_
    counts = [campaign.messages.count() for campaign in (first, second)]
    assert min(counts) >= 80, counts


def test_what_is_taken_back_returns_to_every_scope():
    group = QuotaGroup.objects.create(name="shared", kind="other", daily_cap=30, user_daily_cap=100)
    tenant = factories.tenant()
    home = factories.account(tenant, hourly_cap=1000, quota_group=group)
    campaign, boxes = running(20, 2, tenant=tenant, fleet={"home": home, "domains": 1})
    SendingDomain.objects.filter(pk=boxes[0].domain_id).update(hourly_cap=500, daily_cap=600)
    Contact.objects.update(operator="google")
    plan(campaign)
    assert {row.scope: row.reserved for row in Allowance.objects.order_by("reserved")} == {
        "account_hour": 20, "campaign_day": 20, "domain_day": 20, "domain_hour": 20, "mailbox_day": 10,
        "mailbox_hour": 10, "quota_hour": 20, "receiver_hour": 20, "tenant_day": 20,
    }  # fmt: skip

    moves.take_back("m.tenant_id = %(tenant)s", {"tenant": tenant.pk})
    Enrolment.objects.update(due_at=NOON + timedelta(days=300))
    plan(campaign)

    assert set(Allowance.objects.values_list("reserved", flat=True)) == {0}


# --- Receivers ----------------------------------------------------------------------------------------------


def receiving(operators: dict[str, int], mailboxes: int = 4, **changes):
    """A campaign to so many people of each operator, each at a company domain of their own."""
    names = [name for name, n in operators.items() for _ in range(n)]
    campaign, boxes = running(len(names), mailboxes, **{"fleet": {"domains": 1}} | changes)
    for contact, operator in zip(Contact.objects.filter(tenant=campaign.tenant).order_by("pk"), names, strict=True):
        Contact.objects.filter(pk=contact.pk).update(operator=operator)
    return campaign, boxes


def by_operator() -> dict[str, int]:
    rows = Message.objects.order_by().values_list("operator").annotate(n=Count("pk"))
    return dict(rows)


def test_300_company_domains_of_one_operator_are_one_receiver():
    ReceiverLimit.objects.create(operator="microsoft", hourly_cap=25)
    campaign, boxes = receiving({"microsoft": 300, "yahoo": 20})

    run = plan(campaign)

    assert by_operator() == {"microsoft": 25, "yahoo": 20}
    assert run.refused == {"receiver": 275}
    label = f"{boxes[0].domain.organisational} to microsoft"
    assert list(Allowance.objects.filter(scope="receiver_hour").values_list("label", "tenant", "reserved")) == [
        (label, None, 25)
    ]
    assert plan(campaign).planned == 0
    waiting = Enrolment.objects.filter(waits_for="receiver")
    assert set(waiting.values_list("due_at", flat=True)) == {NOON + HOUR}
    all_sent()
    assert plan(campaign, NOON + HOUR).planned == 25


def test_people_of_a_full_receiver_do_not_hide_the_others():
    ReceiverLimit.objects.create(operator="microsoft", hourly_cap=0)
    campaign, _ = receiving({"microsoft": 200, "other": 10}, fleet={"daily_cap": 5, "domains": 1})

    assert plan(campaign).planned == 10
    assert by_operator() == {"other": 10}


def test_subdomains_of_one_organisation_share_and_others_do_not():
    ReceiverLimit.objects.create(operator="yahoo", hourly_cap=10)
    campaign, boxes = receiving({"yahoo": 100}, fleet={"domains": 4})
    names = ["a.brand.example", "b.brand.example", "brand.example", "apart.example"]
    for domain, name in zip(SendingDomain.objects.order_by("pk"), names, strict=True):
        domain.name = name
        domain.save()

    assert plan(campaign).planned == 20

    sent = Counter(Message.objects.values_list("mailbox__domain__organisational", flat=True))
    assert sent == {"brand.example": 10, "apart.example": 10}


def test_the_rolling_day_of_a_receiver_says_when_it_opens_again():
    ReceiverLimit.objects.filter(operator="google").update(daily_cap=15)
    campaign, _ = receiving({"google": 40})

    assert plan(campaign).refused == {"receiver": 25}
    all_sent()
    assert plan(campaign, NOON + 3 * HOUR).planned == 0

    assert set(Enrolment.objects.filter(waits_for="receiver").values_list("due_at", flat=True)) == {NOON + 25 * HOUR}
    assert plan(campaign, NOON + 25 * HOUR).planned == 15


def test_a_retry_waits_for_its_receiver_and_lets_the_next_one_pass():
    campaign, boxes = receiving({"yahoo": 1, "other": 1}, mailboxes=1)
    plan(campaign)
    Message.objects.update(status="deferred", tries=1, due_at=NOON)
    ReceiverLimit.objects.create(operator="yahoo", hourly_cap=0)

    assert plan(campaign, NOON + HOUR / 2).retries == 1

    held, gone = Message.objects.get(operator="yahoo"), Message.objects.get(operator="other")
    assert (held.status, held.due_at, gone.status) == ("deferred", NOON + HOUR, "planned")


@pytest.mark.parametrize("of", ["everybody", "us", "another organisation", "another tenant"])
def test_a_stopped_receiver_gets_nothing_until_the_stop_is_over(of):
    campaign, boxes = receiving({"mimecast": 8, "other": 2})
    until = NOON + timedelta(minutes=50)
    Stop.objects.create(
        scope="receiver", operator="mimecast", label="mimecast", reason="asked us to", until=until,
        organisational={"us": boxes[0].domain.organisational, "another organisation": "else.example"}.get(of, ""),
        tenant=factories.tenant() if of == "another tenant" else None,
    )  # fmt: skip

    plan(campaign)

    if of.startswith("another"):
        assert by_operator() == {"mimecast": 8, "other": 2}
        return
    assert by_operator() == {"other": 2}
    assert set(Enrolment.objects.filter(waits_for="receiver").values_list("due_at", flat=True)) == {until}
    assert plan(campaign, until).planned == 8


@pytest.mark.parametrize("ends", ["lifted", "over"])
def test_the_end_of_a_stop_makes_them_due_at_once(ends):
    now = datetime.now(UTC)
    campaign, _ = receiving({"mimecast": 8})
    stop = stops.pull("receiver", stops.Receiver("mimecast", "", campaign.tenant), actor=SYSTEM, reason="asked us to")
    assert planner.run(Tenant.objects.get(pk=campaign.tenant_id), now).planned == 0
    assert Enrolment.objects.filter(waits_for="receiver", due_at__gt=now).count() == 8

    if ends == "lifted":
        stops.lift(stop, actor=SYSTEM, reason="they agreed")
    else:
        Stop.objects.update(since=now - 2 * HOUR, until=now - HOUR)
        stops.end_over(actor=SYSTEM)

    assert planner.run(Tenant.objects.get(pk=campaign.tenant_id), now + timedelta(minutes=1)).planned == 8


def test_a_raised_limit_makes_them_due_at_once():
    now = early_in_an_hour()
    quotas.limit_receiver("yahoo", hourly_cap=3, daily_cap=None, actor=SYSTEM)
    campaign, _ = receiving({"yahoo": 10})
    tenant = Tenant.objects.get(pk=campaign.tenant_id)
    assert planner.run(tenant, now).planned == 3

    quotas.limit_receiver("yahoo", hourly_cap=8, daily_cap=None, actor=SYSTEM)

    assert planner.run(tenant, now + timedelta(seconds=1)).planned == 5


def test_a_campaign_that_starts_later_finds_what_is_left():
    ReceiverLimit.objects.create(operator="yahoo", hourly_cap=10)
    tenant = factories.tenant()
    first, boxes = receiving({"yahoo": 7}, tenant=tenant)
    plan(first)
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, 9)
    Contact.objects.filter(operator="").update(operator="yahoo")
    second = campaigns.start(factories.campaign(tenant, boxes[0].pool, listed), actor=SYSTEM)

    plan(second)

    assert by_operator() == {"yahoo": 10}


# --- Caps that are lowered while mail waits ---------------------------------------------------------------------


def test_a_lowered_quota_takes_back_what_no_longer_fits():
    group = QuotaGroup.objects.create(name="shared", kind="other", daily_cap=50)
    campaign, boxes = running(100, 4)
    campaign.pool.mailboxes.update(quota_group=group)
    plan(campaign)
    sent = Message.objects.order_by("pk")[:12]
    Message.objects.filter(pk__in=sent).update(status="sent", sent_at=NOON)
    QuotaGroup.objects.update(daily_cap=20)

    run = plan(campaign, NOON + timedelta(minutes=1))

    assert (run.taken_back, run.planned) == (38, 8)
    assert hours("quota_hour") == [(NOON, 20)]


def test_a_lowered_quota_below_what_was_sent_plans_nothing_more():
    group = QuotaGroup.objects.create(name="shared", kind="other", daily_cap=50)
    campaign, boxes = running(100, 4)
    campaign.pool.mailboxes.update(quota_group=group)
    plan(campaign)
    Message.objects.filter(pk__in=Message.objects.order_by("pk")[:30]).update(status="sent", sent_at=NOON)
    QuotaGroup.objects.update(daily_cap=20)

    run = plan(campaign, NOON + timedelta(minutes=1))

    assert (run.taken_back, run.planned, Message.objects.count()) == (20, 0, 30)


def test_a_lowered_limit_of_a_receiver_takes_back_its_mail_only():
    ReceiverLimit.objects.create(operator="yahoo", hourly_cap=40)
    campaign, _ = receiving({"yahoo": 40, "other": 10})
    plan(campaign)
    ReceiverLimit.objects.filter(operator="yahoo").update(hourly_cap=15)

    run = plan(campaign, NOON + timedelta(minutes=1))

    assert (run.taken_back, run.planned) == (40, 15)
    assert by_operator() == {"yahoo": 15, "other": 10}


def test_a_run_names_the_limits_that_it_used_up():
    ReceiverLimit.objects.create(operator="yahoo", hourly_cap=5)
    group = QuotaGroup.objects.create(name="shared", kind="other", daily_cap=12)
    campaign, boxes = receiving({"yahoo": 20, "other": 30}, fleet={"domains": 2, "daily_cap": 4})
    campaign.pool.mailboxes.filter(pk__in=[box.pk for box in boxes[:3]]).update(quota_group=group)

    run = plan(campaign)

    assert run.limits == {"slots": 16, "mailboxes": 4, "quota_full": 1, "mailbox_full": 4, "receiver_full": 2}


def test_a_lowered_limit_of_a_mailbox_at_its_host_takes_back_what_no_longer_fits():
    group = QuotaGroup.objects.create(name="workspace", kind="workspace", user_daily_cap=50)
    campaign, boxes = running(100, 1, fleet={"daily_cap": 40})
    campaign.pool.mailboxes.update(quota_group=group)
    assert plan(campaign).planned == 40
    Message.objects.filter(pk__in=Message.objects.order_by("pk")[:4]).update(status="sent", sent_at=NOON)
    QuotaGroup.objects.update(user_daily_cap=10)

    run = plan(campaign, NOON + timedelta(minutes=1))

    assert (run.taken_back, run.planned) == (36, 6)
    assert hours("mailbox_hour") == [(NOON, 10)]


def test_a_lowered_limit_of_a_receiver_reaches_mailboxes_whose_day_is_full():
    ReceiverLimit.objects.create(operator="yahoo", hourly_cap=100)
    campaign, _ = receiving({"yahoo": 60}, mailboxes=2, fleet={"domains": 1, "daily_cap": 20})
    assert plan(campaign).planned == 40  # nobody has room left today
    ReceiverLimit.objects.filter(operator="yahoo").update(hourly_cap=15)

    run = plan(campaign, NOON + timedelta(minutes=1))

    assert (run.taken_back, run.planned) == (40, 15)
    assert hours("receiver_hour") == [(NOON, 15)]


# --- The periods in which mail may leave ------------------------------------------------------------------------


def test_nothing_leaves_after_the_hour_or_the_day_that_it_is_counted_in():
    ReceiverLimit.objects.create(operator="yahoo", hourly_cap=100)
    campaign, _ = receiving({"yahoo": 5, "other": 5})
    late = NOON.replace(hour=22, minute=50)

    plan(campaign, late)

    ends = dict(Message.objects.order_by("operator").values_list("operator", "not_after"))
    assert ends == {"yahoo": NOON.replace(hour=23), "other": NOON.replace(hour=0) + timedelta(days=1)}


def test_a_retry_leaves_in_the_hour_that_it_is_counted_in():
    ReceiverLimit.objects.create(operator="yahoo", hourly_cap=100)
    campaign, _ = receiving({"yahoo": 1})
    plan(campaign)
    Message.objects.update(status="deferred", tries=1, due_at=NOON + HOUR)

    assert plan(campaign, NOON + HOUR).retries == 1

    assert Message.objects.get().not_after == NOON + 2 * HOUR


@pytest.mark.parametrize("limit", ["a receiver's", "a receiver's without numbers", "an account's"])
def test_what_is_counted_by_the_hour_goes_in_and_out_of_every_hour_that_it_is_part_of(limit):
    tenant = factories.tenant()
    group = QuotaGroup.objects.create(name="plain", kind="other")
    home = factories.account(tenant, quota_group=group, hourly_cap=100 if limit == "an account's" else None)
    ReceiverLimit.objects.create(operator="yahoo", hourly_cap=100 if limit == "a receiver's" else None)
    campaign, _ = receiving({"yahoo": 6}, tenant=tenant, mailboxes=2, fleet={"home": home, "domains": 1})
    plan(campaign)
    counted = set(Allowance.objects.filter(scope__endswith="_hour").values_list("scope", "reserved"))
    assert counted == (
        set()
        if limit == "a receiver's without numbers"
        else {("mailbox_hour", 3), ("domain_hour", 6), ("account_hour", 6), ("quota_hour", 6), ("receiver_hour", 6)}
    )

    moves.take_back("m.tenant_id = %(tenant)s", {"tenant": tenant.pk})
    Enrolment.objects.update(due_at=NOON + timedelta(days=300))
    plan(campaign)

    assert set(Allowance.objects.values_list("reserved", flat=True)) == {0}


def test_a_retry_that_waits_for_its_receiver_is_called_back_but_not_before_its_own_time():
    now = early_in_an_hour()
    campaign, _ = receiving({"yahoo": 2}, mailboxes=1)
    tenant = Tenant.objects.get(pk=campaign.tenant_id)
    planner.run(tenant, now)
    due, early = Message.objects.order_by("pk")
    Message.objects.filter(pk=due.pk).update(status="deferred", tries=1, due_at=now)
    Message.objects.filter(pk=early.pk).update(status="deferred", tries=1, due_at=now + timedelta(minutes=10))
    quotas.limit_receiver("yahoo", hourly_cap=None, daily_cap=0, actor=SYSTEM)
    assert planner.run(tenant, now + timedelta(seconds=1)).retries == 0
    due.refresh_from_db()
    early.refresh_from_db()
    assert due.due_at > now + HOUR
    assert early.due_at == now + timedelta(minutes=10)

    quotas.limit_receiver("yahoo", hourly_cap=None, daily_cap=100, actor=SYSTEM)

    assert planner.run(tenant, now + timedelta(seconds=2)).retries == 2
    early.refresh_from_db()
    assert early.due_at >= now + timedelta(minutes=10)
