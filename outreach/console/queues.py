"""How deep the job queues are and who works on them; a silent Redis is an answer, not an error."""

from __future__ import annotations

from dataclasses import dataclass, field

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue, Worker
from rq.serializers import JSONSerializer

TIMEOUT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Depth:
    """Jobs of one queue, and workers that listen to it."""

    name: str
    waiting: int
    running: int
    failed: int
    workers: int


@dataclass(frozen=True, slots=True)
class Queues:
    """All queues, or why they can't be asked."""

    depths: list[Depth] = field(default_factory=list)
    workers: int = 0
    down: bool = False


def look() -> Queues:
    """Ask Redis once, without its client's own retries, which would hold the page for seconds."""
    client = redis.Redis.from_url(
        settings.REDIS_URL,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
    )
    try:
        workers = Worker.all(connection=client, serializer=JSONSerializer)
        listening = [name for worker in workers for name in worker.queue_names()]
        depths = []
        for name in settings.RQ_QUEUES:
            queue = Queue(name, connection=client, serializer=JSONSerializer)
            depths.append(
                Depth(
                    name,
                    queue.count,
                    queue.started_job_registry.get_job_count(cleanup=False),
                    queue.failed_job_registry.get_job_count(cleanup=False),
                    listening.count(name),
                )
            )
    except (redis.RedisError, OSError):
        return Queues(down=True)
    finally:
        client.close()
    return Queues(depths, len(workers))
