"""A password that can't be opened locks its mailbox and nothing else; whoever enters it again lifts the lock."""

from __future__ import annotations

import base64
import json

import pytest
import structlog
from django.urls import reverse

from campaigns.models import Message
from campaigns.services import campaigns
from mailboxes.models import Mailbox
from mailboxes.services import mailboxes
from outreach.common.errors import BadInput, InvalidMove, NotAllowed
from outreach.common.sealing import Keyring
from outreach.demo.sink import Book
from outreach.demo.sink_process import SinkProcess
from tenants.models import AuditEntry
from tenants.services.actors import SYSTEM
from tests import factories
from tests.api.conftest import Api, key_of
from tests.campaigns.test_sending import work_off
from tests.console.conftest import client_of, person
from tests.mailboxes.importing import files
from tests.mailboxes.importing.files import opened as password_of

SHUT = "seal_broken: The secret does not open with key 'dev': it was changed or belongs elsewhere. Enter it again."


@pytest.fixture
def box(db) -> Mailbox:
    return factories.mailbox(factories.tenant())


def shut(box: Mailbox, **changes) -> Mailbox:
    """With the sealed bytes of another mailbox."""
    box.sealed_password = factories.mailbox(box.tenant).sealed_password
    for name, value in changes.items():
        setattr(box, name, value)
    box.save()
    return box


# --- What a sender does about it -----------------------------------------------------------------------------


def swap_rows(boxes, _others) -> list[int]:
    boxes[0].sealed_password, boxes[1].sealed_password = boxes[1].sealed_password, boxes[0].sealed_password
    return [0, 1]


def swap_tenants(boxes, others) -> list[int]:
    boxes[0].sealed_password = others[0].sealed_password
    return [0]


def swap_all_of_a_row(boxes, others) -> list[int]:
    """The reference came along."""
    boxes[0].sealed_password, boxes[0].seal_ref = others[0].sealed_password, others[0].seal_ref
    others[0].delete()
    return [0]


def swap_fields(boxes, _others) -> list[int]:
    place = (str(boxes[0].tenant_id), "mailboxes.Mailbox", str(boxes[0].seal_ref), "imap_password")
    boxes[0].sealed_password = Keyring.parse(mailboxes.sealing.settings.CREDENTIAL_KEYS).seal(b"x", place)
    return [0]


def cut(boxes, _others) -> list[int]:
    boxes[0].sealed_password = boxes[0].sealed_password[:-1]
    return [0]


def in_the_clear(boxes, _others) -> list[int]:
    boxes[0].sealed_password = factories.PASSWORD.encode()
    return [0]


def by_another_key(boxes, _others, key_id="gone") -> list[int]:
    """In its place, by a key that is not in the list, or not that one."""
    ring = Keyring.parse(f"{key_id}:{base64.b64encode(bytes(32)).decode()}")
    place = (str(boxes[0].tenant_id), "mailboxes.Mailbox", str(boxes[0].seal_ref), "smtp_password")
    boxes[0].sealed_password = ring.seal(factories.PASSWORD.encode(), place)
    return [0]


def by_a_wrong_key(boxes, others) -> list[int]:
    return by_another_key(boxes, others, "dev")


TAMPERS = [
    swap_rows, swap_tenants, swap_all_of_a_row, swap_fields, cut, in_the_clear, by_another_key, by_a_wrong_key,
]  # fmt: skip


@pytest.mark.attack("A35")
@pytest.mark.as_worker
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("tamper", TAMPERS)
def test_a_mailbox_whose_password_is_not_its_own_is_locked_and_others_go_on(tamper, tmp_path, settings):
    settings.SMTP_ALLOW_LOOPBACK = True
    tenant = factories.tenant()
    others = factories.fleet(factories.tenant(), 1)
    users = tmp_path / "users.json"
    users.write_text(json.dumps({f"box{i}": factories.PASSWORD for i in range(4)}))
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, 12)

    with SinkProcess(tmp_path / "book.jsonl", users=users, require_auth=True) as sink:
        boxes = factories.fleet(tenant, 4, host=sink.host, port=sink.port, each=lambda i: {"username": f"box{i}"})
        broken = [boxes[i] for i in tamper(boxes, others)]
        for box in broken:
            box.save()
        campaign = factories.campaign(tenant, boxes[0].pool, listed)
        work_off(campaigns.start(campaign, actor=SYSTEM))

    held = dict(Mailbox.objects.filter(tenant=tenant).exclude(hold="none").values_list("pk", "hold"))
    assert held == {box.pk: "locked" for box in broken}
    reasons = set(Mailbox.objects.filter(pk__in=held).values_list("state_reason", flat=True))
    assert all(reason.startswith("seal_broken: ") for reason in reasons)
    assert Message.objects.filter(status="sent").count() == 12
    assert {entry.user for entry in Book.read(sink.path).accepted} <= {
        box.username for box in boxes if box.pk not in held
    }


