"""Ramps of sending domains: put on, taken off, the job that decides each day's cap, and the first day of sending.

The rule is that of mailboxes (mailboxes.ramp), over what all mailboxes of the domain sent together. A ramp writes
`SendingDomain.ramp_cap`; the planner takes the smaller of that and `daily_cap`, and nothing for a domain that is too
young.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.db import connection

from mailboxes import ramp as rule
from mailboxes.models import DomainRampDay, Mailbox, RampPlan, SendingDomain
from mailboxes.services import domain_ramp_sql as sql
from mailboxes.services import ramp
from mailboxes.services.ramp import Ran
from mailboxes.services.ramp_sql import DAYS_KEPT
from outreach.common import hooks, repeating
from outreach.common.errors import BadInput, InvalidMove
from tenants.models import Tenant
from tenants.services import approvals, audit
from tenants.services.actors import Actor

STANDARD = "domains"  # the plan of domains for which nobody names one
STANDARD_NUMBERS = {"start": 50, "ceiling": 500}  # of a domain with a dozen mailboxes at the end of their own ramps


def first_day(registered_on: date | None, days: int) -> date | None:
    """The first day on which a domain may send, so many days after it was registered; None: nobody knows since when."""
    return None if registered_on is None else registered_on + timedelta(days=days)


def not_before(domain: SendingDomain) -> date | None:
    """The first day on which this domain may send; None where its registration is not known."""
    return first_day(domain.registered_on, settings.FIRST_SEND_AFTER_DAYS)


def is_too_young(domain: SendingDomain, day: date) -> bool:
    """Whether it sends nothing on that day because it was registered too recently; the same as sql.TOO_YOUNG."""
    first = not_before(domain)
    return first is not None and day < first


def cap_on(domain: SendingDomain, day: date) -> int | None:
    """Messages at most on that day: 0 while it is too young, else the smaller of its two caps; None: no limit."""
    return 0 if is_too_young(domain, day) else domain.cap_of_day


def standard_plan(tenant: Tenant, *, actor: Actor) -> RampPlan:
    """The tenant's plan for domains, made if it is missing."""
    return ramp.find_plan(tenant, STANDARD) or ramp.add_plan(tenant, STANDARD, actor=actor, **STANDARD_NUMBERS)


# --- on and off -------------------------------------------------------------------------------------------


@repeating.atomic
def start_domain_ramp(
    domain: SendingDomain, plan: RampPlan, *, actor: Actor, reason: str = "", day: date | None = None
) -> SendingDomain:
    """Put a domain on a plan, at its start; one that is on another plan goes on there with the cap it has.

    Where that is less than now, waiting mail goes back to the planner. Raises InvalidMove, BadInput.
    """
    actor.require("mailboxes.ramp", domain)
    domain = SendingDomain.objects.select_for_update(no_key=True).get(pk=domain.pk)
    if plan.tenant_id != domain.tenant_id or plan.archived_at is not None:
        raise BadInput("The plan is another tenant's, or no longer in use.", field="plan")
    if domain.state == SendingDomain.State.RETIRED:
        raise InvalidMove(f"{domain} is retired, and there is no way back.", source=domain.state, target="ramping")
    if domain.ramp_id == plan.pk:
        raise InvalidMove(f"{domain} is on the ramp {plan} already.", source="on", target="on")
    before, switches = domain.cap_of_day, domain.ramp_cap is not None
    domain.ramp = plan
    if not switches:
        domain.ramp_cap = min(plan.start, plan.ceiling)
        _note_start(domain, day or ramp.day_of(domain.tenant))
    domain.save(update_fields=["ramp", "ramp_cap"])
    after = domain.cap_of_day
    if _is_lower(after, before):
        _lowered([domain.pk], "the domain was put on a ramp")
    audit.record(actor, "domain.ramp_started", domain, reason=reason, before=before, after=after, plan=plan.pk)
    return domain


