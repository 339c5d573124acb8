"""What DNS says of the recipients' domains: each is asked about once, whoever writes to it.

DNS is public, so what one tenant's contacts brought to light serves all (mailboxes.ReceiverDomain). A run claims the
domains whose turn it is, asks about them in threads that see no model, and writes what they heard; nothing is open in
the database while a name server keeps us waiting. What another run has claimed is waited for and not asked again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, transaction

from deliverability.addresses import receiving
from deliverability.addresses.receiving import Receiving
from deliverability.dns.resolver import Resolver
from tenants.models import Tenant
from tenants.services.actors import Actor

MOST = 2000  # domains of one run of `learn`; the next goes on
AGAIN = timedelta(days=1)  # a domain that could not be asked, or has no mail
RUN_SECONDS = 120.0  # a run of `learn` ends then, and the next one asks the rest

HOLDS = timedelta(days=7)  # an answer
KEPT = timedelta(days=30)  # an answer, while later questions get none
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=5), timedelta(days=1)  # after trouble; doubled each time
CLAIM = 1000  # domains that are claimed and written at once
CLAIM_SECONDS = 300  # a claim whose process died lapses then
LOOK_SECONDS = 0.2  # between two looks at what others ask
MOST_HOSTS = 100_000  # remembered in one run
NEVER = datetime.min.replace(tzinfo=UTC)

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

# In the order of names, so that two runs wait for each other instead of crossing; who comes second finds them claimed.
CLAIM_NAMES = """
INSERT INTO mailboxes_receiverdomain AS d (name, operator, checked_at, due_at, asking_until)
SELECT name, '', %(now)s, %(now)s, clock_timestamp() + make_interval(secs => %(lease)s)
FROM unnest(%(names)s::text[]) AS name ORDER BY name
ON CONFLICT (name) DO UPDATE SET asking_until = excluded.asking_until, checked_at = excluded.checked_at
WHERE (d.due_at <= %(now)s OR d.checked_at < %(since)s)
  AND (d.asking_until IS NULL OR d.asking_until < clock_timestamp())
RETURNING name"""

KEEP = """
UPDATE mailboxes_receiverdomain d SET asking_until = NULL,
    mail = CASE WHEN v.trouble = '' THEN v.mail WHEN d.answered_at > %(kept)s THEN d.mail ELSE '' END,
    operator = CASE WHEN v.operator <> '' THEN v.operator WHEN d.answered_at > %(kept)s THEN d.operator ELSE '' END,
    trouble = v.trouble,
    failures = CASE WHEN v.trouble = '' THEN 0 ELSE least(d.failures + 1, 1000) END,
    answered_at = CASE WHEN v.trouble = '' THEN %(now)s ELSE d.answered_at END,
    due_at = %(now)s + CASE WHEN v.trouble = '' THEN %(holds)s
        ELSE least(%(longest)s, %(first)s * 2 ^ least(d.failures, 20)) END
FROM unnest(%(names)s::text[], %(mails)s::text[], %(operators)s::text[], %(troubles)s::text[])
    AS v (name, mail, operator, trouble)
WHERE d.name = v.name"""

GIVE_BACK = "UPDATE mailboxes_receiverdomain SET asking_until = NULL WHERE name = ANY (%s)"

KNOWN = """
SELECT name, mail, operator, failures, due_at <= %(now)s OR checked_at < %(since)s,
    coalesce(asking_until > clock_timestamp(), false)
