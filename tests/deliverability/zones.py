"""Zones of sending domains: one where nothing is wrong, and one for each fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mailboxes.models import Mailbox, SendingDomain
from tests import factories
from tests.deliverability.name_server import SERVFAIL, TIMEOUT, NameServer
from tests.deliverability.test_dkim import GOOD, encoded, whole_key

WAY_OUT = "127.0.0.1"  # of the accounts that factories make
TARGET = "console.example.org"


def publish(server: NameServer, *names: str, selector: str = "s1") -> None:
    """Put everything that these domains need into the zone."""
    server.put("mx.example.org", "A", "192.0.2.1")
    server.put(TARGET, "A", "192.0.2.2")
    for name in names:
        server.put(name, "MX", (10, "mx.example.org"))
        server.put(name, "TXT", f"v=spf1 ip4:{WAY_OUT} -all")
        server.put(f"{selector}._domainkey.{name}", "TXT", GOOD)
        server.put(f"_dmarc.{name}", "TXT", f"v=DMARC1; p=none; rua=mailto:postmaster@{name}")


def mailbox_on(domain: SendingDomain, **changes: Any) -> Mailbox:
    """One mailbox of that domain, and no other domain beside it."""
    box = factories.mailbox(domain.tenant, domain=domain, **changes)
    SendingDomain.objects.filter(name__startswith="fleet").delete()
    return box


def _look_ups(server: NameServer, name: str) -> None:
    for number in range(11):
        server.put(f"n{number}.example.org", "TXT", "v=spf1 ip4:192.0.2.0/24 -all")
    includes = " ".join(f"include:n{number}.example.org" for number in range(11))
    server.put(name, "TXT", f"v=spf1 ip4:{WAY_OUT} {includes} -all")


# What is wrong: how to bring it about, the finding (check, level, code), the outcome, and what becomes of a new domain,
# and of a verified one after two such checks.
Fault = tuple[Callable[[NameServer, str], None], tuple[str, str, str], str, str, str]
FAULTS: dict[str, Fault] = {
    "two SPF records": (
        lambda server, name: server.put(name, "TXT", f"v=spf1 ip4:{WAY_OUT} -all", "v=spf1 -all"),
        ("spf", "fail", "several"), "failed", "new", "degraded",
    ),
    "no SPF record": (
        lambda server, name: server.put(name, "TXT", "hello"),
        ("spf", "fail", "missing"), "failed", "new", "degraded",
    ),
    "11 look-ups": (_look_ups, ("spf", "fail", "look_ups"), "failed", "new", "degraded"),
    "a way out that SPF leaves out": (
        lambda server, name: server.put(name, "TXT", "v=spf1 ip4:192.0.2.9 ~all"),
        ("spf", "fail", "ip_softfail"), "failed", "new", "degraded",
    ),
    "a way out that SPF says nothing about": (
        lambda server, name: server.put(name, "TXT", "v=spf1 ip4:192.0.2.9 ?all"),
        ("spf", "fail", "ip_neutral"), "failed", "new", "degraded",
    ),
    "a short key": (
        lambda server, name: server.put(f"s1._domainkey.{name}", "TXT", f"v=DKIM1; p={encoded(whole_key(512))}"),
        ("dkim", "fail", "short"), "failed", "new", "degraded",
    ),
    "no key": (
        lambda server, name: server.zone.pop(f"s1._domainkey.{name}") and None,
        ("dkim", "fail", "missing"), "failed", "new", "degraded",
    ),
    "no DMARC": (
        lambda server, name: server.zone.pop(f"_dmarc.{name}") and None,
        ("dmarc", "fail", "missing"), "failed", "new", "degraded",
    ),
    "null MX": (
        lambda server, name: server.put(name, "MX", (0, ".")),
        ("mx", "fail", "null_mx"), "failed", "new", "degraded",
    ),
    "SERVFAIL for SPF": (
        lambda server, name: server.put(name, "TXT", SERVFAIL),
        ("spf", "unknown", "no_answer"), "unknown", "new", "verified",
    ),
    "TIMEOUT for the key": (
        lambda server, name: server.put(f"s1._domainkey.{name}", "TXT", TIMEOUT),
        ("dkim", "unknown", "no_answer"), "unknown", "new", "verified",
    ),
    "TIMEOUT for the MX": (
        lambda server, name: server.put(name, "MX", TIMEOUT),
        ("mx", "unknown", "no_answer"), "unknown", "new", "verified",
    ),
}  # fmt: skip
