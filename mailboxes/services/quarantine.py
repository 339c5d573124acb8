"""The quarantine lever: out of use with a reason, on probation with a few mails a day, back with half of the cap.

Locks come in this order: pool, campaigns (where the brake halts them), mailboxes by id, and then what the apps above
lock. The pool's row makes two levers of one pool follow each other, so that the brake counts right and no reserve is
promoted twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils.timezone import now as this_moment

from mailboxes import reserves as rules
from mailboxes.models import Mailbox, Pool, QuarantineCase
from mailboxes.services import ramp, reserves
from outreach.common import hooks, repeating
from outreach.common.errors import BadInput, InvalidMove, NotReady
from tenants.services import approvals, audit
from tenants.services.actors import Actor

RELEASABLE = (Mailbox.State.QUARANTINED, Mailbox.State.PROBING)
LONGEST_EVIDENCE = 50  # entries
PLAIN = (str, int, float, bool, type(None))


@repeating.atomic
def quarantine(
    mailbox: Mailbox, *, actor: Actor, reason: str, evidence: Mapping[str, Any] | None = None, promote: bool = True,
    by_rule: bool = False,
) -> Mailbox:  # fmt: skip
    """Send nothing more from this mailbox until somebody releases it; a reserve of its pool takes its place.

    Waiting mail goes back to the planner, and threads follow their campaign's handover policy. Once the swap brake's
    number of a pool is used up, its campaigns halt and the reserves stay: a rule (`by_rule`) then leaves the mailbox as
    it is, a person's quarantine still holds. A person who wants no reserve pulls no brake.

    `evidence` is flat: names and plain values. Raises InvalidMove, BadInput.
    """
    actor.require("mailboxes.quarantine", mailbox)
    facts = _plain(evidence or {})
    pool = lock_pool(mailbox)
    box = Mailbox.objects.select_related("domain", "home").get(pk=mailbox.pk)
    if Mailbox.State.QUARANTINED not in Mailbox.MOVES[box.state]:
        box.move_to(Mailbox.State.QUARANTINED)  # raises, before anything is halted for it
    brake = reserves.brake_of(pool.pk)
    swap = reserves.swap_for(box.state, brake, promote=promote)
    halted: list[Any] = []
    if swap == QuarantineCase.Swap.BRAKED or (by_rule and brake.is_pulled):
        why = f"Swap brake: {brake.used} mailboxes of {pool} taken out in 24 h, {brake.allowed} may be; {reason}"
        hooks.call("mailboxes.brake_pulled", pool_id=pool.pk, reason=why[:500], halted=halted)
        if by_rule:
            return _leave_to_people(box, brake, halted, why, actor)
    box, rows = lock(mailbox)
    successor = None
    if swap == QuarantineCase.Swap.PROMOTED:
        successor = reserves.successor_of(box, [row for row in reserves.candidates(box) if row.pk in rows])
        swap = swap if successor is not None else QuarantineCase.Swap.NONE
    before, cap = box.state, reserves.serving_cap(box)
    box.move_to(Mailbox.State.QUARANTINED)
    box.state_reason = reason
    box.save(update_fields=["state", "state_reason"])
    last = open_case(box)
    close_case(box, QuarantineCase.Outcome.RELAPSED, reason)
    stand_in = successor
    if last is not None and reserves.serves(last.promoted):  # who came the last time still stands in
        swap, stand_in, cap = last.swap, last.promoted, last.cap
    case = _open_case(box, pool, reason, facts, before, cap, by_rule, swap, stand_in)
    if successor is not None:
        promote_to_rotation(successor, f"in place of {box}")
    gone = [box.pk] if not halted else list(Mailbox.objects.filter(pool=pool).values_list("pk", flat=True))
    successors = {box.pk: stand_in.pk if stand_in is not None else None}
    hooks.call("mailboxes.withdrawn", mailbox_ids=gone, reason=reason, successors=successors)
    _record(actor, box, case, halted, before, successor)
    return box


def _record(
    actor: Actor, box: Mailbox, case: QuarantineCase, halted: list[Any], before: str, promoted: Mailbox | None
) -> None:
    for campaign in halted:
        audit.record(actor, "campaign.halted", campaign, reason=campaign.status_reason)
    if promoted is not None:
        audit.record(actor, "mailbox.promoted", promoted, instead_of=box.pk, after=promoted.state)
    audit.record(
        actor, "mailbox.quarantined", box, reason=case.reason, before=before, after=box.state, case=case.number,
        swap=case.swap, by_rule=case.by_rule,
    )  # fmt: skip


def _leave_to_people(box: Mailbox, brake: reserves.Brake, halted: list[Any], why: str, actor: Actor) -> Mailbox:
    """A rule beyond the brake: the pool's campaigns stand still, so the mailbox does no harm and stays as it is."""
    boxes = list(Mailbox.objects.filter(pool=box.pool_id).order_by("pk").values_list("pk", flat=True))
    if halted:
        hooks.call("mailboxes.withdrawn", mailbox_ids=boxes, reason=why)
    for campaign in halted:
        audit.record(actor, "campaign.halted", campaign, reason=campaign.status_reason)
    audit.record(actor, "mailbox.brake_pulled", box, reason=why[:500], used=brake.used, allowed=brake.allowed)
    return box


