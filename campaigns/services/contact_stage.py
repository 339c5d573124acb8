"""The contact import's tables and statements: one chunk of rows after the other, in one transaction.

contact_stage holds the chunk, contact_seen what earlier chunks held, contact_again the rows whose address may
stand in the file twice; these are looked at last.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db import connection

from campaigns.services import contact_imports, contact_rows, contact_undo
from mailboxes import labels
from outreach.common import staging

# Rows of contact_again whose address another row has: the first one counts.
REFUSE_REPEATED = """
WITH firsts AS (
    SELECT address_hash, min(line) AS line FROM contact_again GROUP BY address_hash
), gone AS (
    DELETE FROM contact_again a USING firsts f LEFT JOIN contact_seen s USING (address_hash)
    WHERE a.address_hash = f.address_hash AND a.line > COALESCE(s.line, f.line)
    RETURNING a.line, COALESCE(s.line, f.line) AS first, a.address_hash, a.domain_hashes
), spelt AS (
    INSERT INTO contact_spelt SELECT address_hash, domain_hashes FROM gone
)
INSERT INTO import_refused (line, place, reason)
SELECT line, 'email', 'is the same address as in line ' || first FROM gone"""

# The first row stands for all spellings of the address, so whatever suppresses one of them suppresses it.
ABSORB = """
UPDATE campaigns_contact c SET domain_hashes = c.domain_hashes
    || ARRAY(SELECT hash FROM unnest(more.hashes) AS hash WHERE hash <> ALL (c.domain_hashes))
