"""A key that does what needs two people is told so, may ask, and passes once somebody has agreed."""

from __future__ import annotations

import pytest

from campaigns.models import Suppression
from tenants.models import Approval, ApprovalPolicy
from tenants.services import approvals, members
from tenants.services.actors import SYSTEM, of_grants
from tests import factories
from tests.api.conftest import Api, is_problem, key_of


@pytest.fixture
def strict(ours):
    Approval.objects.all().delete()
    ApprovalPolicy.objects.filter(tenant=ours.tenant).update(launch_above=5, cap_above=50, lift=True)
    return ours


@pytest.fixture
def second(ours):
    user = factories.user()
    members.grant(user, "ops_manager", ours.tenant.pk, actor=SYSTEM)
    return of_grants("user", "second", [(ours.tenant.pk, "ops_manager")], user_id=user.pk)


def agree(approval_id, second):
    approvals.grant(Approval.objects.get(pk=approval_id), actor=second, note="Fine")


def cases(world):
    draft = factories.campaign(world.tenant, world.pool, world.list)
    box = world.mailboxes[0]
    box.daily_cap = 40
    box.save(update_fields=["daily_cap"])
    entry = Suppression.objects.filter(tenant=world.tenant).first()
    return {
        "campaign.launch": (draft, f"campaigns/{draft.pk}/start/", {"accept": ["dns:spf_missing"]}, {}),
        "mailbox.raise_cap": (box, f"mailboxes/{box.pk}/set_cap/", {"daily_cap": 80}, {"daily_cap": 80}),
        "suppression.lift": (entry, f"suppressions/{entry.pk}/lift/", {"reason": "They wrote"}, {}),
    }


@pytest.mark.parametrize("act", ["campaign.launch", "mailbox.raise_cap", "suppression.lift"])
def test_an_act_waits_for_a_second_person_and_then_passes(strict, api, act, second):
    row, place, body, values = cases(strict)[act]

    problem = is_problem(api.post(place, body), 409, "approval_needed")
    assert (problem["act"], problem["subject_id"]) == (act, row.pk)
    asked = api.post("approvals/", {"act": act, "subject_id": row.pk, "reason": "Agreed by mail", "values": values})
    assert (asked.status_code, asked.json()["state"]) == (201, "asked")
    is_problem(api.post(place, body), 409, "approval_needed")
    agree(asked.json()["id"], second)
    assert api.get(f"approvals/{asked.json()['id']}/").json()["state"] == "granted"

    assert api.post(place, body).status_code == 200
    assert api.get(f"approvals/{asked.json()['id']}/").json()["state"] == "used"


def test_a_cap_within_the_line_needs_nobody(strict, api):
    box = strict.mailboxes[0]
    answer = api.post(f"mailboxes/{box.pk}/set_cap/", {"daily_cap": 45})
    assert answer.json() == {"id": box.pk, "daily_cap": 45}


@pytest.mark.attack("A26", "A28")
def test_nobody_asks_for_foreign_rows_unknown_acts_or_made_up_values(strict, theirs, api):
    draft = factories.campaign(theirs.tenant, theirs.pool, theirs.list)
    base = {"act": "campaign.launch", "subject_id": draft.pk, "reason": "x"}
    is_problem(api.post("approvals/", base), 404, "missing")
    is_problem(api.post("approvals/", base | {"act": "tenant.delete"}), 400, "bad_input")
    is_problem(api.post("approvals/", base | {"values": {"contacts": 1}}), 400, "bad_input")
    is_problem(api.post("approvals/", base | {"state": "granted"}), 400, "bad_input")
    is_problem(api.post("approvals/", base | {"act": "mailbox.release"}), 403, "not_allowed")
    assert not Approval.objects.filter(tenant=strict.tenant).exists()


def test_a_key_asks_only_for_what_its_scopes_allow(strict):
    row, _place, _body, values = cases(strict)["mailbox.raise_cap"]
    api = Api(key_of(strict.tenant, "campaigns.start", "tenants.view"))
    body = {"act": "mailbox.raise_cap", "subject_id": row.pk, "reason": "x", "values": values}
    is_problem(api.post("approvals/", body), 403, "not_allowed")