@repeating.atomic
def leave_domain_ramp(
    domain: SendingDomain, *, actor: Actor, reason: str, approval: int | None = None
) -> SendingDomain:
    """Take a domain off its ramp: from now on its own daily cap alone holds, if it has one.

    Raises InvalidMove; NeedsApproval where that lets it send more than the ramp does today.
    """
    actor.require("mailboxes.ramp", domain)
    domain = SendingDomain.objects.select_for_update(no_key=True).get(pk=domain.pk)
    if domain.ramp_id is None:
        raise InvalidMove(f"{domain} is on no ramp.", source="off", target="off")
    used = approvals.require(actor, "domain.leave_ramp", domain, approval=approval)
    before, plan = domain.cap_of_day, domain.ramp_id
    domain.ramp, domain.ramp_cap = None, None
    domain.save(update_fields=["ramp", "ramp_cap"])
    audit.record(
        actor, "domain.ramp_left", domain, reason=reason, before=before, after=domain.daily_cap, plan=plan,
        approval=used and used.pk,
    )  # fmt: skip
    return domain


def _note_start(domain: SendingDomain, day: date) -> None:
    """The day's own row, so that its job does not decide again."""
    values = {
        "cap": domain.ramp_cap,
        "allowed": cap_on(domain, day),
        "kind": DomainRampDay.Kind.START,
        "reason": DomainRampDay.Reason.STARTED,
    }
    DomainRampDay.objects.update_or_create(
        domain=domain,
        day=day,
        defaults={**values, "detail": "", "until": None},
        create_defaults={**values, "tenant_id": domain.tenant_id},
    )


def _lowered(domain_ids: Iterable[int], reason: str) -> None:
    """Take back what waits in the mailboxes of these domains, locked in id order as everywhere."""
    boxes = Mailbox.objects.filter(domain__in=list(domain_ids)).order_by("pk").select_for_update(no_key=True)
    ids = list(boxes.values_list("pk", flat=True))
    if ids:
        hooks.call("mailboxes.cap_lowered", mailbox_ids=ids, reason=reason)


# --- the daily job ----------------------------------------------------------------------------------------


@repeating.atomic
def run_domains_day(tenant: Tenant, day: date, *, actor: Actor) -> Ran:
    """Decide the caps of that day, in the tenant's zone, for every domain on a ramp that has no row of it or later.

    Safe twice and at the same time: the domains are locked in the order of their ids, and the row (domain, day)
    decides. Nothing is made up for days without a run.
    """
    actor.require("mailboxes.ramp", tenant)
    with connection.cursor() as cursor:
        cursor.execute(sql.LOCK, {"tenant": tenant.pk, "day": day})
        ids = [row[0] for row in cursor.fetchall()]
        if not ids:
            return Ran()
        last_sent = _close_days(cursor, tenant, day, ids)
        domains = SendingDomain.objects.select_related("ramp").in_bulk(ids)
        bad: dict[int, str] = {}
        hooks.call("mailboxes.judging_domains", tenant=tenant, day=day, signals=bad)
        histories = _histories(cursor, ids, day)
        decisions = {}
        for pk, domain in domains.items():
            if domain.ramp is not None:
                signals = _signals(domain, bad.get(pk, ""), last_sent.get(pk), day)
                decisions[pk] = rule.decide(histories.get(pk, ()), signals, domain.ramp.rule, day)
        return _write(cursor, tenant, day, domains, decisions, bad, actor)


