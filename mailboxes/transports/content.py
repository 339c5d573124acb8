"""What may go over the wire, and in which form. Pure functions; the sources are RFC 5321 and RFC 5322."""

from __future__ import annotations

import re

from mailboxes.transports.base import Outgoing, PermanentSendError

# No space, control, angle bracket or line separator: one address can't become two commands.
_NO = r"\x00-\x20\x7f-\x9f<>\u2028\u2029\ud800-\udfff"
_ADDRESS = re.compile(rf"[^{_NO}]{{1,250}}@[^{_NO}@]{{1,253}}")
_LINE_END = re.compile(rb"\r\n|\r|\n")


def check_recipient(recipient: str) -> None:
    """Refuse what would not be one address in one command. Raises PermanentSendError with 5.1.3."""
    if not _ADDRESS.fullmatch(recipient):
        raise PermanentSendError("rcpt", None, "5.1.3", f"{recipient[:100]!r} can't be used as a recipient")


def check_sender(sender: str) -> None:
    """As `check_recipient` with 5.1.7; "" is the null sender of RFC 5321 4.5.5."""
    if sender and not _ADDRESS.fullmatch(sender):
        raise PermanentSendError("mail", None, "5.1.7", f"{sender[:100]!r} can't be used as a sender")


def check_addresses(mail: Outgoing) -> None:
    """Both of the above."""
    check_sender(mail.envelope_from)
    check_recipient(mail.recipient)


def on_the_wire(content: bytes) -> bytes:
    """Return what DATA carries, without the final dot: only CRLF ends a line, leading dots are doubled.

    A bare CR or LF would let some servers see an end of data that others don't (SMTP smuggling).
    """
    lines = content.count(b"\n")
    if content.count(b"\r") != lines or content.count(b"\r\n") != lines:
        content = _LINE_END.sub(b"\r\n", content)
    if not content.endswith(b"\r\n"):
        content += b"\r\n"
    content = content.replace(b"\r\n.", b"\r\n..")
    return b"." + content if content.startswith(b".") else content
