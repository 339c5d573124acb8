"""Canaries: the first few mails to people never written to, and the verdict on which the rest waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from campaigns import canary as rule
from campaigns.canary import Counts
from campaigns.ledger import moves
from campaigns.models import Campaign, Canary
from outreach.common import replies
from outreach.common.intervals import Share
from tenants.services import audit
from tenants.services.actors import Actor

HELD = "canary"  # what the others wait for
CHUNK = 50_000  # people let go in one transaction
SLACK = timedelta(hours=2)  # the first mails need their time too
RECIPIENT_REASONS = sorted(replies.HARD | {"mailboxfull", "suspend"})  # final refusals that are about the person

# An import counts as mailed as soon as anybody it brought got a mail, from any campaign and any list; but where there
# were canaries about it, one has to have passed: else the next campaign would be a way round them.
NEVER_MAILED = """
WITH groups AS (
    SELECT coalesce(ct.first_import_id, 0) AS id, count(*) AS people
    FROM campaigns_listentry le JOIN campaigns_contact ct ON ct.id = le.contact_id
    WHERE le.contact_list_id = %(contact_list)s GROUP BY 1
)
SELECT g.id, g.people FROM groups g
WHERE NOT EXISTS (
    SELECT FROM campaigns_contact ct JOIN campaigns_message m ON m.contact_id = ct.id
    WHERE ct.tenant_id = %(tenant)s AND m.status IN ('sent', 'uncertain')
      AND CASE g.id WHEN 0 THEN ct.first_import_id IS NULL ELSE ct.first_import_id = g.id END)
   OR (SELECT count(*) > 0 AND NOT bool_or(k.state = 'passed') FROM campaigns_canary k
      WHERE k.tenant_id = %(tenant)s AND g.id = ANY (k.groups))
ORDER BY g.id"""

PICK = """
SELECT max(h) FROM (
    SELECT hashint8extended(ct.id, %(campaign)s) AS h
    FROM campaigns_listentry le JOIN campaigns_contact ct ON ct.id = le.contact_id
    WHERE le.contact_list_id = %(contact_list)s AND coalesce(ct.first_import_id, 0) = ANY (%(groups)s)
      AND ct.validity IN ('valid', 'risky', 'unknown')
    ORDER BY 1 LIMIT %(size)s
) AS first"""

# People, not mails: `planned` keeps the planner within the size, follow-ups and second tries are theirs.
COUNTS = """
SELECT count(*) FILTER (WHERE m.status NOT IN ('suppressed', 'cancelled')),
    count(*) FILTER (WHERE m.status IN ('sent', 'failed', 'uncertain') OR (m.status = 'deferred' AND m.tries > 0)),
    count(*) FILTER (WHERE m.status IN ('sent', 'failed', 'uncertain')),
    count(*) FILTER (WHERE m.outcome = 'bounced' OR (m.status = 'failed' AND m.reason = ANY (%(bounces)s))),
    count(*) FILTER (WHERE m.outcome = 'complained')
FROM campaigns_message m JOIN campaigns_step st ON st.id = m.step_id AND st.position = 1
WHERE m.campaign_id = %(campaign)s AND m.planned_at >= %(since)s"""

WAITING = """
SELECT count(*) FROM campaigns_enrolment
WHERE campaign_id = %(campaign)s AND step = 1 AND due_at IS NOT NULL AND waits_for <> %(held)s"""

TOP_UP = """
UPDATE campaigns_enrolment e SET due_at = now(), waits_for = '' FROM (
    SELECT e.id FROM campaigns_enrolment e JOIN campaigns_contact ct ON ct.id = e.contact_id
    WHERE e.campaign_id = %(campaign)s AND e.due_at IS NOT NULL AND e.waits_for = %(held)s
      AND coalesce(ct.first_import_id, 0) = ANY (%(groups)s) AND ct.validity IN ('valid', 'risky', 'unknown')
    ORDER BY hashint8extended(ct.id, %(campaign)s) LIMIT %(most)s
    FOR UPDATE OF e
) AS picked WHERE e.id = picked.id"""

MOVE = """
UPDATE campaigns_enrolment e SET due_at = {due}, waits_for = {waits} FROM (
    SELECT id FROM campaigns_enrolment
    WHERE campaign_id = %(campaign)s AND due_at IS NOT NULL AND waits_for = %(held)s {which}
    ORDER BY id LIMIT %(chunk)s FOR UPDATE
) AS picked WHERE e.id = picked.id"""
LET_GO = MOVE.format(due="now()", waits="''", which="")
HOLD_ON = MOVE.format(due="%(until)s", waits="e.waits_for", which="AND due_at < %(until)s")


@dataclass(frozen=True, slots=True)
class Fresh:
    """Imports of a list of which nobody was ever written to (0: contacts of none), and how many people they brought."""

    groups: tuple[int, ...] = ()
    people: int = 0


def never_mailed(campaign: Campaign) -> Fresh:
    """What of the campaign's list nobody knows yet."""
    if campaign.contact_list_id is None:
        return Fresh()
    with connection.cursor() as cursor:
        cursor.execute(NEVER_MAILED, {"tenant": campaign.tenant_id, "contact_list": campaign.contact_list_id})
        rows = cursor.fetchall()
    return Fresh(tuple(pk for pk, _n in rows), sum(n for _pk, n in rows))


