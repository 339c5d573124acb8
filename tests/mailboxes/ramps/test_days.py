"""The daily job of the ramps, and whose day it is."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from campaigns.models import Attempt, Message
from mailboxes import ramp as rule
from mailboxes.models import Allowance, Mailbox, RampDay
from mailboxes.services import ramp
from outreach import cron
from tenants.models import AuditEntry
from tenants.services.actors import SYSTEM
from tests import factories
from tests.mailboxes.ramps.days import DAY, day, rows, run

pytestmark = pytest.mark.django_db


def test_a_cap_that_was_used_rises_by_a_step(tenant, box, mail):
    for n in range(3):
        mail.went_out(day(n), 10)
        run(tenant, n + 1)

    box.refresh_from_db()
    assert (box.ramp_cap, box.daily_cap, box.state) == (12, 40, "ramping")
    assert rows(box) == [
        (0, "start", "started", 10, 10),
        (1, "hold", "too_soon", 10, 10),
        (2, "hold", "too_soon", 10, 10),
        (3, "rise", "used", 12, None),
    ]


def test_mail_that_did_not_go_out_earns_nothing(tenant, box, mail):
    """Reserved, refused, unknown: none of it was really sent."""
    for n in range(3):
        label = datetime.combine(day(n), datetime.min.time(), UTC)
        Allowance.objects.create(
            tenant=tenant, scope="mailbox_day", key=box.pk, period_start=label, cap=10, reserved=10
        )
        mail.went_out(day(n), 6)
        mail.went_out(day(n), 2, status="failed")
        mail.went_out(day(n), 2, status="uncertain")
        run(tenant, n + 1)

    box.refresh_from_db()
    assert box.ramp_cap == 10
    assert rows(box)[-1][1:3] == ("hold", "unused")
    assert RampDay.objects.get(mailbox=box, day=day(2)).planned == 10


def test_a_mail_that_turns_out_sent_is_counted_afterwards(tenant, box, mail):
    mail.went_out(DAY, 5, status="uncertain")
    run(tenant, 1)
    Message.objects.update(status="sent", sent_at=datetime(2026, 3, 2, 12, tzinfo=UTC))

    run(tenant, 2)

    assert rows(box)[0] == (0, "start", "started", 10, 5)


def test_the_job_twice_a_day_changes_nothing(tenant, box, mail):
    mail.went_out(DAY, 10)
    assert run(tenant, 1).kinds == {"hold": 1}
    before, entries = rows(box), AuditEntry.objects.count()

    assert run(tenant, 1).decided == 0
    assert run(tenant, 0).decided == 0  # nor does a day that is over, as after a change of the zone

    assert (rows(box), AuditEntry.objects.count()) == (before, entries)


def test_the_ramp_arrives_and_the_mailbox_is_active(tenant, box):
    Mailbox.objects.filter(pk=box.pk).update(ramp_cap=37)
    RampDay.objects.filter(mailbox=box).update(cap=37, sent=37, allowed=37)
    for n in (1, 2):
        used = {"cap": 37, "allowed": 37, "sent": 37, "kind": "hold", "reason": "too_soon"}
        RampDay.objects.create(tenant=tenant, mailbox=box, day=day(n), **used)

    run(tenant, 6)  # the three days before have no row; what older ones sent is not counted again

    box.refresh_from_db()
    assert (box.ramp_cap, box.state) == (40, "active")


@pytest.mark.parametrize(
    "stopped", [{"state": "quarantined"}, {"state": "probing"}, {"hold": "locked"}, {"blocked_until": "later"}]
)
def test_a_stopped_mailbox_does_not_rise(tenant, box, mail, stopped):
    for n in range(3):
        mail.went_out(day(n), 10)
    if "blocked_until" in stopped:
        stopped = {"blocked_until": now() + timedelta(days=1)}
    Mailbox.objects.filter(pk=box.pk).update(**stopped)

    run(tenant, 3)

    box.refresh_from_db()
    assert (box.ramp_cap, rows(box)[-1][1:3]) == (10, ("hold", "stopped"))
    assert {key: getattr(box, key) for key in stopped} == stopped


def test_thirty_idle_days_begin_again(tenant, box):
    Mailbox.objects.filter(pk=box.pk).update(ramp_cap=40, state="active")
    RampDay.objects.filter(mailbox=box).update(cap=40)

    run(tenant, 29)
    assert rows(box)[-1][1:4] == ("done", "ceiling", 40)
    run(tenant, 30)

    box.refresh_from_db()
    assert (box.ramp_cap, box.state) == (10, "ramping")
    assert rows(box)[-1][1:3] == ("restart", "idle")


def test_the_last_real_mail_counts_even_where_no_day_was_written(tenant, box):
    Mailbox.objects.filter(pk=box.pk).update(ramp_cap=40, last_dot_at=datetime(2026, 3, 20, tzinfo=UTC))
    RampDay.objects.filter(mailbox=box).update(cap=40)

    run(tenant, 35)

    assert rows(box)[-1][1] == "done"


def test_many_refusals_step_back_and_say_so(tenant, box, mail):
    mail.went_out(day(0), 10)
    RampDay.objects.filter(mailbox=box).update(cap=20)
    Mailbox.objects.filter(pk=box.pk).update(ramp_cap=20)
    mail.went_out(day(1), 38)
    for n in range(2):
        Attempt.objects.create(
            tenant=tenant, message_ref=n + 1, mailbox_ref=box.pk, at=datetime(2026, 3, 3, 12, tzinfo=UTC),
            phase="rcpt", code=550, result="failed",
        )  # fmt: skip

    run(tenant, 4)

    box.refresh_from_db()
    last = RampDay.objects.filter(mailbox=box).latest("day")
    assert (box.ramp_cap, last.kind, last.detail) == (14, "step_back", "2 of 50 mails refused in 14 days")
    assert last.until == day(7)


def test_a_tenant_sees_only_its_own_mailboxes_decided(tenant, box):
    other = factories.tenant()
    theirs = ramp.start_ramp(
        factories.mailbox(other), ramp.add_plan(other, "standard", actor=SYSTEM), actor=SYSTEM, day=DAY
    )

    run(tenant, 1)

    assert (len(rows(box)), len(rows(theirs))) == (2, 1)


def test_twelve_hundred_mailboxes_take_a_handful_of_statements(tenant, plan):
    boxes = factories.fleet(tenant, 1200, daily_cap=40, ramp=plan, ramp_cap=10, state="ramping")
    for n in range(3):
        RampDay.objects.bulk_create(
            RampDay(
                tenant=tenant, mailbox=box, day=day(n), cap=10, allowed=10, sent=10 if i % 2 else 1,
                kind="hold" if n else "start", reason="too_soon",
            )
            for i, box in enumerate(boxes)
        )  # fmt: skip
    Mailbox.objects.filter(pk=boxes[0].pk).update(ramp_cap=12)

    with CaptureQueriesContext(connection) as queries:
        ran = run(tenant, 6)

    assert ran.kinds == {"rise": 600, "hold": 600}
    assert Mailbox.objects.filter(ramp_cap=12).count() == 600
    assert len(queries) <= 24


# --- whose day it is --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (datetime(2026, 3, 28, 21, 59, tzinfo=UTC), date(2026, 3, 28)),  # Kyiv, winter: +2
        (datetime(2026, 3, 28, 22, 0, tzinfo=UTC), date(2026, 3, 29)),  # the day whose clocks go forward
        (datetime(2026, 3, 29, 20, 59, tzinfo=UTC), date(2026, 3, 29)),  # summer: +3
        (datetime(2026, 3, 29, 21, 0, tzinfo=UTC), date(2026, 3, 30)),
        (datetime(2026, 10, 24, 21, 0, tzinfo=UTC), date(2026, 10, 25)),  # the day that has 25 hours
        (datetime(2026, 10, 25, 21, 59, tzinfo=UTC), date(2026, 10, 25)),
        (datetime(2026, 10, 25, 22, 0, tzinfo=UTC), date(2026, 10, 26)),
    ],
)
def test_a_day_is_the_tenants_own_when_the_clocks_change(at, expected):
    assert ramp.day_of(factories.tenant(time_zone="Europe/Kyiv"), at) == expected


def test_cron_decides_once_for_each_of_the_tenants_days(monkeypatch, plan, box, tenant):
    type(tenant).objects.filter(pk=tenant.pk).update(time_zone="Europe/Kyiv")
    RampDay.objects.update(day=date(2026, 3, 28))
    moments = [
        datetime(2026, 3, 28, 21, 59, tzinfo=UTC),
        datetime(2026, 3, 28, 22, 0, tzinfo=UTC),
        datetime(2026, 3, 29, 0, 59, tzinfo=UTC),
        datetime(2026, 3, 29, 1, 0, tzinfo=UTC),
        datetime(2026, 3, 29, 21, 0, tzinfo=UTC),
    ]

    done = []
    for at in moments:
        monkeypatch.setattr(cron, "now", lambda at=at: at)
        done.append(cron.ramps())

    assert done == [0, 1, 0, 0, 1]
    days = RampDay.objects.filter(mailbox=box).order_by("day").values_list("day", flat=True)
    assert list(days) == [date(2026, 3, 28), date(2026, 3, 29), date(2026, 3, 30)]


def test_the_rows_of_the_model_know_the_words_of_the_rule():
    assert set(RampDay.Kind.values) == {kind.value for kind in rule.Kind}
    assert set(RampDay.Reason.values) == {reason.value for reason in rule.Reason}
