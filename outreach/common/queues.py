"""Ring a worker: hand it the hint that work waits in the database.

The database is the truth and a hint may get lost; whoever finds work unrung rings again. So ringing
never raises, and it happens only after the rows it speaks of are committed.
"""

from __future__ import annotations

import functools
from typing import Any

import django_rq
import redis
import structlog
from django.conf import settings
from django.db import transaction
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue, Worker
from rq.serializers import JSONSerializer

log = structlog.get_logger(__name__)
HINT_SECONDS = 3600  # a hint nobody took by then has been rung again


@functools.cache
def connection(url: str) -> redis.Redis:
    """Return a client that gives up within seconds; one retry, since a pooled socket may be old."""
    return redis.Redis.from_url(
        url, retry=Retry(NoBackoff(), 1), socket_timeout=2, socket_connect_timeout=2, protocol=2
    )


def ring(path: str, *args: Any, queue: str = "send") -> None:
    """Ask a worker of `queue` to call the function at `path`, as in campaigns.tasks.ring, after the commit.

    Arguments must fit into JSON: ids, not objects. An unreachable queue is logged, not raised.
    """
    transaction.on_commit(functools.partial(_enqueue, path, args, queue), robust=True)


def _enqueue(path: str, args: tuple[Any, ...], queue: str) -> None:
    try:
        django_rq.get_queue(queue, connection=connection(settings.REDIS_URL), commit_mode="auto").enqueue_call(
            path, args=args, ttl=HINT_SECONDS, result_ttl=0, failure_ttl=24 * 3600
        )
    except (redis.RedisError, OSError) as error:
        log.warning("queue.unreachable", queue=queue, function=path, error=str(error))


def waiting(queue: str) -> int:
    """Return how many hints wait. Raises redis.RedisError when the queue can't be reached."""
    return django_rq.get_queue(queue, connection=connection(settings.REDIS_URL)).count


def listeners(queue: str) -> int:
    """Return how many workers read the queue. Raises redis.RedisError when it can't be reached."""
    client = connection(settings.REDIS_URL)
    return len(Worker.all(queue=Queue(queue, connection=client, serializer=JSONSerializer), serializer=JSONSerializer))
