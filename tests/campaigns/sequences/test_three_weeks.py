"""Sequences over weeks in accelerated time: real planner, real sending, and people who answer in between.

The campaign has four steps: at once, after two working days, after three more, after eight more. It is open from nine
to five on working days where the person is. It starts on Monday, 1 March 2027.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta

import pytest

from campaigns.models import Contact, Enrolment, Message, Suppression
from campaigns.services import campaigns, conversations, outcomes, replies
from outreach.demo.sink import Book
from outreach.demo.sink_process import SinkProcess
from tenants.services.actors import RECIPIENT, SYSTEM
from tests import factories
from tests.campaigns import accelerated

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.as_worker]
MARCH = {day: date(2027, 3, day) for day in range(1, 32)}
KYIV, NEW_YORK = "Europe/Kyiv", "America/New_York"
MORNING, AFTERNOON = 8, 16  # UTC hours at which Kyiv and New York are open

# person: zone, company, {day of March: what happens in its evening}, {step: day of March}, how it ends
PEOPLE = {
    "silent": (KYIV, "one.example", {}, {1: 1, 2: 3, 3: 8, 4: 18}, ("done", "")),
    "far": (NEW_YORK, "two.example", {}, {1: 1, 2: 3, 3: 8, 4: 18}, ("done", "")),
    "quick": (KYIV, "three.example", {2: "answers"}, {1: 1}, ("stopped", "replied")),
    "slow": (KYIV, "four.example", {4: "answers"}, {1: 1, 2: 3}, ("stopped", "replied")),
    "colleague": (KYIV, "four.example", {}, {1: 1, 2: 3}, ("stopped", "colleague_replied")),
    "elsewhere": (KYIV, "", {5: "answers"}, {1: 1, 2: 3}, ("stopped", "replied")),
    "private": (KYIV, "", {}, {1: 1, 2: 3, 3: 8, 4: 18}, ("done", "")),
    "away": (KYIV, "five.example", {1: "away until 10"}, {1: 1, 2: 10, 3: 15, 4: 25}, ("done", "")),
    "away on a weekend": (KYIV, "six.example", {3: "away until 13"}, {1: 1, 2: 3, 3: 15, 4: 25}, ("done", "")),
    "back already": (KYIV, "seven.example", {1: "away until 2"}, {1: 1, 2: 3, 3: 8, 4: 18}, ("done", "")),
    "gone": (KYIV, "eight.example", {1: "hard"}, {1: 1}, ("stopped", "bounced")),
    "full": (KYIV, "nine.example", {1: "soft"}, {1: 1, 2: 3, 3: 8, 4: 18}, ("done", "")),
    "blocked": (KYIV, "ten.example", {3: "sender"}, {1: 1, 2: 3}, ("stopped", "blocked")),
    "leaves": (KYIV, "eleven.example", {4: "unsubscribes"}, {1: 1, 2: 3}, ("stopped", "unsubscribed")),
    "angry": (KYIV, "twelve.example", {9: "complains"}, {1: 1, 2: 3, 3: 8}, ("stopped", "complained")),
    "no thanks": (KYIV, "a.example", {2: "not interested"}, {1: 1}, ("stopped", "not_interested")),
    "called": (KYIV, "b.example", {4: "written to", 11: "released"}, {1: 1, 2: 3, 3: 12, 4: 24}, ("done", "")),
    "away, then answers": (KYIV, "c.example", {1: "away until 8", 9: "answers"}, {1: 1, 2: 8}, ("stopped", "replied")),
}  # fmt: skip


@pytest.fixture
def clock():
    with accelerated.clock() as moved:
        yield moved


@pytest.fixture
def sink(tmp_path, settings):
    settings.SMTP_ALLOW_LOOPBACK = True
    with SinkProcess(tmp_path / "book.jsonl") as running:
        yield running


def happens(person: Contact, what: str) -> None:
    """An event in the evening, to the last mail that the person got."""
    last = Message.objects.filter(contact=person, status="sent").latest("sent_at")
    match what.split():
        case ["answers"]:
            replies.human(last, actor=SYSTEM)
        case ["away", "until", day]:
            replies.out_of_office(last, actor=SYSTEM, returns_on=MARCH[int(day)])
        case ["hard" | "soft" | "sender" as kind]:
            outcomes.bounced(last, actor=SYSTEM, kind=kind, reason="userunknown")
        case ["unsubscribes"]:
            outcomes.unsubscribed(person.tenant_id, last.pk, actor=RECIPIENT, via="one-click")
        case ["complains"]:
            outcomes.complained(last, actor=SYSTEM)
        case ["not", "interested"]:
            replies.not_interested(last, actor=SYSTEM)
        case ["written", "to"]:
            replies.by_hand(person, actor=SYSTEM)
        case ["released"]:
            conversations.release(person, actor=SYSTEM)


def sequence(tenant, pool, listed, **changes):
    campaign = factories.campaign(
        tenant, pool, listed, window_from="09:00", window_until="17:00", window_days=[0, 1, 2, 3, 4],
        window_zone="contact", **changes,
    )  # fmt: skip
    for position, days in enumerate((2, 3, 8), start=2):
        factories.step(campaign, position=position, delay_days=days, subject="Re: A question about {{ company }}")
    return campaign


def got() -> dict[str, dict[int, int]]:
    """Person: {step: day of March on which it was sent}."""
    found = defaultdict(dict)
    rows = Message.objects.filter(status="sent").values_list("contact__first_name", "step__position", "sent_at")
    for name, step, sent_at in rows:
        assert step not in found[name], f"{name} got step {step} twice"
        found[name][step] = sent_at.astimezone(UTC).day
    return found


def test_everybody_gets_exactly_what_their_answers_leave(clock, sink):
    tenant = factories.tenant()
    box = factories.fleet(tenant, 2, host=sink.host, port=sink.port)[0]
    listed = factories.contact_list(tenant)
    names = list(PEOPLE)
    people = dict(
        zip(
            names,
            factories.people(
                tenant, listed, len(names),
                each=lambda i: {
                    "first_name": names[i], "time_zone": PEOPLE[names[i]][0], "company_domain": PEOPLE[names[i]][1],
                },
            ),
            strict=True,
        )
    )  # fmt: skip
    clock.to(datetime(2027, 3, 1, 6, tzinfo=UTC))
    campaign = campaigns.start(sequence(tenant, box.pool, listed, stop_on_colleague=True), actor=SYSTEM)

    for day in MARCH.values():
        for hour in (MORNING, AFTERNOON):
            clock.to(datetime(day.year, day.month, day.day, hour, tzinfo=UTC))
            accelerated.work(tenant)
        clock.to(datetime(day.year, day.month, day.day, 23, tzinfo=UTC))
        for name, (_, _, events, _, _) in PEOPLE.items():
            if day.day in events:
                happens(people[name], events[day.day])

    assert got() == {name: steps for name, (_, _, _, steps, _) in PEOPLE.items()}
    ends = dict(Enrolment.objects.values_list("contact__first_name", "status").order_by())
    reasons = dict(Enrolment.objects.values_list("contact__first_name", "stop_reason"))
    assert {name: (ends[name], reasons[name]) for name in names} == {name: row[4] for name, row in PEOPLE.items()}
    book = Book.read(sink.path)
    assert len(book.accepted) == sum(len(row[3]) for row in PEOPLE.values())
    assert set(book.copies().values()) == {1}
    assert {entry.reason for entry in Suppression.objects.all()} == {"hard_bounce", "opt_out", "complaint"}
    campaign.refresh_from_db()
    assert campaign.status == "completed"


def test_who_answers_one_campaign_hears_of_no_other_until_released(clock, sink):
    tenant = factories.tenant()
    boxes = factories.fleet(tenant, 2, host=sink.host, port=sink.port)
    listed = factories.contact_list(tenant)
    shared, other = factories.people(
        tenant, listed, 2, each=lambda i: {"first_name": ("shared", "other")[i], "time_zone": KYIV}
    )
    clock.to(datetime(2027, 3, 1, 6, tzinfo=UTC))
    both = [campaigns.start(sequence(tenant, boxes[0].pool, listed), actor=SYSTEM) for _ in range(2)]
    heard = defaultdict(list)

    for number in range(1, 40):
        day = datetime(2027, 3, 1, MORNING, tzinfo=UTC) + timedelta(days=number - 1)
        clock.to(day)
        accelerated.work(tenant)
        if number == 4:
            answered = Message.objects.get(contact=shared, campaign=both[0], step__position=2)
            replies.human(answered, actor=SYSTEM)
        if number == 22:
            assert Contact.objects.get(pk=shared.pk).conversation_via == "reply"
            conversations.release(shared, actor=SYSTEM, reason="They bought")
    for row in Message.objects.filter(status="sent").order_by("sent_at"):
        heard[row.contact_id, row.campaign_id].append((row.step.position, row.sent_at.date()))

    days = [(1, MARCH[1]), (2, MARCH[3]), (3, MARCH[8]), (4, MARCH[18])]
    assert heard[other.pk, both[0].pk] == heard[other.pk, both[1].pk] == days
    assert heard[shared.pk, both[0].pk] == days[:2]
    assert heard[shared.pk, both[1].pk] == [*days[:2], (3, MARCH[23]), (4, date(2027, 4, 2))]
    assert set(Enrolment.objects.filter(contact=shared).values_list("campaign", "status", "stop_reason")) == {
        (both[0].pk, "stopped", "replied"), (both[1].pk, "done", ""),
    }  # fmt: skip
