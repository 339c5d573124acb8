"""Who a command acts as, and whose rows it sees."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from django.core.management.base import BaseCommand, CommandError, CommandParser

from outreach.common import circumstances, isolation
from outreach.common.errors import OutreachError
from tenants.models import Tenant
from tenants.services import actors, tenants
from tenants.services.actors import Actor


def add_arguments(parser: CommandParser, *, writes: bool = True) -> None:
    """What every command about one tenant's rows takes."""
    parser.add_argument("--tenant", required=True, metavar="SLUG")
    parser.add_argument("--actor", metavar="EMAIL", help="act as this person instead of the system")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    if writes:
        parser.add_argument("--dry-run", action="store_true", help="say what would happen and change nothing")


def refused(command: BaseCommand, error: OutreachError, *, as_json: bool) -> CommandError:
    """The end of a command that was refused; with --json an object with the code and the approval asked for."""
    if as_json:
        command.stdout.write(json.dumps({"error": error.code, "approval": error.details.get("approval")}))
    return CommandError(str(error), returncode=1)


@contextmanager
def in_tenant(slug: str, email: str | None) -> Iterator[tuple[Tenant, Actor]]:
    """Act in one tenant as the person with that address, else as SYSTEM. Raises Missing, NotAllowed."""
    with acting(email) as actor:
        tenant = tenants.find(slug)
        scope = isolation.current()
        with isolation.tenants([tenant.pk], platform=scope is not None and scope.platform):
            yield tenant, actor


@contextmanager
def in_tenant_or_all(slug: str | None, email: str | None) -> Iterator[tuple[Tenant | None, Actor]]:
    """Act in one tenant, or without a slug wherever the actor may. Raises Missing, NotAllowed."""
    if slug:
        with in_tenant(slug, email) as (tenant, actor):
            yield tenant, actor
    else:
        with acting(email) as actor:
            yield None, actor


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
