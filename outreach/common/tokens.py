"""Opaque signed tokens for links that outsiders hold: one message of one tenant.

Layout before base64url without padding: version (1 byte), length of the key id (1), key id, tenant id (8, big
endian), message id (8), MAC (16: HMAC-SHA256 cut to 128 bits over everything before it). A token has exactly
one spelling, so no changed character ever verifies, the unused bits of the last one included.
"""

from __future__ import annotations

import base64
import binascii
import hmac

from outreach.common.errors import OutreachError
from outreach.common.sealing import Key, Keyring

VERSION = 1
TRIAL_VERSION = 2
CLICK_VERSION = 3
MAC_BYTES = 16
PURPOSE = b"outreach unsubscribe token\x00"
CLICK_PURPOSE = b"outreach link of a mail\x00"
TRIAL_PURPOSE = b"outreach trial of the unsubscribe button\x00"
CODE_PURPOSE = b"outreach code of a seed address\x00"
ANSWER_PURPOSE = b"outreach answer to a trial\x00"
TRIAL_SECONDS = 600
MAX_CHARS = 100


class BadToken(OutreachError):
    """The token is not one of ours, or no longer: nothing may be disclosed or changed."""

    code, http_status = "bad_token", 400


def sign_trial(keys: Keyring, nonce: int, at: int) -> str:
    """Return a token that stands for nobody: with it we press our own button. `at` is the Unix time.

    Laid out as a recipient's, with a version and a MAC of its own, so that neither is ever taken for the other.
    """
    key = keys.newest
    head = bytes((TRIAL_VERSION, len(key.id))) + key.id.encode("ascii")
    body = head + nonce.to_bytes(8, "big") + at.to_bytes(8, "big")
    signed = body + hmac.digest(key.secret, TRIAL_PURPOSE + body, "sha256")[:MAC_BYTES]
    return base64.urlsafe_b64encode(signed).rstrip(b"=").decode("ascii")


def answer_to_trial(keys: Keyring, text: str, at: int) -> str:
    """What only we can answer to a trial's token that is no older than TRIAL_SECONDS. Raises BadToken."""
    key, body, signature = _parts(keys, text, TRIAL_VERSION)
    expected = hmac.digest(key.secret, TRIAL_PURPOSE + body, "sha256")[:MAC_BYTES]
    made_at = int.from_bytes(body[-8:], "big")
    if not hmac.compare_digest(expected, signature) or not -60 <= at - made_at <= TRIAL_SECONDS:
        raise bad()
    return hmac.new(key.secret, ANSWER_PURPOSE + body, "sha256").hexdigest()[:32]


def sign(keys: Keyring, tenant_id: int, message_pk: int) -> str:
    """Return the token of a message, url-safe, signed with the newest key."""
    key = keys.newest
    body = b"".join(
        (
            bytes((VERSION, len(key.id))),
            key.id.encode("ascii"),
            tenant_id.to_bytes(8, "big"),
            message_pk.to_bytes(8, "big"),
        )
    )
    return base64.urlsafe_b64encode(body + mac(key.secret, body)).rstrip(b"=").decode("ascii")


def six_digits(keys: Keyring, tenant_id: int, nonce: bytes) -> str:
    """Return the code that goes with a nonce, to be read in a mail and typed; a new newest key makes it another."""
    made = hmac.digest(keys.newest.secret, CODE_PURPOSE + tenant_id.to_bytes(8, "big") + nonce, "sha256")
    return f"{int.from_bytes(made[:8], 'big') % 1_000_000:06d}"


def read(keys: Keyring, text: str) -> tuple[int, int]:
    """Return (tenant id, message pk) of a token that a listed key signed. Raises BadToken."""
    key, body, signature = _parts(keys, text, VERSION)
    if not hmac.compare_digest(mac(key.secret, body), signature):
        raise bad()
    return int.from_bytes(body[-16:-8], "big"), int.from_bytes(body[-8:], "big")


def sign_click(keys: Keyring, tenant_id: int, message_pk: int, number: int) -> str:
    """Return the token of one link of a message: as that of the message, with the link's number behind it."""
    key = keys.newest
    head = bytes((CLICK_VERSION, len(key.id))) + key.id.encode("ascii")
    body = head + tenant_id.to_bytes(8, "big") + message_pk.to_bytes(8, "big") + number.to_bytes(2, "big")
    signed = body + hmac.digest(key.secret, CLICK_PURPOSE + body, "sha256")[:MAC_BYTES]
    return base64.urlsafe_b64encode(signed).rstrip(b"=").decode("ascii")


def read_click(keys: Keyring, text: str) -> tuple[int, int, int]:
    """Return (tenant id, message pk, number of the link) of a token that a listed key signed. Raises BadToken."""
    key, body, signature = _parts(keys, text, CLICK_VERSION, 18)
    if not hmac.compare_digest(hmac.digest(key.secret, CLICK_PURPOSE + body, "sha256")[:MAC_BYTES], signature):
        raise bad()
    tenant, message, number = body[-18:-10], body[-10:-2], body[-2:]
    return int.from_bytes(tenant, "big"), int.from_bytes(message, "big"), int.from_bytes(number, "big")


def _parts(keys: Keyring, text: str, version: int, size: int = 16) -> tuple[Key, bytes, bytes]:
    """The key that is named, what it signed, and the MAC, which is not looked at yet. Raises BadToken."""
    if not text or len(text) > MAX_CHARS or not text.isascii():
        raise bad()
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise bad() from None
    # the decoder skips foreign characters and ignores unused bits; only the one true spelling passes
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != text.encode("ascii"):
        raise bad()
    if len(raw) < 2 or raw[0] != version or len(raw) != 2 + raw[1] + size + MAC_BYTES:
        raise bad()
    key = keys.get(raw[2 : 2 + raw[1]].decode("ascii", "replace"))
    if key is None:
        raise bad()
    return key, raw[:-MAC_BYTES], raw[-MAC_BYTES:]


def mac(secret: bytes, body: bytes) -> bytes:
    return hmac.digest(secret, PURPOSE + body, "sha256")[:MAC_BYTES]


def bad() -> BadToken:
    return BadToken("This link is not valid. Use the link of the newest message.")