FROM mailboxes_receiverdomain WHERE name = ANY (%(names)s)"""


@dataclass(frozen=True, slots=True)
class Learned:
    """Domains asked about, those that nobody could tell of, and contacts that were told."""

    asked: int = 0
    silent: int = 0
    contacts: int = 0


class Known(NamedTuple):
    """What is known of a domain. `mail` as in receiving.Receiving; due: to be asked again; asking: somebody does."""

    mail: str
    operator: str
    failures: int
    due: bool
    asking: bool

    @property
    def is_told(self) -> bool:
        """There was an answer, or trouble instead of one."""
        return bool(self.mail or self.failures)


class Asked(NamedTuple):
    """How many domains a part of a look-up asked about, and of how many nobody could tell."""

    domains: int
    silent: int


def learn(tenant: Tenant, resolver: Callable[[], Resolver], *, actor: Actor, now: datetime) -> Learned:
    """Find out who runs the mail of the tenant's contacts, at most MOST domains a run; safe to run twice.

    A name server that keeps silent leaves a domain unknown for a day: its people count as `other` until then.
    """
    actor.require("campaigns.import_contacts", tenant)
    with connection.cursor() as cursor:
        cursor.execute(UNKNOWN, {"tenant": tenant.pk, "again": now - AGAIN, "most": MOST})
        names = [row[0] for row in cursor.fetchall()]
    ends = time.monotonic() + RUN_SECONDS
    parts = list(look_up(names, resolver(), now=now, ends=ends)) if names else []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(TELL_CONTACTS, {"tenant": tenant.pk})
        told = cursor.rowcount
    return Learned(sum(part.domains for part in parts), sum(part.silent for part in parts), told)


def known(names: Collection[str], *, now: datetime, since: datetime | None = None) -> dict[str, Known]:
    """What is known of these domains; those that nobody ever asked about are left out."""
    with connection.cursor() as cursor:
        cursor.execute(KNOWN, {"names": list(names), "now": now, "since": since or NEVER})
        return {row[0]: Known(*row[1:]) for row in cursor.fetchall()}


def look_up(
    names: Collection[str], resolver: Resolver, *, now: datetime, ends: float, since: datetime | None = None
) -> Iterator[Asked]:
    """Ask about those of the domains whose turn it is, or that were asked last before `since`, part by part.

    Afterwards each is told, unless the time was over (`ends`, monotonic). Must not run in a transaction of the caller's
    that others wait for, since claims are seen by others only after its end.
    """
    left = sorted(names)
    hosts: dict[str, bool] = {}
    since = since or NEVER
    while left:
        held: list[str] = []
        for start in range(0, len(left), CLAIM):
            some = left[start : start + CLAIM]
            mine = _claim(some, now, since)
            if mine:
                heard = ask(mine, resolver, ends=ends, hosts=hosts)
                _keep(mine, heard, now)
                yield Asked(len(heard), sum(bool(each.trouble) for each in heard.values()))
            if time.monotonic() >= ends:
                return
            others = set(some).difference(mine)
            held += [name for name, row in known(others, now=now).items() if row.asking] if others else []
        left = held
        if left:
            time.sleep(LOOK_SECONDS)


def ask(
    names: Sequence[str], resolver: Resolver, *, ends: float, hosts: dict[str, bool] | None = None
) -> Mapping[str, Receiving]:
    """What DNS says of each domain, VALIDATION_AT_ONCE at a time; left out is what there was no time for."""
    shared = {} if hosts is None else hosts
    if len(shared) > MOST_HOSTS:
        shared.clear()

    def one(name: str) -> Receiving | None:
        return receiving.look(resolver.fresh(), name, shared) if time.monotonic() < ends else None

    with ThreadPoolExecutor(min(settings.VALIDATION_AT_ONCE, len(names)), thread_name_prefix="mx") as pool:
        found = zip(names, pool.map(one, names), strict=True)
        return {name: each for name, each in found if each is not None}


@transaction.atomic
def _claim(names: Sequence[str], now: datetime, since: datetime) -> list[str]:
    """Those that this run asks about: new ones, and those whose turn it is."""
    with connection.cursor() as cursor:
        values: dict[str, Any] = {"names": list(names), "now": now, "since": since, "lease": CLAIM_SECONDS}
        cursor.execute(CLAIM_NAMES, values)
        return [row[0] for row in cursor.fetchall()]


@transaction.atomic
def _keep(claimed: Sequence[str], heard: Mapping[str, Receiving], now: datetime) -> None:
    """Write what was heard, and give back what there was no time for."""
    values: dict[str, Any] = {
        "names": list(heard), "mails": [each.mail for each in heard.values()],
        "operators": [each.operator for each in heard.values()],
        "troubles": [each.trouble for each in heard.values()],
        "now": now, "kept": now - KEPT, "holds": HOLDS, "first": FIRST_PAUSE, "longest": LONGEST_PAUSE,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(KEEP, values)
        if len(heard) < len(claimed):
            cursor.execute(GIVE_BACK, [[name for name in claimed if name not in heard]])
