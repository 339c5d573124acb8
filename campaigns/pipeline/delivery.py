"""What one sender thread does: the mails of one mailbox, one after the other.

Plain values in, calls to a ledger out. No model, no settings, no database connection: a
test forbids the imports. The order is the promise: offer up to the final dot, have
`committing` made durable, pass the dot, and only then say what came of it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from campaigns.ledger.outcome import Outcome, Result
from campaigns.templating import MissingField, TemplateTooCostly
from mailboxes import circuits
from mailboxes.transports.base import (
    Outgoing,
    PermanentSendError,
    SendError,
    TransientSendError,
    Transport,
    UncertainSendError,
)
from outreach.common import replies
from outreach.common.errors import OutreachError
from outreach.common.sealing import SealBroken

SIGN_IN_PHASES = frozenset({"auth"})
CONNECT_PHASES = frozenset({"connect", "greeting", "ehlo", "starttls", "auth"})
SILENCES_IN_A_ROW = 3  # answers to the dot that did not come, before a mailbox rests


@dataclass(frozen=True, slots=True)
class Letter:
    """One claimed message: `due` and `expires` on the monotonic clock; `render` makes content and its hash."""

    id: int
    mailbox_id: int
    recipient: str
    due: float
    expires: float
    tries: int
    render: Callable[[], tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Stop:
    """Something that must not send on: `level` as in replies.Verdict, or `connection` for one that broke,
    or `seal` for a password that can't be opened.

    `silence` stops nothing yet: `times` answers to the dot did not come, and the next job counts on from there.
    """

    mailbox_id: int
    level: str
    reason: str
    text: str = ""
    letter_id: int | None = None
    times: int = 1
    account_id: int = 0


class Ledger(Protocol):
    """What a sender thread may say. Only `committing` waits."""

    def committing(self, letter: Letter) -> bool:
        """True once it is durable that the dot may leave; False when the row is not ours any more."""

    def settle(self, outcome: Outcome) -> None: ...

    def release(self, letter: Letter) -> None: ...

    def stop(self, stop: Stop) -> None: ...

    def cleared(self, mailbox_id: int) -> None:
        """The mailbox's connection works again."""

    def tried(self, account_id: int, is_broken: bool, milliseconds: int) -> None:
        """What one try says of the account that it went by."""


@dataclass(frozen=True, slots=True)
class Lane:
    """The letters of one mailbox, in the order of their slots.

    `free` is the monotonic instant from which the mailbox may pass a dot, `gap_seconds` the
    least distance of two dots.
    """

    mailbox_id: int
    account_id: int
    sender: str
    letters: tuple[Letter, ...]
    gap_seconds: float
    free: float
    failures: int
    connect: Callable[[], Transport]


@dataclass(slots=True)
class Halts:
    """What the threads of one job tell each other: the drain flag, and accounts that refused us."""

    draining: threading.Event
    accounts: set[int]
    out: set[int] = field(default_factory=set)  # of these accounts, those whose circuit this job opened


def run(lane: Lane, ledger: Ledger, halts: Halts) -> None:
    """Send the lane's letters; whatever is not tried is released. Never raises about one letter."""
    try:
        transport = lane.connect()
    except OutreachError as error:  # its password can't be unsealed: nobody can sign in until somebody mends it
        for letter in lane.letters:
            ledger.release(letter)
        level = "seal" if isinstance(error, SealBroken) else "credential"
        ledger.stop(Stop(lane.mailbox_id, level, error.code, str(error)))
        return
    free, failing, silences = lane.free, lane.failures > 0, 0
    rest = iter(lane.letters)
    try:
        for letter in rest:
            if not _wait(max(letter.due, free), halts, lane) or time.monotonic() >= letter.expires:
                ledger.release(letter)
                continue
            outcome, stop = _send(letter, lane, transport, ledger)
            if outcome is None:
                continue
            if outcome.phase != "render":
                is_broken = circuits.is_broken(outcome.result, outcome.phase, outcome.code)
                ledger.tried(lane.account_id, is_broken, outcome.duration_ms)
            if outcome.phase == "dot" or outcome.result == "sent":
                free = time.monotonic() + lane.gap_seconds
            silences = silences + 1 if outcome.result == "uncertain" else 0
            if failing and outcome.phase not in CONNECT_PHASES and not silences:
                ledger.cleared(lane.mailbox_id)
                failing = False
            if stop is None and silences + lane.failures * failing >= SILENCES_IN_A_ROW:
                stop, silences = Stop(lane.mailbox_id, "connection", "silent_after_dot", outcome.text), 0
            ledger.settle(outcome)
            if stop is not None:
                if stop.level in ("account", "organisation", "domain"):
                    halts.accounts.add(lane.account_id)
                ledger.stop(replace(stop, account_id=lane.account_id))
                break
        if silences:  # a mailbox with a long gap has one mail a job
            ledger.stop(Stop(lane.mailbox_id, "silence", "silent_after_dot", times=silences))
    finally:
        for letter in rest:
            ledger.release(letter)
        transport.close()


