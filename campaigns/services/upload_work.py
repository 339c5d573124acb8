"""What a worker does with a file of contacts: check it and import it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from campaigns.models import ContactUpload
from campaigns.services import contact_imports, contact_rows, importing
from outreach.common.refusals import Report
from tenants.services import upload_work
from tenants.services.actors import Actor


def work_on(tenant_id: int, upload_id: int) -> str:
    """Do the next step of an upload; safe twice and at any time. Returns what it came to, in a word."""
    return upload_work.work_on(KIND, tenant_id, upload_id)


def _run(upload: ContactUpload, path: Path, *, actor: Actor, **options: Any) -> Iterator[Report]:
    return importing.import_contacts(
        upload.tenant, path, list_name=upload.list_name, actor=actor, sheet=upload.sheet, source=upload.source,
        mapping=upload.columns, preview=upload_work.SHOWN, **options,
    )  # fmt: skip


def _saved_columns(upload: ContactUpload) -> dict[str, str]:
    return contact_imports.columns_of(upload.tenant, upload.source)


KIND = upload_work.Kind(ContactUpload, contact_rows.SHAPE, _saved_columns, _run)
