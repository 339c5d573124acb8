"""What is known of mailbox hosts: what SPF has to name for them, where their domains receive, how they sign."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Host:
    """A mailbox host. `mx` may hold {dashed}: the domain with dashes for dots. `selectors` are its usual ones."""

    name: str
    spf: tuple[str, ...]
    mx: str = ""
    selectors: tuple[str, ...] = ()
    dkim_type: str = "TXT"


GOOGLE = Host("Google Workspace", ("include:_spf.google.com",), "1 smtp.google.com", ("google",))
MICROSOFT = Host(
    "Microsoft 365", ("include:spf.protection.outlook.com",), "0 {dashed}.mail.protection.outlook.com",
    ("selector1", "selector2"), "CNAME",
)  # fmt: skip
# The ends of submission hosts whose mail bears the From domain in its envelope, so that its SPF record counts.
SUFFIXES: dict[str, Host] = {
    "smtp.gmail.com": GOOGLE,
    "smtp-relay.gmail.com": GOOGLE,
    "smtp.office365.com": MICROSOFT,
    "mail.protection.outlook.com": MICROSOFT,
}


def known(server: str) -> Host | None:
    """The host behind a submission server, where it is known."""
    name = server.lower().removesuffix(".")
    return next((host for end, host in SUFFIXES.items() if name == end or name.endswith(f".{end}")), None)


def spf_terms(server: str, own: Iterable[str]) -> tuple[str, ...]:
    """What SPF has to cover for mail that leaves by `server`: what a person said, else what is known of the host.

    A server that is named by its address is its own way out. Empty: nobody knows.
    """
    if said := tuple(own):
        return said
    if host := known(server):
        return host.spf
    try:
        return (str(ipaddress.ip_address(server)),)
    except ValueError:
        return ()


def ways_out(terms: Iterable[str]) -> list[str]:
    """The terms as `spf.covers` takes them; of a network both ends stand for all of it. Raises ValueError."""
    ways: list[str] = []
    for term in terms:
        if term.lower().startswith("include:"):
            ways.append(term)
            continue
        network = ipaddress.ip_network(bare(term), strict=False)
        ways += [str(network[0])] if network.num_addresses == 1 else [str(network[0]), str(network[-1])]
    return list(dict.fromkeys(ways))


def bare(term: str) -> str:
    """An address or a network without ip4: or ip6:."""
    return term[4:] if term[:4].lower() in ("ip4:", "ip6:") else term


def parse_term(text: str) -> str:
    """A term as it is stored: include:NAME, an address or a network. Raises ValueError."""
    term = text.strip().lower()
    if term.startswith("include:"):
        name = term.removeprefix("include:").removesuffix(".")
        if len(name) > 240 or "." not in name or not all(c.isascii() and (c.isalnum() or c in "._-") for c in name):
            raise ValueError(f"{name!r} is no domain to include.")
        return f"include:{name}"
    network = ipaddress.ip_network(bare(term), strict=False)
    return str(network[0]) if network.num_addresses == 1 else str(network)
