"""What a URL says of TLS reaches every client of that server; the embedded ones are sockets and have none."""

from __future__ import annotations

import psycopg.conninfo
import pytest
from django.core.cache.backends.redis import RedisCache
from django_rq import get_connection
from redis import SSLConnection

from outreach import checks
from outreach import settings as ours
from outreach.common import queues

PG = "postgres://web:pw@db.example:5432/outreach?sslmode=verify-full&sslrootcert=/etc/ca.pem"
REDIS = "rediss://:pw@queue.example:6380/0?ssl_cert_reqs=required&ssl_ca_certs=/etc/ca.pem"


def test_the_database_url_brings_its_tls_options(monkeypatch):
    monkeypatch.setitem(ours.DATABASE_URLS, "web", PG)

    found = ours.database("web")

    options = found["OPTIONS"]
    assert (found["HOST"], options["sslmode"], options["sslrootcert"]) == ("db.example", "verify-full", "/etc/ca.pem")
    known = {name: options[name] for name in ("sslmode", "sslrootcert", "application_name")}
    assert "sslmode=verify-full sslrootcert=/etc/ca.pem" in psycopg.conninfo.make_conninfo(**known)


def pools(settings):
    """Those of the queue's own client, of the counters and of RQ's workers."""
    settings.RQ_QUEUES = {"send": {"URL": REDIS}}
    cache = RedisCache(REDIS, {"OPTIONS": settings.CACHES["counters"]["OPTIONS"]})
    yield queues.connection(REDIS).connection_pool
    yield cache._cache._get_connection_pool(write=True)
    yield get_connection("send").connection_pool


def test_the_redis_url_brings_its_tls_options_to_queue_cache_and_workers(settings):
    for pool in pools(settings):
        assert pool.connection_class is SSLConnection
        assert pool.connection_kwargs["ssl_cert_reqs"] == "required"
        assert pool.connection_kwargs["ssl_ca_certs"] == "/etc/ca.pem"


def warned(settings, database: str, redis: str, monkeypatch) -> int:
    monkeypatch.setitem(ours.DATABASE_URLS, "web", database)
    settings.DATABASE_SETTINGS = {"web": ours.database("web")}
    settings.REDIS_URL = redis
    return len(checks.far_servers_are_spoken_to_by_tls(None))


@pytest.mark.parametrize(
    ("database", "redis", "warnings"),
    [
        (PG, REDIS, 0),
        ("postgres://web@db.example/outreach", REDIS, 1),
        (PG.replace("verify-full", "require"), REDIS, 1),
        (PG, REDIS.replace("rediss", "redis"), 1),
        (PG, REDIS.replace("=required", "=none"), 1),
        ("postgres://web@10.0.0.5/outreach", "redis://10.0.0.6:6379/0", 2),
        ("postgres://web@:5432/outreach?host=db.example", REDIS, 1),
        ("postgres://web@127.0.0.1/outreach", "redis://localhost:6379/0", 0),
        ("postgres://web@:5432/outreach?host=%2Fvar%2Frun%2Fpostgresql", "unix:///run/valkey.sock?db=0", 0),
    ],
)
def test_a_far_server_without_tls_is_warned_of(database, redis, warnings, settings, monkeypatch):
    assert warned(settings, database, redis, monkeypatch) == warnings
