"""Random fleets, caps, stops and crashes against the ledger's invariants.

Workers are played here: they claim, ask to commit, pass the dot (a copy in the sink), settle,
or vanish at any point. What a real worker does over SMTP is in tests/faults.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns.ledger import moves, outcomes
from campaigns.ledger.outcome import Outcome
from campaigns.models import Batch, Campaign, Enrolment, Message
from campaigns.pipeline import batcher, planner, reaper, windows
from campaigns.services import campaigns, suppression
from mailboxes.models import Allowance, Mailbox
from mailboxes.services import mailboxes
from outreach import cron
from tenants.services.actors import SYSTEM
from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]

POLICY = outcomes.Policy(lease_seconds=120, dot_lease_seconds=180, retry_seconds=(0,), give_up_seconds=86400)
RESULTS = ("sent", "sent", "sent", "deferred", "failed", "uncertain", "returned", "crash_before_dot", "crash_after_dot")


@dataclass
class World:
    """The sink's book, the workers that vanished, and the stops that were committed."""

    campaign: Campaign
    copies: Counter[str] = field(default_factory=Counter)
    acknowledged: set[int] = field(default_factory=set)
    dots: Counter[int] = field(default_factory=Counter)
    stopped_contacts: set[int] = field(default_factory=set)
    paused: bool = False

    def plan(self) -> None:
        planner.run(self.campaign.tenant, cron.now())
        batcher.run(self.campaign.tenant_id)

    def work(self, take: int, results: list[str]) -> None:
        """One worker: claim some batches, then end each message in one of the ways."""
        batches = list(Batch.objects.filter(done_at=None, tenant=self.campaign.tenant).order_by("?")[:take])
        token, now = uuid4(), cron.now()
        claimed = moves.claim(
            [batch.pk for batch in batches], token, lease_seconds=120,
            day=windows.day_of(now, windows.ZoneInfo("UTC")), hour=windows.hour_of(now),
        )  # fmt: skip
        for message, result in zip(claimed, itertools.cycle(results), strict=False):
            self.send(message, token, result)
        moves.release_mailboxes(token)
        moves.finish_batches([batch.pk for batch in batches])

    def send(self, message: moves.Claimed, token: UUID, result: str) -> None:
        row = Message.objects.get(pk=message.id)
        with connection.cursor() as cursor:
            granted = outcomes.write(cursor, token, POLICY, wanted=[message.id])
            if not granted:
                return
            assert row.contact_id not in self.stopped_contacts, "I4: committed after a stop"
            assert not self.paused, "I4: committed while paused"
            if result == "crash_before_dot":
                return
            if result in ("sent", "uncertain", "crash_after_dot"):
                self.copies[message.message_id] += 1
                self.dots[message.mailbox_id] += 1
                self.acknowledged.add(message.id)
            if result != "crash_after_dot":
                suppress = result == "failed"
                outcome = Outcome(message.id, message.mailbox_id, result, phase="dot", code=550, suppress=suppress)
                outcomes.write(cursor, token, POLICY, settled=[outcome])
                if suppress:
                    self.stopped_contacts.add(row.contact_id)

    def lapse(self) -> None:
        """Every lease runs out at once."""
        with connection.cursor() as cursor:
            cursor.execute("UPDATE campaigns_message SET lease_until = now() - interval '1 s' WHERE claim IS NOT NULL")
            cursor.execute("UPDATE mailboxes_mailbox SET held_until = now() WHERE held_by IS NOT NULL")
        reaper.reap()

    def unsubscribe(self, index: int) -> None:
        rows = list(Message.objects.filter(tenant=self.campaign.tenant).order_by("pk"))
        if rows:
            row = rows[index % len(rows)]
            suppression.unsubscribe(row.tenant_id, row.pk, actor=SYSTEM, via="test")
            self.stopped_contacts.add(row.contact_id)

    def toggle(self) -> None:
        act = campaigns.resume if self.paused else campaigns.pause
        self.campaign.refresh_from_db()
        if self.campaign.status in ("running", "paused"):
            act(self.campaign, actor=SYSTEM, reason="")
            self.paused = not self.paused

    def quarantine(self, index: int) -> None:
        active = list(Mailbox.objects.filter(tenant=self.campaign.tenant, state="active").order_by("pk"))
        if len(active) > 1:
            mailboxes.quarantine(active[index % len(active)], actor=SYSTEM, reason="test")

    def lower_cap(self, index: int, cap: int) -> None:
        boxes = list(Mailbox.objects.filter(tenant=self.campaign.tenant).order_by("pk"))
        box = boxes[index % len(boxes)]
        if box.daily_cap > cap:
            mailboxes.set_cap(box, cap, actor=SYSTEM)

    def check(self) -> None:
        """I1 to I3 and I5; I4 is checked at each commit."""
        mine = Message.objects.filter(tenant=self.campaign.tenant)
        for enrolment in Enrolment.objects.filter(campaign=self.campaign).prefetch_related("messages"):
            rows = list(enrolment.messages.all())
            assert len(rows) <= 1, "I1: two rows"
            assert enrolment.status != "active" or rows or enrolment.due_at, "I1: nobody thinks of this person"
            assert enrolment.due_at is None or not rows, "I1: due although a message is there"
        assert max(self.copies.values(), default=0) <= 1, f"I2: {self.copies.most_common(3)}"
        told = set(mine.filter(status__in=["sent", "committing", "uncertain"]).values_list("pk", flat=True))
        assert self.acknowledged <= told, "I3: a copy that the ledger does not know"
        out = mine.filter(mailbox__state="quarantined", status__in=["planned", "claimed"])
        assert not out.exists(), "a mailbox in quarantine has something to send"
        for allowance in Allowance.objects.filter(tenant=self.campaign.tenant):
            assert allowance.reserved <= allowance.cap, "I5"
        caps = dict(
            Allowance.objects.filter(tenant=self.campaign.tenant, scope="mailbox_day").values_list("key", "cap")
        )
        for mailbox_id, dots in self.dots.items():
            assert dots <= caps[mailbox_id], "I5: more mails than the cap"