FROM (
    SELECT address_hash, array_agg(DISTINCT hash) AS hashes FROM contact_spelt, unnest(domain_hashes) AS hash
    GROUP BY address_hash
) AS more
WHERE c.address_hash = more.address_hash AND c.tenant_id + 0 = %(tenant)s AND NOT c.domain_hashes @> more.hashes"""

# Look-ups of single rows, from the stage, by a hash that hardly anybody else has: LIMIT keeps the planner
# from turning them round and `+ 0` from an index on the tenant, whose statistics may know nothing of a
# tenant that was filled a moment ago. A join chosen by such numbers took over ten minutes for 200,000 rows.
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

REFUSE_TAGS = f"""
WITH full_ones AS (
    SELECT s.line FROM contact_stage s CROSS JOIN LATERAL {KNOWN.replace("c.fields", "c.tags")} AS known
    WHERE s.tags <> '{{}}' AND (SELECT count(DISTINCT tag) FROM unnest(known.tags || s.tags) AS tag) > %(tags)s
), gone AS (
    DELETE FROM contact_stage s USING full_ones f WHERE s.line = f.line RETURNING s.line
)
INSERT INTO import_refused (line, place, reason)
SELECT line, 'tags', 'the tags of this contact, old and new together, would be more than ' || %(tags)s FROM gone"""

# Known people are brought up to date: what the file leaves empty stays, and the ground, with all that
# proves it, changes only to a newer one; terms may follow for the same one. Nothing is written where nothing would
# change. The last part still sees what was there before this statement.
NEWER = "excluded.basis_date > c.basis_date"
SAME = """(excluded.basis_date = c.basis_date AND excluded.lawful_basis = c.lawful_basis
            AND excluded.source = c.source)"""
TERMS = f"({NEWER} OR {SAME} AND excluded.basis_terms <> '{{}}')"
DIRECTLY = f"({NEWER} OR {SAME} AND %(has_directly)s)"
TAKE_OVER = f"""
WITH taken AS (
    INSERT INTO campaigns_contact AS c (
        tenant_id, email, email_key, address_hash, domain_hashes, company_domain, first_name, last_name, company,
        country, time_zone, person_kind, source, lawful_basis, basis_date, basis_expires_on, basis_evidence,
        basis_terms, collected_directly, tags, fields, first_import_id, created_at
    )
    SELECT %(tenant)s, email, email_key, address_hash, domain_hashes, company_domain, first_name, last_name, company,
        country, time_zone, person_kind, source, lawful_basis, basis_date::date, NULLIF(basis_expires_on, '')::date,
        basis_evidence, basis_terms, collected_directly, tags, fields, %(import)s, now()
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
        basis_terms = CASE WHEN {TERMS} THEN excluded.basis_terms ELSE c.basis_terms END,
        collected_directly = CASE WHEN {DIRECTLY} THEN excluded.collected_directly ELSE c.collected_directly END,
        tags = CASE WHEN c.tags @> excluded.tags THEN c.tags ELSE ARRAY(
            SELECT tag FROM unnest(c.tags || excluded.tags) AS tag GROUP BY tag ORDER BY tag COLLATE "C") END,
        domain_hashes = CASE WHEN c.domain_hashes @> excluded.domain_hashes THEN c.domain_hashes
            ELSE c.domain_hashes || ARRAY(
                SELECT hash FROM unnest(excluded.domain_hashes) AS hash WHERE hash <> ALL (c.domain_hashes)) END,
        fields = c.fields || excluded.fields
    WHERE excluded.basis_date > c.basis_date OR excluded.person_kind <> c.person_kind
        OR NOT c.fields @> excluded.fields
        OR excluded.first_name NOT IN ('', c.first_name) OR excluded.last_name NOT IN ('', c.last_name)
        OR excluded.company NOT IN ('', c.company) OR excluded.country NOT IN ('', c.country)
        OR excluded.time_zone NOT IN ('', c.time_zone)
        OR NOT c.tags @> excluded.tags OR NOT c.domain_hashes @> excluded.domain_hashes
        OR {TERMS} AND excluded.basis_terms <> c.basis_terms
        OR {DIRECTLY} AND excluded.collected_directly <> c.collected_directly
    RETURNING c.id, c.xmax = 0 AS is_new
), entered AS (
    INSERT INTO campaigns_listentry (tenant_id, contact_list_id, contact_id)
    SELECT %(tenant)s, %(list)s, id FROM taken ON CONFLICT DO NOTHING
), changed AS (
    INSERT INTO contact_changed
    SELECT taken.id, was.image FROM taken CROSS JOIN LATERAL (
        SELECT {contact_undo.IMAGE} AS image FROM campaigns_contact c WHERE c.id = taken.id LIMIT 1
    ) AS was WHERE NOT taken.is_new
)
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM taken"""

# Those whom TAKE_OVER did not touch enter the list too.
ENTER_UNCHANGED = f"""
INSERT INTO campaigns_listentry (tenant_id, contact_list_id, contact_id)
SELECT %(tenant)s, %(list)s, known.id FROM contact_stage s CROSS JOIN LATERAL {KNOWN} AS known
ORDER BY s.line
ON CONFLICT DO NOTHING"""

# By address alone where no domain is suppressed, which is a quarter of the look-ups. Only where anybody can have an
# address it may have other spellings, and these stand beside the domain.
COUNT_SUPPRESSED = """
SELECT count(*), count(found.yes) FROM contact_stage s LEFT JOIN LATERAL (
    SELECT true AS yes
    FROM unnest(CASE WHEN %(wide)s OR s.company_domain = '' THEN s.domain_hashes || s.address_hash
        ELSE ARRAY[s.address_hash] END) AS own (hash)
    JOIN campaigns_suppression p ON p.hash = own.hash
    WHERE p.lifted_at IS NULL AND p.campaign_id IS NULL
      AND (p.tenant_id IS NULL OR p.tenant_id = %(tenant)s) LIMIT 1
) AS found ON true"""
COUNT_ROWS = "SELECT count(*), 0 FROM contact_stage"  # where nothing at all is suppressed
SUPPRESSED = """
WITH entries AS NOT MATERIALIZED (
    SELECT kind FROM campaigns_suppression
    WHERE lifted_at IS NULL AND campaign_id IS NULL AND (tenant_id IS NULL OR tenant_id = %(tenant)s)
)
SELECT EXISTS (SELECT FROM entries), EXISTS (SELECT FROM entries WHERE kind <> 'address')"""

NEXT_CHUNK = """
INSERT INTO contact_seen SELECT line, address_hash FROM contact_stage;
TRUNCATE contact_stage"""


@dataclass(slots=True)
class Taken:
    """What became of rows that were taken over."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    suppressed: int = 0

    def add(self, other: Taken) -> None:
        self.created += other.created
        self.updated += other.updated
        self.unchanged += other.unchanged
        self.suppressed += other.suppressed


