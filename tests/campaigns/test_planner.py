"""The planner: who is written to, from where, when, and within what."""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from django.db import connection
from django.db.models import Count

from campaigns.models import Campaign, Enrolment, Message, PlanRun, Suppression
from campaigns.pipeline import planner
from campaigns.services import campaigns, suppression
from mailboxes.models import Allowance, Mailbox
from tenants.models import Tenant
from tenants.services.actors import SYSTEM
from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=1)
MANY = int(os.environ.get("OUTREACH_MANY", "20000"))


def running(
    people=100, mailboxes=10, *, tenant=None, fleet=None, each=None, **changes
) -> tuple[Campaign, list[Mailbox]]:
    tenant = tenant or factories.tenant()
    boxes = factories.fleet(tenant, mailboxes, **fleet or {})
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, people, each=each)
    campaign = factories.campaign(tenant, boxes[0].pool, listed, **changes)
    return campaigns.start(campaign, actor=SYSTEM), boxes


def plan(campaign: Campaign, now: datetime = NOON) -> PlanRun:
    run = planner.run(Tenant.objects.get(pk=campaign.tenant_id), now)
    assert run is not None
    return run


def per_mailbox(campaign: Campaign) -> Counter[int]:
    rows = Message.objects.filter(tenant_id=campaign.tenant_id).values_list("mailbox").annotate(n=Count("pk"))
    return Counter(dict(rows.order_by()))


# --- Caps ------------------------------------------------------------------------------------------------


def test_a_mailbox_plans_its_daily_cap_and_no_more():
    campaign, boxes = running(100, 10, fleet={"daily_cap": 8})

    assert plan(campaign).planned == 80
    assert per_mailbox(campaign) == {box.pk: 8 for box in boxes}
    assert set(Allowance.objects.filter(scope="mailbox_day").values_list("cap", "reserved")) == {(8, 8)}
    assert plan(campaign).planned == 0
    Message.objects.update(status="sent", sent_at=NOON)
    assert plan(campaign, NOON + timedelta(days=1)).planned == 20


def test_what_was_not_sent_in_its_day_is_planned_anew():
    campaign, _ = running(100, 10, fleet={"daily_cap": 8})
    plan(campaign)

    run = plan(campaign, NOON + timedelta(days=1))

    assert (run.taken_back, run.planned, Message.objects.count()) == (80, 80, 80)
    assert not Allowance.objects.filter(period_start__lt=NOON - timedelta(hours=12)).exclude(reserved=0).exists()


def test_a_domain_keeps_its_hour():
    campaign, boxes = running(100, 8, fleet={"domains": 2})
    boxes[0].domain.hourly_cap = 7
    boxes[0].domain.save()

    plan(campaign)

    of_domain = Message.objects.filter(mailbox__domain=boxes[0].domain)
    assert (of_domain.count(), Message.objects.count()) == (7, 100)
    assert set(of_domain.values_list("hour_at", flat=True)) == {NOON}


@pytest.mark.parametrize(("whose", "scope"), [("tenant", "tenant_day"), ("campaign", "campaign_day")])
def test_a_daily_cap_of_tenant_or_campaign_holds(whose, scope):
    tenant = factories.tenant(daily_cap=30 if whose == "tenant" else None)
    campaign, _ = running(100, 10, tenant=tenant, daily_cap=30 if whose == "campaign" else None)

    assert plan(campaign).planned == 30
    assert plan(campaign).planned == 0
    assert Allowance.objects.filter(scope=scope).values_list("cap", "reserved").get() == (30, 30)


def test_reserves_take_their_share_of_the_cap():
    campaign, boxes = running(
        100, 2, fleet={"daily_cap": 20, "each": lambda i: {"state": "reserve" if i else "active"}}
    )

    plan(campaign)

    assert per_mailbox(campaign) == {boxes[0].pk: 20, boxes[1].pk: 4}


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "quarantined"}, {"state": "retired"}, {"hold": "locked"}, {"hold": "sign_in_failed"},
        {"blocked_until": datetime(2100, 1, 1, tzinfo=UTC)},
    ],
)  # fmt: skip
def test_a_mailbox_that_may_not_send_is_left_out(changes):
    campaign, boxes = running(50, 2, fleet={"each": lambda i: changes if i else {}})

    plan(campaign)

    assert per_mailbox(campaign) == {boxes[0].pk: 50}


# --- Shares -----------------------------------------------------------------------------------------------


def test_twice_the_weight_gets_twice_the_mail():
    campaign, boxes = running(3000, 10, fleet={"each": lambda i: {"weight": 2 if i < 5 else 1}})

    plan(campaign)

    assert [per_mailbox(campaign)[box.pk] for box in boxes] == [400] * 5 + [200] * 5


