"""Erasure: nothing that names a person is left, what waits ends, the ledger keeps its numbers, the hash blocks."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse
from django.utils.timezone import now

from campaigns.models import Attempt, Contact, Enrolment, ImportedContact, ListEntry, Message, Suppression
from campaigns.pipeline import planner
from campaigns.services import campaigns, erasing, outcomes, replies, suppression
from outreach import cron
from outreach.common import isolation
from outreach.common.errors import InvalidMove, NotAllowed
from tenants.models import AuditEntry
from tenants.services.actors import RECIPIENT, SYSTEM
from tests import factories
from tests.campaigns.contact_files import COLUMNS, row, run, write_rows
from tests.console.conftest import client_of, person
from tests.console.test_actions import act
from tests.tenants.approvals.cases import somebody

pytestmark = [pytest.mark.django_db, pytest.mark.attack("A38")]
PERSONAL = ("lovelace", "ada.l", "adal@", "analytical", "met at the fair", "her words", "difference engine")
TABLES = """
SELECT format('%I', relname) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
WHERE nspname = 'public' AND relkind IN ('r', 'p') AND NOT relispartition
  AND has_table_privilege(pg_class.oid, 'SELECT')
ORDER BY 1"""


def left() -> list[tuple[str, str]]:
    """Tables in which something of the person stands, and what, in the scope of everybody."""
    found = []
    with connection.cursor() as cursor, isolation.everything():
        cursor.execute(TABLES)
        for (table,) in cursor.fetchall():
            for word in PERSONAL:
                sql = f"SELECT EXISTS (SELECT FROM {table} t WHERE lower(t::text) LIKE %s)"  # noqa: S608
                cursor.execute(sql, [f"%{word}%"])
                if cursor.fetchone()[0]:
                    found.append((table, word))
    return found


class Ada:
    """Somebody who was imported twice, mailed, written to again, bounced, in conversation, and in a list of names."""

    def __init__(self, tmp_path):
        self.tenant = factories.tenant()
        box = factories.mailbox(self.tenant)
        self.path = tmp_path / "people.csv"
        columns, named = f"{COLUMNS},tags,engine", {"last_name": "Lovelace", "basis_evidence": "met at the fair"}
        bob = row("bob@acme.example", "", "x", last_name="Bob")
        write_rows(self.path, row("Ada.L@gmail.com", "analytical", "first", **named), bob, columns=columns)
        run(self.tenant, self.path, list_name="Fair")
        write_rows(self.path, row("adal@gmail.com", "analytical", "difference engine", **named), columns=columns)
        run(self.tenant, self.path, list_name="Fair")
        Contact.objects.update(validity="valid")
        self.contact = Contact.objects.get(email="Ada.L@gmail.com")
        listed = self.contact.entries.get().contact_list
        self.first, self.second = (factories.campaign(self.tenant, box.pool, listed) for _ in "12")
        for campaign in (self.first, self.second):
            campaigns.start(campaign, actor=SYSTEM)
        planner.run(self.tenant, cron.now())
        self.sent = Message.objects.get(campaign=self.first, contact=self.contact)
        Message.objects.filter(pk=self.sent.pk).update(
            status="sent", sent_at=now(), reply_text="250 ok ada.l@gmail.com", tries=2
        )
        Attempt.objects.create(
            tenant=self.tenant, message_ref=self.sent.pk, mailbox_ref=box.pk, at=now(), phase="rcpt", code=450,
            text="450 <ada.l@gmail.com> later", result="deferred",
        )  # fmt: skip


@pytest.fixture
def ada(db, tmp_path) -> Ada:
    return Ada(tmp_path)


def waiting(contact: Contact) -> int:
    return Message.objects.filter(contact=contact, status__in=["planned", "claimed", "deferred"]).count()


def test_nothing_of_the_person_is_left_and_the_ledger_keeps_its_numbers(ada):
    replies.human(ada.contact, actor=SYSTEM, via="marked")
    Enrolment.objects.filter(contact=ada.contact).update(status="active", due_at=now(), stop_reason="", waits_for="")
    suppression.suppress(
        ada.tenant, ["a.dal@gmail.com"], actor=SYSTEM, reason="manual", via="test", source="Lovelace", proof="her words"
    )
    assert {word for _, word in left()} == set(PERSONAL)
    numbers = Message.objects.filter(campaign=ada.first, status="sent").count()

    erasing.erase(ada.contact, actor=SYSTEM, reason="asked by ada.l@gmail.com")

    assert left() == []
    assert Message.objects.filter(campaign=ada.first, status="sent").count() == numbers == 1
    assert not ListEntry.objects.filter(contact=ada.contact).exists()
    assert not ImportedContact.objects.exists()
    assert waiting(ada.contact) == 0
    assert set(Enrolment.objects.filter(contact=ada.contact).values_list("status", "due_at")) == {("stopped", None)}
    gone = Contact.objects.get(pk=ada.contact.pk)
    assert (gone.email, gone.fields, gone.tags, gone.conversation_since) == (
        f"erased-{gone.pk}@erased.invalid", {}, [], None,
    )  # fmt: skip
    assert Contact.objects.get(email="bob@acme.example").last_name == "Bob"
    (entry,) = AuditEntry.objects.filter(action="contact.erased")
    assert (entry.subject_id, entry.facts["contacts"], entry.facts["lists"]) == (gone.pk, 1, 1)
    assert "ada" not in entry.reason


def test_what_waits_is_cancelled_and_nothing_is_planned_again(ada):
    assert waiting(ada.contact) == 1

    done = erasing.erase(ada.contact, actor=SYSTEM, reason="asked to")

    assert (done.contacts, done.lists, done.cancelled) == (1, 1, 1)
    planner.run(ada.tenant, cron.now())
    assert waiting(ada.contact) == 0
    assert waiting(Contact.objects.get(email="bob@acme.example")) == 2


@pytest.mark.parametrize("spelling", ["ada.l@gmail.com", "AdaL+news@googlemail.com"])
def test_who_comes_again_is_another_contact_and_blocked(ada, spelling):
    erasing.erase(ada.contact, actor=SYSTEM, reason="asked to")

    report = run(ada.tenant, write_rows(ada.path, row(spelling), columns=COLUMNS), list_name="Again")

    assert (report.created, report.suppressed) == (1, 1)
    own, _ = suppression.standing(Contact.objects.latest("pk"))
    assert [(entry.reason, entry.via, entry.hint) for entry in own] == [("opt_out", "erased", "")]


def test_an_old_mails_button_works_on_and_brings_nothing_back(ada):
    erasing.erase(ada.contact, actor=SYSTEM, reason="asked to")

    assert outcomes.unsubscribed(ada.tenant.pk, ada.sent.pk, actor=RECIPIENT, via="one-click")

    assert left() == []


def test_twice_or_by_others_it_is_refused_and_nothing_changes(ada):
    operator = somebody(ada.tenant, "operator")
    with pytest.raises(NotAllowed):
        erasing.erase(ada.contact, actor=operator, reason="x")
    with pytest.raises(NotAllowed):
        erasing.erase_address(ada.tenant, "ada.l@gmail.com", actor=operator, reason="x")
    assert Contact.objects.get(pk=ada.contact.pk).last_name == "Lovelace"
    assert not Suppression.objects.exists()

    erasing.erase(ada.contact, actor=SYSTEM, reason="x")
    with pytest.raises(InvalidMove):
        erasing.erase(ada.contact, actor=SYSTEM, reason="x")


def test_the_command_counts_first_and_blocks_also_whom_nobody_knows(ada):
    def command(*arguments: str) -> dict[str, int]:
        out = io.StringIO()
        call_command("erase_contact", *arguments, "--tenant", ada.tenant.slug, "--reason", "4711", "--json", stdout=out)
        return json.loads(out.getvalue())

    counted = {"contacts": 1, "lists": 1, "cancelled": 1, "entries": 0}
    assert command("AdaL+x@gmail.com", "--dry-run") == counted
    assert Contact.objects.get(pk=ada.contact.pk).last_name == "Lovelace"
    assert command("AdaL+x@gmail.com") == counted
    assert command("nobody@else.example") == {"contacts": 0, "lists": 0, "cancelled": 0, "entries": 0}
    assert Suppression.objects.filter(hint="", reason="opt_out").count() == 2
    with pytest.raises(CommandError):
        command("no address")


def test_the_console_asks_for_a_reason_first(ada):
    client = client_of(person("chief@agency.example", "ops_manager", ada.tenant))

    act(client, ada.contact, "erase")
    assert Contact.objects.get(pk=ada.contact.pk).last_name == "Lovelace"
    act(client, ada.contact, "erase", confirmed="1", reason="request 4711")

    assert Contact.objects.get(pk=ada.contact.pk).last_name == ""
    page = client.get(reverse("admin:campaigns_contact_change", args=[ada.contact.pk]))
    assert page.status_code == 200
