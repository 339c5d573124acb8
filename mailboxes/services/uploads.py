"""Files of mailboxes that people bring in the browser; tenants.services.uploads has all acts but the first."""

from __future__ import annotations

from collections.abc import Iterable

from mailboxes.models import Upload
from outreach.common.errors import BadInput
from tenants.models import Tenant
from tenants.services import file_imports, uploads
from tenants.services.actors import Actor


def take(
    tenant: Tenant,
    name: str,
    chunks: Iterable[bytes],
    *,
    actor: Actor,
    source: str = "",
    sheet: str = "",
    ramp: str = "",
    test_sign_in: bool = False,
) -> Upload:
    """Keep a file, sealed, for a worker to check. Raises as uploads.take, and NotAllowed for what it asks besides."""
    actor.require("mailboxes.import", tenant)
    if ramp:
        actor.require("mailboxes.ramp", tenant)
    if test_sign_in:
        actor.require("mailboxes.hold", tenant)
    if len(ramp) > file_imports.LONGEST_SOURCE:
        raise BadInput(f"The ramp has at most {file_imports.LONGEST_SOURCE} characters.", field="ramp")
    upload = Upload(tenant=tenant, source=source, sheet=sheet, ramp=ramp, test_sign_in=test_sign_in)
    return uploads.take(upload, name, chunks, actor=actor)
