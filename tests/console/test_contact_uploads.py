"""Contacts imported in the browser from CSV, workbook and JSON lines; tags and lists for many at once."""

from __future__ import annotations

import csv
import io
import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from campaigns.models import Contact, ContactImport, ContactList, ContactUpload, ListEntry
from campaigns.services import labelling, upload_work
from outreach import cron
from outreach.common.errors import BadInput, NotAllowed
from tenants import permissions
from tenants.models import AuditEntry
from tenants.services.actors import SYSTEM, Actor
from tests import factories
from tests.campaigns.contact_files import CELLS
from tests.common import workbook_files
from tests.console.conftest import client_of, person


@pytest.fixture
def tenant(db):
    return factories.tenant()


@pytest.fixture
def browser(tenant):
    return client_of(person("operator@example.com", "operator", tenant))


def as_csv(tmp_path, columns: list[str], *rows: list[str]) -> tuple[str, bytes]:
    target = io.StringIO()
    csv.writer(target).writerows([columns, *rows])
    return "people.csv", target.getvalue().encode()


def as_workbook(tmp_path, columns: list[str], *rows: list[str]) -> tuple[str, bytes]:
    return "people.xlsx", workbook_files.book(tmp_path / "people.xlsx", columns, *rows).read_bytes()


def as_lines(tmp_path, columns: list[str], *rows: list[str]) -> tuple[str, bytes]:
    lines = (json.dumps(dict(zip(columns, cells, strict=True))) for cells in rows)
    return "people.jsonl", "\n".join(lines).encode()


def send(browser, tenant, name: str, data: bytes, list_name: str = "Fair", **fields):
    fields |= {"tenant": tenant.pk, "file": SimpleUploadedFile(name, data), "list_name": list_name}
    return browser.post(reverse("admin:campaigns_contactupload_add"), fields)


def work(upload: ContactUpload) -> str:
    word = upload_work.work_on(upload.tenant_id, upload.pk)
    upload.refresh_from_db()
    return word


def page(browser, upload: ContactUpload) -> str:
    return browser.get(reverse("admin:campaigns_contactupload_change", args=[upload.pk])).content.decode()


def act(browser, row, name: str, **fields):
    url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_changelist")
    return browser.post(url, {"action": name, "_selected_action": row.pk, "index": 0, "from_detail": 1, **fields})


def cells(**changes: str) -> list[str]:
    return [*(CELLS | changes).values()]


@pytest.mark.parametrize("written", [as_csv, as_workbook, as_lines])
def test_from_the_file_to_the_contacts_and_back(tenant, browser, tmp_path, written):
    factories.people(tenant, None, 1, each=lambda i: {"email": "bob@acme.example", "company": "Old"})
    columns = ["E-Mail address", *list(CELLS)[1:], "Tags", "Job title (now)"]
    name, data = written(
        tmp_path, columns,
        [*cells(), "vip; fair", "CEO"], [*cells(email="bob@acme.example", company="New"), "", ""],
        [*cells(email="bad"), "", "x"],
    )  # fmt: skip
    send(browser, tenant, name, data, source="crm")
    upload = ContactUpload.objects.get()
    assert (upload.state, upload.file_name, upload.list_name) == ("waiting", name, "Fair")
    assert "Waits for a worker" in page(browser, upload)

    assert work(upload) == "columns"
    url = reverse("admin:campaigns_contactupload_columns", args=[upload.pk])
    form = browser.get(url).context["form"]
    named = {field: form.fields[field].initial for field in form.fields}
    assert (named["title-0"], named["title-1"], named["title-13"]) == ("e_mail_address", "first_name", "job_title_now")
    assert "No column is named email" in browser.post(url, named).content.decode()
    browser.post(url, named | {"title-0": "email"})

    assert work(upload) == "ready"
    assert (Contact.objects.count(), ContactImport.objects.count()) == (1, 0)
    assert upload.preview["counts"] == {"new": 1, "changed": 1, "unchanged": 0, "refused": 1, "read": 3}
    shown = page(browser, upload)
    assert "Kept as free fields: job_title_now." in shown
    assert "ann@acme.example" in shown
    assert "company: Old → New" in shown
    assert "bad" in shown
    assert "Passwords never are" not in shown
    assert url in shown  # the columns may still be named otherwise

    act(browser, upload, "confirm")
    assert work(upload) == "done"
    done = ContactImport.objects.get()
    assert (upload.done_id, done.created, done.updated, done.refused) == (done.pk, 1, 1, 1)
    ann = Contact.objects.get(email="ann@acme.example")
    assert (ann.tags, ann.fields, ann.first_import_id) == (["fair", "vip"], {"job_title_now": "CEO"}, done.pk)
    assert done.columns["E-Mail address"] == "email"
    assert ListEntry.objects.filter(contact_list__name="Fair").count() == 2

    answer = browser.get(reverse("admin:campaigns_contactupload_refused", args=[upload.pk]))
    (refused,) = csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))
    assert (refused["E-Mail address"], refused["Job title (now)"]) == ("bad", "x")
    assert "email" in refused["reason"]
    assert "The refused rows as a file<" in page(browser, upload)

    fields = {"confirmed": 1, "reason": "wrong client", "select_across": 0}
    assert "Contacts get back what they had before" in act(browser, done, "roll_back").content.decode()
    act(browser, done, "roll_back", **fields)
    assert [(contact.email, contact.company) for contact in Contact.objects.all()] == [("bob@acme.example", "Old")]
    assert ListEntry.objects.count() == 0
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"upload.taken", "upload.confirmed", "contacts.imported", "contact_import.rolled_back"} <= actions


