"""Whether a domain receives mail, who runs it, and the names of our own addresses."""

import pytest

from deliverability.dns import mx, ptr, tracking
from deliverability.dns.operators import operator
from tests.deliverability.name_server import SERVFAIL, TIMEOUT


def codes(findings):
    return [(finding.level, finding.code) for finding in findings]


@pytest.fixture
def zone(server):
    server.put("mx.example.com", "A", "192.0.2.1")
    server.put("six.example.com", "AAAA", "2001:db8::1")
    server.put("alias.example.com", "CNAME", "mx.example.com")
    server.put("slow.example.com", "A", SERVFAIL)
    server.put("slow.example.com", "AAAA", SERVFAIL)
    return server


@pytest.mark.parametrize(
    ("exchanges", "expected"),
    [
        ([(10, "mx.example.com")], [("pass", "receives")]),
        ([(10, "six.example.com")], [("pass", "receives")]),
        ([(0, ".")], [("fail", "null_mx")]),
        ([(0, "."), (10, "mx.example.com")], [("fail", "null_mx")]),
        ([(10, "192.0.2.1")], [("fail", "mx_is_ip")]),
        ([(10, "alias.example.com")], [("fail", "mx_is_cname")]),
        ([(10, "gone.example.com")], [("fail", "mx_unresolved")]),
        ([(10, "mx.example.com"), (20, "gone.example.com")], [("pass", "receives"), ("warn", "mx_unresolved")]),
        ([(10, "mx.example.com"), (20, "192.0.2.1")], [("fail", "mx_is_ip")]),
        ([(10, "slow.example.com")], [("unknown", "no_answer")]),
    ],
)
def test_mx(zone, resolver, exchanges, expected):
    zone.put("example.com", "MX", *exchanges)
    assert codes(mx.check(resolver, "example.com")) == expected


def test_without_mx_the_address_counts(zone, resolver):
    zone.put("web.example.com", "A", "192.0.2.1")
    zone.put("text.example.com", "TXT", "nothing else")

    assert codes(mx.check(resolver, "web.example.com")) == [("warn", "implicit_mx")]
    assert codes(mx.check(resolver, "text.example.com")) == [("fail", "no_mx")]
    assert codes(mx.check(resolver, "absent.example.com")) == [("fail", "no_domain")]


@pytest.mark.fault("F29")
@pytest.mark.parametrize("word", [SERVFAIL, TIMEOUT])
def test_trouble_is_unknown(server, resolver, word):
    server.put("example.com", "MX", word)
    server.put("no-mx.example.com", "A", word)
    server.put("no-mx.example.com", "AAAA", word)
    server.put("1.2.0.192.in-addr.arpa", "PTR", word)
    server.put("go.example.com", "CNAME", word)

    assert codes(mx.check(resolver, "example.com")) == [("unknown", "no_answer")]
    assert codes(mx.check(resolver, "no-mx.example.com")) == [("unknown", "no_answer")]
    assert ptr.check(resolver, "192.0.2.1").level == "unknown"
    assert tracking.check(resolver, "go.example.com", "links.example.net").level == "unknown"


# --- Operators -----------------------------------------------------------------------------------------------


def test_three_hundred_domains_at_one_host_are_one_receiver():
    hosts = [f"company{number}-example.mail.protection.outlook.com" for number in range(300)]
    assert {operator([host]) for host in hosts} == {"microsoft"}


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("aspmx.l.google.com", "google"),
        ("SMTP.Google.com.", "google"),
        ("alt1.aspmx.l.google.com", "google"),
        ("example-com.k-v1.mx.microsoft", "microsoft"),
        ("outlook-com.olc.protection.outlook.com", "microsoft"),
        ("mta5.am0.yahoodns.net", "yahoo"),
        ("mx01.mail.icloud.com", "apple"),
        ("emx.mail.ru", "mailru"),
        ("mx.yandex.net", "yandex"),
        ("mxa-00123456.gslb.pphosted.com", "proofpoint"),
        ("eu-smtp-inbound-1.mimecast.com", "mimecast"),
        ("mx.example.com", "other"),
        ("google.com.example.net", "other"),
        ("notgoogle.com", "other"),
        (".", "other"),
    ],
)
def test_operators_by_the_end_of_the_host(host, name):
    assert operator([host]) == name


def test_the_first_known_host_decides():
    assert operator(["mx.example.com", "aspmx.l.google.com", "mx.yandex.net"]) == "google"
    assert operator([]) == "other"


# --- Names of addresses, hosts of links --------------------------------------------------------------------


def test_an_address_has_a_name_that_leads_back(server, resolver):
    server.put("1.2.0.192.in-addr.arpa", "PTR", "out.example.com")
    server.put("2.2.0.192.in-addr.arpa", "PTR", "out.example.com")
    server.put("out.example.com", "A", "192.0.2.1")

    found = [ptr.check(resolver, ip) for ip in ("192.0.2.1", "192.0.2.2", "192.0.2.3")]

    assert codes(found) == [("pass", "sound"), ("fail", "one_way"), ("fail", "missing")]


def test_an_ipv6_address_is_compared_in_one_form(server, resolver):
    server.put("1." + "0." * 23 + "8.b.d.0.1.0.0.2.ip6.arpa", "PTR", "out.example.com")
    server.put("out.example.com", "AAAA", "2001:db8::1")
    assert ptr.check(resolver, "2001:0db8:0::1").level == "pass"


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        (["links.example.net"], ("pass", "sound")),
        (["one.example.com", "Links.example.net"], ("pass", "sound")),
        (["other.example.net"], ("fail", "elsewhere")),
        (["go.example.com"], ("fail", "no_cname")),
        ([], ("fail", "no_cname")),
    ],
)
def test_hosts_of_links(server, resolver, way, expected):
    for name, target in zip(["go.example.com", *way], way, strict=False):
        server.put(name, "CNAME", target)
    server.put("links.example.net", "A", "192.0.2.1")

    assert codes([tracking.check(resolver, "go.example.com", "links.example.net.")]) == [expected]


def test_a_target_without_an_address(server, resolver):
    server.put("go.example.com", "CNAME", "links.example.net")
    assert tracking.check(resolver, "go.example.com", "links.example.net").code == "no_address"
