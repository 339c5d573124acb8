"""The verdict on one address, from its text, from what DNS said of its domain, and from what its mail met before."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from disposable_email_domains import blocklist

from outreach.common import addresses
from outreach.common.errors import BadInput

Validity = Literal["valid", "risky", "invalid", "unknown"]
NAMES = Path(__file__).with_name("role_names.txt")
SUFFIX_CHARS = 3  # of a role's country or language, as in info-de@
SEPARATORS = ".-_"

# What DNS says of a domain, as a verdict.
OF_DOMAIN: dict[str, tuple[Validity, str]] = {
    "": ("unknown", "dns_unknown"),
    "mx": ("valid", ""),
    "address": ("risky", "implicit_mx"),
    "null_mx": ("invalid", "null_mx"),
    "no_mx": ("invalid", "no_mx"),
    "dead_mx": ("invalid", "dead_mx"),
    "no_domain": ("invalid", "no_domain"),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """reason: why it is not valid, in one word of at most 24 characters."""

    validity: Validity
    reason: str = ""


SYNTAX = Verdict("invalid", "syntax")
BOUNCED = Verdict("invalid", "bounced")
DISPOSABLE = Verdict("invalid", "disposable")


def judge(address: str, mail: str, *, bounced: bool = False) -> Verdict:
    """Judge an address in normal form; `mail` as in receiving.Receiving, `bounced` if a hard bounce suppressed it.

    What is certain comes first: what the address itself rules out, then its own bounce, then its domain. A role makes
    an address risky only where nothing else is wrong.
    """
    alone = of_address(address)
    if alone is not None:
        return alone
    if bounced:
        return BOUNCED
    validity, reason = OF_DOMAIN[mail]
    if validity in ("valid", "risky") and role(address.rpartition("@")[0]):
        return Verdict("risky", "role")
    return Verdict(validity, reason)


def of_address(address: str) -> Verdict | None:
    """What the address alone decides, so that DNS need not be asked; None: nothing."""
    try:
        parsed = addresses.parse(address)
    except BadInput:
        return SYNTAX
    word = role(parsed.local)
    if word in ("desk", "no_reply"):
        return Verdict("invalid", word)
    return DISPOSABLE if is_disposable(parsed.domain) else None


def role(local: str) -> str:
    """Whose desk a local part is: desk, no_reply, role; else "". See role_names.txt."""
    name = local.partition("+")[0].casefold()
    names = role_names()
    plain = name.translate(_SQUEEZED)
    if plain in names:
        return names[plain]
    if plain.startswith(("noreply", "donotreply")):
        return "no_reply"
    for separator in SEPARATORS:
        first, found, rest = name.partition(separator)
        if found and len(rest) <= SUFFIX_CHARS and names.get(first) == "role":
            return "role"
    return ""


_SQUEEZED = str.maketrans("", "", SEPARATORS)


@functools.cache
def role_names() -> dict[str, str]:
    """{name without separators: its section} of role_names.txt."""
    found: dict[str, str] = {}
    section = ""
    for line in NAMES.read_text(encoding="utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if text.startswith("["):
            section = text.strip("[]")
        else:
            found |= {name.translate(_SQUEEZED): section for name in text.split()}
    return found


@functools.lru_cache(maxsize=50_000)
def is_disposable(domain: str) -> bool:
    """Whether a domain, or one above it, hands out addresses that are gone within the hour."""
    return any(name in blocklist and name not in not_disposable() for name in (domain, *addresses.parents(domain)))


@functools.cache
def not_disposable() -> frozenset[str]:
    """What the list takes in by mistake: not_disposable.txt."""
    lines = NAMES.with_name("not_disposable.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(filter(None, (line.partition("#")[0].strip() for line in lines)))
