"""Some acts wait for a second person: the first one, the system and a late answer do not open them."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils.timezone import now

from campaigns.models import Contact, Suppression
from campaigns.services import campaigns, exporting, suppression
from mailboxes.models import Mailbox, ProviderAccount, RampPlan
from mailboxes.services import mailboxes, providers, ramp
from outreach.common.errors import BadInput, InvalidMove, NeedsApproval, NotAllowed
from tenants import acts, permissions
from tenants.models import Approval, ApprovalPolicy, AuditEntry, User
from tenants.services import api_keys, approvals, invitations, members, users
from tenants.services.actors import SYSTEM, Actor, of_grants
from tests import factories

pytestmark = pytest.mark.django_db
PORTS = itertools.count(2525)


@pytest.fixture
def tenant():
    tenant = factories.tenant()
    strict = {"launch_above": 5, "cap_above": 50, "export_above": 3, "release": True, "lift": True, "account": True}
    ApprovalPolicy.objects.filter(tenant=tenant).update(**strict)
    return tenant


def somebody(tenant, role="ops_manager") -> Actor:
    user = factories.user()
    if role in permissions.OF_PEOPLE:
        members.grant(user, role, tenant.pk, actor=SYSTEM)
    return of_grants("user", role, [(tenant.pk, role)], user_id=user.pk)


@pytest.fixture
def first(tenant):
    return somebody(tenant)


@pytest.fixture
def second(tenant):
    return somebody(tenant)


class Case:
    """One act with its subject: `act` does it, `done` says whether it happened."""

    def __init__(self, tenant, name):
        self.name, self.given = name, {}
        getattr(self, f"_{name.replace('.', '_')}")(tenant)

    def _campaign_launch(self, tenant):
        listed = factories.contact_list(tenant)
        factories.people(tenant, listed, 6)
        box = factories.mailbox(tenant)
        self.subject = factories.campaign(tenant, box.pool, listed)
        self.service, self.done = campaigns.start, lambda row: row.status == "running"

    def _mailbox_raise_cap(self, tenant):
        self.subject, self.given = factories.mailbox(tenant, daily_cap=40), {"daily_cap": 80}
        self.service, self.done = mailboxes.set_cap, lambda row: row.daily_cap == 80

    def _mailbox_leave_ramp(self, tenant):
        plan = RampPlan.objects.get_or_create(tenant=tenant, name="standard")[0]
        self.subject = factories.mailbox(tenant, daily_cap=80, ramp=plan, ramp_cap=10, state=Mailbox.State.RAMPING)
        self.service = lambda row, **more: ramp.leave_ramp(row, reason="Warm elsewhere", **more)
        self.done = lambda row: row.ramp_id is None

    def _mailbox_release(self, tenant):
        self.subject = factories.mailbox(tenant, state=Mailbox.State.QUARANTINED)
        self.service, self.done = mailboxes.release, lambda row: row.state == "active"

    def _account_reopen(self, tenant):
        self.subject = factories.account(tenant, port=next(PORTS), state=ProviderAccount.State.SUSPENDED)
        self.service, self.done = providers.activate, lambda row: row.state == "active"

    def _suppression_lift(self, tenant):
        suppression.suppress(tenant, [f"gone{next(PORTS)}@example.net"], actor=SYSTEM, reason="opt_out", via="test")
        self.subject = Suppression.objects.filter(tenant=tenant).latest("pk")
        self.service = lambda row, **more: suppression.lift(row, reason="They wrote again", **more)
        self.done = lambda row: row.lifted_at is not None

    def do(self, actor, **more):
        return self.service(self.subject, actor=actor, **self.given, **more)

    def ask(self, actor, reason="The client wants it"):
        return approvals.ask(self.subject, self.name, actor=actor, reason=reason, **self.given)

    @property
    def happened(self):
        self.subject.refresh_from_db()
        return self.done(self.subject)


@pytest.fixture(
    params=[
        "campaign.launch",
        "mailbox.raise_cap",
        "mailbox.leave_ramp",
        "mailbox.release",
        "account.reopen",
        "suppression.lift",
    ]
)
def case(request, tenant):
    return Case(tenant, request.param)


def test_the_cases_here_are_the_acts_there_are():
    tested = {"campaign.launch", "mailbox.raise_cap", "mailbox.leave_ramp", "mailbox.release", "account.reopen"}
    tested |= {"suppression.lift"}
    assert set(acts.registered()) == tested | {"people.export", "policy.loosen"}


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
    trail = AuditEntry.objects.filter(tenant=case.subject.tenant_id).exclude(facts__approval=None)
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


# --- What is agreed on ----------------------------------------------------------------------------------------


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


# --- Who a second person is -------------------------------------------------------------------------------------


def test_a_right_that_is_younger_than_the_wish_does_not_count(case, tenant, first):
    asked = case.ask(first)
    with pytest.raises(NotAllowed, match="younger than the wish"):
        approvals.grant(asked, actor=somebody(tenant))
    asked.refresh_from_db()
    assert asked.state == "asked"


def test_whom_the_first_person_invited_is_no_second_one(tenant):
    manager = factories.user()
    members.grant(manager, "platform_admin", None, actor=SYSTEM)
    asking = of_grants("user", "chief", [(None, "platform_admin")], user_id=manager.pk)
    _invitation, token = invitations.invite("puppet@example.net", "ops_manager", tenant.pk, actor=asking)
    puppet = invitations.accept(token, "correct horse battery staple", actor=Actor("user", "nobody"))
    asked = Case(tenant, "mailbox.release").ask(asking)

    with pytest.raises(NotAllowed, match="invited you"):
        approvals.grant(asked, actor=of_grants("user", "puppet", [(tenant.pk, "ops_manager")], user_id=puppet.pk))


def test_whose_sign_in_the_first_person_renewed_is_no_second_one(tenant, second):
    chief = factories.user(is_superuser=True)
    members.grant(chief, "platform_admin", None, actor=SYSTEM)
    asking = of_grants("user", "chief", [(None, "platform_admin")], user_id=chief.pk)
    asked = Case(tenant, "mailbox.release").ask(asking)
    users.new_password(User.objects.get(pk=second.user_id), actor=asking)

    with pytest.raises(NotAllowed, match="renewed your sign-in"):
        approvals.grant(asked, actor=second)
