"""Rules of a tenant's own: which one holds, who may set it, what needs a second person, and what it stops at once."""

from __future__ import annotations

import io
import json
from datetime import date, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils.timezone import now

from campaigns import bases as pure
from campaigns.basis_table import DEFAULTS, Ground
from campaigns.models import BasisRule, Enrolment, Message
from campaigns.services import bases, campaigns
from outreach.common.errors import BadInput, NeedsApproval, NotAllowed
from tenants.models import Approval, ApprovalPolicy, AuditEntry, Tenant, TenantRecord
from tenants.services import approvals, records
from tenants.services.actors import SYSTEM
from tests import factories
from tests.tenants.approvals.cases import somebody

pytestmark = pytest.mark.django_db
CONSENT, PROVEN = [{"basis": "consent"}], [{"basis": "consent", "needs_evidence": True}]
LAX = [*CONSENT, {"basis": "legitimate_interest"}]


@pytest.fixture
def tenant():
    tenant = factories.tenant()
    ApprovalPolicy.objects.filter(tenant=tenant).update(bases=True)
    return tenant


def today():
    return now().date()


def allowed(tenant, country, kind="corporate_named", day=None):
    return bases.in_codes(bases.effective(tenant, day or today()).cell(country, kind).grounds)


def put(tenant, country, grounds, **more):
    return bases.set_rule(tenant, country, grounds, actor=more.pop("actor", SYSTEM), reason="Counsel", **more)


def test_a_tighter_rule_holds_at_once_and_one_person_sets_it(tenant):
    rule = put(tenant, "de", PROVEN, actor=somebody(tenant))

    assert (rule.version, rule.country, rule.valid_from, rule.approval_ref) == (1, "DE", today(), None)
    assert allowed(tenant, "DE") == "consent/evidence"
    cell = bases.effective(tenant, today()).cell("DE", "individual")
    assert (cell.origin.is_own, cell.origin.number, cell.origin.source) == (True, 1, "Counsel")
    assert allowed(factories.tenant(), "DE") == "consent; existing_customer+uwg_7_3"
    entry = AuditEntry.objects.get(action="basis_rule.set")
    assert (entry.after, entry.facts["country"]) == ("consent/evidence", "DE")


def test_a_looser_rule_waits_for_a_second_person(tenant):
    first, second = somebody(tenant), somebody(tenant)
    with pytest.raises(NeedsApproval):
        put(tenant, "DE", LAX, actor=first)
    assert not BasisRule.objects.exists()
    assert allowed(tenant, "DE") == "consent; existing_customer+uwg_7_3"

    asked = approvals.ask(
        tenant, "bases.loosen", actor=first, reason="New client", country="DE", person_kind="", grounds=LAX,
        valid_from=today(),
    )  # fmt: skip
    assert asked.terms == {
        "country": "DE", "people": "all", "allowed": "consent; legitimate_interest", "from": today().isoformat()
    }  # fmt: skip
    approvals.grant(asked, actor=second)
    with pytest.raises(NeedsApproval):
        put(tenant, "FR", LAX, actor=first, person_kind="individual")  # another country than agreed on
    rule = put(tenant, "DE", LAX, actor=first, valid_from=today() + timedelta(days=2))  # later than agreed on is less
    assert rule.approval_ref == asked.pk
    assert Approval.objects.get(pk=asked.pk).state == "used"


@pytest.mark.parametrize("role", ["operator", "analyst", "client_viewer"])
def test_only_managers_set_rules(tenant, role):
    with pytest.raises(NotAllowed):
        put(tenant, "DE", PROVEN, actor=somebody(tenant, role))
    assert not BasisRule.objects.exists()


def test_the_last_rule_that_covers_somebody_holds(tenant):
    ApprovalPolicy.objects.filter(tenant=tenant).update(bases=False)
    put(tenant, "FR", [], person_kind="individual")
    assert (allowed(tenant, "FR", "individual"), allowed(tenant, "FR")[:7]) == ("nothing", "consent")
    put(tenant, "FR", PROVEN)  # all kinds
    assert allowed(tenant, "FR", "individual") == "consent/evidence"
    put(tenant, "FR", None, person_kind="individual")
    assert (allowed(tenant, "FR", "individual"), allowed(tenant, "FR")) == ("consent", "consent/evidence")


def test_a_rule_comes_into_force_on_its_day_also_behind_a_later_set_one(tenant):
    ApprovalPolicy.objects.filter(tenant=tenant).update(bases=False)
    put(tenant, "AT", [], valid_from=today() + timedelta(days=10))
    put(tenant, "AT", PROVEN)
    assert [allowed(tenant, "AT", day=today() + timedelta(days=n)) for n in (0, 9, 10)] == [
        "consent/evidence", "consent/evidence", "nothing",
    ]  # fmt: skip


