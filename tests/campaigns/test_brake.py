"""The swap brake, and the probe that ends a quarantine."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils.timezone import now

from campaigns.models import Attempt, Message
from campaigns.pipeline import planner
from campaigns.services import campaigns
from mailboxes.models import Mailbox, QuarantineCase
from mailboxes.services import mailboxes, quarantine
from outreach import cron
from outreach.common.errors import NotReady
from tenants.models import AuditEntry
from tenants.services.actors import SYSTEM
from tests import factories
from tests.campaigns.pools import Pool

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]


@pytest.fixture
def wide():
    """A pool of 9 with three reserves: two may be taken out in a day."""
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
