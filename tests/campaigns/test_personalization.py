"""What is a person's or a mailbox's own in a mail: signature, names of any script, and strings that hurt (A20-A23)."""

import email
import re
from email import policy

import pytest

from campaigns.pipeline.parts import without_comments
from campaigns.pipeline.renderer import CampaignContent, RecipientContent, SenderContent, Skeleton, StepContent
from campaigns.templating import MissingField, compile_step
from outreach.common.addresses import HeaderInjection
from outreach.common.errors import BadInput, OutreachError
from tests.console.naughty import STRINGS

CAMPAIGN = CampaignContent(12, 3, "acme", "Acme GmbH\nMain Road 1", "lists.example.com")
MESSAGE_ID, TOKEN, DATE = "abc123@mail.example.com", "AQJrMQAB-_xyzMACMACMACMACMACMA", "Tue, 24 Nov 2026 05:14:59 +0000"
URL = f"https://go.example.com/u/{TOKEN}"
SIGNATURE = "Jo <Doe> & Co\nTel. +1 {{ x }}"


def message(subject="Hello", text="Hi", html="", fields=None, *, name="Jo Doe", signature="", to="ann@example.org"):
    sender = SenderContent("jo@mail.example.com", name, signature=signature)
    made = Skeleton.build(StepContent(1, subject, text, html, 1), sender, CAMPAIGN, "https://go.example.com/")
    content = made.render(RecipientContent(to, fields or {}), MESSAGE_ID, TOKEN, DATE).content
    assert content.isascii()
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", content)
    return email.message_from_bytes(content, policy=policy.SMTP)


def words(found, kind="plain"):
    return found.get_body((kind,)).get_payload(decode=True).decode("utf-8").replace("\r\n", "\n")


# --- Signature, address, link ------------------------------------------------------------------------------

ESCAPED = "Jo &lt;Doe&gt; &amp; Co<br>Tel. +1 {{ x }}"
SMALL = '\n<p style="font-size:12px;color:#595959">'


@pytest.mark.parametrize("filler", ["", "{% if a %}{% endif %}"])  # filled in directly, by Liquid
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Hi", f"Hi\n\n-- \n{SIGNATURE}\n\nAcme GmbH\nMain Road 1\nUnsubscribe: {URL}\n"),
        ("{{ signature }}\nHi", f"{SIGNATURE}\nHi\n\n-- \nAcme GmbH\nMain Road 1\nUnsubscribe: {URL}\n"),
        ("{{ unsubscribe_url }}", f"{URL}\n\n-- \n{SIGNATURE}\n\nAcme GmbH\nMain Road 1\n"),
        ("{{ postal_address }}", f"Acme GmbH\nMain Road 1\n\n-- \n{SIGNATURE}\n\nUnsubscribe: {URL}\n"),
        ("{{ postal_address }} {{ unsubscribe_url }}", f"Acme GmbH\nMain Road 1 {URL}\n\n-- \n{SIGNATURE}\n"),
        (
            "{{ signature }} {{ postal_address }} {{ unsubscribe_url }}",
            f"{SIGNATURE} Acme GmbH\nMain Road 1 {URL}\n",
        ),
    ],
)
def test_a_text_part_ends_with_what_it_does_not_show_itself(text, shown, filler):
    assert words(message(text=text + filler, signature=SIGNATURE)) == shown


@pytest.mark.parametrize("filler", ["", "{% if a %}{% endif %}"])
@pytest.mark.parametrize(
    ("html", "shown"),
    [
        (
            "<p>Hi</p>",
            f'<p>Hi</p>\n<p>{ESCAPED}</p>{SMALL}Acme GmbH<br>\nMain Road 1<br>\n<a href="{URL}">Unsubscribe</a></p>\n',
        ),
        (
            "<body>{{ signature }}</body>",
            f'<body>{ESCAPED}{SMALL}Acme GmbH<br>\nMain Road 1<br>\n<a href="{URL}">Unsubscribe</a></p>\n</body>',
        ),
        (
            "{{ postal_address }} {{ unsubscribe_url }}",
            f"Acme GmbH<br>Main Road 1 {URL}\n<p>{ESCAPED}</p>",
        ),
    ],
)
def test_an_html_part_too_with_line_ends_as_br(html, shown, filler):
    found = words(message(html=html + filler, signature=SIGNATURE), "html")

    assert found.rstrip("\n") == shown.rstrip("\n")


