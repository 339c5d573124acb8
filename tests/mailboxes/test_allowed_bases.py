"""What the host of an account allows: set by a manager with link and day, more only with a second person."""

from __future__ import annotations

import io
import json
from datetime import date, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils.timezone import now

from campaigns.models import Enrolment, Message
from mailboxes.models import ProviderAccount
from mailboxes.services import providers
from outreach.common.errors import BadInput, NeedsApproval, NotAllowed
from tenants.models import Approval, ApprovalPolicy, AuditEntry
from tenants.services.actors import SYSTEM
from tests import factories
from tests.tenants.approvals.cases import somebody

pytestmark = pytest.mark.django_db
TERMS = {"link": "https://host.example/terms", "on": date(2026, 5, 4)}


@pytest.fixture
def tenant():
    return factories.tenant()


@pytest.fixture
def account(tenant):
    return factories.account(tenant, port=2701, allowed_bases=["consent", "opt_out"])


def kept(account):
    account.refresh_from_db()
    return account.allowed_bases, account.bases_link, account.bases_on


def test_bases_are_kept_in_order_with_link_and_day(tenant, account):
    providers.set_bases(account, ["existing_customer", "consent", "consent"], **TERMS, actor=somebody(tenant))

    assert kept(account) == (["consent", "existing_customer"], TERMS["link"], TERMS["on"])
    entry = AuditEntry.objects.get(action="account.bases_set")
    assert (entry.before, entry.after) == (["consent", "opt_out"], ["consent", "existing_customer"])


def test_fewer_bases_need_nobody_and_more_need_two(tenant, account):
    ApprovalPolicy.objects.filter(tenant=tenant).update(bases=True)
    manager = somebody(tenant)
    with pytest.raises(NeedsApproval):
        providers.set_bases(account, ["consent", "opt_out", "implied_consent"], **TERMS, actor=manager)
    assert kept(account)[0] == ["consent", "opt_out"]
    providers.set_bases(account, ["consent"], **TERMS, actor=manager)
    providers.set_bases(account, [], actor=manager)
    assert kept(account) == ([], "", None)
    with pytest.raises(NeedsApproval):
        providers.set_bases(account, ["consent"], **TERMS, actor=manager)  # what it once had is more again


@pytest.mark.parametrize("role", ["operator", "analyst", "client_viewer", "auditor"])
def test_only_managers_set_them(tenant, account, role):
    with pytest.raises(NotAllowed):
        providers.set_bases(account, [], actor=somebody(tenant, role))
    assert kept(account)[0] == ["consent", "opt_out"]


@pytest.mark.parametrize(
    ("bases", "more", "field"),
    [
        (["karma"], TERMS, "bases"),
        (["consent"], {"on": TERMS["on"]}, "link"),
        (["consent"], TERMS | {"link": "http://host.example/terms"}, "link"),
        (["consent"], TERMS | {"link": "javascript:alert(1)"}, "link"),
        (["consent"], TERMS | {"link": f"https://host.example/{'x' * 500}"}, "link"),
        (["consent"], {"link": TERMS["link"]}, "on"),
        (["consent"], TERMS | {"on": date(2999, 1, 1)}, "on"),
    ],
)
def test_what_is_missing_is_named(account, bases, more, field):
    with pytest.raises(BadInput) as refused:
        providers.set_bases(account, bases, **more, actor=SYSTEM)
    assert refused.value.details["field"] == field
    assert kept(account) == (["consent", "opt_out"], "", None)


def test_less_takes_back_what_the_accounts_mailboxes_were_to_send_and_more_looks_again_at_who_waits(tenant, account):
    mine = factories.mailbox(tenant, home=account)
    other = factories.mailbox(tenant, home=factories.account(tenant, port=2702), pool=mine.pool)
    people = factories.people(tenant, None, 3)
    campaign = factories.campaign(tenant, mine.pool, status="running")
    later = now() + timedelta(hours=9)
    for person, box in zip(people[:2], (mine, other), strict=True):
        enrolment = Enrolment.objects.create(
            tenant=tenant, campaign=campaign, contact=person, zone="UTC", waits_for="message"
        )
        Message.objects.create(
            tenant=tenant, campaign=campaign, step=campaign.steps.get(), enrolment=enrolment, contact=person,
            mailbox=box, status="planned", due_at=now(), not_after=later, day_on=now().date(),
            message_id=f"<{enrolment.pk}@x.example>",
        )  # fmt: skip
    waiting = Enrolment.objects.create(
        tenant=tenant, campaign=campaign, contact=people[2], zone="UTC", waits_for="basis_route", due_at=later
    )

    providers.set_bases(account, ["consent"], **TERMS, actor=SYSTEM)
    assert [message.mailbox for message in Message.objects.all()] == [other]
    waiting.refresh_from_db()
    assert (waiting.waits_for, waiting.due_at) == ("basis_route", later)

    providers.set_bases(account, ["consent", "implied_consent"], **TERMS, actor=SYSTEM)
    assert Message.objects.count() == 1
    waiting.refresh_from_db()
    assert waiting.waits_for == ""
    assert waiting.due_at <= now()


def test_a_new_account_allows_nothing(tenant):
    made = ProviderAccount.objects.create(tenant=tenant, host="mail.example", port=587)
    assert kept(made) == ([], "", None)


def test_the_command_sets_all_accounts_of_a_server(tenant, account):
    out = io.StringIO()
    arguments = ("--tenant", tenant.slug, "--allow", "consent", "existing_customer", "--link", TERMS["link"])
    call_command("account_bases", "127.0.0.1:2701", *arguments, "--on", "2026-05-04", "--json", stdout=out)
    allowed = ["consent", "existing_customer"]
    assert json.loads(out.getvalue()) == {"accounts": 1, "server": "127.0.0.1:2701", "allowed": allowed}
    assert kept(account) == (allowed, TERMS["link"], TERMS["on"])


def test_the_command_asks_a_second_person_and_says_what_is_wrong(tenant, account):
    ApprovalPolicy.objects.filter(tenant=tenant).update(bases=True)
    more = ("--allow", "consent", "legitimate_interest", "--link", TERMS["link"], "--on", "2026-05-04")
    with pytest.raises(CommandError, match="needs a second person"):
        call_command("account_bases", "127.0.0.1:2701", "--tenant", tenant.slug, *more)
    with pytest.raises(CommandError, match="has no account at"):
        call_command("account_bases", "127.0.0.1:2799", "--tenant", tenant.slug, *more)
    with pytest.raises(CommandError, match="HOST:PORT"):
        call_command("account_bases", "host.example", "--tenant", tenant.slug, *more)
    with pytest.raises(CommandError, match="2026-01-31"):
        call_command("account_bases", "127.0.0.1:2701", "--tenant", tenant.slug, *more[:-1], "4 May")
    assert kept(account)[0] == ["consent", "opt_out"]
    assert not Approval.objects.exists()
