"""explain mailbox ADDRESS | tenant SLUG | campaign NAME | contact ADDRESS | message ID."""

from __future__ import annotations

import json
from typing import Any
from zoneinfo import ZoneInfo

from django.core.management.base import BaseCommand, CommandError, CommandParser

from campaigns.management.commands import campaign as campaigns_command
from campaigns.models import Campaign, Contact, Message
from campaigns.pipeline import (
    explain,
    explain_mailbox,
    explain_message,
    explain_stops,
    explain_story,
    explain_today,
)
from campaigns.pipeline.explain_causes import Explanation, Table
from campaigns.pipeline.explain_story import Story
from campaigns.pipeline.explain_words import moment
from campaigns.services import suppression
from mailboxes.models import Mailbox
from outreach.common import addresses, isolation, yaml_files
from outreach.common.errors import BadInput, Missing, OutreachError
from tenants.management import acting
from tenants.services import tenants
from tenants.services.actors import Actor, visible_to


class Command(BaseCommand):
    help = "Say why a mailbox, tenant or campaign sent what it sent today, and why a person or a message waits."

    def add_arguments(self, parser: CommandParser) -> None:
        subjects = parser.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
        for subject, argument, help_text in (
            ("mailbox", "address", "its address"),
            ("tenant", "slug", "its slug"),
            ("campaign", "name", "its name, or its id"),
            ("contact", "address", "the person's address"),
            ("message", "id", "its number, or its Message-ID"),
        ):
            one = subjects.add_parser(subject, help=f"why a {subject} sends or waits")
            one.add_argument("of", metavar=argument.upper(), help=help_text)
            if subject in ("campaign", "contact"):
                one.add_argument("--tenant", metavar="SLUG", help="whose; needed where several tenants have it")
            one.add_argument("--actor", metavar="EMAIL", help="act as this person instead of the system")
            one.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, subject: str, of: str, actor: str | None = None, **options: Any) -> None:
        try:
            with acting.acting(actor) as who:
                found = self._found(subject, of, options.get("tenant"), who)
        except OutreachError as error:
            raise CommandError(str(error), returncode=1) from error
        if options["json"]:
            self.stdout.write(json.dumps(found.as_dict(), default=_plain))
        elif isinstance(found, Story):
            self._tell(found)
        else:
            self._print(found)

    def _tell(self, story: Story) -> None:
        zone = ZoneInfo(story.zone)
        self.stdout.write(f"{story.name}: {story.sentence}")
        for part in story.parts:
            self.stdout.write(f"{part.name}: {part.sentence}")
            for check in part.checks:
                mark = "HOLDS" if check.decides else "passes" if check.passes else "would hold"
                until = f", until {moment(check.until, story.at, zone)}" if check.until and not check.passes else ""
                self.stdout.write(f"  {mark:<10} {check.title}: {check.value}{until}")
            for _key, label, value in part.facts:
                self.stdout.write(f"  {label}: {value}")

    def _found(self, subject: str, of: str, slug: str | None, who: Actor) -> Explanation | Story:
        scope = isolation.current()
        asked: dict[str, Any] = {
            "now": explain_today.clock(),
            "queue": explain_stops.look_at_queue(),
            "knows_platform": scope is not None and scope.platform,
        }
        if subject == "mailbox":
            who.require("mailboxes.view")
            return explain_mailbox.mailbox(_mailbox(of, who), **asked)
        if subject == "tenant":
            tenant = tenants.find(of)
            for permission in ("campaigns.view", "mailboxes.view"):
                who.require(permission, tenant)
            return explain.tenant(tenant, **asked)
        if subject == "contact":
            return explain_story.contact(
                _contact(of, slug, who), asked["now"], knows_platform=asked["knows_platform"]
            )  # fmt: skip
        if subject == "message":
            return explain_message.message(_message(of, who), asked["now"])
        row = _campaign(of, slug, who)
        found = explain.campaign(row, **asked)
        return found if who.can("mailboxes.view", row.tenant_id) else explain.for_client(found)

    def _print(self, found: Explanation) -> None:
        zone = ZoneInfo(found.zone)
        self.stdout.write(found.sentence)
        for cause in found.causes:
            more = [f"holds {cause.count:,}"]
            if cause.cap is not None:
                more.append(f"{cause.used:,} of {cause.cap:,} used")
            if cause.since is not None:
                more.append(f"since {moment(cause.since, found.at, zone)}")
            if cause.next_at is not None:
                more.append(f"next {moment(cause.next_at, found.at, zone)}")
            self.stdout.write(f"{cause.decides:>9,}  {cause.kind}: {cause.title} [{'; '.join(more)}] {cause.remedy}")
        for _key, label, value in found.facts:
            self.stdout.write(f"{label}: {value}")
        for number in found.ended:
            self.stdout.write(f"ended, {number.label}: {number.count:,}")
        for table in found.figures:
            self._table(table)

    def _table(self, table: Table) -> None:
        if not table.rows:
            return
        self.stdout.write(f"{table.title}:")
        for values, _link in table.rows:
            cells = (
                f"{heading} {value}".strip() if number else str(value)
                for number, ((_key, heading), value) in enumerate(zip(table.columns, values, strict=True))
                if value not in (None, "")
            )
            self.stdout.write(f"  {', '.join(cells)}")


