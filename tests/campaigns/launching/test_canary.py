"""The first few mails to people never written to, and the rest that waits for how they turn out."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils.timezone import now

from campaigns import canary as rule
from campaigns.canary import Counts
from campaigns.models import Campaign, Canary, ContactImport, Enrolment, Message
from campaigns.pipeline import explain, planner
from campaigns.services import campaigns, canaries, cloning
from outreach import cron
from tenants.models import AuditEntry
from tenants.services.actors import SYSTEM
from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]

SIZE, PEOPLE = 50, 180


def begun(people=PEOPLE, **changes) -> Campaign:
    """A campaign that has started, with a canary of 50 and 24 hours."""
    tenant = factories.tenant()
    pool = factories.pool(tenant)
    factories.fleet(tenant, 6, pool=pool)
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, people)
    made = factories.campaign(tenant, pool, listed, **{"canary": True} | changes)
    return campaigns.start(made, actor=SYSTEM)


def plan(campaign: Campaign) -> int:
    run = planner.run(campaign.tenant, cron.now())
    return run.planned if run else 0


def turned_out(campaign: Campaign, *, bounced: int = 0, refused: int = 0, complained: int = 0) -> None:
    """Everything planned was tried: so many bounced later, were refused for good, or were complained about."""
    ids = list(campaign.messages.filter(status="planned").order_by("pk").values_list("pk", flat=True))
    Message.objects.filter(pk__in=ids).update(status="sent", sent_at=now(), tries=1)
    Message.objects.filter(pk__in=ids[:bounced]).update(outcome="bounced")
    Message.objects.filter(pk__in=ids[bounced : bounced + refused]).update(
        status="failed", reason="userunknown", sent_at=None
    )
    late = ids[bounced + refused :][:complained]
    Message.objects.filter(pk__in=late).update(outcome="complained")


def judge(campaign: Campaign, later: timedelta = timedelta()) -> Canary:
    return canaries.evaluate(canaries.of(campaign), cron.now() + later, actor=SYSTEM)


def held(campaign: Campaign) -> int:
    return campaign.enrolments.filter(waits_for="canary", due_at__gt=now()).count()


@pytest.mark.parametrize(
    ("hits", "n", "broken"),
    [(0, 50, False), (1, 50, False), (2, 50, True), (3, 100, True), (2, 100, False), (6, 200, True), (5, 200, False),
     (1, 20, False), (0, 0, False)],
)  # fmt: skip
def test_bounces_break_it_by_the_rate_and_the_lower_bound(hits, n, broken):
    assert rule.too_bad(Counts(done=n, bounced=hits)) == ("bounces" if broken else "")


@pytest.mark.parametrize(("hits", "n", "broken"), [(1, 50, False), (2, 50, True), (2, 500, True), (2, 600, False)])
def test_two_complaints_and_more_break_it(hits, n, broken):
    assert rule.too_bad(Counts(done=n, complained=hits)) == ("complaints" if broken else "")


def test_a_handful_is_not_judged_early():
    assert rule.broken_early(Counts(done=10, bounced=2), 50) == ""
    assert rule.broken_early(Counts(done=50, bounced=2), 50) == "bounces"


def test_only_the_first_few_are_planned_and_the_rest_waits():
    campaign = begun()

    assert plan(campaign) == SIZE
    assert plan(campaign) == 0
    assert held(campaign) == PEOPLE - SIZE
    ids = list(campaign.enrolments.order_by("pk").values_list("pk", flat=True))
    first = set(campaign.messages.values_list("enrolment", flat=True))
    assert first != set(ids[:SIZE])  # not the top of the list


def test_the_planner_keeps_to_the_size_even_if_everybody_is_due():
    campaign = begun()
    campaign.enrolments.update(due_at=now(), waits_for="")

    assert plan(campaign) + plan(campaign) == SIZE


def test_a_good_canary_lets_the_rest_go_after_the_waiting_time():
    campaign = begun()
    plan(campaign)
    turned_out(campaign, bounced=1)

    assert judge(campaign).full_at is not None
    assert judge(campaign, timedelta(hours=23)).state == "running"
    assert plan(campaign) == 0
    passed = judge(campaign, timedelta(hours=24, minutes=1))
    assert (passed.state, passed.sent, passed.bounced) == ("passed", 50, 1)
    assert canaries.let_go(campaign) == PEOPLE - SIZE
    assert plan(campaign) == PEOPLE - SIZE
    assert AuditEntry.objects.filter(action="canary.passed").count() == 1


@pytest.mark.parametrize("bad", [{"bounced": 2}, {"refused": 2}, {"complained": 2}])
def test_a_bad_canary_halts_the_campaign_at_once_and_nobody_else_is_written_to(bad):
    campaign = begun()
    plan(campaign)
    turned_out(campaign, **bad)

    failed = judge(campaign)

    campaign.refresh_from_db()
    assert (failed.state, campaign.status) == ("failed", "halted")
    assert campaign.status_reason.startswith("Canary: 2 of the first 50 mails")
    assert plan(campaign) == 0
    assert held(campaign) == PEOPLE - SIZE
    assert AuditEntry.objects.filter(action="canary.failed").count() == 1


def test_a_resume_after_a_failure_is_no_way_round_it():
    campaign = begun()
    plan(campaign)
    turned_out(campaign, bounced=2)
    judge(campaign)

    campaigns.resume(campaign, actor=SYSTEM, reason="invalid ones taken out")

    judge(campaign)
    assert plan(campaign) == SIZE
    assert plan(campaign) == 0
    assert canaries.of(campaign).state == "running"


def test_others_take_the_place_of_those_who_drop_out():
    campaign = begun()
    first = list(campaign.enrolments.filter(waits_for="").values_list("pk", flat=True))
    Enrolment.objects.filter(pk__in=first[:5]).update(status="stopped", stop_reason="suppressed", due_at=None)
    assert plan(campaign) == SIZE - 5

    judge(campaign)

    assert plan(campaign) == 5
    assert plan(campaign) == 0


def test_it_holds_longer_where_the_first_mails_take_longer():
    campaign = begun()
    plan(campaign)
    late = canaries.of(campaign).held_until - timedelta(minutes=30)

    canaries.evaluate(canaries.of(campaign), late, actor=SYSTEM)

    assert campaign.enrolments.filter(waits_for="canary", due_at__gt=late + timedelta(hours=24)).count() == 130


def test_people_whose_import_was_mailed_before_need_no_canary():
    tenant = factories.tenant()
    pool = factories.pool(tenant)
    factories.fleet(tenant, 6, pool=pool)
    listed = factories.contact_list(tenant)
    imported = ContactImport.objects.create(tenant=tenant, contact_list=listed, file_name="a.csv", by_kind="system")
    people = factories.people(tenant, listed, 120, first_import=imported)
    known = factories.contact_list(tenant)
    factories.ListEntry.objects.create(tenant=tenant, contact_list=known, contact=people[0])
    before = campaigns.start(factories.campaign(tenant, pool, known), actor=SYSTEM)
    plan(before)
    made = factories.campaign(tenant, pool, listed, canary=True)
    assert canaries.never_mailed(made).people == 120  # planned is not mailed
    turned_out(before)

    campaigns.start(made, actor=SYSTEM)

    assert canaries.of(made) is None
    assert plan(made) == 120


def test_only_people_of_new_imports_go_first():
    tenant = factories.tenant()
    pool = factories.pool(tenant)
    factories.fleet(tenant, 6, pool=pool)
    listed = factories.contact_list(tenant)
    old = factories.people(tenant, listed, 60)
    before = campaigns.start(factories.campaign(tenant, pool, listed), actor=SYSTEM)
    plan(before)
    turned_out(before)
    imported = ContactImport.objects.create(tenant=tenant, contact_list=listed, file_name="b.csv", by_kind="system")
    factories.people(tenant, listed, 80, first_import=imported)

    campaign = campaigns.start(factories.campaign(tenant, pool, listed, canary=True), actor=SYSTEM)

    assert plan(campaign) == SIZE
    assert not campaign.messages.filter(contact__in=old).exists()
    assert held(campaign) == 90


@pytest.mark.parametrize(("people", "changes"), [(50, {}), (180, {"canary": False}), (180, {"canary_size": 0})])
def test_there_is_none_where_it_would_hold_nobody_or_is_switched_off(people, changes):
    campaign = begun(people, **changes)

    assert canaries.of(campaign) is None
    assert plan(campaign) == people


def test_explain_names_it():
    campaign = begun()
    plan(campaign)

    found = explain.campaign(campaign, cron.now())

    assert ("gate", "canary", 130) in [(cause.kind, cause.name, cause.decides) for cause in found.causes]


def test_cron_judges_and_lets_go():
    campaign = begun()
    plan(campaign)
    turned_out(campaign)
    cron.watch_canaries()
    Canary.objects.update(full_at=now() - timedelta(hours=25))

    cron.watch_canaries()

    assert canaries.of(campaign).state == "passed"
    assert plan(campaign) == PEOPLE - SIZE


@pytest.mark.parametrize("state", ["failed", "running"])
def test_another_campaign_to_the_same_list_is_no_way_round_it(state):
    campaign = begun()
    plan(campaign)
    turned_out(campaign, bounced=10 if state == "failed" else 0)
    assert judge(campaign).state == state

    other = cloning.clone(campaign, "The same again", actor=SYSTEM)
    assert canaries.never_mailed(other).people == PEOPLE
    campaigns.start(other, actor=SYSTEM)

    assert plan(other) == SIZE
    assert held(other) == PEOPLE - SIZE


def test_who_passed_one_canary_needs_no_other():
    campaign = begun()
    plan(campaign)
    turned_out(campaign)
    other = cloning.clone(campaign, "The same again", actor=SYSTEM)
    judge(campaign)
    assert judge(campaign, timedelta(hours=24, minutes=1)).state == "passed"

    assert canaries.never_mailed(other).people == 0