def test_the_page_of_a_rollback_names_who_stays(tenant, browser, tmp_path):
    send(browser, tenant, *as_csv(tmp_path, list(CELLS), cells()))
    upload = ContactUpload.objects.get()
    work(upload)
    act(browser, upload, "confirm")
    work(upload)
    labelling.add_to_list([Contact.objects.get().pk], "Friends", actor=SYSTEM)

    url = reverse("admin:campaigns_contactimport_changelist")
    fields = {"action": "roll_back", "_selected_action": upload.done_id, "index": 0, "confirmed": 1, "reason": "x"}
    answer = browser.post(url, fields | {"select_across": 0}, follow=True).content.decode()

    assert "1 stay, in another list: ann@acme.example." in answer
    assert Contact.objects.count() == 1


def test_a_lost_hint_is_given_again_and_old_files_go(tenant, browser, tmp_path, settings, monkeypatch):
    send(browser, tenant, *as_csv(tmp_path, list(CELLS), cells()))
    ContactUpload.objects.update(changed_at="2026-01-01T00:00Z", created_at="2026-01-01T00:00Z")

    assert (cron.uploads(), cron.forget_uploads()) == (1, 1)

    upload = ContactUpload.objects.get()
    assert (upload.state, upload.parts.count(), bytes(upload.sealed_key)) == ("discarded", 0, b"")


@pytest.mark.parametrize(("role", "status"), [("operator", 200), ("analyst", 403), ("client_viewer", 403)])
def test_only_who_may_import_sees_the_form(tenant, role, status):
    client = client_of(person(f"{role}@example.org", role, tenant))

    assert client.get(reverse("admin:campaigns_contactupload_add")).status_code == status


def test_a_list_shows_its_imports_and_a_contact_its_own(tenant, browser, tmp_path):
    send(browser, tenant, *as_csv(tmp_path, list(CELLS), cells()))
    upload = ContactUpload.objects.get()
    work(upload)
    act(browser, upload, "confirm")
    work(upload)

    listed = reverse("admin:campaigns_contactlist_change", args=[ContactList.objects.get().pk])
    contact = reverse("admin:campaigns_contact_change", args=[Contact.objects.get().pk])
    assert "people.csv" in browser.get(listed).content.decode()
    assert f"campaigns/contactimport/?id__exact={upload.done_id}" in browser.get(contact).content.decode()


# --- Many at once ------------------------------------------------------------------------------------------


@pytest.fixture
def people(tenant):
    return factories.people(tenant, factories.contact_list(tenant, name="All"), 3)


def many(browser, people, action: str, **fields):
    fields |= {"action": action, "_selected_action": [contact.pk for contact in people], "index": 0}
    return browser.post(reverse("admin:campaigns_contact_changelist"), fields)


def tags() -> list[list[str]]:
    return list(Contact.objects.order_by("pk").values_list("tags", flat=True))


def test_tags_are_put_on_and_taken_off(browser, people, tenant):
    assert "These contacts get the tags as well" in many(browser, people[:2], "tag").content.decode()
    assert tags() == [[], [], []]

    many(browser, people[:2], "tag", confirmed=1, tags="VIP; fair 2026")
    many(browser, people[:1], "untag", confirmed=1, tags="vip")

    assert tags() == [["fair 2026"], ["fair 2026", "vip"], []]
    found = browser.get(reverse("admin:campaigns_contact_changelist"), {"tag": "vip"}).context["cl"].result_list
    assert [contact.pk for contact in found] == [people[1].pk]
    entries = AuditEntry.objects.filter(action__startswith="contacts.").order_by("pk")
    assert [(entry.action, entry.facts["contacts"]) for entry in entries] == [
        ("contacts.tagged", 2), ("contacts.untagged", 1),
    ]  # fmt: skip


def test_too_many_tags_are_refused_for_all(browser, people):
    Contact.objects.filter(pk=people[0].pk).update(tags=[f"t{n:02}" for n in range(20)])
    before = tags()

    answer = many(browser, people, "tag", confirmed=1, tags="one more").content.decode()

    assert "1 of these contacts would have more than 20 tags." in answer
    assert tags() == before


def test_people_enter_a_list_and_leave_it(browser, people, tenant):
    many(browser, people[:2], "add_to_list", confirmed=1, list_name=" Friends ")
    many(browser, people[:2], "add_to_list", confirmed=1, list_name="Friends")
    many(browser, people[:1], "remove_from_list", confirmed=1, list_name="All")

    def listed(name: str) -> list[int]:
        return list(ListEntry.objects.filter(contact_list__name=name).order_by("pk").values_list("contact", flat=True))

    assert listed("Friends") == [people[0].pk, people[1].pk]
    assert listed("All") == [people[1].pk, people[2].pk]
    answer = many(browser, people[:1], "remove_from_list", confirmed=1, list_name="Nobody").content.decode()
    assert "has no list" in answer


def test_people_of_others_are_neither_labelled_nor_listed(people, tenant):
    other = factories.tenant()
    stranger = Actor("user", "s@example.com", {other.pk: permissions.ROLES["operator"]})
    ids = [contact.pk for contact in people]

    with pytest.raises(NotAllowed):
        labelling.tag(ids, "x", actor=stranger)
    with pytest.raises(NotAllowed):
        labelling.add_to_list(ids, "All", actor=stranger)
    with pytest.raises(BadInput, match="Narrow the list down"):
        labelling.tag(range(labelling.MOST + 1), "x", actor=SYSTEM)

    assert tags() == [[], [], []]
    assert ListEntry.objects.count() == 3


def test_a_file_whose_header_says_nothing_is_asked_about(tenant, browser):
    send(browser, tenant, "x.csv", b"a,b\n1,2\n")
    upload = ContactUpload.objects.get()

    assert work(upload) == "columns"
    assert upload.titles == ["a", "b"]
