"""Of one mailbox and of a whole tenant."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns.models import Attempt, Message
from campaigns.pipeline import explain, explain_mailbox, planner
from mailboxes.models import Mailbox
from tests import factories
from tests.campaigns.explaining.situations import LISTENING, NOON, Scene

pytestmark = pytest.mark.django_db


def facts(found: explain.Explanation) -> dict[str, str]:
    return {key: value for key, _label, value in found.facts}


def test_a_mailbox_alone_in_its_pool_answers_for_all_of_its_people():
    scene = Scene(30, 1, fleet={"daily_cap": 12, "min_gap_seconds": 60})
    box = Mailbox.objects.get()
    planner.run(scene.tenant, scene.now)
    Message.objects.update(status="sent", sent_at=scene.now)

    found = explain_mailbox.mailbox(box, scene.now + timedelta(minutes=1), queue=LISTENING)

    assert found.sentence == (
        "12 of 30 sent today. 18 wait: 18 for the mailboxes' daily cap (12 of 12) until tomorrow 00:00."
    )
    assert not found.is_estimate
    assert facts(found) | {"weight": ""} == {
        "state": "active", "may_send": "yes", "cap": "12: its own daily cap", "weight": "",
        "gap": "60 s: its own least gap", "next_free_at": "12:12", "next_planned_at": "none",
        "last_sent_at": "none yet",
    }  # fmt: skip
    assert found.as_dict()["figures"]["limits"] == [
        {"scope": "mailbox per day", "used": 12, "cap": 12, "left": 0, "free_at": "tomorrow 00:00",
         "decides": "decides"},
    ]  # fmt: skip


def test_a_mailbox_has_its_share_of_the_pools_people():
    scene = Scene(40, 4, fleet={"daily_cap": 100, "each": lambda i: {"weight": 2 if i == 0 else 1}})

    found = explain_mailbox.mailbox(scene.boxes[0], scene.now, queue=LISTENING)

    assert (found.waiting, found.ready, found.is_estimate) == (16, 16, True)
    assert facts(found)["weight"] == "40.0 %: weight 2 x health 1 x cap 100"


@pytest.mark.parametrize(
    ("changes", "cap", "may"),
    [
        ({"state": "reserve", "daily_cap": 50}, "10: the 20% that a reserve takes of 50, its own daily cap", "yes"),
        ({"state": "probing", "daily_cap": 50}, "5: on probation", "yes"),
        ({"state": "quarantined", "daily_cap": 50}, "50: its own daily cap", "no: mailboxes in quarantine"),
        ({"hold": "locked", "daily_cap": 50}, "50: its own daily cap", "no: locked mailboxes"),
        ({"state": "retired", "daily_cap": 50}, "50: its own daily cap", "no: the mailbox's end"),
    ],
)
def test_it_says_what_makes_the_cap_and_whether_it_may_send(changes, cap, may):
    scene = Scene(10, 1)
    Mailbox.objects.update(**changes)

    found = facts(explain_mailbox.mailbox(Mailbox.objects.get(), scene.now, queue=LISTENING))

    assert (found["cap"], found["may_send"]) == (cap, may)


def test_the_gap_is_told_with_what_it_comes_from():
    scene = Scene(
        200, 1, fleet={"daily_cap": 48}, changes={"pace": "even", "window_from": "08:00", "window_until": "20:00"}
    )

    found = explain_mailbox.mailbox(scene.boxes[0], scene.now, queue=LISTENING)

    assert facts(found)["gap"] == "600 s: 480 min of the window for 48 messages"
    assert [(cause.kind, cause.name, cause.decides) for cause in found.causes] == [
        ("cap", "mailbox_day", 152), ("pace", "gap", 46),
    ]  # fmt: skip
    assert found.ready == 2
    assert planner.run(scene.tenant, scene.now).planned == 2


def test_tries_of_today_are_told_by_code():
    scene = Scene(5, 1)
    for code, days in ((450, 0), (450, 0), (550, 0), (421, 2)):
        Attempt.objects.create(
            tenant=scene.tenant, message_ref=1, mailbox_ref=scene.boxes[0].pk, at=NOON - timedelta(days=days),
            phase="rcpt", code=code, enhanced="4.7.1", result="deferred",
        )  # fmt: skip

    rows = explain_mailbox.mailbox(scene.boxes[0], scene.now).as_dict()["figures"]["attempts"]

    assert [(row["code"], row["count"]) for row in rows] == [(450, 2), (550, 1)]


def test_a_tenant_is_told_by_campaign_pool_and_state():
    scene = Scene(20, 4, fleet={"daily_cap": 3, "each": lambda i: {"state": "quarantined"} if i == 3 else {}})

    found = explain.tenant(scene.tenant, scene.now, queue=LISTENING)

    assert (found.waiting, found.ready) == (20, 9)
    assert [(cause.kind, cause.name, cause.decides) for cause in found.causes] == [
        ("cap", "mailbox_day", 8), ("circuit", "quarantined", 3),
    ]  # fmt: skip
    figures = found.as_dict()["figures"]
    assert figures["campaigns"] == [
        {"name": scene.campaign.name, "status": "running", "waiting": 20, "ready": 9,
         "first": "the mailboxes' daily cap"},
    ]  # fmt: skip
    assert [(row["mailboxes"], row["sending"], row["used"], row["cap"], row["left"]) for row in figures["pools"]] == [
        (4, 3, 0, 9, 9)
    ]
    assert [(row["state"], row["why"], row["mailboxes"], row["lost"]) for row in figures["mailboxes"]] == [
        ("active", "sends", 3, 0), ("quarantined", "mailboxes in quarantine", 1, 3),
    ]  # fmt: skip


def test_it_asks_no_more_for_more_mailboxes_campaigns_and_people():
    def asked() -> list[int]:
        found = []
        for act, row in (
            (explain.campaign, scene.campaign), (explain.tenant, scene.tenant),
            (explain_mailbox.mailbox, Mailbox.objects.get(pk=scene.boxes[0].pk)),
        ):  # fmt: skip
            with CaptureQueriesContext(connection) as queries:
                act(row, scene.now, queue=LISTENING)
            found.append(len(queries))
        return found

    scene = Scene(8, 2, fleet={"hold": "none"})
    Mailbox.objects.filter(pk=scene.boxes[1].pk).update(hold="locked")
    few = asked()
    pool = scene.boxes[0].pool
    factories.fleet(scene.tenant, 60, pool=pool, domains=9, each=lambda i: {"hold": "locked"} if i % 3 else {})
    listed = factories.contact_list(scene.tenant)
    factories.people(scene.tenant, listed, 80)
    for _ in range(3):
        factories.campaign(scene.tenant, pool, listed, status="running", started_at=NOON, zones=["UTC", "Asia/Tokyo"])

    assert asked() == few
    assert max(few) <= 60
