"""Kill points: where a sender process stops in the middle of its work, and how.

They wrap the transport from outside; the code under test knows nothing of them. A point is a barrier: the
threads that reach it wait there, and when `after` of them have come, the process acts, so that exactly these
rows are in the state that the point names.

    claimed      before connecting: rows claimed, nothing said to anybody
    signed_in    connected and signed in, before MAIL
    offered      inside DATA, the body is out and the dot is not
    committed    `committing` is durable, the dot is not out
    dot          the dot is out, its answer was not read
    answered     the 250 was read, `sent` is not written
"""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mailboxes.transports import smtp
from mailboxes.transports.base import Outgoing, Receipt
from mailboxes.transports.wire import Wire

Name = Literal["claimed", "signed_in", "offered", "committed", "dot", "answered"]
Act = Literal["kill", "freeze", "hold"]
_LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Order:
    """What is to happen: `kill` is SIGKILL, `freeze` SIGSTOP, `hold` waits until the file `gate` exists.

    `book` gets the recipients that reached the point before it acted, one a line.
    """

    name: Name
    act: Act
    after: int
    book: str
    gate: str = ""


class Point:
    """The barrier of one process."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self._book = os.open(order.book, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._lock = threading.Lock()
        self._count = 0
        self._open = threading.Event()
        if order.act == "freeze":  # a stop takes effect a moment after kill() returned, so only SIGCONT opens
            signal.signal(signal.SIGCONT, lambda *_: self._open.set())

    def reached(self, name: Name, recipient: str) -> None:
        """Stop here, if this is the point."""
        if name != self.order.name or self._open.is_set():
            return
        with self._lock:
            self._count += 1
            if self._count <= self.order.after:
                os.write(self._book, recipient.encode() + b"\n")
            if self._count == self.order.after and self.order.act != "hold":
                os.kill(os.getpid(), signal.SIGKILL if self.order.act == "kill" else signal.SIGSTOP)
        if self.order.act == "hold":
            while not Path(self.order.gate).exists():
                time.sleep(_LOOK_SECONDS)
            self._open.set()
        self._open.wait()


def install(order: Order) -> None:
    """From now on this process's SMTP connections stop at the point."""
    from mailboxes.ways import connecting  # the nursery reads orders before it has Django

    point = Point(order)
    now = threading.local()

    class PointWire(Wire):
        def send(self, data: bytes, seconds: float) -> bool:
            done = super().send(data, seconds)
            if data == b".\r\n":
                point.reached("dot", now.recipient)
            return done

    class PointTransport(smtp.SmtpTransport):
        def open(self) -> None:
            point.reached("claimed", "")
            super().open()

        def offer(self, mail: Outgoing) -> None:
            now.recipient = mail.recipient
            point.reached("signed_in", mail.recipient)
            super().offer(mail)
            point.reached("offered", mail.recipient)

        def commit(self) -> Receipt:
            point.reached("committed", now.recipient)
            receipt = super().commit()
            point.reached("answered", now.recipient)
            return receipt

    smtp.Wire = PointWire  # type: ignore[misc]
    connecting.SmtpTransport = PointTransport  # type: ignore[misc]
