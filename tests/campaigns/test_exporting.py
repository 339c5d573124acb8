"""Rows as CSV files: what is in them, whose they are, and that no spreadsheet runs one."""

from __future__ import annotations

import csv
import io
import re

import pytest

from campaigns.models import Campaign, Contact, ContactList, Message, Suppression
from campaigns.services import exporting, suppression
from outreach.common import csv_files, formulas, isolation
from outreach.common.errors import BadInput, NotAllowed
from tenants import permissions
from tenants.models import AuditEntry
from tenants.services.actors import SYSTEM, Actor
from tests import factories
from tests.campaigns.contact_files import counts, run
from tests.console.conftest import World, client_of, person
from tests.console.wall import dump, named

pytestmark = pytest.mark.django_db
HOSTILE = (
    '=HYPERLINK("http://evil.example","x")', "+1+1", "-2+3", "@SUM(A1)", "=cmd|' /C calc'!A0", "\uff1d1+1", "\uff0b1",
    "\uff20x", '"=1+1', ' =1+1', "'=1+1", "''=1", "' \"=x", "'harmless", "+380 44 123", "-5", "plain; text, \"quoted\"",
)  # fmt: skip

TEXTS = ("first_name", "last_name", "company", "source", "basis_evidence")


def table(file) -> list[list[str]]:
    """The rows as a spreadsheet would read them."""
    with file:
        return list(csv.reader(io.StringIO(file.read().decode("utf-8-sig"), newline="")))


def actor(tenant, role="ops_manager") -> Actor:
    return Actor("user", "somebody", within={tenant.pk: permissions.ROLES[role]}, user_id=1)


@pytest.fixture
def tenant():
    return factories.tenant()


def test_contacts_come_with_their_free_fields(tenant):
    factories.people(tenant, None, 2, each=lambda i: {"fields": {"seats": str(i)} if i else {"city": "Lviv"}})

    header, *rows = table(exporting.export_contacts(Contact.objects.all(), actor=actor(tenant)))

    assert header[0] == "email"
    assert header[-2:] == ["city", "seats"]
    assert [row[-2:] for row in rows] == [["Lviv", ""], ["", "1"]]
    assert dict(zip(header, rows[0], strict=True))["basis_date"] == "2026-01-02"


@pytest.mark.attack("A24")
def test_no_cell_runs_and_an_import_restores_each(tenant, tmp_path):
    people = factories.people(tenant, None, len(HOSTILE), each=lambda i: dict.fromkeys(TEXTS, HOSTILE[i]))
    for contact, text in zip(people, HOSTILE, strict=True):
        Contact.objects.filter(pk=contact.pk).update(fields={"note": text})
    file = exporting.export_contacts(Contact.objects.all(), actor=actor(tenant))
    path = tmp_path / "people.csv"
    path.write_bytes(file.read())
    file.seek(0)

    cells = [cell for row in table(file) for cell in row]
    report = run(other := factories.tenant(), path)

    assert [cell for cell in cells if re.match(r"[\s\"]*[=+\-@\uff1d\uff0b\uff0d\uff20\t\r]", cell)] == []
    assert [cell for cell in cells if formulas.found(cell)] == []
    assert (report.refusals, counts(report)) == ([], (len(people), 0, 0, 0))
    for text, contact in zip(HOSTILE, Contact.objects.filter(tenant=other).order_by("pk"), strict=True):
        stripped = text.strip()  # an import takes blanks at the ends away, from whatever file
        assert [getattr(contact, name) for name in TEXTS] == [stripped] * len(TEXTS)
        assert contact.fields == {"note": stripped}


def test_a_list_gives_its_own_people_once(tenant):
    first, second = factories.contact_list(tenant), factories.contact_list(tenant)
    people = factories.people(tenant, first, 3)
    second.entries.create(tenant=tenant, contact=people[0])
    factories.people(tenant, None, 2)

    _header, *rows = table(exporting.export_lists(ContactList.objects.all(), actor=actor(tenant)))

    assert [row[0] for row in rows] == [person.email for person in people]


def test_suppressions_stay_masked(tenant):
    entries = ["gone@example.net", "bad.example", "*.worse.example"]
    suppression.suppress(tenant, entries, actor=SYSTEM, reason="manual", via="=test")
    suppression.suppress(None, ["platform@example.net"], actor=SYSTEM, reason="manual", via="test")

    header, *rows = table(exporting.export_suppressions(Suppression.objects.all(), actor=actor(tenant)))

    shown = [dict(zip(header, row, strict=True)) for row in rows]
    assert [(row["entry"], row["kind"], row["scope"], row["reason"], row["via"]) for row in shown] == [
        ("g***@example.net", "address", "tenant", "manual", "'=test"),
        ("bad.example", "domain", "tenant", "manual", "'=test"),
        ("*.worse.example", "wildcard", "tenant", "manual", "'=test"),
    ]
    assert shown[0]["hash"] == suppression.hasher().address("gone@example.net").hex()


