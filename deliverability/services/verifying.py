"""What a paid verifier is asked: doubtful addresses of tenants that agreed to it, within limits of number, cost, time.

Off by default. It may make a risky or unknown address valid or invalid, and never touches a suppression.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from campaigns.services import validity
from campaigns.services.validity import Choice, Found, Person
from deliverability.models import VerifierUse
from deliverability.verifiers.base import Opinion, Verifier, VerifierError, sound
from outreach.common.errors import BadInput
from tenants.models import Tenant
from tenants.services.actors import Actor

log = structlog.get_logger(__name__)
CALL_SECONDS = 30.0  # of one call at most
REASON = "verifier"  # begins the reasons that come from one


@dataclass(slots=True)
class Result:
    """Addresses handed over, opinions that came back, contacts whose verdict they changed, and why it ended early."""

    asked: int = 0
    answered: int = 0
    valid: int = 0
    invalid: int = 0
    trouble: str = ""


def is_wanted(tenant: Tenant) -> bool:
    """Whether a verifier is set, and this tenant's addresses may go to it."""
    return bool(settings.VERIFIER) and tenant.slug in settings.VERIFIER_TENANTS


def chosen() -> Verifier:
    """The verifier of the settings. Raises BadInput."""
    try:
        kind = import_string(settings.VERIFIER)
        made: Verifier = kind.configured(
            settings.VERIFIER_URL, settings.VERIFIER_KEY, allow_loopback=settings.SMTP_ALLOW_LOOPBACK
        )
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise BadInput(f"The verifier {settings.VERIFIER!r} can't be used: {error}", field="VERIFIER") from error
    return made


def price() -> tuple[Decimal, str]:
    """What one address costs, and the currency, from VERIFIER_PRICE as in `0.004 EUR`. Raises BadInput."""
    amount, _, currency = settings.VERIFIER_PRICE.partition(" ")
    try:
        cost = Decimal(amount)
    except InvalidOperation:
        cost = Decimal(-1)
    if not (cost.is_finite() and 0 <= cost < 1000 and len(currency) == 3):
        raise BadInput("VERIFIER_PRICE is an amount and a currency, as in 0.004 EUR.", field="VERIFIER_PRICE")
    return cost, currency


def run(tenant: Tenant, *, actor: Actor, now: datetime, choice: Choice | None = None) -> Result:
    """Ask about the tenant's risky and unknown addresses until a limit is reached; nothing if that is not wanted.

    What is handed over is counted and committed first: a crash can only cost less than the limit. Trouble ends the run.
    """
    actor.require("deliverability.check", tenant)
    result = Result()
    if not is_wanted(tenant):
        return result
    verifier, after = chosen(), 0
    ends = time.monotonic() + settings.VERIFIER_SECONDS
    choice = choice or Choice("doubtful")
    while (left := ends - time.monotonic()) > 0:
        people = validity.people(
            tenant.pk, choice, after=after, limit=verifier.most, now=now, old_days=settings.VALIDATION_DAYS
        )
        people = people[: _reserve(tenant, verifier, len(people), now)]
        if not people:
            break
        result.asked += len(people)
        keys = [person.email_key for person in people]
        try:
            opinions = sound(verifier.verify(keys, seconds=min(left, CALL_SECONDS)), keys)
        except VerifierError as error:
            log.warning("verifier.failed", verifier=verifier.name, code=error.code, error=str(error)[:300])
            result.trouble = error.code
            break
        _take(tenant, verifier, people, opinions, actor, now, result)
        after = people[-1].id
    return result


@transaction.atomic
def _reserve(tenant: Tenant, verifier: Verifier, wanted: int, now: datetime) -> int:
    """Count so many addresses as asked today, as far as number and cost allow; return how many."""
    each, currency = price()
    key: dict[str, Any] = {"tenant": tenant, "verifier": verifier.name[:40], "day": now.date()}
    VerifierUse.objects.get_or_create(**key, defaults={"currency": currency})
    use = VerifierUse.objects.select_for_update().get(**key)
    allowed = min(wanted, settings.VERIFIER_PER_DAY - use.asked)
    if each:
        allowed = min(allowed, int((Decimal(settings.VERIFIER_COST_PER_DAY) - use.cost) / each))
    if allowed > 0:
        use.asked += allowed
        use.cost += allowed * each
        use.save(update_fields=["asked", "cost"])
    return max(allowed, 0)


@transaction.atomic
def _take(
    tenant: Tenant, verifier: Verifier, people: list[Person], opinions: dict[str, Opinion], actor: Actor, now: datetime,
    result: Result,
) -> None:  # fmt: skip
    use = VerifierUse.objects.select_for_update().get(tenant=tenant, verifier=verifier.name[:40], day=now.date())
    use.answered += len(opinions)
    use.save(update_fields=["answered"])
    found = [_found(person, opinions[person.email_key]) for person in people if person.email_key in opinions]
    taken = validity.take_opinions(tenant, found, actor=actor, now=now, verifier=verifier.name)
    result.answered += len(opinions)
    for (verdict, reason), n in taken.counts.items():
        if reason.startswith(REASON) and verdict in ("valid", "invalid"):
            setattr(result, verdict, getattr(result, verdict) + n)


def _found(person: Person, opinion: Opinion) -> Found:
    """An opinion that is none leaves the verdict, and a mark that it was asked for."""
    if opinion.verdict in ("valid", "invalid"):
        return Found(person.id, opinion.verdict, f"{REASON}_{opinion.reason}".rstrip("_"))
    return Found(person.id, "", f"{REASON}_unsure")
