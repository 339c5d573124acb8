"""Who a command acts as, and whose rows it sees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from outreach.common import circumstances, isolation
from tenants.models import Tenant
from tenants.services import actors, tenants
from tenants.services.actors import Actor


@contextmanager
def in_tenant(slug: str, email: str | None) -> Iterator[tuple[Tenant, Actor]]:
    """Act in one tenant as the person with that address, else as SYSTEM. Raises Missing, NotAllowed."""
    with acting(email) as actor:
        tenant = tenants.find(slug)
        scope = isolation.current()
        with isolation.tenants([tenant.pk], platform=scope is not None and scope.platform):
            yield tenant, actor


@contextmanager
def acting(email: str | None) -> Iterator[Actor]:
    """Act as that person, else as SYSTEM, in the tenants that this opens."""
    actor = actors.of_command(email)
    with ExitStack() as stack:
        if not circumstances.current().via:  # called from code, not by manage.py
            stack.enter_context(circumstances.begun("command"))
        stack.enter_context(circumstances.amended(**actor.ids()))
        stack.enter_context(actor.scope())
        yield actor
