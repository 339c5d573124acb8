"""Mailboxes are put on ramps and taken off; plans are made and changed."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from mailboxes.models import Mailbox, RampDay, RampPlan
from mailboxes.services import mailboxes, ramp
from outreach.common.errors import BadInput, InvalidMove, NeedsApproval, NotAllowed
from tenants.models import ApprovalPolicy, AuditEntry
from tenants.services import actors
from tenants.services.actors import SYSTEM
from tests import factories
from tests.mailboxes.ramps.days import DAY, rows, run

pytestmark = pytest.mark.django_db


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
