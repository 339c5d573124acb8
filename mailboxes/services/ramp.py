"""Ramps of mailboxes: put on, taken off, and the job that decides each day's cap.

A ramp writes `Mailbox.ramp_cap` and never `daily_cap`, which is a person's: the planner takes the smaller one. Its own
steps need nobody's agreement. Why so: outreach/decisions/0028-ramp.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import IntegrityError, connection, transaction
from django.utils.timezone import now as this_moment

from mailboxes import ramp
from mailboxes.models import Mailbox, RampDay, RampPlan
from mailboxes.models.ramps import EVERY_DAYS, GROWTH_PERCENT, IDLE_DAYS, STEP_BACK_PERCENT
from mailboxes.services import ramp_sql
from outreach.common import hooks, repeating
from outreach.common.errors import BadInput, InvalidMove
from tenants.models import Tenant
from tenants.services import approvals, audit
from tenants.services.actors import Actor

STANDARD = "standard"
MOST_A_DAY = 100_000
BOUNDS: dict[str, tuple[int, int]] = {
    "start": (1, MOST_A_DAY),
    "ceiling": (1, MOST_A_DAY),
    "growth_percent": GROWTH_PERCENT,
    "every_days": EVERY_DAYS,
    "step_back_percent": STEP_BACK_PERCENT,
    "idle_days": IDLE_DAYS,
}
COUNTED_AGAIN = timedelta(days=3)  # a mail whose fate was unknown may turn out sent
NOT_SENDING = (Mailbox.State.QUARANTINED, Mailbox.State.PROBING)


def day_of(tenant: Tenant, at: datetime | None = None) -> date:
    """The calendar day in the tenant's zone."""
    return (at or this_moment()).astimezone(ZoneInfo(tenant.time_zone)).date()


# --- plans ------------------------------------------------------------------------------------------------


@transaction.atomic
def add_plan(tenant: Tenant, name: str, *, actor: Actor, **values: int) -> RampPlan:
    """A new plan; what is not given is as RULES say. Raises BadInput that names the field."""
    actor.require("mailboxes.ramp", tenant)
    plan = RampPlan(tenant=tenant, name=_name(name))
    _set(plan, values)
    _saved(plan)
    audit.record(actor, "ramp_plan.added", plan, **{key: getattr(plan, key) for key in BOUNDS})
    return plan


@transaction.atomic
def change_plan(plan: RampPlan, *, actor: Actor, name: str | None = None, **values: int) -> RampPlan:
    """Other numbers for all mailboxes on the plan, from each one's next day on.

    No cap rises by it at once; a lower ceiling steps back on that day. Raises BadInput that names the field.
    """
    actor.require("mailboxes.ramp", plan)
    plan = RampPlan.objects.select_for_update(no_key=True).get(pk=plan.pk)
    before = {key: getattr(plan, key) for key in values}
    plan.name = plan.name if name is None else _name(name)
    _set(plan, values)
    _saved(plan)
    changed = {key: value for key, value in values.items() if before[key] != value}
    audit.record(actor, "ramp_plan.changed", plan, before={key: before[key] for key in changed}, after=changed)
    return plan


def find_plan(tenant: Tenant, name: str) -> RampPlan | None:
    """The tenant's plan of that name that is still in use."""
    return RampPlan.objects.filter(tenant=tenant, name=name.strip(), archived_at=None).first()


def _name(given: str) -> str:
    name = given.strip()
    if not name or len(name) > 100 or "\0" in name:
        raise BadInput("A plan has a name of 1 to 100 characters.", field="name")
    return name


def _set(plan: RampPlan, values: dict[str, int]) -> None:
    for key, value in values.items():
        if key not in BOUNDS:
            raise BadInput(f"{key} is no number of a ramp plan.", field=key)
        low, high = BOUNDS[key]
        if not low <= value <= high:
            raise BadInput(f"{key} is from {low} to {high:,}.", field=key)
        setattr(plan, key, value)
    if plan.ceiling < plan.start:
        raise BadInput("A ramp can't end below its start.", field="ceiling")


