"""The whole product on one machine, from nothing, with made-up companies and a mail server of its own."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import psutil
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from tqdm import tqdm

from outreach import embedded
from outreach.common.errors import OutreachError
from outreach.common.progress import shown
from outreach.demo import conditions, run, sign_in, zones
from outreach.demo.books import Report
from outreach.demo.run import Demo, told
from outreach.demo.sink_process import SinkProcess
from outreach.management import supervisor
from outreach.management.commands import up
from outreach.management.supervisor import Program, Supervisor

LARGEST = {"mailboxes": 6000, "contacts": 100_000}
LOOK_EVERY_SECONDS = 0.5
TELL_EVERY_SECONDS = 5  # where no terminal shows a bar
STALLED_SECONDS = 180  # without any message at its end
ORPHANS_SECONDS = 60  # children of a killed demo end after the mails under way


class Stopped(Exception):  # noqa: N818 (a wish, not an error)
    """Somebody pressed Ctrl-C or sent SIGTERM."""


class Command(BaseCommand):
    help = (
        "Three client companies, 1200 mailboxes and 10,000 contacts on this machine: imports them, sends six campaigns "
        "to a mail server of its own, compares both books, and keeps the console up. Goes on where it was interrupted."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--exit", action="store_true", dest="leave", help="end after the report; 0 if it is clean")
        parser.add_argument("--json", action="store_true", help="with --exit: print the report as one JSON object")
        parser.add_argument("--fresh", action="store_true", help="start over; only on the embedded database")
        parser.add_argument("--code", action="store_true", help="print the next code for the sign-in, nothing else")
        parser.add_argument("--port", type=int, help="of the console (default: the first free one from 8000 on)")
        parser.add_argument("--send", type=int, default=2, help="send workers (default: 2)")
        parser.add_argument("--mailboxes", type=int, help="for a smaller demo (default: 1200)")
        parser.add_argument("--contacts", type=int, help="for a smaller demo (default: 10000)")

    def handle(self, *, code: bool, leave: bool, json: bool, **options: Any) -> None:
        if json and not leave:
            raise CommandError("--json goes with --exit.")
        logging.getLogger().setLevel(logging.WARNING)  # progress is for people; the children write a log
        signal.signal(signal.SIGTERM, self._stop)
        tqdm.monitor_interval = 0  # its thread must not live when processes are forked
        try:
            if code:
                self._code()
            else:
                self._demo(leave=leave, as_json=json, **options)
        except OutreachError as error:
            raise CommandError(str(error)) from error
        except (Stopped, KeyboardInterrupt):
            sys.stderr.write("\nStopped. The same command goes on where it was.\n")
            raise SystemExit(130) from None

    def _stop(self, *_: Any) -> None:
        raise Stopped

    def _code(self) -> None:
        embedded.ensure()
        try:
            self.stdout.write(sign_in.next_code())
        finally:
            connections.close_all()
            embedded.stop()

    def _demo(
        self, *, leave: bool, as_json: bool, fresh: bool, port: int | None, send: int,
        mailboxes: int | None, contacts: int | None, **_: Any,
    ) -> None:  # fmt: skip
        for name, size in (("mailboxes", mailboxes), ("contacts", contacts)):
            if size is not None and not 6 <= size <= LARGEST[name]:
                raise CommandError(f"--{name}: a number from 6 to {LARGEST[name]:,}.")
        demo = Demo(settings.STATE_DIR / "demo")
        with self._only_one():
            first = conditions.FIRST_PORT
            if port is None and conditions.port() != first:
                sys.stderr.write(f"  Port {first} is taken, so the console goes to {conditions.port()}.\n")
            port = port or conditions.port()
            try:
                if fresh:
                    with told("Starting over"):
                        run.start_over(demo.folder)
                with told("PostgreSQL, Valkey, tables, pages"):
                    up.prepare()
                finished = demo.begin(mailboxes, contacts)
                with self._names():
                    if not finished:
                        self._import(demo)
                    if not (finished and leave):
                        self._serve(demo, port, send, finished=finished, leave=leave)
                report = demo.report() if leave else None
            finally:
                embedded.stop()
        if report is not None:
            self._hand_over(report, as_json)

    @contextmanager
    def _only_one(self) -> Iterator[None]:
        """Hold the lock of `up`; wait for the children of a killed one, which finish what they send."""
        lock, deadline = settings.STATE_DIR / "up.lock", time.monotonic() + ORPHANS_SECONDS
        with ExitStack() as held:
            while True:
                try:
                    held.enter_context(up.only_one())
                    break
                except CommandError as error:
                    owner = lock.read_text().strip()
                    if not owner.isdigit() or psutil.pid_exists(int(owner)) or time.monotonic() > deadline:
                        raise CommandError(f"{error} Its next sign-in code: {manage()} demo --code") from None
                time.sleep(0.5)
            yield

    def _import(self, demo: Demo) -> None:
        steps = (
            ("Client companies", demo.create_tenants),
            ("Sending domains from CSV", demo.import_domains),
            ("Mailboxes from CSV", demo.import_mailboxes),
            ("What their hosts allow", demo.allow_bases),
            ("Their records in DNS", demo.check_domains),
            ("Contacts from CSV", demo.import_contacts),
            ("Their addresses, by DNS", demo.validate_contacts),
            ("Campaigns from YAML", demo.create_campaigns),
        )
        for title, step in steps:
            with told(title) as result:
                result(f"{step():,}")

    def _serve(self, demo: Demo, port: int, send: int, *, finished: bool, leave: bool) -> None:
        """Console and workers run until the end: of the campaigns with `leave`, else of patience."""
        if supervisor.answers(port):
            raise CommandError(f"Port {port} is taken; choose another with --port.")
        access = sign_in.ensure(demo.folder)
        connections.close_all()
        with self._sink(demo):
            running = Supervisor([logged(program, demo) for program in supervisor.programs(port=port, send=send)])
            running.start()
            try:
                self._wait(running, lambda: supervisor.answers(port))
                if not leave:
                    self._tell(access, port)
                if finished and not leave:
                    self.stdout.write("  Its campaigns were sent before; demo --fresh starts over. Ctrl-C ends it.\n")
                    self.stdout.flush()
                if not finished:
                    demo.start_campaigns()
                    self._watch(demo, running, leave=leave)
                    if not leave:
                        self._sum_up(demo.report(), demo, port)
                if not leave:
                    running.run()
            except Stopped:
                if not leave and demo.progress().is_over:
                    return
                raise
            finally:
                running.stop()

    @contextmanager
    def _names(self) -> Iterator[None]:
        with told("Name server of its world") as result:
            server = zones.process("localhost", port=conditions.dns_port())
            server.start()
            result(f"port {conditions.dns_port()}")
        try:
            yield
        finally:
            server.stop()

    @contextmanager
    def _sink(self, demo: Demo) -> Iterator[None]:
        sink: SinkProcess = demo.sink()
        with told("Mail server that plays the world") as result:
            deadline = time.monotonic() + 5  # that of a killed demo ends within a second
            while not conditions.is_free(sink.port):
                if time.monotonic() > deadline:
                    raise CommandError(
                        f"Port {sink.port}, by which the demo's mailboxes leave, is taken: free it, or use --fresh."
                    )
                time.sleep(0.1)
            sink.start()
            result(f"port {sink.port}")
        try:
            yield
        finally:
            sink.stop()

    def _wait(self, running: Supervisor, arrived: Callable[[], bool]) -> None:
        while not arrived():
            running.tick()
            if running.stopping:
                raise Stopped
            time.sleep(0.1)

    def _watch(self, demo: Demo, running: Supervisor, *, leave: bool) -> None:
        """Show how the campaigns go until they are over, or held by somebody, or stand still."""
        total = demo.plan.contacts if demo.plan else 0
        moved, before, spoke = time.monotonic(), -1, 0.0
        bar = tqdm(total=total, desc="  Sending", unit=" mails", disable=not shown(), file=sys.stderr, leave=False)
        with bar:
            while True:
                running.tick()
                if running.stopping:
                    raise Stopped
                now, seen = time.monotonic(), demo.progress()
                if seen.done != before:
                    moved, before = now, seen.done
                bar.n = seen.done
                shares = (f"{name} {seen.messages[name]:,}" for name in ("sent", "deferred", "failed"))
                bar.set_postfix_str(", ".join(shares))
                if seen.is_over or (seen.is_held and not leave):
                    break
                if now - moved > STALLED_SECONDS:
                    raise CommandError(
                        f"Nothing moved for {STALLED_SECONDS} s: {dict(seen.messages)}. "
                        f"Look with manage.py doctor, and into {demo.log}."
                    )
                if bar.disable and now - spoke > TELL_EVERY_SECONDS:
                    spoke = now
                    sys.stderr.write(f"  Sending: {seen.done:,} of {total:,}\n")
                    sys.stderr.flush()
                time.sleep(LOOK_EVERY_SECONDS)

    # --- What people read --------------------------------------------------------------------------------

    def _tell(self, access: sign_in.SignIn, port: int) -> None:
        lines = [
            "",
            f"  The console is at {supervisor.console_url(port)}",
            "",
            f"    user       {access.email}",
            f"    password   {access.password}",
            f"    code       {access.code}   (the next one: {manage()} demo --code)",
            f"    secret     {access.secret}",
            f"    otpauth    {access.url}",
            f"    one-use    {' '.join(access.codes) or '(all used)'}",
            "",
        ]
        if self.stdout.isatty():
            lines += [access.picture, ""]
        self.stdout.write("\n".join(lines))
        self.stdout.flush()

    def _sum_up(self, report: Report, demo: Demo, port: int) -> None:
        access = sign_in.ensure(demo.folder)
        connections.close_all()
        rows = [
            ("contacts", report.contacts),
            ("mailboxes, used", f"{report.mailboxes:,}, {report.mailboxes_used:,}"),
            ("sent", report.sent),
            ("refused, so failed and suppressed", report.failed),
            ("stopped by a suppression", report.suppressed),
            ("uncertain", report.uncertain),
            ("copies that the mail server took", report.sink_accepted),
            ("most copies of one mail", report.copies_max),
            ("lost", report.lost),
            ("caps exceeded", report.caps_exceeded),
            ("planning, seconds", report.plan_seconds),
            ("sending, seconds", report.send_seconds),
            ("mails per second", report.messages_per_second),
        ]
        lines = [""]
        for name, value in rows:
            lines.append(f"    {name:<36}{value if isinstance(value, str) else f'{value:,}':>14}")
        lines += ["", *(f"  {problem}" for problem in report.problems or ["Both books agree."]), ""]
        lines += [
            f"  It stays up at {supervisor.console_url(port)} until Ctrl-C. Log: {demo.log}",
            f"  Sign in: {access.email}   {access.password}   {access.code}   (next code: {manage()} demo --code)",
            "",
        ]
        self.stdout.write("\n".join(lines))
        self.stdout.flush()

    def _hand_over(self, report: Report, as_json: bool) -> None:
        found = report.as_dict()
        self.stdout.write(json.dumps(found) if as_json else "\n".join(f"{key}: {found[key]}" for key in found))
        if not report.is_clean:
            raise CommandError("\n".join(["The books do not agree:", *report.problems]))


def logged(program: Program, demo: Demo) -> Program:
    """The same program, with what it says in the demo's log instead of on the terminal."""
    inner = program.run

    def run_logged() -> int:
        log = os.open(demo.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        for stream in (1, 2):
            os.dup2(log, stream)
        logging.getLogger().setLevel(settings.LOGGING["level"])
        return inner()

    program.run = run_logged
    return program


def manage() -> str:
    """How this program is called, as short as it works from here."""
    python, script = sys.executable, str(settings.BASE_DIR / "manage.py")
    with suppress(ValueError):
        python, script = os.path.relpath(python), os.path.relpath(script)
    return f"{python} {script}"
