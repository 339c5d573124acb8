"""SMTP submission (RFC 5321, 6409) that knows at every moment whether the peer may have the mail.

smtplib raises the same error for a drop before and after the final dot, so the phases are driven here: MAIL,
RCPT and DATA in one write where the server offers PIPELINING (RFC 2920), the body, and on its own the dot.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import re
import ssl
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from socket import socket
from typing import Literal, NoReturn

from mailboxes.transports import answers, content
from mailboxes.transports.base import (
    Outgoing,
    PermanentSendError,
    Phase,
    Receipt,
    SendError,
    TransientSendError,
    UncertainSendError,
)
from mailboxes.transports.wire import Lost, Wire
from outreach.common import connect
from outreach.common.errors import BadInput, Unavailable

_EHLO_NAME = re.compile(r"[0-9A-Za-z._:\[\]-]{1,255}")


@dataclass(frozen=True, slots=True)
class Login:
    """Where one mailbox signs in. Security "none" serves loopback only, and only with `allow_loopback`."""

    host: str
    port: int
    security: Literal["tls", "starttls", "none"]
    username: str
    password: str = field(repr=False)
    ehlo_name: str
    allow_loopback: bool = False


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds per phase; the defaults are those of RFC 5321 4.5.3.2.

    `command` counts for each answer up to RCPT, `data` for that to DATA, `block` for writing, `dot` for the
    answer to the final dot, where giving up early leaves a mail uncertain.
    """

    connect: float = 30
    command: float = 300
    data: float = 120
    block: float = 180
    dot: float = 600


@functools.cache
def shared_context() -> ssl.SSLContext:
    """The context all connections share (a new one costs 18 ms): the system's authorities, names checked."""
    return ssl.create_default_context()


