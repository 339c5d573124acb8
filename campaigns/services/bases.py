"""On what ground a tenant may write to people of a country: the table that holds for it, and its own rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from campaigns import bases
from campaigns.bases import Own, Table
from campaigns.basis_table import DEFAULTS, OTHERS, Ground, version_on
from campaigns.ledger import moves, planning, waiting
from campaigns.models import BasisRule, Contact
from campaigns.services import campaigns, contact_rows
from mailboxes.services import ramp
from outreach.common import repeating, yaml_files
from outreach.common.errors import BadInput
from tenants.models import Tenant
from tenants.services import approvals, audit
from tenants.services.actors import Actor

LONGEST_REASON = 500


def effective(tenant: Tenant, day: date) -> Table:
    """What holds for the tenant on that day of its zone."""
    return _table(tenant, _own(tenant), day)


def rules_of(tenant: Tenant) -> list[BasisRule]:
    """The tenant's own rules in the order in which they come into force."""
    return list(BasisRule.objects.filter(tenant=tenant).order_by("valid_from", "version"))


def looser(tenant: Tenant, rule: Own, valid_from: date) -> list[tuple[str, str, Ground]]:
    """(country, kind, ground) of what the rule would newly allow, on its first day or on a day of a later rule's."""
    own = _own(tenant)
    days = {valid_from, *(day for day, _rule in own if day > valid_from)}
    days |= {version.since for version in DEFAULTS if version.since > valid_from}
    found: list[tuple[str, str, Ground]] = []
    for day in sorted(days):
        found += bases.looser(_table(tenant, own, day), _table(tenant, _with(own, rule, valid_from), day))
    return list(dict.fromkeys(found))


def in_codes(grounds: Sequence[Ground] | None) -> str:
    """Grounds as one stable line, as in "consent; implied_consent+enquiry/6 months"; what is agreed on and audited."""
    if grounds is None:
        return "the default"
    return "; ".join(_in_code(ground) for ground in grounds) or "nothing"


def _in_code(ground: Ground) -> str:
    code = "+".join([ground.basis, *sorted(ground.terms)])
    code += "" if ground.max_months is None else f"/{ground.max_months} months"
    code += "/evidence" if ground.needs_evidence else ""
    return code + ("/postal address" if ground.postal_address else "")


@repeating.atomic
def set_rule(
    tenant: Tenant,
    country: str,
    grounds: Any,
    *,
    actor: Actor,
    reason: str,
    person_kind: str = "",
    valid_from: date | None = None,
    approval: int | None = None,
) -> BasisRule:
    """A rule of the tenant's own from that day on (today in its zone, unless said), for all that came before it.

    `grounds` as campaigns.bases.as_json has them; an empty list: nobody may be written to; None: the default again.
    Country and kind as BasisRule has them. What allows nobody more than before one person may set; else a second one
    has to agree. From today on it holds at once: what is planned goes back, and who waited for a basis is looked at
    again. Raises NotAllowed, NeedsApproval, BadInput that names the field.
    """
    actor.require("campaigns.set_basis_rules", tenant)
    rule, reason = _rule(country, person_kind, grounds), _reason(reason)
    tenant = Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    today = ramp.day_of(tenant)
    first = valid_from or today
    if first < today:
        raise BadInput("The day lies in the past, and what was sent then is sent.", field="valid_from")
    known = rules_of(tenant)
    used = approvals.require(
        actor, "bases.loosen", tenant, approval=approval, country=rule.country, person_kind=rule.person_kind,
        grounds=None if rule.grounds is None else bases.as_json(rule.grounds), valid_from=first,
    )  # fmt: skip
    made = BasisRule.objects.create(
        tenant=tenant, version=max((one.version for one in known), default=0) + 1, country=rule.country,
        person_kind=rule.person_kind, grounds=None if rule.grounds is None else bases.as_json(rule.grounds),
        valid_from=first, reason=reason, approval_ref=used.pk if used else None,
    )  # fmt: skip
    if first == today:
        campaigns.want_plan(tenant.pk)
        planning.wait(tenant.pk)
        moves.take_back("m.tenant_id = %(tenant)s", {"tenant": tenant.pk})
        waiting.look_now([tenant.pk], *waiting.BASIS)
    facts = {"country": rule.country or "others", "people": rule.person_kind or "all", "version": made.version}
    audit.record(
        actor, "basis_rule.set", made, reason=reason, after=in_codes(rule.grounds), valid_from=first.isoformat(),
        approval=used and used.pk, **facts,
    )  # fmt: skip
    return made


def _rule(country: str, person_kind: str, grounds: Any) -> Own:
    country = country.strip().upper()
    if country != OTHERS and country not in contact_rows.countries():
        raise BadInput(
            f"{country[:10]!r} is no country code of ISO 3166-1; leave it empty for all countries without a row.",
            field="country",
        )
    if person_kind and person_kind not in Contact.PersonKind.values:
        raise BadInput(f"There are {', '.join(Contact.PersonKind.values)}, or leave it empty.", field="person_kind")
    try:
        return Own(0, country, person_kind, None if grounds is None else bases.of_json(grounds))
    except ValueError as error:
        raise BadInput(str(error), field="grounds") from error


def _reason(given: str) -> str:
    reason = given.strip()[:LONGEST_REASON]
    if not reason:
        raise BadInput("Write what the rule rests on: who says so, and where.", field="reason")
    if not yaml_files.storable(reason):
        raise BadInput("The reason has a character that can't be stored.", field="reason")
    return reason


def _own(tenant: Tenant) -> list[tuple[date, Own]]:
    return [
        (
            row.valid_from,
            Own(
                row.version, row.country, row.person_kind,
                None if row.grounds is None else bases.of_json(row.grounds), row.reason,
            ),
        )
        for row in rules_of(tenant)
    ]  # fmt: skip


def _with(own: Sequence[tuple[date, Own]], rule: Own, valid_from: date) -> list[tuple[date, Own]]:
    """The rules with one more, which is the last one of its day."""
    before = [one for one in own if one[0] <= valid_from]
    return [*before, (valid_from, rule), *own[len(before) :]]


def _table(tenant: Tenant, own: Iterable[tuple[date, Own]], day: date) -> Table:
    return bases.table_of(
        version_on(day),
        [rule for since, rule in own if since <= day],
        has_postal_address=bool(tenant.postal_address.strip()),
    )