def test_the_row_of_others_is_what_a_country_without_one_begins_with(tenant):
    ApprovalPolicy.objects.filter(tenant=tenant).update(bases=False)
    put(tenant, "UA", CONSENT, person_kind="corporate_named")
    put(tenant, "", [])
    assert allowed(tenant, "UA") == "consent"
    assert allowed(tenant, "UA", "individual") == allowed(tenant, "JP") == allowed(tenant, "") == "nothing"
    assert allowed(tenant, "DE") == "consent; existing_customer+uwg_7_3"


def test_a_rule_that_would_outlast_a_tighter_one_to_come_is_looser(tenant):
    later = today() + timedelta(days=5)
    put(tenant, "", [], valid_from=later)
    same = [{"basis": "consent", "needs_evidence": True, "postal_address": True}]
    with pytest.raises(NeedsApproval):
        put(tenant, "UA", same)  # as much as now, but more than from that day on
    with pytest.raises(NeedsApproval):
        put(tenant, "", same, valid_from=later)  # back
    assert BasisRule.objects.count() == 1


@pytest.mark.parametrize(
    ("before", "after", "covered"),
    [
        (Ground("consent"), Ground("consent", needs_evidence=True), True),
        (Ground("consent", needs_evidence=True), Ground("consent"), False),
        (Ground("opt_out", frozenset({"job_related"})), Ground("opt_out"), False),
        (Ground("opt_out"), Ground("opt_out", frozenset({"job_related"})), True),
        (Ground("opt_out", max_months=6), Ground("opt_out", max_months=7), False),
        (Ground("opt_out", max_months=6), Ground("opt_out"), False),
        (Ground("opt_out"), Ground("opt_out", max_months=7), True),
        (Ground("opt_out", postal_address=True), Ground("opt_out"), False),
        (Ground("opt_out"), Ground("consent"), False),
    ],
)
def test_what_is_covered_by_what(before, after, covered):
    assert pure.covers(before, after) is covered


