"""Named lists of suppressions: made, filled, shown with counts, and removed as one."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import IntegrityError, transaction
from django.db.models import Count, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.utils.timezone import now

from campaigns.models import Campaign, Suppression, SuppressionList
from outreach.common import yaml_files
from outreach.common.errors import BadInput, InvalidMove, Missing
from tenants.models import Tenant
from tenants.services import approvals, audit
from tenants.services.actors import Actor

OPT_OUTS = "Opt-outs"
# How many entries of a list hold, as a column of a query for lists.
HOLDING = Coalesce(
    Subquery(
        Suppression.objects.filter(suppression_list=OuterRef("pk"), lifted_at=None)
        .order_by().values("suppression_list").annotate(n=Count("pk")).values("n")
    ),
    0,
)  # fmt: skip


def plain(field: str, text: str, most: int) -> str:
    """What people write beside a list or an entry, trimmed. Raises BadInput that names the field."""
    if len(text.strip()) > most or not yaml_files.storable(text):
        raise BadInput(f"{field}: write at most {most} characters, none of them a control character.", field=field)
    return text.strip()


def find(tenant: Tenant | None, name: str) -> SuppressionList:
    """The list of that name in force, of a tenant or, without one, of the platform. Raises Missing."""
    found = SuppressionList.objects.filter(tenant=tenant, name=name.strip(), removed_at=None).first()
    if found is None:
        raise Missing(f"{tenant.slug if tenant else 'The platform'} has no suppression list {name.strip()[:100]!r}.")
    return found


def counts(rows: Sequence[SuppressionList]) -> dict[int, tuple[int, int]]:
    """How many entries of each list hold, and how many are lifted."""
    counted = Suppression.objects.filter(suppression_list__in=[row.pk for row in rows]).order_by()
    by_list = counted.values_list("suppression_list").annotate(
        hold=Count("pk", filter=Q(lifted_at=None)), lifted=Count("pk", filter=Q(lifted_at__isnull=False))
    )
    found = {pk: (hold, lifted) for pk, hold, lifted in by_list}
    return {row.pk: found.get(row.pk, (0, 0)) for row in rows}


@transaction.atomic
def create(
    tenant: Tenant | None, name: str, *, kind: str, actor: Actor, owner: str = "", source: str = ""
) -> SuppressionList:
    """Make an empty list, of a tenant or, without one, of the platform.

    Raises NotAllowed; BadInput that names the field; InvalidMove when one of that name is there.
    """
    if tenant is None:
        actor.require("campaigns.suppress_platform")
    else:
        actor.require("campaigns.suppress", tenant)
    if kind not in SuppressionList.Kind.values or kind == SuppressionList.Kind.OPT_OUT:
        known = ", ".join(each for each in SuppressionList.Kind.values if each != SuppressionList.Kind.OPT_OUT)
        raise BadInput(f"kind: write one of {known}; the list of opt-outs makes itself.", field="kind")
    values = {"name": plain("name", name, 100), "owner": plain("owner", owner, 200)}
    if not values["name"]:
        raise BadInput("name: write how the list is called.", field="name")
    if values["name"] == OPT_OUTS:
        raise BadInput(f"name: {OPT_OUTS!r} is the list that makes itself; take another.", field="name")
    try:
        with transaction.atomic():
            row = SuppressionList.objects.create(
                tenant=tenant, kind=kind, source=plain("source", source, 500), **values
            )
    except IntegrityError as error:
        raise InvalidMove(f"There is a list {values['name']!r} already.", source="there", target="there") from error
    audit.record(actor, "suppression_list.created", row, kind=kind)
    return row


def of_opt_outs(tenant: Tenant) -> SuppressionList:
    """The tenant's list of opt-outs, made when the first one comes."""
    opt_outs = SuppressionList.objects.filter(tenant=tenant, kind=SuppressionList.Kind.OPT_OUT)
    found = opt_outs.first()
    if found is None:
        made = SuppressionList(tenant=tenant, name=OPT_OUTS, kind=SuppressionList.Kind.OPT_OUT)
        SuppressionList.objects.bulk_create([made], ignore_conflicts=True)
        found = opt_outs.get()
    return found


def taking(row: SuppressionList, tenant: Tenant | None, campaign: Campaign | None = None) -> SuppressionList:
    """The list, locked until the transaction ends so that nobody removes it meanwhile.

    Raises BadInput when it is not for these entries, InvalidMove when it is removed.
    """
    if row.tenant_id != (tenant.pk if tenant else None) or campaign is not None:
        raise BadInput("The list is another scope's; its entries hold where the list does.", field="list")
    if row.kind == SuppressionList.Kind.OPT_OUT:
        raise BadInput("Opt-outs alone stand in that list; give the reason opt_out and no list.", field="list")
    row = SuppressionList.objects.select_for_update(of=("self",), no_key=True).get(pk=row.pk)
    if row.removed_at is not None:
        raise InvalidMove(f"The list {row} is removed.", source="removed", target="removed")
    return row


@transaction.atomic
def remove(row: SuppressionList, *, actor: Actor, reason: str, approval: int | None = None) -> SuppressionList:
    """Lift all entries of a list as one and close it; `lifted` of what returns says how many.

    Whoever stands in another list too, or is suppressed for a reason of his own, stays blocked, and people whom the
    list stopped stay stopped. List and entries stay on record. Raises NotAllowed; BadInput without a reason;
    InvalidMove for the opt-outs, which only their people take back, and for a removed list; NeedsApproval.
    """
    actor.require("campaigns.lift", row)
    if row.tenant_id is None:
        actor.require("campaigns.suppress_platform")
    reason = plain("reason", reason, 300)
    if not reason:
        raise BadInput("Write why these people may be mailed again; it stands in the audit.", field="reason")
    row = SuppressionList.objects.select_for_update(of=("self",), no_key=True).get(pk=row.pk)
    if row.kind == SuppressionList.Kind.OPT_OUT:
        raise InvalidMove(
            "The list of opt-outs can't be removed: each stands there by a person's own word.",
            source="opt_out", target="removed",
        )  # fmt: skip
    if row.removed_at is not None:
        raise InvalidMove(f"The list {row} is removed already.", source="removed", target="removed")
    used = approvals.require(actor, "suppression_list.remove", row, approval=approval)
    row.removed_at, row.removed_reason = now(), reason
    row.save(update_fields=["removed_at", "removed_reason"])
    entries = Suppression.objects.filter(suppression_list=row, lifted_at=None)
    row.lifted = entries.exclude(reason=Suppression.Reason.OPT_OUT).update(
        lifted_at=row.removed_at, lift_reason=f"list removed: {reason}"[:300]
    )
    facts = {"entries": row.lifted, "approval": used and used.pk}
    audit.record(actor, "suppression_list.removed", row, reason=reason, **facts)
    return row