def begin(campaign: Campaign) -> Canary | None:
    """Part of a launch: choose who goes first. None where the campaign wants no canary or is none bigger than it."""
    if not campaign.canary or campaign.canary_size == 0:
        return None
    fresh = never_mailed(campaign)
    if fresh.people <= campaign.canary_size:
        return None
    values = {
        "campaign": campaign.pk, "contact_list": campaign.contact_list_id, "groups": list(fresh.groups),
        "size": campaign.canary_size,
    }  # fmt: skip
    now = _now()
    with connection.cursor() as cursor:
        cursor.execute(PICK, values)
        threshold = cursor.fetchone()[0]
    if threshold is None:  # of them nobody could be written to now; whoever becomes valid is chosen then
        threshold = -(2**63)
    return Canary.objects.create(
        tenant_id=campaign.tenant_id, campaign=campaign, size=campaign.canary_size, hours=campaign.canary_hours,
        groups=list(fresh.groups), threshold=threshold, since=now,
        held_until=now + timedelta(hours=campaign.canary_hours) + SLACK,
    )  # fmt: skip


def of(campaign: Campaign) -> Canary | None:
    """The campaign's canary, whatever became of it."""
    return Canary.objects.filter(campaign=campaign).first()


def told(campaign: Campaign) -> dict[str, Any] | None:
    """The canary as commands and the API tell it: state, numbers with the interval of the bounces, until when."""
    found = of(campaign)
    if found is None:
        return None
    share = Share(found.bounced, found.sent)
    low, high = share.low, share.high
    until = found.full_at + timedelta(hours=found.hours) if found.full_at else None
    return {
        "state": found.state, "size": found.size, "sent": found.sent, "bounced": found.bounced,
        "complained": found.complained, "bounce_rate": [round(low, 4), round(high, 4)] if found.sent else None,
        "until": until and until.isoformat(), "reason": found.reason,
    }  # fmt: skip


def holding(campaign: Campaign) -> Canary | None:
    """The canary that whoever is enrolled now has to wait for."""
    return Canary.objects.filter(campaign=campaign).exclude(state=Canary.State.PASSED).first()


def count(canary: Canary) -> Counts:
    """What became of the first mails so far."""
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, {"campaign": canary.campaign_id, "since": canary.since, "bounces": RECIPIENT_REASONS})
        return Counts(*cursor.fetchone())


@transaction.atomic
def evaluate(canary: Canary, now: datetime, *, actor: Actor) -> Canary:
    """Look at a running canary: let more of the first go, pass it, or halt the campaign.

    While it runs the others stay where they are; those that a pass lets go follow in `let_go`.
    """
    campaign = Campaign.objects.select_for_update(no_key=True).get(pk=canary.campaign_id)
    canary = Canary.objects.select_for_update().get(pk=canary.pk)
    if canary.state != Canary.State.RUNNING or campaign.status != Campaign.Status.RUNNING:
        return canary
    counts = count(canary)
    canary.sent, canary.bounced, canary.complained = counts.done, counts.bounced, counts.complained
    if broken := rule.broken_early(counts, canary.size):
        return _fail(campaign, canary, counts, broken, now, actor)
    if canary.full_at is None:
        _fill(campaign, canary, counts, now)
    if canary.full_at is not None and now >= canary.full_at + timedelta(hours=canary.hours):
        if broken := rule.too_bad(counts):
            return _fail(campaign, canary, counts, broken, now, actor)
        return _pass(canary, counts, now, actor)
    _hold_on(canary, now)
    canary.save()
    return canary


