"""Weeks in seconds: the database's clock stands where a test puts it, and everything else is real.

A schema before pg_catalog in the search path has its own now() and its like, which add what the test wants. So
planner, claims, leases, delays and windows run on the other day in every connection of the test database.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.conf import settings
from django.db import connection

from campaigns.models import Batch
from campaigns.pipeline import batcher, planner, reaper, sender
from outreach import cron
from tests.conftest import signed_in

CLOCKS = ("now", "clock_timestamp", "statement_timestamp", "transaction_timestamp")

FUNCTION = """
CREATE FUNCTION accelerated.{0}() RETURNS timestamptz LANGUAGE sql STABLE AS
'SELECT pg_catalog.{0}() + by FROM accelerated.clock'"""


class Clock:
    """Where the database's clock stands."""

    def to(self, moment: datetime) -> None:
        """Let it go on from that instant."""
        with connection.cursor() as cursor:
            cursor.execute("UPDATE accelerated.clock SET by = %s - pg_catalog.clock_timestamp()", [moment])


@contextmanager
def clock() -> Iterator[Clock]:
    """A clock that can be moved, until the block ends; only outside a transaction."""
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    users = ", ".join(connection.ops.quote_name(user) for user in settings.DATABASE_USERS.values())
    with signed_in("owner"), connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA accelerated CREATE TABLE clock (by interval NOT NULL)")
        cursor.execute("INSERT INTO accelerated.clock VALUES ('0')")
        for function in CLOCKS:
            cursor.execute(FUNCTION.format(function))
        cursor.execute(f"GRANT USAGE ON SCHEMA accelerated TO {users}")
        cursor.execute(f"GRANT SELECT, UPDATE ON accelerated.clock TO {users}")
        cursor.execute(f"ALTER DATABASE {name} SET search_path = accelerated, pg_catalog, public")
    connection.close()
    try:
        yield Clock()
    finally:
        connection.close()
        with signed_in("owner"), connection.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {name} RESET search_path")
            cursor.execute("DROP SCHEMA accelerated CASCADE")
        connection.close()


def work(tenant, *, most: int = 5) -> None:
    """What cron and workers do at one moment, until nothing is left to do then."""
    for _ in range(most):
        reaper.decide_doubts(tenant, settings.DOUBT_SECONDS)
        planner.run(tenant, cron.now())
        batcher.run(tenant.pk)
        batches = list(Batch.objects.filter(tenant=tenant, done_at=None).values_list("pk", flat=True))
        if not batches:
            break
        sender.send_batches(tenant.pk, batches)
    reaper.take_back_missed(tenant, cron.now())
    reaper.complete(tenant)
