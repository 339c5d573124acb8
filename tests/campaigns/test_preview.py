"""A mail as one person would get it: the real bytes, what is in its way, and nothing written or sent."""

from __future__ import annotations

import email
import json
import re
from datetime import UTC, datetime, timedelta
from email import policy
from hashlib import sha256
from io import StringIO
from urllib.parse import urlsplit

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from campaigns.ledger import following
from campaigns.models import Campaign, Contact, Enrolment, Message, Suppression, Variant
from campaigns.pipeline import loading, previewing
from campaigns.services import campaigns, suppression
from outreach.common import tokens
from outreach.common.errors import Missing, NotReady
from outreach.common.tokens import BadToken
from outreach.demo.sink_process import SinkProcess
from tenants.services.actors import SYSTEM
from tests import factories
from tests.api.conftest import Api, is_problem, key_of
from tests.campaigns.test_sending import work_off

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
DATE = "Tue, 24 Nov 2026 09:00:00 +0000"


def draft(n=3, each=None, steps=1, **changes):
    """A draft to n people, from a mailbox with a signature."""
    tenant = factories.tenant(slug=f"shown-{factories._next()}", postal_address="1 Main Street")
    listed = factories.contact_list(tenant)
    people = factories.people(tenant, listed, n, each=each)
    boxes = factories.fleet(tenant, 1, signature="Jo\nSales", display_name="Jo Doe")
    texts = {"subject": "Hi {{ first_name }}", "text_body": "Dear {{ first_name }}", "html_body": ""} | changes
    campaign = factories.campaign(tenant, boxes[0].pool, listed, steps=steps, **texts)
    campaign.refresh_from_db()
    return campaign, people, boxes[0]


def names(found):
    return [each.name for each in found.hindrances]


@pytest.mark.django_db
def test_a_preview_shows_all_headers_both_parts_and_the_size():
    campaign, people, box = draft(html_body="<p>Dear {{ first_name }}</p>", each=lambda i: {"first_name": "Zoë"})

    found = previewing.preview(campaign, people[0], now=NOW)

    host = urlsplit(previewing.settings.PUBLIC_URL).hostname
    url = f"{previewing.settings.PUBLIC_URL}/u/{previewing.dead_token(campaign.tenant_id, message_id_of(found))}"
    assert found.headers[:-1] == (
        ("From", f"Jo Doe <{box.address}>"),
        ("To", people[0].email),
        ("Subject", "Hi Zoë"),
        ("Date", DATE),
        ("Message-ID", f"<{message_id_of(found)}>"),
        ("List-Unsubscribe", f"<{url}>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("List-Id", f"<c{campaign.pk}.{campaign.tenant.slug}.{host}>"),
        ("Feedback-ID", f"c{campaign.pk}:t{campaign.tenant_id}:campaign:outreach"),
        ("Precedence", "bulk"),
        ("MIME-Version", "1.0"),
    )
    assert found.text.rstrip("\n") == f"Dear Zoë\n\n-- \nJo\nSales\n\n1 Main Street\nUnsubscribe: {url}"
    assert found.html.startswith("<p>Dear Zoë</p>\n<p>Jo<br>Sales</p>")
    assert found.hindrances == ()
    assert len(found.content) == found.as_dict()["size"] > 1000


def message_id_of(found):
    return found.header("Message-ID").strip("<>")


@pytest.mark.django_db
def test_nothing_is_written_and_nobody_can_unsubscribe_by_it(settings):
    campaign, people, _box = draft()

    found = previewing.preview(campaign, people[0], now=NOW)
    link = urlsplit(found.header("List-Unsubscribe").strip("<>"))
    real = tokens.sign(previewing.Keyring.parse(settings.TOKEN_KEYS), campaign.tenant_id, 1)
    token = link.path.rsplit("/", 1)[1]

    assert len(token) == len(real)
    with pytest.raises(BadToken):
        tokens.read(previewing.Keyring.parse(settings.TOKEN_KEYS), token)
    client = Client()
    for answer in (client.get(link.path), client.post(link.path, {"List-Unsubscribe": "One-Click"})):
        assert answer.status_code in (400, 404)
    assert not Suppression.objects.exists()
    assert not Message.objects.exists()
    assert not Enrolment.objects.exists()
    assert Campaign.objects.get().status == "draft"


@pytest.mark.django_db(transaction=True)
@pytest.mark.as_worker
def test_what_is_sent_is_what_the_preview_showed(tmp_path, settings):
    settings.SMTP_ALLOW_LOOPBACK = True
    with SinkProcess(tmp_path / "book.jsonl") as sink:
        tenant = factories.tenant()
        listed = factories.contact_list(tenant)
        person = factories.people(tenant, listed, 1, fields={"city": "Kyiv"})[0]
        boxes = factories.fleet(tenant, 1, host=sink.host, port=sink.port, signature="Jo")
        text = "{% if city %}In {{ city }}{% endif %}"
        campaign = factories.campaign(tenant, boxes[0].pool, listed, subject="Hi {{ city }}", text_body=text)
        campaign.refresh_from_db()
        shown = previewing.preview(campaign, person, now=NOW)
        campaigns.start(campaign, actor=SYSTEM)
        work_off(campaign)
        sent = sink.read_book().accepted[0]

    assert sent.message_id.strip("<>") == message_id_of(shown)
    again = previewing.preview(campaign, person, now=NOW)
    assert names(again) == ["message"]
    assert again.content == shown.content
    row = Message.objects.get()
    real = tokens.sign(previewing.Keyring.parse(settings.TOKEN_KEYS), tenant.pk, row.pk)
    dead = previewing.dead_token(tenant.pk, row.message_id)
    content = shown.content.replace(dead.encode(), real.encode())
    content = content.replace(dead[-22:].encode(), real[-22:].encode())  # the boundary
    around = (loading.rfc5322(row.sent_at + timedelta(seconds=seconds)) for seconds in range(-120, 121))
    assert sent.sha256 in {sha256(content.replace(DATE.encode(), date.encode())).hexdigest() for date in around}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "hindrance"),
    [
        ({"first_name": ""}, "missing_field"),
        ({"first_name": "a\nBcc: x@y.example"}, "header_injection"),
        ({"validity": "invalid"}, "invalid"),
        ({"validity": ""}, "validation"),
        ({"conversation_since": NOW}, "conversation"),
        ({"basis_expires_on": "2026-11-01"}, "basis_expired"),
    ],
)
def test_what_keeps_the_mail_from_a_person_is_told(changes, hindrance):
    campaign, people, _box = draft(each=lambda i: changes if i == 0 else {})

    found = previewing.preview(campaign, Contact.objects.get(pk=people[0].pk), now=NOW)

    assert names(found) == [hindrance]
    assert bool(found.content) == (hindrance not in ("missing_field", "header_injection"))
    assert names(previewing.preview(campaign, people[1], now=NOW)) == []


