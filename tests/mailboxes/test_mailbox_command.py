"""manage.py mailbox: the same acts by command, and what they would do."""

from __future__ import annotations

import json

import pytest
from django.core.management import CommandError, call_command

from mailboxes.models import Mailbox, QuarantineCase, Retirement
from tests import factories
from tests.campaigns.pools import Pool, where

pytestmark = pytest.mark.django_db


@pytest.fixture
def pool():
    return Pool()


def run(capsys, pool, *arguments) -> dict:
    call_command("mailbox", *arguments, "--tenant", pool.tenant.slug, "--json")
    return json.loads(capsys.readouterr().out)


def test_a_dry_run_says_who_is_affected_and_changes_nothing(pool, capsys):
    campaign = pool.campaign("new_thread")
    people = pool.everybody(campaign)
    before = where(people)

    told = run(capsys, pool, "quarantine", pool.sick.address, "--reason", "bounces", "--dry-run")

    assert told["affected"] == [
        {
            "campaign": campaign.name,
            "policy": "new_thread",
            "handover": "new_thread",
            "bound": 6,
            "retries": 3,
            "free": 2,
        }
    ]
    assert (told["state"], told["reserve"], told["swap"], told["under_way"]) == (
        "quarantined", pool.reserve.address, "promoted", 2,
    )  # fmt: skip
    assert (where(people), QuarantineCase.objects.count()) == (before, 0)
    assert Mailbox.objects.get(pk=pool.sick.pk).state == "active"


def test_the_way_out_and_back_by_command(pool, capsys):
    address = pool.sick.address
    run(capsys, pool, "quarantine", address, "--reason", "bounces", "--evidence", "bounced=5", "--no-reserve")
    assert QuarantineCase.objects.get().evidence == {"bounced": "5"}
    with pytest.raises(CommandError, match="rests until"):
        run(capsys, pool, "probe", address)
    capsys.readouterr()

    assert run(capsys, pool, "probe", address, "--reason", "the list")["state"] == "probing"
    assert run(capsys, pool, "release", address, "--reason", "the list")["state"] == "active"


def test_retiring_by_command(pool, capsys):
    answers = factories.answers()
    given = [
        "--kept-as", "alias", "--keep-until", answers["keep_until"].isoformat(), "--replies-to", "late@example.com",
        "--threads", "new_thread", "--promote",
    ]  # fmt: skip

    told = run(capsys, pool, "retire", pool.sick.address, "--reason", "sold", *given)

    assert (told["state"], told["successor"]) == ("retired", pool.reserve.address)
    assert Retirement.objects.get().keep_until == answers["keep_until"]
    assert run(capsys, pool, "handover", pool.sick.address)["handed_over"] == 0


def test_lines_for_people_name_each_campaign(pool, capsys):
    campaign = pool.campaign("stop")
    pool.everybody(campaign)

    call_command(
        "mailbox", "quarantine", pool.sick.address, "--reason", "bounces", "--tenant", pool.tenant.slug, "--dry-run"
    )

    first, last = capsys.readouterr().out.splitlines()
    assert first == f"campaign={campaign.name} policy=stop handover=stop bound=6 retries=3 free=2"
    assert last.startswith(f"mailbox={pool.sick.pk} address={pool.sick.address} state=quarantined")


def test_another_tenants_mailbox_is_not_there(pool, capsys):
    stranger = Pool()

    with pytest.raises(CommandError, match="has no mailbox"):
        run(capsys, pool, "quarantine", stranger.sick.address, "--reason", "x")

    assert QuarantineCase.objects.count() == 0
