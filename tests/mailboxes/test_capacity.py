"""What mailboxes may send on the days to come, on plain values and out of the database."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from mailboxes import capacity
from mailboxes import ramp as rule
from mailboxes.models import Allowance, Mailbox, RampDay
from mailboxes.services import capacity as loading
from mailboxes.services import ramp
from tenants.services.actors import SYSTEM
from tests import factories

TODAY = date(2026, 3, 9)  # a Monday
DAYS = capacity.days_from(TODAY, 28)
PLAN = rule.Plan()
FRESH = capacity.Ramp(PLAN, 10, TODAY, TODAY)


def test_a_ramp_that_is_used_every_day_follows_its_curve():
    assert capacity.ramp_caps(FRESH, 40, DAYS) == rule.curve(PLAN, 28)


def test_a_ramp_waits_for_two_days_with_mail():
    """Begun on a Friday and used on weekdays only: on Monday one used day is not enough, on Tuesday it rises."""
    friday = date(2026, 3, 13)
    started = capacity.Ramp(PLAN, 10, friday, friday)

    found = capacity.ramp_caps(started, 40, capacity.days_from(friday, 8), lambda day: day.weekday() < 5)

    assert found == [10, 10, 10, 10, 12, 12, 12, 14]


def test_a_ramp_ends_at_the_mailboxs_own_cap():
    assert capacity.ramp_caps(FRESH, 13, DAYS)[-1] == 13


@pytest.mark.parametrize(
    ("changes", "first", "last"),
    [
        ({}, 10, 37),
        ({"state": "reserve"}, 2, 7),
        ({"state": "probing"}, 5, 5),
        ({"state": "quarantined", "stopped": True}, 0, 0),
        ({"ramp": None, "daily_cap": 55}, 55, 55),
        ({"user_daily_cap": 12}, 10, 12),
        ({"free_on": TODAY + timedelta(days=1)}, 0, 37),
    ],
)
def test_what_one_mailbox_may_send(changes, first, last):
    found = capacity.caps(capacity.Group(**{"pool_id": 1, "state": "active", "ramp": FRESH} | changes), DAYS)

    assert (found[0], found[-1]) == (first, last)


def test_a_shared_limit_cuts_the_total_and_is_named():
    key = ("domain", 7)
    group = capacity.Group(pool_id=1, state="active", count=10, daily_cap=40, limits=(key,))
    reserve = capacity.Group(pool_id=1, state="reserve", count=5, daily_cap=40)
    fleet = capacity.Fleet((group, reserve), {key: capacity.Limit("out.example", daily=300)})

    found = capacity.pool_days(fleet, 1, DAYS[:2])

    assert found.by_state == {"active": (400, 400), "reserve": (40, 40)}
    assert (found.total, found.promotable, found.limits) == ((340, 340), (160, 160), ("out.example",))


@pytest.mark.parametrize(("limit", "expected"), [({"hourly": 10}, 240), ({"daily": 90}, 90), ({}, 400)])
def test_the_smaller_of_a_limits_caps_holds(limit, expected):
    key = ("account", 1)
    group = capacity.Group(pool_id=1, state="active", count=10, daily_cap=40, limits=(key,))

    assert capacity.pool_days(capacity.Fleet((group,), {key: capacity.Limit("a", **limit)}), 1, DAYS[:1]).total == (
        expected,
    )


def test_a_domains_ramp_grows():
    limit = capacity.Limit("d", daily=500, ramp=capacity.Ramp(PLAN, 20, TODAY, TODAY, (True,) * 3))

    assert limit.on(DAYS[:7], capacity.every_day) == [20, 20, 20, 23, 23, 23, 26]


def test_an_empty_pool_has_no_capacity():
    found = capacity.pool_days(capacity.Fleet(), 1, DAYS[:2])

    assert (found.total, found.counts, found.by_state) == ((0, 0), {}, {})


# --- Out of the database --------------------------------------------------------------------------------

NOON = datetime(2026, 3, 9, 12, tzinfo=UTC)


@pytest.mark.django_db
def test_mailboxes_that_are_alike_are_one_group():
    tenant = factories.tenant()
    boxes = factories.fleet(tenant, 40, daily_cap=30, each=lambda i: {"state": "reserve" if i >= 30 else "active"})
    Allowance.objects.create(
        tenant=tenant, scope="mailbox_day", key=boxes[0].pk, period_start=datetime(2026, 3, 9, tzinfo=UTC), cap=30,
        reserved=7,
    )  # fmt: skip

    loaded = loading.load(tenant, NOON)

    assert [(group.state, group.count, group.reserved) for group in loaded.fleet.groups] == [
        ("active", 30, 7),
        ("reserve", 10, 0),
    ]
    assert loaded.group_of[boxes[35].pk] == 1
    assert loaded.fleet.limits == {}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("row", "changes", "stopped"),
    [
        ("box", {"state": "quarantined"}, True),
        ("box", {"hold": "locked"}, True),
        ("box", {"health": 0}, True),
        ("domain", {"state": "blocked"}, True),
        ("domain", {"state": "degraded"}, False),
        ("home", {"state": "paused"}, True),
    ],
)
def test_what_is_stopped_has_no_capacity(row, changes, stopped):
    tenant = factories.tenant()
    box = factories.mailbox(tenant, daily_cap=30)
    target = box if row == "box" else getattr(box, row)
    type(target).objects.filter(pk=target.pk).update(**changes)

    (group,) = loading.load(tenant, NOON).fleet.groups

    assert group.stopped is stopped


@pytest.mark.django_db
def test_a_ramp_is_loaded_with_its_last_days():
    """Started five days ago, risen three days after that, used since; of the last counted day the cap was not used."""
    tenant = factories.tenant()
    plan = ramp.add_plan(tenant, "standard", actor=SYSTEM)
    box = factories.mailbox(tenant, daily_cap=40)
    ramp.start_ramp(box, plan, actor=SYSTEM, day=date(2026, 3, 4))
    RampDay.objects.filter(mailbox=box).update(sent=10)
    rows = [(5, 10, 10, "hold"), (6, 10, 10, "hold"), (7, 12, 12, "rise"), (8, 12, 3, "hold")]
    RampDay.objects.bulk_create(
        RampDay(
            tenant=tenant, mailbox=box, day=date(2026, 3, day), cap=cap, allowed=cap, sent=sent, kind=kind,
            reason="too_soon",
        )
        for day, cap, sent, kind in rows
    )  # fmt: skip
    Mailbox.objects.filter(pk=box.pk).update(ramp_cap=12)

    (group,) = loading.load(tenant, NOON).fleet.groups

    assert group.ramp == capacity.Ramp(PLAN, 12, date(2026, 3, 7), date(2026, 3, 8), (True, True, False))


@pytest.mark.django_db
def test_limits_of_domain_account_and_organisation_are_loaded():
    from mailboxes.models import QuotaGroup

    tenant = factories.tenant()
    group = QuotaGroup.objects.create(name="Org", kind="microsoft", licences=1)
    box = factories.mailbox(tenant)
    box.domain.hourly_cap, box.domain.daily_cap = 20, 100
    box.domain.save()
    box.home.hourly_cap, box.home.quota_group = 50, group
    box.home.save()

    loaded = loading.load(tenant, NOON)

    assert loaded.fleet.limits == {
        ("domain", box.domain_id): capacity.Limit(box.domain.name, hourly=20, daily=100),
        ("account", box.home_id): capacity.Limit(box.home.host, hourly=50),
        ("quota", group.pk): capacity.Limit("Org", daily=10_000),
    }
    assert set(loaded.fleet.groups[0].limits) == set(loaded.fleet.limits)


@pytest.mark.django_db
def test_another_tenants_mailboxes_are_not_loaded():
    tenant = factories.tenant()
    factories.mailbox(factories.tenant())

    assert loading.load(tenant, NOON).fleet.groups == ()
