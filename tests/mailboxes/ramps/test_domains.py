"""Ramps of sending domains: all mailboxes of a domain under one cap that grows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from campaigns.models import Attempt, Message
from mailboxes import ramp as rule
from mailboxes.models import Allowance, DomainRampDay, Mailbox, RampDay, SendingDomain
from mailboxes.services import domain_ramp, domain_ramp_sql, ramp
from outreach import cron
from outreach.common.errors import BadInput, InvalidMove, NeedsApproval, NotAllowed
from tenants.models import ApprovalPolicy, AuditEntry
from tenants.services import actors
from tenants.services.actors import SYSTEM
from tests import factories
from tests.mailboxes.ramps.days import DAY, Mail, day

pytestmark = pytest.mark.django_db


@pytest.fixture
def plan(tenant):
    return ramp.add_plan(tenant, "domains", actor=SYSTEM, start=6, ceiling=20)


@pytest.fixture
def boxes(tenant):
    """Three mailboxes of one domain."""
    return factories.fleet(tenant, 3, domains=1, daily_cap=40)


@pytest.fixture
def domain(boxes, plan) -> SendingDomain:
    return domain_ramp.start_domain_ramp(boxes[0].domain, plan, actor=SYSTEM, day=DAY)


@pytest.fixture
def send(boxes):
    """Let so many mails of the domain go out on that day, spread over its mailboxes."""
    senders = [Mail(box) for box in boxes]

    def sent(n: int, count: int, status: str = "sent") -> None:
        for i, sender in enumerate(senders):
            share = (count + i) // len(senders)
            if share:
                sender.went_out(day(n), share, status)

    return sent


def run(tenant, n: int):
    return domain_ramp.run_domains_day(tenant, day(n), actor=SYSTEM)


def rows(domain) -> list[tuple[int, str, str, int, int | None]]:
    found = DomainRampDay.objects.filter(domain=domain).order_by("day")
    return [((row.day - DAY).days, row.kind, row.reason, row.cap, row.sent) for row in found]


# --- on and off -------------------------------------------------------------------------------------------


def test_a_domain_starts_low_and_its_mailboxes_keep_their_caps(domain, boxes):
    domain.refresh_from_db()

    assert (domain.state, domain.daily_cap, domain.ramp_cap, domain.cap_of_day) == ("verified", None, 6, 6)
    assert rows(domain) == [(0, "start", "started", 6, None)]
    assert set(Mailbox.objects.values_list("daily_cap", "ramp_cap", "state")) == {(40, None, "active")}
    entry = AuditEntry.objects.get(action="domain.ramp_started")
    assert (entry.before, entry.after) == (None, 6)


def test_a_domain_that_begins_takes_back_what_waits_in_its_mailboxes(tenant, boxes, plan):
    Mail(boxes[0]).went_out(DAY, 3, status="planned")

    domain_ramp.start_domain_ramp(boxes[0].domain, plan, actor=SYSTEM, day=DAY)

    assert not Message.objects.exists()
    tenant.refresh_from_db()
    assert tenant.plan_wanted_at is not None


def test_a_cap_that_is_lower_anyway_takes_nothing_back(boxes, plan):
    SendingDomain.objects.update(daily_cap=5)
    Mail(boxes[0]).went_out(DAY, 3, status="planned")

    domain = domain_ramp.start_domain_ramp(boxes[0].domain, plan, actor=SYSTEM, day=DAY)

    assert (domain.cap_of_day, Message.objects.filter(status="planned").count()) == (5, 3)


@pytest.mark.parametrize(("role", "allowed"), [("analyst", False), ("operator", False), ("ops_manager", True)])
def test_only_managers_put_domains_on_ramps(tenant, plan, role, allowed):
    domain, actor = factories.domain(tenant), actors.of_grants("user", role, [(tenant.pk, role)])

    if allowed:
        domain_ramp.start_domain_ramp(domain, plan, actor=actor)
    else:
        with pytest.raises(NotAllowed):
            domain_ramp.start_domain_ramp(domain, plan, actor=actor)

    domain.refresh_from_db()
    assert (domain.ramp_id is not None) == allowed == DomainRampDay.objects.exists()


def test_twice_retired_domains_and_strange_plans_are_refused(tenant, plan, domain):
    with pytest.raises(InvalidMove):
        domain_ramp.start_domain_ramp(domain, plan, actor=SYSTEM)
    with pytest.raises(InvalidMove):
        domain_ramp.start_domain_ramp(factories.domain(tenant, state="retired"), plan, actor=SYSTEM)
    with pytest.raises(BadInput):
        domain_ramp.start_domain_ramp(factories.domain(factories.tenant()), plan, actor=SYSTEM)
    assert list(SendingDomain.objects.filter(ramp=plan)) == [domain]


def test_another_plan_goes_on_with_the_cap_that_was_earned(tenant, domain):
    SendingDomain.objects.filter(pk=domain.pk).update(ramp_cap=14)
    steep = ramp.add_plan(tenant, "steep", actor=SYSTEM, growth_percent=20)

    assert domain_ramp.start_domain_ramp(domain, steep, actor=SYSTEM).ramp_cap == 14
    assert len(rows(domain)) == 1


@pytest.mark.parametrize(("daily_cap", "free"), [(None, False), (7, False), (6, True), (5, True)])
def test_leaving_early_needs_a_second_person_where_caps_do(tenant, domain, daily_cap, free):
    ApprovalPolicy.objects.filter(tenant=tenant).update(cap_above=50)
    SendingDomain.objects.filter(pk=domain.pk).update(daily_cap=daily_cap)

    if free:
        left = domain_ramp.leave_domain_ramp(domain, actor=SYSTEM, reason="arrived")
        assert (left.ramp_id, left.ramp_cap, left.cap_of_day) == (None, None, daily_cap)
    else:
        with pytest.raises(NeedsApproval):
            domain_ramp.leave_domain_ramp(domain, actor=SYSTEM, reason="quick")
        domain.refresh_from_db()
        assert domain.ramp_cap == 6


def test_a_domain_without_a_ramp_has_none_to_leave(tenant):
    with pytest.raises(InvalidMove):
        domain_ramp.leave_domain_ramp(factories.domain(tenant), actor=SYSTEM, reason="again")


def test_the_database_wants_one_row_a_day(tenant, domain):
    with pytest.raises(IntegrityError), transaction.atomic():
        DomainRampDay.objects.create(
            tenant=tenant, domain=domain, day=DAY, cap=6, allowed=6, kind="hold", reason="too_soon"
        )


# --- sixty days -------------------------------------------------------------------------------------------


def test_sixty_days_follow_the_formula_hold_where_nothing_is_sent_and_step_back_once(tenant, domain, boxes, send):
    """Full use but for days 12 to 14, when little is sent, and a bad day 40, when mail is refused."""
    caps = []
    for n in range(60):
        if n:
            run(tenant, n)
        domain.refresh_from_db()
        caps.append(domain.ramp_cap)
        send(n, 1 if n in (12, 13, 14) else domain.ramp_cap)
        if n == 39:
            at = datetime.combine(day(n), datetime.min.time(), UTC) + timedelta(hours=12)
            for box in boxes:  # 12 of some 230 in 14 days, though no mailbox alone has a bad rate of its own to show
                Attempt.objects.bulk_create(
                    Attempt(tenant=tenant, message_ref=box.pk * 100 + i, mailbox_ref=box.pk, at=at, phase="rcpt",
                            code=550, result="failed")
                    for i in range(4)
                )  # fmt: skip

    # One step each three days; those of day 15 wait until two of the last three days with mail were used again.
    held = 2
    plan = domain.ramp.rule
    assert caps[:15] == rule.curve(plan, 15) == [6] * 3 + [7] * 3 + [8] * 3 + [9] * 3 + [10] * 3
    assert caps[15:40] == ([10] * held + rule.curve(plan, 60)[15:])[:25]
    assert caps[39] == 20
    assert caps[40] == rule.stepped_back(20, plan) == 14
    for n in range(40):
        expected = rule.formula(plan, n if n < 15 else max(n - held, 14))
        assert abs(caps[n] - expected) <= rule.rounding_bound(plan, n) + 1e-9
    kinds = {n: (kind, reason) for n, kind, reason, _, _ in rows(domain)}
    assert kinds[15] == kinds[16] == ("hold", "unused")
    assert kinds[17] == ("rise", "used")
    assert kinds[40] == ("step_back", "bad")
    assert DomainRampDay.objects.get(domain=domain, day=day(40)).detail.endswith("mails refused in 14 days")
    assert kinds[41] == ("hold", "signal")
    assert [sent for *_, sent in rows(domain)[:40]] == [1 if n in (12, 13, 14) else caps[n] for n in range(40)]


# --- the daily job ----------------------------------------------------------------------------------------


def test_the_mail_of_all_mailboxes_counts_together_and_that_of_others_does_not(tenant, domain, send):
    others = Mail(factories.mailbox(tenant))
    for n in range(3):
        send(n, 6)
        others.went_out(day(n), 2)
        run(tenant, n + 1)

    domain.refresh_from_db()
    assert domain.ramp_cap == 7
    assert rows(domain) == [
        (0, "start", "started", 6, 6),
        (1, "hold", "too_soon", 6, 6),
        (2, "hold", "too_soon", 6, 6),
        (3, "rise", "used", 7, None),
    ]


def test_what_was_planned_is_the_domains_own_allowance(tenant, domain, send):
    label = datetime.combine(DAY, datetime.min.time(), UTC)
    Allowance.objects.create(tenant=tenant, scope="domain_day", key=domain.pk, period_start=label, cap=5, reserved=4)
    Allowance.objects.create(tenant=tenant, scope="mailbox_day", key=domain.pk, period_start=label, cap=9, reserved=9)
    send(0, 3)

    run(tenant, 1)

    first = DomainRampDay.objects.get(domain=domain, day=DAY)
    assert (first.allowed, first.planned, first.sent) == (5, 4, 3)


def test_the_job_twice_a_day_changes_nothing(tenant, domain, send):
    send(0, 6)
    assert run(tenant, 1).kinds == {"hold": 1}
    before, entries = rows(domain), AuditEntry.objects.count()

    assert run(tenant, 1).decided == 0
    assert run(tenant, 0).decided == 0

    assert (rows(domain), AuditEntry.objects.count()) == (before, entries)


@pytest.mark.parametrize("state", ["new", "degraded", "blocked"])
def test_a_domain_that_is_not_in_order_does_not_rise(tenant, domain, send, state):
    for n in range(3):
        send(n, 6)
    SendingDomain.objects.filter(pk=domain.pk).update(state=state)

    run(tenant, 3)

    domain.refresh_from_db()
    assert (domain.state, domain.ramp_cap, rows(domain)[-1][1:3]) == (state, 6, ("hold", "stopped"))


def test_a_retired_domain_is_left_alone(tenant, domain):
    SendingDomain.objects.filter(pk=domain.pk).update(state="retired")

    assert run(tenant, 1).decided == 0
    assert len(rows(domain)) == 1


def test_its_own_cap_ends_a_ramp(tenant, domain, send):
    SendingDomain.objects.filter(pk=domain.pk).update(daily_cap=6)
    for n in range(3):
        send(n, 6)

    run(tenant, 3)

    assert rows(domain)[-1][1:4] == ("done", "own_cap", 6)


def test_a_step_back_takes_waiting_mail_of_the_domain_back_and_no_other(tenant, domain, boxes):
    SendingDomain.objects.filter(pk=domain.pk).update(ramp_cap=20)
    DomainRampDay.objects.update(cap=20)
    ramp.change_plan(domain.ramp, actor=SYSTEM, ceiling=12)
    Mail(boxes[1]).went_out(day(1), 2, status="planned")
    other = factories.mailbox(tenant)
    Mail(other).went_out(day(1), 2, status="planned")

    assert run(tenant, 1).lowered == 1

    domain.refresh_from_db()
    assert (domain.ramp_cap, rows(domain)[-1][1:3]) == (12, ("step_back", "lowered"))
    assert set(Message.objects.values_list("mailbox", flat=True)) == {other.pk}


def test_thirty_idle_days_begin_again_unless_a_mail_went_out_meanwhile(tenant, domain, boxes):
    SendingDomain.objects.filter(pk=domain.pk).update(ramp_cap=20)
    DomainRampDay.objects.update(cap=20)
    Mailbox.objects.filter(pk=boxes[2].pk).update(last_dot_at=datetime.combine(day(10), datetime.min.time(), UTC))

    run(tenant, 30)
    assert rows(domain)[-1][1:4] == ("done", "ceiling", 20)
    run(tenant, 40)
    assert rows(domain)[-1][1:4] == ("restart", "idle", 6)


def test_a_tenant_sees_only_its_own_domains_decided(tenant, domain):
    other = factories.tenant()
    theirs = domain_ramp.start_domain_ramp(
        factories.domain(other), ramp.add_plan(other, "domains", actor=SYSTEM), actor=SYSTEM, day=DAY
    )

    run(tenant, 1)

    assert (len(rows(domain)), len(rows(theirs))) == (2, 1)


def test_a_hundred_domains_take_as_many_statements_as_one(tenant, plan):
    factories.fleet(tenant, 300, domains=100)
    SendingDomain.objects.update(ramp=plan, ramp_cap=6)
    for n in range(3):
        DomainRampDay.objects.bulk_create(
            DomainRampDay(
                tenant=tenant, domain=domain, day=day(n), cap=6, allowed=6, sent=6 if i % 2 else 1,
                kind="hold" if n else "start", reason="too_soon",
            )
            for i, domain in enumerate(SendingDomain.objects.order_by("pk"))
        )  # fmt: skip

    with CaptureQueriesContext(connection) as queries:
        ran = run(tenant, 6)

    assert ran.kinds == {"rise": 50, "hold": 50}
    assert SendingDomain.objects.filter(ramp_cap=7).count() == 50
    assert len(queries) <= 24


def test_cron_decides_domains_beside_mailboxes_once_a_day(tenant, domain, boxes, monkeypatch):
    ramp.start_ramp(boxes[0], domain.ramp, actor=SYSTEM, day=DAY)
    moments = [
        datetime.combine(day(n), datetime.min.time(), UTC) + timedelta(hours=h) for n, h in [(0, 5), (1, 0), (1, 9)]
    ]
    done = []
    for at in moments:
        monkeypatch.setattr(cron, "now", lambda at=at: at)
        done.append(cron.ramps())

    assert done == [0, 2, 0]
    assert (DomainRampDay.objects.count(), RampDay.objects.count()) == (2, 2)


def test_the_rows_of_the_model_know_the_words_of_the_rule():
    words = {reason.value for reason in rule.Reason} - {"released"}
    assert set(DomainRampDay.Reason.values) == words | {"young"}
    assert set(DomainRampDay.Kind.values) == {kind.value for kind in rule.Kind}


# --- too young --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("registered_on", "days", "first"),
    [(date(2026, 2, 16), 14, date(2026, 3, 2)), (date(2026, 2, 16), 0, date(2026, 2, 16)), (None, 14, None)],
)
def test_the_first_day_of_sending_is_so_many_days_after_the_registration(registered_on, days, first):
    assert domain_ramp.first_day(registered_on, days) == first


@pytest.mark.parametrize(("age", "cap"), [(0, 0), (13, 0), (14, 6), (400, 6), (None, 6)])
def test_a_domain_that_is_too_young_has_a_cap_of_nothing_in_python_and_in_sql(domain, age, cap, settings):
    domain.registered_on = None if age is None else DAY - timedelta(days=age)
    domain.save(update_fields=["registered_on"])
    values = {"day": DAY, "first_send_after_days": settings.FIRST_SEND_AFTER_DAYS, "pk": domain.pk}

    assert domain_ramp.cap_on(domain, DAY) == cap
    of_ours = " ".join(["SELECT", domain_ramp_sql.TOO_YOUNG, "FROM mailboxes_sendingdomain d WHERE d.id = %(pk)s"])
    with connection.cursor() as cursor:
        cursor.execute(of_ours, values)
        assert cursor.fetchone() == (cap == 0,)


def test_a_young_domain_waits_at_its_start_and_says_why(tenant, domain, send):
    SendingDomain.objects.filter(pk=domain.pk).update(registered_on=day(-10))

    for n in range(1, 6):
        run(tenant, n)

    found = DomainRampDay.objects.filter(domain=domain).order_by("day").values_list("reason", "cap", "allowed")
    assert list(found)[1:] == [("young", 6, 0)] * 3 + [("unused", 6, 6)] * 2