def test_messages_show_no_secret():
    world = World(people=9, mailboxes=2)

    header, *rows = table(exporting.export_messages(Campaign.objects.all(), actor=actor(world.tenant)))

    assert header == list(exporting.MESSAGE_COLUMNS)
    assert [row[1] for row in rows] == [person.email for person in world.people]
    claims = {str(message.claim) for message in Message.objects.exclude(claim=None)}
    assert not claims & {cell for row in rows for cell in row}


def test_more_rows_than_the_limit_are_refused(tenant, monkeypatch):
    monkeypatch.setattr(csv_files, "LIMIT", 2)
    factories.people(tenant, None, 3)

    with pytest.raises(BadInput, match="more than 2 rows"):
        exporting.export_contacts(Contact.objects.all(), actor=actor(tenant))


def test_chunks_leave_nobody_out(tenant, monkeypatch):
    monkeypatch.setattr(csv_files, "CHUNK", 2)
    people = factories.people(tenant, None, 5)

    _header, *rows = table(exporting.export_contacts(Contact.objects.all(), actor=actor(tenant)))

    assert [row[0] for row in rows] == [person.email for person in people]


@pytest.mark.attack("A24", "A29")
@pytest.mark.parametrize("role", ["analyst", "operator", "client_viewer"])
def test_who_may_not_export_gets_nothing(tenant, role):
    factories.people(tenant, None, 1)

    with pytest.raises(NotAllowed):
        exporting.export_contacts(Contact.objects.all(), actor=actor(tenant, role))


@pytest.mark.attack("A24", "A29")
def test_rows_of_a_tenant_where_one_may_only_look_stay_out(tenant):
    other = factories.tenant()
    (own,), _foreign = factories.people(tenant, None, 1), factories.people(other, None, 1)
    rights = {tenant.pk: permissions.ROLES["ops_manager"], other.pk: permissions.ROLES["analyst"]}
    both = Actor("user", "somebody", within=rights, user_id=1)

    _header, *rows = table(exporting.export_contacts(Contact.objects.all(), actor=both))

    assert [row[0] for row in rows] == [own.email]
    with pytest.raises(NotAllowed):
        exporting.export_contacts(Contact.objects.filter(tenant=other), actor=both)


def test_the_audit_names_tenant_and_count_and_nobody(tenant):
    factories.people(tenant, None, 2)

    exporting.export_contacts(Contact.objects.all(), actor=actor(tenant)).close()

    entry = AuditEntry.objects.get(action="contacts.exported")
    assert (entry.subject, entry.subject_id, entry.facts) == ("tenants.Tenant", tenant.pk, {"rows": 2})


# --- In the console -------------------------------------------------------------------------------------------


@pytest.mark.attack("A24", "A26")
@pytest.mark.parametrize("model", [Contact, ContactList, Campaign, Suppression], ids=lambda m: m._meta.label)
@pytest.mark.parametrize("across", ["0", "1"])
def test_the_action_gives_ones_own_rows_only(model, across):
    foreign, own = World(people=9, mailboxes=2), World(people=9, mailboxes=2)
    client = client_of(person("manager@example.net", "ops_manager", own.tenant))
    before = dump()
    ids = list(model.objects.values_list("pk", flat=True))

    answer = client.post(
        named(model, "changelist"),
        {"action": "export", "_selected_action": ids, "index": "0", "select_across": across},
    )
    with isolation.entered(None):  # the file is complete: nothing is read once the request is over
        text = answer.getvalue().decode("utf-8-sig")

    assert (answer.status_code, answer["Content-Type"]) == (200, "text/csv")
    assert "no-store" in answer["Cache-Control"]
    assert re.fullmatch(r'attachment; filename="[a-z]+-[0-9-]+\.csv"', answer["Content-Disposition"])
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert len(rows) == 1 + {Contact: 9, ContactList: 9, Campaign: 9, Suppression: 2}[model]
    assert foreign.people[0].email.partition("@")[2] not in text
    assert dump() == before


def test_a_file_that_would_be_too_long_is_refused_with_a_message(monkeypatch):
    monkeypatch.setattr(csv_files, "LIMIT", 2)
    world = World(people=9, mailboxes=2)
    client = client_of(person("manager@example.net", "ops_manager", world.tenant))

    answer = client.post(
        named(Contact, "changelist"),
        {"action": "export", "_selected_action": [row.pk for row in world.people], "index": "0"},
        follow=True,
    )

    assert "more than 2 rows" in " ".join(map(str, answer.context["messages"]))


def test_of_two_chains_the_platforms_comes_first(db):
    """The order of an invitation that is taken, which writes to both: the other way round they would deadlock."""
    tenant = factories.tenant()
    for owner in (tenant, None):
        suppression.suppress(owner, ["gone.example"], actor=SYSTEM, reason="manual", via="test")

    exporting.export_suppressions(Suppression.objects.all(), actor=SYSTEM).close()

    entries = AuditEntry.objects.filter(action="suppressions.exported").order_by("pk")
    assert list(entries.values_list("tenant", flat=True)) == [None, tenant.pk]