def _pass(canary: Canary, counts: Counts, now: datetime, actor: Actor) -> Canary:
    canary.move_to(Canary.State.PASSED)
    canary.decided_at = now
    canary.save()
    facts: dict[str, Any] = {"campaign": canary.campaign_id, "sent": counts.done, "bounced": counts.bounced}
    audit.record(actor, "canary.passed", canary, **facts)
    return canary


def _fill(campaign: Campaign, canary: Canary, counts: Counts, now: datetime) -> None:
    """Choose others for those who dropped out; it is complete when each was tried, or nobody is left to choose."""
    if counts.tried >= canary.size:
        canary.full_at = now
        return
    values: dict[str, Any] = {"campaign": canary.campaign_id, "held": HELD, "groups": canary.groups}
    with connection.cursor() as cursor:
        cursor.execute(WAITING, values)
        waiting = cursor.fetchone()[0]
        short = canary.size - counts.planned - waiting
        if short > 0:
            cursor.execute(TOP_UP, {**values, "most": short})
            waiting += cursor.rowcount
    if not waiting and counts.tried == counts.planned and campaign.enrol_until is None:
        canary.full_at = now


def _hold_on(canary: Canary, now: datetime) -> None:
    """Keep the others out of the planner's way until it is decided: it takes longer than was thought."""
    ends = canary.full_at + timedelta(hours=canary.hours) if canary.full_at else None
    if ends is not None and ends <= canary.held_until:
        return
    if ends is None and now < canary.held_until - SLACK / 2:
        return
    canary.held_until = (ends or now + timedelta(hours=canary.hours)) + SLACK
    values: dict[str, Any] = {"campaign": canary.campaign_id, "held": HELD, "until": canary.held_until, "chunk": CHUNK}
    with connection.cursor() as cursor:
        cursor.execute(HOLD_ON, values)
        while cursor.rowcount == CHUNK:
            cursor.execute(HOLD_ON, values)


def _fail(campaign: Campaign, canary: Canary, counts: Counts, broken: str, now: datetime, actor: Actor) -> Canary:
    hits = counts.bounced if broken == "bounces" else counts.complained
    share = Share(hits, counts.done)
    low, high = share.low, share.high
    text = {
        "bounces": _("%(hits)s of the first %(n)s mails bounced"),
        "complaints": _("%(hits)s of the first %(n)s mails were complained about"),
    }[broken] % {"hits": hits, "n": counts.done}
    canary.move_to(Canary.State.FAILED)
    canary.decided_at = now
    canary.reason = f"{text} ({100 * low:.1f} to {100 * high:.1f} %)"
    canary.save()
    campaign.move_to(Campaign.Status.HALTED)
    campaign.status_reason = _("Canary: %s. Look at the list's source.") % canary.reason
    campaign.save(update_fields=["status", "status_reason"])
    moves.take_back("m.campaign_id = %(campaign)s", {"campaign": campaign.pk})
    audit.record(actor, "canary.failed", canary, campaign=campaign.pk, sent=counts.done, broken=broken, hits=hits)
    return canary


def begin_again(campaign: Campaign) -> Canary | None:
    """Part of a resume: a canary that failed starts anew with other people, so that no resume is a way round it."""
    canary = Canary.objects.select_for_update().filter(campaign=campaign, state=Canary.State.FAILED).first()
    if canary is None:
        return None
    now = _now("clock_timestamp()")  # later than every plan of before
    canary.move_to(Canary.State.RUNNING)
    canary.since, canary.full_at, canary.decided_at, canary.reason = now, None, None, ""
    canary.sent = canary.bounced = canary.complained = 0
    _hold_on(canary, now)
    canary.save()
    return canary


@transaction.atomic
def let_go(campaign: Campaign, *, most: int = CHUNK) -> int:
    """Make those due whom a canary held that has passed, some at a time; return how many were."""
    with connection.cursor() as cursor:
        cursor.execute(LET_GO, {"campaign": campaign.pk, "held": HELD, "chunk": most})
        return cursor.rowcount


def _now(clock: str = "now()") -> datetime:
    """The transaction's beginning, or another moment, by the database's clock, which plans go by."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {clock}")
        return cursor.fetchone()[0].astimezone(UTC)
