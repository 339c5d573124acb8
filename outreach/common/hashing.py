"""Keyed hashes of addresses and domains, so that a suppression outlives the erasure of a person.

A plain hash of an address can be guessed from a list of addresses; HMAC-SHA256 under HASH_KEY can't. The key
never changes, since nobody could compute the stored hashes again. Inputs are normalized ones (`Address.identity`,
`addresses.parse_domain`).
"""

from __future__ import annotations

import base64
import binascii
import hmac

from outreach.common.errors import BadInput

HASH_BYTES = 16
MIN_KEY_BYTES = 32


class Hasher:
    """HMAC-SHA256 under one key; each kind of input has a label, so that no two kinds collide."""

    __slots__ = ("_key",)

    def __init__(self, hash_key: bytes) -> None:
        if len(hash_key) < MIN_KEY_BYTES:
            raise BadInput(f"HASH_KEY has {len(hash_key)} bytes and needs {MIN_KEY_BYTES} random ones or more.")
        self._key = bytes(hash_key)

    @classmethod
    def parse(cls, text: str) -> Hasher:
        """Return the hasher of a setting in base64. Raises BadInput, never with key material."""
        try:
            return cls(base64.b64decode(text, validate=True))
        except (binascii.Error, ValueError):
            raise BadInput("HASH_KEY is not valid base64. Make one of 32 random bytes in base64.") from None

    def address(self, email_key: str) -> bytes:
        """Return 16 bytes for a normalized address."""
        return hmac.digest(self._key, b"address\x00" + email_key.encode("utf-8"), "sha256")[:HASH_BYTES]

    def domain(self, domain: str) -> bytes:
        """Return 16 bytes for a domain: the addresses of exactly this domain."""
        return hmac.digest(self._key, b"domain\x00" + domain.encode("ascii"), "sha256")[:HASH_BYTES]

    def wildcard(self, domain: str) -> bytes:
        """Return 16 bytes for everything below a domain (`*.domain`)."""
        return hmac.digest(self._key, b"wildcard\x00" + domain.encode("ascii"), "sha256")[:HASH_BYTES]

    def text(self, text: str) -> bytes:
        """Return 16 bytes for any text that is kept as a hash only, as an address in a reason."""
        return hmac.digest(self._key, b"text\x00" + text.encode("utf-8"), "sha256")[:HASH_BYTES]

    def derive(self, *parts: object) -> bytes:
        """Return 32 bytes for this sequence of parts (by their text), as a subkey or as an id."""
        encoded = [str(part).encode("utf-8") for part in parts]
        framed = b"".join(len(part).to_bytes(4, "big") + part for part in encoded)
        return hmac.digest(self._key, b"derive\x00" + framed, "sha256")

    def __repr__(self) -> str:
        return "Hasher(...)"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("A hasher is not pickled: its key would leave the settings.")
