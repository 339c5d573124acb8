"""What an SMTP server's words become: an error with its class, or a receipt. Safe to store, log and show."""

from __future__ import annotations

import quopri
import re
from base64 import b64encode
from urllib.parse import quote_from_bytes

from mailboxes.transports.base import PermanentSendError, Phase, Receipt, SendError, TransientSendError

MAX_TEXT = 1000  # characters of a server's words that are kept
SHORTEST_HIDDEN = 4  # octets
HIDDEN = b"[hidden]"

_ENHANCED = re.compile(rb"([245]\.\d{1,3}\.\d{1,3})\b")
_ENHANCED_AT_LINE_START = re.compile(rb"^[245]\.\d{1,3}\.\d{1,3}(?:[ \t]+|$)", re.MULTILINE)
# Postfix; Exim; Microsoft 365, SES and others that put it after the OK.
_PROVIDER_ID = re.compile(
    r"queued as <?([^\s>]+)|\bid=(\S+)|^(?:\d\.\d\.\d )?OK:? <?([^\s>]{16,})",
    re.IGNORECASE,
)


def spellings(username: str, password: str) -> tuple[bytes, ...]:
    """How a server may say a password back: as it is, and as it was or might be encoded on the way.

    Very short ones are left out: hiding each "ab" would leave nothing of an answer.
    """
    plain = password.encode("utf-8", "replace")
    if len(plain) < SHORTEST_HIDDEN:
        return ()
    quoted = quote_from_bytes(plain, safe="").encode()
    quoted_printable = quopri.encodestring(plain).replace(b"=\n", b"")
    found = [b64encode(b"\0%b\0%b" % (username.encode("utf-8", "replace"), plain)), plain, quoted, quoted_printable]
    # The middle of its base64, wherever it began in what was encoded.
    found += [b64encode(b"\0" * skip + plain)[-(-skip * 4 // 3) : (skip + len(plain)) * 8 // 6] for skip in range(3)]
    found += [plain.hex().encode(), plain.hex().upper().encode(), plain[::-1]]
    return tuple(dict.fromkeys(sorted(found, key=len, reverse=True)))


def without(text: bytes, secrets: tuple[bytes, ...]) -> bytes:
    """A server's words with each of these replaced, and what is written without a blank before and behind it."""
    for secret in secrets:
        if secret in text:
            text = re.sub(rb"[\w+/=]*%b[\w+/=]*" % re.escape(secret), HIDDEN, text)
    return text


def refusal(phase: Phase, code: int, text: bytes) -> SendError:
    """The error for an answer that is not the wanted one; the basic code decides, not the enhanced one."""
    found = _ENHANCED.match(text)
    enhanced = found.group(1).decode("ascii") if found else None
    kind = PermanentSendError if 500 <= code < 600 else TransientSendError
    return kind(phase, code, enhanced, printable(_ENHANCED_AT_LINE_START.sub(b"", text)))


def receipt(text: bytes) -> Receipt:
    """What a 2xx to the dot says, with the peer's id of the mail where it is recognized."""
    words = printable(text)
    found = _PROVIDER_ID.search(words)
    return Receipt(words, (found.group(found.lastindex or 0) if found else "").strip("<>"))


def printable(text: bytes) -> str:
    """A server's words as one line that is safe in a log and on a page."""
    words = text[: 2 * MAX_TEXT].decode("utf-8", "replace").replace("\n", " ").strip()
    if not words.isprintable():
        words = "".join(character if character.isprintable() else "?" for character in words)
    return words[:MAX_TEXT]
