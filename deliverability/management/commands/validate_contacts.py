"""validate_contacts: verdicts on the addresses of contacts, from DNS and what is known, without asking mail servers."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils.timezone import now

from campaigns.models import Contact, ContactList
from campaigns.services import validity
from campaigns.services.validity import Choice
from deliverability.services import checks, validation, verifying
from deliverability.services.verifying import Result
from outreach.common import isolation, progress
from outreach.common.errors import Missing, OutreachError
from tenants.management import acting
from tenants.models import Tenant
from tenants.services import tenants
from tenants.services.actors import Actor, visible_to

VERDICTS = [name for name in Contact.Validity.values if name]


class Command(BaseCommand):
    help = (
        "Validate contacts that have no verdict yet, by address, DNS and own bounces; each domain is asked about once. "
        "Can be stopped at any time: the next run goes on. Exit 3 if the name server left some without a verdict."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", metavar="SLUG", help="default: all tenants")
        parser.add_argument("--list", metavar="NAME", help="only this list; takes --tenant")
        parser.add_argument("--again", action="store_true", help="also those with a verdict, and DNS is asked anew")
        parser.add_argument("--verify", action="store_true", help="then ask the paid verifier about what is in doubt")
        parser.add_argument("--nameserver", metavar="HOST:PORT", default="", help="ask this server, an IP address")
        parser.add_argument("--actor", metavar="EMAIL", help="act as this person instead of the system")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, tenant: str | None, again: bool, verify: bool, nameserver: str, **options: Any) -> None:
        started = time.monotonic()
        total, paid = validation.Progress(), Result()
        try:
            with acting.acting(options["actor"]) as actor:
                resolver = checks.resolver(nameserver)
                for owner, choice in chosen(actor, tenant, options["list"], again=again):
                    with isolation.tenants([owner.pk], platform=True):
                        self.validate(owner, choice, resolver, actor, total, again=again)
                        if verify:
                            add(paid, verifying.run(owner, actor=actor, now=now()))
        except OutreachError as error:
            raise acting.refused(self, error, as_json=options["json"]) from error
        self.say(total, paid if verify else None, time.monotonic() - started, as_json=options["json"])
        if total.left:
            raise SystemExit(3)

    def validate(
        self, owner: Tenant, choice: Choice, resolver: Any, actor: Actor, total: validation.Progress, *, again: bool
    ) -> None:
        at = now()
        count = validity.count(owner.pk, choice, now=at, old_days=0)
        step = validation.Progress()
        with progress.bar(count, f"validate_contacts {owner.slug}", unit="contacts") as bar:
            for step in validation.run(owner, resolver, actor=actor, now=at, choice=choice, again=again):
                bar.set_postfix_str(f"{step.asked:,} domains asked, {step.silent:,} silent")
                bar.update(step.read - bar.n)
        for name in ("read", "judged", "left", "asked", "silent", "called_back", "taken_back"):
            setattr(total, name, getattr(total, name) + getattr(step, name))
        total.counts += step.counts

    def say(self, total: validation.Progress, paid: Result | None, seconds: float, *, as_json: bool) -> None:
        reasons = Counter[str]()
        for (_, reason), n in total.counts.items():
            reasons[reason] += n
        del reasons[""]
        found: dict[str, Any] = {"contacts": total.judged, **{name: total.of(name) for name in VERDICTS}}
        found |= {
            "domains_asked": total.asked, "domains_silent": total.silent, "left": total.left,
            "called_back": total.called_back, "taken_back": total.taken_back, "seconds": round(seconds, 1),
        }  # fmt: skip
        if paid is not None:
            found["verifier"] = {name: getattr(paid, name) for name in Result.__slots__}
        if as_json:
            self.stdout.write(json.dumps(found | {"reasons": dict(reasons.most_common())}))
            return
        self.stdout.write(" ".join(f"{name}={value}" for name, value in found.items()))
        for reason, n in reasons.most_common():
            self.stdout.write(f"    {n:>10,}  {reason}")


def add(total: Result, more: Result) -> None:
    """Count one tenant's questions to the verifier with those of the others."""
    for name in ("asked", "answered", "valid", "invalid"):
        setattr(total, name, getattr(total, name) + getattr(more, name))
    total.trouble = total.trouble or more.trouble


def chosen(actor: Actor, slug: str | None, list_name: str | None, *, again: bool) -> list[tuple[Tenant, Choice]]:
    """The tenants to work on, each with which of its contacts. Raises Missing."""
    which = "all" if again else "new"
    if slug is None:
        if list_name:
            raise Missing("Whose list? Name its tenant with --tenant.")
        owners = visible_to(actor, Tenant.objects.exclude(status=Tenant.Status.CLOSED), "deliverability.check")
        return [(owner, Choice(which)) for owner in owners.order_by("pk")]
    owner = tenants.find(slug)
    if not list_name:
        return [(owner, Choice(which))]
    with isolation.tenants([owner.pk], platform=True):
        found = ContactList.objects.filter(tenant=owner, name=list_name).first()
    if found is None:
        raise Missing(f"There is no list {list_name!r} of {owner.slug}.")
    return [(owner, Choice(which, list_id=found.pk))]
