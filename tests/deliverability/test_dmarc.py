"""DMARC records, their walk up the tree, and their reports, as findings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliverability.dns import dmarc, dmarc_record, tree_walk
from tests.deliverability.name_server import SERVFAIL, TIMEOUT

GOOD = "v=DMARC1; p=reject; rua=mailto:d@example.com"


def codes(findings):
    return [(finding.level, finding.code) for finding in findings]


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([GOOD], [("pass", "sound")]),
        (["v = DMARC1 ;p=None;rua = mailto:d@example.com , mailto:e@sub.example.com;"], [("pass", "sound")]),
        (["unrelated", GOOD], [("pass", "sound")]),
        (["unrelated"], [("fail", "missing")]),
        ([GOOD, GOOD + "; t=y"], [("fail", "several")]),
        (["v=dmarc1; p=none"], [("fail", "version")]),
        (["p=none; v=DMARC1"], [("fail", "missing")]),
        (["v=DMARC1; p=none"], [("pass", "sound"), ("warn", "no_reports")]),
        (["v=DMARC1; sp=reject"], [("fail", "no_policy")]),
        (["v=DMARC1; p=rejekt"], [("fail", "no_policy"), ("warn", "syntax")]),
        (["v=DMARC1; rua=mailto:d@example.com"], [("warn", "no_policy"), ("pass", "sound")]),
        ([GOOD + "; t=y"], [("pass", "sound"), ("warn", "testing")]),
        ([GOOD + "; pct=50"], [("pass", "sound"), ("warn", "testing"), ("warn", "removed")]),
        ([GOOD + "; pct=many"], [("pass", "sound"), ("warn", "removed"), ("warn", "removed")]),
        ([GOOD + "; foo=bar"], [("pass", "sound"), ("warn", "syntax")]),
        ([GOOD + "; p=none"], [("pass", "sound"), ("warn", "syntax")]),
        ([GOOD.encode() + b"; x=\xff"], [("pass", "sound"), ("warn", "syntax"), ("warn", "syntax")]),
        (["v=DMARC1; p=none; rua=d@example.com"], [("pass", "sound"), ("warn", "syntax"), ("warn", "no_reports")]),
    ],
)
def test_records(server, resolver, records, expected):
    server.put("_dmarc.example.com", "TXT", *records)
    assert codes(dmarc.check(resolver, "example.com")) == expected


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("v=DMARC1; p=rejekt", 13, "p=rejekt is none of none, quarantine, reject"),
        ("v=DMARC1; p=none; adkim=strict", 25, "adkim=strict is none of r, s"),
        ("v=DMARC1; p=none; psd=x", 23, "psd=x is none of y, n, u"),
        ("v=DMARC1; p=none; t=1; np=reject", 21, "t=1 is none of y, n"),
        ("v=DMARC1; p=none; fo=2", 22, "fo=2 is none of"),
        ("v=DMARC1; p=none; ri=86400", 19, "ri= was removed by RFC 9989"),
        ("v=DMARC1; p=none; rua=a@example.com", 23, "is no URI (is mailto: missing in front?)"),
        ("v=DMARC1; p=none; rua=mailto:a@example.com, mailto:b", 45, "'mailto:b' holds no mail address"),
        ("v=DMARC1; p=none; ruf=https://example.com/x", 23, "only to mailto:"),
        ("v=DMARC1; p=none; rua=mailto:a@example.com!10m", 23, "the size limit after ! was removed"),
        ("v=DMARC1; p=none;; sp=none", 18, "a semicolon too many"),
        ("v=DMARC1; p=none; reject", 19, "'reject' is no tag of the form name=value"),
    ],
)
def test_faults_have_a_place(text, place, said):
    (fault,) = dmarc_record.parse(text).faults
    assert fault.place == place
    assert said in fault.text


@given(st.lists(st.sampled_from(["p=", "sp=none", "rua=mailto:", "rua=", ";", ",", "=", "v=DMARC1", "@", "%00", "!9"])
                | st.text(st.characters(max_codepoint=255), max_size=20), max_size=12))  # fmt: skip
def test_no_text_makes_the_reading_raise(parts):
    record = dmarc_record.parse("v=DMARC1;" + "".join(parts))
    assert record.wants(below=False) in dmarc_record.POLICIES


@pytest.mark.fault("F29")
@pytest.mark.parametrize("word", [SERVFAIL, TIMEOUT])
@pytest.mark.parametrize("name", ["_dmarc.mail.example.com", "_dmarc.example.com"])
def test_trouble_is_unknown(server, resolver, word, name):
    server.put(name, "TXT", word)
    assert codes(dmarc.check(resolver, "mail.example.com")) == [("unknown", "no_answer")]


# --- The walk ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "exists", "wants"),
    [
        ("v=DMARC1; p=reject; sp=quarantine; np=none; rua=mailto:d@example.com", True, "quarantine"),
        ("v=DMARC1; p=reject; sp=quarantine; np=none; rua=mailto:d@example.com", False, "none"),
        ("v=DMARC1; p=reject; np=none; rua=mailto:d@example.com", True, "reject"),
    ],
)
def test_the_record_of_the_organization_counts_below_it(server, resolver, record, exists, wants):
    server.put("_dmarc.example.com", "TXT", record)
    if exists:
        server.put("news.mail.example.com", "A", "192.0.2.1")

    (finding,) = dmarc.check(resolver, "news.mail.example.com")

    assert finding.text == f"DMARC asks for {wants}, by the record of example.com."


def test_a_walk_asks_eight_times_at_most(server, resolver):
    tree_walk.walk(resolver, "a.b.c.d.e.f.g.h.i.j.example.com")

    above = ["f.g.h.i.j.example.com", "g.h.i.j.example.com", "h.i.j.example.com", "i.j.example.com"]
    above += ["j.example.com", "example.com", "com"]
    asked = [name for _, name, _ in server.asked]
    assert asked == [f"_dmarc.{name}" for name in ("a.b.c.d.e.f.g.h.i.j.example.com", *above)]


@pytest.mark.parametrize(
    ("records", "organization"),
    [
        ({}, "a.mail.example.com"),
        ({"example.com": "p=none"}, "example.com"),
        ({"mail.example.com": "p=none", "example.com": "p=none"}, "example.com"),
        ({"mail.example.com": "p=none; psd=n", "example.com": "p=none"}, "mail.example.com"),
        ({"com": "p=none; psd=y"}, "example.com"),
        ({"mail.example.com": "p=none", "com": "p=none; psd=y"}, "example.com"),
        ({"a.mail.example.com": "p=none; psd=y", "example.com": "p=none"}, "a.mail.example.com"),
        ({"a.mail.example.com": "p=none", "example.com": ["p=none", "p=reject"]}, "a.mail.example.com"),
    ],
)
def test_the_organizational_domain(server, resolver, records, organization):
    for domain, tags in records.items():
        server.put(
            f"_dmarc.{domain}", "TXT", *(f"v=DMARC1; {each}" for each in ([tags] if isinstance(tags, str) else tags))
        )
    assert tree_walk.walk(resolver, "a.mail.example.com").organization == organization


def test_the_record_of_a_public_suffix_counts_where_nothing_else_stands(server, resolver):
    server.put("_dmarc.com", "TXT", "v=DMARC1; p=none; sp=reject; psd=y; rua=mailto:d@registry.com")
    server.put("example.com._report._dmarc.registry.com", "TXT", "v=DMARC1")
    server.put("mail.example.com", "A", "192.0.2.1")

    assert dmarc.check(resolver, "mail.example.com")[0].text == "DMARC asks for reject, by the record of com."


@pytest.mark.parametrize(
    ("domain", "author", "tags", "level"),
    [
        ("example.com", "example.com", "adkim=s", "pass"),
        ("mail.example.com", "example.com", "adkim=r", "pass"),
        ("example.com", "news.example.com", "", "pass"),
        ("mail.example.com", "example.com", "adkim=s", "fail"),
        ("example.net", "example.com", "", "fail"),
        ("notexample.com", "example.com", "", "fail"),
        ("com", "example.com", "", "fail"),
    ],
)
def test_alignment(server, resolver, domain, author, tags, level):
    server.put("_dmarc.example.com", "TXT", f"v=DMARC1; p=none; {tags}")
    assert dmarc.alignment(resolver, "dkim", domain, author).level == level


def test_alignment_that_nobody_can_tell(server, resolver):
    server.put("_dmarc.example.com", "TXT", SERVFAIL)
    assert dmarc.alignment(resolver, "spf", "mail.example.com", "example.com").level == "unknown"


# --- Reports -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "level", "code"),
    [
        ("v=DMARC1", "pass", "reports_taken"),
        ("v=DMARC1; rua=mailto:x@reports.example.net", "pass", "reports_taken"),
        ("v=DMARC10", "warn", "reports_foreign"),
        (None, "warn", "reports_foreign"),
        (SERVFAIL, "unknown", "reports_no_answer"),
        (TIMEOUT, "unknown", "reports_no_answer"),
    ],
)
def test_reports_to_another_organization_need_its_consent(server, resolver, answer, level, code):
    server.put("_dmarc.example.com", "TXT", "v=DMARC1; p=none; rua=mailto:a@reports.example.net")
    if answer:
        server.put("example.com._report._dmarc.reports.example.net", "TXT", answer)

    assert codes(dmarc.check(resolver, "example.com")) == [("pass", "sound"), (level, code)]
