"""An import taken back: everything is as it was, or nothing is touched."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from campaigns.models import Enrolment
from mailboxes.models import Import, ImportedRow, Mailbox, Pool, ProviderAccount, SendingDomain
from mailboxes.services import imports, undo
from outreach.common.errors import InvalidMove, NotAllowed
from tenants import permissions
from tenants.models import ApprovalPolicy, AuditEntry
from tenants.services.actors import SYSTEM, Actor
from tests import factories
from tests.mailboxes.importing.files import CANARY, opened, row, run

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]
MODELS = (Mailbox, Pool, SendingDomain, ProviderAccount)


def state() -> dict[str, list[dict]]:
    """All rows, with passwords as they open."""
    found = {model.__name__: list(model.objects.order_by("pk").values()) for model in MODELS}
    for values, box in zip(found["Mailbox"], Mailbox.objects.order_by("pk"), strict=True):
        values["sealed_password"] = opened(box) if box.sealed_password else ""
    return found


def undone(report, **options) -> Import:
    return imports.roll_back(Import.objects.get(pk=report.import_id), actor=SYSTEM, **options)


def test_the_state_after_is_the_state_before_row_by_row(tenant, write):
    run(tenant, write(row(), row("bob@sender.example"), row("cy@sender.example", smtp_password="c")))
    Mailbox.objects.filter(address_key__startswith="bob").update(
        hold="sign_in_failed", failures=3, state_reason="535", state="quarantined"
    )
    before = state()
    report = run(
        tenant,
        write(
            row(pool="south", daily_cap="20", display_name="A", smtp_port="587", smtp_password="new"),
            row("bob@sender.example", smtp_password="other", min_gap_seconds="5"),
            row("cy@sender.example", smtp_password=""),
            row("dan@new.example", pool="west", smtp_port="2526"),
        ),
    )
    assert (report.created, report.updated, report.unchanged) == (1, 2, 1)
    assert state() != before

    undone(report)

    assert state() == before
    assert not ImportedRow.objects.exclude(sealed_before=b"").exists()
    entry = AuditEntry.objects.get(action="import.rolled_back")
    assert (entry.subject_id, entry.facts) == (report.import_id, {"restored": 2, "deleted": 1, "retired": 0})


def test_who_when_what_and_how_many_stand_in_the_import(tenant, write):
    report = run(tenant, write(row(), row("bad")), source="crm")

    done = Import.objects.get(pk=report.import_id)
    assert (done.file_name, done.source, done.state, done.by_kind) == ("mailboxes.csv", "crm", "done", "system")
    assert (done.created, done.updated, done.unchanged, done.refused) == (1, 0, 0, 1)
    assert len(done.file_hash) == 64
    assert "import" in report.as_dict()


def test_a_new_mailbox_with_mail_is_retired_and_keeps_its_rows(tenant, write):
    report = run(tenant, write(row(), row("bob@sender.example")))
    box = Mailbox.objects.get(address_key="ann@sender.example")
    campaign = factories.campaign(tenant, box.pool, factories.contact_list(tenant))
    (person,) = factories.people(tenant, campaign.contact_list, 1)
    Enrolment.objects.create(
        tenant=tenant, campaign=campaign, contact=person, zone="UTC", waits_for="message", mailbox=box
    )

    undone(report)

    box.refresh_from_db()
    assert (box.state, box.state_reason) == ("retired", f"Import {report.import_id} was rolled back")
    assert [found.pk for found in Mailbox.objects.all()] == [box.pk]
    assert AuditEntry.objects.get(action="import.rolled_back").facts == {"restored": 0, "deleted": 1, "retired": 1}


def test_rows_changed_since_are_listed_and_nothing_is_undone(tenant, write):
    run(tenant, write(row(), row("bob@sender.example")))
    report = run(tenant, write(row(daily_cap="20"), row("bob@sender.example", daily_cap="20")))
    run(tenant, write(row("bob@sender.example", daily_cap="30")))
    later = Import.objects.latest("pk")
    Mailbox.objects.filter(address_key__startswith="ann").update(display_name="Somebody")
    before = state()

    with pytest.raises(InvalidMove) as caught:
        undone(report)

    assert caught.value.details["rows"] == [
        "line 2, ann@sender.example: display_name",
        f"line 3, bob@sender.example: daily_cap by import {later.pk} (mailboxes.csv)",
    ]
    assert state() == before
    assert Import.objects.get(pk=report.import_id).state == "done"


def test_after_the_later_import_is_rolled_back_the_earlier_one_can_be(tenant, write):
    run(tenant, write(row()))
    before = state()
    first = run(tenant, write(row(daily_cap="20")))
    second = run(tenant, write(row(daily_cap="30")))

    undone(second)
    undone(first)

    assert state() == before


def test_what_sending_counted_meanwhile_stays(tenant, write):
    run(tenant, write(row()))
    report = run(tenant, write(row(daily_cap="20")))
    Mailbox.objects.update(failures=2, health=0.5, state="quarantined")

    undone(report)

    box = Mailbox.objects.get()
    assert (box.daily_cap, box.failures, box.health, box.state) == (50, 2, 0.5, "quarantined")


def test_an_import_is_rolled_back_once(tenant, write):
    report = run(tenant, write(row()))
    undone(report)

    with pytest.raises(InvalidMove, match="cannot become rolled_back"):
        undone(report)


def test_going_back_does_not_raise_a_cap_beyond_what_one_person_may(tenant, write):
    run(tenant, write(row(daily_cap="90")))
    report = run(tenant, write(row(daily_cap="20")))
    ApprovalPolicy.objects.filter(tenant=tenant).update(cap_above=50)

    with pytest.raises(InvalidMove, match="needs a second person"):
        undone(report)

    assert Mailbox.objects.get().daily_cap == 20


def test_who_may_not_import_rolls_nothing_back(tenant, write):
    report = run(tenant, write(row()))
    analyst = Actor("user", "analyst", everywhere=permissions.ROLES["analyst"])

    with pytest.raises(NotAllowed):
        imports.roll_back(Import.objects.get(), actor=analyst)

    assert Import.objects.get(pk=report.import_id).state == "done"
    assert Mailbox.objects.count() == 1


def test_a_dry_run_keeps_no_import(tenant, write):
    assert run(tenant, write(row()), dry_run=True).import_id is None
    assert not Import.objects.exists()


def test_after_thirty_days_the_replaced_passwords_are_gone(tenant, write):
    run(tenant, write(row()))
    report = run(tenant, write(row(smtp_password="new")))
    assert ImportedRow.objects.exclude(sealed_before=b"").count() == 1
    Import.objects.update(undo_until=undo.timezone.now())

    assert undo.forget(tenant.pk) == 2

    assert not ImportedRow.objects.exists()
    with pytest.raises(InvalidMove, match="deleted after 30 days"):
        undone(report)


@pytest.mark.attack("A34")
def test_the_rows_for_undoing_hold_no_password_in_the_clear(tenant, write):
    run(tenant, write(row()))
    run(tenant, write(row(smtp_password="new")))

    kept = str(list(ImportedRow.objects.values()))
    assert CANARY not in kept
    assert CANARY.encode().hex() not in kept


def test_the_command_rolls_back_by_number(tenant, write):
    output = io.StringIO()
    call_command("import_mailboxes", str(write(row())), tenant=tenant.slug, stdout=output)
    number = Import.objects.get().pk
    assert f"import {number}" in output.getvalue()

    call_command("import_mailboxes", "--rollback", str(number), tenant=tenant.slug, stdout=output)

    assert not Mailbox.objects.exists()
    with pytest.raises(CommandError, match="cannot become rolled_back"):
        call_command("import_mailboxes", "--rollback", str(number), tenant=tenant.slug)
    with pytest.raises(CommandError, match="There is no import"):
        call_command("import_mailboxes", "--rollback", str(number), tenant=factories.tenant().slug)