def begin(tenant_id: int, list_id: int, columns: Collection[str], *, has_fields: bool) -> dict[str, Any]:
    """Empty tables for one import, and the values that its statements take; no other import of the tenant runs.

    Two of them would lock the same contacts in different orders.
    """
    values = {
        "tenant": tenant_id,
        "list": list_id,
        "bytes": contact_rows.FIELDS_BYTES,
        "keys": contact_rows.SHAPE.free,
        "tags": labels.MOST_TAGS,
        "has_fields": has_fields,
        "has_tags": "tags" in columns,
        "has_directly": "collected_directly" in columns,
    }
    staging.create("contact_stage", contact_rows.STAGE)
    staging.create("contact_again", contact_rows.STAGE)
    staging.create("contact_seen", (("line", "integer"), ("address_hash", "bytea")))
    staging.create("contact_spelt", (("address_hash", "bytea"), ("domain_hashes", "bytea[]")))
    staging.create("contact_changed", (("id", "bigint"), ("before", "jsonb")))
    staging.create_refusals()
    with connection.cursor() as cursor:
        cursor.execute(contact_imports.LOCK, values)
        # Keys are checked with each chunk, while the next one is read, and not all at commit.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(SUPPRESSED, values)
        some, wide = cursor.fetchone()
    return values | {"suppressed": some, "wide": wide}


def entry_number() -> int:
    """A number above those of all list entries so far, and below those to come."""
    return int(staging.row("SELECT nextval(pg_get_serial_sequence('campaigns_listentry', 'id'))", {})[0])


def take_chunk(cursor: Any, lines: bytes, values: dict[str, Any]) -> Taken:
    """Take over rows whose addresses are all new to this import."""
    with cursor.copy("COPY pg_temp.contact_stage FROM STDIN") as copy:
        copy.write(lines)
    return _take_stage(cursor, values)


def keep_again(cursor: Any, lines: bytes, values: dict[str, Any]) -> Taken:
    """Put rows aside whose addresses this import may have had already."""
    with cursor.copy("COPY pg_temp.contact_again FROM STDIN") as copy:
        copy.write(lines)
    return Taken()


def take_again(cursor: Any, values: dict[str, Any]) -> Taken:
    """Refuse the rows put aside whose address really is another row's, and take the others over."""
    cursor.execute("ANALYZE pg_temp.contact_again, pg_temp.contact_seen")
    cursor.execute(REFUSE_REPEATED, values)
    cursor.execute("INSERT INTO contact_stage SELECT * FROM contact_again")
    taken = _take_stage(cursor, values)
    cursor.execute("ANALYZE pg_temp.contact_spelt")
    cursor.execute(ABSORB, values)
    return taken


def _take_stage(cursor: Any, values: dict[str, Any]) -> Taken:
    if values["has_fields"]:
        cursor.execute(REFUSE_FULL, values)
    if values["has_tags"]:
        cursor.execute(REFUSE_TAGS, values)
    cursor.execute(COUNT_SUPPRESSED if values["suppressed"] else COUNT_ROWS, values)
    rows, suppressed = cursor.fetchone()
    cursor.execute(TAKE_OVER, values)
    created, updated = cursor.fetchone()
    if updated:
        cursor.execute(contact_undo.KEEP, values)
        cursor.execute("TRUNCATE contact_changed")
    if created + updated < rows:
        cursor.execute(ENTER_UNCHANGED, values)
    cursor.execute(NEXT_CHUNK)
    return Taken(created, updated, rows - created - updated, suppressed)