def lock_pool(mailbox: Mailbox) -> Pool:
    """The mailbox's pool, locked; first of all, since the brake and the choice of a reserve are the pool's."""
    pool_id = Mailbox.objects.values_list("pool_id", flat=True).get(pk=mailbox.pk)
    return Pool.objects.select_for_update(no_key=True).get(pk=pool_id)


def lock(mailbox: Mailbox) -> tuple[Mailbox, dict[int, Mailbox]]:
    """The mailbox and the reserves of its pool, locked in the order of their ids."""
    pool_id = Mailbox.objects.values_list("pool_id", flat=True).get(pk=mailbox.pk)
    wanted = Q(pk=mailbox.pk) | Q(pool=pool_id, state=Mailbox.State.RESERVE)
    rows = Mailbox.objects.filter(wanted).select_related("domain", "home", "tenant").order_by("pk")
    found = {row.pk: row for row in rows.select_for_update(of=("self",), no_key=True)}
    return found[mailbox.pk], found


def promote_to_rotation(reserve: Mailbox, reason: str) -> None:
    """Let a locked reserve take its whole cap; its ramp goes on where it stood."""
    ramp.step_in(reserve)
    reserve.state_reason = f"Promoted {reason}"[:500]
    reserve.save(update_fields=["state", "state_reason"])


