"""What would forge a header is refused where it comes in, and once more for each mail: through every door there is.

Headers that anybody can fill: Subject (template and fields), From (display name and address of a mailbox), To
(address of a contact), Reply-To (renderer only, no column yet), List-Id (slug of the tenant). There are no headers
of one's own: a column named like a header is a field of the template, a key named `headers` is unknown.
"""

from __future__ import annotations

import email
from email import policy

import pytest
import yaml
from django.core.management import CommandError, call_command

from campaigns.models import Campaign, Contact, Enrolment, Message, Suppression
from campaigns.pipeline.renderer import CampaignContent, RecipientContent, SenderContent, Skeleton, StepContent
from campaigns.services import campaigns
from campaigns.templating import compile_step
from mailboxes.models import Mailbox
from outreach.common.addresses import HeaderInjection
from outreach.common.errors import BadInput
from outreach.demo.sink_process import SinkProcess
from tenants.models import Tenant
from tenants.services import tenants
from tenants.services.actors import SYSTEM
from tests import factories
from tests.api.conftest import Api, is_problem, key_of
from tests.campaigns import contact_files
from tests.campaigns.test_sending import work_off
from tests.mailboxes.importing import files as mailbox_files

ENCODED = "=?utf-8?q?a=0ABcc=3A_x?="
BREAKS = ["a\rBcc: x@y.example", "a\nBcc: x@y.example", "a\r\nBcc: x@y.example", "a\u2028b", "a\u2029b", "a\x85b"]
UNSEEN = ["a\x1bb", "a\x7fb", "\u202eb", "a\u2066b", "a\u200fb", "a\u061cb"]
FORGERIES = [*BREAKS, *UNSEEN, ENCODED, f"Hi {ENCODED} there"]
NAMED = ["bcc", "from", "sender", "reply_to", "return_path", "content_type", "dkim_signature", "list_unsubscribe"]
HEADER_NAMES = ["X-A\r\nBcc", "X-A: x\nBcc", "Return-Path:", "DKIM-Signature: v=1", "X-A\x00", ENCODED]

SENDER = SenderContent("jo@mail.example.com", "Jo Doe", "answers@example.com")
MESSAGE_ID, TOKEN, DATE = "abc123@mail.example.com", "AQJrMQAB-_xyzMACMACMACMACMACMA", "Tue, 24 Nov 2026 05:14:59 +0000"


def rendered(subject="Hello", text="Hello", fields=None, sender=SENDER, to="ann@example.org"):
    campaign = CampaignContent(12, 3, "acme", "Acme GmbH", "lists.example.com")
    made = Skeleton.build(StepContent(1, subject, text, "", 1), sender, campaign, "https://go.example.com/")
    content = made.render(RecipientContent(to, fields or {}), MESSAGE_ID, TOKEN, DATE).content
    return email.message_from_bytes(content, policy=policy.SMTP)


# --- Saved: the campaign's own words -------------------------------------------------------------------------


@pytest.mark.attack("A01", "A03")
@pytest.mark.parametrize("value", FORGERIES)
@pytest.mark.parametrize("shape", ["{}", "Hi {} x", "{{{{ a | default: '{}' }}}}", "{{% if a %}}{}{{% endif %}}"])
def test_a_subject_that_would_forge_a_header_is_not_compiled(value, shape):
    with pytest.raises(BadInput, match="Step 2, subject") as refusal:
        compile_step(shape.format(value), "Hello", step="Step 2")

    assert refusal.value.details["part"] == "subject"


@pytest.mark.attack("A01", "A03")
@pytest.mark.django_db
@pytest.mark.as_worker
@pytest.mark.parametrize("value", [*FORGERIES, "a\0b"])
def test_a_draft_with_such_a_subject_is_not_saved(value, tmp_path):
    tenant = factories.tenant()
    spec = {"name": "Autumn", "subject": value, "text": "Good day."}
    file = tmp_path / "autumn.yaml"
    file.write_text(yaml.safe_dump(spec), encoding="utf-8")

    with pytest.raises(BadInput, match="subject"):
        campaigns.create(tenant, spec, actor=SYSTEM)
    with pytest.raises(CommandError, match="subject"):
        call_command("campaign", "create", str(file), "--tenant", tenant.slug)

    assert not Campaign.objects.exists()


@pytest.mark.attack("A01", "A03")
@pytest.mark.django_db
@pytest.mark.as_worker
@pytest.mark.parametrize("value", FORGERIES)
def test_a_draft_that_has_one_all_the_same_is_not_started(value):
    tenant = factories.tenant()
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, 1)
    draft = factories.campaign(tenant, factories.fleet(tenant, 1)[0].pool, listed, subject=value)

    assert [missing for missing in campaigns.preflight(draft) if "Step 1, subject" in missing]


# --- Saved: files --------------------------------------------------------------------------------------------


def file_of(tmp_path, columns, *rows):
    path = tmp_path / "file.csv"
    path.write_bytes(("\n".join((columns, *rows)) + "\n").encode())
    return path


