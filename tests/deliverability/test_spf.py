"""Faults of SPF records, as findings."""

import pytest

from deliverability.dns import spf
from tests.deliverability.name_server import SERVFAIL, TIMEOUT


def codes(findings):
    return [(finding.level, finding.code) for finding in findings]


def test_a_sound_record(server, resolver):
    server.put("example.com", "TXT", "other", "v=spf1 include:in.example.net a -all")
    server.put("example.com", "A", "192.0.2.1")
    server.put("in.example.net", "TXT", "v=spf1 ip4:192.0.2.0/24 ?all")

    findings = spf.check(resolver, "example.com")

    assert codes(findings) == [("pass", "sound"), ("pass", "closed")]
    assert findings[0].text == "There is one SPF record, with 2 look-ups of 10."
    assert findings[0].evidence == ("v=spf1 include:in.example.net a -all",)


@pytest.mark.parametrize(
    ("records", "level", "code"),
    [
        (["unrelated"], "fail", "missing"),
        (["v=spf1 -all", "v=spf1 ~all"], "fail", "several"),
        (["v=spf1 ipv4:1.2.3.4 -all"], "fail", "syntax"),
        ([b"v=spf1 ip4:1.2.3.4 \xff -all"], "fail", "syntax"),
        (["v=spf1 +all"], "fail", "all_pass"),
        (["v=spf1 ip4:192.0.2.1"], "warn", "open_end"),
        (["v=spf1 ?all"], "warn", "open_end"),
        (["v=spf1 ptr -all"], "warn", "ptr"),
        (["v=spf1 " + "ip4:192.0.2.111 " * 40 + "-all"], "warn", "long"),
        (["v=spf1 include:example.com -all"], "fail", "loop"),
        (["v=spf1 include:gone.example.net -all"], "fail", "include_missing"),
        (["v=spf1 redirect=gone.example.net"], "fail", "include_missing"),
        (["v=spf1 a:gone.example.net -all"], "warn", "void_some"),
        (["v=spf1 a:x.example.net mx:y.example.net exists:z.example.net -all"], "fail", "void"),
    ],
)
def test_faults(server, resolver, records, level, code):
    server.put("example.com", "TXT", *records)
    assert (level, code) in codes(spf.check(resolver, "example.com"))


def test_the_place_of_a_fault_is_told(server, resolver):
    server.put("example.com", "TXT", "v=spf1 ip4:192.0.2.1 ip4:192.0.2.300 -all")

    (finding,) = spf.check(resolver, "example.com")

    assert finding.text == "The SPF record of example.com is broken at character 26: '192.0.2.300' is no IPv4 address."


def test_a_circle_over_two_domains_names_the_way(server, resolver):
    server.put("example.com", "TXT", "v=spf1 include:b.example.net -all")
    server.put("b.example.net", "TXT", "v=spf1 redirect=example.com")

    (finding,) = spf.check(resolver, "example.com")

    assert (finding.code, finding.text.partition(": ")[2]) == (
        "loop",
        "example.com -> b.example.net -> example.com.",
    )


@pytest.mark.parametrize(("number", "level"), [(10, "pass"), (11, "fail"), (60, "fail")])
def test_look_ups_are_counted_through_includes(server, resolver, number, level):
    server.put("example.com", "TXT", "v=spf1 include:in.example.net -all")
    server.put("in.example.net", "TXT", "v=spf1 " + "a:host.example.net " * (number - 1) + "-all")
    server.put("host.example.net", "A", "192.0.2.1")

    found = {finding.code: finding for finding in spf.check(resolver, "example.com")}

    assert ("look_ups" in found) == (level == "fail")
    if number == 11:
        assert found["look_ups"].text.startswith("The SPF record needs 11 look-ups, 10 are allowed")
    if number == 60:
        assert "needs more than 40 look-ups" in found["look_ups"].text


@pytest.mark.fault("F29")
@pytest.mark.parametrize("word", [SERVFAIL, TIMEOUT])
@pytest.mark.parametrize("name", ["example.com", "in.example.net"])
def test_trouble_is_unknown_and_never_a_failure(server, resolver, word, name):
    server.put("example.com", "TXT", "v=spf1 include:in.example.net -all")
    server.put(name, "TXT", word)

    assert codes(spf.check(resolver, "example.com")) == [("unknown", "no_answer")]
    assert spf.client(resolver, "example.com", "192.0.2.1").level == "unknown"
    assert [each.level for each in spf.covers(resolver, "example.com", ["include:other.example.net"])] == ["unknown"]


def test_a_certain_fault_stays_one_beside_trouble(server, resolver):
    server.put("example.com", "TXT", "v=spf1 a:slow.example.net " + "a:host.example.net " * 10 + "-all")
    server.put("slow.example.net", "A", SERVFAIL)
    server.put("host.example.net", "A", "192.0.2.1")

    assert codes(spf.check(resolver, "example.com")) == [("unknown", "no_answer"), ("fail", "look_ups")]


def test_ways_out(server, resolver):
    server.put("example.com", "TXT", "v=spf1 ip4:192.0.2.1 include:in.example.net ?include:half.example.net ~all")
    server.put("in.example.net", "TXT", "v=spf1 include:_spf.deep.example.net ip6:2001:db8::/32 -all")
    server.put("_spf.deep.example.net", "TXT", "v=spf1 -all")
    server.put("half.example.net", "TXT", "v=spf1 -all")
    ways = ["192.0.2.1", "2001:db8::7", "198.51.100.1", "include:in.example.net", "include:_SPF.deep.example.net."]
    ways += ["include:half.example.net", "include:absent.example.net"]

    assert codes(spf.covers(resolver, "example.com", ways)) == [
        ("pass", "ip_pass"),
        ("pass", "ip_pass"),
        ("fail", "ip_softfail"),
        ("pass", "covered"),
        ("pass", "covered"),
        ("fail", "not_covered"),
        ("fail", "not_covered"),
    ]


def test_a_record_of_64_kilobytes_ends_in_a_verdict(server, resolver):
    server.put("example.com", "TXT", "v=spf1 " + "ip4:192.0.2.7 " * 4400 + "%{d}" * 50)

    (finding,) = spf.check(resolver, "example.com")

    assert finding.code == "syntax"
    assert len(finding.evidence[0]) < 600
