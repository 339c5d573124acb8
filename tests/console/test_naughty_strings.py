"""Odd texts are stored as they are or refused with a reason, and every page that shows them still renders."""

from __future__ import annotations

import json
from contextlib import suppress
from urllib.parse import quote_plus

import pytest
from django.contrib import admin
from django.core.management import CommandError, call_command

from campaigns.models import Campaign, Contact, ContactList, Suppression
from campaigns.services import campaigns, importing, importing_suppressions
from mailboxes.models import Mailbox, Pool
from mailboxes.services import importing as mailboxes
from outreach.checks import is_of_tenants
from outreach.common import isolation
from outreach.common.errors import OutreachError
from tenants.models import Tenant, User
from tenants.services.actors import SYSTEM
from tests import factories
from tests.campaigns.contact_files import CELLS
from tests.console.naughty import STRINGS
from tests.console.wall import named

pytestmark = [pytest.mark.django_db, pytest.mark.attack("A44")]
LISTS = [model for model in admin.site._registry if is_of_tenants(model) or model is User]
SENT = [text for text in STRINGS if text.isprintable() or not any("\ud800" <= c <= "\udfff" for c in text)]


def csv_line(cells) -> str:
    return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)


# --- Search boxes and forms of the console --------------------------------------------------------------------


@pytest.mark.parametrize("model", LISTS, ids=lambda model: model._meta.label)
def test_a_search_for_anything_renders(world, as_chief, model):
    as_chief.raise_request_exception = False
    # Five at a time keep it short; alone are those that a search takes apart.
    some = SENT[LISTS.index(model) % 4 :: 4] + ["\x00", "%", "\u00b2", "#\u0661", "9" * 40, "x@\x00", "*.", "@"]

    failed = [text for text in some if as_chief.get(named(model, "changelist"), {"q": text}).status_code != 200]

    assert failed == []


def test_a_tenant_of_any_name_is_made_or_refused(as_chief):
    for number, text in enumerate(SENT):
        form = {"slug": f"odd-{number}", "name": text, "time_zone": "UTC", "postal_address": text}
        answer = as_chief.post(named(Tenant, "add"), form)
        with isolation.everything():
            made = Tenant.objects.filter(slug=f"odd-{number}").first()
        assert (answer.status_code == 302) == (made is not None), text
        if made is None:
            assert answer.context["form"].errors, text
        else:
            assert made.name == text.strip()
            assert made.postal_address == text.replace("\r\n", "\n").strip() or made.postal_address == text.strip()


@pytest.mark.parametrize("field", ["slug", "time_zone"])
def test_words_that_have_a_shape_refuse_what_has_another(as_chief, field):
    for text in SENT:
        form = {"slug": "odd", "name": "Odd", "time_zone": "UTC", "postal_address": "1 Road", field: text}
        answer = as_chief.post(named(Tenant, "add"), form)
        if answer.status_code == 302:  # "null", "0" and the like are good slugs
            with isolation.everything():
                assert Tenant.objects.filter(slug=text.strip()).exists(), text
        else:
            assert answer.context["form"].errors, text


def test_users_and_suppressions_of_any_text_are_made_or_refused(world, as_chief):
    for text in SENT:
        for model, form in (
            (User, {"email": text}),
            (User, {"email": f"{text}@example.com"}),
            (Suppression, {"scope": world.tenant.pk, "entries": text, "reason": "manual"}),
            (Suppression, {"scope": text, "entries": "a@example.org", "reason": text}),
        ):
            answer = as_chief.post(named(model, "add"), form)
            assert answer.status_code in (200, 302), (model, text)
    assert as_chief.get(named(User, "changelist")).status_code == 200
    assert as_chief.get(named(Suppression, "changelist")).status_code == 200


def test_reasons_are_kept_as_they_are_and_their_pages_render(world, as_chief):
    box = world.mailboxes[0]
    for text in SENT:
        Mailbox.objects.filter(pk=box.pk).update(state="active", state_reason="")
        values = {"action": "quarantine", "_selected_action": box.pk, "index": "0", "confirmed": "1", "reason": text}
        answer = as_chief.post(named(Mailbox, "changelist"), values)
        box.refresh_from_db()
        if box.state == "quarantined":
            assert box.state_reason == text.strip()
        else:
            assert answer.context["form"].errors, text
    assert as_chief.get(named(Mailbox, "change", box.pk)).status_code == 200


def test_rows_of_odd_texts_render_and_run_nothing(world, as_chief):
    kept = [text for text in SENT if "\x00" not in text]
    for number, text in enumerate(kept):
        factories.pool(world.tenant, name=f"{number}{text}"[:100])
        factories.contact_list(world.tenant, name=f"{number}{text}"[:200])
    factories.people(
        world.tenant, None, len(kept),
        each=lambda i: {"first_name": kept[i][:200], "company": kept[i][:200], "fields": {"note": kept[i]}},
    )  # fmt: skip
    campaign = factories.campaign(world.tenant, subject="".join(kept)[:500], text_body="\n".join(kept))
    Campaign.objects.filter(pk=campaign.pk).update(name="".join(kept)[:200], status_reason="".join(kept)[:500])
    urls = [named(model, "changelist") for model in (Pool, ContactList, Contact, Campaign)]
    urls += [f"{named(Contact, 'changelist')}?p=1"]
    urls += [named(Campaign, "change", campaign.pk), named(type(world.step), "change", campaign.steps.get().pk)]
    urls += ["/console/", *(named(Contact, "change", row.pk) for row in Contact.objects.order_by("-pk")[:5])]

    for url in urls:
        page = as_chief.get(url)
        assert page.status_code == 200
        assert "<script>alert(1)" not in page.content.decode()
        assert "<img src=x" not in page.content.decode()