def test_shares_hold_from_run_to_run():
    campaign, boxes = running(700, 3, fleet={"min_gap_seconds": 10, "each": lambda i: {"weight": 1}})
    for minute in range(0, 60, 15):
        plan(campaign, NOON + timedelta(minutes=minute))

    assert [per_mailbox(campaign)[box.pk] for box in boxes] == [234, 233, 233]


def test_a_mailbox_that_joins_at_noon_gets_its_share_and_no_burst():
    campaign, boxes = running(800, 4, daily_cap=400)
    plan(campaign, NOON - timedelta(hours=3))
    newcomer = factories.mailbox(campaign.tenant, pool=boxes[0].pool)
    Campaign.objects.filter(pk=campaign.pk).update(daily_cap=600)

    plan(campaign)

    assert [per_mailbox(campaign)[box.pk] for box in [*boxes, newcomer]] == [140, 140, 140, 140, 40]


def test_a_mailbox_that_returns_from_quarantine_does_not_catch_up():
    campaign, boxes = running(800, 4, daily_cap=300)
    away = Mailbox.objects.filter(pk=boxes[0].pk)
    away.update(state="quarantined")
    plan(campaign, NOON - timedelta(hours=3))
    away.update(state="active")
    Campaign.objects.filter(pk=campaign.pk).update(daily_cap=500)

    plan(campaign)

    assert [per_mailbox(campaign)[box.pk] for box in boxes] == [50, 150, 150, 150]


def test_campaigns_of_a_pool_take_turns():
    first, boxes = running(300, 4, fleet={"daily_cap": 25})
    listed = factories.contact_list(first.tenant)
    factories.people(first.tenant, listed, 300)
    second = campaigns.start(factories.campaign(first.tenant, boxes[0].pool, listed), actor=SYSTEM)

    plan(first)

    assert (first.messages.count(), second.messages.count()) == (50, 50)


# --- Slots in time ----------------------------------------------------------------------------------------


def test_slots_keep_the_gap_within_and_between_runs():
    campaign, _ = running(500, 2, fleet={"min_gap_seconds": 60})
    for minute in (0, 1, 7, 15):
        plan(campaign, NOON + timedelta(minutes=minute))

    for pk in per_mailbox(campaign):
        times = list(Message.objects.filter(mailbox=pk).order_by("due_at").values_list("due_at", flat=True))
        gaps = {(later - earlier).total_seconds() for earlier, later in zip(times, times[1:], strict=False)}
        assert min(gaps) >= 60
        assert times[0] == NOON
        assert len(times) == 30


def test_an_even_pace_spreads_the_cap_over_the_window():
    campaign, boxes = running(500, 1, pace="even", window_until="20:00", fleet={"daily_cap": 48})

    plan(campaign)

    times = list(Message.objects.order_by("due_at").values_list("due_at", flat=True))
    assert times == [NOON, NOON + timedelta(minutes=10)]  # eight hours for 48 mails, a quarter of an hour planned


def test_nothing_is_planned_past_the_windows_end():
    campaign, _ = running(500, 2, window_until="12:05", fleet={"min_gap_seconds": 60})

    assert plan(campaign).planned == 10
    assert max(Message.objects.values_list("due_at", flat=True)) < NOON + timedelta(minutes=5)
    assert set(Message.objects.values_list("not_after", flat=True)) == {NOON + timedelta(minutes=5)}


# --- Demand -----------------------------------------------------------------------------------------------


