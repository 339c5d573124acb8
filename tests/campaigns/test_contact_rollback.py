"""An import of contacts taken back as a whole: everybody is as before, and who is needed stays and is named."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils.timezone import now

from campaigns.models import Contact, ContactImport, ContactList, Enrolment, ImportedContact, ListEntry
from campaigns.services import contact_imports, conversations, labelling, replies
from outreach.common.errors import InvalidMove, Missing, NotAllowed
from tenants import permissions
from tenants.models import AuditEntry
from tenants.services.actors import SYSTEM, Actor
from tests import factories
from tests.campaigns.contact_files import COLUMNS, row, run, write_rows

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]
MORE = f"{COLUMNS},tags,basis_terms,collected_directly,job"


@pytest.fixture
def tenant():
    return factories.tenant()


@pytest.fixture
def write(tmp_path):
    def write(*rows: str, columns: str = COLUMNS, name: str = "people.csv"):
        return write_rows(tmp_path / name, *rows, columns=columns)

    return write


def state() -> tuple[list[dict], set[tuple[str, str]]]:
    people = list(Contact.objects.order_by("email_key").values())
    return people, set(ListEntry.objects.values_list("contact_list__name", "contact__email"))


def undone(report, **options) -> contact_imports.RolledBack:
    return contact_imports.roll_back(ContactImport.objects.get(pk=report.import_id), actor=SYSTEM, **options)


def enrol(contact: Contact, contact_list: ContactList) -> None:
    campaign = factories.campaign(contact.tenant, factories.pool(contact.tenant), contact_list, status="running")
    Enrolment.objects.create(tenant=contact.tenant, campaign=campaign, contact=contact, zone="UTC", due_at=now())


def test_an_import_writes_down_what_it_brought(tenant, write):
    path = write(row(), row("bob@acme.example"), row("bad"), row("bob@acme.example"))

    report = run(tenant, path, source="crm", list_name="Fair")

    done = ContactImport.objects.get()
    assert (done.pk, done.file_name, done.source, done.state) == (report.import_id, "people.csv", "crm", "done")
    assert (done.created, done.updated, done.unchanged, done.refused, done.suppressed) == (2, 0, 0, 2, 0)
    assert (done.contact_list.name, done.by_kind, len(done.file_hash)) == ("Fair", "system", 64)
    assert set(Contact.objects.values_list("first_import", flat=True)) == {done.pk}
    assert ImportedContact.objects.count() == 0
    assert AuditEntry.objects.get(action="contacts.imported").facts["import_id"] == done.pk


def test_the_state_after_is_the_state_before_row_by_row(tenant, write):
    run(
        tenant,
        write(
            row("ann@acme.example", "a;b", "soft opt in", "yes", "CEO").replace("soft opt in", "soft_opt_in"),
            row("bob@acme.example", "", "", "", ""),
            row("cy@acme.example", "", "", "", ""),
            columns=MORE,
        ),
        list_name="Old",
    )
    before = state()
    report = run(
        tenant,
        write(
            row("ann@acme.example", "b;c", "", "no", "CTO", company="New", basis_date="2026-02-02", source="fair 2"),
            row("bob@acme.example", "x", "t1;t2", "yes", "", country="DE", time_zone="Europe/Berlin"),
            row("cy@acme.example", "", "", "", ""),
            row("dan@acme.example", "", "", "", ""),
            columns=MORE,
        ),
        list_name="Old",
    )
    assert (report.created, report.updated, report.unchanged) == (1, 2, 1)
    ann = Contact.objects.get(email="ann@acme.example")
    assert (ann.tags, ann.basis_terms, ann.collected_directly, ann.fields) == (
        ["a", "b", "c"],
        [],
        False,
        {"job": "CTO"},
    )
    assert state() != before

    rolled = undone(report, reason="wrong list")

    assert state() == before
    assert (rolled.done.removed, rolled.done.restored, rolled.done.kept, rolled.kept) == (1, 2, 0, {})
    assert (rolled.done.state, rolled.done.undo_until, ImportedContact.objects.count()) == ("rolled_back", None, 0)
    entry = AuditEntry.objects.get(action="contact_import.rolled_back")
    assert (entry.subject_id, entry.facts) == (report.import_id, {"removed": 1, "restored": 2, "kept": 0})


def test_known_people_leave_the_list_that_they_entered_and_stay_in_others(tenant, write):
    run(tenant, write(row(), row("bob@acme.example")), list_name="Old")
    before = state()
    report = run(tenant, write(row(), row("bob@acme.example", company="B")), list_name="New")

    undone(report)

    assert state() == before
    assert ContactList.objects.filter(name="New").exists()


def test_who_is_enrolled_in_another_list_or_changed_again_stays_and_is_named(tenant, write):
    people = [row(f"{name}@acme.example") for name in ("ann", "bob", "cy", "dan")]
    report = run(tenant, write(*people), list_name="Fair")
    ann, bob = (Contact.objects.get(email=f"{name}@acme.example") for name in ("ann", "bob"))
    enrol(ann, ContactList.objects.get(name="Fair"))
    labelling.add_to_list([bob.pk], "Friends", actor=SYSTEM)
    run(tenant, write(row("cy@acme.example", company="Other")), list_name="Fair")

    rolled = undone(report)

    assert rolled.kept == {
        "changed by a later import": (1, ["cy@acme.example"]),
        "enrolled": (1, ["ann@acme.example"]),
        "in another list": (1, ["bob@acme.example"]),
    }
    assert rolled.sentences()[1] == "1 stay, enrolled: ann@acme.example."
    assert (rolled.done.removed, rolled.done.kept) == (1, 3)
    assert set(Contact.objects.values_list("email", flat=True)) == {f"{n}@acme.example" for n in ("ann", "bob", "cy")}
    assert set(ListEntry.objects.values_list("contact_list__name", "contact__email")) == {
        ("Fair", "ann@acme.example"), ("Friends", "bob@acme.example"),
    }  # fmt: skip


def test_who_talks_with_us_or_wants_to_be_left_alone_stays(tenant, write):
    report = run(tenant, write(*(row(f"{name}@acme.example") for name in ("ann", "bob", "cy", "dan"))))
    ann, bob, cy = (Contact.objects.get(email=f"{name}@acme.example") for name in ("ann", "bob", "cy"))
    replies.human(ann, actor=SYSTEM, via="marked")
    replies.not_interested(bob, actor=SYSTEM, via="marked")
    replies.human(cy, actor=SYSTEM, via="marked")
    conversations.release(cy, actor=SYSTEM)

    rolled = undone(report)

    assert rolled.kept == {"in conversation": (2, ["ann@acme.example", "bob@acme.example"])}
    assert rolled.done.removed == 2
    assert Contact.objects.get(pk=ann.pk).conversation_since is not None
    assert Contact.objects.get(pk=bob.pk).quiet_until > now() + timedelta(days=1)


def test_what_a_later_import_changed_stays_and_leads_back_to_the_first_state(tenant, write):
    run(tenant, write(row(company="One")))
    before = state()
    second = run(tenant, write(row(company="Two", first_name="Anna")))
    third = run(tenant, write(row(company="Three", first_name="Anna")))

    undone(second)
    contact = Contact.objects.get()
    assert (contact.company, contact.first_name) == ("Three", "Ann")
    undone(third)

    assert state() == before


def test_a_ground_goes_back_as_a_whole_or_not_at_all(tenant, write):
    run(tenant, write(row(source="one")))
    second = run(tenant, write(row(source="two", basis_date="2026-02-01")))
    run(tenant, write(row(source="two", basis_date="2026-03-01", lawful_basis="opt_out")))

    undone(second)

    contact = Contact.objects.get()
    assert (contact.source, str(contact.basis_date), contact.lawful_basis) == ("two", "2026-03-01", "opt_out")


def test_twice_or_too_late_or_by_others_it_is_refused_and_nothing_changes(tenant, write):
    report = run(tenant, write(row()))
    done = ContactImport.objects.get()
    viewer = Actor("user", "v@example.com", {tenant.pk: permissions.ROLES["analyst"]})
    with pytest.raises(NotAllowed):
        contact_imports.roll_back(done, actor=viewer)
    ContactImport.objects.update(undo_until=now() - timedelta(seconds=1))
    assert contact_imports.forget(tenant.pk) == 1
    with pytest.raises(InvalidMove, match="was deleted after 30 days"):
        undone(report)
    assert Contact.objects.count() == 1
    ContactImport.objects.update(undo_until=now() + timedelta(days=1))
    undone(report)

    with pytest.raises(InvalidMove):
        undone(report)
    with pytest.raises(Missing):
        contact_imports.find(factories.tenant(), done.pk)


def test_undo_rows_go_with_their_time(tenant, write):
    run(tenant, write(row()))
    run(tenant, write(row(company="New")))
    assert ImportedContact.objects.count() == 1

    ContactImport.objects.update(undo_until=now() - timedelta(seconds=1))
    run(tenant, write(row(company="Newer")))

    assert ImportedContact.objects.count() == 1
    assert ContactImport.objects.filter(undo_until=None).count() == 2


def test_the_command_maps_previews_and_takes_back(tenant, write, tmp_path):
    path = write(row("bad"), row("ann@acme.example", "Boss"), columns=COLUMNS.replace("email", "E-Mail") + ",Job Title")
    seen = tmp_path / "seen.jsonl"
    options = {"tenant": tenant.slug, "list": "Fair", "source": "crm"}
    with pytest.raises(CommandError, match="1 row was refused"):
        call_command(
            "import_contacts", str(path), map=["E-Mail=email"], dry_run=True, preview=str(seen), stdout=io.StringIO(),
            **options,
        )  # fmt: skip
    assert [(e["line"], e["verdict"], e["subject"]) for e in map(json.loads, seen.read_text().splitlines())] == [
        (2, "refused", "bad"), (3, "new", "ann@acme.example"),
    ]  # fmt: skip
    assert (Contact.objects.count(), ContactImport.objects.count(), ContactList.objects.count()) == (0, 0, 0)

    with pytest.raises(CommandError, match="1 row was refused"):
        call_command("import_contacts", str(path), map=["E-Mail=email"], stdout=io.StringIO(), **options)
    assert Contact.objects.get().fields == {"job_title": "Boss"}
    again = write(
        row("bob@acme.example", "x"), columns=COLUMNS.replace("email", "E-Mail") + ",Job Title", name="again.csv"
    )
    call_command("import_contacts", str(again), stdout=io.StringIO(), **options)  # the source knows its columns
    first = ContactImport.objects.order_by("pk").first()

    said = io.StringIO()
    call_command("import_contacts", tenant=tenant.slug, rollback=first.pk, json=True, stdout=said)
    assert json.loads(said.getvalue()) == {
        "import": first.pk, "state": "rolled_back", "removed": 1, "restored": 0, "kept": 0, "stay": [],
    }  # fmt: skip
    assert [contact.email for contact in Contact.objects.all()] == ["bob@acme.example"]
    with pytest.raises(CommandError, match="Name the list"):
        call_command("import_contacts", str(path), tenant=tenant.slug, stdout=io.StringIO())
