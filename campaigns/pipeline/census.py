"""How many people of a list may be written to, by country, kind and basis: what a launch shows before it happens."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import connection

from campaigns import bases
from campaigns.bases import Refused
from campaigns.basis_table import needs_source_notice
from campaigns.models import ContactList
from campaigns.pipeline.bases import gate_of, of_all
from campaigns.services import bases as rules
from tenants.models import Tenant
from tenants.services import records

# People who are alike in all that a rule asks for; a date counts only as before or after the ends that rules know.
ALIKE = """
SELECT ct.country, ct.person_kind, ct.lawful_basis, ct.basis_terms, btrim(ct.basis_evidence) <> '' AS proven,
    coalesce(ct.basis_expires_on < %(day)s::date, FALSE) AS expired, ct.basis_date > %(day)s::date AS not_yet,
    (SELECT count(*) FROM unnest(%(months)s::int[]) AS m (n)
     WHERE (ct.basis_date + make_interval(months => m.n))::date < %(day)s::date) AS ends_passed,
    max(ct.basis_date), max(ct.basis_expires_on), count(*), count(*) FILTER (WHERE NOT ct.collected_directly)
FROM campaigns_listentry le
JOIN campaigns_contact ct ON ct.id = le.contact_id
WHERE le.tenant_id = %(tenant)s AND le.contact_list_id = %(contact_list)s
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8"""


@dataclass(frozen=True, slots=True)
class Row:
    """So many people who are judged alike. Allowed: `gate` is None and `refused` too.

    `gate` is the planner's name for it, `refused` says why and what would mend it. `to_notify` of the people have to
    be told in the first mail where their data is from.
    """

    country: str
    person_kind: str
    basis: str
    people: int
    gate: str | None
    refused: Refused | None
    to_notify: int


def census(contact_list: ContactList, tenant: Tenant, day: date, *, route: Collection[str] | None = None) -> list[Row]:
    """All people of the list, the most first. `route`: what the pool's ways out allow, None: not asked."""
    table, record = rules.effective(tenant, day), records.of(tenant)
    ends = {ground.max_months for cell in table.cells.values() for ground in cell.grounds}
    values: dict[str, Any] = {"day": day, "tenant": tenant.pk, "contact_list": contact_list.pk}
    values["months"] = sorted(months for months in ends if months is not None)
    with connection.cursor() as cursor:
        cursor.execute(ALIKE, values)
        groups = cursor.fetchall()
    counts: dict[tuple[str, str, str, str | None, Refused | None], list[int]] = {}
    for country, kind, basis, terms, proven, _expired, _not_yet, _passed, since, until, people, indirect in groups:
        found = bases.verdict(country, kind, basis, terms, since, until, day, evidence=proven, table=table)
        judged = of_all(found, country, basis, record, route)
        refused = judged if isinstance(judged, Refused) else None
        key = (country, kind, basis, gate_of(judged), refused)
        count = counts.setdefault(key, [0, 0])
        count[0] += people
        count[1] += indirect if needs_source_notice(country) else 0
    rows = [Row(*key[:3], count[0], key[3], key[4], count[1]) for key, count in counts.items()]
    return sorted(rows, key=lambda row: (-row.people, row.country, row.person_kind, row.basis, row.gate or ""))
