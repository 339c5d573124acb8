"""Kinds of files and what goes wrong with them, each with its answer from import_mailboxes."""

from __future__ import annotations

import csv

import pytest

from mailboxes.models import Import, Mailbox, SendingDomain
from outreach.common.errors import BadInput
from tests import factories
from tests.common import workbook_files
from tests.mailboxes.importing.files import COLUMNS, reasons, row, run

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]


def cells(**changes) -> list[str]:
    return next(csv.reader([row(**changes)]))


def nothing_changed() -> bool:
    return not Mailbox.objects.exists() and not Import.objects.exists()


def test_a_semicolon_stands_between_the_cells(tenant, tmp_path):
    path = tmp_path / "m.csv"
    path.write_text(f"{COLUMNS.replace(',', ';')}\n{row(display_name='Lee, Ann').replace(',', ';')}\n".replace(
        '"Lee; Ann"', '"Lee, Ann"'))  # fmt: skip

    assert run(tenant, path).created == 1
    assert Mailbox.objects.get().display_name == "Lee, Ann"


@pytest.mark.parametrize(("encoding", "named"), [("utf-16", "UTF-16"), ("utf-16-le", "UTF-16LE")])
def test_utf_16_is_refused_with_the_remedy(tenant, tmp_path, encoding, named):
    path = tmp_path / "m.csv"
    path.write_bytes(f"{COLUMNS}\n{row()}\n".encode(encoding))

    with pytest.raises(BadInput, match=f"iconv -f {named} -t UTF-8"):
        run(tenant, path)

    assert nothing_changed()


def test_a_quoted_newline_is_refused_in_its_row_and_the_next_lines_keep_their_numbers(tenant, write):
    report = run(tenant, write(row(display_name="Ann\nLee"), row("bob@sender.example"), row("bad")))

    assert reasons(report) == [(2, "display_name"), (5, "address")]
    assert list(Mailbox.objects.values_list("address", flat=True)) == ["bob@sender.example"]


def test_formula_cells_of_a_workbook_are_refused_where_they_stand(tenant, tmp_path):
    wrong = cells(address="eve@sender.example")
    wrong[1] = '<c r="B3"><f>HYPERLINK("http://x.example")</f><v>Eve</v></c>'
    book = workbook_files.book(tmp_path / "m.xlsx", COLUMNS.split(","), cells(), wrong)

    report = run(tenant, book)

    assert [str(found) for found in report.refusals] == [
        "row 3, column B (display_name): is a formula; put its value in its place"
    ]
    assert list(Mailbox.objects.values_list("address", flat=True)) == ["ann@sender.example"]


def test_a_formula_as_text_is_refused(tenant, write):
    report = run(tenant, write(row(display_name="=1+1")))

    assert report.refusals[0].reason == "begins like a formula; if it is meant as text, put an apostrophe (') first"
    assert not Mailbox.objects.exists()


def test_doubled_rows_are_found_however_far_apart(tenant, write, monkeypatch):
    monkeypatch.setattr("mailboxes.services.importing.CHUNK", 3)
    rows = [row(f"box{n % 5}@sender.example", daily_cap=str(20 + n)) for n in range(10)]

    report = run(tenant, write(*rows))

    assert [(found.line, found.reason) for found in report.refusals] == [
        (n + 7, f"is the same address as in line {n + 2}") for n in range(5)
    ]
    assert list(Mailbox.objects.order_by("pk").values_list("daily_cap", flat=True)) == [20, 21, 22, 23, 24]


def test_a_row_refused_for_its_server_still_owns_its_address(tenant, write):
    report = run(tenant, write(row(smtp_host="10.0.0.1", smtp_security="tls"), row()))

    assert [(found.line, found.column) for found in report.refusals] == [(2, "smtp_host"), (3, "address")]


@pytest.mark.attack("A25")
@pytest.mark.parametrize("name", ["m.csv", "m.jsonl", "m.xlsx"])
def test_five_gigabytes_of_zeros_are_refused_unread(tenant, tmp_path, name):
    path = tmp_path / name
    with path.open("wb") as file:
        file.truncate(5 * 2**30)

    with pytest.raises(BadInput) as caught:
        run(tenant, path)

    assert str(caught.value) == f"{name} has 5.0 GiB, the limit is 2. Split it."
    assert nothing_changed()


@pytest.mark.attack("A25")
def test_a_zip_bomb_is_not_unpacked(tenant, tmp_path):
    contents = workbook_files.parts(People=workbook_files.sheet([("address",)]))
    contents["xl/worksheets/sheet1.xml"] = b" " * (257 * 2**20)
    path = workbook_files.write(tmp_path / "m.xlsx", contents)
    assert path.stat().st_size < 2**20

    with pytest.raises(BadInput, match="more than 256 MiB of contents"):
        run(tenant, path)

    assert nothing_changed()


def test_another_tenants_address_is_refused_in_a_workbook_too(tenant, tmp_path):
    other = factories.mailbox(factories.tenant())
    before = Mailbox.objects.filter(pk=other.pk).values().get()
    book = workbook_files.book(tmp_path / "m.xlsx", COLUMNS.split(","), cells(address=other.address))

    report = run(tenant, book)

    assert [str(found) for found in report.refusals] == ["row 2, column A (address): is a mailbox of another tenant"]
    assert Mailbox.objects.filter(pk=other.pk).values().get() == before


# --- Domains ---------------------------------------------------------------------------------------------


def test_another_way_out_has_the_domains_of_every_chunk_checked_again(tenant, write, monkeypatch):
    monkeypatch.setattr("mailboxes.services.importing.CHUNK", 1)
    rows = [row("ann@a.example"), row("bob@b.example"), row("cid@c.example")]
    run(tenant, write(*rows))
    SendingDomain.objects.update(check_due_at="2030-01-01T00:00Z")
    SendingDomain.objects.filter(name="b.example").update(state="retired")
    assert run(tenant, write(*rows)).unchanged == 3
    assert SendingDomain.objects.filter(check_due_at=None).count() == 0

    run(tenant, write(*[line.replace("2525", "2526") for line in rows[:2]], rows[2]))

    due = SendingDomain.objects.filter(check_due_at=None)
    assert list(due.values_list("name", flat=True)) == ["a.example"]