@pytest.mark.parametrize("signature", ["", "\n", " \n"])
def test_without_a_signature_nothing_is_left_of_it(signature):
    found = message(html="<p>Hi</p>", signature=signature)

    assert words(found) == f"Hi\n\n-- \nAcme GmbH\nMain Road 1\nUnsubscribe: {URL}"  # the last \\n is the boundary's
    assert words(found, "html").startswith(f"<p>Hi</p>{SMALL}Acme GmbH")
    assert words(message(text="{{ signature }}{{ sender_name }}", name="")).startswith("\n\n-- \nAcme GmbH")


@pytest.mark.parametrize("place", ["{{ postal_address }}", "{% if a %}{{ postal_address }}{% endif %}"])
def test_an_address_that_the_template_places_stands_there_once(place):
    found = message(text=place, html=f"<p>{place}</p>", fields={"a": "x"})

    assert words(found).count("Acme GmbH") == 1
    assert without_comments(words(found, "html")).count("Acme GmbH") == 1


# --- Names -------------------------------------------------------------------------------------------------

NAMES = [
    *("Müller, Jürgen", "О'Коннор «Ліга»", 'Anna "Annie" Lee', "山田 太郎", "محمد علي", "שלום", "Ñandú & Söhne; GmbH"),
    *("Jo (ops) <x@y.example>", "a\\b", "Zoë\u0308", "👩‍🚀 Team", "ไทย", "O’Brien", "Łukasz-Żółć", "x" * 150),
]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_any_script_arrive_as_they_are(name):
    found = message(
        "{{ first_name }}: Hi", "{{ first_name }}", "<p>{{ first_name }}</p>", {"first_name": name}, name=name
    )

    assert found["Subject"].replace(" ", "") == f"{name}: Hi".replace(" ", "")
    assert "".join(found["From"].addresses[0].display_name.split()) == "".join(name.split())
    assert found["From"].addresses[0].addr_spec == "jo@mail.example.com"
    assert found["To"] == "ann@example.org"
    assert words(found).startswith(name + "\n")
    assert words(found, "html").startswith(f"<p>{escaped(name)}</p>")


def escaped(value):
    return (
        value.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace('"', "&#34;")
        .replace("'", "&#39;")
    )


# --- Strings that hurt --------------------------------------------------------------------------------------


def tried(act, *args, **given):
    """Return the result and None, or None and the refusal; anything else is a crash."""
    try:
        return act(*args, **given), None
    except OutreachError as error:
        return None, error


def headers(found):
    return set(found.keys()) - {"Content-Transfer-Encoding"}


def meant(value):
    return re.sub("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", "", value.replace("\r\n", "\n").replace("\r", "\n"))


@pytest.mark.attack("A01", "A23", "A44")
@pytest.mark.parametrize("source", ["{{ first_name }}", "{% if first_name %}{{ first_name }}{% endif %}x"])
def test_every_naughty_string_is_data_in_a_field_or_refused_by_name(source):
    html = f"<p>{source}</p>"
    for value in STRINGS:
        fields = {"first_name": value}
        found, refusal = tried(message, source, source, html, fields)
        if isinstance(refusal, HeaderInjection):
            assert str(refusal).startswith(("The field first_name", "The subject")), value
            found, refusal = tried(message, "Hello", source, html, fields)
        if not meant(value).strip() and source == "{{ first_name }}":
            assert isinstance(refusal, MissingField), value
            assert refusal.details["field"] == "first_name"
            continue
        assert refusal is None, (value, refusal)
        shown = meant(value) if meant(value).strip() else ""
        assert headers(found) == headers(message()), value
        assert words(found).startswith(shown), value
        assert words(found, "html").startswith(f"<p>{escaped(shown)}"), value
    refused = [value for value in STRINGS if tried(message, source, "Hi", "", {"first_name": value})[1]]
    assert 0 < len(refused) < len(STRINGS) / 2


