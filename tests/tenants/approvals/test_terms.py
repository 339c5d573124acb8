"""What is agreed on, and where the lines are: this much, these people, this wording, and no more."""

from __future__ import annotations

import pytest

from campaigns.models import Contact, Suppression
from campaigns.services import exporting, suppression
from mailboxes.services import mailboxes
from outreach.common.errors import BadInput, NeedsApproval, NotAllowed
from tenants.models import ApprovalPolicy, AuditEntry
from tenants.services import approvals, members
from tenants.services.actors import SYSTEM, of_grants
from tests import factories
from tests.tenants.approvals.cases import Case

pytestmark = pytest.mark.django_db


def test_a_launch_is_agreed_on_with_its_wording_list_and_size(tenant, first, second):
    case = Case(tenant, "campaign.launch")
    step = case.subject.steps.get()
    approvals.grant(case.ask(first), actor=second)
    step.subject = "Another subject for {{ company }}"
    step.save()
    with pytest.raises(NeedsApproval):
        case.do(first)

    step.subject = "A question about {{ company }}"
    step.save()
    gone = case.subject.contact_list.entries.order_by("pk").first()
    person_gone = gone.contact
    gone.delete()
    (other,) = factories.people(tenant, case.subject.contact_list, 1)
    with pytest.raises(NeedsApproval):
        case.do(first)  # as many people, but not the same ones
    case.subject.contact_list.entries.get(contact=other).delete()
    case.subject.contact_list.entries.create(tenant=tenant, contact=person_gone)
    case.do(first)
    assert case.happened


def test_a_smaller_raise_is_covered_and_a_larger_one_is_not(tenant, first, second):
    box = factories.mailbox(tenant, daily_cap=40)
    approvals.grant(
        approvals.ask(box, "mailbox.raise_cap", actor=first, reason="Warm enough", daily_cap=80), actor=second
    )
    with pytest.raises(NeedsApproval):
        mailboxes.set_cap(box, 81, actor=first)
    assert mailboxes.set_cap(box, 70, actor=first).daily_cap == 70


@pytest.mark.parametrize(("before", "after"), [(40, 50), (90, 60), (90, 90), (40, 0)])
def test_a_cap_up_to_the_line_and_a_lower_one_need_nobody(tenant, first, before, after):
    box = factories.mailbox(tenant, daily_cap=before)
    assert mailboxes.set_cap(box, after, actor=first).daily_cap == after


def test_an_export_of_many_people_needs_a_second_person(tenant, first, second):
    factories.people(tenant, None, 4)
    with pytest.raises(NeedsApproval):
        exporting.export_contacts(Contact.objects.filter(tenant=tenant), actor=first)

    asked = approvals.ask(tenant, "people.export", actor=first, reason="Client leaves", rows=4)
    approvals.grant(asked, actor=second)
    exporting.export_contacts(Contact.objects.filter(tenant=tenant), actor=first).close()
    with pytest.raises(NeedsApproval):
        exporting.export_contacts(Contact.objects.filter(tenant=tenant), actor=first)
    exporting.export_contacts(Contact.objects.filter(email="person0@nowhere.example"), actor=first).close()


def test_a_platform_entry_is_lifted_by_two_people_who_may_make_one():
    suppression.suppress(None, ["spamtrap.example"], actor=SYSTEM, reason="manual", via="test")
    entry = Suppression.objects.get(tenant=None)
    people = [factories.user(is_superuser=True) for _ in range(2)]
    for user in people:
        members.grant(user, "platform_admin", None, actor=SYSTEM)
    chiefs = [of_grants("user", "chief", [(None, "platform_admin")], user_id=user.pk) for user in people]
    manager = of_grants("user", "manager", [(None, "ops_manager")], user_id=factories.user().pk)

    with pytest.raises(NotAllowed):
        suppression.lift(entry, actor=manager, reason="A mistake")
    with pytest.raises(NotAllowed):
        approvals.ask(entry, "suppression.lift", actor=manager, reason="A mistake")
    asked = approvals.ask(entry, "suppression.lift", actor=chiefs[0], reason="A mistake")
    with pytest.raises(NotAllowed):
        approvals.grant(asked, actor=manager)
    approvals.grant(asked, actor=chiefs[1])
    assert suppression.lift(entry, actor=chiefs[0], reason="A mistake").lifted_at


# --- The lines ------------------------------------------------------------------------------------------------


def test_a_tenant_without_lines_has_the_careful_ones():
    tenant = factories.tenant()
    ApprovalPolicy.objects.filter(tenant=tenant).delete()
    policy = approvals.policy_of(tenant.pk)
    assert (policy.launch_above, policy.cap_above, policy.export_above) == (10_000, 50, 1_000)
    assert (policy.release, policy.lift, policy.account) == (True, True, True)


@pytest.mark.parametrize(
    "values", [{"launch_above": 6}, {"launch_above": None}, {"cap_above": 51}, {"lift": False}, {"use_hours": 25}]
)
def test_looser_lines_need_a_second_person(tenant, first, second, values):
    with pytest.raises(NeedsApproval):
        approvals.set_policy(tenant, actor=first, **values)
    asked = approvals.ask(tenant, "policy.loosen", actor=first, reason="A larger client", **values)
    approvals.grant(asked, actor=second)
    policy = approvals.set_policy(tenant, actor=first, **values)
    assert {name: getattr(policy, name) for name in values} == values


def test_tighter_lines_need_nobody(tenant, first):
    policy = approvals.set_policy(tenant, actor=first, launch_above=4, cap_above=0, use_hours=1)
    assert (policy.launch_above, policy.cap_above) == (4, 0)
    changed = AuditEntry.objects.get(action="policy.changed")
    assert changed.before == {"launch_above": 5, "cap_above": 50, "use_hours": 24}


def test_unknown_acts_and_rows_of_another_kind_are_refused(tenant, first):
    with pytest.raises(BadInput, match="no act"):
        approvals.ask(tenant, "tenant.delete", actor=first, reason="x")
    with pytest.raises(BadInput, match="row of"):
        approvals.needed("campaign.launch", tenant)
    with pytest.raises(BadInput, match="nobody's agreement"):
        approvals.ask(
            factories.mailbox(tenant, daily_cap=40), "mailbox.raise_cap", actor=first, reason="x", daily_cap=45
        )


@pytest.mark.parametrize(
    ("name", "value"),
    [("use_hours", 0), ("use_hours", None), ("decide_hours", 721), ("decide_hours", 2**40), ("launch_above", -1),
     ("cap_above", 2**31), ("cap_above", "many"), ("lift", "perhaps"), ("release", None), ("tenant_id", 1)],
)  # fmt: skip
def test_a_line_that_can_be_none_is_refused_by_its_name(tenant, first, name, value):
    with pytest.raises(BadInput) as refused:
        approvals.set_policy(tenant, actor=first, **{name: value})
    assert refused.value.details["field"] == name


@pytest.mark.parametrize("cap", [-1, 100_001, 2**31, 2**63])
def test_a_cap_beyond_all_use_is_refused_also_where_nobody_has_to_agree(first, tenant, cap):
    ApprovalPolicy.objects.filter(tenant=tenant).update(cap_above=None)
    box = factories.mailbox(tenant, daily_cap=40)
    with pytest.raises(BadInput, match="from 0 to 100,000"):
        mailboxes.set_cap(box, cap, actor=first)
    box.refresh_from_db()
    assert box.daily_cap == 40
