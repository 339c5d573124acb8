"""Named lists of suppressions: membership in several, counts, removal as one, what the database refuses."""

from __future__ import annotations

import csv
import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from campaigns.models import Contact, Message, Suppression, SuppressionList
from campaigns.pipeline import planner
from campaigns.services import (
    campaigns,
    erasing,
    exporting,
    importing,
    importing_suppressions,
    preflighting,
    suppression,
    suppression_lists,
)
from outreach import cron
from outreach.common.errors import BadInput, InvalidMove, NeedsApproval, NotAllowed
from tenants.models import ApprovalPolicy, AuditEntry
from tenants.services import approvals
from tenants.services.actors import SYSTEM
from tests import factories
from tests.tenants.approvals.cases import somebody

pytestmark = pytest.mark.django_db


@pytest.fixture
def tenant():
    return factories.tenant()


def listed(owner, name, *entries, kind="customers", reason="manual"):
    row = suppression_lists.create(owner, name, kind=kind, actor=SYSTEM, owner="Ann", source="their CRM")
    suppression.suppress(owner, entries, actor=SYSTEM, reason=reason, via="test", suppression_list=row)
    return row


def counts(row):
    return suppression_lists.counts([row])[row.pk]


def is_blocked(owner, email) -> bool:
    """Whether the planner refuses a person of that address."""
    if not Contact.objects.filter(tenant=owner, email=email).exists():
        factories.people(owner, factories.contact_list(owner), 1, each=lambda _n: {"email": email})
    own, platform = suppression.standing(Contact.objects.get(tenant=owner, email=email))
    return bool(own) or platform


def test_an_address_in_two_lists_stays_blocked_when_one_is_removed(tenant):
    first = listed(tenant, "Customers", "ann@acme.example", "bob@acme.example")
    second = listed(tenant, "Competitors", "Ann@ACME.example", kind="competitors")

    done = suppression_lists.remove(first, actor=SYSTEM, reason="The contract ended")

    assert done.lifted == 2
    assert (counts(first), counts(second)) == ((0, 2), (1, 0))
    assert is_blocked(tenant, "ann@acme.example")
    assert not is_blocked(tenant, "bob@acme.example")
    lifted = Suppression.objects.filter(suppression_list=first)
    assert set(lifted.values_list("lift_reason", flat=True)) == {"list removed: The contract ended"}
    first.refresh_from_db()
    assert first.removed_at is not None


def test_an_opt_out_beside_a_list_survives_its_removal(tenant):
    row = listed(tenant, "Customers", "ann@acme.example")
    new = suppression.suppress(tenant, ["ann@acme.example"], actor=SYSTEM, reason="opt_out", via="one-click")
    assert new == 1

    suppression_lists.remove(row, actor=SYSTEM, reason="The contract ended")

    left = Suppression.objects.get(lifted_at=None)
    assert (left.reason, left.suppression_list.kind, left.suppression_list.name) == ("opt_out", "opt_out", "Opt-outs")


def test_an_opt_out_never_stands_in_another_list(tenant, tmp_path):
    row = listed(tenant, "Customers", "ann@acme.example", reason="opt_out")
    path = tmp_path / "people.csv"
    path.write_text("email,reason,source,proof\nbob@acme.example,opt_out,a call,call 7\ncid@acme.example,,,\n")

    *_, report = importing_suppressions.import_suppressions(tenant, path, actor=SYSTEM, suppression_list=row)

    assert report.created == 2
    kinds = Suppression.objects.order_by("hint").values_list("hint", "suppression_list__kind", "source", "proof")
    assert list(kinds) == [
        ("a***@acme.example", "opt_out", "", ""),
        ("b***@acme.example", "opt_out", "a call", "call 7"),
        ("c***@acme.example", "customers", "", ""),
    ]


def test_the_list_of_opt_outs_stays(tenant):
    suppression.suppress(tenant, ["ann@acme.example"], actor=SYSTEM, reason="opt_out", via="page")
    row = SuppressionList.objects.get()

    with pytest.raises(InvalidMove):
        suppression_lists.remove(row, actor=SYSTEM, reason="Clean slate")
    with pytest.raises(IntegrityError), transaction.atomic():
        SuppressionList.objects.filter(pk=row.pk).update(removed_at="2026-01-01T00:00Z", removed_reason="by hand")

    assert counts(row) == (1, 0)


def test_opt_outs_go_into_one_list_for_each_tenant(tenant):
    other = factories.tenant()
    for owner in (tenant, other, tenant):
        suppression.suppress(owner, ["ann@acme.example"], actor=SYSTEM, reason="opt_out", via="page")

    assert sorted(SuppressionList.objects.values_list("tenant", "kind")) == sorted(
        [(tenant.pk, "opt_out"), (other.pk, "opt_out")]
    )