@pytest.mark.attack("A01", "A22", "A44")
def test_every_naughty_string_is_data_in_a_signature():
    for value in STRINGS:
        found = message(html="<p>Hi</p>", signature=value)
        shown = meant(value).strip("\n") if value.strip() else ""
        assert headers(found) == headers(message()), value
        assert words(found).startswith(f"Hi\n\n-- \n{shown}"), value
        below = f"\n<p>{escaped(shown)}</p>".replace("\n", "<br>").replace("<br><p>", "\n<p>", 1) if shown else ""
        assert words(found, "html").startswith(f"<p>Hi</p>{below}{SMALL}"), value


@pytest.mark.attack("A01", "A03", "A44")
def test_every_naughty_string_is_a_name_in_from_or_refused():
    for value in STRINGS:
        found, refusal = tried(message, name=value)
        if refusal:
            assert isinstance(refusal, HeaderInjection), value
            assert str(refusal).startswith("The display name"), value
            continue
        assert len(found.get_all("From")) == len(found["From"].addresses) == 1
        assert found["From"].addresses[0].addr_spec == "jo@mail.example.com", value


@pytest.mark.attack("A20", "A44")
@pytest.mark.parametrize("part", ["subject", "text", "html"])
def test_every_naughty_string_is_a_template_or_refused_with_part_and_line(part):
    for value in filter(str.strip, STRINGS):
        given = {"subject": "Hello", "text": "Hello", "html": ""} | {part: value}
        compiled, refusal = tried(compile_step, **given, step="Step 2")
        if refusal:
            assert refusal.details["part"] == part, value
            assert refusal.details["line"] >= 1, value
            assert str(refusal).startswith(f"Step 2, {part}"), value
        else:
            assert isinstance(getattr(compiled, part).render({}, strict=False), str)


@pytest.mark.attack("A20")
@pytest.mark.parametrize(
    ("source", "line", "reason"),
    [
        ("\n{% load log %}", 2, "there is no tag 'load'."),
        ("{% get_admin_log 10 as l %}{{ l }}", 1, "there is no tag 'get_admin_log'."),
        ('a\n\n{% include "/etc/passwd" %}', 3, "there is no tag 'include'."),
        ("{% debug %}", 1, "there is no tag 'debug'."),
        ("a\n{{ settings.SECRET_KEY }}", 2, "settings.SECRET_KEY is not a field."),
        ("{{ user.password }}", 1, "user.password is not a field."),
        ("{{ x.__class__.__mro__ }}", 1, "x.__class__.__mro__ is not a field."),
        ("{{ obj.delete }}", 1, "obj.delete is not a field."),
        ('\n{{ x | ljust: "999999999" }}', 2, "unknown filter 'ljust'."),
        ("{% for a in (1..1000000000) %}x{% endfor %}", 1, "the range (1..1000000000) needs two whole numbers"),
    ],
)
@pytest.mark.parametrize("part", ["text", "html"])
def test_a_way_out_of_a_template_is_refused_with_line_and_reason(source, line, reason, part):
    with pytest.raises(BadInput) as refusal:
        compile_step("Hello", source if part == "text" else "Hi", source if part == "html" else "", step="Step 2")

    assert str(refusal.value).startswith(f"Step 2, {part}, line {line}: {reason}")
    assert {key: refusal.value.details[key] for key in ("part", "line")} == {"part": part, "line": line}


@pytest.mark.attack("A20")
def test_a_request_is_a_field_that_nobody_has():
    with pytest.raises(MissingField, match="The step, text, line 1: the contact has no request"):
        message(text="{{ request }}")