def _wait(until: float, halts: Halts, lane: Lane) -> bool:
    """Sleep until the instant; False when this lane is to stop instead."""
    seconds = until - time.monotonic()
    if seconds > 0:
        halts.draining.wait(seconds)
    return not halts.draining.is_set() and lane.account_id not in halts.accounts


def _send(letter: Letter, lane: Lane, transport: Transport, ledger: Ledger) -> tuple[Outcome | None, Stop | None]:
    started = time.monotonic()
    content_hash: bytes | None = None

    def outcome(result: Result, **values: Any) -> Outcome:
        milliseconds = round((time.monotonic() - started) * 1000)
        return Outcome(
            letter.id, lane.mailbox_id, result, content_hash=content_hash, duration_ms=milliseconds, **values
        )

    try:
        content, content_hash = letter.render()
    except TemplateTooCostly as error:
        stop = Stop(lane.mailbox_id, "campaign", error.code, str(error), letter.id)
        return outcome("returned", reason=error.code, phase="render", text=str(error)), stop
    except MissingField as error:
        return outcome("cancelled", reason=error.code, phase="render", text=str(error)), None
    except OutreachError as error:
        return outcome("failed", reason=error.code, phase="render", text=str(error)), None
    try:
        if not transport.reusable:
            transport.close()
            transport.open()
        transport.offer(Outgoing(lane.sender, letter.recipient, content))
        if not ledger.committing(letter):
            transport.abort()
            return None, None
        receipt = transport.commit()
    except UncertainSendError as error:
        return outcome("uncertain", reason="no_answer", **_said(error)), None
    except (TransientSendError, PermanentSendError) as error:
        return _refused(error, lane, letter, outcome)
    return outcome("sent", text=receipt.text, provider_id=receipt.provider_id), None


def _said(error: SendError) -> dict[str, Any]:
    return {"phase": error.phase, "code": error.code, "enhanced": error.enhanced or "", "text": error.text}


def _refused(
    error: TransientSendError | PermanentSendError, lane: Lane, letter: Letter, outcome: Callable[..., Outcome]
) -> tuple[Outcome, Stop | None]:
    """Phase x class of the answer: about the person, about us, or about the moment (RULES of a send)."""
    said = _said(error)
    if error.code is None and error.phase in CONNECT_PHASES:
        if isinstance(error, PermanentSendError):
            return outcome("returned", reason=error.phase, **said), Stop(
                lane.mailbox_id, "credential", error.phase, error.text
            )
        return outcome("deferred", reason="connection", **said), Stop(
            lane.mailbox_id, "connection", error.phase, error.text
        )
    if error.code is None:
        if isinstance(error, PermanentSendError):  # a mail that this connection can't carry
            return outcome("failed", reason=error.enhanced or "not_deliverable", **said), None
        return outcome("deferred", reason="connection", **said), None
    verdict = replies.classify(error.code, error.enhanced, error.text)
    wait = verdict.retry_after_seconds or 0
    stop = Stop(lane.mailbox_id, verdict.stop, verdict.reason, error.text, letter.id) if verdict.stop else None
    if error.phase in SIGN_IN_PHASES and isinstance(error, PermanentSendError):
        level = verdict.stop if verdict.stop in ("organisation", "account") else "credential"
        return outcome("returned", reason=verdict.reason, **said), Stop(
            lane.mailbox_id, level, verdict.reason, error.text
        )
    if isinstance(error, TransientSendError):
        if stop is None and error.phase in CONNECT_PHASES:
            stop = Stop(lane.mailbox_id, "connection", verdict.reason, error.text)
        return outcome("deferred", reason=verdict.reason, retry_after_seconds=wait, **said), stop
    if stop is None and not verdict.about_recipient and letter.tries and error.phase not in (*CONNECT_PHASES, "mail"):
        # Refused again on grounds that nobody names: this letter would only bring the mailbox to rest for ever.
        return outcome("failed", reason=verdict.reason, **said), None
    if error.phase in CONNECT_PHASES or error.phase == "mail" or not verdict.about_recipient:
        # A host that refuses us would refuse the next mail as well: the mailbox rests, the person keeps the row.
        stop = stop or Stop(lane.mailbox_id, "mailbox", verdict.reason, error.text)
        return outcome("returned", reason=verdict.reason, **said), stop
    return outcome("failed", reason=verdict.reason, suppress=verdict.kind == "hard", **said), None
