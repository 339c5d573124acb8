"""Contacts from files: what is taken, what is refused, what happens the second time, and after a crash."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from campaigns.models import Contact, ContactList, ListEntry, Suppression
from campaigns.services import importing, importing_suppressions, suppression
from outreach.common.errors import BadInput, NotAllowed
from tenants import permissions
from tenants.services.actors import SYSTEM, Actor
from tests import factories
from tests.campaigns.contact_files import CELLS, COLUMNS, counts, row, run, write_rows

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]


@pytest.fixture
def tenant():
    return factories.tenant()


@pytest.fixture
def write(tmp_path):
    def write(*rows: str, columns: str = COLUMNS, name: str = "people.csv") -> Path:
        return write_rows(tmp_path / name, *rows, columns=columns)

    return write


def places(report) -> list[tuple[int, str]]:
    return [(refusal.line, refusal.column) for refusal in report.refusals]


# --- What is taken -----------------------------------------------------------------------------------------


def test_a_row_makes_a_contact_in_the_list(tenant, write):
    report = run(tenant, write(row("Ann@ACME.example")))

    contact = Contact.objects.get(tenant=tenant)
    for name, value in CELLS.items():
        if name not in ("email", "basis_date", "basis_expires_on"):
            assert getattr(contact, name) == value
    assert (contact.email, contact.email_key) == ("Ann@ACME.example", "ann@acme.example")
    assert (contact.basis_date, contact.basis_expires_on, contact.fields) == (date(2026, 1, 2), None, {})
    assert [entry.contact_list.name for entry in contact.entries.all()] == ["All"]
    assert counts(report) == (1, 0, 0, 0)
    tenant.refresh_from_db()
    assert tenant.plan_wanted_at is not None


def test_the_hashes_are_those_that_suppression_looks_for(tenant, write):
    run(tenant, write(row("Ann@eu.acme.example")))

    contact, keyed = Contact.objects.get(), suppression.hasher()
    assert bytes(contact.address_hash) == keyed.address("ann@eu.acme.example")
    assert [bytes(found) for found in contact.domain_hashes] == [
        keyed.domain("eu.acme.example"),
        *(keyed.wildcard(name) for name in ("eu.acme.example", "acme.example", "example")),
    ]


def test_factories_make_the_same_hashes_as_the_import(tenant, write):
    (made,) = factories.people(factories.tenant(), None, 1, domain="eu.acme.example")
    run(tenant, write(row(made.email)))

    taken = Contact.objects.get(tenant=tenant)
    assert bytes(taken.address_hash) == made.address_hash
    assert [bytes(found) for found in taken.domain_hashes] == made.domain_hashes


def test_other_columns_are_kept_as_fields_where_they_are_filled(tenant, write):
    path = write(
        row("a@acme.example", '"Head ""of"" \\ things"', "Київ"),
        row("b@acme.example", "", "'=1+1"),
        columns=f"{COLUMNS},Job Title,city",
    )
    report = run(tenant, path)

    assert report.fields == ["job_title", "city"]
    assert list(Contact.objects.order_by("email").values_list("fields", flat=True)) == [
        {"job_title": 'Head "of" \\ things', "city": "Київ"},
        {"city": "=1+1"},
    ]


def test_text_arrives_as_it_was_whatever_characters_it_has(tenant, write):
    path = write(row(first_name="\\N", last_name="O'Neil \\t", company='"A ""B"", C"', basis_evidence="a\\\\b"))
    run(tenant, path)

    contact = Contact.objects.get()
    assert (contact.first_name, contact.last_name) == ("\\N", "O'Neil \\t")
    assert (contact.company, contact.basis_evidence) == ('A "B", C', "a\\\\b")


def test_only_what_the_law_asks_for_has_to_be_there(tenant, write):
    line = "a@acme.example;individual;web form;consent;2026-01-02"
    run(tenant, write(line, columns="email;person_kind;source;lawful_basis;basis_date"))

    contact = Contact.objects.get()
    assert (contact.first_name, contact.country, contact.time_zone) == ("", "", "")


def test_a_list_is_made_once_and_filled_in_the_files_order(tenant, write):
    run(tenant, write(row("z@acme.example"), row("a@acme.example")), list_name="Fair")
    run(tenant, write(row("m@acme.example"), row("a@acme.example")), list_name="Fair")

    listed = ContactList.objects.get(tenant=tenant)
    entries = ListEntry.objects.filter(contact_list=listed).order_by("pk")
    assert [entry.contact.email for entry in entries] == ["z@acme.example", "a@acme.example", "m@acme.example"]


def test_the_same_person_may_be_a_contact_of_two_tenants(tenant, write):
    other = factories.tenant()
    run(other, write(row(first_name="Old")))

    assert counts(run(tenant, write(row(first_name="New")))) == (1, 0, 0, 0)
    assert Contact.objects.get(tenant=other).first_name == "Old"


# --- Again -------------------------------------------------------------------------------------------------


def test_the_same_file_again_changes_nothing(tenant, write):
    path = write(row(), row("bob@acme.example", basis_expires_on="2027-01-02"))
    run(tenant, path)
    before = list(Contact.objects.order_by("pk").values())

    assert counts(run(tenant, path)) == (0, 0, 2, 0)
    assert list(Contact.objects.order_by("pk").values()) == before
    assert ListEntry.objects.count() == 2


def test_known_contacts_enter_another_list_too(tenant, write):
    path = write(row(), row("bob@acme.example"))
    run(tenant, path, list_name="One")

    run(tenant, path, list_name="Two")

    assert ListEntry.objects.filter(contact_list__name="Two").count() == 2
    assert Contact.objects.count() == 2


def test_what_the_file_leaves_empty_stays_and_the_rest_is_brought_up_to_date(tenant, write):
    run(tenant, write(row(country="DE"), columns=COLUMNS))
    changed = row("ANN@acme.example", first_name="Anna", last_name="", company="", country="", time_zone="")

    assert counts(run(tenant, write(changed))) == (0, 1, 0, 0)
    contact = Contact.objects.get()
    assert (contact.email, contact.first_name, contact.last_name) == ("ann@acme.example", "Anna", "Lee")
    assert (contact.company, contact.country, contact.time_zone) == ("Acme", "DE", "Europe/Kyiv")


@pytest.mark.parametrize(("day", "replaced"), [("2025-12-31", False), ("2026-01-02", False), ("2026-01-03", True)])
def test_the_ground_changes_only_to_a_newer_one(tenant, write, day, replaced):
    run(tenant, write(row(basis_expires_on="2028-01-01")))
    newer = row(basis_date=day, lawful_basis="existing_customer", source="shop", basis_evidence="", basis_expires_on="")

    report = run(tenant, write(newer))

    contact = Contact.objects.get()
    ground = (contact.lawful_basis, contact.source, contact.basis_evidence, contact.basis_expires_on)
    old = ("consent", "fair in Kyiv", "form 12", date(2028, 1, 1))
    assert ground == (("existing_customer", "shop", "", None) if replaced else old)
    assert contact.basis_date == (date(2026, 1, 3) if replaced else date(2026, 1, 2))
    assert counts(report) == ((0, 1, 0, 0) if replaced else (0, 0, 1, 0))


def test_fields_are_merged(tenant, write):
    run(tenant, write(row("ann@acme.example", "Head", "Kyiv"), columns=f"{COLUMNS},title,city"))
    run(tenant, write(row("ann@acme.example", "", "blue"), columns=f"{COLUMNS},title,colour"))

    assert Contact.objects.get().fields == {"title": "Head", "city": "Kyiv", "colour": "blue"}


def test_merged_fields_beyond_the_limit_are_refused(tenant, write):
    names = [f"f{number}" for number in range(50)]
    run(tenant, write(row("ann@acme.example", *names), columns=f"{COLUMNS},{','.join(names)}"))

    report = run(tenant, write(row("ann@acme.example", "x"), row("b@acme.example", "x"), columns=f"{COLUMNS},one_more"))

    assert counts(report) == (1, 0, 0, 1)
    assert "would have more than 50 names" in report.refusals[0].reason
    assert len(Contact.objects.get(email_key="ann@acme.example").fields) == 50


# --- What is refused ---------------------------------------------------------------------------------------

TOMORROW = (timezone.now() + timedelta(days=2)).date().isoformat()


@pytest.mark.attack("A01", "A03", "A04", "A24", "A25")
@pytest.mark.parametrize(
    ("changes", "column", "words"),
    [
        ({"email": "nobody"}, "email", "not an address"),
        ({"email": ""}, "email", "not an address"),
        ({"email": '"a@b.example\r\nRCPT TO:<x@y.example>"'}, "email", "line break"),
        ({"email": "<a@b.example> SIZE=1"}, "email", "not an address"),
        ({"email": f"{'x' * 65}@acme.example"}, "email", "not an address"),
        ({"first_name": '"Ann\nBcc: x@y.example"'}, "first_name", "line break"),
        ({"last_name": '"Lee\r"'}, "last_name", "line break"),
        ({"company": "Acme\u2028"}, "company", "line break"),
        ({"first_name": "Ann\x00"}, "first_name", "invisible control character"),
        ({"first_name": "\u202eAnn"}, "first_name", "invisible control character"),
        ({"first_name": "Ann =?utf-8?q?a=0ABcc=3A_x?="}, "first_name", "encoded word"),
        ({"company": "=HYPERLINK(1)"}, "company", "begins like a formula"),
        ({"first_name": "x" * 201}, "first_name", "the limit is 200"),
        ({"country": "UK"}, "country", "write GB"),
        ({"country": "Ukraine"}, "country", "two-letter"),
        ({"country": "XX"}, "country", "two-letter"),
        ({"time_zone": "Kyiv"}, "time_zone", "IANA"),
        ({"person_kind": ""}, "person_kind", "must be one of"),
        ({"person_kind": "robot"}, "person_kind", "must be one of"),
        ({"source": ""}, "source", "is empty"),
        ({"source": "x" * 501}, "source", "the limit is 500"),
        ({"lawful_basis": "because"}, "lawful_basis", "must be one of"),
        ({"basis_date": ""}, "basis_date", "is no date"),
        ({"basis_date": "02.01.2026"}, "basis_date", "is no date"),
        ({"basis_date": "2026-02-30"}, "basis_date", "is no date"),
        ({"basis_date": TOMORROW}, "basis_date", "future"),
        ({"basis_expires_on": "soon"}, "basis_expires_on", "is no date"),
        ({"basis_expires_on": "2025-01-01"}, "basis_expires_on", "before basis_date"),
        ({"basis_evidence": "x" * 1001}, "basis_evidence", "the limit is 1000"),
    ],
)
def test_a_wrong_row_is_named_and_the_others_are_taken(tenant, write, changes, column, words):
    report = run(tenant, write(row("good@acme.example"), row(**changes), row("fine@acme.example")))

    assert counts(report) == (2, 0, 0, 1)
    assert places(report) == [(3, column)]
    assert words in report.refusals[0].reason
    assert (
        ListEntry.objects.count()
        == Contact.objects.filter(email__in=["good@acme.example", "fine@acme.example"]).count()
        == 2
    )


def test_a_cell_of_a_megabyte_is_named_and_the_others_are_taken(tenant, write):
    report = run(tenant, write(row(), row("b@acme.example", first_name="x" * 2**20), row("c@acme.example")))

    assert (counts(report), places(report)) == ((2, 0, 0, 1), [(3, "")])
    assert "131,072 characters, the limit" in report.refusals[0].reason


def test_free_fields_beyond_8_kilobytes_are_refused(tenant, write):
    path = write(row("a@acme.example", "x" * 8000), row("b@acme.example", "я" * 4100), columns=f"{COLUMNS},note")
    report = run(tenant, path)

    assert (counts(report), places(report)) == ((1, 0, 0, 1), [(3, "note")])


def test_everything_wrong_with_a_row_is_named_at_once(tenant, write):
    report = run(tenant, write(row("nobody", country="UK", source="", basis_date="?")))

    assert report.refused == 1
    assert {column for _, column in places(report)} == {"email", "country", "source", "basis_date"}


def test_the_second_of_the_same_address_is_refused_and_the_first_counts(tenant, write):
    report = run(tenant, write(row(), row("b@acme.example"), row("ANN@Acme.example", first_name="Other"), row()))

    assert counts(report) == (2, 0, 0, 2)
    assert [str(refusal) for refusal in report.refusals] == [
        "line 4, email: is the same address as in line 2",
        "line 5, email: is the same address as in line 2",
    ]
    assert Contact.objects.get(email_key="ann@acme.example").first_name == "Ann"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (f"{COLUMNS}\n{row()}\n".encode("utf-16"), "looks like UTF-16"),
        (f"{COLUMNS}\n{row()}\n{row(first_name='Олександр')}\n".encode("cp1251"), "looks like Windows-1251"),
        (f"{row()}\n{row()}\n".encode(), "has no header"),
        (f"{COLUMNS},email\n{row()}\n".encode(), "email stands in the header twice"),
        (f"{COLUMNS.replace('source', 'sauce')}\n{row()}\n".encode(), "source is missing (is sauce meant?)"),
        (f"{COLUMNS}\n{row()}\n{row(first_name=chr(34) + 'Ann')}\n{row()}\n".encode(), "never closed"),
    ],
)
def test_a_file_that_cant_be_understood_changes_nothing(tenant, tmp_path, content, words):
    path = tmp_path / "people.csv"
    path.write_bytes(content)

    with pytest.raises(BadInput) as refused:
        run(tenant, path)

    assert words in str(refused.value)
    assert refused.value.details["line"] in (1, 2, 3)
    assert [model.objects.count() for model in (Contact, ContactList, ListEntry)] == [0, 0, 0]
    assert [found.name for found in tmp_path.iterdir()] == ["people.csv"]


def test_a_name_that_is_no_list_is_refused(tenant, write):
    ContactList.objects.create(tenant=tenant, name="Old", archived_at=timezone.now())

    for name, words in (("", "1 to 200"), ("x" * 201, "1 to 200"), ("a\nb", "line break"), ("Old", "archived")):
        with pytest.raises(BadInput, match=words):
            run(tenant, write(row()), list_name=name)
    assert not Contact.objects.exists()


# --- Suppressed --------------------------------------------------------------------------------------------


@pytest.mark.attack("A38")
def test_suppressed_people_are_taken_and_counted(tenant, write):
    suppression.suppress(tenant, ["ann@acme.example"], actor=SYSTEM, reason="opt_out", via="test")
    suppression.suppress(None, ["*.bad.example"], actor=SYSTEM, reason="manual", via="test")
    suppression.suppress(factories.tenant(), ["bob@acme.example"], actor=SYSTEM, reason="opt_out", via="test")

    rows = [row(email) for email in ("Ann@ACME.example", "bob@acme.example", "x@eu.bad.example", "y@bad.example")]
    assert run(tenant, write(*rows)).suppressed == 3


# --- Correcting, trying, permission ------------------------------------------------------------------------


def test_the_corrected_file_of_refused_rows_is_imported(tenant, write):
    path = write(
        row(), row("b@acme.example", country="UK"), row(first_name="Twice"), row("c@acme.example", company="=A")
    )
    report = run(tenant, path)
    refused = Path(report.refused_file)
    lines = refused.read_text(encoding="utf-8").splitlines()
    assert lines[0] == f"{COLUMNS},reason"
    assert [line.split(",")[0] for line in lines[1:]] == ["b@acme.example", "c@acme.example", "ann@acme.example"]
    assert "line 4, email: is the same address as in line 2" in lines[3]

    corrected = "\n".join(line.replace(",UK,", ",GB,") for line in lines[:3])
    refused.write_text(corrected, encoding="utf-8")
    again = run(tenant, refused)

    assert (counts(again), again.fields, again.refused_file) == ((2, 0, 0, 0), [], "")
    assert Contact.objects.get(email="c@acme.example").company == "=A"
    assert ListEntry.objects.count() == 3


def test_many_rows_that_only_the_set_shows_are_written_too(tenant, write):
    rows = [row(f"p{number % 3000}@acme.example") for number in range(12_000)]
    report = run(tenant, write(*rows))

    assert counts(report) == (3000, 0, 0, 9000)
    assert len(report.refusals) == report.KEPT
    assert len(Path(report.refused_file).read_text(encoding="utf-8").splitlines()) == 9001


def test_a_dry_run_says_the_same_and_changes_nothing(tenant, write, tmp_path):
    run(tenant, write(row(first_name="Old")))
    before = list(Contact.objects.values())
    path = write(row(), row("b@acme.example"), row("bad"))

    report = run(tenant, path, list_name="New", dry_run=True)

    assert counts(report) == (1, 1, 0, 1)
    assert (report.dry_run, report.refused_file) == (True, "")
    assert list(Contact.objects.values()) == before
    assert not ContactList.objects.filter(name="New").exists()
    assert [found.name for found in tmp_path.iterdir()] == ["people.csv"]


def test_a_reader_who_gives_up_leaves_nothing(tenant, write, tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "CHUNK", 1)
    reports = importing.import_contacts(
        tenant, write(row(), row("bad"), row("c@acme.example")), list_name="All", actor=SYSTEM
    )
    next(reports)
    next(reports)
    reports.close()

    assert not Contact.objects.exists()
    assert [found.name for found in tmp_path.iterdir()] == ["people.csv"]


def test_who_may_not_import_changes_nothing(tenant, write):
    analyst = Actor("user", "analyst", everywhere=permissions.ROLES["analyst"])
    stranger = Actor("user", "stranger", within={tenant.pk + 1: permissions.ROLES["operator"]})

    for actor in (analyst, stranger):
        with pytest.raises(NotAllowed):
            list(importing.import_contacts(tenant, write(row()), list_name="All", actor=actor))
        with pytest.raises(NotAllowed):
            list(importing_suppressions.import_suppressions(tenant, write("a@x.example", columns="email"), actor=actor))
    assert not Contact.objects.exists()
    assert not Suppression.objects.exists()
