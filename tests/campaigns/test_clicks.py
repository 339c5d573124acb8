"""Links of mails that lead through us: only where the wording leads, and noted."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.utils.timezone import now

from campaigns import clicks
from campaigns.models import Campaign, Click, Enrolment, Message, Step
from campaigns.pipeline.renderer import CampaignContent, RecipientContent, SenderContent, Skeleton, StepContent
from outreach.common import tokens
from outreach.common.sealing import Keyring
from tests import factories

HTML = (
    '<p>Hello</p><a class="x" href="https://shop.example/a?b=1&amp;c=2">one</a>'
    "<A HREF='http://shop.example/two'>two</A><a href=\"https://shop.example/{{ company }}\">own</a>"
    '<a href="{{ unsubscribe_url }}">out</a><a href="https://shop.example/a?b=1&amp;c=2">again</a>'
    '<a href="mailto:x@shop.example">mail</a>'
)
TARGETS = ("https://shop.example/a?b=1&c=2", "http://shop.example/two")
SENDER = SenderContent("ann@sender.example", "Ann")
CAMPAIGN = CampaignContent(7, 3, "acme", "1 Example Street", "list.example")


def keys() -> Keyring:
    return Keyring.parse(django_settings.TOKEN_KEYS)


def test_links_are_whole_addresses_of_the_html_each_once():
    assert clicks.links(HTML) == TARGETS


def test_the_html_leads_through_us_and_the_text_does_not():
    step = StepContent(1, "Hello", "See https://shop.example/two", HTML, 1, tracks_clicks=True)
    made = Skeleton.build(step, SENDER, CAMPAIGN, "https://go.example")
    assert made.links == TARGETS

    content = made.render(
        RecipientContent("bob@buyer.example", {"company": "Buyer"}), "x@sender.example", "TOKEN",
        "Tue, 24 Nov 2026 12:00:00 +0000", link_tokens=("AAA", "BBB"),
    ).content.decode()  # fmt: skip

    flat = content.replace("=\r\n", "").replace("=3D", "=")
    assert flat.count('"https://go.example/c/AAA"') == 2
    assert flat.count('"https://go.example/c/BBB"') == 1
    assert '"https://shop.example/Buyer"' in flat
    assert "See https://shop.example/two" in flat


def test_a_tag_that_never_closes_hides_no_link_behind_it():
    html = '<a name <a class="b" href="https://shop.example/a">one</a>'

    assert clicks.links(html) == ("https://shop.example/a",)
    assert clicks.replaced(html) == '<a name <a class="b" href="{{ outreach_link_0 }}">one</a>'


@pytest.mark.attack("A21")
@pytest.mark.parametrize("piece", ["<a ", "<a href", "<a\n href=", '<a "', "<a href='", '<a href="https://x'])
def test_a_wording_of_open_tags_is_read_once(piece):
    html = piece * (400_000 // len(piece))  # as much as a wording may have; each tag read to the end takes minutes

    assert clicks.links(html) == ()


def test_nothing_changes_where_nobody_asked_for_it():
    step = StepContent(1, "Hello", "Hello", HTML, 1)
    assert Skeleton.build(step, SENDER, CAMPAIGN, "https://go.example").links == ()


# --- Following one ------------------------------------------------------------------------------------------------


@pytest.fixture
def message(db) -> Message:
    tenant = factories.tenant()
    box = factories.mailbox(tenant)
    listed = factories.contact_list(tenant)
    (person,) = factories.people(tenant, listed, 1)
    campaign = factories.campaign(tenant, box.pool, listed, html_body=HTML, click_tracking=True)
    enrolment = Enrolment.objects.create(tenant=tenant, campaign=campaign, contact=person, zone="UTC", status="done")
    return Message.objects.create(
        tenant=tenant, campaign=campaign, step=campaign.steps.get(), enrolment=enrolment, contact=person, mailbox=box,
        status="sent", sent_at=now() - timedelta(hours=1), due_at=now(), not_after=now(), day_on=now().date(),
        message_id="x@sender.example",
    )  # fmt: skip


def follow(message: Message, number: int = 0, *, token: str = "", method: str = "get"):
    token = token or tokens.sign_click(keys(), message.tenant_id, message.pk, number)
    return getattr(Client(), method)(f"/c/{token}")


def test_a_link_leads_where_the_wording_leads_and_is_noted(message):
    for number, target in enumerate(TARGETS):
        answer = follow(message, number)
        assert (answer.status_code, answer.headers["Location"]) == (302, target)
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "Set-Cookie" not in answer.headers

    assert list(Click.objects.order_by("pk").values_list("message_ref", "number", "url", "is_early")) == [
        (message.pk, number, target, False) for number, target in enumerate(TARGETS)
    ]


def test_a_filters_look_is_told_from_a_persons(message):
    Message.objects.update(sent_at=now())

    follow(message)

    assert Click.objects.get().is_early


@pytest.mark.parametrize("number", [2, 60_000])
def test_a_link_that_the_wording_has_not_leads_nowhere(message, number):
    assert follow(message, number).status_code == 404
    assert not Click.objects.exists()


def test_no_changed_token_leads_anywhere(message):
    good = tokens.sign_click(keys(), message.tenant_id, message.pk, 0)
    other = tokens.sign(keys(), message.tenant_id, message.pk)  # of the unsubscribe link
    wrong = [
        other,
        good[:-1],
        good + "A",
        "https://evil.example",
        "//evil.example",
        "javascript:alert(1)",
        "%5C%5Cevil",
    ]
    wrong += [good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :] for at in range(0, len(good), 7)]
    for token in wrong:
        answer = follow(message, token=token)
        assert answer.status_code in (404, 429), token
        assert "Location" not in answer.headers
    assert not Click.objects.exists()


def test_a_token_of_another_tenant_or_message_leads_nowhere(message):
    other = factories.tenant()
    for tenant_id, pk in ((other.pk, message.pk), (message.tenant_id, message.pk + 1)):
        assert follow(message, token=tokens.sign_click(keys(), tenant_id, pk, 0)).status_code == 404


def test_the_address_is_never_a_parameter(message):
    answer = Client().get(f"/c/{tokens.sign_click(keys(), message.tenant_id, message.pk, 0)}?u=https://evil.example")

    assert answer.headers["Location"] == TARGETS[0]
    assert Client().post("/c/x").status_code == 405


def test_rows_of_one_message_are_bounded(message):
    for _ in range(55):
        assert follow(message).status_code == 302

    assert Click.objects.count() == 50


def test_a_click_ends_the_doubt_and_changes_nothing_else(message):
    Message.objects.update(status="uncertain", sent_at=None)
    before = Campaign.objects.values("status").get()

    follow(message)

    message.refresh_from_db()
    assert message.status == "sent"
    assert Campaign.objects.values("status").get() == before
    assert re.fullmatch(r"https://shop\.example/a\?b=1&c=2", Click.objects.get().url)


@pytest.mark.parametrize(
    ("written", "location"),
    [
        ("https://shop.example/\u0441\u043a\u0438\u0434\u043a\u0438?q=\u044f#\u00fc",
         "https://shop.example/%D1%81%D0%BA%D0%B8%D0%B4%D0%BA%D0%B8?q=%D1%8F#%C3%BC"),
        ("https://B\u00fccher.example:8443/a%20b", "https://xn--bcher-kva.example:8443/a%20b"),
        ("https://shop.example/a?b=%D1%8F&amp;c=1", "https://shop.example/a?b=%D1%8F&c=1"),
    ],
)  # fmt: skip
def test_a_link_in_any_script_leads_there_in_ascii(message, written, location):
    Step.objects.update(html_body=f'<a href="{written}">there</a>')

    answer = follow(message)

    assert (answer.status_code, answer.headers["Location"]) == (302, location)
    assert Click.objects.get().url == location


@pytest.mark.attack("A19")
@pytest.mark.parametrize(
    "written", ["https://shop.example/&#13;&#10;Set-Cookie:a=b", "https://shop.example&bsol;@evil.example/",
                "https://&#x202f;.example/", "https://[/"],
)  # fmt: skip
def test_an_address_that_can_not_stand_in_a_header_leads_nowhere(message, written):
    Step.objects.update(html_body=f'<a href="{written}">there</a>')

    answer = follow(message)

    assert answer.status_code == 404
    assert "Location" not in answer.headers
    assert not Click.objects.exists()