@pytest.mark.attack("A01", "A03")
@pytest.mark.django_db
@pytest.mark.as_worker
@pytest.mark.parametrize("column", ["first_name", "last_name", "company", "city"])
def test_a_contact_whose_fields_would_forge_a_header_is_not_imported(column, tmp_path):
    tenant = factories.tenant()
    values = [*FORGERIES, "a\0b"]
    rows = []
    for number, value in enumerate(values):
        cell = '"' + value + '"'
        changes, city = ({}, cell) if column == "city" else ({column: cell}, "Kyiv")
        rows.append(contact_files.row(f"p{number}@acme.example", city, **changes))
    file = file_of(tmp_path, f"{contact_files.COLUMNS},city", *rows, contact_files.row("good@acme.example", "Kyiv"))

    report = contact_files.run(tenant, file)

    assert [refusal.column for refusal in report.refusals] == [column] * len(values)
    assert list(Contact.objects.values_list("email", flat=True)) == ["good@acme.example"]


@pytest.mark.attack("A01", "A03")
@pytest.mark.django_db
@pytest.mark.as_worker
@pytest.mark.parametrize("column", ["display_name", "address"])
def test_a_mailbox_that_would_forge_a_header_is_not_imported(column, tmp_path, settings):
    settings.SMTP_ALLOW_LOOPBACK = True
    values = [*FORGERIES, "a\0b"]
    rows = []
    for number, value in enumerate(values):
        address = f"{value}@sender.example" if column == "address" else f"p{number}@sender.example"
        rows.append(mailbox_files.row(address, **({} if column == "address" else {column: value})))
    file = file_of(tmp_path, mailbox_files.COLUMNS, mailbox_files.row("good@sender.example"), *rows)

    report = mailbox_files.run(factories.tenant(), file)

    assert {refusal.column for refusal in report.refusals} == {column}
    assert len({refusal.line for refusal in report.refusals}) == report.refused == len(values)
    assert list(Mailbox.objects.values_list("address", flat=True)) == ["good@sender.example"]


@pytest.mark.attack("A01")
@pytest.mark.django_db
@pytest.mark.parametrize("slug", ["a\r\nBcc: x", "a\n", "a\u2028", "a b", "a\0", "<a>"])
def test_a_tenants_slug_can_stand_in_a_header(slug):
    with pytest.raises(BadInput) as refusal:
        tenants.create(slug, actor=SYSTEM)

    assert refusal.value.details["field"] == "slug"
    assert not Tenant.objects.exists()


# --- Names of headers: there are none of one's own -----------------------------------------------------------


@pytest.mark.attack("A02")
@pytest.mark.django_db
@pytest.mark.as_worker
@pytest.mark.parametrize("name", HEADER_NAMES)
def test_a_column_that_would_be_more_than_a_name_refuses_the_file(name, tmp_path):
    file = file_of(tmp_path, f'{contact_files.COLUMNS},"{name}"', contact_files.row("a@acme.example", "x"))

    with pytest.raises(BadInput, match="unusable header|is no usable name|NUL|column"):
        contact_files.run(factories.tenant(), file)

    assert not Contact.objects.exists()


@pytest.mark.attack("A02")
@pytest.mark.parametrize("name", NAMED)
def test_a_field_named_like_a_header_is_a_field_and_no_header(name):
    message = rendered(f"Hi {{{{ {name} }}}}", f"{{{{ {name} }}}}", {name: "evil@example.net"})

    assert message["Subject"] == "Hi evil@example.net"
    assert [value for header, value in message.items() if header not in ("Subject",) and "evil" in str(value)] == []
    assert len(message.get_all("From")) == len(message["From"].addresses) == 1
    assert message["From"].addresses[0].addr_spec == SENDER.from_address
    assert not {"bcc", "return-path", "sender", "dkim-signature"} & {header.lower() for header in message}


@pytest.mark.attack("A02")
@pytest.mark.django_db
@pytest.mark.parametrize("key", ["headers", "from", "reply_to", "bcc", "X-A\r\nBcc"])
@pytest.mark.parametrize("place", ["campaign", "step"])
def test_a_description_has_no_key_for_headers(key, place):
    step = {"subject": "Hello", "text": "Good day."}
    spec = {"name": "Autumn"} | (step | {key: {"X-A": "b"}} if place == "campaign" else {"steps": [step | {key: "x"}]})

    with pytest.raises(BadInput, match="no such key"):
        campaigns.create(factories.tenant(), spec, actor=SYSTEM)

    assert not Campaign.objects.exists()


@pytest.mark.attack("A01", "A02")
@pytest.mark.django_db
@pytest.mark.parametrize("key", ["headers", "subject", "from_name", "reply_to", "Bcc", "X-A\r\nBcc"])
def test_the_api_takes_nothing_that_goes_into_a_header(key):
    """Campaigns, steps, contacts and mailboxes are only read there; an act names its fields."""
    draft = factories.campaign(factories.tenant())
    api = Api(key_of(draft.tenant))
    before = Campaign.objects.filter(pk=draft.pk).values().get()

    problem = is_problem(api.post(f"campaigns/{draft.pk}/start/", {key: "a\r\nBcc: x"}), 400, "bad_input")
    assert problem["errors"] == {key: ["There is no such field."]}
    for place in ("campaigns", "steps", "contacts", "mailboxes"):
        is_problem(api.post(f"{place}/", {key: "a\r\nBcc: x"}), 405, "method_not_allowed")

    assert Campaign.objects.filter(pk=draft.pk).values().get() == before


