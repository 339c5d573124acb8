"""Files of contacts that people bring in the browser; tenants.services.uploads has all acts but the first."""

from __future__ import annotations

from collections.abc import Iterable

from campaigns.models import ContactUpload
from outreach.common.addresses import header_text
from outreach.common.errors import BadInput
from tenants.models import Tenant
from tenants.services import uploads
from tenants.services.actors import Actor


def take(
    tenant: Tenant,
    name: str,
    chunks: Iterable[bytes],
    *,
    actor: Actor,
    list_name: str,
    source: str = "",
    sheet: str = "",
) -> ContactUpload:
    """Keep a file, sealed, for a worker to check. Raises as uploads.take, and BadInput for the list's name."""
    actor.require("campaigns.import_contacts", tenant)
    list_name = header_text(list_name.strip(), "list")
    if not 0 < len(list_name) <= 200:
        raise BadInput("Name the list with 1 to 200 characters.", field="list_name")
    upload = ContactUpload(tenant=tenant, list_name=list_name, source=source, sheet=sheet)
    return uploads.take(upload, name, chunks, actor=actor)
