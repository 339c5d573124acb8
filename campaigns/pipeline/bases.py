"""The gate of bases: country rule, contract and way out, as a relation that the planner joins.

`prepare` writes what holds for a tenant on a day into temp tables of the transaction. The fragments speak of the
contact as ct and take %(day)s; the pure answer is campaigns.bases.verdict, and `judge` asks it for one person.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from campaigns import bases
from campaigns.bases import Allowed, Refused, Table, Verdict
from campaigns.models import Contact
from campaigns.services import bases as rules
from mailboxes.ways.sql import LEAVES_BY
from tenants.models import Tenant, TenantRecord
from tenants.services import records

# What is asked of a contact besides its basis comes in few forms, and who is allowed which form is asked by hash: one
# small table of all grounds would be read from end to end for each contact.
TABLES = """
CREATE TEMP TABLE IF NOT EXISTS plan_basis (
    country text NOT NULL, person_kind text NOT NULL, basis text NOT NULL, form integer NOT NULL
) ON COMMIT DROP;
CREATE TEMP TABLE IF NOT EXISTS plan_basis_form (
    form integer NOT NULL, terms text[] NOT NULL, max_months integer, needs_evidence boolean NOT NULL
) ON COMMIT DROP;
CREATE TEMP TABLE IF NOT EXISTS plan_basis_country (country text NOT NULL) ON COMMIT DROP;
CREATE TEMP TABLE IF NOT EXISTS plan_contract (what text NOT NULL, value text NOT NULL) ON COMMIT DROP"""

EMPTY = "TRUNCATE plan_basis, plan_basis_form, plan_basis_country, plan_contract"

FILL = "INSERT INTO plan_basis SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::int[])"

FORMS = """
INSERT INTO plan_basis_form
SELECT f.form, string_to_array(f.terms, ' '), f.max_months, f.needs_evidence
FROM unnest(%s::int[], %s::text[], %s::int[], %s::bool[]) AS f (form, terms, max_months, needs_evidence)"""

EXPIRED = "coalesce(ct.basis_expires_on < %(day)s::date, FALSE)"

IN_CONTRACT = """(
    ct.country IN (SELECT value FROM plan_contract WHERE what = 'country')
    AND ct.lawful_basis IN (SELECT value FROM plan_contract WHERE what = 'basis'))"""

# A country without rows of its own has those of ''. IS TRUE keeps the list of who is allowed what a hash that is made
# once; without it PostgreSQL joins the list anew for each contact.
IN_COUNTRY = """(
    ct.basis_date <= %(day)s::date AND EXISTS (
        SELECT FROM plan_basis_form form
        WHERE ct.basis_terms::text[] @> form.terms
            AND (NOT form.needs_evidence OR btrim(ct.basis_evidence) <> '')
            AND (form.max_months IS NULL
                OR (ct.basis_date + make_interval(months => form.max_months))::date >= %(day)s::date)
            AND ((
                CASE WHEN ct.country IN (SELECT country FROM plan_basis_country) THEN ct.country ELSE '' END,
                ct.person_kind, ct.lawful_basis, form.form
            ) IN (SELECT country, person_kind, basis, form FROM plan_basis)) IS TRUE))"""

# Why somebody may not be written to, null where nothing speaks against it.
REFUSAL = f"""CASE
    WHEN {EXPIRED} THEN 'basis_expired'
    WHEN NOT {IN_CONTRACT} THEN 'basis_contract'
    WHEN NOT {IN_COUNTRY} THEN 'basis_country' END"""

BY_POOL = f"""
WITH ways AS (
    SELECT DISTINCT b.pool_id, {LEAVES_BY} AS account_id FROM mailboxes_mailbox b
    WHERE b.pool_id = ANY (%s) AND b.state <> 'retired'
), allowed AS (
    SELECT DISTINCT w.pool_id, w.account_id, b.basis FROM ways w
    JOIN mailboxes_provideraccount a ON a.id = w.account_id
    CROSS JOIN LATERAL unnest(a.allowed_bases) AS b (basis)
)
SELECT al.pool_id, al.basis FROM allowed al GROUP BY al.pool_id, al.basis
HAVING count(*) = (SELECT count(*) FROM ways w WHERE w.pool_id = al.pool_id)"""


def prepare(cursor: Any, tenant_id: int, day: date) -> Table:
    """Fill the temp tables with what holds for the tenant on that day; return the table behind them."""
    tenant = Tenant.objects.get(pk=tenant_id)
    table = rules.effective(tenant, day)
    fill(cursor, table, records.of(tenant))
    return table


def fill(cursor: Any, table: Table, record: TenantRecord) -> None:
    """As `prepare`, from a table and a contract that are there."""
    cursor.execute(TABLES)
    cursor.execute(EMPTY)
    forms: dict[tuple[str, int | None, bool], int] = {}
    rows = []
    for country in table.countries:
        for kind in Contact.PersonKind.values:
            for ground in table.grounds(country, kind):
                form = (" ".join(sorted(ground.terms)), ground.max_months, ground.needs_evidence)
                rows.append((country, kind, ground.basis, forms.setdefault(form, len(forms))))
    cursor.execute(FILL, _columns(rows, 4))
    cursor.execute(FORMS, _columns([(number, *form) for form, number in forms.items()], 4))
    cursor.execute("INSERT INTO plan_basis_country SELECT unnest(%s::text[])", [table.countries])
    agreed = [("country", value) for value in set(record.allowed_countries)]
    agreed += [("basis", value) for value in set(record.allowed_bases)]
    cursor.execute(
        "INSERT INTO plan_contract SELECT * FROM unnest(%s::text[], %s::text[])",
        [[what for what, _value in agreed], [value for _what, value in agreed]],
    )
    cursor.execute("ANALYZE plan_basis, plan_basis_form, plan_basis_country, plan_contract")


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [[row[column] for row in rows] for column in range(width)]


def judge(
    contact: Contact, table: Table, record: TenantRecord, day: date, *, route: Collection[str] | None = None
) -> Verdict:
    """The same answer for one person, with its sentence. `route`: what the pool's ways out allow, None: not asked."""
    found = bases.verdict(
        contact.country, contact.person_kind, contact.lawful_basis, contact.basis_terms, contact.basis_date,
        contact.basis_expires_on, day, evidence=bool(contact.basis_evidence.strip(" ")), table=table,
    )  # fmt: skip
    return of_all(found, contact.country, contact.lawful_basis, record, route)


