"""A mailbox is taken out of use: its people, threads and retries go where the campaign's policy says."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction
from django.utils.timezone import now
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns.ledger import moves, outcomes
from campaigns.models import Attempt, Batch, Campaign, Enrolment, Message
from campaigns.pipeline import batcher, planner, windows
from campaigns.services import campaigns
from mailboxes.models import Mailbox, QuarantineCase
from mailboxes.services import mailboxes, quarantine, reserves
from outreach import cron
from outreach.common.errors import BadInput, InvalidMove, NotAllowed, NotReady
from tenants.models import AuditEntry
from tenants.services import actors
from tenants.services.actors import SYSTEM
from tests import factories
from tests.campaigns.test_crossings import POLICY, beside, stands_still

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]


class Pool:
    """A sick mailbox, a reserve, and campaigns that have people in the middle of everything."""

    def __init__(self, reserve: bool = True) -> None:
        self.tenant = factories.tenant()
        self.pool = factories.pool(self.tenant)
        self.sick, self.other = factories.fleet(self.tenant, 2, pool=self.pool)
        self.reserve = factories.fleet(self.tenant, 1, pool=self.pool, state="reserve")[0] if reserve else None

    def campaign(self, handover: str, **changes) -> Campaign:
        return factories.campaign(
            self.tenant, self.pool, factories.contact_list(self.tenant), status="running", handover=handover, steps=2,
            started_at=now(), zones=["UTC"], **changes,
        )  # fmt: skip

    def person(self, campaign: Campaign, step: int, status: str = "", tries: int = 0, **changes) -> Enrolment:
        """Bound to the sick mailbox: due, or with a message of that status."""
        contact = factories.people(self.tenant, None, 1)[0]
        due = {"due_at": now()} if not status else {"due_at": None, "waits_for": "message"}
        who = Enrolment.objects.create(
            **{"tenant": self.tenant, "campaign": campaign, "contact": contact, "mailbox": self.sick, "step": step,
               "zone": "UTC"} | due | changes
        )  # fmt: skip
        if status:
            held = {"claim": uuid4(), "lease_until": now() + timedelta(minutes=2)}
            Message.objects.create(
                tenant=self.tenant, campaign=campaign, enrolment=who, contact=contact, mailbox=self.sick,
                step=campaign.steps.get(position=step), status=status, tries=tries, due_at=now(), day_on=now().date(),
                not_after=now() + timedelta(hours=1), message_id=f"{uuid4()}@x.example",
                sent_at=now() if status == "sent" else None,
                **(held if status in ("claimed", "committing") else {}),
            )  # fmt: skip
        return who

    def everybody(self, campaign: Campaign) -> dict[str, Enrolment]:
        """One of each kind."""
        return {
            "thread": self.person(campaign, 2),
            "thread planned": self.person(campaign, 2, "planned"),
            "thread later": self.person(campaign, 2, due_at=now() + timedelta(days=3)),
            "retry": self.person(campaign, 1, "deferred", 1),
            "retry planned": self.person(campaign, 1, "planned", 1),
            "retry claimed": self.person(campaign, 2, "claimed", 2),
            "new": self.person(campaign, 1, "planned"),
            "new claimed": self.person(campaign, 1, "claimed"),
            "past the dot": self.person(campaign, 1, "committing"),
            "in doubt": self.person(campaign, 2, "uncertain"),
        }


BOUND = ("thread", "thread planned", "thread later", "retry", "retry planned", "retry claimed")
RETRIES = ("retry", "retry planned", "retry claimed")


def where(people: dict[str, Enrolment]) -> dict[str, tuple]:
    """Of each: the mailbox, the status with its reason, and the first step of the thread."""
    found = {}
    for name, who in people.items():
        who.refresh_from_db()
        found[name] = (who.mailbox_id, who.status, who.stop_reason, who.thread_from)
    return found


def untouched(people: dict[str, Enrolment], sick: int) -> None:
    """Who may have got a mail stays as he is; who was not written to is free."""
    for name in ("past the dot", "in doubt"):
        people[name].refresh_from_db()
        message = people[name].messages.get()
        assert (message.mailbox_id, people[name].mailbox_id, people[name].status) == (sick, sick, "active")
        assert message.status == {"past the dot": "committing", "in doubt": "uncertain"}[name]
    for name in ("new", "new claimed"):
        people[name].refresh_from_db()
        assert (people[name].mailbox_id, people[name].status, people[name].messages.count()) == (None, "active", 0)
        assert people[name].due_at is not None


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


# --- The brake ------------------------------------------------------------------------------------------------


@pytest.fixture
def wide():
    """A pool of 8 with two reserves: two may be taken out in a day."""
    tenant = factories.tenant()
    pool = factories.pool(tenant)
    boxes = factories.fleet(tenant, 6, pool=pool)
    spare = factories.fleet(tenant, 3, pool=pool, state="reserve")
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, 30)
    campaign = campaigns.start(factories.campaign(tenant, pool, listed), actor=SYSTEM)
    elsewhere = factories.campaign(tenant, factories.pool(tenant), listed, status="running")
    planner.run(tenant, cron.now())
    return campaign, elsewhere, boxes, spare


def test_beyond_the_brake_a_rule_halts_the_campaigns_and_leaves_everything_else(wide):
    campaign, elsewhere, boxes, spare = wide
    for box in boxes[:2]:
        mailboxes.quarantine(box, actor=SYSTEM, reason="bounces", by_rule=True)
    mailbox_rows = list(Mailbox.objects.order_by("pk").values("state", "state_reason"))

    mailboxes.quarantine(boxes[2], actor=SYSTEM, reason="bounces", by_rule=True)

    campaign.refresh_from_db()
    elsewhere.refresh_from_db()
    assert (campaign.status, elsewhere.status) == ("halted", "running")
    assert campaign.status_reason.startswith("Swap brake: 2 mailboxes of Pool ")
    assert list(Mailbox.objects.order_by("pk").values("state", "state_reason")) == mailbox_rows
    assert QuarantineCase.objects.count() == 2
    assert not Message.objects.filter(status__in=["planned", "claimed"]).exists()
    assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))[-2:] == [
        "campaign.halted", "mailbox.brake_pulled",
    ]  # fmt: skip


def test_beyond_the_brake_a_persons_quarantine_holds_but_no_reserve_comes(wide):
    campaign, _elsewhere, boxes, spare = wide
    for box in boxes[:3]:
        mailboxes.quarantine(box, actor=SYSTEM, reason="bounces")

    campaign.refresh_from_db()
    assert campaign.status == "halted"
    assert list(QuarantineCase.objects.order_by("pk").values_list("swap", flat=True)) == [
        "promoted", "promoted", "braked",
    ]  # fmt: skip
    assert Mailbox.objects.filter(state="reserve").count() == 1
    assert not Message.objects.filter(status__in=["planned", "claimed"]).exists()


def test_a_person_who_wants_no_reserve_pulls_no_brake(wide):
    campaign, _elsewhere, boxes, spare = wide
    for box in boxes[:3]:
        mailboxes.quarantine(box, actor=SYSTEM, reason="bounces", promote=False)

    campaign.refresh_from_db()
    assert campaign.status == "running"
    assert Mailbox.objects.filter(state="quarantined").count() == 3


def test_the_brake_lets_go_after_a_day(wide):
    campaign, _elsewhere, boxes, _spare = wide
    for box in boxes[:2]:
        mailboxes.quarantine(box, actor=SYSTEM, reason="bounces")
    QuarantineCase.objects.update(opened_at=now() - timedelta(hours=25))

    mailboxes.quarantine(boxes[2], actor=SYSTEM, reason="bounces", by_rule=True)

    campaign.refresh_from_db()
    assert campaign.status == "running"
    assert Mailbox.objects.filter(state="quarantined").count() == 3


# --- The probe ------------------------------------------------------------------------------------------------


def test_clean_mails_are_counted_from_the_last_bad_one(db):
    pool = Pool()
    campaign = pool.campaign("wait")
    mailboxes.quarantine(pool.sick, actor=SYSTEM, reason="bounces")
    mailboxes.probe(pool.sick, actor=SYSTEM, reason="all the same")
    began = now() - timedelta(days=4)
    QuarantineCase.objects.update(probing_since=began)

    def sent(n: int, hours: int, outcome: str = "") -> None:
        for _ in range(n):
            who = pool.person(campaign, 1, "sent", 1)
            who.messages.update(sent_at=began + timedelta(hours=hours), outcome=outcome)

    sent(3, -1)
    sent(4, 1)
    sent(1, 2, "bounced")
    sent(19, 3, "delivered")
    case = quarantine.open_case(pool.sick)
    found = quarantine.probation(pool.sick, case)
    assert (found["clean"], found["sent"], found["bad"]) == (19, 24, 1)
    with pytest.raises(NotReady, match="19 of 20"):
        mailboxes.release(pool.sick, actor=SYSTEM)

    sent(1, 4)
    mailboxes.release(pool.sick, actor=SYSTEM)

    pool.sick.refresh_from_db()
    assert pool.sick.state == "active"


def test_a_refusal_ends_the_row_of_clean_mails():
    pool = Pool()
    mailboxes.quarantine(pool.sick, actor=SYSTEM, reason="bounces")
    mailboxes.probe(pool.sick, actor=SYSTEM, reason="all the same")
    who = pool.person(pool.campaign("wait"), 1, "sent", 1)
    Attempt.objects.create(
        tenant=pool.tenant, message_ref=who.pk, mailbox_ref=pool.sick.pk, at=now(), phase="rcpt", code=550,
        result="failed",
    )  # fmt: skip

    found = quarantine.probation(pool.sick, quarantine.open_case(pool.sick))

    assert (found["clean"], found["sent"], found["bad"]) == (0, 2, 1)


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


# --- Races ----------------------------------------------------------------------------------------------------


@pytest.fixture
def running(transactional_db):
    """Twenty people planned to two mailboxes, with a reserve behind them."""
    tenant = factories.tenant()
    boxes = factories.fleet(tenant, 2)
    factories.fleet(tenant, 1, pool=boxes[0].pool, state="reserve")
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, 20)
    campaign = factories.campaign(tenant, boxes[0].pool, listed, handover="new_thread")
    return campaigns.start(campaign, actor=SYSTEM), boxes


def nothing_waits(box: Mailbox) -> None:
    assert not Message.objects.filter(mailbox=box, status__in=["planned", "claimed"]).exists()
    assert not Enrolment.objects.filter(mailbox=box, due_at__isnull=False).exists()


@pytest.mark.django_db(transaction=True)
def test_a_quarantine_takes_back_what_a_planner_was_about_to_write(running):
    campaign, boxes = running
    with transaction.atomic():
        planner.run(campaign.tenant, cron.now())
        assert Message.objects.filter(mailbox=boxes[0]).exists()
        thread = beside(lambda: mailboxes.quarantine(boxes[0], actor=SYSTEM, reason="bounces"))
        stands_still(thread)
    thread.join(60)

    nothing_waits(boxes[0])
    assert Enrolment.objects.filter(status="active").count() == 20


@pytest.mark.django_db(transaction=True)
def test_no_plan_is_made_beside_a_quarantine_and_none_after_it(running):
    campaign, boxes = running
    with transaction.atomic():
        mailboxes.quarantine(boxes[0], actor=SYSTEM, reason="bounces")
        beside(lambda: planner.run(campaign.tenant, cron.now())).join(60)
        assert not Message.objects.exists()
    planner.run(campaign.tenant, cron.now())

    nothing_waits(boxes[0])
    assert Message.objects.filter(status="planned").count() == 20


@pytest.mark.django_db(transaction=True)
def test_a_sender_that_held_the_mailbox_passes_no_dot_after_the_quarantine(running):
    campaign, boxes = running
    planner.run(campaign.tenant, cron.now())
    batcher.run(campaign.tenant_id)
    token, at = uuid4(), cron.now()
    claimed = moves.claim(
        list(Batch.objects.values_list("pk", flat=True)), token, lease_seconds=120,
        day=windows.day_of(at, ZoneInfo("UTC")), hour=windows.hour_of(at),
    )  # fmt: skip
    of_sick = [message.id for message in claimed if message.mailbox_id == boxes[0].pk]
    with transaction.atomic(), connection.cursor() as cursor:
        past = outcomes.write(cursor, token, POLICY, wanted=of_sick[:1])  # it got there first

    mailboxes.quarantine(boxes[0], actor=SYSTEM, reason="bounces")

    with transaction.atomic(), connection.cursor() as cursor:
        granted = outcomes.write(cursor, token, POLICY, wanted=[message.id for message in claimed])
    assert past == set(of_sick[:1])
    assert granted == {message.id for message in claimed if message.mailbox_id != boxes[0].pk}
    assert list(Message.objects.filter(mailbox=boxes[0]).values_list("status", flat=True)) == ["committing"]


@pytest.mark.django_db(transaction=True)
def test_two_levers_at_once_promote_one_reserve_once(running):
    _campaign, boxes = running
    with transaction.atomic():
        mailboxes.quarantine(boxes[0], actor=SYSTEM, reason="bounces")
        thread = beside(lambda: mailboxes.quarantine(boxes[1], actor=SYSTEM, reason="bounces"))
        stands_still(thread)
    thread.join(60)

    assert sorted(QuarantineCase.objects.values_list("swap", flat=True)) == ["none", "promoted"]
    assert Mailbox.objects.filter(state="quarantined").count() == 2


@pytest.mark.django_db(transaction=True)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    fleet=st.integers(2, 4), people=st.integers(1, 30), planned=st.booleans(),
    starts=st.permutations(["plan", "claim", "quarantine"]), handover=st.sampled_from(["wait", "new_thread", "stop"]),
)  # fmt: skip
def test_whoever_comes_first_nothing_is_left_for_a_quarantined_mailbox(fleet, people, planned, starts, handover):
    tenant = factories.tenant()
    boxes = factories.fleet(tenant, fleet)
    factories.fleet(tenant, 1, pool=boxes[0].pool, state="reserve")
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, people)
    campaigns.start(factories.campaign(tenant, boxes[0].pool, listed, handover=handover), actor=SYSTEM)
    if planned:
        planner.run(tenant, cron.now())
        batcher.run(tenant.pk)

    def claim():
        at = cron.now()
        batches = list(Batch.objects.filter(tenant=tenant).values_list("pk", flat=True))
        moves.claim(
            batches, uuid4(), lease_seconds=120, day=windows.day_of(at, ZoneInfo("UTC")), hour=windows.hour_of(at)
        )

    acts = {
        "plan": lambda: planner.run(tenant, cron.now()),
        "claim": claim,
        "quarantine": lambda: mailboxes.quarantine(boxes[0], actor=SYSTEM, reason="bounces"),
    }
    for thread in [beside(acts[name]) for name in starts]:
        thread.join(60)
    planner.run(tenant, cron.now())

    boxes[0].refresh_from_db()
    assert boxes[0].state == "quarantined"
    nothing_waits(boxes[0])
    assert Enrolment.objects.filter(campaign__tenant=tenant, status="active").count() == people
