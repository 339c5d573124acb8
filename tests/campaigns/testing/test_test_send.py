"""A test mail goes to one tester, as a contact would get it, and past nothing that stops campaign mail."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils.timezone import now

from campaigns.models import Campaign, Stop, Suppression, TestSend
from campaigns.pipeline import testing as sending
from campaigns.services import stops, suppression, testing
from mailboxes.models import Allowance, Mailbox, SendingDomain
from outreach.common import queues
from outreach.common.errors import BadInput, Missing, NotAllowed, TooMany
from tenants.models import AuditEntry, Tenant
from tenants.services import actors, members
from tenants.services.actors import SYSTEM
from tests import factories
from tests.console.conftest import person

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]


def states() -> list[tuple[str, str]]:
    return list(TestSend.objects.order_by("pk").values_list("state", "reason"))


def test_the_tester_gets_exactly_one_mail_as_the_contact_would(draft):
    test = testing.send(draft.campaign, draft.user.email, actor=draft.actor, contact="bob@acme.example")

    assert (draft.work(), draft.work()) == ("sent", "nothing")

    ((sender, recipient, mail),) = draft.host.mails
    assert recipient == draft.user.email == mail["To"]
    assert mail["Subject"] == "[Test] A question, Bob"
    assert mail.get_body(("plain",)).get_content().startswith("Dear Bob,\r\nmay I ask?\r\n")
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert ":test:" in mail["Feedback-ID"]
    assert mail["Message-ID"] == f"<{test.message_id}>"
    assert sender in {box.address for box in draft.boxes}
    test.refresh_from_db()
    assert (test.state, test.answer, test.hint) == ("sent", "2.0.0 Ok: queued as 1", "o***@agency.example")
    assert test.done_at is not None
    assert draft.untouched()
    assert set(Mailbox.objects.values_list("held_by", flat=True)) == {None}
    assert Mailbox.objects.get(pk=test.mailbox_id).last_dot_at is not None
    entry = AuditEntry.objects.get(action="campaign.tested")
    assert (entry.subject_id, entry.facts["test"], entry.facts["user"]) == (draft.campaign.pk, test.pk, draft.user.pk)


def test_the_unsubscribe_link_in_it_changes_nothing(draft):
    testing.send(draft.campaign, draft.user.email, actor=draft.actor)
    draft.work()
    link = re.search(r"/u/[\w-]+", draft.host.mails[0][2]["List-Unsubscribe"]).group()

    answers = [
        Client().get(link),
        Client().post(link, {"List-Unsubscribe": "One-Click"}),
        Client().post(link, {"confirm": "yes"}),
    ]

    assert [answer.status_code for answer in answers] == [400, 200, 400]
    assert b"You are unsubscribed" not in answers[1].content
    assert Suppression.objects.count() == 0
    assert draft.untouched()


def test_the_first_of_the_list_and_the_first_step_are_the_default(draft):
    testing.send(draft.campaign, draft.user.email.upper(), actor=draft.actor)
    testing.send(draft.campaign, draft.user.email, actor=draft.actor, step=2, mailbox=draft.boxes[1].address)

    draft.work()

    first, second = (mail for _from, _to, mail in draft.host.mails)
    assert first["Subject"] == "[Test] A question, Ann"
    assert second["From"].addresses[0].addr_spec == draft.boxes[1].address
    assert list(TestSend.objects.order_by("pk").values_list("step__position", flat=True)) == [1, 2]


def test_a_verified_seed_gets_one_and_another_tenants_seed_does_not(draft):
    draft.seed()
    other = factories.tenant()
    factories.fleet(other, 1)
    foreign = draft.seed("theirs@panel.example")
    type(foreign).objects.filter(pk=foreign.pk).update(tenant=other)

    testing.send(draft.campaign, "Seed@panel.example", actor=draft.actor)
    with pytest.raises(BadInput, match="verified seed"):
        testing.send(draft.campaign, "theirs@panel.example", actor=draft.actor)
    draft.work()

    assert [mail[1] for mail in draft.host.mails] == ["seed@panel.example"]
    assert TestSend.objects.count() == 1


@pytest.mark.attack("A33")
@pytest.mark.parametrize(
    "to",
    [
        "ann@acme.example", "someone@world.example", "gone@agency.example", "stranger@agency.example",
        "unverified@panel.example", "old@panel.example", "no address", "a@b.example\r\nBcc: c@d.example",
        "x\0@y.example", "",
    ],
)  # fmt: skip
def test_nobody_else_gets_one(draft, to):
    """People of the list, people without a role here or who left, seeds not confirmed or archived."""
    gone = person("gone@agency.example", "operator", draft.tenant)
    gone.is_active = False
    gone.save()
    person("stranger@agency.example", "operator", factories.tenant())
    draft.seed("unverified@panel.example", verified=False)
    old = draft.seed("old@panel.example")
    old.archived_at = now()
    old.save()

    with pytest.raises(BadInput):
        testing.send(draft.campaign, to, actor=draft.actor)

    draft.work()
    assert (TestSend.objects.count(), draft.host.mails) == (0, [])
    assert AuditEntry.objects.filter(action="campaign.tested").count() == 0


@pytest.mark.parametrize(
    ("role", "allowed"), [("client_viewer", False), ("analyst", False), ("operator", True), ("ops_manager", True)]
)
def test_operators_and_managers_send_tests(draft, role, allowed):
    who = actors.of_user(person(f"{role}@agency.example", role, draft.tenant))

    if allowed:
        testing.send(draft.campaign, draft.user.email, actor=who)
    else:
        with pytest.raises(NotAllowed):
            testing.send(draft.campaign, draft.user.email, actor=who)

    assert TestSend.objects.count() == int(allowed)


def test_the_choice_has_oneself_first_and_nobody_who_may_get_none(draft):
    other = person("zoe@agency.example", "analyst", draft.tenant)
    person("else@agency.example", "operator", factories.tenant())
    draft.seed("panel@panel.example")
    draft.seed("no@panel.example", verified=False)

    assert testing.testers(draft.tenant, actor=draft.actor) == [draft.user.email, other.email, "panel@panel.example"]


# --- What stops it ----------------------------------------------------------------------------------------------

STOPS = {
    "suspended": ("tenant", lambda d: Tenant.objects.filter(pk=d.tenant.pk).update(status="suspended")),
    "halted": ("halted", lambda d: Campaign.objects.filter(pk=d.campaign.pk).update(status="halted")),
    "platform": ("stop", lambda d: pull("platform", None)),
    "tenant": ("stop", lambda d: pull("tenant", d.tenant)),
    "campaign": ("stop", lambda d: pull("campaign", d.campaign)),
    "pool": ("mailbox", lambda d: pull("pool", d.boxes[0].pool)),
    "account": ("mailbox", lambda d: pull("account", d.boxes[0].home)),
    "quarantine": ("mailbox", lambda d: Mailbox.objects.update(state="quarantined")),
    "hold": ("mailbox", lambda d: Mailbox.objects.update(hold="locked")),
    "rest": ("mailbox", lambda d: Mailbox.objects.update(blocked_until=now() + timedelta(hours=1))),
    "domain": ("mailbox", lambda d: SendingDomain.objects.update(state="blocked")),
    "tester": ("suppressed", lambda d: suppress(d, d.user.email)),
    "testers_domain": ("suppressed", lambda d: suppress(d, "agency.example")),
    "by_platform": ("suppressed", lambda d: suppression.suppress(
        None, [d.user.email], actor=SYSTEM, reason="manual", via="test")),
    "full": ("no_room", lambda d: Mailbox.objects.update(daily_cap=0)),
}  # fmt: skip


def pull(scope, target):
    stops.pull(scope, target, actor=SYSTEM, reason="A look at it")


def suppress(draft, entry):
    suppression.suppress(draft.tenant, [entry], actor=SYSTEM, reason="opt_out", via="page")


@pytest.mark.parametrize(("reason", "stop"), STOPS.values(), ids=STOPS)
def test_every_stop_refuses_it(draft, reason, stop):
    stop(draft)

    with pytest.raises(testing.Held) as refused:
        testing.send(draft.campaign, draft.user.email, actor=draft.actor)

    assert refused.value.details["reason"] == reason
    draft.work()
    assert (TestSend.objects.count(), draft.host.mails) == (0, [])


@pytest.mark.parametrize(("reason", "stop"), STOPS.values(), ids=STOPS)
def test_a_stop_after_the_click_holds_it_too(draft, reason, stop):
    testing.send(draft.campaign, draft.user.email, actor=draft.actor)
    stop(draft)

    assert draft.work() == "failed"

    assert (states(), draft.host.mails) == ([("failed", reason)], [])


@pytest.mark.parametrize("name", ["suspended", "platform", "quarantine", "tester"])
def test_a_stop_before_the_dot_leaves_no_mail(draft, name, monkeypatch):
    """It comes when all but the dot is with the host."""
    reason, stop = STOPS[name]
    testing.send(draft.campaign, draft.user.email, actor=draft.actor)
    committing = sending.Book.committing

    def late(book, letter):
        stop(draft)
        return committing(book, letter)

    monkeypatch.setattr(sending.Book, "committing", late)

    assert draft.work() == "failed"
    assert (states(), draft.host.mails) == ([("failed", reason)], [])


def test_who_leaves_or_is_archived_meanwhile_gets_none(draft):
    seed = draft.seed()
    other = person("leaver@agency.example", "operator", draft.tenant)
    testing.send(draft.campaign, other.email, actor=draft.actor)
    testing.send(draft.campaign, seed.address, actor=draft.actor)
    members.end(other.memberships.get(), actor=SYSTEM)
    type(seed).objects.update(archived_at=now())

    draft.work()

    assert (states(), draft.host.mails) == ([("failed", "not_allowed")] * 2, [])


def test_tests_count_against_the_mailboxes_day(draft):
    Mailbox.objects.update(daily_cap=2)
    day = now().replace(hour=0, minute=0, second=0, microsecond=0)
    for box in draft.boxes:
        Allowance.objects.create(
            tenant=draft.tenant, scope="mailbox_day", key=box.pk, period_start=day, cap=2, reserved=1
        )
    for _ in draft.boxes:
        testing.send(draft.campaign, draft.user.email, actor=draft.actor)

    with pytest.raises(testing.Held) as refused:
        testing.send(draft.campaign, draft.user.email, actor=draft.actor)

    assert refused.value.details["reason"] == "no_room"
    assert draft.work() == "sent"
    assert len(draft.host.mails) == 2
    assert set(TestSend.objects.values_list("mailbox", flat=True)) == {box.pk for box in draft.boxes}


def test_after_twenty_an_hour_a_person_waits(draft):
    for _ in range(testing.PER_HOUR):
        testing.send(draft.campaign, draft.user.email, actor=draft.actor)

    with pytest.raises(TooMany) as refused:
        testing.send(draft.campaign, draft.user.email, actor=draft.actor)

    assert refused.value.http_status == 429
    testing.send(draft.campaign, draft.user.email, actor=SYSTEM)
    assert TestSend.objects.count() == testing.PER_HOUR + 1


# --- What the host answers --------------------------------------------------------------------------------------


def test_silence_after_the_dot_is_uncertain_and_stays_so(draft):
    draft.host.silent = True
    testing.send(draft.campaign, draft.user.email, actor=draft.actor)

    assert draft.work() == "uncertain"

    assert (draft.work(), sending.sweep(draft.tenant.pk)) == ("nothing", 0)
    assert states() == [("uncertain", "no_answer")]
    assert len(draft.host.mails) == 1


def test_a_refused_tester_fails_once_and_is_not_suppressed(draft):
    draft.host.at_rcpt = "550 5.1.1 User unknown"
    testing.send(draft.campaign, draft.user.email, actor=draft.actor)

    assert (draft.work(), draft.work()) == ("failed", "nothing")

    assert states() == [("failed", "userunknown")]
    assert "5.1.1" in TestSend.objects.get().answer
    assert Suppression.objects.count() == 0


def test_a_contact_without_a_field_fails_with_the_reason(draft):
    draft.campaign.steps.update(text_body="Dear {{ first_name }} of {{ city }}")
    testing.send(draft.campaign, draft.user.email, actor=draft.actor)

    assert draft.work() == "failed"

    assert "city" in TestSend.objects.get().answer
    assert draft.host.mails == []


@pytest.mark.django_db(transaction=True)
def test_a_busy_mailbox_is_waited_for(draft, empty_queue):
    testing.send(draft.campaign, draft.user.email, actor=draft.actor)
    Mailbox.objects.update(held_by="00000000-0000-0000-0000-000000000001", held_until=now() + timedelta(seconds=60))

    assert draft.work() == "waits"
    TestSend.objects.update(created_at=now() - timedelta(minutes=2))
    before = queues.waiting("send")
    sending.sweep(draft.tenant.pk)

    assert (queues.waiting("send") - before, draft.host.mails) == (1, [])
    Mailbox.objects.update(held_by=None, held_until=None)
    assert draft.work() == "sent"


def test_a_vanished_worker_leaves_it_queued_or_uncertain(draft):
    for _ in range(2):
        testing.send(draft.campaign, draft.user.email, actor=draft.actor)
    first, second = TestSend.objects.order_by("pk")
    held = {"claim": "00000000-0000-0000-0000-000000000001", "lease_until": now() - timedelta(seconds=1)}
    TestSend.objects.filter(pk=first.pk).update(state="sending", **held)
    TestSend.objects.filter(pk=second.pk).update(state="committing", **held)

    assert sending.sweep(draft.tenant.pk) == 2

    assert states() == [("queued", ""), ("uncertain", "no_answer")]


# --- What is asked for ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "error"),
    [
        ({"step": 9}, Missing), ({"contact": "carl@acme.example"}, BadInput), ({"contact": "no address"}, BadInput),
        ({"mailbox": "nobody@fleet.example"}, BadInput),
    ],
)  # fmt: skip
def test_what_is_not_there_is_refused(draft, wish, error):
    with pytest.raises(error):
        testing.send(draft.campaign, draft.user.email, actor=draft.actor, **wish)

    assert TestSend.objects.count() == 0


def test_the_command_queues_one(draft, capsys):
    where = ("--tenant", draft.tenant.slug)
    call_command(
        "campaign", "test", draft.campaign.name, "--to", draft.user.email, "--contact", "bob@acme.example", *where
    )
    with pytest.raises(CommandError, match="verified seed"):
        call_command("campaign", "test", draft.campaign.name, "--to", "ann@acme.example", *where)

    assert "to: o***@agency.example" in capsys.readouterr().out
    assert draft.work() == "sent"
    assert [mail[2]["Subject"] for mail in draft.host.mails] == ["[Test] A question, Bob"]
    assert Stop.objects.count() == 0
