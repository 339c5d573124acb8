"""Two kinds of mail host for the contract of all transports: one in this process, and real SMTP sinks."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mailboxes.transports.base import Outgoing, Receipt, Transport
from mailboxes.transports.memory import HANG_UP, KEEP_AND_HANG_UP, MemoryHost, MemoryTransport, agree
from mailboxes.transports.smtp import Login, SmtpTransport, Timeouts
from tests.faults.sink import FaultSink, Rule

QUICK = Timeouts(connect=5, command=5, data=5, block=5, dot=5)


def eventually(what: Callable[[], Any], seconds: float = 3) -> Any:
    """The first true value of `what`, or the last false one: the other process needs a moment."""
    deadline = time.monotonic() + seconds
    while not (value := what()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return value


def deliver(transport: Transport, mail: Outgoing, *, pause_seconds: float = 0) -> Receipt:
    """Open, offer, wait, commit. With a pause, what the peer does meanwhile has arrived before the dot."""
    transport.open()
    transport.offer(mail)
    time.sleep(pause_seconds)
    return transport.commit()


class MemoryPeer:
    """A MemoryHost with the switches the contract needs."""

    def __init__(self) -> None:
        self._host = MemoryHost(self._answer)
        self._rule = ("", "")

    def _answer(self, phase: str, mail: Outgoing | None) -> str:
        return self._rule[1] if phase == self._rule[0] else agree(phase, mail)  # type: ignore[arg-type]

    def transport(self) -> Transport:
        return MemoryTransport(self._host)

    def answer(self, phase: str, words: str) -> None:
        self._rule = (phase, words)

    def hang_up(self, phase: str, *, keep: bool = False) -> None:
        self._rule = (phase, KEEP_AND_HANG_UP if keep else HANG_UP)

    def calm(self) -> None:
        self._rule = ("", "")

    def has(self) -> list[tuple[str, str, str]]:
        return [
            (mail.envelope_from, mail.recipient, hashlib.sha256(mail.content).hexdigest())
            for mail in self._host.accepted
        ]

    def aborts(self) -> int:
        return len(self._host.aborted)

    def sessions(self) -> int:
        return self._host.sign_ins


class SmtpPeer:
    """A running FaultSink with the same switches; sees only what came since it was made."""

    def __init__(self, sink: FaultSink, security: Any, context: ssl.SSLContext | None) -> None:
        self._sink, self._security, self._context = sink, security, context
        self.calm()
        book = sink.read_book()
        self._before = (len(book.accepted), len(book.stored), len(book.aborted))

    def transport(self, timeouts: Timeouts = QUICK, **login: Any) -> SmtpTransport:
        given = {"username": "anna", "password": "secret", **login}
        door = Login(
            self._sink.host,
            self._sink.port,
            self._security,
            ehlo_name="me.example",
            allow_loopback=True,
            **given,
        )
        return SmtpTransport(door, timeouts, context=self._context)

    def rules(self, *rules: Rule) -> None:
        self._sink.rules(*rules)

    def answer(self, phase: str, words: str) -> None:
        self.rules(Rule(phase, answer=words))

    def hang_up(self, phase: str, *, keep: bool = False) -> None:
        self.rules(Rule(phase, hang_up=True, keep=keep))

    def calm(self) -> None:
        self.rules()

    def entries(self) -> list[Any]:
        book = self._sink.read_book()
        return book.accepted[self._before[0] :] + book.stored[self._before[1] :]

    def has(self) -> list[tuple[str, str, str]]:
        return [(entry.mail_from, entry.recipient, entry.sha256) for entry in self.entries()]

    def aborts(self) -> int:
        return len(self._sink.read_book().aborted) - self._before[2]

    def sessions(self) -> int:
        return len({entry.session for entry in self.entries()})


def make_authority(folder: Path, *names: str) -> tuple[Path, Path]:
    """Write a server certificate of a new authority; return the files (authority, certificate with key)."""
    now = datetime.datetime.now(datetime.UTC)

    def certify(subject: str, key: Any, issuer: str, issuer_key: Any, *, ca: bool) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            given = [
                x509.DNSName(name) if name[0].isalpha() else x509.IPAddress(ipaddress.ip_address(name))
                for name in names
            ]
            builder = builder.add_extension(x509.SubjectAlternativeName(given), critical=False)
        return builder.sign(issuer_key, hashes.SHA256())

    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = certify("Test authority", root_key, "Test authority", root_key, ca=True)
    leaf = certify("sink", key, "Test authority", root_key, ca=False)
    pem = serialization.Encoding.PEM
    authority, chain = folder / "authority.pem", folder / "chain.pem"
    authority.write_bytes(root.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain.write_bytes(leaf.public_bytes(pem) + private)
    return authority, chain
