"""Why one mailbox sent what it sent today: its part of its pool's mail, its caps, its place in the rotation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.utils.translation import gettext as _

from campaigns.pipeline import explain_ground, explain_people, explain_today
from campaigns.pipeline.explain import UNASKED, finished
from campaigns.pipeline.explain_boxes import Row, Seat
from campaigns.pipeline.explain_causes import Explanation, Table
from campaigns.pipeline.explain_ground import Ground, Held
from campaigns.pipeline.explain_naming import OF_PLATFORM, Naming
from campaigns.pipeline.explain_stops import Queue
from campaigns.pipeline.explain_tables import why_of
from campaigns.pipeline.explain_words import moment, words
from mailboxes.capacity import PROBING_CAP
from mailboxes.models import Allowance, Mailbox, RampDay
from outreach.common.links import Link
from tenants.models import Tenant

# A month's part of the attempts at most: they are partitioned by time.
ATTEMPTS = """
SELECT code, enhanced, phase, result, count(*), max(at) FROM campaigns_attempt
WHERE tenant_id = %(tenant)s AND at >= %(began)s AND mailbox_ref = %(mailbox)s
GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 1 LIMIT 20"""

NEXT_PLANNED = """
SELECT id, due_at FROM campaigns_message WHERE mailbox_id = %(mailbox)s AND status IN ('planned', 'claimed')
ORDER BY due_at LIMIT 1"""


@transaction.atomic
def mailbox(row: Mailbox, now: datetime, *, queue: Queue = UNASKED, knows_platform: bool = True) -> Explanation:
    """Of one mailbox. Who takes any mailbox of the pool counts by its share of the pool, which makes an estimate."""
    tenant = Tenant.objects.get(pk=row.tenant_id)
    with connection.cursor() as cursor:
        ground = explain_ground.load(cursor, tenant, now, queue, mailbox=row.pk, pool=row.pool_id)
        began = explain_people.day_began_at(now, ground.zone)
        counts = explain_today.counts(cursor, tenant.pk, began=began, day=ground.day, mailbox=row.pk)
        seat, share = ground.seats[row.pk], share_of(ground, row.pk)
        own = replace(
            ground,
            waiting={pk: waiting.part(share, row.pk) for pk, waiting in ground.waiting.items()},
            seats={row.pk: seat},
            planned=[plan for plan in ground.planned if plan.mailbox_id == row.pk],
        )
        held = Held()
        for each in own.held().values():
            held.ready += each.ready
            held.decides += each.decides
            held.overlaps += each.overlaps
        naming = Naming(own, knows_platform, of_mailbox=row.pk)
        causes = naming.causes(cursor, held.decides, held.overlaps)
        cursor.execute(NEXT_PLANNED, {"mailbox": row.pk})
        following = cursor.fetchone()
        cursor.execute(ATTEMPTS, {"tenant": tenant.pk, "began": began, "mailbox": row.pk})
        attempts = cursor.fetchall()
    found = Explanation(
        subject="mailbox",
        id=row.pk,
        name=row.address,
        at=now,
        zone=tenant.time_zone,
        today=explain_today.numbers(counts, ground.day, mailbox__id__exact=row.pk),
        waiting=sum(each.total for each in own.waiting.values()) + own.overdue(),
        overdue=own.overdue(),
        ready=held.ready,
        ready_at=ground.machinery.next_run_at,
        causes=causes,
        is_estimate=any(each.is_estimate and each.total for each in own.waiting.values()),
        facts=list(_facts(ground, seat, share, naming, row, following)),
        figures=[_limits(ground, seat, naming), _attempts(attempts, row.pk)],
    )
    return finished(found)


def share_of(ground: Ground, mailbox_id: int) -> float:
    """Its part of its pool: its weight among those that may send, itself included. One that can't send has what it
    would have; without any weight it has nothing.
    """
    seat = ground.seats[mailbox_id]
    own = seat.row.share_weight or seat.row.weight * seat.row.cap
    others = sum(
        each.row.share_weight
        for pk, each in ground.seats.items()
        if pk != mailbox_id and each.row.pool_id == seat.row.pool_id and each.box.stopped is None
    )
    return own / (own + others) if own else 0.0


def _facts(
    ground: Ground, seat: Seat, share: float, naming: Naming, box: Mailbox, following: Any
) -> Iterator[tuple[str, str, str]]:
    row, zone, now = seat.row, ground.zone, ground.now
    stopped = why_of(ground, seat.box.stopped, naming)
    yield "state", _("State"), ", ".join(filter(None, (box.get_state_display(), row.state_reason)))
    yield "may_send", _("May send"), _("no: %s") % stopped if stopped else _("yes")
    yield "cap", _("Cap of the day"), _cap(row)
    if box.ramp is not None:
        yield "ramp", _("Ramp"), _ramp(box)
    yield (
        "weight", _("Share of its pool"),
        _("%(share).1f %%: weight %(weight)g x health %(health)g x cap %(cap)d")
        % {"share": 100 * share, "weight": row.weight, "health": row.health, "cap": row.cap},
    )  # fmt: skip
    yield "gap", _("Distance of its mails"), _gap(ground, seat)
    yield "next_free_at", _("Next free slot"), _when(row.free_at, now, zone) or _("now")
    yield "next_planned_at", _("Next planned mail"), _when(following and following[1], now, zone) or _("none")
    yield "last_sent_at", _("Last mail"), _when(row.last_dot_at, now, zone) or _("none yet")


def _when(at: datetime | None, now: datetime, zone: ZoneInfo) -> str:
    return moment(at, now, zone) if at is not None else ""


def _cap(row: Row) -> str:
    """The number and what makes it so."""
    least = row.daily_cap if row.ramp_cap is None else min(row.daily_cap, row.ramp_cap)
    by = _("its own daily cap") if row.ramp_cap is None or row.daily_cap <= row.ramp_cap else _("the ramp")
    if row.state == "reserve":
        part = {"share": f"{row.reserve_share:.0%}", "least": least, "by": by}
        return f"{row.cap}: " + _("the %(share)s that a reserve takes of %(least)s, %(by)s") % part
    if row.state == "probing" and least > PROBING_CAP:
        return f"{row.cap}: " + _("on probation")
    return f"{row.cap}: {by}"


def _ramp(box: Mailbox) -> str:
    last = RampDay.objects.filter(mailbox=box).order_by("-day").first()
    text = _("%(cap)s by %(plan)s") % {"cap": box.ramp_cap, "plan": box.ramp}
    return f"{text}; {last.day}: {last.get_kind_display()}, {last.why}" if last is not None else text


def _gap(ground: Ground, seat: Seat) -> str:
    """Seconds, and whether the mailbox's own gap or the rest of the window makes them."""
    least = timedelta(seconds=seat.row.min_gap_seconds)
    seconds = f"{seat.gap.total_seconds():,.0f} s"
    left = ground.times.window_left(seat.row.pool_id)
    if left is None or seat.gap <= least:
        return f"{seconds}: " + _("its own least gap")
    minutes = int(left.total_seconds() // 60)
    return f"{seconds}: " + _("%(minutes)d min of the window for %(left)d messages") % {
        "minutes": minutes, "left": seat.box.lost,
    }  # fmt: skip


def _limits(ground: Ground, seat: Seat, naming: Naming) -> Table:
    """Every cap that counts for the mailbox; the smallest rest decides."""
    row = seat.row
    keys = {
        "mailbox_day": row.id, "mailbox_hour": row.id, "domain_hour": row.domain_id, "domain_day": row.domain_id,
        "account_hour": row.account_id, "quota_hour": row.quota_id or 0, "tenant_day": ground.tenant.pk,
    }  # fmt: skip
    uses = [ground.limits.use(scope, key) for scope, key in keys.items()]
    uses += [ground.limits.use("campaign_day", pk) for pk in ground.camps]
    uses += list(ground.receivers.values())
    shown = [use for use in uses if use is not None]
    least = min((use.left for use in shown if use.scope not in ("campaign_day", "receiver_hour")), default=None)
    labels = dict(Allowance.Scope.choices)
    rows = []
    for use in shown:
        link: Link | None = Link("mailboxes_allowance", {"scope__exact": use.scope, "key__exact": use.key})
        values: tuple[Any, ...] = (str(labels[use.scope]), use.used, use.cap, use.left)
        if use.scope in OF_PLATFORM and not naming.knows_platform:
            link, values = None, (words("cap", "of_platform")[0], None, None, None)
        own = use.scope not in ("campaign_day", "receiver_hour")
        decides = _("decides") if own and use.left == least else ""
        rows.append(((*values, moment(use.ends_at, ground.now, ground.zone), decides), link))
    columns = (
        ("scope", _("limit")), ("used", _("used")), ("cap", _("allowed")), ("left", _("left")),
        ("free_at", _("free again")), ("decides", ""),
    )  # fmt: skip
    return Table("limits", _("Limits"), columns, rows)


def _attempts(found: list[tuple[Any, ...]], mailbox_id: int) -> Table:
    link = Link("campaigns_attempt", {"mailbox_ref__exact": mailbox_id})
    rows = [
        ((code, enhanced, phase, result, count), Link(link.model, {**link.lookups, "result__exact": result}))
        for code, enhanced, phase, result, count, _last in found
    ]
    columns = (
        ("code", _("code")), ("enhanced", _("enhanced code")), ("phase", _("phase")), ("result", _("became")),
        ("count", _("tries")),
    )  # fmt: skip
    return Table("attempts", _("Refused and broken tries today"), columns, rows)
