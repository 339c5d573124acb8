"""The demo's name server: what it serves is in order, and nothing that it is sent harms it."""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from datetime import date

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from deliverability.dns import checks, dkim, operators
from deliverability.dns.resolver import Resolver
from outreach.demo import fleet, zones
from outreach.demo.zones import NameServer

TARGET = "localhost"


@pytest.fixture(scope="module")
def server():
    with zones.of_demo(TARGET) as running:
        yield running


@pytest.fixture
def resolver(server) -> Resolver:
    return Resolver([server.address], timeout_seconds=5, run_questions=5000)


# --- what it serves ----------------------------------------------------------------------------------------


def test_every_check_of_every_sending_domain_passes(resolver):
    domains = zones.demo_domains()

    levels = Counter()
    for domain, _ in domains:
        findings = checks.check(
            resolver, domain, selectors=[zones.SELECTOR], ips=["127.0.0.1"], ways_out=["127.0.0.1"],
            links=(zones.tracking_host(domain), TARGET),
        )  # fmt: skip
        assert {finding.check for finding in findings} == {"mx", "spf", "dkim", "dmarc", "ptr", "tracking"}
        levels.update(finding.level for finding in findings)

    assert len(domains) == 78
    assert set(levels) == {"pass"}


def test_the_keys_are_real_and_each_company_has_its_own(resolver):
    texts = {
        organisation: resolver.ask(f"{zones.SELECTOR}._domainkey.{domain}", "TXT").records[0]
        for domain, organisation in zones.demo_domains()
    }

    assert {dkim.parse_key(text).bits for text in texts.values()} == {2048}
    assert len(set(texts.values())) == len(fleet.COMPANIES) == 3


def test_it_knows_all_sending_domains_of_the_files_and_all_recipients(resolver, tmp_path):
    files = fleet.write(tmp_path, mailboxes=1200, contacts=600, port=2525, today=date(2026, 3, 2))
    senders, receivers = set(), set()
    for company in fleet.COMPANIES:
        senders |= column(files.mailboxes(company))
        for pool in company.pools:
            receivers |= column(files.contacts(company, pool))

    assert senders <= {domain for domain, _ in zones.demo_domains()}
    found = Counter()
    for domain in sorted(receivers):
        answer = resolver.ask(domain, "MX")
        found[operators.operator(host for _, host in answer.exchanges)] += 1
        assert all(resolver.ask(host, "A").records == (zones.RECEIVERS,) for _, host in answer.exchanges)
        assert resolver.ask(domain, "TXT").status == "no_data"
    assert set(found) == {"google", "microsoft", "other"}
    assert found["google"] > found["microsoft"] > found["other"]
    assert abs(found["google"] / len(receivers) - zones.SHARES["google"]) < 0.1


def column(path) -> set[str]:
    lines = path.read_text().splitlines()[1:]
    return {line.split(",")[0].rpartition("@")[2] for line in lines}


def test_what_is_not_there_is_not_there(resolver):
    assert resolver.ask("nobody.example", "MX").status == "nxdomain"
    assert resolver.ask("www.harbourline.example", "A").status == "nxdomain"
    assert resolver.ask("_domainkey.freight-rotterdam.harbourline.example", "TXT").status == "no_data"
    assert resolver.ask("freight-rotterdam.harbourline.example", "AAAA").status == "no_data"
    assert resolver.ask("harbourline.example", "MX").status == "records"


def test_a_recipients_operator_is_always_the_same():
    names = [f"acme-{n}.example" for n in range(4000)]
    shares = Counter(map(zones.operator_of, names))

    assert [zones.operator_of(name) for name in names] == [zones.operator_of(name) for name in names]
    assert set(shares) == {"google", "microsoft", "other"}
    assert abs(shares["google"] / 4000 - 0.45) < 0.03
    assert abs(shares["microsoft"] / 4000 - 0.35) < 0.03


# --- how it behaves ----------------------------------------------------------------------------------------


@pytest.fixture
def small():
    long = " ".join(f'"{"x" * 200}"' for _ in range(12))
    circle = {"a.example": {"CNAME": ("b.example.",)}, "b.example": {"CNAME": ("a.example.",)}}
    with NameServer({"long.example": {"TXT": (long,)}, "Big.example": {"A": ("127.0.0.1",)}, **circle}) as running:
        yield running


