"""What campaigns does when the apps below withdraw something, and what it tells them of the mail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from campaigns import reports
from campaigns.findings import Report
from campaigns.ledger import handover, moves, planning, waiting
from campaigns.models import Campaign
from campaigns.pipeline import preflight as checks
from campaigns.services import campaigns, sharing
from mailboxes.models import Mailbox
from mailboxes.reserves import Leaving
from outreach.common import hooks, isolation


def withdrawn(
    *, mailbox_ids: Sequence[int], reason: str, successors: Mapping[int, int | None] | None = None,
    instead_of_wait: str = "", handed_over: Counter[int] | None = None, **_: Any,
) -> None:  # fmt: skip
    """Take back what these mailboxes were to send; people go to others or wait.

    `successors` names those that are out of use for long, each with the mailbox that takes its place or None. Of them
    nothing is left, a plan that is being made now included, and the campaigns' handover policy decides on who is bound
    to them; `handed_over` is told how many no longer wait.
    """
    if not mailbox_ids:
        return
    tenant_id = _tenant_of(mailbox_ids)
    campaigns.want_plan(tenant_id)  # locks the tenant's row, which comes before its messages
    if successors:
        planning.wait(tenant_id)
    moves.take_back("m.mailbox_id = ANY (%(mailboxes)s)", {"mailboxes": list(mailbox_ids)})
    for mailbox_id, successor in sorted((successors or {}).items()):
        count = handover.hand_over(mailbox_id, successor, instead_of_wait)
        if handed_over is not None:
            handed_over[mailbox_id] += count


def leaving(*, tenant_ids: Sequence[int], mailbox_ids: Sequence[int], found: Leaving, **_: Any) -> None:
    """Say whom these mailboxes were to write to."""
    handover.look(tenant_ids, mailbox_ids, found)


def brake_pulled(*, pool_id: int, reason: str, halted: list[Any], **_: Any) -> None:
    """Halt what sends from the pool. Who pulled it takes the mail back and records the halts, rows in `halted`."""
    halted += campaigns.halt_pool(pool_id, reason=reason)


def counting_clean(*, mailbox: Mailbox, since: datetime, found: dict[str, int], **_: Any) -> None:
    """Put into `found` how many mails in a row went out clean since then, how many in all, and how many badly."""
    counts = handover.clean_mails(mailbox.tenant_id, mailbox.pk, since)
    found.update(zip(("clean", "sent", "bad"), counts, strict=True))


def mailbox_cap_lowered(*, mailbox_ids: Sequence[int], reason: str, **_: Any) -> None:
    """As `withdrawn`, a plan that is being made under the old cap, or for the old pool, included."""
    if not mailbox_ids:
        return
    tenant_id = _tenant_of(mailbox_ids)
    campaigns.want_plan(tenant_id)  # first: who lowers a tenant's cap holds its row when it waits for the planner
    planning.wait(tenant_id)
    withdrawn(mailbox_ids=mailbox_ids, reason=reason)


def _tenant_of(mailbox_ids: Sequence[int]) -> int:
    return Mailbox.objects.filter(pk=mailbox_ids[0]).values_list("tenant_id", flat=True).get()


def suspended(*, tenant: Any, **_: Any) -> None:
    """Take back everything the tenant was to send."""
    moves.take_back("m.tenant_id = %(tenant)s", {"tenant": tenant.pk})


def tenant_cap_lowered(*, tenant: Any, **_: Any) -> None:
    """Take back everything the tenant was to send, a plan that is being made now included."""
    planning.wait(tenant.pk)
    moves.take_back("m.tenant_id = %(tenant)s", {"tenant": tenant.pk})


def record_written(*, tenant: Any, fields: Collection[str], **_: Any) -> None:
    """Suppression may be shared from now on: have what waits looked at."""
    if "suppression_sharing_on" in fields:
        sharing.ring(tenant)


def frequency_set(*, tenant: Any, tighter: bool, **_: Any) -> None:
    """Look again at those who wait for the old limits; under tighter ones also at those who have a slot already."""
    if tighter:
        tenant_cap_lowered(tenant=tenant)
    waiting.look_now([tenant.pk], waiting.FREQUENCY)


def counting_sent(*, tenant: Any, since: date, until: date, counts: Counter[tuple[int, date]], **_: Any) -> None:
    """Add what each mailbox really sent on the days from `since` to before `until`, by (mailbox id, day)."""
    counts.update(reports.sent_by_mailbox_day(tenant, since, until))


def counting_waiting(*, mailbox_ids: Sequence[int], counts: Counter[int], **_: Any) -> None:
    """Add what each mailbox was to send and would lose by being withdrawn, by mailbox id."""
    counts.update(reports.waiting_by_mailbox(mailbox_ids))


def judging(*, tenant: Any, day: date, signals: dict[int, str], **_: Any) -> None:
    """Name the mailboxes whose mail is refused too often, unless something worse is known of them."""
    for pk, text in reports.refused_mailboxes(tenant, day).items():
        signals.setdefault(pk, text)


def last_sent(*, domain_ids: Sequence[int], found: dict[int, datetime], **_: Any) -> None:
    """Say when the last mail of each domain passed its final dot; domains that never sent stay out."""
    found.update(reports.last_sent_by_domain(domain_ids))


def judging_domains(*, tenant: Any, day: date, signals: dict[int, str], **_: Any) -> None:
    """As `judging`, of the mail of all mailboxes of a sending domain together."""
    for pk, text in reports.refused_domains(tenant, day).items():
        signals.setdefault(pk, text)


def bases_changed(*, mailbox_ids: Sequence[int], tenant_id: int, fewer: bool, more: bool, **_: Any) -> None:
    """The account of these mailboxes allows other bases: what it may not carry goes back, who waited is looked at.

    A plan that is being made now still knows the bases of before, and what it writes is taken back as well.
    """
    campaigns.want_plan(tenant_id)
    if fewer and mailbox_ids:
        mailbox_cap_lowered(mailbox_ids=mailbox_ids, reason="fewer bases allowed")
    if more:
        waiting.look_now([tenant_id], *waiting.BASIS)


def bases_needed(*, pool_ids: Sequence[int], found: dict[int, set[str]], **_: Any) -> None:
    """Say on what bases the people stand whom the running campaigns of these pools still have to write to."""
    found.update(reports.bases_by_pool(pool_ids))


def account_suspended(*, account: Any, actor: Any, reason: str, **_: Any) -> None:
    """Pause what sends from a pool with a mailbox there: its mail is not to go round the host's no."""
    pools = Mailbox.objects.filter(home=account).exclude(state=Mailbox.State.RETIRED).values("pool_id")
    running = Campaign.objects.filter(pool__in=pools, status=Campaign.Status.RUNNING)
    for campaign in running.order_by("pk"):
        campaigns.pause(campaign, actor=actor, reason=f"{account} is suspended: {reason}"[:500])