@pytest.mark.attack("A35")
def test_the_lock_and_its_reason_stand_in_the_console_and_in_the_api(box, rf):
    shut(box, hold="locked", state_reason=SHUT)
    manager = client_of(person("m@example.com", "ops_manager", box.tenant))

    page = manager.get(reverse("admin:mailboxes_mailbox_change", args=[box.pk])).content.decode()
    listed = manager.get(reverse("admin:mailboxes_mailbox_changelist"), {"condition": "held"}).content.decode()
    answer = Api(key_of(box.tenant)).get("mailboxes/", {"hold": "locked"}).json()

    assert "belongs elsewhere. Enter it again." in page
    assert "Set the password" in page
    assert box.address in listed
    assert [(row["id"], row["hold"], row["state_reason"]) for row in answer["results"]] == [(box.pk, "locked", SHUT)]


# --- Entered again -------------------------------------------------------------------------------------------


def test_a_password_is_entered_sealed_and_said_by_nobody(box):
    with structlog.testing.capture_logs() as logs:
        mailboxes.set_password(box, " pässword ", actor=SYSTEM)

    box.refresh_from_db()
    assert password_of(box) == " pässword "
    (entry,) = AuditEntry.objects.filter(action="mailbox.password_set")
    assert entry.facts == {"hold_lifted": False}
    assert "ssword " not in str(logs)


@pytest.mark.parametrize(
    ("is_shut", "hold", "after"),
    [
        (True, "locked", "none"), (False, "locked", "locked"), (False, "sign_in_failed", "none"),
        (True, "sign_in_failed", "none"), (True, "none", "none"),
    ],
)  # fmt: skip
def test_it_lifts_the_holds_that_it_mends_and_no_lock_of_a_person(box, is_shut, hold, after):
    if is_shut:
        shut(box)
    Mailbox.objects.filter(pk=box.pk).update(hold=hold, state_reason="why", failures=2)

    mailboxes.set_password(box, "new one", actor=SYSTEM)

    box.refresh_from_db()
    assert box.hold == after
    lifted = hold != after
    assert (box.state_reason, box.failures) == (("", 0) if lifted else ("why", 2))


@pytest.mark.parametrize("password", ["", "x" * 1001, "a\0b"])
def test_a_password_that_no_server_takes_is_refused(box, password):
    with pytest.raises(BadInput) as refused:
        mailboxes.set_password(box, password, actor=SYSTEM)

    assert refused.value.details == {"field": "password"}
    box.refresh_from_db()
    assert password_of(box) == factories.PASSWORD


def test_a_retired_mailbox_takes_no_password(box):
    mailboxes.retire(box, actor=SYSTEM, reason="sold", **factories.answers())

    with pytest.raises(InvalidMove):
        mailboxes.set_password(box, "x", actor=SYSTEM)


@pytest.mark.parametrize(("role", "allowed"), [("analyst", False), ("operator", False), ("ops_manager", True)])
def test_managers_enter_it_on_the_mailboxs_page(box, role, allowed):
    client = client_of(person("p@example.com", role, box.tenant))
    url = reverse("admin:mailboxes_mailbox_changelist")
    act = {"action": "set_password", "_selected_action": box.pk, "index": "0"}

    asked = client.post(url, act, follow=True).content.decode()
    typed = client.post(url, act | {"confirmed": "1", "password": "typed " * 200}, follow=True).content.decode()
    done = client.post(url, act | {"confirmed": "1", "password": " typed in "}, follow=True).content.decode()

    box.refresh_from_db()
    assert ('type="password"' in asked) is allowed
    assert "typed" not in asked + typed + done
    assert password_of(box) == (" typed in " if allowed else factories.PASSWORD)


def test_one_password_is_for_one_mailbox(box):
    boxes = [box, factories.mailbox(box.tenant)]
    client = client_of(person("p@example.com", "ops_manager", box.tenant))

    said = client.post(
        reverse("admin:mailboxes_mailbox_changelist"),
        {"action": "set_password", "_selected_action": [row.pk for row in boxes], "index": "0", "confirmed": "1",
         "password": "typed"},
        follow=True,
    ).content.decode()  # fmt: skip

    assert "Choose one mailbox" in said
    assert {password_of(Mailbox.objects.get(pk=row.pk)) for row in boxes} == {factories.PASSWORD}


def test_an_import_lifts_the_lock_of_what_it_mends_and_no_other(db, tmp_path, settings):
    settings.SMTP_ALLOW_LOOPBACK = True
    tenant = factories.tenant()
    path = tmp_path / "mailboxes.csv"
    names = ("one@sender.example", "two@sender.example")
    path.write_text("\n".join((files.COLUMNS, *(files.row(name) for name in names))) + "\n")
    files.run(tenant, path)
    Mailbox.objects.update(hold="locked", state_reason="why")
    shut(Mailbox.objects.get(address=names[0]))
    path.write_text(path.read_text().replace(files.CANARY, "new"))

    files.run(tenant, path)

    assert list(Mailbox.objects.filter(tenant=tenant, address__in=names).values_list("hold", "state_reason")) == [
        ("none", ""), ("locked", "why"),
    ]  # fmt: skip


def test_without_the_right_nothing_is_set(box):
    from tenants.services.actors import of_grants

    operator = of_grants("user", "o@example.com", [(box.tenant_id, "operator")], user_id=1)
    with pytest.raises(NotAllowed):
        mailboxes.set_password(box, "x", actor=operator)

    box.refresh_from_db()
    assert password_of(box) == factories.PASSWORD
