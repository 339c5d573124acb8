"""SPF as a receiver judges it. Many cases follow the examples of RFC 7208, appendix A."""

import ipaddress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deliverability.dns.spf_evaluate import evaluate
from deliverability.dns.spf_macros import Circumstances, expand
from deliverability.dns.spf_record import SpfSyntaxError, parse
from tests.deliverability.name_server import REFUSED, SERVFAIL, TIMEOUT
from tests.deliverability.scripted import Scripted

INSIDE, OUTSIDE = "192.0.2.65", "198.51.100.77"


@pytest.fixture
def rfc_zone(server):
    """The zone of appendix A."""
    server.put("example.com", "MX", (10, "mail-a.example.com"), (20, "mail-b.example.com"))
    server.put("example.com", "A", "192.0.2.10", "192.0.2.11")
    server.put("amy.example.com", "A", "192.0.2.65")
    server.put("bob.example.com", "A", "192.0.2.66")
    server.put("mail-a.example.com", "A", "192.0.2.129")
    server.put("mail-b.example.com", "A", "192.0.2.130")
    server.put("example.org", "MX", (10, "mail-c.example.org"))
    server.put("mail-c.example.org", "A", "192.0.2.140")
    server.put("10.2.0.192.in-addr.arpa", "PTR", "example.com")
    server.put("65.2.0.192.in-addr.arpa", "PTR", "amy.example.com")
    server.put("140.2.0.192.in-addr.arpa", "PTR", "mail-c.example.org")
    server.put("4.0.0.10.in-addr.arpa", "PTR", "bob.example.com")
    return server


@pytest.mark.parametrize(
    ("record", "passing", "failing"),
    [
        ("v=spf1 +all", ["192.0.2.129", "10.0.0.4"], []),
        ("v=spf1 a -all", ["192.0.2.10", "192.0.2.11"], ["192.0.2.65"]),
        ("v=spf1 a:example.org -all", [], ["192.0.2.10", "192.0.2.140"]),
        ("v=spf1 mx -all", ["192.0.2.129", "192.0.2.130"], ["192.0.2.10"]),
        ("v=spf1 mx:example.org -all", ["192.0.2.140"], ["192.0.2.129"]),
        ("v=spf1 mx mx:example.org -all", ["192.0.2.129", "192.0.2.140"], ["192.0.2.65"]),
        ("v=spf1 mx/30 mx:example.org/30 -all", ["192.0.2.131", "192.0.2.143"], ["192.0.2.132", "192.0.2.144"]),
        ("v=spf1 ptr -all", ["192.0.2.10", "192.0.2.65"], ["192.0.2.140", "10.0.0.4"]),
        ("v=spf1 ip4:192.0.2.128/28 -all", ["192.0.2.129"], ["192.0.2.65"]),
        ("v=spf1 -ip4:192.0.2.65 +all", ["192.0.2.66"], ["192.0.2.65"]),
        ("V=SPF1 IP4:192.0.2.0/24 -ALL", ["192.0.2.1"], ["198.51.100.1"]),
        ("v=spf1 ip6:2001:db8::/32 -all", ["2001:db8::1"], ["2001:db9::1", "192.0.2.1"]),
        ("v=spf1 exists:%{ir}.ok.%{d} -all", ["192.0.2.77"], ["192.0.2.78"]),
        ("v=spf1 unknown=%{d}/x  exp=explain._spf.%{d} all ", ["192.0.2.1"], []),
    ],
)
def test_the_examples_of_the_rfc(rfc_zone, resolver, record, passing, failing):
    rfc_zone.put("example.com", "TXT", "something else", record)
    rfc_zone.put("77.2.0.192.ok.example.com", "A", "127.0.0.2")

    assert [ip for ip in passing if evaluate(resolver, ip, "example.com", "a@example.com").result != "pass"] == []
    assert [ip for ip in failing if evaluate(resolver, ip, "example.com", "a@example.com").result != "fail"] == []


@pytest.mark.parametrize(("sign", "result"), [("+", "pass"), ("-", "fail"), ("~", "softfail"), ("?", "neutral")])
def test_signs(server, resolver, sign, result):
    server.put("example.com", "TXT", f"v=spf1 {sign}ip4:{INSIDE}")

    assert evaluate(resolver, INSIDE, "example.com", "").result == result
    assert evaluate(resolver, OUTSIDE, "example.com", "").result == "neutral"


def test_none(server, resolver):
    server.put("other.com", "TXT", "v=spf10 -all", "spf1 -all", "v=spf1-all")
    for domain in ("example.com", "other.com", "com", "", "a..b.com", "x" * 64 + ".com", "[192.0.2.1]"):
        assert evaluate(resolver, INSIDE, domain, "").result == "none", domain