@pytest.mark.django_db
def test_a_suppressed_person_is_told_from_the_others():
    campaign, people, _box = draft()
    suppression.suppress(campaign.tenant, [people[1].email], actor=SYSTEM, reason="manual", via="test")

    assert [names(previewing.preview(campaign, person, now=NOW)) for person in people] == [[], ["suppressed"], []]


@pytest.mark.django_db
def test_a_follow_up_shows_the_thread_and_a_first_step_none():
    campaign, people, _box = draft(steps=3, subject="Re: Hi")
    first, second, third = (
        previewing.preview(campaign, people[0], now=NOW, position=position) for position in (1, 2, 3)
    )

    assert first.header("Subject") == "Hi"
    assert "In-Reply-To" not in dict(first.headers)
    assert second.header("Subject") == third.header("Subject") == "Re: Hi"
    assert second.header("References") == second.header("In-Reply-To") == first.header("Message-ID")
    assert third.header("In-Reply-To") == second.header("Message-ID")
    assert third.header("References") == f"{first.header('Message-ID')} {second.header('Message-ID')}"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "answered"),
    [
        ({"wire_message_id": "host-42"}, "<own@sender.example>"),
        ({"wire_message_id": "theirs@host.example"}, "<theirs@host.example>"),
        ({"outcome": "bounced"}, ""),
        ({"status": "uncertain", "sent_at": None}, ""),
        ({"status": "failed", "sent_at": None}, ""),
    ],
)
def test_a_follow_up_answers_what_arrived_and_nothing_else(changes, answered):
    campaign, people, box = draft(steps=2, subject="Re: Hi")
    enrolment = Enrolment.objects.create(
        tenant=campaign.tenant, campaign=campaign, contact=people[0], mailbox=box, step=2, due_at=NOW, zone="UTC"
    )
    Message.objects.create(
        tenant=campaign.tenant, campaign=campaign, step=campaign.steps.get(position=1), enrolment=enrolment,
        contact=people[0], mailbox=box, due_at=NOW, not_after=NOW, day_on=NOW.date(), message_id="own@sender.example",
        **{"status": "sent", "sent_at": NOW} | changes,
    )  # fmt: skip

    found = previewing.preview(campaign, people[0], now=NOW, position=2)

    assert found.header("In-Reply-To") == answered
    with connection.cursor() as cursor:
        follow_up = Message.objects.create(
            tenant=campaign.tenant, campaign=campaign, step=campaign.steps.get(position=2), enrolment=enrolment,
            contact=people[0], mailbox=box, due_at=NOW, not_after=NOW, day_on=NOW.date(), message_id="next@x.example",
        )  # fmt: skip
        thread = following.threads(cursor, [follow_up.pk]).get(follow_up.pk, ())
    assert [f"<{one}>" for one in thread] == ([answered] if answered else [])


@pytest.mark.django_db
def test_the_wording_that_is_asked_for_is_shown():
    campaign, people, _box = draft()
    step = campaign.steps.get()
    for label in ("a", "b"):
        Variant.objects.create(
            tenant=campaign.tenant, step=step, label=label, subject=f"Subject {label}", text_body="x"
        )

    assert previewing.preview(campaign, people[0], now=NOW).header("Subject") == "Subject a"
    assert previewing.preview(campaign, people[0], now=NOW, variant="b").header("Subject") == "Subject b"
    with pytest.raises(Missing, match="no wording 'c'"):
        previewing.preview(campaign, people[0], now=NOW, variant="c")


