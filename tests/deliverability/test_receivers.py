"""Who runs the recipients' mail, asked of a name server on loopback."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from campaigns.models import Contact, Message
from deliverability.dns.resolver import Resolver
from deliverability.services import receivers
from mailboxes.models import ReceiverDomain, ReceiverLimit
from tenants.services.actors import SYSTEM
from tests import factories
from tests.campaigns.test_planner import NOON, plan, running
from tests.deliverability.name_server import SERVFAIL, NameServer

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def server():
    running_server = NameServer()
    running_server.start()
    yield running_server
    running_server.stop()


def ask(server: NameServer, tenant, now: datetime = NOW) -> receivers.Learned:
    def resolver() -> Resolver:
        return Resolver([("127.0.0.1", server.port)], timeout_seconds=0.5, tries=1)

    return receivers.learn(tenant, resolver, actor=SYSTEM, now=now)


def contacts(tenant, *domains: str) -> None:
    factories.people(
        tenant, factories.contact_list(tenant), len(domains), each=lambda i: {"email": f"p{i}@{domains[i]}"}
    )


def operators() -> dict[str, str]:
    return dict(Contact.objects.values_list("email_key", "operator"))


def test_contacts_are_told_who_runs_their_mail(server):
    tenant = factories.tenant()
    server.put("firm.example", "MX", (1, "aspmx.l.google.com"))
    server.put("works.example", "MX", (10, "works-example.mail.protection.outlook.com"))
    server.put("own.example", "MX", (10, "mail.own.example"))
    contacts(tenant, "firm.example", "works.example", "own.example", "nowhere.example")

    assert ask(server, tenant) == receivers.Learned(asked=4, silent=0, contacts=4)

    assert operators() == {
        "p0@firm.example": "google", "p1@works.example": "microsoft", "p2@own.example": "other",
        "p3@nowhere.example": "other",
    }  # fmt: skip


def test_a_domain_is_asked_once_for_all_tenants_and_contacts(server):
    first, second = factories.tenant(), factories.tenant()
    server.put("firm.example", "MX", (1, "aspmx.l.google.com"))
    for tenant in (first, second):
        contacts(tenant, *["firm.example"] * 30)

    ask(server, first)
    assert ask(server, second) == receivers.Learned(asked=0, silent=0, contacts=30)

    assert server.asked[("udp", "firm.example", "MX")] == 1
    assert set(operators().values()) == {"google"}


def test_a_server_that_fails_leaves_it_open_and_is_asked_again_after_a_day(server):
    tenant = factories.tenant()
    server.put("firm.example", "MX", SERVFAIL)
    contacts(tenant, "firm.example")

    assert ask(server, tenant) == receivers.Learned(asked=1, silent=1, contacts=0)
    assert ReceiverDomain.objects.values_list("name", "operator").get() == ("firm.example", "")
    assert ask(server, tenant, NOW + timedelta(hours=23)).asked == 0
    server.put("firm.example", "MX", (1, "mx1.mimecast.com"))
    assert ask(server, tenant, NOW + timedelta(hours=25)) == receivers.Learned(asked=1, silent=0, contacts=1)

    assert operators() == {"p0@firm.example": "mimecast"}


def test_300_companies_at_one_operator_keep_one_limit_between_them(server):
    for n in range(300):
        server.put(f"company{n}.example", "MX", (0, f"company{n}-example.mail.protection.outlook.com"))
    ReceiverLimit.objects.create(operator="microsoft", hourly_cap=40)
    campaign, _ = running(300, 4, fleet={"domains": 1}, each=lambda i: {"email": f"a@company{i}.example"})

    assert ask(server, campaign.tenant).contacts == 300
    plan(campaign)
    plan(campaign, NOON + timedelta(minutes=5))

    assert Message.objects.filter(operator="microsoft").count() == Message.objects.count() == 40
