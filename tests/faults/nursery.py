"""A parent that has loaded Django once and forks the workers and cron processes of the tests, as `up` does.

`Nursery` is the tests' side. The other side is `python -m tests.faults.nursery`, which reads orders from stdin,
one JSON object a line, and answers each on stdout; it ends with all its children when stdin ends.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.faults.points import Order

ROOT = Path(__file__).resolve().parents[2]


@dataclass(slots=True)
class Child:
    """One process: `kind` is worker or cron. `code` is its exit code (minus the signal) once it ended."""

    nursery: Nursery
    pid: int
    kind: str
    log: Path
    code: int | None = None

    def send(self, number: signal.Signals) -> None:
        """Send a signal unless it has ended."""
        if self.ended() is None:
            os.kill(self.pid, number)

    def ended(self) -> int | None:
        """Its exit code; None while it lives."""
        if self.code is None:
            self.code = self.nursery.ask(poll=self.pid)["code"]
        return self.code

    def wait(self, seconds: float = 60) -> int:
        """Return its exit code. Raises AssertionError when it lives longer."""
        deadline = time.monotonic() + seconds
        while (code := self.ended()) is None:
            assert time.monotonic() < deadline, f"{self.kind} {self.pid} did not end in {seconds} s"
            time.sleep(0.02)
        return code


class Nursery:
    """Starts on first use."""

    def __init__(self, env: Mapping[str, str]) -> None:
        settings = {"DJANGO_SETTINGS_MODULE": "outreach.settings", "DATABASE_ROLE": "worker"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"],
            cwd=ROOT,
            env={**env, **settings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **order: Any) -> Any:
        """Give an order and return the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def fork(
        self, kind: str, env: Mapping[str, str], log: Path, *, point: Order | None = None, forced: bool = False
    ) -> Child:
        """Start a worker of the queue `send`, or a cron process; a `forced` one leads whoever else does."""
        told = point and asdict(point)
        answer = self.ask(kind=kind, env=dict(env), log=str(log), point=told, forced=forced)
        return Child(self, answer["pid"], kind, log)

    def close(self) -> None:
        """End it and everything it started."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)


# --- The other side ----------------------------------------------------------------------------------------


def main() -> None:
    import django

    django.setup()
    for name in ("campaigns.tasks", "outreach.cron", "outreach.management.commands.worker"):
        importlib.import_module(name)  # once, for all children

    children: set[int] = set()
    try:
        for line in sys.stdin:
            order = json.loads(line)
            if "poll" in order:
                answer = {"code": _poll(order["poll"], children)}
            else:
                pid = _fork(order)
                children.add(pid)
                answer = {"pid": pid}
            os.write(1, json.dumps(answer).encode() + b"\n")
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _poll(pid: int, children: set[int]) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    if not found:
        return None
    children.discard(pid)
    return os.waitstatus_to_exitcode(status)


def _fork(order: dict[str, Any]) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        code = _live(order, parent)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _live(order: dict[str, Any], parent: int) -> int:
    from django.conf import settings

    from outreach import cron
    from outreach import settings as module
    from outreach.management import supervisor
    from outreach.management.commands import worker

    supervisor.die_with(parent)
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for number in (1, 2):
        os.dup2(log, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(order["env"])
    importlib.reload(module)
    for name in order["env"]:
        setattr(settings, name, getattr(module, name))
    if order["point"]:
        from tests.faults import points

        points.install(Order(**order["point"]))
    if order["kind"] == "worker":
        return worker.work("send")
    if order["forced"]:
        cron.lead = lambda holder, seconds=0: True
    return worker.keep_time()


if __name__ == "__main__":
    main()
