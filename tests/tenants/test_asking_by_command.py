"""Commands ask with --ask and pass with --approval; neither lets anybody agree."""

from __future__ import annotations

import json

import pytest
from django.core.management import CommandError, call_command

from campaigns.models import Suppression
from campaigns.services import suppression
from tenants.models import Approval, ApprovalPolicy
from tenants.services import approvals, members
from tenants.services.actors import SYSTEM, of_grants
from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]


@pytest.fixture
def tenant():
    tenant = factories.tenant()
    ApprovalPolicy.objects.filter(tenant=tenant).update(launch_above=5, cap_above=50, lift=True, release=True)
    return tenant


def launch(tenant):
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, 6)
    campaign = factories.campaign(tenant, factories.mailbox(tenant).pool, listed)
    return ("campaign", "start", campaign.name), campaign, lambda row: row.status == "running"


def raised(tenant):
    box = factories.mailbox(tenant, daily_cap=40)
    return ("mailbox", "cap", box.address, "80"), box, lambda row: row.daily_cap == 80


def released(tenant):
    box = factories.mailbox(tenant, state="quarantined")
    return ("mailbox", "release", box.address), box, lambda row: row.state == "active"


def lifted(tenant):
    suppression.suppress(tenant, ["gone@example.net"], actor=SYSTEM, reason="opt_out", via="test")
    row = Suppression.objects.get(tenant=tenant)
    return (
        ("lift_suppression", "gone@example.net", "--reason", "They wrote"),
        row,
        lambda row: row.lifted_at is not None,
    )


@pytest.mark.parametrize("make", [launch, raised, released, lifted])
def test_a_command_waits_for_a_second_person(tenant, make, capsys):
    words, row, done = make(tenant)
    user = factories.user()
    members.grant(user, "ops_manager", tenant.pk, actor=SYSTEM)
    second = of_grants("user", "second", [(tenant.pk, "ops_manager")], user_id=user.pk)

    def run(*more):
        call_command(*words, "--tenant", tenant.slug, *more)

    def happened():
        row.refresh_from_db()
        return done(row)

    with pytest.raises(CommandError, match="Ask with --ask"):
        run()
    with pytest.raises(CommandError, match="Asked: approval"):
        run("--ask", "The client wants it")
    approval = Approval.objects.get(tenant=tenant)
    with pytest.raises(CommandError, match="does not hold"):
        run("--approval", str(approval.pk))
    assert not happened()

    approvals.grant(approval, actor=second)
    with pytest.raises(CommandError, match="second person"):
        run()  # the system passes by no agreement that it does not name
    assert not happened()
    run("--approval", str(approval.pk))
    assert happened()


def test_a_dry_run_asks_nobody(tenant):
    words, _row, _done = raised(tenant)
    with pytest.raises(CommandError, match="second person"):
        call_command(*words, "--tenant", tenant.slug, "--ask", "x", "--dry-run")
    assert not Approval.objects.exists()


def test_json_names_the_approval(tenant, capsys):
    words, _row, _done = raised(tenant)
    with pytest.raises(CommandError):
        call_command(*words, "--tenant", tenant.slug, "--ask", "x", "--json")
    said = json.loads(capsys.readouterr().out)
    assert said == {"error": "approval_needed", "approval": Approval.objects.get().pk}


def test_a_mailbox_that_is_not_there_is_named(tenant):
    with pytest.raises(CommandError, match=f"{tenant.slug} has no mailbox 'nobody@example.net'"):
        call_command("mailbox", "cap", "nobody@example.net", "5", "--tenant", tenant.slug)
    with pytest.raises(CommandError, match="no suppression of nobody@example.net"):
        call_command("lift_suppression", "nobody@example.net", "--tenant", tenant.slug, "--reason", "x")
