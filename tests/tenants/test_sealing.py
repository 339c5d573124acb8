"""The move to a newer key: everything opens afterwards, nobody waits, and what can't be opened is named."""

from __future__ import annotations

import base64
import json
import uuid
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, models, transaction
from django.test.utils import isolate_apps

from mailboxes.models import Mailbox
from outreach import checks
from outreach.common import isolation, sealed_fields
from outreach.common.errors import BadInput, NotAllowed
from outreach.common.sealing import Keyring
from outreach.management import checkup
from tenants.models import AuditEntry
from tenants.services import members, sealing
from tenants.services.actors import SYSTEM, of_grants
from tests import factories
from tests.campaigns.test_two_admins import at_once

pytestmark = [pytest.mark.django_db, pytest.mark.attack("A35")]
OLDEST, OLD, NEW = (f"{name}:" + base64.b64encode(name[0].encode() * 32).decode() for name in ("a1", "b2", "c3"))


def sealed_by(settings, keys: str, mailboxes: int, tenant=None, **changes) -> list[Mailbox]:
    settings.CREDENTIAL_KEYS = keys
    return factories.fleet(tenant or factories.tenant(), mailboxes, **changes)


def rotate(**options) -> sealing.Report:
    *_, report = sealing.rotate(actor=SYSTEM, **options)
    return report


def passwords() -> set[str]:
    """What the mailboxes' passwords are, by the keys of the settings alone."""
    ring = Keyring.parse(sealing.settings.CREDENTIAL_KEYS)
    return {
        ring.open(
            bytes(box.sealed_password), (str(box.tenant_id), "mailboxes.Mailbox", str(box.seal_ref), "smtp_password")
        ).decode()
        for box in Mailbox.objects.exclude(sealed_password=b"")
    }


def test_after_a_rotation_the_newest_key_alone_opens_all_of_all_tenants(settings):
    sealed_by(settings, OLDEST, 3)
    sealed_by(settings, OLD, 4)
    sealed_by(settings, NEW, 2)
    sealed_by(settings, NEW, 1, sealed_password=b"")
    settings.CREDENTIAL_KEYS = f"{NEW},{OLD},{OLDEST}"
    before = set(Mailbox.objects.values_list("address", "seal_ref", "hold", "failures"))

    report = rotate(batch=2)

    assert (report.read, report.resealed, report.current, report.waiting, report.broken) == (9, 7, 9, 0, [])
    assert (report.keys, report.removable) == ({"c3": 9}, ["b2", "a1"])
    settings.CREDENTIAL_KEYS = NEW
    assert passwords() == {factories.PASSWORD}
    assert set(Mailbox.objects.values_list("address", "seal_ref", "hold", "failures")) == before
    entries = AuditEntry.objects.filter(action="secrets.rotated").order_by("pk")
    told = [(entry.before, entry.after, entry.facts["rows"]) for entry in entries]
    assert told == [(["a1"], "c3", 2), (["a1"], "c3", 1), (["b2"], "c3", 2), (["b2"], "c3", 2)]


def test_a_second_rotation_changes_nothing(settings):
    sealed_by(settings, OLD, 3)
    settings.CREDENTIAL_KEYS = f"{NEW},{OLD}"
    rotate()
    before = list(Mailbox.objects.order_by("pk").values_list("sealed_password", flat=True))

    report = rotate()

    assert (report.resealed, report.current) == (0, 3)
    assert list(Mailbox.objects.order_by("pk").values_list("sealed_password", flat=True)) == before


def test_a_dry_run_opens_everything_and_changes_nothing(settings):
    sealed_by(settings, OLD, 3)
    settings.CREDENTIAL_KEYS = f"{NEW},{OLD}"

    report = rotate(dry_run=True)

    assert (report.waiting, report.resealed, report.current, report.removable) == (3, 0, 0, [])
    assert report.keys == {"b2": 3}


def swapped(boxes, others) -> dict[str, Mailbox]:
    """Mailboxes whose sealed bytes came from somewhere else, or are no whole secret."""
    found = {"row": boxes[0], "tenant": boxes[2], "cut": boxes[4], "field": boxes[5], "no secret": boxes[6]}
    boxes[0].sealed_password, boxes[1].sealed_password = boxes[1].sealed_password, boxes[0].sealed_password
    boxes[2].sealed_password = others[0].sealed_password
    boxes[4].sealed_password = boxes[4].sealed_password[:-1]
    place = (str(boxes[5].tenant_id), "mailboxes.Mailbox", str(boxes[5].seal_ref), "imap_password")
    boxes[5].sealed_password = Keyring.parse(OLD).seal(b"x", place)
    boxes[6].sealed_password = b"plain text?"
    Mailbox.objects.bulk_update(boxes, ["sealed_password"])
    return found


