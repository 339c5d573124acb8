"""Suppressions from files, and the commands of imports and tenants."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from campaigns.models import Message, Suppression
from campaigns.services import campaigns, importing_suppressions, suppression
from mailboxes.models import Mailbox
from outreach.common import isolation
from tenants.services import members
from tenants.services.actors import SYSTEM
from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]

CONTACT = "ann@acme.example,corporate_named,fair in Kyiv,consent,2026-01-02"
CONTACT_COLUMNS = "email,person_kind,source,lawful_basis,basis_date"


@pytest.fixture
def tenant():
    return factories.tenant()


@pytest.fixture
def write(tmp_path):
    def write(*rows: str, columns: str) -> Path:
        path = tmp_path / "people.csv"
        path.write_bytes(("\n".join((columns, *rows)) + "\n").encode())
        return path

    return write


def suppress(tenant, path, **options):
    *_, report = importing_suppressions.import_suppressions(tenant, path, actor=SYSTEM, **options)
    return report


def places(report) -> list[tuple[int, str]]:
    return [(refusal.line, refusal.column) for refusal in report.refusals]


def entries(**filters) -> set[tuple[str, str, str, str]]:
    return set(Suppression.objects.filter(**filters).values_list("scope", "kind", "hint", "domain"))


def test_addresses_domains_and_wildcards_are_suppressed(tenant, write):
    path = write("Ann@ACME.example,", ",bad.example", ",*.worse.example", columns="email,domain")
    report = suppress(tenant, path)

    assert (report.created, report.unchanged, report.refused) == (3, 0, 0)
    assert entries(tenant=tenant, reason="import", via="import of people.csv") == {
        ("tenant", "address", "a***@acme.example", ""),
        ("tenant", "domain", "", "bad.example"),
        ("tenant", "wildcard", "", "worse.example"),
    }
    assert bytes(Suppression.objects.get(kind="address").hash) == suppression.hasher().address("ann@acme.example")
    tenant.refresh_from_db()
    assert tenant.plan_wanted_at is not None


def test_kind_and_reason_are_taken_from_the_file(tenant, write):
    path = write(
        "worse.example,wildcard,manual",
        "b@acme.example,address,OPT_OUT",
        "bad.example,,complaint",
        columns="address,kind,reason",
    )
    suppress(tenant, path)

    assert set(Suppression.objects.values_list("kind", "reason")) == {
        ("wildcard", "manual"),
        ("address", "opt_out"),
        ("domain", "complaint"),
    }


def test_the_platform_suppresses_for_everybody(write):
    assert suppress(None, write("ann@acme.example", columns="email")).created == 1
    assert entries(tenant=None) == {("platform", "address", "a***@acme.example", "")}


def test_entries_in_force_are_left_alone_and_repeated_ones_counted(tenant, write):
    path = write("a@acme.example", "A@acme.example", "b@acme.example", columns="email")
    report = suppress(tenant, path)
    assert (report.created, report.repeated, report.refused) == (2, 1, 0)
    before = list(Suppression.objects.order_by("pk").values())

    report = suppress(tenant, path)

    assert (report.created, report.unchanged, report.repeated) == (0, 2, 1)
    assert list(Suppression.objects.order_by("pk").values()) == before


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("nobody@,,,", "email"),
        (",,,manual", "email"),
        ("a@acme.example,acme.example,,", "email"),
        ("acme.example,,,", "email"),
        (",a@acme.example,,", "domain"),
        (",example,,", "domain"),
        (",*.example,,", "domain"),
        (",not a domain,,", "domain"),
        ("a@acme.example,,person,", "kind"),
        ("a@acme.example,,domain,", "email"),
        ("a@acme.example,,,because", "reason"),
        ("=1+1,,,", "email"),
    ],
)
def test_a_wrong_suppression_is_named_and_the_others_are_taken(tenant, write, line, column):
    report = suppress(tenant, write("good@acme.example,,,", line, columns="email,domain,kind,reason"))

    assert (report.created, places(report)) == (1, [(3, column)])
    assert Suppression.objects.count() == 1


def test_an_opt_out_is_never_of_the_platform(write):
    report = suppress(None, write("a@acme.example,opt_out", columns="email,reason"))

    assert places(report) == [(2, "reason")]
    assert not Suppression.objects.exists()


def test_the_corrected_file_of_refused_suppressions_keeps_its_own_reason(tenant, write):
    refused = Path(suppress(tenant, write("acme,opt_out", columns="domain,reason")).refused_file)
    text = refused.read_text(encoding="utf-8")
    assert text.startswith("domain,reason,refused_reason")
    refused.write_text(text.replace("acme,", "acme.example,", 1), encoding="utf-8")

    assert suppress(tenant, refused).created == 1
    assert Suppression.objects.get().reason == "opt_out"


@pytest.mark.parametrize("platform", [True, False])
@pytest.mark.parametrize("bulk", [4, 10_000])
def test_waiting_mail_is_stopped_in_the_same_transaction(tenant, write, monkeypatch, platform, bulk):
    monkeypatch.setattr(suppression, "BULK", bulk)
    monkeypatch.setattr(importing_suppressions, "PUSHED", 3)
    waiting = planned(
        tenant, [f"p{number}@acme.example" for number in range(12)] + ["x@bad.example", "y@eu.bad.example"]
    )
    lines = [f"p{number}@acme.example" for number in range(10)] + ["*.bad.example"]
    owner = None if platform else tenant

    assert suppress(owner, write(*lines, columns="address"), dry_run=True).created == 11
    assert set(waiting.values_list("status", flat=True)) == {"planned"}
    suppress(owner, write(*lines, columns="address"))

    left = set(waiting.filter(status="planned").values_list("contact__email", flat=True))
    assert left == {"p10@acme.example", "p11@acme.example"}
    assert waiting.filter(status="suppressed").count() == 12


def planned(tenant, emails):
    """Messages that wait, one for each address."""
    (box,) = factories.fleet(tenant, 1)
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, len(emails), each=lambda number: {"email": emails[number]})
    campaign = campaigns.start(factories.campaign(tenant, box.pool, listed), actor=SYSTEM)
    now = timezone.now()
    step = campaign.steps.get()
    Message.objects.bulk_create(
        Message(
            tenant=tenant,
            campaign=campaign,
            step=step,
            enrolment=enrolment,
            contact=enrolment.contact,
            mailbox=Mailbox.objects.get(pk=box.pk),
            due_at=now,
            not_after=now + timedelta(hours=1),
            day_on=now.date(),
            message_id=f"<{enrolment.pk}@test>",
        )
        for enrolment in campaign.enrolments.select_related("contact")
    )
    campaign.enrolments.update(due_at=None, waits_for="sending")
    return Message.objects.filter(campaign=campaign)


# --- The commands ------------------------------------------------------------------------------------------


def command(name, *arguments) -> dict:
    output = io.StringIO()
    call_command(name, *map(str, arguments), "--json", stdout=output)
    return json.loads(output.getvalue())


def test_the_commands_print_one_object(tenant, write):
    result = command(
        "import_contacts", write(CONTACT, columns=CONTACT_COLUMNS), "--tenant", tenant.slug, "--list", "All"
    )
    assert (result["created"], result["refused"], result["refused_file"]) == (1, 0, None)
    for where in (("--tenant", tenant.slug), ("--platform",)):
        assert command("import_suppressions", write("a@acme.example", columns="email"), *where)["created"] == 1


@pytest.mark.parametrize(("name", "where"), [("import_contacts", ["--list", "All"]), ("import_suppressions", [])])
def test_refused_rows_end_a_command_with_2_after_its_result(tenant, write, name, where):
    if name == "import_contacts":
        path = write(CONTACT, CONTACT.replace("ann@", "ann"), columns=CONTACT_COLUMNS)
    else:
        path = write("a@x.example", "bad@", columns="email")
    output = io.StringIO()

    with pytest.raises(CommandError) as caught:
        call_command(name, str(path), "--tenant", tenant.slug, *where, stdout=output)

    assert caught.value.returncode == 2
    assert "line 3, email" in output.getvalue()
    assert "read=2 created=1" in output.getvalue()
    assert str(caught.value) == f"1 row was refused. Correct {path}.refused.csv and import it."


def test_a_person_needs_the_permission(tenant, write):
    analyst = factories.user("analyst@console.example", is_staff=True)
    members.grant(analyst, "analyst", None, actor=SYSTEM)

    for name, where in (
        ("import_contacts", ["--tenant", tenant.slug, "--list", "A"]),
        ("import_suppressions", ["--platform"]),
    ):
        with pytest.raises(CommandError, match="may not do") as caught:
            call_command(name, str(write(CONTACT, columns=CONTACT_COLUMNS)), *where, actor=analyst.email)
        assert caught.value.returncode == 1


def test_a_tenant_is_created_tried_and_refused():
    wanted = ("north", "--name", "North", "--time-zone", "Europe/Kyiv", "--postal-address", "1 Street")
    assert command("create_tenant", *wanted, "--dry-run")["id"] is None
    made = command("create_tenant", *wanted)
    wanted = {name: made[name] for name in ("id", "slug", "name", "time_zone")}
    with isolation.everything():
        assert factories.Tenant.objects.filter(**wanted).exists()
    for bad in (["north"], ["North!"], ["south", "--time-zone", "Mars"]):
        with pytest.raises(CommandError) as caught:
            call_command("create_tenant", *bad)
        assert caught.value.returncode == 2
    assert len(isolation.all_tenants()) == 1
