"""conversation list | mark | release: who talks with a person, and is written to by no campaign."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from campaigns.models import Contact, Conversation
from campaigns.services import contacts, conversations, replies
from outreach.common import dry_runs, yaml_files
from outreach.common.errors import BadInput, Missing, OutreachError
from tenants.management import acting
from tenants.models import Tenant


class Command(BaseCommand):
    help = "Show who is in conversation, mark a contact as answered, or release one."

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True, metavar="ACT")
        acting.add_arguments(acts.add_parser("list", help="who is in conversation or left alone"), writes=False)
        mark = acts.add_parser("mark", help="the person answered: no campaign writes until a release")
        release = acts.add_parser("release", help="campaigns write again, at once or after a while")
        for act in (mark, release):
            act.add_argument("email", help="the contact's address")
            acting.add_arguments(act)
        release.add_argument("--reason", default="", help="stands in the audit")
        release.add_argument("--quiet-days", type=int, default=0, help="days without any mail all the same")

    def handle(self, *, act: str, tenant: str, actor: str | None = None, **options: Any) -> None:
        try:
            with acting.in_tenant(tenant, actor) as (owner, who):
                if act == "list":
                    self._list(owner, as_json=options["json"])
                    return
                contact = find(owner, options["email"])
                with dry_runs.perhaps(options["dry_run"]):
                    if act == "mark":
                        contact = replies.human(contact, actor=who, via="marked")
                    else:
                        if not yaml_files.storable(options["reason"]):
                            raise BadInput("--reason: holds bytes that are no text.")
                        contact = conversations.release(
                            contact, actor=who, quiet_days=options["quiet_days"], reason=options["reason"]
                        )
        except OutreachError as error:
            raise acting.refused(self, error, as_json=options["json"]) from error
        self._say(row_of(contact), as_json=options["json"])

    def _list(self, owner: Tenant, *, as_json: bool) -> None:
        held = Conversation.objects.filter(tenant=owner).order_by("conversation_since", "pk")
        rows = [row_of(one) for one in held]
        if as_json:
            self.stdout.write(json.dumps({"conversations": rows}, default=str))
            return
        for row in rows:
            self._say(row, as_json=False)
        if not rows:
            self.stdout.write("Nobody.")

    def _say(self, row: dict[str, Any], *, as_json: bool) -> None:
        text = "  ".join(f"{name}={value}" for name, value in row.items() if value)
        self.stdout.write(json.dumps(row, default=str) if as_json else text)


def row_of(contact: Contact) -> dict[str, Any]:
    return {
        "contact": contact.pk,
        "email": contact.email,
        "since": contact.conversation_since,
        "via": contact.conversation_via,
        "quiet_until": contact.quiet_until,
    }


def find(owner: Tenant, email: str) -> Contact:
    """The tenant's contact of that address, however it is spelt. Raises BadInput, Missing."""
    found = Contact.objects.filter(tenant=owner, email_key__in=contacts.keys_of(email)).first()
    if found is None:
        raise Missing(f"{owner.slug} has no contact with that address.")
    return found
