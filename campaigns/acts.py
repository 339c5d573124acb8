"""What of campaigns and people may need a second person: large launches and exports, lifted suppressions, removed
lists of them, and stops."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from typing import Any

from django.db import connection
from django.utils.translation import gettext_lazy as _

from campaigns.bases import Own, of_json
from campaigns.models import Campaign, Stop, Suppression, SuppressionList, Variant
from campaigns.services import bases
from tenants.acts import Act, Terms, register, up_to
from tenants.models import ApprovalPolicy, Tenant

# How many are in the list, and a mark that changes when anybody is exchanged.
PEOPLE = """
SELECT count(*), to_hex(coalesce(bit_xor(hashint8extended(contact_id, 0)), 0))
FROM campaigns_listentry WHERE tenant_id = %s AND contact_list_id = %s"""
WORDING = ("position", "delay_hours", "delay_days", "subject", "text_body", "html_body")
VARIANTS = ("step__position", "label", "subject", "text_body", "html_body")


def launched(policy: ApprovalPolicy, campaign: Campaign) -> Terms | None:
    """Who would be written to, what, and from where: agreed on are these people and this wording, not the next ones."""
    if policy.launch_above is None or campaign.contact_list_id is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute(PEOPLE, [campaign.tenant_id, campaign.contact_list_id])
        contacts, people = cursor.fetchone()
    if contacts <= policy.launch_above:
        return None
    steps = campaign.steps.order_by("position", "pk").values_list(*WORDING)
    variants = Variant.objects.filter(step__campaign=campaign).order_by("step__position", "label", "pk")
    texts = [*steps, *variants.values_list(*VARIANTS)]
    wording = hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:16]
    return {
        "contacts": contacts, "people": people, "contact_list": campaign.contact_list_id, "pool": campaign.pool_id,
        "wording": wording,
    }  # fmt: skip


def revised(policy: ApprovalPolicy, campaign: Campaign, *, step: int, wording: str) -> Terms | None:
    """A launch that two people agreed on keeps its words, unless two agree on new ones."""
    contacts = campaign.enrolments.count()
    if policy.launch_above is None or contacts <= policy.launch_above:
        return None
    return {"step": step, "wording": wording}


def lifted(policy: ApprovalPolicy, entry: Suppression) -> Terms | None:
    """An entry of the platform holds everywhere, so two people always lift it."""
    return {"entry_reason": entry.reason} if policy.lift or entry.tenant_id is None else None


def list_removed(policy: ApprovalPolicy, row: SuppressionList) -> Terms | None:
    """How many would be mailed again: entries that come later were not agreed on."""
    if not policy.lift and row.tenant_id is not None:
        return None
    return {"entries": Suppression.objects.filter(suppression_list=row, lifted_at=None).count(), "kind": row.kind}


def stop_lifted(policy: ApprovalPolicy, stop: Stop) -> Terms | None:
    """What holds for every tenant two people always lift; a tenant's own stop, where its policy wants two for that."""
    if stop.tenant_id is None or (stop.scope == Stop.Scope.TENANT and policy.lift):
        return {"scope": stop.scope, "stopped_because": stop.reason}
    return None


def exported(policy: ApprovalPolicy, tenant: Tenant, *, rows: int) -> Terms | None:
    return None if policy.export_above is None or rows <= policy.export_above else {"rows": rows}


def bases_loosened(
    policy: ApprovalPolicy,
    tenant: Tenant,
    *,
    country: str,
    grounds: list[dict[str, Any]] | None,
    valid_from: date | str,
    person_kind: str = "",
) -> Terms | None:
    """A rule that allows somebody more than before; agreed on is the whole rule, from its day or a later one on."""
    first = date.fromisoformat(valid_from) if isinstance(valid_from, str) else valid_from
    rule = Own(0, country, person_kind, None if grounds is None else of_json(grounds))
    if not policy.bases or not bases.looser(tenant, rule, first):
        return None
    return {
        "country": country or "all others", "people": person_kind or "all", "allowed": bases.in_codes(rule.grounds),
        "from": first.isoformat(),
    }  # fmt: skip


def covers_rule(agreed: Terms, asked: Terms) -> bool:
    return {**agreed, "from": ""} == {**asked, "from": ""} and asked["from"] >= agreed["from"]


LAUNCH = Act(
    "campaign.launch", _("Launching"), "campaigns.Campaign", "campaigns.start", launched,
    line="launch_above",
)  # fmt: skip
REVISE = Act(
    "campaign.revise", _("Revising a step"), "campaigns.Campaign", "campaigns.start", revised,
    given=("step", "wording"), line="launch_above",
)  # fmt: skip
LIFT = Act(
    "suppression.lift", _("Lifting a suppression"), "campaigns.Suppression", "campaigns.lift", lifted,
    over_platform="campaigns.suppress_platform", line="lift",
)  # fmt: skip
REMOVE_LIST = Act(
    "suppression_list.remove", _("Removing a suppression list"), "campaigns.SuppressionList", "campaigns.lift",
    list_removed, up_to("entries"), over_platform="campaigns.suppress_platform", line="lift",
)  # fmt: skip
LIFT_STOP = Act(
    "stop.lift", _("Lifting a stop"), "campaigns.Stop", "campaigns.stop", stop_lifted,
    over_platform="campaigns.stop_platform", line="lift",
)  # fmt: skip
LOOSEN_BASES = Act(
    "bases.loosen", _("Allowing more bases in a country"), "tenants.Tenant", "campaigns.set_basis_rules",
    bases_loosened, covers_rule, ("country", "person_kind", "grounds", "valid_from"), line="bases",
)  # fmt: skip
EXPORT = Act(
    "people.export", _("Exporting people"), "tenants.Tenant", "campaigns.export", exported, up_to("rows"), ("rows",),
    line="export_above",
)  # fmt: skip


def register_all() -> None:
    for act in (LAUNCH, REVISE, LIFT, REMOVE_LIST, LIFT_STOP, LOOSEN_BASES, EXPORT):
        register(act)
