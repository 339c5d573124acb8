"""Domains added, changed, blocked, put back and retired by people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.core.checks import run_checks
from django.urls import reverse

from campaigns.models import Message
from campaigns.pipeline import planner
from campaigns.services import campaigns
from mailboxes.models import Mailbox, SendingDomain
from mailboxes.services import domains
from outreach.common.errors import BadInput, InvalidMove, NotAllowed
from tenants.models import AuditEntry, Tenant
from tenants.services.actors import SYSTEM, of_grants
from tests import factories
from tests.console.conftest import client_of, person
from tests.deliverability.zones import mailbox_on

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=1)


@pytest.fixture
def tenant():
    return factories.tenant()


def planned(tenant, **fleet):
    """(the only domain of a fleet with mail that waits, the run)"""
    boxes = factories.fleet(tenant, 2, domains=1, **fleet)
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, 20)
    campaigns.start(factories.campaign(tenant, boxes[0].pool, listed), actor=SYSTEM)
    return boxes[0].domain, planner.run(Tenant.objects.get(pk=tenant.pk), NOON)


def acts():
    found = AuditEntry.objects.filter(action__startswith="domain.").order_by("pk")
    return [(entry.action, entry.before, entry.after) for entry in found]


@pytest.mark.parametrize("state", ["new", "blocked", "retired"])
def test_a_domain_that_may_not_send_gets_no_slots(tenant, state):
    boxes = factories.fleet(tenant, 2, domains=2)
    SendingDomain.objects.filter(pk=boxes[0].domain_id).update(state=state)
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, 20)
    made = factories.campaign(tenant, boxes[0].pool, listed)
    campaigns.start(made, actor=SYSTEM, accept=["domains_not_verified"])

    assert planner.run(Tenant.objects.get(pk=tenant.pk), NOON).planned == 20
    assert set(Message.objects.values_list("mailbox", flat=True)) == {boxes[1].pk}


@pytest.mark.parametrize("act", [domains.block, domains.retire])
def test_a_stopped_domain_takes_its_waiting_mail_back(tenant, act):
    domain, run = planned(tenant)
    assert run.planned == 20

    stopped = act(domain, actor=SYSTEM, reason="listed")

    assert not Message.objects.filter(status="planned").exists()
    assert (stopped.state, stopped.state_reason) == (acts()[0][0].removeprefix("domain."), "listed")
    assert acts()[0][1:] == ("verified", stopped.state)
    assert planner.run(Tenant.objects.get(pk=tenant.pk), NOON).planned == 0


def test_a_lifted_block_makes_a_domain_new_so_that_only_a_check_lets_it_send(tenant):
    domain, _ = planned(tenant)
    domain = domains.block(domain, actor=SYSTEM, reason="listed")
    with pytest.raises(BadInput):
        domains.unblock(domain, actor=SYSTEM, reason=" ")

    domain = domains.unblock(domain, actor=SYSTEM, reason="bad list; removed, delisted")

    assert (domain.state, domain.check_due_at) == ("new", None)
    assert planner.run(Tenant.objects.get(pk=tenant.pk), NOON).planned == 0
    with pytest.raises(InvalidMove):
        domains.unblock(domain, actor=SYSTEM, reason="again")
    assert acts() == [("domain.blocked", "verified", "blocked"), ("domain.unblocked", "blocked", "new")]


def test_a_retired_domain_stays_alive_for_90_days_after_its_last_mail(tenant, settings):
    sent = datetime(2026, 3, 1, 9, tzinfo=UTC)
    domain = factories.domain(tenant)
    never = factories.domain(tenant)
    for days in (5, 0, 2):
        mailbox_on(domain, last_dot_at=sent - timedelta(days=days))
    mailbox_on(never)

    retired = domains.retire(domain, actor=SYSTEM, reason="renamed", now=sent + timedelta(days=1))

    assert retired.retired_at == sent + timedelta(days=1)
    assert domains.keep_alive_until([domain, never]) == {domain.pk: datetime(2026, 5, 30, 9, tzinfo=UTC)}
    assert AuditEntry.objects.get(action="domain.retired").facts == {"keep_alive_until": "2026-05-30"}
    settings.KEEP_ALIVE_DAYS = 60
    assert domains.keep_alive_until([domain]) == {domain.pk: datetime(2026, 4, 30, 9, tzinfo=UTC)}
    for act in (domains.change, domains.block, domains.retire):
        with pytest.raises(InvalidMove):
            act(retired, actor=SYSTEM, reason="no")


def test_less_than_60_days_is_refused_at_the_start(settings):
    settings.KEEP_ALIVE_DAYS = 59
    assert [error.id for error in run_checks() if error.id == "outreach.E013"] == ["outreach.E013"]


def test_the_page_of_a_retired_domain_says_until_when_and_what_is_left(tenant):
    sent = datetime(2026, 3, 1, 9, tzinfo=UTC)
    domain = factories.domain(tenant)
    box = mailbox_on(domain, last_dot_at=sent)
    domains.retire(domain, actor=SYSTEM, reason="renamed")
    client = client_of(person("chief@example.com", "platform_admin"))
    address = reverse("admin:mailboxes_sendingdomain_change", args=[domain.pk])

    body = client.get(address).content.decode()
    assert "The last mail went out on 2026-03-01: MX and unsubscribe host have to answer until 2026-05-30." in body
    assert "1 mailbox of it is not retired." in body
    Mailbox.objects.filter(pk=box.pk).update(state="retired")
    assert "All of its mailboxes are retired." in client.get(address).content.decode()


def test_a_lower_cap_takes_mail_back_and_a_change_is_told(tenant):
    domain, _ = planned(tenant)

    domain = domains.change(domain, actor=SYSTEM, reason="careful", hourly_cap=3, registrar=" Names Ltd ")

    assert (domain.hourly_cap, domain.registrar) == (3, "Names Ltd")
    assert not Message.objects.filter(status="planned").exists()
    entry = AuditEntry.objects.get(action="domain.changed")
    assert (entry.before, entry.after) == (
        {"hourly_cap": None, "registrar": ""},
        {"hourly_cap": 3, "registrar": "Names Ltd"},
    )
    assert entry.reason == "careful"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"hourly_cap": -1}, "hourly_cap"),
        ({"dkim_selectors": ["a/b"]}, "dkim_selectors"),
        ({"dkim_selectors": ["x" * 64]}, "dkim_selectors"),
        ({"tracking_host": "no host"}, "tracking_host"),
        ({"tracking_host": "taken.example"}, "tracking_host"),
        ({"return_path": "-"}, "return_path"),
        ({"state": "verified"}, "state"),
    ],
)
def test_what_can_not_be_set(tenant, values, field):
    factories.domain(factories.tenant(), tracking_host="taken.example")
    domain = factories.domain(tenant)

    with pytest.raises(BadInput) as caught:
        domains.change(domain, actor=SYSTEM, **values)

    assert caught.value.details["field"] == field
    assert acts() == []


def test_add_takes_no_name_twice_and_none_of_another_tenant(tenant):
    made = domains.add(tenant, "Mail.Acme.Example", actor=SYSTEM, dkim_selectors=["S1", "s1"])
    assert (made.name, made.state, made.dkim_selectors) == ("mail.acme.example", "new", ["s1"])
    theirs = factories.domain(factories.tenant())

    for name, words in ((made.name, "already"), (theirs.name, "belongs to another tenant")):
        with pytest.raises(BadInput, match=words):
            domains.add(tenant, name, actor=SYSTEM)
    assert SendingDomain.objects.count() == 2


@pytest.mark.parametrize(
    ("role", "allowed"),
    [("analyst", set()), ("operator", {"block"}), ("ops_manager", {"block", "unblock", "retire", "change"})],
)
def test_who_may_do_what(tenant, role, allowed):
    actor = of_grants("user", role, [(tenant.pk, role)], user_id=factories.user().pk)
    done = set()
    for act, state in (("block", "verified"), ("unblock", "blocked"), ("retire", "verified"), ("change", "verified")):
        domain = factories.domain(tenant, state=state)
        try:
            getattr(domains, act)(domain, actor=actor, reason="because")
        except NotAllowed:
            domain.refresh_from_db()
            assert domain.state == state
        else:
            done.add(act)
    assert done == allowed


def test_the_form_changes_facts_and_says_what_is_wrong(tenant):
    domain = factories.domain(tenant, dkim_selectors=["s1"])
    client = client_of(person("chief@example.com", "platform_admin"))
    address = reverse("admin:mailboxes_sendingdomain_facts", args=[domain.pk])
    page = client.get(address)
    assert page.context["form"].initial["dkim_selectors"] == "s1"

    refused = client.post(address, {"dkim_selectors": "a/b"})
    assert "is no DKIM selector" in refused.content.decode()
    assert client.post(address, {"dkim_selectors": "s2, s3", "daily_cap": "40"}).status_code == 302

    domain.refresh_from_db()
    assert (domain.dkim_selectors, domain.daily_cap, domain.tracking_host) == (["s2", "s3"], 40, None)
    analyst = client_of(person("analyst@example.com", "analyst"))
    assert analyst.get(address).status_code == 403
