"""What of the fleet may need a second person: more mail from a mailbox, and opening what was closed."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext_lazy as _

from mailboxes import edits
from mailboxes.edits import Difference, Plan, Refused
from mailboxes.models import BulkEdit, Mailbox, ProviderAccount, RampPlan, SendingDomain
from tenants.acts import Act, Terms, register, up_to
from tenants.models import ApprovalPolicy, Tenant


def raised_cap(policy: ApprovalPolicy, mailbox: Mailbox, *, daily_cap: int) -> Terms | None:
    """A cap above the line that is higher than the one of now; lowering one is free."""
    if policy.cap_above is None or daily_cap <= max(policy.cap_above, mailbox.daily_cap):
        return None
    return {"daily_cap": daily_cap}


def left_ramp(policy: ApprovalPolicy, mailbox: Mailbox) -> Terms | None:
    """A tenant that has a line for caps has one for leaving a ramp early: the cap jumps where steps were to lead."""
    if policy.cap_above is None or mailbox.daily_cap <= mailbox.cap_of_day:
        return None
    return {"daily_cap": mailbox.daily_cap}


def left_domain_ramp(policy: ApprovalPolicy, domain: SendingDomain) -> Terms | None:
    """As for a mailbox; `daily_cap` is what it may send then, None: as much as its mailboxes may."""
    if policy.cap_above is None or domain.ramp_cap is None:
        return None
    if domain.daily_cap is not None and domain.daily_cap <= domain.ramp_cap:
        return None
    return {"daily_cap": domain.daily_cap}


def covers_cap(agreed: Terms, asked: Terms) -> bool:
    """An agreement to so much a day or no limit covers less."""
    if agreed["daily_cap"] is None or asked["daily_cap"] is None:
        return agreed["daily_cap"] is None
    return asked["daily_cap"] <= agreed["daily_cap"]


def difference(edit: BulkEdit, cap_above: int | None, boxes: Sequence[Mailbox]) -> Difference:
    """What a draft would make of these mailboxes, or what undoing an edit that was done would. Without waiting mail."""
    found = Difference()
    if edit.state == BulkEdit.State.DRAFT:
        wish = edit.wanted
        plans = {
            pk: Plan(start, ceiling)
            for pk, start, ceiling in RampPlan.objects.filter(tenant=edit.tenant_id).values_list(
                "pk", "start", "ceiling"
            )
        }
        for box in boxes:
            before = edits.image(box)
            found.add(box, before, edits.wished(before, wish, plans), cap_above)
        return found
    there = {box.pk: box for box in boxes}
    for row in edit.rows.filter(refused="").order_by("mailbox_ref"):
        if row.mailbox_ref not in there:
            found.refused.append(Refused(row.mailbox_ref, f"mailbox {row.mailbox_ref}", "is gone"))
            continue
        box = there[row.mailbox_ref]
        now = edits.image(box)
        found.add(box, now, edits.restored(now, row.before, row.after), cap_above)
    return found


def bulk_raised(policy: ApprovalPolicy, edit: BulkEdit) -> Terms | None:
    """As for one mailbox, but for all that the edit, or its undoing, raises: agreed on are exactly these."""
    if policy.cap_above is None:
        return None
    boxes = Mailbox.objects.filter(tenant=edit.tenant_id, pk__in=edit.mailbox_ids).order_by("pk")
    return difference(edit, policy.cap_above, list(boxes)).raises()


def exported(policy: ApprovalPolicy, tenant: Tenant, *, rows: int) -> Terms | None:
    return None if policy.export_above is None or rows <= policy.export_above else {"rows": rows}


def released(policy: ApprovalPolicy, mailbox: Mailbox) -> Terms | None:
    return {} if policy.release else None


def reopened(policy: ApprovalPolicy, account: ProviderAccount) -> Terms | None:
    return {} if policy.account else None


def allowed_bases(policy: ApprovalPolicy, account: ProviderAccount, *, bases: list[str]) -> Terms | None:
    """More bases than before; fewer of them are free. Agreed on are these bases, all of them."""
    if not policy.bases or set(bases) <= set(account.allowed_bases):
        return None
    return {"bases": ", ".join(sorted(set(bases)))}


RAISE_CAP = Act(
    "mailbox.raise_cap", _("Raising a cap"), "mailboxes.Mailbox", "mailboxes.set_cap", raised_cap,
    up_to("daily_cap"), ("daily_cap",), line="cap_above",
)  # fmt: skip
LEAVE_RAMP = Act(
    "mailbox.leave_ramp", _("Leaving a ramp early"), "mailboxes.Mailbox", "mailboxes.ramp", left_ramp,
    up_to("daily_cap"), line="cap_above",
)  # fmt: skip
LEAVE_DOMAIN_RAMP = Act(
    "domain.leave_ramp", _("Leaving a domain's ramp early"), "mailboxes.SendingDomain", "mailboxes.ramp",
    left_domain_ramp, covers_cap, line="cap_above",
)  # fmt: skip
RELEASE = Act(
    "mailbox.release", _("Releasing from quarantine"), "mailboxes.Mailbox", "mailboxes.release", released,
    line="release",
)  # fmt: skip
REOPEN = Act(
    "account.reopen", _("Reopening a provider account"), "mailboxes.ProviderAccount", "mailboxes.set_account_state",
    reopened, line="account",
)  # fmt: skip

ALLOW_BASES = Act(
    "account.allow_bases", _("Allowing more bases"), "mailboxes.ProviderAccount", "mailboxes.set_bases", allowed_bases,
    given=("bases",), line="bases",
)  # fmt: skip
BULK_RAISE = Act(
    "mailboxes.bulk_raise_cap", _("Raising many caps"), "mailboxes.BulkEdit", "mailboxes.edit", bulk_raised,
    line="cap_above",
)  # fmt: skip
EXPORT = Act(
    "mailboxes.export", _("Exporting mailboxes"), "tenants.Tenant", "mailboxes.export", exported, up_to("rows"),
    ("rows",), line="export_above",
)  # fmt: skip


def register_all() -> None:
    for act in (RAISE_CAP, LEAVE_RAMP, LEAVE_DOMAIN_RAMP, RELEASE, REOPEN, ALLOW_BASES, BULK_RAISE, EXPORT):
        register(act)
