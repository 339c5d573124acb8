"""What every way out of the house has in common: one mail in, a receipt or a failure with its phase out.

A transport knows no models, no settings and no wall clock. It is driven by one thread:
`open`, then for each mail `offer` and either `commit` or `abort`, at last `close`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Phase = Literal[
    "connect", "greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "body", "dot"
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One mail to one person.

    `content` is a whole RFC 5322 message in bytes with CRLF line ends, not dot-stuffed;
    the addresses are bare, without angle brackets.
    """

    envelope_from: str
    recipient: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """The peer took responsibility: its words, and its own id of the mail where it gave one (else "")."""

    text: str
    provider_id: str


class SendError(Exception):
    """A mail was not accepted, or nobody knows.

    `phase` says how far it came, `code` and `enhanced` (RFC 3463) are what the peer answered.
    `code` is None when there was no answer: a drop, silence, nonsense, or a refusal of our own
    (a mail that this connection cannot carry; `enhanced` then names the reason). `text` is one
    printable line.
    """

    def __init__(self, phase: Phase, code: int | None, enhanced: str | None, text: str) -> None:
        super().__init__(phase, code, enhanced, text)
        self.phase, self.code, self.enhanced, self.text = phase, code, enhanced, text

    def __str__(self) -> str:
        return " ".join(str(part) for part in (f"{self.phase}:", self.code, self.enhanced, self.text) if part)


class TransientSendError(SendError):
    """Certainly not accepted, and another try may succeed."""


class PermanentSendError(SendError):
    """Certainly not accepted, and the same try would fail again."""


class UncertainSendError(SendError):
    """The peer fell silent after the point of no return: it may have the mail. Never try again by itself."""


class Transport(Protocol):
    """One connection, or one account behind an HTTP door."""

    @property
    def is_open(self) -> bool:
        """There is a connection, as far as we know."""

    @property
    def reusable(self) -> bool:
        """The next `offer` can be made without `open`: the peer has neither closed nor spoken out of turn."""

    def open(self) -> None:
        """Connect, secure and sign in; does nothing when it is already open.

        Raises TransientSendError or PermanentSendError, and is closed then.
        """

    def offer(self, mail: Outgoing) -> None:
        """Bring one mail to the point of no return. Raises TransientSendError or PermanentSendError.

        After an error about the mail the connection may still be `reusable`.
        """

    def commit(self) -> Receipt:
        """Pass that point.

        Raises UncertainSendError when the peer fell silent: it may have the mail. Raises
        TransientSendError or PermanentSendError when it refused, or when that point was not reached.
        """

    def abort(self) -> None:
        """Before that point: leave nothing. Never raises."""

    def close(self) -> None:
        """Say goodbye without waiting for an answer; a mail that was offered is dropped. Never raises."""
