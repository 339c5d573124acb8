"""Every answer comes back as a status, whatever the server does."""

import socket

import dns.resolver
import pytest

from deliverability.dns import resolver as resolvers
from deliverability.dns.resolver import Resolver
from tests.deliverability.name_server import GARBAGE, NOTIMP, REFUSED, SERVFAIL, TIMEOUT


def test_records_come_in_order_and_in_lower_case(server, resolver):
    server.put("example.com", "MX", (20, "Backup.Example.com"), (5, "MX.example.com"))

    answer = resolver.ask("EXAMPLE.com.", "MX")

    assert answer.status == "records"
    assert answer.exchanges == [(5, "mx.example.com"), (20, "backup.example.com")]


@pytest.mark.parametrize(
    ("word", "status"), [(SERVFAIL, "servfail"), (REFUSED, "refused"), (TIMEOUT, "timeout"), (NOTIMP, "servfail")]
)
def test_trouble_is_a_status_after_the_second_try(server, resolver, word, status):
    server.put("example.com", "TXT", word)

    answer = resolver.ask("example.com", "TXT")

    assert (answer.status, answer.is_trouble, answer.is_void) == (status, True, False)
    assert server.asked["udp", "example.com", "TXT"] == 2


def test_garbage_is_trouble_and_no_crash(server, resolver):
    server.put("example.com", "TXT", GARBAGE)
    assert resolver.ask("example.com", "TXT").is_trouble


def test_no_such_name_and_no_such_record_are_told_apart(server, resolver):
    server.put("example.com", "A", "192.0.2.1")

    assert resolver.ask("nothing.example.com", "A").status == "nxdomain"
    assert resolver.ask("example.com", "MX").status == "no_data"


def test_an_answer_is_asked_for_once_in_a_run(server, resolver):
    server.put("example.com", "A", "192.0.2.1")
    for _ in range(3):
        resolver.ask("example.com", "A")
        resolver.ask("nothing.example.com", "A")

    assert set(server.asked.values()) == {1}


def test_a_truncated_answer_comes_again_by_tcp(server, resolver):
    server.put("example.com", "TXT", "x" * 4000)

    assert resolver.ask("example.com", "TXT").records == ("x" * 4000,)
    assert server.asked["tcp", "example.com", "TXT"] == 1


def test_a_text_of_64_kilobytes_in_many_strings_is_taken_whole(server, resolver):
    server.put("big.example.com", "TXT", "y" * 64_000)
    server.put("many.example.com", "TXT", [b"z"] * 10_000)

    assert [len(text) for text in resolver.ask("big.example.com", "TXT").records] == [64_000]
    assert resolver.ask("many.example.com", "TXT").records == ("z" * 10_000,)


def test_ten_thousand_records_are_cut(server, resolver):
    server.put("example.com", "A", *(f"10.0.{n // 250}.{n % 250}" for n in range(3000)))
    assert len(resolver.ask("example.com", "A").records) == resolvers.MAX_RECORDS


def test_bytes_that_are_no_text_stay_one_character_each(server, resolver):
    server.put("example.com", "TXT", b"v=spf1 \xff\x00\x1b[31m -all")
    assert resolver.ask("example.com", "TXT").records == ("v=spf1 \xff\x00\x1b[31m -all",)


def test_cnames_are_followed(server, resolver):
    server.put("a.example.com", "CNAME", "b.example.net")
    server.put("b.example.net", "A", "192.0.2.9")

    answer = resolver.ask("a.example.com", "A")

    assert (answer.records, answer.canonical) == (("192.0.2.9",), "b.example.net")
    assert resolver.ask("a.example.com", "CNAME").records == ("b.example.net",)


def test_a_cname_to_nothing_is_no_such_name(server, resolver):
    server.put("a.example.com", "CNAME", "gone.example.net")

    answer = resolver.ask("a.example.com", "A")

    assert (answer.status, answer.canonical) == ("nxdomain", "gone.example.net")


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_circle_of_cnames_ends(server, resolver, length):
    for number in range(length):
        server.put(f"c{number}.example.com", "CNAME", f"c{(number + 1) % length}.example.com")

    answer = resolver.ask("c0.example.com", "A")

    assert (answer.status, answer.detail) == ("servfail", "the CNAMEs lead in a circle")


def test_a_long_chain_of_cnames_ends(server, resolver):
    for number in range(40):
        server.put(f"c{number}.example.com", "CNAME", f"c{number + 1}.example.com")

    assert resolver.ask("c0.example.com", "A").detail == "more than 7 CNAMEs"


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".example.com", "a." * 130 + "example.com", "\ud800.example.com"])
def test_what_can_be_no_name_is_never_asked(server, resolver, name):
    assert resolver.ask(name, "TXT").status == "nxdomain"
    assert not server.asked


def test_a_backslash_is_no_escape(server, resolver):
    assert resolver.ask("a\\046b.example.com", "A").status == "nxdomain"
    assert resolver.ask("a\\.example.com", "A").status == "nxdomain"


def test_a_run_ends_at_its_number_of_questions(server):
    asking = Resolver([("127.0.0.1", server.port)], run_questions=2)
    server.put("example.com", "A", "192.0.2.1")

    assert asking.ask("example.com", "A").status == "records"
    assert asking.ask("x.example.com", "A").status == "nxdomain"
    assert asking.ask("y.example.com", "A").status == "timeout"
    assert asking.ask("example.com", "A").status == "records"
    assert sum(server.asked.values()) == 2


def test_a_run_ends_at_its_time(server):
    asking = Resolver([("127.0.0.1", server.port)], run_seconds=0)

    assert asking.ask("example.com", "A").detail == "the limit of this run is reached"
    assert not server.asked


def test_the_second_server_is_asked_where_the_first_does_not_know(server, resolver):
    server.put("example.com", "A", "192.0.2.1")
    asking = Resolver([("127.0.0.1", 9), ("127.0.0.1", server.port)], timeout_seconds=0.4)
    assert asking.ask("example.com", "A").records == ("192.0.2.1",)


def test_a_server_needs_an_address_since_a_name_would_be_asked_of_the_system():
    with pytest.raises(ValueError, match="does not appear to be"):
        Resolver([("ns.example.com", 53)])
    with pytest.raises(ValueError, match="No name server"):
        Resolver([])


def test_reverse_names(server, resolver):
    server.put("9.2.0.192.in-addr.arpa", "PTR", "Mail.example.com")
    assert resolver.reverse("192.0.2.9").records == ("mail.example.com",)


def test_the_system_is_never_asked_where_a_server_is_named(server, monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("the system was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(dns.resolver.Resolver, "read_resolv_conf", refuse)
    server.put("example.com", "A", "192.0.2.1")

    asking = Resolver([("127.0.0.1", server.port)])
    assert asking.ask("example.com", "A").records == ("192.0.2.1",)
    assert asking.ask("gone.example.com", "A").status == "nxdomain"
