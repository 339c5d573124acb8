"""Mailboxes from files: what is taken, what is refused, and where the password ends."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mailboxes.models import Mailbox, Pool, ProviderAccount, SendingDomain
from mailboxes.services import importing
from outreach.common import hooks
from outreach.common.errors import BadInput, NotAllowed
from tenants import permissions
from tenants.services.actors import SYSTEM, Actor
from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]

CANARY = "canary-Pa55word"
COLUMNS = (
    "address,display_name,pool,reserve,smtp_host,smtp_port,smtp_security,smtp_username,smtp_password,"
    "daily_cap,min_gap_seconds"
)


@pytest.fixture(autouse=True)
def _loopback(settings):
    """Nothing is looked up in the world's DNS: all servers are on this machine."""
    settings.SMTP_ALLOW_LOOPBACK = True


@pytest.fixture
def tenant():
    return factories.tenant()


@pytest.fixture
def write(tmp_path):
    def write(*rows: str, columns: str = COLUMNS) -> Path:
        path = tmp_path / "mailboxes.csv"
        path.write_bytes(("\n".join((columns, *rows)) + "\n").encode())
        return path

    return write


def row(address="ann@sender.example", **changes) -> str:
    cells = {
        "address": address,
        "display_name": "Ann Lee",
        "pool": "north",
        "reserve": "no",
        "smtp_host": "127.0.0.1",
        "smtp_port": "2525",
        "smtp_security": "none",
        "smtp_username": "ann",
        "smtp_password": CANARY,
        "daily_cap": "50",
        "min_gap_seconds": "90",
    }
    line = io.StringIO()
    csv.writer(line).writerow((cells | changes).values())
    return line.getvalue().removesuffix("\r\n")


def run(tenant, path, **options):
    *_, report = importing.import_mailboxes(tenant, path, actor=SYSTEM, **options)
    return report


def reasons(report) -> list[tuple[int, str]]:
    return [(refusal.line, refusal.column) for refusal in report.refusals]


def opened(mailbox: Mailbox) -> str:
    place = (str(mailbox.tenant_id), "mailboxes.Mailbox", str(mailbox.seal_ref), "smtp_password")
    return (
        factories.Keyring.parse(importing.settings.CREDENTIAL_KEYS).open(bytes(mailbox.sealed_password), place).decode()
    )


# --- What is taken -----------------------------------------------------------------------------------------


def test_a_row_makes_a_mailbox_with_all_that_it_needs(tenant, write):
    report = run(tenant, write(row()))

    box = Mailbox.objects.get(tenant=tenant)
    assert (report.read, report.created, report.refused) == (1, 1, 0)
    assert (box.address, box.display_name, box.state, box.username) == (
        "ann@sender.example",
        "Ann Lee",
        "active",
        "ann",
    )
    assert (box.daily_cap, box.min_gap_seconds) == (50, 90)
    assert (box.pool.name, box.domain.name, box.domain.state) == ("north", "sender.example", "new")
    assert (box.home.host, box.home.port, box.home.security) == ("127.0.0.1", 2525, "none")
    assert opened(box) == CANARY
    tenant.refresh_from_db()
    assert tenant.plan_wanted_at is not None


def test_a_tenant_has_one_account_per_host_port_and_security(tenant, write):
    rows = [row(f"box{i}@s{i % 2}.example", smtp_port=str(2525 + i % 3), pool=f"p{i % 2}") for i in range(12)]
    run(tenant, write(*rows))
    other = factories.tenant()
    run(other, write(row("other@elsewhere.example")))

    counts = [model.objects.filter(tenant=tenant).count() for model in (Mailbox, Pool, SendingDomain, ProviderAccount)]
    assert counts == [12, 2, 2, 3]
    assert ProviderAccount.objects.filter(tenant=other).count() == 1


def test_what_is_left_out_has_defaults(tenant, write):
    line = "ann@sender.example,north,localhost,25,NONE"
    run(tenant, write(line, columns="address,pool,smtp_host,smtp_port,smtp_security"))

    box = Mailbox.objects.get()
    assert (box.daily_cap, box.min_gap_seconds, box.display_name) == (40, 60, "")
    assert (box.username, bytes(box.sealed_password)) == ("", b"")


def test_a_password_without_a_name_signs_in_as_the_address(tenant, write):
    run(tenant, write(row("Ann@Sender.EXAMPLE", smtp_username="")))

    assert Mailbox.objects.get().username == "Ann@sender.example"


