"""A mail server that behaves like the world: it takes most mail, defers some once, refuses some.

For the demo and the tests. It stands on aiosmtpd, an SMTP implementation that is not ours, so that the two
check each other, and keeps a book of what it told its clients, one JSON line per event, written before the
answer leaves: whatever a client was promised is in the book, even when one side is killed a moment later.

    python -m outreach.demo.sink --port 0 --book FILE --announce FILE
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import hmac
import itertools
import json
import logging
import os
import re
import resource
import signal
import ssl
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from aiosmtpd.smtp import MISSING, SMTP, AuthResult, LoginPassword

Fate = Literal["accept", "defer", "refuse"]

DEFERRED = "450 4.2.0 Mailbox busy, please try again later"
REFUSED = "550 5.1.1 No such user here"
ACCEPTED = "250 2.0.0 Ok: queued as {}"

_MESSAGE_ID = re.compile(rb"^Message-ID:[ \t]*(?:\r\n[ \t]+)?([^\r\n]*)", re.IGNORECASE | re.MULTILINE)

_PLAIN_ADDRESS = re.compile(r"<([\w.+-]+@[\w-]+(?:\.[\w-]+)+)>((?: [^<>]*)?)")


def fate(recipient: str, seed: str, refuse_share: float, defer_share: float) -> Fate:
    """What becomes of an address's mail, the same for the same seed; over many addresses in these shares."""
    digest = hashlib.sha256(f"{seed}\0{recipient.lower()}".encode("utf-8", "surrogateescape")).digest()
    place = int.from_bytes(digest[:8]) / 2**64
    if place < refuse_share:
        return "refuse"
    return "defer" if place < refuse_share + defer_share else "accept"


@dataclass(frozen=True, slots=True)
class Entry:
    """One event. `at` is in seconds since 1970; `kind` is one of

    accepted (a 250 to the dot was about to leave), deferred (4xx), refused (5xx), aborted (the client hung up
    inside DATA), stored (the mail was kept, and no 250 left).
    """

    kind: str
    at: float
    session: str
    user: str
    mail_from: str
    recipient: str
    answer: str = ""
    message_id: str = ""
    sha256: str = ""
    size: int = 0


@dataclass(slots=True)
class Book:
    """What a sink told its clients, in the order in which it did."""

    accepted: list[Entry] = field(default_factory=list)
    deferred: list[Entry] = field(default_factory=list)
    refused: list[Entry] = field(default_factory=list)
    aborted: list[Entry] = field(default_factory=list)
    stored: list[Entry] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path | str) -> Book:
        """Return the book so far, empty if nothing was written. A line cut by a kill is left out."""
        book = cls()
        path = Path(path)
        if path.exists():
            with path.open("rb") as lines:
                for line in lines:
                    if line.endswith(b"\n"):
                        entry = Entry(**json.loads(line))
                        getattr(book, entry.kind).append(entry)
        return book

    def copies(self) -> dict[str, int]:
        """How many copies the sink has of each Message-ID."""
        counts: dict[str, int] = {}
        for entry in (*self.accepted, *self.stored):
            counts[entry.message_id] = counts.get(entry.message_id, 0) + 1
        return counts


class BookWriter:
    """Appends whole lines, each in one write, so that several sinks may share a book."""

    def __init__(self, path: Path | str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, kind: str, server: SinkServer, answer: str = "", content: bytes | None = None) -> None:
        """Put one event of a session down; the kernel has it afterwards."""
        envelope = server.envelope
        entry: dict[str, Any] = {
            "kind": kind,
            "at": time.time(),
            "session": server.session_id,
            "user": server.user,
            "mail_from": (envelope and envelope.mail_from) or "",
            "recipient": server.asked_for or ",".join(envelope.rcpt_tos if envelope else ()),
            "answer": answer,
        }
        if content is not None:
            found = _MESSAGE_ID.search(content[: content.find(b"\r\n\r\n") + 2])
            entry["message_id"] = found.group(1).strip().decode("utf-8", "replace") if found else ""
            entry["sha256"] = hashlib.sha256(content).hexdigest()
            entry["size"] = len(content)
        os.write(self._file, json.dumps(entry).encode() + b"\n")


@dataclass(slots=True)
class Options:
    """How a sink behaves; every field is an option on the command line."""

    book: str
    host: str = "127.0.0.1"
    port: int = 0  # 0: any free one, see `announce`
    announce: str = ""  # a file that appears when the sink is ready: {"host", "port", "pid"}
    seed: str = "world"
    refuse_share: float = 0.0
    defer_share: float = 0.0
    users: str = ""  # a JSON file {user: password}; without it every sign-in is good
    security: str = "none"  # none, starttls, tls
    certificate: str = ""  # PEM, for starttls and tls
    key: str = ""
    require_auth: bool = False
    no_pipelining: bool = False
    parent: int = 0  # the process that started it: the sink ends soon after that one is gone


