"""A way out that ends inside the process and keeps the contract of `base.Transport`.

For tests of what stands above a transport; a host here can refuse and hang up like one out there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mailboxes.transports import answers, content
from mailboxes.transports.base import Outgoing, Phase, Receipt, TransientSendError, UncertainSendError

HANG_UP = "hang up"  # instead of an answer
KEEP_AND_HANG_UP = "keep and hang up"  # at the dot: the mail is kept, the 250 never arrives


def agree(phase: Phase, mail: Outgoing | None) -> str:
    """Say yes to everything."""
    return "250 2.0.0 Ok"


@dataclass(slots=True)
class MemoryHost:
    """A mail host. `answer` is asked at every phase and returns "250 ...", a refusal, or how to hang up."""

    answer: Callable[[Phase, Outgoing | None], str] = agree
    accepted: list[Outgoing] = field(default_factory=list)
    aborted: list[Outgoing] = field(default_factory=list)
    sign_ins: int = 0


class MemoryTransport:
    """One connection to a MemoryHost; see `base.Transport`."""

    __slots__ = ("_host", "_offered", "_open")

    def __init__(self, host: MemoryHost) -> None:
        self._host = host
        self._open = False
        self._offered: Outgoing | None = None

    @property
    def is_open(self) -> bool:
        """See `base.Transport`."""
        return self._open

    @property
    def reusable(self) -> bool:
        """See `base.Transport`."""
        return self._open and self._offered is None

    def open(self) -> None:
        """See `base.Transport`."""
        if self._open:
            return
        self._open = True
        self._host.sign_ins += 1
        try:
            for phase in ("connect", "greeting", "ehlo", "starttls", "auth"):
                self._ask(phase, None)
        except BaseException:
            self._open = False
            raise

    def offer(self, mail: Outgoing) -> None:
        """See `base.Transport`."""
        if not self._open:
            raise TransientSendError("connect", None, None, "the connection is not open")
        if self._offered is not None:
            raise RuntimeError("The mail before this one was neither committed nor aborted.")
        content.check_addresses(mail)
        for phase in ("mail", "rcpt", "data"):
            self._ask(phase, mail)
        self._offered = mail

    def commit(self) -> Receipt:
        """See `base.Transport`."""
        mail = self._offered
        if mail is None:
            raise TransientSendError("body", None, None, "no mail is offered on this connection")
        try:
            self._ask("body", mail)
        except BaseException:
            self.abort()
            raise
        self._offered = None
        words = self._ask("dot", mail)
        self._host.accepted.append(mail)
        return answers.receipt(words[4:].encode())

    def abort(self) -> None:
        """See `base.Transport`."""
        if self._offered is not None:
            self._host.aborted.append(self._offered)
            self._offered, self._open = None, False

    def close(self) -> None:
        """See `base.Transport`."""
        self.abort()
        self._open = False

    def _ask(self, phase: Phase, mail: Outgoing | None) -> str:
        words = self._host.answer(phase, mail)
        if words in (HANG_UP, KEEP_AND_HANG_UP):
            self._open = False
            if words == KEEP_AND_HANG_UP and mail is not None:
                self._host.accepted.append(mail)
            kind = UncertainSendError if phase == "dot" else TransientSendError
            raise kind(phase, None, None, "the server closed the connection")
        code = int(words[:3])
        if code >= 400:
            if code == 421:
                self._open = False
            raise answers.refusal(phase, code, words[4:].encode())
        return words
