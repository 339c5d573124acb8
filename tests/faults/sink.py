"""The demo's sink with faults that can be switched while it runs.

A control file holds rules; it is read again when it changes, so a test switches by writing it. A rule names
the phase and what happens there instead of, or before, the usual answer:

    Rule("dot", answer="450 4.3.0 Try later", times=1)      once per recipient
    Rule("dot", hang_up=True, keep=True)                    the copy is kept, the answer never comes
    Rule("rcpt", answer="550 5.1.1 No", match="^gone")      for recipients that match
    Rule("rcpt", greylist_seconds=300)                      450 4.7.1 so long, per sender and recipient
    Rule("body", answer="550 5.7.1 Spam")                   in the middle of DATA, then deaf
    Rule("auth", answer="535 5.7.8 Wrong", match="^anna")   for user names that match
    Rule("reply", delay_seconds=0.2)                        before every reply
    Rule("dot", delay_seconds=5)                            the answer comes late
    Rule("session", after_messages=10, answer="421 4.7.0 Enough")
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import struct
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import AuthResult

from outreach.demo import sink
from outreach.demo.sink_process import SinkProcess


@dataclass(frozen=True, slots=True)
class Rule:
    """`at`: connect, greeting, ehlo, starttls, auth, mail, rcpt, data, body, dot, reply or session.

    `match` is searched in the recipient (rcpt, data, body, dot), the sender (mail) or the user name (auth).
    `times` is how often it strikes per such key; 0 means always.
    """

    at: str
    answer: str = ""
    hang_up: bool = False
    reset: bool = False  # hang up with a TCP reset
    keep: bool = False  # at the dot: keep the copy although no 250 leaves
    delay_seconds: float = 0
    match: str = ""
    times: int = 0
    greylist_seconds: float = 0
    after_messages: int = 0


class FaultSink(SinkProcess):
    """A FaultSink process: `rules(...)` replaces the rules in force, `rules()` ends all faults."""

    def __init__(self, book: Path | str, **options: Any) -> None:
        self._control = Path(f"{book}.rules")
        super().__init__(book, module="tests.faults.sink", control=self._control, **options)

    def rules(self, *rules: Rule) -> None:
        """In force for the next command of every session, also of those that are open."""
        self._control.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self._control.parent, delete=False) as fresh:
            json.dump([asdict(rule) for rule in rules], fresh)
        os.replace(fresh.name, self._control)


@dataclass(slots=True)
class FaultOptions(sink.Options):
    """As the sink's, and where the rules are."""

    control: str = ""


class FaultWorld(sink.World):
    """The world of one sink, and the rules in force."""

    def __init__(self, options: FaultOptions) -> None:
        super().__init__(options)
        self._control = options.control
        self._seen: tuple[int, int] | None = None
        self._rules: list[Rule] = []
        self._struck: dict[tuple[Rule, str], int] = {}
        self._first_tried: dict[tuple[str, str], float] = {}

    def strike(self, at: str, key: str = "") -> Rule | None:
        """The rule for this moment, counted."""
        try:
            status = os.stat(self._control)
            version = (status.st_mtime_ns, status.st_ino)
        except FileNotFoundError:
            version = None
        if version != self._seen:
            self._seen = version
            rules = json.loads(Path(self._control).read_text()) if version else []
            self._rules = [Rule(**rule) for rule in rules]
            self._struck.clear()
        for rule in self._rules:
            if rule.at != at or (rule.match and not re.search(rule.match, key)):
                continue
            if rule.times:
                count = self._struck.get((rule, key), 0)
                if count >= rule.times:
                    continue
                self._struck[rule, key] = count + 1
            return rule
        return None

    def greylisted(self, rule: Rule, sender: str, recipient: str) -> str | None:
        """The answer to a pair that came too early."""
        now = time.monotonic()
        first = self._first_tried.setdefault((sender, recipient), now)
        if now - first >= rule.greylist_seconds:
            return None
        return f"450 4.7.1 Greylisted, try again in {rule.greylist_seconds:g} seconds"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> Any:
        """Faults first, then as in the sink."""
        rule = self.strike("rcpt", address)
        if rule is not None:
            if rule.greylist_seconds:
                answer = self.greylisted(rule, envelope.mail_from, address)
                return server.judge(address, answer)
            await server.suffer(rule)
            if rule.answer:
                return server.judge(address, rule.answer)
        return await super().handle_RCPT(server, session, envelope, address, options)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> Any:
        """The whole mail is here, so keep it or not, and answer or not."""
        server.in_data = False
        rule = self.strike("dot", ",".join(envelope.rcpt_tos))
        if rule is not None:
            if rule.keep:
                self.book.write("stored", server, rule.answer, envelope.content)
            await server.suffer(rule)
            if rule.answer:
                if not rule.keep:
                    kind = "refused" if rule.answer.startswith("5") else "deferred"
                    self.book.write(kind, server, rule.answer, envelope.content)
                return rule.answer
        answer = await super().handle_DATA(server, session, envelope)
        server.taken += 1
        rule = self.strike("session")
        if rule is not None and server.taken >= rule.after_messages:
            await server.push(answer)
            if rule.answer:
                await server.push(rule.answer)
            await server.hang_up()
        return answer


