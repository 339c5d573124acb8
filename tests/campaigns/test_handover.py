"""A mailbox is taken out of use: its people, threads and retries go where the campaign's policy says."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns.models import Campaign, Enrolment, Message
from campaigns.pipeline import planner
from campaigns.services import campaigns
from mailboxes.services import mailboxes, reserves
from outreach import cron
from outreach.common.errors import BadInput, InvalidMove, NotAllowed
from tenants.models import AuditEntry
from tenants.services import actors
from tenants.services.actors import SYSTEM
from tests import factories
from tests.campaigns.pools import BOUND, RETRIES, Pool, untouched, where

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]


def test_wait_leaves_threads_and_retries_with_their_mailbox():
    pool = Pool()
    people = pool.everybody(pool.campaign("wait"))

    mailboxes.quarantine(pool.sick, actor=SYSTEM, reason="bounces")

    found = where(people)
    assert {name: found[name] for name in BOUND} == dict.fromkeys(BOUND, (pool.sick.pk, "active", "", 1))
    assert {people[name].messages.get().status for name in RETRIES} == {"deferred"}
    untouched(people, pool.sick.pk)


def test_new_thread_goes_to_the_reserve_and_claims_no_earlier_mail():
    pool = Pool()
    people = pool.everybody(pool.campaign("new_thread"))
    ids = {name: people[name].messages.get().message_id for name in RETRIES}

    mailboxes.quarantine(pool.sick, actor=SYSTEM, reason="bounces")

    found, reserve = where(people), pool.reserve.pk
    assert {name: found[name] for name in BOUND} == {
        name: (reserve, "active", "", 1 if name in ("retry", "retry planned") else 2) for name in BOUND
    }
    for name in RETRIES:
        message = people[name].messages.get()
        assert (message.status, message.mailbox_id, message.message_id) == ("deferred", reserve, ids[name])
    untouched(people, pool.sick.pk)


def test_stop_ends_threads_and_retries_with_the_reason():
    pool = Pool()
    people = pool.everybody(pool.campaign("stop"))

    mailboxes.quarantine(pool.sick, actor=SYSTEM, reason="bounces")

    found = where(people)
    assert {name: found[name][1:3] for name in BOUND} == dict.fromkeys(BOUND, ("stopped", "handover"))
    assert {(m.status, m.reason) for name in RETRIES for m in people[name].messages.all()} == {
        ("cancelled", "handover")
    }
    untouched(people, pool.sick.pk)


def test_without_a_reserve_a_new_thread_waits():
    pool = Pool(reserve=False)
    people = pool.everybody(pool.campaign("new_thread"))

    mailboxes.quarantine(pool.sick, actor=SYSTEM, reason="bounces")

    assert {name: where(people)[name] for name in BOUND} == dict.fromkeys(BOUND, (pool.sick.pk, "active", "", 1))


def test_what_was_handed_over_is_planned_from_the_reserve_at_once():
    pool = Pool()
    campaign = pool.campaign("new_thread")
    people = pool.everybody(campaign)
    mailboxes.quarantine(pool.sick, actor=SYSTEM, reason="bounces")

    planner.run(pool.tenant, cron.now())

    planned = Message.objects.filter(status="planned")
    due = ("thread", "thread planned", "retry", "retry planned", "retry claimed")
    assert {m.mailbox_id for m in planned.filter(enrolment__in=[people[name] for name in due])} == {pool.reserve.pk}
    assert planned.filter(enrolment__in=[people[name] for name in due]).count() == len(due)
    assert not planned.filter(mailbox=pool.sick).exists()


def test_another_tenants_people_stay_where_they_are():
    pool, stranger = Pool(), Pool()
    theirs = stranger.everybody(stranger.campaign("stop"))
    before = where(theirs)

    mailboxes.quarantine(pool.sick, actor=SYSTEM, reason="bounces")

    assert where(theirs) == before


# --- The preview is what happens ------------------------------------------------------------------------------


kinds = st.sampled_from(
    [(1, "planned", 0), (1, "planned", 1), (1, "claimed", 0), (1, "deferred", 2), (2, "", 0), (2, "planned", 0),
     (2, "claimed", 1), (2, "deferred", 1), (1, "committing", 0), (2, "uncertain", 0), (1, "sent", 1)]
)  # fmt: skip


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    crowds=st.lists(
        st.tuples(st.sampled_from(["wait", "new_thread", "stop"]), st.lists(kinds, max_size=6)), min_size=1, max_size=3
    ),
    reserve=st.booleans(),
)
def test_a_preview_says_what_then_happens(crowds, reserve):
    pool = Pool(reserve)
    people: dict[int, list[Enrolment]] = {}
    for policy, crowd in crowds:
        campaign = pool.campaign(policy)
        people[campaign.pk] = [pool.person(campaign, *kind) for kind in crowd]
    told = {one.campaign_id: one for one in reserves.leaving_of([pool.sick]).campaigns}
    under_way = reserves.leaving_of([pool.sick]).under_way

    mailboxes.quarantine(pool.sick, actor=SYSTEM, reason="test")

    assert under_way == Message.objects.filter(tenant=pool.tenant, status__in=["committing", "uncertain"]).count()
    for (policy, crowd), (pk, rows) in zip(crowds, people.items(), strict=True):
        for who in rows:
            who.refresh_from_db()
        bound = told[pk].bound if pk in told else 0
        free = told[pk].free if pk in told else 0
        retries = told[pk].retries if pk in told else 0
        quiet = [who for who, kind in zip(rows, crowd, strict=True) if kind[1] in ("committing", "uncertain", "sent")]
        moved = [who for who in rows if who not in quiet]
        assert bound + free == len(moved)
        assert retries == sum(kind[2] > 0 for kind in crowd if kind[1] in ("planned", "claimed", "deferred"))
        assert sum(who.mailbox_id is None for who in moved) == free
        if policy == "stop":
            assert sum(who.stop_reason == "handover" for who in moved) == bound
        elif policy == "new_thread" and reserve:
            assert sum(who.mailbox_id == pool.reserve.pk for who in moved) == bound
        else:
            assert sum(who.mailbox_id == pool.sick.pk for who in moved) == bound
        assert all(who.mailbox_id == pool.sick.pk and who.status == "active" for who in quiet)


# --- The policy of a campaign ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("role", "allowed"), [("analyst", False), ("operator", True)])
def test_a_running_campaigns_policy_is_changed_by_who_may_start_one(role, allowed):
    campaign = Pool().campaign("wait")
    who = actors.of_grants("user", role, [(campaign.tenant_id, role)])

    if allowed:
        campaigns.set_handover(campaign, "stop", actor=who, reason="the client wants it")
    else:
        with pytest.raises(NotAllowed):
            campaigns.set_handover(campaign, "stop", actor=who)

    campaign.refresh_from_db()
    assert campaign.handover == ("stop" if allowed else "wait")
    assert AuditEntry.objects.count() == int(allowed)


def test_a_policy_is_one_of_three_and_an_ended_campaign_has_none():
    campaign = Pool().campaign("wait")
    with pytest.raises(BadInput):
        campaigns.set_handover(campaign, "guess", actor=SYSTEM)
    Campaign.objects.update(status="cancelled")

    with pytest.raises(InvalidMove):
        campaigns.set_handover(campaign, "stop", actor=SYSTEM)

    campaign.refresh_from_db()
    assert campaign.handover == "wait"


def test_the_policy_stands_in_the_description():
    tenant = factories.tenant()

    made = campaigns.create(tenant, {"name": "Autumn", "handover": "new_thread"}, actor=SYSTEM)

    assert (made.handover, Campaign.objects.get().handover) == ("new_thread", "new_thread")
    with pytest.raises(BadInput, match="handover"):
        campaigns.create(tenant, {"name": "Winter", "handover": ["wait"]}, actor=SYSTEM)