def test_a_removed_list_takes_no_more(tenant):
    row = listed(tenant, "Customers", "ann@acme.example")
    suppression_lists.remove(row, actor=SYSTEM, reason="The contract ended")

    with pytest.raises(InvalidMove):
        suppression.suppress(
            tenant, ["bob@acme.example"], actor=SYSTEM, reason="manual", via="test", suppression_list=row
        )
    with pytest.raises(InvalidMove):
        suppression_lists.remove(row, actor=SYSTEM, reason="Again")

    assert Suppression.objects.count() == 1
    assert suppression_lists.create(tenant, "Customers", kind="customers", actor=SYSTEM).pk != row.pk


def test_a_list_takes_entries_of_its_own_scope_only(tenant):
    row = listed(tenant, "Customers")
    campaign = factories.campaign(tenant, factories.mailbox(tenant).pool, factories.contact_list(tenant))
    for scope, more in ((factories.tenant(), {}), (None, {}), (tenant, {"campaign": campaign})):
        with pytest.raises(BadInput):
            suppression.suppress(
                scope, ["a@acme.example"], actor=SYSTEM, reason="manual", via="x", suppression_list=row, **more
            )
    assert not Suppression.objects.exists()


def test_removing_needs_a_second_person_unless_the_policy_says_no():
    owner = factories.tenant()
    ApprovalPolicy.objects.filter(tenant=owner).delete()  # the careful defaults
    row = listed(owner, "Customers", "ann@acme.example")
    one, two = somebody(owner), somebody(owner)

    with pytest.raises(NeedsApproval) as caught:
        suppression_lists.remove(row, actor=one, reason="The contract ended")
    assert caught.value.details["terms"] == {"entries": 1, "kind": "customers"}
    assert counts(row) == (1, 0)

    approvals.grant(approvals.ask_for(caught.value, actor=one, reason="The contract ended"), actor=two)
    suppression.suppress(owner, ["b@acme.example"], actor=SYSTEM, reason="manual", via="x", suppression_list=row)
    with pytest.raises(NeedsApproval):  # one more than was agreed on
        suppression_lists.remove(row, actor=one, reason="The contract ended")
    suppression.lift(Suppression.objects.latest("pk"), actor=SYSTEM, reason="A mistake", approval=_lift_agreed(owner))
    assert suppression_lists.remove(row, actor=one, reason="The contract ended").lifted == 1
    told = AuditEntry.objects.filter(action="suppression_list.removed").get()
    assert told.facts["entries"] == 1
    assert told.facts["approval"]


def _lift_agreed(owner):
    one, two = somebody(owner), somebody(owner)
    wish = approvals.ask(Suppression.objects.latest("pk"), "suppression.lift", actor=one, reason="A mistake")
    approvals.grant(wish, actor=two)
    return wish.pk


def test_an_operator_makes_lists_and_does_not_remove_them(tenant):
    operator = somebody(tenant, "operator")
    row = suppression_lists.create(tenant, "Customers", kind="customers", actor=operator)

    with pytest.raises(NotAllowed):
        suppression_lists.remove(row, actor=operator, reason="The contract ended")
    with pytest.raises(NotAllowed):
        suppression_lists.create(None, "Everybody's", kind="do_not_contact", actor=operator)

    assert list(SuppressionList.objects.values_list("name", "removed_at")) == [("Customers", None)]


@pytest.mark.parametrize(
    ("name", "kind", "error"),
    [
        ("", "customers", BadInput),
        ("x" * 101, "customers", BadInput),
        ("Opt-outs", "customers", BadInput),
        ("a", "opt_out", BadInput),
        ("a", "?", BadInput),
    ],
)
def test_a_list_needs_a_name_and_a_kind(tenant, name, kind, error):
    with pytest.raises(error):
        suppression_lists.create(tenant, name, kind=kind, actor=SYSTEM)
    assert not SuppressionList.objects.exists()


def test_two_lists_of_one_name_are_refused(tenant):
    listed(tenant, "Customers")
    with pytest.raises(InvalidMove):
        listed(tenant, "Customers")
    assert SuppressionList.objects.count() == 1


def test_an_entry_keeps_source_and_proof_and_is_found_by_what_it_covers(tenant):
    suppression.suppress(
        tenant, ["*.acme.example", "ann@eu.acme.example"], actor=SYSTEM, reason="manual", via="console",
        source="a letter", proof="https://files.example/7",
    )  # fmt: skip

    found = Suppression.objects.filter(hash__in=suppression.covering("Ann@EU.Acme.example"))
    assert set(found.values_list("kind", "source", "proof")) == {
        ("wildcard", "a letter", "https://files.example/7"),
        ("address", "a letter", "https://files.example/7"),
    }
    assert suppression.covering("not an address") == suppression.covering("com") == []