class SmtpTransport:
    """One mailbox's connection to its host; see `base.Transport` for what each call promises."""

    __slots__ = (
        "_context",
        "_dial",
        "_features",
        "_in_data",
        "_known",
        "_login",
        "_needs_reset",
        "_secrets",
        "_timeouts",
        "_wire",
    )

    def __init__(
        self,
        login: Login,
        timeouts: Timeouts | None = None,
        dial: Callable[..., socket] = connect.dial,
        context: ssl.SSLContext | None = None,
    ) -> None:
        if not _EHLO_NAME.fullmatch(login.ehlo_name):
            raise BadInput("The EHLO name must be a host name or an address literal.", ehlo_name=login.ehlo_name)
        self._login, self._timeouts, self._dial, self._context = login, timeouts or Timeouts(), dial, context
        self._secrets = answers.spellings(login.username, login.password)
        self._wire: Wire | None = None
        self._features: dict[str, str] = {}
        self._known = ("", b"")  # the last sender and its MAIL command up to the bracket
        self._in_data = self._needs_reset = False

    @property
    def is_open(self) -> bool:
        """See `base.Transport`."""
        return self._wire is not None

    @property
    def reusable(self) -> bool:
        """See `base.Transport`; looks at the socket, so that a connection closed for idleness is noticed."""
        if self._wire is None or self._in_data:
            return False
        try:
            return not self._wire.spoke()
        except Lost:
            self._drop()
            return False

    def open(self) -> None:
        """See `base.Transport`. Phases connect, greeting, ehlo, starttls, auth."""
        if self._wire is not None:
            return
        login, timeouts = self._login, self._timeouts
        phase: Phase = "connect"
        try:
            try:
                sock = self._dial(login.host, login.port, timeouts.connect, allow_loopback=login.allow_loopback)
            except (BadInput, Unavailable, OSError) as error:
                raise TransientSendError("connect", None, None, str(error)) from error
            wire = self._wire = Wire(sock)
            if login.security == "none" and not (login.allow_loopback and _is_loopback(wire.peer)):
                raise TransientSendError("connect", None, None, "a connection without TLS may only go to loopback")
            if login.security == "tls":
                wire.start_tls(self._context or shared_context(), login.host, timeouts.connect)
            phase = "greeting"
            self._expect(wire, phase, 220)
            phase = "ehlo"
            self._ehlo(wire)
            if login.security == "starttls":
                phase = "starttls"
                if "STARTTLS" not in self._features:
                    raise TransientSendError(phase, None, None, "the server does not offer STARTTLS")
                wire.send(b"STARTTLS\r\n", timeouts.command)
                self._expect(wire, phase, 220)
                wire.start_tls(self._context or shared_context(), login.host, timeouts.connect)
                phase = "ehlo"
                self._ehlo(wire)  # what was offered in clear counts for nothing
            if login.username:
                phase = "auth"
                self._sign_in(wire)
        except Lost as lost:
            self._drop()
            raise TransientSendError(phase, None, None, str(lost)) from lost
        except BaseException:
            self._drop()
            raise

    def _ehlo(self, wire: Wire) -> None:
        wire.send(f"EHLO {self._login.ehlo_name}\r\n".encode("ascii"), self._timeouts.command)
        text = self._expect(wire, "ehlo", 250)
        self._features = {}
        for line in text.decode("ascii", "replace").upper().split("\n")[1:]:
            keyword, _, values = line.replace("=", " ", 1).partition(" ")  # AUTH=LOGIN is how old servers write it
            self._features[keyword] = f"{self._features.get(keyword, '')} {values}".strip()

    def _sign_in(self, wire: Wire) -> None:
        """RFC 4954 with PLAIN (RFC 4616), else LOGIN; under TLS or on loopback, `open` has seen to that."""
        login, mechanisms = self._login, self._features.get("AUTH", "").split()
        user, password = login.username.encode(), login.password.encode()
        if b"\0" in user + password:
            raise PermanentSendError("auth", None, None, "user name or password contain a NUL")
        if "PLAIN" in mechanisms:
            secrets = [b64encode(b"\0%b\0%b" % (user, password))]
            command = b"AUTH PLAIN " + secrets[0]
        elif "LOGIN" in mechanisms:
            secrets = [b64encode(user), b64encode(password)]
            command = b"AUTH LOGIN"
        else:
            raise TransientSendError("auth", None, None, "the server offers neither AUTH PLAIN nor AUTH LOGIN")
        for line in (command, *secrets):
            wire.send(line + b"\r\n", self._timeouts.command)
            code, text = wire.reply(self._timeouts.command)
            if code == 235:
                return
            if code != 334:
                raise self._refusal("auth", code, text)
        raise TransientSendError("auth", code, None, "the server asks for more than user name and password")

    def _expect(self, wire: Wire, phase: Phase, wanted: int) -> bytes:
        code, text = wire.reply(self._timeouts.command)
        if code != wanted:
            raise self._refusal(phase, code, text)
        return text

    def offer(self, mail: Outgoing) -> None:
        """See `base.Transport`. Phases mail, rcpt, data, body.

        A mail that this server can't carry is refused before a byte leaves.
        """
        wire = self._wire
        if wire is None:
            raise TransientSendError("connect", None, None, "the connection is not open")
        if self._in_data:
            raise RuntimeError("The mail before this one was neither committed nor aborted.")
        if wire.has_more:
            self._answered_early(wire, "mail")
        body = content.on_the_wire(mail.content)
        commands = self._envelope(mail, body)
        if self._needs_reset:
            commands.insert(0, ("mail", b"RSET\r\n"))
        try:
            self._converse(wire, commands)
            self._in_data = True
            heard = wire.has_more or not wire.send(body, self._timeouts.block)
        except Lost as lost:
            self._broke_in_body(wire, lost)
        except SendError:
            raise
        except BaseException:  # interrupted between command and answer: out of step
            self._drop()
            raise
        if heard:
            self._answered_early(wire, "body")

    def _envelope(self, mail: Outgoing, body: bytes) -> list[tuple[Phase, bytes]]:
        """Return the commands of one transaction; PermanentSendError if this server can't carry the mail."""
        sender, recipient, features = mail.envelope_from, mail.recipient, self._features
        content.check_recipient(recipient)
        known, prefix = self._known
        if sender != known or not prefix:
            content.check_sender(sender)
            prefix = b"MAIL FROM:<%b>" % sender.encode()
            self._known = (sender, prefix)
        if not (recipient.isascii() and sender.isascii()):
            if "SMTPUTF8" not in features:
                text = "the address is not ASCII, and the server does not offer SMTPUTF8"
                raise PermanentSendError("mail" if recipient.isascii() else "rcpt", None, "5.6.7", text)
            prefix += b" SMTPUTF8"
        if not body.isascii():
            if "8BITMIME" not in features:
                text = "the mail is not ASCII, and the server does not offer 8BITMIME"
                raise PermanentSendError("mail", None, "5.6.3", text)
            prefix += b" BODY=8BITMIME"
        if "SIZE" in features:
            limit = features["SIZE"]
            if limit.isdigit() and 0 < int(limit) < len(body):
                text = f"the mail has {len(body)} octets, the server takes {limit}"
                raise PermanentSendError("mail", None, "5.3.4", text)
            prefix += b" SIZE=%d" % len(body)
        return [
            ("mail", prefix + b"\r\n"),
            ("rcpt", b"RCPT TO:<%b>\r\n" % recipient.encode()),
            ("data", b"DATA\r\n"),
        ]

    def _converse(self, wire: Wire, commands: list[tuple[Phase, bytes]]) -> None:
        """Say the commands and hear all answers; raise the first refusal with the session still in step."""
        at_once, timeouts = "PIPELINING" in self._features, self._timeouts
        refusal: SendError | None = None
        phase, code = commands[0][0], 0
        self._needs_reset = True
        try:
            if at_once:
                wire.send(b"".join([command for _, command in commands]), timeouts.command)
            for phase, command in commands:
                if not at_once:
                    wire.send(command, timeouts.command)
                code, text = wire.reply(timeouts.data if phase == "data" else timeouts.command)
                if (code == 354) if phase == "data" else (200 <= code < 300):
                    continue
                refusal = refusal or self._refusal(phase, code, text)
                if not at_once or code == 421 or not 400 <= code < 600:
                    break
        except Lost as lost:
            self._drop()
            raise (refusal or TransientSendError(phase, None, None, str(lost))) from lost
        if refusal is not None:
            # With the recipient refused and DATA accepted all the same, a dot would send an empty mail to
            # nobody, and anything else would be taken for the body (RFC 2920 3.1): only hanging up is safe.
            if code == 421 or not 400 <= code < 600:
                self._drop()
            raise refusal
        self._needs_reset = False

    def commit(self) -> Receipt:
        """See `base.Transport`. Phase dot, or body when the server gave up before it saw the dot."""
        wire = self._wire
        if wire is None or not self._in_data:
            raise TransientSendError("body", None, None, "no mail is offered on this connection")
        try:
            heard = wire.spoke()
        except Lost as lost:
            self._broke_in_body(wire, lost)
        if heard:
            self._answered_early(wire, "body")
        try:
            sent = wire.send(b".\r\n", self._timeouts.block)
            if sent:
                code, text = wire.reply(self._timeouts.dot)
        except Lost as lost:
            self._drop()
            kind = TransientSendError if lost.untouched else UncertainSendError
            raise kind("dot", None, None, str(lost)) from lost
        except BaseException:
            self._drop()
            raise
        if not sent:  # the dot is not whole, so this is no answer to it
            self._answered_early(wire, "body")
        self._in_data = False
        if 200 <= code < 300:
            return answers.receipt(answers.without(text, self._secrets))
        if 400 <= code < 600:
            if code == 421:
                self._drop()
            raise self._refusal("dot", code, text)
        self._drop()
        raise UncertainSendError("dot", code, None, answers.printable(answers.without(text, self._secrets)))

    def abort(self) -> None:
        """See `base.Transport`: inside DATA hang up without a dot (RSET would be body text), else RSET."""
        wire = self._wire
        if wire is None:
            return
        if self._in_data:
            self._drop()
        elif self._needs_reset:
            try:
                wire.send(b"RSET\r\n", self._timeouts.command)
                self._expect(wire, "mail", 250)
                self._needs_reset = False
            except (Lost, SendError):
                self._drop()

    def close(self) -> None:
        """See `base.Transport`."""
        wire = self._wire
        if wire is not None and not self._in_data:
            with contextlib.suppress(Lost):
                wire.send(b"QUIT\r\n", 0)
        self._drop()

    def _refusal(self, phase: Phase, code: int, text: bytes) -> SendError:
        """The error for an answer; a server that says the password back does not get it stored."""
        return answers.refusal(phase, code, answers.without(text, self._secrets))

    def _drop(self) -> None:
        """Hang up. No dot is ever written here, so an offered mail is gone."""
        wire, self._wire = self._wire, None
        self._in_data = self._needs_reset = False
        if wire is not None:
            wire.close()

    def _broke_in_body(self, wire: Wire, lost: Lost) -> NoReturn:
        """A broken connection may still hold the answer that explains it."""
        with contextlib.suppress(Lost):
            if wire.spoke():
                self._answered_early(wire, "body")
        self._drop()
        raise TransientSendError("body", None, None, str(lost)) from lost

    def _answered_early(self, wire: Wire, phase: Phase) -> NoReturn:
        try:
            code, text = wire.reply(self._timeouts.command)
        except Lost as lost:
            raise TransientSendError(phase, None, None, str(lost)) from lost
        finally:
            self._drop()
        raise self._refusal(phase, code, text)


def _is_loopback(literal: str) -> bool:
    try:
        return ipaddress.ip_address(literal).is_loopback
    except ValueError:
        return False