def _close_days(cursor: Any, tenant: Tenant, day: date, ids: list[int]) -> dict[int, date]:
    """Fill in what the days before really sent, as for mailboxes; return the day of each domain's last real mail."""
    cursor.execute(sql.FIRST_OPEN, {"tenant": tenant.pk, "day": day, "oldest": day - timedelta(days=DAYS_KEPT)})
    since = min(cursor.fetchone()[0] or day, day - ramp.COUNTED_AGAIN)
    of_boxes: Counter[tuple[int, date]] = Counter()
    hooks.call("mailboxes.counting_sent", tenant=tenant, since=since, until=day, counts=of_boxes)
    # Also of domains that are on no ramp now: their days of before are open as well.
    wanted = set(DomainRampDay.objects.filter(tenant=tenant, day__gte=since).values_list("domain_id", flat=True))
    cursor.execute(sql.MAILBOXES, {"domains": sorted(wanted.union(ids))})
    owner: dict[int, int] = {}
    last: dict[int, date] = {}
    for box, domain, at in cursor.fetchall():
        owner[box] = domain
        if at is not None:
            last[domain] = max(last.get(domain, date.min), ramp.day_of(tenant, at))
    counts: Counter[tuple[int, date]] = Counter()
    for (box, on), count in of_boxes.items():
        if box in owner:
            counts[owner[box], on] += count
    values = {
        "tenant": tenant.pk,
        "since": since,
        "day": day,
        "boxes": [pk for pk, _ in counts],
        "days": [on for _, on in counts],
        "counts": list(counts.values()),
    }
    cursor.execute(sql.CLOSE_DAYS, values)
    return last


def _histories(cursor: Any, ids: list[int], day: date) -> dict[int, list[rule.Day]]:
    """Of each domain its last days before that one, oldest first."""
    cursor.execute(sql.HISTORY, {"boxes": ids, "day": day, "most": DAYS_KEPT})
    found: dict[int, list[rule.Day]] = {}
    for pk, on, cap, allowed, sent, kind in cursor.fetchall():
        found.setdefault(pk, []).append(rule.Day(on, cap, allowed, sent, rule.Kind(kind)))
    return found


def _signals(domain: SendingDomain, bad: str, last_sent: date | None, day: date) -> rule.Signals:
    return rule.Signals(
        bad=bad,
        stopped=domain.state != SendingDomain.State.VERIFIED or is_too_young(domain, day),
        own_cap=domain.daily_cap,
        last_sent_on=last_sent,
    )


def _reason(domain: SendingDomain, decision: rule.Decision, day: date) -> str:
    if decision.reason == rule.Reason.STOPPED and is_too_young(domain, day):
        return DomainRampDay.Reason.YOUNG.value
    return decision.reason.value


def _write(
    cursor: Any, tenant: Tenant, day: date, domains: dict[int, SendingDomain], decisions: dict[int, rule.Decision],
    bad: dict[int, str], actor: Actor,
) -> Ran:  # fmt: skip
    ids = sorted(decisions)
    before = {pk: domains[pk].cap_of_day for pk in ids}
    changed = {pk for pk in ids if domains[pk].ramp_cap != decisions[pk].cap}
    for pk in ids:
        domains[pk].ramp_cap = decisions[pk].cap
    of_signal = (rule.Reason.BAD, rule.Reason.SIGNAL)
    values = {
        "tenant": tenant.pk,
        "day": day,
        "boxes": ids,
        "caps": [decisions[pk].cap for pk in ids],
        "allowed": [cap_on(domains[pk], day) for pk in ids],
        "kinds": [decisions[pk].kind.value for pk in ids],
        "reasons": [_reason(domains[pk], decisions[pk], day) for pk in ids],
        "details": [bad.get(pk, "")[:200] if decisions[pk].reason in of_signal else "" for pk in ids],
        "untils": [decisions[pk].until for pk in ids],
    }
    cursor.execute(sql.WRITE_DAYS, values)
    written = {row[0] for row in cursor.fetchall()}
    changed &= written
    if changed:
        order = sorted(changed)
        cursor.execute(sql.WRITE_CAPS, {"domains": order, "caps": [decisions[pk].cap for pk in order]})
    lowered = [pk for pk in sorted(changed) if _is_lower(domains[pk].cap_of_day, before[pk])]
    if lowered:
        _lowered(lowered, "ramp lowered the domain's cap")
    kinds = dict(Counter(decisions[pk].kind.value for pk in written))
    if written:
        audit.record(actor, "domain_ramp.day_decided", tenant, day=day, lowered=len(lowered), kinds=kinds)
    return Ran(kinds, len(lowered))


def _is_lower(cap: int | None, than: int | None) -> bool:
    return cap is not None and (than is None or cap < than)
