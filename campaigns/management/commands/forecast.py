"""forecast --tenant SLUG [--campaign NAME] [--days 28]."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils.timezone import now

from campaigns.management.commands.campaign import find
from campaigns.pipeline.forecasting import loading, results, wording
from outreach.common.errors import OutreachError
from tenants.management import acting


class Command(BaseCommand):
    help = "When the campaigns of a tenant are done, what keeps them, and which pool runs short when. Changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        acting.add_arguments(parser, writes=False)
        parser.add_argument("--campaign", metavar="NAME", help="this one alone; a draft is taken as started now")
        parser.add_argument("--days", type=int, default=loading.DAYS, metavar="N", help="from 1 to 90, today included")

    def handle(self, *, tenant: str, actor: str | None = None, **options: Any) -> None:
        days, name = options["days"], options["campaign"]
        if not 1 <= days <= loading.MOST_DAYS:
            raise CommandError(f"--days is from 1 to {loading.MOST_DAYS}.", returncode=1)
        try:
            with acting.in_tenant(tenant, actor) as (owner, who), transaction.atomic():
                who.require("campaigns.view", owner)
                who.require("mailboxes.view", owner)
                chosen = find(owner, name) if name else None
                found = loading.forecast(owner, now(), days=days, draft=chosen)
        except OutreachError as error:
            raise acting.refused(self, error, as_json=options["json"]) from error
        if chosen is not None:
            found = results.narrowed(found, chosen.pk)
        if options["json"]:
            self.stdout.write(json.dumps(results.as_json(found)))
            return
        for line in wording.lines(found):
            self.stdout.write(line)
