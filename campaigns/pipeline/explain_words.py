"""What holds mail, said so that a person knows what to do: a title and a remedy for every cause."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from campaigns.pipeline.explain_causes import Cause, Explanation

T = gettext_lazy
ASK_PLATFORM = T("Ask whoever runs the platform.")
WAIT = T("Nothing to do: it goes by itself.")

# (kind, name): title, remedy. Titles stand after "for", as in "20 for the mailbox's daily cap".
WORDS = {
    ("stop", "platform"): (T("a stop of everything"), T("Lift the stop when its reason is gone.")),
    ("stop", "tenant"): (T("a stop of the tenant"), T("Lift the stop when its reason is gone.")),
    ("stop", "organisation"): (T("a stop of the quota group"), T("Lift the stop when its reason is gone.")),
    ("stop", "account"): (T("a stop of the provider account"), T("Lift the stop when its reason is gone.")),
    ("stop", "domain"): (T("a stop of the sending domain"), T("Lift the stop when its reason is gone.")),
    ("stop", "receiver"): (T("a stop of mail to %(operator)s"), T("Lift the stop when its reason is gone.")),
    ("stop", "pool"): (T("a stop of the pool"), T("Lift the stop when its reason is gone.")),
    ("stop", "campaign"): (T("a stop of the campaign"), T("Lift the stop when its reason is gone.")),
    ("stop", "of_platform"): (T("a stop of the platform"), ASK_PLATFORM),
    ("stop", "tenant_suspended"): (T("the tenant's suspension"), T("Somebody who may has to let the tenant go on.")),
    ("stop", "tenant_closed"): (T("the tenant's end"), T("A closed tenant sends nothing more.")),
    ("stop", "campaign_paused"): (T("the pause of the campaign"), T("Resume the campaign.")),
    ("stop", "campaign_halted"): (T("the halt of the campaign"), T("See to the cause, then resume the campaign.")),
    ("stop", "campaign_draft"): (T("the start of the campaign"), T("Complete the draft and start it.")),
    ("stop", "campaign_review"): (T("the review of the campaign"), T("Finish the review and start it.")),
    ("stop", "campaign_scheduled"): (T("the campaign's start time"), T("Start it to send sooner.")),
    ("approval", "campaign.launch"): (T("a second person's yes to the launch"), T("Somebody else has to decide it.")),
    ("approval", "mailbox.release"): (
        T("a second person's yes to release mailboxes"),
        T("Somebody else has to decide it."),
    ),
    ("approval", "account.reopen"): (
        T("a second person's yes to reopen a provider account"),
        T("Somebody else has to decide it."),
    ),
    ("domain", "new"): (T("sending domains that are not verified"), T("Publish their DNS records and check them.")),
    ("domain", "too_young"): (T("sending domains registered too recently"), T("Wait: their pages say until when.")),
    ("domain", "blocked"): (T("blocked sending domains"), T("See why, mend it, and have them checked again.")),
    ("domain", "retired"): (T("retired sending domains"), T("Move the mailboxes to another domain.")),
    ("circuit", "quarantined"): (T("mailboxes in quarantine"), T("Release them, or let reserves take their place.")),
    ("circuit", "retired"): (T("the mailbox's end"), T("A retired mailbox sends nothing more.")),
    ("circuit", "locked"): (T("locked mailboxes"), T("Lift the lock when its reason is gone.")),
    ("circuit", "sign_in_failed"): (T("mailboxes that can't sign in"), T("Set the right password.")),
    ("circuit", "mailbox_blocked"): (T("mailboxes that rest after refusals"), WAIT),
    ("circuit", "no_health"): (T("mailboxes whose health is 0"), T("See what their mail came to.")),
    ("circuit", "account_paused"): (T("a paused provider account"), T("Reopen the account.")),
    ("circuit", "account_suspended"): (
        T("a provider account that its host suspended"),
        T("Settle it with the host, then reopen the account with its answer."),
    ),
    ("circuit", "account_blocked"): (T("a provider account that rests after refusals"), WAIT),
    ("circuit", "no_mailbox"): (T("a mailbox: the pool has none"), T("Import mailboxes into the pool.")),
    ("cap", "mailbox_day"): (T("the mailboxes' daily cap"), T("It is free again tomorrow; or add mailboxes.")),
    ("cap", "mailbox_hour"): (T("what the host lets a mailbox send in 24 hours"), T("Add mailboxes.")),
    ("cap", "domain_hour"): (T("the sending domain's hourly cap"), WAIT),
    ("cap", "domain_day"): (T("the sending domain's daily cap"), T("It is free again tomorrow; or add domains.")),
    ("cap", "account_hour"): (T("the provider account's hourly cap"), WAIT),
    ("cap", "quota_hour"): (T("the host's quota of 24 hours"), T("Wait, or raise the quota at the host.")),
    ("cap", "quota_rate"): (T("what the host takes in a second"), WAIT),
    ("cap", "receiver_hour"): (T("what %(operator)s takes from the sending domains"), WAIT),
    ("cap", "of_platform"): (T("a limit of the platform"), ASK_PLATFORM),
    ("cap", "campaign_total"): (
        T("the campaign's total"),
        T("Raise the total; or cancel the campaign, which then writes to nobody else."),
    ),
    ("cap", "campaign_day"): (T("the campaign's daily cap"), T("It is free again tomorrow; or raise the cap.")),
    ("cap", "tenant_day"): (T("the tenant's daily cap"), T("It is free again tomorrow; or raise the cap.")),
    ("gate", "suppressed"): (T("their end by the next run: they are suppressed"), WAIT),
    ("gate", "basis_expired"): (T("their end by the next run: their basis has expired"), WAIT),
    ("gate", "basis_contract"): (
        T("a basis and a country that the tenant's contract names"),
        T("Add to the tenant's record what was agreed on."),
    ),
    ("gate", "basis_country"): (
        T("a basis that is enough in their country"),
        T("Import what proves it, or take them out of the list."),
    ),
    ("gate", "basis_route"): (
        T("accounts whose hosts allow mail of their basis"),
        T("Send from another pool, or let an ops manager set what the accounts allow."),
    ),
    ("gate", "invalid"): (T("their end by the next run: their address is not valid"), WAIT),
    ("gate", "validation"): (T("their address to be validated"), T("Validate the contacts.")),
    ("gate", "frequency"): (T("the days that lie between mails to one person or company"), WAIT),
    ("gate", "conversation"): (T("a person to end a conversation"), T("Answer, then release the contact.")),
    ("gate", "quiet"): (T("the end of the time in which they want no mail"), WAIT),
    ("gate", "retry"): (T("the time of their next try"), WAIT),
    ("gate", "receiver"): (T("their receiver, which takes no more from the sending domains now"), WAIT),
    ("gate", "canary"): (
        T("the canary: how the first few mails turn out"),
        T("Nothing to do: it goes on by itself, or halts the campaign and says why."),
    ),
    ("gate", "out_of_office"): (T("the day on which they are back"), WAIT),
    ("gate", "due"): (T("the time of their next step"), WAIT),
    ("window", "closed"): (T("their window to open"), T("Widen the window to send sooner.")),
    ("holiday", "closed"): (T("a holiday to end"), T("Their window opens on the next working day.")),
    ("worker", "cron"): (
        T("the process that plans: nobody leads"),
        T("Start the console's cron process (manage.py up, or worker)."),
    ),
    ("worker", "planner"): (T("the planner, which has not run for a while"), T("See the log of the cron process.")),
    ("worker", "not_read"): (T("a worker: nobody reads the send queue"), T("Start a worker of the send queue.")),
    ("worker", "no_queue"): (T("the job queue, which does not answer"), T("Bring Redis back; nothing is lost.")),
    ("queue", "not_taken"): (T("a free worker"), T("Start more workers, if it stays like that.")),
    ("queue", "mailbox_busy"): (T("their mailbox, which a worker uses now"), WAIT),
    ("pace", "gap"): (T("the distance between a mailbox's mails"), T("Nothing to do; more mailboxes send faster.")),
    ("fleet", "fleet"): (T("room in the sending mailboxes"), ""),
}


def words(kind: str, name: str, **values: str) -> tuple[str, str]:
    """Title and remedy. What a gate that is not in the table waits for is told by its own name."""
    title, remedy = WORDS.get((kind, name), (name.replace("_", " "), WAIT))
    return str(title) % values if values else str(title), str(remedy)


def moment(at: datetime, now: datetime, zone: ZoneInfo) -> str:
    """A time as people of that zone say it: 14:05, tomorrow 09:00, 30 Nov 09:00."""
    local, here = at.astimezone(zone), now.astimezone(zone)
    clock = f"{local:%H:%M}"
    if local.date() == here.date():
        return clock
    if local.date() == here.date() + timedelta(days=1):
        return _("tomorrow %s") % clock
    return f"{date_format(local.date(), 'j M')} {clock}"


SHOWN = 3  # causes that the sentence names


def sentence(found: Explanation) -> str:
    """The answer in a line: what was sent of how much, and what the rest waits for."""
    zone = ZoneInfo(found.zone)
    gone = {name: found.number(name) for name in ("sent", "failed", "uncertain", "planned", "working")}
    total = sum(gone.values()) + found.waiting - found.overdue
    about = _("about ") if found.is_estimate else ""
    text = _("%(sent)s of %(about)s%(total)s sent today.") % {
        "sent": f"{gone['sent']:,}", "about": about, "total": f"{total:,}",
    }  # fmt: skip
    under_way = gone["planned"] + gone["working"] - found.overdue
    if under_way:
        text += " " + ngettext("%s is planned.", "%s are planned.", under_way) % f"{under_way:,}"
    if not found.waiting:
        return text + " " + (_("Nobody else waits.") if total else _("Nobody waits to be written to."))
    parts = [_part(cause, found.at, zone) for cause in _deciding(found.causes)[:SHOWN]]
    if found.ready:
        ahead = found.ready_at is not None and found.ready_at > found.at
        when = _(" at %s") % moment(found.ready_at, found.at, zone) if found.ready_at and ahead else ""
        parts.append(_("%(count)s for the planner's next run%(when)s") % {"count": f"{found.ready:,}", "when": when})
    rest = found.waiting - found.ready - sum(cause.decides for cause in _deciding(found.causes)[:SHOWN])
    if rest > 0:
        parts.append(_("%s for other things") % f"{rest:,}")
    waits = ngettext("%s waits", "%s wait", found.waiting) % f"{about}{found.waiting:,}"
    return f"{text} {waits}: {'; '.join(parts)}."


def _deciding(causes: Sequence[Cause]) -> list[Cause]:
    return [cause for cause in causes if cause.decides]


def _part(cause: Cause, now: datetime, zone: ZoneInfo) -> str:
    until = _(" until %s") % moment(cause.next_at, now, zone) if cause.next_at and cause.next_at > now else ""
    numbers = f" ({cause.used:,} of {cause.cap:,})" if cause.cap is not None and cause.used is not None else ""
    return _("%(count)s for %(title)s%(numbers)s%(until)s") % {
        "count": f"{cause.decides:,}", "title": cause.title, "numbers": numbers, "until": until,
    }  # fmt: skip