# --- Files --------------------------------------------------------------------------------------------------


def test_a_contact_file_takes_each_text_as_it_is_or_names_the_row(tmp_path):
    tenant = factories.tenant()
    path = tmp_path / "people.csv"
    rows = [
        csv_line([*(CELLS | {"email": f"p{i}@acme.example", "first_name": text, "company": text}).values(), text])
        for i, text in enumerate(SENT)
    ]  # fmt: skip
    path.write_text("\n".join([",".join([*CELLS, "note"]), *rows]) + "\n", newline="")

    *_, report = importing.import_contacts(tenant, path, list_name="All", actor=SYSTEM)

    refused = {refusal.line for refusal in report.refusals}
    assert report.created + report.refused == report.read == len(SENT)
    assert refused
    for number, text in enumerate(SENT):
        contact = Contact.objects.filter(email=f"p{number}@acme.example").first()
        if contact is not None:
            assert (contact.first_name, contact.company) == (text.strip(), text.strip())
            assert contact.fields == ({"note": text.strip()} if text.strip() else {})


@pytest.mark.parametrize("place", ["email", "source", "country", "time_zone", "basis_date", "person_kind"])
def test_a_contact_file_never_fails_on_a_column_of_odd_texts(tmp_path, place):
    tenant = factories.tenant()
    path = tmp_path / "people.csv"
    rows = [csv_line((CELLS | {"email": f"p{i}@acme.example"} | {place: text}).values()) for i, text in enumerate(SENT)]
    path.write_text("\n".join([",".join(CELLS), *rows]) + "\n", newline="")

    *_, report = importing.import_contacts(tenant, path, list_name="All", actor=SYSTEM)

    assert report.created + report.refused == report.read == len(SENT)


def test_files_of_mailboxes_and_suppressions_never_fail(tmp_path, settings):
    settings.SMTP_ALLOW_LOOPBACK = True
    tenant = factories.tenant()
    boxes, entries = tmp_path / "boxes.csv", tmp_path / "entries.csv"
    columns = "address,display_name,pool,smtp_host,smtp_port,smtp_security,smtp_username,smtp_password"
    good = ["", "Ann", "north", "127.0.0.1", "2525", "none", "ann", "made-up"]
    rows = []
    for number, text in enumerate(SENT):
        for place in range(1, len(good)):
            rows.append([f"b{number}-{place}@sender.example", *good[1:place], text, *good[place + 1 :]])
    boxes.write_text("\n".join([columns, *map(csv_line, rows)]) + "\n", newline="")
    entries.write_text("\n".join(["address,kind,reason", *(csv_line([t, t, t]) for t in SENT)]) + "\n", newline="")

    *_, report = mailboxes.import_mailboxes(tenant, boxes, actor=SYSTEM)
    *_, listed = importing_suppressions.import_suppressions(tenant, entries, actor=SYSTEM)

    assert report.created + report.refused == report.read == len(rows)
    assert listed.created + listed.refused + listed.unchanged + listed.repeated == listed.read


def test_names_of_lists_are_kept_or_refused(tmp_path):
    tenant = factories.tenant()
    path = tmp_path / "people.csv"
    path.write_text(",".join(CELLS) + "\n" + csv_line(CELLS.values()) + "\n")
    for text in STRINGS:
        try:
            *_, report = importing.import_contacts(tenant, path, list_name=text, actor=SYSTEM)
        except OutreachError:
            continue
        assert report.read == 1
        assert ContactList.objects.filter(tenant=tenant, name=text.strip()).exists()


# --- Descriptions of campaigns --------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["name", "pool", "list", "subject", "text", "html", "pace", "zone", "from", "key"])
def test_a_description_of_odd_texts_is_kept_or_refused(place):
    tenant = factories.tenant()
    for number, text in enumerate(STRINGS):
        spec = {"name": f"Odd {number}", "subject": "Hello", "text": "Good day."}
        spec |= {"window": {place: text}} if place in ("zone", "from") else {text if place == "key" else place: text}
        try:
            made = campaigns.create(tenant, spec, actor=SYSTEM)
        except OutreachError:
            continue
        made.refresh_from_db()
        step = made.steps.get()
        found = {"name": made.name, "subject": step.subject, "text": step.text_body, "html": step.html_body}
        if place in found:
            assert found[place] == (text if place in ("text", "html") else text.strip())


def test_a_file_of_odd_texts_and_odd_names_on_the_command_line(tmp_path, capsys):
    tenant = factories.tenant()
    path = tmp_path / "campaign.yaml"
    draft = factories.campaign(tenant, name="Draft")
    for number, text in enumerate(STRINGS):
        path.write_text(json.dumps({"name": f"{number}{text}"[:200], "subject": text[:200], "text": text}))
        for arguments in (("create", str(path)), ("status", text), ("cancel", "Draft", "--reason", text)):
            with suppress(CommandError):
                call_command("campaign", *arguments, "--tenant", tenant.slug)
        draft.refresh_from_db()
        assert draft.status_reason == (text if draft.status == "cancelled" else "")
        Campaign.objects.filter(pk=draft.pk).update(status="draft", status_reason="")
    capsys.readouterr()


def test_an_odd_token_unsubscribes_nobody(client):
    for text in SENT:
        if "/" in text or text.strip(".") == "":
            continue
        answer = client.get(f"/u/{quote_plus(text)}")
        assert answer.status_code in (400, 404, 429), text
