"""A quarantine beside planners and senders: whoever comes first, nothing is left for the mailbox."""

from __future__ import annotations

from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns.ledger import moves, outcomes
from campaigns.models import Batch, Enrolment, Message
from campaigns.pipeline import batcher, planner, windows
from campaigns.services import campaigns
from mailboxes.models import Mailbox, QuarantineCase
from mailboxes.services import mailboxes
from outreach import cron
from tenants.services.actors import SYSTEM
from tests import factories
from tests.campaigns.test_crossings import POLICY, beside, stands_still

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]


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