def _plain(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _mailbox(address: str, who: Actor) -> Mailbox:
    """The mailbox of that address, whichever tenant's: an address is unique. Raises Missing."""
    key = address.strip().lower()
    rows = visible_to(who, Mailbox.objects.filter(address_key=key)) if yaml_files.storable(address) else None
    found = rows.first() if rows is not None else None
    if found is None:
        raise Missing(f"There is no mailbox {address!r}.")
    return found


def _contact(address: str, slug: str | None, who: Actor) -> Contact:
    """The contact of that address in any spelling. Raises Missing; BadInput where several tenants have one."""
    rows = visible_to(who, Contact.objects.select_related("tenant"))
    if slug is not None:
        tenant = tenants.find(slug)
        who.require("campaigns.view", tenant)
        rows = rows.filter(tenant=tenant)
    key = addresses.parse(address).identity
    found = list(rows.filter(address_hash=suppression.hasher().address(key))[:2])
    if not found:
        raise Missing(f"There is no contact {address!r}.")
    if len(found) > 1:
        raise BadInput(f"Several tenants have a contact {address!r}; say whose with --tenant.", field="tenant")
    return found[0]


def _message(name: str, who: Actor) -> Message:
    """The message of that number or Message-ID. Raises Missing."""
    rows = visible_to(who, Message.objects.select_related("step"))
    bare = name.strip().strip("<>")
    found = None
    if bare.isascii() and bare.isdecimal() and len(bare) < campaigns_command.LONGEST_ID:
        found = rows.filter(pk=int(bare)).first()
    elif yaml_files.storable(bare):
        found = rows.filter(message_id__in=[bare, f"<{bare}>"]).first()
    if found is None:
        raise Missing(f"There is no message {name!r}.")
    return found


def _campaign(name: str, slug: str | None, who: Actor) -> Campaign:
    """The campaign of that name or id. Raises Missing; BadInput where several tenants have one of the name."""
    if slug is not None:
        tenant = tenants.find(slug)
        who.require("campaigns.view", tenant)
        return campaigns_command.find(tenant, name)
    rows = visible_to(who, Campaign.objects.select_related("tenant"))
    found = list(rows.filter(name=name)[:2]) if yaml_files.storable(name) else []
    if not found and name.isascii() and name.isdecimal() and len(name) < campaigns_command.LONGEST_ID:
        found = list(rows.filter(pk=int(name)))
    if not found:
        raise Missing(f"There is no campaign {name!r}; the name is case-sensitive.")
    if len(found) > 1:
        raise BadInput(f"Several tenants have a campaign {name!r}; say whose with --tenant.", field="tenant")
    return found[0]