def test_what_cant_be_opened_is_named_and_stays_as_it_is(settings):
    boxes, others = sealed_by(settings, OLD, 8), sealed_by(settings, OLD, 1)
    swapped(boxes, others)
    settings.CREDENTIAL_KEYS = f"{NEW},{OLD}"
    bytes_before = dict(Mailbox.objects.values_list("pk", "sealed_password"))

    report = rotate()

    names = [boxes[i].pk for i in (0, 1, 2, 4, 5, 6)]
    assert [row.id for row in report.broken] == names
    assert (report.current, report.resealed) == (3, 3)
    assert report.keys == {"c3": 3, "b2": 5, sealing.UNREADABLE: 1}
    assert report.removable == []
    after = dict(Mailbox.objects.filter(pk__in=names).values_list("pk", "sealed_password"))
    assert after == {pk: bytes_before[pk] for pk in names}


def test_the_command_exits_with_2_and_names_them_by_id(settings):
    boxes = sealed_by(settings, OLD, 2)
    settings.CREDENTIAL_KEYS = NEW
    out = StringIO()

    with pytest.raises(
        CommandError, match=f"mailboxes.Mailbox {boxes[0].pk}: The secret was sealed with key 'b2'"
    ) as end:
        call_command("rotate_keys", "--json", stdout=out)

    assert end.value.returncode == 2
    answer = json.loads(out.getvalue())
    assert [row["id"] for row in answer["broken"]] == [box.pk for box in boxes]
    assert (answer["current"], answer["keys"], answer["removable"]) == (0, {"b2": 2}, [])


def test_the_command_says_in_one_line_how_it_ended(settings):
    sealed_by(settings, OLD, 3)
    settings.CREDENTIAL_KEYS = f"{NEW},{OLD}"
    out = StringIO()

    call_command("rotate_keys", stdout=out)

    assert out.getvalue() == "current=3 resealed=3 waiting=0 broken=0; sealed by: c3 3; may be taken out: b2\n"


def test_only_who_administers_the_platform_rotates(settings):
    tenant = factories.tenant()
    boxes = sealed_by(settings, OLD, 1, tenant)
    settings.CREDENTIAL_KEYS = f"{NEW},{OLD}"
    manager = of_grants("user", "m@example.com", [(tenant.pk, "ops_manager"), (None, "ops_manager")], user_id=1)

    with pytest.raises(NotAllowed):
        next(sealing.rotate(actor=manager))
    with pytest.raises(BadInput):
        next(sealing.rotate(actor=SYSTEM, batch=0))

    boxes[0].refresh_from_db()
    assert sealing.uses() == {"b2": 1}


def test_the_command_acts_as_the_named_person(settings):
    sealed_by(settings, OLD, 2)
    settings.CREDENTIAL_KEYS = f"{NEW},{OLD}"
    chief, manager = factories.user(is_staff=True, is_superuser=True), factories.user(is_staff=True)
    members.grant(manager, "ops_manager", None, actor=SYSTEM)

    with pytest.raises(CommandError, match="may not do tenants.administer") as refused:
        call_command("rotate_keys", actor=manager.email)
    assert refused.value.returncode == 1
    assert sealing.uses() == {"b2": 2}

    call_command("rotate_keys", actor=chief.email, stdout=StringIO())
    assert sealing.uses() == {"c3": 2}
    assert {entry.actor_user_id for entry in AuditEntry.objects.filter(action="secrets.rotated")} == {chief.pk}


@pytest.mark.django_db(transaction=True)
def test_a_row_in_use_is_left_out_and_taken_later(settings, monkeypatch):
    boxes = sealed_by(settings, OLD, 3)
    settings.CREDENTIAL_KEYS = f"{NEW},{OLD}"
    monkeypatch.setattr(sealing, "PAUSE_SECONDS", 0)

    def held() -> None:
        with transaction.atomic():
            Mailbox.objects.select_for_update().get(pk=boxes[1].pk)
            ended.append(at_once(rotate)[0])  # on another connection, while we hold the row

    ended: list[sealing.Report] = []
    held()

    assert (ended[0].resealed, ended[0].waiting, ended[0].removable) == (2, 1, [])
    assert rotate().removable == ["b2"]


def test_a_password_entered_meanwhile_wins(settings, monkeypatch):
    (box,) = sealed_by(settings, OLD, 1)
    settings.CREDENTIAL_KEYS = f"{NEW},{OLD}"
    monkeypatch.setattr(sealing, "PAUSE_SECONDS", 0)
    fresh = factories.seal_password(box.tenant_id, box.seal_ref, "entered meanwhile")
    write = sealing._Walk._write

    def crossed(walk, old, new):
        Mailbox.objects.filter(pk=box.pk).update(sealed_password=fresh)
        return write(walk, old, new)

    monkeypatch.setattr(sealing._Walk, "_write", crossed)
    report = rotate()

    assert (report.resealed, report.current, report.waiting) == (0, 1, 0)
    assert passwords() == {"entered meanwhile"}


