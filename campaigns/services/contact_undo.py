"""What undoes an import of contacts, as SQL: what it changed of people who were there before, kept for a time.

New people cost nothing here: `Contact.first_import` says whom an import brought. Of the others the keys of IMAGE that
changed are kept, before and after.
"""

from __future__ import annotations

from typing import Any

from campaigns.models import Contact, ListEntry
from outreach.common import staging

PLAIN = ("first_name", "last_name", "company", "country", "time_zone", "person_kind")
GROUND = (
    *("source", "lawful_basis", "basis_date", "basis_expires_on", "basis_evidence"),
    *("basis_terms", "collected_directly"),
)

# All that an import may change of the contact c. The ground is one thing, as its parts prove each other.
IMAGE = f"""(
    jsonb_build_object({", ".join(f"'{name}', c.{name}" for name in PLAIN)},
        'basis', jsonb_build_object({", ".join(f"'{name}', c.{name}" for name in GROUND)}))
    || coalesce((SELECT jsonb_object_agg('fields.' || key, value) FROM jsonb_each(c.fields)), '{{}}')
    || coalesce((SELECT jsonb_object_agg('tags.' || tag, true) FROM unnest(c.tags) AS tag), '{{}}'))"""

# After a chunk: contact_changed has ids and images of before. Looked up one by one: a join might be turned round.
KEEP = f"""
INSERT INTO campaigns_importedcontact (tenant_id, of_id, contact_ref, before, after)
SELECT %(tenant)s, %(import)s, was.id, d.before, d.after
FROM contact_changed AS was
CROSS JOIN LATERAL (SELECT {IMAGE} AS image FROM campaigns_contact c WHERE c.id = was.id LIMIT 1) AS now
CROSS JOIN LATERAL (
    SELECT jsonb_object_agg(key, was.before -> key) AS before, jsonb_object_agg(key, now.image -> key) AS after
    FROM (SELECT jsonb_object_keys(was.before || now.image)) AS keys (key)
    WHERE was.before -> key IS DISTINCT FROM now.image -> key
) AS d
WHERE d.before IS NOT NULL
ON CONFLICT DO NOTHING"""

LOCK = """
SELECT count(*) FROM (
    SELECT FROM campaigns_contact c WHERE c.tenant_id = %(tenant)s AND (c.first_import_id = %(import)s OR c.id IN (
        SELECT contact_ref FROM campaigns_importedcontact WHERE of_id = %(import)s))
    ORDER BY c.id FOR NO KEY UPDATE
) AS locked"""

# What is still as the import left it goes back.
FIND = f"""
CREATE TEMP TABLE contact_back ON COMMIT DROP AS
SELECT r.contact_ref AS id, d.back
FROM campaigns_importedcontact r
CROSS JOIN LATERAL (SELECT {IMAGE} AS image FROM campaigns_contact c WHERE c.id = r.contact_ref LIMIT 1) AS now
CROSS JOIN LATERAL (
    SELECT jsonb_object_agg(key, value) AS back FROM jsonb_each(r.before)
    WHERE now.image -> key IS NOT DISTINCT FROM NULLIF(r.after -> key, 'null')
) AS d
WHERE r.of_id = %(import)s AND r.tenant_id = %(tenant)s AND d.back IS NOT NULL"""

# What a later import changed stays; should that one be taken back too, it leads to what was before both.
HAND_ON = """
UPDATE campaigns_importedcontact n SET before = n.before || given.back
FROM (
    SELECT later.id, jsonb_object_agg(k.key, k.value) AS back
    FROM campaigns_importedcontact r
    CROSS JOIN LATERAL jsonb_each(r.before) AS k
    CROSS JOIN LATERAL (
        SELECT x.id, x.before FROM campaigns_importedcontact x
        WHERE x.contact_ref = r.contact_ref AND x.of_id > r.of_id AND jsonb_exists(x.before, k.key)
        ORDER BY x.of_id LIMIT 1
    ) AS later
    WHERE r.of_id = %(import)s AND r.tenant_id = %(tenant)s AND later.before -> k.key = r.after -> k.key
    GROUP BY later.id
) AS given WHERE n.id = given.id"""

