"""What an SMTP server's words become: an error with its class, or a receipt. Safe to store, log and show."""

from __future__ import annotations

import re

from mailboxes.transports.base import PermanentSendError, Phase, Receipt, SendError, TransientSendError

MAX_TEXT = 1000  # characters of a server's words that are kept

_ENHANCED = re.compile(rb"([245]\.\d{1,3}\.\d{1,3})\b")
_ENHANCED_AT_LINE_START = re.compile(rb"^[245]\.\d{1,3}\.\d{1,3}(?:[ \t]+|$)", re.MULTILINE)
# Postfix; Exim; Microsoft 365, SES and others that put it after the OK.
_PROVIDER_ID = re.compile(
    r"queued as <?([^\s>]+)|\bid=(\S+)|^(?:\d\.\d\.\d )?OK:? <?([^\s>]{16,})",
    re.IGNORECASE,
)


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
