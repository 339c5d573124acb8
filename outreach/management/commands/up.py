"""The whole console in one terminal."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from outreach import embedded
from outreach.management import supervisor


@contextmanager
def only_one() -> Iterator[None]:
    """Hold STATE_DIR/up.lock; children hold it too, so orphans of a killed parent keep a second start out."""
    settings.STATE_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (settings.STATE_DIR / "up.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise CommandError(f"It runs already (process {lock.read().strip() or 'unknown'}).") from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def prepare() -> None:
    """Servers answer, the schema is current, static files are collected. Raises CommandError otherwise."""
    embedded.ensure()
    run = subprocess.run(  # noqa: S603 (a process of its own, since it signs in as owner)
        [sys.executable, settings.BASE_DIR / "manage.py", "migrate", "--no-input", "--verbosity", "0"],
        env=os.environ | {"DATABASE_ROLE": "owner"},
        stdout=sys.stderr,
    )
    if run.returncode:
        raise CommandError("The database could not be brought up to date; the lines above say why.")
    if not settings.DEBUG:
        call_command("collectstatic", "--no-input", verbosity=0)


class Command(BaseCommand):
    help = (
        "Run the console: web server, send workers, bulk worker, periodic work, and PostgreSQL and Valkey "
        "unless DATABASE_URL and REDIS_URL are set. Ctrl-C or SIGTERM ends everything in order."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="on loopback (default: 8000)")
        parser.add_argument("--send", type=int, default=2, help="send workers (default: 2)")

    def handle(self, *, port: int, send: int, **options: Any) -> None:
        with only_one():
            try:
                prepare()
                if supervisor.answers(port):
                    raise CommandError(f"Port {port} is taken; choose another with --port.")
                self.serve(port, send)
            finally:
                embedded.stop()

    def serve(self, port: int, send: int) -> None:
        """Run until a signal says to stop."""
        running = supervisor.Supervisor(supervisor.programs(port=port, send=send))
        running.start()
        try:
            while not running.stopping and not supervisor.answers(port):
                running.tick()
                time.sleep(0.1)
            if not running.stopping:
                self.stdout.write(f"The console is at {supervisor.console_url(port)} (Ctrl-C ends it).")
                self.stdout.flush()
            running.run()
        finally:
            running.stop()