def test_two_records_are_a_permanent_error(server, resolver):
    server.put("example.com", "TXT", "v=spf1 -all", "v=spf1 +all")
    assert evaluate(resolver, INSIDE, "example.com", "").result == "permerror"


@pytest.mark.parametrize("word", [SERVFAIL, TIMEOUT, REFUSED])
@pytest.mark.parametrize("record", [None, "include:far.example.com", "a:far.example.com", "mx:far.example.com"])
def test_trouble_is_a_temporary_error_wherever_it_happens(server, resolver, word, record):
    server.put("example.com", "TXT", f"v=spf1 {record} +all" if record else word)
    for kind in ("TXT", "A", "MX"):
        server.put("far.example.com", kind, word)

    assert evaluate(resolver, INSIDE, "example.com", "").result == "temperror"


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        ("v=spf1 +all", "pass"),
        ("v=spf1 -all", "softfail"),
        ("v=spf1 ~all", "softfail"),
        ("v=spf1 ?all", "softfail"),
        ("v=spf1 fault:", "permerror"),
        ("no record", "permerror"),
    ],
)
def test_include_takes_a_pass_only(server, resolver, inner, outer):
    server.put("example.com", "TXT", "v=spf1 include:in.example.net ~all")
    server.put("in.example.net", "TXT", inner)
    assert evaluate(resolver, INSIDE, "example.com", "").result == outer


@pytest.mark.parametrize(("inner", "outer"), [("v=spf1 -all", "fail"), ("v=spf1", "neutral"), ("none", "permerror")])
def test_redirect_takes_over(server, resolver, inner, outer):
    server.put("example.com", "TXT", "v=spf1 redirect=in.example.net ip4:203.0.113.1")
    server.put("in.example.net", "TXT", inner)
    assert evaluate(resolver, INSIDE, "example.com", "").result == outer
    assert evaluate(resolver, "203.0.113.1", "example.com", "").result == "pass"


def test_ten_look_ups_are_allowed_and_eleven_are_not(server, resolver):
    for number in range(11):
        server.put(f"i{number}.example.net", "TXT", "v=spf1 -all")
    ten = " ".join(f"include:i{number}.example.net" for number in range(10))
    server.put("ten.example.com", "TXT", f"v=spf1 {ten} -all")
    server.put("eleven.example.com", "TXT", f"v=spf1 {ten} include:i10.example.net -all")

    assert evaluate(resolver, INSIDE, "ten.example.com", "").result == "fail"
    verdict = evaluate(resolver, INSIDE, "eleven.example.com", "")
    assert (verdict.result, verdict.look_ups) == ("permerror", 11)


def test_two_void_look_ups_are_allowed_and_three_are_not(server, resolver):
    server.put("two.example.com", "TXT", "v=spf1 a:v1.example.net mx:v2.example.net -all")
    server.put("three.example.com", "TXT", "v=spf1 a:v1.example.net mx:v2.example.net exists:v3.example.net -all")

    assert evaluate(resolver, INSIDE, "two.example.com", "").result == "fail"
    assert evaluate(resolver, INSIDE, "three.example.com", "").result == "permerror"


@pytest.mark.parametrize("term", ["include:example.com", "redirect=example.com", "include:b.example.com"])
def test_circles_end(server, resolver, term):
    server.put("example.com", "TXT", f"v=spf1 {term}")
    server.put("b.example.com", "TXT", "v=spf1 include:example.com")
    assert evaluate(resolver, INSIDE, "example.com", "").result == "permerror"


def test_more_than_ten_mail_hosts_are_a_permanent_error(server, resolver):
    server.put("example.com", "TXT", "v=spf1 mx -all")
    server.put("example.com", "MX", *((n, f"m{n}.example.com") for n in range(11)))
    assert evaluate(resolver, INSIDE, "example.com", "").result == "permerror"


def test_an_ipv4_address_inside_ipv6_is_taken_out(server, resolver):
    server.put("example.com", "TXT", f"v=spf1 ip4:{INSIDE} -all")
    assert evaluate(resolver, f"::ffff:{INSIDE}", "example.com", "").result == "pass"


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("%{s}", "strong-bad@email.example.com"),
        ("%{o}", "email.example.com"),
        ("%{d}", "email.example.com"),
        ("%{d4}", "email.example.com"),
        ("%{d2}", "example.com"),
        ("%{d1}", "com"),
        ("%{dr}", "com.example.email"),
        ("%{d2r}", "example.email"),
        ("%{l}", "strong-bad"),
        ("%{l-}", "strong.bad"),
        ("%{lr-}", "bad.strong"),
        ("%{l1r-}", "strong"),
        ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
        ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
        ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
        ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
        ("%{S}.x", "strong-bad%40email.example.com.x"),
        ("a%%b%_c%-d.%{p}", "a%b c%20d.unknown"),
    ],
)
def test_the_macros_of_the_rfc(spec, name):
    around = Circumstances(
        ipaddress.ip_address("192.0.2.3"), "strong-bad@email.example.com", "h.example", lambda _: "unknown"
    )
    assert expand(spec, "email.example.com", around) == name


