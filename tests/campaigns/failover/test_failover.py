"""An account goes out in mid-campaign: its mail leaves by the standby, and by itself again when a probe works."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter

import pytest
from django.db import connection
from django.utils.timezone import now

from campaigns.models import Batch, Campaign, Message
from campaigns.pipeline import batcher, loading, planner, reaper, sender
from campaigns.services import campaigns, stops
from mailboxes.models import AccountMinute, Allowance, Mailbox, ProviderAccount, Standby
from mailboxes.services import circuits, mailboxes, providers, routes
from mailboxes.ways.way import WIDTH, of_row
from outreach import cron
from outreach.common.errors import BadInput, NotAllowed
from outreach.demo.sink import Book
from outreach.demo.sink_process import SinkProcess
from tenants.models import AuditEntry
from tenants.services import actors
from tenants.services.actors import SYSTEM
from tests import factories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.as_worker, pytest.mark.fault("F21")]


@pytest.fixture(autouse=True)
def _development(settings):
    settings.SMTP_ALLOW_LOOPBACK = True
    settings.RETRY_SCHEDULE = [0]
    settings.CIRCUIT_FIRST_SECONDS = 3600  # what brings a mailbox back here is its account


@contextlib.contextmanager
def silence():
    """A port on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def house(tmp_path):
    """A running campaign whose account can't be reached, and a standby that works."""
    with silence() as port, SinkProcess(tmp_path / "standby.jsonl") as standby:
        yield House(port, standby)


class House:
    def __init__(self, port, sink, people=40, boxes=8, bases=("consent",)):
        self.tenant, self.sink = factories.tenant(), sink
        self.boxes = factories.fleet(self.tenant, boxes, domains=1, host="127.0.0.1", port=port)
        self.domain, self.home = self.boxes[0].domain, self.boxes[0].home
        self.standby = factories.account(self.tenant, host=sink.host, port=sink.port, allowed_bases=list(bases))
        people_list = factories.contact_list(self.tenant)
        factories.people(self.tenant, people_list, people)
        self.campaign = campaigns.start(factories.campaign(self.tenant, self.boxes[0].pool, people_list), actor=SYSTEM)

    def route(self, ready: bool | None = True):
        routes.set_route(self.domain, [self.standby], actor=SYSTEM)
        Standby.objects.update(ready=ready)

    def work(self, rounds=1):
        """What cron and workers do, one after the other."""
        for _ in range(rounds):
            planner.run(self.tenant, cron.now())
            batcher.run(self.tenant.pk)
            for pk in Batch.objects.filter(done_at=None).values_list("pk", flat=True):
                sender.send_batches(self.tenant.pk, [pk])
            reaper.complete(self.tenant)
        self.campaign.refresh_from_db()
        self.home.refresh_from_db()

    def way(self):
        with connection.cursor() as cursor:
            cursor.execute(loading.BOXES, [[self.boxes[0].pk]])
            return of_row(cursor.fetchone()[:WIDTH])

    def ways(self):
        return set(Mailbox.objects.values_list("standby_id", flat=True))


def actions():
    return list(AuditEntry.objects.filter(subject="mailboxes.ProviderAccount").values_list("action", flat=True))


def test_the_standby_carries_the_mail_of_an_account_that_can_not_be_reached(house):
    house.route()

    house.work()

    assert (house.home.circuit, house.home.failures) == ("open", 1)
    assert house.ways() == {house.standby.pk}
    house.work(4)
    assert house.campaign.status == Campaign.Status.COMPLETED
    copies = Counter(entry.message_id for entry in Book.read(house.sink.path).accepted)
    assert (len(copies), set(copies.values())) == (40, {1})
    assert set(Message.objects.values_list("status", "account_ref")) == {("sent", house.standby.pk)}
    assert Counter(actions())["account.circuit_opened"] == 1
    assert Counter(actions())["account.stood_in_for"] == 1
    broken = AccountMinute.objects.get(account=house.home)
    assert broken.broken == broken.tries >= 3


def test_its_password_is_shown_to_no_other_server(house):
    house.route()
    at_home = house.way()
    house.work()

    abroad = house.way()

    assert (at_home.is_guest, at_home.password()) == (False, factories.PASSWORD)
    assert (abroad.account_id, abroad.is_guest, abroad.password()) == (house.standby.pk, True, "")


def test_it_returns_by_itself_when_a_probe_works(tmp_path, house):
    house.route()
    house.work()
    assert circuits.due() == []  # not before its time
    ProviderAccount.objects.filter(pk=house.home.pk).update(probe_at=now())
    assert circuits.due() == [(house.tenant.pk, house.home.pk)]

    assert circuits.probe(house.tenant.pk, house.home.pk, actor=SYSTEM) == "open"

    house.home.refresh_from_db()
    assert (house.home.circuit, house.home.failures) == ("open", 2)
    assert house.ways() == {house.standby.pk}
    with SinkProcess(tmp_path / "home.jsonl") as back:
        ProviderAccount.objects.filter(pk=house.home.pk).update(port=back.port, probe_at=now())
        assert circuits.probe(house.tenant.pk, house.home.pk, actor=SYSTEM) == "closed"
        assert circuits.probe(house.tenant.pk, house.home.pk, actor=SYSTEM) == "nothing"
        assert house.ways() == {None}
        house.work(3)
        at_home, abroad = Book.read(back.path).accepted, Book.read(house.sink.path).accepted
    assert house.campaign.status == Campaign.Status.COMPLETED
    assert len({entry.message_id for entry in at_home + abroad}) == len(at_home) + len(abroad) == 40
    assert at_home
    assert "account.returned_to" in actions()


