"""A person answers: what ends, what waits, and what comes back."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest
from django.utils.timezone import now

from campaigns.models import Enrolment, Message
from campaigns.pipeline import reaper
from campaigns.services import conversations, replies
from mailboxes.models import AllowanceReturn
from outreach.common.errors import BadInput, InvalidMove, NotAllowed
from tenants import permissions
from tenants.models import AuditEntry
from tenants.services.actors import SYSTEM, Actor
from tests.campaigns.sequences.world import World, where

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]
SOON, OVERDUE, LATER = timedelta(0), timedelta(hours=-1), timedelta(days=5)


@pytest.fixture
def world():
    return World()


def test_the_answered_campaign_ends_and_the_others_wait(world):
    person, answered, other = world.person(), world.campaign(), world.campaign()
    message = world.written_to(answered, person)
    ended = message.enrolment
    due = world.enrolled(other, person, step=2, due_in=OVERDUE)
    later = world.enrolled(world.campaign(), person, step=2, due_in=LATER)

    replies.human(message, actor=SYSTEM)

    person.refresh_from_db()
    message.refresh_from_db()
    assert (person.conversation_since is not None, person.conversation_via) == (True, "reply")
    assert (message.outcome, message.replied_at is not None) == ("replied", True)
    assert where(ended) == ("stopped", "replied", "")
    assert where(due) == ("active", "", "conversation")
    assert due.due_at > now()
    assert where(later) == ("active", "", "")  # its own time has not come; then the planner finds the conversation
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.subject_id, entry.facts["via"]) == ("contact.answered", person.pk, "reply")


@pytest.mark.parametrize("status", ["planned", "claimed"])
def test_what_waits_in_other_campaigns_is_taken_back_with_its_reservation(world, status):
    person = world.person()
    waiting = world.enrolled(world.campaign(), person, step=2)
    world.message(waiting, status)

    replies.human(world.written_to(world.campaign(), person), actor=SYSTEM)

    assert not Message.objects.filter(enrolment=waiting).exists()
    assert where(waiting) == ("active", "", "conversation")
    assert waiting.mailbox_id == world.box.pk
    assert AllowanceReturn.objects.filter(scope="mailbox_day", key=world.box.pk, count=1).count() == 1


@pytest.mark.parametrize("status", ["planned", "claimed", "deferred"])
def test_a_mail_that_was_tried_waits_for_the_end_and_is_not_given_up(world, status):
    person = world.person()
    waiting = world.enrolled(world.campaign(), person, step=1)
    tried = world.message(waiting, status, tries=2)
    Message.objects.filter(pk=tried.pk).update(planned_at=now() - timedelta(days=10))
    replies.human(person, actor=SYSTEM, via="marked")

    reaper.give_up(world.tenant, 4 * 86400)
    tried.refresh_from_db()
    assert (tried.status, tried.reason, tried.claim) == ("deferred", "conversation", None)
    assert tried.due_at > now() + timedelta(hours=23)
    conversations.release(person, actor=SYSTEM)
    reaper.give_up(world.tenant, 4 * 86400)

    tried.refresh_from_db()
    assert (tried.status, tried.reason) == ("deferred", "")
    assert tried.due_at <= now()
    assert where(waiting) == ("active", "", "message")


@pytest.mark.parametrize("status", ["planned", "claimed", "deferred"])
def test_what_waits_in_the_answered_campaign_is_cancelled_or_gone(world, status):
    person = world.person()
    message = world.written_to(world.campaign(), person, due_in=None)
    world.message(message.enrolment, status, tries=1)

    replies.human(message, actor=SYSTEM)

    assert set(Message.objects.exclude(pk=message.pk).values_list("status", "reason")) == {("cancelled", "replied")}
    assert where(message.enrolment) == ("stopped", "replied", "")


@pytest.mark.parametrize("status", ["committing", "uncertain"])
def test_what_is_past_the_dot_is_left_alone(world, status):
    person = world.person()
    message = world.written_to(world.campaign(), person, due_in=None)
    past = world.message(message.enrolment, status)

    replies.human(message, actor=SYSTEM)

    past.refresh_from_db()
    assert past.status == status
    assert where(message.enrolment) == ("stopped", "replied", "")


def test_an_answer_without_its_mail_is_one_to_the_last_mail(world):
    person, first, last = world.person(), world.campaign(), world.campaign()
    world.written_to(first, person)
    message = world.written_to(last, person)
    message.sent_at = now() + timedelta(seconds=1)
    message.save()

    replies.human(person, actor=SYSTEM, via="other_address")

    ends = dict(Enrolment.objects.values_list("campaign", "stop_reason"))
    assert ends == {first.pk: "", last.pk: "replied"}


def test_colleagues_stop_where_the_campaign_wants_that(world):
    wants, other = world.campaign(stop_on_colleague=True), world.campaign()
    person = world.person(company_domain="acme.example")
    colleague, stranger, private = (
        world.person(company_domain=domain) for domain in ("acme.example", "other.example", "")
    )
    message = world.written_to(wants, person)
    due = {who: world.enrolled(wants, who, due_in=SOON) for who in (stranger, private)}
    planned = world.enrolled(wants, colleague)
    world.message(planned, "planned")
    elsewhere = world.enrolled(other, colleague, due_in=SOON)

    replies.human(message, actor=SYSTEM)

    assert where(planned) == ("stopped", "colleague_replied", "")
    assert Message.objects.get(enrolment=planned).status == "cancelled"
    assert {where(one)[0] for one in (*due.values(), elsewhere)} == {"active"}
    colleague.refresh_from_db()
    assert colleague.conversation_since is None


def test_people_at_a_mail_host_are_no_colleagues(world):
    campaign = world.campaign(stop_on_colleague=True)
    message = world.written_to(campaign, world.person(company_domain=""))
    other = world.enrolled(campaign, world.person(company_domain=""), due_in=SOON)

    replies.human(message, actor=SYSTEM)

    assert where(other)[0] == "active"


def test_an_answer_is_heard_once(world):
    person = world.person()
    message = world.written_to(world.campaign(), person)
    replies.human(message, actor=SYSTEM)
    before = list(Message.objects.values()), list(Enrolment.objects.values())
    person.refresh_from_db()
    since = person.conversation_since

    replies.human(message, actor=SYSTEM, via="api")

    person.refresh_from_db()
    assert (person.conversation_since, person.conversation_via) == (since, "reply")
    assert (list(Message.objects.values()), list(Enrolment.objects.values())) == before
    assert AuditEntry.objects.count() == 1


def test_an_old_answer_that_is_replayed_after_the_release_begins_nothing(world):
    person = world.person()
    message, written = world.written_to(world.campaign(), person), now()
    replies.human(message, actor=SYSTEM, at=written)
    conversations.release(person, actor=SYSTEM)

    replies.human(message, actor=SYSTEM, at=written)

    person.refresh_from_db()
    assert person.conversation_since is None
    replies.human(message, actor=SYSTEM, at=now())
    person.refresh_from_db()
    assert person.conversation_since is not None


def test_a_hand_written_mail_ends_nothing_and_holds_everything(world):
    person = world.person()
    waiting = world.enrolled(world.campaign(), person, step=2, due_in=OVERDUE)

    replies.by_hand(person, actor=SYSTEM)
    replies.by_hand(person, actor=SYSTEM)

    person.refresh_from_db()
    assert person.conversation_via == "by_hand"
    assert where(waiting) == ("active", "", "conversation")
    assert AuditEntry.objects.count() == 1


# --- The end ------------------------------------------------------------------------------------------------


def test_a_release_brings_back_who_waited(world):
    person = world.person()
    waiting = world.enrolled(world.campaign(), person, step=2, due_in=OVERDUE)
    later = world.enrolled(world.campaign(), person, step=2, due_in=LATER)
    replies.by_hand(person, actor=SYSTEM)
    due_later = later.due_at

    conversations.release(person, actor=SYSTEM, reason="They bought")

    person.refresh_from_db()
    world.tenant.refresh_from_db()
    assert (person.conversation_since, person.conversation_via, person.quiet_until) == (None, "", None)
    assert where(waiting) == ("active", "", "")
    assert waiting.due_at <= now()
    later.refresh_from_db()
    assert later.due_at == due_later
    assert world.tenant.plan_wanted_at is not None
    assert AuditEntry.objects.get(action="contact.released").reason == "They bought"


def test_a_release_with_quiet_days_brings_them_back_after_those(world):
    person = world.person()
    waiting = world.enrolled(world.campaign(), person, step=2, due_in=OVERDUE)
    replies.by_hand(person, actor=SYSTEM)

    conversations.release(person, actor=SYSTEM, quiet_days=30)

    person.refresh_from_db()
    assert person.conversation_since is None
    assert where(waiting) == ("active", "", "conversation")
    assert waiting.due_at == person.quiet_until > now() + timedelta(days=29)
    conversations.release(person, actor=SYSTEM)
    assert where(waiting) == ("active", "", "")


def test_nobody_is_released_who_is_not_held(world):
    person = world.person()

    with pytest.raises(InvalidMove, match="Nobody talks"):
        conversations.release(person, actor=SYSTEM)
    replies.by_hand(person, actor=SYSTEM)
    with pytest.raises(BadInput, match="quiet_days"):
        conversations.release(person, actor=SYSTEM, quiet_days=-1)

    person.refresh_from_db()
    assert (person.conversation_via, AuditEntry.objects.count()) == ("by_hand", 1)


def test_not_interested_ends_the_campaign_and_leaves_the_person_alone(world, settings):
    settings.NOT_INTERESTED_DAYS = 90
    person = world.person()
    message = world.written_to(world.campaign(), person)
    other = world.enrolled(world.campaign(), person, due_in=OVERDUE)

    replies.not_interested(message, actor=SYSTEM)

    person.refresh_from_db()
    assert person.conversation_since is None
    assert timedelta(days=89) < person.quiet_until - now() <= timedelta(days=90)
    assert where(message.enrolment) == ("stopped", "not_interested", "")
    assert where(other) == ("active", "", "conversation")
    assert other.due_at == person.quiet_until


def test_who_talks_with_a_person_already_stays_with_that_person(world):
    person = world.person()
    replies.by_hand(person, actor=SYSTEM)

    replies.not_interested(world.written_to(world.campaign(), person), actor=SYSTEM)

    person.refresh_from_db()
    assert (person.conversation_since is not None, person.quiet_until) == (True, None)


# --- Out of office ------------------------------------------------------------------------------------------


def test_an_absence_puts_off_the_next_step_to_the_return(world):
    campaign = world.campaign(window_from="09:00", window_until="17:00", window_days=[0, 1, 2, 3, 4])
    message = world.written_to(campaign, world.person())
    today = now().date()
    friday = today + timedelta(days=7 + (4 - today.weekday()))

    replies.out_of_office(message, actor=SYSTEM, returns_on=friday + timedelta(days=1))

    back = datetime(friday.year, friday.month, friday.day, 9, tzinfo=UTC) + timedelta(days=3)
    message.refresh_from_db()
    assert where(message.enrolment) == ("active", "", "out_of_office")
    assert message.enrolment.due_at == message.enrolment.away_until == back
    assert message.outcome == "auto_replied"


def test_an_absence_takes_a_planned_follow_up_back(world):
    message = world.written_to(world.campaign(), world.person(), due_in=None)
    world.message(message.enrolment, "claimed")
    back = now() + timedelta(days=7)

    replies.out_of_office(message, actor=SYSTEM, returns_on=back.date())

    assert list(Message.objects.all()) == [message]
    assert where(message.enrolment) == ("active", "", "out_of_office")
    assert message.enrolment.due_at.date() == back.date()


@pytest.mark.parametrize("days", [None, -3, 1])
def test_an_absence_never_brings_a_step_forward(world, days):
    message = world.written_to(world.campaign(), world.person(), due_in=LATER)
    due = message.enrolment.due_at
    returns_on = None if days is None else now().date() + timedelta(days=days)

    replies.out_of_office(message, actor=SYSTEM, returns_on=returns_on)

    message.enrolment.refresh_from_db()
    message.refresh_from_db()
    assert (message.enrolment.due_at, message.outcome) == (due, "auto_replied")


def test_an_absence_of_years_is_a_mistake(world):
    message = world.written_to(world.campaign(), world.person())

    with pytest.raises(BadInput, match="more than a year"):
        replies.out_of_office(message, actor=SYSTEM, returns_on=now().date() + timedelta(days=400))

    message.refresh_from_db()
    assert message.outcome == ""
    assert where(message.enrolment) == ("active", "", "")


# --- Who may ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("role", "allowed"), [("analyst", False), ("client_viewer", False), ("operator", True)])
def test_only_those_who_talk_with_people_mark_and_release(world, role, allowed):
    person = world.person()
    actor = Actor("user", role, within={world.tenant.pk: permissions.ROLES[role]})

    for act in (lambda: replies.human(person, actor=actor), lambda: conversations.release(person, actor=actor)):
        with nullcontext() if allowed else pytest.raises(NotAllowed):
            act()

    assert AuditEntry.objects.filter(action__startswith="contact.").count() == 2 * allowed
