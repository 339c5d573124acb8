"""Who runs the recipients' mail: each of their domains is asked for its MX once, whoever writes to it.

DNS is public, so what one tenant's contacts brought to light serves all (mailboxes.ReceiverDomain). Threads ask and see
no model; nothing is open in the database while a name server keeps us waiting.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction

from deliverability.dns.operators import operator
from deliverability.dns.resolver import Resolver
from mailboxes.models import ReceiverDomain
from tenants.models import Tenant
from tenants.services.actors import Actor

AT_ONCE = 16
MOST = 2000  # domains of one run; the next goes on
AGAIN = timedelta(days=1)  # a domain that could not be asked, or has no mail
RUN_SECONDS = 120.0  # a run ends then, and the next one asks the rest

# Contacts of domains that somebody has asked about already.
TELL_CONTACTS = """
UPDATE campaigns_contact c SET operator = known.operator FROM (
    SELECT c.id, d.operator FROM campaigns_contact c
    JOIN mailboxes_receiverdomain d ON d.name = split_part(c.email_key, '@', 2) AND d.operator <> ''
    WHERE c.tenant_id = %(tenant)s AND c.operator = '' ORDER BY c.id FOR NO KEY UPDATE OF c
) AS known WHERE c.id = known.id"""

UNKNOWN = """
SELECT DISTINCT split_part(c.email_key, '@', 2) AS name FROM campaigns_contact c
WHERE c.tenant_id = %(tenant)s AND c.operator = '' AND NOT EXISTS (
    SELECT FROM mailboxes_receiverdomain d
    WHERE d.name = split_part(c.email_key, '@', 2) AND d.checked_at > %(again)s)
ORDER BY name LIMIT %(most)s"""


@dataclass(frozen=True, slots=True)
class Learned:
    """Domains asked about, those that nobody could tell of, and contacts that were told."""

    asked: int = 0
    silent: int = 0
    contacts: int = 0


def learn(tenant: Tenant, resolver: Callable[[], Resolver], *, actor: Actor, now: datetime) -> Learned:
    """Find out who runs the mail of the tenant's contacts, at most MOST domains a run; safe to run twice.

    A name server that keeps silent leaves a domain unknown for a day: its people count as `other` until then.
    """
    actor.require("campaigns.import_contacts", tenant)
    with connection.cursor() as cursor:
        cursor.execute(UNKNOWN, {"tenant": tenant.pk, "again": now - AGAIN, "most": MOST})
        names = [row[0] for row in cursor.fetchall()]
    found = ask(names, resolver)
    with transaction.atomic(), connection.cursor() as cursor:
        ReceiverDomain.objects.bulk_create(
            [ReceiverDomain(name=name, operator=of, checked_at=now) for name, of in sorted(found.items())],
            update_conflicts=True,
            unique_fields=["name"],
            update_fields=["operator", "checked_at"],
        )
        cursor.execute(TELL_CONTACTS, {"tenant": tenant.pk})
        told = cursor.rowcount
    return Learned(len(found), sum(of == "" for of in found.values()), told)


def ask(names: Sequence[str], resolver: Callable[[], Resolver]) -> dict[str, str]:
    """{domain: who runs its mail}, empty where nobody could tell; left out what there was no time for."""
    parts = [names[n::AT_ONCE] for n in range(AT_ONCE)]
    ends = time.monotonic() + RUN_SECONDS

    def some(part: Sequence[str]) -> dict[str, str]:
        return {name: operator_of(name, resolver()) for name in part if time.monotonic() < ends}

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="mx") as pool:
        found: dict[str, str] = {}
        for answers in pool.map(some, filter(None, parts)):
            found |= answers
    return found


def operator_of(name: str, resolver: Resolver) -> str:
    """Who runs the mail of one domain: by its MX hosts, `other` for an unknown one or for its own; empty: unknown."""
    answer = resolver.ask(name, "MX")
    if answer.is_trouble:
        return ""
    return operator(host for _, host in answer.exchanges)
