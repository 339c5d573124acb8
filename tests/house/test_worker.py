"""What a worker runs, what it refuses, and how ringing behaves."""

import signal
import subprocess
import sys

import django_rq
import pytest
import structlog
from django.conf import settings
from django.db import transaction
from rq.job import Job
from rq.serializers import JSONSerializer

from outreach.common import queues
from outreach.management.commands import worker

pytestmark = pytest.mark.django_db(transaction=True)


def make(client, path, **changes):
    job = Job.create(path, args=(1,), connection=client, serializer=JSONSerializer)
    for name, value in changes.items():
        setattr(job, name, value)
    return job


@pytest.mark.parametrize(
    "path",
    ["os.system", "subprocess.run", "campaigns.pipeline.sender.send_batch", "campaigns.tasks._x", "tasks.x"],
)
def test_only_tasks_of_our_apps_run(empty_queue, path):
    assert worker.refusal(make(empty_queue, path)) == f"{path!r} is no task of ours"


def test_a_job_with_callbacks_is_refused(empty_queue):
    assert worker.refusal(make(empty_queue, "campaigns.tasks.send", _failure_callback_name="os.system")) is not None
    assert worker.refusal(make(empty_queue, "campaigns.tasks.send", kwargs={"a": 1})) is not None
    assert worker.refusal(make(empty_queue, "campaigns.tasks.send")) is None


def test_a_pickled_job_is_refused_unread(empty_queue):
    job = make(empty_queue, "campaigns.tasks.send")
    job.save()
    empty_queue.hset(job.key, "data", b"\x80\x04cos\nsystem\n(S'true'\ntR.")

    fetched = Job(job.id, connection=empty_queue, serializer=JSONSerializer)
    fetched.data = empty_queue.hget(job.key, "data")
    assert worker.refusal(fetched).startswith("it can't be read")


def test_ringing_waits_for_the_commit(empty_queue):
    with transaction.atomic():
        queues.ring("campaigns.tasks.send", 7)
        assert queues.waiting("send") == 0
    assert queues.waiting("send") == 1

    with transaction.atomic():
        queues.ring("campaigns.tasks.send", 8)
        transaction.set_rollback(True)
    (job,) = django_rq.get_queue("send").jobs
    assert (job.func_name, job.args) == ("campaigns.tasks.send", [7])


def test_an_unreachable_queue_is_logged_and_nothing_raised(settings):
    settings.REDIS_URL = "unix:///nonexistent/valkey.sock"
    with structlog.testing.capture_logs() as logs:
        queues.ring("campaigns.tasks.send", 7)
    assert [entry["event"] for entry in logs] == ["queue.unreachable"]


@pytest.mark.fault("F18")
def test_a_worker_ends_with_0_on_sigterm(process_env, empty_queue):
    command = [sys.executable, "manage.py", "worker", "send"]
    process = subprocess.Popen(command, cwd=settings.BASE_DIR, env=process_env, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            if empty_queue.scard("rq:workers:send"):
                break
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
