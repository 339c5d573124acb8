"""People who may be written to: what identifies them, and how suppression finds them."""

from __future__ import annotations

from outreach.common import addresses
from outreach.common.hashing import Hasher


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
