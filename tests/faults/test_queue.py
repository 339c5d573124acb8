"""The queue forgets, or says everything five times: F12, F17."""

from __future__ import annotations

import pytest
import redis
from django.db.models import Sum

from campaigns.models import Batch, PlanRun
from campaigns.pipeline import batcher
from mailboxes.models import Allowance
from outreach import embedded
from outreach.common import queues
from tests.faults.conftest import CONTACTS, MAILBOXES, House, nursery_of, until
from tests.faults.sink import Rule

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.as_worker]


@pytest.fixture
def own_queue(tmp_path):
    """A Valkey that nobody else uses."""
    server = embedded.Valkey(tmp_path / "queue")
    server.root.mkdir()
    server.start()
    yield server
    server.stop()


def emptied(client: redis.Redis) -> int:
    """Flush the queue; return how many hints it held at that instant."""
    with client.pipeline(transaction=True) as both:
        held, _ = both.llen("rq:queue:send").flushall().execute()
    return held


@pytest.mark.fault("F12")
def test_a_queue_emptied_in_mid_campaign_costs_nothing(
    process_env, own_queue, nurseries, tmp_path, launch, sink, compare
):
    sink.rules(Rule("dot", delay_seconds=40 / CONTACTS))
    nursery = nursery_of(nurseries, process_env | {"REDIS_URL": own_queue.url()})
    house = House(nursery, tmp_path)
    try:
        campaign = launch(batch_size=50)
        house.cron(JOB_MESSAGES=50)
        until(lambda: emptied(own_queue.client()), "hints are lost that nobody has taken yet")
        house.workers()
        for share in (0.05, 0.3, 0.6):
            until(lambda share=share: len(sink.read_book().accepted) >= share * CONTACTS, f"{share:.0%} are sent")
            emptied(own_queue.client())
        house.finish(campaign)
    finally:
        house.close()
        print(house.logs())  # noqa: T201

    assert compare(campaign).states() == {"sent": CONTACTS}


@pytest.mark.fault("F17")
def test_hints_told_five_times_and_two_schedulers_send_once(house, launch, sink, compare):
    campaign = launch()
    house.cron(forced=True)
    house.cron(forced=True)
    house.workers()

    def told_again() -> bool:
        for pk in Batch.objects.filter(done_at=None).values_list("pk", flat=True):
            for _ in range(5):
                queues.ring(batcher.SEND_TASK, campaign.tenant_id, [pk])
        campaign.refresh_from_db()
        return campaign.status == "completed"

    until(told_again, "the campaign's end")
    house.finish(campaign)

    books = compare(campaign)
    assert books.states() == {"sent": CONTACTS}
    assert {row.tries for row in books.rows} == {1}
    assert books.book.aborted == []  # nobody offered a mail that was another's
    assert PlanRun.objects.filter(tenant=campaign.tenant).aggregate(n=Sum("planned"))["n"] == CONTACTS
    held = Allowance.objects.filter(tenant=campaign.tenant, scope="mailbox_day")
    assert (held.count(), held.aggregate(n=Sum("reserved"))["n"]) == (MAILBOXES, CONTACTS)
