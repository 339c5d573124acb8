"""What a worker runs, what it refuses, and how ringing behaves."""

import json
import pickle
import signal
import subprocess
import sys
import zlib

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
    job = Job.create(path, args=changes.pop("args", (1, [2])), connection=client, serializer=JSONSerializer)
    for name, value in changes.items():
        setattr(job, name, value)
    return job


@pytest.mark.parametrize(
    "path",
    [
        "os.system", "subprocess.run", "campaigns.pipeline.sender.send_batch", "campaigns.tasks._x", "tasks.x",
        "campaigns.tasks.sender", "campaigns.tasks.annotations", "campaigns.tasks.none", "campaigns.tasks.send.x",
    ],
)  # fmt: skip
@pytest.mark.attack("A40")
def test_only_tasks_of_our_apps_run(empty_queue, path):
    assert worker.refusal(make(empty_queue, path)) == f"{path!r} is no task of ours"


@pytest.mark.attack("A40")
@pytest.mark.parametrize(
    "args",
    [
        (), (1,), (1, [2], 3), ("1", [2]), (1, 2), (1, "2"), (1, ["2"]), (1, [[2]]), (1, {"0": 2}), (None, [2]),
        (True, [2]), (1.0, [2]), (-1, [2]), (2**63, [2]), ([1], [2]), (1, [2, None]), ({"$gt": 0}, [2]),
    ],
)  # fmt: skip
def test_arguments_that_are_no_ids_are_refused(empty_queue, args):
    assert worker.refusal(make(empty_queue, "campaigns.tasks.send_batches", args=args)) is not None


@pytest.mark.attack("A40")
def test_a_job_with_callbacks_is_refused(empty_queue):
    assert (
        worker.refusal(make(empty_queue, "campaigns.tasks.send_batches", _failure_callback_name="os.system"))
        is not None
    )
    assert worker.refusal(make(empty_queue, "campaigns.tasks.send_batches", kwargs={"a": 1})) is not None
    assert worker.refusal(make(empty_queue, "campaigns.tasks.send_batches")) is None


@pytest.mark.attack("A40")
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
            # Born is not enough: only an idle one has told the system which signals it takes.
            if any(empty_queue.hget(key, "state") == b"idle" for key in empty_queue.smembers("rq:workers:send")):
                break
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()


class Boom:
    """A pickle that leaves a file behind when it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.attack("A40")
def test_whoever_writes_to_the_queue_gets_nothing_run(process_env, empty_queue, tmp_path):
    """A real worker, and everything that somebody with a connection to Redis may put into its queue."""
    proof = tmp_path / "proof"
    pickled = pickle.dumps((f"{__name__}.Boom", None, (Boom(proof),), {}))
    touch = json.dumps(["subprocess.run", None, [["touch", str(proof)]], {}]).encode()
    good = json.dumps(["campaigns.tasks.send_batches", None, [1, [1]], {}]).encode()
    task = "campaigns.tasks.send_batches"
    forged = {
        "pickle": {"data": pickled},
        "zipped": {"data": zlib.compress(pickled)},
        "pickled meta": {"data": good, "meta": pickled},
        "pickled result": {"data": good, "result": pickled},
        "function": {"data": touch},
        "zipped function": {"data": zlib.compress(touch)},
        "bomb": {"data": zlib.compress(b"[" * 10**6)},
        "no json": {"data": b"{"},
        "not four": {"data": b"[1]"},
        "empty": {"data": b""},
        "number": {"data": b"7"},
        "method": {"data": json.dumps([task, "os", [1, [1]], {}]).encode()},
        "types": {"data": json.dumps([task, None, ["1", {}], {}]).encode()},
        "callback": {"data": good, "success_callback_name": "os.abort"},
        "dates": {"data": good, "created_at": b"yesterday\n{}"},
        "timeout": {"data": good, "timeout": b"x"},
        "status": {"data": good, "status": b"\xff"},
        'id\n{"event": "forged"}': {"data": b"{"},
    }
    for name, fields in forged.items():
        empty_queue.hset(
            f"rq:job:{name}", mapping={"created_at": "2026-01-01T00:00:00.000000Z", "origin": "send", **fields}
        )
        empty_queue.rpush("rq:queue:send", name)
    last = queues.django_rq.get_queue("send").enqueue_call("campaigns.tasks.send_batches", args=(1, [1]), result_ttl=60)

    command = [sys.executable, "manage.py", "worker", "send", "--burst"]
    run = subprocess.run(command, cwd=settings.BASE_DIR, env=process_env, capture_output=True, text=True, timeout=120)

    assert run.returncode == 0, run.stderr
    assert not proof.exists()
    events = [json.loads(line) for line in run.stderr.splitlines()]
    refused = {event["job"] for event in events if event["event"] == "job.refused"}
    assert set(forged) - refused <= {"pickled meta", "pickled result"}, (
        run.stderr
    )  # never opened, and what they ask for is good
    assert [event for event in events if event["event"] == "forged"] == []
    assert last.get_status(refresh=True) == "finished"
    assert empty_queue.llen("rq:queue:send") == empty_queue.llen("rq:queue:send:intermediate") == 0
    assert not empty_queue.exists(*(f"rq:job:{name}" for name in refused))
