"""Macros of SPF (RFC 7208, section 7): what stands for sender, address and domain inside a domain name."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from deliverability.dns.spf_record import MACRO

IP = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_NAME_CHARS = 253
MAX_EXPANDED_CHARS = 65_536
_ESCAPES = {"%": "%", "_": " ", "-": "%20"}


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the macros of one evaluation say; `sender` always has a local part and a domain."""

    ip: IP
    sender: str
    helo: str
    validated: Callable[[str], str]  # the name of the address that proves to be in this domain, for %{p}

    def value(self, letter: str, domain: str) -> str:
        local, _, sender_domain = self.sender.rpartition("@")
        if letter == "p":
            return self.validated(domain)
        return {
            "s": self.sender,
            "l": local,
            "o": sender_domain,
            "d": domain,
            "i": dotted(self.ip),
            "v": "in-addr" if self.ip.version == 4 else "ip6",
            "h": self.helo,
        }[letter]


def dotted(ip: IP) -> str:
    """An address as %{i} has it: IPv6 in nibbles."""
    return str(ip) if ip.version == 4 else ".".join(ip.exploded.replace(":", ""))


def expand(spec: str, domain: str, around: Circumstances) -> str:
    """Return the domain name that a domain-spec stands for; too long a name loses labels from the left (7.3)."""
    pieces: list[str] = []
    last = chars = 0
    for macro in MACRO.finditer(spec):
        piece = spec[last : macro.start()] + (_ESCAPES[macro[5]] if macro[5] else _expanded(macro, domain, around))
        pieces.append(piece)
        chars += len(piece)
        last = macro.end()
        if chars > MAX_EXPANDED_CHARS:
            break
    name = ("".join(pieces) + spec[last:])[-MAX_EXPANDED_CHARS:].removesuffix(".")
    while len(name) > MAX_NAME_CHARS:
        head, dot, name = name.partition(".")
        if not dot:
            return head[:MAX_NAME_CHARS]
    return name


def _expanded(macro: re.Match[str], domain: str, around: Circumstances) -> str:
    letter, digits, reverse, delimiters = macro[1], macro[2], macro[3], macro[4] or "."
    value = around.value(letter.lower(), domain)
    if digits or reverse or delimiters != ".":
        parts = re.split(f"[{re.escape(delimiters)}]", value)
        if reverse:
            parts.reverse()
        value = ".".join(parts[-int(digits) :] if digits else parts)
    return quote(value, safe="") if letter.isupper() else value