# --- Nothing is forgotten ------------------------------------------------------------------------------------


def test_every_sealed_field_is_listed():
    assert checks.sealed_fields_are_listed(None) == []
    assert sealed_fields.is_listed("mailboxes.Mailbox", "sealed_password")


def test_a_sealed_field_that_is_not_listed_fails_the_check(monkeypatch):
    class Meta:
        label = "campaigns.Probe"
        local_fields = [models.BinaryField(name="sealed_token"), models.BinaryField(name="content_hash")]

    for field in Meta.local_fields:
        field.name = field.name
    probe = type("Probe", (), {"_meta": Meta})
    monkeypatch.setattr(checks.apps, "get_models", lambda: [probe])
    monkeypatch.setattr(sealed_fields, "_listed", {})

    (error,) = checks.sealed_fields_are_listed(None)
    assert (error.id, error.msg) == (
        "outreach.E004", "campaigns.Probe.sealed_token is sealed, but rotate_keys does not know it.",
    )  # fmt: skip


def test_a_listed_field_that_is_not_there_or_not_bound_fails_the_check(monkeypatch):
    monkeypatch.setattr(sealed_fields, "_listed", dict(sealed_fields._listed))
    sealed_fields.register("mailboxes.Pool", "sealed_x", "x")

    (error,) = checks.sealed_fields_are_listed(None)
    assert (error.id, error.msg) == (
        "outreach.E004",
        "mailboxes.Pool.sealed_x is listed as sealed, but is no such field.",
    )


# --- The doctor ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "state", "said"),
    [
        (NEW, checkup.BAD, "sealed by keys that are not in CREDENTIAL_KEYS: 2 by 'b2'"),
        (f"{NEW},{OLD}", checkup.WARNING, "2 of 3 secrets wait for the newest key"),
    ],
)
def test_the_doctor_knows_which_keys_are_in_use(settings, keys, state, said):
    sealed_by(settings, OLD, 2)
    sealed_by(settings, NEW, 1)
    settings.CREDENTIAL_KEYS = keys

    (finding,) = checkup.seals()

    assert (finding.state, finding.found) == (state, said)
    assert finding.numbers["keys"] == {"b2": 2, "c3": 1}


def test_the_doctor_says_which_key_nothing_needs(settings):
    sealed_by(settings, NEW, 2)
    settings.CREDENTIAL_KEYS = f"{NEW},{OLD}"

    with isolation.nothing():
        (finding,) = checkup.seals()

    assert (finding.state, finding.found) == (checkup.GOOD, "2 secrets, all by c3; no secret needs b2")


# --- Secrets of no tenant -------------------------------------------------------------------------------------


@pytest.fixture
def probe(monkeypatch):
    """A model of the platform with a sealed field, in a table of its own, and the only one that is listed."""
    with isolate_apps("tenants") as registry:

        class Probe(models.Model):
            sealed_key = models.BinaryField(default=b"")
            seal_ref = models.UUIDField(default=uuid.uuid4)

            class Meta:
                app_label = "tenants"

            def __str__(self) -> str:
                return str(self.pk)

        monkeypatch.setattr(sealing, "apps", registry)
        monkeypatch.setattr(sealed_fields, "_listed", {})
        sealed_fields.register("tenants.Probe", "sealed_key", "key")
        with connection.schema_editor() as editor:
            editor.create_model(Probe)
        yield Probe


@pytest.mark.as_owner
def test_a_secret_of_no_tenant_moves_as_well(probe, settings):
    settings.CREDENTIAL_KEYS = f"{NEW},{OLD}"
    rows = [probe(pk=pk) for pk in (1, 2)]
    for row in rows:
        row.sealed_key = Keyring.parse(OLD).seal(b"s3cret", ("", "tenants.Probe", str(row.seal_ref), "key"))
        row.save()

    report = rotate()

    assert (report.resealed, report.removable, report.keys) == (2, ["b2"], {"c3": 2})
    for row in rows:
        row.refresh_from_db()
        assert Keyring.parse(NEW).open(row.sealed_key, ("", "tenants.Probe", str(row.seal_ref), "key")) == b"s3cret"
    told = AuditEntry.objects.get(action="secrets.rotated")
    assert (told.subject, told.subject_id, told.facts["rows"]) == ("tenants.Probe", 1, 2)