def test_macros_of_an_ipv6_client():
    around = Circumstances(ipaddress.ip_address("2001:db8::cb01"), "a@b.c", "h.example", lambda _: "unknown")
    nibbles = "1.0.b.c." + "0." * 20 + "8.b.d.0.1.0.0.2"
    assert expand("%{ir}.%{v}._spf.%{d2}", "email.example.com", around) == f"{nibbles}.ip6._spf.example.com"


def test_too_long_a_name_loses_labels_from_the_left():
    around = Circumstances(ipaddress.ip_address("192.0.2.3"), "a@b.c", "h.example", lambda _: "unknown")
    name = expand("%{d}." + "label." * 60 + "example.com", "start.example.org", around)
    assert len(name) <= 253
    assert name.endswith("label.example.com")
    assert name.startswith("label.")


@pytest.mark.parametrize(
    ("record", "place", "text"),
    [
        ("v=spf1 ip4:192.0.2.1  ipv4:192.0.2.2 -all", 23, "there is no mechanism ipv4"),
        ("v=spf1 ip4:192.0.2.256", 12, "'192.0.2.256' is no IPv4 address"),
        ("v=spf1 ip4:192.0.2.0/33", 21, "/33 is no prefix length"),
        ("v=spf1 ip4:192.0.2.0/08", 21, "/08 is no prefix length"),
        ("v=spf1 ip4=192.0.2.0 ip4", 25, "ip4 needs an address after a colon"),
        ("v=spf1 ip6:2001:db8::g", 12, "is no IPv6 address"),
        ("v=spf1 ip6:2001:db8::/129", 22, "/129 is no prefix length"),
        ("v=spf1 include", 15, "include needs a domain after a colon"),
        ("v=spf1 include: -all", 16, "a domain is missing"),
        ("v=spf1 include:example", 16, "'example' is no full domain name"),
        ("v=spf1 a:example.123", 10, "'example.123' is no full domain name"),
        ("v=spf1 a:example.com:80", 10, "is no full domain name"),
        ("v=spf1 exists:%{x}.example.com", 15, "a % that starts no macro"),
        ("v=spf1 exists:%{t}.example.com", 15, "a % that starts no macro"),
        ("v=spf1 exists:%{d0}.example.com", 15, "a % that starts no macro"),
        ("v=spf1 exists:10%.example.com", 17, "a % that starts no macro"),
        ("v=spf1 all:example.com", 11, "all takes nothing after it"),
        ("v=spf1 -all; +all", 8, "neither a mechanism nor a modifier"),
        ("v=spf1 redirect=a.example redirect=b.example", 27, "redirect= stands here a second time"),
        ("v=spf1 a\xe4:example.com", 9, "a character that is no printable ASCII"),
        ("v=spf1 a\t-all", 9, "a character that is no printable ASCII"),
    ],
)
def test_faults_of_syntax_have_a_place(record, place, text):
    with pytest.raises(SpfSyntaxError) as caught:
        parse(record)
    assert caught.value.place == place
    assert text in caught.value.text


# --- Nothing that a server says makes it raise -----------------------------------------------------------------------


TERMS = st.sampled_from(
    ["a", "mx", "ptr", "all", "-all", "~all", "?mx/0//0", "include:%{d}", "include:b.example.com", "a:%{s}", "x=%{d}"]
    + ["redirect=%{o}", "exp=%{h}.x", "ip4:192.0.2.0/24", "ip6:::/0", "exists:%{p}.%{L2r-}.x", "exists:%{ir}.%{v}.x"]
)
RECORDS = st.lists(TERMS | st.text(st.characters(max_codepoint=255), max_size=30), max_size=14).map(
    lambda terms: " ".join(["v=spf1", *terms])
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    records=st.lists(RECORDS, max_size=2),
    statuses=st.lists(
        st.sampled_from(["records"] * 6 + ["nxdomain", "no_data", "servfail", "timeout"]), min_size=1, max_size=8
    ),
    ip=st.ip_addresses().map(str),
    domain=st.sampled_from(["example.com", "a.b.c.d.example.org"]) | st.text(max_size=80),
    sender=st.text(max_size=60),
    helo=st.text(max_size=60),
)
def test_a_verdict_is_always_one_of_the_seven(records, statuses, ip, domain, sender, helo):
    verdict = evaluate(Scripted(tuple(records), statuses), ip, domain, sender, helo)

    assert verdict.result in {"none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"}
    assert verdict.look_ups <= 11
    assert verdict.void_look_ups <= 3