def test_reserve_yes_makes_a_reserve(tenant, write):
    run(tenant, write(row(reserve="YES")))

    assert Mailbox.objects.get().state == "reserve"


def test_an_international_domain_is_stored_as_it_goes_over_the_wire(tenant, write):
    run(tenant, write(row("ann@приклад.example")))

    assert Mailbox.objects.get().address == "ann@xn--80aikifvh.example"


def test_a_password_is_taken_as_it_stands(tenant, write):
    run(tenant, write(row(smtp_password=" '=+\"x,; ")))

    assert opened(Mailbox.objects.get()) == " '=+\"x,; "


def test_a_thousand_mailboxes_cost_few_queries(tenant, write):
    path = write(*(row(f"box{i}@s{i % 5}.example") for i in range(1200)))

    with CaptureQueriesContext(connection) as queries:
        assert run(tenant, path).created == 1200
    assert len(queries) < 40


# --- Again -------------------------------------------------------------------------------------------------


def test_the_same_file_again_changes_nothing(tenant, write):
    path = write(row(), row("bob@sender.example", reserve="yes"))
    run(tenant, path)
    before = list(Mailbox.objects.order_by("pk").values())

    report = run(tenant, path)

    assert (report.created, report.updated, report.unchanged) == (0, 0, 2)
    assert list(Mailbox.objects.order_by("pk").values()) == before


def test_a_known_mailbox_takes_settings_and_password_but_keeps_its_state(tenant, write):
    run(tenant, write(row()))
    Mailbox.objects.update(state="quarantined", hold="sign_in_failed", failures=3)

    report = run(
        tenant, write(row(pool="south", daily_cap="70", smtp_password="new", smtp_port="587", display_name="A"))
    )

    box = Mailbox.objects.get()
    assert (report.created, report.updated) == (0, 1)
    assert (box.pool.name, box.daily_cap, box.home.port, box.display_name) == ("south", 70, 587, "A")
    assert (box.state, box.hold, box.failures) == ("quarantined", "none", 0)
    assert opened(box) == "new"


def test_an_empty_password_leaves_the_old_one_in_force(tenant, write):
    run(tenant, write(row()))

    report = run(tenant, write(row(smtp_password="", daily_cap="")))

    assert report.unchanged == 1
    assert opened(Mailbox.objects.get()) == CANARY
    assert Mailbox.objects.get().daily_cap == 50


def test_a_lower_cap_is_told_to_the_apps_above_unless_it_is_a_dry_run(tenant, write, monkeypatch):
    told = []
    monkeypatch.setitem(hooks._HOOKS, "mailboxes.cap_lowered", [lambda **given: told.append(given["mailbox_ids"])])
    run(tenant, write(row(), row("bob@sender.example")))

    run(tenant, write(row(daily_cap="10"), row("bob@sender.example", daily_cap="60")), dry_run=True)
    assert told == []
    run(tenant, write(row(daily_cap="10"), row("bob@sender.example", daily_cap="60")))
    assert told == [[Mailbox.objects.get(username="ann", address__startswith="ann").pk]]


def test_a_retired_mailbox_does_not_come_back(tenant, write):
    run(tenant, write(row()))
    Mailbox.objects.update(state="retired")

    assert reasons(run(tenant, write(row(daily_cap="1")))) == [(2, "address")]
    assert Mailbox.objects.get().daily_cap == 50


