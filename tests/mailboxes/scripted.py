"""A server that says what a test tells it to, for peers that no honest server imitates."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mailboxes.transports.base import Outgoing, SendError
from mailboxes.transports.smtp import Login, SmtpTransport, Timeouts
from tests.mailboxes.peers import deliver

MAIL = Outgoing("anna@sender.example", "bob@world.example", b"Subject: Hello\r\n\r\nHello\r\n")
SHORT = Timeouts(connect=2, command=0.5, data=0.5, block=0.5, dot=0.5)
EHLO = b"250-evil.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 100000\r\n"


class Conversation:
    """One connection seen from the server. `heard` is every byte that came in."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.heard = sock, b""
        self._at = 0
        sock.settimeout(5)

    def say(self, data: bytes) -> None:
        self.sock.sendall(data)

    def hear(self, until: bytes) -> bytes:
        """Read on until a mark has come in; return what lies before it and the mark."""
        while (end := self.heard.find(until, self._at)) < 0:
            self._more()
        start, self._at = self._at, end + len(until)
        return self.heard[start : self._at]

    def listen(self) -> None:
        """Read until the client hangs up."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._more()

    def _more(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise EOFError
        self.heard += data

    def greet(self, ehlo: bytes = EHLO) -> None:
        """Say hello up to the answer to EHLO."""
        self.say(b"220 evil.example ESMTP\r\n")
        self.hear(b"\r\n")
        self.say(ehlo)

    def accept_up_to_data(self) -> None:
        """Greet and take the pipelined group of one mail."""
        self.greet()
        self.hear(b"DATA\r\n")
        self.say(b"250 Ok\r\n250 Ok\r\n354 Go\r\n")


@contextlib.contextmanager
def scripted(script: Callable[[Conversation], None]) -> Iterator[Any]:
    """Serve one connection after the other by `script`; yields the port, `.talks` holds the conversations."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(listener.getsockname()[1])

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            talk = Conversation(sock)
            server.talks.append(talk)
            with contextlib.suppress(EOFError, OSError), sock:
                script(talk)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(6)


class Server:
    """Where it listens, and what was said."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.talks: list[Conversation] = []


def to(port: int, timeouts: Timeouts = SHORT, **changes: Any) -> SmtpTransport:
    door = {
        "security": "none",
        "username": "",
        "password": "",
        "ehlo_name": "me.example",
        "allow_loopback": True,
    }
    return SmtpTransport(Login("127.0.0.1", port, **(door | changes)), timeouts)


def fails(kind: type[SendError], port: int, **changes: Any) -> SendError:
    """Open, offer, commit; the error of that kind that this must end with, soon."""
    transport = to(port, **changes)
    started = time.monotonic()
    with pytest.raises(kind) as caught:
        deliver(transport, MAIL)
    assert type(caught.value) is kind
    assert time.monotonic() - started < 3
    assert not transport.is_open
    return caught.value
