"""Whatever DNS says, the checks end in findings that can be printed."""

from hypothesis import given, settings
from hypothesis import strategies as st

from deliverability.dns import checks, dmarc
from deliverability.dns.findings import SHOWN_CHARS, Finding, found, shown, worst
from tests.deliverability.scripted import Scripted

BYTES = st.text(st.characters(max_codepoint=255), max_size=60)
TEXTS = st.one_of(
    BYTES,
    BYTES.map("v=spf1 include:%{d}.x.com a mx ".__add__),
    BYTES.map("v=DMARC1; rua=mailto:a@b.example.net;".__add__),
    BYTES.map("v=DKIM1; p=".__add__),
    st.sampled_from(
        ["v=spf1 a mx ptr include:b.example.com -all", "v=DMARC1; psd=y", "v=DMARC1; p=none;", "p=", "", "\x00"]
    ),
)
STATUSES = st.sampled_from(["records"] * 5 + ["nxdomain", "no_data", "servfail", "timeout", "refused"])


@settings(max_examples=150, deadline=None)
@given(
    texts=st.lists(TEXTS, max_size=4),
    statuses=st.lists(STATUSES, min_size=1, max_size=6),
    hosts=st.lists(
        st.sampled_from([".", "192.0.2.1", "a.example.com", "\\000\\046.example.com", "x" * 64 + ".com", ""])
    ),
)
def test_no_answers_make_a_check_raise(texts, statuses, hosts):
    resolver = Scripted(texts, statuses, hosts)
    findings = checks.check(
        resolver,
        "mail.example.com",
        selectors=["s1"],
        ips=["192.0.2.1", "2001:db8::1"],
        ways_out=["include:_spf.example.net"],
        links=("go.example.com", "links.example.net"),
    )
    findings.append(dmarc.alignment(resolver, "dkim", "example.com", "mail.example.com"))

    assert {finding.check for finding in findings} == {"mx", "spf", "dkim", "dmarc", "ptr", "tracking"}
    for finding in findings:
        for text in (finding.text, finding.remedy, *finding.evidence):
            assert text.isascii()
            assert text.isprintable()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["servfail", "timeout", "refused"]), min_size=1, max_size=5))
def test_where_nobody_answers_nothing_fails(statuses):
    findings = checks.check(Scripted([], statuses), "example.com", selectors=["s1"], ips=["192.0.2.1"])
    assert {finding.level for finding in findings} == {"unknown"}


def test_what_is_shown_can_be_printed_and_has_an_end():
    assert shown("a\x1b[1m\xff\n\u202e") == "a\\x1b[1m\\xff\\n\\u202e"
    assert shown("x" * 600) == "x" * SHOWN_CHARS + "... (600 characters)"


def test_the_worst_level_decides():
    levels = ["pass", "warn", "unknown", "fail"]
    for number, level in enumerate(levels, 1):
        assert worst([found("spf", each, "code", "text") for each in levels[:number]]) == level
    assert worst([]) == "pass"
    assert Finding("spf", "pass", "sound", "Good.").as_dict() == {
        "check": "spf",
        "level": "pass",
        "code": "sound",
        "text": "Good.",
        "remedy": "",
        "evidence": (),
    }