# --- Rendered: each mail by itself ---------------------------------------------------------------------------


@pytest.mark.attack("A01", "A03")
@pytest.mark.parametrize(
    "subject",
    ["{{ a }}{{ b }}", "=?utf-8?q?{{ a }}{{ b }}", "{% if a %}{{ a }}{{ b }}{% endif %}", "{{ a | append: b }}"],
)
def test_an_encoded_word_is_not_put_together_from_pieces(subject):
    """Each value is harmless by itself."""
    with pytest.raises(HeaderInjection):
        rendered(subject, fields={"a": "=?utf-8?q?a=0ABcc", "b": "=3A_x?="})
    assert rendered(subject.replace("=?utf-8?q?", ""), fields={"a": "1 =", "b": "? 2"})["Subject"] == "1 =? 2"


@pytest.mark.attack("A01", "A03")
@pytest.mark.parametrize("value", ["a\0b", "a\x0bb", "a\x0cb", "a\x1bb", "a\x7fb"])
@pytest.mark.parametrize("subject", ["{{ a }}", "{% if a %}{{ a }}{% endif %}"])
def test_other_controls_reach_no_header(value, subject):
    assert rendered(subject, fields={"a": value})["Subject"] == "ab"


NO_ADDRESSES = [
    *("x@y.example\r\nBcc: z@y.example", "x@y.example\n", "x@y.example, z@y.example", "Ann <x@y.example>"),
    *("x\u2028@y.example", "x@y.example\0", "\u202ex@y.example", f"{ENCODED}@y.example"),
]


@pytest.mark.attack("A01", "A03")
@pytest.mark.parametrize("value", NO_ADDRESSES)
def test_an_address_in_a_header_is_one_address(value):
    for sender in (SenderContent(value, "Jo"), SenderContent(SENDER.from_address, "Jo", value)):
        with pytest.raises(BadInput):
            rendered(sender=sender)
    with pytest.raises(BadInput):
        rendered(to=value)
    assert rendered(to="a=?b@y.example")["To"].addresses[0].addr_spec == "a=?b@y.example"


@pytest.mark.attack("A03")
@pytest.mark.parametrize(
    "name",
    ["Doe, Jo", '"Jo" <evil@example.net>,', "evil@example.net,", "Jo <evil@example.net>", 'a\\"b', "(Jo)", "a;b:",
     "Müller, Jo <e@x.example>", "Jo\u00a0Doe", "日本 <e@x.example>, x"],
)  # fmt: skip
def test_whatever_a_name_says_there_is_one_from_with_one_address(name):
    message = rendered(sender=SenderContent("jo@mail.example.com", name))

    assert len(message.get_all("From")) == len(message["From"].addresses) == 1
    assert message["From"].addresses[0].addr_spec == "jo@mail.example.com"
    assert "".join(message["From"].addresses[0].display_name.split()) == "".join(name.split())


@pytest.mark.attack("A01", "A03")
@pytest.mark.django_db(transaction=True)
@pytest.mark.as_worker
@pytest.mark.parametrize(
    "subject", ["Hi {{ first_name }} of {{ city }}", "{% if city %}{{ first_name }}{{ city }}{% endif %}"]
)
def test_whom_a_forged_header_would_reach_gets_nothing_and_the_others_get_theirs(subject, tmp_path, settings):
    """Values that came past the import: the row fails by itself, nobody is suppressed, no mailbox stops."""
    settings.SMTP_ALLOW_LOOPBACK = True
    bad = [*BREAKS, "\u202eAnn", ENCODED]
    with SinkProcess(tmp_path / "book.jsonl") as sink:
        tenant = factories.tenant()
        listed = factories.contact_list(tenant)

        def each(i):
            if i >= 2 * len(bad):
                return {"fields": {"city": "Kyiv"}}
            value = bad[i // 2]
            return {"first_name": value, "fields": {"city": "Kyiv"}} if i % 2 else {"fields": {"city": value}}

        people = factories.people(tenant, listed, 2 * len(bad) + 3, each=each)
        boxes = factories.fleet(tenant, 2, host=sink.host, port=sink.port)
        campaign = factories.campaign(tenant, boxes[0].pool, listed, subject=subject)
        campaigns.start(campaign, actor=SYSTEM)
        work_off(campaign)
        accepted = sink.read_book().accepted

    good = sorted(person.email for person in people[-3:])
    assert sorted(entry.recipient for entry in accepted) == good
    failed = Message.objects.filter(status="failed")
    assert set(failed.values_list("reason", flat=True)) == {"header_injection"}
    assert failed.count() == 2 * len(bad)
    assert Enrolment.objects.filter(status="stopped", stop_reason="header_injection").count() == 2 * len(bad)
    assert not Suppression.objects.exists()
    assert set(Mailbox.objects.values_list("state", "hold", "failures")) == {("active", "none", 0)}
