"""Why one person gets mail or none: the gate that explain names is the one that the planner asks."""

from __future__ import annotations

import json
import os
import random
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from campaigns.models import Contact, Enrolment, Message, Stop
from campaigns.pipeline import explain_gates, explain_message, explain_story, planner
from campaigns.services import campaigns, suppression
from mailboxes.models import ReceiverLimit, SendingDomain
from outreach.common import isolation
from tenants.models import Tenant
from tenants.services.actors import SYSTEM
from tests import factories
from tests.campaigns.test_planner import NOON

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MANY = int(os.environ.get("OUTREACH_EXPLAINED", "2000"))


class Crowd:
    """Campaigns of one tenant whose people meet every gate, by a seed, at noon."""

    def __init__(self, people: int, seed: int) -> None:
        self.dice = random.Random(seed)
        self.tenant = factories.tenant(frequency_person=2, frequency_days=5, frequency_company=people // 50)
        self.boxes = factories.fleet(self.tenant, 20, daily_cap=people * 3)
        listed = factories.contact_list(self.tenant)
        domains = [f"firm{n}.example" for n in range(12)]
        each = [self.gates(i, domains) for i in range(people)]
        self.people = factories.people(self.tenant, listed, people, each=each.__getitem__)
        self.campaigns = [
            campaigns.start(
                factories.campaign(self.tenant, self.boxes[0].pool, listed, window_zone="contact", **window),
                actor=SYSTEM,
            )
            for window in ({}, {"window_from": "09:00", "window_until": "12:30"}, {"name": "paused one"})
        ]
        for campaign in self.campaigns:
            factories.step(campaign, position=2)
        campaigns.pause(self.campaigns[2], actor=SYSTEM)
        for person in self.people:  # after the start, which so many unknown ones would stand against
            person.validity = self.dice.choices(["valid", "risky", "", "invalid", "unknown"], [70, 8, 7, 7, 8])[0]
        Contact.objects.bulk_update(self.people, ["validity"])
        self.enrolments()
        self.surroundings(domains)

    def gates(self, i: int, domains: list[str]) -> dict:
        dice = self.dice
        now = NOON
        return {
            "email": f"p{i}@{dice.choice(domains)}",
            "basis_expires_on": dice.choices([None, now.date() - DAY, now.date() + DAY], [85, 6, 9])[0],
            "conversation_since": dice.choices([None, now - DAY], [93, 7])[0],
            "quiet_until": dice.choices([None, now - DAY, now + 3 * DAY], [88, 5, 7])[0],
            "operator": dice.choices(["", "yahoo", "microsoft", "mimecast"], [60, 20, 10, 10])[0],
            "company_domain": dice.choice(["", "firm1.example", "firm2.example", f"own{i}.example"]),
            "time_zone": dice.choice(["UTC", "Europe/Kyiv", "America/New_York", "Asia/Tokyo"]),
        }

    def enrolments(self) -> None:
        """Due at all kinds of times; some in the middle of a thread, some with mail of before."""
        dice, earlier = self.dice, []
        step = {campaign.pk: campaign.steps.get(position=1) for campaign in self.campaigns}
        rows = list(Enrolment.objects.order_by("pk"))
        for row in rows:
            row.due_at = NOON + timedelta(minutes=dice.randint(-3000, 300))
            if dice.random() < 0.2:
                box = dice.choice(self.boxes)
                row.mailbox, row.step = box, 2
                at = NOON - timedelta(hours=dice.randint(1, 200))
                earlier.append(
                    Message(
                        tenant=self.tenant, campaign_id=row.campaign_id, step=step[row.campaign_id], enrolment=row,
                        contact_id=row.contact_id, mailbox=box, status=dice.choice(["sent", "sent", "failed"]),
                        due_at=at, not_after=at, day_on=at.date(), sent_at=at, message_id=f"m{row.pk}@sender.example",
                    )
                )  # fmt: skip
            elif dice.random() < 0.05:
                row.due_at, row.waits_for = None, "message"
            elif dice.random() < 0.05:
                row.status, row.stop_reason, row.due_at = "stopped", "replied", None
        Message.objects.bulk_create(earlier)
        Enrolment.objects.bulk_update(rows, ["due_at", "waits_for", "status", "stop_reason", "mailbox", "step"])

    def surroundings(self, domains: list[str]) -> None:
        some = self.dice.sample(self.people, len(self.people) // 12)
        half = len(some) // 2
        suppression.suppress(
            self.tenant, [row.email for row in some[:half]], actor=SYSTEM, reason="opt_out", via="test"
        )
        suppression.suppress(
            self.tenant, [row.email for row in some[half:]], actor=SYSTEM, reason="manual", via="test",
            campaign=self.campaigns[1],
        )  # fmt: skip
        suppression.suppress(None, [domains[0], f"*.{domains[1]}"], actor=SYSTEM, reason="manual", via="test")
        Enrolment.objects.filter(stop_reason="suppressed").update(  # as if the entries had come just now
            status="active", stop_reason="", due_at=NOON - HOUR
        )
        ReceiverLimit.objects.create(operator="yahoo", hourly_cap=len(self.people) // 60)
        Stop.objects.create(
            scope="receiver", operator="mimecast", label="mimecast", reason="asked us to", until=NOON + 2 * HOUR
        )

    def verdicts(self) -> dict[int, explain_gates.Verdict]:
        ids = list(Enrolment.objects.filter(tenant=self.tenant).values_list("pk", flat=True))
        with connection.cursor() as cursor, isolation.tenants([self.tenant.pk], platform=True):
            return explain_gates.of_enrolments(cursor, Tenant.objects.get(pk=self.tenant.pk), ids, NOON)


def what_the_planner_did(before: dict[int, tuple], after: dict[int, tuple]) -> dict[int, tuple]:
    """{enrolment: (gate, until)} as a run left it; what it did not touch says so."""
    found = {}
    for pk, row in after.items():
        status, reason, waits_for, due_at = row
        if row == before[pk]:
            found[pk] = ("untouched", None)
        elif status == "stopped":
            found[pk] = (reason, None)
        elif waits_for == "message":
            found[pk] = ("slot", None)
        else:
            found[pk] = (waits_for, due_at)
    return found


UNTOUCHED = {"campaign", "window", "due", "message", "done", "replied"}


def standing(tenant: Tenant) -> dict[int, tuple]:
    rows = Enrolment.objects.filter(tenant=tenant).values_list("pk", "status", "stop_reason", "waits_for", "due_at")
    return {row[0]: row[1:] for row in rows}


@pytest.mark.parametrize("seed", [1, 2])
def test_explain_names_the_gate_that_the_planner_asks_for_everybody(seed):
    crowd = Crowd(MANY // 6, seed)
    told = crowd.verdicts()
    before = standing(crowd.tenant)
    assert told.keys() == before.keys()

    tenant = Tenant.objects.get(pk=crowd.tenant.pk)
    planned = sum(planner.run(tenant, NOON).planned for _ in range(2))  # who found no slot is moved by the second

    done = what_the_planner_did(before, standing(crowd.tenant))
    wrong = {}
    for pk, verdict in told.items():
        expected = ("untouched", None) if verdict.gate in UNTOUCHED else (verdict.gate, verdict.until)
        if done[pk] != expected:
            wrong[pk] = (verdict, done[pk])
    assert not wrong, (len(wrong), list(wrong.items())[:5])
    gates = {verdict.gate for verdict in told.values()}
    assert gates >= {
        "slot", "suppressed", "invalid", "basis_expired", "validation", "frequency", "conversation", "quiet",
        "receiver", "campaign", "due", "window", "message", "replied",
    }  # fmt: skip
    assert planned == sum(verdict.gate == "slot" for verdict in told.values())


# --- One person ---------------------------------------------------------------------------------------------------


def one(**changes) -> tuple[Contact, Enrolment]:
    tenant = factories.tenant(**changes.pop("tenant", {}))
    box = factories.mailbox(tenant)
    listed = factories.contact_list(tenant)
    (contact,) = factories.people(tenant, listed, 1, **changes)
    campaign = campaigns.start(factories.campaign(tenant, box.pool, listed, name="Autumn"), actor=SYSTEM)
    Enrolment.objects.update(due_at=NOON - HOUR)
    return contact, Enrolment.objects.get(campaign=campaign)


def told(contact: Contact, **changes) -> explain_story.Part:
    (part,) = explain_story.contact(contact, NOON, **changes).parts
    return part


def test_who_passes_every_gate_waits_for_room():
    contact, _ = one()

    part = told(contact)

    assert (part.gate, part.sentence) == (
        "slot", "Step 1 passes every gate and waits for room in a mailbox of the pool."
    )  # fmt: skip
    assert all(check.passes for check in part.checks)


def test_the_first_gate_that_holds_decides_and_the_others_say_that_they_would():
    contact, _ = one(conversation_since=NOON - DAY)
    Contact.objects.update(validity="")
    contact.refresh_from_db()

    part = told(contact)

    assert part.gate == "validation"
    assert part.next_at == NOON + HOUR
    assert part.sentence == "Step 1 waits for their address to be validated, and is asked again 13:00."
    states = {check.name: (check.passes, check.decides) for check in part.checks}
    assert states["validation"] == (False, True)
    assert states["conversation"] == (False, False)
    assert states["suppressed"] == (True, False)


def test_frequency_is_told_with_its_numbers():
    contact, enrolment = one(tenant={"frequency_person": 2, "frequency_days": 7})
    for n in (1, 2):
        Message.objects.create(
            tenant=contact.tenant, campaign=enrolment.campaign, step=factories.step(enrolment.campaign, position=n + 1),
            enrolment=enrolment, contact=contact, mailbox=enrolment.campaign.pool.mailboxes.get(), status="sent",
            due_at=NOON, not_after=NOON, day_on=NOON.date(), sent_at=NOON - n * DAY, message_id=f"{n}@sender.example",
        )  # fmt: skip

    part = told(contact)

    check = next(check for check in part.checks if check.decides)
    assert (check.name, check.value, part.next_at) == (
        "frequency", "2 of 2 in 7 days to this person", NOON - 2 * DAY + 7 * DAY
    )  # fmt: skip


def test_an_entry_of_the_platform_is_told_to_a_tenants_people_as_a_limit_and_no_more():
    contact, _ = one()
    suppression.suppress(None, [contact.email], actor=SYSTEM, reason="complaint", via="test")
    Enrolment.objects.update(status="active", stop_reason="", due_at=NOON - HOUR)

    for knows, value in ((False, "platform limit"), (True, "platform, address: complaint")):
        check = next(check for check in told(contact, knows_platform=knows).checks if check.decides)
        assert check.value.startswith(value)
        assert (check.link is not None) == knows
    assert "complaint" not in json.dumps(
        explain_story.contact(contact, NOON, knows_platform=False).as_dict(), default=str
    )


def test_somebody_in_no_campaign_has_an_answer_too():
    tenant = factories.tenant()
    (contact,) = factories.people(tenant, None, 1, validity="invalid")

    story = explain_story.contact(contact, NOON)

    assert story.parts == []
    assert story.sentence.startswith("Is in no campaign. Whoever writes to this person meets: the address can get mail")


# --- One message --------------------------------------------------------------------------------------------------


def planned() -> Message:
    contact, _ = one()
    planner.run(Tenant.objects.get(pk=contact.tenant_id), NOON)
    return Message.objects.select_related("step").get()


@pytest.mark.parametrize(
    ("change", "gate"),
    [
        (lambda message: None, "planned"),
        (lambda message: campaigns.Campaign.objects.update(status="paused"), "campaign"),
        (lambda message: Tenant.objects.update(status="suspended"), "tenant"),
        (lambda message: SendingDomain.objects.update(state="blocked"), "mailbox"),
        (lambda message: Contact.objects.update(conversation_since=NOON), "conversation"),
        (lambda message: Message.objects.update(due_at=NOON + HOUR), "due"),
    ],
)
def test_a_message_says_what_it_waits_for(change, gate):
    message = planned()
    change(message)
    message.refresh_from_db()

    story = explain_message.message(message, NOON + timedelta(minutes=1))

    assert story.parts[0].gate == gate
    assert [check.name for check in story.parts[0].checks if check.decides] == ([] if gate == "planned" else [gate])


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"status": "sent", "sent_at": NOON, "reply_text": "250 2.0.0 ok", "outcome": "delivered"},
            "Accepted 12:00: 250 2.0.0 ok. It was delivered.",
        ),
        ({"status": "failed", "reason": "userunknown"}, "It is failed: userunknown."),
        (
            {"status": "uncertain", "reason": "no_answer"},
            "Nobody knows whether it went out (no answer): evidence or a person settles it; it is never sent again.",
        ),
    ],
)
def test_a_message_that_is_over_says_how(values, sentence):
    message = planned()
    Message.objects.update(**values)
    message.refresh_from_db()

    assert explain_message.message(message, NOON).sentence == sentence


# --- Doors --------------------------------------------------------------------------------------------------------


def test_the_command_tells_both():
    message = planned()
    contact = Contact.objects.get(pk=message.contact_id)

    for subject, of in (("contact", contact.email.upper()), ("message", message.message_id), ("message", message.pk)):
        out = StringIO()
        call_command("explain", subject, str(of), "--json", stdout=out)
        found = json.loads(out.getvalue())
        assert (found["subject"], found["id"]) == (subject, contact.pk if subject == "contact" else message.pk)
        text = StringIO()
        call_command("explain", subject, str(of), stdout=text)
        assert found["sentence"] in text.getvalue()
