"""Issue an API key."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.timezone import now

from outreach.common.errors import BadInput, OutreachError
from tenants import permissions
from tenants.management import acting
from tenants.services import api_keys


class Command(BaseCommand):
    help = "Issue an API key of a tenant and print it, this once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True, metavar="SLUG", help="whose rows it opens")
        parser.add_argument("--name", required=True, help="the system that uses it")
        parser.add_argument(
            "--scope", action="append", required=True, choices=sorted(permissions.ROLES["client_key"]),
            help="what it may do; give it again for more",
        )  # fmt: skip
        parser.add_argument("--days", type=int, default=365, help="how long it holds; default: 365")
        parser.add_argument(
            "--from", action="append", default=[], metavar="RANGE", dest="ranges",
            help="network it may be used from, as in 192.0.2.0/24; default: any",
        )  # fmt: skip
        parser.add_argument("--actor", metavar="EMAIL", help="who issues it; default: the system")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, tenant: str, name: str, scope: list[str], days: int, **options: Any) -> None:
        if not 1 <= days <= 36500:
            raise CommandError("--days goes from 1 to 36500.", returncode=2)
        try:
            with acting.in_tenant(tenant, options["actor"]) as (owner, actor):
                key, text = api_keys.issue(
                    owner, name, scope,
                    actor=actor, expires_at=now() + timedelta(days=days), ranges=options["ranges"],
                )  # fmt: skip
        except OutreachError as error:
            raise CommandError(str(error), returncode=2 if isinstance(error, BadInput) else 1) from error
        if options["json"]:
            self.stdout.write(
                json.dumps({"id": key.pk, "key": text, "scopes": key.scopes, "expires_at": key.expires_at.isoformat()})
            )
        else:
            self.stderr.write(f"{key} of {tenant} holds for {days} days. It is shown this once.")
            self.stdout.write(text)
