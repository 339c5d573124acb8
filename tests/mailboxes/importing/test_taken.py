"""Mailboxes from files: what is taken, again and corrected, and where the password ends."""

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
from outreach.common.errors import NotAllowed
from tenants import permissions
from tenants.services.actors import Actor
from tests import factories
from tests.common import workbook_files
from tests.mailboxes.importing.files import CANARY, COLUMNS, opened, reasons, row, run

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]


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


# --- Other kinds of file --------------------------------------------------------------------------------------


def test_a_workbook_and_json_lines_say_the_same_as_csv(tenant, write, tmp_path):
    cells = next(csv.reader([row()]))
    numbers = [int(cell) if cell.isdigit() else cell for cell in cells]
    book = workbook_files.book(tmp_path / "mailboxes.xlsx", COLUMNS.split(","), numbers)
    lines = tmp_path / "mailboxes.jsonl"
    lines.write_text(json.dumps(dict(zip(COLUMNS.split(","), numbers, strict=True))) + "\n")
    assert run(tenant, write(row())).created == 1
    before = Mailbox.objects.values().get()

    assert [run(tenant, path).unchanged for path in (book, lines)] == [1, 1]
    assert Mailbox.objects.values().get() == before


def test_a_refused_row_of_a_workbook_is_named_by_row_and_letter(tenant, tmp_path):
    cells = next(csv.reader([row(daily_cap="many")]))
    book = workbook_files.book(tmp_path / "mailboxes.xlsx", COLUMNS.split(","), cells)
    output = io.StringIO()

    with pytest.raises(CommandError, match="1 row was refused"):
        call_command("import_mailboxes", str(book), tenant=tenant.slug, sheet="People", stdout=output)

    assert "row 2, column J (daily_cap): must be a whole number" in output.getvalue()
