"""The records to publish: what they say, and as table, zone file, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json

import dnslib
import pytest
from django.core.management import CommandError, call_command

from deliverability.dns import checks, records
from deliverability.dns.records import Record, Wanted
from deliverability.services.checks import Question, look
from mailboxes import hosts
from tests import factories
from tests.deliverability.zones import TARGET, mailbox_on, publish

NAME = "mail.acme.example"


def rows(**changes):
    return [(row.check, row.name, row.type, row.value) for row in records.needed(Wanted(NAME, **changes))]


def test_a_domain_of_an_unknown_host():
    assert rows(spf_terms=("192.0.2.1", "2001:db8::/32", "include:x.example"), selectors=("s1",)) == [
        ("mx", NAME, "MX", ""),
        ("spf", NAME, "TXT", "v=spf1 ip4:192.0.2.1 ip6:2001:db8::/32 include:x.example ~all"),
        ("dkim", f"s1._domainkey.{NAME}", "TXT", ""),
        ("dmarc", f"_dmarc.{NAME}", "TXT", f"v=DMARC1; p=none; rua=mailto:postmaster@{NAME}"),
    ]


def test_hosts_that_are_known_bring_their_own():
    google = hosts.known("smtp.gmail.com")
    assert rows(spf_terms=google.spf, hosts=(google,)) == [
        ("mx", NAME, "MX", "1 smtp.google.com"),
        ("spf", NAME, "TXT", "v=spf1 include:_spf.google.com ~all"),
        ("dkim", f"google._domainkey.{NAME}", "TXT", ""),
        ("dmarc", f"_dmarc.{NAME}", "TXT", f"v=DMARC1; p=none; rua=mailto:postmaster@{NAME}"),
    ]
    microsoft = hosts.known("smtp.office365.com")
    assert rows(spf_terms=microsoft.spf, hosts=(microsoft,))[:4:2] == [
        ("mx", NAME, "MX", "0 mail-acme-example.mail.protection.outlook.com"),
        ("dkim", f"selector1._domainkey.{NAME}", "CNAME", ""),
    ]


def test_links_envelope_and_reports_elsewhere_need_records_too():
    found = rows(return_path="bounce.acme.example", links=("go.acme.example", TARGET), reports="dmarc@agency.example")
    assert found[1:3] == [
        ("mx", "bounce.acme.example", "MX", ""),
        ("spf", "bounce.acme.example", "TXT", "v=spf1 ~all"),
    ]
    assert found[-3:] == [
        ("dmarc", f"_dmarc.{NAME}", "TXT", "v=DMARC1; p=none; rua=mailto:dmarc@agency.example"),
        ("dmarc", f"{NAME}._report._dmarc.agency.example", "TXT", "v=DMARC1;"),
        ("tracking", "go.acme.example", "CNAME", TARGET),
    ]


def test_a_zone_file_reads_back_as_the_same_records():
    long = "v=spf1 " + " ".join(f"ip4:192.0.2.{n}" for n in range(40)) + " ~all"
    given = [
        Record(NAME, "spf", NAME, "TXT", long, "why"),
        Record(NAME, "dmarc", f"_dmarc.{NAME}", "TXT", 'a "b" \\ c', "why"),
        Record(NAME, "mx", NAME, "MX", "10 mx.example.org", "why"),
        Record(NAME, "dkim", f"s1._domainkey.{NAME}", "TXT", "", "why"),
        Record("b.example", "tracking", "go.b.example", "CNAME", TARGET, "why"),
    ]

    zone = records.as_zone(given)

    texts = [line for line in zone.splitlines() if "IN TXT" in line and not line.startswith(";")]
    assert [len(part) <= 257 for part in texts[0].split(" IN TXT ")[1].split('" "')] == [True, True, True]
    read = dnslib.RR.fromZone(zone)
    assert [(str(rr.rname).rstrip("."), dnslib.QTYPE[rr.rtype]) for rr in read] == [
        (NAME, "TXT"),
        (f"_dmarc.{NAME}", "TXT"),
        (NAME, "MX"),
        ("go.b.example", "CNAME"),
    ]
    assert b"".join(read[0].rdata.data).decode() == long
    assert str(read[2].rdata) == "10 mx.example.org."
    assert f"; s1._domainkey.{NAME}. 3600 IN TXT (from the mailbox host)" in zone
    assert records.as_zone([]) == ""


def test_what_is_told_to_be_published_is_what_the_check_wants(server, resolver):
    wanted = Wanted(NAME, ("127.0.0.1", "198.51.100.0/24"), selectors=("s1",), links=(f"go.{NAME}", TARGET))
    publish(server, NAME)  # the host's part: MX and key
    server.zone[NAME].pop("TXT")
    for row in records.needed(wanted):
        if row.value:
            server.put(row.name, row.type, row.value)

    levels = {finding.level for finding in look(Question(1, wanted), resolver)}
    assert levels == {"pass"}


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (" IP4:192.0.2.1 ", "192.0.2.1"),
        ("192.0.2.7/24", "192.0.2.0/24"),
        ("ip6:2001:DB8::1", "2001:db8::1"),
        ("include:_SPF.Example.net.", "include:_spf.example.net"),
    ],
)
def test_spf_terms_are_stored_in_one_form(given, stored):
    assert hosts.parse_term(given) == stored


@pytest.mark.parametrize("given", ["", "a", "a:mail.example.net", "include:", "include:x y", "192.0.2.300", "+all"])
def test_what_is_no_spf_term(given):
    with pytest.raises(ValueError):  # noqa: PT011 (what is said is the library's)
        hosts.parse_term(given)


def test_ways_out_of_terms():
    assert hosts.ways_out(["192.0.2.1", "198.51.100.0/24", "include:x.example"]) == [
        "192.0.2.1", "198.51.100.0", "198.51.100.255", "include:x.example",
    ]  # fmt: skip
    assert hosts.spf_terms("smtp.gmail.com", ["192.0.2.1"]) == ("192.0.2.1",)
    assert hosts.spf_terms("smtp.gmail.com", []) == ("include:_spf.google.com",)
    assert hosts.spf_terms("2001:db8::1", []) == ("2001:db8::1",)
    assert hosts.spf_terms("relay.example.net", []) == ()
    assert hosts.known("notsmtp.gmail.com") is None


# --- Commands -------------------------------------------------------------------------------------------------


@pytest.fixture
def tenant(db):
    made = factories.tenant(slug="acme")
    for name in ("a.acme.example", "b.acme.example"):
        mailbox_on(factories.domain(made, name=name, state="new", dkim_selectors=["s1"]))
    factories.domain(made, name="old.acme.example", state="retired", retired_at="2026-01-01T00:00Z")
    factories.domain(factories.tenant(), name="theirs.example")
    return made


def printed(command, *arguments, **options):
    out, code = io.StringIO(), 0
    try:
        call_command(command, *arguments, stdout=out, **options)
    except SystemExit as end:
        code = end.code
    return code, out.getvalue()


def test_records_of_a_tenant_come_in_four_forms(tenant):
    table = printed("domain_records", tenant="acme")[1]
    assert table.splitlines()[0] == "a.acme.example"
    assert "v=spf1 ip4:127.0.0.1 ~all" in table
    zone = printed("domain_records", tenant="acme", format="zone")[1]
    assert len(dnslib.RR.fromZone(zone)) == 4
    lines = list(csv.reader(io.StringIO(printed("domain_records", tenant="acme", format="csv")[1])))
    assert (lines[0], len(lines)) == (list(records.COLUMNS), 9)
    told = json.loads(printed("domain_records", "b.acme.example", format="json")[1])
    assert (told["domains"], [row["check"] for row in told["records"]]) == (1, ["mx", "spf", "dkim", "dmarc"])


def test_a_domain_that_is_not_there_or_anothers(tenant):
    for names, options, words in (
        ((), {}, "Name domains"),
        (("none.example",), {}, "no sending domain 'none.example'"),
        (("theirs.example",), {"tenant": "acme"}, "no sending domain 'theirs.example' of acme"),
        ((), {"tenant": "nobody"}, "nobody"),
    ):
        with pytest.raises(CommandError, match=words):
            printed("domain_records", *names, **options)


def test_check_domains_says_what_fails_and_ends_by_it(tenant, server):
    address = f"127.0.0.1:{server.port}"
    publish(server, "a.acme.example")

    code, out = printed("check_domains", tenant="acme", nameserver=address)
    assert code == 2
    assert out.splitlines()[0] == "a.acme.example verified sound"
    assert "b.acme.example new failed" in out
    assert "-> Register it, or correct the name." in out
    assert out.splitlines()[-1] == "checked=2 sound=1 failed=1 unknown=0"

    assert printed("check_domains", "a.acme.example", nameserver=address)[0] == 0
    server.put("a.acme.example", "TXT", "SERVFAIL")
    assert printed("check_domains", "a.acme.example", nameserver=address)[0] == 3


def test_a_name_server_that_can_not_be_one(tenant):
    for text in ("ns.example.com", "127.0.0.1:0", "127.0.0.1:x"):
        with pytest.raises(CommandError, match="can't be asked"):
            printed("check_domains", tenant="acme", nameserver=text)


def test_a_resolver_for_the_next_run_remembers_nothing(server, resolver):
    server.put(NAME, "TXT", "one")
    assert resolver.ask(NAME, "TXT").records == ("one",)
    server.put(NAME, "TXT", "two")

    fresh = resolver.fresh()
    assert (fresh.nameservers, fresh.timeout_seconds, fresh.tries) == (resolver.nameservers, 0.4, 2)
    assert fresh.ask(NAME, "TXT").records == ("two",)
    assert resolver.ask(NAME, "TXT").records == ("one",)
    assert checks.check(fresh, NAME)
