"""A mail host in a thread of the test: SMTP with AUTH by aiosmtpd, and IMAP that speaks LOGIN; both count tries."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult


class Host:
    """`passwords` by user name; `tries` by door and user name; `most` sessions that were open at once by door."""

    def __init__(self) -> None:
        self.passwords: dict[str, str] = {}
        self.tries: Counter[tuple[str, str]] = Counter()
        self.open: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.slow_seconds = 0.0  # before each verdict
        self.imap_refusal = "NO [AUTHENTICATIONFAILED] Invalid credentials"
        self.imap_features = "IMAP4rev1"
        self.ports: dict[str, int] = {}
        self._guard = threading.Lock()

    def knows(self, door: str, user: str, password: str) -> bool:
        self.tries[door, user] += 1
        return self.passwords.get(user) == password

    def enter(self, door: str) -> None:
        self.open[door] += 1
        self.most[door] = max(self.most[door], self.open[door])

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        """aiosmtpd's, called in its loop."""
        self.enter("smtp")
        time.sleep(self.slow_seconds)
        self.open["smtp"] -= 1
        known = self.knows("smtp", data.login.decode(), data.password.decode())
        if known:
            return AuthResult(success=True)
        return AuthResult(success=False, handled=False, message=f"535 5.7.8 Bad credentials {data.password.decode()}")

    async def imap(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.enter("imap")
        try:
            writer.write(b"* OK ready\r\n")
            while line := (await reader.readline()).decode().rstrip("\r\n"):
                tag, command, *words = line.split(" ")
                if command == "CAPABILITY":
                    writer.write(f"* CAPABILITY {self.imap_features}\r\n{tag} OK\r\n".encode())
                elif command == "LOGIN":
                    await asyncio.sleep(self.slow_seconds)
                    user, password = (word.strip('"') for word in words)
                    known = self.knows("imap", user, password)
                    writer.write(f"{tag} {'OK in' if known else self.imap_refusal}\r\n".encode())
                else:
                    writer.write(f"{tag} OK\r\n".encode())
        finally:
            self.open["imap"] -= 1
            writer.close()


@contextmanager
def running() -> Iterator[Host]:
    """A host on two ports of this machine."""
    host, loop, ready = Host(), asyncio.new_event_loop(), threading.Event()

    def smtp() -> SMTP:
        return SMTP(
            object(), authenticator=host.authenticate, auth_require_tls=False, auth_required=True, loop=loop,
            hostname="mx.example",
        )  # fmt: skip

    async def start() -> None:
        servers = [
            await loop.create_server(smtp, "127.0.0.1", 0),
            await asyncio.start_server(host.imap, "127.0.0.1", 0),
        ]
        for door, server in zip(("smtp", "imap"), servers, strict=True):
            host.ports[door] = server.sockets[0].getsockname()[1]
        ready.set()

    def serve() -> None:
        asyncio.set_event_loop(loop)
        loop.create_task(start())
        loop.run_forever()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield host
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