# --- What is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "column", "words"),
    [
        ({"address": "not an address"}, "address", "not an address"),
        ({"address": ""}, "address", "is empty"),
        ({"address": "їжак@sender.example"}, "address", "not ASCII before the @"),
        ({"address": "a@b.example\r\nRCPT TO:<x@y.example>"}, "address", "line break"),
        ({"address": "<a@b.example> SIZE=1"}, "address", "not an address"),
        ({"display_name": "Ann\nBcc: x@y.example"}, "display_name", "line break"),
        ({"display_name": "Ann\rBcc"}, "display_name", "line break"),
        ({"display_name": "=HYPERLINK(1)"}, "display_name", "begins like a formula"),
        ({"display_name": "x" * 201}, "display_name", "the limit is 200"),
        ({"pool": ""}, "pool", "is empty"),
        ({"pool": "x" * 101}, "pool", "the limit is 100"),
        ({"reserve": "maybe"}, "reserve", "yes or no"),
        ({"smtp_host": ""}, "smtp_host", "is empty"),
        ({"smtp_port": "smtp"}, "smtp_port", "port number"),
        ({"smtp_port": "0"}, "smtp_port", "port number"),
        ({"smtp_port": "70000"}, "smtp_port", "port number"),
        ({"smtp_security": "ssl"}, "smtp_security", "tls or starttls"),
        ({"smtp_password": ""}, "smtp_password", "is empty"),
        ({"smtp_password": "a\nb"}, "smtp_password", "line break"),
        ({"daily_cap": "-1"}, "daily_cap", "whole number"),
        ({"daily_cap": "many"}, "daily_cap", "whole number"),
        ({"daily_cap": "100001"}, "daily_cap", "whole number"),
        ({"min_gap_seconds": "1.5"}, "min_gap_seconds", "whole number"),
    ],
)
def test_a_wrong_row_is_named_and_the_others_are_taken(tenant, write, changes, column, words):
    report = run(tenant, write(row("good@sender.example"), row(**changes)))

    assert (report.created, report.refused) == (1, 1)
    assert reasons(report)[0] == (3, column)
    assert words in report.refusals[0].reason
    assert list(Mailbox.objects.values_list("address", flat=True)) == ["good@sender.example"]


def test_everything_wrong_with_a_row_is_named_at_once(tenant, write):
    report = run(tenant, write(row("x", reserve="?", daily_cap="?", pool="")))

    assert {column for _, column in reasons(report)} == {"address", "reserve", "daily_cap", "pool"}
    assert report.refused == 1


def test_the_second_of_the_same_address_is_refused(tenant, write):
    report = run(tenant, write(row(), row("ANN@Sender.example", daily_cap="9")))

    assert (report.created, reasons(report)) == (1, [(3, "address")])
    assert report.refusals[0].reason == "is the same address as in line 2"
    assert Mailbox.objects.get().daily_cap == 50


def test_an_address_of_another_tenant_is_refused_and_untouched(tenant, write):
    other = factories.mailbox(factories.tenant())
    before = Mailbox.objects.filter(pk=other.pk).values().get()

    report = run(tenant, write(row(other.address, daily_cap="1")))

    assert reasons(report) == [(2, "address")]
    assert "another tenant" in report.refusals[0].reason
    assert Mailbox.objects.filter(pk=other.pk).values().get() == before
    assert not Mailbox.objects.filter(tenant=tenant).exists()


def test_a_domain_of_another_tenant_is_refused(tenant, write):
    other = factories.domain(factories.tenant())

    report = run(tenant, write(row(f"ann@{other.name}")))

    assert "a domain that belongs to another tenant" in report.refusals[0].reason
    assert not Mailbox.objects.filter(tenant=tenant).exists()


@pytest.mark.attack("A06")
@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "2130706433", "[::1]", "localhost"])
def test_a_host_inside_is_refused_and_nobody_learns_more(tenant, write, settings, host):
    settings.SMTP_ALLOW_LOOPBACK = False

    report = run(tenant, write(row(smtp_host=host, smtp_port="587", smtp_security="tls")))

    assert reasons(report) == [(2, "smtp_host")]
    assert "has no address on the public internet" in report.refusals[0].reason


@pytest.mark.parametrize(("host", "allowed"), [("127.0.0.1", False), ("8.8.8.8", True)])
def test_without_tls_only_to_this_machine_and_only_in_development(tenant, write, settings, host, allowed):
    settings.SMTP_ALLOW_LOOPBACK = allowed

    report = run(tenant, write(row(smtp_host=host, smtp_port="587")))

    assert reasons(report) == [(2, "smtp_security")]
    assert "SMTP_ALLOW_LOOPBACK" in report.refusals[0].reason


def test_a_port_that_is_not_for_mail_is_refused(tenant, write):
    report = run(tenant, write(row(smtp_host="8.8.8.8", smtp_port="6379", smtp_security="tls")))

    assert "Port 6379 is not one of the allowed ports" in report.refusals[0].reason


def test_an_unknown_column_refuses_the_file(tenant, write):
    with pytest.raises(BadInput, match="smtp_pasword is not a column"):
        run(tenant, write(row(), columns=COLUMNS.replace("smtp_password", "smtp_pasword")))

    assert not Mailbox.objects.exists()


# --- Correcting, trying, permission ------------------------------------------------------------------------


