"""One person under several spellings: one contact, and whatever blocks one spelling blocks all."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace

import pytest
from django.db import connection

from campaigns.api.people import ContactFilters
from campaigns.ledger import gates
from campaigns.management.commands import conversation
from campaigns.models import Contact, ContactList, ListEntry, Suppression
from campaigns.pipeline import previewing
from campaigns.services import importing_suppressions, suppression, testing
from tenants.services.actors import SYSTEM
from tests import factories
from tests.campaigns.contact_files import COLUMNS, counts, row, run, write_rows

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]

COVERED = f"""
SELECT ct.id FROM campaigns_contact ct
CROSS JOIN (SELECT NULL::bigint AS id) AS c WHERE {gates.COVERED} ORDER BY ct.id"""  # noqa: S608


@pytest.fixture
def tenant():
    return factories.tenant()


@pytest.fixture
def write(tmp_path):
    def write(*rows: str, columns: str = COLUMNS):
        return write_rows(tmp_path / "people.csv", *rows, columns=columns)

    return write


def covered() -> list[str]:
    """Whom the gates of claim and committing hold."""
    with connection.cursor() as cursor:
        cursor.execute(COVERED)
        ids = [row[0] for row in cursor.fetchall()]
    return list(Contact.objects.filter(pk__in=ids).order_by("pk").values_list("email", flat=True))


def entry(tenant, hash_: bytes) -> Suppression:
    """An opt-out whose address nobody knows any more."""
    return Suppression.objects.create(
        tenant=tenant, scope="tenant", kind="address", hash=hash_, hint="", reason="opt_out", via="erasure"
    )


def test_spellings_of_one_person_are_one_contact(tenant, write):
    report = run(tenant, write(row("J.Doe+fair@googlemail.com"), row("jdoe@gmail.com"), row("j.doe@acme.example")))

    assert counts(report) == (2, 0, 0, 1)
    assert str(report.refusals[0]) == "line 3, email: is the same address as in line 2"
    first = Contact.objects.order_by("pk").first()
    assert (first.email, first.email_key, first.company_domain) == ("J.Doe+fair@googlemail.com", "jdoe@gmail.com", "")
    assert counts(run(tenant, write(row("jd.oe@gmail.com", company="New")))) == (0, 1, 0, 0)
    assert Contact.objects.get(pk=first.pk).email == "J.Doe+fair@googlemail.com"  # what the person gave is mailed


@pytest.mark.parametrize("given", ["j.doe@gmail.com", "jdoe+x@googlemail.com", "JDOE@gmail.com"])
@pytest.mark.parametrize("suppressed", ["jdoe@gmail.com", "J.D.o.e+news@googlemail.com"])
def test_the_hash_alone_blocks_a_new_import_in_other_spellings(tenant, write, given, suppressed):
    suppression.suppress(tenant, [suppressed], actor=SYSTEM, reason="opt_out", via="page")
    Suppression.objects.update(hint="")  # the address was removed: the keyed hash is all that is left

    report = run(tenant, write(row(given), row("else@gmail.com")))

    assert (report.created, report.suppressed) == (2, 1)
    assert covered() == [given]


def test_an_imported_suppression_blocks_all_spellings(tenant, write, tmp_path):
    run(tenant, write(row("j.doe@gmail.com"), row("jo@outlook.com")))
    file = tmp_path / "gone.csv"
    file.write_text("email\njdoe+a@gmail.com\njo+b@outlook.com\n")

    *_, report = importing_suppressions.import_suppressions(tenant, file, actor=SYSTEM)

    assert report.created == 2
    assert covered() == ["j.doe@gmail.com", "jo@outlook.com"]


def test_an_entry_of_before_goes_on_blocking_its_spelling(tenant, write):
    keyed = suppression.hasher()
    entry(tenant, keyed.address("j.doe+x@gmail.com"))  # recorded when spellings still were people

    report = run(tenant, write(row("J.Doe+x@gmail.com"), row("jdoe2@gmail.com")))

    assert (report.created, report.suppressed) == (2, 1)
    assert covered() == ["J.Doe+x@gmail.com"]


@pytest.mark.parametrize("in_one_file", [True, False])
def test_an_old_entry_blocks_whoever_comes_in_that_spelling_later(tenant, write, in_one_file):
    entry(tenant, suppression.hasher().address("j.doe@gmail.com"))
    if in_one_file:
        run(tenant, write(row("jdoe@gmail.com"), row("j.doe@gmail.com")))
    else:
        run(tenant, write(row("jdoe@gmail.com")))
        assert covered() == []
        run(tenant, write(row("j.doe@gmail.com")))

    assert covered() == ["jdoe@gmail.com"]
    assert Contact.objects.count() == 1


def test_the_migration_keeps_every_block_and_every_contact_readable(tenant):
    keyed, other = suppression.hasher(), factories.tenant()
    emails = ["j.doe@gmail.com", "jdoe+x@gmail.com", "jo+x@outlook.com", "ann@mail.acme.example", "plain@gmail.com"]
    people = factories.people(tenant, factories.contact_list(tenant), 5, each=lambda i: {"email": emails[i]})
    (far,) = factories.people(other, None, 1, each=lambda i: {"email": "j.doe@gmail.com"})
    Contact.objects.update(company_domain="")
    own = entry(tenant, keyed.address("j.doe@gmail.com"))
    twin = entry(tenant, keyed.address("jdoe+x@gmail.com"))
    theirs = entry(other, keyed.address("j.doe@gmail.com"))
    unknown = entry(tenant, keyed.address("some.body@gmail.com"))

    migration = import_module("campaigns.migrations.0011_contact_imports")
    migration.tell_people_apart(None, SimpleNamespace(connection=connection))

    rows = {row.pk: row for row in Contact.objects.all()}
    person = keyed.address("jdoe@gmail.com")
    assert [(rows[p.pk].email_key, rows[p.pk].company_domain) for p in (*people, far)] == [
        ("jdoe@gmail.com", ""), ("jdoe+x@gmail.com", ""), ("jo@outlook.com", ""),
        ("ann@mail.acme.example", "acme.example"), ("plain@gmail.com", ""), ("jdoe@gmail.com", ""),
    ]  # fmt: skip
    for contact in (people[0], people[1], far):
        assert bytes(rows[contact.pk].address_hash) == person
        assert bytes(rows[contact.pk].domain_hashes[-1]) == contact.address_hash
    for found in (own, theirs):
        found.refresh_from_db()
        assert bytes(found.hash) == person
    twin.refresh_from_db()
    unknown.refresh_from_db()
    assert bytes(twin.hash) == keyed.address("jdoe+x@gmail.com")  # the other one says the same by now
    assert bytes(unknown.hash) == keyed.address("some.body@gmail.com")
    assert covered() == ["j.doe@gmail.com", "jdoe+x@gmail.com", "j.doe@gmail.com"]
    assert ListEntry.objects.count() == 5


@pytest.mark.parametrize(
    ("email", "company"),
    [
        ("ann@mail.acme.co.uk", "acme.co.uk"),
        ("ann@acme.example", "acme.example"),
        ("ann@gmail.com", ""),
        ("ann@web.de", ""),
        ("ann@yahoo.co.jp", ""),
        ("ann@xn--mller-kva.de", "xn--mller-kva.de"),
    ],
)
def test_the_company_is_told_by_the_domain_where_not_everybody_can_have_one(tenant, write, email, company):
    run(tenant, write(row(email)))

    assert Contact.objects.get().company_domain == company


MORE = f"{COLUMNS},tags,basis_terms,collected_directly"


def test_tags_terms_and_how_the_data_came_are_columns(tenant, write):
    run(
        tenant,
        write(
            row("a@acme.example", '" Fair 2026;vip, ;VIP"', "existing_products; Objection_Told", "YES"),
            row("b@acme.example", "", "", "false"),
            columns=MORE,
        ),
    )

    found = Contact.objects.order_by("email").values_list("tags", "basis_terms", "collected_directly")
    assert list(found) == [
        (["fair 2026", "vip"], ["existing_products", "objection_told"], True), ([], [], False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cells", "column"),
    [
        (("x" * 51, "", ""), "tags"),
        (("<b>", "", ""), "tags"),
        ((";".join(f"t{n}" for n in range(21)), "", ""), "tags"),
        (("", "not a term", ""), "basis_terms"),
        (("", "x" * 25, ""), "basis_terms"),
        (("", "", "perhaps"), "collected_directly"),
    ],
)
def test_what_these_columns_can_not_say_is_refused(tenant, write, cells, column):
    report = run(tenant, write(row("a@acme.example", *cells), columns=MORE))

    assert [(found.line, found.column) for found in report.refusals] == [(2, column)]
    assert Contact.objects.count() == 0


def test_tags_of_several_files_add_up_to_twenty(tenant, write):
    run(tenant, write(row("a@acme.example", ";".join(f"t{n:02}" for n in range(15)), "", ""), columns=MORE))

    report = run(tenant, write(row("a@acme.example", ";".join(f"u{n:02}" for n in range(6)), "", ""), columns=MORE))
    assert [str(found) for found in report.refusals] == [
        "line 2, tags: the tags of this contact, old and new together, would be more than 20"
    ]
    assert len(Contact.objects.get().tags) == 15
    run(tenant, write(row("a@acme.example", "a;t01", "", ""), columns=MORE))
    assert Contact.objects.get().tags[:3] == ["a", "t00", "t01"]


def test_terms_follow_the_ground_that_they_belong_to(tenant, write):
    def terms(*cells, **changes):
        run(tenant, write(row("a@acme.example", "", *cells, **changes), columns=MORE))
        return list(Contact.objects.values_list("basis_terms", "collected_directly").get())

    assert terms("one", "yes") == [["one"], True]
    assert terms("", "yes") == [["one"], True]
    assert terms("two", "no") == [["two"], False]
    assert terms("three", "yes", basis_date="2025-01-01") == [["two"], False]  # an older ground changes nothing
    assert terms("", "", basis_date="2026-02-01") == [[], False]  # a newer one brings its own


@pytest.mark.parametrize("asked", ["J.Doe+fair@googlemail.com", "jdoe@gmail.com", "JDOE+x@GMail.com"])
def test_every_look_up_finds_a_person_in_any_spelling(tenant, write, asked):
    run(tenant, write(row("j.doe@gmail.com")), list_name="Fair")
    person = Contact.objects.get()
    campaign = factories.campaign(tenant, factories.pool(tenant), ContactList.objects.get())

    assert conversation.find(tenant, asked) == person
    assert previewing.find(campaign, asked) == person
    assert list(ContactFilters({"email": asked}, Contact.objects.all()).qs) == [person]


@pytest.mark.parametrize("asked", ["J.Doe+fair@googlemail.com", "jdoe@gmail.com", "j.d.oe@gmail.com"])
def test_a_search_finds_the_entry_that_blocks_a_spelling(tenant, asked):
    suppression.suppress(tenant, ["j.doe@gmail.com"], actor=SYSTEM, reason="opt_out", via="page")

    assert Suppression.objects.filter(hash__in=suppression.covering(asked)).count() == 1


def test_an_entry_of_before_blocks_test_mail_to_its_spelling(tenant):
    entry(tenant, suppression.hasher().address("j.doe@gmail.com"))

    assert testing.is_suppressed(tenant, "J.Doe@gmail.com", None)
    assert not testing.is_suppressed(tenant, "jdoe@gmail.com", None)
