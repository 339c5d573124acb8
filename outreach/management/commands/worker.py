"""One worker process: takes hints from one queue and calls the tasks that they name."""

from __future__ import annotations

import importlib
import inspect
import re
import signal
import time
from typing import Any, get_args, get_origin, get_type_hints

import django_rq
import redis
import structlog
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import close_old_connections, connections
from rq import SimpleWorker
from rq.exceptions import StopRequested
from rq.job import Job
from rq.queue import Queue
from rq.serializers import JSONSerializer
from rq.timeouts import UnixSignalDeathPenalty

from outreach.common import circumstances, cpus, draining

log = structlog.get_logger(__name__)
TASK = re.compile(r"(tenants|mailboxes|campaigns|deliverability)\.tasks\.[a-z][a-z0-9_]*")
MAX_ID = 2**63 - 1
EXIT_OVERTIME = 75  # EX_TEMPFAIL of sysexits.h: start me again


class LastResort(UnixSignalDeathPenalty):
    """Remember that a job ran out of its time; its threads can't be trusted to have ended."""

    happened = False

    def handle_death_penalty(self, signum: int, frame: Any) -> None:
        LastResort.happened = True
        super().handle_death_penalty(signum, frame)


class Worker(SimpleWorker):
    """Runs jobs in its own process, tasks of our apps only, and ends after the job under way on SIGTERM."""

    death_penalty_class = LastResort
    stopped = False
    idle = False

    def request_stop(self, signum: int, frame: Any) -> None:
        """SIGTERM or SIGINT: take nothing new; the job under way sees draining.stopping.

        RQ would raise StopRequested wherever the process happens to be outside of a job, and whoever catches
        Exception there would swallow it and work on for ever: so it is raised only where we wait for hints.
        """
        self.stopped = self._stop_requested = True
        draining.stopping.set()
        if self.idle:
            raise StopRequested

    def dequeue_job_and_maintain_ttl(self, timeout: int | None, max_idle_time: int | None = None) -> Any:
        self.idle = True
        try:
            if self.stopped:
                raise StopRequested
            while True:
                try:
                    return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)
                except Exception as error:  # noqa: BLE001 (whatever a forged job makes the parser raise)
                    if getattr(error, "job_id", None) is None or isinstance(error, redis.RedisError):
                        raise
                    self._refuse(error.job_id, error.queue, f"it can't be read: {type(error).__name__}")
        finally:
            self.idle = False

    def _refuse(self, job_id: str, queue: Queue, reason: str) -> None:
        """Throw a job away; RQ's own way looks into it once more, and what it finds there may end the worker."""
        log.error("job.refused", job=job_id, reason=reason)
        self.connection.delete(Job.key_for(job_id))
        self.connection.lrem(queue.intermediate_queue_key, 0, job_id)

    def execute_job(self, job: Job, queue: Queue) -> None:
        if (fault := refusal(job)) is not None:
            self._refuse(job.id, queue, fault)
            return
        with circumstances.begun("job", job.func_name, request_id=job.id, actor_kind="system"):
            self._execute(job, queue)

    def _execute(self, job: Job, queue: Queue) -> None:
        close_old_connections()
        started = time.monotonic()
        try:
            super().execute_job(job, queue)
        finally:
            close_old_connections()
            spent = round((time.monotonic() - started) * 1000)
            log.info("job", function=job.func_name, args=job.args, milliseconds=spent)
        if LastResort.happened:
            log.error("job.overtime", function=job.func_name, limit_seconds=job.timeout)
            raise SystemExit(EXIT_OVERTIME)


def refusal(job: Job) -> str | None:
    """Return why a job may not run: whoever writes to Redis must not choose what code runs here."""
    try:
        name = job.func_name
        if not isinstance(name, str) or not TASK.fullmatch(name):
            return f"{name!r} is no task of ours"
        if job.instance is not None or job.kwargs:
            return "it carries more than a function and plain arguments"
        if (misfit := misfit_of(name, job.args)) is not None:
            return misfit
        callbacks = (job._success_callback_name, job._failure_callback_name, job._stopped_callback_name)
        if any(callbacks) or job.webhooks:
            return "it carries callbacks"
    except Exception as error:  # noqa: BLE001 (whatever a forged job makes the parser raise)
        return f"it can't be read: {type(error).__name__}"
    return None


def misfit_of(name: str, args: Any) -> str | None:
    """Return why this is no task or these are not its arguments: a task takes ids, text, and lists of them."""
    module, _, function = name.rpartition(".")
    task = getattr(importlib.import_module(module), function, None)
    if not inspect.isfunction(task) or task.__module__ != module:
        return f"{name!r} is no task of ours"
    try:
        given = inspect.signature(task).bind(*args).arguments if isinstance(args, (list, tuple)) else None
    except TypeError:
        given = None
    if given is None:
        return "its arguments are not those of the task"
    wanted = get_type_hints(task)
    wrong = [each for each, value in given.items() if not fits(value, wanted.get(each))]
    return f"it has wrong values for {', '.join(wrong)}" if wrong else None


def fits(value: Any, kind: Any) -> bool:
    """Whether a value of JSON is what the annotation of a task says."""
    if get_origin(kind) is list:
        return isinstance(value, list) and all(fits(each, get_args(kind)[0]) for each in value)
    if kind is int:
        return type(value) is int and 0 < value <= MAX_ID
    return kind is str and isinstance(value, str)


def work(queue: str, *, burst: bool = False) -> int:
    """Work until SIGTERM (return 0), until empty (burst, 0), or until the queue is lost (1)."""
    if queue == "send" and settings.SEND_ONE_CPU:
        cpus.keep_to_one(settings.STATE_DIR)
    worker = Worker(
        [django_rq.get_queue(queue)],
        connection=django_rq.get_connection(queue),
        serializer=JSONSerializer,
    )
    worker.work(burst=burst, logging_level="WARNING")
    connections.close_all()
    return 0 if burst or worker.stopped else 1


def keep_time() -> int:
    """Run the periodic work until SIGTERM; return 0."""
    from outreach import cron

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: draining.stopping.set())
    cron.run(draining.stopping)
    connections.close_all()
    return 0


class Command(BaseCommand):
    help = "Work on one queue until SIGTERM, or with --cron do the periodic work."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("queue", nargs="?", default="send", choices=list(settings.RQ_QUEUES))
        parser.add_argument("--burst", action="store_true", help="end once the queue is empty")
        parser.add_argument("--cron", action="store_true", help="be the process that plans, batches and sweeps")

    def handle(self, *, queue: str, burst: bool, cron: bool, **options: Any) -> None:
        code = keep_time() if cron else work(queue, burst=burst)
        if code:
            raise CommandError("The queue was lost; start the worker again.", returncode=code)
