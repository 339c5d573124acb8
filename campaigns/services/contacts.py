"""People who may be written to: what identifies them, and how suppression finds them."""

from __future__ import annotations

from outreach.common import addresses
from outreach.common.hashing import Hasher


def keys_of(text: str) -> set[str]:
    """By which `email_key` the contact of an address is found, in whatever way it is written. Raises BadInput.

    The second one is of those who were there twice before spellings were told to be one person.
    """
    address = addresses.parse(text.strip())
    return {address.identity, address.key}


def hashes(keyed: Hasher, address: addresses.Address) -> list[bytes]:
    """All hashes by which an entry may cover an address: itself, as written and as whose it is, and its domain."""
    own = dict.fromkeys((keyed.address(address.identity), keyed.address(address.key)))
    return [*own, *domain_hashes(keyed, address.domain)]


def domain_hashes(keyed: Hasher, domain: str, known: dict[str, bytes] | None = None) -> list[bytes]:
    """What a contact of this domain is matched by: the domain, and as wildcards it and those above it.

    `known` remembers the wildcards of the domains above from call to call, as there are few of them.
    """
    known = {} if known is None else known
    hashes = [keyed.domain(domain), keyed.wildcard(domain)]
    for above in addresses.parents(domain):
        if above not in known:
            known[above] = keyed.wildcard(above)
        hashes.append(known[above])
    return hashes
