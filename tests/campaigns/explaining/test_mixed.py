"""Several causes at once: nobody is counted twice, nobody forgotten, and the next run plans as many as were told."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import Any

import pytest

from campaigns.models import Enrolment, Message
from campaigns.pipeline import explain, planner
from campaigns.services import campaigns, suppression
from mailboxes.models import Mailbox, SendingDomain
from tenants.models import Tenant
from tenants.services.actors import SYSTEM
from tests import factories
from tests.campaigns.explaining.situations import FAR, NOON, Scene, leads

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]

STATES = ["active", "active", "active", "ramping", "reserve", "probing", "quarantined", "retired"]


def any_box(random: Random) -> dict[str, Any]:
    return {
        "state": random.choice(STATES),
        "hold": random.choice(["none"] * 6 + ["locked"]),
        "daily_cap": random.choice([0, 1, 3, 10, 40]),
        "min_gap_seconds": random.choice([0, 60, 300]),
        "weight": random.choice([0.5, 1, 2]),
        "health": random.choice([0, 0.7, 1, 1, 1]),
        "blocked_until": random.choice([None] * 6 + [FAR]),
    }


def any_person(random: Random) -> dict[str, Any]:
    return {
        "time_zone": random.choice(["UTC", "UTC", "Asia/Tokyo", "America/New_York"]),
        "basis_expires_on": random.choice([None] * 9 + [date(2026, 1, 1)]),
    }


def any_scene(random: Random) -> Scene:
    people = random.choice([3, 30, 80])
    scene = Scene(
        people,
        random.choice([1, 3, 8]),
        each=lambda i: any_person(random),
        changes={
            "window_zone": random.choice(["UTC", "contact"]),
            "window_from": "08:00",
            "window_until": random.choice(["13:00", "12:10", "20:00"]),
            "pace": random.choice(["prompt", "even"]),
            "daily_cap": random.choice([None, None, 0, 7, 25]),
        },
    )
    for box in scene.boxes:  # after the start, which wants one that may send
        Mailbox.objects.filter(pk=box.pk).update(**any_box(random))
    scene.change(Tenant, daily_cap=random.choice([None, None, 11]))
    for domain in SendingDomain.objects.filter(tenant=scene.tenant):
        domain.state = random.choice(["verified", "verified", "degraded", "blocked", "new"])
        domain.hourly_cap = random.choice([None, None, 0, 4, 50])
        domain.save()
    keyed = suppression.hasher()
    for contact in random.sample(scene.contacts, people // 10):
        row = suppression.entry(contact.email_key, keyed)
        row.tenant, row.reason = random.choice([None, scene.tenant]), "manual"
        row.scope = "tenant" if row.tenant else "platform"
        row.save()
    return scene


def run(scene: Scene) -> int:
    """Plan once; return how many people and retries got a slot."""
    done = planner.run(Tenant.objects.get(pk=scene.tenant.pk), scene.now)
    return done.planned + done.retries if done else 0


@pytest.mark.parametrize("seed", range(40))
def test_as_many_go_next_as_the_planner_plans(seed):
    scene = any_scene(Random(seed))
    for minutes in (0, 1, 2):  # what a run used up shows in the next
        scene.now = NOON + timedelta(minutes=minutes)
        leads(scene.now)

        found = scene.explained()
        planned = run(scene)

        assert found.ready == planned, found.sentence
        assert found.waiting == found.ready + sum(cause.decides for cause in found.causes)
        if minutes == 0:
            assert found.waiting == scene.people


def test_campaigns_of_a_pool_are_told_their_turns():
    scene = Scene(30, 4, fleet={"daily_cap": 6})
    listed = factories.contact_list(scene.tenant)
    factories.people(scene.tenant, listed, 7)
    rival = campaigns.start(factories.campaign(scene.tenant, scene.boxes[0].pool, listed), actor=SYSTEM)
    Enrolment.objects.filter(campaign=rival).update(due_at=scene.now)

    ours, theirs = scene.explained(), explain.campaign(rival, scene.now)

    assert (ours.ready, theirs.ready) == (17, 7)
    assert [(cause.name, cause.decides) for cause in ours.causes] == [("mailbox_day", 13)]
    assert theirs.causes == []
    assert run(scene) == 24
    assert (scene.campaign.messages.count(), rival.messages.count()) == (17, 7)


def test_retries_wait_for_their_own_mailbox():
    scene = Scene(20, 4)
    run(scene)
    box = scene.boxes[0]
    count = Message.objects.filter(mailbox=box).update(status="deferred", tries=1, due_at=scene.now)
    Message.objects.exclude(mailbox=box).update(status="sent", sent_at=scene.now)
    Mailbox.objects.filter(pk=box.pk).update(state="quarantined")

    found = scene.explained()

    assert count > 0
    assert [(cause.name, cause.decides) for cause in found.causes] == [("quarantined", count)]
    assert (found.waiting, found.ready, found.number("deferred"), found.number("sent")) == (count, 0, count, 20 - count)
    assert run(scene) == 0

    Mailbox.objects.filter(pk=box.pk).update(state="active")
    found = scene.explained()
    assert (found.ready, found.causes) == (count, [])
    assert run(scene) == count


def test_a_retry_whose_time_has_not_come_is_told_with_its_time():
    scene = Scene(20, 4)
    run(scene)
    later = scene.now + timedelta(minutes=40)
    Message.objects.update(status="deferred", tries=1, due_at=later)

    (cause,) = scene.explained().causes

    assert (cause.kind, cause.name, cause.decides, cause.next_at) == ("gate", "retry", 20, later)
    assert run(scene) == 0


def test_what_lies_behind_a_stop_is_told_too_but_decides_nothing():
    scene = Scene(20, 4, changes={"window_from": "09:00", "window_until": "11:00"})
    scene.change(Tenant, status="suspended")
    scene.campaign.status, scene.campaign.status_reason = "paused", "late list"
    scene.campaign.save()

    found = scene.explained()

    assert [(cause.name, cause.count, cause.decides) for cause in found.causes] == [
        ("tenant_suspended", 20, 20), ("campaign_paused", 20, 0), ("closed", 20, 0),
    ]  # fmt: skip
    assert found.causes[1].title == "the pause of the campaign (late list)"


def test_the_sentence_says_what_decides_and_until_when():
    scene = Scene(40, 3, changes={"window_from": "09:00", "window_until": "17:00"}, fleet={"daily_cap": 4})
    run(scene)
    Message.objects.update(status="sent", sent_at=scene.now)
    Enrolment.objects.filter(pk__in=Enrolment.objects.filter(due_at__isnull=False).values("pk")[:8]).update(
        due_at=scene.now + timedelta(hours=2), waits_for="frequency"
    )

    assert scene.explained().sentence == (
        "12 of 40 sent today. 28 wait: 20 for the mailboxes' daily cap (12 of 12) until tomorrow 09:00; "
        "8 for the days that lie between mails to one person or company until 14:00."
    )
