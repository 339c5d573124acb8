"""import_domains: what is taken, what is refused and why, and taking it back."""

from __future__ import annotations

import io
import json
from datetime import date

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from deliverability.models import DomainCheck
from mailboxes.models import Import, SendingDomain
from mailboxes.services import domains, importing_domains, imports
from outreach.common.errors import InvalidMove, NotAllowed
from tenants.models import AuditEntry
from tenants.services.actors import SYSTEM, of_grants
from tests import factories
from tests.deliverability.zones import mailbox_on

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]

COLUMNS = "domain,dkim_selectors,hourly_cap,daily_cap,tracking_host,return_path,registrar,registered_on,renews_on"
FULL = "Mail.Acme.Example.,s1 s2,100,900,go.acme.example,bounce.acme.example,Names Ltd,2024-05-01,2027-05-01"


@pytest.fixture
def tenant():
    return factories.tenant()


@pytest.fixture
def write(tmp_path):
    def write(*rows, columns=COLUMNS):
        path = tmp_path / "domains.csv"
        path.write_text("\n".join((columns, *rows)) + "\n")
        return path

    return write


def run(tenant, path, **options):
    *_, report = importing_domains.import_domains(tenant, path, **{"actor": SYSTEM} | options)
    return report


def counts(report):
    return report.created, report.updated, report.unchanged, report.refused


def told(report):
    return [(refusal.line, refusal.column, refusal.reason) for refusal in report.refusals]


def test_a_row_becomes_a_new_domain(tenant, write):
    report = run(tenant, write(FULL, "plain.example,,,,,,,,"))

    assert counts(report) == (2, 0, 0, 0)
    made = SendingDomain.objects.get(name="mail.acme.example")
    assert (made.tenant, made.state, made.organisational) == (tenant, "new", "acme.example")
    assert (made.dkim_selectors, made.hourly_cap, made.daily_cap) == (["s1", "s2"], 100, 900)
    assert (made.tracking_host, made.return_path) == ("go.acme.example", "bounce.acme.example")
    assert (made.registrar, made.registered_on, made.renews_on) == ("Names Ltd", date(2024, 5, 1), date(2027, 5, 1))
    plain = SendingDomain.objects.get(name="plain.example")
    assert (plain.tracking_host, plain.hourly_cap, plain.dkim_selectors) == (None, None, [])
    entry = AuditEntry.objects.get(action="domains.imported")
    assert entry.facts["created"] == 2


def test_a_known_domain_takes_what_the_file_says_and_keeps_the_rest(tenant, write):
    run(tenant, write(FULL))
    SendingDomain.objects.update(state="verified", check_due_at="2030-01-01T00:00Z")

    assert counts(run(tenant, write(FULL))) == (0, 0, 1, 0)
    report = run(tenant, write("mail.acme.example,s3,,,,,,,2028-05-01"))

    row = SendingDomain.objects.get()
    assert counts(report) == (0, 1, 0, 0)
    assert (row.dkim_selectors, row.renews_on, row.daily_cap) == (["s3"], date(2028, 5, 1), 900)
    assert (row.state, row.check_due_at) == ("verified", None)


def test_what_can_not_be_taken_says_why(tenant, write, tmp_path):
    factories.domain(tenant, name="gone.example", state="retired")
    factories.domain(tenant, name="own.example", tracking_host="go.own.example")
    path = write(
        "no domain,,,,,,,,",
        ",,,,,,,,",
        "a.example,s/1,many,-1,nohost,,,yesterday,",
        "b.example,,,,,,,,",
        "B.example,,,,,,,,",
        "c.example,,,,go.own.example,,,,",
        "d.example,,,,go.d.example,,,,",
        "e.example,,,,go.d.example,,,,",
        "f.example,,,,f.example,,,,",
        "gone.example,s1,,,,,,,",
    )

    report = run(tenant, path)

    assert counts(report) == (2, 0, 0, 7)
    assert [(line, column) for line, column, _ in told(report)] == [
        (2, "domain"),
        (4, "hourly_cap"),
        (4, "daily_cap"),
        (4, "dkim_selectors"),
        (4, "tracking_host"),
        (4, "registered_on"),
        (6, "domain"),
        (9, "tracking_host"),
        (10, "tracking_host"),
        (7, "tracking_host"),
        (11, "domain"),
    ]
    assert "is the same domain as in line 5" in dict((line, reason) for line, _, reason in told(report))[6]
    assert set(SendingDomain.objects.values_list("name", flat=True)) == {
        "gone.example", "own.example", "b.example", "d.example",
    }  # fmt: skip
    refused = (tmp_path / "domains.csv.refused.csv").read_text().splitlines()
    assert len(refused) == 8
    again = run(tenant, tmp_path / "domains.csv.refused.csv", refused_path=tmp_path / "again.csv")
    assert counts(again) == (0, 0, 1, 6)  # who came second to a name that is taken now says nothing new


def test_a_domain_and_a_tracking_host_of_another_tenant_are_refused(tenant, write):
    theirs = factories.domain(factories.tenant(), name="theirs.example", tracking_host="go.theirs.example")

    report = run(tenant, write("theirs.example,s9,,1,,,,,", "mine.example,,,,go.theirs.example,,,,"))

    assert told(report) == [
        (2, "domain", "belongs to another tenant"),
        (3, "tracking_host", "is the tracking host of another domain"),
    ]
    theirs.refresh_from_db()
    assert (theirs.dkim_selectors, theirs.daily_cap) == ([], None)
    assert SendingDomain.objects.count() == 1