def _saved(plan: RampPlan) -> None:
    try:
        with transaction.atomic():
            plan.save()
    except IntegrityError as error:
        raise BadInput(f"There is a ramp plan {plan.name!r} already.", field="name") from error


# --- mailboxes --------------------------------------------------------------------------------------------


@repeating.atomic
def start_ramp(mailbox: Mailbox, plan: RampPlan, *, actor: Actor, reason: str = "", day: date | None = None) -> Mailbox:
    """Put a mailbox on a plan, at its start; one that is on another plan goes on there with the cap it has.

    Where that is less than now, waiting mail goes back to the planner. Raises InvalidMove, BadInput.
    """
    actor.require("mailboxes.ramp", mailbox)
    mailbox = Mailbox.objects.select_for_update(no_key=True).select_related(None).get(pk=mailbox.pk)
    if plan.tenant_id != mailbox.tenant_id or plan.archived_at is not None:
        raise BadInput("The plan is another tenant's, or no longer in use.", field="plan")
    if mailbox.state == Mailbox.State.RETIRED:
        raise InvalidMove(f"{mailbox} is retired, and there is no way back.", source=mailbox.state, target="ramping")
    if mailbox.ramp_id == plan.pk:
        raise InvalidMove(f"{mailbox} is on the ramp {plan} already.", source="on", target="on")
    before = mailbox.cap_of_day
    if put_on(mailbox, plan):
        _note(mailbox, day, RampDay.Kind.START, RampDay.Reason.STARTED)
    mailbox.save(update_fields=["ramp", "ramp_cap", "state"])
    if mailbox.cap_of_day < before:
        hooks.call("mailboxes.cap_lowered", mailbox_ids=[mailbox.pk], reason="put on a ramp")
    audit.record(
        actor, "mailbox.ramp_started", mailbox, reason=reason, before=before, after=mailbox.cap_of_day, plan=plan.pk
    )
    return mailbox


def put_on(mailbox: Mailbox, plan: RampPlan) -> bool:
    """Let the mailbox, unsaved, follow the plan; True when it begins one, whose first day the caller notes."""
    begins = mailbox.ramp_cap is None
    mailbox.ramp = plan
    if begins:
        mailbox.ramp_cap = min(plan.start, plan.ceiling)
    _settle(mailbox, plan)
    return begins


def note_starts(tenant: Tenant, boxes: Sequence[Mailbox], day: date) -> None:
    """The first day of mailboxes that were put on a plan, in one statement."""
    if boxes:
        values: dict[str, Any] = {
            "tenant": tenant.pk,
            "day": day,
            "boxes": [box.pk for box in boxes],
            "caps": [box.ramp_cap for box in boxes],
            "allowed": [_allowed(box, box.ramp_cap or 0) for box in boxes],
        }
        with connection.cursor() as cursor:
            cursor.execute(ramp_sql.WRITE_STARTS, values)


@repeating.atomic
def leave_ramp(mailbox: Mailbox, *, actor: Actor, reason: str, approval: int | None = None) -> Mailbox:
    """Take a mailbox off its ramp: from now on its own daily cap alone holds, and nothing lowers it by itself.

    Raises InvalidMove; NeedsApproval where that lets it send more than the ramp does today.
    """
    actor.require("mailboxes.ramp", mailbox)
    mailbox = Mailbox.objects.select_for_update(no_key=True).get(pk=mailbox.pk)
    if mailbox.ramp_id is None:
        raise InvalidMove(f"{mailbox} is on no ramp.", source="off", target="off")
    used = approvals.require(actor, "mailbox.leave_ramp", mailbox, approval=approval)
    before, plan = mailbox.cap_of_day, mailbox.ramp_id
    mailbox.ramp, mailbox.ramp_cap = None, None
    if mailbox.state == Mailbox.State.RAMPING:
        mailbox.move_to(Mailbox.State.ACTIVE)
    mailbox.save(update_fields=["ramp", "ramp_cap", "state"])
    audit.record(
        actor, "mailbox.ramp_left", mailbox, reason=reason, before=before, after=mailbox.daily_cap, plan=plan,
        approval=used and used.pk,
    )  # fmt: skip
    return mailbox


