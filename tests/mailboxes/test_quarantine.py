"""Quarantine as a case: reason and evidence, rest, probe, the way back, and the reserve that steps in."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils.timezone import now
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailboxes.models import Allowance, Mailbox, QuarantineCase, RampDay, RampPlan
from mailboxes.services import mailboxes, quarantine, ramp, reserves
from outreach.common.errors import BadInput, InvalidMove, NotAllowed, NotReady
from tenants.models import AuditEntry
from tenants.services import actors
from tenants.services.actors import SYSTEM, Actor
from tests import factories

pytestmark = pytest.mark.django_db


def actor(role: str, tenant_id: int | None = None) -> Actor:
    return actors.of_grants("user", role, [(tenant_id, role)])


@pytest.fixture
def tenant():
    return factories.tenant()


@pytest.fixture
def box(tenant):
    return factories.mailbox(tenant, daily_cap=40)


def reserve_of(box: Mailbox, **changes) -> Mailbox:
    return factories.fleet(
        box.tenant, 1, pool=box.pool, **{"home": box.home, "state": "reserve", "daily_cap": 40} | changes
    )[0]


def case_of(box: Mailbox) -> QuarantineCase:
    return QuarantineCase.objects.get(mailbox=box, closed_at=None)


# --- The case -------------------------------------------------------------------------------------------------


def test_a_quarantine_opens_a_case_with_reason_and_evidence(box):
    before = now()

    mailboxes.quarantine(box, actor=SYSTEM, reason="5 of 100 bounced", evidence={"bounced": 5, "sent": 100})

    case = case_of(box)
    assert (case.number, case.reason, case.evidence) == (1, "5 of 100 bounced", {"bounced": 5, "sent": 100})
    assert (case.state_before, case.cap, case.swap, case.promoted) == ("active", 40, "none", None)
    assert case.opened_at >= before
    assert case.cool_until == case.opened_at + timedelta(hours=24)


@pytest.mark.parametrize(
    "evidence",
    [{"rows": [1, 2]}, {"deep": {"a": 1}}, {"text": "a\0b"}, {"nan": float("nan")}, {str(n): n for n in range(51)},
     {"long": "x" * 1001}],
)  # fmt: skip
def test_evidence_is_plain(box, evidence):
    with pytest.raises(BadInput):
        mailboxes.quarantine(box, actor=SYSTEM, reason="bounces", evidence=evidence)

    box.refresh_from_db()
    assert (box.state, QuarantineCase.objects.count(), AuditEntry.objects.count()) == ("active", 0, 0)


def test_each_relapse_is_a_case_of_its_own_that_rests_longer(box):
    rests = []
    for _ in range(4):
        mailboxes.quarantine(box, actor=SYSTEM, reason="bounces", promote=False)
        case = case_of(box)
        rests.append(case.cool_until and case.cool_until - case.opened_at)
        mailboxes.probe(box, actor=SYSTEM, reason="all the same")

    assert rests == [timedelta(hours=24), timedelta(hours=72), timedelta(days=7), None]
    cases = QuarantineCase.objects.filter(mailbox=box).order_by("number")
    assert [(case.number, case.outcome) for case in cases] == [
        (1, "relapsed"), (2, "relapsed"), (3, "relapsed"), (4, ""),
    ]  # fmt: skip


# --- Probe and release ----------------------------------------------------------------------------------------


def test_a_probe_waits_for_the_end_of_the_rest(box):
    mailboxes.quarantine(box, actor=SYSTEM, reason="bounces")
    with pytest.raises(NotReady, match="rests until"):
        mailboxes.probe(box, actor=actor("operator"))
    box.refresh_from_db()
    assert (box.state, case_of(box).probing_since) == ("quarantined", None)
    QuarantineCase.objects.update(cool_until=now())

    mailboxes.probe(box, actor=actor("operator"))

    box.refresh_from_db()
    assert box.state == "probing"
    assert case_of(box).probing_since is not None


@pytest.mark.parametrize(("role", "allowed"), [("operator", False), ("ops_manager", True)])
@pytest.mark.parametrize("cool_until", [None, now() + timedelta(hours=1)], ids=["a person decides", "too early"])
def test_who_may_release_may_probe_early_with_a_reason(box, role, allowed, cool_until):
    mailboxes.quarantine(box, actor=SYSTEM, reason="bounces")
    QuarantineCase.objects.update(cool_until=cool_until)
    entries = AuditEntry.objects.count()

    with pytest.raises(NotReady):
        mailboxes.probe(box, actor=actor(role), reason=" ")
    if allowed:
        mailboxes.probe(box, actor=actor(role), reason="the list was to blame")
    else:
        with pytest.raises(NotAllowed):
            mailboxes.probe(box, actor=actor(role), reason="the list was to blame")

    box.refresh_from_db()
    assert box.state == ("probing" if allowed else "quarantined")
    assert AuditEntry.objects.count() == entries + allowed


def test_only_a_quarantined_mailbox_is_probed(box):
    with pytest.raises(InvalidMove):
        mailboxes.probe(box, actor=SYSTEM, reason="x")


def test_a_release_wants_the_probe_or_a_reason(box):
    mailboxes.quarantine(box, actor=SYSTEM, reason="bounces")
    entries = AuditEntry.objects.count()

    with pytest.raises(NotReady, match="not been probed"):
        mailboxes.release(box, actor=SYSTEM)

    box.refresh_from_db()
    assert (box.state, AuditEntry.objects.count()) == ("quarantined", entries)

    mailboxes.release(box, actor=SYSTEM, reason="the list was to blame")

    box.refresh_from_db()
    case = QuarantineCase.objects.get(mailbox=box)
    assert box.state == "active"
    assert (case.outcome, case.closed_because) == ("released", "the list was to blame")


def test_a_mailbox_of_before_has_no_case_and_is_released_as_ever(tenant):
    box = factories.mailbox(tenant, state="quarantined")

    mailboxes.release(box, actor=SYSTEM)

    box.refresh_from_db()
    assert box.state == "active"


# --- The reserve ----------------------------------------------------------------------------------------------


def test_a_reserve_steps_in_with_its_whole_ramped_cap(box):
    plan = RampPlan.objects.create(tenant=box.tenant, name="standard")
    reserve = reserve_of(box, ramp=plan, ramp_cap=20)
    today = ramp.day_of(box.tenant)
    RampDay.objects.create(
        tenant=box.tenant, mailbox=reserve, day=today, cap=20, allowed=4, kind="hold", reason="too_soon"
    )

    mailboxes.quarantine(box, actor=SYSTEM, reason="bounces")

    reserve.refresh_from_db()
    assert (reserve.state, reserve.ramp_cap, reserve.cap_of_day) == ("ramping", 20, 20)
    assert RampDay.objects.get(mailbox=reserve, day=today).allowed == 20
    assert (case_of(box).swap, case_of(box).promoted_id) == ("promoted", reserve.pk)
    assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True)) == [
        "mailbox.promoted", "mailbox.quarantined",
    ]  # fmt: skip


def test_a_reserve_whose_ramp_has_arrived_or_that_has_none_becomes_active(box):
    plan = RampPlan.objects.create(tenant=box.tenant, name="standard")
    other = factories.fleet(box.tenant, 1, pool=box.pool, home=box.home)[0]
    arrived, plain = reserve_of(box, ramp=plan, ramp_cap=40), reserve_of(box, daily_cap=30)

    mailboxes.quarantine(box, actor=SYSTEM, reason="bounces")
    mailboxes.quarantine(other, actor=SYSTEM, reason="bounces")

    assert [case.promoted_id for case in QuarantineCase.objects.order_by("pk")] == [arrived.pk, plain.pk]
    assert set(Mailbox.objects.filter(pk__in=[arrived.pk, plain.pk]).values_list("state", flat=True)) == {"active"}


@pytest.mark.parametrize(
    "flaw",
    ["hold", "blocked", "domain", "degraded", "account", "account blocked", "another pool", "not a reserve"],
)
def test_who_may_not_send_now_does_not_step_in(box, flaw):
    changes = {
        "hold": {"hold": "locked"},
        "blocked": {"blocked_until": now() + timedelta(hours=1)},
        "account": {"home": factories.account(box.tenant, port=26, state="suspended")},
        "account blocked": {"home": factories.account(box.tenant, port=27, blocked_until=now() + timedelta(hours=1))},
        "not a reserve": {"state": "active"},
    }.get(flaw, {})
    reserve = reserve_of(box, **changes)
    if flaw in ("domain", "degraded"):
        type(reserve.domain).objects.filter(pk=reserve.domain_id).update(
            state="degraded" if flaw == "degraded" else "new"
        )
    if flaw == "another pool":
        Mailbox.objects.filter(pk=reserve.pk).update(pool=factories.pool(box.tenant))
    before = Mailbox.objects.values().get(pk=reserve.pk)

    mailboxes.quarantine(box, actor=SYSTEM, reason="bounces")

    assert case_of(box).swap == "none"
    assert Mailbox.objects.values().get(pk=reserve.pk) == before


def test_the_one_with_most_left_today_steps_in(box):
    busy, idle = reserve_of(box), reserve_of(box)
    Allowance.objects.create(
        tenant=box.tenant, scope="mailbox_day", key=busy.pk, cap=8, reserved=8,
        period_start=now().replace(hour=0, minute=0, second=0, microsecond=0),
    )  # fmt: skip

    mailboxes.quarantine(box, actor=SYSTEM, reason="bounces")

    assert case_of(box).promoted_id == idle.pk


def test_a_degraded_domain_gets_no_second_mailbox_while_another_has_one(box):
    same = reserve_of(box)
    Mailbox.objects.filter(pk=same.pk).update(domain=box.domain)
    other = reserve_of(box, home=factories.account(box.tenant, host="127.0.0.9"), daily_cap=5)
    type(box.domain).objects.filter(pk=box.domain_id).update(state="degraded")

    mailboxes.quarantine(box, actor=SYSTEM, reason="bounces")

    assert case_of(box).promoted_id == other.pk


@pytest.mark.parametrize(("state", "promote"), [("active", False), ("reserve", True)])
def test_no_reserve_where_none_is_wanted_or_needed(tenant, state, promote):
    box = factories.mailbox(tenant, state=state, daily_cap=40)
    reserve = reserve_of(box)

    mailboxes.quarantine(box, actor=SYSTEM, reason="bounces", promote=promote)

    reserve.refresh_from_db()
    assert (case_of(box).swap, reserve.state) == ("unwanted", "reserve")
    assert case_of(box).cap == (8 if state == "reserve" else 40)


def test_a_relapse_from_probation_keeps_the_stand_in_and_takes_no_second(box):
    first, second = reserve_of(box), reserve_of(box)
    mailboxes.quarantine(box, actor=SYSTEM, reason="bounces")
    mailboxes.probe(box, actor=SYSTEM, reason="all the same")

    mailboxes.quarantine(box, actor=SYSTEM, reason="bounces again")

    second.refresh_from_db()
    assert (case_of(box).number, case_of(box).promoted_id, second.state) == (2, first.pk, "reserve")


def test_a_foreign_reserve_does_not_step_in_and_a_foreign_manager_may_nothing(box):
    factories.mailbox(factories.tenant(), state="reserve")

    with pytest.raises(NotAllowed):
        mailboxes.quarantine(box, actor=actor("ops_manager", box.tenant_id + 1), reason="x")
    assert QuarantineCase.objects.count() == 0
    mailboxes.quarantine(box, actor=SYSTEM, reason="bounces")

    assert case_of(box).swap == "none"
    assert Mailbox.objects.filter(state="reserve").count() == 1


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    boxes=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    waiting=st.lists(
        st.tuples(st.integers(1, 60), st.one_of(st.none(), st.integers(1, 40)), st.booleans()), max_size=5
    ),
    plan=st.tuples(st.integers(1, 10), st.integers(10, 40)),
)
def test_a_promoted_reserve_is_inside_its_ramp_and_the_brake_holds(boxes, waiting, plan):
    tenant = factories.tenant()
    pool = factories.pool(tenant)
    steps = RampPlan.objects.create(tenant=tenant, name="p", start=plan[0], ceiling=plan[1])
    going = factories.fleet(tenant, len(boxes), pool=pool, each=lambda i: {"daily_cap": boxes[i]})

    def reserve(i):
        cap, ramped, held = waiting[i]
        on = {"ramp": steps, "ramp_cap": ramped} if ramped is not None else {}
        return {"state": "reserve", "daily_cap": cap, "hold": "locked" if held else "none", **on}

    if waiting:
        factories.fleet(tenant, len(waiting), pool=pool, each=reserve)
    before = {box.pk: box for box in Mailbox.objects.filter(pool=pool)}
    told = reserves.foresee(going)

    for box in going:
        mailboxes.quarantine(box, actor=SYSTEM, reason="test")

    cases = list(QuarantineCase.objects.filter(pool=pool).order_by("pk"))
    assert [(look.swap, look.successor and look.successor.pk) for look in told] == [
        (case.swap, case.promoted_id) for case in cases
    ]
    promoted = [case.promoted_id for case in cases if case.promoted_id]
    assert len(promoted) == len(set(promoted)) <= 2
    for pk in promoted:
        after = Mailbox.objects.get(pk=pk)
        assert after.state in ("active", "ramping")
        assert (after.ramp_cap, after.daily_cap) == (before[pk].ramp_cap, before[pk].daily_cap)
        assert after.cap_of_day <= min(after.daily_cap, after.ramp_cap or after.daily_cap)
        assert before[pk].hold == "none"
    untouched = Mailbox.objects.filter(pool=pool).exclude(pk__in=[*promoted, *(box.pk for box in going)])
    assert all(box.state == "reserve" for box in untouched)


# --- The pool's page ------------------------------------------------------------------------------------------


def test_the_gap_of_a_pool_and_the_day_it_closes(box):
    plan = RampPlan.objects.create(tenant=box.tenant, name="standard")
    reserve = reserve_of(box, ramp=plan, ramp_cap=30, daily_cap=100)
    spare = reserve_of(box, ramp=plan, ramp_cap=20, hold="locked")
    today = ramp.day_of(box.tenant)
    RampDay.objects.create(
        tenant=box.tenant, mailbox=reserve, day=today, cap=30, allowed=6, kind="rise", reason="used",
        until=today + timedelta(days=3),
    )  # fmt: skip
    before = reserves.of_pool(box.pool)

    mailboxes.quarantine(box, actor=SYSTEM, reason="bounces")

    found = reserves.of_pool(box.pool)
    assert (before.ready, before.cap, len(before.reserves), before.gap) == (1, 30, 2, 0)
    assert [(one.mailbox.pk, one.share, one.cap, one.goal) for one in found.reserves] == [(spare.pk, 4, 20, 40)]
    assert (found.lost, found.gap, found.closes_on) == (40, 10, today + timedelta(days=6))  # 30, 35 in 3, 40 in 6
    assert found.coming[:7] == [10, 10, 10, 5, 5, 5, 0]
    assert (found.brake.used, found.brake.allowed) == (1, 2)


def test_a_stand_in_that_fell_ill_itself_fills_no_gap(box):
    reserve = reserve_of(box)
    mailboxes.quarantine(box, actor=SYSTEM, reason="bounces")
    assert reserves.of_pool(box.pool).gap == 0

    quarantine.quarantine(reserve, actor=SYSTEM, reason="bounces")

    found = reserves.of_pool(box.pool)
    assert (found.lost, found.gap, found.closes_on) == (80, 80, None)
