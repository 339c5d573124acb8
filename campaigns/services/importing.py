"""Contacts from a CSV file: judged row by row, staged with COPY, taken over as a set.

One file is one transaction: the good rows are there with its commit, or nothing is. Refused rows are
named, and written to a file that can be corrected and imported again.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from campaigns.models import ContactList
from campaigns.services import contact_rows, suppression
from outreach.common import staging
from outreach.common.addresses import header_text
from outreach.common.errors import BadInput
from outreach.common.refusals import RefusedRows, Report, Row
from outreach.common.tables import Table
from tenants.models import Tenant
from tenants.services import audit
from tenants.services.actors import Actor

EVERY = 10_000  # rows between two reports
STAGE = "contact_stage"

# The same address twice in the file: the first one counts.
REFUSE_REPEATED = """
WITH twice AS (
    SELECT address_hash, min(line) AS first FROM contact_stage GROUP BY address_hash HAVING count(*) > 1
), gone AS (
    DELETE FROM contact_stage s USING twice t
    WHERE s.address_hash = t.address_hash AND s.line > t.first RETURNING s.line, t.first
)
INSERT INTO import_refused (line, place, reason)
SELECT line, 'email', 'is the same address as in line ' || first FROM gone"""

# Look-ups of single rows, from the stage, by a hash that hardly anybody else has: LIMIT keeps the planner
# from turning them round and `+ 0` from an index on the tenant, whose statistics may know nothing of a
# tenant that was filled a moment ago. A join chosen by such numbers ran for hours.
KNOWN = """(
    SELECT c.id, c.fields FROM campaigns_contact c
    WHERE c.address_hash = s.address_hash AND c.tenant_id + 0 = %(tenant)s AND c.email_key = s.email_key LIMIT 1
)"""

# Free columns are merged, so old and new ones together can break the limit.
REFUSE_FULL = f"""
WITH full_ones AS (
    SELECT s.line FROM contact_stage s CROSS JOIN LATERAL {KNOWN} AS known
    WHERE octet_length((known.fields || s.fields)::text) > %(bytes)s
       OR (SELECT count(*) FROM jsonb_object_keys(known.fields || s.fields)) > %(keys)s
), gone AS (
    DELETE FROM contact_stage s USING full_ones f WHERE s.line = f.line RETURNING s.line
)
INSERT INTO import_refused (line, place, reason)
SELECT line, '', 'the fields of this contact, old and new together, would have more than '
    || %(keys)s || ' names or ' || %(bytes)s || ' bytes' FROM gone"""

# Known people are brought up to date: what the file leaves empty stays, and the ground, with all that
# proves it, changes only to a newer one. Nothing is written where nothing would change.
TAKE_OVER = """
WITH taken AS (
    INSERT INTO campaigns_contact AS c (
        tenant_id, email, email_key, address_hash, domain_hashes, first_name, last_name, company, country,
        time_zone, person_kind, source, lawful_basis, basis_date, basis_expires_on, basis_evidence, fields,
        created_at
    )
    SELECT %(tenant)s, email, email_key, address_hash, domain_hashes, first_name, last_name, company, country,
        time_zone, person_kind, source, lawful_basis, basis_date::date, NULLIF(basis_expires_on, '')::date,
        basis_evidence, fields, now()
    FROM contact_stage
    ON CONFLICT (tenant_id, email_key) DO UPDATE SET
        first_name = COALESCE(NULLIF(excluded.first_name, ''), c.first_name),
        last_name = COALESCE(NULLIF(excluded.last_name, ''), c.last_name),
        company = COALESCE(NULLIF(excluded.company, ''), c.company),
        country = COALESCE(NULLIF(excluded.country, ''), c.country),
        time_zone = COALESCE(NULLIF(excluded.time_zone, ''), c.time_zone),
        person_kind = excluded.person_kind,
        source = CASE WHEN excluded.basis_date > c.basis_date THEN excluded.source ELSE c.source END,
        lawful_basis =
            CASE WHEN excluded.basis_date > c.basis_date THEN excluded.lawful_basis ELSE c.lawful_basis END,
        basis_date = GREATEST(excluded.basis_date, c.basis_date),
        basis_expires_on = CASE WHEN excluded.basis_date > c.basis_date THEN excluded.basis_expires_on
            ELSE c.basis_expires_on END,
        basis_evidence =
            CASE WHEN excluded.basis_date > c.basis_date THEN excluded.basis_evidence
            ELSE c.basis_evidence END,
        fields = c.fields || excluded.fields
    WHERE excluded.basis_date > c.basis_date OR excluded.person_kind <> c.person_kind
        OR NOT c.fields @> excluded.fields
        OR excluded.first_name NOT IN ('', c.first_name) OR excluded.last_name NOT IN ('', c.last_name)
        OR excluded.company NOT IN ('', c.company) OR excluded.country NOT IN ('', c.country)
        OR excluded.time_zone NOT IN ('', c.time_zone)
    RETURNING c.id, c.xmax = 0 AS is_new
), entered AS (
    INSERT INTO campaigns_listentry (tenant_id, contact_list_id, contact_id)
    SELECT %(tenant)s, %(list)s, id FROM taken ON CONFLICT DO NOTHING
)
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM taken"""

# Those whom TAKE_OVER did not touch enter the list too.
ENTER_UNCHANGED = f"""
INSERT INTO campaigns_listentry (tenant_id, contact_list_id, contact_id)
SELECT %(tenant)s, %(list)s, known.id FROM contact_stage s CROSS JOIN LATERAL {KNOWN} AS known
ORDER BY s.line
ON CONFLICT DO NOTHING"""

# By address alone where no domain is suppressed, which is a quarter of the look-ups.
COUNT_SUPPRESSED = """
SELECT count(*) FROM contact_stage s CROSS JOIN LATERAL (
    SELECT FROM campaigns_suppression p
    WHERE p.hash = ANY (CASE WHEN %(wide)s THEN s.domain_hashes || s.address_hash ELSE ARRAY[s.address_hash] END)
      AND p.lifted_at IS NULL AND p.campaign_id IS NULL
      AND (p.tenant_id IS NULL OR p.tenant_id = %(tenant)s) LIMIT 1
) AS found"""
WIDE_SUPPRESSED = """
SELECT EXISTS (
    SELECT FROM campaigns_suppression WHERE kind <> 'address' AND lifted_at IS NULL AND campaign_id IS NULL
    AND (tenant_id IS NULL OR tenant_id = %(tenant)s)
)"""


def import_contacts(
    tenant: Tenant,
    path: Path | str,
    *,
    list_name: str,
    actor: Actor,
    dry_run: bool = False,
    refused_path: Path | str | None = None,
) -> Iterator[Report]:
    """Take a file's contacts into the tenant and the list of that name; yield the same Report as it fills.

    `suppressed` counts rows that are taken but will never be mailed. Refused rows go to `refused_path`, by
    default the file's own name with .refused.csv behind it; a dry run rolls everything back and writes none.
    Between two reports the database connection may be in the middle of a COPY: leave it alone.
    Raises NotAllowed, and BadInput about the file as a whole; then nothing was imported.
    """
    actor.require("campaigns.import_contacts", tenant)
    report = Report(dry_run=dry_run)
    with Table(path, contact_rows.SHAPE) as table:
        refused = RefusedRows(table, Path(refused_path or f"{path}.refused.csv"))
        report.bytes_total, report.fields = table.size, table.fields
        try:
            with transaction.atomic():
                yield from _contacts(tenant, table, list_name, actor, refused, report)
                transaction.set_rollback(dry_run)
            if not dry_run:
                report.refused_file = str(refused.keep() or "")
        finally:
            refused.discard()
    report.phase = "done"
    yield report


def _contacts(
    tenant: Tenant, table: Table, list_name: str, actor: Actor, refused: RefusedRows, report: Report
) -> Iterator[Report]:
    contact_list = _list(tenant, list_name)
    values: dict[str, object] = {
        "tenant": tenant.pk,
        "list": contact_list.pk,
        "bytes": contact_rows.FIELDS_BYTES,
        "keys": contact_rows.SHAPE.free,
    }
    # Two imports of one tenant would lock the same contacts in different orders.
    staging.row("SELECT pg_advisory_xact_lock(hashtextextended('import contacts', %(tenant)s))", values)
    staging.create(STAGE, contact_rows.STAGE)
    yield from _stage(table, refused, report)

    report.phase = "writing"
    yield report
    staging.execute(REFUSE_REPEATED, values)
    if table.fields:
        staging.execute(REFUSE_FULL, values)
    staging.write_refusals(table, refused, report)
    taken = report.read - report.refused
    values["wide"] = staging.row(WIDE_SUPPRESSED, values)[0]
    report.suppressed = staging.row(COUNT_SUPPRESSED, values)[0]
    report.created, report.updated = staging.row(TAKE_OVER, values)
    report.unchanged = taken - report.created - report.updated
    if report.unchanged:
        staging.execute(ENTER_UNCHANGED, values)
    Tenant.objects.filter(pk=tenant.pk).update(plan_wanted_at=Now())
    audit.record(
        actor,
        "contacts.imported",
        contact_list,
        created=report.created,
        updated=report.updated,
        unchanged=report.unchanged,
        refused=report.refused,
        dry_run=report.dry_run,
    )


def _stage(table: Table, refused: RefusedRows, report: Report) -> Iterator[Report]:
    """Read the file into the stage; rows that are wrong by themselves are refused here."""
    # One day more than today, since it is tomorrow already where some files come from.
    today = timezone.now().date() + timedelta(days=1)
    judged = contact_rows.judge(table.columns, suppression.hasher(), today=today)
    lines: list[str] = []
    with staging.copying(STAGE) as copy:
        for found in table.rows():
            line, cells, refusals = found
            report.read += 1
            result = refusals or judged(line, cells)
            if isinstance(result, str):
                lines.append(result)
                if len(lines) >= staging.LINES_PER_WRITE:
                    copy.write("".join(lines).encode())
                    lines.clear()
            else:
                refused.add(Row(line, cells, result))
                report.refuse(result)
            if report.read % EVERY == 0:
                report.bytes_read = table.position
                yield report
        copy.write("".join(lines).encode())
    report.bytes_read = table.size
    yield report


def _list(tenant: Tenant, name: str) -> ContactList:
    """The tenant's list of that name, made if need be."""
    name = header_text(name.strip(), "list")
    if not name or len(name) > 200:
        raise BadInput("Name the list with 1 to 200 characters.", field="list")
    found, _created = ContactList.objects.get_or_create(tenant=tenant, name=name)
    if found.archived_at:
        raise BadInput(f"The list {name!r} is archived. Take another name.", field="list")
    return found
