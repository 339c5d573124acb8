"""Some acts wait for a second person: the first one, the system and a late answer do not open them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils.timezone import now

from outreach.common.errors import BadInput, InvalidMove, NeedsApproval, NotAllowed
from tenants import acts
from tenants.admin.approvals import policy_form
from tenants.models import Approval, AuditEntry
from tenants.services import api_keys, approvals, audit
from tenants.services.actors import SYSTEM, Actor, of_grants
from tests import factories
from tests.tenants.approvals.cases import Case, somebody

pytestmark = pytest.mark.django_db


def test_the_cases_here_are_the_acts_there_are():
    tested = {"campaign.launch", "mailbox.raise_cap", "mailbox.leave_ramp", "mailbox.release", "account.reopen"}
    tested |= {"domain.leave_ramp"}
    tested |= {"suppression.lift", "suppression_list.remove", "mailboxes.bulk_raise_cap", "mailboxes.export"}
    tested |= {"stop.lift", "campaign.revise", "account.allow_bases", "bases.loosen"}
    assert set(acts.registered()) == tested | {"people.export", "policy.loosen"}


def test_every_line_of_the_policy_names_the_acts_that_obey_it():
    by_line = {}
    for act in acts.registered().values():
        by_line.setdefault(act.line, set()).add(act.name)

    assert by_line.pop("") == {"policy.loosen"}
    assert set(by_line) == {*approvals.LINES, *approvals.ALWAYS}
    assert by_line["lift"] == {"suppression.lift", "suppression_list.remove", "stop.lift"}
    help_text = policy_form().base_fields["lift"].help_text
    assert help_text == "Holds for: Lifting a stop, Lifting a suppression, Removing a suppression list."


def test_one_person_alone_is_told_to_ask_and_nothing_happens(case, first):
    with pytest.raises(NeedsApproval) as refused:
        case.do(first)

    assert refused.value.details["act"] == case.name
    assert refused.value.details["subject_id"] == case.subject.pk
    assert not case.happened


def test_after_a_second_person_agreed_the_act_passes_once(case, first, second):
    asked = case.ask(first)
    with pytest.raises(NeedsApproval):
        case.do(first)
    approvals.grant(asked, actor=second, note="Checked")

    case.do(first)

    assert case.happened
    asked.refresh_from_db()
    assert asked.state == "used"
    trail = AuditEntry.objects.filter(tenant=audit.tenant_of(case.subject)).exclude(facts__approval=None)
    assert [entry.facts["approval"] for entry in trail] == [asked.pk]


def test_the_first_person_can_not_agree(case, first):
    asked = case.ask(first)
    with pytest.raises(NotAllowed, match="second person"):
        approvals.grant(asked, actor=first)

    with pytest.raises(NeedsApproval):
        case.do(first)
    assert not case.happened


def test_the_system_can_not_agree_nor_pass_without_naming_an_approval(case, first, second):
    asked = case.ask(first)
    with pytest.raises(NotAllowed, match="Only a person"):
        approvals.grant(asked, actor=SYSTEM)
    approvals.grant(asked, actor=second)
    with pytest.raises(NeedsApproval):
        case.do(SYSTEM)
    assert not case.happened

    case.do(SYSTEM, approval=asked.pk)
    assert case.happened


def test_an_approval_of_something_else_does_not_count(case, first, second, tenant):
    other = Case(tenant, case.name)
    granted = approvals.grant(other.ask(first), actor=second)

    with pytest.raises(NeedsApproval):
        case.do(first)
    with pytest.raises(NeedsApproval, match=f"Approval {granted.pk} does not hold"):
        case.do(SYSTEM, approval=granted.pk)
    assert not case.happened


def test_what_ran_out_does_not_count(case, first, second):
    asked = case.ask(first)
    approvals.grant(asked, actor=second)
    Approval.objects.filter(pk=asked.pk).update(expires_at=now() - timedelta(seconds=1))

    with pytest.raises(NeedsApproval):
        case.do(first)
    with pytest.raises(NeedsApproval):
        case.do(SYSTEM, approval=asked.pk)
    assert not case.happened


def test_nobody_agrees_after_the_time(case, first, second):
    asked = case.ask(first)
    Approval.objects.filter(pk=asked.pk).update(expires_at=now() - timedelta(seconds=1))
    with pytest.raises(InvalidMove, match="in time"):
        approvals.grant(asked, actor=second)

    again = case.ask(first)
    asked.refresh_from_db()
    assert (asked.state, again.state) == ("expired", "asked")


@pytest.mark.parametrize("role", ["operator", "analyst", "client_viewer", "auditor", "break_glass"])
def test_the_second_person_needs_the_permission(case, first, tenant, role):
    asked = case.ask(first)
    with pytest.raises(NotAllowed):
        approvals.grant(asked, actor=somebody(tenant, role))
    with pytest.raises(NotAllowed):
        approvals.grant(asked, actor=somebody(factories.tenant()))
    asked.refresh_from_db()
    assert asked.state == "asked"


def test_refused_taken_back_and_used_ones_do_not_count(case, first, second):
    approvals.refuse(case.ask(first), actor=second, note="Not this week")
    taken = approvals.grant(case.ask(first), actor=second)
    approvals.withdraw(taken, actor=first)

    with pytest.raises(NeedsApproval):
        case.do(first)
    with pytest.raises(InvalidMove):
        approvals.grant(taken, actor=second)
    assert not case.happened


def test_nobody_known_takes_back_what_the_system_asked(case, tenant):
    asked = case.ask(SYSTEM)
    for nobody in (Actor("user", "anonymous"), Actor("recipient", "recipient")):
        with pytest.raises(NotAllowed):
            approvals.withdraw(asked, actor=nobody)
    asked.refresh_from_db()
    assert asked.state == "asked"


def test_asking_twice_is_one_wish(case, first, second):
    case.ask(first)
    with pytest.raises(InvalidMove, match="waits for a second person already"):
        case.ask(second)


def test_one_asks_only_for_what_one_may_do_and_says_why(case, tenant, first):
    with pytest.raises(NotAllowed):
        case.ask(somebody(tenant, "analyst"))
    with pytest.raises(BadInput, match="why"):
        case.ask(first, reason="  ")
    assert not Approval.objects.exists()


def test_a_key_may_ask_and_its_maker_may_not_agree(case, tenant, first, second):
    scopes = sorted({acts.get(case.name).permission} & {"campaigns.start", "campaigns.lift", "mailboxes.set_cap"})
    if not scopes:
        return  # no key may do this at all
    maker = of_grants("user", "maker", [(tenant.pk, "ops_manager")], user_id=factories.user().pk)
    key, _text = api_keys.issue(tenant, "Shop", scopes, actor=maker)
    caller = Actor("key", "Shop", within={tenant.pk: frozenset(scopes)}, key_id=key.pk)

    asked = case.ask(caller)
    with pytest.raises(NotAllowed, match="second person"):
        approvals.grant(asked, actor=maker)
    with pytest.raises(NotAllowed, match="Only a person"):
        approvals.grant(asked, actor=caller)
    approvals.grant(asked, actor=second)
    case.do(caller)
    assert case.happened


def test_the_database_itself_wants_two_people(case, first):
    asked = case.ask(first)
    with pytest.raises(IntegrityError, match="approval_two_people"), transaction.atomic():
        Approval.objects.filter(pk=asked.pk).update(state="granted", decided_by=first.user_id, decided_at=now())
    with pytest.raises(IntegrityError, match="approval_granted_by_somebody"), transaction.atomic():
        Approval.objects.filter(pk=asked.pk).update(state="granted")