def test_people_outside_their_window_do_not_hide_those_who_could_go():
    """MANY older due people in a closed zone; the very next run plans the hundredth part who are open."""
    campaign, _ = running(
        MANY // 100, 10, window_from="09:00", window_until="17:00", window_zone="contact",
        each=lambda i: {"time_zone": "Europe/London"}, fleet={"daily_cap": MANY},
    )  # fmt: skip
    closed = factories.people(campaign.tenant, None, 1, time_zone="Asia/Tokyo")[0]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO campaigns_contact (tenant_id, email, email_key, address_hash, domain_hashes, first_name, "
            "last_name, company, country, time_zone, person_kind, source, lawful_basis, basis_date, basis_evidence, "
            "fields, created_at) SELECT tenant_id, n || email, n || email_key, int8send(n), '{}', '', '', '', '', "
            "time_zone, person_kind, source, lawful_basis, basis_date, '', '{}', now() "
            "FROM campaigns_contact, generate_series(1, %s) AS n WHERE id = %s",
            [MANY, closed.pk],
        )
        cursor.execute(
            "INSERT INTO campaigns_enrolment (tenant_id, campaign_id, contact_id, step, status, stop_reason, due_at, "
            "waits_for, zone, created_at) SELECT tenant_id, %s, id, 1, 'active', '', %s, '', time_zone, now() "
            "FROM campaigns_contact WHERE tenant_id = %s AND time_zone = 'Asia/Tokyo'",
            [campaign.pk, NOON - timedelta(days=30), campaign.tenant_id],
        )
    Campaign.objects.filter(pk=campaign.pk).update(zones=["Asia/Tokyo", "Europe/London"])

    run = plan(campaign)

    assert (run.planned, run.looked_at) == (MANY // 100, MANY // 100)


def test_suppressed_people_end_with_the_reason_and_do_not_hide_others():
    campaign, _ = running(300, 2, fleet={"daily_cap": 25})
    keyed = suppression.hasher()
    first = Enrolment.objects.order_by("due_at", "pk")[:200]
    Suppression.objects.bulk_create(
        Suppression(
            tenant=campaign.tenant, scope="tenant", kind="address", reason="import",
            hash=keyed.address(row.contact.email_key),
        )
        for row in first.select_related("contact")
    )  # fmt: skip

    run = plan(campaign)

    assert run.planned == 50
    assert run.refused["suppressed"] >= 50
    stopped = Enrolment.objects.filter(status="stopped").values_list("stop_reason", "due_at").order_by().distinct()
    assert list(stopped) == [("suppressed", None)]
    assert not Message.objects.filter(contact__in=[row.contact_id for row in first]).exists()


@pytest.mark.parametrize(
    ("entry", "expected"), [("person3@{}", 9), ("{}", 0), ("*.{}", 0), ("*.other.example", 10), ("other.example", 10)]
)
def test_an_address_a_domain_or_a_wildcard_suppresses(entry, expected):
    campaign, _ = running(10, 2)
    domain = Enrolment.objects.first().contact.email_key.partition("@")[2]
    row = suppression.entry(entry.format(domain), suppression.hasher())
    row.scope, row.reason = "platform", "manual"
    row.save()

    assert plan(campaign).planned == expected


def test_a_suppression_of_another_tenant_or_campaign_does_not_count():
    campaign, _ = running(10, 2)
    other, _ = running(1, 1)
    for row in Enrolment.objects.filter(campaign=campaign).select_related("contact"):
        entry = suppression.entry(row.contact.email_key, suppression.hasher())
        entry.tenant, entry.scope, entry.reason = other.tenant, "tenant", "manual"
        entry.save()

    assert plan(campaign).planned == 10


def test_an_expired_basis_ends_the_enrolment():
    campaign, _ = running(10, 2, each=lambda i: {"basis_expires_on": date(2026, 1, 1)} if i < 4 else {})

    run = plan(campaign)

    assert (run.planned, run.refused) == (6, {"basis_expired": 4})
    assert Enrolment.objects.filter(status="stopped", stop_reason="basis_expired").count() == 4


def test_message_ids_are_computed_once_and_cannot_be_guessed_from_a_neighbour():
    campaign, boxes = running(10, 2)

    plan(campaign)
    first = set(Message.objects.values_list("contact", "message_id"))
    campaigns.pause(campaign, actor=SYSTEM, reason="")
    campaigns.resume(campaign, actor=SYSTEM)
    plan(campaign)

    again = dict(Message.objects.values_list("contact", "message_id"))
    assert len({pk for pk, _ in first}) == 10
    for contact, message_id in first:
        local, _, domain = message_id.partition("@")
        assert (len(local), again[contact].partition("@")[0]) == (26, local)
        assert domain in {box.domain.name for box in boxes}


# --- Retries ----------------------------------------------------------------------------------------------


def test_a_retry_keeps_its_mailbox_and_waits_for_its_time():
    campaign, boxes = running(20, 4)
    plan(campaign)
    message = Message.objects.first()
    Message.objects.filter(pk=message.pk).update(status="deferred", tries=1, due_at=NOON + timedelta(minutes=20))

    assert plan(campaign, NOON + timedelta(minutes=1)).retries == 0
    assert plan(campaign, NOON + timedelta(minutes=10)).retries == 1

    again = Message.objects.get(pk=message.pk)
    assert (again.status, again.mailbox_id, again.message_id) == ("planned", message.mailbox_id, message.message_id)
    assert again.due_at == NOON + timedelta(minutes=20)


def test_retries_come_before_first_steps_and_count_against_the_cap():
    campaign, boxes = running(20, 1, fleet={"daily_cap": 10})
    plan(campaign)
    Message.objects.filter(pk__in=Message.objects.values("pk")[:6]).update(
        status="deferred", tries=1, due_at=NOON + timedelta(days=1)
    )
    Message.objects.filter(status="planned").update(status="sent", sent_at=NOON)

    run = plan(campaign, NOON + timedelta(days=1))

    assert (run.retries, run.planned) == (6, 4)


# --- Two planners -----------------------------------------------------------------------------------------


def test_a_second_planner_leaves_the_tenant_alone():
    campaign, _ = running(10, 2)
    parameters = connection.get_connection_params()
    with psycopg.connect(**{k: v for k, v in parameters.items() if k in ("dbname", "user", "host", "port")}) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s, %s)", [planner.LOCK_CLASS, campaign.tenant_id % 2**31])

        assert planner.run(campaign.tenant, NOON) is None
        assert not Message.objects.exists()

    assert plan(campaign).planned == 10
