"""The bytes of a message: one From, one To, the right words, whatever the fields hold (A01-A04, A23)."""

import email
import re
import time
from email import policy

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from campaigns.pipeline import mime, parts
from campaigns.pipeline.renderer import (
    CampaignContent,
    RecipientContent,
    SenderContent,
    Skeleton,
    StepContent,
    step_skeleton,
)
from campaigns.templating import MissingField, TemplateTooCostly, compile_part
from outreach.common.addresses import HeaderInjection
from outreach.common.errors import BadInput

CAMPAIGN = CampaignContent(12, 3, "acme", "Acme GmbH\nMain Road 1\n12345 Town", "lists.example.com")
SENDER = SenderContent("jo@mail.example.com", "Jo Doe", "answers@example.com")
MESSAGE_ID, TOKEN, DATE = "abc123@mail.example.com", "AQJrMQAB-_xyzMACMACMACMACMACMA", "Tue, 24 Nov 2026 05:14:59 +0000"
URL = f"https://go.example.com/u/{TOKEN}"


def skeleton(subject="Hello", text="Hello", html="", *, sender=SENDER, campaign=CAMPAIGN):
    return Skeleton.build(StepContent(1, subject, text, html, 1), sender, campaign, "https://go.example.com/")


def render(subject="Hello", text="Hello", html="", fields=None, to="ann@example.org", thread=(), **options):
    made = skeleton(subject, text, html, **options)
    return made.render(RecipientContent(to, fields or {}), MESSAGE_ID, TOKEN, DATE, thread)


def parsed(content):
    """Return the message, after the checks that hold for every one of them."""
    head = content.split(b"\r\n\r\n")[0]
    assert head.isascii()
    assert content.isascii()
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", content), "a bare CR or LF"
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert content.endswith(b"\r\n")
    message = email.message_from_bytes(content, policy=policy.SMTP)
    for part in message.walk():
        assert not part.defects
    for name in ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "List-Unsubscribe", "List-Id"):
        assert len(message.get_all(name)) == 1, name
    assert len(message["From"].addresses) == len(message["To"].addresses) == 1
    assert not set(message.keys()) & {"Bcc", "Cc"}
    return message


def words(message, kind):
    """Return a part's text with \\n; the last line end belongs to the boundary, so it is put back."""
    text = message.get_body((kind,)).get_payload(decode=True).decode("utf-8").replace("\r\n", "\n")
    return text if text.endswith("\n") else text + "\n"


