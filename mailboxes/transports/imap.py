"""Signing in over IMAP (RFC 9051, 3501), and nothing else: whether a credential opens the place where mail is read.

Every answer is bounded in length and time. TLS from the first byte, or STARTTLS, is required; without it a
connection goes to loopback only, where that is allowed.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from socket import socket

from mailboxes.transports import answers
from mailboxes.transports.base import PermanentSendError, Phase, TransientSendError
from mailboxes.transports.smtp import Login, Timeouts, shared_context
from mailboxes.transports.wire import Lost, Wire
from outreach.common import connect
from outreach.common.errors import BadInput, Unavailable

MAX_LINES = 100  # of one answer
_PLAIN_TEXT = re.compile(rb"[\x20-\x7e]*")
_FOR_NOW = (b"UNAVAILABLE", b"INUSE", b"LIMIT", b"SERVERBUG", b"CONTACTADMIN")  # RFC 5530: not about the credential


def sign_in(
    login: Login,
    timeouts: Timeouts,
    dial: Callable[..., socket] = connect.dial,
    context: ssl.SSLContext | None = None,
) -> None:
    """Sign in and out again. Phases connect, greeting, ehlo (the server's capabilities), starttls, auth.

    Raises PermanentSendError in phase auth when the server refused the credential, else TransientSendError.
    """
    phase: Phase = "connect"
    try:
        sock = dial(
            login.host,
            login.port,
            timeouts.connect,
            allow_loopback=login.allow_loopback,
            ports=connect.IMAP_PORTS,
        )
    except (BadInput, Unavailable, OSError) as error:
        raise TransientSendError(phase, None, None, str(error)) from error
    wire = Wire(sock)
    session = _Session(wire, login, timeouts.command)
    try:
        if login.security == "none" and not (login.allow_loopback and ipaddress.ip_address(wire.peer).is_loopback):
            raise TransientSendError(phase, None, None, "a connection without TLS may only go to loopback")
        if login.security == "tls":
            wire.start_tls(context or shared_context(), login.host, timeouts.connect)
        phase = "greeting"
        greeting = wire.line(timeouts.command)
        if not greeting.upper().startswith(b"* OK"):  # PREAUTH would prove nothing, and BYE is a refusal of all
            raise TransientSendError(phase, None, None, session.words(greeting))
        phase = "ehlo"
        features = session.features()
        if login.security == "starttls":
            phase = "starttls"
            if b"STARTTLS" not in features:
                raise TransientSendError(phase, None, None, "the server does not offer STARTTLS")
            session.ask(phase, b"STARTTLS")
            wire.start_tls(context or shared_context(), login.host, timeouts.connect)
            phase = "ehlo"
            features = session.features()  # what was offered in clear counts for nothing
        phase = "auth"
        session.sign_in(features)
        with suppress(Lost):
            wire.send(b"z LOGOUT\r\n", 0)
    except Lost as lost:
        raise TransientSendError(phase, None, None, str(lost)) from lost
    finally:
        wire.close()


class _Session:
    """Commands and their answers on one connection."""

    def __init__(self, wire: Wire, login: Login, seconds: float) -> None:
        self.wire, self.login, self.seconds = wire, login, seconds
        self.secrets = answers.spellings(login.username, login.password)
        self.count = 0

    def features(self) -> frozenset[bytes]:
        lines = self.ask("ehlo", b"CAPABILITY")
        found = [line[len(b"* CAPABILITY ") :] for line in lines if line.upper().startswith(b"* CAPABILITY ")]
        return frozenset(b" ".join(found).upper().split())

    def ask(self, phase: Phase, command: bytes, *more: bytes) -> list[bytes]:
        """Say a command, and each of `more` when the server asks for it; return the untagged lines of the answer."""
        self.count += 1
        tag, rest, lines = b"a%d" % self.count, list(more), list[bytes]()
        self.wire.send(b"%b %b\r\n" % (tag, command), self.seconds)
        while len(lines) < MAX_LINES:
            line = self.wire.line(self.seconds)
            if line.startswith(b"+"):
                if not rest:
                    raise TransientSendError(phase, None, None, "the server asks for more than user name and password")
                self.wire.send(rest.pop(0) + b"\r\n", self.seconds)
            elif line.startswith(tag + b" "):
                self._judge(phase, line[len(tag) + 1 :])
                return lines
            elif line.upper().startswith(b"* BYE"):
                raise TransientSendError(phase, None, None, self.words(line))
            lines.append(line)
        raise Lost("the server's answer is too long")

    def _judge(self, phase: Phase, answer: bytes) -> None:
        verdict, _, text = answer.partition(b" ")
        if verdict.upper() == b"OK":
            return
        for_now = text.upper().lstrip().removeprefix(b"[").startswith(_FOR_NOW)
        refused = phase == "auth" and verdict.upper() == b"NO" and not for_now
        kind = PermanentSendError if refused else TransientSendError
        raise kind(phase, None, None, self.words(answer))

    def sign_in(self, features: frozenset[bytes]) -> None:
        user, password = self.login.username.encode(), self.login.password.encode()
        if b"\0" in user + password:
            raise PermanentSendError("auth", None, None, "user name or password contain a NUL")
        if b"AUTH=PLAIN" in features:
            self.ask("auth", b"AUTHENTICATE PLAIN", b64encode(b"\0%b\0%b" % (user, password)))
        elif b"LOGINDISABLED" in features:
            raise TransientSendError("auth", None, None, "the server offers neither AUTH=PLAIN nor LOGIN")
        elif _PLAIN_TEXT.fullmatch(user + password):
            self.ask("auth", b"LOGIN %b %b" % (_quoted(user), _quoted(password)))
        else:
            self.ask("auth", b"LOGIN {%d}" % len(user), b"%b {%d}" % (user, len(password)), password)

    def words(self, line: bytes) -> str:
        """What the server said, without the password."""
        return answers.printable(answers.without(line, self.secrets))


def _quoted(text: bytes) -> bytes:
    return b'"%b"' % text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
