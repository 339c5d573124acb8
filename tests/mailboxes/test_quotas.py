"""Quota groups, accounts' hours and receivers' limits: the numbers, who may set them, and what waits meanwhile."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from campaigns.models import Message
from mailboxes import quotas as numbers
from mailboxes.models import ProviderAccount, QuotaGroup, ReceiverLimit
from mailboxes.services import quotas
from outreach.common.errors import BadInput, NotAllowed
from tenants.models import AuditEntry
from tenants.services import actors, members
from tenants.services.actors import SYSTEM
from tests import factories
from tests.campaigns.test_planner import plan, running


@pytest.mark.parametrize(("licences", "recipients"), [(1, 10_000), (100, 22_059), (1000, 72_446)])
def test_a_microsoft_tenant_by_licences(licences, recipients):
    assert numbers.microsoft_tenant(licences) == recipients


@pytest.mark.parametrize(
    ("given", "daily", "user"),
    [
        ({"kind": "workspace"}, None, 2000),
        ({"kind": "workspace", "is_trial": True}, None, 500),
        ({"kind": "workspace", "user_daily_cap": 1500}, None, 1500),
        ({"kind": "microsoft", "licences": 25}, 14_259, None),
        ({"kind": "microsoft", "is_trial": True, "licences": 25}, 5000, None),
        ({"kind": "microsoft"}, None, None),
        ({"kind": "microsoft", "licences": 25, "daily_cap": 9000}, 9000, None),
        ({"kind": "ses", "daily_cap": 50_000}, 50_000, None),
        ({"kind": "other"}, None, None),
    ],
)
def test_a_kind_says_what_holds_where_the_group_does_not(given, daily, user):
    quota = numbers.of(**given)

    assert (quota.daily, quota.user_daily) == (daily, user)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"kind": "imap"}, "kind"), ({"licences": 0}, "licences"), ({"daily_cap": -1}, "daily_cap"),
        ({"per_second": 0}, "per_second"), ({"tenant": 3}, "tenant"), ({"name": " "}, "name"),
    ],
)  # fmt: skip
def test_a_wrong_number_names_its_field(values, field):
    given = {"name": "contoso", "kind": "microsoft"} | values

    with pytest.raises(BadInput) as refused:
        quotas.add_group(actor=SYSTEM, **given)

    assert (refused.value.details["field"], QuotaGroup.objects.count()) == (field, 0)


@pytest.mark.django_db
def test_only_the_platform_changes_its_limits():
    group = quotas.add_group("contoso", "microsoft", actor=SYSTEM, licences=5)
    person = factories.user(is_staff=True)
    members.grant(person, "ops_manager", None, actor=SYSTEM)
    manager = actors.of_user(person)

    for act in (
        lambda: quotas.add_group("other", "other", actor=manager),
        lambda: quotas.change_group(group, actor=manager, licences=900),
        lambda: quotas.limit_receiver("google", hourly_cap=None, daily_cap=None, actor=manager),
    ):
        with pytest.raises(NotAllowed):
            act()

    group.refresh_from_db()
    assert (group.licences, ReceiverLimit.objects.get(operator="google").daily_cap) == (5, 4000)


@pytest.mark.django_db
@pytest.mark.as_worker
def test_an_account_that_joins_a_group_gets_its_waiting_mail_planned_anew():
    group = quotas.add_group("contoso", "microsoft", actor=SYSTEM, daily_cap=30)
    campaign, boxes = running(100, 4)
    plan(campaign)
    assert Message.objects.count() == 100

    quotas.share_account(boxes[0].home, group, actor=SYSTEM)

    assert Message.objects.count() == 0
    run = plan(campaign)
    assert (run.planned, AuditEntry.objects.filter(action="account.quota_shared").count()) == (30, 1)


@pytest.mark.django_db
@pytest.mark.as_worker
def test_a_lower_hour_of_an_account_takes_back_what_no_longer_fits():
    campaign, boxes = running(100, 4)
    plan(campaign)

    quotas.limit_account(boxes[0].home, 10, actor=SYSTEM)
    plan(campaign)

    assert Message.objects.count() == 10


# --- By command ---------------------------------------------------------------------------------------------


def quota(*words: str) -> dict:
    out = StringIO()
    call_command("quota", *words, "--json", stdout=out)
    return json.loads(out.getvalue())


@pytest.mark.django_db
def test_a_group_is_made_and_changed_by_command():
    assert quota("group", "contoso", "--kind", "microsoft", "--licences", "25")["daily"] == 14_259
    assert quota("group", "contoso", "--licences", "100")["daily"] == 22_059
    assert quota("group", "contoso", "--daily-cap", "7", "--dry-run")["daily"] == 7
    assert QuotaGroup.objects.values_list("licences", "daily_cap").get() == (100, None)


@pytest.mark.django_db
def test_an_account_joins_by_command_and_leaves_again():
    campaign, boxes = running(1, 1)
    quota("group", "contoso")
    server = ["account", "127.0.0.1:2525", "--tenant", campaign.tenant.slug]

    assert quota(*server, "--group", "contoso", "--hourly-cap", "90") == {
        "accounts": 1, "group": "contoso", "hourly_cap": 90,
    }  # fmt: skip
    assert ProviderAccount.objects.values_list("quota_group__name", "hourly_cap").get() == ("contoso", 90)
    quota(*server, "--hourly-cap", "-1")
    assert ProviderAccount.objects.values_list("quota_group", "hourly_cap").get() == (None, None)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["account", "mail.example", "--tenant", "{}"], "HOST:PORT"),
        (["account", "mail.example:25", "--tenant", "{}"], "no account at mail.example:25"),
        (["account", "127.0.0.1:2525", "--tenant", "{}", "--group", "x"], "no quota group 'x'"),
    ],
)
def test_what_is_not_there_is_named(words, said):
    campaign, _ = running(1, 1)

    with pytest.raises(CommandError, match=said):
        call_command("quota", *(word.format(campaign.tenant.slug) for word in words))


@pytest.mark.django_db
def test_a_receiver_is_limited_by_command():
    assert quota("receiver", "yahoo", "--hourly-cap", "50") == {
        "receiver": "yahoo", "hourly_cap": 50, "daily_cap": None,
    }  # fmt: skip
