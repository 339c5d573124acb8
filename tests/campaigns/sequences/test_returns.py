"""What comes back of a mail: the strongest word stays, evidence ends doubt, and some of it stops people."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils.timezone import now

from campaigns.models import Enrolment, Message, Suppression
from campaigns.pipeline import reaper
from campaigns.services import outcomes, replies
from outreach.common.errors import BadInput
from tenants.models import AuditEntry
from tenants.services.actors import RECIPIENT, SYSTEM
from tests.campaigns.sequences.world import World, where

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]

ACTS = {
    "delivered": lambda m: outcomes.delivered(m.tenant, [m.pk], actor=SYSTEM),
    "replied": lambda m: replies.human(m, actor=SYSTEM),
    "auto_replied": lambda m: replies.out_of_office(m, actor=SYSTEM, returns_on=None),
    "bounced": lambda m: outcomes.bounced(m, actor=SYSTEM, kind="hard", reason="userunknown"),
    "soft_bounced": lambda m: outcomes.bounced(m, actor=SYSTEM, kind="soft", reason="mailboxfull"),
    "blocked": lambda m: outcomes.bounced(m, actor=SYSTEM, kind="sender", reason="spamdetected"),
    "complained": lambda m: outcomes.complained(m, actor=SYSTEM),
    "unsubscribed": lambda m: outcomes.unsubscribed(m.tenant_id, m.pk, actor=RECIPIENT, via="link"),
}
STOPS = {"replied": "replied", "bounced": "bounced", "blocked": "blocked", "complained": "complained",
         "unsubscribed": "unsubscribed"}  # fmt: skip


@pytest.fixture
def world():
    return World()


@pytest.mark.parametrize("first", ACTS)
@pytest.mark.parametrize("second", ["delivered", "replied", "bounced", "complained"])
def test_the_strongest_word_stays_in_whatever_order_they_come(world, first, second):
    message = world.written_to(world.campaign(), world.person())

    for name in (first, second, first):
        ACTS[name](message)

    order = ["soft_bounced", "blocked", "delivered", "auto_replied", "unsubscribed", "replied", "bounced", "complained"]
    message.refresh_from_db()
    assert message.outcome == max(first, second, key=order.index)
    assert (message.replied_at is not None) == ("replied" in (first, second))
    assert (message.opted_out_at is not None) == (first == "unsubscribed")


@pytest.mark.parametrize("name", ACTS)
def test_what_is_said_twice_is_heard_once(world, name):
    message = world.written_to(world.campaign(), world.person())
    ACTS[name](message)
    before = list(Message.objects.values()), list(Enrolment.objects.values()), Suppression.objects.count()
    entries = AuditEntry.objects.exclude(action="suppression.added").count()

    ACTS[name](message)

    assert (list(Message.objects.values()), list(Enrolment.objects.values()), Suppression.objects.count()) == before
    assert AuditEntry.objects.exclude(action="suppression.added").count() == entries


@pytest.mark.parametrize("name", ACTS)
def test_an_outcome_ends_the_sequence_or_lets_it_go_on(world, name):
    message = world.written_to(world.campaign(), world.person())

    ACTS[name](message)

    status, reason, _ = where(message.enrolment)
    assert (status, reason) == (("stopped", STOPS[name]) if name in STOPS else ("active", ""))


@pytest.mark.parametrize(
    ("name", "reason"), [("bounced", "hard_bounce"), ("complained", "complaint"), ("unsubscribed", "opt_out")]
)
def test_three_outcomes_suppress_the_person_everywhere_in_the_tenant(world, name, reason):
    person = world.person()
    message = world.written_to(world.campaign(), person)
    other = world.enrolled(world.campaign(), person)
    world.message(other, "planned")

    ACTS[name](message)

    entry = Suppression.objects.get()
    assert (entry.scope, entry.reason, entry.message_ref) == ("tenant", reason, message.pk)
    assert Message.objects.get(enrolment=other).status == "suppressed"
    assert where(other)[:2] == ("stopped", "suppressed")


@pytest.mark.parametrize("name", ["soft_bounced", "blocked", "delivered", "auto_replied", "replied"])
def test_other_outcomes_suppress_nobody(world, name):
    ACTS[name](world.written_to(world.campaign(), world.person()))

    assert not Suppression.objects.exists()


@pytest.mark.parametrize("status", ["planned", "claimed", "deferred", "failed", "suppressed", "cancelled"])
@pytest.mark.parametrize("name", ["delivered", "bounced", "complained", "auto_replied"])
def test_of_mail_that_never_left_nothing_is_believed(world, status, name):
    enrolment = world.enrolled(world.campaign(), world.person())
    message = world.message(enrolment, status)

    ACTS[name](message)

    message.refresh_from_db()
    assert (message.status, message.outcome) == (status, "")
    assert where(enrolment) == ("active", "", "message")
    assert not Suppression.objects.exists()
    assert not AuditEntry.objects.exists()


def test_a_bounce_of_an_unknown_kind_is_refused(world):
    message = world.written_to(world.campaign(), world.person())

    with pytest.raises(BadInput, match="hard, soft, sender"):
        outcomes.bounced(message, actor=SYSTEM, kind="bouncy")

    message.refresh_from_db()
    assert message.outcome == ""


# --- Doubt ---------------------------------------------------------------------------------------------------


def doubted(world, *, step=1, hours=2, **changes):
    enrolment = world.enrolled(world.campaign(**changes), world.person(), step=step)
    due_at = now() - timedelta(hours=hours)
    return world.message(enrolment, "uncertain", due_at=due_at, reason="no_answer", tries=1)


@pytest.mark.parametrize("name", ACTS)
def test_evidence_settles_doubt(world, name):
    message = doubted(world)

    ACTS[name](message)

    message.refresh_from_db()
    assert (message.status, message.reason, message.outcome) == ("sent", "", name)
    message.enrolment.refresh_from_db()
    assert message.enrolment.step == 2
    if name in STOPS:
        assert where(message.enrolment)[:2] == ("stopped", STOPS[name])
    else:
        assert where(message.enrolment) == ("active", "", "")
        assert abs(message.enrolment.due_at - message.due_at - timedelta(hours=48)) < timedelta(seconds=1)


def test_an_operator_who_settles_lets_the_sequence_go_on(world):
    message = doubted(world, hours=100)

    outcomes.settle(message, actor=SYSTEM, sent=True, evidence="the host's log")

    assert where(message.enrolment) == ("active", "", "")
    assert (message.enrolment.step, abs(message.enrolment.due_at - now()) < timedelta(minutes=1)) == (2, True)


@pytest.mark.parametrize(
    ("doubt", "step", "expected"),
    [("stop", 1, ("stopped", "uncertain", 1)), ("go_on", 1, ("active", "", 2)), ("go_on", 3, ("done", "", 3))],
)
def test_after_three_days_the_campaign_decides(world, doubt, step, expected):
    message = doubted(world, step=step, doubt=doubt, hours=73)
    young = doubted(world, doubt=doubt, hours=71)

    assert reaper.decide_doubts(world.tenant, 72 * 3600) == 1
    assert reaper.decide_doubts(world.tenant, 72 * 3600) == 0

    message.refresh_from_db()
    status, reason, _ = where(message.enrolment)
    assert (message.status, (status, reason, message.enrolment.step)) == ("uncertain", expected)
    assert where(young.enrolment) == ("active", "", "message")


def test_evidence_that_comes_after_the_decision_does_not_turn_it_round(world):
    message = doubted(world, doubt="go_on", hours=73)
    reaper.decide_doubts(world.tenant, 72 * 3600)
    message.enrolment.refresh_from_db()
    Enrolment.objects.update(due_at=None, waits_for="message")
    world.message(message.enrolment, "planned")

    outcomes.delivered(world.tenant, [message.pk], actor=SYSTEM)

    message.refresh_from_db()
    assert (message.status, message.outcome) == ("sent", "delivered")
    assert where(message.enrolment) == ("active", "", "message")
    assert message.enrolment.step == 2


def test_a_campaign_is_not_over_while_a_step_may_follow_a_doubtful_mail(world):
    message = doubted(world)

    assert reaper.complete(world.tenant) == []
    outcomes.settle(message, actor=SYSTEM, sent=False, evidence="the host's log")
    assert reaper.complete(world.tenant) == [message.campaign_id]


def test_many_deliveries_are_one_statement_and_no_entry(world, django_assert_max_num_queries):
    campaign = world.campaign()
    messages = [world.written_to(campaign, world.person()) for _ in range(5)]
    stranger = World()
    foreign = stranger.written_to(stranger.campaign(), stranger.person())

    with django_assert_max_num_queries(6):
        assert outcomes.delivered(world.tenant, [m.pk for m in (*messages, foreign)], actor=SYSTEM) == 5

    assert Message.objects.filter(outcome="delivered").count() == 5
    assert not AuditEntry.objects.exists()
