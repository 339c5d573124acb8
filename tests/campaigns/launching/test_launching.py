"""Starts at a time, clones, recalls: as services, and at each door."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.urls import reverse
from django.utils.timezone import now

from campaigns.models import Campaign, Contact, Enrolment, Message, Suppression, Variant
from campaigns.pipeline import planner
from campaigns.services import campaigns, cloning, scheduling, suppression
from mailboxes.models import Mailbox
from outreach import cron
from outreach.common.errors import BadInput, InvalidMove, NeedsApproval, NotAllowed
from tenants import permissions
from tenants.models import Approval, ApprovalPolicy, AuditEntry, Tenant
from tenants.services import approvals
from tenants.services.actors import SYSTEM, Actor
from tests import factories
from tests.console.conftest import client_of, person

pytestmark = pytest.mark.django_db

SOON = timedelta(hours=2)


def actor_as(role: str) -> Actor:
    return Actor("user", role, everywhere=permissions.ROLES[role])


@pytest.fixture
def draft():
    tenant = factories.tenant(time_zone="Europe/Kyiv")
    pool = factories.pool(tenant)
    factories.fleet(tenant, 3, pool=pool)
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, 30)
    return factories.campaign(tenant, pool, listed)


# --- a start at a time ---------------------------------------------------------------------------------------


def test_a_scheduled_campaign_starts_at_its_time_and_not_before(draft):
    scheduling.schedule(draft, now() + SOON, actor=SYSTEM)
    cron.start_scheduled()
    draft.refresh_from_db()
    assert (draft.status, draft.enrolments.count()) == ("scheduled", 0)

    Campaign.objects.update(scheduled_for=now())
    assert cron.start_scheduled() == 1

    draft.refresh_from_db()
    assert (draft.status, draft.enrolments.count(), draft.scheduled_for) == ("running", 30, None)
    assert AuditEntry.objects.filter(action="campaign.started").count() == 1
    assert cron.start_scheduled() == 0


def test_what_has_come_in_between_puts_it_into_review_with_the_reason(draft):
    scheduling.schedule(draft, now() + SOON, actor=SYSTEM)
    Mailbox.objects.update(hold="locked")
    Campaign.objects.update(scheduled_for=now())

    assert cron.start_scheduled() == 0

    draft.refresh_from_db()
    assert (draft.status, draft.scheduled_for, draft.enrolments.count()) == ("review", None, 0)
    assert "has no mailbox that may send" in draft.status_reason
    assert AuditEntry.objects.filter(action="campaign.not_started").count() == 1


def test_a_warning_that_is_new_at_its_time_waits_for_a_person(draft):
    scheduling.schedule(draft, now() + SOON, actor=SYSTEM)
    Contact.objects.filter(pk__in=Contact.objects.values("pk")[:3]).update(first_name="")
    Campaign.objects.update(scheduled_for=now())

    cron.start_scheduled()

    draft.refresh_from_db()
    assert draft.status == "review"
    campaigns.start(draft, actor=SYSTEM, accept=["missing_field:first_name"])
    draft.refresh_from_db()
    assert draft.status == "running"


def test_a_suspended_tenants_campaign_keeps_its_time(draft):
    scheduling.schedule(draft, now() + SOON, actor=SYSTEM)
    Tenant.objects.update(status="suspended")
    Campaign.objects.update(scheduled_for=now())

    cron.start_scheduled()

    draft.refresh_from_db()
    assert draft.status == "scheduled"


@pytest.mark.parametrize(
    "at",
    [datetime(2020, 1, 1, tzinfo=UTC), datetime(2027, 1, 1), datetime(9999, 12, 31, 23, tzinfo=UTC)],  # noqa: DTZ001
)
def test_a_time_that_has_passed_or_has_no_zone_or_is_in_nobodys_calendar_is_refused(draft, at):
    with pytest.raises(BadInput):
        scheduling.schedule(draft, at, actor=SYSTEM)

    draft.refresh_from_db()
    assert (draft.status, draft.scheduled_for) == ("draft", None)


def test_a_schedule_can_be_moved_and_taken_back(draft):
    scheduling.schedule(draft, now() + SOON, actor=SYSTEM)
    later = now() + 2 * SOON
    assert scheduling.schedule(draft, later, actor=SYSTEM).scheduled_for == later

    scheduling.unschedule(draft, actor=SYSTEM)

    draft.refresh_from_db()
    assert (draft.status, draft.scheduled_for) == ("draft", None)
    with pytest.raises(InvalidMove):
        scheduling.unschedule(draft, actor=SYSTEM)


def test_a_scheduled_campaign_can_not_be_paused_into_running_without_people(draft):
    scheduling.schedule(draft, now() + SOON, actor=SYSTEM)

    with pytest.raises(InvalidMove):
        campaigns.pause(draft, actor=SYSTEM)


def test_a_large_launch_is_agreed_on_when_it_is_scheduled_and_holds_for_these_people_only(draft):
    ApprovalPolicy.objects.update(launch_above=10)
    one, two = person("one@example.com", "ops_manager"), person("two@example.com", "ops_manager")
    first = Actor("user", "ops_manager", everywhere=permissions.ROLES["ops_manager"], user_id=one.pk)
    with pytest.raises(NeedsApproval):
        scheduling.schedule(draft, now() + SOON, actor=first)
    draft.refresh_from_db()
    assert draft.status == "draft"
    asked = approvals.ask(draft, "campaign.launch", actor=first, reason="the autumn list")
    Approval.objects.filter(pk=asked.pk).update(state="granted", decided_by=two, decided_at=now())

    scheduling.schedule(draft, now() + SOON, actor=first)
    scheduling.schedule(draft, now() + 2 * SOON, actor=first)  # the same people, another time
    Approval.objects.filter(pk=asked.pk).update(expires_at=now())
    draft.refresh_from_db()
    assert draft.launch_approval == asked.pk
    factories.people(draft.tenant, draft.contact_list, 1)
    Campaign.objects.update(scheduled_for=now())
    cron.start_scheduled()
    draft.refresh_from_db()
    assert (draft.status, draft.launch_approval) == ("review", None)
    assert "second person" in draft.status_reason


def test_what_was_agreed_to_starts_at_its_time(draft):
    ApprovalPolicy.objects.update(launch_above=10)
    one, two = person("one@example.com", "ops_manager"), person("two@example.com", "ops_manager")
    first = Actor("user", "ops_manager", everywhere=permissions.ROLES["ops_manager"], user_id=one.pk)
    asked = approvals.ask(draft, "campaign.launch", actor=first, reason="the autumn list")
    Approval.objects.filter(pk=asked.pk).update(state="granted", decided_by=two, decided_at=now())
    scheduling.schedule(draft, now() + SOON, actor=first)
    Campaign.objects.update(scheduled_for=now())

    cron.start_scheduled()

    draft.refresh_from_db()
    assert draft.status == "running"


@pytest.mark.parametrize("act", [
    lambda row, actor: scheduling.schedule(row, now() + SOON, actor=actor),
    lambda row, actor: cloning.clone(row, "Again", actor=actor),
    lambda row, actor: campaigns.recall(row, actor=actor),
])  # fmt: skip
def test_analysts_do_none_of_it(draft, act):
    with pytest.raises(NotAllowed):
        act(draft, actor_as("analyst"))

    draft.refresh_from_db()
    assert (draft.status, Campaign.objects.count()) == ("draft", 1)


# --- clones --------------------------------------------------------------------------------------------------


def test_a_clone_has_the_words_and_none_of_the_people_ticks_or_history(draft):
    step = draft.steps.get()
    Variant.objects.create(tenant=draft.tenant, step=step, label="A", subject="Other", text_body="Hi")
    Contact.objects.filter(pk__in=Contact.objects.values("pk")[:3]).update(first_name="")
    campaigns.start(draft, actor=SYSTEM, accept=["missing_field:first_name"])

    made = cloning.clone(draft, "Again", actor=SYSTEM)

    made.refresh_from_db()
    assert (made.status, made.cloned_from_id, made.accepted_warnings) == ("draft", draft.pk, [])
    assert (made.pool_id, made.contact_list_id, made.pace) == (draft.pool_id, draft.contact_list_id, draft.pace)
    copy = made.steps.get()
    assert (copy.subject, copy.html_body, copy.frozen_at) == (step.subject, step.html_body, None)
    assert [each.label for each in copy.variants.all()] == ["A"]
    assert (made.enrolments.count(), made.started_at, made.zones) == (0, None, [])


def test_nobody_who_is_suppressed_or_excluded_comes_back_by_a_clone(draft):
    people = list(Contact.objects.order_by("pk"))
    suppression.suppress(draft.tenant, [people[0].email], actor=SYSTEM, reason="opt_out", via="test")
    suppression.suppress(draft.tenant, [people[1].email], actor=SYSTEM, reason="manual", via="test", campaign=draft)

    made = campaigns.start(cloning.clone(draft, "Again", actor=SYSTEM), actor=SYSTEM)
    run = planner.run(draft.tenant, cron.now())

    assert (run.planned, run.refused) == (28, {"suppressed": 2})
    assert not Message.objects.filter(campaign=made, contact__in=people[:2]).exists()
    assert Suppression.objects.filter(campaign=made).count() == 1


@pytest.mark.parametrize("name", ["", "  ", "same"])
def test_a_clone_needs_a_name_of_its_own(draft, name):
    Campaign.objects.update(name="same")

    with pytest.raises(BadInput):
        cloning.clone(draft, name, actor=SYSTEM)

    assert Campaign.objects.count() == 1


# --- recall and pause ----------------------------------------------------------------------------------------


def test_a_recall_takes_back_everything_planned_and_says_how_much(draft):
    campaigns.start(draft, actor=SYSTEM)
    planner.run(draft.tenant, cron.now())
    gone, tried = draft.messages.order_by("pk")[:2]
    Message.objects.filter(pk=gone.pk).update(status="sent", sent_at=now(), tries=1)
    Message.objects.filter(pk=tried.pk).update(tries=1)

    assert campaigns.recall(draft, actor=SYSTEM, reason="wrong price") == 29

    draft.refresh_from_db()
    assert (draft.status, draft.status_reason) == ("paused", "wrong price")
    assert sorted(draft.messages.values_list("status", flat=True)) == ["deferred", "sent"]
    assert Enrolment.objects.filter(campaign=draft, due_at__isnull=False).count() == 28
    assert campaigns.recall(draft, actor=SYSTEM) == 0
    assert planner.run(draft.tenant, cron.now()) is None


def test_a_pause_leaves_nothing_to_send_when_it_returns(draft):
    campaigns.start(draft, actor=SYSTEM)
    planner.run(draft.tenant, cron.now())
    assert draft.messages.filter(status="planned").count() == 30

    campaigns.pause(draft, actor=SYSTEM)

    assert draft.messages.count() == 0


# --- the doors -----------------------------------------------------------------------------------------------


def test_the_command_checks_with_2_on_errors_and_tells_all_as_json(draft, capsys):
    Contact.objects.update(validity="")

    with pytest.raises(SystemExit) as end:
        call_command("campaign", "check", draft.name, "--tenant", draft.tenant.slug, "--offline", "--json")

    assert end.value.code == 2
    told = json.loads(capsys.readouterr().out)
    assert [each["code"] for each in told["errors"]] == ["nobody_validated"]
    assert (told["ready"], told["errors"][0]["count"]) == (False, 30)


def test_the_command_starts_with_ticks_only(draft, capsys):
    Contact.objects.filter(pk__in=Contact.objects.values("pk")[:3]).update(first_name="")
    args = ("campaign", "start", draft.name, "--tenant", draft.tenant.slug)
    with pytest.raises(CommandError, match="missing_field:first_name"):
        call_command(*args)

    call_command(*args, "--accept", "missing_field:first_name")

    draft.refresh_from_db()
    assert draft.status == "running"


def test_the_command_schedules_clones_and_recalls(draft, capsys):
    of = ("--tenant", draft.tenant.slug, "--json")
    call_command("campaign", "schedule", draft.name, "--at", "2100-05-01T08:00+03:00", *of)
    assert json.loads(capsys.readouterr().out)["scheduled_for"] == "2100-05-01T08:00:00+03:00"
    call_command("campaign", "unschedule", draft.name, *of)
    call_command("campaign", "start", draft.name, *of)
    planner.run(draft.tenant, cron.now())
    capsys.readouterr()
    call_command("campaign", "recall", draft.name, *of)
    assert json.loads(capsys.readouterr().out)["taken_back"] == 30
    call_command("campaign", "clone", draft.name, "--name", "Again", *of)
    assert json.loads(capsys.readouterr().out)["status"] == "draft"
    with pytest.raises(CommandError, match="is no time"):
        call_command("campaign", "schedule", "Again", "--at", "tomorrow", *of)


@pytest.fixture
def page(draft, running_servers):
    return reverse("admin:campaigns_campaign_preflight", args=[draft.pk])


def test_the_page_shows_findings_with_links_and_launches_with_ticks(draft, page):
    Contact.objects.filter(pk__in=Contact.objects.values("pk")[:3]).update(first_name="")
    operator = client_of(person("op@example.com", "operator"))
    shown = operator.get(page).content.decode()
    assert 'value="missing_field:first_name"' in shown
    assert f"contact_list__id__exact={draft.contact_list_id}&amp;only=lacks%3Afirst_name" in shown
    entries = reverse("admin:campaigns_listentry_changelist")
    narrowed = {"contact_list__id__exact": draft.contact_list_id, "only": "lacks:first_name"}
    assert operator.get(entries, narrowed).context["cl"].result_count == 3

    operator.post(page, {"act": "launch"})
    draft.refresh_from_db()
    assert draft.status == "draft"
    operator.post(page, {"act": "launch", "accept": ["missing_field:first_name"]})

    draft.refresh_from_db()
    assert draft.status == "running"


def test_the_page_does_not_offer_a_launch_while_an_error_stands(draft, page):
    Contact.objects.update(validity="")
    operator = client_of(person("op@example.com", "operator"))

    shown = operator.get(page).content.decode()

    assert 'value="launch" class="act act-start" disabled' in shown
    operator.post(page, {"act": "launch", "accept": ["nobody_validated"]})
    draft.refresh_from_db()
    assert draft.status == "draft"


def test_the_page_schedules_by_the_tenants_clock(draft, page):
    operator = client_of(person("op@example.com", "operator"))

    operator.post(page, {"act": "schedule", "at": "2100-05-01T08:00"})

    draft.refresh_from_db()
    assert draft.scheduled_for == datetime(2100, 5, 1, 5, tzinfo=UTC)
    assert "2100-05-01 08:00 Europe/Kyiv" in operator.get(page).content.decode()


@pytest.mark.parametrize(("role", "code"), [("analyst", 403), ("auditor", 403)])
def test_the_page_acts_for_operators_only(draft, page, role, code):
    assert client_of(person("x@example.com", role)).post(page, {"act": "launch"}).status_code == code

    draft.refresh_from_db()
    assert draft.status == "draft"


def test_the_numbers_of_the_page_open_their_rows(draft, page):
    people = list(Contact.objects.order_by("pk"))
    suppression.suppress(draft.tenant, [people[0].email], actor=SYSTEM, reason="manual", via="test")
    Contact.objects.filter(pk=people[1].pk).update(validity="unknown")
    Contact.objects.filter(pk__in=[row.pk for row in people[2:5]]).update(country="FR")
    operator = client_of(person("op@example.com", "operator"))
    entries = reverse("admin:campaigns_listentry_changelist")

    def count(only: str) -> int:
        answer = operator.get(entries, {"contact_list__id__exact": draft.contact_list_id, "only": only})
        return answer.context["cl"].result_count

    assert [count(only) for only in ("suppressed", "validity:unknown", "country:FR", "owed_notice", "basis:consent",
                                     "lacks:industry", "expired")] == [1, 1, 3, 3, 30, 30, 0]  # fmt: skip
