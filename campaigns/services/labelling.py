"""Many contacts at once: tags put on and taken off, places in a list given and taken. Sets, one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from django.db import transaction

from campaigns.models import Contact, ContactList
from campaigns.services import contact_imports
from campaigns.services.contact_rows import TAG_CHARS
from mailboxes import labels
from outreach.common import staging
from outreach.common.addresses import header_text
from outreach.common.errors import BadInput
from tenants.models import Tenant
from tenants.services import audit
from tenants.services.actors import Actor

MOST = 100_000  # contacts of one act

LOCK = """
SELECT count(*) FROM (
    SELECT FROM campaigns_contact WHERE tenant_id = %(tenant)s AND id = ANY (%(ids)s) ORDER BY id FOR NO KEY UPDATE
) AS locked"""
TOO_MANY = """
SELECT count(*) FROM campaigns_contact c WHERE c.tenant_id = %(tenant)s AND c.id = ANY (%(ids)s)
  AND (SELECT count(DISTINCT tag) FROM unnest(c.tags || %(tags)s::varchar[]) AS tag) > %(most)s"""
TAG = """
UPDATE campaigns_contact c SET tags = ARRAY(
    SELECT tag FROM unnest(c.tags || %(tags)s::varchar[]) AS tag GROUP BY tag ORDER BY tag COLLATE "C")
WHERE c.tenant_id = %(tenant)s AND c.id = ANY (%(ids)s) AND NOT c.tags @> %(tags)s::varchar[]"""
UNTAG = """
UPDATE campaigns_contact c
SET tags = ARRAY(SELECT tag FROM unnest(c.tags) AS tag WHERE tag <> ALL (%(tags)s::varchar[]))
WHERE c.tenant_id = %(tenant)s AND c.id = ANY (%(ids)s) AND c.tags && %(tags)s::varchar[]"""
ENTER = """
INSERT INTO campaigns_listentry (tenant_id, contact_list_id, contact_id)
SELECT c.tenant_id, %(list)s, c.id FROM campaigns_contact c
WHERE c.tenant_id = %(tenant)s AND c.id = ANY (%(ids)s) ORDER BY c.id ON CONFLICT DO NOTHING"""
LEAVE = """
DELETE FROM campaigns_listentry e
WHERE e.tenant_id = %(tenant)s AND e.contact_list_id = %(list)s AND e.contact_id = ANY (%(ids)s)"""


@transaction.atomic
def tag(people: Collection[int], tags: str, *, actor: Actor) -> int:
    """Put these tags (with ; between) on the contacts of these ids; return how many had not all of them.

    Raises NotAllowed, and BadInput when somebody would have too many tags; then nothing changes.
    """
    found = _tags(tags)

    def put(tenant: Tenant, ids: list[int]) -> tuple[Tenant, int]:
        values = {"tenant": tenant.pk, "ids": ids, "tags": found, "most": labels.MOST_TAGS}
        staging.row(LOCK, values)
        if too_many := staging.row(TOO_MANY, values)[0]:
            raise BadInput(
                f"{too_many:,} of these contacts would have more than {labels.MOST_TAGS} tags.", field="tags"
            )
        return tenant, staging.execute(TAG, values)

    return _each(people, put, "contacts.tagged", actor=actor, tags=len(found))


@transaction.atomic
def untag(people: Collection[int], tags: str, *, actor: Actor) -> int:
    """Take these tags off the contacts of these ids; return how many had one. Raises as `tag`."""
    found = _tags(tags)

    def take(tenant: Tenant, ids: list[int]) -> tuple[Tenant, int]:
        values = {"tenant": tenant.pk, "ids": ids, "tags": found}
        staging.row(LOCK, values)
        return tenant, staging.execute(UNTAG, values)

    return _each(people, take, "contacts.untagged", actor=actor, tags=len(found))


@transaction.atomic
def add_to_list(people: Collection[int], list_name: str, *, actor: Actor) -> int:
    """Enter the contacts of these ids into their tenant's list of that name, made if need be; return how many are new.

    Campaigns that were started keep the people that they took. Raises NotAllowed, BadInput for the name.
    """
    name = _name(list_name)

    def enter(tenant: Tenant, ids: list[int]) -> tuple[ContactList, int]:
        staging.row(contact_imports.LOCK, {"tenant": tenant.pk})  # an import knows its own entries by their numbers
        found, _created = ContactList.objects.get_or_create(tenant=tenant, name=name)
        if found.archived_at:
            raise BadInput(f"The list {name!r} is archived. Take another name.", field="list_name")
        return found, staging.execute(ENTER, {"tenant": tenant.pk, "ids": ids, "list": found.pk})

    return _each(people, enter, "contacts.listed", actor=actor)


@transaction.atomic
def remove_from_list(people: Collection[int], list_name: str, *, actor: Actor) -> int:
    """Take the contacts of these ids out of their tenant's list of that name; return how many were in it.

    Campaigns that were started keep the people that they took. Raises NotAllowed, BadInput when there is no such list.
    """
    name = _name(list_name)

    def leave(tenant: Tenant, ids: list[int]) -> tuple[ContactList, int]:
        found = ContactList.objects.filter(tenant=tenant, name=name).first()
        if found is None:
            raise BadInput(f"{tenant} has no list {name!r}.", field="list_name")
        return found, staging.execute(LEAVE, {"tenant": tenant.pk, "ids": ids, "list": found.pk})

    return _each(people, leave, "contacts.unlisted", actor=actor)


def _each(
    people: Collection[int], act: Callable[[Tenant, list[int]], tuple[Any, int]], action: str, *, actor: Actor,
    **facts: Any,
) -> int:  # fmt: skip
    """Do it for the people of one tenant after the other, then record each; return how many it concerned in all."""
    if len(people) > MOST:
        raise BadInput(f"These are {len(people):,} contacts, one act takes {MOST:,}. Narrow the list down.")
    actor.require("campaigns.import_contacts")
    ids: dict[int, list[int]] = {}
    for pk, tenant_id in Contact.objects.filter(pk__in=people).order_by("pk").values_list("pk", "tenant_id"):
        ids.setdefault(tenant_id, []).append(pk)
    tenants = list(Tenant.objects.filter(pk__in=ids).order_by("pk"))
    for tenant in tenants:
        actor.require("campaigns.import_contacts", tenant)
    done = [act(tenant, ids[tenant.pk]) for tenant in tenants]
    for subject, count in done:
        audit.record(actor, action, subject, contacts=count, **facts)
    return sum(count for _, count in done)


def _tags(text: str) -> list[str]:
    found = labels.split(text, TAG_CHARS)
    if not found:
        raise BadInput("Name at least one tag.", field="tags")
    return found


def _name(text: str) -> str:
    name = header_text(text.strip(), "list")
    if not 0 < len(name) <= 200:
        raise BadInput("Name the list with 1 to 200 characters.", field="list_name")
    return name
