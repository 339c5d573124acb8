"""The end of a mailbox, and what stays to be done after it: its address, late answers, waiting threads."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import Any

from django.utils.timezone import now as this_moment

from mailboxes.models import Mailbox, QuarantineCase, Retirement
from mailboxes.reserves import Handover
from mailboxes.services import quarantine, ramp, reserves
from outreach.common import addresses, hooks, repeating, yaml_files
from outreach.common.errors import BadInput, InvalidMove, NotReady
from tenants.models import User
from tenants.services import actors, audit
from tenants.services.actors import Actor

DAYS_KEPT = 60  # of the address, after the last mail
DAYS_KEPT_BY_DEFAULT = 90
LONGEST_KEPT = 3660  # days from now


@repeating.atomic
def retire(
    mailbox: Mailbox, *, actor: Actor, reason: str, kept_as: str, keep_until: date, replies_to: str, threads: str,
    promote: bool = False,
) -> Mailbox:  # fmt: skip
    """Out of use for good; its rows stay for the history. There is no way back.

    The answers that it wants: how its address is kept (`kept_as`) and until when, at least 60 days after the last mail;
    to whom late answers go (a person of the console or an address); what becomes of `threads` whose campaign would
    wait; whether a reserve takes its place, which the swap brake may refuse. Raises BadInput that names the field,
    InvalidMove, NotReady when nobody could go on with threads that are to.
    """
    actor.require("mailboxes.quarantine", mailbox)
    actor.require("mailboxes.release", mailbox)  # who may not put one back may not end one either
    pool = quarantine.lock_pool(mailbox)
    box, rows = quarantine.lock(mailbox)
    before = box.state
    box.move_to(Mailbox.State.RETIRED)
    answers = _answers(box, kept_as, keep_until, replies_to, threads)
    reserve, successor = None, None
    if promote:
        if reserves.brake_of(pool.pk).is_pulled:
            raise NotReady(f"The swap brake of {pool} keeps its reserves today; retire without one, or tomorrow.", [])
        reserve = reserves.successor_of(box, [row for row in reserves.candidates(box) if row.pk in rows])
        if reserve is None:
            raise NotReady(f"{pool} has no reserve that could take the place of {box}; retire it without one.", [])
        quarantine.promote_to_rotation(reserve, f"in place of {box}")
    successor = reserve or reserves.successor_of(box, reserves.candidates(box, reserves.SERVING))
    leaving = reserves.leaving_of([box])
    wants = [one for one in leaving.campaigns if _deed(one.policy, threads) == Handover.NEW_THREAD and one.bound]
    if wants and successor is None:
        n = sum(one.bound for one in wants)
        raise NotReady(f"No mailbox of {pool} could go on with {n} threads of {box}; let them end instead.", [])
    box.state_reason = reason
    box.save(update_fields=["state", "state_reason"])
    quarantine.close_case(box, QuarantineCase.Outcome.RETIRED, reason)
    handed_over: Counter[int] = Counter()
    hooks.call(
        "mailboxes.withdrawn", mailbox_ids=[box.pk], reason=reason, instead_of_wait=threads, handed_over=handed_over,
        successors={box.pk: successor.pk if successor is not None else None},
    )  # fmt: skip
    made = Retirement.objects.create(
        tenant_id=box.tenant_id, mailbox=box, pool=pool, reason=reason[:500], threads=threads, successor=successor,
        promoted=reserve is not None, handed_over=handed_over[box.pk], last_sent_on=reserves.last_sent_on(box),
        **answers,
    )  # fmt: skip
    if reserve is not None:
        audit.record(actor, "mailbox.promoted", reserve, instead_of=box.pk, after=reserve.state)
    audit.record(
        actor, "mailbox.retired", box, reason=reason, before=before, after=box.state, keep_until=made.keep_until,
        threads=threads, people=made.handed_over,
    )  # fmt: skip
    return box


def _deed(policy: str, threads: str) -> str:
    return threads if policy == Handover.WAIT else policy


def _answers(box: Mailbox, kept_as: str, keep_until: date, replies_to: str, threads: str) -> dict[str, Any]:
    """The answers as they are stored. Raises BadInput that names the field."""
    if kept_as not in Retirement.Kept.values:
        raise BadInput(f"The address is kept as one of {', '.join(Retirement.Kept.values)}.", field="kept_as")
    if threads not in Retirement.Threads.values:
        raise BadInput(f"Threads: one of {', '.join(Retirement.Threads.values)}.", field="threads")
    earliest = keep_at_least_until(box)
    if keep_until < earliest:
        raise BadInput(
            f"People answer late: keep the address at least until {earliest}, {DAYS_KEPT} days after the last mail.",
            field="keep_until",
        )
    if keep_until > ramp.day_of(box.tenant) + timedelta(days=LONGEST_KEPT):
        raise BadInput("Nobody keeps an address that long; choose a day within ten years.", field="keep_until")
    return {"kept_as": kept_as, "keep_until": keep_until, **_assignee(box, replies_to)}


def keep_at_least_until(box: Mailbox) -> date:
    """The first day on which the address may go: 60 days after the last mail, today for one that never sent any."""
    today, last = ramp.day_of(box.tenant), reserves.last_sent_on(box)
    return today if last is None else max(last + timedelta(days=DAYS_KEPT), today)


def _assignee(box: Mailbox, given: str) -> dict[str, Any]:
    """A person who may see the mailbox, by the sign-in address, or else any address but the mailbox's own."""
    given = given.strip()
    if not given or not yaml_files.storable(given):
        raise BadInput("Late answers need somebody who reads them: a person or an address.", field="replies_to")
    person = User.objects.filter(email__iexact=given, is_active=True).first()
    if person is not None and actors.of_user(person).can("mailboxes.view", box.tenant_id):
        return {"replies_to_user": person, "replies_to": ""}
    address = addresses.parse(given)
    if address.wire.lower() == box.address_key:
        raise BadInput("The mailbox ends; its late answers can't go to itself.", field="replies_to")
    return {"replies_to_user": None, "replies_to": address.wire}