def test_a_message_has_every_header_and_both_parts():
    message = parsed(
        render(
            "Hello {{ first_name }}", "Dear {{ first_name }}", "<p>Dear {{ first_name }}</p>", {"first_name": "Ann"}
        ).content
    )

    assert message.items()[:-1] == [
        ("From", "Jo Doe <jo@mail.example.com>"),
        ("To", "ann@example.org"),
        ("Subject", "Hello Ann"),
        ("Date", DATE),
        ("Message-ID", f"<{MESSAGE_ID}>"),
        ("Reply-To", "answers@example.com"),
        ("List-Unsubscribe", f"<{URL}>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("List-Id", "<c12.acme.lists.example.com>"),
        ("Feedback-ID", "c12:t3:campaign:outreach"),
        ("Precedence", "bulk"),
        ("MIME-Version", "1.0"),
    ]
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert words(message, "plain") == (f"Dear Ann\n\n-- \nAcme GmbH\nMain Road 1\n12345 Town\nUnsubscribe: {URL}\n")
    assert words(message, "html") == (
        '<p>Dear Ann</p>\n<p style="font-size:12px;color:#595959">Acme GmbH<br>\nMain Road 1<br>\n12345 Town<br>\n'
        f'<a href="{URL}">Unsubscribe</a></p>\n'
    )


def test_without_html_the_message_is_plain_text_and_the_hash_is_of_its_bytes():
    first, second = render(text="Hi"), render(text="Hi!")

    assert parsed(first.content).get_content_type() == "text/plain"
    assert len(first.content_hash) == 32
    assert first.content_hash != second.content_hash
    assert first == render(text="Hi")


@pytest.mark.parametrize("subject", ["Re: Hello", "RE[2]: Fwd: Hello", " aw : Hello"])
def test_a_mail_without_a_thread_claims_no_earlier_one(subject):
    message = parsed(render(subject).content)
    assert message["Subject"] == "Hello"
    assert "In-Reply-To" not in message
    assert "References" not in message


def test_a_follow_up_names_the_thread():
    message = parsed(render("Re: Hello", thread=("one@example.com", "<two@example.com>")).content)

    assert message["In-Reply-To"] == "<two@example.com>"
    assert message["References"] == "<one@example.com> <two@example.com>"


@pytest.mark.parametrize(
    ("source", "fields", "expected"),
    [
        ("{{ a }}", {"a": "x"}, "x"),
        ('{{ a | default: "" }}', {"a": " \u00a0"}, ""),
        ('{{ a | default: "you" }}', {"a": ""}, "you"),
        ('{{ contact.a }} {{ contact["b c"] }}', {"a": "x", "b c": "y"}, "x y"),
        ("  {{- a -}}  !", {"a": "x"}, "x!"),
        ("{{ sender_name }} {{ sender_email }}", {"sender_name": "Mallory"}, "Jo Doe jo@mail.example.com"),
        ("{% if a %}yes{% else %}no{% endif %}", {"a": ""}, "no"),
    ],
)
def test_fields_are_filled_in(source, fields, expected):
    assert words(parsed(render(text=source, fields=fields).content), "plain").startswith(f"{expected}\n\n-- \n")


# --- What the law wants ------------------------------------------------------------------------------------


@pytest.mark.parametrize("filler", ["", "{% if a %}{% endif %}"])  # filled in directly, by Liquid
@pytest.mark.parametrize(
    ("html", "links", "addresses"),
    [
        ("<p>Hi</p>", 1, 1),
        ('<a href="{{ unsubscribe_url }}">stop</a>', 1, 1),
        ('<a href="{{ unsubscribe_url }}">stop</a> {{ postal_address }}', 1, 1),
        ('<!-- <a href="{{ unsubscribe_url }}">stop</a> {{ postal_address }} --><p>Hi</p>', 1, 1),
        ("<!-- {{ unsubscribe_url }} {{ postal_address }}", 0, 0),
        ("{% if false %}{{ unsubscribe_url }}{{ postal_address }}{% endif %}Hi", 1, 1),
        ("{{ unsubscribe_url | upcase }}", 1, 1),
        ("<html><body>Hi</body></html>", 1, 1),
    ],
)
def test_link_and_address_are_visible_once_whatever_the_template_does(html, links, addresses, filler):
    shown = parts.without_comments(words(parsed(render(html=html + filler).content), "html"))

    if links:
        assert (shown.count(URL), shown.count("Acme GmbH")) == (links, addresses)
    assert shown.find(URL) < shown.find("</body>") or "</body>" not in shown


@pytest.mark.parametrize("filler", ["", "{% if a %}{% endif %}"])
@pytest.mark.parametrize(
    "text", ["Hi", "Hi {{ unsubscribe_url }}", "{{ postal_address }}", "{{ unsubscribe_url }} {{ postal_address }}"]
)
def test_the_text_part_shows_them_too(text, filler):
    shown = words(parsed(render(text=text + filler).content), "plain")

    assert shown.count(URL) == 1
    assert "Main Road 1" in shown


def test_a_postal_address_is_data_too():
    campaign = CampaignContent(1, 1, "a", "R&D {{ first_name }} <b>\r\nTown", "lists.example.com")
    message = parsed(render(html="<p>Hi</p>", fields={"first_name": "Ann"}, campaign=campaign).content)

    assert "R&D {{ first_name }} <b>\nTown\n" in words(message, "plain")
    assert "R&amp;D {{ first_name }} &lt;b&gt;<br>\nTown<br>" in words(message, "html")


# --- Nasty input ----------------------------------------------------------------------------------------------


@pytest.mark.attack("A01", "A03")
@pytest.mark.parametrize(
    "value",
    [
        *(
            "x\r\nBcc: evil@example.com",
            "x\rBcc: e@x.de",
            "x\nBcc: e@x.de",
            "x\n",
            "\r\n\r\nbody",
            "x\u2028y",
            "x\u2029y",
            "x\x85y",
        ),
        *("\u202egnp.exe", "\u2066x", "=?utf-8?q?a=0ABcc=3A_x?="),
    ],
)
@pytest.mark.parametrize("subject", ["Hi {{ company }}", "Hi {% if company %}{{ company }}{% endif %}"])
def test_a_field_that_would_forge_a_header_fails_its_recipient_only(value, subject):
    made = skeleton(subject)

    with pytest.raises(HeaderInjection, match="company"):
        made.render(RecipientContent("ann@example.org", {"company": value}), MESSAGE_ID, TOKEN, DATE)
    good = made.render(RecipientContent("ann@example.org", {"company": "Acme"}), MESSAGE_ID, TOKEN, DATE)
    assert parsed(good.content)["Subject"] == "Hi Acme"


@pytest.mark.attack("A01", "A03")
@pytest.mark.parametrize(
    "name", ["Jo\r\nBcc: x", "Jo\nx", "Jo\0x", "Jo\u2028x", "\u202eJo", "=?utf-8?q?a=0ABcc=3A_x?="]
)
def test_a_display_name_that_would_forge_a_header_is_refused(name):
    with pytest.raises(HeaderInjection, match="The display name"):
        skeleton(sender=SenderContent("jo@mail.example.com", f"a{name}b"))


@pytest.mark.attack("A04")
@pytest.mark.parametrize(
    "to", ["a@b.c\r\nRCPT TO:<x@y.z>", "<a@b.cd>", "a@b.cd, c@d.ef", "a@b.cd\nBcc: x@y.zz", "Ann <a@b.cd>"]
)
def test_a_recipient_is_one_address(to):
    with pytest.raises(BadInput):
        render(to=to)


def test_a_recipient_with_an_internationalized_domain_is_written_in_ascii():
    assert parsed(render(to="ann@bücher.de").content)["To"] == "ann@xn--bcher-kva.de"
    with pytest.raises(BadInput, match="SMTPUTF8"):
        render(to="почта@example.org")


@pytest.mark.parametrize("odd", ["a\r\nb", "a b\n", "ä"])
def test_our_own_ids_are_checked_as_well(odd):
    made = skeleton()
    for given_ids in ((odd, TOKEN, DATE), (MESSAGE_ID, odd, DATE), (MESSAGE_ID, TOKEN, odd)):
        with pytest.raises(BadInput):
            made.render(RecipientContent("ann@example.org", {}), *given_ids)


@pytest.mark.attack("A04")
def test_line_breaks_in_bodies_become_crlf_and_dots_stay_for_the_transport():
    value = "a\n.\nb\r.\rc\r\n.\r\nd\0\x0b\x1b"
    content = render(text="{{ a }}", html="{{ a }}", fields={"a": value}).content

    assert words(parsed(content), "plain").startswith("a\n.\nb\n.\nc\n.\nd\n\n-- \n")


@pytest.mark.attack("A23")
def test_values_are_data_in_every_part():
    fields = {"a": "{{ b }}<script>&", "b": "secret"}
    message = parsed(render("{{ a }}", "{{ a }}", "{{ a }}", fields).content)

    assert message["Subject"] == "{{ b }}<script>&"
    assert words(message, "plain").startswith("{{ b }}<script>&\n")
    assert words(message, "html").startswith("{{ b }}&lt;script&gt;&amp;\n")


@pytest.mark.attack("A21")
def test_a_template_that_runs_away_is_the_templates_fault():
    made = skeleton(text='{% assign l = a | split: "," %}{{ l | join: a }}')

    with pytest.raises(TemplateTooCostly):
        made.render(RecipientContent("ann@example.org", {"a": "x," * 4000}), MESSAGE_ID, TOKEN, DATE)


nasty = st.text(
    st.one_of(
        st.sampled_from("abc =?_.\"\\<>@,;:()[]{}%&'\t\r\n\0\x0b\x1f\x7f\x85\xa0äßжи中🎉\u200d\u2028\u202e\ufeff-"),
        st.characters(blacklist_categories=["Cs"]),
    ),
    max_size=200,
)
readable = nasty.map(lambda text: "".join(c for c in text if c.isprintable()).replace("=?", "=")).filter(str.strip)


@settings(max_examples=150, deadline=None)
@given(readable, readable, nasty, nasty)
@example("x" * 990, "y" * 990, "z" * 2000, "ж" * 2000)
@example("a " * 400, " b" * 400, "word " * 500, "=" * 3000)
@example("ж" * 500, "🎉" * 300, "x" * 997 + "\n" + "x" * 999, " \n" * 50)
@example('Doe, "Jo" <jo@example.com>', "=_abc", "--=_abc\n--", "From me\n.\n..\n")
def test_any_value_gives_one_message_that_says_what_was_meant(subject, name, first, second):
    fields = {"subject": subject, "first": first, "second": second}
    body = 'a {{ first | default: "" }} b {{ second | default: "" }} c'
    made = skeleton(
        "{{ subject }}",
        body,
        body,
        sender=SenderContent("jo@mail.example.com", name),
    )
    message = parsed(made.render(RecipientContent("ann@example.org", fields), MESSAGE_ID, TOKEN, DATE).content)

    meant = [value if value.strip() else "" for value in map(parts.clean, (first, second))]
    assert message["Subject"] == re.sub(" {2,}", " ", subject).strip()
    assert message["From"].addresses[0].addr_spec == "jo@mail.example.com"
    assert words(message, "plain").startswith(f"a {meant[0]} b {meant[1]} c\n")
    assert email.message_from_bytes(message.as_bytes(), policy=policy.default)["Subject"] == message["Subject"]


@settings(max_examples=200, deadline=None)
@given(readable)
@example('"quoted" \\ back')
@example("x" * 300)
@example("ж" * 60)
def test_a_display_name_arrives_as_it_is(name):
    message = parsed(render(sender=SenderContent("jo@mail.example.com", name)).content)

    # the parser of Python keeps the space between two encoded words, which RFC 2047 drops
    assert "".join(message["From"].addresses[0].display_name.split()) == "".join(name.split())


piece = st.one_of(
    st.sampled_from(["Hello ", "<b>", "ä", "\n", "&", "Привет мир ", "", "x" * 300, "=", " "]),
    st.sampled_from(
        ["{{ a }}", "{{ b }}", "{{- a -}}", '{{ a | default: "ü & x" }}', "{{ contact.b }}", "{{ c | default: '<i>' }}"]
    ),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(piece, min_size=1, max_size=12).map("".join), nasty, nasty)
def test_filling_in_directly_gives_what_liquid_gives(source, first, second):
    values = {name: parts.clean(value) for name, value in (("a", first), ("b", second)) if value}
    values["unsubscribe_url"] = URL
    for part in ("text", "html"):
        compiled = compile_part(part, source)
        direct, liquid = parts.DirectPart(compiled, compiled.pieces), parts.LiquidPart(compiled)

        assert outcome(direct, values) == outcome(liquid, values)


def outcome(part, values):
    """Return the text, or what is missing and where."""
    try:
        return decoded(part.body(values))
    except MissingField as error:
        return str(error)


def decoded(body):
    message = email.message_from_bytes(mime.single("", body))
    if body[0] == "quoted-printable":
        assert max(map(len, body[1].split(b"\r\n"))) <= 76
    return message.get_payload(decode=True)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("plain", "7bit"),
        ("x" * 998, "7bit"),
        ("x" * 999, "quoted-printable"),
        ("ein größeres Haus am Meer mit Garten", "quoted-printable"),
        ("Привет", "base64"),
    ],
)
def test_the_encoding_is_the_shortest_that_every_server_takes(text, encoding):
    assert mime.body(text + "\r\n")[0] == encoding