RESTORE = f"""
UPDATE campaigns_contact c SET
    {", ".join(f"{name} = coalesce(u.back ->> '{name}', c.{name})" for name in PLAIN)},
    source = CASE WHEN g.given THEN g.basis ->> 'source' ELSE c.source END,
    lawful_basis = CASE WHEN g.given THEN g.basis ->> 'lawful_basis' ELSE c.lawful_basis END,
    basis_date = CASE WHEN g.given THEN (g.basis ->> 'basis_date')::date ELSE c.basis_date END,
    basis_expires_on = CASE WHEN g.given THEN (g.basis ->> 'basis_expires_on')::date ELSE c.basis_expires_on END,
    basis_evidence = CASE WHEN g.given THEN g.basis ->> 'basis_evidence' ELSE c.basis_evidence END,
    basis_terms = CASE WHEN g.given THEN ARRAY(SELECT jsonb_array_elements_text(g.basis -> 'basis_terms'))
        ELSE c.basis_terms END,
    collected_directly = CASE WHEN g.given THEN (g.basis -> 'collected_directly')::boolean
        ELSE c.collected_directly END,
    fields = (
        c.fields - ARRAY(SELECT substr(key, 8) FROM jsonb_each(u.back) WHERE starts_with(key, 'fields.'))
    ) || coalesce((
        SELECT jsonb_object_agg(substr(key, 8), value) FROM jsonb_each(u.back)
        WHERE starts_with(key, 'fields.') AND value <> 'null'), '{{}}'),
    tags = ARRAY(SELECT tag FROM unnest(c.tags) AS tag WHERE NOT jsonb_exists(u.back, 'tags.' || tag))
FROM contact_back u CROSS JOIN LATERAL (SELECT u.back -> 'basis' AS basis, jsonb_exists(u.back, 'basis') AS given) AS g
WHERE c.id = u.id"""

# Its entries in its list, but those of people whom a campaign took from there.
LEAVE = """
DELETE FROM campaigns_listentry e
WHERE e.contact_list_id = %(list)s AND e.id > %(after)s AND e.id <= %(until)s AND NOT EXISTS (
    SELECT FROM campaigns_enrolment n JOIN campaigns_campaign k ON k.id = n.campaign_id
    WHERE n.contact_id = e.contact_id AND k.contact_list_id = %(list)s)"""
REMOVE_ENTRIES = "DELETE FROM campaigns_listentry e USING contact_gone g WHERE e.contact_id = g.id"
REMOVE = "DELETE FROM campaigns_contact c USING contact_gone g WHERE c.id = g.id"
STAYING = """
SELECT s.reason, count(*), (array_agg(c.email ORDER BY c.id))[:%(named)s]
FROM contact_stays s JOIN campaigns_contact c ON c.id = s.id GROUP BY s.reason ORDER BY s.reason"""


def split_new() -> tuple[str, str]:
    """Statements that tell the import's new people apart: contact_stays (id, reason) and contact_gone (id).

    Whoever is enrolled, was mailed, or is referred to by any other table but lists stays; so does with whom a person
    talks or who wants to be left alone, which would be forgotten, and whom another list or a later import has.
    """
    used = " OR ".join(
        f"EXISTS (SELECT FROM {table} x WHERE x.{column} = c.id)"  # noqa: S608 (our own names)
        for table, column in sorted(_referring())
    )
    stays = f"""
CREATE TEMP TABLE contact_stays ON COMMIT DROP AS
SELECT * FROM (
    SELECT c.id, CASE WHEN {used} THEN 'enrolled'
        WHEN c.conversation_since IS NOT NULL OR c.quiet_until > now() THEN 'in conversation'
        WHEN EXISTS (SELECT FROM campaigns_listentry x WHERE x.contact_id = c.id AND x.contact_list_id <> %(list)s)
            THEN 'in another list'
        WHEN EXISTS (SELECT FROM campaigns_importedcontact x WHERE x.contact_ref = c.id AND x.of_id > %(import)s)
            THEN 'changed by a later import' END AS reason
    FROM campaigns_contact c WHERE c.first_import_id = %(import)s AND c.tenant_id = %(tenant)s
) AS new WHERE reason IS NOT NULL"""
    gone = """
CREATE TEMP TABLE contact_gone ON COMMIT DROP AS
SELECT c.id FROM campaigns_contact c
WHERE c.first_import_id = %(import)s AND c.tenant_id = %(tenant)s
  AND NOT EXISTS (SELECT FROM contact_stays s WHERE s.id = c.id)"""
    return stays, gone


def _referring() -> set[tuple[str, str]]:
    """Tables and columns that point to contacts, whatever app they are of; without lists."""
    found = set()
    for relation in Contact._meta.get_fields(include_hidden=True):
        if relation.auto_created and (relation.one_to_many or relation.one_to_one):
            field: Any = relation.remote_field
            if field.model is not ListEntry:
                found.add((field.model._meta.db_table, field.column))
    return found


def drop_tables() -> None:
    """A second rollback in one transaction begins with none."""
    for name in ("contact_back", "contact_stays", "contact_gone"):
        staging.execute(f"DROP TABLE IF EXISTS pg_temp.{name}", {})
