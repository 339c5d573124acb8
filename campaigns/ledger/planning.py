"""The lock under which a tenant is planned, for those who have to let no plan of before pass."""

from __future__ import annotations

from django.db import connection

LOCK_CLASS = 0x0471  # the first key of the planner's advisory locks; the second is the tenant


def wait(tenant_id: int) -> None:
    """Let a planner run of that tenant end, and none begin until this transaction has ended."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_CLASS, tenant_id % 2**31])