def _plain(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Evidence is a flat object of plain values, so that it can be read in ten years."""
    found = dict(evidence)
    if len(found) > LONGEST_EVIDENCE or not all(isinstance(key, str) for key in found):
        raise BadInput(f"Evidence has at most {LONGEST_EVIDENCE} named values.", field="evidence")
    for key, value in found.items():
        if type(value) not in PLAIN or "\0" in f"{key}{value}" or len(str(value)) > 1000 or value != value:
            raise BadInput(f"Evidence {key!r} is no plain value of at most 1000 characters.", field="evidence")
    return found


def _open_case(
    box: Mailbox, pool: Pool, reason: str, evidence: dict[str, Any], before: str, cap: int, by_rule: bool, swap: str,
    promoted: Mailbox | None,
) -> QuarantineCase:  # fmt: skip
    last = QuarantineCase.objects.filter(mailbox=box).order_by("-number").first()
    number, at = (last.number if last else 0) + 1, this_moment()
    return QuarantineCase.objects.create(
        tenant_id=box.tenant_id, mailbox=box, pool=pool, number=number, reason=reason[:500], evidence=evidence,
        by_rule=by_rule, state_before=before, cap=cap, swap=swap, promoted=promoted, opened_at=at,
        cool_until=rules.cool_until(number, at),
    )  # fmt: skip


def open_case(mailbox: Mailbox) -> QuarantineCase | None:
    """The case of a mailbox in quarantine or on probation."""
    return QuarantineCase.objects.filter(mailbox=mailbox, closed_at=None).select_related("promoted").first()


def close_case(mailbox: Mailbox, outcome: str, reason: str) -> None:
    """Part of the act that ends it."""
    QuarantineCase.objects.filter(mailbox=mailbox, closed_at=None).update(
        closed_at=this_moment(), outcome=outcome, closed_because=reason[:500]
    )


@repeating.atomic
def probe(mailbox: Mailbox, *, actor: Actor, reason: str = "") -> Mailbox:
    """Let a quarantined mailbox send a few real campaign mails a day again, to see whether they go well.

    Not before its cool-down is over, and after the third case only by a person: who may release may do it with a
    reason all the same. Raises InvalidMove, NotReady, NotAllowed.
    """
    actor.require("mailboxes.quarantine", mailbox)
    mailbox = _locked(mailbox)
    mailbox.move_to(Mailbox.State.PROBING)
    case = open_case(mailbox)
    early = _too_early(case)
    if early:
        if not reason.strip():
            raise NotReady(f"{mailbox} can't be probed yet: {early} Give a reason to do it all the same.", [early])
        actor.require("mailboxes.release", mailbox)
    mailbox.state_reason = reason
    mailbox.save(update_fields=["state", "state_reason"])
    if case is not None:
        case.probing_since = this_moment()
        case.save(update_fields=["probing_since"])
    audit.record(
        actor, "mailbox.probed", mailbox, reason=reason, before=Mailbox.State.QUARANTINED, after=mailbox.state,
        early=bool(early),
    )  # fmt: skip
    return mailbox


def _too_early(case: QuarantineCase | None) -> str:
    if case is None or (case.cool_until is not None and case.cool_until <= this_moment()):
        return ""
    if case.cool_until is None:
        return f"This is quarantine {case.number}, and a person has to decide."
    return f"It rests until {case.cool_until:%Y-%m-%d %H:%M} UTC."


def probation(mailbox: Mailbox, case: QuarantineCase, at: datetime | None = None) -> dict[str, Any]:
    """How the probe goes: mails clean in a row, sent and bad ones, and what is `lacking` for the exit."""
    found: dict[str, Any] = {"clean": 0, "sent": 0, "bad": 0}
    probing_for = None
    if case.probing_since is not None:
        hooks.call("mailboxes.counting_clean", mailbox=mailbox, since=case.probing_since, found=found)
        probing_for = (at or this_moment()) - case.probing_since
    return found | {"lacking": rules.lacking(found["clean"], probing_for)}


@repeating.atomic
def release(mailbox: Mailbox, *, actor: Actor, reason: str = "", approval: int | None = None) -> Mailbox:
    """Back to active from quarantine or probing, with no failures counted; a hold stays.

    Wants a probe of 20 clean mails in a row and 3 days, or a reason to do without. One on a ramp comes back with half
    of its cap, and ramps on from there. Raises InvalidMove, NotReady, NeedsApproval.
    """
    actor.require("mailboxes.release", mailbox)
    mailbox = _locked(mailbox)
    if mailbox.state not in RELEASABLE:
        raise InvalidMove(
            f"{mailbox} is {mailbox.state}; only a quarantined or probing mailbox can be released.",
            source=mailbox.state,
            target="active",
        )
    case = open_case(mailbox)
    lacking = probation(mailbox, case)["lacking"] if case is not None else []
    if lacking and not reason.strip():
        raise NotReady(
            f"{mailbox} has not passed its probation: {' '.join(lacking)} Give a reason to release it all the same.",
            lacking,
        )
    used = approvals.require(actor, "mailbox.release", mailbox, approval=approval)
    before = mailbox.state
    mailbox.move_to(Mailbox.State.ACTIVE)
    mailbox.state_reason, mailbox.failures = reason, 0
    ramp.come_back(mailbox)
    mailbox.save(update_fields=["state", "state_reason", "failures", "ramp_cap"])
    close_case(mailbox, QuarantineCase.Outcome.RELEASED, reason)
    audit.record(
        actor, "mailbox.released", mailbox, reason=reason, before=before, after=mailbox.state,
        approval=used and used.pk, lacking=len(lacking),
    )  # fmt: skip
    return mailbox


@repeating.atomic
def hand_over(mailbox: Mailbox, *, actor: Actor, reason: str = "") -> int:
    """Do to who is bound to a mailbox out of use what the policies say now; return how many no longer wait for it.

    For mail that was past its dot when the mailbox went and came back since, and for policies that changed.
    """
    actor.require("mailboxes.release", mailbox)
    pool = lock_pool(mailbox)
    box, _rows = lock(mailbox)
    if box.state not in (Mailbox.State.QUARANTINED, Mailbox.State.RETIRED):
        raise InvalidMove(f"{box} is {box.state}; its threads are its own.", source=box.state, target=box.state)
    retirement = box.retirements.first()
    case = open_case(box)
    stand_in = retirement.successor if retirement is not None else case.promoted if case is not None else None
    if not reserves.serves(stand_in):
        others = reserves.candidates(box, reserves.SERVING) if retirement is not None else []
        stand_in = reserves.successor_of(box, others)
    counts: Any = {box.pk: 0}
    hooks.call(
        "mailboxes.withdrawn", mailbox_ids=[box.pk], reason=reason, handed_over=counts,
        successors={box.pk: stand_in.pk if stand_in is not None else None},
        instead_of_wait=retirement.threads if retirement is not None else "",
    )  # fmt: skip
    audit.record(actor, "mailbox.threads_handed_over", box, reason=reason, people=counts[box.pk], pool=pool.pk)
    return counts[box.pk]


def _locked(mailbox: Mailbox) -> Mailbox:
    return Mailbox.objects.select_for_update(no_key=True).get(pk=mailbox.pk)