def test_the_function_tells_of_what_was_asked_and_no_more(tenant):
    factories.domain(factories.tenant(), name="theirs.example", tracking_host="go.theirs.example")

    assert domains.of_others(tenant.pk, [], []) == (set(), set())
    assert domains.of_others(tenant.pk, ["%", "theirs"], ["%"]) == (set(), set())
    assert domains.of_others(tenant.pk, ["theirs.example"], ["go.theirs.example"]) == (
        {"theirs.example"},
        {"go.theirs.example"},
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM domains_of_others(%s, %s, %s)", [tenant.pk, ["own.example"], []])
        assert cursor.fetchone() == (0,)


def test_a_dry_run_tells_of_each_row_and_changes_nothing(tenant, write):
    run(tenant, write(FULL))

    report = run(tenant, write("mail.acme.example,s1 s2,50,,,,,,", "new.example,,,,,,,,", "bad,,,,,,,,"), dry_run=True)

    rows = [json.loads(line) for line in report.preview.lines()]
    assert [(row["line"], row["verdict"], row["subject"]) for row in rows] == [
        (2, "changed", "mail.acme.example"),
        (3, "new", "new.example"),
        (4, "refused", "bad"),
    ]
    assert rows[0]["changes"] == {"hourly_cap": [100, 50]}
    assert SendingDomain.objects.get().hourly_cap == 100
    assert Import.objects.count() == 1


def test_the_command_maps_columns_prints_an_object_and_ends_with_2(tenant, write):
    path = write("one.example,x", "bad domain,y", columns="Domain name,Note")
    out = io.StringIO()

    with pytest.raises(CommandError, match="1 row was refused") as caught:
        call_command(
            "import_domains", str(path), "--map", "Domain name=domain", "--map", "Note=", "--source", "crm", "--json",
            tenant=tenant.slug, stdout=out,
        )  # fmt: skip

    answer = json.loads(out.getvalue())
    assert (caught.value.returncode, answer["created"], answer["refused"]) == (2, 1, 1)
    assert Import.objects.get().kind == "domains"
    assert run(tenant, path, source="crm").unchanged == 1
    with pytest.raises(CommandError, match="names none of the columns"):
        call_command("import_mailboxes", str(path), "--source", "crm", tenant=tenant.slug)


@pytest.mark.parametrize("role", ["analyst", "operator"])
def test_who_may_not_import(tenant, write, role):
    actor = of_grants("user", role, [(tenant.pk, role)], user_id=factories.user().pk)

    with pytest.raises(NotAllowed):
        run(tenant, write(FULL), actor=actor)
    assert not SendingDomain.objects.exists()


# --- Taking it back -------------------------------------------------------------------------------------------


def image():
    names = ("pk", "name", "state", *domains.CHANGEABLE)
    return list(SendingDomain.objects.order_by("name").values(*names))


def test_an_import_is_taken_back_to_the_exact_former_state(tenant, write):
    run(tenant, write(FULL, "same.example,,,,,,,,"))
    before = image()
    report = run(
        tenant, write("mail.acme.example,s9,1,2,go2.acme.example,,Other,2024-05-02,2029-01-01", "new.example,,,,,,,,")
    )
    new = SendingDomain.objects.get(name="new.example")
    DomainCheck.objects.create(tenant=tenant, domain=new, at="2026-01-01T00:00Z", level="fail", outcome="failed")

    out = io.StringIO()
    call_command("import_domains", rollback=report.import_id, tenant=tenant.slug, json=True, stdout=out)

    assert image() == before
    assert json.loads(out.getvalue())["state"] == "rolled_back"
    entry = AuditEntry.objects.get(action="import.rolled_back")
    assert entry.facts == {"restored": 1, "deleted": 1}
    with pytest.raises(InvalidMove):
        imports.roll_back(Import.objects.get(pk=report.import_id), actor=SYSTEM)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda row: domains.change(row, actor=SYSTEM, daily_cap=7), "line 2, mail.acme.example: daily_cap"),
        (lambda row: domains.block(row, actor=SYSTEM, reason="listed"), "line 2, mail.acme.example: state"),
        (mailbox_on, "it has mailboxes; take their import back first"),
    ],
)
def test_what_was_changed_or_used_since_is_not_taken_back(tenant, write, change, words):
    report = run(tenant, write(FULL, "other.example,,,,,,,,"))
    change(SendingDomain.objects.get(name="mail.acme.example"))
    before = image()

    with pytest.raises(InvalidMove, match=words):
        imports.roll_back(Import.objects.get(pk=report.import_id), actor=SYSTEM)
    assert image() == before


def test_each_command_takes_back_its_own_kind(tenant, write):
    report = run(tenant, write(FULL))

    with pytest.raises(CommandError, match="is one of sending domains"):
        call_command("import_mailboxes", rollback=report.import_id, tenant=tenant.slug)
    assert SendingDomain.objects.count() == 1


@pytest.mark.parametrize("option", ["--test-sign-in", "--ramp=standard"])
def test_what_only_mailboxes_have_is_no_option_here(tenant, write, option):
    with pytest.raises(CommandError, match="unrecognized arguments"):
        call_command("import_domains", str(write(FULL)), option, tenant=tenant.slug)
    assert not Import.objects.exists()