def test_an_export_gives_masks_and_hashes_and_runs_no_formula(tenant):
    row = listed(tenant, "=Customers", "ann@acme.example", "*.bad.example")
    actor = somebody(tenant)

    with exporting.export_suppression_lists(SuppressionList.objects.filter(pk=row.pk), actor=actor) as file:
        text = file.read().decode("utf-8-sig")

    rows = {each["kind"]: each for each in csv.DictReader(io.StringIO(text))}
    assert "ann@" not in text
    assert rows["address"]["entry"] == "a***@acme.example"
    assert rows["address"]["hash"] == suppression.hasher().address("ann@acme.example").hex()
    assert rows["wildcard"]["entry"].lstrip("'") == "*.bad.example"
    assert rows["address"]["list"] == "'=Customers"


# --- Erasure: the hash alone holds ---------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["Ann.Lee@gmail.com", "ANN.LEE@GMAIL.COM", "ann.lee@Gmail.com"])
@pytest.mark.as_worker
@pytest.mark.django_db(transaction=True)
def test_an_erased_person_who_comes_again_in_another_spelling_is_still_blocked(spelling, tmp_path):
    owner = factories.tenant()
    box = factories.mailbox(owner)
    factories.people(owner, factories.contact_list(owner), 1, each=lambda _n: {"email": "ann.lee@gmail.com"})
    suppression.suppress(owner, ["ann.lee@gmail.com"], actor=SYSTEM, reason="opt_out", via="page", proof="her words")
    erasing.erase(Contact.objects.get(), actor=SYSTEM, reason="asked to")

    kept = Suppression.objects.get()
    assert (kept.hint, kept.proof, kept.source, kept.lifted_at) == ("", "", "", None)
    path = tmp_path / "again.csv"
    path.write_text(
        f"email,country,person_kind,source,lawful_basis,basis_date\n{spelling},US,individual,fair,consent,2026-01-02\n"
    )
    *_, report = importing.import_contacts(owner, path, list_name="Again", actor=SYSTEM)
    assert (report.created, report.suppressed) == (1, 1)
    again = Contact.objects.latest("pk")
    listed = again.entries.get().contact_list
    factories.people(owner, listed, 1)  # somebody else, without whom there is nothing to start
    campaign = factories.campaign(owner, box.pool, listed)
    warnings = [finding.code for finding in preflighting.look(campaign).warnings]
    campaigns.start(campaign, actor=SYSTEM, accept=warnings)
    planner.run(owner, cron.now())
    assert not Message.objects.filter(contact=again).exists()
    assert campaign.enrolments.get(contact=again).stop_reason == "suppressed"


# --- The commands --------------------------------------------------------------------------------------------


def command(name, *arguments) -> dict:
    output = io.StringIO()
    call_command(name, *map(str, arguments), "--json", stdout=output)
    return json.loads(output.getvalue())


def test_the_commands_make_fill_show_and_remove_a_list(tenant, tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("address,proof\nann@acme.example,\n*.bad.example,a letter\n")
    where = ("--tenant", tenant.slug)

    command("suppression_list", "create", "Customers", *where, "--kind", "customers", "--owner", "Ann")
    assert command("import_suppressions", path, *where, "--list", "Customers")["created"] == 2
    (shown,) = command("suppression_list", *where)["lists"]
    assert (shown["name"], shown["kind"], shown["owner"], shown["entries"]) == ("Customers", "customers", "Ann", 2)
    command("suppression_list", "export", "Customers", *where, "--to", tmp_path / "out.csv")
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 3
    assert command("suppression_list", "remove", "Customers", *where, "--reason", "x", "--dry-run")["lifted"] == 2
    assert Suppression.objects.filter(lifted_at=None).count() == 2
    assert command("suppression_list", "remove", "Customers", *where, "--reason", "It ended")["lifted"] == 2
    with pytest.raises(CommandError):
        command("import_suppressions", path, *where, "--list", "Customers")


def test_lifting_by_command_asks_which_of_several_entries(tenant):
    listed(tenant, "Customers", "ann@acme.example")
    suppression.suppress(tenant, ["ann@acme.example"], actor=SYSTEM, reason="manual", via="console")
    where = ("--tenant", tenant.slug, "--reason", "They asked")
    loose = Suppression.objects.get(suppression_list=None)

    with pytest.raises(CommandError, match=f"2 entries hold .*#{loose.pk}"):
        call_command("lift_suppression", "ann@acme.example", *where)
    assert Suppression.objects.filter(lifted_at=None).count() == 2

    assert command("lift_suppression", f"#{loose.pk}", *where)["suppression"] == loose.pk
    assert Suppression.objects.get(lifted_at=None).suppression_list.name == "Customers"