@pytest.mark.django_db
def test_people_are_found_by_address_one_after_the_other_and_by_what_they_lack():
    campaign, people, _box = draft(4, each=lambda i: {"first_name": ["Ann", "", "Bo", ""][i]})
    stranger = factories.people(campaign.tenant, None, 1)[0]
    needed = previewing.needed(campaign.steps.get())

    assert previewing.find(campaign, f" {people[2].email.upper()} ") == people[2]
    with pytest.raises(Missing, match="is not in the list"):
        previewing.find(campaign, stranger.email)
    assert previewing.beside(campaign, people[0]) == (None, people[1])
    assert previewing.beside(campaign, people[3]) == (people[2], None)
    assert needed == ["first_name"]
    assert previewing.next_lacking(campaign, needed) == people[1]
    assert previewing.next_lacking(campaign, needed, after=people[1].pk) == people[3]
    assert previewing.next_lacking(campaign, needed, after=people[3].pk) is None


@pytest.mark.django_db
def test_a_campaign_without_mailboxes_or_steps_says_what_is_missing():
    tenant = factories.tenant()
    listed = factories.contact_list(tenant)
    person = factories.people(tenant, listed, 1)[0]
    campaign = factories.campaign(tenant, None, listed)

    with pytest.raises(NotReady, match="no pool with a mailbox"):
        previewing.preview(campaign, person, now=NOW)
    with pytest.raises(Missing, match="has no step 2"):
        previewing.preview(campaign, person, now=NOW, position=2)


# --- Doors --------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_api_gives_it_to_a_key_of_the_tenant_alone():
    campaign, people, _box = draft(each=lambda i: {"first_name": ["Ann", "", "Bo"][i]})
    api = Api(key_of(campaign.tenant, "campaigns.view"))
    path = f"campaigns/{campaign.pk}/preview/"

    shown = api.get(path, {"contact": people[0].email}).json()
    lacking = api.get(path, {"contact": people[1].email, "step": 1}).json()

    assert (shown["from"], shown["to"], shown["subject"]) == (
        "Jo Doe <" + campaign.pool.mailboxes.get().address + ">", people[0].email, "Hi Ann",
    )  # fmt: skip
    assert shown["hindrances"] == []
    assert [header["name"] for header in shown["headers"]][:3] == ["From", "To", "Subject"]
    assert (lacking["size"], lacking["text"], lacking["headers"]) == (0, "", [])
    assert [each["name"] for each in lacking["hindrances"]] == ["missing_field"]
    assert lacking["hindrances"][0]["value"].startswith("The step, subject, line 1: the contact has no first_name.")
    is_problem(api.get(path), 400, "bad_input")
    is_problem(api.get(path, {"contact": "x@y.example"}), 404, "missing")
    is_problem(api.get(path, {"contact": people[0].email, "step": 9}), 404, "missing")
    stranger = Api(key_of(factories.tenant()))
    assert stranger.get(path, {"contact": people[0].email}).status_code == 404


@pytest.mark.django_db
def test_the_command_shows_it():
    campaign, people, box = draft(each=lambda i: {"first_name": ["Ann", "", "Bo"][i]})
    given = ("campaign", "preview", campaign.name, "--tenant", campaign.tenant.slug, "--contact")

    said = StringIO()
    call_command(*given, people[0].email, stdout=said)
    told = StringIO()
    call_command(*given, people[1].email, "--json", stdout=told)

    assert f"  From: Jo Doe <{box.address}>\n" in said.getvalue()
    assert "\ntext: \nDear Ann\n" in said.getvalue()
    assert "not so: nothing" in said.getvalue()
    assert [each["name"] for each in json.loads(told.getvalue())["hindrances"]] == ["missing_field"]
    with pytest.raises(CommandError, match="is not in the list"):
        call_command(*given, "x@y.example")


@pytest.mark.django_db
@pytest.mark.parametrize("html", ["<p>{{ a</p>", "<p>\n{% debug %}</p>"])
def test_a_mistake_in_a_template_is_told_by_every_door_that_saves_one(html, tmp_path):
    tenant = factories.tenant()
    file = tmp_path / "autumn.yaml"
    file.write_text(json.dumps({"name": "Autumn", "subject": "Hi", "html": html}), encoding="utf-8")

    with pytest.raises(CommandError, match=r"Step 1, html, line \d: "):
        call_command("campaign", "create", str(file), "--tenant", tenant.slug)

    assert not Campaign.objects.exists()


def test_a_decoded_header_is_what_was_written():
    content = b"Subject: =?utf-8?b?WsO2?=\r\n =?utf-8?b?w6s=?=\r\nTo: a@b.cd\r\n\r\nx\r\n"

    assert previewing.headers_of(content) == (("Subject", "Zöë"), ("To", "a@b.cd"))
    assert email.message_from_bytes(content, policy=policy.default)["To"] == "a@b.cd"
    assert re.match(r"preview-[0-9a-f]+\Z", previewing.dead_token(1, "x@y"))
