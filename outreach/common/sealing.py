"""Secrets at rest: AES-256-GCM, bound to the place where they are stored.

A sealed secret names the key that sealed it, so keys rotate without a flag day: the newest key
seals, every key still listed opens. The associated data (tenant, model, row, field) is not stored;
whoever opens has to know where the secret belongs, so a value copied to another row, field or
tenant stays shut.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from outreach.common.errors import BadInput, OutreachError

VERSION = 1
NONCE_BYTES, TAG_BYTES, KEY_BYTES = 12, 16, 32
KEY_ID = re.compile(r"[A-Za-z0-9_.-]{1,32}\Z")


class SealBroken(OutreachError):
    """The secret can't be opened: unknown key, another place, or changed bytes."""

    code, http_status = "seal_broken", 409


@dataclass(frozen=True, slots=True)
class Key:
    """One key of 32 bytes under its id; the bytes never show in a repr."""

    id: str
    secret: bytes = field(repr=False)


def parse_keys(text: str) -> tuple[Key, ...]:
    """Return the keys of a list `id:base64,id:base64`, newest first.

    Raises BadInput with the position or id of the entry, never with key material.
    """
    keys: dict[str, Key] = {}
    for place, entry in enumerate((part.strip() for part in text.split(",")), start=1):
        key_id, colon, encoded = entry.partition(":")
        if not colon or not KEY_ID.match(key_id):
            raise BadInput(f"Key {place} of the list is not of the form id:base64, with an id of letters and digits.")
        if key_id in keys:
            raise BadInput(f"Key id {key_id!r} is in the list twice. Give every key an id of its own.")
        try:
            secret = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise BadInput(f"Key {key_id!r} is not valid base64 of {KEY_BYTES} random bytes.") from None
        if len(secret) != KEY_BYTES:
            raise BadInput(f"Key {key_id!r} has {len(secret)} bytes and needs {KEY_BYTES}.")
        keys[key_id] = Key(key_id, secret)
    return tuple(keys.values())


class Keyring:
    """Keys by id, newest first. The newest seals, all of them open."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = {key.id: key for key in keys}
        if not self._keys:
            raise BadInput("A keyring needs at least one key.")
        self._ciphers = {key.id: AESGCM(key.secret) for key in self._keys.values()}

    @classmethod
    def parse(cls, text: str) -> Keyring:
        """Return the keyring of a setting `id:base64,...`, newest first. Raises BadInput."""
        return cls(parse_keys(text))

    @property
    def ids(self) -> tuple[str, ...]:
        """Key ids, newest first."""
        return tuple(self._keys)

    @property
    def newest(self) -> Key:
        """The key that seals and signs."""
        return next(iter(self._keys.values()))

    def get(self, key_id: str) -> Key | None:
        """Return the key of this id, or None when it was taken out of the list."""
        return self._keys.get(key_id)

    def seal(self, plaintext: bytes, aad: tuple[str, ...]) -> bytes:
        """Return version, key id, nonce and ciphertext; `aad` says where the secret belongs."""
        key_id = self.newest.id
        header = bytes((VERSION, len(key_id))) + key_id.encode("ascii")
        nonce = os.urandom(NONCE_BYTES)
        return header + nonce + self._ciphers[key_id].encrypt(nonce, plaintext, header + joined(aad))

    def open(self, sealed: bytes, aad: tuple[str, ...]) -> bytes:
        """Return the plaintext. Raises SealBroken when key, place or bytes are not the sealed ones."""
        sealed = bytes(sealed)
        key_id = key_id_of(sealed)
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise SealBroken(
                f"The secret was sealed with key {key_id!r}, which is not in the list "
                f"({', '.join(self.ids)}). "
                "Put that key back, or enter the secret again.",
                key_id=key_id,
            )
        start = 2 + len(key_id)
        header, box = sealed[:start], sealed[start:]
        try:
            return cipher.decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], header + joined(aad))
        except InvalidTag:
            raise SealBroken(
                f"The secret does not open with key {key_id!r}: it was changed or belongs elsewhere. Enter it again.",
                key_id=key_id,
            ) from None

    def is_current(self, sealed: bytes) -> bool:
        """True if the newest key sealed it, so that a rotation may skip it."""
        return key_id_of(bytes(sealed)) == self.newest.id

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self.ids)})"

    __str__ = __repr__

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("A keyring is not pickled: its keys would leave the settings.")


def key_id_of(sealed: bytes) -> str:
    """Return the id of the key that sealed it. Raises SealBroken when this is no sealed secret."""
    if len(sealed) < 2 or sealed[0] != VERSION or len(sealed) < 2 + sealed[1] + NONCE_BYTES + TAG_BYTES:
        raise SealBroken("This is not a sealed secret: it is cut off or of an unknown version.")
    try:
        return sealed[2 : 2 + sealed[1]].decode("ascii")
    except UnicodeDecodeError:
        raise SealBroken("This is not a sealed secret: its key id is not readable.") from None


def key_id_in(header: bytes) -> str:
    """The key id that sealed bytes, or their first ones, name; "" when they are no sealed secret."""
    if len(header) < 2 or header[0] != VERSION or len(header) < 2 + header[1]:
        return ""
    key_id = header[2 : 2 + header[1]].decode("ascii", "replace")
    return key_id if KEY_ID.match(key_id) else ""


def joined(parts: tuple[str, ...]) -> bytes:
    """Return the parts as one byte string that no other tuple of parts gives: length before each."""
    encoded = [part.encode("utf-8") for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)