# --- Speed ---------------------------------------------------------------------------------------------------------


def test_four_kilobytes_render_in_well_under_a_tenth_of_a_millisecond():
    """Sixty microseconds is the aim on a free core; the bound leaves room for a busy one."""
    text = (
        'Hello {{ first_name | default: "there" }},\n\n' + "Lorem ipsum dolor sit amet.\n" * 40 + "{{ sender_name }}\n"
    )
    html = "<p>Hello {{ first_name }} of {{ company }}</p>\n" + "<p>Lorem ipsum dolor sit amet.</p>\n" * 80
    made = skeleton("A question for {{ company }}", text, html)
    recipient = RecipientContent("ann.lee@example.org", {"first_name": "Ann", "company": "Lee & Sons"})
    assert len(made.render(recipient, MESSAGE_ID, TOKEN, DATE).content) > 4_000

    assert best_of(lambda: made.render(recipient, MESSAGE_ID, TOKEN, DATE)) < 150e-6


def test_one_more_mailbox_costs_no_compilation():
    step = StepContent(1, "Hello", "Hello " * 1000, "<p>Hello</p>" * 1000, 1)
    mailboxes = [SenderContent(f"jo{number}@mail.example.com", "Jo Doe") for number in range(50)]
    made = [Skeleton.build(step, sender, CAMPAIGN, "https://go.example.com") for sender in mailboxes]

    assert len({id(skeleton._body) for skeleton in made}) == 1
    assert step_skeleton(step, CAMPAIGN, "https://go.example.com") is made[0]._body
    assert best_of(lambda: Skeleton.build(step, SENDER, CAMPAIGN, "https://go.example.com")) < 200e-6


def best_of(function, times=7, loops=200):
    best = float("inf")
    for _ in range(times):
        began = time.thread_time()
        for _ in range(loops):
            function()
        best = min(best, (time.thread_time() - began) / loops)
    return best