def of_all(found: Verdict, country: str, basis: str, record: TenantRecord, route: Collection[str] | None) -> Verdict:
    """What the country says, with the contract before it, but after the end of the basis, and the way out behind it."""
    if isinstance(found, Refused) and found.reason == "basis_expired":
        return found
    if country not in record.allowed_countries:
        where = country or _("people of an unknown country")
        return Refused(
            "basis_contract",
            _("The tenant's contract does not name %s.") % where,
            _("Add the country to the tenant's record when it was agreed on."),
        )
    if basis not in record.allowed_bases:
        return Refused(
            "basis_contract",
            _("The tenant's contract does not name the basis %s.") % bases.BASES.get(basis, basis),
            _("Add the basis to the tenant's record when it was agreed on."),
        )
    if isinstance(found, Allowed) and route is not None and basis not in route:
        return Refused(
            "basis_route",
            _("Not every account that the pool sends by allows mail of the basis %s.") % bases.BASES.get(basis, basis),
            _("Send from another pool, or let an ops manager read the hosts' terms and set what they allow."),
        )
    return found


def gate_of(found: Verdict) -> str | None:
    """The name under which the planner counts it, None where it lets pass."""
    if isinstance(found, Allowed):
        return None
    return found.reason if found.reason in ("basis_expired", "basis_contract", "basis_route") else "basis_country"


def allowed_by_pool(cursor: Any, pool_ids: Sequence[int]) -> dict[int, frozenset[str]]:
    """What every account of a pool's mailboxes allows, {pool id: bases}.

    All of them, since rotation decides which mailbox a mail leaves by. Mailboxes that can't send at the moment count as
    well: else what a pool may carry would change from hour to hour, and only to be more. Of a pool without mailboxes,
    nothing.
    """
    cursor.execute(BY_POOL, [list(pool_ids)])
    found: dict[int, set[str]] = {pool_id: set() for pool_id in pool_ids}
    for pool_id, basis in cursor.fetchall():
        found[pool_id].add(basis)
    return {pool_id: frozenset(allowed) for pool_id, allowed in found.items()}


def of_pool(pool_id: int) -> frozenset[str]:
    """As `allowed_by_pool`, of one."""
    with connection.cursor() as cursor:
        return allowed_by_pool(cursor, [pool_id])[pool_id]
