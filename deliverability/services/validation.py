"""Verdicts on the addresses of a tenant's contacts: each domain is asked about once, contacts are written by chunks.

A chunk is complete once it is written, so a run that ends early is gone on with by the next one: people without a
verdict are found by an index, and nothing else has to be remembered. Memory holds one chunk.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings

from campaigns.services import validity
from campaigns.services.validity import Choice, Found, Person
from deliverability.addresses import judging
from deliverability.dns.resolver import Resolver
from deliverability.services import receivers
from deliverability.services.receivers import Known
from tenants.models import Tenant
from tenants.services.actors import Actor

CHUNK = 20_000  # contacts that are judged and written at once


@dataclass(slots=True)
class Progress:
    """How far a run is: contacts looked at and written, domains asked about and silent, verdicts by reason.

    `left` are contacts of whose domains there was no time to ask; `is_over` says that the run came to its end.
    """

    read: int = 0
    judged: int = 0
    left: int = 0
    asked: int = 0
    silent: int = 0
    called_back: int = 0
    taken_back: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    is_over: bool = False

    def of(self, verdict: str) -> int:
        """How many got that verdict."""
        return sum(n for (each, _), n in self.counts.items() if each == verdict)


def run(
    tenant: Tenant,
    resolver: Resolver,
    *,
    actor: Actor,
    now: datetime,
    choice: Choice | None = None,
    again: bool = False,
    seconds: float = math.inf,
) -> Iterator[Progress]:
    """Judge the chosen contacts (by default those without a verdict); yield the same Progress as it goes on.

    `again` asks about domains anew that have been asked about before `now`. After `seconds` the run ends with what it
    has. Safe beside another run. Needs no transaction around it. Raises NotAllowed.
    """
    actor.require("deliverability.check", tenant)
    progress, ends = Progress(), time.monotonic() + seconds
    choice, after = choice or Choice(), 0
    since = now if again else None
    while time.monotonic() < ends:
        people = validity.people(
            tenant.pk, choice, after=after, limit=CHUNK, now=now, old_days=settings.VALIDATION_DAYS
        )
        if not people:
            progress.is_over = not progress.left
            break
        wanted = names_of(people)
        told = receivers.known(wanted, now=now, since=since)
        to_ask = [name for name in wanted if (row := told.get(name)) is None or row.due or not row.is_told]
        if to_ask:
            for part in receivers.look_up(to_ask, resolver, now=now, ends=ends, since=since):
                progress.asked += part.domains
                progress.silent += part.silent
                yield progress
            told = receivers.known(wanted, now=now)
        _write(tenant, people, told, actor, now, progress)
        after = people[-1].id
        yield progress
    yield progress


def last(running: Iterator[Progress]) -> Progress:
    """Let a run come to its end, and return how far it came."""
    progress = Progress()
    for each in running:
        progress = each
    return progress


def names_of(people: Sequence[Person]) -> list[str]:
    """The domains that DNS has to be asked about for these people, each once."""
    undecided = (person.email_key for person in people if judging.of_address(person.email_key) is None)
    return sorted({key.rpartition("@")[2] for key in undecided})


def verdicts(people: Sequence[Person], told: Mapping[str, Known]) -> list[Found]:
    """The verdicts on these people; left out are those of whose domain nobody has told yet."""
    found = []
    for person in people:
        name = person.email_key.rpartition("@")[2]
        row = told.get(name)
        if row is not None and row.is_told:
            verdict = judging.judge(person.email_key, row.mail, bounced=person.bounced)
            found.append(Found(person.id, verdict.validity, verdict.reason, row.operator))
        elif (alone := judging.of_address(person.email_key)) is not None:
            found.append(Found(person.id, alone.validity, alone.reason))
    return found


def _write(
    tenant: Tenant, people: Sequence[Person], told: Mapping[str, Known], actor: Actor, now: datetime,
    progress: Progress,
) -> None:  # fmt: skip
    found = verdicts(people, told)
    taken = validity.take_verdicts(tenant, found, actor=actor, now=now)
    progress.read += len(people)
    progress.judged += taken.counts.total()
    progress.left += len(people) - len(found)
    progress.counts += taken.counts
    progress.called_back += taken.called_back
    progress.taken_back += taken.taken_back