def udp(server, data: bytes, seconds: float = 5) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(seconds)
        sock.sendto(data, server.address)
        return sock.recv(65535)


def question(name, kind="A", **options) -> bytes:
    return dns.message.make_query(name, kind, **options).to_wire()


def test_a_long_answer_is_cut_over_udp_and_whole_over_tcp(small):
    host, port = small.address

    cut = dns.message.from_wire(udp(small, question("long.example", "TXT", use_edns=0, payload=4096)))
    whole = dns.query.tcp(dns.message.make_query("long.example", "TXT"), host, port=port, timeout=5)

    assert cut.flags & dns.flags.TC
    assert len(cut.to_wire()) <= zones.UDP_BYTES
    assert len(b"".join(whole.answer[0][0].strings)) == 2400


def test_names_are_found_in_any_case(small):
    reply = dns.message.from_wire(udp(small, question("bIG.eXample")))

    assert reply.answer[0][0].address == "127.0.0.1"
    assert reply.flags & dns.flags.RA


def test_cnames_in_a_circle_end(small):
    assert len(dns.message.from_wire(udp(small, question("a.example"))).answer) <= zones.LONGEST_WAY


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (question("big.example", "ANY"), dns.rcode.NOTIMP),
        (question("big.example", "AXFR"), dns.rcode.NOTIMP),
        (question("big.example", rdclass="CH"), dns.rcode.NOTIMP),
        (b"\x12\x34" + b"\x10" + question("big.example")[3:], dns.rcode.NOTIMP),
        (b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xff", dns.rcode.FORMERR),
    ],
    ids=["any", "transfer", "another class", "another opcode", "broken"],
)
def test_what_it_does_not_do_it_says(small, data, code):
    reply = udp(small, data)

    assert reply[:2] == data[:2]
    assert reply[2] & 0x80
    assert reply[3] & 0x0F == code


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"\xff" * 400, b"\x12\x34\x81\x80" + b"\0" * 8, b"GET / HTTP/1.1\r\n\r\n"]
)
def test_noise_gets_no_answer_and_does_no_harm(small, data):
    host, port = small.address
    assert not small.answer(data) or small.answer(data)[3] & 0x0F == dns.rcode.FORMERR
    with socket.create_connection((host, port), 5) as talk:
        talk.sendall(data)

    assert dns.message.from_wire(udp(small, question("big.example"))).answer


def test_connections_that_say_nothing_take_no_more_than_their_room(small):
    host, port = small.address
    silent = [socket.create_connection((host, port), 5) for _ in range(zones.TCP_CONNECTIONS)]
    try:
        with socket.create_connection((host, port), 5) as late:
            assert late.recv(1) == b""  # closed at once
        assert dns.message.from_wire(udp(small, question("big.example"))).answer
        assert sum(thread.name == "names-talk" for thread in threading.enumerate()) <= zones.TCP_CONNECTIONS
    finally:
        for talk in silent:
            talk.close()


def test_one_connection_may_ask_several_times(small):
    with socket.create_connection(small.address, 5) as talk:
        for _ in range(3):
            data = question("big.example")
            talk.sendall(struct.pack("!H", len(data)) + data)
            (length,) = struct.unpack("!H", talk.recv(2, socket.MSG_WAITALL))
            assert dns.message.from_wire(talk.recv(length, socket.MSG_WAITALL)).answer


def test_it_starts_and_stops_and_its_port_is_free_again():
    first = NameServer({"a.example": {"A": ("127.0.0.1",)}}).start()
    port = first.port
    with pytest.raises(OSError, match="in use"):
        NameServer({}, port=port).start()
    first.stop()
    first.stop()

    with NameServer({"a.example": {"A": ("127.0.0.2",)}}, port=port) as second:
        assert second.address == ("127.0.0.1", port)
        assert dns.message.from_wire(udp(second, question("a.example"))).answer[0][0].address == "127.0.0.2"


def test_it_runs_in_a_process_of_its_own():
    with zones.process(TARGET) as running:
        found = Resolver([(running.host, running.port)]).ask("go.customs-cork.harbourline.example", "CNAME")

    assert found.records == (TARGET,)
    assert running.pid == 0
