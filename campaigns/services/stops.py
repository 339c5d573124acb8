"""The one stop lever: pull it on a scope, and nothing leaves that the scope covers; lift it, and planning goes on.

A stop is a row that planner, claim and committing look at (campaigns.ledger.gates). Pulling it also takes back, in the
same transaction, everything that was planned or claimed under it: no plan made before is left, and the row lock decides
the race with a final dot. So there is nothing that could burst when it is lifted or its time is over.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils.timezone import is_aware, now

from campaigns.ledger import covering, waiting
from campaigns.ledger.covering import Covered
from campaigns.models import Campaign, Stop
from mailboxes.models import Pool, ProviderAccount, QuotaGroup, SendingDomain
from mailboxes.services.quotas import OPERATORS
from outreach.common import isolation, repeating
from outreach.common.errors import BadInput, InvalidMove, Missing
from tenants.models import Tenant
from tenants.services import approvals, audit
from tenants.services.actors import Actor, visible_to

LONGEST_REASON = 500
MOST_AHEAD = timedelta(days=10_000)
LONGEST_ID, LONGEST_PORT = 19, 6  # digits: what has as many names no row
SPAN, UNITS = re.compile(r"([1-9][0-9]{0,3})([mhd])"), {"m": "minutes", "h": "hours", "d": "days"}
NAMES: dict[str, str] = {Stop.Scope.TENANT: "slug"}
LOWER = (Stop.Scope.TENANT, Stop.Scope.DOMAIN)


@dataclass(frozen=True, slots=True)
class Receiver:
    """Mail to one operator: of everybody, of one tenant, or of one organisational sending domain."""

    operator: str
    organisational: str = ""
    tenant: Tenant | None = None

    def __str__(self) -> str:
        whose = self.organisational or (self.tenant and self.tenant.slug)
        return f"{self.operator} for {whose}" if whose else self.operator


TARGETS: dict[str, type] = {
    Stop.Scope.TENANT: Tenant,
    Stop.Scope.ORGANISATION: QuotaGroup,
    Stop.Scope.ACCOUNT: ProviderAccount,
    Stop.Scope.DOMAIN: SendingDomain,
    Stop.Scope.RECEIVER: Receiver,
    Stop.Scope.POOL: Pool,
    Stop.Scope.CAMPAIGN: Campaign,
}


@repeating.atomic
def pull(scope: str, target: Any = None, *, actor: Actor, reason: str, until: datetime | None = None) -> Stop:
    """Let nothing leave that `scope` and `target` cover, from this transaction on; `taken_back` says how many messages.

    `target` is the row that the scope names (TARGETS), None for the platform. `until` ends it by itself; without one it
    holds until it is lifted. Mail past its final dot can't be called back. What covers every tenant, or a host's
    organisation, takes campaigns.stop_platform.
    Raises NotAllowed; BadInput that names the field; InvalidMove when as much stands still already.
    """
    stop = _stop(scope, target)
    _require(actor, stop)
    stop.reason, stop.until = _reason(reason), _until(until)
    with _rows_of(stop):
        return _pull(stop, actor)


def _pull(stop: Stop, actor: Actor) -> Stop:
    tenants = covering.hold_tenants(stop)
    standing_now = standing().filter(
        Q(until=None) if stop.until is None else Q(until=None) | Q(until__gte=stop.until),
        cause=Stop.Cause.LEVER, scope=stop.scope, key=stop.key, tenant=stop.tenant_id, operator=stop.operator,
        organisational=stop.organisational,
    ).first()  # fmt: skip
    if standing_now is not None:
        raise InvalidMove(
            f"{stop} stands still already: stop {standing_now.pk}, {standing_now.reason}", source="open", target="open"
        )
    stop.save(force_insert=True)
    stop.taken_back = sum(covering.take_back(stop, pk) for pk in tenants)
    facts = {"scope": stop.scope, "of": stop.key, "tenants": len(tenants), "taken_back": stop.taken_back}
    audit.record(actor, "stop.pulled", stop, reason=stop.reason, until=stop.until, **facts)
    return stop


@repeating.atomic
def lift(stop: Stop, *, actor: Actor, reason: str, approval: int | None = None) -> Stop:
    """The stop holds no longer; the planner looks at once at everybody whom it concerned.

    Two people lift what held for every tenant, and where the tenant's policy wants two for lifting, a tenant's own.
    What a receiver asked for takes campaigns.lift besides: sending on against it makes things worse.
    Raises NotAllowed; BadInput without a reason; InvalidMove when it is over already; NeedsApproval.
    """
    actor.require("campaigns.stop", stop)
    _require(actor, stop)
    if stop.cause == Stop.Cause.ANSWER:
        actor.require("campaigns.lift", stop)
    reason = _reason(reason)
    with _rows_of(stop):
        return _lift(stop, actor, reason, approval)


def _lift(stop: Stop, actor: Actor, reason: str, approval: int | None) -> Stop:
    tenants = covering.hold_tenants(stop, planner=False)  # before the stop's own row, as when it is pulled
    stop = Stop.objects.select_for_update(of=("self",), no_key=True).get(pk=stop.pk)
    if not stop.is_open(now()):
        raise InvalidMove(f"Stop {stop.pk} ({stop}) is over already.", source="lifted", target="lifted")
    used = approvals.require(actor, "stop.lift", stop, approval=approval)
    stop.lifted_at = now()
    stop.save(update_fields=["lifted_at"])
    _call_back(stop, tenants)
    audit.record(actor, "stop.lifted", stop, reason=reason, before=stop.reason, approval=used and used.pk)
    return stop


def end_over(*, actor: Actor) -> int:
    """Note the end of the stops whose time is over; return how many. They hold no longer in any case."""
    over = Stop.objects.filter(lifted_at=None, until__lte=Now()).order_by("pk")
    return sum(_end(stop, actor) for stop in over)


@repeating.atomic
def _end(stop: Stop, actor: Actor) -> bool:
    tenants = covering.hold_tenants(stop, planner=False)
    ended = Stop.objects.filter(pk=stop.pk, lifted_at=None, until__lte=Now()).update(lifted_at=F("until"))
    if ended:
        _call_back(stop, tenants)
    if ended and stop.cause == Stop.Cause.LEVER:
        audit.record(actor, "stop.ended", stop, before=stop.reason)
    return bool(ended)


def _call_back(stop: Stop, tenant_ids: Sequence[int]) -> None:
    """Whoever waited for a receiver was sent away until the stop might be over."""
    if stop.scope == Stop.Scope.RECEIVER:
        waiting.look_now(tenant_ids, waiting.RECEIVER)


def preview(scope: str, target: Any = None, *, actor: Actor) -> tuple[Stop, Covered]:
    """The stop as it would be, and how much it would concern. Raises NotAllowed, BadInput."""
    stop = _stop(scope, target)
    _require(actor, stop)
    with _rows_of(stop):
        return stop, covering.count([stop])[0]


def standing() -> QuerySet[Stop]:
    """The stops that hold now, the newest first; of those the doors show what their person may see."""
    return Stop.objects.filter(Q(until=None) | Q(until__gt=Now()), lifted_at=None).select_related("tenant")


def parse_until(text: str, at: datetime) -> datetime | None:
    """ "90m", "4h", "2d" from `at` on, or a time as 2026-05-01T08:00+02:00 (without an offset UTC); None for "".

    Raises BadInput.
    """
    text = text.strip()
    if not text:
        return None
    if found := SPAN.fullmatch(text):
        return at + timedelta(**{UNITS[found[2]]: int(found[1])})
    try:
        until = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(
            f"{text[:40]!r} is no time; write 90m, 4h, 2d, or 2026-05-01T08:00+02:00.", field="until"
        ) from error
    return until if is_aware(until) else until.replace(tzinfo=UTC)


def find(scope: str, text: str, *, actor: Actor, tenant: Tenant | None = None, organisational: str = "") -> Any:
    """The target that somebody names: by its name, its id, an account as HOST:PORT, of one tenant also as slug/name.

    Only what the actor may stop is found. Raises BadInput, Missing.
    """
    text = text.strip()
    if scope not in Stop.Scope.values:
        raise BadInput(f"There is no scope {scope!r}; there are {', '.join(Stop.Scope.values)}.", field="scope")
    if scope == Stop.Scope.PLATFORM:
        if text or tenant:
            raise BadInput("The scope platform names nothing else: it stops everything of everybody.", field="target")
        return None
    if organisational and scope != Stop.Scope.RECEIVER:
        raise BadInput("Only a receiver is stopped for one organisational domain.", field="organisational")
    if scope == Stop.Scope.RECEIVER:
        return _receiver(text, tenant, organisational)
    if scope == Stop.Scope.TENANT and not text and tenant:
        return tenant
    rows = _stoppable(scope, actor)
    slug, slash, name = text.partition("/")
    if slash and (owner := visible_to(actor, Tenant.objects.filter(slug=slug), "campaigns.stop").first()):
        tenant, text = owner, name
    if tenant is not None and scope not in (Stop.Scope.TENANT, Stop.Scope.ORGANISATION):
        rows = rows.filter(tenant=tenant)
    found = list(rows.filter(_named(scope, text))[:2])
    if not found:
        raise Missing(f"There is no {Stop.Scope(scope).label} {text[:80]!r} that you may stop.", field="target")
    if len(found) > 1:
        raise BadInput(f"There are several of the name {text[:80]!r}; name the tenant, or the id.", field="target")
    return found[0]


def _stoppable(scope: str, actor: Actor) -> QuerySet[Any]:
    if scope == Stop.Scope.ORGANISATION:
        actor.require("campaigns.stop_platform")
        return QuotaGroup.objects.all()
    return visible_to(actor, TARGETS[scope].objects.all(), "campaigns.stop")  # type: ignore[attr-defined]


def _named(scope: str, text: str) -> Q:
    """Raises nothing: what is no name or id of that kind matches no row."""
    if scope == Stop.Scope.ACCOUNT:
        host, _, port = text.rpartition(":")
        named = Q(host=host.lower(), port=int(port)) if port.isdecimal() and len(port) < LONGEST_PORT else Q(pk=None)
    else:
        named = Q(**{NAMES.get(scope, "name"): text.lower() if scope in LOWER else text})
    return named | Q(pk=int(text)) if text.isascii() and text.isdecimal() and len(text) < LONGEST_ID else named


def _receiver(operator: str, tenant: Tenant | None, organisational: str) -> Receiver:
    operator, domain = operator.lower(), organisational.strip().lower()
    if operator not in OPERATORS:
        raise BadInput(f"There is no receiver {operator[:40]!r}; there are {', '.join(OPERATORS)}.", field="target")
    if domain and not SendingDomain.objects.filter(organisational=domain).exists():
        raise Missing(f"No sending domain belongs to {domain[:80]!r}.", field="organisational")
    return Receiver(operator, domain, tenant)


def _stop(scope: str, target: Any) -> Stop:
    """An unsaved stop of that. Raises BadInput."""
    if scope not in Stop.Scope.values:
        raise BadInput(f"There is no scope {scope!r}; there are {', '.join(Stop.Scope.values)}.", field="scope")
    wanted = TARGETS.get(scope)
    if not (target is None if wanted is None else isinstance(target, wanted)):
        raise BadInput(f"A stop of scope {scope} names {wanted.__name__ if wanted else 'nothing'}.", field="target")
    if isinstance(target, Receiver):
        return Stop(
            scope=scope, tenant=target.tenant, operator=target.operator, organisational=target.organisational,
            label=str(target),
        )  # fmt: skip
    if isinstance(target, Tenant):
        return Stop(scope=scope, tenant=target, key=target.pk, label=str(target))
    if target is None:
        return Stop(scope=scope, label="everything")
    if isinstance(target, QuotaGroup):
        return Stop(scope=scope, key=target.pk, label=str(target))
    return Stop(scope=scope, tenant_id=target.tenant_id, key=target.pk, label=str(target))


def _require(actor: Actor, stop: Stop) -> None:
    if stop.tenant_id is None:
        actor.require("campaigns.stop_platform")
    else:
        actor.require("campaigns.stop", stop)


def _rows_of(stop: Stop) -> AbstractContextManager[Any]:
    """What covers all tenants is done to all of them, whichever the actor's own scope is."""
    return isolation.everything() if stop.tenant_id is None else nullcontext()


def _reason(text: str) -> str:
    text = text.strip()
    if not text or len(text) > LONGEST_REASON or "\0" in text:
        raise BadInput(f"Write why, in 1 to {LONGEST_REASON} characters; it stands in the audit.", field="reason")
    return text


def _until(until: datetime | None) -> datetime | None:
    if until is not None and (not is_aware(until) or until <= now()):
        raise BadInput("The end of a stop lies ahead, with its time zone; leave it out for no end.", field="until")
    if until is not None and until > now() + MOST_AHEAD:
        raise BadInput(f"until: more than {MOST_AHEAD.days:,} days away; leave it out for no end.", field="until")
    return until
