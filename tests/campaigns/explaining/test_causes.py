"""Causes that the planner does not know of by itself, or that are nobody's mailbox: each with its count and its end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from campaigns.models import Contact, Message, PlanRun, Stop
from campaigns.pipeline import explain, planner
from campaigns.pipeline.explain_stops import Queue
from mailboxes.models import Mailbox, ProviderAccount, QuotaGroup, ReceiverLimit
from mailboxes.services import mailboxes
from outreach.common import isolation
from tenants.models import Approval, Lease
from tests import factories
from tests.campaigns.explaining.situations import LISTENING, NOON, TOMORROW, Scene

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def first(scene: Scene, **asked: Any) -> tuple[Any, ...]:
    """What decides most: kind, name, how many, and when the next can go."""
    found = explain.campaign(scene.campaign, scene.now, **{"queue": LISTENING, **asked})
    assert found.waiting == found.ready + sum(cause.decides for cause in found.causes)
    cause = found.causes[0]
    return cause.kind, cause.name, cause.decides, cause.next_at


def none(scene: Scene) -> bool:
    found = scene.explained()
    return found.causes == [] and found.ready == scene.people


# --- Stops -------------------------------------------------------------------------------------------------


def stop(scene: Scene, scope: str, **values: Any) -> Stop:
    keys = {
        "tenant": scene.tenant.pk, "pool": scene.boxes[0].pool_id, "campaign": scene.campaign.pk,
        "account": scene.boxes[0].home_id, "domain": scene.boxes[0].domain_id,
    }  # fmt: skip
    fields = {"tenant": scene.tenant, "key": keys.get(scope), "label": "what", "reason": "complaints"}
    return Stop.objects.create(**{**fields, "scope": scope, "until": NOON + 2 * HOUR, **values})


@pytest.mark.parametrize("scope", ["platform", "tenant", "pool", "campaign", "account", "domain", "organisation"])
def test_an_open_stop_holds_all_that_it_covers(scope):
    scene = Scene(mailboxes=1)
    values: dict[str, Any] = {}
    if scope in ("platform", "organisation"):
        values = {"tenant": None, "key": None}
    if scope == "organisation":
        group = QuotaGroup.objects.create(name="host", kind="other")
        scene.change(ProviderAccount, quota_group=group)
        values["key"] = group.pk

    row = stop(scene, scope, **values)

    assert first(scene) == ("stop", scope, 20, NOON + 2 * HOUR)
    (cause,) = scene.explained().causes
    assert "complaints" in cause.title
    assert (cause.since, cause.link.pk) == (row.since, row.pk)
    row.lifted_at = NOON
    row.save()
    assert none(scene)


def test_a_stop_whose_time_is_over_or_that_is_anothers_holds_nothing():
    scene, other = Scene(), Scene()
    stop(scene, "campaign", until=NOON)
    stop(scene, "campaign", key=other.campaign.pk)
    stop(other, "tenant")

    assert none(scene)


def test_a_stop_of_one_domain_holds_what_the_other_can_not_take_today():
    scene = Scene(20, 2, fleet={"daily_cap": 8})
    stop(scene, "domain")

    found = scene.explained()

    assert found.ready == 8
    assert [(cause.kind, cause.name, cause.decides) for cause in found.causes] == [
        ("stop", "domain", 8), ("cap", "mailbox_day", 4),
    ]  # fmt: skip


def test_a_stop_of_a_receiver_holds_the_people_whose_mail_it_runs():
    scene = Scene()
    Contact.objects.filter(pk__in=[contact.pk for contact in scene.contacts[:6]]).update(operator="google")
    stop(scene, "receiver", key=None, operator="google")
    stop(scene, "receiver", key=None, operator="yahoo")

    assert first(scene) == ("stop", "receiver", 6, NOON + 2 * HOUR)
    assert scene.explained().ready == 14


def test_a_stop_of_one_sending_domains_mail_to_a_receiver_holds_nobody_while_another_may():
    scene = Scene(mailboxes=2)
    Contact.objects.update(operator="google")
    names = sorted({box.domain.organisational for box in Mailbox.objects.select_related("domain")})
    assert len(names) == 2
    stop(scene, "receiver", key=None, operator="google", organisational=names[0])
    assert none(scene)

    stop(scene, "receiver", key=None, operator="google", organisational=names[1])
    assert first(scene)[:3] == ("stop", "receiver", 20)


def test_a_tenants_person_learns_of_the_platforms_stop_only_that_it_holds():
    scene = Scene()
    stop(scene, "platform", tenant=None, key=None, reason="the other client's blocklisting")

    with isolation.tenants([scene.tenant.pk]):
        found = explain.campaign(scene.campaign, scene.now, queue=LISTENING, knows_platform=False)

    (cause,) = found.causes
    assert (cause.title, cause.count, cause.next_at) == ("a stop of the platform", 20, NOON + 2 * HOUR)
    assert cause.link is None
    assert "blocklisting" not in str(found.as_dict())


# --- Approvals ---------------------------------------------------------------------------------------------


def wish(scene: Scene, act: str, subject: Any, **terms: Any) -> Approval:
    return Approval.objects.create(
        tenant=scene.tenant, act=act, subject=subject._meta.label, subject_id=subject.pk, terms=terms, reason="why",
        expires_at=NOON + timedelta(days=3),
    )  # fmt: skip


def test_a_launch_that_waits_for_a_second_person_holds_the_people_of_its_list():
    scene = Scene()
    draft = factories.campaign(scene.tenant, scene.boxes[0].pool, scene.campaign.contact_list)
    held = explain.campaign(draft, scene.now).causes
    assert [(cause.kind, cause.name, cause.decides) for cause in held] == [("stop", "campaign_draft", 20)]

    row = wish(scene, "campaign.launch", draft, contacts=20)

    (cause,) = explain.campaign(draft, scene.now).causes
    assert (cause.kind, cause.name, cause.decides, cause.since) == ("approval", "campaign.launch", 20, row.asked_at)
    assert cause.link.pk == row.pk
    of_tenant = explain.tenant(scene.tenant, scene.now, queue=LISTENING)
    assert (of_tenant.waiting, of_tenant.ready, of_tenant.causes[0].kind) == (40, 20, "approval")


@pytest.mark.parametrize("act", ["mailbox.release", "account.reopen"])
def test_a_release_that_waits_for_a_second_person_is_what_holds_the_mail(act):
    scene = Scene(mailboxes=1)
    scene.change(Mailbox, state="quarantined" if act == "mailbox.release" else "active")
    scene.change(ProviderAccount, state="paused" if act == "account.reopen" else "active")
    row = wish(scene, act, scene.boxes[0] if act == "mailbox.release" else scene.boxes[0].home)
    assert first(scene) == ("approval", act, 20, None)

    row.state = "withdrawn"
    row.save()
    assert first(scene)[0] == "circuit"


# --- Limits that are shared --------------------------------------------------------------------------------


def group_of(scene: Scene, **values: Any) -> QuotaGroup:
    group = QuotaGroup.objects.create(**{"name": "host", "kind": "other", **values})
    scene.change(ProviderAccount, quota_group=group)
    return group


def test_a_domains_day_and_an_accounts_hour_are_named_with_their_numbers():
    scene = Scene(mailboxes=1)
    box = scene.boxes[0]
    box.domain.daily_cap, box.domain.ramp_cap = 30, None
    box.domain.save()
    scene.use_up("domain_day", [box.domain_id], 30, scene.day)

    assert first(scene) == ("cap", "domain_day", 20, TOMORROW)
    (cause,) = scene.explained().causes
    assert (cause.used, cause.cap) == (30, 30)

    scene.free_again()
    scene.change(ProviderAccount, hourly_cap=25)
    scene.use_up("account_hour", [box.home_id], 25, scene.now)
    assert first(scene) == ("cap", "account_hour", 20, NOON + HOUR)
    scene.free_again()
    assert none(scene)


def test_a_quota_rolls_over_the_hours():
    scene = Scene(mailboxes=1)
    group = group_of(scene, daily_cap=100)
    scene.use_up("quota_hour", [group.pk], 60, scene.now - 24 * HOUR, of_platform=True)
    scene.use_up("quota_hour", [group.pk], 35, scene.now, of_platform=True)
    scene.use_up("quota_hour", [group.pk], 1000, scene.now - 25 * HOUR, of_platform=True)  # counts no more

    assert first(scene) == ("cap", "quota_hour", 15, NOON + HOUR)
    assert scene.explained().ready == 5
    (cause,) = scene.explained().causes
    assert (cause.used, cause.cap) == (95, 100)


def test_what_a_host_lets_one_mailbox_send_rolls_too():
    scene = Scene(mailboxes=1)
    group_of(scene, kind="workspace", user_daily_cap=50)
    scene.use_up("mailbox_hour", [scene.boxes[0].pk], 50, scene.now - 3 * HOUR)

    assert first(scene) == ("cap", "mailbox_hour", 20, NOON + 22 * HOUR)


def test_a_receiver_that_takes_no_more_holds_its_people():
    scene = Scene(mailboxes=1)
    Contact.objects.filter(pk__in=[contact.pk for contact in scene.contacts[:6]]).update(operator="google")
    ReceiverLimit.objects.update_or_create(operator="google", defaults={"hourly_cap": 10, "daily_cap": None})
    key = factories.receiver_key(scene.boxes[0].domain.organisational, "google")
    scene.use_up("receiver_hour", [key], 10, scene.now, of_platform=True)

    assert first(scene) == ("cap", "receiver_hour", 6, NOON + HOUR)
    assert scene.explained().ready == 14
    assert scene.explained().causes[0].title == "what google takes from the sending domains"


def test_a_tenants_person_learns_no_number_of_a_shared_limit():
    scene = Scene(mailboxes=1)
    group = group_of(scene, name="Contoso of another client", daily_cap=77)
    scene.use_up("quota_hour", [group.pk], 77, scene.now, of_platform=True)

    with isolation.tenants([scene.tenant.pk]):
        found = explain.campaign(scene.campaign, scene.now, queue=LISTENING, knows_platform=False)

    (cause,) = found.causes
    assert (cause.title, cause.decides, cause.used, cause.cap) == ("a limit of the platform", 20, None, None)
    assert "77" not in str(found.as_dict())
    assert "Contoso" not in str(found.as_dict())


def test_suppressions_of_the_platform_count_for_who_can_not_see_them():
    from campaigns.services import suppression

    scene = Scene()
    for contact in scene.contacts[:8]:
        row = suppression.entry(contact.email_key, suppression.hasher())
        row.scope, row.reason = "platform", "manual"
        row.save()

    with isolation.tenants([scene.tenant.pk]):
        found = explain.campaign(scene.campaign, scene.now, queue=LISTENING, knows_platform=False)

    assert [(cause.kind, cause.name, cause.decides) for cause in found.causes] == [("gate", "suppressed", 8)]
    assert found.ready == 12
    assert planner.run(scene.tenant, scene.now).planned == 12
    assert {number.name: number.count for number in scene.explained().ended} == {"suppressed": 8}


# --- The machinery -----------------------------------------------------------------------------------------


def test_nobody_leads():
    scene = Scene()
    ended = NOON - HOUR
    Lease.objects.update(until=ended)

    assert first(scene)[:3] == ("worker", "cron", 20)
    assert scene.explained().causes[0].since == ended


def test_the_planner_has_not_run_for_longer_than_twice_its_interval():
    scene = Scene()
    scene.campaign.enrolments.update(due_at=NOON - HOUR)
    ran = {"tenant": scene.tenant, "finished_at": NOON, "seconds": 0}
    PlanRun.objects.create(started_at=NOON - timedelta(seconds=121), **ran)
    assert first(scene)[:3] == ("worker", "planner", 20)

    PlanRun.objects.create(started_at=NOON - timedelta(seconds=119), **ran)
    assert none(scene)


@pytest.mark.parametrize(
    ("queue", "name"),
    [
        (Queue(asked=True, listeners=0), "not_read"), (Queue(asked=True, down=True), "no_queue"),
        (LISTENING, "not_taken"),
    ],
)  # fmt: skip
def test_planned_mail_that_does_not_leave(queue, name):
    scene = Scene()
    planner.run(scene.tenant, scene.now)
    scene.now += timedelta(seconds=31)
    Lease.objects.update(until=scene.now + HOUR)

    found = scene.explained(queue)

    (cause,) = found.causes
    assert (cause.name, cause.decides, cause.since) == (name, 20, NOON)
    assert (found.waiting, found.sentence.startswith("0 of 20 sent today. 20 wait: 20 for")) == (20, True)


def test_planned_mail_of_a_mailbox_in_use_waits_for_that():
    scene = Scene(mailboxes=1)
    planner.run(scene.tenant, scene.now)
    scene.now += timedelta(seconds=31)
    Lease.objects.update(until=scene.now + HOUR)
    Mailbox.objects.update(held_by="00000000-0000-0000-0000-000000000001", held_until=scene.now + HOUR)

    (cause,) = scene.explained().causes

    assert (cause.kind, cause.name, cause.decides) == ("queue", "mailbox_busy", 20)


def test_since_when_comes_from_the_history():
    from tenants.services.actors import SYSTEM

    scene = Scene(mailboxes=1)
    mailboxes.quarantine(scene.boxes[0], actor=SYSTEM, reason="bounces")

    (cause,) = scene.explained().causes

    assert cause.name == "quarantined"
    assert cause.since is not None
    assert Message.objects.count() == 0