def contract_changed(*, tenant: Any, fewer: bool, more: bool, **_: Any) -> None:
    """The contract names other countries or bases: as for an account, but of all that the tenant sends."""
    campaigns.want_plan(tenant.pk)
    if fewer:
        tenant_cap_lowered(tenant=tenant)
    if more:
        waiting.look_now([tenant.pk], *waiting.BASIS)


def receiver_limited(*, operator: str, **_: Any) -> None:
    """Look again at those who wait for a receiver: there may be more room, whoever's people they are."""
    with isolation.everything():
        waiting.look_now(sorted(isolation.all_tenants()), waiting.RECEIVER)


def preflight(*, campaign: Campaign, report: Report, **_: Any) -> None:
    """Add what the checks of campaigns find."""
    checks.look(campaign, report)


def register() -> None:
    hooks.register("mailboxes.withdrawn", withdrawn)
    hooks.register("mailboxes.leaving", leaving)
    hooks.register("mailboxes.brake_pulled", brake_pulled)
    hooks.register("mailboxes.counting_clean", counting_clean)
    hooks.register("mailboxes.cap_lowered", mailbox_cap_lowered)
    hooks.register("mailboxes.bases_changed", bases_changed)
    hooks.register("mailboxes.bases_needed", bases_needed)
    hooks.register("mailboxes.account_suspended", account_suspended)
    hooks.register("mailboxes.moved", mailbox_cap_lowered)
    hooks.register("mailboxes.counting_waiting", counting_waiting)
    hooks.register("mailboxes.counting_sent", counting_sent)
    hooks.register("mailboxes.judging", judging)
    hooks.register("mailboxes.last_sent", last_sent)
    hooks.register("mailboxes.receiver_limited", receiver_limited)
    hooks.register("mailboxes.judging_domains", judging_domains)
    hooks.register("tenants.suspended", suspended)
    hooks.register("tenants.cap_lowered", tenant_cap_lowered)
    hooks.register("tenants.record_written", record_written)
    hooks.register("campaigns.preflight", preflight)
    hooks.register("tenants.contract_changed", contract_changed)
    hooks.register("tenants.frequency_set", frequency_set)
