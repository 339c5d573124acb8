"""The audit's chain as a calculation: what one entry's hash is made of, and how a head is signed. No models.

An entry's hash is HMAC-SHA256, under a key made of AUDIT_KEY, of the hash before it and of everything the entry
says. Whoever can write in the database but does not hold the key can neither change an entry nor close the gap
that a deleted one leaves. What nobody can see from inside is a tail cut off together with the chain's own head;
for that a head is signed (Ed25519, RFC 8032) and kept elsewhere.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from outreach.common.errors import BadInput

VERSION = 1
BEGINNING = bytes(32)  # what stands before a chain's first entry
UNREADABLE = "cannot be read"  # in the place of JSON that Python does not take
# What an entry says, in the order in which it is hashed; `tenant_id` None is the platform's chain.
PARTS = (
    "tenant_id", "seq", "at", "action", "actor_kind", "actor_user_id", "actor_key_id", "actor_name", "subject",
    "subject_id", "before", "after", "reason", "facts", "ip", "request_id", "via",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain stands: its newest entry's number and hash. Number 0 is a chain without entries."""

    tenant_id: int | None
    seq: int
    hash: bytes

    def as_json(self) -> dict[str, Any]:
        return {"tenant_id": self.tenant_id, "seq": self.seq, "hash": self.hash.hex()}


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing that is wrong in a chain. `entry_id` is the row at hand, None where one is missing."""

    tenant_id: int | None
    seq: int
    entry_id: int | None
    what: str

    def as_json(self) -> dict[str, Any]:
        return {"tenant_id": self.tenant_id, "seq": self.seq, "entry_id": self.entry_id, "what": self.what}


@dataclass(frozen=True, slots=True)
class Keys:
    """The two keys that are made of AUDIT_KEY: one chains, the other signs heads."""

    chain: bytes = field(repr=False)
    signing: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Keys:
        """The keys of a setting: base64 of at least 32 random bytes. Raises BadInput without key material."""
        try:
            secret = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise BadInput("AUDIT_KEY is not valid base64. Make one of 32 random bytes in base64.") from None
        if len(secret) < 32:
            raise BadInput(f"AUDIT_KEY has {len(secret)} bytes and needs 32 random ones or more.")
        seed = hmac.digest(secret, b"outreach audit heads", "sha256")
        return cls(hmac.digest(secret, b"outreach audit chain", "sha256"), Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def public(self) -> str:
        """The public key of the signatures, in base64: with it a stranger checks a head or an export."""
        raw = self.signing.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return base64.b64encode(raw).decode()


def content(entry: Mapping[str, Any]) -> bytes:
    """Everything an entry says as one line of JSON in which each thing has one form only."""
    at: datetime = entry["at"]
    parts = [VERSION, *(entry[name] for name in PARTS)]
    parts[1 + PARTS.index("at")] = at.astimezone(UTC).isoformat(timespec="microseconds")
    return json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def link(chain_key: bytes, previous: bytes, entry: Mapping[str, Any]) -> bytes:
    """The hash of an entry that follows the one with the hash `previous`."""
    return hmac.digest(chain_key, previous + content(entry), "sha256")


def follow(
    chain_key: bytes, head: Head, rows: Iterable[tuple[int, bytes, Mapping[str, Any]]], marks: Mapping[int, bytes]
) -> Head | Fault:
    """Go on from a head over the next rows (row id, stored hash, what it says), in the order of their numbers.

    `marks` are hashes that heads signed earlier give for numbers. Returns the new head, or the first fault.
    """
    seq, previous, tenant_id = head.seq, head.hash, head.tenant_id
    for row_id, stored, entry in rows:
        seq += 1
        if entry["seq"] != seq:
            return Fault(
                tenant_id, seq, None, f"entry {seq} is missing; the next row there is has number {entry['seq']}"
            )
        if not _is_ours(entry) or not hmac.compare_digest(link(chain_key, previous, entry), stored):
            return Fault(tenant_id, seq, row_id, f"entry {seq} is not what was written, or not where it was written")
        if marks.get(seq, stored) != stored:
            return Fault(tenant_id, seq, row_id, f"entry {seq} is not the one that the signed head names")
        previous = stored
    return Head(tenant_id, seq, previous)


def _is_ours(entry: Mapping[str, Any]) -> bool:
    """Whether an entry can be hashed at all: it has a time, and nothing that JSON can't say."""
    try:
        content(entry)
    except (ValueError, AttributeError, RecursionError):
        return False
    return True


def sign(keys: Keys, heads: Sequence[Head], *, at: datetime, **more: Any) -> str:
    """Heads as a text to be kept elsewhere: one JSON object with a signature over all of it."""
    said = {
        "kind": "outreach audit head", "version": VERSION, "at": at.astimezone(UTC).isoformat(timespec="seconds"),
        "heads": [head.as_json() for head in heads], "public_key": keys.public, **more,
    }  # fmt: skip
    signature = base64.b64encode(keys.signing.sign(_signed(said))).decode()
    return json.dumps({**said, "signature": signature}) + "\n"


def read_signed(keys: Keys, text: str | bytes) -> list[Head]:
    """The heads of such a text. Raises BadInput when it is none, or was not signed with this AUDIT_KEY."""
    try:
        said = json.loads(text)
        signature = base64.b64decode(said.pop("signature"), validate=True)
        public: Ed25519PublicKey = keys.signing.public_key()
        public.verify(signature, _signed(said))
        return [Head(head["tenant_id"], head["seq"], bytes.fromhex(head["hash"])) for head in said["heads"]]
    except InvalidSignature:
        raise BadInput(
            "The signature of the head does not hold: it was changed, or made with another AUDIT_KEY."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadInput("This is no signed head of the audit; verify_audit --head writes one.") from None


def _signed(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
