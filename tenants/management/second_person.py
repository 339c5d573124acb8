"""What commands take for acts to which a second person has to agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandParser

from outreach.common import yaml_files
from outreach.common.errors import BadInput, NeedsApproval
from tenants.services import approvals
from tenants.services.actors import Actor


def add_arguments(parser: CommandParser) -> None:
    """--approval and --ask."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--approval", type=int, metavar="ID", help="what a second person agreed to, in the console")
    how.add_argument("--ask", metavar="REASON", help="ask a second person, if one has to agree")


@contextmanager
def asked(actor: Actor, options: Mapping[str, Any]) -> Iterator[None]:
    """Round the act: a refusal for want of a second person becomes a wish, where --ask gave the reason for it.

    Raises NeedsApproval with what to do next in either case: the act has not been done.
    """
    try:
        yield
    except NeedsApproval as error:
        reason = options.get("ask")
        if not reason:
            raise NeedsApproval(f"{error} Ask with --ask REASON, then pass --approval ID.", **error.details) from error
        if not yaml_files.storable(reason):
            raise BadInput("--ask: holds bytes that are no text.") from error
        if options.get("dry_run"):
            raise
        made = approvals.ask_for(error, actor=actor, reason=reason)
        raise NeedsApproval(
            f"{error} Asked: approval {made.pk}. Once somebody has agreed in the console, pass --approval {made.pk}.",
            **error.details, approval=made.pk,
        ) from error  # fmt: skip
