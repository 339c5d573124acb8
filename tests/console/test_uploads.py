"""Mailboxes imported in the browser: what is kept, what is shown, and what a worker makes of it."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils.timezone import now

from mailboxes.models import Import, Mailbox, Upload, UploadPart
from mailboxes.services import importing, upload_work
from mailboxes.services import uploads as mailbox_uploads
from outreach import cron
from outreach.common.errors import InvalidMove
from tenants.models import AuditEntry, Membership
from tenants.services import upload_boxes, uploads
from tenants.services.actors import SYSTEM
from tests import factories
from tests.common import workbook_files
from tests.console.conftest import client_of, person
from tests.mailboxes.importing.files import COLUMNS, row

CANARY = "canary-Pa55word"


@pytest.fixture(autouse=True)
def _loopback(settings):
    settings.SMTP_ALLOW_LOOPBACK = True


@pytest.fixture
def tenant(db):
    return factories.tenant()


@pytest.fixture
def manager(tenant):
    return person("manager@example.com", "ops_manager", tenant)


@pytest.fixture
def browser(manager):
    return client_of(manager)


def content(*rows: str, columns: str = COLUMNS) -> bytes:
    return ("\n".join((columns, *rows)) + "\n").encode()


def send(browser, tenant, data: bytes, name="fleet.csv", **fields):
    file = SimpleUploadedFile(name, data)
    return browser.post(reverse("admin:mailboxes_upload_add"), {"tenant": tenant.pk, "file": file, **fields})


def work(upload: Upload) -> str:
    word = upload_work.work_on(upload.tenant_id, upload.pk)
    upload.refresh_from_db()
    return word


def page(browser, upload: Upload) -> str:
    return browser.get(reverse("admin:mailboxes_upload_change", args=[upload.pk])).content.decode()


def act(browser, upload: Upload, name: str):
    url = reverse("admin:mailboxes_upload_changelist")
    return browser.post(url, {"action": name, "_selected_action": upload.pk, "index": 0, "from_detail": 1})


def fields_of(box: Mailbox) -> tuple:
    return box.address, box.daily_cap, box.pool.name


# --- All the way -------------------------------------------------------------------------------------------


def test_from_the_file_to_the_mailboxes_and_back(tenant, browser, manager):
    send(browser, tenant, content(row(), row("bad"), row("bob@sender.example")))
    upload = Upload.objects.get()
    assert (upload.state, upload.file_name, upload.tenant_id) == ("waiting", "fleet.csv", tenant.pk)
    assert "Waits for a worker" in page(browser, upload)

    assert work(upload) == "ready"
    assert not Mailbox.objects.exists()
    assert upload.preview["counts"] == {"new": 2, "changed": 0, "unchanged": 0, "refused": 1, "read": 3}
    shown = page(browser, upload)
    assert "ann@sender.example" in shown
    assert "line 3, address: " in shown
    assert CANARY not in shown

    act(browser, upload, "confirm")
    assert work(upload) == "done"
    done = Import.objects.get()
    assert (upload.done_id, done.created, done.refused, done.by_user_id) == (done.pk, 2, 1, manager.pk)
    assert done.file_name == "fleet.csv"
    assert sorted(fields_of(box) for box in Mailbox.objects.all()) == [
        ("ann@sender.example", 50, "north"), ("bob@sender.example", 50, "north"),
    ]  # fmt: skip

    answer = browser.get(reverse("admin:mailboxes_upload_refused", args=[upload.pk]))
    (refused,) = csv.DictReader(io.StringIO(answer.content.decode()))
    assert (refused["address"], refused["smtp_password"]) == ("bad", "")
    assert refused["reason"].startswith("line 3, address: ")
    assert CANARY not in answer.content.decode()

    url = reverse("admin:mailboxes_import_changelist")
    fields = {"action": "roll_back", "_selected_action": done.pk, "index": 0, "from_detail": 1}
    assert "Mailboxes and domains get back what they had before" in browser.post(url, fields).content.decode()
    assert Mailbox.objects.count() == 2
    browser.post(url, fields | {"confirmed": 1, "reason": "wrong client", "select_across": 0})
    assert not Mailbox.objects.exists()
    found = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"upload.taken", "upload.confirmed", "mailboxes.imported", "import.rolled_back"} <= found


def test_columns_by_other_names_are_asked_for(tenant, browser):
    data = content(row(), columns=COLUMNS.replace("address", "E-Mail").replace("daily_cap", "Colour"))
    send(browser, tenant, data, source="crm")
    upload = Upload.objects.get()

    assert work(upload) == "columns"
    assert upload.titles[:2] == ["E-Mail", "display_name"]
    url = reverse("admin:mailboxes_upload_columns", args=[upload.pk])
    form = browser.get(url).context["form"]
    named = {f"title-{n}": form.fields[f"title-{n}"].initial for n in range(len(upload.titles))}
    assert (named["title-0"], named["title-1"], named["title-9"]) == ("", "display_name", "")
    assert "No column is named address" in browser.post(url, named).content.decode()
    browser.post(url, named | {"title-0": "address"})

    assert work(upload) == "ready"
    act(browser, upload, "confirm")
    assert work(upload) == "done"
    assert Mailbox.objects.get().daily_cap == 40
    assert Import.objects.get().columns["E-Mail"] == "address"


def test_a_workbook_comes_in_as_well(tenant, browser, tmp_path):
    book = workbook_files.book(tmp_path / "m.xlsx", COLUMNS.split(","), next(csv.reader([row()])))
    send(browser, tenant, book.read_bytes(), "fleet.xlsx", ramp="standard")
    upload = Upload.objects.get()

    assert work(upload) == "ready"
    act(browser, upload, "confirm")
    assert work(upload) == "done"

    assert (Mailbox.objects.get().state, Mailbox.objects.get().ramp_cap) == ("ramping", 10)


# --- What is kept ------------------------------------------------------------------------------------------


def test_the_file_is_sealed_and_gone_after_the_import(tenant, browser, monkeypatch):
    monkeypatch.setattr(upload_boxes, "PIECE", 10_000)
    send(browser, tenant, content(*(row(f"box{n}@sender.example") for n in range(300))))
    upload = Upload.objects.get()
    parts = list(upload.parts.values_list("box", flat=True))
    assert len(parts) == -(-upload.size // 10_000) > 2
    assert not any(CANARY.encode() in bytes(part) for part in parts)
    assert b"".join(upload_boxes.read(upload, "file")).count(CANARY.encode()) == 300
    work(upload)
    act(browser, upload, "confirm")

    assert work(upload) == "done"

    assert not UploadPart.objects.exists()
    assert Mailbox.objects.count() == 300


def test_parts_in_another_order_do_not_open(tenant, browser, monkeypatch):
    monkeypatch.setattr(upload_boxes, "PIECE", 10_000)
    send(browser, tenant, content(*(row(f"box{n}@sender.example") for n in range(150))))
    upload = Upload.objects.get()
    first, second = upload.parts.order_by("number").values_list("box", flat=True)
    upload.parts.filter(number=0).update(box=second)
    upload.parts.filter(number=1).update(box=first)

    assert work(upload) == "failed"

    assert "does not open" in upload.reason
    assert not UploadPart.objects.exists()


def test_after_a_day_nothing_is_left(tenant, browser, settings):
    send(browser, tenant, content(row()))
    upload = Upload.objects.get()
    assert cron.forget_uploads() == 0
    Upload.objects.update(created_at=now() - timedelta(seconds=settings.UPLOAD_KEEP_SECONDS + 1))

    assert cron.forget_uploads() == 1

    upload.refresh_from_db()
    assert (upload.state, bytes(upload.sealed_key)) == ("discarded", b"")
    assert not UploadPart.objects.exists()


def test_a_file_thrown_away_is_gone(tenant, browser):
    send(browser, tenant, content(row()))
    upload = Upload.objects.get()

    act(browser, upload, "discard")

    upload.refresh_from_db()
    assert upload.state == "discarded"
    assert not UploadPart.objects.exists()
    assert work(upload) == "nothing to do"


def test_a_torn_row_leaves_no_cell_in_the_file_of_refused_rows(tenant, browser):
    send(browser, tenant, content(row(), f"a@b.example,x,{CANARY}"))
    upload = Upload.objects.get()
    work(upload)
    assert upload.preview["rows"]["refused"][0]["subject"] == ""
    act(browser, upload, "confirm")
    work(upload)

    text = b"".join(uploads.refused_rows(upload, actor=SYSTEM)).decode()

    assert "has 3 cells for 11 columns" in text
    assert CANARY not in text
    assert "a@b.example" not in text


# --- Workers -----------------------------------------------------------------------------------------------


def test_a_worker_that_dies_leaves_nothing_half_done_and_the_page_says_so(tenant, browser, monkeypatch):
    send(browser, tenant, content(row(), row("bob@sender.example")))
    upload = Upload.objects.get()
    work(upload)
    act(browser, upload, "confirm")

    def dies(*args, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(upload_boxes, "write", dies)
        patch.setattr(importing.RefusedRows, "keep", lambda self: dies())
        with pytest.raises(KeyboardInterrupt):
            work(upload)
    upload.refresh_from_db()
    assert (upload.state, upload.attempts, Mailbox.objects.count()) == ("confirmed", 1, 0)
    assert work(upload) == "nothing to do"  # it may still be alive
    Upload.objects.update(claimed_until=now() - timedelta(seconds=1))
    assert "Nothing was left half done" in page(browser, upload)

    assert work(upload) == "done"
    assert Mailbox.objects.count() == 2


def test_three_deaths_are_enough(tenant, browser):
    send(browser, tenant, content(row()))
    upload = Upload.objects.get()
    Upload.objects.update(attempts=uploads.MOST_ATTEMPTS)

    assert work(upload) == "failed"

    assert upload.reason == "It was begun 3 times and interrupted each time."


def test_whoever_lost_the_upload_writes_nothing(tenant, browser, monkeypatch):
    send(browser, tenant, content(row()))
    upload = Upload.objects.get()
    work(upload)
    act(browser, upload, "confirm")
    real = importing.import_mailboxes

    def slow(*args, **options):
        yield from real(*args, **options)
        Upload.objects.update(claim="00000000-0000-0000-0000-000000000001")

    monkeypatch.setattr(importing, "import_mailboxes", slow)

    assert work(upload) == "lost"
    assert (upload.state, Mailbox.objects.count(), Import.objects.count()) == ("confirmed", 0, 0)


def test_a_lost_hint_is_given_again(tenant, browser, monkeypatch):
    rung = []
    monkeypatch.setattr(uploads.queues, "ring", lambda *args, **options: rung.append((args, options)))
    send(browser, tenant, content(row()))
    upload = Upload.objects.get()
    hint = ((Upload.TASK, tenant.pk, upload.pk), {"queue": "bulk"})
    assert (rung, cron.uploads()) == ([hint], 0)
    Upload.objects.update(changed_at=now() - timedelta(seconds=31))

    assert (cron.uploads(), cron.uploads()) == (1, 0)
    assert rung == [hint, hint]


def test_in_hand_it_can_not_be_thrown_away(tenant, browser):
    send(browser, tenant, content(row()))
    upload = uploads.claim(Upload, Upload.objects.get().pk, "00000000-0000-0000-0000-000000000001", 60)

    with pytest.raises(InvalidMove, match="has .* in hand"):
        uploads.discard(upload, actor=SYSTEM)

    assert UploadPart.objects.count() == 1


def test_who_lost_the_role_meanwhile_imports_nothing(tenant, browser, manager):
    send(browser, tenant, content(row()))
    upload = Upload.objects.get()
    work(upload)
    act(browser, upload, "confirm")
    Membership.objects.filter(user=manager).delete()

    assert work(upload) == "failed"

    assert "may not do mailboxes.import" in upload.reason
    assert not Mailbox.objects.exists()


# --- Hostile -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"%PDF-1.7 \x00\x01\x02" * 10, "no header"),
        (b"\x00" * 100_000, ""),
        (b"PK\x03\x04 no workbook at all", ""),
        (b"just words", "no header"),
        (b'{"address": "\\ud800\\u0000@x.example", "pool": 1}', "is missing"),
    ],
)
def test_what_is_no_table_fails_and_says_why(tenant, browser, data, words):
    send(browser, tenant, data)
    upload = Upload.objects.get()

    assert work(upload) in ("failed", "columns")

    assert words in upload.reason
    assert upload.reason
    assert not Mailbox.objects.exists()


def test_bytes_that_no_text_can_hold_refuse_their_row_only(tenant, browser):
    send(browser, tenant, content(row(), row("a\x00b@sender.example")))
    upload = Upload.objects.get()

    assert work(upload) == "ready"

    assert upload.preview["counts"] == {"new": 1, "changed": 0, "unchanged": 0, "refused": 1, "read": 2}
    assert upload.preview["rows"]["refused"][0]["subject"] == "a\ufffdb@sender.example"


def test_a_zip_bomb_is_not_unpacked(tenant, browser, tmp_path):
    contents = workbook_files.parts(People=workbook_files.sheet([("address",)]))
    contents["xl/worksheets/sheet1.xml"] = b" " * (257 * 2**20)
    book = workbook_files.write(tmp_path / "bomb.xlsx", contents)
    send(browser, tenant, book.read_bytes(), "bomb.xlsx")
    upload = Upload.objects.get()

    assert work(upload) == "failed"

    assert "more than 256 MiB of contents" in upload.reason


def test_a_file_that_is_too_large_is_not_even_read(tenant, browser, settings):
    settings.UPLOAD_MIB = 1
    answer = send(browser, tenant, b"\x00" * (3 * 2**20))

    assert answer.status_code == 413
    assert "larger than 1 MiB" in answer.content.decode()
    assert not Upload.objects.exists()


def test_five_gigabytes_are_refused_by_what_they_announce(tenant, browser):
    answer = browser.post(reverse("admin:mailboxes_upload_add"), b"x", content_type="multipart/form-data; boundary=x",
                          CONTENT_LENGTH=str(5 * 2**30))  # fmt: skip

    assert answer.status_code == 413
    assert not Upload.objects.exists()


def test_a_file_a_little_too_large_is_refused_in_words(tenant, browser, settings):
    settings.UPLOAD_MIB = 1
    with pytest.raises(Exception, match="larger than 1 MiB"):
        mailbox_uploads.take(tenant, "x.csv", [b"x" * 2**20, b"x"], actor=SYSTEM)

    assert not Upload.objects.exists()
    assert not UploadPart.objects.exists()


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\fleet.csv", "fleet.csv"),
        ("..", "file"),
        ("a\nb.csv", "ab.csv"),
        ("<script>.csv", "<script>.csv"),
        ("x" * 400, "x" * 255),
    ],
)
def test_a_path_in_the_name_leads_nowhere(tenant, name, kept):
    upload = mailbox_uploads.take(tenant, name, [content(row())], actor=SYSTEM)

    assert upload.file_name == kept
    assert work(upload) == "ready"


def test_a_tenant_of_others_is_no_choice(tenant, browser):
    other = factories.tenant()

    answer = send(browser, other, content(row()))

    assert "Select a valid choice" in answer.content.decode()
    assert not Upload.objects.exists()


@pytest.mark.parametrize("role", ["analyst", "operator"])
def test_who_may_not_import_uploads_nothing(tenant, role):
    browser = client_of(person(f"{role}@example.com", role, tenant))

    assert send(browser, tenant, content(row())).status_code == 403
    assert not Upload.objects.exists()


def test_without_the_token_nothing_is_taken(tenant, manager):
    browser = client_of(manager)
    browser.handler.enforce_csrf_checks = True

    assert send(browser, tenant, content(row())).status_code == 403
    assert not Upload.objects.exists()


def test_the_page_renews_itself_until_the_worker_has_ended(tenant, browser):
    send(browser, tenant, content(row()))
    upload = Upload.objects.get()
    url = reverse("admin:mailboxes_upload_panel", args=[upload.pk])
    assert "HX-Refresh" not in browser.get(url).headers
    work(upload)

    assert browser.get(url).headers["HX-Refresh"] == "true"
