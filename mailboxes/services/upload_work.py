"""What a worker does with a file of mailboxes: check it, import it, try its sign-ins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mailboxes.models import Upload
from mailboxes.services import importing, imports, mailbox_rows, sign_ins
from outreach.common.refusals import Report
from tenants.services import upload_work
from tenants.services.actors import Actor


def work_on(tenant_id: int, upload_id: int) -> str:
    """Do the next step of an upload; safe twice and at any time. Returns what it came to, in a word."""
    return upload_work.work_on(KIND, tenant_id, upload_id)


def _run(upload: Upload, path: Path, *, actor: Actor, dry_run: bool = False, **options: Any) -> Iterator[Report]:
    return importing.import_mailboxes(
        upload.tenant, path, actor=actor, dry_run=dry_run, secrets=False, sheet=upload.sheet, source=upload.source,
        mapping=upload.columns, ramp=upload.ramp, test_sign_in=upload.test_sign_in and not dry_run, **options,
    )  # fmt: skip


def _sign_in(upload: Upload, actor: Actor) -> None:
    if upload.test_sign_in and upload.done_id:
        for _ in sign_ins.run(upload.tenant, upload.done_id, actor=actor):
            pass


def _saved_columns(upload: Upload) -> dict[str, str]:
    return imports.columns_of(upload.tenant, upload.source)


KIND = upload_work.Kind(Upload, mailbox_rows.SHAPE, _saved_columns, _run, _sign_in, (("test_sign_in", False),))
