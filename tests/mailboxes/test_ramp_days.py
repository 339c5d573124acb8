"""Ramps of mailboxes in the database: put on, taken off, and the daily job."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from campaigns.models import Attempt, Enrolment, Message
from mailboxes import ramp as rule
from mailboxes.models import Allowance, Mailbox, RampDay, RampPlan
from mailboxes.services import mailboxes, ramp
from outreach import cron
from outreach.common.errors import BadInput, InvalidMove, NeedsApproval, NotAllowed
from tenants.models import ApprovalPolicy, AuditEntry
from tenants.services import actors
from tenants.services.actors import SYSTEM
from tests import factories

pytestmark = pytest.mark.django_db
DAY = date(2026, 3, 2)


def day(n: int) -> date:
    return DAY + timedelta(days=n)


@pytest.fixture
def tenant():
    return factories.tenant()


@pytest.fixture
def plan(tenant) -> RampPlan:
    return ramp.add_plan(tenant, "standard", actor=SYSTEM)


@pytest.fixture
def box(tenant, plan) -> Mailbox:
    """Put on the ramp on DAY, with a cap of its own of 40."""
    made = factories.mailbox(tenant, daily_cap=40)
    return ramp.start_ramp(made, plan, actor=SYSTEM, day=DAY)


class Mail:
    """Mails of a mailbox that went out, each with the day whose allowance it counted against."""

    def __init__(self, box: Mailbox) -> None:
        self.box, self.n = box, 0
        self.campaign = factories.campaign(box.tenant, box.pool, factories.contact_list(box.tenant), status="running")

    def went_out(self, on: date, count: int, status: str = "sent") -> None:
        step = self.campaign.steps.get()
        people = factories.people(self.box.tenant, None, count)
        at = datetime.combine(on, datetime.min.time(), UTC) + timedelta(hours=12)
        for person in people:
            self.n += 1
            enrolment = Enrolment.objects.create(
                tenant=self.box.tenant,
                campaign=self.campaign,
                contact=person,
                zone="UTC",
                mailbox=self.box,
                waits_for="message",
            )
            Message.objects.create(
                tenant=self.box.tenant, campaign=self.campaign, step=step, enrolment=enrolment, contact=person,
                mailbox=self.box, status=status, due_at=at, not_after=at, day_on=on,
                message_id=f"<{self.box.pk}-{self.n}@x.example>", sent_at=at if status == "sent" else None,
            )  # fmt: skip


@pytest.fixture
def mail(box) -> Mail:
    return Mail(box)


def run(tenant, n: int):
    return ramp.run_day(tenant, day(n), actor=SYSTEM, at=datetime.combine(day(n), datetime.min.time(), UTC))


def rows(box: Mailbox) -> list[tuple[int, str, str, int, int | None]]:
    found = RampDay.objects.filter(mailbox=box).order_by("day")
    return [((row.day - DAY).days, row.kind, row.reason, row.cap, row.sent) for row in found]


# --- on and off -------------------------------------------------------------------------------------------


def test_a_mailbox_starts_low_and_its_own_cap_stays(box):
    box.refresh_from_db()

    assert (box.state, box.daily_cap, box.ramp_cap, box.cap_of_day) == ("ramping", 40, 10, 10)
    assert rows(box) == [(0, "start", "started", 10, None)]
    entry = AuditEntry.objects.get(action="mailbox.ramp_started")
    assert (entry.before, entry.after) == (40, 10)


def test_a_reserve_on_a_ramp_stays_a_reserve_with_its_share(tenant, plan):
    box = ramp.start_ramp(factories.mailbox(tenant, state="reserve", reserve_share=0.2), plan, actor=SYSTEM, day=DAY)

    assert box.state == "reserve"
    assert RampDay.objects.get(mailbox=box).allowed == 2


@pytest.mark.parametrize(("role", "allowed"), [("analyst", False), ("operator", False), ("ops_manager", True)])
def test_only_managers_put_mailboxes_on_ramps(tenant, plan, role, allowed):
    box, actor = factories.mailbox(tenant), actors.of_grants("user", role, [(tenant.pk, role)])

    if allowed:
        ramp.start_ramp(box, plan, actor=actor)
    else:
        with pytest.raises(NotAllowed):
            ramp.start_ramp(box, plan, actor=actor)

    box.refresh_from_db()
    assert (box.ramp_id is not None) == allowed == RampDay.objects.exists()


def test_twice_on_the_same_ramp_is_refused_and_so_are_retired_mailboxes_and_strange_plans(tenant, plan, box):
    with pytest.raises(InvalidMove):
        ramp.start_ramp(box, plan, actor=SYSTEM)
    with pytest.raises(InvalidMove):
        ramp.start_ramp(factories.mailbox(tenant, state="retired"), plan, actor=SYSTEM)
    with pytest.raises(BadInput):
        ramp.start_ramp(factories.mailbox(factories.tenant()), plan, actor=SYSTEM)
    assert Mailbox.objects.filter(ramp=plan).count() == 1


def test_another_plan_goes_on_with_the_cap_that_was_earned(tenant, box):
    Mailbox.objects.filter(pk=box.pk).update(ramp_cap=24)
    steep = ramp.add_plan(tenant, "steep", actor=SYSTEM, growth_percent=20)

    assert ramp.start_ramp(box, steep, actor=SYSTEM).ramp_cap == 24


def test_leaving_gives_the_own_cap_back(box):
    box = ramp.leave_ramp(box, actor=SYSTEM, reason="moved")

    assert (box.state, box.ramp_id, box.ramp_cap, box.cap_of_day) == ("active", None, None, 40)
    with pytest.raises(InvalidMove):
        ramp.leave_ramp(box, actor=SYSTEM, reason="again")


def test_leaving_early_needs_a_second_person_where_caps_do(tenant, box):
    ApprovalPolicy.objects.filter(tenant=tenant).update(cap_above=50)

    with pytest.raises(NeedsApproval):
        ramp.leave_ramp(box, actor=SYSTEM, reason="quick")

    box.refresh_from_db()
    assert box.ramp_cap == 10
    Mailbox.objects.filter(pk=box.pk).update(ramp_cap=40)
    assert ramp.leave_ramp(box, actor=SYSTEM, reason="arrived").ramp_id is None


def test_a_release_from_quarantine_comes_back_with_half(tenant, box):
    Mailbox.objects.filter(pk=box.pk).update(ramp_cap=33, state="quarantined")

    box = mailboxes.release(box, actor=SYSTEM)

    box.refresh_from_db()
    assert (box.state, box.ramp_cap) == ("ramping", 16)
    last = RampDay.objects.filter(mailbox=box).latest("day")
    assert (last.kind, last.reason, last.cap) == ("step_back", "released", 16)


# --- plans ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "field"),
    [({"growth_percent": 21}, "growth_percent"), ({"growth_percent": 9}, "growth_percent"), ({"every_days": 2},
     "every_days"), ({"start": 0}, "start"), ({"start": 50}, "ceiling"), ({"idle_days": 31}, "idle_days")],
)  # fmt: skip
def test_a_plan_outside_the_rules_is_refused_by_the_service_and_by_the_database(tenant, values, field):
    with pytest.raises(BadInput) as refusal:
        ramp.add_plan(tenant, "steep", actor=SYSTEM, **values)

    assert refusal.value.details["field"] == field
    with pytest.raises(IntegrityError), transaction.atomic():
        RampPlan.objects.create(tenant=tenant, name="steep", **values)


def test_two_plans_of_one_name_are_refused(tenant, plan):
    with pytest.raises(BadInput):
        ramp.add_plan(tenant, " standard ", actor=SYSTEM)


def test_a_changed_plan_lifts_nothing_at_once_and_a_lower_end_steps_back_next_day(tenant, plan, box):
    Mailbox.objects.filter(pk=box.pk).update(ramp_cap=30)
    RampDay.objects.update(cap=30)
    ramp.change_plan(plan, actor=SYSTEM, start=20, ceiling=25)

    box.refresh_from_db()
    assert box.ramp_cap == 30
    run(tenant, 1)
    box.refresh_from_db()
    assert box.ramp_cap == 25


# --- the daily job ----------------------------------------------------------------------------------------


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
