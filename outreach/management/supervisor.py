"""A parent that forks the console's processes, starts a dead one again and ends them all in order.

Django is loaded once, before the fork, so that eight processes share its memory. The parent opens no
database connection and starts no thread.
"""

from __future__ import annotations

import ctypes
import logging
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connections
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger as GunicornLogger

from outreach.common.connections import use_role
from outreach.management.commands import worker

log = structlog.get_logger(__name__)
LONGEST_PAUSE_SECONDS = 30
WELL_AFTER_SECONDS = 60  # a child that lived this long may start again at once
AFTER_DRAIN_SECONDS = 15  # on top of the sender's own DRAIN_SECONDS
PR_SET_PDEATHSIG = 1


@dataclass
class Program:
    """One child: `run` is called in it and returns its exit code."""

    name: str
    run: Callable[[], int]
    pid: int = 0
    started: float = 0.0
    failures: int = 0
    not_before: float = field(default=0.0)


class Supervisor:
    """Keeps programs running until SIGTERM or SIGINT."""

    def __init__(self, programs: list[Program]) -> None:
        self.programs = programs
        self.stopping = False

    def start(self) -> None:
        """Take over the signals and start every program."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop_wanted)
        self.tick()

    def tick(self) -> None:
        """Notice who died, and start who is due; call it a few times a second."""
        self._reap()
        for program in self.programs:
            if not program.pid and not self.stopping and time.monotonic() >= program.not_before:
                self._fork(program)

    def run(self) -> None:
        """Return after SIGTERM or SIGINT; the programs still run then, and stop() ends them."""
        while not self.stopping:
            self.tick()
            time.sleep(0.2)

    def stop(self) -> None:
        """Pass SIGTERM on, wait for the work under way, and kill what is left when its drain is long over."""
        self.stopping = True
        self._signal(signal.SIGTERM)
        limit = settings.DRAIN_SECONDS + AFTER_DRAIN_SECONDS
        deadline = time.monotonic() + limit
        while any(program.pid for program in self.programs) and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.05)
        for program in self.programs:
            if program.pid:
                log.error("program.killed", name=program.name, after_seconds=limit)
        self._signal(signal.SIGKILL)

    def _stop_wanted(self, *_: Any) -> None:
        self.stopping = True

    def _signal(self, number: signal.Signals) -> None:
        for program in self.programs:
            if program.pid:
                os.kill(program.pid, number)

    def _reap(self) -> None:
        for program in self.programs:
            if not program.pid:
                continue
            pid, status = os.waitpid(program.pid, os.WNOHANG)
            if not pid:
                continue
            lived = time.monotonic() - program.started
            program.pid = 0
            if self.stopping:
                continue
            program.failures = 1 if lived > WELL_AFTER_SECONDS else program.failures + 1
            pause = min(2.0 ** (program.failures - 1) - 1, LONGEST_PAUSE_SECONDS)
            program.not_before = time.monotonic() + pause
            code = os.waitstatus_to_exitcode(status)
            log.error(
                "program.ended",
                name=program.name,
                exit=code,
                lived_seconds=round(lived),
                again_in_seconds=pause,
            )

    def _fork(self, program: Program) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        program.started = time.monotonic()
        program.pid = os.fork()
        if program.pid:
            return
        code = 1
        try:
            os.setpgid(0, 0)  # Ctrl-C reaches the parent, and the parent tells us
            die_with(parent)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            random.seed()
            connections.close_all()
            code = program.run()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        except BaseException:  # noqa: BLE001 (a child never returns into its parent's code)
            log.exception("program.failed", name=program.name)
        finally:
            os._exit(code)


def die_with(parent: int) -> None:
    """Ask Linux for SIGTERM when the parent is killed; elsewhere the lock file keeps a second `up` out."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)


class Log(GunicornLogger):
    """Gunicorn's events go where all others go; RequestLog says what was asked."""

    def setup(self, cfg: Any) -> None:
        self.loglevel = logging.INFO
        self.error_log.propagate = True


class Web(BaseApplication):
    """Gunicorn, told in Python what it would read from a file."""

    def __init__(self, port: int, workers: int) -> None:
        self.port, self.workers = port, workers
        super().__init__()

    def load_config(self) -> None:
        chosen = {
            "bind": f"127.0.0.1:{self.port}",
            "workers": self.workers,
            "worker_class": "gthread",
            "threads": 8,
            "timeout": 60,
            "forwarded_allow_ips": "",  # Django decides what proxies say: TRUSTED_PROXIES
            "graceful_timeout": 20,
            "control_socket_disable": True,
            "proc_name": "outreach-web",
            "logger_class": Log,
        }
        for name, value in chosen.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Any:
        return get_wsgi_application()


def web(port: int, *, workers: int = 2) -> Program:
    """The console's pages, signed in to the database as web."""

    def run() -> int:
        use_role("web")
        sys.argv = sys.argv[:1]  # gunicorn would read our options as its own
        Web(port, workers).run()
        return 0

    return Program("web", run)


def programs(*, port: int, send: int) -> list[Program]:
    """Everything that `up` runs."""
    found = [
        web(port),
        *(Program(f"send-{number}", lambda: worker.work("send")) for number in range(1, send + 1)),
    ]
    found += [Program("checks", lambda: worker.work("checks"))]
    found += [Program("bulk", lambda: worker.work("bulk")), Program("cron", worker.keep_time)]
    return found


def answers(port: int) -> bool:
    """Return whether something listens on the port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def console_url(port: int) -> str:
    return f"http://localhost:{port}/" if settings.INSECURE_HTTP else f"{settings.PUBLIC_URL}/"
