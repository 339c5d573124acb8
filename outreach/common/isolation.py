"""Whose rows the database shows: the outer wall behind every query set (row-level security).

A scope holds for the calling thread's connection; a new thread begins without one and sees nothing. Doors
enter it (middleware, API, commands, jobs, cron); nothing else has to think of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from outreach.common.postgres.base import Scope

__all__ = ["Scope", "current", "everything", "include", "nothing", "tenants"]


def current() -> Scope | None:
    """What this thread's connection is in."""
    return _wrapper().scope


@contextmanager
def entered(scope: Scope | None) -> Iterator[None]:
    """Be in that scope for a while."""
    wrapper = _wrapper()
    before = wrapper.scope
    try:
        wrapper.set_scope(scope)
        yield
    finally:
        wrapper.set_scope(before)


def tenants(ids: Iterable[int], *, platform: bool = False) -> Any:
    """See and write rows of these tenants only; `platform`: and the rows of no tenant."""
    return entered(Scope(frozenset(ids), platform))


def nothing() -> Any:
    """See no tenant's rows."""
    return entered(Scope(frozenset()))


def everything(*, platform: bool = True) -> Any:
    """See the rows of all tenants there are now: for looking for work, never for a person's request as such."""
    return tenants(all_tenants(), platform=platform)


def all_tenants() -> frozenset[int]:
    """The ids of all tenants, whatever the scope."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT app_all_tenants()")
        return frozenset(cursor.fetchone()[0])


def include(tenant_id: int) -> None:
    """A tenant that is being made belongs to the scope that makes it, until that scope is left."""
    scope = current() or Scope(frozenset())
    _wrapper().set_scope(Scope(scope.tenant_ids | {tenant_id}, scope.platform))


def _wrapper() -> Any:
    """Django's connection of this thread, typed as what the settings make it."""
    return connection