class FaultServer(sink.SinkServer):
    """One session with faults."""

    taken = 0
    world: FaultWorld

    async def suffer(self, rule: Rule) -> None:
        """Wait and hang up as the rule says; returns when the session goes on."""
        self.flush()
        if rule.delay_seconds:
            await asyncio.sleep(rule.delay_seconds)
        if rule.hang_up or rule.reset:
            await self.hang_up(rule.reset)

    async def hang_up(self, reset: bool = False) -> None:
        """Close the connection and end the session."""
        if self.transport is not None:
            self.flush()
            if reset:
                sock = self.transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.transport.abort()
            else:
                self.transport.close()
        raise asyncio.CancelledError

    async def _stopped(self, at: str, key: str = "") -> bool:
        """Whether a rule has answered for us."""
        rule = self.world.strike(at, key)
        if rule is None:
            return False
        await self.suffer(rule)
        if rule.answer:
            await self.push(rule.answer)
            if rule.answer.startswith("421"):
                await self.hang_up()
        return bool(rule.answer)

    async def push(self, status: Any) -> None:
        rule = self.world.strike("reply")
        if rule is not None:
            await self.suffer(rule)
        await super().push(status)

    async def _handle_client(self) -> None:
        for at in ("connect", "greeting"):
            if await self._stopped(at):
                await self.hang_up()
        await super()._handle_client()

    async def smtp_EHLO(self, arg: str) -> None:
        if not await self._stopped("ehlo"):
            await super().smtp_EHLO(arg)

    async def smtp_STARTTLS(self, arg: str) -> None:
        if not await self._stopped("starttls"):
            await super().smtp_STARTTLS(arg)

    async def smtp_AUTH(self, arg: str) -> None:
        rule = self.world.strike("auth") if not self._has_user_rule() else None
        if rule is not None:
            await self.suffer(rule)
            if rule.answer:
                await self.push(rule.answer)
                return
        await super().smtp_AUTH(arg)

    def _has_user_rule(self) -> bool:
        return any(rule.at == "auth" and rule.match for rule in self.world._rules)

    def _sign_in(self, server: Any, session: Any, envelope: Any, mechanism: str, pair: Any) -> AuthResult:
        result = super()._sign_in(server, session, envelope, mechanism, pair)
        rule = self.world.strike("auth", self.user) if self._has_user_rule() else None
        if rule is None or not rule.answer:
            return result
        return AuthResult(success=False, handled=False, message=rule.answer)

    async def smtp_MAIL(self, arg: str | None) -> None:
        if not await self._stopped("mail", arg or ""):
            await super().smtp_MAIL(arg)

    async def smtp_DATA(self, arg: str) -> None:
        recipients = ",".join(self.envelope.rcpt_tos)
        if recipients and await self._stopped("data", recipients):
            return
        rule = self.world.strike("body", recipients) if recipients else None
        if rule is None:
            await super().smtp_DATA(arg)
            return
        await super().push("354 Go ahead")
        await self._reader.readuntil(b"\r\n")
        self.in_data = not rule.answer
        if rule.answer:
            self.world.book.write("refused" if rule.answer[0] == "5" else "deferred", self, rule.answer)
        await asyncio.sleep(rule.delay_seconds)
        if rule.answer:
            await super().push(rule.answer)
            self.flush()
            await asyncio.sleep(0.5)  # deaf, as smtp-sink -A
        await self.hang_up(rule.reset)


def main(arguments: list[str]) -> None:
    """Run it from the command line."""
    options = sink.parse(arguments, FaultOptions)
    assert isinstance(options, FaultOptions)
    sink.run(options, FaultWorld(options), FaultServer)


if __name__ == "__main__":
    main(sys.argv[1:])