acts = st.one_of(
    st.tuples(st.just("plan")),
    st.tuples(st.just("plan")),
    st.tuples(st.just("work"), st.integers(1, 3), st.lists(st.sampled_from(RESULTS), min_size=1, max_size=6)),
    st.tuples(st.just("work"), st.integers(1, 3), st.lists(st.sampled_from(RESULTS), min_size=1, max_size=6)),
    st.tuples(st.just("lapse")),
    st.tuples(st.just("unsubscribe"), st.integers(0, 50)),
    st.tuples(st.just("toggle")),
    st.tuples(st.just("quarantine"), st.integers(0, 5)),
    st.tuples(st.just("lower_cap"), st.integers(0, 5), st.integers(0, 6)),
)


@pytest.mark.fault("F01", "F02", "F03", "F04")
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    fleet=st.lists(st.tuples(st.integers(1, 12), st.sampled_from([1, 2, 5])), min_size=1, max_size=5),
    people=st.integers(1, 40),
    caps=st.tuples(st.one_of(st.none(), st.integers(1, 30)), st.one_of(st.none(), st.integers(1, 30))),
    script=st.lists(acts, min_size=5, max_size=25),
)
def test_no_script_of_crashes_and_stops_breaks_an_invariant(fleet, people, caps, script):
    tenant = factories.tenant(daily_cap=caps[0])
    boxes = factories.fleet(
        tenant, len(fleet), domains=2, each=lambda i: {"daily_cap": fleet[i][0], "weight": fleet[i][1]}
    )
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, people)
    draft = factories.campaign(tenant, boxes[0].pool, listed, daily_cap=caps[1], batch_size=50)
    world = World(campaigns.start(draft, actor=SYSTEM))

    for act, *arguments in [("plan",), *script]:
        getattr(world, act)(*arguments)
        world.check()