class World:
    """What all sessions of one sink share: the book and the decisions about recipients."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.book = BookWriter(options.book)
        self.users = json.loads(Path(options.users).read_text()) if options.users else None
        self._deferred: set[str] = set()

    def answer_to_recipient(self, recipient: str) -> str | None:
        """The refusal of a recipient, None to take it; a deferred one is taken when it comes again."""
        options = self.options
        decided = fate(recipient, options.seed, options.refuse_share, options.defer_share)
        if decided == "refuse":
            return REFUSED
        if decided == "defer" and recipient.lower() not in self._deferred:
            self._deferred.add(recipient.lower())
            return DEFERRED
        return None

    def signs_in(self, user: str, password: str) -> bool:
        """Whether the pair is good."""
        if self.users is None:
            return True
        return hmac.compare_digest(self.users.get(user, "\0").encode(), password.encode())

    # aiosmtpd finds what follows by name and calls it within a session.

    async def handle_EHLO(self, server: Any, session: Any, _envelope: Any, hostname: str, lines: list[str]) -> Any:
        """Offer PIPELINING as the world does: aiosmtpd reads command by command, so it may."""
        session.host_name = hostname
        return lines if self.options.no_pipelining else [lines[0], "250-PIPELINING", *lines[1:]]

    async def handle_RCPT(self, server: Any, _session: Any, _envelope: Any, address: str, _options: Any) -> Any:
        """Take, defer or refuse one recipient."""
        return server.judge(address, self.answer_to_recipient(address))

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:
        """Take the mail: first the book, then the 250."""
        return server.accept(envelope.content)


class SinkServer(SMTP):
    """One session."""

    _numbers = itertools.count(1)

    def __init__(self, world: World, **options: Any) -> None:
        super().__init__(world, authenticator=self._sign_in, auth_require_tls=False, **options)
        self.world = world
        self.session_id = f"{os.getpid()}-{next(self._numbers)}"
        self.user = ""
        self.asked_for = ""  # the recipient in question while RCPT is answered
        self.in_data = False
        self._held = b""

    def _sign_in(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, pair: Any) -> AuthResult:
        if not isinstance(pair, LoginPassword):
            return AuthResult(success=False, handled=False)
        user = pair.login.decode("utf-8", "replace")
        good = self.world.signs_in(user, pair.password.decode("utf-8", "replace"))
        self.user = user if good else ""
        return AuthResult(success=good, handled=False)

    def judge(self, recipient: str, answer: str | None) -> Any:
        """Return the answer to a RCPT, after a refusal was put down."""
        if answer is None:
            return MISSING
        self.asked_for = recipient
        self.world.book.write("refused" if answer.startswith("5") else "deferred", self, answer)
        self.asked_for = ""
        return answer

    def accept(self, content: bytes) -> str:
        """Put the mail down and return the 250."""
        self.in_data = False
        answer = ACCEPTED.format(f"{self.session_id}-{time.monotonic_ns():x}")
        self.world.book.write("accepted", self, answer, content)
        return answer

    async def push(self, status: Any) -> None:
        """Answers to commands that came in one write leave in one, as RFC 2920 3.2 asks for."""
        self._held += (status.encode() if isinstance(status, str) else status) + b"\r\n"
        if b"\n" not in self._reader._buffer:
            self.flush()
            await self._writer.drain()

    def flush(self) -> None:
        """Let the answers go that are held back."""
        held, self._held = self._held, b""
        self._writer.write(held)

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """Plain addresses without the parser of the email package, which takes a third of a sink's time."""
        plain = _PLAIN_ADDRESS.fullmatch(arg)
        return (plain[1], plain[2]) if plain else super()._getaddr(arg)

    async def smtp_DATA(self, arg: str) -> None:
        """As in aiosmtpd, and remember that a hang-up from here on is an abort."""
        self.in_data = bool(self.envelope and self.envelope.rcpt_tos)
        await super().smtp_DATA(arg)
        self.in_data = False

    def connection_lost(self, error: Exception | None) -> None:
        """Put an abort down."""
        if self.in_data:
            self.in_data = False
            self.world.book.write("aborted", self)
        super().connection_lost(error)


async def serve(options: Options, world: World, server: Callable[..., SinkServer] = SinkServer) -> None:
    """Answer until SIGTERM or SIGINT; the announce file appears when connections are taken."""
    loop = asyncio.get_running_loop()
    context = None
    if options.security != "none":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.certificate, options.key or None)
    implicit = options.security == "tls"
    settings: dict[str, Any] = {
        "hostname": "sink.example",
        "ident": "ESMTP",
        "enable_SMTPUTF8": True,
        "timeout": 900,
        "auth_required": options.require_auth,
        "tls_context": None if implicit else context,
        "require_starttls": options.security == "starttls",
        "loop": loop,
    }
    listener = await loop.create_server(
        lambda: server(world, **settings),
        options.host,
        options.port,
        ssl=context if implicit else None,
        backlog=4096,
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.announce:
        host, port = listener.sockets[0].getsockname()[:2]
        fresh = Path(f"{options.announce}.{os.getpid()}")
        fresh.write_text(json.dumps({"host": host, "port": port, "pid": os.getpid()}))
        fresh.replace(options.announce)
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.5 if options.parent else None)
        if options.parent and os.getppid() != options.parent:
            break
    listener.close()


def parse(arguments: Sequence[str], kind: type[Options] = Options) -> Options:
    """Read a command line into options."""
    parser = argparse.ArgumentParser(description="A mail server that behaves like the world.")
    for name, default in _defaults(kind).items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(default, bool):
            parser.add_argument(flag, action="store_true")
        elif default is None:
            parser.add_argument(flag, required=True)
        else:
            parser.add_argument(flag, type=type(default), default=default)
    return kind(**vars(parser.parse_args(arguments)))


def _defaults(kind: type[Options]) -> dict[str, Any]:
    given = kind(book="")
    return {name: None if name == "book" else getattr(given, name) for name in kind.__dataclass_fields__}


def run(options: Options, world: World, server: Callable[..., SinkServer] = SinkServer) -> None:
    """Serve in this process with room for as many connections as the system allows."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    warnings.filterwarnings("ignore", message="Requiring AUTH while not requiring TLS")
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # clients that hang up are the daily bread here
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    asyncio.run(serve(options, world, server))


def main(arguments: Sequence[str]) -> None:
    """Run a sink from the command line."""
    options = parse(arguments)
    run(options, World(options))


if __name__ == "__main__":
    main(sys.argv[1:])
