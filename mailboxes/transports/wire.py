"""A socket that speaks SMTP's lines: bounded replies, one budget per phase, one system call per write.

The socket never blocks by itself; waiting is done by poll() with what is left of the phase's budget, so a
peer that sends one byte a minute can't hold a thread longer than one that is silent.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from time import monotonic

MAX_LINE = 2048  # octets; RFC 5321 4.5.3.1.5 asks for 512, some hosts write more
MAX_LINES = 100  # of one reply
_CHUNK = 4096
_NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Lost(Exception):
    """Drop, silence or nonsense: it can't go on. `untouched`: no byte of the write in hand left."""

    def __init__(self, reason: str, *, untouched: bool = False) -> None:
        super().__init__(reason)
        self.untouched = untouched


class Wire:
    """One connection; used by one thread."""

    __slots__ = ("_buffer", "_readable", "_sock", "_tls")

    def __init__(self, sock: socket.socket) -> None:
        self._buffer = b""
        self._tls = False
        self._take(sock)

    def _take(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._readable = select.poll()
        self._readable.register(sock, select.POLLIN)

    @property
    def peer(self) -> str:
        """The address at the other end, as a literal; "" when it is gone."""
        try:
            name = self._sock.getpeername()
        except OSError:
            return ""
        return str(name[0]) if isinstance(name, tuple) else ""

    def start_tls(self, context: ssl.SSLContext, hostname: str, seconds: float) -> None:
        """Shake hands within `seconds`. What the peer said in clear and was not read yet is thrown away."""
        self._buffer = b""
        try:
            self._sock.settimeout(seconds)
            sock = context.wrap_socket(self._sock, server_hostname=hostname.rstrip("."), do_handshake_on_connect=False)
            self._sock = sock
            sock.do_handshake()
        except TimeoutError as error:
            raise Lost("the TLS handshake took too long") from error
        except ssl.SSLCertVerificationError as error:
            raise Lost(f"the certificate is not trusted: {error.verify_message}") from error
        except (OSError, ValueError) as error:
            raise Lost(f"the TLS handshake failed: {_words(error)}") from error
        self._tls = True
        self._take(sock)

    def send(self, data: bytes, seconds: float) -> bool:
        """Write everything, in one system call where the kernel has room.

        False: the peer spoke while we were waiting for room, and the rest was not written.
        Raises Lost; `untouched` is then True only if no byte of `data` can have left.
        """
        try:
            sent = self._sock.send(data)
        except _NOT_YET:
            sent = 0
        except OSError as error:
            # A record of TLS may have left in part; a plain write that fails has queued nothing.
            raise Lost(f"the connection broke: {_words(error)}", untouched=not self._tls) from error
        if sent == len(data):
            return True
        return self._send_rest(data, sent, monotonic() + seconds)

    def _send_rest(self, data: bytes, sent: int, deadline: float) -> bool:
        poll = select.poll()
        poll.register(self._sock, select.POLLOUT | select.POLLIN)
        rest = memoryview(data)
        try:
            while sent < len(data):
                if not poll.poll(_milliseconds(deadline)):
                    raise Lost("the server stopped reading")
                if self.spoke():
                    return False
                with contextlib.suppress(*_NOT_YET):
                    sent += self._sock.send(rest[sent:])
        except (OSError, Lost) as error:
            reason = str(error) if isinstance(error, Lost) else f"the connection broke: {_words(error)}"
            raise Lost(reason, untouched=not (sent or self._tls)) from error
        return True

    @property
    def has_more(self) -> bool:
        """Whether more was read than was asked for; looks at memory only."""
        return bool(self._buffer)

    def spoke(self) -> bool:
        """Whether the peer has said something that was not read yet. Never waits; Lost when it hung up."""
        if self._buffer:
            return True
        # TLS may hold data that poll() can't see, and show traffic that is no data (session tickets).
        if not self._tls and not self._readable.poll(0):
            return False
        try:
            self._receive()
        except _NOT_YET:
            return False
        return True

    def reply(self, seconds: float) -> tuple[int, bytes]:
        """Read one reply within `seconds`; return its code and its text, lines joined by LF, codes cut off.

        Raises Lost for silence, a drop, a line or reply that is too long, and for what is no reply.
        """
        deadline = monotonic() + seconds
        line = self._line(deadline)
        code = line[:3]
        if len(line) < 3 or not code.isdigit() or line[3:4] not in (b" ", b"-", b""):
            raise Lost("the server's answer is not SMTP")
        if line[3:4] != b"-":
            return int(code), line[4:]
        texts = [line[4:]]
        while line[3:4] == b"-":
            line = self._line(deadline)
            if line[:3] != code or line[3:4] not in (b" ", b"-", b""):
                raise Lost("the server's answer is not SMTP")
            texts.append(line[4:])
            if len(texts) > MAX_LINES:
                raise Lost("the server's answer is too long")
        return int(code), b"\n".join(texts)

    def line(self, seconds: float) -> bytes:
        """Read one line within `seconds`, without its end. Raises Lost as `reply` does."""
        return self._line(monotonic() + seconds)

    def _line(self, deadline: float) -> bytes:
        while True:
            buffer = self._buffer
            end = buffer.find(b"\n", 0, MAX_LINE)
            if end >= 0:
                self._buffer = buffer[end + 1 :]
                return buffer[:end].rstrip(b"\r")
            if len(buffer) >= MAX_LINE:
                raise Lost("the server's answer is too long")
            if not self._unread() and not self._readable.poll(_milliseconds(deadline)) and not self._readable.poll(0):
                # The second look is for a process that was asleep: Python gives up a poll that a signal broke off.
                raise Lost("the server did not answer in time")
            try:
                self._receive()
            except _NOT_YET:
                continue

    def _unread(self) -> bool:
        """Whether TLS holds decrypted data, which poll() can't see."""
        return isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0

    def _receive(self) -> None:
        try:
            data = self._sock.recv(_CHUNK)
        except _NOT_YET:
            raise
        except OSError as error:
            raise Lost(f"the connection broke: {_words(error)}") from error
        if not data:
            raise Lost("the server closed the connection")
        self._buffer += data

    def close(self) -> None:
        """Hang up. What the kernel still holds goes out, nothing else does."""
        self._sock.close()


def _milliseconds(deadline: float) -> int:
    left = deadline - monotonic()
    return int(left * 1000) + 1 if left > 0 else 0


def _words(error: Exception) -> str:
    return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error).lower()