@pytest.mark.parametrize(
    ("country", "grounds", "more", "field"),
    [
        ("XX", PROVEN, {}, "country"),
        ("Germany", PROVEN, {}, "country"),
        ("DE", PROVEN, {"person_kind": "robot"}, "person_kind"),
        ("DE", [{"basis": "karma"}], {}, "grounds"),
        ("DE", [{"basis": ["consent"]}], {}, "grounds"),
        ("DE", [{"basis": "consent", "terms": ["nice"]}], {}, "grounds"),
        ("DE", [{"basis": "consent", "terms": "job_related"}], {}, "grounds"),
        ("DE", [{"basis": "consent", "max_months": 0}], {}, "grounds"),
        ("DE", [{"basis": "consent", "max_months": True}], {}, "grounds"),
        ("DE", [{"basis": "consent", "needs_evidence": "no"}], {}, "grounds"),
        ("DE", [{"basis": "consent", "until": "2027"}], {}, "grounds"),
        ("DE", {"basis": "consent"}, {}, "grounds"),
        ("DE", PROVEN, {"valid_from": date(2026, 1, 1)}, "valid_from"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_by_its_field(tenant, country, grounds, more, field):
    with pytest.raises(BadInput) as refused:
        put(tenant, country, grounds, **more)
    assert refused.value.details["field"] == field
    assert not BasisRule.objects.exists()


@pytest.mark.parametrize("reason", ["", "  ", "a\0b"])
def test_a_rule_says_what_it_rests_on(tenant, reason):
    with pytest.raises(BadInput) as refused:
        bases.set_rule(tenant, "DE", PROVEN, actor=SYSTEM, reason=reason)
    assert refused.value.details["field"] == "reason"


def test_grounds_survive_json_and_lines():
    for row in DEFAULTS[-1].rows:
        assert set(pure.of_json(pure.as_json(row.grounds))) == set(row.grounds)
    written = "consent\n\nimplied_consent enquiry, 6 months\nopt_out job_related evidence address\n"
    assert bases.in_codes(pure.of_lines(written)) == (
        "consent; implied_consent+enquiry/6 months; opt_out+job_related/evidence/postal address"
    )
    for wrong in ("", "  \n", "consent months 6", "nothing", "consent 9999 months", "consent sure"):
        with pytest.raises(ValueError, match="ground|basis|Terms"):
            pure.of_lines(wrong)


# --- What it stops and what it opens -------------------------------------------------------------------------------


@pytest.fixture
def planned(tenant):
    """Somebody with a planned message, somebody who waits for a basis and somebody who waits for a receiver."""
    box = factories.mailbox(tenant)
    listed = factories.contact_list(tenant)
    people = factories.people(tenant, listed, 3)
    campaign = factories.campaign(tenant, box.pool, listed, status="running")
    far = now() + timedelta(hours=20)
    rows = [
        Enrolment.objects.create(
            tenant=tenant, campaign=campaign, contact=person, zone="UTC", waits_for=waits,
            due_at=None if waits == "message" else far,
        )
        for person, waits in zip(people, ("message", "basis_country", "receiver"), strict=True)
    ]  # fmt: skip
    Message.objects.create(
        tenant=tenant, campaign=campaign, step=campaign.steps.get(), enrolment=rows[0], contact=people[0], mailbox=box,
        status="planned", due_at=now(), not_after=far, day_on=today(), message_id=f"<{rows[0].pk}@x.example>",
    )  # fmt: skip
    return [row.pk for row in rows]


def waits(ids):
    return [Enrolment.objects.get(pk=pk).waits_for for pk in ids]


def test_a_rule_takes_planned_mail_back_and_looks_again_at_who_waits(tenant, planned):
    Tenant.objects.filter(pk=tenant.pk).update(plan_wanted_at=None)
    put(tenant, "DE", PROVEN)
    assert not Message.objects.exists()
    assert waits(planned) == ["", "", "receiver"]
    tenant.refresh_from_db()
    assert tenant.plan_wanted_at is not None


def test_a_rule_for_later_leaves_mail_of_now_alone(tenant, planned):
    put(tenant, "DE", PROVEN, valid_from=today() + timedelta(days=3))
    assert Message.objects.count() == 1
    assert waits(planned) == ["message", "basis_country", "receiver"]


@pytest.mark.parametrize(
    ("values", "left", "after"),
    [
        ({"allowed_bases": ["consent", "opt_out"]}, 1, ["message", "", "receiver"]),
        ({"allowed_countries": ["US"]}, 0, ["", "basis_country", "receiver"]),
        ({"allowed_countries": ["UA", "PL"]}, 0, ["", "", "receiver"]),
        ({"legal_name": "Another Ltd"}, 1, ["message", "basis_country", "receiver"]),
    ],
)
def test_a_contract_that_names_less_takes_back_and_one_that_names_more_looks_again(
    tenant, planned, values, left, after
):
    records.write(tenant, values, actor=SYSTEM)
    assert Message.objects.count() == left
    assert waits(planned) == after


# --- The command -----------------------------------------------------------------------------------------------------


def command(*arguments):
    out = io.StringIO()
    call_command("basis_rules", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_the_command_shows_the_table_and_sets_a_rule(tenant):
    shown = command("show", "--tenant", tenant.slug, "--country", "gb")
    assert [(row["people"], row["from"], row["checked"]) for row in shown["rows"]] == [
        ("corporate_named", "default 1", False),
        ("corporate_generic", "default 1", False),
        ("individual", "default 1", False),
    ]
    made = command("set", "GB", "--tenant", tenant.slug, "--people", "individual", "--nobody", "--reason", "Counsel")
    assert made == {"rule": 1, "country": "GB", "from": today().isoformat()}
    (row,) = [r for r in command("show", "--tenant", tenant.slug)["rows"] if r["from"] == "own 1"]
    assert (row["country"], row["people"], row["allowed"]) == ("GB", "individual", "nothing")


def test_the_command_asks_a_second_person_and_a_dry_run_sets_nothing(tenant):
    loose = ("set", "*", "--tenant", tenant.slug, "--allow", "consent", "--allow", "opt_out", "--reason", "Counsel")
    with pytest.raises(CommandError, match="needs a second person"):
        call_command("basis_rules", *loose)
    tight = ("set", "DE", "--tenant", tenant.slug, "--allow", "consent evidence", "--reason", "Counsel", "--dry-run")
    assert command(*tight)["rule"] == 1
    with pytest.raises(CommandError, match="--allow: karma is no basis"):
        call_command("basis_rules", "set", "DE", "--tenant", tenant.slug, "--allow", "karma", "--reason", "x")
    assert not BasisRule.objects.exists()


def test_a_campaign_of_a_tenant_without_a_contract_never_starts(tenant):
    TenantRecord.objects.filter(tenant=tenant).update(allowed_countries=[])
    assert any("countries it may write to" in line for line in campaigns.preflight(factories.campaign(tenant)))