@repeating.atomic
def assign(retirement: Retirement, *, actor: Actor, replies_to: str, reason: str = "") -> Retirement:
    """Late answers go to somebody else from now on. Raises BadInput, InvalidMove once the address is given up."""
    actor.require("mailboxes.release", retirement)
    retirement = _open(retirement)
    for name, value in _assignee(retirement.mailbox, replies_to).items():
        setattr(retirement, name, value)
    retirement.save(update_fields=["replies_to_user", "replies_to"])
    audit.record(actor, "retirement.assigned", retirement, reason=reason, to_user=retirement.replies_to_user_id)
    return retirement


@repeating.atomic
def give_up_address(retirement: Retirement, *, actor: Actor, reason: str = "") -> Retirement:
    """The address is no longer kept: the last point of the checklist. Raises NotReady before its day."""
    actor.require("mailboxes.release", retirement)
    retirement = _open(retirement)
    lacking = [point["text"] for point in open_points(retirement) if point["key"] != "address"]
    if ramp.day_of(retirement.mailbox.tenant) < retirement.keep_until:
        lacking.insert(0, f"Its address stays until {retirement.keep_until}.")
    if lacking:
        raise NotReady(f"The address of {retirement} can't be given up yet: {' '.join(lacking)}", lacking)
    retirement.given_up_at = this_moment()
    retirement.save(update_fields=["given_up_at"])
    audit.record(actor, "retirement.address_given_up", retirement, reason=reason)
    return retirement


def _open(retirement: Retirement) -> Retirement:
    rows = Retirement.objects.select_related("mailbox__tenant").select_for_update(of=("self",), no_key=True)
    found = rows.get(pk=retirement.pk)
    if found.given_up_at is not None:
        raise InvalidMove(f"The address of {found} was given up.", source="given_up", target="given_up")
    return found


def open_points(retirement: Retirement) -> list[dict[str, Any]]:
    """What is still open, each with `key`, `text` and `until` (a date or None); empty once the address is given up."""
    if retirement.given_up_at is not None:
        return []
    found: list[dict[str, Any]] = [
        {
            "key": "address",
            "text": f"{retirement.get_kept_as_display()}; late answers go to {assignee_of(retirement)}.",
            "until": retirement.keep_until,
        }
    ]
    leaving = reserves.leaving_of([retirement.mailbox])
    if leaving.bound:
        text = f"{leaving.bound} people still wait for a mail from it; hand them over."
        found.append({"key": "threads", "text": text, "until": None})
    if leaving.under_way:
        text = f"{leaving.under_way} mails may have gone out or not; settle them."
        found.append({"key": "under_way", "text": text, "until": None})
    return found


def assignee_of(retirement: Retirement) -> str:
    """Who gets late answers, for people."""
    person = retirement.replies_to_user
    return person.get_username() if person is not None else retirement.replies_to