def test_the_corrected_file_of_refused_rows_is_imported(tenant, write):
    path = write(row(), row("bob@sender.example", reserve="perhaps"), row("cy@sender.example", pool=""))
    report = run(tenant, path)
    refused = Path(report.refused_file)
    text = refused.read_text(encoding="utf-8")
    assert refused == Path(f"{path}.refused.csv")
    assert [line.split(",")[0] for line in text.splitlines()] == ["address", "bob@sender.example", "cy@sender.example"]
    assert "line 3, reserve: must be yes or no" in text

    refused.write_text(text.replace(",perhaps,", ",yes,").replace(",Ann Lee,,", ",Ann Lee,north,"), encoding="utf-8")
    again = run(tenant, refused)

    assert (again.created, again.refused, again.refused_file) == (2, 0, "")
    assert Mailbox.objects.count() == 3


def test_a_dry_run_says_the_same_and_changes_nothing(tenant, write, tmp_path):
    path = write(row(), row("bob@sender.example", reserve="perhaps"))

    report = run(tenant, path, dry_run=True)

    assert (report.created, report.refused, report.refused_file) == (1, 1, "")
    assert [model.objects.count() for model in (Mailbox, Pool, SendingDomain, ProviderAccount)] == [0, 0, 0, 0]
    assert [found.name for found in tmp_path.iterdir()] == ["mailboxes.csv"]


def test_who_may_not_import_changes_nothing(tenant, write):
    analyst = Actor("user", "analyst", everywhere=permissions.ROLES["analyst"])

    with pytest.raises(NotAllowed):
        list(importing.import_mailboxes(tenant, write(row()), actor=analyst))

    assert not Mailbox.objects.exists()


# --- The password ------------------------------------------------------------------------------------------


@pytest.mark.attack("A34")
def test_the_password_is_nowhere_in_plain_text(tenant, write, capsys, caplog):
    path = write(row(), row("bob@sender.example"), row("bad", reserve="?"))
    output = io.StringIO()

    with CaptureQueriesContext(connection) as queries, pytest.raises(CommandError) as refused:
        call_command("import_mailboxes", str(path), tenant=tenant.slug, stdout=output, stderr=output)

    assert Mailbox.objects.count() == 2
    with connection.cursor() as cursor:
        cursor.execute("SELECT mailboxes_mailbox::text FROM mailboxes_mailbox")
        stored = str(cursor.fetchall())
    shown = capsys.readouterr()
    everything = [stored, output.getvalue(), str(refused.value), shown.out, shown.err, caplog.text]
    everything += [query["sql"] for query in queries]
    for text in everything:
        assert CANARY not in text
        assert CANARY.encode().hex() not in text


# --- The command -------------------------------------------------------------------------------------------


def test_the_command_prints_one_object(tenant, write):
    output = io.StringIO()
    call_command("import_mailboxes", str(write(row())), "--json", tenant=tenant.slug, stdout=output)

    result = json.loads(output.getvalue())
    assert (result["read"], result["created"], result["refused"], result["refusals"]) == (1, 1, 0, [])


def test_refused_rows_end_the_command_with_2_after_the_result(tenant, write):
    output = io.StringIO()
    path = write(row(), row("bad"))

    with pytest.raises(CommandError, match="1 row was refused. Correct .*refused.csv and import it.") as caught:
        call_command("import_mailboxes", str(path), "--json", tenant=tenant.slug, stdout=output)

    assert caught.value.returncode == 2
    result = json.loads(output.getvalue())
    assert result["refusals"][0]["line"] == 3
    assert result["refusals"][0]["column"] == "address"
    assert Mailbox.objects.count() == 1


def test_a_refused_file_ends_the_command_with_2(tenant, tmp_path):
    path = tmp_path / "empty.csv"
    path.touch()
    output = io.StringIO()

    with pytest.raises(CommandError, match="is empty") as caught:
        call_command("import_mailboxes", str(path), "--json", tenant=tenant.slug, stdout=output)

    assert caught.value.returncode == 2
    assert json.loads(output.getvalue()) == {"error": "bad_input", "message": "empty.csv is empty.", "line": 1}


def test_an_unknown_tenant_or_person_is_named(write):
    with pytest.raises(CommandError, match="There is no tenant 'none'"):
        call_command("import_mailboxes", str(write(row())), tenant="none")
    with pytest.raises(CommandError, match="There is no user nobody@x.example"):
        call_command("import_mailboxes", str(write(row())), tenant=factories.tenant().slug, actor="nobody@x.example")