def come_back(mailbox: Mailbox) -> None:
    """For a release from quarantine: a mailbox on a ramp comes back with half of its cap. The caller saves."""
    if mailbox.ramp is None or mailbox.ramp_cap is None:
        return
    mailbox.ramp_cap = ramp.halved(mailbox.ramp_cap)
    _note(mailbox, None, RampDay.Kind.STEP_BACK, RampDay.Reason.RELEASED)
    _settle(mailbox, mailbox.ramp)


def step_in(mailbox: Mailbox, day: date | None = None) -> None:
    """For a reserve that is promoted: its whole cap from now on instead of a share, and not one mail more.

    The ramp goes on where it stood; today's row says what it may send now. The caller saves.
    """
    mailbox.move_to(Mailbox.State.ACTIVE)
    if mailbox.ramp is None or mailbox.ramp_cap is None:
        return
    _settle(mailbox, mailbox.ramp)
    today = RampDay.objects.filter(mailbox=mailbox, day=day or day_of(mailbox.tenant))
    today.update(allowed=_allowed(mailbox, mailbox.ramp_cap))


def _settle(mailbox: Mailbox, plan: RampPlan) -> None:
    """Ramping while the cap is to grow, active once it has arrived; other states are not the ramp's."""
    arrived = (mailbox.ramp_cap or 0) >= min(plan.ceiling, mailbox.daily_cap)
    if mailbox.state == Mailbox.State.ACTIVE and not arrived:
        mailbox.move_to(Mailbox.State.RAMPING)
    elif mailbox.state == Mailbox.State.RAMPING and arrived:
        mailbox.move_to(Mailbox.State.ACTIVE)


def _note(mailbox: Mailbox, day: date | None, kind: str, reason: str) -> None:
    """What changes in the middle of a day stands in that day's row, so that its job does not decide again."""
    day = day or day_of(mailbox.tenant)
    values = {"cap": mailbox.ramp_cap, "allowed": _allowed(mailbox, mailbox.ramp_cap or 0), "kind": kind}
    RampDay.objects.update_or_create(
        mailbox=mailbox,
        day=day,
        defaults={**values, "reason": reason, "detail": "", "until": None},
        create_defaults={**values, "reason": reason, "tenant_id": mailbox.tenant_id},
    )


def _allowed(mailbox: Mailbox, cap: int) -> int:
    cap = min(cap, mailbox.daily_cap)
    return int(cap * mailbox.reserve_share) if mailbox.state == Mailbox.State.RESERVE else cap


# --- the daily job ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ran:
    """What one run did: mailboxes decided on by kind of decision, and those whose cap fell."""

    kinds: dict[str, int] = field(default_factory=dict)
    lowered: int = 0

    @property
    def decided(self) -> int:
        return sum(self.kinds.values())


@repeating.atomic
def run_day(tenant: Tenant, day: date, *, actor: Actor, at: datetime | None = None) -> Ran:
    """Decide the caps of that day, in the tenant's zone, for every mailbox on a ramp that has no row of it or later.

    Safe twice and at the same time: the mailboxes are locked in the order of their ids, and the row (mailbox, day)
    decides. Nothing is made up for days without a run. `at` is the moment at which blocks are looked at.
    """
    actor.require("mailboxes.ramp", tenant)
    with connection.cursor() as cursor:
        cursor.execute(ramp_sql.LOCK, {"tenant": tenant.pk, "day": day})
        ids = [row[0] for row in cursor.fetchall()]
        if not ids:
            return Ran()
        _close_days(cursor, tenant, day)
        boxes = Mailbox.objects.select_related("ramp").in_bulk(ids)
        bad: dict[int, str] = {}
        hooks.call("mailboxes.judging", tenant=tenant, day=day, signals=bad)
        histories = _histories(cursor, ids, day)
        decisions = {
            pk: ramp.decide(
                histories.get(pk, ()), _signals(box, bad.get(pk, ""), tenant, at or this_moment()), box.ramp.rule, day
            )
            for pk, box in boxes.items()
            if box.ramp is not None
        }  # fmt: skip
        return _write(cursor, tenant, day, boxes, decisions, bad, actor)


