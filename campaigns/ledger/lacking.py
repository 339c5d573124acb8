"""Who lacks a field that a step needs, as SQL: for the planner's gate, for counting before a launch, for the preview.

The names come from tenants' templates, so they are always values and never part of a statement.
"""

from __future__ import annotations

from collections.abc import Collection

from django.db import connection

COLUMNS = ("email", "first_name", "last_name", "company", "country", "time_zone", "person_kind", "source")

# The value of the field `wanted.name` of the contact `ct`; a column goes before a free field of the same name.
VALUE = f"""CASE wanted.name {" ".join(f"WHEN '{name}' THEN ct.{name}" for name in COLUMNS)}
    ELSE ct.fields ->> wanted.name END"""
IS_EMPTY = f"btrim(coalesce({VALUE}, ''), E' \\t\\r\\n\\u00a0') = ''"

COUNTS = f"""
SELECT wanted.name, count(*)
FROM campaigns_listentry le JOIN campaigns_contact ct ON ct.id = le.contact_id
CROSS JOIN unnest(%(names)s::text[]) AS wanted (name)
WHERE le.contact_list_id = %(contact_list)s AND {IS_EMPTY}
GROUP BY wanted.name ORDER BY wanted.name"""


def lacks_one_of(names: str) -> str:
    """A condition on the contact `ct`: it lacks one of `names`, an SQL expression of type text[] (may be null)."""
    return f"EXISTS (SELECT FROM unnest({names}) AS wanted (name) WHERE {IS_EMPTY})"


def first_lacked(names: str) -> str:
    """The first of `names` that the contact `ct` lacks; null when it has all."""
    return (
        f"(SELECT wanted.name FROM unnest({names}) WITH ORDINALITY AS wanted (name, n) "
        f"WHERE {IS_EMPTY} ORDER BY wanted.n LIMIT 1)"
    )


def counts(contact_list_id: int, names: Collection[str]) -> dict[str, int]:
    """{field: how many of the list lack it}, without those that nobody lacks. One statement, over the list once."""
    if not names:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, {"contact_list": contact_list_id, "names": sorted(names)})
        return dict(cursor.fetchall())