@pytest.mark.parametrize("why", ["not_ready", "unknown", "other_basis", "no_basis", "paused", "suspended", "blocked"])
def test_nobody_stands_in_who_may_not(house, why):
    house.route({"not_ready": False, "unknown": None}.get(why, True))
    change = {
        "other_basis": {"allowed_bases": ["existing_customer"]}, "no_basis": {"allowed_bases": []},
        "paused": {"state": "paused"}, "suspended": {"state": "suspended"},
        "blocked": {"blocked_until": now() + circuits.KEPT},
    }.get(why)  # fmt: skip
    if change:
        ProviderAccount.objects.filter(pk=house.standby.pk).update(**change)

    house.work(3)

    assert house.home.circuit == "open"
    assert house.ways() == {None}
    assert not Book.read(house.sink.path).accepted
    assert house.campaign.status == Campaign.Status.RUNNING
    assert not Message.objects.filter(status__in=["sent", "failed", "uncertain"]).exists()


@pytest.mark.parametrize("act", [providers.pause, providers.suspend])
def test_what_was_paused_or_suspended_is_stood_in_for_by_nobody(house, act):
    house.route()
    house.work()
    assert house.ways() == {house.standby.pk}
    before = len(Book.read(house.sink.path).accepted)

    act(house.home, actor=SYSTEM, reason="the host said so")
    house.work(2)

    assert house.ways() == {None}
    assert len(Book.read(house.sink.path).accepted) == before
    paused = act is providers.suspend
    assert house.campaign.status == (Campaign.Status.PAUSED if paused else Campaign.Status.RUNNING)
    if paused:
        assert "the host said so" in house.campaign.status_reason
        with pytest.raises(BadInput, match="host answered"):
            providers.activate(house.home, actor=SYSTEM)
        assert providers.activate(house.home, actor=SYSTEM, reason="ticket 7: reopened").state == "active"


def test_a_stop_of_the_own_account_holds_on_the_standby_too(house):
    house.route()
    house.work()
    stops.pull("account", house.home, actor=SYSTEM, reason="looking into it")

    house.work(2)

    assert not Book.read(house.sink.path).accepted


def test_what_is_uncertain_is_sent_by_no_other_account(house):
    house.route()
    house.work()
    planner.run(house.tenant, cron.now())
    doubtful = Message.objects.filter(status="planned").first()
    Message.objects.filter(pk=doubtful.pk).update(status="uncertain", account_ref=house.home.pk)

    house.work(4)

    assert doubtful.message_id not in {e.message_id.strip("<>") for e in Book.read(house.sink.path).accepted}
    doubtful.refresh_from_db()
    assert doubtful.status == "uncertain"


def test_the_standbys_own_limit_holds(house):
    ProviderAccount.objects.filter(pk=house.standby.pk).update(hourly_cap=5)
    house.route()

    house.work(4)

    assert len(Book.read(house.sink.path).accepted) == 5
    hours = Allowance.objects.filter(scope="account_hour", key=house.standby.pk)
    assert all(hour.reserved <= hour.cap for hour in hours)


def test_a_route_is_set_by_who_may_and_names_each_account_once(house):
    with pytest.raises(BadInput, match="only once"):
        routes.set_route(house.domain, [house.standby, house.standby], actor=SYSTEM)
    with pytest.raises(BadInput, match="another tenant"):
        routes.set_route(house.domain, [factories.account(factories.tenant())], actor=SYSTEM)
    analyst = actors.of_grants("user", "analyst", [(house.tenant.pk, "analyst")])
    with pytest.raises(NotAllowed):
        routes.set_route(house.domain, [house.standby], actor=analyst)
    assert not Standby.objects.exists()

    other = factories.account(house.tenant, host="relay.example", port=587)
    routes.set_route(house.domain, [house.standby, other], actor=SYSTEM)
    made = routes.set_route(house.domain, [other, house.standby], actor=SYSTEM)

    assert [(row.account_id, row.position) for row in made] == [(other.pk, 1), (house.standby.pk, 2)]
    assert routes.set_route(house.domain, [], actor=SYSTEM) == []


def test_a_mailbox_that_is_held_is_not_what_a_probe_signs_in_with(house):
    for box in house.boxes[1:]:
        mailboxes.set_hold(box, Mailbox.Hold.SIGN_IN_FAILED, actor=SYSTEM, reason="password")
    with connection.cursor() as cursor:
        cursor.execute(circuits.PROBE_BY, [house.home.pk])
        row = cursor.fetchone()

    assert row[1] == house.boxes[0].pk