def _close_days(cursor: Any, tenant: Tenant, day: date) -> None:
    """Fill in what the days before really sent; the last three again, and any that were never counted."""
    cursor.execute(
        ramp_sql.FIRST_OPEN, {"tenant": tenant.pk, "day": day, "oldest": day - timedelta(days=ramp_sql.DAYS_KEPT)}
    )
    since = min(cursor.fetchone()[0] or day, day - COUNTED_AGAIN)
    counts: Counter[tuple[int, date]] = Counter()
    hooks.call("mailboxes.counting_sent", tenant=tenant, since=since, until=day, counts=counts)
    values = {
        "tenant": tenant.pk,
        "since": since,
        "day": day,
        "boxes": [pk for pk, _ in counts],
        "days": [on for _, on in counts],
        "counts": list(counts.values()),
    }
    cursor.execute(ramp_sql.CLOSE_DAYS, values)


def _histories(cursor: Any, ids: list[int], day: date) -> dict[int, list[ramp.Day]]:
    """Of each mailbox its last days before that one, oldest first."""
    cursor.execute(ramp_sql.HISTORY, {"boxes": ids, "day": day, "most": ramp_sql.DAYS_KEPT})
    found: dict[int, list[ramp.Day]] = {}
    for pk, on, cap, allowed, sent, kind in cursor.fetchall():
        found.setdefault(pk, []).append(ramp.Day(on, cap, allowed, sent, ramp.Kind(kind)))
    return found


def _signals(box: Mailbox, bad: str, tenant: Tenant, at: datetime) -> ramp.Signals:
    blocked = box.blocked_until is not None and box.blocked_until > at
    return ramp.Signals(
        bad=bad,
        stopped=box.state in NOT_SENDING or box.hold != Mailbox.Hold.NONE or blocked,
        own_cap=box.daily_cap,
        last_sent_on=box.last_dot_at and day_of(tenant, box.last_dot_at),
    )


def _write(
    cursor: Any, tenant: Tenant, day: date, boxes: dict[int, Mailbox], decisions: dict[int, ramp.Decision],
    bad: dict[int, str], actor: Actor,
) -> Ran:  # fmt: skip
    ids = sorted(decisions)
    caps = [decisions[pk].cap for pk in ids]
    of_signal = (ramp.Reason.BAD, ramp.Reason.SIGNAL)
    values = {
        "tenant": tenant.pk,
        "day": day,
        "boxes": ids,
        "caps": caps,
        "allowed": [_allowed(boxes[pk], decisions[pk].cap) for pk in ids],
        "kinds": [decisions[pk].kind.value for pk in ids],
        "reasons": [decisions[pk].reason.value for pk in ids],
        "details": [bad.get(pk, "")[:200] if decisions[pk].reason in of_signal else "" for pk in ids],
        "untils": [decisions[pk].until for pk in ids],
    }
    cursor.execute(ramp_sql.WRITE_DAYS, values)
    written = {row[0] for row in cursor.fetchall()}
    before = {pk: boxes[pk].cap_of_day for pk in written}
    changed = []
    for pk in sorted(written):
        box, cap, state = boxes[pk], boxes[pk].ramp_cap, boxes[pk].state
        box.ramp_cap = decisions[pk].cap
        _settle(box, box.ramp)  # type: ignore[arg-type]
        if (cap, state) != (box.ramp_cap, box.state):
            changed.append(box)
    if changed:
        cursor.execute(
            ramp_sql.WRITE_CAPS,
            {
                "boxes": [box.pk for box in changed],
                "caps": [box.ramp_cap for box in changed],
                "states": [box.state for box in changed],
            },
        )
    lowered = [box.pk for box in changed if box.cap_of_day < before[box.pk]]
    if lowered:
        hooks.call("mailboxes.cap_lowered", mailbox_ids=lowered, reason="ramp lowered the cap")
    kinds = dict(Counter(decisions[pk].kind.value for pk in written))
    if written:
        audit.record(actor, "ramp.day_decided", tenant, day=day, lowered=len(lowered), kinds=kinds)
    return Ran(kinds, len(lowered))
