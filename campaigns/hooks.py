"""What campaigns does when the apps below withdraw something, and what it tells them of the mail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any

from campaigns import reports
from campaigns.ledger import moves, planning
from campaigns.services import campaigns
from mailboxes.models import Mailbox
from outreach.common import hooks


def withdrawn(*, mailbox_ids: Sequence[int], reason: str, **_: Any) -> None:
    """Take back what these mailboxes were to send; people go to others or wait."""
    if not mailbox_ids:
        return
    campaigns.want_plan(_tenant_of(mailbox_ids))  # locks the tenant's row, which comes before its messages
    moves.take_back("m.mailbox_id = ANY (%(mailboxes)s)", {"mailboxes": list(mailbox_ids)})


def mailbox_cap_lowered(*, mailbox_ids: Sequence[int], reason: str, **_: Any) -> None:
    """As `withdrawn`, a plan that is being made under the old cap included."""
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


def counting_sent(*, tenant: Any, since: date, until: date, counts: Counter[tuple[int, date]], **_: Any) -> None:
    """Add what each mailbox really sent on the days from `since` to before `until`, by (mailbox id, day)."""
    counts.update(reports.sent_by_mailbox_day(tenant, since, until))


def judging(*, tenant: Any, day: date, signals: dict[int, str], **_: Any) -> None:
    """Name the mailboxes whose mail is refused too often, unless something worse is known of them."""
    for pk, text in reports.refused_mailboxes(tenant, day).items():
        signals.setdefault(pk, text)


def register() -> None:
    hooks.register("mailboxes.withdrawn", withdrawn)
    hooks.register("mailboxes.cap_lowered", mailbox_cap_lowered)
    hooks.register("mailboxes.counting_sent", counting_sent)
    hooks.register("mailboxes.judging", judging)
    hooks.register("tenants.suspended", suspended)
    hooks.register("tenants.cap_lowered", tenant_cap_lowered)
